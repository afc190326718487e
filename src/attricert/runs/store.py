"""A run's folder: what is in it, and how it gets there whole or not at all.

``config.yaml`` every setting, fit for ``--config``; ``manifest.json`` the config and fingerprints; ``parts/`` Parquet
files with a row an input, ``maps/`` a safetensors file for each of them; ``results.parquet`` certificates of all rows,
made from the parts; ``claim.txt`` what is claimed, in words that nothing reads; ``log.jsonl`` what happened when. A
part counts from the moment its Parquet file has its name.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import filelock
import yaml

from attricert import checks, yaml_text
from attricert.certificates import Terms
from attricert.datasets import Dataset, cast
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import append_regular, create, read_regular, refuse_link, refuse_special, write_atomically
from attricert.report import Statement
from attricert.runs.asked import Asked
from attricert.runs.code import is_code
from attricert.runs.config import Config
from attricert.runs.loading import load_items
from attricert.runs.manifest import Manifest
from attricert.runs.objects import NOTHING, Objects
from attricert.runs.parts import Part
from attricert.runs.rows import FAILED, Row
from attricert.units import InputUnits

__all__ = ["CLAIM", "CONFIG", "RESULTS", "Store"]

CONFIG, RESULTS, CLAIM = "config.yaml", "results.parquet", "claim.txt"
_MANIFEST, _PARTS, _MAPS, _LOG, _LOCK = "manifest.json", "parts", "maps", "log.jsonl", ".lock-"
_REWRITING = ".lock-of-parts"
_PATIENCE = 600.0  # seconds
_BYTES = 2**20  # of manifest and config that are read


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
    def open(cls, folder: str | Path) -> Store:
        """A run that exists.

        Raises:
            ArgumentError: there is none.
            IntegrityError: its manifest is damaged, or none.
        """
        where = checks.path("folder", folder)
        path = where / _MANIFEST
        try:
            content = read_regular(path, _BYTES)
        except OSError:
            raise ArgumentError("run", str(where), "must be a folder made by attricert certify --out") from None
        return cls(where, Manifest.from_json(_text(content, path), str(path)))

    @classmethod
    def refuse_other(cls, folder: Path, config: Config, code: str) -> None:
        """Refuse a run of other code that is there, before any of it is run.

        Args:
            folder: where a run may be.
            config: what is to be done.
            code: fingerprint of its code.
        """
        if (folder / _MANIFEST).exists():
            there = cls.open(folder).manifest
            if there.code_sha256 != code:
                cls(folder, there)._refuse(there.with_code(config, code))

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
        store._refuse(manifest)
        if created or not (folder / CONFIG).exists():
            text = yaml.safe_dump({**store.manifest.config.to_dict(), **asked}, sort_keys=False)
            write_atomically(folder / CONFIG, f"# attricert {manifest.version}\n{text}".encode())
        if created or not (folder / CLAIM).exists():
            store.state_claim(None)
        return store

    def _refuse(self, manifest: Manifest) -> None:
        """Refuse to go on with something else."""
        if changed := self.manifest.differences(manifest):
            rule = (
                f"holds a run of something else ({'; '.join(changed)}); choose another folder, or resume it as it was"
            )
            raise ArgumentError("out", str(self.folder), rule)

    def state_claim(
        self, counts: tuple[int, int] | None, units: InputUnits | None = None, terms: Terms | None = None
    ) -> None:
        """Say in plain words what is claimed: ``claim.txt``.

        Args:
            counts: of certified and failed inputs, where all are done.
            units: of an input, where one is certified.
            terms: of the claims, likewise.
        """
        m, c = self.manifest, self.manifest.config
        if c.seed is None:
            raise RuntimeError("a run without a seed")
        statement = Statement(
            model=c.model,
            data=c.data,
            attribution=c.attribution,
            target=c.target,
            noise=str(c.smoothing_noise()),
            bound=str(c.structural_bound()),
            inputs=m.inputs,
            weights=m.weights_sha256,
            pixels=m.data_sha256,
            n_samples=c.n_samples,
            alpha=c.alpha,
            confidence=c.confidence,
            observed=None if c.guarantee == "population" else c.observed_samples or c.n_samples,
            seed=c.seed,
            printed=c.method == "printed",
            counts=counts,
            units=units,
            fixed=None if terms is None else terms.fixed,
            random=terms is not None and terms.random,
            names=m.data_form.names,
            autocast=None if terms is None else terms.autocast,
        )
        write_atomically(self.folder / CLAIM, statement.to_text().encode())

    def settings(self) -> dict[str, Any]:
        """The settings in ``config.yaml``."""
        return yaml_text.read(self.folder / CONFIG)

    def asked(self, **others: Any) -> Asked:
        """What is asked in ``config.yaml``, but for what is given here.

        Raises:
            IntegrityError: as `settings`.
        """
        settings = self.settings()
        try:
            Asked.of(settings)
        except ArgumentError as error:
            raise IntegrityError(f"{self.folder / CONFIG}: {error}") from None
        return Asked.of({**settings, **others})

    def items(self, objects: Objects = NOTHING, *, trust_code: bool = False) -> Dataset:
        """The data that it is of, in the precision in which they were given to the model.

        Args:
            objects: what a Python program has given.
            trust_code: the code that makes the data, if any does, may be run; whoever asks has looked whether it is the
                run's (`refuse_other_code`).

        Raises:
            ArgumentError: they cannot be had.
        """
        config = self.manifest.config
        if is_code(config.data) and not trust_code:
            raise ArgumentError("data", config.data, "needs the run's own code, which was not trusted (--trust-code)")
        return cast(load_items(config.data, config.model, config.reading(), objects), self.manifest.data_form.dtype)

    @contextlib.contextmanager
    def writing(self, shard: str) -> Iterator[None]:
        """Keep other processes from working on the same shard of this run."""
        path = self.folder / f"{_LOCK}{shard}"
        refuse_special(path)
        lock = filelock.FileLock(path, timeout=0)
        try:
            with lock:
                yield
        except filelock.Timeout:
            raise ArgumentError("out", str(self.folder), "another process is working on this run") from None

    def working(self) -> list[str]:
        """Shards that a process on this machine is working on."""
        found = []
        for path in sorted(self.folder.glob(f"{_LOCK}*")):
            if path.name == _REWRITING:
                continue
            refuse_special(path)
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
        refuse_link(self.folder / _PARTS)
        return [Part(path, self.manifest) for path in sorted((self.folder / _PARTS).glob("*.parquet"))]

    def strays(self) -> list[Path]:
        """Maps whose part was taken away before they were."""
        known = {part.maps for part in self.parts()}
        return [path for path in sorted((self.folder / _MAPS).glob("*.safetensors")) if path not in known]

    def append(self, rows: Sequence[Row], shard: str) -> Part:
        """One part more; there is one writer a shard."""
        taken = [part.number for part in self.parts() if part.shard == shard]
        part = Part(self.folder / _PARTS / f"{shard}-{max(taken, default=-1) + 1:06d}.parquet", self.manifest)
        part.write(rows)
        return part

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[None]:
        """Be alone in writing parts anew, which hold rows of many shards; others wait."""
        path = self.folder / _REWRITING
        refuse_special(path)
        lock = filelock.FileLock(path, timeout=_PATIENCE)
        try:
            with lock:
                yield
        except filelock.Timeout:
            raise ArgumentError("out", str(self.folder), "another process is rewriting this run") from None

    def drop_failed(self, mine: Callable[[int], bool]) -> None:
        """Forget inputs that failed, so that they are tried again: those at positions that are mine."""
        with self.rewriting():
            for part in self.parts():
                rows = part.rows()
                kept = [row for row in rows if row.facts["status"] != FAILED or not mine(row.facts["position"])]
                if not kept:
                    part.remove()
                elif len(kept) < len(rows):
                    part.write(kept)

    def log(self, event: str, facts: Mapping[str, Any]) -> None:
        """A line for people; nothing depends on it, and nothing is written where the log is no file of the folder."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **facts}
        with contextlib.suppress(OSError, IntegrityError):
            append_regular(self.folder / _LOG, f"{json.dumps(line)}\n".encode())

    def special(self) -> Iterator[str]:
        """What of the folder is a link, or neither file nor folder: nobody reads or writes it."""
        named = [self.folder / name for name in (_MANIFEST, CONFIG, _PARTS, _MAPS, RESULTS, _LOG)]
        inside = [path for path in named if path.name in (_PARTS, _MAPS) and not path.is_symlink() and path.is_dir()]
        for path in [*named, *self.folder.glob(f"{_LOCK}*"), *(one for place in inside for one in place.iterdir())]:
            try:
                if path.is_symlink() or not path.is_dir():
                    refuse_special(path)
            except IntegrityError as error:
                yield str(error)


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: is not UTF-8 ({error})") from None
