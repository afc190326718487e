import math
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from attricert.certificates.ranking import Ranking, _exchange_costs

SHAPES = [(d, k) for d in (4, 5, 6, 8) for k in range(1, d)]
CLOSE = 1e-9  # relative rounding of norms in the attacks


def known(h, moved):
    """Entries known exactly, and nothing but the l2 bound on their move."""
    h = np.asarray(h, dtype=np.float64)
    return Ranking(h, h, h - moved, h + moved, float(moved))


def somewhere(rng, d, *, moved=None):
    """Intervals at x, of any width, inside wider ones; a tenth of the entries are tied."""
    middle = rng.standard_normal(d).round(1) if rng.random() < 0.1 else rng.standard_normal(d)
    low, high = middle - rng.exponential(0.2, d) * (rng.random(d) < 0.7), middle + rng.exponential(0.2, d)
    away = rng.exponential(rng.choice([0.1, 0.5, 2.0]), d)
    moved = float(rng.exponential(0.7)) if moved is None else moved
    return Ranking(low, high, low - away, high + rng.permutation(away), moved)


def top_sets(values, k):
    """Every set of k entries of which none is smaller than one outside."""
    edge = np.sort(values)[-k]
    sure = [i for i, v in enumerate(values) if v > edge]
    tied = [i for i, v in enumerate(values) if v == edge]
    return [frozenset((*sure, *more)) for more in combinations(tied, k - len(sure))]


def overlap(here, there, k):
    """However ties are broken."""
    return min(len(a & b) for a in top_sets(here, k) for b in top_sets(there, k))


def tau_a(a, b):
    i, j = np.triu_indices(len(a), 1)
    return float((np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])).mean())


def cheapest(leaving, entering, low=-math.inf, high=math.inf):
    """The threshold in [low, high] to which the first must come down, and the others up, at the least cost.

    The cost is convex and quadratic between the values: its stationary point on each piece, or an end of it.
    """
    a, b = np.asarray(leaving), np.asarray(entering)
    ends = np.unique(np.clip(np.concatenate([a, b]), low, high))
    best = (math.inf, 0.0)
    candidates = list(ends)
    for left, right in pairwise(ends):
        middle = (left + right) / 2
        active = np.concatenate([a[a > middle], b[b < middle]])
        if len(active):
            candidates.append(float(np.clip(active.mean(), left, right)))
    for t in candidates:
        cost = float((np.maximum(a - t, 0) ** 2).sum() + (np.maximum(t - b, 0) ** 2).sum())
        best = min(best, (cost, float(t)))
    return best


def exchanged(h, out, into, t):
    y = h.copy()
    y[out], y[into] = np.minimum(h[out], t), np.maximum(h[into], t)
    return y


def exchanges(ranking, h, k):
    """What the attacker can do to this map: every exchange of top entries for others that box and ball allow."""
    inside = list(top_sets(h, k)[0])
    outside = [i for i in range(len(h)) if i not in inside]
    for j in range(1, min(k, len(outside)) + 1):
        for out in map(list, combinations(inside, j)):
            for into in map(list, combinations(outside, j)):
                low, high = ranking.least[out].max(), ranking.most[into].min()
                if low <= high:
                    cost, t = cheapest(h[out], h[into], low, high)
                    if cost <= ranking.moved**2:
                        yield exchanged(h, out, into, t)


def moves(rng, ranking, h, count):
    """Random points of the ball and the box: all over it, on its edges, towards ties and towards other orders."""
    d = len(h)
    for _ in range(count):
        kind = rng.integers(4)
        if kind == 0:
            step = rng.standard_normal(d)
        elif kind == 1:
            step = np.where(rng.random(d) < 0.5, ranking.least, ranking.most) - h
        elif kind == 2:
            step = h.mean() - h
        else:
            step = rng.permutation(h) - h
        size = np.linalg.norm(step)
        length = ranking.moved * rng.choice([1.0, rng.random()])
        scale = min(1.0, length / size) if kind and size else length / max(size, 1e-300)
        yield np.clip(h + scale * (1 - CLOSE) * step, ranking.least, ranking.most)


def maps(rng, ranking, count):
    """Maps that the intervals at x allow: their corners and their insides."""
    low, high = ranking.low, ranking.high
    for _ in range(count):
        share = rng.random(len(low))
        yield np.clip(low + (high - low) * (share.round() if rng.random() < 0.5 else share), low, high)


