"""Every measure against SciPy, or against counting pairs one by one."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from scipy import spatial, stats

import attricert as ac
from attricert import metrics

KINDS = ("random", "tied", "constant", "half constant", "tiny", "huge")


def maps(kind, d, n=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    b = b + 0.7 * a
    if kind == "tied":
        a, b = (2 * a).round(), (2 * b).round()
    elif kind == "constant":
        a = torch.full_like(a, 0.3)
    elif kind == "half constant":
        a[:, ::2] = 0.0
    elif kind == "tiny":
        a, b = 1e-200 * a, 1e-180 * b
    elif kind == "huge":
        a, b = 1e200 * a, 1e180 * b
    return a, b


def reference(function, a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [function(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]


def brute_top_k(x, y, k):
    """Sorting pairs of (value, place): of equal entries the first comes first."""
    tops = [{i for _, i in sorted((-v, i) for i, v in enumerate(values))[:k]} for values in (x, y)]
    return len(tops[0] & tops[1]) / k


def brute_concordant(x, y):
    pairs = list(itertools.combinations(range(len(x)), 2))
    return sum((x[i] - x[j]) * (y[i] - y[j]) > 0 for i, j in pairs) / len(pairs) if pairs else np.nan


def brute_tau_a(x, y):
    """Signs of all pairs, over all pairs."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    return sum(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs) / len(pairs) if pairs else np.nan


def rank_correlation(x, y):
    return stats.spearmanr(x, y).statistic if len(x) > 1 else np.nan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 8, 33, 128])
