"""Pictures: what is drawn, read back from the artists, is what the library says; odd maps and names are drawn too."""

import io

import matplotlib.colors
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

import attricert as ac
from attricert import plots
from attricert.attacks import Sandwich
from attricert.plots.panels import _RANKS, _SIGNS, _TILE
from attricert.plots.style import DOWN, GRAY, UP, literal

EPS = 0.02
HOSTILE = ["$x^2$", "<script>alert(1)</script>", "\u202eevil", "\u4e2d\u6587", "_hidden", "a" * 200, "a$b", ""]


def certified_of(shape, sigma=0.1, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, *shape, generator=generator)
    sizes = (torch.linspace(-1, 1, x[0].numel()) ** 3).reshape(shape)  # signs and ranks of some are clear
    wave = ac.wrap(lambda x, target: sizes * (1 + 0.1 * torch.sin(9 * x)))
    smoothed = ac.SmoothedAttribution(wave, ac.Gaussian(sigma), ac.Normalize(max_entry=0.5))
    return x, smoothed.certify(x, n_samples=3000, seed=seed, **options)


@pytest.fixture(scope="module")
def gray():
    return certified_of((1, 6, 7))


@pytest.fixture(scope="module")
def color():
    return certified_of((3, 5, 4))


@pytest.fixture(scope="module")
def table():
    return certified_of((12,))


def drawn(figure):
    """Each of the formats, without a warning (they are errors here)."""
    for form in ("png", "pdf", "svg"):
        figure.savefig(io.BytesIO(), format=form)


def kinds_of(ax, named):
    """Which kind each pixel is drawn as; a corner of it that no hatch reaches tells."""
    picture = ax.images[0].get_array()[::_TILE, ::_TILE]
    colors = {tuple(round(255 * v) for v in matplotlib.colors.to_rgb(kind.color)): i for i, kind in enumerate(named)}
    return np.array([[colors[tuple(pixel)] for pixel in row] for row in np.asarray(picture)[..., :3].tolist()])


def possible(cert, i, k):
    """By the definition: fewer than k entries are sure to be above."""
    low, high = (end[i].reshape(-1) for end in cert.intervals(EPS))
    return np.array([sum(low > one) < k for one in high]).reshape(cert.maps.shape[1:])


# --- what is certified


def test_certain_signs_and_ranks_are_those_of_the_certificate(gray):
    x, cert = gray
    figure = plots.certified(cert, 1, EPS, x[1], k=9)
    image, map_, signs, ranks = figure.axes[:4]
    np.testing.assert_array_equal(image.images[0].get_array(), x[1, 0])
    np.testing.assert_array_equal(map_.images[0].get_array(), cert.maps[1, 0])
    expected = cert.signs(EPS)[1, 0]
    assert {-1, 0, 1} == set(expected.flat)
    np.testing.assert_array_equal(kinds_of(signs, _SIGNS) - 1, expected)
    assert signs.get_title() == f"sign certain: {(expected != 0).sum()} of 42"
    certain, maybe = cert.top_k_stable(EPS, 9)[1, 0], possible(cert, 1, 9)[0]
    assert certain.any()
    assert (maybe & ~certain).any()
    assert not (certain & ~maybe).any()
    np.testing.assert_array_equal(kinds_of(ranks, _RANKS), np.where(certain, 2, maybe.astype(int)))
    drawn(figure)


def test_names_stand_under_the_bars_of_maps_of_one_dimension(table, gray):
    x, cert = table
    names = [*HOSTILE[:7], *(f"column {i}" for i in range(5))]
    figure = plots.certified(cert, 1, EPS, x[1], names=names)
    for ax in figure.axes[1:4]:
        assert [tick.get_text() for tick in ax.get_xticklabels()] == [literal(name, 18) for name in names]
        assert ax.get_xticks().tolist() == list(range(12))
    drawn(figure)
    with pytest.raises(ac.ArgumentError, match="3 names.*one for each of 12 entries"):
        plots.certified(cert, 1, EPS, names=["a", "b", "c"])
    blank = plots.certified(certified_of((12,), prove=("top_variance",))[1], 0, EPS, names=names).axes[2:4]
    assert not [tick for ax in blank for tick in ax.get_xticks()]
    many = certified_of((41,))[1]
    for one, some in ((many, [f"c{i}" for i in range(41)]), (gray[1], ["gray"])):  # no room, and no bars
        texts = [t.get_text() for ax in plots.certified(one, 0, EPS, names=some).axes for t in ax.get_xticklabels()]
        assert not set(some).intersection(texts)


