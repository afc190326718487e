"""Real data with checksums, kept in a cache folder (``ATTRICERT_DATA`` overrides it)."""

from attricert.datasets.cache import cache_folder
from attricert.datasets.casting import cast
from attricert.datasets.folder import ImageFolder, load_folder
from attricert.datasets.form import Form
from attricert.datasets.given import as_data
from attricert.datasets.labelled import Dataset, Labelled, Survey
from attricert.datasets.reading import Reading
from attricert.datasets.registry import cut, fetch, items, load, names, parse, sliced, splits

__all__ = [
    "Dataset",
    "Form",
    "ImageFolder",
    "Labelled",
    "Reading",
    "Survey",
    "as_data",
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
