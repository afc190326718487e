"""List the data sets, or fetch one and check it."""

from __future__ import annotations

from attricert import datasets
from attricert.cli.output import show, show_table

__all__ = ["run"]


def run(name: str | None = None) -> int:
    """Fetch or list."""
    if name is None:
        show(f"cache folder: {datasets.cache_folder()} (set ATTRICERT_DATA to move it)")
        table = [
            {
                "name": known,
                "splits": ", ".join(datasets.splits(known)).replace("sample", "sample (packaged)"),
                "fetch with": f"attricert data {known}",
            }
            for known in datasets.names()
        ]
        show_table(table, "data sets")
        return 0
    for split, part in datasets.fetch(name).items():
        shape = " x ".join(str(size) for size in part.images.shape[1:])
        show(f"{name} {split}: {len(part):,} images of {shape}, checksums right")
    return 0
