"""What a closed form costs: ``python -m benchmarks.perf.closed_forms``.

Fits each method that has no loss to made-up features, in a process of its own, so that nothing is
shared and memory is its own. Prints seconds and CPU seconds of the fit, the peak of memory above
the features, and the seconds of coding a million images.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.grid.method_settings import MethodSpec, method_spec, parse_overrides
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from datasets.terminal import run_command
from methods import METHODS

BLOCK = 1024
_TOKENS = 4
"""Tokens of an image, for a method that takes them."""


@dataclass(frozen=True)
class Cost:
    """What one fit and one coding took.

    Attributes
    ----------
    fit, cpu, encode : float
        Seconds of the fit, on the clock and of CPU, and of coding a million images.
    memory : float
        Peak MiB above the features during both, libraries included that a method loads.
    """

    fit: float
    cpu: float
    encode: float
    memory: float


def features(rows: int, dim: int) -> Tensor:
    """Make a mixture of 100 blobs after a ReLU, (N, D), block by block so that memory shows it."""
    g = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(100, 64, generator=g)
    basis = torch.randn(64, dim, generator=g) * torch.linspace(1, 0.1, 64)[:, None]
    X = torch.empty(rows, dim)
    for part in X.split(BLOCK):
        blob = torch.randint(100, (len(part),), generator=g)
        latent = centres[blob] + torch.randn(len(part), 64, generator=g)
        part.copy_((latent @ basis + 0.5 * torch.randn(len(part), dim, generator=g)).relu_())
    return X


def cost(spec: MethodSpec, rows: int, dim: int, bits: int) -> Cost:
    """Fit a method and code with it, in this process; a trained one without augmented views."""
    X = features(rows, dim)
    if spec.cls.consumes == "tokens":
        X = X.unsqueeze(1).repeat(1, _TOKENS, 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _memory("VmRSS")
    method = spec.cls(dim, bits, **spec.params)
    clock, cpu = time.perf_counter(), time.process_time()
    method.fit(ViewBank(X, None), Trainer(spec.recipe, seed=0) if spec.is_trained else None)
    fit, cpu = time.perf_counter() - clock, time.process_time() - cpu
    clock = time.perf_counter()
    method.encode(X)
    encode = (time.perf_counter() - clock) * 1e6 / rows
    return Cost(fit, cpu, encode, (_memory("VmHWM") - before) / 1024)


def _memory(line: str) -> int:
    """KiB that Linux counts for this process: VmRSS what it holds now, VmHWM the peak."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(entry.split()[1]) for entry in status if entry.startswith(line))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perf.closed_forms")
    parser.add_argument("--rows", type=int, default=60_000, help="training images N")
    parser.add_argument("--dim", type=int, default=1280, help="features D of an image")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--methods", nargs="+", help="names; all closed forms where left out")
    parser.add_argument("--set", nargs="+", default=[], metavar="METHOD.PARAM=VALUE")
    options = parser.parse_args(arguments)
    changes = parse_overrides(options.set)
    closed = [name for name in METHODS if not method_spec(name).is_trained]
    specs = [method_spec(name, changes.get(name)) for name in options.methods or closed]
    print(f"{options.rows:,} x {options.dim:,} features, {options.bits} bits\n")
    print("| method | fit, s | CPU s | peak MiB above the features | encode a million, s |")
    print("|---|---|---|---|---|")
    measure = partial(cost, rows=options.rows, dim=options.dim, bits=options.bits)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for spec, c in zip(specs, fresh.imap(measure, specs), strict=True):
            figures = f"{c.fit:.1f} | {c.cpu:.1f} | {c.memory:,.0f} | {c.encode:.1f}"
            print(f"| {spec.label} | {figures} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
