"""A run as one HTML file: its evidence, with data and model where they are at hand and as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from attricert import checks
from attricert.attributions import attributions_of, undisturbed
from attricert.certificates import Certificate
from attricert.errors import ArgumentError, AttricertError
from attricert.files import write_atomically
from attricert.progress import ProgressCallback, reporting
from attricert.report.findings import Findings, check_asked
from attricert.report.rendering import GENERATOR, render, work
from attricert.runs.asked import Asked
from attricert.runs.code import is_code
from attricert.runs.config import Config
from attricert.runs.loaded import LoadedConfig
from attricert.runs.manifest import model_digest, told_reading
from attricert.runs.objects import Objects
from attricert.runs.parts import read_table
from attricert.runs.results import input_units, results_of, stream
from attricert.runs.rows import CERTIFIED, Row, evidence_of_rows
from attricert.runs.store import Store
from attricert.runs.trust import refuse_other_code
from attricert.text import printable

__all__ = ["ATTACK", "REPORT", "report"]

ATTACK, REPORT = "attack.parquet", "report.html"
_INPUTS = 200  # that are shown in full
_BATCH, _HEAD = 64, 4_000
_COLUMNS, _CLASSES = 512, 20  # of a table that are shown by name, and classes that are named
_ATTACKED = {"id": str, "eps": tuple[float, ...], "cosine_attacked": tuple[float, ...], "broken_eps": float}


def report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    inputs: int = _INPUTS,
    eps: Sequence[float] | None = None,
    cosine: Sequence[float] | None = None,
    top_k: int | None = None,
    trust_code: bool = False,
    model: Any = None,
    data: Any = None,
    attribution: Any = None,
    progress: bool | ProgressCallback = False,
) -> Path:
    """Write a run's report: one HTML file that needs nothing else.

    Pictures of inputs need the data, maps without noise the model too, both as they were when the run was made; where
    they are not, the report says so and goes without.

    Args:
        folder: of the run.
        out: the file, which ends in .html; ``report.html`` in the folder if None. An earlier report there is replaced.
        inputs: how many of the certified inputs are shown in full, the first ones; its table has the first
            1,000, all figures of the whole set count every input.
        eps: l2 sizes, in input units; those that the run was asked for if None.
        cosine: thresholds; likewise.
        top_k: size of the top set; likewise.
        trust_code: run code (path.py:factory) that the run names, if it is what the run was made with.
        model: that of a run that `certify` was given it for, as it is.
        data: likewise.
        attribution: likewise.
        progress: True for a bar, or a function told of every input and size.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: there is no run, nothing in it is certified, or it is of the paper's formula.
        IntegrityError: evidence is not as it was written.
    """
    store = Store.open(checks.path("folder", folder))
    config = store.manifest.config
    if config.method == "printed":
        raise ArgumentError("folder", str(folder), "is a run of the paper's formula, which proves nothing to report")
    given = {"eps": eps, "cosine": cosine, "top_k": top_k}
    asked = store.asked(**{name: value for name, value in given.items() if value is not None})
    check_asked(asked.eps or (), asked.cosine)
    path = _checked(store.folder / REPORT if out is None else checks.path("out", out))
    checks.count("inputs", inputs, 1)
    checks.flag("trust_code", trust_code)
    known = sorted((Row(row.facts) for row in stream(store)), key=_position)  # without maps, which may be many
    positions = [row.facts["position"] for row in known if row.facts["status"] == CERTIFIED][:inputs]
    if not positions:
        raise ArgumentError("folder", str(folder), "is a run that has certified nothing yet")
    rows = sorted(stream(store, positions), key=_position)
    objects, _ = Objects.of(model=model, data=data, attribution=attribution)
    found = _findings(store, rows, known, asked, trust_code, objects)
    with reporting(progress, work(found), "report") as on_progress:
        text = render(found, on_progress)
    write_atomically(path, text.encode())
    return path


def _checked(path: Path) -> Path:
    """A file that may be written: what is there, if anything, is a report too."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError("out", str(path), "must end in .html")
    if path.exists():
        try:
            with path.open("rb") as file:
                ours = GENERATOR.encode() in file.read(_HEAD)
        except OSError as error:
            raise ArgumentError("out", str(path), f"cannot be written ({error.strerror})") from None
        if not ours:
            raise ArgumentError("out", str(path), "exists, and is not a report; choose another file")
    return path


def _position(row: Row) -> int:
    return int(row.facts["position"])


