"""Time training against the field's way: ``python -m benchmarks.perf.training``.

The same backbone, images and epochs, in one run:

(a) the field's way: Pillow transforms in DataLoader workers, the backbone in every step and again
    for the codes of every cell, one cell at a time;
(b) ours with fresh views: augmented on the device, the backbone in every step, features of queries
    and database computed once;
(c) ours with the bank of views: every image and view through the backbone once;
(d) (c) with the seeds of a cell in one stack;
(e) (c) with matrix products in bfloat16, as ``--matmul medium`` asks for them.

Nothing is run to its end. A few steps of each method, a few hundred images of each extraction and a
few thousand of each encoding are measured, and multiplied by the steps and images of
``cifar10/1k-5k``: 5,000 training images, 60,000 that get a code. Pixels are random, 32 x 32 as that
set's are; time does not depend on them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.command import run_command
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Kind
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.machine.memory import keep_freed_memory
from benchmarks.perf.steps import (
    MORE,
    N_IMAGES,
    N_TRAIN,
    ONE,
    SIDE,
    Setting,
    encoding,
    field_image,
    field_step,
    kinds,
    our_step,
)
from datasets import load
from datasets.image_source import MemoryImages

METHODS = ("lsh", "cibhash", "nsh", "wch", "kl_hash")
BITS = (16, 32, 64)


def main() -> None:
    """Print seconds of one cell and of the grid for each way, and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--input-size", type=int, default=128)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=20, help="that are timed, of each method")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of DataLoader")
    options = parser.parse_args()
    device = torch.device(options.device)
    network = backbone(options.backbone, options.input_size).to(device)
    at = Setting(network, device, options.steps, options.seeds, options.workers)
    print(
        f"{network.label}, {device.type}, {torch.get_num_threads()} threads, "
        f"{options.workers} workers, {platform.machine()}, torch {torch.__version__}; "
        f"{options.steps} steps of each method, {options.seeds} seeds\n"
    )
    _print(_ways(at), at)
    if device.type == "cuda":
        _profile(at)


