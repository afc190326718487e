"""Real data with checksums, kept in a cache folder (``ATTRICERT_DATA`` overrides it)."""

from typing import TYPE_CHECKING

from attricert.datasets.spec import beyond, sliced
from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.datasets.cache import cache_folder
    from attricert.datasets.casting import cast
    from attricert.datasets.folder import ImageFolder, load_folder
    from attricert.datasets.form import Form
    from attricert.datasets.given import as_data
    from attricert.datasets.labelled import Dataset, Labelled, Survey
    from attricert.datasets.reading import Reading
    from attricert.datasets.registry import cut, fetch, items, load, names, parse, splits

__all__ = [
    "Dataset",
    "Form",
    "ImageFolder",
    "Labelled",
    "Reading",
    "Survey",
    "as_data",
    "beyond",
    "cache_folder",
    "cast",
    "cut",
    "fetch",
    "items",
    "load",
    "load_folder",
    "names",
    "parse",
    "sliced",
    "splits",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "cache": ("cache_folder",),
        "casting": ("cast",),
        "folder": ("ImageFolder", "load_folder"),
        "form": ("Form",),
        "given": ("as_data",),
        "labelled": ("Dataset", "Labelled", "Survey"),
        "reading": ("Reading",),
        "registry": ("cut", "fetch", "items", "load", "names", "parse", "splits"),
    },
)
