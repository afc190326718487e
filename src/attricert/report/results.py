"""Results as rows, and rows as Parquet: every column is declared once, here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from attricert import checks
from attricert.certificates import Certificate, PaperCertificate
from attricert.certificates.ranking import Ranking
from attricert.errors import UnavailableError

if TYPE_CHECKING:
    from pandas import DataFrame
else:  # pandas is not needed but for `to_frame`
    DataFrame = Any

__all__ = [
    "ABSTENTION",
    "COLUMNS",
    "COSINE",
    "MAX_EPS",
    "ResultColumn",
    "columns_as_markdown",
    "rows_of",
    "to_frame",
    "to_parquet",
]

COSINE, MAX_EPS, ABSTENTION = "cosine_eps_", "max_eps_cosine_", "abstention_reason_eps_"


@final
@dataclass(frozen=True)
class ResultColumn:
    """A column of results, or one for every eps or threshold that is asked for.

    Args:
        name: with ``{eps}``, ``{cosine}``, ``{k}`` for what is asked.
        about: what it says, with units.
        per: what there is one for.
        values: one an input, from the certificate, the eps or threshold, and k.
        needs: the piece of evidence without which there is no such column; ``"sound"``: a certificate that is not the
            paper's; ``"class"``: a prediction, and a class that is explained; ``"rankings"``: bounds on entries, and
            ``values`` takes the certificate's `rankings` at eps in its place, which are computed once for all.
    """

    name: str
    about: str
    per: Literal["input", "eps", "cosine"]
    values: Callable[[Any, float, int], Any]
    needs: str = "norm"

    def __post_init__(self) -> None:
        if self.name in (column.name for column in COLUMNS):
            raise ValueError(f"{self.name} is declared twice")


COLUMNS: list[ResultColumn] = []


def _column(
    name: str,
    about: str,
    per: Literal["input", "eps", "cosine"],
    values: Callable[[Any, float, int], Any],
    needs: str = "norm",
) -> None:
    COLUMNS.append(ResultColumn(name, about, per, values, needs))


_column("norm", "lower confidence bound on the norm of the smoothed map", "input", lambda c, *_: c.evidence.norm.lower)
for _name, _about in {
    "n_samples": "attributions computed for the proof",
    "n_pilot": "attributions computed for the pilot",
    "zeros": "sampled attributions that were zero",
    "nonfinite": "sampled attributions with NaN or inf, counted as zero",
}.items():
    _column(_name, _about, "input", lambda c, *_, _name=_name: getattr(c.evidence.sampling, _name))
_column("outcome", "of an early stop: proven, refuted or open; else empty", "input", lambda c, *_: c.evidence.outcome)
_column(COSINE + "{eps}", "certified cosine at that eps", "eps", lambda c, e, _: c.cosine(e))
_column(
    ABSTENTION + "{eps}",
    "why the cosine is trivial, or empty",
    "eps",
    lambda c, e, _: c.abstention_reason(e),
    needs="sound",
)
_column("binding_eps_{eps}", "what limits it, and what would help", "eps", lambda c, e, _: c.binding(e), needs="sound")
_column(
    MAX_EPS + "{cosine}", "largest certified eps at that cosine, in input units", "cosine", lambda c, t, _: c.max_eps(t)
)
_column(
    "top_variance",
    "upper confidence bound on the largest eigenvalue of the maps' covariance",
    "input",
    lambda c, *_: c.evidence.top_variance.upper,
    needs="top_variance",
)
_column(
    "certified_prediction", "the smoothed classifier's class", "input", lambda c, *_: c.prediction, needs="prediction"
)
_column(
    "explained_class", "the class that the map explains, -1 if none", "input", lambda c, *_: c.explained, "explained"
)
_column(
    "class_kept",
    "whether the explained class is certified to be the smoothed classifier's",
    "input",
    lambda c, *_: c.class_kept,
    needs="class",
)
_column(
    "prediction_radius",
    "the eps below which the smoothed classifier's class stays, in input units",
    "input",
    lambda c, *_: c.prediction_radius(),
    needs="prediction",
)
_column(
    "joint_eps_{eps}",
    "certified cosine where the explained class is the smoothed classifier's and stays so too, else -1",
    "eps",
    lambda c, e, _: c.joint(e),
    needs="prediction",
)
_column(
    "signs_eps_{eps}",
    "share of entries with a certain sign",
    "eps",
    lambda rankings, *_: np.array([((one.least > 0) | (one.most < 0)).mean() for one in rankings]),
    needs="rankings",
)
_column(
    "kendall_tau_eps_{eps}",
    "lower bound on Kendall's tau-a",
    "eps",
    lambda rankings, *_: np.array([one.kendall_tau() for one in rankings]),
    needs="rankings",
)
_column(
    "top_{k}_overlap_eps_{eps}",
    "certified overlap of the k largest entries, in [0, 1]",
    "eps",
    lambda rankings, _, k: np.array([one.overlap(k) / k for one in rankings]),
    needs="rankings",
)
_column(
    "functional_low_eps_{eps}",
    "lower ends of the functionals' intervals (a list)",
    "eps",
    lambda c, e, _: c.functionals(e).low,
    needs="functionals",
)
_column(
    "functional_high_eps_{eps}",
    "upper ends of the functionals' intervals (a list)",
    "eps",
    lambda c, e, _: c.functionals(e).high,
    needs="functionals",
)


def rows_of(
    certificate: Certificate | PaperCertificate,
    about: Mapping[str, Sequence[Any]],
    eps: Sequence[float],
    cosine: Sequence[float],
    top_k: int | None = None,
) -> list[dict[str, Any]]:
    """One row an input: the columns of ``about``, and those of `COLUMNS` for which there is evidence.

    Args:
        certificate: of the inputs.
        about: further columns.
        eps: l2 sizes at which to report, in input units.
        cosine: thresholds at which to report the largest certified eps.
        top_k: size of the top set whose overlap is reported; None for none.
    """
    columns: dict[str, Sequence[Any]] = dict(about)
    rankings: dict[float, list[Ranking]] = {}
    for column in COLUMNS if len(certificate) else ():
        if _there(certificate, column, top_k):
            columns.update(_asked(certificate, column, eps, cosine, top_k or 0, rankings))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _there(certificate: Certificate | PaperCertificate, column: ResultColumn, top_k: int | None) -> bool:
    sound = isinstance(certificate, Certificate)
    if column.needs == "sound":
        return sound
    if column.needs == "class":
        return isinstance(certificate, Certificate) and certificate.meaning.inputs > 0
    known = getattr(certificate.evidence, "entries" if column.needs == "rankings" else column.needs) is not None
    return (
        known
        and (sound or column.needs in ("norm", "top_variance"))
        and ("{k}" not in column.name or top_k is not None)
    )


def _asked(
    certificate: Certificate | PaperCertificate,
    column: ResultColumn,
    eps: Sequence[float],
    cosine: Sequence[float],
    k: int,
    rankings: dict[float, list[Ranking]],
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Numbers in names are exact: a rounded eps would be a claim about another one."""
    for value in {"input": (0.0,), "eps": eps, "cosine": cosine}[column.per]:
        if column.needs == "rankings" and isinstance(certificate, Certificate):
            if value not in rankings:
                rankings[value] = certificate.rankings(value)
            found = column.values(rankings[value], value, k)
        else:
            found = column.values(certificate, value, k)
        name = column.name.format(eps=repr(value), cosine=repr(value), k=k)
        yield name, found if isinstance(found, tuple) else found.tolist()


