import numpy as np
import torch

from attricert.streams import Stream, sample_key

CPU = torch.device("cpu")


def numbers(seed=0, sample="a", stage="main", block=0, dtype=torch.float32):
    return Stream(seed, sample, stage).rng(block, dtype, CPU).normal(16, 8)


def test_the_same_key_gives_the_same_numbers():
    assert torch.equal(numbers(), numbers())


def test_any_other_key_gives_other_numbers():
    base = numbers()
    for other in (numbers(seed=1), numbers(sample="b"), numbers(stage="pilot"), numbers(block=1)):
        assert not torch.isclose(base, other).any()


def test_blocks_are_disjoint_ranges_of_one_generator():
    """Block b starts 2^64 b counters into the key's sequence, whatever was drawn before it."""
    rng = Stream(3, "x", "main").rng(5, torch.float64, CPU)
    key = np.frombuffer(Stream(3, "x", "main")._digest(), dtype=np.uint64)
    reference = np.random.Philox(key=key)
    reference.advance(5 * 2**64)
    expected = np.random.Generator(reference).standard_normal((4, 4))
    np.testing.assert_array_equal(rng.normal(4, 4).numpy(), expected)


def test_float64_has_float64_resolution():
    values = numbers(dtype=torch.float64)
    assert values.dtype == torch.float64
    assert not torch.equal(values.float().double(), values)


def test_sample_keys_tell_contents_apart():
    x = torch.rand(3, 4)
    assert sample_key(x) == sample_key(x.clone())
    assert len({sample_key(x), sample_key(x + 1e-6), sample_key(x.reshape(4, 3)), sample_key(x.double())}) == 4
