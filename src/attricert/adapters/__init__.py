"""Smoothed maps in the forms that other libraries ask for; none of these is imported here."""

from typing import TYPE_CHECKING

from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.adapters import quantus

__all__ = ["quantus"]

__getattr__, __dir__ = lazily(__name__, {}, ("quantus",))