def checker(ranking, k):
    """A function that fails where a pair of maps crosses a certificate."""
    most_lost, kept, tau = ranking.overlap(k), set(np.flatnonzero(ranking.stays(k))), ranking.kendall_tau()

    def check(here, there):
        assert most_lost <= overlap(here, there, k)
        assert all(kept <= chosen for values in (here, there) for chosen in top_sets(values, k))
        assert tau <= tau_a(here, there) + 1e-12

    return check


@pytest.mark.parametrize(("d", "k"), SHAPES)
def test_no_move_crosses_a_certificate(d, k):
    rng = np.random.default_rng([d, k])
    said = 0
    for _ in range(10):
        ranking = somewhere(rng, d)
        said += ranking.overlap(k) > 0
        check = checker(ranking, k)
        for h in maps(rng, ranking, 4):
            for y in moves(rng, ranking, h, 12):
                assert np.linalg.norm(y - h) <= ranking.moved
                assert ((ranking.least <= y) & (y <= ranking.most)).all()
                check(h, y)
    assert said  # not all certificates are empty


@pytest.mark.parametrize(("d", "k"), [(4, 1), (4, 2), (5, 2), (5, 4), (6, 3), (7, 3)])
def test_no_exchange_crosses_a_certificate(d, k):
    """Every exchange at its least cost, from many maps that the intervals allow."""
    rng = np.random.default_rng([d, k, 1])
    attacks = lost = 0
    for _ in range(40):
        ranking = somewhere(rng, d)
        check = checker(ranking, k)
        for h in maps(rng, ranking, 4):
            for y in exchanges(ranking, h, k):
                assert np.linalg.norm(y - h) <= ranking.moved * (1 + CLOSE)
                assert ((ranking.least - 1e-12 <= y) & (y <= ranking.most + 1e-12)).all()
                attacks += 1
                lost += overlap(h, y, k) < k
                check(h, y)
    assert attacks > 50
    assert lost == attacks


@pytest.mark.parametrize(("d", "k"), [(4, 2), (5, 2), (6, 3), (7, 3), (8, 4)])
def test_an_exchange_that_the_move_just_pays_for_is_allowed_for(d, k):
    """The move is what one exchange costs, and not more: at the threshold itself, or at an end of the boxes."""
    rng = np.random.default_rng([d, k, 6])
    ended = 0
    for _ in range(140):
        r = somewhere(rng, d)
        j = int(rng.integers(1, min(k, d - k) + 1))
        h = next(maps(rng, r, 1))
        order = np.argsort(h)
        out, into = order[d - k : d - k + j], order[d - k - j : d - k]
        low, high = r.least[out].max(), r.most[into].min()
        if low > high:
            continue
        cost, t = cheapest(h[out], h[into], low, high)
        ended += t in (low, high)
        # Known at x, where nothing but the move and the boxes can be in the way.
        tight = Ranking(h, h, r.least, r.most, math.sqrt(cost) * (1 + CLOSE))
        checker(tight, k)(h, exchanged(h, out, into, t))
    assert ended > 10


@pytest.mark.parametrize(("d", "k"), SHAPES)
def test_absolute_values_obey_their_own_certificates(d, k):
    rng = np.random.default_rng([d, k, 2])
    said = 0
    for _ in range(10):
        ranking = somewhere(rng, d)
        absolute = ranking.absolute()
        assert absolute.moved == ranking.moved
        said += absolute.overlap(k) > 0
        check = checker(absolute, k)
        for h in maps(rng, ranking, 3):
            assert ((absolute.low <= np.abs(h)) & (np.abs(h) <= absolute.high)).all()
            for y in moves(rng, ranking, h, 8):
                assert ((absolute.least <= np.abs(y)) & (np.abs(y) <= absolute.most)).all()
                check(np.abs(h), np.abs(y))
    assert said


def test_absolute_values_by_hand():
    low, high = np.array([-3.0, -1.0, 2.0, 0.0]), np.array([-2.0, 0.5, 4.0, 0.0])
    absolute = Ranking(low, high, low - 0.5, high + 0.5, 0.7).absolute()
    np.testing.assert_array_equal(absolute.low, [2, 0, 2, 0])
    np.testing.assert_array_equal(absolute.high, [3, 1, 4, 0])
    np.testing.assert_array_equal(absolute.least, [1.5, 0, 1.5, 0])
    np.testing.assert_array_equal(absolute.most, [3.5, 1.5, 4.5, 0.5])