def test_what_is_possible_is_hatched(gray):
    _, cert = gray
    ax = plots.certified(cert, 1, EPS, k=9).axes[3]
    picture = np.asarray(ax.images[0].get_array())[..., :3]
    white = (picture == 255).all(axis=-1).reshape(6, _TILE, 7, _TILE).sum(axis=(1, 3))
    np.testing.assert_array_equal(white, _TILE * (kinds_of(ax, _RANKS) == 1))


def test_pixels_of_many_channels(color):
    x, cert = color
    figure = plots.certified(cert, 0, EPS, x[0])
    image, map_, signs, ranks = figure.axes[:4]
    np.testing.assert_array_equal(image.images[0].get_array(), x[0].permute(1, 2, 0))
    np.testing.assert_allclose(map_.images[0].get_array(), cert.maps[0].sum(axis=0), rtol=1e-12)
    low, high = (end[0].sum(axis=0) for end in cert.intervals(EPS))
    np.testing.assert_array_equal(kinds_of(signs, _SIGNS) - 1, (low > 0).astype(int) - (high < 0))
    certain, maybe = cert.top_k_stable(EPS, 6)[0].any(axis=0), possible(cert, 0, 6).any(axis=0)  # a tenth of 60
    np.testing.assert_array_equal(kinds_of(ranks, _RANKS), np.where(certain, 2, maybe.astype(int)))
    assert ranks.get_legend().get_title().get_text() == "a pixel counts by its best channel"
    assert ranks.get_title() == "6 largest of 60 entries"
    drawn(figure)


def test_the_sign_of_a_sum_is_that_of_the_exact_sum():
    assert plots.arrays.summed(np.array([1e20, 1.0, -1e20])[:, None, None]) == 1.0
    assert plots.arrays.summed(np.array([1.0, 1e20, -1e20, -2.0])[:, None, None]) == -1.0


def test_one_dimension(table):
    x, cert = table
    figure = plots.certified(cert, 0, EPS, x[0], k=3)
    signs = cert.signs(EPS)[0]
    found = {
        each.get_label(): [path.vertices[:4] for path in each.get_paths()]
        for each in figure.axes[2].collections
        if isinstance(each, PolyCollection)
    }
    for word, sign in (("positive", 1), ("negative", -1), ("not certain", 0)):
        (where,) = np.nonzero(signs == sign)
        corners = found.get(word, [])
        assert [round(corner[:, 0].mean()) for corner in corners] == where.tolist()
        np.testing.assert_allclose([corner[1, 1] for corner in corners], cert.maps[0][where])
    drawn(figure)


def test_the_claim_is_rounded_down(gray):
    _, cert = gray
    (title,) = [plots.certified(cert, 0, EPS, title="$x$").get_suptitle()]
    value = float(title.partition(">= ")[2].partition(" ")[0])
    exact = cert.cosine(EPS)[0]
    assert exact - 1e-3 < value <= exact
    assert title == f"\\$x\\$: cosine >= {value:.3f} at eps = 0.02, alpha = 0.001"
    assert (
        plots.certified(cert, 0, 50.0).get_suptitle()
        == "nothing is certified of the cosine at eps = 50.0, alpha = 0.001"
    )


def test_without_entries_or_maps_it_says_so(gray):
    x, cert = gray
    bare = ac.Certificate(cert.evidence.without_maps())
    figure = plots.certified(bare, 0, EPS, x[0])
    said = [" ".join(text.get_text().split()) for ax in figure.axes for text in ax.texts]
    assert said == ["no map: maps were not kept", "entries were not proven", "entries were not proven"]
    drawn(figure)


