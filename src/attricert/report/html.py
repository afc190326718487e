"""A report of certificates from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from attricert import checks
from attricert.arguments import as_tensor
from attricert.certificates import Certificate
from attricert.errors import ArgumentError
from attricert.noise import telling_sizes
from attricert.progress import ProgressCallback, reporting
from attricert.report.findings import Findings, check_asked
from attricert.report.layout import Kind
from attricert.report.rendering import render, work
from attricert.report.results import rows_of
from attricert.units import InputUnits

__all__ = ["page"]


def page(
    certificate: Certificate,
    images: npt.ArrayLike | None = None,
    *,
    ids: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    predictions: Sequence[Any] | None = None,
    plain_maps: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    eps: npt.ArrayLike | None = None,
    cosine: npt.ArrayLike = (0.8, 0.9),
    top_k: int | None = None,
    title: str = "Certified explanations",
    about: Mapping[str, str] | None = None,
    data_range: tuple[float, float] = (0.0, 1.0),
    kind: Kind | None = None,
    units: InputUnits | None = None,
    progress: bool | ProgressCallback = False,
) -> str:
    """One self-contained HTML page, with a slider over eps; `attricert.runs.report` makes that of a run.

    Args:
        certificate: of n inputs, at least one.
        images: the inputs, of any kind: a tensor or array, shape (n, ...).
        ids: names of the inputs; None for their numbers.
        labels: true classes, or what else is known, one an input.
        predictions: the model's, one an input.
        plain_maps: maps without noise, shape (n, ...), of the smoothed maps' size.
        names: of entries (columns of a table), or of the channels of a series.
        eps: l2 sizes, in input units, that were chosen before looking at the certificates; the first is shown first.
            None for `attricert.noise.telling_sizes`: 0.1, 0.25 and 0.5 sigma, or what is like these.
        cosine: thresholds, likewise.
        top_k: size of the top set; a tenth of the entries if None.
        title: of the page.
        about: what else is to be said, of model and data: name to text.
        data_range: smallest and largest value of images.
        units: in which eps is told, as standard deviations of a table's columns are; grey levels for images in their
            range, and input units for all else, if None.
        kind: ``"picture"``, ``"series"`` or ``"table"``; None for what the maps' shape suggests.
        progress: True for a bar, or a function told of every input and size.

    Returns:
        The page, to be written to a file with UTF-8.

    Raises:
        ArgumentError: something does not fit the certificate.
    """
    if not isinstance(certificate, Certificate):
        raise ArgumentError("certificate", type(certificate).__name__, "must be a Certificate")
    wanted = telling_sizes(certificate.terms.noise, certificate.terms.dimension) if eps is None else eps
    sizes = tuple(np.atleast_1d(checks.nonnegative_values("eps", wanted)).tolist())
    thresholds = tuple(np.atleast_1d(checks.open_fractions("cosine", cosine)).tolist())
    check_asked(sizes, thresholds)
    checks.text("title", title)
    pairs = about.items() if isinstance(about, Mapping) else () if about is None else [(about,)]
    if not all(isinstance(word, str) for pair in pairs for word in pair):
        raise ArgumentError("about", about, "must be names with texts")
    n, entries = len(certificate), certificate.terms.map_entries
    k = max(1, entries // 10) if top_k is None else checks.count("top_k", top_k, 1, entries)
    known: dict[str, Sequence[Any]] = {
        "id": [f"input {i}" for i in range(n)] if ids is None else _one_each("ids", ids, n),
        **({} if labels is None else {"label": _one_each("labels", labels, n)}),
        **({} if predictions is None else {"prediction": _one_each("predictions", predictions, n)}),
    }
    if len(set(known["id"])) < n:
        raise ArgumentError("ids", list(known["id"]), "must be different from each other")
    if (certificate.explained >= 0).any():
        known["target"] = certificate.explained.tolist()
    numbers = Certificate(dataclasses.replace(certificate.evidence, maps=None, entries=None))
    found = Findings(
        certificate=certificate,
        rows=rows_of(numbers, known, sizes, thresholds),
        ids=tuple(known["id"]),
        images=_array("images", images),
        plain_maps=_array("plain_maps", plain_maps),
        names=None if names is None else tuple(map(str, names)),
        eps=sizes,
        cosine=thresholds,
        top_k=k,
        inputs=n,
        title=title,
        about=about or {},
        data_range=data_range,
        kind=kind,
        units=units,
    )
    with reporting(progress, work(found), "report") as on_progress:
        return render(found, on_progress)


def _one_each(name: str, values: Sequence[Any], n: int) -> list[str]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ArgumentError(name, values, f"must be a list, one for each of the {n} inputs")
    found = [str(value.item() if hasattr(value, "item") else value) for value in values]
    if len(found) != n:
        raise ArgumentError(name, f"{len(found)} of them", f"must be one for each of the {n} inputs")
    return found


def _array(name: str, values: npt.ArrayLike | None) -> npt.NDArray[Any] | None:
    if values is None:
        return None
    found = as_tensor(values, name).detach().cpu()
    if found.is_complex():
        raise ArgumentError(name, str(found.dtype), "must be real numbers")
    return np.asarray((found if found.dtype != torch.bfloat16 else found.float()).numpy())
