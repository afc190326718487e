import math

import numpy as np
import pytest
import torch
from functions import on_lattice, rotor
from scipy import stats
from scipy.spatial import distance as scipy_distance

import attricert as ac
from attricert.errors import ArgumentError, AttributionWarning, UnknownNameError
from attricert.lab.baselines import CenterSmoothing
from attricert.lab.baselines.distances import DISTANCES, chords
from attricert.streams import Stream

FACTORS = {"angular": 3, "cosine": 10, "l2": 3}  # gamma (1 + 2 gamma)
WORST = {"angular": 1.0, "cosine": 2.0, "l2": 2.0}
EPS = np.array([0.0, 0.1, 0.3, 0.6, 3.0])
SMALL = {"n_pred": 401, "n_cert": 3000, "n_candidates": 7, "delta": 0.2}


def bent(x, t):
    """Directions that turn with the input, of all lengths; some are zero."""
    out = torch.stack([x[:, 0] + 1.5, x[:, 1] * x[:, 2], torch.sin(3 * x[:, 1]) - x[:, 0], x[:, 2] ** 3], dim=1)
    return torch.where(x[:, 3:] > 1.2, 0.0, 10 * out)


def switch(angle, threshold):
    """One direction on one side of a plane, another beyond it."""

    def g(x, t):
        phase = torch.where(x[:, 0] < threshold, 0.0, angle).to(x.dtype)
        out = torch.zeros_like(x)
        out[:, 0], out[:, 1] = torch.cos(phase), torch.sin(phase)
        return out

    return g


def slow_distance(kind, a, b):
    """One pair at a time, from the definitions."""
    if not a.any() or not b.any():
        return WORST[kind]
    cosine = min(max(1 - scipy_distance.cosine(a, b), -1.0), 1.0)
    apart = math.dist(a / np.linalg.norm(a), b / np.linalg.norm(b))
    return {"angular": math.acos(cosine) / math.pi, "cosine": 1 - cosine, "l2": apart}[kind]