@pytest.mark.filterwarnings("ignore::attricert.errors.ZeroMapsWarning")
def test_nothing_is_certain_of_a_zero_map():
    nothing = ac.wrap(lambda x, target: 0 * x)
    cert = ac.SmoothedAttribution(nothing, ac.Gaussian(0.1)).certify(torch.ones(1, 1, 4, 4), n_samples=200, seed=0)
    figure = plots.certified(cert, 0, EPS, np.ones((4, 4)))
    assert (kinds_of(figure.axes[2], _SIGNS) == 1).all()
    assert (kinds_of(figure.axes[3], _RANKS) == 1).all()
    drawn(figure)


def test_a_part_of_a_figure_is_drawn_into(gray):
    _, cert = gray
    whole = Figure()
    left, right = whole.subfigures(1, 2)
    assert plots.certified(cert, 0, EPS, figure=right) is whole
    assert (len(left.axes), len(right.axes)) == (0, 4)


# --- bars


def test_bars_show_map_intervals_and_signs(table):
    _, cert = table
    figure = plots.bars(cert, 1, EPS, [f"column {j}" for j in range(12)])
    (ax,) = figure.axes
    map_, signs = cert.maps[1], cert.signs(EPS)[1]
    order = [int(text.get_text().split()[1]) for text in ax.get_yticklabels()]
    assert order == np.argsort(-np.abs(map_)).tolist()
    assert [bar.get_width() for bar in ax.patches] == map_[order].tolist()
    shades = [(matplotlib.colors.to_hex(bar.get_facecolor()), bool(bar.get_hatch())) for bar in ax.patches]
    assert shades == [({1: UP, -1: DOWN, 0: GRAY}[sign], sign == 0) for sign in signs[order].tolist()]
    (lines,) = [each for each in ax.collections if isinstance(each, LineCollection)]
    low, high = cert.intervals(EPS)
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    np.testing.assert_array_equal(ends, np.stack([low[1][order], high[1][order]], axis=1))
    assert f"{(signs != 0).sum()} signs certain" in ax.get_title()
    drawn(figure)


def test_bars_of_the_largest_alone(table):
    _, cert = table
    (ax,) = plots.bars(cert, 0, EPS, k=3).axes
    assert [abs(bar.get_width()) for bar in ax.patches] == sorted(np.abs(cert.maps[0]), reverse=True)[:3]
    assert ax.get_title().startswith("the 3 largest of 12 entries")


# --- against eps


def test_curves_are_the_certified_cosines(gray):
    _, cert = gray
    (ax,) = plots.curves(cert, HOSTILE[:2], threshold=0.8).axes
    for line, i in zip(ax.lines, (0, 1), strict=False):
        expected = cert.cosine(line.get_xdata())[i]
        np.testing.assert_array_equal(line.get_ydata(), np.where(expected > 0, expected, np.nan))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["\\$x^2\\$", "<script>alert(1)</script>"]


def test_steps_are_shares_of_inputs():
    certs = {"a": certified_of((12,), 0.1)[1], "b": certified_of((12,), 0.2)[1]}
    figure = plots.compare(certs, cosine=0.9)
    shares, paired = figure.axes
    for line, cert in zip(shares.lines, certs.values(), strict=True):
        x, y = line.get_xdata(), line.get_ydata()
        reached = cert.max_eps(0.9)
        at = np.linspace(x[-1] / 1000, x[-1] * 0.999, 97)
        drawn_there = [y[np.searchsorted(x, one)] for one in at]  # "pre": the step up to each x
        assert drawn_there == [(reached >= one).mean() for one in at]
        assert line.get_drawstyle() == "steps-pre"
    dots = paired.lines[1]
    np.testing.assert_array_equal(dots.get_xdata(), certs["a"].max_eps(0.9))
    np.testing.assert_array_equal(dots.get_ydata(), certs["b"].max_eps(0.9))
    drawn(figure)
    drawn(plots.compare([*certs.values(), certs["a"]], ["$a$", "_b", "\u4e2d"]))


