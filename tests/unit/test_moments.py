import numpy as np
import torch

from attricert.moments import Moments, no_moments


def test_in_pieces_as_in_one_go():
    rows = np.random.default_rng(0).standard_normal((1000, 5)) + 1e6
    moments = no_moments(torch.zeros(5), variances=True)
    for part in np.array_split(rows, 7):
        moments = moments.update(torch.from_numpy(part))
    assert moments.count == 1000
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-14)
    # E[x^2] - E[x]^2 would have lost all but four digits here.
    np.testing.assert_allclose(moments.variance, rows.var(axis=0, ddof=1), rtol=1e-9)


def test_merging_is_updating():
    a, b = np.random.default_rng(1).standard_normal((2, 40, 3))
    both = Moments.of(a, variances=True).merge(Moments.of(b, variances=True))
    whole = Moments.of(np.concatenate([a, b]), variances=True)
    np.testing.assert_allclose(both.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(both.squares, whole.squares, rtol=1e-13)
