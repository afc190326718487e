"""Words for attributions; importing them, and what they stand for, needs no torch, but calling does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attricert.registry import Registry

if TYPE_CHECKING:
    from attricert.attributions.base import Attribution

__all__ = ["ATTRIBUTIONS"]

ATTRIBUTIONS: Registry[Attribution] = Registry("attribution")
"""Words for attributions, made from a model and perhaps parameters; the first is the default."""
