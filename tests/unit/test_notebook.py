"""What notebooks show of certificates, forecasts, sandwiches and plans: small, static, and never better than it is."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from evidences import evidence

import attricert as ac
from attricert import attacks, report
from attricert.attacks import AttackResult, Sandwich
from attricert.certificates import Observed
from attricert.certificates.pieces import Explained, Prediction
from attricert.planning import PlannedScale
from attricert.proving import Forecast
from attricert.report import brief, svg
from attricert.rounding import short

HOSTILE = "</p><script>alert(1)</script>\u202e&"
VOID = {"br", "hr", "img", "input", "meta"}


class Reader(HTMLParser):
    """Elements that are open, and what was seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.titles, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert tag != "script"
        assert len(names) == len(set(names))
        assert not any(name.startswith("on") or name in ("id", "style", "href", "src") for name in names)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def column(self, name):
        at = self.rows[0].index(name)
        return [row[at] for row in self.rows[1:]]


def shown(what):
    return Reader(what._repr_html_())


def certificate(n=4, noise=None, **settings):
    norm = np.linspace(0.0, 0.9, n)
    return ac.Certificate(evidence(noise or ac.Gaussian(0.5), norm, **{"bound": "Normalize()", **settings}))


def with_classes(cert, label, explained, p=0.99):
    n = len(cert)
    names = (*(name for name in cert.terms.ledger.names), "prediction")
    terms = replace(cert.terms, ledger=ac.certificates.Ledger.of(cert.terms.alpha, names))
    prediction = Prediction(np.full(n, label), np.full(n, p))
    return ac.Certificate(
        replace(cert.evidence, terms=terms, prediction=prediction, explained=Explained(np.full(n, explained)))
    )


def some_forecast():
    return Forecast(certificate(bound=HOSTILE).terms, 0.8, 0.02, 0.3, 0.01, 0.5, torch.rand(50, 2))


def some_sandwich(n=2, crossed=False):
    eps = np.array([[0.1, 0.2, 0.4], [0.1, 0.3, math.nan]] * n)[:n]
    certified = np.array([[0.9, 0.5, -1.0], [0.9, -1.0, math.nan]] * n)[:n]
    attacked = np.array([[0.99, 0.9, 0.8], [0.5 if crossed else 0.98, 0.95, math.nan]] * n)[:n]
    broken = np.array([0.33333, math.inf] * n)[:n]
    return Sandwich(
        0.9, eps, certified, attacked, np.full(eps.shape, 1e-3), np.full(n, 0.12345), broken, torch.zeros(n, 3)
    )


def some_plan(**changes):
    scales = [
        PlannedScale(0.1, 1, None, None, 0.7, 0.04, 0.0456789, 0.05, 2, 0.98),
        PlannedScale(0.25, 2, 1234, 0.5, 0.6, 0.06, 0.07, 0.08, 2, 0.97),
    ]
    whole = {"inputs": 2, "n_samples": 10_000, "scales": tuple(scales), **changes}
    return ac.Plan(ac.Claim(eps=0.05, cosine=0.9), ac.Gaussian(1.0), **whole)


@pytest.mark.parametrize(
    ("value", "rounding", "text"),
    [
        (0.12399, "down", "0.123"),
        (0.12301, "up", "0.124"),
        (0.9996, "up", "1.000"),
        (123456.0, "down", "123000"),
        (5e-9, "down", "5.00E-9"),
        (1.239e40, "down", "1.23E+40"),
        (0.0, "down", "0"),
        (math.inf, "up", "inf"),
        (math.nan, "down", "nan"),
    ],
)
def test_short_numbers(value, rounding, text):
    assert short(value, rounding) == text


def test_a_certificate_in_a_line():
    cert = certificate()
    least, largest = (short(value) for value in (cert.max_eps(0.9).min(), cert.max_eps(0.9).max()))
    assert repr(cert) == (
        "Certificate(4 inputs, Gaussian(sigma=0.5), Normalize(), population, alpha=0.001; "
        f"max_eps(cosine=0.9) from {least} to {largest})"
    )
    assert float(largest) <= cert.max_eps(0.9).max()
    assert "(1 input, " in repr(cert[3])
    assert repr(cert[[]]) == "Certificate(0 inputs, Gaussian(sigma=0.5), Normalize(), population, alpha=0.001)"


def test_lines_compute_nothing_for_many_inputs(monkeypatch):
    cert = certificate(101)
    monkeypatch.setattr(ac.Certificate, "max_eps", lambda *_: pytest.fail("computed"))
    assert repr(cert).startswith("Certificate(101 inputs")