LAWS = {
    "normal": lambda rng, d: rng.standard_normal(d),
    "equal steps": lambda rng, d: np.arange(d, dtype=np.float64),
    "outliers": lambda rng, d: rng.standard_cauchy(d),
    "nearly tied": lambda rng, d: np.r_[rng.uniform(1, 1.01, d - d // 2), rng.uniform(0.99, 1, d // 2)],
}


@cache
def worst_cases(law):
    """Known maps, moves, and the overlap that is left after the largest exchange that the move pays for is made."""
    cases = []
    for d, k in SHAPES:
        rng = np.random.default_rng([d, k, 3])
        for _ in range(6):
            h = LAWS[law](rng, d)
            order, moved = np.argsort(h), float(rng.uniform(0.01, 1.2) * np.ptp(h))
            for j in range(min(k, d - k), -1, -1):
                out, into = order[d - k : d - k + j], order[d - k - j : d - k]
                cost, t = solved(h[out], h[into]) if j else (0.0, 0.0)
                if cost <= moved**2:
                    break
            y = exchanged(h, out, into, t)
            assert np.linalg.norm(y - h) <= moved * (1 + CLOSE)
            left = overlap(h, y, k)
            assert left == k - j
            cases.append((h, k, moved, left))
    return cases


@pytest.mark.parametrize("law", LAWS)
def test_the_worst_exchange_does_not_cross_the_certificate(law):
    for h, k, moved, left in worst_cases(law):
        assert known(h, moved).overlap(k) <= left, (h, k, moved)


@pytest.mark.parametrize("law", LAWS)
def test_the_worst_exchange_attains_the_certificate(law):
    for h, k, moved, left in worst_cases(law):
        assert known(h, moved).overlap(k) == left, (h, k, moved)


def solved(leaving, entering):
    """As `cheapest`, by a minimizer that knows nothing of its shape."""

    def cost(t):
        return float((np.maximum(leaving - t, 0) ** 2).sum() + (np.maximum(t - entering, 0) ** 2).sum())

    bounds = (float(min(leaving.min(), entering.min())), float(max(leaving.max(), entering.max())))
    found = optimize.minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-11})
    return float(found.fun), float(found.x)


def test_two_ways_to_the_cheapest_exchange_agree():
    rng = np.random.default_rng(0)
    for _ in range(100):
        a, b = rng.standard_normal(4) + 0.5, rng.standard_normal(4) - 0.5
        assert cheapest(a, b)[0] == pytest.approx(solved(a, b)[0], rel=1e-9, abs=1e-12)


def test_deviations_from_the_mean_cost_more_than_an_exchange():
    """Values beyond the threshold on their own side need not move: the naive cost would promise too much."""
    h, k = np.array([1.0, 10.0, 0.9, 0.9]), 2
    naive = float(((h - h.mean()) ** 2).sum())
    cost, t = cheapest(h[:2], h[2:])
    assert naive == pytest.approx(61.66)
    assert cost == pytest.approx(55.2066666667)
    moved = math.sqrt(58)
    assert cost < moved**2 < naive
    y = exchanged(h, [0, 1], [2, 3], t)
    assert np.linalg.norm(y - h) < moved
    assert overlap(h, y, k) == 0
    assert known(h, moved).overlap(k) == 0
    # Nothing can be exchanged by less than half the narrow gap, on either side of it.
    assert known(h, 0.99 * 0.1 / math.sqrt(2)).overlap(k) == 2


@pytest.mark.parametrize("moved", [0.08, 1.0, 5.0, 7.4])
def test_until_both_can_be_exchanged_one_stays(moved):
    h = np.array([1.0, 10.0, 0.9, 0.9])
    assert moved**2 < cheapest(h[:2], h[2:])[0]
    assert known(h, moved).overlap(2) == 1


@pytest.mark.parametrize(
    ("n", "base", "gap", "uneven"),
    [(75_000, 0.05, 1e-7, 0.0), (75_000, 1 / 3, 1e-6, 0.0), (75_000, 0.0037, 1e-5, 0.0), (75_000, 0.07, 1e-7, 1e-3)],
)
def test_small_gaps_between_large_values_are_not_rounded_up(n, base, gap, uneven):
    """All can come to the common value within the move, so every order is possible there."""
    steps = gap * np.linspace(1, 1 + uneven, n)
    h = base * np.concatenate([1 + steps, 1 - steps])
    moved = math.sqrt(math.fsum((h - base) ** 2)) * (1 + 1e-9)
    ranking = known(h, moved)
    assert ranking.overlap(n) == 0


def exactly(leaving, entering):
    """The least cost of the first 1, 2, ... exchanges, in fractions: convex, so least at the root of its slope."""
    costs = []
    for j in range(1, len(leaving) + 1):
        a, b = [Fraction(v) for v in leaving[:j]], [Fraction(v) for v in entering[:j]]
        ends = sorted({*a, *b})
        best = None
        for left, right in pairwise(ends):
            active = [v for v in a if v >= right] + [v for v in b if v <= left]
            t = min(max(sum(active) / len(active), left), right) if active else left
            cost = sum((max(v - t, 0) ** 2 for v in a), Fraction()) + sum((max(t - v, 0) ** 2 for v in b), Fraction())
            best = cost if best is None else min(best, cost)
        costs.append(best)
    return costs


