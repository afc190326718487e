"""What a report is about: certificates, and what is known of their inputs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates import Certificate
from attricert.errors import ArgumentError
from attricert.report.layout import Kind
from attricert.text import printable
from attricert.units import InputUnits

__all__ = ["Findings", "check_asked"]

_MOST = 60  # sizes, and thresholds, that may be asked for


def check_asked(eps: Sequence[float], cosine: Sequence[float]) -> None:
    """That no more is asked for than a page can show; before any work."""
    for name, values in (("eps", eps), ("cosine", cosine)):
        if len(values) > _MOST:
            raise ArgumentError(name, f"{len(values)} values", f"must be at most {_MOST} values")


@final
@dataclass(frozen=True, eq=False)
class Findings:
    """All that a report shows, before anything is drawn.

    Args:
        certificate: of the inputs that are shown in full, n of them, at least one.
        rows: one an input of the whole set, with the columns of `attricert.report.rows_of`, and ``id``, ``status``,
            ``reason``, ``label``, ``prediction``, ``target`` where these are known.
        ids: names of the n inputs.
        images: their values, shape (n, ...); None where they are not to be had.
        plain_maps: their maps without noise, of the maps' shape; None likewise.
        names: of entries (tables), or of channels (series).
        eps: sizes that were chosen beforehand, in input units.
        cosine: thresholds that were chosen beforehand.
        top_k: size of the top set.
        inputs: in the whole set, those without a row included.
        title: of the page.
        about: what is known of model, data, versions: name to text.
        attacked: by id, what an attack has found: lists ``eps``, ``cosine_attacked``, ``cosine_error`` and the number
            ``broken_eps``.
        remarks: what could not be had, and why.
        data_range: smallest and largest value of images.
        kind: how maps are shown; None for what their shape suggests.
        units: in which eps is told; None for grey levels of images in their range, and input units of all else.
    """

    certificate: Certificate
    rows: Sequence[Mapping[str, Any]]
    ids: tuple[str, ...]
    images: npt.NDArray[Any] | None
    plain_maps: npt.NDArray[Any] | None
    names: tuple[str, ...] | None
    eps: tuple[float, ...]
    cosine: tuple[float, ...]
    top_k: int
    inputs: int
    title: str
    about: Mapping[str, str] = field(default_factory=dict)
    attacked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    data_range: tuple[float, float] = (0.0, 1.0)
    kind: Kind | None = None
    units: InputUnits | None = None

    def __post_init__(self) -> None:
        n = len(self.certificate)
        if n == 0:
            raise ArgumentError("certificate", self.certificate, "must be of at least one input")
        check_asked(self.eps, self.cosine)
        for name in ("ids", "images", "plain_maps"):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise ArgumentError(name, f"of {len(value)} inputs", f"must be of the {n} inputs of the certificate")
        if self.plain_maps is not None and self.plain_maps[0].size != self.certificate.terms.map_entries:
            shape, entries = self.plain_maps.shape[1:], self.certificate.terms.map_entries
            raise ArgumentError("plain_maps", shape, f"must have {entries} entries each, as the smoothed maps do")
        for name in ("images", "plain_maps"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value).all():
                raise ArgumentError(name, "NaN or inf", "must be finite")
        if self.units is not None and self.units.dimension != self.certificate.terms.dimension:
            d = self.certificate.terms.dimension
            raise ArgumentError("units", self.units, f"must be of inputs of {d} values, as these are")
        checks.data_range("data_range", self.data_range)
        checks.keep(self, names=None if self.names is None else tuple(map(printable, self.names)))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input, as far as it is known; entries that are held fixed count for nothing."""
        return (self.certificate.terms.dimension,) if self.images is None else self.images.shape[1:]

    @property
    def picture(self) -> tuple[int, ...] | None:
        """The shape of an input that is a picture beside maps of another shape; None for all else."""
        if self.images is None or self.images.ndim != 4 or min(self.images.shape[-2:]) < 2:
            return None
        return None if self.images.shape[1:] == self.shape else self.images.shape[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one map; of one input where maps were not kept."""
        if self.certificate.evidence.maps is not None:
            return self.certificate.maps.shape[1:]
        for values in (self.plain_maps, self.images):
            if values is not None:
                return values.shape[1:]
        return (self.certificate.terms.map_entries,)
