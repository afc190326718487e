"""Debian's Chromium, driven by Playwright; nothing is downloaded."""

import contextlib
import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium here, so that pages are not tested: apt-get install chromium fonts-liberation")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser, path, *, width=1200, scripts=True, silent=True, bypass_csp=False):
    """A page that is ready. In the end its console must have been silent, and nothing but the file asked for."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=scripts, bypass_csp=bypass_csp
    )
    page = context.new_page()
    said, asked = [], []
    page.said = said
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    if scripts:
        page.wait_for_selector("html[data-ready=yes]")
    try:
        yield page
        if silent:
            assert said == []
        assert asked == [path.as_uri()] or not silent
    finally:
        context.close()
