"""Speed and memory of `certify` beside a bare loop and Captum's NoiseTunnel; `make bench`, `make bench-accelerator`.

All contenders of a model are measured alternately in one process, on one input, with the same batch size and threads,
and told as ratios. The bare loops compute gradients of copies in one fixed batch, with no noise, no statistics and
nothing kept, float32 in full: what no certification can beat. One has its copies with channels last, as `certify` gives
them on a CPU.

Usage: python benchmarks/run.py [--device cuda] [--full] [--rounds N] [--draws N] [--only WORD] [--models NAME ...]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from alternating import alternate, machine, peak_memory_mib, ratio

import attricert as ac
from attricert.precision import full_precision

RESULTS = Path(__file__).parent / "results"
BARE, LAST = "bare loop", "bare loop, channels last"
EVERYTHING = "certify, everything"
MEMORY = (1_000, 10_000)  # draws


@dataclass(frozen=True)
class Setting:
    """A model of the zoo and one input.

    Args:
        model: its name.
        data: where the input is from.
        sigma: of the noise.
        draws: a turn, in quick runs.
        full: a turn, in full ones.
        rounds: of turns, by default.
        memory: at which numbers of draws peak memory is measured, in quick runs.
    """

    model: str
    data: str
    sigma: float
    draws: int
    full: int
    rounds: int = 8
    memory: tuple[int, int] = MEMORY


SETTINGS = {
    "mnist": Setting("mnist-standard", "mnist", 0.125, 2_048, 10_240),
    "cifar10": Setting("cifar10-standard", "cifar10", 0.125, 1_024, 10_240),
    "lite0": Setting("imagenet-efficientnet-lite0", "photographs", 0.25, 128, 2_048, 4, (128, 256)),
}


@dataclass(frozen=True)
class Subject:
    """What all contenders work on.

    Args:
        model: on its device.
        x: one input there, shape (1, ...).
        target: the class that is explained.
        sigma: of the noise.
        batch: noisy copies at once, for all.
    """

    model: torch.nn.Module
    x: torch.Tensor
    target: int
    sigma: float
    batch: int

    @classmethod
    def of(cls, setting: Setting, device: str, batch: int | None = None) -> Subject:
        """The batch size is what `certify` chooses, if none is given."""
        model = ac.models.load(setting.model).to(device)
        split = "test" if setting.data == "photographs" else "sample"
        x = ac.datasets.load(setting.data, split=split).images[:1].to(device)
        with torch.no_grad():
            target = int(model(x).argmax())
        if batch is None:
            batch = ac.doctor(ac.Saliency(model), x, target, noise=ac.Gaussian(setting.sigma)).cost.batch_size or 1
        return cls(model, x, target, setting.sigma, batch)

    def bare(self, draws: int, *, last: bool) -> None:
        """Forward and backward to the input, again and again."""
        copies = self.x.expand(self.batch, *self.x.shape[1:])
        order = torch.channels_last if last else torch.contiguous_format
        batch = torch.empty(copies.shape, dtype=copies.dtype, device=copies.device, memory_format=order).copy_(copies)
        with full_precision(batch.device.type):  # no TF32, as in `certify`
            for _ in range(draws // self.batch):
                leaf = batch.detach().requires_grad_()
                torch.autograd.grad(self.model(leaf)[:, self.target].sum(), leaf)

    def certify(self, draws: int, prove: tuple[str, ...] | None) -> None:
        """Pilot, noise, bound, statistics, confidence bounds; of the norm alone, or of all that can be proven."""
        noise = ac.Gaussian(self.sigma)
        smoothed = ac.SmoothedAttribution(ac.Saliency(self.model), noise, batch_size=self.batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ac.MeaningWarning)  # what it costs is asked, not what it is worth
            smoothed.certify(self.x, self.target, n_samples=draws, seed=0, prove=prove)

    def noise_tunnel(self, draws: int) -> None:
        """Captum's SmoothGrad."""
        import captum.attr

        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(self.model))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tunnel.attribute(
                self.x,
                nt_type="smoothgrad",
                nt_samples=draws,
                nt_samples_batch_size=self.batch,
                stdevs=self.sigma,
                target=self.target,
            )

    def contenders(self, draws: int) -> dict[str, Callable[[], None]]:
        """By name; all compute so many gradients, which are whole batches."""
        return {
            BARE: lambda: self.bare(draws, last=False),
            LAST: lambda: self.bare(draws, last=True),
            "certify, the norm alone": lambda: self.certify(draws, ()),
            EVERYTHING: lambda: self.certify(draws, None),
            "Captum NoiseTunnel": lambda: self.noise_tunnel(draws),
        }


