"""Attack what a run has certified, and show both bounds side by side."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attricert import checks, plots, runs
from attricert.attacks import Sandwich, Strong, sandwich
from attricert.certificates import Certificate
from attricert.cli.commands.attack import Options
from attricert.cli.containing import contained
from attricert.cli.output import show, show_json, show_table
from attricert.cli.trust import permit
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.report import shown, to_parquet
from attricert.runs.results import input_units
from attricert.runs.rows import Row
from attricert.runs.trust import refuse_other_code
from attricert.text import shortened
from attricert.units import InputUnits

__all__ = ["run"]

_RESULTS, _PICTURE, _PANELS = "attack.parquet", "attack.png", 12


def run(**values: Any) -> int:
    """Attack, write, print; 1 if a claim fails."""
    options = Options(**values)
    folder = Path(options.run if options.out is None else options.out)
    if (folder / _RESULTS).exists():
        raise ArgumentError("out", str(folder), f"already holds {_RESULTS}; choose another folder with --out")
    checks.fraction("cosine", options.cosine)
    run = runs.Store.open(Path(options.run))
    rows, certificate = runs.certified(run)
    n = len(rows) if options.inputs is None else min(checks.count("inputs", options.inputs, 1), len(rows))
    rows, certificate = rows[:n], certificate[:n]
    config = run.manifest.config
    permit(config.own_code().values(), options.trust_code, options.run)
    refuse_other_code(config, run.folder)
    with contained():
        attacked = _attacked(options, run, rows, certificate)
    ids = [row.facts["id"] for row in rows]
    found = _rows(ids, attacked)
    plots.save_figure(plots.sandwich(certificate, attacked, ids[:_PANELS]), folder / _PICTURE)
    write_atomically(folder / _RESULTS, to_parquet(found, json.dumps(dataclasses.asdict(options))))
    failed = [row for row in found if row["crossed"]]
    if options.json:
        show_json({"rows": found, "failed": len(failed)})
    else:
        _show(options, found, failed, input_units(run, certificate.terms))
        for line in certificate.meaning.lines():
            show(line)
        show(f"written to {folder / _RESULTS} and {folder / _PICTURE}")
    return 1 if failed else 0


def _attacked(options: Options, run: runs.Store, rows: Sequence[Row], certificate: Certificate) -> Sandwich:
    setting = runs.LoadedConfig.load(run.manifest.config)
    items = run.items(trust_code=options.trust_code)
    if changed := run.manifest.differences(runs.Manifest.of(setting, items)):
        raise ArgumentError("run", options.run, f"is not of what is here now ({'; '.join(changed)})")
    images = setting.inputs(torch.stack([items[row.facts["position"]][0] for row in rows]))
    return sandwich(
        certificate,
        setting.smoothed(),
        images,
        setting.stored_targets(rows),
        cosine=options.cosine,
        eps=options.eps,
        attack=Strong(budget=options.budget),
        steps=options.steps,
        keep_label=options.keep_label,
        data_range=options.data_range,
        n_samples=options.n_samples,
        seed=options.seed,
        progress=True,
    )


def _rows(ids: Sequence[str], attacked: Sandwich) -> list[dict[str, Any]]:
    """One row an input; lists go over the sizes attacked, in ascending order."""
    columns = {
        "id": ids,
        "max_eps": attacked.max_eps.tolist(),
        "broken_eps": attacked.broken_eps.tolist(),
        "ratio": attacked.ratio.tolist(),
        "crossed": attacked.crossings.any(axis=1).tolist(),
        **{
            name: [row[np.isfinite(sizes)].tolist() for row, sizes in zip(values, attacked.eps, strict=True)]
            for name, values in {
                "eps": attacked.eps,
                "cosine_certified": attacked.certified,
                "cosine_attacked": attacked.attacked,
                "cosine_error": attacked.error,
            }.items()
        },
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _show(
    options: Options, rows: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]], units: InputUnits
) -> None:
    table = [
        {
            "input": shortened(row["id"]),
            f"certified eps, T={options.cosine}": shown(row["max_eps"]),
            "attacked eps": f"{row['eps'][0]:.4f}",
            "cos certified": shown(row["cosine_certified"][0]),
            "cos attacked": f"{row['cosine_attacked'][0]:.4f}",
            "broken eps": f"{row['broken_eps']:.4f}",
            "certified / broken": f"{row['ratio']:.3f}",
            **({"": "CLAIM FAILED" if row["crossed"] else ""} if failed else {}),
        }
        for row in rows
    ]
    caption = f"the attack of size 'broken eps' brought the cosine below {options.cosine}; the truth lies between"
    show_table(table, f"{options.run}, attacked", caption)
    show(f"mean ratio certified / broken over {len(rows)} inputs: {np.mean([row['ratio'] for row in rows]):.3f}")
    show(f"mean certified {units.note(float(shown(np.mean([row['max_eps'] for row in rows]))))}")
    for row in failed:
        show(f"CLAIM FAILED: {row['id']}: an attack got below the certified cosine beyond its Monte-Carlo error")
