import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh

from attricert.precision import float32_precision, set_float32_precision
from attricert.sampling import CenteredFourth, Columns, Exact, Gram
from attricert.sampling.eigen import largest_eigenvalue
from attricert.sampling.scatter import _lost, _products

WHOLE = 10_000  # more than any number of rows here: one chunk
FARTHEST = 1e4  # more than any norm here
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


def parts(q):
    """A direction, and flags of which four in five are set."""
    rng = np.random.default_rng([5, *q.shape])
    u = torch.from_numpy(rng.standard_normal(q.shape[1]))
    return u / u.norm(), torch.from_numpy(rng.random(len(q)) < 0.8)


def stretched(q, u, inside, stretch=3.0):
    rows = q + (stretch - 1) * torch.outer(q @ u, u)
    return torch.where(inside[:, None], rows, 0.0)


def started(kind, u, chunk=WHOLE, stretch=3.0):
    return Exact.start(u, stretch) if kind == "exact" else Gram(chunk, FARTHEST, u, stretch, regions=True)


def float32_allowance(q):
    """What products of so many columns may be off by (theory 5), in units of the mean square along a direction."""
    return 1.01 * (q.shape[1] + 4) * 2.0**-24 * float((q**2).sum()) / len(q)


def second(q):
    """The exact top for k = 1."""
    q = q.numpy()
    return float(np.linalg.eigvalsh(q.T @ q / len(q))[-1])


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
@pytest.mark.parametrize("kind", ["exact", "gram"])
def test_one_sum_is_exact(law, n, d, kind):
    q = LAWS[law](n, d)
    u, inside = parts(q)
    state = started(kind, u).update(q, inside)
    size = d if kind == "exact" else n
    slack = 1e-9 if size <= FULL_SOLVER else 1.01e-4
    assert state.count == n
    for top, rows in ((state.top(), q), (state.top_inside(), stretched(q, u, inside))):
        expected = second(rows)
        lost = 2 * float32_allowance(q) if kind == "gram" else 0.0
        assert expected * (1 - 1e-14) <= top <= expected * (1 + slack) + 1e-11 * second(q) + lost


@pytest.mark.parametrize("kind", ["exact", "gram"])
def test_nothing_seen_is_zero(kind):
    state = started(kind, torch.eye(3, dtype=torch.float64)[0])
    assert (state.top(), state.top_inside()) == (0.0, 0.0)
    nothing = state.update(torch.zeros(5, 3, dtype=torch.float64), torch.ones(5, dtype=torch.bool))
    underflow = 5 * 3 * 2.0**-122 * FARTHEST**2 if kind == "gram" else 0.0  # what float32 cannot tell from nothing
    assert max(nothing.top(), nothing.top_inside()) <= underflow


@pytest.mark.parametrize("kind", ["exact", "gram"])
def test_all_outside(kind):
    q = normal(30, 4)
    state = started(kind, parts(q)[0]).update(q, torch.zeros(30, dtype=torch.bool))
    assert 0.0 <= state.top_inside() <= 1e-10 * state.top() + float32_allowance(q) * 1.0001


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("d", [2, 3, 5, 30])
@pytest.mark.parametrize("chunk", [WHOLE, 16])
def test_no_direction_has_a_larger_moment(law, d, chunk):
    q = LAWS[law](60, d)
    u, inside = parts(q)
    state = started("gram", u, chunk).update(q, inside)
    assert steepest(q, 1) <= state.top()
    assert steepest(stretched(q, u, inside), 1) <= state.top_inside() * (1 + 1e-14)
    assert steepest(q, 1) == pytest.approx(second(q), rel=1e-6)  # the search is worth its name


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("chunk", [1, 3, 7, 30, 59, 60, 61])
def test_chunks_add_up_and_lose_only_upwards(law, chunk):
    q = LAWS[law](60, 6)
    u, inside = parts(q)
    found = started("gram", u, chunk).update(q, inside)
    for top, rows in ((found.top(), q), (found.top_inside(), stretched(q, u, inside))):
        pieces = [second(part) * len(part) for part in torch.split(rows, chunk)]
        assert math.fsum(pieces) / 60 <= top <= math.fsum(pieces) / 60 + 18 * float32_allowance(q)
        assert top >= second(rows) * (1 - 1e-14)


def test_larger_chunks_are_tighter():
    q = normal(64, 20)
    u, inside = parts(q)
    states = [started("gram", u, chunk).update(q, inside) for chunk in (1, 2, 4, 8, 16, 32, 64)]
    assert (np.diff([s.top() for s in states]) < 0).all()
    assert (np.diff([s.top_inside() for s in states]) < 0).all()
    # One row a chunk keeps nothing but sizes.
    assert states[0].top() == pytest.approx(float((q.norm(dim=1) ** 2).mean()), rel=2 * 1.01 * 24 * 2.0**-24)


@given(st.lists(st.integers(0, 57), max_size=12), st.integers(1, 70))
def test_updates_of_any_size_give_the_same(cuts, chunk):
    q = heavy(57, 4)
    u, inside = parts(q)
    ends = sorted({0, *cuts, 57})
    gram, exact = started("gram", u, chunk), started("exact", u)
    for start, stop in pairwise(ends):
        gram, exact = (state.update(q[start:stop], inside[start:stop]) for state in (gram, exact))
        assert sum(map(len, gram.pending)) == stop % chunk
        assert gram.count == exact.count == stop
    for state, whole in ((gram, started("gram", u, chunk)), (exact, started("exact", u))):
        whole = whole.update(q, inside)
        assert state.top() == pytest.approx(whole.top(), rel=1e-12)
        assert state.top_inside() == pytest.approx(whole.top_inside(), rel=1e-10)


