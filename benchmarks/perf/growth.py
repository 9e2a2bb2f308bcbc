"""How the cost of fitting grows with the training set: ``python -m benchmarks.perf.growth``.

Fits each method to made-up features of growing number, one thread, each in a forked process of its
own. A trained method takes one epoch of its recipe, without augmented views. Prints CPU seconds of
the fit and peak MiB above the features; then the exponent, the slope of log seconds over log rows
between the two largest numbers. A fit that passes the limit is stopped, and larger ones are left.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

import torch

from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.perf.closed_forms import Cost, cost
from datasets.terminal import run_command
from methods import METHODS

_START = 5
"""Seconds of CPU that making the features and coding may take beside the fit."""

_SHORT = 0.01
"""Seconds of CPU up to which a fit says nothing of how it grows."""


def cost_within(spec: MethodSpec, rows: int, dim: int, bits: int, limit: int) -> Cost | None:
    """Fit in a process of its own; None where that takes more seconds of CPU than `limit`."""
    here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=_send_cost, args=(there, spec, rows, dim, bits, limit)
    )
    child.start()
    there.close()
    try:
        found: Cost | None = here.recv()
    except EOFError:
        found = None
    child.join()
    if found is None and child.exitcode is not None and child.exitcode >= 0:
        raise RuntimeError(f"{spec.name} failed on {rows:,} rows, see above")
    return found  # None: the kernel ended it


def _send_cost(
    there: Connection, spec: MethodSpec, rows: int, dim: int, bits: int, limit: int
) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (limit + _START, limit + _START))
    there.send(cost(spec, rows, dim, bits))


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log rows between the last two sizes.

    Examples
    --------
    >>> exponent([10, 100, 1000], [5.0, 1.0, 100.0])
    2.0
    """
    rise = math.log10(seconds[-1]) - math.log10(seconds[-2])
    return rise / (math.log10(sizes[-1]) - math.log10(sizes[-2]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perf.growth")
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 50_000], help="rising")
    parser.add_argument("--dim", type=int, default=128, help="features D of an image")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--limit", type=int, default=60, help="seconds of CPU a fit may take")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="all where left out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # a fork takes no threads along
    sizes = options.rows
    print(f"{options.dim} features, {options.bits} bits; CPU seconds of a fit (peak MiB)\n")
    print(f"| method | {' | '.join(f'{n:,}' for n in sizes)} | exponent | encode a million, s |")
    print("|---|" + "---|" * (len(sizes) + 2))
    for name in options.methods:
        spec = method_spec(name, epochs=1)
        found: list[Cost] = []
        for n in sizes:
            one = cost_within(spec, n, options.dim, options.bits, options.limit)
            if one is None:
                break
            found.append(one)
        cells = [f"{one.cpu:.2f} ({one.memory:,.0f})" for one in found]
        cells += [f"above {options.limit} s"][: len(sizes) - len(found)]
        cells += [""] * (len(sizes) - len(cells))
        seconds = [one.cpu for one in found]
        grows = (
            f"{exponent(sizes[: len(found)], seconds):.1f}"
            if len(found) > 1 and seconds[-2] > _SHORT
            else ""
        )
        codes = f"{found[-1].encode:.1f}" if found else ""
        told = f"{name}, an epoch" if spec.is_trained else name
        print(f"| {told} | {' | '.join(cells)} | {grows} | {codes} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