def test_as_scipy_or_as_counted(kind, d):
    a, b = maps(kind, d)
    small = kind in ("tiny", "huge")
    unit = (a / a.abs().max(), b / b.abs().max()) if small else (a, b)  # SciPy's squares would leave the range
    cosine = [1 - v for v in reference(spatial.distance.cosine, *unit)]
    np.testing.assert_allclose(metrics.cosine_similarity(a, b), cosine, atol=1e-13)
    tau = reference(lambda x, y: stats.kendalltau(x, y).statistic, a, b)
    np.testing.assert_allclose(metrics.kendall_tau(a, b), tau, atol=1e-13)
    tau_a = metrics.kendall_tau(a, b, variant="a")
    np.testing.assert_allclose(tau_a, reference(brute_tau_a, a, b), atol=1e-13)
    if kind == "random":  # without ties both are the same, and both are SciPy's
        np.testing.assert_allclose(tau_a, tau, atol=1e-13)
    np.testing.assert_allclose(metrics.spearman(a, b), reference(rank_correlation, a, b), atol=1e-12)
    counted = reference(brute_concordant, *unit)
    np.testing.assert_allclose(metrics.concordant_pairs(a, b), counted, atol=1e-15)
    for k in {1, (d + 1) // 2, d}:
        np.testing.assert_array_equal(
            metrics.top_k_intersection(a, b, k), reference(lambda x, y, k=k: brute_top_k(x, y, k), a, b)
        )
        np.testing.assert_array_equal(
            metrics.top_k_intersection(a, b, k, absolute=True),
            reference(lambda x, y, k=k: brute_top_k(np.abs(x), np.abs(y), k), a, b),
        )


MEASURES = {
    "cosine": metrics.cosine_similarity,
    "tau": metrics.kendall_tau,
    "tau-a": lambda a, b: metrics.kendall_tau(a, b, variant="a"),
    "pairs": metrics.concordant_pairs,
    "spearman": metrics.spearman,
    "top": lambda a, b: metrics.top_k_intersection(a, b, 3),
}


@pytest.mark.parametrize("name", MEASURES)
def test_images_as_well_as_vectors_in_any_precision(name):
    a, b = (v.reshape(5, 1, 4, 2) for v in maps("tied", 8))
    measure = MEASURES[name]
    assert torch.equal(measure(a, b), measure(a.flatten(1), b.flatten(1)))
    single = measure(a.float(), b.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, measure(a, b), atol=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_rows_do_not_mix_and_nan_stays_nan(name):
    a, b = maps("random", 9)
    measure, whole = MEASURES[name], MEASURES[name](a, b)
    for i in range(5):
        assert torch.equal(measure(a[i : i + 1], b[i : i + 1])[0], whole[i])
    b[2, 4] = torch.nan
    torn = measure(a, b)
    assert torn.isnan().tolist() == [False, False, True, False, False]
    assert torch.equal(torn[[0, 1, 3, 4]], whole[[0, 1, 3, 4]])


@pytest.mark.parametrize("name", MEASURES)
def test_arrays_give_arrays(name):
    a, b = (v.reshape(5, 4, 2) for v in maps("tied", 8))
    measure = MEASURES[name]
    for kind in (np.float32, np.float64):
        x, y = a.numpy().astype(kind), b.numpy().astype(kind)
        found = measure(x, y)
        assert isinstance(found, np.ndarray)
        assert found.dtype == kind
        np.testing.assert_array_equal(found, measure(torch.tensor(x), torch.tensor(y)))
        x.setflags(write=False)
        np.testing.assert_array_equal(found[::-1], measure(x[::-1], y[::-1]))
    whole = measure(a.numpy().astype(np.int64), b.numpy().astype(np.int64))
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole, measure(a, b))
    assert torch.equal(measure(a.long(), b.long()), measure(a, b))
    with pytest.raises(ac.ArgumentError, match="two tensors, or two arrays"):
        measure(a, b.numpy())


def test_tau_a_of_ties():
    """One pair of three is tied, the others agree: 2/3 of all, but all of those that either map orders."""
    a, b = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    assert metrics.kendall_tau(a, b, variant="a")[0] == pytest.approx(2 / 3)
    assert metrics.kendall_tau(a, b)[0] == pytest.approx(1)
    assert metrics.kendall_tau(torch.ones(1, 3), b, variant="a")[0] == 0
    with pytest.raises(ac.UnknownNameError, match="variant='c'"):
        metrics.kendall_tau(a, b, variant="c")


@pytest.mark.parametrize("name", MEASURES)
def test_bad_maps_are_refused(name):
    for a, b in [(torch.ones(2, 3), torch.ones(2, 4)), (torch.ones(3), torch.ones(3)), (torch.ones(0, 3),) * 2]:
        with pytest.raises(ac.ArgumentError, match="same shape"):
            MEASURES[name](a, b)


def test_k_must_fit():
    a, b = maps("random", 4)
    for k in (0, 5):
        with pytest.raises(ac.ArgumentError, match="k="):
            metrics.top_k_intersection(a, b, k)


def test_equal_entries_take_their_turn():
    a, b = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    assert metrics.top_k_intersection(a, b, 1)[0] == 0.0  # the first entry against the second
    assert metrics.top_k_intersection(a, b, 2)[0] == 0.5
    assert metrics.top_k_intersection(a, a, 2)[0] == 1.0


def test_cosine_is_differentiable():
    a, b = maps("random", 6)
    assert torch.autograd.gradcheck(metrics.cosine_similarity, (a.requires_grad_(), b.requires_grad_()))


def test_no_direction_no_cosine():
    assert metrics.cosine_similarity(torch.zeros(1, 3), torch.ones(1, 3)).isnan().all()


def test_large_maps():
    """10^10 pairs: more than 32-bit counts hold."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal(150_528).round(2)
    b = (a + rng.standard_normal(150_528)).round(1)
    tau = metrics.kendall_tau(torch.from_numpy(a)[None], torch.from_numpy(b)[None])
    assert float(tau[0]) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
    # tau-b has the same difference over other pairs: theirs that are not tied, counted value by value.
    pairs = math.comb(len(a), 2)
    apart = [pairs - sum(math.comb(int(n), 2) for n in np.unique(v, return_counts=True)[1]) for v in (a, b)]
    tau_a = metrics.kendall_tau(a[None], b[None], variant="a")
    assert tau_a[0] == pytest.approx(float(tau[0]) * math.sqrt(apart[0] * apart[1]) / pairs, rel=1e-12)
