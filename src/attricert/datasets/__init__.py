"""Real data with checksums, kept in a cache folder (``ATTRICERT_DATA`` overrides it)."""

from attricert.datasets.cache import cache_folder
from attricert.datasets.folder import ImageFolder, load_folder
from attricert.datasets.labelled import Dataset, Labelled, Survey
from attricert.datasets.registry import beyond, fetch, items, load, names, parse, splits

__all__ = [
    "Dataset",
    "ImageFolder",
    "Labelled",
    "Survey",
    "beyond",
    "cache_folder",
    "fetch",
    "items",
    "load",
    "load_folder",
    "names",
    "parse",
    "splits",
]
