"""Two versions of the library side by side: a process of each, which certify the same digit in turns.

Usage: python benchmarks/versions.py OLD_SRC NEW_SRC [rounds [n_samples]], folders that hold ``attricert``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from alternating import alternate, ratio

WORKER = """
import sys, warnings
import attricert as ac
warnings.simplefilter("ignore")
image, label = ac.datasets.load("mnist", split="sample")[0]
smoothed = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(0.125))
for line in sys.stdin:
    certificate = smoothed.certify(image[None], label, n_samples=int(line), seed=0)
    print(float(certificate.max_eps(0.9)[0]), flush=True)
"""


class Version:
    """A process that certifies whenever it is told to."""

    def __init__(self, source: str, n_samples: int) -> None:
        self.n_samples, self.max_eps = n_samples, 0.0
        environment = {**os.environ, "PYTHONPATH": source}
        command, pipe = [sys.executable, "-c", WORKER], subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, text=True, stdin=pipe, stdout=pipe)

    def certify(self) -> None:
        """Once, with all that can be proven; `max_eps` at a cosine of 0.9 is a part of it."""
        given, told = self.process.stdin, self.process.stdout
        if given is None or told is None:
            raise RuntimeError("a process with pipes has them")
        given.write(f"{self.n_samples}\n")
        given.flush()
        self.max_eps = float(told.readline())


def main() -> None:
    """Seconds of the old version by those of the new one."""
    sources, numbers = sys.argv[1:3], [int(word) for word in sys.argv[3:]]
    rounds, n_samples = (*numbers, *(8, 10_240)[len(numbers) :])
    versions = {name: Version(source, n_samples) for name, source in zip(("old", "new"), sources, strict=True)}
    contenders: dict[str, Callable[[], object]] = {name: partial(Version.certify, v) for name, v in versions.items()}
    seconds = alternate(contenders, rounds)
    print(f"draws a second, new by old: {ratio(seconds['old'], seconds['new'])}")
    print({name: version.max_eps for name, version in versions.items()})


if __name__ == "__main__":
    main()