def slow(kind, g, x, sigma, key, seed, eps, n_pred, n_cert, n_candidates, delta, alpha_1=0.005, alpha_2=0.005):
    """Algorithms 1 and 2 of the paper, in plain loops, on the same draws."""

    def outputs(stage, n):
        noise = Stream(seed, key, stage).rows(0, n, x.dtype, x.device).normal(x.numel())
        return g(on_lattice(x + sigma * noise, sigma), None).numpy()

    def share_within(center, radius, sample):
        return sum(slow_distance(kind, center, z) <= radius for z in sample) / len(sample)

    delta_1 = math.sqrt(math.log(2 / alpha_1) / (2 * n_pred))
    sample, best = outputs("radius", n_pred), (None, math.inf)
    for candidate in outputs("centers", n_candidates):
        radius = sorted(slow_distance(kind, candidate, z) for z in sample)[(n_pred + 1) // 2 - 1]
        best = (candidate, radius) if radius < best[1] else best
    delta_2 = 0.5 - (share_within(*best, outputs("check", n_pred)) - delta_1)
    if max(delta_1, delta_2) > delta:
        return None, [math.inf] * len(eps)
    ordered = sorted(slow_distance(kind, best[0], z) for z in outputs("certify", n_cert))
    found = []
    for size in eps:
        level = stats.norm.cdf(stats.norm.ppf(0.5 + delta) + size / sigma)
        level += math.sqrt(math.log(1 / alpha_2) / (2 * n_cert))
        found.append(math.inf if level >= 1 else FACTORS[kind] * ordered[math.ceil(level * n_cert) - 1])
    return best[0] / np.linalg.norm(best[0]), found


@pytest.mark.parametrize("kind", FACTORS)
@pytest.mark.parametrize("seed", [0, 1])
def test_both_algorithms_against_plain_loops(kind, seed):
    x = torch.tensor([0.4, 0.9, -0.7, -0.3], dtype=torch.float64)
    found = CenterSmoothing(bent, 0.7, kind, **SMALL).certify(x[None], eps=EPS, seed=seed, sample_ids=["a"])
    center, bounds = slow(kind, bent, x, 0.7, "a", seed, EPS, **SMALL)
    assert not found.abstained[0]
    np.testing.assert_allclose(found.centers[0].numpy(), center, atol=1e-12)
    # arccos loses half the digits of the slow distances.
    np.testing.assert_allclose(found.eps_out[0], bounds, rtol=1e-6, atol=1e-7)
    assert (np.diff(found.eps_out[0]) >= 0).all()
    assert found.eps_out[0, -1] == math.inf
    assert found.calls[0] == 7 + 2 * 401 + 3000


def test_it_abstains_where_the_paper_does():
    x, terms = torch.tensor([0.4, 0.9, -0.7, -0.3]).double(), {**SMALL, "n_cert": 200, "delta": 0.0865}
    smoothing = CenterSmoothing(bent, 0.7, **terms)
    assert terms["delta"] - math.sqrt(math.log(400) / 802) < 1e-4  # so that about half of all seeds abstain
    abstained = []
    for seed in range(8):
        found = smoothing.certify(x[None], eps=[0.1], seed=seed, sample_ids=["a"])
        center, bounds = slow("angular", bent, x, 0.7, "a", seed, [0.1], **terms)
        abstained.append(bool(found.abstained[0]))
        assert abstained[-1] == (center is None)
        if abstained[-1]:
            assert found.eps_out[0, 0] == bounds[0] == math.inf
            assert found.cosine[0, 0] == -1.0
            assert found.centers.isnan().all()
            assert found.calls[0] == 7 + 2 * 401
    assert 0 < sum(abstained) < 8


def test_distances_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(9, 5)), rng.normal(size=(4, 5))
    units = [torch.from_numpy(v / np.linalg.norm(v, axis=1, keepdims=True)) for v in (a, b)]
    cosine = scipy_distance.cdist(a, b, "cosine")
    chord = chords(*units).numpy()
    truth = {
        "cosine": cosine,
        "angular": np.arccos(1 - cosine) / np.pi,
        "l2": scipy_distance.cdist(units[0].numpy(), units[1].numpy()),
    }
    for kind, values in truth.items():
        np.testing.assert_allclose(DISTANCES[kind].of_chord(chord), values, rtol=1e-12)
        np.testing.assert_allclose(DISTANCES[kind].cosine(values), 1 - cosine, rtol=1e-9)
        ends = DISTANCES[kind].of_chord(np.array([0.0, 2.0]))
        np.testing.assert_allclose(ends, [0.0, WORST[kind]])
        np.testing.assert_allclose(DISTANCES[kind].cosine(np.array([*ends, 5.0, np.inf])), [1, -1, -1, -1])


def test_small_distances_keep_their_digits():
    turn = 1e-9  # 1 - cos is 5e-19: nothing, when computed so
    a, b = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[math.cos(turn), math.sin(turn)]]).double()
    chord = chords(a, b).numpy()
    assert DISTANCES["angular"].of_chord(chord) == pytest.approx(turn / math.pi, rel=1e-12)
    assert DISTANCES["cosine"].of_chord(chord) == pytest.approx(turn**2 / 2, rel=1e-12)


@pytest.mark.parametrize(("kind", "gamma"), [("angular", 1), ("cosine", 2), ("l2", 1)])
def test_the_relaxed_triangle_inequality_holds_with_gamma_and_no_less(kind, gamma):
    distance = DISTANCES[kind]
    assert distance.gamma == gamma
    generator = torch.Generator().manual_seed(0)
    a, c = (torch.nn.functional.normalize(torch.randn(60, 3, generator=generator).double()) for _ in range(2))
    b = torch.nn.functional.normalize(a + c * torch.rand(60, 1, generator=generator))  # between them
    for rows in (a, b, c):
        rows[:3] = 0.0
    ab, bc, ac_ = (distance.of_chord(chords(p, q).numpy()) for p, q in ((a, b), (b, c), (a, c)))
    two_steps = ab[:, :, None] + bc[None, :, :]
    assert (ac_[:, None, :] <= gamma * two_steps + 1e-12).all()
    # Half way between two close directions there is hardly any slack.
    near = torch.tensor([[math.cos(t), math.sin(t)] for t in (0.0, 1e-3, 2e-3)]).double()
    d = distance.of_chord(chords(near, near).numpy())
    assert d[0, 2] > 0.999 * gamma * (d[0, 1] + d[1, 2])


