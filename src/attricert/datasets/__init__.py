"""Real data with checksums, kept in a cache folder (``ATTRICERT_DATA`` overrides it)."""

from attricert.datasets.cache import cache_folder
from attricert.datasets.folder import load_folder
from attricert.datasets.labelled import Labelled
from attricert.datasets.registry import fetch, load, names, parse

__all__ = ["Labelled", "cache_folder", "fetch", "load", "load_folder", "names", "parse"]
