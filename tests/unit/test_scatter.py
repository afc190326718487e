import math
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh

from attricert.sampling import Columns, Exact, Gram
from attricert.sampling.eigen import largest_eigenvalue

POWERS = (1, 2, 3)
WHOLE = 10_000  # more than any number of rows here: one chunk
FULL_SOLVER = 64  # sizes up to which the top is exact but for rounding


def normal(n, d, seed=0):
    return torch.from_numpy(np.random.default_rng([seed, n, d]).standard_normal((n, d)) * np.linspace(0.3, 1, d))


def heavy(n, d, seed=0):
    rng = np.random.default_rng([seed, n, d, 1])
    return torch.from_numpy(rng.standard_normal((n, d)) * rng.pareto(2, (n, 1)))


def line(n, d, seed=0):
    """Rank one."""
    rng = np.random.default_rng([seed, n, d, 2])
    v = rng.standard_normal(d)
    return torch.from_numpy(np.outer(rng.uniform(-1, 1, n), v / np.linalg.norm(v)))


def sphere(n, d, seed=0):
    q = normal(n, d, seed)
    return q / q.norm(dim=1, keepdim=True)


LAWS = {"normal": normal, "heavy": heavy, "line": line, "sphere": sphere}


def gram(q, chunk=WHOLE, powers=POWERS, radius=math.inf):
    return Gram.start(powers, chunk, radius).update(q)


def second(q):
    """The exact top for k = 1."""
    q = q.numpy()
    return float(np.linalg.eigvalsh(q.T @ q / len(q))[-1])


def relaxed(q, k):
    """lambda_max of E (q x ... x q)(q x ... x q)^T, the d^k x d^k matrix itself."""
    rows = q.numpy()
    tensors = rows
    for _ in range(k - 1):
        tensors = np.einsum("ni,nj->nij", tensors, rows).reshape(len(rows), -1)
    return float(np.linalg.eigvalsh(tensors.T @ tensors / len(rows))[-1])


def steepest(q, k, starts=100, steps=40):
    """The largest mean (v.q)^2k that ascents from random directions, and from the rows, come to."""
    q = q.numpy()
    v = np.concatenate([np.random.default_rng(3).standard_normal((starts, q.shape[1])), q[np.abs(q).sum(1) > 0]])
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    for _ in range(steps):
        v = (v @ q.T) ** (2 * k - 1) @ q
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    return float(((v @ q.T) ** (2 * k)).mean(axis=1).max())


def symmetric(values, seed=0):
    n = len(values)
    basis, _ = np.linalg.qr(np.random.default_rng([seed, n]).standard_normal((n, n)))
    a = basis * values @ basis.T
    return (a + a.T) / 2


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (50, 3), (7, 40), (300, 64), (200, 150)])
def test_exact(law, n, d):
    q = LAWS[law](n, d)
    state = Exact.start(q[0]).update(q)
    top, expected = state.tops()[1], second(q)
    assert list(state.tops()) == [1]
    assert expected <= top <= expected * (1 + (1e-9 if d <= FULL_SOLVER else 1.01e-4))
    assert state.largest == pytest.approx(float((q.numpy() ** 2).sum(axis=1).max()), rel=1e-14)
    assert state.count == n


def test_exact_in_any_pieces_and_any_order():
    q = normal(90, 8)
    whole = Exact.start(q[0]).update(q)
    parts = [Exact.start(q[0]).update(p) for p in torch.split(q, [1, 30, 59])]
    piecewise = Exact.start(q[0]).update(q[:13]).update(q[13:14]).update(q[14:])
    joined = [a.merge(b).merge(c) for a, b, c in permutations(parts)]
    for state in (piecewise, *joined):
        assert state.count == 90
        assert state.largest == whole.largest
        assert state.tops()[1] == pytest.approx(whole.tops()[1], rel=1e-13)
        assert state.tops()[1] >= second(q)
    assert [s.count for s in parts] == [1, 30, 59]  # unchanged


def test_nothing_seen_is_zero():
    assert Exact.start(torch.zeros(3, dtype=torch.float64)).tops() == {1: 0.0}
    assert Gram.start((1, 2), 10).tops() == {1: 0.0, 2: 0.0}
    assert gram(torch.zeros(5, 3, dtype=torch.float64)).tops() == {1: 0.0, 2: 0.0, 3: 0.0}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (20, 3), (64, 64), (7, 500), (150, 20)])
