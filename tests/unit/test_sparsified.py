import math
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
import torch
from functions import on_lattice
from scipy import stats

import attricert as ac
from attricert import attacks
from attricert.attributions import among_largest
from attricert.errors import ArgumentError, AttributionWarning
from attricert.lab.baselines import SparsifiedSmoothGrad
from attricert.lab.baselines.sparsified import Ones
from attricert.streams import Stream

EDGES = np.array([0.2, 0.7, 1.3])
N = 200_000


def pairs(x, t):
    """In each of three pairs of entries one is 1: the first on one side of a plane, the second beyond it.

    The first loses, and the second gains, as much as any function can: Neyman and Pearson's half-spaces.
    """
    first = (x[:, :1] <= torch.from_numpy(EDGES)).double()
    return torch.cat([first, 1 - first], dim=1)


def pairs_expected(push, sigma):
    """h of `pairs` at (push, 0, ...)."""
    first = stats.norm.cdf((EDGES - push) / sigma)
    return np.concatenate([first, 1 - first])


def bent(x, t):
    """Maps that turn with the input, of all sizes and signs; some are zero."""
    out = torch.stack([x[:, 0] + 1.5, x[:, 1] * x[:, 2], torch.sin(3 * x[:, 1]) - x[:, 0], x[:, 2] ** 3], dim=1)
    return torch.where(x[:, 3:] > 1.2, 0.0, 10 * out)


def top(values, k):
    return set(np.argsort(-values, kind="stable")[:k].tolist())


def top_sets(values, k):
    """Every set of k entries of which none is smaller than one outside."""
    return [
        set(inside)
        for inside in combinations(range(len(values)), k)
        if min(values[i] for i in inside) >= max((v for j, v in enumerate(values) if j not in inside), default=-1)
    ]


def test_everything_against_plain_loops():
    x, sigma, n, alpha, shift = torch.tensor([0.4, 0.9, -0.7, -0.3]).double(), 0.7, 500, 0.1, 0.3
    eps = [0.0, shift * sigma, 1.0]
    smoothing = SparsifiedSmoothGrad(bent, sigma, tau=0.5, n_samples=n, alpha=alpha)
    found = smoothing.certify(x[None], k=2, eps=eps, seed=3, sample_ids=["a"])
    counts = [0] * 4
    for row in Stream(3, "a", "main").rows(0, n, x.dtype, x.device).normal(4):
        sizes = [abs(v) for v in bent(on_lattice(x + sigma * row, sigma)[None], None)[0].tolist()]
        for i in sorted(range(4), key=lambda i: -sizes[i])[:2]:
            counts[i] += sizes[i] > 0
    np.testing.assert_array_equal(found.maps[0].numpy(), np.array(counts) / n)
    assert sum(counts) < 2 * n  # maps of zeros gave no ones
    phi = NormalDist()
    limits = []
    for count in counts:
        exact = stats.binomtest(count, n).proportion_ci(1 - alpha / 4, "exact")
        limits.append([phi.cdf(phi.inv_cdf(p) + s) for p, s in zip(exact, (-shift, shift), strict=True)])
    np.testing.assert_allclose(np.transpose(limits), Ones(np.array(counts), n).limits(shift, alpha), atol=1e-11)
    order = sorted(range(4), key=lambda i: -counts[i])
    certain = sum(limits[order[j]][0] > limits[order[3 - j]][1] for j in range(2))
    assert 0 < found.overlap[0, 1] == certain / 2
    assert found.overlap[0, 2] == 0.0
    assert found.calls.tolist() == [n]
    assert found.k == 2


