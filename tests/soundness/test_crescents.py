"""Theory 9.1: on the crescents the sound bound is attained, and the printed one is violated."""

import pytest
import torch
from functions import crescents

import attricert as ac
from attricert.certificates import paper

CASES = [(2, 1.0, 0.3), (2, 2.5, 0.5), (5, 1.0, 0.2), (20, 1.0, 0.1)]


def setting(d, r, eps):
    noise = ac.UniformBall(r)
    g, true = crescents(d, r, eps, float(noise.lost_mass(eps, d)))
    sm = ac.SmoothedAttribution(ac.wrap(g), noise, bound=ac.Clip(1.0))
    x = torch.zeros(1, d, dtype=torch.float64)
    moved = x.clone()
    moved[0, 0] = eps
    return sm, x, moved, true


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("confidence", ["betting", "hoeffding", "bernstein"])
def test_sound_is_never_crossed_and_printed_is(case, confidence):
    sm, x, _, true = setting(*case)
    certificate = sm.certify(x, n_samples=40_000, seed=0, confidence=confidence)
    sound = certificate.cosine(case[2])[0]
    assert sound <= true
    assert sound >= true - 0.1  # attained, up to sampling
    paper._warn_once.cache_clear()
    with pytest.warns(ac.NotABoundWarning):
        theorem = ac.PaperCertificate(certificate.evidence)
    printed = theorem.cosine(case[2])[0]
    assert printed > true + 0.05


def test_the_worked_example_in_numbers():
    """r = 1, eps = 0.3, M = 1 in the plane: the true cosine is 0.745, the theorem prints 0.832."""
    sm, x, moved, true = setting(2, 1.0, 0.3)
    here, there = (sm.attribute(point, n_samples=200_000, seed=1) for point in (x, moved))
    cosine = float(torch.nn.functional.cosine_similarity(here, there))
    assert true == pytest.approx(0.745, abs=5e-4)
    assert cosine == pytest.approx(true, abs=0.01)
    norm, displacement = float(here.norm()), 2 * float(sm.noise.lost_mass(0.3, 2))
    assert norm / (norm**2 + displacement**2) ** 0.5 == pytest.approx(0.832, abs=0.005)
    assert cosine < 0.8