def overestimates():
    """How many costs are above the exact ones."""
    rng, count = np.random.default_rng(3), 0
    for _ in range(30):
        offset, gap = 10.0 ** rng.uniform(-2, 4), 10.0 ** rng.uniform(-6, 0)
        a = np.sort(offset + gap * rng.uniform(0, 1, 12))
        b = -np.sort(-(offset - gap * rng.uniform(0.01, 1, 12)))
        costs = _exchange_costs(a, b)
        count += sum(Fraction(float(c)) > exact for c, exact in zip(costs, exactly(a, b), strict=True))
    return count


def test_costs_of_exchanges_are_rounded_down(monkeypatch):
    assert overestimates() == 0
    monkeypatch.setattr("attricert.certificates.ranking._SUM_ROUNDING", 0.0)
    assert overestimates() > 0  # without the allowance they would not be


@pytest.mark.parametrize(("d", "k"), SHAPES)
def test_intervals_alone(d, k):
    """No bound on the common move: an entry is below another for certain where their intervals are disjoint."""
    rng = np.random.default_rng([d, k, 4])
    for _ in range(6):
        ranking = somewhere(rng, d, moved=math.inf)
        below = ranking.most[None, :] < ranking.least[:, None]
        np.testing.assert_array_equal(ranking.surely_below(), below.sum(axis=1))
        np.testing.assert_array_equal(ranking.stays(k), below.sum(axis=1) >= d - k)
        assert ranking.kendall_tau() == pytest.approx(2 * below.sum() / (d * (d - 1) / 2) - 1, abs=1e-14)
        assert ranking.overlap(k) >= ranking.stays(k).sum()
        check = checker(ranking, k)
        for h in maps(rng, ranking, 3):
            for there in maps(rng, Ranking(ranking.least, ranking.most, ranking.least, ranking.most, math.inf), 5):
                check(h, there)
            for y in exchanges(ranking, h, k) if d <= 5 else ():
                check(h, y)


def test_intervals_alone_by_hand():
    """Two wide intervals reach into each other; the third entry is safe, the fourth never enters."""
    low, high = np.array([0.9, 1.1, 3.0, -2.0]), np.array([1.0, 1.2, 3.1, -1.9])
    ranking = Ranking(low, high, low - 0.4, high + 0.4, math.inf)
    np.testing.assert_array_equal(ranking.surely_below(), [1, 1, 3, 0])
    np.testing.assert_array_equal(ranking.stays(2), [False, False, True, False])
    np.testing.assert_array_equal(ranking.stays(3), [True, True, True, False])
    assert [ranking.overlap(k) for k in (1, 2, 3, 4)] == [1, 1, 3, 4]
    assert ranking.kendall_tau() == pytest.approx(2 * 5 / 6 - 1)


@pytest.mark.parametrize(("d", "k"), SHAPES)
def test_the_common_move_alone(d, k):
    """A pair keeps its order while the gap is more than sqrt2 times the move, and both move to cross it."""
    rng = np.random.default_rng([d, k, 5])
    h = rng.standard_normal(d)
    for moved in (0.0, 0.1, 0.5, 1.5):
        gaps = h[:, None] - h[None, :]
        below = gaps > math.sqrt(2) * moved
        ranking = known(h, moved)
        np.testing.assert_array_equal(ranking.surely_below(), below.sum(axis=1))
        assert ranking.kendall_tau() == pytest.approx(2 * below.sum() / (d * (d - 1) / 2) - 1, abs=1e-14)


@pytest.mark.parametrize("moved", [0.01, 0.5, 3.0])
def test_a_pair_is_crossed_from_its_critical_move_on(moved):
    gap = math.sqrt(2) * moved
    for factor, expected in ((1 - 1e-6, -1.0), (1 + 1e-6, 1.0)):
        h = np.array([gap * factor, 0.0])
        ranking = known(h, moved)
        assert ranking.kendall_tau() == expected
        assert ranking.overlap(1) == (expected > 0)
        np.testing.assert_array_equal(ranking.stays(1), [expected > 0, False])
    y = np.array([gap * (1 - 1e-6), 0.0]) + moved / math.sqrt(2) * np.array([-1, 1])
    assert y[0] < y[1]  # so it is crossed indeed


