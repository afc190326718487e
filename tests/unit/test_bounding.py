import pytest
import torch

import attricert as ac


def test_normalize_gives_unit_norm_and_keeps_direction():
    rows = torch.randn(50, 7, dtype=torch.float64) * 10 ** torch.linspace(-30, 30, 50, dtype=torch.float64)[:, None]
    out = ac.Normalize()(rows)
    assert torch.allclose(out.norm(dim=1), torch.ones(50, dtype=torch.float64), atol=1e-14, rtol=0)
    assert torch.allclose(out, rows / rows.norm(dim=1, keepdim=True))


def test_clip_shortens_long_rows_only():
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4]], dtype=torch.float64)
    assert torch.allclose(ac.Clip(1.0)(rows), torch.tensor([[0.6, 0.8], [0.3, 0.4]], dtype=torch.float64))
    assert ac.Clip(1.5).max_norm == 1.5


@pytest.mark.parametrize("bound", [ac.Normalize(), ac.Clip(0.1)])
def test_zero_and_nonfinite_rows_become_zero_and_nothing_else_does(bound):
    rows = torch.tensor(
        [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [1e-300, 0.0], [1e200, 0.0], [1.0, 0.0]],
        dtype=torch.float64,
    )
    out = bound(rows)
    assert out[:5].abs().max() == 0
    assert out[5, 0] == bound.max_norm


@pytest.mark.parametrize("bad", [0, -2.0, float("nan")])
def test_bad_clip_is_refused(bad):
    with pytest.raises(ac.ArgumentError, match="^max_norm="):
        ac.Clip(bad)
