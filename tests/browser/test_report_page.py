"""The report in a real browser: what it shows is what the library says, and it does nothing else."""

import itertools
import re
from decimal import Decimal

import numpy as np
import pytest
import torch
from browsers import chromium, opened

import attricert as ac
from attricert.report.steps import grid_of
from attricert.report.tables import shown

HOSTILE = "<script>document.title='caught'</script><img src=x onerror=\"document.title='caught'\">\u202egnp.\"'&amp;"
CHOSEN, THRESHOLDS, K = (0.02, 0.05), (0.8, 0.9), 78


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def digits_certified(model, digits):
    smoothed = ac.SmoothedAttribution(
        ac.Saliency(model), ac.Gaussian(0.125), ac.Normalize(max_entry=0.15), classifier=model
    )
    return smoothed.certify(digits.images[:5], digits.labels[:5], n_samples=1500, alpha=0.01, seed=0)


@pytest.fixture(scope="module")
def report(tmp_path_factory, digits_certified, model, digits):
    x, y = digits.images[:5], digits.labels[:5]
    html = ac.report.page(
        digits_certified,
        x,
        ids=digits.ids[:5],
        labels=y,
        plain_maps=ac.Saliency(model)(x, y),
        eps=CHOSEN,
        cosine=THRESHOLDS,
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def sizes(digits_certified):
    return grid_of(digits_certified, CHOSEN, 5 * 784)


def move(page, j):
    page.evaluate(
        "j => { const s = document.getElementById('size'); s.value = j; s.dispatchEvent(new Event('input')); }", j
    )


def down(value):
    return shown(value, 3)


def said(certificate, eps):
    """What each input's numbers are, by the library alone: rounded down by their decimal form."""
    for i, one in enumerate(certificate):
        cosine = one.cosine(eps)[0]
        signs = Decimal(int((one.signs(eps) != 0).sum())) / Decimal(784)
        overlap = Decimal(round(float(one.top_k_overlap(eps, K)[0]) * K)) / Decimal(K)
        told = [down(cosine), down(overlap), down(one.kendall_tau(eps)[0]), down(signs)]
        nothing = [not one.certified(eps)[0], told[1] == "0.000", told[2] == "-1.000", told[3] == "0.000"]
        yield i, ["none" if none else number for none, number in zip(nothing, told, strict=True)]


def test_every_number_is_the_librarys_at_that_eps(browser, report, digits_certified, sizes):
    with opened(browser, report) as page:
        for j in (0, 1, 5, 11, len(sizes) - 1):
            move(page, j)
            assert float(page.text_content("#eps")) == sizes[j]
            for i, numbers in said(digits_certified, sizes[j]):
                card = page.locator(f".input[data-input='{i}'] .now [data-number]")
                assert card.all_text_contents() == numbers
            for t, cosine in enumerate(THRESHOLDS):
                share = digits_certified.certified_share(sizes[j], cosine, simultaneous=True)
                assert int(page.text_content(f"#observed-{t}")) == round(5 * float(share.observed))
                assert page.text_content(f"#least-{t}") == down(float(share.at_least))
            for i, stays in enumerate(sizes[j] < digits_certified.prediction_radius()):
                limit = page.locator("[data-number=limit]").nth(i).text_content()
                assert limit.endswith("stays" if stays else "may change")
                assert limit.startswith("limited by" if digits_certified[i].certified(sizes[j])[0] else "nothing is")


def test_the_slider_by_mouse_and_by_keyboard(browser, report, sizes):
    with opened(browser, report) as page:
        slider = page.locator("#size")
        slider.focus()
        page.keyboard.press("Home")
        assert page.text_content("#eps") == "0"
        page.keyboard.press("ArrowRight")
        assert float(page.text_content("#eps")) == sizes[1]
        page.keyboard.press("End")
        assert float(page.text_content("#eps")) == sizes[-1]
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        middle = float(page.text_content("#eps"))
        assert abs(sizes.index(middle) - (len(sizes) - 1) / 2) <= 1
        assert slider.get_attribute("aria-valuetext") == f"eps {page.text_content('#eps')}"
        before = page.evaluate("document.getElementById('marker').getAttribute('x1')")
        page.keyboard.press("ArrowLeft")
        assert float(page.evaluate("document.getElementById('marker').getAttribute('x1')")) < float(before)


def panel(page, i, name, panels=("input", "map without noise", "smoothed map", "certain signs", "certain top 78")):
    """Colours of an input's panel, shape (28, 28, 3)."""
    page.locator(f".input[data-input='{i}']").scroll_into_view_if_needed()
    page.wait_for_function(f"document.querySelectorAll('.input canvas')[{i}].width > 300 || true")
    page.wait_for_timeout(150)
    found = page.evaluate(
        """([i, p]) => {
            const canvas = document.querySelectorAll('.input canvas')[i], gap = Math.max(1, Math.round(0.06 * 28));
            return [...canvas.getContext('2d').getImageData(p * (28 + gap), 0, 28, 28).data];
        }""",
        [i, panels.index(name)],
    )
    return np.array(found, dtype=np.uint8).reshape(28, 28, 4)[:, :, :3]


@pytest.mark.parametrize("j", [0, 6, 15])
def test_colours_are_what_is_certain(browser, report, digits_certified, sizes, digits, j):
    with opened(browser, report) as page:
        move(page, j)
        for i in (0, 4):
            signs = digits_certified[i].signs(sizes[j])[0, 0]
            colours = panel(page, i, "certain signs")
            assert ((colours == (178, 24, 43)).all(axis=2) == (signs > 0)).all()
            assert ((colours == (33, 102, 172)).all(axis=2) == (signs < 0)).all()
            top = digits_certified[i].top_k_stable(sizes[j], K)[0, 0]
            assert ((panel(page, i, "certain top 78") == (0, 0, 0)).all(axis=2) == top).all()
            assert (panel(page, i, "input")[:, :, 0] == (digits.images[i, 0] * 255).round().byte().numpy()).all()
        assert signs.any() or j == 15


def test_nothing_leaves_the_page_and_nothing_goes_wrong(browser, report):
    with opened(browser, report) as page:
        for j in range(10):
            move(page, j)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(300)
        # What the policy forbids is told to the console, which `opened` wants to be silent; a request would be too.
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0
        policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy


def test_the_policy_stops_what_it_should(browser, report, tmp_path):
    """The control: a page with a script, a style and a picture more than its own says so, and runs none of them."""
    text = report.read_text(encoding="utf-8")
    more = "<script>document.title='caught'</script><img src='http://127.0.0.1:9/x.png'>"
    path = tmp_path / "more.html"
    path.write_text(text.replace("</main>", f"{more}</main>"), encoding="utf-8")
    with opened(browser, path, silent=False) as page:
        assert page.title() != "caught"
        assert sum("Content Security Policy" in line for line in page.said) >= 2


def test_hostile_text_is_text(browser, digits_certified, tmp_path):
    path = tmp_path / "hostile.html"
    names = [f"{HOSTILE}{i}" for i in range(5)]
    html = ac.report.page(
        digits_certified, ids=names, labels=names, title=HOSTILE, about={HOSTILE: HOSTILE}, predictions=names
    )
    path.write_text(html, encoding="utf-8")
    assert "\u202e" not in html
    assert html.count("<script") == 3
    with opened(browser, path) as page:
        assert page.title().startswith("<script>")
        assert page.locator(".input h3").nth(2).text_content().startswith("<script>document.title")
        assert "\\u202e" in page.locator(".input h3").first.text_content()
        assert page.locator("img").count() == 0


def test_axe_finds_nothing_serious(browser, report):
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, report, bypass_csp=True) as page:
        page.locator("details summary").first.click()
        found = Axe().run(page).response["violations"]
        assert [
            (v["id"], v["impact"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
        ] == []


def test_axe_would_find_something(browser, report, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "worse.html"
    text = report.read_text(encoding="utf-8").replace('<label for="size">', "<b>").replace('lang="en"', "")
    path.write_text(text, encoding="utf-8")
    with opened(browser, path, bypass_csp=True) as page:
        assert {v["id"] for v in Axe().run(page).response["violations"]} >= {"html-has-lang", "label"}


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_is_wide_enough(browser, report, width):
    with opened(browser, report, width=width) as page:
        page.locator("details summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_javascript_every_number_is_there(browser, report, digits_certified, sizes):
    with opened(browser, report, scripts=False) as page:
        assert not page.locator("#size").is_visible()
        assert page.text_content("#eps") == "0.02"
        cards = page.locator(".input")
        wanted = {j: dict(said(digits_certified, sizes[j])) for j in (0, 4, len(sizes) - 1)}
        for i in range(5):
            rows = cards.nth(i).locator("details table tbody tr")
            count = rows.count()
            assert count > 15
            for j, numbers in wanted.items():
                if j >= count:  # beyond the first size at which nothing holds
                    assert numbers[i] == ["none"] * 4
                    continue
                told = [cell.strip() for cell in rows.nth(j).locator("td").all_text_contents()]
                assert float(told[0]) == sizes[j]
                assert ["none" if cell == "-" else f"{float(cell):.3f}" for cell in told[1:]] == numbers[i]
        total = page.locator("section[aria-labelledby=all] tbody tr")
        assert total.count() == 5


def test_printing_draws_what_was_out_of_sight(browser, report):
    with opened(browser, report) as page:
        page.wait_for_selector("html[data-printable=yes]")
        drawn = "[...document.querySelectorAll('.input canvas')].filter(c => c.height === 28).length"
        assert page.evaluate(drawn) < 5
        # Printers do not wait for what comes later.
        assert page.evaluate(f"dispatchEvent(new Event('beforeprint')), {drawn}") == 5
        assert len(page.pdf()) > 20_000


def entries_of(shape, n=2, weights=None):
    """Certificates of maps of a shape, of an analytic function whose entries are told apart."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(shape, generator=generator, dtype=torch.float64) if weights is None else weights
    function = ac.wrap(lambda x, target: weights * (1 + 0.2 * torch.tanh(x)))
    smoothed = ac.SmoothedAttribution(function, ac.Gaussian(0.5), ac.Normalize())
    inputs = torch.rand((n, *shape), generator=generator)
    return smoothed.certify(inputs, n_samples=800, alpha=0.01, seed=0), inputs


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((12,), "table"),
        ((90,), "series"),
        ((3, 40), "series"),
        ((3, 20, 24), "picture"),
        ((7, 16, 16), "picture"),
        ((1, 6, 12, 12), "picture"),
        ((20, 22), "picture"),
        ((1, 1, 1), "series"),
    ],
)
def test_inputs_of_all_shapes(browser, tmp_path, shape, kind):
    certificate, inputs = entries_of(shape)
    names = [f"feature {i} <b>" for i in range(shape[0])]
    path = tmp_path / "shape.html"
    path.write_text(ac.report.page(certificate, inputs, names=names, eps=(0.05,)), encoding="utf-8")
    with opened(browser, path) as page:
        page.locator(".input").first.scroll_into_view_if_needed()
        for j in range(4):
            move(page, j)
        page.wait_for_timeout(200)
        assert f'"kind":"{kind}"' in page.locator("#data").text_content()
        ink = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert page.locator(".input canvas").first.evaluate(ink) > 3
        if kind == "table":
            table = page.locator(".input").first.locator("details table").nth(1)
            assert "feature 3 <b>" in table.text_content()


def test_tables_tell_up_to_which_size_an_entry_is_certain(digits_certified):
    """By name, without JavaScript: the last size of the grid at which the sign, or the place among the top k, stays."""
    certificate, inputs = entries_of((12,))
    html = ac.report.page(certificate, inputs, eps=(0.05,), top_k=3)
    sizes = grid_of(certificate, (0.05,), 24)
    signs_at = np.array([certificate.signs(size) for size in sizes])
    stays_at = np.array([certificate.top_k_stable(size, 3) for size in sizes])
    rows = re.findall(r'<tr><td class="text">entry (\d+)<td>([^<]*)<td>([^<]*)<td>([^<]*)<td>([^<]*)\n', html)
    assert len(rows) == 24
    some = 0
    for (entry, _, sign, until, top), i in zip(rows, itertools.chain([0] * 12, [1] * 12), strict=True):
        signs = signs_at[:, i, int(entry)].tolist()
        last = max((size for size, s in zip(sizes, signs, strict=True) if s), default=None)
        assert (until == "") == (last is None)
        if last is not None:
            assert float(until) == last
            assert sign == ("+" if signs[0] > 0 else "-")
            some += last < sizes[-1]
        stays = stays_at[:, i, int(entry)].tolist()
        assert (float(top) if top else None) == max((s for s, k in zip(sizes, stays, strict=True) if k), default=None)
    assert some > 3


def test_reduced_pictures_claim_no_more_than_their_pixels():
    """Every cell against the library's signs and top entries, pixel by pixel; of sums over three channels."""
    from attricert.report.layout import Layout
    from attricert.report.steps import Entries

    blocks = torch.randn((3, 10, 13), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    certificate, _ = entries_of((3, 20, 26), n=1, weights=blocks.repeat_interleave(2, 1).repeat_interleave(2, 2))
    layout = Layout.of((3, 20, 26), 10**6, 13)
    assert (layout.block, layout.size) == (2, (10, 13))
    sizes = (0.0, 0.05, 0.2, 0.5)
    _, entries = Entries.of(certificate, sizes, layout, 150)
    claims = 0
    for j, size in enumerate(sizes):
        low, high = (end[0] for end in certificate.intervals(size))
        stays = certificate.top_k_stable(size, 150)[0]
        for row, column in np.ndindex(10, 13):
            block = np.s_[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            held, top = entries.signs[0].reshape(10, 13)[row, column], entries.top[0].reshape(10, 13)[row, column]
            if held > j:
                assert (low[block].sum(axis=0) > 0).all()
            if held < -j:
                assert (high[block].sum(axis=0) < 0).all()
            if top > j:
                assert stays[block].any(axis=0).all()
            claims += abs(int(held)) > j
            # And nothing is lost: what all pixels claim, the cell claims.
            if (low[block].sum(axis=0) > 1e-9).all():
                assert held > j
    assert claims > 10


def test_series_bars_hold_their_points(digits_certified):
    from attricert.report.layout import Layout
    from attricert.report.steps import Entries

    certificate, _ = entries_of((2, 50), n=1)
    layout = Layout.of((2, 50), 20, 160)
    assert (layout.kind, layout.block, layout.size) == ("series", 5, (2, 10))
    _, entries = Entries.of(certificate, (0.0, 0.1), layout, 10)
    for j, size in enumerate((0.0, 0.1)):
        low, high = (end[0].reshape(2, 10, 5) for end in certificate.intervals(size))
        assert (entries.low[0, j].reshape(2, 10) == low.min(axis=2)).all()
        assert (entries.high[0, j].reshape(2, 10) == high.max(axis=2)).all()


def test_a_page_says_what_is_not_proven(digits_certified, model, digits):
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.125))
    paper = smoothed.certify(digits.images[:1], digits.labels[:1], n_samples=300, confidence="asymptotic", seed=0)
    html = ac.report.page(paper)
    assert "NOTHING IS PROVEN HERE" in html
    assert "would read" in html
    assert "of their source at least" not in html
    assert "NOTHING IS PROVEN" not in ac.report.page(digits_certified[:1])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"ids": ["a"] * 5}, "ids"),
        ({"ids": ["a"]}, "ids"),
        ({"labels": [1]}, "labels"),
        ({"images": np.zeros((2, 1, 28, 28))}, "images"),
        ({"images": np.full((5, 1, 28, 28), np.nan)}, "images"),
        ({"plain_maps": np.zeros((5, 3))}, "plain_maps"),
        ({"eps": [-1.0]}, "eps"),
        ({"eps": [0.001 * i for i in range(99)]}, "eps"),
        ({"cosine": [1.0]}, "cosine"),
        ({"top_k": 785}, "top_k"),
        ({"kind": "pictures"}, "kind"),
        ({"data_range": (1.0, 0.0)}, "data_range"),
        ({"data_range": (-1e308, 1e308)}, "data_range"),
        ({"data_range": 3}, "data_range"),
        ({"data_range": "01"}, "data_range"),
        ({"about": [1]}, "about"),
        ({"about": {"a": 1}}, "about"),
        ({"title": 3}, "title"),
        ({"labels": "abcde"}, "labels"),
        ({"ids": "abcde"}, "ids"),
        ({"eps": "some"}, "eps='some'"),
        ({"images": np.zeros((5, 1, 28, 28), complex)}, "images"),
    ],
)
def test_bad_arguments_are_named(digits_certified, values, name):
    with pytest.raises(ac.ArgumentError, match=f"^{name}"):
        ac.report.page(digits_certified, **values)