def test_one_chunk_is_exact_for_second_moments(law, n, d):
    q = LAWS[law](n, d)
    state = gram(q)
    top, expected = state.tops()[1], second(q)
    assert expected <= top <= expected * (1 + (1e-9 if n <= FULL_SOLVER else 1.01e-4))
    assert state.largest == pytest.approx(float((q.numpy() ** 2).sum(axis=1).max()), rel=1e-14)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "d"), [(40, 2), (60, 3), (12, 4)])
@pytest.mark.parametrize("k", [2, 3])
def test_powers_are_the_top_of_the_moment_tensor(law, n, d, k):
    q = LAWS[law](n, d)
    top = gram(q).tops()[k]
    expected = relaxed(q, k)
    assert expected * (1 - 1e-12) <= top <= expected * (1 + 1e-9)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("d", [2, 3, 5, 30])
@pytest.mark.parametrize("k", POWERS)
@pytest.mark.parametrize("chunk", [WHOLE, 16])
def test_no_direction_has_a_larger_moment(law, d, k, chunk):
    q = LAWS[law](60, d)
    found, top = steepest(q, k), gram(q, chunk).tops()[k]
    assert found <= top
    # The search is worth its name: second moments have no other local maximum.
    assert k > 1 or found == pytest.approx(second(q), rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 17])
@pytest.mark.parametrize("chunk", [1, 5, WHOLE])
def test_on_a_line_every_power_is_the_mean_power(d, chunk):
    """All chunks have the same best direction: nothing is lost."""
    q = line(50, d)
    sizes = q.norm(dim=1).numpy()
    for k, top in gram(q, chunk).tops().items():
        expected = float((sizes ** (2 * k)).mean())
        assert expected <= top * (1 + 1e-13)
        assert top <= expected * (1 + 1e-9)