def test_a_zero_is_as_far_as_can_be_from_everything():
    rows = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    assert chords(rows, rows).tolist() == [[0.0, 2.0], [2.0, 2.0]]


@pytest.mark.parametrize("kind", FACTORS)
def test_zeros_count_as_the_worst_distance(kind):
    x = torch.zeros(1, 3, dtype=torch.float64)

    def some(share):
        limit = stats.norm.ppf(1 - share)
        return lambda z, t: torch.where(z[:, :1] < limit, torch.ones_like(z), 0.0)

    def found(share):
        return CenterSmoothing(some(share), 1.0, kind, **SMALL).certify(x, eps=[0.0, 1.0], seed=0)

    few = found(0.2)  # masses 0.7 and 0.94
    assert few.eps_out[0, 0] == pytest.approx(0.0, abs=1e-11)
    assert few.cosine[0, 0] == pytest.approx(1.0)
    assert few.cosine[0, 0] < 1.0
    assert few.eps_out[0, 1] == pytest.approx(FACTORS[kind] * WORST[kind])
    most = found(0.7)
    assert (most.eps_out[0] >= WORST[kind]).all()
    assert (most.cosine[0] == -1.0).all()
    assert few.cosine[0, 1] == -1.0


@pytest.mark.parametrize("kind", FACTORS)
def test_the_cosine_is_the_one_that_the_distance_implies(kind):
    k = np.array([0.12, 0.0])
    found = CenterSmoothing(rotor(k), 1.0, kind, **SMALL).certify(torch.zeros(1, 2), eps=[0.0, 0.5], seed=0)
    bound = found.eps_out[0]
    implied = {"angular": np.cos(np.pi * bound), "cosine": 1 - bound, "l2": 1 - bound**2 / 2}[kind]
    assert (found.cosine[0] <= implied).all()
    np.testing.assert_allclose(found.cosine[0], implied, atol=1e-9)
    assert (found.cosine[0] > 0.3).all()


def moves(smoothing, x, steps):
    """Distances between the smoothed outputs at x and at perturbed inputs, where it does not abstain."""
    here = smoothing.smooth(x[None], seed=7).centers[0]
    there = smoothing.smooth(x + steps, seed=8)
    kept = [c.numpy() for c, gone in zip(there.centers, there.abstained, strict=True) if not gone]
    assert len(kept) > len(steps) / 2
    return np.array([slow_distance(smoothing.distance, here.numpy(), c) for c in kept])


