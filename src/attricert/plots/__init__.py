"""Pictures of attribution maps and of what is certified of them, as matplotlib figures.

Nothing is shown, and nothing is saved but by `save_figure`. Every function returns the figure; one that
draws a single pair of axes draws into those that it is given.
"""

from typing import TYPE_CHECKING

from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.plots.comparing import compare
    from attricert.plots.grid import maps
    from attricert.plots.one_map import attribution
    from attricert.plots.over_eps import curves
    from attricert.plots.panels import certified
    from attricert.plots.planned import plan
    from attricert.plots.sides import sandwich
    from attricert.plots.style import notes, save_figure
    from attricert.plots.tabular import bars

__all__ = ["attribution", "bars", "certified", "compare", "curves", "maps", "notes", "plan", "sandwich", "save_figure"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "comparing": ("compare",),
        "grid": ("maps",),
        "one_map": ("attribution",),
        "over_eps": ("curves",),
        "panels": ("certified",),
        "planned": ("plan",),
        "sides": ("sandwich",),
        "style": ("notes", "save_figure"),
        "tabular": ("bars",),
    },
)
