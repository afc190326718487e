"""How data are to be read, where there is a choice."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

from attricert.datasets.resizing import check_size
from attricert.errors import ArgumentError

__all__ = ["Reading"]


@final
@dataclass(frozen=True)
class Reading:
    """Settings of folders, and of tables.

    Args:
        size: of images in folders: (s,) for the middle square of the shorter side made s, (h, w) for exactly that.
        label_column: of a table: the column that holds the classes.
        id_column: the column that holds the rows' names.
        skip_columns: columns that are left out.

    Raises:
        ArgumentError: a bad value.
    """

    size: tuple[int, ...] | None = None
    label_column: str | None = None
    id_column: str | None = None
    skip_columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_size(self.size)

    def only(self, *names: str, data: str) -> None:
        """That nothing else is given, as nothing else means anything for such data.

        Args:
            names: settings that these data have.
            data: what they are, in words.

        Raises:
            ArgumentError: something is.
        """
        for field in fields(self):
            if field.name not in names and (value := getattr(self, field.name)) is not None:
                where = "folders of images" if field.name == "size" else "tables (.csv, .parquet, data frames)"
                raise ArgumentError(field.name, value, f"goes with {where}, not with {data}")