def test_lines_never_fail(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(ac.Certificate, "max_eps", broken)
    assert "max_eps" not in repr(certificate())
    odd = certificate(1, noise=ac.Gaussian(1e-30), bound=HOSTILE, observed=Observed(100))
    assert "\u202e" not in repr(odd)
    assert "\\u202e" in repr(odd)


def test_other_values_in_a_line():
    assert repr(some_sandwich()) == (
        "Sandwich(2 inputs, cosine=0.9; certified eps 0.123, broken eps from 0.334 to inf; no crossings)"
    )
    assert "; 1 crossing)" in repr(some_sandwich(crossed=True))
    assert repr(some_plan()) == (
        "Plan(Claim(eps=0.05, cosine=0.9), Gaussian, 2 inputs, 2 scales; best: 0.25, 1,234 samples an input)"
    )
    assert "no scale will do" in repr(some_plan(scales=some_plan().scales[:1]))
    assert "no scale will do" in repr(some_plan(scales=()))
    line = repr(some_forecast())
    assert "estimates: norm=0.800, top_variance=0.0200)" in line
    assert "\u202e" not in line
    assert len(line) < 300
    found = AttackResult(*(torch.rand(2, 3) if i in (0, 5, 6) else torch.tensor([0.5, 0.25]) for i in range(7)))
    assert repr(found) == "AttackResult(2 inputs; l2 size from 0.250 to 0.500, cosine from 0.250 to 0.500)"
    assert brief.span([]) == "of none"
    data = ac.datasets.load("mnist", split="sample")
    assert repr(data) == "Labelled(100 items of shape (1, 28, 28))"


def test_a_certificate_in_a_notebook():
    cert = with_classes(certificate(), 3, 3)
    page = shown(cert)
    assert page.column("input") == ["0", "1", "2", "3"]
    for cosine in (0.9, 0.8):
        assert page.column(f"max eps, cosine {cosine}") == [short(value) for value in cert.max_eps(cosine)]
    assert page.column("its radius") == [short(value) for value in cert.prediction_radius()]
    assert page.column("smoothed class") == ["3"] * 4
    assert page.column("explained class kept") == ["yes (3)"] * 4
    words = page.column("limited at cosine 0.9 by")
    assert words[0].startswith("norm: not told from zero")
    assert words[3] == cert[3].binding(cert[3].max_eps(0.9)[0])[0]
    assert "Note:" not in page.text


def test_other_classes_are_said():
    page = shown(with_classes(certificate(), 3, 5))
    assert page.column("explained class kept") == ["no (5)"] * 4
    assert "Note: on 4 of 4 inputs the explained class is not the class of the smoothed model" in page.text
    assert shown(with_classes(certificate(), -1, 5, p=0.0)).column("smoothed class") == ["none"] * 4


@pytest.mark.parametrize("more", [{}, {"observed": Observed(1000)}, {"bound": HOSTILE}])
def test_certificates_of_all_kinds_are_small_and_whole(more):
    cert = ac.Certificate(evidence(ac.Gaussian(0.5), np.linspace(0, 0.9, 250), top_variance=0.05, **more))
    text = cert._repr_html_()
    page = Reader(text)
    assert len(text.encode()) < 100_000
    assert len(page.rows) == 101
    assert "150 more are not shown" in page.text
    assert "\u202e" not in text
    assert text.count("<path") > 100
    assert "class" not in page.rows[0]


def test_a_certificate_of_nothing_or_of_no_inputs():
    nothing = certificate(1)
    assert nothing.max_eps(0.9).tolist() == [0.0]
    page = shown(nothing)
    assert page.column("max eps, cosine 0.9") == ["0"]
    assert "<svg" not in nothing._repr_html_()
    assert shown(nothing[[]]).rows == []
    assert "0 inputs" in shown(nothing[[]]).text


@pytest.mark.filterwarnings("ignore::attricert.errors.NotABoundWarning")
def test_the_papers_certificate_says_that_it_is_no_bound():
    paper = ac.PaperCertificate(certificate(noise=ac.UniformBall(2.0)).evidence)
    page = shown(paper)
    assert "not a lower bound" in page.text
    assert page.column("max eps, cosine 0.9") == [short(value) for value in paper.max_eps(0.9)]
    assert repr(paper).startswith("PaperCertificate(4 inputs, UniformBall(radius=2.0), Normalize(), ")


def test_a_forecast_in_a_notebook():
    forecast = some_forecast()
    page = shown(forecast)
    samples = [int(text.replace(",", "")) for text in page.column("samples")]
    assert page.column("max eps, cosine 0.9") == [f"about {short(forecast.max_eps(0.9, n))}" for n in samples]
    assert "explained class kept" not in page.rows[0]
    assert "\u202e" not in page.text
    terms = with_classes(certificate(), 1, 1).terms
    voting = shown(replace(forecast, terms=terms, explained=1, votes=torch.ones(50, dtype=torch.int64)))
    assert voting.column("explained class kept") == ["yes"] * len(samples)
    assert "100% of the draws in the explained class" in voting.text


def test_a_sandwich_in_a_notebook():
    both = some_sandwich()
    page = shown(both)
    assert page.column("certified eps") == ["0.123"] * 2
    assert page.column("broken eps") == ["0.334", "not broken"]
    assert page.column("ratio") == [short(value) for value in both.ratio]
    assert page.column("crossings") == ["none"] * 2
    assert both._repr_html_().count("<svg") == 2
    crossed = shown(some_sandwich(crossed=True))
    assert crossed.column("crossings") == ["none", "1"]
    assert "Note: an attack got below what is certified" in crossed.text
    many = some_sandwich(250)._repr_html_()
    assert len(Reader(many).rows) == 101
    assert len(many.encode()) < 100_000
    assert many.count("<svg") == 6


def test_a_plan_in_a_notebook():
    page = shown(some_plan())
    assert page.column("noise scale") == ["0.1", "0.25"]
    assert page.column("samples an input") == ["-", "1,234"]
    assert page.column("max eps, mean") == ["0.0456", "0.0700"]
    assert page.column("class kept on") == ["2 of 2"] * 2
    assert re.findall("<strong>(.*?)</strong>", some_plan()._repr_html_())[1] == "0.25"
    none = shown(some_plan(scales=some_plan().scales[:1]))
    assert "Note: out of reach" in none.text
    assert "In bold" not in none.text


def test_curves_are_drawn_no_better_than_they_are():
    x, y = np.linspace(0, 0.3, 50), np.linspace(1, 0.013, 50) ** 2
    text = svg.curves([(x, y)], x_label="eps", y_label="cosine", title="t", width=480, height=260)
    path = re.findall(r'<path d="(M[^"]*)" fill="none" stroke="#', text)[0]
    points = np.array([[float(v) for v in pair.split()] for pair in re.split("[ML]", path)[1:]])
    left, right = points[0, 0], 480 - 12
    bottom, top = 260 - 38, points[0, 1]
    at = (points[:, 0] - left) / (right - left) * 0.3
    height = (bottom - points[:, 1]) / (bottom - top)
    assert (at <= x + 1e-9).all()
    assert (height <= y + 1e-9).all()
    np.testing.assert_allclose(height, y, atol=1e-3)
    Reader(text)


def test_pictures_of_odd_values():
    def drawn(lines, **more):
        text = svg.curves(lines, x_label="x", y_label="y", title=HOSTILE, **more)
        Reader(text)
        assert "nan" not in text
        assert "inf" not in text
        assert "\u202e" not in text
        return text

    assert "<title>&lt;/p&gt;&lt;script&gt;" in drawn([])
    drawn([([], [])])
    drawn([([0.0, 1.0], [math.nan, math.nan])])
    drawn([([1e300, 1e-300], [-1e300, 1e300])], band=([0, 1], [math.nan, 0], [1, 1]))
    drawn([([0.0], [1.0])], names=[HOSTILE], dashed=[0])
    gap = drawn([([0, 1, 2, 3], [1, math.nan, 1, 0])])
    assert len(re.findall(r'd="M[\d. ]+M[\d. ]+L[\d. ]+" fill="none" stroke="#', gap)) == 1
    assert "currentColor" in gap
    with pytest.raises(ac.ArgumentError, match="as many x as y"):
        svg.curves([([0.0], [])], x_label="", y_label="", title="")


def test_methods_that_show(monkeypatch):
    cert, asked = certificate(), []

    def page(what, images=None, *, ids=None):
        asked.append((what, ids, images))
        return '<p title="a">\'&amp;</p><script>1</script>'

    monkeypatch.setattr(report, "page", page, raising=False)
    found = cert.show(images="images", ids=["a"], height=300)
    assert asked == [(cert, ["a"], "images")]
    assert found._repr_html_().startswith(
        '<iframe srcdoc="&lt;p title=&quot;a&quot;&gt;&#x27;&amp;amp;&lt;/p&gt;&lt;script&gt;1&lt;/script&gt;" '
        'width="100%" height="300" sandbox="allow-scripts"'
    )
    assert repr(found) == "Page(height=300)"
    with pytest.raises(ac.ArgumentError, match="^height=0"):
        cert.show(height=0)
    assert list(cert.to_frame(eps=0.01, cosine=0.9).columns) == list(report.to_frame(cert, 0.01, 0.9).columns)
    axes = cert.plot(names=["a", "b", "c", "d"], threshold=0.8).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c", "d"]
    assert cert.plot()._repr_png_().startswith(b"\x89PNG")


def test_attacks_that_found_something_are_short():
    g = ac.wrap(lambda x, target: torch.sin(x) + 0.5)
    found = attacks.PGD(steps=2).run(g, torch.full((1, 3), 0.5), eps=0.1, data_range=None, keep_label=False, seed=0)
    assert re.fullmatch(r"AttackResult\(1 input; l2 size [\d.]+, cosine [\d.]+\)", repr(found))
