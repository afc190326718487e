"""Models by name."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, final

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from attricert import checks, yaml_text
from attricert.errors import IntegrityError
from attricert.files import sha256, write_atomically
from attricert.models.architectures import ARCHITECTURES

__all__ = ["Card", "card", "load", "names", "save"]

_FOLDER = Path(str(resources.files("attricert.models") / "zoo"))


@final
@dataclass(frozen=True)
class Card:
    """A model's card: YAML front matter with the facts, then text for people.

    Args:
        facts: ``name``, ``architecture``, ``input_shape``, ``classes``, ``sha256``, recipe, accuracies, licences.
            Weights lie beside the card, or in an installed package: then ``package`` (as it is imported), ``file`` in
            it, ``part`` of the model that they are for, and our ``extra`` that installs it.
        text: the description in Markdown.
    """

    facts: Mapping[str, Any]
    text: str

    @classmethod
    def read(cls, path: Path) -> Card:
        """Parse a card file."""
        try:
            _, front, text = path.read_text(encoding="utf-8").split("---\n", 2)
        except ValueError as error:
            raise IntegrityError(f"{path}: not a model card ({error})") from None
        return cls(yaml_text.parse(front, str(path)), text.strip())

    def to_text(self) -> str:
        """The card file's content."""
        return f"---\n{yaml.safe_dump(dict(self.facts), sort_keys=False)}---\n\n{self.text}\n"


def names() -> tuple[str, ...]:
    """Names that `load` knows."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md") if path.stem != "README"))


def card(name: str) -> Card:
    """The card of a model."""
    checks.known("model", name, names())
    return Card.read(_FOLDER / f"{name}.md")


def load(name: str) -> nn.Module:
    """A zoo model in eval mode; its inputs are in [0, 1].

    Raises:
        ArgumentError: its weights come from a package that is not installed.
        IntegrityError: the weights are not those that the card names.
    """
    facts = card(name).facts
    path = _weights(name, facts)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error})") from None
    if sha256(content) != facts["sha256"]:
        raise IntegrityError(f"{path.name}: SHA-256 is {sha256(content)}, its card says {facts['sha256']}")
    model = ARCHITECTURES[facts["architecture"]]()
    try:
        model.get_submodule(facts.get("part", "")).load_state_dict(_tensors(path.suffix, content))
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise IntegrityError(f"{path.name}: does not hold the weights of {facts['architecture']} ({error})") from None
    return model.eval().requires_grad_(False)


def _weights(name: str, facts: Mapping[str, Any]) -> Path:
    """Where a model's weights are: beside its card, or in the package that the card names."""
    if "package" not in facts:
        return _FOLDER / f"{name}.safetensors"
    checks.extra(facts["package"], facts["extra"])
    return Path(str(resources.files(facts["package"]) / facts["file"]))


def _tensors(suffix: str, content: bytes) -> Mapping[str, Tensor]:
    """A state dict; of torch's own files only tensors are unpickled, and no code is run."""
    if suffix == ".safetensors":
        return load_tensors(content)
    tensors: Mapping[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def save(model: nn.Module, folder: str | Path, facts: Mapping[str, Any], text: str) -> None:
    """Write weights and card, named by ``facts["name"]``; the checksum is added to the facts."""
    folder = checks.path("folder", folder)
    content = save_tensors({key: value.contiguous() for key, value in model.state_dict().items()})
    write_atomically(folder / f"{facts['name']}.safetensors", content)
    whole = Card({**facts, "sha256": sha256(content)}, text)
    write_atomically(folder / f"{facts['name']}.md", whole.to_text().encode())