def test_kendall_is_tau_a():
    """The oracle here: scipy's tau-b is tau-a where nothing is tied."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(30), rng.standard_normal(30)
    assert tau_a(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-14)
    assert tau_a(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_kendall_falls_to_what_an_order_turned_around_gives(d):
    h = np.arange(d, dtype=np.float64)
    assert known(h, 0.0).kendall_tau() == 1.0
    reverse = float(np.linalg.norm(h - h[::-1]))
    assert known(h, reverse).kendall_tau() == -1.0
    assert tau_a(h, h[::-1]) == -1.0


def test_nothing_moves_nothing_changes():
    h = np.array([0.3, -2.0, 5.0, 1.0, 0.31])
    ranking = known(h, 0.0)
    for k in range(1, 6):
        assert ranking.overlap(k) == k
        assert set(np.flatnonzero(ranking.stays(k))) == set(np.argsort(h)[5 - k :])


@settings(max_examples=50)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.floats(1.0, 3.0), st.data())
def test_certificates_fall_as_moves_grow(d, seed, factor, data):
    k = data.draw(st.integers(1, d))
    ranking = somewhere(np.random.default_rng(seed), d)
    r, more = ranking, ranking.moved * factor
    further = Ranking(r.low, r.high, r.least, r.most, more)
    wider = Ranking(r.low, r.high, r.least - (factor - 1), r.most + (factor - 1), r.moved)
    for weaker in (further, wider):
        assert (weaker.surely_below() <= ranking.surely_below()).all()
        assert weaker.stays(k).sum() <= ranking.stays(k).sum()
        assert weaker.kendall_tau() <= ranking.kendall_tau()
    assert further.overlap(k) <= ranking.overlap(k)
    assert 0 <= ranking.overlap(k) <= k


@settings(max_examples=50)
@given(st.integers(2, 10), st.integers(0, 2**32 - 1), st.data())
def test_features_have_no_order_of_their_own(d, seed, data):
    k = data.draw(st.integers(1, d))
    rng = np.random.default_rng(seed)
    r, p = somewhere(rng, d), rng.permutation(d)
    shuffled = Ranking(r.low[p], r.high[p], r.least[p], r.most[p], r.moved)
    assert shuffled.overlap(k) == r.overlap(k)
    assert shuffled.kendall_tau() == r.kendall_tau()
    np.testing.assert_array_equal(shuffled.stays(k), r.stays(k)[p])


def test_all_features_stay_among_all():
    rng = np.random.default_rng(0)
    for d in (1, 2, 7):
        ranking = somewhere(rng, d, moved=100.0)
        assert ranking.overlap(d) == d
        assert ranking.stays(d).all()
    assert known([1.0], 3.0).kendall_tau() == 1.0


@pytest.mark.parametrize("values", [[1.0] * 5, [3.0, 2.0, 2.0, 1.0], [2.0, 2.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
@pytest.mark.parametrize("moved", [0.0, 0.3, 0.8])
def test_ties_may_be_broken_either_way(values, moved):
    h = np.array(values)
    ranking, rng = known(h, moved), np.random.default_rng(0)
    for k in range(1, len(h)):
        check = checker(ranking, k)
        check(h, h)
        for y in (*exchanges(ranking, h, k), *moves(rng, ranking, h, 20)):
            check(h, y)


def test_ties_by_hand():
    ranking = known([3.0, 2.0, 2.0, 1.0], 0.0)
    assert [ranking.overlap(k) for k in (1, 2, 3, 4)] == [1, 1, 3, 4]
    # Of the six pairs one is tied: tau-a counts it as nothing.
    assert ranking.kendall_tau() == pytest.approx(2 * 5 / 6 - 1)
    assert known(np.ones(4), 0.0).kendall_tau() == -1.0
    np.testing.assert_array_equal(known(np.ones(4), 0.0).stays(2), [False] * 4)


def test_large_maps_are_as_small_ones():
    rng = np.random.default_rng(0)
    small, large = (rng.standard_normal(d) * d**-0.5 for d in (3072, 150_528))
    ranking = Ranking(small - 1e-4, small + 1e-4, small - 2e-3, small + 2e-3, 0.05)
    assert 0.5 < ranking.kendall_tau() < 1
    overlaps = []
    for moved in (1e-4, 1e-3, 0.01, 0.05, 0.2):
        near = Ranking(large - 1e-4, large + 1e-4, large - 1e-4 - moved, large + 1e-4 + moved, moved)
        overlaps.append(near.overlap(1000))
    assert 1000 > overlaps[0] > 0
    assert (np.diff(overlaps) <= 0).all()
    assert overlaps[-1] == 0
