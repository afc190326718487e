"""How values show themselves: by functions of upper layers, which know them and are imported when they are needed.

A value names the function; nothing of it is imported before, so that imports keep their one direction.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

__all__ = ["Page", "shown_by"]


def shown_by(place: str) -> Callable[..., Any]:
    """A function, or a method, that is found when it is called.

    Args:
        place: ``"package.module:function"``.
    """
    module, _, name = place.partition(":")

    def show(*args: Any, **settings: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **settings)

    return show


@final
@dataclass(frozen=True)
class Page:
    """A page, which notebooks show in a frame of its own.

    Args:
        text: the page.
        height: of the frame, in pixels.
    """

    text: str = field(repr=False)
    height: int

    def _repr_html_(self) -> str:
        """A frame whose scripts see nothing of the notebook."""
        return (
            f'<iframe srcdoc="{html.escape(self.text)}" width="100%" height="{self.height}" sandbox="allow-scripts" '
            'title="Report of certificates"></iframe>'
        )