@pytest.mark.filterwarnings("ignore::attricert.errors.ZeroMapsWarning")
def test_inputs_that_abstain_are_in_no_share(gray):
    nothing = ac.wrap(lambda x, target: 0 * x)
    none = ac.SmoothedAttribution(nothing, ac.Gaussian(0.1)).certify(torch.ones(2, 3), n_samples=200, seed=0)
    shares, _ = plots.compare([none, gray[1]]).axes
    assert (shares.lines[0].get_ydata() == 0).all()
    drawn(plots.compare([none, none]))
    drawn(plots.curves(none))


def test_both_sides(gray):
    x, cert = gray
    sizes = np.array([[0.01, 0.02], [0.03, np.nan]])
    values = np.array([[0.99, 0.9], [0.8, np.nan]])
    attacked = Sandwich(0.9, sizes, values, values, 0.01 + 0 * values, sizes[:, 0], sizes[:, 0], x)
    figure = plots.sandwich(cert, attacked, HOSTILE[:2])
    first, second = (ax.containers[0].lines[0] for ax in figure.axes)
    assert (first.get_ydata().tolist(), second.get_ydata().tolist()) == ([0.99, 0.9], [0.8])
    drawn(figure)
    with pytest.raises(ac.ArgumentError, match="Sandwich of the same 1 inputs"):
        plots.sandwich(cert[:1], attacked, ["a"])


# --- one map


ODD = {
    "zero": np.zeros((3, 4)),
    "constant": np.full((3, 4), -2.5),
    "pixel": np.array([[0.3]]),
    "huge range": np.array([[1e300, -1e-300], [1e-300, 1.0]]),
    "largest": np.array([[1.7e308, -1.7e308], [0.0, 1.0]]),
    "smallest": np.array([[5e-324, 0.0], [0.0, -5e-324]]),
    "channels": np.array([[[1e300]], [[1e300]], [[-1e-300]]]),
    "line": np.arange(40.0).reshape(1, 40),
    "bars": np.array([0.0, 1e300, -1e-300]),
    "zero bars": np.zeros(3),
    "long": np.linspace(-1, 1, 5000),
}


@pytest.mark.parametrize("sign", ["all", "positive", "negative", "absolute_value"])
@pytest.mark.parametrize("name", ODD)
def test_odd_maps_are_drawn(name, sign):
    figure = plots.attribution(ODD[name], sign=sign, title=name)
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("name", [name for name, map_ in ODD.items() if map_.ndim > 1])
@pytest.mark.parametrize("method", ["overlay", "masked", "original_image"])
def test_odd_maps_over_images(name, method):
    map_ = ODD[name]
    image = np.linspace(-5e300, 1e308, map_[0].size if map_.ndim == 3 else map_.size).reshape(map_.shape[-2:])
    plots.attribution(map_, image, method).savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("form", ["png", "pdf", "svg"])
