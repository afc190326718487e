"""Coverage of second and higher moments, proportions, distances and entries; what is naive must fail the same test."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

import attricert as ac
from attricert.certificates import Ledger, Terms
from attricert.confidence import (
    excess,
    least_for_majority,
    lower_proportion,
    mean_distance,
    stake,
    upper_mean,
    upper_proportion,
)
from attricert.moments import Moments
from attricert.proving.entries import EntriesProof
from attricert.proving.pilot import Pilot, across_of
from attricert.proving.spread import SpreadProof
from attricert.sampling import Centered, Draws

TRIALS = 2_000
ALPHA = 0.05
# Failures that a bound with exactly alpha exceeds in one of a thousand such tests.
MOST = int(stats.binom(TRIALS, ALPHA).ppf(0.999))
N, PILOT = 80, 20


@pytest.fixture(autouse=True)
def _one_thread():
    """Thousands of tiny arrays: threads would cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Radius:
    """Mostly small, uniform in [0, small]; sometimes 1, the reach: bounded and heavy-tailed."""

    def __init__(self, rare, small):
        self.rare, self.small = rare, small

    def sample(self, rng, shape):
        return np.where(rng.random(shape) < self.rare, 1.0, self.small * rng.random(shape))

    def moment(self, order, within=1.0):
        """E R^order 1{R <= within}."""
        mostly = min(within, self.small) ** (order + 1) / (order + 1) / self.small
        return (1 - self.rare) * mostly + self.rare * (within >= 1)

    def beyond(self, size):
        return (1 - self.rare) * max(1 - size / self.small, 0.0) + self.rare * (size < 1)


def directions(rng, shape, rank):
    z = rng.standard_normal((*shape, rank))
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def embedded(rows, d):
    """In the first dimensions of a rotated space."""
    basis, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((d, d)))
    return rows @ basis[:, : rows.shape[-1]].T


# Radius, rank and dimension; within the rank, directions are uniform.
LAWS = {
    "line": (Radius(0.03, 0.2), 1, 3),
    "low rank": (Radius(0.04, 0.1), 2, 6),
    "isotropic": (Radius(0.05, 0.3), 3, 3),
}


def sphere_moment(d, k):
    """E (v.u)^2k for u uniform on the sphere: 1/d, 3/d(d+2), 15/d(d+2)(d+4)."""
    return math.prod((2 * i + 1) / (d + 2 * i) for i in range(k))


def draw(name, n, trials=TRIALS):
    radius, rank, d = LAWS[name]
    rng = np.random.default_rng([n, rank, d])
    q = radius.sample(rng, (trials, n, 1)) * directions(rng, (trials, n), rank)
    return embedded(q, d), radius.moment(2) / rank


def tops(q):
    return np.linalg.eigvalsh(np.swapaxes(q, 1, 2) @ q / q.shape[1])[:, -1]


def betting_upper(top, pilot, main, n):
    """As `SpreadProof` has it, the pilot choosing the bet."""
    squares = (pilot**2).sum(axis=1)
    bet = float(stake(squares.max() * squares.mean(), 1.0, n, ALPHA))
    largest = float((main**2).sum(axis=1).max())
    return upper_mean(top, largest * top, largest, bet, n, ALPHA, 1.0)


@pytest.mark.parametrize("law", LAWS)
def test_the_spread_is_covered_and_the_plug_in_is_not(law):
    q, spread = draw(law, N + PILOT)
    pilot, main = q[:, :PILOT], q[:, PILOT:]
    assert (main**2).sum(axis=2).max() <= 1 + 1e-12
    seen = tops(main)
    betting = [betting_upper(float(t), p, m, N) for t, p, m in zip(seen, pilot, main, strict=True)]
    assert (np.array(betting) < spread).sum() <= MOST
    assert (seen < spread).sum() > MOST
    assert np.median(betting) < 0.5  # it is not empty


def pilot_of(rows, center_rows):
    rows = torch.from_numpy(rows)
    center = rows[:center_rows].mean(dim=0)
    sample = rows[center_rows:] - center
    direction = center / center.norm()
    along = rows[center_rows:] @ direction
    around = torch.stack([along, across_of((sample**2).sum(dim=1), sample @ direction)], dim=1)
    moments = Moments.of(along[:, None], variances=True)
    return Pilot(len(rows), center, center_rows, direction, moments, sample, around, None)