@pytest.mark.parametrize("kind", ["exact", "gram"])
def test_a_state_does_not_change(kind):
    q = normal(25, 3)
    u, inside = parts(q)
    state = started(kind, u, 4).update(q[:10], inside[:10])
    before = (state.top(), state.top_inside())
    state.update(q[10:], inside[10:])
    assert (state.top(), state.top_inside()) == before
    assert state.count == 10


def test_what_is_not_asked_for_is_not_computed():
    q = normal(25, 3)
    u, inside = parts(q)
    state = Gram(10, FARTHEST, u, 2.0, regions=False).update(q, inside)
    assert (state.top() > 0, state.top_inside()) == (True, 0.0)


def fourth(rows, around, sizes=(WHOLE,)):
    state = CenteredFourth.around(around)
    for part in torch.split(rows, list(sizes) if sum(sizes) == len(rows) else len(rows)):
        state = state.update(part)
    return state


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "d"), [(40, 2), (60, 3), (30, 4)])
def test_centered_fourth_moments_are_the_top_of_their_tensor(law, n, d):
    """lambda_max of E F F^T, F = q (x) q - C, the d^2 x d^2 matrix itself, plus lambda^2 (theory 3e)."""
    q, pilot = LAWS[law](n, d), LAWS[law](50, d, seed=1)
    c = (pilot.T @ pilot / 50).numpy()
    f = np.einsum("ni,nj->nij", q.numpy(), q.numpy()) - c
    f = f.reshape(n, -1)
    expected = np.linalg.eigvalsh(f.T @ f / n)[-1] + second(q) ** 2
    found = fourth(q, pilot).top(second(q))
    assert expected * (1 - 1e-12) <= found <= expected * (1 + 1e-8)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("d", [2, 3, 5, 30])
def test_no_direction_has_a_larger_fourth_moment(law, d):
    q, pilot = LAWS[law](60, d), LAWS[law](50, d, seed=1)
    found = fourth(q, pilot).top(second(q))
    assert steepest(q, 2) <= found
    assert steepest(q, 2) <= fourth(q, pilot, [7, 23, 30]).top(second(q))


def test_fourth_moments_in_chunks_lose_only_upwards(monkeypatch):
    q, pilot = heavy(60, 5), heavy(50, 5, seed=1)
    whole = fourth(q, pilot).top(second(q))
    monkeypatch.setattr("attricert.sampling.fourth._CHUNK", 16)
    split, uneven = fourth(q, pilot), fourth(q, pilot, [1, 30, 29])
    assert split.top(second(q)) >= whole * (1 - 1e-12)
    assert uneven.top(second(q)) == pytest.approx(split.top(second(q)), rel=1e-12)
    assert uneven.count == 60


def test_centering_is_worth_it():
    """The uncentered tensor is loose by the effective rank."""
    q, pilot = normal(2000, 20), normal(1000, 20, seed=1)
    nothing = torch.zeros(1, 20, dtype=torch.float64)
    flat = fourth(q, nothing).top(0.0)
    assert fourth(q, pilot).top(second(q)) < 0.8 * flat


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
    states = [Columns.of(part, part.sum(0)) for part in torch.split(torch.from_numpy(rows), sizes)]
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


@pytest.mark.parametrize("choice", ["legacy", "new"])
def test_products_in_float32_are_within_their_allowance_whatever_precision_is_chosen(choice):
    """Against float64, for rows whose rounding errors do not cancel; without the guard bfloat16 would exceed it."""
    n, d = 200, 3000
    q = torch.from_numpy(np.random.default_rng(2).uniform(0.5, 1, (n, d)))
    q /= q.norm(dim=1).max()
    before = float32_precision()
    try:
        if choice == "legacy":
            torch.set_float32_matmul_precision("medium")
        else:
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        chosen = float32_precision()
        gram = _products(list(torch.split(q.float(), 70)))
        assert float32_precision() == chosen
    finally:
        set_float32_precision(before)
    true = q @ q.T
    off, lost = float(torch.linalg.matrix_norm(gram - true, 2)), _lost(gram, d)
    assert off <= lost
    assert lost == pytest.approx(1.01 * 1028 * 2.0**-24 * float((q**2).sum()), rel=1e-3)
    coarse = (q.bfloat16() @ q.bfloat16().T).double()
    assert float(torch.linalg.matrix_norm(coarse - true, 2)) > 3 * lost


def test_rows_of_any_size_are_as_good_as_others():
    """In units of the largest: squares of tiny entries would underflow in float32."""
    q = normal(30, 5)
    u, inside = parts(q)
    for size in (1e-60, 1e60):
        small = Gram(10, size * 10, u, 3.0, regions=True).update(size * q, inside)
        usual = Gram(10, 10.0, u, 3.0, regions=True).update(q, inside)
        assert small.top() == pytest.approx(size**2 * usual.top(), rel=1e-6)
        assert small.top_inside() == pytest.approx(size**2 * usual.top_inside(), rel=1e-6)