@pytest.mark.parametrize("title", HOSTILE)
def test_names_are_literal_in_every_format(form, title, tmp_path):
    figure = plots.attribution(np.eye(3), title=title)
    plots.save_figure(figure, tmp_path / f"a.{form}")
    head = (tmp_path / f"a.{form}").read_bytes()[:100]
    assert {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[form] in head


def test_names():
    seen = [literal(name) for name in HOSTILE]
    assert seen[:5] == ["\\$x^2\\$", "<script>alert(1)</script>", "\\u202eevil", "\\u4e2d\\u6587", " _hidden"]
    assert len(seen[5]) == 40
    assert "..." in seen[5]


def test_channels_are_summed_and_tensors_taken():
    map_ = torch.arange(24, dtype=torch.bfloat16, requires_grad=True).reshape(2, 3, 4)
    (ax, bar) = plots.attribution(map_).axes
    np.testing.assert_array_equal(ax.images[0].get_array(), np.arange(24.0).reshape(2, 3, 4).sum(axis=0))
    assert ax.images[0].get_clim() == (-34.0, 34.0)
    assert bar.get_ylabel() == "attribution"


def test_units_are_told():
    ax, bar = plots.attribution(np.array([[3e-8, -1e-8]])).axes
    assert bar.get_ylabel() == "attribution / 1e-08"
    np.testing.assert_allclose(ax.images[0].get_array(), [[3.0, -1.0]])


def test_signs_of_one_map():
    map_ = np.array([[2.0, -1.0], [0.0, 0.5]])
    for sign, expected in {
        "positive": [[2, 0], [0, 0.5]],
        "negative": [[0, 1], [0, 0]],
        "absolute_value": [[2, 1], [0, 0.5]],
    }.items():
        image = plots.attribution(map_, sign=sign).axes[0].images[0]
        assert image.get_array().tolist() == expected
        assert image.get_clim() == (0, np.max(expected))


def test_overlay_and_mask():
    map_, image = np.array([[2.0, -1.0]]), np.array([[0.5, 1.0]])
    under, over = plots.attribution(map_, image, "blended_heat_map").axes[0].images
    assert over.get_alpha().tolist() == [[0.85, 0.425]]
    assert under.get_cmap().name == "gray"
    masked = plots.attribution(map_, image, "masked").axes[0].images[0].get_array()
    assert masked.tolist() == [[0.5, 0.5]]
    for form in (np.ones((3, 2, 2)), np.ones((2, 2, 3)), torch.ones(3, 2, 2)):
        seen = plots.attribution([[2.0, -1.0]] * 2, form, "masked_image", "positive").axes[0].images[0].get_array()
        assert seen.tolist() == [[[1, 1, 1], [0, 0, 0]]] * 2


def test_bars_and_series():
    map_ = np.array([1.0, -2.0, 0.0])
    (ax,) = plots.attribution(map_).axes
    (bars,) = [each for each in ax.collections if isinstance(each, PolyCollection)]
    assert [path.vertices[1, 1] for path in bars.get_paths()] == map_.tolist()
    shades = [matplotlib.colors.to_hex(color) for color in bars.get_facecolor()]
    assert shades[:2] == [UP, DOWN]
    series = np.array([[0.0, 1, 2], [5, 5, 5]])
    ax = plots.attribution(np.stack([map_, map_]), series, "series").axes[0]
    assert ax.images[0].get_array().tolist() == [map_.tolist()] * 2
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.4, 0.0, -0.4])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 1.0, 1.0])


def test_axes_that_are_given_are_drawn_into(gray, table):
    whole = Figure(figsize=(20, 6), layout="constrained")
    a, b, c = whole.subfigures(1, 2)[1].subplots(1, 3)
    assert plots.attribution(np.eye(2), ax=a) is whole
    assert plots.curves(gray[1], ax=b) is whole
    assert plots.bars(table[1], 0, EPS, ax=c) is whole
    drawn(whole)


def test_grid():
    images, maps = np.ones((2, 3, 3)), np.stack([np.eye(3), -np.eye(3)])
    figure = plots.maps({"$i$": images, "m": maps}, ["a\nb", "\u202e"], ["note", ""])
    assert figure.axes[2].get_ylabel() == "\\u202e"
    assert figure.axes[0].get_ylabel() == "a\\nb\nnote"
    assert figure.axes[3].images[0].get_clim() == (-1, 1)
    drawn(figure)