def test_orthogonal_rows_are_best_met_one_at_a_time():
    q = torch.diag(torch.tensor([1.0, 3.0, 2.0, 3.0], dtype=torch.float64))
    for k, top in gram(q).tops().items():
        assert top == pytest.approx(9.0**k / 4, rel=1e-12)
    for k, top in gram(q, 2).tops().items():
        assert top == pytest.approx(2 * 9.0**k / 4, rel=1e-12)
    for k, top in gram(q, 1).tops().items():
        assert top == pytest.approx((1 + 4.0**k + 2 * 9.0**k) / 4, rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("chunk", [1, 3, 7, 30, 59, 60, 61])
def test_chunks_add_up_and_lose_only_upwards(law, chunk):
    q = LAWS[law](60, 6)
    whole, found = gram(q).tops(), gram(q, chunk).tops()
    for k in POWERS:
        parts = [np.linalg.eigvalsh((part @ part.T).numpy() ** k)[-1] for part in torch.split(q, chunk)]
        assert found[k] == pytest.approx(math.fsum(parts) / 60, rel=1e-9)
        assert found[k] >= np.linalg.eigvalsh((q @ q.T).numpy() ** k)[-1] / 60 * (1 - 1e-12)
        if chunk >= 60:
            assert found[k] == whole[k]
    assert found[1] >= second(q)


@pytest.mark.parametrize("k", POWERS)
def test_larger_chunks_are_tighter(k):
    q = normal(64, 20)
    tops = [gram(q, chunk).tops()[k] for chunk in (1, 2, 4, 8, 16, 32, 64)]
    assert (np.diff(tops) < 0).all()
    # One row a chunk keeps nothing but sizes.
    assert tops[0] == pytest.approx(float((q.norm(dim=1) ** (2 * k)).mean()), rel=1e-12)


@given(st.lists(st.integers(0, 57), max_size=12), st.integers(1, 70))
def test_updates_of_any_size_give_the_same(cuts, chunk):
    q, radius = heavy(57, 4), 3.0
    ends = sorted({0, *cuts, 57})
    state = Gram.start(POWERS, chunk, radius)
    for start, stop in pairwise(ends):
        state = state.update(q[start:stop])
        assert sum(map(len, state.pending)) == stop % chunk
        assert state.count == stop
    whole = gram(q, chunk, radius=radius)
    assert (state.count, state.outside, state.largest) == (57, whole.outside, whole.largest)
    assert 0 < state.outside < 57
    for k, top in state.tops().items():
        assert top == pytest.approx(whole.tops()[k], rel=1e-12)


def test_a_state_does_not_change():
    q = normal(25, 3)
    state = gram(q[:10], 4)
    before = state.tops()
    state.update(q[10:])
    state.merge(gram(q[10:], 4))
    assert state.tops() == before
    assert state.count == 10


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("chunk", [3, WHOLE])
def test_merged_in_any_order_it_is_still_an_upper_bound(law, chunk):
    q = LAWS[law](60, 4)
    radius = float(q.norm(dim=1).sort().values[-4]) * (1 + 1e-9)
    inside = torch.where(q.norm(dim=1, keepdim=True) <= radius, q, 0.0)
    tops = {k: relaxed(inside, k) for k in POWERS}
    pieces = torch.split(q, [7, 23, 30])
    for order in permutations(gram(p, chunk, radius=radius) for p in pieces):
        joined = order[0].merge(order[1]).merge(order[2])
        nested = order[0].merge(order[1].merge(order[2]))
        for state in (joined, nested):
            assert (state.count, state.outside) == (60, int((q.norm(dim=1) > radius).sum()))
            assert state.largest <= radius**2
            assert state.tops()[1] >= second(inside)
            for k, top in state.tops().items():
                assert top >= tops[k] * (1 - 1e-12)
                apart = sum(s.count * s.tops()[k] for s in order) / 60
                assert top == pytest.approx(apart, rel=1e-12)


def test_merging_nothing_changes_nothing():
    q = normal(20, 3)
    state, nothing = gram(q, 7), Gram.start(POWERS, 7)
    for joined in (state.merge(nothing), nothing.merge(state)):
        assert joined.count == 20
        assert joined.tops() == pytest.approx(dict(state.tops()), rel=1e-13)


def test_after_a_merge_more_rows_can_come():
    q = normal(40, 3)
    state = gram(q[:9], 4).merge(gram(q[9:20], 4)).update(q[20:])
    assert state.count == 40
    assert state.tops()[1] >= second(q)
    expected = sum(second(p) * len(p) for p in torch.split(q, [4, 4, 1, 4, 4, 3, 4, 4, 4, 4, 4])) / 40
    assert state.tops()[1] == pytest.approx(expected, rel=1e-9)


def test_rows_beyond_the_radius_count_as_zero():
    q = torch.tensor([[3.0, 4.0], [0.0, 5.000001], [1.0, 0.0], [-6.0, 0.0]], dtype=torch.float64)
    state = gram(q, radius=5.0)
    assert (state.count, state.outside, state.largest) == (4, 2, 25.0)  # the first lies on the sphere: inside
    kept = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    for k, top in state.tops().items():
        assert top == pytest.approx(relaxed(kept, k) * 2 / 4, rel=1e-12)
    # What is left out would have mattered.
    assert gram(q).tops()[1] > 1.9 * state.tops()[1]
    assert gram(q).outside == 0


def test_all_beyond_the_radius():
    state = gram(normal(6, 3) + 10, radius=1.0)
    assert (state.count, state.outside, state.largest) == (6, 6, 0.0)
    assert state.tops() == {1: 0.0, 2: 0.0, 3: 0.0}


SPECTRA = {
    "one": [2.5],
    "two": [1.0, 1.0 + 1e-12],
    "small": np.linspace(0, 1, 20),
    "at the limit": np.geomspace(1e-9, 3, 64),
    "beyond it": np.geomspace(1e-9, 3, 65),
    "flat": np.ones(150),
    "nearly flat": 1 + 1e-7 * np.linspace(0, 1, 200),
    "close pair": np.r_[np.linspace(0, 0.9, 148), 1 - 1e-5, 1.0],
    "rank one": np.r_[np.zeros(149), 1.0],
    "rank three, tied": np.r_[np.zeros(147), 1.0, 1.0, 1.0],
    "steep": np.geomspace(1e-12, 1, 200),
    "tiny": 1e-30 * np.linspace(0, 1, 100),
    "huge": 1e30 * np.linspace(0, 1, 100),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("rotated", [True, False])
def test_largest_eigenvalue(name, rotated):
    values = np.asarray(SPECTRA[name], dtype=np.float64)
    a = symmetric(values) if rotated else np.diag(values)
    found = largest_eigenvalue(torch.from_numpy(a))
    assert np.linalg.eigvalsh(a)[-1] <= found <= values.max() * 1.00011
    assert found >= values.max() * (1 - (1e-14 if rotated else 0))


@pytest.mark.parametrize("seed", range(12))
def test_largest_eigenvalue_of_random_gram_matrices(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 160)), int(rng.integers(1, 200))
    q = rng.standard_normal((n, d)) * rng.pareto(1.5, (n, 1))
    a = (q @ q.T) ** int(rng.integers(1, 4))
    found, top = largest_eigenvalue(torch.from_numpy((a + a.T) / 2)), np.linalg.eigvalsh((a + a.T) / 2)[-1]
    assert top <= found <= top * 1.00011


@pytest.mark.parametrize("n", [1, 5, 100])
def test_largest_eigenvalue_of_zero(n):
    assert largest_eigenvalue(torch.zeros(n, n, dtype=torch.float64)) == 0.0


def hidden(n=100, size=1.0):
    """The constant vector, from which Lanczos starts, is an eigenvector; the largest one is orthogonal to it."""
    ones = np.full((n, 1), 1 / math.sqrt(n))
    away = np.zeros((n, 1))
    away[0], away[1] = 1 / math.sqrt(2), -1 / math.sqrt(2)
    return 0.5 * ones @ ones.T + size * away @ away.T


@pytest.mark.parametrize("size", [0.4, 0.51, 1.0, 1e6])
def test_largest_eigenvalue_is_found_where_the_start_does_not_point(size):
    found = largest_eigenvalue(torch.from_numpy(hidden(size=size)))
    assert max(size, 0.5) <= found * (1 + 1e-15)
    assert found <= max(size, 0.5) * 1.00011


def test_largest_eigenvalue_with_a_start_in_the_kernel():
    n = 100
    a = np.eye(n) - 1 / n
    found = largest_eigenvalue(torch.from_numpy(a))
    assert 1 <= found <= 1.00011


def test_lanczos_and_power_iterations_alone_are_too_low():
    """The controls: these would be no upper bounds."""
    values = np.r_[np.linspace(0, 0.999, 299), 1.0]
    a, start = symmetric(values), np.ones(300)
    lanczos = float(eigsh(a, k=1, which="LA", v0=start, tol=1e-2, return_eigenvectors=False)[0])
    v = start
    for _ in range(50):
        v = a @ v
        v /= np.linalg.norm(v)
    power = float(v @ a @ v)
    top = np.linalg.eigvalsh(a)[-1]
    assert lanczos < top * (1 - 1e-6)
    assert power < top * (1 - 1e-3)
    assert top <= largest_eigenvalue(torch.from_numpy(a)) <= top * 1.00011


def test_a_wrong_guess_is_not_believed(monkeypatch):
    """Whatever Lanczos says, or that it fails."""
    a = torch.from_numpy(symmetric(np.linspace(0, 1, 120)))
    for guess in (0.0, 0.5, 0.9998, None):
        monkeypatch.setattr("attricert.sampling.eigen._lanczos", lambda _, guess=guess: guess)
        assert 1 - 1e-15 <= largest_eigenvalue(a) <= 1.00011
    monkeypatch.setattr("attricert.sampling.eigen._lanczos", lambda _: 0.99995)
    assert 1 - 1e-15 <= largest_eigenvalue(a) <= 1.00011


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_columns(sizes, r, seed):
    rows = np.random.default_rng(seed).standard_normal((sum(sizes), r))
    states = [Columns.of(part) for part in torch.split(torch.from_numpy(rows), sizes)]
    joined = states[0]
    for state in states[1:]:
        joined = joined.merge(state)
    backwards = states[-1]
    for state in states[-2::-1]:
        backwards = state.merge(backwards)
    for found in (joined, backwards):
        assert found.count == len(rows)
        np.testing.assert_allclose(found.total, rows.sum(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.squares, (rows**2).sum(axis=0), rtol=1e-13)
        np.testing.assert_array_equal(found.low, rows.min(axis=0))
        np.testing.assert_array_equal(found.high, rows.max(axis=0))
