"""Maps of another shape than inputs, and entries that are held fixed (theory 1)."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import optimize

import attricert as ac
from attricert import attacks
from attricert.certificates import Terms
from attricert.fixed import Fixed
from attricert.report.layout import Layout
from attricert.sampling import Free

NOISE, BOUND = ac.Gaussian(0.3), ac.Clip(20.0)
A = torch.linspace(-1.0, 1.0, 5 * 12, dtype=torch.float64).reshape(5, 12).sin()
X = torch.linspace(0.1, 0.9, 12, dtype=torch.float64)[None]
MASK = np.array([False, True, False, False, True, True, False, False, False, True, False, False])


def linear(inputs, target):
    return inputs.double() @ A.T


def certify(g, x, noise=NOISE, bound=BOUND, n_samples=4_000, **settings):
    sm = ac.SmoothedAttribution(g, noise=noise, bound=bound, **settings)
    return sm, sm.certify(x, n_samples=n_samples, seed=3, sample_ids=["one"])


def test_maps_of_a_linear_attribution_are_between_their_bounds():
    _, certificate = certify(linear, X)
    truth = (X @ A.T)[0].numpy()  # the mean over symmetric noise, as the clip is out of reach
    assert certificate.maps.shape == (1, 5)
    assert (certificate.terms.dimension, certificate.terms.map_entries) == (12, 5)
    low, high = certificate.intervals(0.0)
    assert (low[0] <= truth).all()
    assert (truth <= high[0]).all()
    assert (high - low).max() < 2.0
    assert certificate.norm[0] <= np.linalg.norm(truth)


def test_no_perturbation_turns_a_map_of_another_shape_by_more_than_certified():
    _, certificate = certify(linear, X, n_samples=20_000)
    eps = 0.05
    clean, matrix = (X @ A.T)[0].numpy(), A.numpy()

    def cosine(direction):
        moved = clean + eps * matrix @ (direction / np.linalg.norm(direction))
        return float(moved @ clean / np.linalg.norm(moved) / np.linalg.norm(clean))

    rng = np.random.default_rng(0)
    worst = min(optimize.minimize(cosine, rng.standard_normal(12)).fun for _ in range(5))
    certified = float(certificate.cosine(eps)[0])
    assert 0.2 < certified <= worst < 1.0


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (1, 5, 1)])
def test_a_map_keeps_its_shape(shape, tmp_path):
    sm, certificate = certify(lambda z, t: linear(z, t).reshape(-1, *shape), X)
    assert certificate.maps.shape == (1, *shape)
    assert certificate.intervals(0.01).low.shape == (1, *shape)
    certificate.save(tmp_path / "c.safetensors")
    assert ac.Certificate.load(tmp_path / "c.safetensors").terms == certificate.terms
    assert sm.attribute(X, n_samples=10, seed=0).shape == (1, *shape)
    weights = torch.ones(1, *shape)
    summed = sm.certify(X, n_samples=400, seed=0, functionals=weights).evidence.functionals
    assert summed.low.shape == (1, 1)
    with pytest.raises(ac.ArgumentError, match=r"functionals=\(1, 12\): must be weights of shape \(r, "):
        sm.certify(X, n_samples=400, seed=0, functionals=torch.ones(1, 12))


def test_other_maps_are_refused():
    for bad in (lambda z, t: z.sum(dim=1), lambda z, t: z.sum(dim=0)[None], lambda z, t: z[:, :0]):
        with pytest.raises(ac.ArgumentError, match="must return a map an input"):
            ac.SmoothedAttribution(bad, noise=NOISE, batch_size=4).certify(X, n_samples=200, seed=0)
    sizes = iter([5, 5, 5, 5, 5, 4])
    with pytest.raises(ac.ArgumentError, match=r"attribution=\(\d,\): must return maps of one shape"):
        ac.SmoothedAttribution(
            lambda z, t: torch.ones(len(z), next(sizes, 4)), noise=ac.Gaussian(0.3), batch_size=1
        ).certify(X, n_samples=200, seed=0, preflight=False)


@pytest.mark.parametrize("noise", [ac.Gaussian(0.3), ac.UniformBall(1.2)], ids=str)
@pytest.mark.parametrize("antithetic", [False, True])
def test_with_fixed_entries_the_certificate_is_that_of_the_rest(noise, antithetic):
    """Bit for bit that of the function of the free entries alone."""

    def of_the_rest(z, target):
        whole = X.repeat(len(z), 1)
        whole[:, ~MASK] = z
        return linear(whole, target)

    _, held = certify(linear, X, noise, n_samples=1_000, fixed=MASK, antithetic=antithetic)
    _, alone = certify(of_the_rest, X[:, ~MASK], noise, n_samples=1_000, antithetic=antithetic)
    assert held.terms.dimension == 8
    assert held.terms.fixed == Fixed((12,), ((1, 2), (4, 6), (9, 10)))
    assert dataclasses.replace(held.terms, fixed=None) == alone.terms
    for name, array in held.evidence.arrays().items():
        assert np.array_equal(array, alone.evidence.arrays()[name]), name


def test_noise_and_attacks_leave_fixed_entries_alone():
    seen = []

    def g(z, t):
        seen.append(z.detach().clone())
        return torch.sin(3 * z @ A.T.to(z))

    sm = ac.SmoothedAttribution(ac.wrap(g), noise=ac.Gaussian(0.3), fixed=MASK)
    certificate = sm.certify(X, n_samples=300, seed=0)
    sm.forecast(X, n_samples=60, seed=0)
    sm.min_noise_scale(X, claim=ac.Claim(eps=0.01, cosine=0.1), n_samples=200, seed=0)
    settings = {"keep_label": False, "data_range": None, "n_samples": 100, "seed": 0}
    found = [
        attacks.RandomNoise(trials=2).run(sm, X, eps=0.5, **settings),
        attacks.PGD(steps=4, restarts=1, draws=4).run(sm, X, eps=0.5, **settings),
        attacks.PGD(steps=4, restarts=1, draws=4, method="score").run(sm, X, eps=0.5, **settings),
        attacks.Linear(draws=8).run(sm, X, eps=0.5, **settings),
        attacks.Strong(budget=0.01).run(sm, X, eps=0.5, start=X + 0.1, **settings),
    ]
    both = attacks.sandwich(
        certificate, sm, X, cosine=0.5, attack=attacks.Linear(draws=8), steps=1, n_samples=100, seed=0
    )
    assert not both.crossings.any()
    for points in (*(one.inputs for one in found), both.inputs):
        assert torch.equal(points[:, MASK], X[:, MASK])
    for one in found:
        assert 0 < float(one.size) <= 0.5
        assert one.maps.shape == (1, 5)
    fixed = torch.cat([z.flatten(1)[:, MASK] for z in seen if z.shape[1] == 12])
    # The preflight also looks at an input beside others of its own, which are no copies of it.
    own = (fixed == X[:, MASK]).all(dim=1)
    assert own.double().mean() > 0.9
    free = torch.cat([z[:, ~MASK] for z in seen])[own]
    assert len(free.unique(dim=0)) > 300


def test_an_attribution_may_say_what_is_fixed():
    class Held:
        fixed = MASK

        def __call__(self, z, target):
            return linear(z, target)

    sm, certificate = certify(Held(), X)
    assert certificate.terms.fixed == sm.fixed == Fixed.of(MASK)
    assert "4 entries held fixed" in certificate.terms.about
    # Large numbers that stay as they are do not drown the noise.
    far = X.clone()
    far[:, MASK] = 1e9
    assert certify(Held(), far.float(), bound=ac.Normalize())[1].terms.fixed == Fixed.of(MASK)
    with pytest.raises(ac.ArgumentError, match="is lost to rounding"):
        certify(linear, far.float(), bound=ac.Normalize())


def test_masks_are_looked_at():
    with pytest.raises(ac.ArgumentError, match=r"fixed=\(12,\): must be a mask of one input's shape, \(11,\)"):
        certify(lambda z, t: z, X[:, :11], fixed=MASK)
    with pytest.raises(ac.ArgumentError, match="must be some of them, not all"):
        certify(linear, X, fixed=np.ones(12, dtype=bool))
    with pytest.raises(ac.ArgumentError, match=r"must be a mask \(bool\)"):
        certify(linear, X, fixed=np.arange(12))
    assert certify(linear, X, fixed=np.zeros(12, dtype=bool))[1].terms.fixed is None


def test_what_is_fixed_is_stored_and_forged_terms_are_refused():
    _, certificate = certify(linear, X, fixed=MASK)
    text = certificate.terms.to_json()
    assert Terms.from_json(text) == certificate.terms
    for old, new in (
        ("[[1, 2], [4, 6], [9, 10]]", "[[1, 2], [4, 6], [9, 11]]"),
        ("[[1, 2], [4, 6], [9, 10]]", "[[1, 2], [2, 5]]"),
        ("[[1, 2], [4, 6], [9, 10]]", "[[1, 2], [6, 4]]"),
        ("[[1, 2], [4, 6], [9, 10]]", "[[1, 2, 3]]"),
        ("[[1, 2], [4, 6], [9, 10]]", "[]"),
        ("[[1, 2], [4, 6], [9, 10]]", "7"),
        ('"shape": [12]', '"shape": [-12]'),
        ('"shape": [12]', '"shape": [1e9]'),
        ('"entries": 5', '"entries": 0'),
    ):
        assert old in text
        with pytest.raises(ac.IntegrityError):
            Terms.from_json(text.replace(old, new))
    # Evidence with as many entries as other terms say is none.
    terms = Terms.from_json(text.replace('"entries": 5', '"entries": 4'))
    with pytest.raises(ac.IntegrityError, match="must be of one shape, with 4 entries"):
        dataclasses.replace(certificate.evidence, terms=terms)


def test_free_entries_go_back_where_they_were():
    free = Free.of(X[0], Fixed.of(MASK))
    rows = torch.arange(16.0, dtype=torch.float64).reshape(2, 8)
    put = free.put(X[0], rows)
    assert torch.equal(put[:, ~MASK], rows)
    assert torch.equal(put[:, MASK], X[:, MASK].expand(2, -1))
    assert torch.equal(free.spread(rows)[:, MASK], torch.zeros(2, 4, dtype=torch.float64))
    assert torch.equal(free.take(put[1]), rows[1])
    assert torch.equal(free.within(X.expand(2, -1), put + 1)[:, MASK], X[:, MASK].expand(2, -1))


def test_coarse_maps_are_shown_over_their_input():
    layout = Layout.of((1, 2, 3), 400, 64, None, (3, 24, 36))
    assert (layout.kind, layout.enlarged, layout.size) == ("picture", 6, (12, 18))  # as 400 cells allow
    values = np.arange(6.0).reshape(1, 2, 3)
    for cells in (layout.mean(layout.total(values)), layout.least(layout.total(values))):
        assert np.array_equal(cells, np.kron(values[0], np.ones((6, 6))))
    assert Layout.of((7, 7), 10_000, 64).kind == "series"
    assert Layout.of((7, 7), 10_000, 64, None, (3, 28, 28)).size == (28, 28)
    # One that is finer than its input is shown as it is.
    assert Layout.of((1, 20, 20), 10_000, 64, None, (3, 10, 10)).size == (20, 20)


def test_pages_and_pictures_of_coarse_maps():
    images = torch.rand(2, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    g = ac.wrap(lambda z, t: torch.nn.functional.avg_pool2d(z[:, :1] - 0.3, 6))
    certificate = ac.SmoothedAttribution(g, noise=ac.Gaussian(0.1)).certify(images, n_samples=300, seed=0)
    assert certificate.maps.shape == (2, 1, 2, 3)
    page = ac.report.page(certificate, images, plain_maps=g(images, None))
    assert "of 255 levels in every pixel value" in page  # eps is told of the input, not of the map
    figure = ac.plots.certified(certificate, 0, eps=0.01, image=images[0])
    assert "6 largest of" not in figure.axes[3].get_title()
    blended = ac.plots.attribution(certificate.maps[0], images[0], "blended_heat_map")
    drawn = blended.axes[0].images[-1].get_array()
    assert np.allclose(drawn, np.kron(certificate.maps[0, 0], np.ones((6, 6))))


def test_what_is_held_fixed_counts_for_nothing_in_a_page():
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    border = np.ones((3, 12, 12), dtype=bool)
    border[:, 2:-2, 2:-2] = False
    sm = ac.SmoothedAttribution(ac.wrap(lambda z, t: z - 0.5), noise=ac.Gaussian(0.1), fixed=border)
    certificate = sm.certify(images, n_samples=300, seed=0)
    free = 3 * 8 * 8
    units = ac.InputUnits("image", (3, 12, 12), held=border.sum())
    assert units.dimension == free == certificate.terms.dimension
    assert units.levels(0.1) == pytest.approx(0.1 * 255 / free**0.5)
    page = ac.report.page(certificate, images, eps=[0.1])
    assert units.spread(0.1) in page
    assert "in every pixel value that may change" in page
    plain = ac.SmoothedAttribution(ac.wrap(lambda z, t: z - 0.5), noise=ac.Gaussian(0.1))
    shown = "random change of the size chosen above"
    assert shown in ac.report.page(plain.certify(images, n_samples=300, seed=0), images, eps=[0.1])
    assert shown not in page  # it would change the border


def test_maps_whose_shape_goes_by_the_batch_are_refused_before_the_draws():
    g = ac.wrap(lambda z, t: z.flatten(1)[:, : len(z) + 1])
    sm = ac.SmoothedAttribution(g, noise=NOISE)
    for ask in (lambda: sm.certify(X, n_samples=200, seed=0), lambda: sm.forecast(X, n_samples=60, seed=0)):
        with pytest.raises(ac.ArgumentError, match=r"attribution=\(5,\): must return maps of one shape, whatever the"):
            ask()
    assert any("one shape" in finding.seen + finding.meaning for finding in sm.doctor(X).problems)
