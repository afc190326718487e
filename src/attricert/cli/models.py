"""List the zoo's models, or show one's card."""

from __future__ import annotations

from attricert import models
from attricert.cli.output import show, show_json, show_table

__all__ = ["run"]


def run(name: str | None = None, json: bool = False) -> int:
    """Show."""
    if name is not None:
        card = models.card(name)
        if json:
            show_json(dict(card.facts))
        else:
            show(card.to_text())
        return 0
    facts = [models.card(known).facts for known in models.names()]
    if json:
        show_json([dict(f) for f in facts])
        return 0
    columns = ("name", "architecture", "data", "test_accuracy", "recipe")
    show_table([{key: str(f.get(key, "-")) for key in columns} for f in facts], title="models")
    return 0
