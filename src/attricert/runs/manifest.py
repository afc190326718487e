"""What a run is of: its config, and fingerprints of all that decides its results."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert._version import __version__
from attricert.datasets import Dataset, Form
from attricert.errors import IntegrityError
from attricert.files import parse_json, sha256
from attricert.runs.code import code_digest, is_code
from attricert.runs.config import Config
from attricert.runs.fingerprint import model_digest
from attricert.runs.loaded import LoadedConfig

__all__ = ["Manifest", "code_fingerprint", "model_digest", "told_reading"]

_FORMAT = "attricert-run-1"
_READING, _FORM = "data_reading", "data_form"
_DIGEST, _MOST = re.compile("[0-9a-f]{64}"), 10**9  # inputs


@final
@dataclass(frozen=True)
class Manifest:
    """Written once, before the first result.

    Args:
        config: the config, seed included.
        inputs: how many there are.
        data_sha256: of their pixels (of folders: of the files), labels and names.
        weights_sha256: of the model's parameters and buffers.
        code_sha256: of the files that a user's own model, attribution and data come from, and of the functionals.
        version: library version.
        data_reading: how the data were read, in words, and how many items; for people, and no part of what a run is of.
        data_form: what inputs and labels are, with their names: which follows from the data, and is not compared.
    """

    config: Config
    inputs: int
    data_sha256: str
    weights_sha256: str
    code_sha256: str
    version: str = __version__
    data_reading: Mapping[str, int] = field(default_factory=dict, compare=False)
    data_form: Form = field(default_factory=Form, compare=False)
    text: str = field(default="", init=False, compare=False, repr=False)
    """Of the file that it was read from; empty for one that was not."""

    @classmethod
    def of(cls, setting: LoadedConfig, items: Dataset) -> Manifest:
        """Take the fingerprints."""
        code = code_fingerprint(setting.config, setting.functionals)
        data = items.survey()
        model = model_digest(setting.model)
        form = setting.form(data.form)
        return cls(setting.config, len(items), data.sha256, model, code, data_reading=data.reading, data_form=form)

    def with_seed(self, seed: int | None) -> Manifest:
        """The same with another seed."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, seed=seed))

    def with_code(self, config: Config, code: str) -> Manifest:
        """The same of other code, and a config whose seed may be left out."""
        seed = self.config.seed if config.seed is None else config.seed
        return dataclasses.replace(self, config=config, code_sha256=code).with_seed(seed)

    def differences(self, other: Manifest) -> list[str]:
        """What another one has differently, as ``n_samples: 300 -> 500``; a setting left out has its default."""
        mine, theirs = (
            {**m.config.to_dict(), **{k: v for k, v in m.to_dict().items() if k not in ("config", _READING, _FORM)}}
            for m in (self, other)
        )
        pairs = {name: (mine.get(name), theirs.get(name)) for name in {**mine, **theirs}}
        return [f"{name}: {one!r} -> {two!r}" for name, (one, two) in pairs.items() if one != two]

    @property
    def digest(self) -> str:
        """Of everything; rows carry it in theirs.

        That of a file is of its own text: settings that later versions add or rename do not change it.
        """
        return sha256((self.text or self.to_json()).encode())

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        form = values.pop(_FORM).to_dict()  # of images without names there is nothing to say
        more = {_FORM: form} if form else {}
        return {**values, "config": self.config.to_dict(), _READING: dict(self.data_reading), **more}

    def to_json(self) -> str:
        """As text."""
        return json.dumps({"format": _FORMAT, **self.to_dict()}, indent=1)

    @classmethod
    def from_json(cls, text: str, path: str) -> Manifest:
        """From text; the path is for messages.

        Raises:
            IntegrityError: it is none.
        """
        try:
            values = parse_json(text)
            if values.pop("format") != _FORMAT:
                raise ValueError("unknown format")
            config, version = values.pop("config"), values.pop("version")
            reading, form = values.pop(_READING, {}), values.pop(_FORM, {})  # which runs of before do not have
            if not isinstance(config, Mapping):
                raise ValueError("config is no mapping")
            if not isinstance(reading, Mapping):
                raise ValueError(f"{_READING} is no mapping")
            counts = {words: checks.count(_READING, number, 0, _MOST) for words, number in reading.items()}
            version = checks.text("version", version)
            about: dict[str, Any] = {_READING: counts, _FORM: Form.from_dict(form)}
            manifest = cls(config=Config.of(config), version=version, **about, **values)
            checks.count("inputs", manifest.inputs, 1, _MOST)
            checks.count("seed", manifest.config.seed, 0)
            for name in ("data_sha256", "weights_sha256", "code_sha256"):
                if not _DIGEST.fullmatch(values[name]):
                    raise ValueError(f"{name}: must be 64 hexadecimal digits")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"{path}: not the manifest of a run ({error})") from None
        object.__setattr__(manifest, "text", text)
        return manifest


def told_reading(reading: Mapping[str, int]) -> str:
    """How data were read, in a line."""
    return "; ".join(f"{words}: {number}" for words, number in reading.items())


def code_fingerprint(config: Config, functionals: npt.NDArray[np.generic] | None) -> str:
    """Of a user's own model, attribution and data, none of which is run, and of the functionals.

    Raises:
        ArgumentError: the code cannot be read.
    """
    digests = [code_digest(config.model, "model"), code_digest(config.attribution, "attribution")]
    if functionals is not None:
        digests.append(sha256(f"{functionals.dtype}{functionals.shape}".encode()))
        digests.append(sha256(functionals.tobytes()))
    if is_code(config.data):
        digests.append(code_digest(config.data, "data"))
    return sha256("".join(digests).encode())
