"""A run's folder: what is in it, and how it gets there whole or not at all.

``config.yaml`` every setting, fit for ``--config``; ``manifest.json`` the config and fingerprints; ``parts/`` Parquet
files with a row an input, ``maps/`` a safetensors file for each of them; ``results.parquet`` certificates of all rows,
made from the parts; ``log.jsonl`` what happened when. A part counts from the moment its Parquet file has its name.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import filelock
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attricert import yaml_text
from attricert.datasets import Dataset
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import create, write_atomically
from attricert.runs.loading import load_items
from attricert.runs.manifest import Manifest
from attricert.runs.rows import FAILED, SCHEMA, Row, schema_of

__all__ = ["CONFIG", "RESULTS", "Part", "Store"]

CONFIG, RESULTS = "config.yaml", "results.parquet"
_MANIFEST, _PARTS, _MAPS, _LOG, _LOCK = "manifest.json", "parts", "maps", "log.jsonl", ".lock-"


@final
@dataclass(frozen=True)
class Part:
    """Some rows on disk.

    Args:
        path: the Parquet file.
    """

    path: Path

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows."""
        try:
            return pq.read_table(self.path, columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise IntegrityError(f"{self.path}: not a readable part of a run ({error})") from None

    def arrays(self, positions: Sequence[int]) -> list[dict[str, npt.NDArray[Any]]]:
        """Each row's arrays; empty where none were kept."""
        found: dict[int, dict[str, npt.NDArray[Any]]] = {position: {} for position in positions}
        if self.maps.exists():
            try:
                with safe_open(self.maps, framework="numpy") as file:
                    names = file.keys()
                    for key in names:
                        position, _, name = key.partition(".")
                        if int(position) in found:
                            found[int(position)][name] = file.get_tensor(key)
            except (SafetensorError, ValueError, OSError) as error:
                raise IntegrityError(f"{self.maps}: not readable maps of a run ({error})") from None
        return list(found.values())

    def rows(self, positions: Collection[int] | None = None) -> list[Row]:
        """Rows with their arrays: all, or those at the positions."""
        facts = [row for row in self.table().to_pylist() if positions is None or row["position"] in positions]
        arrays = self.arrays([row["position"] for row in facts])
        return [Row(row, maps) for row, maps in zip(facts, arrays, strict=True)]

    def write(self, rows: Sequence[Row], run: str) -> None:
        """Maps first: the Parquet file is what makes them count."""
        arrays = {f"{row.facts['position']}.{name}": array for row in rows for name, array in row.arrays.items()}
        if arrays:
            write_atomically(self.maps, save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
        # A row that was stored before keeps its digest: whoever changed it must not get it renewed by a copy.
        facts = [{"digest": row.digest(run), **row.facts} for row in rows]
        table = pa.Table.from_pylist(facts, schema=schema_of(rows))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_atomically(self.path, bytes(sink.getvalue()))

    @property
    def legacy(self) -> bool:
        """Whether version 0.1 has written it."""
        try:
            return "statement" in pq.read_schema(self.path).names
        except (pa.ArrowException, OSError) as error:
            raise IntegrityError(f"{self.path}: not a readable part of a run ({error})") from None

    @property
    def maps(self) -> Path:
        """The file of arrays, if any were kept."""
        return self.path.parent.parent / _MAPS / f"{self.path.stem}.safetensors"


@final
@dataclass(frozen=True)
class Store:
    """A run's folder.

    Args:
        folder: where it is.
        manifest: what it is of.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> Store:
        """A run that exists."""
        path = folder / _MANIFEST
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            raise ArgumentError("run", str(folder), "must be a folder made by attricert certify --out") from None
        return cls(folder, Manifest.from_json(text, str(path)))

    @classmethod
    def create(cls, folder: Path, manifest: Manifest, asked: Mapping[str, Any], any_seed: bool) -> Store:
        """A new run, or the one that is there if it is of the same.

        Args:
            folder: where.
            manifest: what it is of.
            asked: further settings for ``config.yaml``.
            any_seed: take the seed of a run that is there.

        Raises:
            ArgumentError: there is one of something else; the message shows the difference.
        """
        if folder.exists() and not folder.is_dir():
            raise ArgumentError("out", str(folder), "must be a folder")
        created = create(folder / _MANIFEST, manifest.to_json().encode())
        store = cls.open(folder)
        if any_seed:
            manifest = manifest.with_seed(store.manifest.config.seed)
        if changed := store.manifest.differences(manifest):
            rule = (
                f"holds a run of something else ({'; '.join(changed)}); choose another folder, or resume it as it was"
            )
            raise ArgumentError("out", str(folder), rule)
        if created or not (folder / CONFIG).exists():
            text = yaml.safe_dump({**store.manifest.config.to_dict(), **asked}, sort_keys=False)
            write_atomically(folder / CONFIG, f"# attricert {manifest.version}\n{text}".encode())
        return store

    def settings(self) -> dict[str, Any]:
        """The settings in ``config.yaml``."""
        return yaml_text.read(self.folder / CONFIG)

    def items(self) -> Dataset:
        """The data that it is of."""
        return load_items(self.manifest.config.data, self.manifest.config.model)

    @contextlib.contextmanager
    def writing(self, shard: str) -> Iterator[None]:
        """Keep other processes from working on the same shard of this run."""
        lock = filelock.FileLock(self.folder / f"{_LOCK}{shard}", timeout=0)
        try:
            with lock:
                yield
        except filelock.Timeout:
            raise ArgumentError("out", str(self.folder), "another process is working on this run") from None

    def working(self) -> list[str]:
        """Shards that a process on this machine is working on."""
        found = []
        for path in sorted(self.folder.glob(f"{_LOCK}*")):
            try:
                with filelock.FileLock(path, timeout=0):
                    pass
            except filelock.Timeout:
                found.append(path.name.removeprefix(_LOCK))
            except OSError:  # a folder that cannot be written to, so nobody works here
                continue
        return found

    def parts(self) -> list[Part]:
        """In order of name."""
        return [Part(path) for path in sorted((self.folder / _PARTS).glob("*.parquet"))]

    def append(self, rows: Sequence[Row], shard: str) -> None:
        """One part more; there is one writer a shard."""
        taken = [int(part.path.stem.rpartition("-")[2]) for part in self.parts() if self._shard_of(part) == shard]
        path = self.folder / _PARTS / f"{shard}-{max(taken, default=-1) + 1:06d}.parquet"
        Part(path).write(rows, self.manifest.digest)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, in order of position."""
        tables = [part.table(columns) for part in self.parts()]
        return (
            pa.concat_tables(tables, promote_options="default").sort_by("position") if tables else SCHEMA.empty_table()
        )

    def drop_failed(self, mine: Callable[[int], bool]) -> None:
        """Forget inputs that failed, so that they are tried again: those at positions that are mine."""
        for part in self.parts():
            facts = part.table(["position", "status"]).to_pylist()
            again = {row["position"] for row in facts if row["status"] == FAILED and mine(row["position"])}
            if len(again) == len(facts):
                part.path.unlink(missing_ok=True)
            elif again:
                part.write([row for row in part.rows() if row.facts["position"] not in again], self.manifest.digest)

    def log(self, event: str, facts: Mapping[str, Any]) -> None:
        """A line for people; nothing depends on it."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **facts}
        with contextlib.suppress(OSError), (self.folder / _LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @staticmethod
    def _shard_of(part: Part) -> str:
        return part.path.stem.rpartition("-")[0]
