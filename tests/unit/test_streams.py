import math

import numpy as np
import pytest
import torch

from attricert.streams import Stream, _DeviceRng, sample_key

CPU = torch.device("cpu")


def rows(seed=0, sample="a", stage="main", start=0, stop=16, dtype=torch.float32):
    return Stream(seed, sample, stage).rows(start, stop, dtype, CPU)


def test_the_same_key_gives_the_same_numbers():
    assert torch.equal(rows().normal(8), rows().normal(8))
    assert torch.equal(rows().uniform(), rows().uniform())


def test_any_other_key_gives_other_numbers():
    base = rows()
    for other in (rows(seed=1), rows(sample="b"), rows(stage="pilot"), rows(start=16, stop=32)):
        assert not torch.isclose(base.normal(8), other.normal(8), rtol=1e-6).any()
        assert not torch.isclose(base.uniform(), other.uniform(), rtol=1e-9).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 784])
def test_any_part_of_a_stream_is_the_same_part(dtype, d):
    whole = rows(stop=40, dtype=dtype)
    for start, stop in ((0, 1), (3, 17), (39, 40)):
        part = rows(start=start, stop=stop, dtype=dtype)
        assert torch.equal(part.normal(d), whole.normal(d)[start:stop])
        assert torch.equal(part.uniform(), whole.uniform()[start:stop])
        assert part.normal(d).shape == (stop - start, d)


def test_no_two_rows_share_numbers():
    """Each row's raw words are a stretch of the sequence of its own."""
    words = rows(stop=50)._words(12, b"normal")
    assert len(np.unique(words)) == words.size
    assert not np.isin(rows(stop=50)._words(12, b"uniform"), words).any()


def test_normals_by_hand():
    """Box and Muller from the raw words, in plain floats."""
    rng = rows(start=5, stop=6, dtype=torch.float64)
    words = [int(w) - 2**64 if w >= 2**63 else int(w) for w in rng._words(4, b"normal")[0]]
    radius = [math.sqrt(-2 * math.log((abs(w) + 0.5) / 2**63)) for w in words[:2]]
    angle = [math.pi * w / 2**63 for w in words[2:]]
    expected = [r * math.cos(a) for r, a in zip(radius, angle, strict=True)]
    expected += [r * math.sin(a) for r, a in zip(radius, angle, strict=True)]
    np.testing.assert_allclose(rng.normal(4)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(rng.normal(3)[0], rng.normal(4)[0, :3])


def test_float64_has_float64_resolution():
    values = rows(dtype=torch.float64).normal(8)
    assert values.dtype == torch.float64
    assert not torch.equal(values.float().double(), values)


def test_sample_keys_tell_contents_apart():
    x = torch.rand(3, 4)
    assert sample_key(x) == sample_key(x.clone())
    assert len({sample_key(x), sample_key(x + 1e-6), sample_key(x.reshape(4, 3)), sample_key(x.double())}) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_accelerator_streams_keep_the_same_promises(dtype):
    """The code that runs on CUDA, run here on the CPU's generators."""

    def part(start, stop, key=b"k"):
        return _DeviceRng(key, start, stop, dtype, CPU)

    whole = part(0, 700)
    assert whole.normal(5).dtype == dtype
    for start, stop in ((0, 1), (250, 260), (256, 512), (699, 700)):
        assert torch.equal(part(start, stop).normal(5), whole.normal(5)[start:stop])
        assert torch.equal(part(start, stop).uniform(), whole.uniform()[start:stop])
    assert len(whole.normal(5).unique(dim=0)) == 700  # single numbers of float32 may come twice
    assert not torch.isclose(part(0, 700, b"other").normal(5), whole.normal(5), rtol=1e-6).any()
    assert abs(float(whole.normal(50).mean())) < 0.03
    assert float(whole.normal(50).std()) == pytest.approx(1, abs=0.02)
