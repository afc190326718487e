"""Numbers for people, rounded to the safe side."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

__all__ = ["rounded", "short", "shown"]

_ROUNDING = {"down": ROUND_FLOOR, "up": ROUND_CEILING, "nearest": ROUND_HALF_EVEN}


def rounded(value: float | Decimal, digits: int, rounding: str) -> str:
    """A number with so many digits after the point.

    Args:
        value: the number.
        digits: after the point.
        rounding: ``"down"`` for lower bounds, ``"up"`` for upper ones, ``"nearest"`` for all else.
    """
    exact = Decimal(value)
    if not exact.is_finite():
        return str(float(exact))
    return str(exact.quantize(Decimal(10) ** -digits, rounding=_ROUNDING[rounding]))


def shown(value: float | Decimal, digits: int = 4) -> str:
    """A lower bound, rounded down."""
    return rounded(value, digits, "down")


def short(value: float | Decimal, rounding: str = "down", digits: int = 3) -> str:
    """A number with so many digits that count, whatever its size; lower bounds are rounded down."""
    exact = Decimal(value)
    if not exact or not exact.is_finite():
        return f"{float(exact):g}"
    found = exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=_ROUNDING[rounding])
    return f"{found:f}" if -5 <= exact.adjusted() <= 6 else str(found)
