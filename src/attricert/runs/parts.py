"""Parts of a run on disk, and the one door through which rows come back: nothing is believed that was not checked."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from attricert.certificates import Terms
from attricert.errors import IntegrityError
from attricert.files import read_regular, read_tensors, refuse_link, write_atomically
from attricert.runs.manifest import Manifest
from attricert.runs.rows import CERTIFIED, Row, check_facts, evidence_of_rows, is_schema, map_names, schema_of

__all__ = ["Part", "read_table"]

_BYTES, _VALUES = 2**31, 2**27  # of a file, and of its columns, that are read
_NAME = re.compile(r"\d{4,}-of-\d{4,}-\d{6,}")
_MAPS = "maps"
_KEY = re.compile(r"(0|[1-9]\d*)\.(.*)")


@final
@dataclass(frozen=True)
class Part:
    """Some rows on disk.

    Args:
        path: the Parquet file.
        manifest: of the run that it belongs to.
    """

    path: Path
    manifest: Manifest

    def rows(self, positions: Collection[int] | None = None) -> list[Row]:
        """Rows with their arrays: all, or those at the positions.

        Raises:
            IntegrityError: one is not as it was written, or cannot be.
        """
        rows, problems = self.read(positions)
        if problems:
            raise IntegrityError(problems[0])
        return rows

    def read(self, positions: Collection[int] | None = None) -> tuple[list[Row], list[str]]:
        """The rows that are as they were written and can be, and what is wrong with the others."""
        try:
            facts = self._facts()
            arrays = self._arrays(facts)
        except (IntegrityError, OSError) as error:
            return [], [str(error)]
        wanted = [f for f in facts if positions is None or f["position"] in positions]
        rows, problems = [], []
        for row in (Row(f, arrays.get(f["position"], {})) for f in wanted):
            problem = self._problem(row)
            if problem:
                problems.append(f"{self.path}: {row.facts['id']}: {problem}")
            else:
                rows.append(row)
        return self._possible(rows, problems)

    def write(self, rows: Sequence[Row]) -> None:
        """Maps first: the Parquet file is what makes them count."""
        for path in (self.path.parent, self.maps.parent):
            refuse_link(path)
        arrays = {f"{row.facts['position']}.{name}": array for row in rows for name, array in row.arrays.items()}
        if arrays:
            write_atomically(self.maps, save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
        else:
            self.maps.unlink(missing_ok=True)  # of a part that was never finished
        # A row that was stored before keeps its digest: whoever changed it must not get it renewed by a copy.
        facts = [{"digest": row.digest(self.manifest.digest), **row.facts} for row in rows]
        table = pa.Table.from_pylist(facts, schema=schema_of(rows))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_statistics=False)
        write_atomically(self.path, bytes(sink.getvalue()))

    def remove(self) -> None:
        """The Parquet file first: without it maps do not count."""
        self.path.unlink(missing_ok=True)
        self.maps.unlink(missing_ok=True)

    @property
    def maps(self) -> Path:
        """The file of arrays, if any were kept."""
        return self.path.parent.parent / _MAPS / f"{self.path.stem}.safetensors"

    @property
    def shard(self) -> str:
        """The shard that wrote it."""
        return self.path.stem.rpartition("-")[0]

    @property
    def number(self) -> int:
        """Of the shard's parts; -1 for what is none."""
        return int(self.path.stem.rpartition("-")[2]) if _NAME.fullmatch(self.path.stem) else -1

    def _facts(self) -> list[dict[str, Any]]:
        if self.number < 0:
            raise IntegrityError(f"{self.path}: is not named as parts of a run are")
        table = read_table(self.path, self.manifest.inputs)
        if not is_schema(table.schema):
            raise IntegrityError(f"{self.path}: does not have the columns of rows")
        facts: list[dict[str, Any]] = table.to_pylist()
        for row in facts:
            check_facts(row, self.manifest.inputs, str(self.path))
        if len({row["position"] for row in facts}) < len(facts):
            raise IntegrityError(f"{self.path}: has two rows at a position")
        return facts

    def _arrays(self, facts: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, npt.NDArray[Any]]]:
        """By position; empty where none were kept."""
        certified = {row["position"] for row in facts if row["status"] == CERTIFIED}
        refuse_link(self.maps.parent)
        if not certified or not os.path.lexists(self.maps):
            return {}
        found: dict[int, dict[str, npt.NDArray[Any]]] = {}
        known = map_names(facts)
        metadata, arrays = read_tensors(self.maps, _BYTES)
        for key, array in arrays.items():
            match = _KEY.fullmatch(key)
            if metadata or match is None or int(match[1]) not in certified or match[2] not in known:
                raise IntegrityError(f"{self.maps}: {key} is none of the maps of its part")
            if array.dtype != np.float64:
                raise IntegrityError(f"{self.maps}: {key} of dtype {array.dtype}: must be float64")
            found.setdefault(int(match[1]), {})[match[2]] = array
        return found

    def _problem(self, row: Row) -> str:
        """Why it cannot be as it was written; empty if it is."""
        if row.digest(self.manifest.digest) == row.facts["digest"]:
            return ""
        if row.facts["status"] == CERTIFIED and self.manifest.config.maps == "keep" and not row.arrays:
            return f"its maps are missing: {self.maps}"
        return "its digest is not that of its row, its maps and the manifest: one of them is not as it was written"

    def _possible(self, rows: list[Row], problems: list[str]) -> tuple[list[Row], list[str]]:
        """Without those that hold what cannot be evidence, or are of other terms than the manifest says."""
        good = [row for row in rows if row.facts["status"] == CERTIFIED]
        if not good:
            return rows, problems
        try:
            self._check_terms(evidence_of_rows(good).terms)
        except IntegrityError as error:
            if len(good) == 1:
                return [row for row in rows if row is not good[0]], [
                    *problems,
                    f"{self.path}: {good[0].facts['id']}: {error}",
                ]
            kept: list[Row] = []
            for row in rows:  # one by one, to say which
                some, more = self._possible([row], [])
                kept, problems = kept + some, problems + more
            return (kept, problems) if len(kept) < len(rows) else ([], [*problems, f"{self.path}: {error}"])
        return rows, problems

    def _check_terms(self, terms: Terms) -> None:
        config, bound = self.manifest.config, self.manifest.config.structural_bound()
        stated = (
            ("alpha", terms.alpha, config.alpha),
            ("seed", terms.seed, config.seed),
            ("noise", terms.noise, config.smoothing_noise()),
            ("confidence", terms.confidence, config.confidence),
            ("antithetic", terms.antithetic, config.antithetic),
            ("max_norm", terms.max_norm, bound.max_norm),
            ("max_entry", terms.max_entry, bound.entry_bound),
            ("bound", terms.bound, repr(bound)),
            ("version", terms.version, self.manifest.version),
            ("observed", terms.observed, config.options().observed),
        )
        for name, one, other in stated:
            if one != other:
                raise IntegrityError(f"its terms have {name} {one!r}, the manifest {other!r}")


def read_table(path: Path, most_rows: int) -> pa.Table:
    """A Parquet file of so many rows at the most.

    Raises:
        OSError: it cannot be opened.
        IntegrityError: it is something else, damaged, or claims to be larger than what is read.
    """
    content = read_regular(path, _BYTES)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        about = file.metadata
        values = sum(
            about.row_group(i).column(j).num_values
            for i in range(about.num_row_groups)
            for j in range(about.num_columns)
        )
        if about.num_rows > most_rows or values > _VALUES:
            raise ValueError(f"{about.num_rows} rows of {values} values, more than there can be")
        table = file.read()
        table.validate(full=True)
        if len(table) > most_rows:
            raise ValueError(f"{len(table)} rows, more than there can be")
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise IntegrityError(f"{path}: not a readable Parquet file ({error})") from None
    return table
