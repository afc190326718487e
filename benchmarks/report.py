"""How large a run's report is, how soon it is ready in a browser, and how long a move of the slider takes.

    python benchmarks/report.py RUN_DIR [RUN_DIR ...]

Needs Debian's Chromium (apt-get install chromium). Times are of this machine; sizes are not.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from attricert import runs

MOVES = 20

# From the event to the frame after the one in which it was painted; pictures in sight included.
PAINT = """async () => {
    const slider = document.getElementById('size'), times = [];
    for (let i = 0; i < MOVES; i++) {
        const start = performance.now();
        slider.value = (Number(slider.value) + 7) % (Number(slider.max) + 1);
        slider.dispatchEvent(new Event('input'));
        await new Promise(requestAnimationFrame);
        await new Promise(done => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = done;
            port2.postMessage(0);
        });
        times.push(performance.now() - start);
    }
    return times;
}""".replace("MOVES", str(MOVES))


def measured(browser, path):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    ready = time.perf_counter() - start
    page.locator("#inputs").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('inputs').scrollIntoView()")
    page.wait_for_timeout(1500)
    times = page.evaluate(PAINT)
    page.close()
    return {"ready_s": ready, "paint_ms_median": statistics.median(times), "paint_ms_largest": max(times)}


def main(folders):
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for folder in folders:
            if Path(folder).suffix == ".html":
                path, seconds = Path(folder).resolve(), None
            else:
                start = time.perf_counter()
                path = runs.report(folder, Path(temporary) / "report.html", trust_code=True, progress=True)
                seconds = time.perf_counter() - start
            size = path.stat().st_size / 1e6
            found = {"report": folder, "mb": size, "written_s": seconds, **measured(browser, path)}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