def terms_of(d, shares):
    """Terms with these shares of alpha."""
    return Terms(
        noise=ac.Gaussian(1.0),
        dimension=d,
        max_norm=1.0,
        max_entry=1.0,
        bound="",
        nonnegative=False,
        alpha=0.5,
        observed=None,
        confidence="betting",
        antithetic=False,
        seed=0,
        ledger=Ledger(tuple(shares.items())),
    )


def chunks(rows, pilot, size=50, pairs=1):
    for part in torch.split(torch.from_numpy(rows), size):
        yield Centered.of(Draws(part, pairs, part.norm(dim=1)), pilot.center, pilot.direction[None])


@pytest.mark.parametrize("form", ["exact", "chunks"])
def test_the_spread_is_covered_from_end_to_end(form, monkeypatch):
    """Around the pilot's mean, which is not the true one: lambda_max(Cov + (h-m)(h-m)^T)."""
    if form == "chunks":
        monkeypatch.setattr("attricert.proving.spread._EXACT_UP_TO", 0)
        monkeypatch.setattr("attricert.proving.spread._CHUNK", 30)
    q, spread = draw("isotropic", N + PILOT)
    h = np.array([0.3, 0.0, -0.4])
    terms = terms_of(3, {"top_variance": ALPHA})
    betting = plain = 0
    for rows in h + q / 2:
        pilot = pilot_of(rows[:PILOT], 15)
        state = SpreadProof.start(pilot, terms, N, both=False)
        for part in chunks(rows[PILOT:], pilot):
            state = state.update(part)
        assert state.draws == N
        q_seen = rows[PILOT:] - pilot.center.numpy()
        assert state.farthest**2 >= (q_seen**2).sum(axis=1).max()
        seen = state.scatter.top()
        assert seen >= np.linalg.eigvalsh(q_seen.T @ q_seen / N)[-1]
        off = h - pilot.center.numpy()
        true = spread / 4 + off @ off  # as the covariance is a multiple of the identity
        betting += state.pieces()["top_variance"].upper < true
        plain += seen < true
    assert betting <= MOST
    # Tops of small chunks are larger than the true one for a reason of their own.
    assert plain > MOST or form == "chunks"


def population():
    """Four hundred maps, each as probable as the others: nearly all around one direction, a few far from it."""
    rng = np.random.default_rng(41)
    usual = np.array([0.7, 0.1, 0.0]) + 0.12 * rng.uniform(-1, 1, (390, 3))
    return np.concatenate([usual, 0.9 * directions(rng, (10,), 3)])


def truths(rows, pilot, cone):
    """What pieces speak of, around a pilot's mean: drift, variance and fourth moment inside, masses outside."""
    m, u, stretch = pilot.center.numpy(), pilot.direction.numpy(), float(cone.stretch)
    along, q = rows @ u, rows - m
    across = np.linalg.norm(rows - np.outer(along, u), axis=1)
    holds = (along[:, None] >= cone.along) & (across[:, None] <= cone.across)
    inside = (q + (stretch - 1) * np.outer(q @ u, u)) * holds[:, -1:]
    grid = directions(np.random.default_rng(43), (100,), 3)
    fourth = ((inside @ grid.T) ** 4).mean(axis=0).max()
    return np.linalg.norm(rows.mean(axis=0) - m), tops(inside[None])[0], (~holds).mean(axis=0), fourth


