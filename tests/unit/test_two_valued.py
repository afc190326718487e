"""Maps of zeros and ones: entries are bounded by counting (theory, Lemma 5.6a)."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import special, stats

import attricert as ac
from attricert.attributions import among_largest, at_uniforms, takes_uniforms
from attricert.lab.baselines import PixelCertification
from attricert.moments import Moments
from attricert.proving.entries import EntriesProof
from attricert.proving.pilot import Pilot
from attricert.sampling import Centered, Draws

EDGES = torch.tensor([-0.4, 0.0, 0.3, 2.5], dtype=torch.float64)
D = len(EDGES)
SIGMA = 0.5
CLIP = ac.Clip(math.sqrt(D) * (1 + 1e-9), max_entry=1.0)


def halves(x, target):
    """Each entry is one on its side of a plane: Neyman and Pearson's worst functions."""
    return (x[:, :1] <= EDGES).to(x)


def probability(push=0.0):
    return stats.norm.cdf((EDGES.numpy() - push) / SIGMA)


def certified(seed=0, g=halves, **settings):
    smoothed = ac.SmoothedAttribution(ac.wrap(g, nonnegative=True), ac.Gaussian(SIGMA), CLIP)
    settings = {"n_samples": 1_000, "alpha": 0.1, "prove": ("entries",), **settings}
    return smoothed.certify(torch.zeros(1, D, dtype=torch.float64), seed=seed, **settings)


def test_bounds_are_those_of_clopper_and_pearson():
    found = certified()
    n, share = int(found.evidence.sampling.n_samples[0]), found.terms.entry_share
    counts = np.rint(found.evidence.maps.mean[0] * n)
    np.testing.assert_allclose(counts / n, found.evidence.maps.mean[0], atol=1e-12)
    entries = found.evidence.entries
    low = np.where(counts > 0, special.betaincinv(np.maximum(counts, 1), n - counts + 1, share), 0.0)
    high = np.where(counts < n, special.betainccinv(counts + 1, np.maximum(n - counts, 1), share), 1.0)
    np.testing.assert_allclose(entries.low[0], low, atol=1e-8)
    np.testing.assert_allclose(entries.high[0], high, atol=1e-8)
    assert (entries.low[0] <= low).all()
    assert (entries.high[0] >= high).all()


def test_they_hold_with_their_probability_and_a_plain_share_does_not():
    trials, alpha, wrong, naive = 300, 0.2, 0, 0
    p = probability()
    for seed in range(trials):
        found = certified(seed, n_samples=200, alpha=alpha)
        low, high = (value[0] for value in found.intervals(0.0))
        wrong += not ((low <= p) & (p <= high)).all()
        naive += not (np.abs(found.evidence.maps.mean[0] - p) <= 1e-3).all()
    assert stats.binomtest(wrong, trials, alpha, alternative="greater").pvalue > 1e-3
    assert stats.binomtest(naive, trials, alpha, alternative="greater").pvalue < 1e-9


def test_the_claim_about_the_likelier_value_holds_where_it_is_made_and_is_nearly_as_far_as_can_be():
    found = certified(n_samples=40_000, alpha=0.001)
    eps = np.linspace(0.0, 1.0, 21)
    low, high = (value[0] for value in found.intervals(eps))
    for i, size in enumerate(eps):
        least, most = probability(size), probability(-size)  # halves lose and gain as much as can be
        assert (least[low[i] > 0.5] > 0.5).all()
        assert (most[high[i] < 0.5] < 0.5).all()
        clear = least > 0.52
        assert (low[i][clear] > 0.5).all()


def test_values_between_the_ends_that_the_pilot_has_not_seen_make_bounds_loose_not_wrong():
    zero = torch.zeros(D, dtype=torch.float64)
    unseen = Moments(0, np.zeros(1), np.zeros(1))
    pilot = Pilot(20, zero, 10, zero, unseen, zero.expand(10, D), torch.zeros(10, 2, dtype=torch.float64), None)
    state = EntriesProof.start(pilot, 500, 0.05, 0.0, (np.zeros(D), np.ones(D)), (D,), counted=True)
    assert state.two_valued
    rows = torch.rand(500, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = Centered.of(Draws(rows, 1, rows.norm(dim=1)), zero, zero[None])
    piece = state.update(draws).pieces()["entries"]
    assert (piece.low < 0.5).all()
    assert (piece.high > 0.5).all()
    assert (piece.low < 0.05).all()


@pytest.mark.parametrize("case", ["between", "pairs", "stops"])
def test_elsewhere_nothing_is_counted(case, monkeypatch):
    """Maps with other values; pairs, whose mean has three; and streams that may end sooner."""
    states = []
    pieces = EntriesProof.pieces
    monkeypatch.setattr(EntriesProof, "pieces", lambda self: states.append(self) or pieces(self))
    if case == "between":
        certified(g=lambda x, target: 0.5 * halves(x, target) + 0.25)
    elif case == "stops":
        certified(prove=("top_variance", "entries"), stop_at=ac.Claim(eps=0.01, cosine=0.5))
    else:
        smoothed = ac.SmoothedAttribution(ac.wrap(halves, nonnegative=True), ac.Gaussian(SIGMA), CLIP, antithetic=True)
        smoothed.certify(torch.zeros(1, D, dtype=torch.float64), n_samples=400, prove=("entries",), seed=0)
    assert states
    assert not any(state.two_valued or state.ends is not None for state in states)


def test_batches_change_nothing():
    one = certified()
    smoothed = dataclasses.replace(
        ac.SmoothedAttribution(ac.wrap(halves, nonnegative=True), ac.Gaussian(SIGMA), CLIP), batch_size=7
    )
    other = smoothed.certify(
        torch.zeros(1, D, dtype=torch.float64), n_samples=1_000, alpha=0.1, prove=("entries",), seed=0
    )
    assert np.array_equal(one.evidence.entries.low, other.evidence.entries.low)
    assert np.array_equal(one.evidence.entries.high, other.evidence.entries.high)


# ---- Sparsified


def test_ones_are_where_values_are_largest():
    def g(x, target):
        return x

    maps = torch.tensor([[3.0, -4.0, 0.0, 1.0], [0.0, 0.0, 0.0, 2.0], [1.0, 1.0, -1.0, 0.0]])
    assert ac.Sparsified(g, 0.5)(maps, None).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert ac.Sparsified(g, 0.01)(maps, None)[0].tolist() == [0, 1, 0, 0]
    assert ac.Sparsified(g, 0.5).max_norm(4) == pytest.approx(math.sqrt(2), rel=1e-8)
    assert ac.Sparsified(g, 0.5).max_norm(4) >= math.sqrt(2)
    assert ac.Sparsified(g, 0.9)(maps, None)[1:].tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]  # all that are not zero