@dataclass(frozen=True)
class Way:
    """What a way costs, in seconds.

    Attributes
    ----------
    name : str
    step : dict of float
        Of a step, by method; of all seeds at once where `together`.
    once : callable
        What methods share, however many cells there are, by their names.
    each : float
        What every cell spends beside its training and its codes.
    encode : dict of float
        Of the codes of a cell from features, by method.
    together : bool
        Whether a step is of all seeds.
    """

    name: str
    step: dict[str, float]
    once: Callable[..., float]
    encode: dict[str, float]
    each: float = 0.0
    together: bool = False

    def seconds(self, method: str, bits: int, seeds: int) -> float:
        """Train and encode the cells of one method and length."""
        recipe = method_spec(method).recipe
        steps = recipe.epochs_for(bits) * (N_TRAIN // recipe.batch_size)
        trained = self.step.get(method, 0.0) * steps * (1 if self.together else seeds)
        return trained + seeds * (self.encode[method] + self.each)


def _ways(at: Setting) -> list[Way]:
    """Measure every way.

    A step is measured at one length: what the others cost is in their epochs.
    """

    def steps(step: Callable[[Setting, MethodSpec], float]) -> dict[str, float]:
        specs = {name: method_spec(name) for name in METHODS}
        return {name: step(at, spec) for name, spec in specs.items() if spec.is_trained}

    field, again = steps(field_step), N_IMAGES * field_image(at)
    keep_freed_memory()  # as our runner does, and the field does not
    extraction = _extraction(at)
    print(f"extraction, once: {extraction}\n")
    encode = {name: encoding(at, method_spec(name)) for name in METHODS}
    ours, both = steps(our_step), extraction.both
    stacked, rounded = partial(our_step, stack=at.seeds), partial(our_step, matmul="medium")
    fresh = partial(our_step, fresh=True)
    return [
        Way("(a) the field's way", field, lambda *methods: 0.0, encode, each=again),
        Way("(b) fresh views", steps(fresh), extraction.plain, encode),
        Way("(c) bank of views", ours, both, encode),
        Way("(d) bank, stacked seeds", steps(stacked), both, encode, together=True),
        Way("(e) bank, bfloat16 products", steps(rounded), both, encode),
    ]


def _print(ways: list[Way], at: Setting) -> None:
    method, bits = ONE
    cells = len(METHODS) * len(BITS) * at.seeds
    parts: dict[str, Callable[[Way], float]] = {
        f"{method}, {bits} bits": lambda way: way.once(method) + way.seconds(*ONE, 1),
        f"its {at.seeds} seeds": lambda way: way.once(method) + way.seconds(*ONE, at.seeds),
        f"all {cells} cells": lambda way: way.once(*METHODS) + _grid(way, at),
    }
    print(f"| way | {' | '.join(f'{part}, s' for part in parts)} | after extraction, s |")
    print("|---" * (len(parts) + 2) + "|")
    ours = ways[2]
    for way in ways:
        cost = [(of(way), of(way) / of(ours)) for of in parts.values()]
        entries = [f"{seconds:,.0f} ({ratio:.1f}x)" for seconds, ratio in cost]
        if way.together:
            entries[0] = "-"  # one seed is no stack
        print(f"| {way.name} | {' | '.join(entries)} | {_grid(way, at):,.0f} |")
    print("\n| milliseconds a step |", " | ".join(ours.step), "|")
    print("|---" * (len(ours.step) + 1) + "|")
    for way in ways:
        print(f"| {way.name} |", " | ".join(f"{1e3 * s:.1f}" for s in way.step.values()), "|")


def _grid(way: Way, at: Setting) -> float:
    """Seconds of all cells after what they share."""
    return sum(way.seconds(method, bits, at.seeds) for method in METHODS for bits in BITS)


@dataclass(frozen=True)
class Extraction:
    """Seconds of all images, and of all views of the training images, by what a pass gives."""

    images: dict[tuple[Kind, ...], float]
    views: dict[tuple[Kind, ...], float]

    def plain(self, *methods: str) -> float:
        """Seconds of what these methods need of the images."""
        return self.images[kinds(methods)]

    def both(self, *methods: str) -> float:
        """Seconds of that and of the views."""
        return self.plain(*methods) + self.views[kinds(methods)]

    def __str__(self) -> str:
        return ", ".join(
            f"{' and '.join(each)} {seconds:,.0f} s and of views {self.views[each]:,.0f} s"
            for each, seconds in self.images.items()
        )


def _extraction(at: Setting) -> Extraction:
    """Measure the cache on a few hundred images, and scale to all of them."""
    few = load("synthetic")
    pixels = torch.randint(0, 256, (len(few.labels), 3, SIDE, SIDE), dtype=torch.uint8)
    few = replace(few, images=MemoryImages(pixels))
    n_views = 2  # of as many as a bank keeps
    scale = method_spec(ONE[0]).recipe.bank_size / n_views
    found = Extraction({}, {})
    for each in {kinds([name]) for name in METHODS} | {kinds(METHODS)}:
        beside = each[-1] if len(each) > 1 else None
        for _ in range(2):  # the first time warms up
            with tempfile.TemporaryDirectory() as folder:
                cache = FeatureCache(Path(folder), at.device)
                plain = cache.features(few, at.network, each[0], beside)
                bank = cache.bank(few, at.network, "cibhash", n_views, each[0], beside)
        found.images[each] = plain.seconds * N_IMAGES / len(plain.array)
        found.views[each] = scale * bank.seconds * N_TRAIN / len(bank.array)
    return found


def _profile(at: Setting) -> None:
    """Print, for a step of (c) and of (d), kernel time against wall time, and peak memory."""
    print("\n| step | wall, us | kernels, us | share | peak MiB |\n|---|---|---|---|---|")
    for name in METHODS:
        spec = method_spec(name)
        for stack in (1, at.seeds) if spec.is_trained else ():
            torch.cuda.reset_peak_memory_stats(at.device)
            walls = [our_step(at, spec, stack=stack) for _ in range(3)]
            with torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CUDA]
            ) as profiled:
                our_step(at, spec, stack=stack)
            steps = 2 * MORE * at.steps  # one half warms up
            kernels = sum(e.self_device_time_total for e in profiled.key_averages()) / steps
            wall = statistics.median(walls) * 1e6
            peak = torch.cuda.max_memory_allocated(at.device) / 2**20
            print(f"| {name}, {stack} seeds | {wall:.0f} | {kernels:.0f} "
                  f"| {kernels / wall:.0%} | {peak:.0f} |")  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_command(main))