@pytest.mark.parametrize("form", ["exact", "chunks", "pairs"])
def test_cones_and_the_fourth_moment_are_covered_from_end_to_end(form, monkeypatch):
    """Each with its own share of alpha, all at once; what the draws plainly say of each is not."""
    if form == "chunks":
        monkeypatch.setattr("attricert.proving.spread._EXACT_UP_TO", 0)
        monkeypatch.setattr("attricert.proving.spread._CHUNK", 30)
    names = ("top_variance", "drift", "inside_variance", "regions", "fourth")
    terms = terms_of(3, dict.fromkeys(names, ALPHA / len(names)))
    all_rows, pairs, trials = population(), 2 if form == "pairs" else 1, TRIALS // 4
    most = int(stats.binom(trials, ALPHA).ppf(0.999))
    missed, plain = 0, np.zeros(4, dtype=int)
    for trial in range(trials):
        rng = np.random.default_rng([trial, 47])
        chosen = rng.integers(len(all_rows), size=(PILOT + N, pairs))
        if form == "pairs":
            chosen[:, 1] = (chosen[:, 0] * 7 + 3) % len(all_rows)  # the second depends on the first, as uniform
        rows = all_rows[chosen.reshape(-1)]
        cut = PILOT * pairs
        pilot = pilot_of(rows[:cut], cut * 3 // 4)
        state = SpreadProof.start(pilot, terms, N, both=False)
        for part in chunks(rows[cut:], pilot, 50, pairs):
            state = state.update(part)
        found = state.pieces()
        cone, fourth = found["cone"], float(found["fourth"].upper)
        drift, variance, masses, power = truths(all_rows, pilot, cone)
        seen = truths(rows[cut:], pilot, cone)
        missed += bool(
            cone.drift < drift or cone.variance < variance or (cone.outside < masses).any() or fourth < power
        )
        plain += [seen[0] < drift, seen[1] < variance, (seen[2] < masses).any(), seen[3] < power]
    assert missed <= most
    assert (plain > most).all()


@pytest.mark.parametrize("k", [2, 3])
def test_higher_moments_on_a_sphere_are_what_they_are_said_to_be(k):
    u = directions(np.random.default_rng(1), (400_000,), 3)
    values = u[:, 0] ** (2 * k)
    error = 4 * values.std() / math.sqrt(len(values))
    assert values.mean() == pytest.approx(sphere_moment(3, k), abs=error)
    assert sphere_moment(3, k) == pytest.approx({2: 3 / (3 * 5), 3: 15 / (3 * 5 * 7)}[k], rel=1e-15)


@pytest.mark.parametrize("rare", [0.5, 0.1])
def test_the_bet_holds_at_all_times_at_once_and_a_count_s_exact_bound_does_not(rare):
    """Bernoulli draws; the upper bound is looked at after every one of them."""
    n = 300
    x = np.random.default_rng([1, n]).random((TRIALS, n)) < rare
    times, sums = np.arange(1, n + 1), np.cumsum(x, axis=1)
    bet = float(stake(rare * (1 - rare), 1.0, n // 2, ALPHA))
    crossed, fixed = np.zeros(TRIALS, bool), np.zeros(TRIALS, bool)
    for i, m in enumerate(times.tolist()):
        mean = sums[:, i] / m
        crossed |= mean + excess(mean * (1 - mean), (sums[:, i] > 0) - mean, bet, m, ALPHA) < rare
        exact = np.array([upper_proportion(s, m, ALPHA) for s in range(m + 1)] if i % 10 == 9 else np.ones(m + 1))
        fixed |= exact[sums[:, i]] < rare
    assert crossed.sum() <= MOST
    assert fixed.sum() > MOST


@pytest.mark.parametrize("guess", [1e-4, 0.02, 1.0])
def test_a_bad_bet_costs_width_not_validity(guess):
    """Whatever the pilot thought of the variance."""
    mean, n = 0.03, 150
    x = np.random.default_rng(3).random((TRIALS, n)) < mean
    seen = x.mean(axis=1)
    bet = float(stake(guess, 1.0, n, ALPHA))
    upper = seen + excess(seen * (1 - seen), x.max(axis=1) - seen, bet, n, ALPHA)
    assert (upper < mean).sum() <= MOST
    assert (seen < mean).sum() > MOST


def binomial(n, p):
    return [math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)]


@pytest.mark.parametrize("n", [1, 2, 7, 30])
@pytest.mark.parametrize("alpha", [0.05, 1e-4])
def test_proportions_are_exact(n, alpha):
    """At the bound itself, the tail that the count begins has probability alpha: by counting."""
    for s in range(n + 1):
        lower, upper = lower_proportion(s, n, alpha), upper_proportion(s, n, alpha)
        assert upper == pytest.approx(1 - lower_proportion(n - s, n, alpha), rel=1e-12)
        if s > 0:
            assert math.fsum(binomial(n, lower)[s:]) == pytest.approx(alpha, rel=1e-9)
        if s < n:
            assert math.fsum(binomial(n, upper)[: s + 1]) == pytest.approx(alpha, rel=1e-9)
        assert lower < s / n < upper or s in (0, n)
    assert lower_proportion(0, n, alpha) == 0
    assert upper_proportion(n, n, alpha) == 1


@pytest.mark.parametrize("n", [3, 10, 30])
def test_proportions_cover_at_every_probability_and_plain_ones_do_not(n):
    """The chance that the bound is too large, summed over all counts, just below each value that it can take."""
    bounds = [lower_proportion(s, n, ALPHA) for s in range(n + 1)]
    assert all(a < b for a, b in pairwise(bounds))
    z = stats.norm.ppf(1 - ALPHA)
    normal = [s / n - z * math.sqrt(s / n * (1 - s / n) / n) for s in range(n + 1)]
    plain = [s / n for s in range(n + 1)]

    def worst(values):
        places = [p for v in values for p in (v * (1 - 1e-9), v * (1 + 1e-9)) if 0 < p < 1]
        return max(
            math.fsum(w for w, v in zip(binomial(n, p), values, strict=True) if v > p)
            for p in (*places, *np.linspace(0.001, 0.999, 200))
        )

    assert ALPHA * (1 - 1e-6) <= worst(bounds) <= ALPHA * (1 + 1e-12)
    assert worst(normal) > 2 * ALPHA
    assert worst(plain) > 2 * ALPHA


@pytest.mark.parametrize("n", [1, 2, 5, 20, 31])
@pytest.mark.parametrize("alpha", [0.05, 1e-3])
def test_the_majority_is_as_sure_as_it_is_said_to_be(n, alpha):
    least = least_for_majority(n, alpha)

    def majority(p):
        return math.fsum(w for s, w in enumerate(binomial(n, p)) if 2 * s > n)

    assert majority(least) == pytest.approx(1 - alpha, rel=1e-12)
    assert majority(least * (1 - 1e-6)) < 1 - alpha
    assert 0.5 < least < 1


def test_a_small_spread_brings_an_average_nearer_and_the_expectation_alone_does_not_cover():
    """Unit vectors around h, all parts but that along it uniform on a sphere: theory 5, Bousquet's branch."""
    n, dimensions = 100, 10
    for share in (0.02, 0.2):
        c, spread = math.sqrt(1 - share), share / dimensions
        bound, loose = (float(mean_distance(n, ALPHA, 1.0, c, s)) for s in (spread, math.inf))
        assert bound < 0.8 * loose
        expected = math.sqrt(share / n)
        far = further = 0
        for trial in range(TRIALS):
            u = directions(np.random.default_rng([trial, 23]), (n,), dimensions)
            distance = math.sqrt(share) * float(np.linalg.norm(u.mean(axis=0)))
            far += distance > bound
            further += distance > expected
        assert far <= MOST
        assert further > MOST


def test_the_deviation_without_the_expected_distance_does_not_cover():
    """Draws of +-e_i, i uniform: far from h = 0 in all of 30 directions together, hardly in any one of them."""
    n, d = 5_000, 30
    counts = np.random.default_rng(37).multinomial(n, np.full(2 * d, 1 / (2 * d)), size=TRIALS)
    distance = np.linalg.norm((counts[:, :d] - counts[:, d:]) / n, axis=1)
    bound, expected = float(mean_distance(n, ALPHA, 1.0, 0.0, 1 / d)), math.sqrt(1 / n)
    assert bound < 0.9 * float(mean_distance(n, ALPHA, 1.0))
    assert (distance > bound).sum() <= MOST
    assert (distance > expected).sum() > MOST
    assert (distance > bound - expected).sum() > MOST


def test_rare_and_large_deviations_are_within_bousquet_s_bound_too():
    """One direction; mostly nothing, rarely the whole reach."""
    n, rare = 100, 0.003
    x = np.random.default_rng(29).random((TRIALS, n)) < rare
    h = np.array([1 - rare, rare])  # g is e_1, or rarely e_2
    spread = 2 * rare * (1 - rare)  # along e_1 - e_2
    bound = float(mean_distance(n, ALPHA, 1.0, float(np.linalg.norm(h)), spread))
    assert bound < float(mean_distance(n, ALPHA, 1.0, float(np.linalg.norm(h))))
    distance = math.sqrt(2) * np.abs(x.mean(axis=1) - rare)
    assert (distance > bound).sum() <= MOST
    assert (distance > math.sqrt(spread / n)).sum() > MOST


RARE = 0.015


def columns(rng, n, trials):
    """Entries in [-1, 1] that depend on each other, shape (n, trials, 5), with their means and covariance."""
    rare, heavy, even, small, size = rng.random((5, n, trials))
    x = np.stack(
        [
            1 - 2.0 * (rare < RARE),
            np.where(heavy < 0.03, -1.0, 0.5 * size),
            np.where(even < 0.6, 1.0, -1.0),
            0.001 * small,
            np.where(rare < RARE, 1.0, 0.0),
        ],
        axis=2,
    )
    mean = np.array([1 - 2 * RARE, -0.03 + 0.97 * 0.25, 0.2, 5e-4, RARE])
    square = np.array([1.0, 0.03 + 0.97 * 0.25 / 3, 1.0, 1e-6 / 3, RARE])
    covariance = np.diag(square - mean**2)
    covariance[0, 4] = covariance[4, 0] = -2 * RARE * (1 - RARE)
    return x, mean, covariance


WEIGHTS = {
    "entries": np.eye(5),
    "pairs": np.eye(5),
    "functionals": np.array([[1.0, 0, 0, 0, 0.5], [0.2, 0.2, 0.2, 0.2, 0.2], [0, 0, 1.0, 0, 2.0]]),
}


@pytest.mark.parametrize("form", WEIGHTS)
def test_all_entries_are_covered_at_once_from_end_to_end_and_plain_intervals_do_not(form):
    """Lower and upper bounds of every mean, and every second moment around the pilot's mean, together.

    Trials are side by side, as more entries of one map: each entry is bounded on its own.
    """
    n, pilot_draws, at_once = 150, 30, 40
    weights = WEIGHTS[form]
    r, per_draw = len(weights), 2 if form == "pairs" else 1
    size = np.tile(np.abs(weights).sum(axis=1), at_once)
    vectors = torch.from_numpy(np.kron(np.eye(at_once), weights)) if form == "functionals" else None
    alpha = ALPHA / (3 * r)
    z = stats.norm.ppf(1 - alpha)
    missed = normal = plain = 0
    for block in range(TRIALS // at_once):
        rng = np.random.default_rng([block, 31])
        x, mean, covariance = columns(rng, n + pilot_draws, at_once)
        if form == "pairs":
            # The second of a pair repeats some entries of the first: dependent within pairs, not between them.
            again, _, _ = columns(rng, n + pilot_draws, at_once)
            again[..., :3] = x[..., :3]
            x = np.stack([x, again], axis=1).reshape(-1, at_once, 5)
        cut = pilot_draws * per_draw
        pilot = pilot_of(x[:cut].reshape(cut, -1), cut * 3 // 4)
        state = EntriesProof.start(pilot, n, alpha, 0.0, (-size, size), size.shape, vectors)
        for part in chunks(x[cut:].reshape(n * per_draw, -1), pilot, 70, per_draw):
            state = state.update(part)
        assert state.draws == n
        (bounds,) = state.pieces().values()
        low, high, spread = (getattr(bounds, name).reshape(at_once, r) for name in ("low", "high", "second"))
        center, rows = pilot.center.numpy().reshape(at_once, 5) @ weights.T, x[cut:] @ weights.T
        true = weights @ mean
        second = np.diag(weights @ covariance @ weights.T) + (true - center) ** 2
        limit = np.abs(weights).sum(axis=1)
        assert ((-limit <= low) & (low <= high) & (high <= limit)).all()
        # Not empty: every entry is bounded on the side from which it is far.
        assert ((low > -limit) | (high < limit)).all()
        missed += ((low > true) | (high < true) | (spread < second)).any(axis=1).sum()
        seen, error = rows.mean(axis=0), z * rows.std(axis=0, ddof=1) / math.sqrt(n)
        normal += ((seen - error > true) | (seen + error < true)).any(axis=1).sum()
        plain += (((rows - center) ** 2).mean(axis=0) < second).any(axis=1).sum()
    assert missed <= MOST
    assert normal > MOST
    assert plain > MOST