@pytest.mark.parametrize("kind", FACTORS)
def test_no_attack_moves_the_output_further_than_certified(kind):
    x, sizes = torch.tensor([0.4, 0.9, -0.7, -0.3]).double(), [0.2, 0.7]
    smoothing = CenterSmoothing(bent, 0.7, kind, n_pred=1000, n_cert=5000, delta=0.1)
    found = smoothing.certify(x[None], eps=sizes, seed=7)
    assert np.isfinite(found.eps_out).all()
    for size, bound in zip(sizes, found.eps_out[0], strict=True):
        steps = torch.randn(40, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        steps = size * torch.nn.functional.normalize(steps)
        assert moves(smoothing, x, steps).max() <= bound


@pytest.mark.parametrize("kind", FACTORS)
def test_the_enlarged_quantile_is_what_makes_it_sound(kind):
    """60 of 100 outputs are one direction; a push over the threshold makes the other one the center."""
    angle, x = 0.9, torch.zeros(3, dtype=torch.float64)
    smoothing = CenterSmoothing(switch(angle, stats.norm.ppf(0.6)), 1.0, kind, n_pred=4000, n_cert=20_000)
    found = smoothing.certify(x[None], eps=[0.0, 0.05, 0.5], seed=7)
    plain, near, far = found.eps_out[0]
    pushes = torch.tensor([[0.05, 0.0, 0.0], [0.5, 0.0, 0.0]]).double()
    small, large = moves(smoothing, x, pushes)
    assert small <= near < 1e-10
    assert large > 0.05
    assert large <= far
    assert large > plain  # control: the ball of mass 1/2 + Delta at x itself promises too much


def test_the_radius_is_never_below_the_true_quantile():
    """On the rotor distances are |N| sigma |k| / pi; an empirical quantile without its margin is too small for half."""
    k, spread, runs, alpha_2, n_cert = np.array([0.1, 0.0]), 0.1, 60, 0.05, 500
    smoothing = CenterSmoothing(rotor(k), 1.0, "angular", 400, n_cert, 5, alpha_2=alpha_2, delta=0.2)
    masses = stats.norm.cdf(stats.norm.ppf(0.7) + np.array([0.2, 0.5]))
    # The margin at a smaller eps ends just where the mass at 0.5 begins.
    margin = math.sqrt(math.log(1 / alpha_2) / (2 * n_cert))
    less = stats.norm.ppf(masses[1] - margin) - stats.norm.ppf(0.7)
    names = [f"run {i}" for i in range(runs)]
    x = torch.zeros(runs, 2, dtype=torch.float64)
    found = smoothing.certify(x, eps=[0.2, 0.5, less], seed=3, sample_ids=names)
    kept = np.flatnonzero(~found.abstained)
    centers = found.centers.numpy()[kept]
    phase = np.arctan2(centers[:, 1], centers[:, 0])
    truth = 3 / math.pi * spread * stats.foldnorm.ppf(masses, np.abs(phase[:, None]) / spread)
    low = int((found.eps_out[kept, :2] < truth).any(axis=1).sum())
    control = int((found.eps_out[kept, 2] < truth[:, 1]).sum())
    allowed = stats.binom.ppf(0.999, len(kept), alpha_2)
    assert len(kept) > 0.9 * runs
    assert low <= allowed < control
    assert (found.eps_out[kept, :2] < 1.5 * truth).all()


def test_the_batch_size_and_the_neighbours_change_nothing():
    x, terms = torch.rand(3, 4, dtype=torch.float64), {**SMALL, "n_cert": 500}
    whole = CenterSmoothing(bent, 0.5, **terms).certify(x, eps=EPS, seed=4)
    assert not whole.abstained.all()
    for size in (3, 64, 1000):
        part = CenterSmoothing(bent, 0.5, batch_size=size, **terms).certify(x[1:], eps=EPS, seed=4)
        assert torch.allclose(part.centers, whole.centers[1:], atol=1e-14, rtol=0, equal_nan=True)
        np.testing.assert_allclose(part.eps_out, whole.eps_out[1:], rtol=1e-13)
        np.testing.assert_array_equal(part.abstained, whole.abstained[1:])
    other = CenterSmoothing(bent, 0.5, **terms).certify(x, eps=EPS, seed=5)
    assert not np.array_equal(other.eps_out, whole.eps_out)


def test_draws_are_streamed_in_batches():
    sizes = []

    def g(x, t):
        sizes.append(len(x))
        return x

    smoothing = CenterSmoothing(g, 0.1, batch_size=50, **SMALL)
    done = []
    found = smoothing.certify(torch.ones(1, 4), eps=0.05, seed=0, progress=done.append)
    assert max(sizes) == 50
    assert sum(sizes) == sum(done) == found.calls[0]
    assert found.eps_out.shape == found.cosine.shape == (1, 1)


def test_smoothing_alone_gives_the_same_centers():
    x = torch.rand(2, 2, 2)
    smoothing = CenterSmoothing(lambda z, t: z, 0.1, **SMALL)
    alone, found = smoothing.smooth(x, seed=1), smoothing.certify(x, eps=[0.1], seed=1)
    assert not alone.abstained.any()
    assert torch.equal(alone.centers, found.centers)
    assert alone.centers.shape == x.shape
    assert (alone.calls == 7 + 2 * 401).all()


def test_nothing_is_sampled_for_what_cannot_be_certified():
    found = CenterSmoothing(lambda z, t: z, 0.1, **SMALL).certify(torch.ones(1, 4), eps=[5.0], seed=1)
    assert found.eps_out[0, 0] == math.inf
    assert not found.abstained[0]
    assert found.calls[0] == 7 + 2 * 401


def test_maps_of_a_model(model, digits):
    x, y = digits.images[:2], digits.labels[:2]
    smoothing = CenterSmoothing(ac.Saliency(model), 0.25, n_pred=400, n_cert=400, delta=0.2)
    found = smoothing.certify(x, y, eps=[0.01], seed=0)
    assert found.centers.shape == x.shape
    kept = found.centers[~torch.from_numpy(found.abstained)].flatten(1)
    assert torch.allclose(kept.norm(dim=1), torch.ones(len(kept)).double())
    assert len(kept) > 0
    assert ((found.eps_out > 0) & (found.eps_out < 3)).all()


def test_what_is_not_finite_counts_as_zero_and_is_told():
    def g(x, t):
        return torch.where(x[:, :1] > 1.0, torch.nan, torch.ones_like(x))

    smoothing = CenterSmoothing(g, 1.0, **SMALL)
    with pytest.warns(AttributionWarning, match="of 3809 sampled attributions held NaN or inf"):
        found = smoothing.certify(torch.zeros(1, 2), eps=[0.0, 1.0], seed=0)
    assert found.cosine[0, 0] > 0.999
    assert found.cosine[0, 1] == -1.0


def test_the_defaults_are_the_authors():
    smoothing = CenterSmoothing(lambda x, t: x, 0.125)
    assert (smoothing.n_pred, smoothing.n_cert, smoothing.n_candidates) == (10**4, 10**6, 30)
    assert (smoothing.alpha_1, smoothing.alpha_2, smoothing.delta) == (0.005, 0.005, 0.05)
    assert smoothing.alpha == pytest.approx(0.01 + 2**-30, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "sigma=0.0: must be a finite number > 0"),
        ({"n_cert": 0}, "n_cert=0: must be an integer >= 1"),
        ({"n_candidates": 1.5}, "n_candidates=1.5: must be an integer"),
        ({"n_pred": 1198}, "n_pred=1198: must be >= 1199 for alpha_1=0.005 and delta=0.05"),
        ({"alpha_1": 0}, "alpha_1=0: must be > 0 and < 1"),
        ({"alpha_2": 0.6}, "alpha_2=0.6: must be at most 1/2"),
        ({"delta": 0.5}, "delta=0.5: must be < 1/2"),
        ({"batch_size": 0}, "batch_size=0: must be an integer >= 1"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ArgumentError, match=message):
        CenterSmoothing(lambda x, t: x, **{"sigma": 0.5, **settings})


def test_arguments_that_make_no_sense():
    with pytest.raises(UnknownNameError, match="did you mean 'angular'"):
        CenterSmoothing(lambda x, t: x, 0.5, "angle")
    with pytest.raises(ArgumentError, match="attribution=None: must be callable"):
        CenterSmoothing(None, 0.5)
    smoothing = CenterSmoothing(lambda x, t: x, 0.5, n_pred=1199)
    x = torch.ones(2, 3)
    for eps in (-0.1, [0.1, math.nan], [[0.1]], "wide"):
        with pytest.raises(ArgumentError, match="eps="):
            smoothing.certify(x, eps=eps)
    with pytest.raises(ArgumentError, match="seed=-1"):
        smoothing.certify(x, eps=0.1, seed=-1)
    with pytest.raises(ArgumentError, match="sample_ids='1 names'"):
        smoothing.smooth(x, sample_ids=["a"])
    with pytest.raises(ArgumentError, match="inputs="):
        smoothing.smooth(torch.ones(3), seed=0)
    with pytest.raises(ArgumentError, match="target=7.5"):
        smoothing.smooth(x, 7.5)
    with pytest.raises(ArgumentError, match="must return maps of one shape"):
        CenterSmoothing(lambda x, t: x[:, :1], 0.5).smooth(x, seed=0)
