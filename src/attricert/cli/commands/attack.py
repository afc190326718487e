"""Attack what a run has certified, and show both bounds side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert attack --run runs/a --inputs 2 --cosine 0.8",
    "attricert attack --run runs/a --eps 0.1,0.2 --keep_label --data_range 0 1 --out runs/a-attacked",
)


@final
@dataclass(frozen=True)
class Options:
    """Which run, and how hard to attack it.

    Args:
        run: folder that attricert certify --out has written.
        inputs: how many of the first inputs to attack; all by default.
        cosine: threshold T that the attack tries to get below.
        eps: further l2 sizes at which to attack every input.
        budget: how much work to spend; 1 is some 20,000 attributions an attack, and an input takes some eight.
        steps: bisections for the smallest size that breaks T.
        n_samples: fresh draws by which each result is judged.
        keep_label: only perturbed inputs that the model puts in the same class.
        data_range: smallest and largest value an input may have; any by default, as certificates allow any.
        seed: seed of the keyed streams.
        out: folder for attack.parquet and attack.png; by default that of the run. Must not hold them yet.
        trust_code: run code that the folder names, after showing its path and SHA-256, if it is what the run was made
            with; models of the zoo need none.
        json: print JSON instead of a table.
    """

    run: str
    inputs: int | None = None
    cosine: float = 0.9
    eps: tuple[float, ...] = ()
    budget: float = 1.0
    steps: int = 4
    n_samples: int = 4_000
    keep_label: bool = False
    data_range: tuple[float, float] | None = None
    seed: int = 0
    out: str | None = None
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to attack": ("run", "inputs", "cosine", "eps"),
        "how hard": ("budget", "steps", "n_samples", "keep_label", "data_range", "seed"),
        "what to report": ("out", "json"),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