def measured(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Rates as ratios to each bare loop (1 is as fast, below 1 slower), and peak memory at two numbers of draws."""
    setting, device, full, only = SETTINGS[name], asked.device, asked.full, asked.only
    subject, rounds = Subject.of(setting, device), asked.rounds or setting.rounds
    draws = asked.draws or (setting.full if full else setting.draws)
    draws = math.ceil(draws / subject.batch) * subject.batch
    contenders = subject.contenders(draws).items()
    chosen = {who: run for who, run in contenders if only is None or only in who or who in (BARE, LAST, EVERYTHING)}
    seconds = alternate(chosen, rounds)
    rates = {
        who: {
            "to_bare_loop": ratio(seconds[BARE], taken),
            "to_bare_loop_channels_last": ratio(seconds[LAST], taken),
        }
        for who, taken in seconds.items()
    }
    sizes = () if only is not None else MEMORY if full else setting.memory
    memory = {str(n): peak_memory(name, device, subject.batch, n) for n in sizes}
    return {
        "model": setting.model,
        "draws_a_turn": draws,
        "batch": subject.batch,
        "rounds": rounds,
        "samples_a_second": round(draws / statistics.median(seconds[EVERYTHING]), 1),
        "seconds_an_input": round(statistics.median(seconds[EVERYTHING]), 3),
        "rates": rates,
        "peak_memory_mib": memory,
    }


def peak_memory(name: str, device: str, batch: int, draws: int) -> float:
    """Peak MiB of a process of its own that certifies one input: resident, or on the accelerator."""
    asked = ["--device", device, "--models", name, "--batch", str(batch), "--memory", str(draws)]
    command = [sys.executable, __file__, *asked]
    return round(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout), 1)


def in_this_process(name: str, device: str, batch: int | None, draws: int) -> float:
    """The same, here."""
    Subject.of(SETTINGS[name], device, batch).certify(draws, None)
    return peak_memory_mib(device)


def markdown(found: dict[str, Any]) -> str:
    """The table of docs/speed.md."""
    lines = ["| model | what | rate by the bare loop's | by that with channels last |", "|---|---|---|---|"]
    for result in found["models"].values():
        for who, by in result["rates"].items():
            cells = (f"{b['median']:.3f} ({b['low']:.3f} to {b['high']:.3f})" for b in by.values())
            lines.append(f"| {result['model']} | {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="more draws a turn; the models of images too")
    parser.add_argument("--rounds", type=int, help="8 by default, of images 4")
    parser.add_argument("--draws", type=int, help="a turn")
    parser.add_argument(
        "--only", metavar="WORD", help="bare loops, everything, and what has this in its name; no memory"
    )
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--batch", type=int, help="goes with --memory")
    parser.add_argument("--memory", type=int, help="print the peak memory of this process at so many draws")
    return parser.parse_args()


def main() -> int:
    """All, or one measurement of memory."""
    asked = arguments()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"--device {asked.device}: there is no such accelerator here; nothing was measured", file=sys.stderr)
        return 1
    if asked.memory is not None:
        print(in_this_process(asked.models[0], asked.device, asked.batch, asked.memory))
        return 0
    found: dict[str, Any] = {"machine": machine(asked.device), "full": asked.full, "models": {}}
    for name in asked.models:
        found["models"][name] = measured(name, asked)
        print(json.dumps(found["models"][name]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    kind = asked.device.partition(":")[0]
    (RESULTS / f"{kind}.json").write_text(json.dumps(found, indent=1) + "\n")
    text = markdown(found)
    (RESULTS / f"{kind}.md").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
