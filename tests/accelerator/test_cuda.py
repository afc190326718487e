"""On an accelerator: the same certificates up to sampling error, sound products, few waits, less memory where it lacks.

All is skipped where there is none; `pytest tests/accelerator` on a machine with a GPU runs it.
"""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch

import attricert as ac
from attricert.sampling import Gram

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

NOISES = [ac.Gaussian(0.125), ac.UniformBall(3.0)]


@pytest.fixture
def pictures(digits):
    return digits.images[:3]


@pytest.fixture(autouse=True)
def at_home(model):
    """The tests' model is shared: it goes back to the CPU."""
    yield
    model.cpu()


def certificate(model, pictures, noise, device, n=6_000, seed=1, **settings):
    model = model.to(device)
    x = pictures.to(device)
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), noise, **settings)
    return smoothed.certify(x, model(x).argmax(dim=1), n_samples=n, seed=seed)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_certificates_are_those_of_the_cpu_up_to_sampling_error(model, pictures, noise):
    there = certificate(model, pictures, noise, "cuda")
    here = certificate(model, pictures, noise, "cpu")
    again = certificate(model, pictures, noise, "cpu", seed=2)
    other = certificate(model, pictures, type(noise)(2 * noise.scale), "cpu")

    def apart(one, two):
        """Of the maps, in units of their length; and of the largest sizes, relative."""
        a, b = (c.evidence.maps.mean.reshape(3, -1) for c in (one, two))
        maps = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        return maps.max(), np.abs(one.max_eps(0.9) / two.max_eps(0.9) - 1).max()

    by_chance, by_device, by_noise = apart(here, again), apart(here, there), apart(here, other)
    assert by_device[0] < 1.5 * by_chance[0]
    assert by_device[1] < 0.05
    assert by_noise[0] > 1.5 * by_chance[0]  # what differs is seen
    assert by_noise[1] > 0.05


def test_draws_do_not_depend_on_the_batch_size(model, pictures):
    one, two = (
        certificate(model, pictures[:1], NOISES[0], "cuda", n=2_000, batch_size=size).max_eps(0.9)[0]
        for size in (64, 333)
    )
    assert one == pytest.approx(two, rel=1e-3)  # convolutions are computed in another order, in TF32


@pytest.mark.parametrize("name", ["top", "top_inside"])
def test_products_are_within_their_allowance_though_users_allow_tf32(name):
    g = torch.Generator("cuda").manual_seed(0)
    u = torch.nn.functional.normalize(torch.randn(6_000, generator=g, device="cuda", dtype=torch.float64), dim=0)
    rows = torch.randn(400, 6_000, generator=g, device="cuda", dtype=torch.float64)
    rows = rows / (2 * rows.norm(dim=1, keepdim=True)) + 0.5 * u
    inside = torch.arange(400) % 3 > 0
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        state = Gram(1_000, 1.0, u, 2.0, True).update(rows, inside)
        found = getattr(state, name)()
        assert torch.backends.cuda.matmul.allow_tf32  # as the user has it
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    stretched = (rows + torch.outer(rows @ u, u))[inside.cuda()]
    seen = rows if name == "top" else stretched
    exact = float(torch.linalg.eigvalsh(seen @ seen.T)[-1]) / 400
    assert exact <= found <= 1.001 * exact


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_certified_as_declared(model, pictures, dtype):
    plain = certificate(model, pictures, NOISES[0], "cuda")
    half = certificate(ac.Autocast(model, dtype), pictures, NOISES[0], "cuda")
    assert half.terms.autocast == dtype
    assert half.max_eps(0.9) == pytest.approx(plain.max_eps(0.9), rel=0.1)


def test_a_chunk_is_waited_for_once(model, pictures):
    def seen(chunks):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                certificate(model, pictures[:1], NOISES[0], "cuda", n=chunks * 8 * 64, batch_size=64)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return Counter(f"{w.filename}:{w.lineno}" for w in found if "synchronizing" in str(w.message))

    few, many = seen(20), seen(60)
    more = many - few
    assert sum(more.values()) <= 40 + 3, more.most_common()


def test_where_memory_does_not_suffice_batches_are_halved(model, pictures):
    expected = certificate(model, pictures[:1], NOISES[0], "cuda", n=4_000, batch_size=128).max_eps(0.9)[0]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * 2**30 / torch.cuda.mem_get_info()[1])
    try:
        found = certificate(model, pictures[:1], NOISES[0], "cuda", n=4_000, batch_size=4_000).max_eps(0.9)[0]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found == pytest.approx(expected, rel=1e-3)


def test_random_attributions_have_uniforms_there(model, pictures):
    model = model.cuda()
    x, one = pictures[:1].cuda(), ac.StochasticIntegratedGradients(model)
    smoothed = ac.SmoothedAttribution(one, NOISES[0])
    assert smoothed.certify(x, int(model(x).argmax()), n_samples=2_000, seed=0).norm[0] > 0
