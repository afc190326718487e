"""Coverage of claims about the source of inputs, with certificates that are as often wrong as they may be."""

import numpy as np
from scipy import stats

from attricert.certificates import least_share

TRIALS, N, BETA, ALPHA = 2_000, 50, 0.05, 0.1
MOST = int(stats.binom(TRIALS, BETA).ppf(0.999))


def bounds(counts, alpha=ALPHA, averages=False, simultaneous=False):
    """Of every count at once; alpha = 0 stands for a bound that forgets it."""
    table = least_share(np.arange(N + 1), N, alpha=alpha, beta=BETA, averages=averages, simultaneous=simultaneous)
    return table[counts]


def test_the_share_covers_and_what_forgets_inputs_or_draws_does_not():
    """Of half the source the claim is true, and certified; of the others it is certified with probability alpha."""
    rng, q = np.random.default_rng(1), 0.5
    true = rng.random((TRIALS, N)) < q
    said = true | (rng.random((TRIALS, N)) < ALPHA)
    counts = said.sum(axis=1)
    failures = (bounds(counts) > q).sum()
    assert BETA * TRIALS / 4 < failures <= MOST  # nor is it far from what it may be
    assert (counts / N > q).sum() > TRIALS / 3
    assert (bounds(counts, alpha=0.0) > q).sum() > MOST


def test_failed_and_repeated_inputs_only_lower_the_claim():
    """Hard inputs fail, or time out; an input that came before counts as not certified."""
    rng, q = np.random.default_rng(2), 0.5
    kind = rng.integers(0, 10, (TRIALS, N))  # ten atoms, the claim is true of the first five
    luck = rng.random((TRIALS, 10)) < ALPHA  # draws that all copies of an atom share
    said = (kind < 5) | np.take_along_axis(luck, kind, axis=1)
    first = np.array([[row[j] not in row[:j] for j in range(N)] for row in kind.tolist()])
    assert (bounds((said & first).sum(axis=1)) > q).sum() <= MOST
    own = (kind < 5) | (rng.random((TRIALS, N)) < ALPHA)
    lost = (kind >= 5) & (rng.random((TRIALS, N)) < 0.5)
    assert (bounds((own & ~lost).sum(axis=1)) > q).sum() <= MOST


def test_copies_that_share_their_draws_are_wrong_together():
    """A source with a single atom, of which the claim is false: with probability alpha all N certificates say it."""
    rng = np.random.default_rng(3)
    together = np.where(rng.random(TRIALS) < ALPHA, N, 0)
    assert (bounds(together) > 0).sum() > MOST
    apart = (rng.random((TRIALS, N)) < ALPHA).sum(axis=1)
    assert (bounds(apart) > 0).sum() <= MOST


def test_leaving_copies_out_is_not_counting_them_as_nothing():
    """Half of the source is one atom, of which the claim is false: among distinct inputs it is hardly there."""
    rng, q = np.random.default_rng(4), 0.5
    good = (rng.random((TRIALS, N)) >= 0.5).sum(axis=1)  # all of them distinct
    distinct = good + 1
    left_out = [
        float(least_share(np.array(k), int(m), alpha=ALPHA, beta=BETA, averages=False, simultaneous=False))
        for k, m in zip(good, distinct, strict=True)
    ]
    assert (np.array(left_out) > q).sum() > MOST
    assert (bounds(good) > q).sum() <= MOST


def test_all_sizes_hold_at_once_and_the_worst_of_single_ones_does_not():
    """True sizes are uniform; a certificate gives the true one, or with probability alpha any."""
    rng = np.random.default_rng(5)
    true = rng.random((TRIALS, N))
    certified = np.sort(np.where(rng.random((TRIALS, N)) < ALPHA, 2.0, true), axis=1)
    counts = N - np.arange(N)  # that reach the j-th smallest, itself included: what is said falls behind each only
    eps = np.minimum(certified, 1.0)
    q = 1 - eps

    def failures(bound):
        return (bound[counts] > q).any(axis=1).sum()

    whole = np.arange(N + 1)
    assert failures(bounds(whole, simultaneous=True)) <= MOST
    assert failures(bounds(whole)) > MOST
    assert failures(whole / N) > TRIALS / 2


def test_all_sizes_hold_at_once_where_sizes_are_equal():
    """Ten true sizes: the claim is judged at each of them, where what just reaches it counts."""
    rng, levels = np.random.default_rng(7), np.arange(1, 11)
    true = rng.integers(1, 11, (TRIALS, N))
    certified = np.where(rng.random((TRIALS, N)) < ALPHA, 11, true)
    counts = (certified[:, None, :] >= levels[:, None]).sum(axis=-1)
    q = (11 - levels) / 10

    def failures(bound):
        return (bound[counts] > q).any(axis=1).sum()

    assert failures(bounds(np.arange(N + 1), simultaneous=True)) <= MOST
    assert failures(bounds(np.arange(N + 1))) > MOST


def test_observed_averages_need_all_of_alpha():
    """One input, always certified; with probability alpha the two averages that people see are far apart."""
    q = 1 - ALPHA
    everything = np.full(TRIALS, N)
    assert (bounds(everything, averages=True) > q).sum() == 0
    assert (bounds(everything) > q).sum() == TRIALS
