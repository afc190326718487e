"""SHAP values of a table's rows as an attribution: certified in standard deviations of its continuous columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks
from attricert.attributions import Targets, attributions_of, classes_of, scores_of, seeded, undisturbed
from attricert.bounding import Bound, Clip
from attricert.certificates import Certificate
from attricert.datasets import Form
from attricert.errors import ArgumentError
from attricert.noise import Noise
from attricert.report import page
from attricert.rounding import short
from attricert.smoothed import SmoothedAttribution
from attricert.tabular import results
from attricert.tabular.columns import Numbers, TableColumns, few
from attricert.tabular.explaining import Explaining, class_probabilities, explaining
from attricert.text import printable
from attricert.units import InputUnits

if TYPE_CHECKING:
    from pandas import DataFrame
else:  # what only the methods that show need
    DataFrame = Any

__all__ = ["Standardized"]

_VALUES, _ROWS = 2**21, 8192  # of a batch: beyond some thousand rows nothing gets faster
_REFERENCE = 1_000  # rows by which a bound is chosen
_DIGITS = 2  # of that bound: the same on all machines


@final
@dataclass(frozen=True, eq=False, repr=False)
class Standardized:
    """SHAP values of a model's rows, as a function of standardized rows: an attribution that can be certified.

    Continuous columns are taken in standard deviations from their mean; noise, certificates and attacks touch no other
    columns (``fixed``), which the terms of a certificate say. Inputs are float64 tensors of shape (n, columns), as
    `inputs` makes them of a table; maps have an entry a column, in the units of the explainer.

    Args:
        explainer: an explainer of shap; or a model with ``predict_proba`` or ``predict``, or a function of rows, for
            which one is made: TreeSHAP for trees, linear SHAP for linear models, and for all else what shap takes for
            functions (exact up to 10 columns, sampled beyond), with the reference table as background.
        data: the reference table, such as the training rows; a data frame or an array. Means, standard deviations,
            kinds of columns, background and bound come from it: rows under test do not belong there.
        columns: names; of a data frame those that the model takes, in its order; of an array all of them.
        fixed_columns: names of columns that are held fixed, in place of what is taken for granted: integers, booleans,
            floats of a few whole numbers, constants. Categories and texts always are.
        classifier: a model with ``predict_proba``, or a function of rows that gives scores of shape (n, classes), whose
            prediction is certified too; by default the model given as the explainer, if it is one.
        random: whether equal rows may have different SHAP values; None for what is known of the explainer's class.

    Raises:
        ArgumentError: a bad value, a value that is missing, no continuous column, or shap is not installed.
    """

    explainer: Any
    data: Any
    columns: Sequence[str] | None = None
    fixed_columns: Collection[str] | None = None
    classifier: Any = None
    random: bool | None = None
    table: TableColumns = field(init=False)
    explaining: Explaining = field(init=False)
    model: _Scores | None = field(init=False)
    reference: Numbers = field(init=False)

    def __post_init__(self) -> None:
        table = TableColumns.of(self.data, self.columns, self.fixed_columns)
        reference = table.numbers(self.data, "data")
        checks.keep(self, table=table, reference=reference, columns=table.names, data=None)
        found = explaining(self.explainer, table, reference)
        random = found.random if self.random is None else checks.flag("random", self.random)
        checks.keep(self, explaining=found, random=random)
        implied = self.classifier is None and class_probabilities(self.explainer) is None
        model = None if implied else self.scores(self.explainer if self.classifier is None else self.classifier)
        checks.keep(self, model=model)

    def __repr__(self) -> str:
        """In a line: what is explained by what, and which columns are held fixed."""
        held = [column.name for column in self.table.columns if not column.free]
        told = f", held fixed: {', '.join(map(printable, held))}" if held else ""
        return f"Standardized({self.explaining.name} of {len(self.names)} columns{told})"

    def __call__(self, inputs: Float[Tensor, "n columns"], target: Targets) -> Float[Tensor, "n columns"]:
        """SHAP values of standardized rows.

        Of one output, such as the log-odds of class 1, target 1 or None explains it, target 0 its negative.

        Raises:
            ArgumentError: the target is none of the outputs.
        """
        return torch.from_numpy(_chosen(self.explaining(self._raw(inputs))[0], target)).to(inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return self.table.names

    @property
    def fixed(self) -> npt.NDArray[np.bool_] | None:
        """True where a column is held fixed; None where none is."""
        return self.table.fixed

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the columns that noise and perturbations touch."""
        return tuple(column.name for column in self.table.columns if column.free)

    @property
    def units(self) -> InputUnits:
        """Of eps: standard deviations of the columns that are not held fixed."""
        return InputUnits("columns", len(self.free))

    @property
    def rows_at_once(self) -> int:
        """In one call of the explainer, when it is sampled."""
        return max(1, min(_ROWS, _VALUES // len(self.names)))

    def inputs(self, rows: Any) -> Float[Tensor, "n columns"]:
        """Rows of a table, standardized.

        Args:
            rows: a data frame with the columns by name, or an array of shape (n, columns).

        Raises:
            ArgumentError: a column is not there, a value is missing, or a category is unknown.
        """
        return self.standardized(self.numbers(rows))

    def numbers(self, rows: Any) -> Float[Tensor, "n columns"]:
        """Rows of a table as numbers, in the columns' own units; categories as their places in the list of them.

        Args:
            rows: as for `inputs`.
        """
        return torch.from_numpy(self.table.numbers(rows))

    def standardized(self, numbers: Float[Tensor, "n columns"]) -> Float[Tensor, "n columns"]:
        """The same as inputs.

        Args:
            numbers: as `numbers` gives them, or a table holds them.

        Raises:
            ArgumentError: these are not the columns.
        """
        if numbers.ndim != 2 or numbers.shape[1] != len(self.names):
            rule = f"must be rows of {len(self.names)} columns: {few(self.names)}"
            raise ArgumentError("inputs", tuple(numbers.shape), rule)
        return torch.from_numpy(self.table.standardized(numbers.detach().cpu().double().numpy()))

    def scores(self, classifier: Any) -> _Scores:
        """A classifier as a function of standardized rows.

        Args:
            classifier: a model with ``predict_proba``, or a function of rows that gives scores of shape (n, classes).

        Raises:
            ArgumentError: it is neither.
        """
        function = class_probabilities(classifier)
        if function is None:
            rule = "must have predict_proba, or be a function of rows that gives scores of shape (n, classes)"
            raise ArgumentError("classifier", type(classifier).__name__, rule)
        return _Scores(function, self.table)

    def form(self, given: Form) -> Form:
        """What data are as inputs: columns by name, of which some are free.

        Args:
            given: what they are as they were read.

        Raises:
            ArgumentError: they have other columns, or in another order.
        """
        if given.names and given.names != self.names:
            rule = f"must have the columns that the attribution takes, in this order: {few(self.names)}"
            raise ArgumentError("data", few(given.names), rule)
        return replace(given, kind="columns", names=self.names, free=len(self.free))

    def bound(self, rows: int = _REFERENCE) -> Clip:
        """The structural bound by which sampled maps are clipped: as large as SHAP values of the reference table get.

        It is a constant of the model: never choose it from the rows under test.

        Args:
            rows: of the reference table that are looked at, spread evenly.
        """
        checks.count("rows", rows, 1)
        chosen = np.unique(np.linspace(0, len(self.reference) - 1, min(rows, len(self.reference))).astype(np.int64))
        inputs = torch.from_numpy(self.table.standardized(self.reference[chosen]))
        with undisturbed(self, None), seeded(0):
            outputs = self.explaining(self.reference[:1])[0].shape[2:]
            targets: list[int | None] = list(range(outputs[0])) if outputs else [None]
            maps = torch.cat([attributions_of(self, inputs, target) for target in targets])
        if not bool(maps.any()):
            raise ArgumentError(
                "explainer", self.explaining.name, "gives SHAP values of 0 to the whole reference table"
            )
        largest, norm = float(maps.abs().max()), float(torch.linalg.vector_norm(maps, dim=1).max())
        return Clip(*(float(short(value, "up", _DIGITS)) for value in (norm, largest)))

    def smoothed(self, noise: Noise, bound: Bound | None = None, **settings: Any) -> SmoothedAttribution:
        """Smoothed, with the classifier beside it.

        Args:
            noise: its scale in standard deviations.
            bound: `bound` of the reference table if None.
            **settings: of `SmoothedAttribution`.
        """
        return SmoothedAttribution(
            self, noise, self.bound() if bound is None else bound, **{"classifier": self.model, **settings}
        )

    def certify(
        self,
        rows: Any,
        target: Targets | npt.ArrayLike = None,
        *,
        noise: Noise,
        bound: Bound | None = None,
        **options: Any,
    ) -> Certificate:
        """Certify the SHAP values of rows of a table.

        Args:
            rows: as for `inputs`.
            target: the output explained, one for all or one a row; None for the only one, or for the predicted classes.
            noise: its scale in standard deviations.
            bound: `bound` of the reference table if None.
            **options: of `SmoothedAttribution.certify`.
        """
        inputs = self.inputs(rows)
        return self.smoothed(noise, bound).certify(inputs, self.targets(inputs, target), **options)

    def targets(
        self, inputs: Float[Tensor, "n columns"], target: Targets | npt.ArrayLike = None
    ) -> Targets | npt.ArrayLike:
        """What is explained where nothing is named: the only output, else the predicted class of each row.

        Args:
            inputs: standardized rows.
            target: what is named.
        """
        several = self.explaining(self.reference[:1])[0].ndim == 3
        if target is None and several and self.model is not None:
            return classes_of(scores_of(self.model, inputs))
        return target

    def explanation(self, certificate: Certificate, rows: Any, eps: float) -> Any:
        """Smoothed SHAP values with certified bounds, as shap draws them: ``shap.plots.waterfall(found[0])``.

        Args:
            certificate: of these rows, with entries proven.
            rows: as for `inputs`.
            eps: l2 size of the perturbation, >= 0, in standard deviations: the bounds hold for all up to it.

        Returns:
            A ``shap.Explanation`` of all rows. Its base values are the explainer's.
        """
        numbers = self._those_of(certificate, rows)
        base = _chosen(self.explaining(numbers)[1][:, None], _explained(certificate))[:, 0]
        return results.explanation(certificate, self.table.table(numbers), self.names, base, eps)

    def top(self, certificate: Certificate, k: int, eps: float, *, absolute: bool = True) -> DataFrame:
        """The k largest entries of each row, by column: what is certain of them up to eps.

        Args:
            certificate: of rows of this table, with entries proven.
            k: how many.
            eps: l2 size of the perturbation, >= 0, in standard deviations.
            absolute: rank by absolute value.

        Returns:
            A data frame with k lines a row: ``row``, ``rank``, ``column``, ``value``, ``lower``, ``upper``, ``sign``
            (``"+"``, ``"-"``, or empty where it is not certain) and ``stays`` (certain to be among the k largest).
        """
        self._refuse_other(certificate)
        return results.top(certificate, self.names, k, eps, absolute)

    def page(self, certificate: Certificate, rows: Any, **settings: Any) -> str:
        """The report, with columns by name and eps in standard deviations.

        Args:
            certificate: of these rows.
            rows: as for `inputs`.
            **settings: of `attricert.report.page`.
        """
        numbers = self._those_of(certificate, rows)
        with undisturbed(self, None), seeded(0):
            inputs = torch.from_numpy(self.table.standardized(numbers))
            plain = attributions_of(self, inputs, _explained(certificate))
        known: dict[str, Any] = {
            "plain_maps": plain,
            "names": self.names,
            "kind": "table",
            "units": self.units,
            "about": {"attribution": repr(self)},
        }
        return page(certificate, **{**known, **settings})

    def _raw(self, inputs: Tensor) -> Numbers:
        return self.table.raw(inputs.detach().cpu().double().numpy())

    def _those_of(self, certificate: Certificate, rows: Any) -> Numbers:
        self._refuse_other(certificate)
        numbers = self.table.numbers(rows, "rows")
        if len(numbers) != len(certificate):
            raise ArgumentError("rows", f"{len(numbers)} rows", f"must be those of the certificate: {len(certificate)}")
        return numbers

    def _refuse_other(self, certificate: Certificate) -> None:
        kept = certificate.evidence.maps is not None
        shape = certificate.maps.shape[1:] if kept else (certificate.terms.map_entries,)
        if shape != (len(self.names),):
            rule = f"must be of rows of this table, with an entry for each of {len(self.names)} columns"
            raise ArgumentError("certificate", f"of maps of shape {shape}", rule)


@final
@dataclass(frozen=True, eq=False)
class _Scores:
    """A classifier of standardized rows."""

    function: Any
    table: TableColumns

    def __call__(self, inputs: Float[Tensor, "n columns"]) -> Tensor:
        """Scores, as float64."""
        rows = self.table.table(self.table.raw(inputs.detach().cpu().double().numpy()))
        return torch.from_numpy(np.asarray(self.function(rows), dtype=np.float64)).to(inputs.device)


def _explained(certificate: Certificate) -> Tensor | None:
    """The targets of a certificate's rows."""
    explained = certificate.explained
    return None if (explained < 0).any() else torch.from_numpy(explained)


def _chosen(values: Numbers, target: Targets) -> Numbers:
    """Of each row the output that is its target: shape (n, columns) of (n, columns) or (n, columns, outputs)."""
    outputs = values.shape[2] if values.ndim == 3 else 2
    if target is None:
        if values.ndim == 3:
            raise ArgumentError("target", None, f"there are several outputs; name one (0 to {outputs - 1})")
        return values
    index = np.broadcast_to(np.asarray(target.cpu() if isinstance(target, Tensor) else target), (len(values),))
    if bool(((index < 0) | (index >= outputs)).any()):
        worst = int(index.min() if (index < 0).any() else index.max())
        raise ArgumentError("target", worst, f"must be an output from 0 to {outputs - 1}")
    if values.ndim == 2:
        return np.where(index[:, None] == 1, values, -values)
    return np.take_along_axis(values, index[:, None, None], axis=2)[:, :, 0]