def _findings(
    store: Store, rows: Sequence[Row], known: Sequence[Row], asked: Asked, trust_code: bool, objects: Objects
) -> Findings:
    m, c, certificate = store.manifest, store.manifest.config, Certificate(evidence_of_rows(rows))
    form = m.data_form
    images, plain, remarks = _seen(store, rows, trust_code, objects)
    attacked, problems = _attacked(store.folder / ATTACK, m.inputs)
    return Findings(
        certificate=certificate,
        rows=results_of(store, known, asked, entries=False),
        ids=tuple(row.facts["id"] for row in rows),
        images=images,
        plain_maps=plain,
        names=form.names or None,
        kind="table" if form.kind == "columns" and certificate.terms.map_entries <= _COLUMNS else None,
        units=None if form.kind == "image" else input_units(store, certificate.terms),
        eps=asked.sizes(certificate.terms),
        cosine=asked.cosine,
        top_k=asked.top(certificate.terms.map_entries),
        inputs=m.inputs,
        title=f"Certified explanations: {_name(c.model)} on {_name(c.data)}",
        about={
            "model": f"{_name(c.model)}, weights with SHA-256 {m.weights_sha256}",
            "data": f"{_name(c.data)}, {m.inputs} inputs with SHA-256 {m.data_sha256}",
            **({"read as": told_reading(m.data_reading)} if m.data_reading else {}),
            "attribution": f"{_name(c.attribution)}, of the class: {c.target}",
            **({"code": f"SHA-256 {m.code_sha256}"} if c.own_code() else {}),
            **({"classes": _few(form.classes)} if form.classes else {}),
            "run": f"{store.folder.resolve().name}, made with attricert {m.version}; check it: attricert verify FOLDER",
        },
        attacked=attacked,
        remarks=(*remarks, *problems),
    )


def _few(classes: Sequence[str]) -> str:
    """Numbers of classes with their names."""
    more = len(classes) - _CLASSES
    told = ", ".join(f"{i} {printable(name)}" for i, name in enumerate(classes[:_CLASSES]))
    return f"{told} and {more} more" if more > 0 else told


def _name(spec: str) -> str:
    """Without the folders above it, which are nobody else's affair."""
    return spec.rstrip("/").rpartition("/")[2]


def _named(error: AttricertError, config: Config) -> str:
    """What went wrong, with the names that the report has."""
    text = str(error)
    for spec in (config.model, config.data, config.attribution):
        text = text.replace(spec, _name(spec))
    return text


def _seen(
    store: Store, rows: Sequence[Row], trust_code: bool, objects: Objects
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None, list[str]]:
    """Inputs, their maps without noise, and why either is not to be had."""
    config = store.manifest.config
    try:
        if trust_code and is_code(config.data):
            refuse_other_code(config, store.folder)
        items = store.items(objects, trust_code=trust_code)
        if items.survey().sha256 != store.manifest.data_sha256:
            raise AttricertError("they are not what the run was made with")
        images = torch.stack([items[row.facts["position"]][0] for row in rows])
    except AttricertError as error:
        return None, None, [f"Inputs, and maps without noise, are not shown: {_named(error, config)}."]
    try:
        if (is_code(config.model) or is_code(config.attribution)) and not trust_code:
            raise AttricertError("they need the run's own code, which was not trusted (--trust-code)")
        plain = _plain_maps(store, rows, images, objects)
    except AttricertError as error:
        return images.numpy(), None, [f"Maps without noise are not shown: {_named(error, config)}."]
    return images.numpy(), plain, []


def _plain_maps(store: Store, rows: Sequence[Row], images: torch.Tensor, objects: Objects) -> npt.NDArray[Any]:
    """Shape of the images.

    Raises:
        AttricertError: the model cannot be had, or is another one.
    """
    config = store.manifest.config
    refuse_other_code(config, store.folder)
    setting = LoadedConfig.load(config, "cpu", objects)
    if model_digest(setting.model) != store.manifest.weights_sha256:
        raise AttricertError("the model is not the one that the run was made with")
    targets, inputs = setting.stored_targets(rows), torch.split(setting.inputs(images), _BATCH)
    with undisturbed(setting.attribution, None):
        parts = zip(inputs, [None] * len(inputs) if targets is None else torch.split(targets, _BATCH), strict=True)
        maps = [attributions_of(setting.attribution, part, target) for part, target in parts]
    return torch.cat(maps).detach().double().cpu().numpy()


def _attacked(path: Path, inputs: int) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """By id, what an attack has found; and what is wrong with the file, of which nothing is read then."""
    try:
        rows = read_table(path, inputs).to_pylist()
        for row in rows:
            for name, hint in _ATTACKED.items():
                checks.typed(name, row[name], hint)
        return {row["id"]: row for row in rows}, []
    except FileNotFoundError:
        return {}, []
    except (AttricertError, OSError, KeyError) as error:
        said = str(error).replace(str(path), ATTACK)
        return {}, [f"{ATTACK} is not shown: {said}."]
