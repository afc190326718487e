"""Sizes of perturbations that tell something, for any noise."""

from __future__ import annotations

from attricert.noise.laws import Gaussian, Noise

__all__ = ["telling_sizes"]

# In deviations of Gaussian noise: little is certified of any map beyond half of one, and a tenth of one is certified of
# most maps of which anything is.
_FRACTIONS = (0.1, 0.25, 0.5)
_UNIT = Gaussian(1.0)


def telling_sizes(noise: Noise, d: int) -> tuple[float, ...]:
    """At which eps a certificate is worth a look, whatever the input's size: 0.1, 0.25 and 0.5 sigma.

    For other noise, the shifts that lose as much of its mass as these do of a Gaussian's. Rounded to two digits.

    Args:
        noise: the smoothing noise.
        d: dimension of the input.

    Returns:
        l2 sizes in input units, ascending.
    """
    return tuple(float(f"{float(noise.shift_of(_UNIT.lost_mass(part, d), d)):.2g}") for part in _FRACTIONS)
