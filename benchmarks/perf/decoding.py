"""Decode many JPEG files as a data set does: ``python -m benchmarks.perf.decoding``.

Writes files of noise on a gradient, prepares them as `datasets.files.images` does, and prints
images a second and the peak memory of this process and its workers as the pass goes on, then reads
them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.command import run_command
from datasets.files.images import EncodedImages, FileItems


def main() -> None:
    """Print a line for each tenth of the pass, and one for the whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256, help="pixels of a file")
    parser.add_argument("--size", type=int, default=256, help="pixels that are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = _write(root / "files", options.images, options.side)
        start = time.perf_counter()
        items = FileItems(root / "files", names)
        print(f"{len(names):,} files listed in {time.perf_counter() - start:.1f} s")
        _prepare(EncodedImages(items, options.size), root / "cache")


def _write(folder: Path, n: int, side: int) -> list[str]:
    """Write n files, a hundred different ones over and over."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, side)[:, None, None]
    contents = []
    for i in range(min(n, 100)):
        path = folder / f"{i}.jpg"
        pixels = ramp + rng.integers(0, 56, (side, side, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=85)
        contents.append(path.read_bytes())
    for i in range(n):
        (folder / f"{i}.jpg").write_bytes(contents[i % len(contents)])
    return [f"{i}.jpg" for i in range(n)]


def _prepare(images: EncodedImages, cache: Path) -> None:
    watch = _Memory()
    watch.start()
    start = time.perf_counter()

    def tell(what: str, done: int, total: int) -> None:
        if done and (done * 10 // total) > ((done - 64) * 10 // total):
            rate = done / (time.perf_counter() - start)
            print(f"{done:,}/{total:,}: {rate:.0f} images/s, peak {watch.peak_mib:.0f} MiB")

    images.prepare(cache, tell)
    seconds = time.perf_counter() - start
    print(
        f"{len(images):,} images of {images.size} px prepared: {seconds:.1f} s, "
        f"{len(images) / seconds:.0f} images/s, peak {watch.peak_mib:.0f} MiB with workers"
    )
    start = time.perf_counter()
    for rows in torch.arange(len(images)).split(512):
        images.read(rows)
    seconds = time.perf_counter() - start
    watch.stop()
    print(
        f"read in blocks of 512: {len(images) / seconds:.0f} images/s, "
        f"peak {watch.peak_mib:.0f} MiB"
    )


class _Memory(threading.Thread):
    """Watches the proportional memory of this process and its children (Linux)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mib = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._over.wait(0.1):
            self.peak_mib = max(self.peak_mib, _mib(Path("/proc/self")))

    def stop(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


def _mib(process: Path) -> float:
    """Proportional set size of a process and its descendants; 0 for one that is gone."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        tasks = (process / "task").iterdir()
        children = {pid for task in tasks for pid in (task / "children").read_text().split()}
    except OSError:
        return 0.0
    return own + sum(_mib(Path("/proc") / pid) for pid in children)


if __name__ == "__main__":
    sys.exit(run_command(main))