def possible(low, high, k):
    """Every set that can be the top k somewhere within these limits."""
    d = len(low)
    return [
        set(inside)
        for inside in combinations(range(d), k)
        if min(high[list(inside)]) >= max((low[j] for j in range(d) if j not in inside), default=-1)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_overlap_is_the_least_that_the_limits_allow(seed):
    """Brute force over all sets that can be the top k, and all ways to break ties at x."""
    rng = np.random.default_rng(seed)
    d, n, alpha = int(rng.integers(1, 8)), 200, 0.5
    ones = Ones(rng.integers(0, n + 1, d), n)
    for k in range(1, d + 1):
        here = possible(*ones.limits(0.0, alpha), k)
        for shift in (0.0, 0.2, 0.6, 1.5):
            there = possible(*ones.limits(shift, alpha), k)
            assert ones.overlap(k, shift, alpha) == min(len(a & b) for a in top_sets(ones.counts, k) for b in there) / k
            assert ones.population(k, shift, alpha) <= min(len(a & b) for a in here for b in there) / k
            assert ones.population(k, shift, alpha) <= ones.overlap(k, shift, alpha)


def test_half_spaces_attain_the_bound():
    """With so many draws the certificate is the truth, and nothing sharper would be."""
    sigma = 0.8
    smoothing = SparsifiedSmoothGrad(pairs, sigma, tau=0.5, n_samples=N)
    x = torch.zeros(1, 6, dtype=torch.float64)
    # Entry i of the first kind meets entry j of the second where EDGES[i] + EDGES[j] = 2 eps.
    eps = np.array([0.0, 0.15, 0.4, 0.65, 0.8, 0.95, 1.25, 1.4])
    found = smoothing.certify(x, k=3, eps=eps, seed=0)
    truth = [len(top(pairs_expected(0, sigma), 3) & top(pairs_expected(e, sigma), 3)) / 3 for e in eps]
    assert found.overlap[0].tolist() == found.population[0].tolist() == truth
    assert len(set(truth)) == 4
    # control: a shift of 0.9 eps promises too much
    ones = Ones(np.rint(found.maps[0].numpy() * N).astype(np.int64), N)
    sharper = [ones.overlap(3, 0.9 * e / sigma, smoothing.alpha) for e in eps + 0.02]
    shifted = [len(top(pairs_expected(0, sigma), 3) & top(pairs_expected(e, sigma), 3)) / 3 for e in eps + 0.02]
    certified = smoothing.certify(x, k=3, eps=eps + 0.02, seed=0).overlap[0]
    assert (certified <= shifted).all()
    assert any(s > t for s, t in zip(sharper, shifted, strict=True))


def test_limits_hold_where_they_are_attained():
    """At a pushed input, for all entries at once; shares that are taken for the truth do not."""
    sigma, runs, n, alpha, push = 0.8, 300, 400, 0.2, 0.5
    smoothing = SparsifiedSmoothGrad(pairs, sigma, tau=0.5, n_samples=n, alpha=alpha)
    names = [f"run {i}" for i in range(runs)]
    found = smoothing.certify(torch.zeros(runs, 6).double(), k=3, eps=[push], seed=1, sample_ids=names)
    truth = pairs_expected(push, sigma)
    failures = control = 0
    for share in found.maps.numpy():
        low, high = Ones(np.rint(share * n).astype(np.int64), n).limits(push / sigma, alpha)
        failures += bool((low > truth).any() or (high < truth).any())
        with np.errstate(divide="ignore"):
            plain = stats.norm.cdf(stats.norm.ppf(share) + np.repeat([-1, 1], 3) * push / sigma)
        control += bool((plain[:3] > truth[:3]).any())
    allowed = stats.binom.ppf(0.999, runs, alpha)
    assert failures <= allowed < control


def test_all_limits_hold_at_once_only_with_a_share_of_alpha_each():
    rng = np.random.default_rng(0)
    p, n, alpha, runs = rng.uniform(0, 1, 20), 100, 0.1, 400
    failures = control = 0
    for _ in range(runs):
        ones = Ones(rng.binomial(n, p), n)
        low, high = ones.limits(0.0, alpha)
        failures += bool(((p < low) | (p > high)).any())
        low, high = ones.limits(0.0, alpha * len(p))
        control += bool(((p < low) | (p > high)).any())
    assert failures <= stats.binom.ppf(0.999, runs, alpha) < control


def test_limits_are_within_the_papers():
    """Hoeffding's limits, with the same union bound."""
    n, alpha = 137, 0.05
    counts = np.arange(n + 1)
    low, high = Ones(counts, n).limits(0.0, alpha)
    width = math.sqrt(math.log(2 * len(counts) / alpha) / (2 * n))
    assert (low >= counts / n - width).all()
    assert (high <= counts / n + width).all()
    assert (low <= counts / n).all()
    assert (counts / n <= high).all()
    assert low[0] == 0.0
    assert high[-1] == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_the_overlap_is_not_below_the_authors(shift):
    """Their rule: rank j against rank 2k - j + 1, Hoeffding's error taken off on both sides."""
    rng, d, n, alpha = np.random.default_rng(2), 60, 2000, 0.05
    ones = Ones(rng.binomial(n, rng.beta(0.4, 0.8, d)), n)
    error = math.sqrt(math.log(2 * d / alpha) / (2 * n))
    share = np.sort(ones.share)[::-1]
    for k in (1, 7, 20, 30):
        least = stats.norm.cdf(stats.norm.ppf(share[:k] - error) - 2 * shift) - error
        theirs = float((least > share[k : 2 * k][::-1]).mean())
        assert theirs <= ones.overlap(k, shift, alpha)
        assert shift > 0.1 or theirs > 0 or k == 1


def test_limits_near_one_keep_their_digits():
    """All of n draws were ones: l^n = alpha/2d in closed form."""
    n, alpha = 10**9, 0.05
    missing = -math.expm1(math.log(alpha / 2) / n)
    for shift in (0.0, 1.0, 6.0):
        truth = stats.norm.cdf(stats.norm.isf(missing) - shift)
        low, high = (float(v[0]) for v in Ones(np.array([n]), n).limits(shift, alpha))
        assert truth - 1e-11 < low < truth
        assert high == 1.0


def test_no_attack_on_a_digit_crosses(model, digits):
    sigma, k, sizes = 0.125, 100, {"certified": 0.05, "far": 1.0}
    x, y = digits.images[:1], digits.labels[:1]
    smoothing = SparsifiedSmoothGrad(ac.Saliency(model), sigma, tau=0.2, n_samples=2000)
    here = smoothing.certify(x, y, k=k, eps=[0.0, sizes["certified"]], seed=0)
    at_x, within = here.overlap[0]
    assert within > 0.4

    def kept(there):
        maps = smoothing.certify(there, y, k=k, eps=[0.0], seed=1).maps
        return len(top(here.maps.numpy().ravel(), k) & top(maps.numpy().ravel(), k)) / k

    smoothed = ac.SmoothedAttribution(ac.Saliency(model, abs=True), ac.Gaussian(sigma))
    attack = attacks.PGD(attacks.TopKLoss(k), steps=10, draws=16, restarts=1)
    unlimited = {"keep_label": False, "data_range": None, "n_samples": 300, "seed": 2}
    near, far = (attack.run(smoothed, x, y, eps=size, **unlimited).inputs for size in sizes.values())
    assert kept(near) >= within
    # control: it is an attack, and crosses what holds at x alone
    assert kept(far) < at_x


def test_the_largest_share_of_absolute_values_becomes_ones():
    rows = torch.tensor([[3.0, -5.0, 1.0, 0.0, 4.0], [0.0, 0.0, -1e-9, 0.0, 0.0], [2.0, -2.0, 2.0, 1.0, 0.0]]).double()
    ones = among_largest(rows, 0.4)
    assert ones.int().tolist() == [[0, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert among_largest(rows, 0.01).int().tolist()[0] == [0, 1, 0, 0, 0]


def test_the_batch_size_and_the_neighbours_change_nothing():
    x, terms = torch.rand(3, 4, dtype=torch.float64), {"tau": 0.5, "n_samples": 700}
    whole = SparsifiedSmoothGrad(bent, 0.5, **terms).certify(x, k=2, eps=[0.0, 0.1], seed=4)
    for size in (3, 64, 1000):
        part = SparsifiedSmoothGrad(bent, 0.5, batch_size=size, **terms).certify(x[1:], k=2, eps=[0.0, 0.1], seed=4)
        assert torch.equal(part.maps, whole.maps[1:])
        np.testing.assert_array_equal(part.overlap, whole.overlap[1:])
    other = SparsifiedSmoothGrad(bent, 0.5, **terms).certify(x, k=2, eps=[0.0, 0.1], seed=5)
    assert not torch.equal(other.maps, whole.maps)


def test_draws_are_streamed_in_batches():
    sizes, done = [], []

    def g(x, t):
        sizes.append(len(x))
        return x

    smoothing = SparsifiedSmoothGrad(g, 0.1, n_samples=333, batch_size=50)
    found = smoothing.certify(torch.ones(2, 2, 2), k=4, eps=0.05, seed=0, progress=done.append)
    assert max(sizes) == 50
    assert sum(sizes) == sum(done) == found.calls.sum() == 666
    assert found.maps.shape == (2, 2, 2)
    assert found.overlap.tolist() == [[1.0], [1.0]]  # all features stay


def test_what_is_not_finite_counts_as_zero_and_is_told():
    def g(x, t):
        return torch.where(x[:, :1] > 0.0, torch.nan, torch.ones_like(x))

    with pytest.warns(AttributionWarning, match=r"of 1000 sampled attributions held NaN or inf; they count as zero"):
        found = SparsifiedSmoothGrad(g, 1.0, n_samples=1000).certify(torch.zeros(1, 2), k=1, eps=0.1, seed=0)
    assert found.maps.max() < 0.6
    assert found.overlap[0, 0] == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attribution": None}, "attribution=None: must be callable"),
        ({"sigma": 0.0}, "sigma=0.0: must be a finite number > 0"),
        ({"tau": 1.0}, "tau=1.0: must be > 0 and < 1"),
        ({"n_samples": 0}, "n_samples=0: must be an integer >= 1"),
        ({"alpha": 0}, "alpha=0: must be > 0 and < 1"),
        ({"batch_size": 0}, "batch_size=0: must be an integer >= 1"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ArgumentError, match=message):
        SparsifiedSmoothGrad(**{"attribution": lambda x, t: x, "sigma": 0.5, **settings})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0: must be an integer >= 1"),
        ({"k": 4}, "k=4: must be at most the number of features, 3"),
        ({"eps": -0.1}, "eps=-0.1: must be finite and >= 0"),
        ({"seed": -1}, "seed=-1: must be an integer >= 0"),
        ({"sample_ids": ["a"]}, "sample_ids='1 names': must be a list of names, one for each of the 2 inputs"),
        ({"inputs": torch.ones(3)}, "inputs="),
        ({"target": 7.5}, "target=7.5"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    smoothing = SparsifiedSmoothGrad(lambda x, t: x, 0.5, n_samples=10)
    with pytest.raises(ArgumentError, match=message):
        smoothing.certify(**{"inputs": torch.ones(2, 3), "k": 1, "eps": 0.1, **arguments})