def test_eps_is_told_in_the_units_that_are_given():
    certificate, inputs = entries_of((12,))
    html = ac.report.page(certificate, inputs, eps=(0.05,), units=ac.InputUnits("columns", 12))
    assert "= 0.0144 standard deviations in every column (root mean square)" in html  # 0.05 / sqrt(12) = 0.01443
    assert "input units in every value" in ac.report.page(certificate, inputs, eps=(0.05,))
    with pytest.raises(ac.ArgumentError, match="^units"):
        ac.report.page(certificate, units=ac.InputUnits("columns", 13))


def test_single_sizes_and_thresholds_are_lists_of_one(digits_certified):
    html = ac.report.page(digits_certified[:1], eps=0.05, cosine=0.9)
    assert "Cosine at least 0.9" in html
    assert html.count("Cosine at least") == 1


def test_what_is_beyond_reach_is_not_blamed_on_draws(digits_certified):
    reach = digits_certified.max_eps(0.01)
    assert all("far beyond the reach of this noise" in word for word in digits_certified.binding(100.0))
    assert not any("far beyond" in word for word in digits_certified.binding(float(reach.max())))
    observed = {"n_samples": 1500, "seed": 0, "guarantee": ac.Observed(50)}
    function = ac.wrap(lambda x, target: torch.sign(x - 0.5))
    smoothed = ac.SmoothedAttribution(function, ac.Gaussian(0.5), ac.Normalize())
    averages = smoothed.certify(torch.full((1, 40), 0.6), **observed)
    eps = next(e for e in np.linspace(0, 1, 101) if not averages.certified(e)[0])
    assert "observed n_samples" in averages.binding(eps)[0]
    html = ac.report.page(averages, eps=[eps])
    assert "chosen without knowledge of the draws" in html
    assert "It is about averages of maps under noise" in html


def test_small_scales_are_told_to_their_digits():
    function = ac.wrap(lambda x, target: torch.sign(x - 0.5) + 0.1)
    smoothed = ac.SmoothedAttribution(function, ac.Gaussian(1e-4), ac.Normalize())
    certificate = smoothed.certify(torch.full((1, 20), 0.6), n_samples=1000, seed=0)
    largest = float(certificate.max_eps(0.9)[0])
    assert 1e-5 < largest < 1e-3
    text = re.search(r"0.9 up to eps (\S+?)<", ac.report.page(certificate, eps=[1e-5]))[1]
    assert 0.999 * largest < float(text) <= largest
