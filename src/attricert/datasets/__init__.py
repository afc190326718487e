"""Real data with checksums, in a cache folder (``ATTRICERT_DATA`` overrides it); 100 test digits ship with the package."""

from attricert.datasets.folder import load_folder
from attricert.datasets.labelled import Labelled
from attricert.datasets.registry import fetch, load, names, parse

__all__ = ["Labelled", "fetch", "load", "load_folder", "names", "parse"]
