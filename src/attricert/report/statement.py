"""What a run claims, in plain words: for people who find its folder."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import final

from attricert.files import sha256
from attricert.fixed import Fixed
from attricert.text import one_line
from attricert.units import InputUnits

__all__ = ["SEED", "Statement", "alpha_of", "claim_of", "guarantee_of", "limits_of", "unproven"]

_WIDTH, _INDENT = 100, 14  # characters


SEED = "who knows it knows the draws"
"""What a seed gives away."""


@final
@dataclass(frozen=True)
class Statement:
    """The terms of a run, and how many of its inputs are certified.

    Args:
        model, data, attribution, target, noise, bound: in the words of commands, or as they print.
        inputs: how many there are.
        weights, pixels: SHA-256 of model and data.
        n_samples: noisy copies of an input, at the most.
        alpha: the probability with which an input's certificates may fail.
        confidence: the confidence bound.
        observed: attributions in each of the two averages that the claim is about; None where it is about the
            population.
        seed: of the draws.
        printed: whether this is the paper's formula, which proves nothing.
        counts: certified and failed inputs; None while results are not written.
        units: of an input; None while no input has been seen.
        fixed: entries of an input that are held fixed, or None.
        random: whether equal inputs may have different maps.
        names: of an input's entries; empty where they have none.
        autocast: the dtype of half precision in which the model computes; None where there is none.
    """

    model: str
    data: str
    attribution: str
    target: str
    noise: str
    bound: str
    inputs: int
    weights: str
    pixels: str
    n_samples: int
    alpha: float
    confidence: str
    observed: int | None
    seed: int
    printed: bool = False
    counts: tuple[int, int] | None = None
    units: InputUnits | None = None
    fixed: Fixed | None = None
    random: bool = False
    names: tuple[str, ...] = ()
    autocast: str | None = None

    def to_text(self) -> str:
        """Lines of plain text."""
        return "\n".join([*self._claim(), "", *self._terms(), "", *self._limits(), ""])

    @property
    def proven(self) -> bool:
        """Whether the numbers are bounds at all."""
        return not unproven(self.confidence, printed=self.printed)

    def _claim(self) -> Iterator[str]:
        yield "What this run claims"
        yield "===================="
        yield ""
        if warning := unproven(self.confidence, printed=self.printed):
            yield from _lines(warning)
            yield ""
        claim = claim_of(self.alpha, self.observed, proven=self.proven)
        yield from _lines(
            f"{claim} that results.parquet states for that eps. Other columns make further claims of the same kind; "
            "one alpha covers all of an input."
        )

    def _terms(self) -> Iterator[str]:
        results = (
            "not all there yet"
            if self.counts is None
            else f"{self.counts[0]} inputs certified, {self.counts[1]} failed, of {self.inputs}"
        )
        for name, value in {
            "model": f"{self.model} ({self._about_weights})",
            "data": f"{self.data}, {self.inputs} inputs (SHA-256 {self.pixels})",
            "attribution": f"{self.attribution}, of the class: {self.target}",
            "noise": self.noise,
            "bound": self.bound,
            "guarantee": guarantee_of(self.observed),
            "alpha": alpha_of(self.alpha, self.inputs, proven=self.proven),
            "confidence": self.confidence,
            "samples": f"up to {self.n_samples:,} an input",
            "seed": f"{self.seed}; {SEED}",
            "results": results,
        }.items():
            yield from _lines(value, f"{name}:")

    @property
    def _about_weights(self) -> str:
        if self.weights == sha256(b""):
            return "its state_dict holds no weights, so that none are compared: its code is what is"
        return f"weights have SHA-256 {self.weights}"

    def _limits(self) -> Iterator[str]:
        eps = "eps is in units of the model's input" + ("" if self.units is None else f": {self.units.note(1.0)}")
        limits = limits_of(self.observed, self.fixed, random=self.random, names=self.names, autocast=self.autocast)
        yield from _lines(f"{' '.join(limits)} {eps}. More: docs/threat_model.md.")
        yield ""
        yield from _lines(
            "To check it: attricert verify FOLDER, with this folder. Nothing reads this file, and no digest covers it: "
            "what counts is the evidence, with manifest.json."
        )


def claim_of(alpha: float, observed: int | None, *, proven: bool = True) -> str:
    """What is claimed of each input, up to where the numbers are.

    Args:
        alpha: the probability with which an input's certificates may fail.
        observed: attributions in each of two averages; None for the population.
        proven: whether the numbers are bounds at all.
    """
    reads = "is proven" if proven else "would read"
    sure = f"{1 - Decimal(repr(alpha)):f}"
    whatever, maps = (
        ("", "the smoothed attribution map at the changed input has, with the one at the input,")
        if observed is None
        else (
            ", chosen without knowledge of the draws,",
            f"averages of {observed:,} fresh attributions at the changed input and at the input have",
        )
    )
    return (
        f"For each certified input this {reads}, with probability at least {sure} over the random draws: whatever "
        f"perturbation of l2 size up to eps{whatever} is added to the input, {maps} at least the cosine similarity"
    )


def unproven(confidence: str, *, printed: bool = False) -> str:
    """What is to be said first where numbers are no bounds; empty where they are."""
    if printed:
        return "NOTHING IS PROVEN HERE: the numbers are of the paper's printed formula, which is no bound."
    if confidence == "asymptotic":
        return "NOTHING IS PROVEN HERE: the asymptotic interval holds for no finite number of samples."
    return ""


def limits_of(
    observed: int | None,
    fixed: Fixed | None = None,
    *,
    random: bool = False,
    names: Sequence[str] = (),
    autocast: str | None = None,
) -> tuple[str, ...]:
    """What no claim says.

    Args:
        observed: attributions in each of two averages; None for the population.
        fixed: entries of an input that are held fixed, or None.
        random: whether equal inputs may have different maps.
        names: of an input's entries; empty where they have none.
        autocast: the dtype of half precision in which the model computes; None where there is none.
    """
    maps = "smoothed maps" if observed is None else "averages of maps under noise"
    more = []
    if fixed is not None:
        whole = math.prod(fixed.shape)
        more.append(
            f"It is about changes of {whole - fixed.count} of the {whole} values of an input; {fixed.count} "
            f"{'is' if fixed.count == 1 else 'are'} held fixed ({fixed.words(names)}), and nothing is said of what "
            "their change would do."
        )
    if random:
        more.append("Attributions are random by themselves: a smoothed map is the mean over noise and that randomness.")
    if autocast is not None:
        more.append(
            f"The model computes in {autocast}: attributions are those of the model so computed, and not in float32."
        )
    return (
        *more,
        f"It is about {maps}, of the same class at both points, and not about the attribution without noise.",
        "It does not say that the explanation is right, nor that the prediction is.",
    )


def guarantee_of(observed: int | None) -> str:
    """What the claims are about."""
    if observed is None:
        return (
            "population: about the smoothed map, which is the expected bounded attribution under the noise; for all "
            "perturbations at once"
        )
    return "observed: about two averages, for one perturbation that is chosen without knowledge of the draws"


def alpha_of(alpha: float, inputs: int, *, proven: bool = True) -> str:
    """What it means for so many inputs."""
    wrong = f"{(Decimal(repr(alpha)) * inputs).normalize():f}"
    return f"{alpha!r} for each input" + (f"; of {inputs} inputs {wrong} may be wrong on average" if proven else "")


def _lines(text: str, name: str = "") -> list[str]:
    """Text of any origin in lines, beside a name if it has one."""
    start, indent = (f"{name:<{_INDENT}}", " " * _INDENT) if name else ("", "")
    return textwrap.wrap(
        one_line(text),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