@pytest.mark.parametrize("top", [0.1, 0.25, 0.5, 0.9, 0.99])
def test_no_map_has_more_ones_than_its_norm_says(top):
    """Else clipping would scale it, and half of an entry's range be no half of its draws."""
    rows = torch.randint(-2, 3, (500, 7), generator=torch.Generator().manual_seed(0)).float()
    ones = ac.Sparsified(lambda x, target: x, top)
    assert ones(rows, None).norm(dim=1).max() <= ones.max_norm(7)
    assert set(ones(rows, None).unique().tolist()) <= {0.0, 1.0}


def test_maps_that_are_not_finite_are_counted_as_such():
    def g(x, target):
        return torch.where(x[:, :1] > 0, x, torch.full_like(x, float("nan")))

    ones = ac.Sparsified(g, 0.5)
    smoothed = ac.SmoothedAttribution(ones, ac.Gaussian(1.0), ac.Clip(ones.max_norm(4), max_entry=1.0))
    with pytest.warns(ac.errors.AttributionWarning, match="held NaN or inf"):
        found = smoothed.certify(torch.zeros(1, 4), n_samples=400, seed=0, prove=("entries",))
    assert 0.4 < found.evidence.sampling.nonfinite[0] / found.evidence.sampling.n_samples[0] < 0.6
    assert (found.intervals(0.0).high[0] < 0.75).all()


def test_random_nodes_stay_numbers_of_their_draws(model, digits):
    """A whole batch is one call, and the ones are those of the map at the same numbers."""
    random = ac.StochasticIntegratedGradients(model)
    ones = ac.Sparsified(random, 0.25)
    assert takes_uniforms(ones)
    x, numbers = digits.images[:3], torch.tensor([0.1, 0.5, 0.9])
    maps = at_uniforms(random, numbers)(x, torch.zeros(3, dtype=torch.long)).flatten(1)
    found = at_uniforms(ones, numbers)(x, torch.zeros(3, dtype=torch.long)).flatten(1)
    assert torch.equal(found.bool(), among_largest(maps, 0.25))


def test_compiling_leaves_it_as_it_is(model, digits):
    """Its model is another's, and cannot be put in its place."""
    ones = ac.Sparsified(ac.Saliency(model), 0.25)
    bound = ac.Clip(ones.max_norm(784), max_entry=1.0)
    smoothed = ac.SmoothedAttribution(ones, ac.Gaussian(0.1), bound, compute=ac.Compute(compile=True))
    found = smoothed.certify(digits.images[:1], 7, n_samples=200, seed=0, prove=())
    plain = ac.SmoothedAttribution(ones, ac.Gaussian(0.1), bound).certify(
        digits.images[:1], 7, n_samples=200, seed=0, prove=()
    )
    assert found.norm == plain.norm


def test_the_pixel_level_claim_at_every_eps_from_one_run(model, digits):
    """As the authors' own certificate of the same claim has it, but for what its pilot and alpha make of it."""
    x = digits.images[:2]
    y = model(x).argmax(dim=1)
    ones = ac.Sparsified(ac.Saliency(model), 0.25)
    smoothed = ac.SmoothedAttribution(ones, ac.Gaussian(0.125), ac.Clip(ones.max_norm(784), max_entry=1.0))
    found = smoothed.certify(x, y, n_samples=2_000, alpha=0.001, seed=0, prove=("entries",))
    theirs = PixelCertification(ac.Saliency(model), 0.125, top=0.25, n_samples=2_000, alpha=0.001)
    for radius in (0.02, theirs.radius, 0.15):
        low, high = found.intervals(radius)
        ours = np.where(low > 0.5, 1, np.where(high < 0.5, 0, -1))
        other = theirs.within(radius).certify(x, y, seed=1).classes
        assert not ((ours >= 0) & (other >= 0) & (ours != other)).any()
        assert (ours >= 0).mean() > 0.95 * (other >= 0).mean()


def test_what_attributions_have_is_handed_on(model):
    random = ac.wrap(lambda x, t: torch.rand_like(x), random=True)
    assert ac.Sparsified(random).random is True
    assert ac.Sparsified(ac.Saliency(model)).model is model
    assert not hasattr(ac.Sparsified(ac.Saliency(model)), "differentiable")  # ones have no gradient
    assert not hasattr(ac.Sparsified(halves), "model")
    with pytest.raises(ac.ArgumentError, match="top=1.0"):
        ac.Sparsified(halves, 1.0)


@pytest.mark.untyped
def test_what_is_no_attribution_is_refused():
    with pytest.raises(ac.ArgumentError, match="attribution='saliency'"):
        ac.Sparsified("saliency")
