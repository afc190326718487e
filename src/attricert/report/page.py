"""One HTML file to hand over: claims, pictures and numbers of a set of inputs; it loads nothing and sends nothing.

Every claim shrinks as eps grows, so the page holds for each cell the last size of a grid at which its claim stands, and
compares. Numbers and words come rounded from here; the page computes none.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, final

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from attricert._version import __version__
from attricert.certificates import Certificate, Meaning, note
from attricert.certificates.population import share_of
from attricert.metrics import cosine_similarity
from attricert.report import statement, svg
from attricert.report.findings import Findings
from attricert.report.layout import Layout
from attricert.report.packing import Block, encoded, pixels
from attricert.report.results import ABSTENTION, COSINE, MAX_EPS
from attricert.report.steps import NOTHING, SCALE, Entries, Numbers, grid_of
from attricert.report.tables import shown
from attricert.text import printable
from attricert.units import InputUnits, perturbation

__all__ = ["render", "work"]

_BETA = 0.05  # of claims about the set
_CELLS, _SIDE = 3_300_000, 160  # of all pictures together, and of a side: some 15 MB
_POINTS = 512  # of a series
_GAP = 0.06  # between pictures, of a side
_POINTS_OF_CURVES = 300
_FEW = 10  # inputs that are named
_NOISE = 40  # what the sample's noise is scaled to, as root mean square
_SILENT = "nothing certified"
_TITLES = {
    "image": "input",
    "plain": "map without noise",
    "smoothed": "smoothed map",
    "signs": "certain signs",
    "top": "certain top {k}",
}
_NAMES = {
    "id": "input",
    "label": "label",
    "prediction": "predicted",
    "target": "explained",
    "certified_prediction": "smoothed model's class",
    "class_kept": "is explained",
    "prediction_radius": "class kept below eps",
}

Array = npt.NDArray[Any]


def work(findings: Findings) -> int:
    """How many inputs and sizes a page takes, of which `render` tells."""
    return len(findings.certificate) * len(_grid(findings))


def render(findings: Findings, on_progress: Callable[[int], None] = lambda _: None) -> str:
    """The page.

    Args:
        findings: what it is about.
        on_progress: told of every input and size that is done, `work` of them.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attricert.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style, script = (_source(environment, name) for name in ("page.css", "page.js"))
    page = _Page(findings, on_progress)
    return environment.get_template("page.html.j2").render(
        **page.words(),
        data=Markup(_harmless(page.data())),
        block=Markup(page.block.text()),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    if environment.loader is None:
        raise RuntimeError("no templates")
    return environment.loader.get_source(environment, name)[0]


def _hash(source: str) -> str:
    """As a content security policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _harmless(data: Mapping[str, Any]) -> str:
    """JSON that ends no element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@final
class _Page:
    """Findings as words, numbers and pictures."""

    def __init__(self, findings: Findings, on_progress: Callable[[int], None]) -> None:
        f = self.f = findings
        self.certificate = f.certificate
        layout = Layout.of(f.shape, _CELLS // len(f.certificate), _SIDE, f.kind)
        self.layout = layout if layout.kind == "picture" else Layout.of(f.shape, _POINTS, _SIDE, layout.kind)
        self.eps = _grid(f)
        self.start = self.eps.index(f.eps[0]) if f.eps else len(self.eps) // 4
        self.numbers, self.entries = Entries.of(f.certificate, self.eps, self.layout, f.top_k, on_progress)
        self.units = InputUnits("image" if self._of_images else "other", f.shape, f.data_range if self._of_images else (0.0, 1.0))
        self.block = Block()

    # Of what kind things are.

    @cached_property
    def _of_images(self) -> bool:
        """Whether inputs are pictures in their range, so that eps can be told in grey levels."""
        images, (low, high) = self.f.images, self.f.data_range
        if images is None or self.layout.kind != "picture" or self.layout.slices:
            return False
        return images.shape[1:] == self.f.shape and float(images.min()) >= low and float(images.max()) <= high

    @property
    def _proven(self) -> bool:
        return self.certificate.terms.confidence != "asymptotic"

    @property
    def _panels(self) -> list[str]:
        """Pictures of an input, from left to right; what the page draws for rows of entries is one."""
        have = {
            "image": self.f.images is not None and self.layout.kind == "picture",
            "plain": self.f.plain_maps is not None and self.layout.kind == "picture",
            "smoothed": self.certificate.evidence.maps is not None,
            "signs": self.entries is not None and self.layout.kind == "picture",
            "top": self.entries is not None and self.layout.kind == "picture",
        }
        return [name for name, there in have.items() if there]

    # What the script is given.

    def data(self) -> dict[str, Any]:
        """Places in the block, and all that is said at each size."""
        height, width = self.layout.size
        return {
            "kind": self.layout.kind,
            "height": height,
            "width": width,
            "gap": max(1, round(_GAP * width)),
            "panels": self._panels,
            "scale": SCALE,
            "nothing": NOTHING,
            "silent": _SILENT,
            "eps": self._sizes,
            "words": self._eps_words,
            "sets": self._sets,
            "marker": svg.across(self._set_lines, self.eps),
            "numbers": [self.block.put(values) for _, values in self._shown_numbers],
            "limits": self.block.put(self._limits[0]),
            "limitWords": self._limits[1],
            "names": self._names,
            **self._pictures(),
            **self._sample(),
        }

    def _pictures(self) -> dict[str, Any]:
        f, layout, maps = self.f, self.layout, {}
        if f.certificate.evidence.maps is not None:
            maps["smoothed"] = self.block.put(_levels(self._cells(f.certificate.maps)))
        images: list[list[int]] = []
        if layout.kind == "picture":
            if f.plain_maps is not None:
                maps["plain"] = self.block.put(_levels(self._cells(f.plain_maps)))
            if f.images is not None:
                images = [self.block.put(encoded(self._picture(image))) for image in f.images]
        elif f.images is not None and layout.kind == "series" and f.images.shape[1:] == f.shape:
            maps["image"] = self.block.put(_levels(self._cells(f.images)))
        found: dict[str, Any] = {"maps": maps, "images": images, "signs": None, "tops": None, "low": None, "high": None}
        if (entries := self.entries) is not None:
            found["signs"], found["tops"] = self.block.put(entries.signs), self.block.put(entries.top)
            if entries.low is not None and entries.high is not None and "smoothed" in maps:
                # In units of the largest smoothed value, as the maps are; outwards, so that no interval shrinks.
                unit = _largest(self._cells(f.certificate.maps))[:, :, None]
                for name, ends, towards in (("low", entries.low, np.floor), ("high", entries.high, np.ceil)):
                    found[name] = self.block.put(_clipped(towards(ends / unit * 32767)))
        return found

    def _cells(self, maps: Array) -> Array:
        """Of n maps, shape (n, cells): means over cells of the sums over channels."""
        layout = self.layout
        return np.stack([layout.mean(layout.total(one)).reshape(-1) for one in np.asarray(maps, np.float64)])

    def _picture(self, image: Array) -> Any:
        stack = self.layout.stacked(image) if image.shape == self.f.shape else image.reshape(-1, *image.shape[-2:])
        return pixels(stack, *self.f.data_range, self.layout.size)

    def _sample(self) -> dict[str, Any]:
        """Noise for the first input, and how much of it at each size."""
        if not self._of_images:
            return {"channels": 0, "rms": [], "noiseRms": _NOISE, "noise": None}
        channels = 3 if self.layout.channels == 3 else 1
        shape = (*self.layout.size, channels)
        noise = perturbation(shape, _NOISE * float(np.sqrt(np.prod(shape))))
        levels = [round(self.units.levels(size), 3) for size in self.eps]
        place = self.block.put(np.clip(noise.round(), -127, 127).astype(np.int8))
        return {"channels": channels, "rms": levels, "noiseRms": _NOISE, "noise": place}

    # Numbers and words at each size.

    @cached_property
    def _sizes(self) -> list[str]:
        return [f"{size:g}" if float(f"{size:g}") == size else repr(size) for size in self.eps]

    @cached_property
    def _eps_words(self) -> list[str]:
        place = "in every pixel value" if self.units.kind == "image" else "in every value"
        found = []
        for size in self.eps:
            compared = self.units.compared(size)
            found.append(f"= {self.units.amount(size)} {place} (root mean square)" + (f"; {compared}" if compared else ""))
        return found

    @cached_property
    def _shown_numbers(self) -> list[tuple[str, Array]]:
        numbers: Numbers = self.numbers
        found = {
            "cosine at least": numbers.cosine,
            f"top {self.f.top_k} overlap at least": numbers.overlap,
            "Kendall's tau at least": numbers.tau,
            "share of signs certain": numbers.signs,
        }
        return [(name, values) for name, values in found.items() if values is not None]

    @cached_property
    def _limits(self) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """What limits each certificate at each size: numbers of texts, and the texts."""
        words = self.certificate.binding(list(self.eps))
        words = np.where(self.numbers.cosine == NOTHING, "nothing is certified: " + words, "limited by " + words)
        texts, where = np.unique(words.astype(str), return_inverse=True)
        return where.reshape(words.shape).astype(np.uint8), texts.tolist()

    @cached_property
    def _names(self) -> list[str]:
        """Of entries, or of channels."""
        rows, columns = self.layout.size
        count = {"table": columns, "series": rows, "picture": 0}[self.layout.kind]
        kind = "channel" if self.layout.kind == "series" else "entry"
        given = self.f.names or ()
        return [given[i] if i < len(given) else f"{kind} {i}" for i in range(count)]

    # The whole set.

    def _reached(self, cosine: float) -> npt.NDArray[np.float64]:
        """The largest certified eps of each input that has one."""
        name = f"{MAX_EPS}{cosine!r}"
        return np.array([row[name] for row in self.f.rows if row.get(name) is not None], dtype=np.float64)

    def _share(self, cosine: float, eps: Sequence[float], *, simultaneous: bool) -> tuple[Array, Array]:
        """Observed, and at least of the source."""
        terms = self.certificate.terms
        return share_of(
            self._reached(cosine),
            np.asarray(eps),
            self.f.inputs,
            alpha=terms.alpha,
            beta=_BETA,
            averages=terms.observed is not None,
            simultaneous=simultaneous,
        )

    @cached_property
    def _sets(self) -> list[dict[str, Any]]:
        found = []
        for cosine in self.f.cosine:
            observed, least = self._share(cosine, self.eps, simultaneous=True)
            counts = [str(round(share * self.f.inputs)) for share in observed]
            known = [shown(share, 3) for share in least] if self._proven else []
            found.append({"cosine": f"{cosine!r}", "observed": counts, "least": known})
        return found

    @cached_property
    def _set_lines(self) -> list[tuple[Array, Array]]:
        sizes = np.linspace(0, self.eps[-1] or 1.0, _POINTS_OF_CURVES)
        return [(sizes, self._share(cosine, sizes, simultaneous=True).observed) for cosine in self.f.cosine]

    def _curve(self) -> Markup:
        names = [f"cosine at least {cosine!r}" for cosine in self.f.cosine]
        band = None
        if self._proven and self._set_lines:
            sizes, observed = self._set_lines[-1]
            band = (sizes, self._share(self.f.cosine[-1], sizes, simultaneous=True)[1], observed)
        return Markup(
            svg.curves(
                self._set_lines,
                x_label="eps",
                y_label="share of inputs",
                title=f"Share of the {self.f.inputs} inputs against eps: {', '.join(names)}",
                width=680,
                height=280,
                names=names,
                band=band,
                marker=self.eps[self.start],
            )
        )

    def _set_words(self) -> Iterator[str]:
        thresholds = " and ".join(repr(cosine) for cosine in self.f.cosine)
        yield f"The share of these {self.f.inputs} inputs whose certificate reaches a cosine of {thresholds}, against eps."
        if self._proven:
            yield (
                f"The band below the curve of {self.f.cosine[-1]!r}, and the figures at the top, are about the source: if "
                "these inputs are a random sample of it, then with confidence "
                f"{Decimal(1) - Decimal(repr(_BETA))} at least such a share of it truly keeps the cosine, at all sizes at "
                "once. Inputs that failed or are missing count as not certified."
            )
        yield from self._classes.lines()

    @property
    def _classes(self) -> Meaning:
        told = [
            (row["explained_class"], row["certified_prediction"])
            for row in self.f.rows
            if row.get("explained_class") is not None and row.get("certified_prediction") is not None
        ]
        return Meaning.of(*zip(*told, strict=True)) if told else Meaning()

    def _shares(self) -> list[list[str]]:
        found = []
        for cosine in self.f.cosine if self._proven else ():
            observed, least = self._share(cosine, self.f.eps, simultaneous=False)
            for size, seen, bound in zip(self.f.eps, observed, least, strict=True):
                count = f"{round(seen * self.f.inputs)} of {self.f.inputs}"
                found.append([repr(size), repr(cosine), count, shown(bound, 3)])
        return found

    # One input.

    def _cards(self) -> list[dict[str, Any]]:
        rows = {row["id"]: row for row in self.f.rows}
        alike = self._likeness
        titles = ", ".join(self._titles)
        return [
            {
                "id": name,
                "about": "; ".join(self._about(rows.get(name, {}), None if alike is None else alike[i])),
                "note": _note(rows.get(name, {})),
                "alt": f"Pictures of {name}: {titles}; the numbers below say what is certain",
                "now": [(said, _number(values[i, self.start])) for said, values in self._shown_numbers],
                "limit": self._limits[1][self._limits[0][i, self.start]],
                "attacked": list(_attacked(self.f.attacked.get(name))),
                "rows": [
                    [size, *(_number(values[i, j]) for _, values in self._shown_numbers)]
                    for j, size in enumerate(self._sizes)
                ],
                "entries": self._entry_rows(i),
            }
            for i, name in enumerate(self.f.ids)
        ]

    @property
    def _titles(self) -> list[str]:
        return [_TITLES[name].format(k=self.f.top_k) for name in self._panels]

    @cached_property
    def _likeness(self) -> Array | None:
        """The cosine between maps with and without noise, shape (n,); NaN where one is zero."""
        if self.f.plain_maps is None or self.certificate.evidence.maps is None:
            return None
        n = len(self.certificate)
        plain, smoothed = (np.asarray(a, np.float64).reshape(n, -1) for a in (self.f.plain_maps, self.certificate.maps))
        return np.asarray(cosine_similarity(plain, smoothed))

    def _about(self, row: Mapping[str, Any], alike: float | None) -> Iterator[str]:
        for name in ("label", "prediction", "target"):
            if (value := row.get(name)) is not None and value != -1:
                yield f"{_NAMES[name]} {value}"
        if row.get("certified_prediction") is not None:
            radius = row.get("prediction_radius", 0.0)
            kept = f"for certain, at every change below eps {shown(radius)}" if radius > 0 else "not for certain"
            yield f"the smoothed model says {_class(row['certified_prediction'])}, {kept}"
        if alike is not None and np.isfinite(alike):
            yield f"the smoothed map has a cosine of {alike:.3f} with the map without noise"
        for cosine in self.f.cosine:
            if (largest := row.get(f"{MAX_EPS}{cosine!r}")) is not None:
                yield f"keeps a cosine of {cosine!r} up to eps {shown(largest)}"

    def _entry_rows(self, i: int) -> list[list[str]]:
        """Every entry of a table by name."""
        if self.layout.kind != "table" or self.entries is None or self.certificate.evidence.maps is None:
            return []
        found = []
        for name, value, sign, top in zip(
            self._names, self.certificate.maps[i].reshape(-1), self.entries.signs[i], self.entries.top[i], strict=True
        ):
            sure = "+" if sign > 0 else "-" if sign < 0 else "not certain"
            until = [self._sizes[abs(int(step)) - 1] if step else "" for step in (sign, top)]
            found.append([name, f"{value:.4g}", sure, *until])
        return found

    # Everything else.

    def words(self) -> dict[str, Any]:
        """What the template is given."""
        f, terms = self.f, self.certificate.terms
        observed = None if terms.observed is None else terms.observed.n_samples
        return {
            "title": f.title,
            "subtitle": ", ".join([f"{f.inputs} inputs", str(terms.noise), str(terms.bound), f"alpha = {terms.alpha!r}"]),
            "warnings": self._warnings(),
            "claim": f"{statement.claim_of(terms.alpha, observed, proven=self._proven)} that is shown for that eps here.",
            "landmarks": [self._landmarks()] if self.units.landmarks() else [],
            "eps": self._sizes,
            "words": self._eps_words,
            "start": self.start,
            "sets": self._sets,
            "total": f.inputs,
            "sample": self._of_images,
            "limits": self._not_said(),
            "curve": self._curve() if f.cosine else "",
            "set_words": list(self._set_words()) if f.cosine else [],
            "shares": self._shares(),
            "shares_caption": f"For one size and cosine that were chosen beforehand, each with confidence {1 - _BETA:g}",
            "picture_words": list(self._picture_words()),
            "legend": self._legend(),
            "cards": self._cards(),
            "panels": self._titles if self.layout.kind == "picture" else ([""] if self._panels else []),
            "picture": self.layout.kind == "picture",
            "numbers": ["eps", *(name for name, _ in self._shown_numbers)],
            "k": f.top_k,
            "table": self._table(),
            "table_caption": "eps in input units; bounds are rounded down, and -1 says that nothing is certified",
            "abstentions": [*self._silent(), *self._failed()],
            "facts": list(self._facts(observed)),
            "seed": (
                f"The seed, {terms.seed}, is in this report: {statement.SEED}. Whoever reads it can compute the noise that "
                "this seed gives any input. Do not use it again, to certify or to explain inputs that others choose."
            ),
        }

    def _warnings(self) -> list[str]:
        none = "NOTHING IS PROVEN HERE: the asymptotic interval holds for no finite number of samples."
        return [*([] if self._proven else [none]), *self.f.remarks]

    def _landmarks(self) -> str:
        known = "; ".join(f"{mark.name} is eps {shown(mark.eps, 3)}" for mark in self.units.landmarks())
        return f"eps is the l2 size of a change of the whole input. At this size of input: {known}."

    def _not_said(self) -> list[str]:
        return [
            *statement.LIMITS,
            "It is about changes of l2 size up to eps, of whatever form; not about other images of the same thing, nor about "
            "changes that are larger.",
            "Pictures show estimates of the smoothed maps; what is certain is in colour in the pictures of signs and top "
            "entries, and in the numbers.",
            "Shares of the source are claims only if these inputs are a random sample of it.",
        ]

    def _picture_words(self) -> Iterator[str]:
        layout = self.layout
        if layout.channels > 1:
            yield (
                f"A pixel has {layout.channels} channels. Maps show their sum, and its sign; a pixel is shown among the top "
                f"{self.f.top_k} if one of its entries is."
            )
        if layout.slices:
            yield f"Volumes are shown by slices, side by side: {', '.join(map(str, layout.slices))}."
        if layout.block > 1 and layout.kind == "picture":
            yield (
                f"Pictures are reduced: a cell stands for {layout.block} x {layout.block} pixels, and counts as certain only "
                "if all of them are."
            )
        elif layout.block > 1:
            yield (
                f"Series are reduced: a bar stands for {layout.block} points; its value is their mean, its interval holds "
                "all of theirs, and it counts as certain only if all of them are."
            )
        if self.entries is None:
            yield "Bounds on entries were not proven or not kept: there are no certain signs or ranks."

    def _legend(self) -> list[tuple[str, str]]:
        found = [("plus", "positive"), ("minus", "negative")]
        if self.entries is not None:
            found = [("plus", "certainly positive, or positive"), ("minus", "certainly negative, or negative")]
            found += [("top", f"certainly among the top {self.f.top_k}"), ("open", "not certain at this size")]
        return found

    def _table(self) -> dict[str, Any]:
        keys = dict.fromkeys(key for row in self.f.rows for key in row)
        names = {key: name for key, name in _NAMES.items() if key in keys}
        for start, said in ((MAX_EPS, "eps at cosine {}"), (COSINE, "cosine at eps {}")):
            names |= {key: said.format(key[len(start) :]) for key in keys if key.startswith(start)}
        failed = any(row.get("reason") for row in self.f.rows)
        if failed:
            names["reason"] = "failed"
        rows = [[_cell(key, row.get(key)) for key in names] for row in self.f.rows]
        return {"names": list(names.values()), "rows": rows}

    def _silent(self) -> Iterator[str]:
        """Abstentions at the sizes that were asked for."""
        for size in self.f.eps:
            groups: dict[str, list[Mapping[str, Any]]] = {}
            for row in self.f.rows:
                if row.get(f"{ABSTENTION}{size!r}"):
                    groups.setdefault(str(row.get(f"binding_eps_{size!r}", "")), []).append(row)
            for limit, rows in groups.items():
                first = rows[0]
                example = f"{printable(first['id'])}: {first[f'{ABSTENTION}{size!r}']}"
                yield f"At eps {size!r}, on {len(rows)} of {self.f.inputs} inputs ({example}). {limit[:1].upper()}{limit[1:]}."

    def _failed(self) -> Iterator[str]:
        failed = [row for row in self.f.rows if row.get("reason")]
        for row in failed[:_FEW]:
            yield f"{printable(row['id'])} failed: {printable(str(row['reason']))}"
        if len(failed) > _FEW:
            yield f"and {len(failed) - _FEW} more, which the table names"
        if missing := self.f.inputs - len(self.f.rows):
            yield f"{missing} inputs are not done yet"

    def _facts(self, observed: int | None) -> Iterator[tuple[str, str]]:
        terms, sampling = self.certificate.terms, self.certificate.evidence.sampling
        yield from self.f.about.items()
        yield "noise", str(terms.noise)
        yield "bound", f"{terms.bound}: norm at most {terms.max_norm:g}, entries at most {terms.max_entry:g}"
        yield "guarantee", statement.guarantee_of(observed)
        yield "alpha", statement.alpha_of(terms.alpha, self.f.inputs, proven=self._proven)
        yield "shares of alpha", ", ".join(f"{name} {share:.3g}" for name, share in terms.ledger.shares)
        yield "confidence bound", terms.confidence
        yield "samples", f"up to {int((sampling.n_samples + sampling.n_pilot).max()):,} an input"
        if terms.random:
            yield "random attribution", "each draw was a call with random numbers of its own"
        yield "looked at before the draws", _preflight(terms.preflight)
        yield "certified with", f"attricert {terms.version}"
        yield "seed", f"{terms.seed}; {statement.SEED}"


def _grid(f: Findings) -> tuple[float, ...]:
    entries = len(f.certificate) * f.certificate.terms.dimension
    return grid_of(f.certificate, f.eps, entries if f.certificate.evidence.entries is not None else 0)


def _largest(cells: Array) -> Array:
    """Of each map, shape (n, 1); 1 for one that is zero."""
    found = np.abs(cells).max(axis=1, keepdims=True)
    return np.where(found > 0, found, 1.0)


def _levels(cells: Array) -> npt.NDArray[np.int8]:
    """Each map in units of its largest value."""
    return np.asarray((cells / _largest(cells) * 127).round().astype(np.int8))


def _clipped(values: Array) -> npt.NDArray[np.int16]:
    """Ends of intervals beyond the axis; still outside all that is shown."""
    return np.asarray(np.clip(values, -32767, 32767).astype(np.int16))


def _number(value: int) -> str:
    return _SILENT if value == NOTHING else f"{Decimal(int(value)) / SCALE:.3f}"


def _cell(key: str, value: Any) -> str:
    if value is None or (key in ("label", "target") and value == -1):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(value) if isinstance(value, float) else printable(str(value))


def _class(label: int) -> str:
    return "no class" if label < 0 else f"class {label}"


def _note(row: Mapping[str, Any]) -> str:
    """Where the map explains another class than the smoothed model's."""
    if row.get("explained_class") is None or row.get("certified_prediction") is None:
        return ""
    return note(row["explained_class"], row["certified_prediction"])


def _attacked(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        return
    reached = ", ".join(
        f"{cosine:.3f} at eps {size:.4g}" for size, cosine in zip(found["eps"], found["cosine_attacked"], strict=True)
    )
    broken = found["broken_eps"]
    least = f"fell below the threshold at eps {broken:.4g}" if np.isfinite(broken) else "never fell below the threshold"
    yield f"An attack got the cosine down to {reached}; it {least}."


def _preflight(looked: tuple[str, ...] | None) -> str:
    if looked is None:
        return "nothing: this version did not"
    return ", ".join(looked) or "nothing: it was switched off"