# --- what is refused


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda g: plots.attribution([[np.nan]]), "map='NaN or inf in it': must be finite"),
        (lambda g: plots.attribution([[np.inf]]), "map='NaN or inf in it': must be finite"),
        (lambda g: plots.attribution(np.zeros((1, 2, 3, 4))), r"map.shape=\(1, 2, 3, 4\): must be"),
        (lambda g: plots.attribution(np.zeros((0, 3))), r"map.shape=\(0, 3\): must be"),
        (lambda g: plots.attribution("no"), "map='str': must be numbers"),
        (lambda g: plots.attribution(np.eye(2), method="heat"), "did you mean 'heat_map'"),
        (lambda g: plots.attribution(np.eye(2), sign="both"), "sign='both'"),
        (lambda g: plots.attribution(np.eye(2), method="overlay"), "image=None: is needed"),
        (lambda g: plots.attribution(np.eye(3), np.eye(2), "overlay"), r"image.shape=\(2, 2\): must have"),
        (
            lambda g: plots.attribution(np.eye(2), np.ones((2, 2, 2, 2)), "overlay"),
            r"image.shape=\(2, 2, 2, 2\): must be",
        ),
        (lambda g: plots.attribution(np.eye(2), np.full((2, 2), np.nan), "overlay"), "image='NaN"),
        (lambda g: plots.attribution(np.ones(3), method="masked"), "heat_map or series"),
        (lambda g: plots.attribution(np.ones(3), np.ones(4), "series"), "image.shape"),
        (lambda g: plots.attribution(np.eye(2), title=3), "title=3"),
        (lambda g: plots.attribution(np.eye(2), ax="here"), "ax='str'"),
        (lambda g: plots.certified("cert", 0, EPS), "cert='str': must be a Certificate"),
        (lambda g: plots.certified(g, 2, EPS), "i=2: must be an integer >= 0 and <= 1"),
        (lambda g: plots.certified(g, -1, EPS), "i=-1"),
        (lambda g: plots.certified(g, 0, [EPS]), "must be one number"),
        (lambda g: plots.certified(g, 0, -1), "eps=-1"),
        (lambda g: plots.certified(g, 0, EPS, k=43), "k=43"),
        (lambda g: plots.certified(g, 0, EPS, figure="here"), "figure='str'"),
        (lambda g: plots.bars(g, 0, EPS, ["a"]), "must be 42, one for each entry"),
        (lambda g: plots.bars(ac.Certificate(g.evidence.without_maps()), 0, EPS), "maps"),
        (lambda g: plots.curves(g, ["a"]), "must be 2, one for each input"),
        (lambda g: plots.curves(g, "ab"), "must be 2, one for each input"),
        (lambda g: plots.curves(g, threshold=1), "threshold=1"),
        (lambda g: plots.compare([g]), "two or more"),
        (lambda g: plots.compare(g), "certs='Certificate': must be certificates by name"),
        (lambda g: plots.compare({"a": g, "b": g[:1]}), r"certs=\{'a': 2, 'b': 1\}: must be two or more"),
        (lambda g: plots.compare({"a": g, "b": g}, ["c", "d"]), "must be left out"),
        (lambda g: plots.compare([g, g], cosine=2), "cosine=2"),
        (lambda g: plots.maps({}, ["a"]), "columns"),
        (lambda g: plots.maps({"a": np.ones((2, 3, 3))}, ["a"]), "must have 1 rows each"),
        (lambda g: plots.save_figure(Figure(), "a.gif"), "must end in .png, .pdf, .svg"),
        (lambda g: plots.save_figure(Figure(), 3), "path=3"),
    ],
)
def test_what_is_refused(call, said, gray):
    with pytest.raises(ac.ArgumentError, match=said):
        call(gray[1])


@pytest.mark.parametrize("percent", [2.0, 5.0, 20.0])
def test_outliers_are_cut_where_captum_cuts_them(percent):
    from captum.attr._utils.visualization import _normalize_attr

    map = np.random.default_rng(0).standard_t(3, (50, 60))
    figure = plots.attribution(map, outlier_perc=percent)
    drawn = figure.axes[0].images[0]
    theirs = _normalize_attr(map, "all", percent)
    assert np.allclose(np.clip(np.asarray(drawn.get_array()) / drawn.norm.vmax, -1, 1), theirs, atol=1e-12)
    assert (np.abs(map) > drawn.norm.vmax).any()
    assert plots.attribution(map, outlier_perc=0).axes[0].images[0].norm.vmax == np.abs(map).max()


@pytest.mark.parametrize("percent", [-1.0, 100.0, "few", np.nan])
def test_percentages_of_outliers_have_a_range(percent):
    with pytest.raises(ac.ArgumentError, match="^outlier_perc"):
        plots.attribution(np.ones((2, 2)), outlier_perc=percent)


def test_images_of_other_numbers_of_channels_are_their_mean():
    image = np.random.default_rng(0).random((5, 4, 6))
    figure = plots.attribution(np.eye(4, 6), image, "original_image")
    assert np.allclose(np.asarray(figure.axes[0].images[0].get_array()), image.mean(axis=0))


def test_certificates_that_are_compared_have_names_that_differ(gray):
    with pytest.raises(ac.ArgumentError, match="^names"):
        plots.compare([gray[1], gray[1]], names=["a", "a"])