def to_frame(
    certificate: Certificate | PaperCertificate,
    eps: npt.ArrayLike | None = None,
    cosine: npt.ArrayLike | None = None,
    top_k: int | None = None,
) -> DataFrame:
    """A pandas data frame, one row an input, with the columns of `COLUMNS` for which there is evidence.

    Args:
        certificate: of the inputs.
        eps: l2 sizes at which to report, >= 0, in input units.
        cosine: thresholds at which to report the largest certified eps, > 0 and < 1.
        top_k: size of the top set whose overlap is reported; None for none.

    Raises:
        UnavailableError: pandas is not installed.
    """
    sizes = [] if eps is None else np.atleast_1d(checks.nonnegative_values("eps", eps)).tolist()
    thresholds = [] if cosine is None else np.atleast_1d(checks.open_fractions("cosine", cosine)).tolist()
    try:
        import pandas as pd
    except ImportError:
        raise UnavailableError("to_frame() needs pandas, which is not installed; pip install pandas") from None
    return pd.DataFrame(rows_of(certificate, {}, sizes, thresholds, top_k))


def columns_as_markdown() -> str:
    """The table of docs/columns.md."""
    lines = ["| column | what it says |", "|---|---|"]
    lines += [f"| `{column.name}` | {column.about} |" for column in COLUMNS]
    return "\n".join(lines) + "\n"


def to_parquet(rows: Sequence[Mapping[str, Any]], terms: str, further: Mapping[str, str] | None = None) -> bytes:
    """A Parquet file's content.

    Args:
        rows: with equal columns, but for those that some lack.
        terms: as JSON, for its metadata under ``attricert``.
        further: more for its metadata.
    """
    names = {name: None for row in rows for name in row}  # rows without evidence have fewer
    about = {"attricert": terms, **(further or {})}
    table = pa.Table.from_pylist([{**names, **row} for row in rows]).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
