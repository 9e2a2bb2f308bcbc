"""Time an exact evaluation against what the field runs: ``python -m benchmarks.perf.evaluation``.

One run, the same codes and threads for all, the ways taken in turn; the medians of several rounds.
The first three give one number, mAP@1000; ours gives the counts from which every metric follows.

``--growth`` times ours alone instead, on databases of 10^4 to 10^7 packed codes on disk.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import run_command
from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.metrics import mean_average_precision
from benchmarks.evaluation.packing import PackedBits

Array = NDArray[Any]
OURS = "ours, counts"
CUTOFF = 1000


def main() -> None:
    """Print a table of seconds and ratios for each code length and number of classes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--database", type=int, default=59_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[10, 80], help="classes; over 10 are multi-label"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--growth", type=int, nargs="*", metavar="N", help="only ours, on databases of N codes"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{options.queries} queries, {options.threads} threads, {platform.machine()}, "
        f"torch {torch.__version__}, NumPy {np.__version__}; "
        f"median (minimum) of {options.rounds} rounds"
    )
    for n_classes in options.labels:
        for bits in options.bits:
            rng = np.random.default_rng(bits)
            query = _codes(rng, options.queries, bits, n_classes)
            if options.growth is not None:
                sizes = options.growth or [10**4, 10**5, 10**6, 10**7]
                _growth(query, rng, sizes, options.rounds)
            else:
                database = _codes(rng, options.database, bits, n_classes)
                print(f"\n{options.database} codes of {bits} bits, {n_classes} classes:\n")
                _table(_ways(query, database, options.threads), options.rounds)


def _codes(rng: np.random.Generator, n: int, bits: int, n_classes: int) -> Codes:
    """Codes that cluster by class, as learned ones do."""
    if n_classes <= 10:
        labels = np.eye(n_classes, dtype=bool)[rng.integers(0, n_classes, n)]
    else:
        labels = rng.random((n, n_classes)) < 3 / n_classes
    centres = np.random.default_rng(0).normal(size=(n_classes, bits))
    return Codes(labels @ centres + 1.5 * rng.normal(size=(n, bits)) > 0, labels)


def _ways(query: Codes, database: Codes, threads: int) -> dict[str, Callable[[], object]]:
    """Everything that is timed, by name; conversions that a user does once are done before."""
    q, b = (np.where(c.codes.unpack(), 1.0, -1.0).astype(np.float32) for c in (query, database))
    q_labels, b_labels = (c.labels.unpack().astype(np.float32) for c in (query, database))
    ways: dict[str, Callable[[], object]] = {
        "NumPy argsort a query": lambda: _argsort_loop(q, q_labels, b, b_labels),
        "torch product + sort": lambda: _torch_sort(q, q_labels, b, b_labels),
    }
    faiss = _faiss(query, database, threads)
    if faiss is not None:
        ways["faiss exact top 1000"] = faiss
    ways[OURS] = lambda: evaluate(query, database, device="cpu")
    ways["ours, counts + mAP@1000"] = lambda: mean_average_precision(
        evaluate(query, database, device="cpu"), CUTOFF
    )
    if torch.cuda.is_available():
        ways["ours, counts on CUDA"] = lambda: evaluate(query, database, device="cuda")
    return ways


def _argsort_loop(q: Array, q_labels: Array, b: Array, b_labels: Array) -> float:
    """Run the loop of the papers' code: for each query a product, an argsort, a mean."""
    total = 0.0
    for code, labels in zip(q, q_labels, strict=True):
        related = b_labels @ labels > 0
        distance = 0.5 * (q.shape[1] - b @ code)
        hits = related[np.argsort(distance)][:CUTOFF]
        ranks = np.flatnonzero(hits) + 1
        if len(ranks):
            total += float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return total / len(q)


def _torch_sort(q: Array, q_labels: Array, b: Array, b_labels: Array) -> float:
    """Take a hundred queries at a time: product, stable sort, cumulated precision."""
    tq, tq_labels, tb, tb_labels = (torch.from_numpy(x) for x in (q, q_labels, b, b_labels))
    total = 0.0
    for code, labels in zip(tq.split(100), tq_labels.split(100), strict=True):
        order = (-(code @ tb.T)).sort(dim=1, stable=True).indices[:, :CUTOFF]
        hits = (labels @ tb_labels.T > 0).gather(1, order).float()
        precision = hits.cumsum(1) / torch.arange(1, CUTOFF + 1)
        total += float(((precision * hits).sum(1) / hits.sum(1).clamp(min=1)).sum())
    return total / len(q)


def _faiss(query: Codes, database: Codes, threads: int) -> Callable[[], object] | None:
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: pip install -e '.[faiss]'")
        return None
    faiss.omp_set_num_threads(threads)
    q, b = query.codes.rows, database.codes.rows
    index = faiss.IndexBinaryFlat(8 * b.shape[1])
    index.add(b)
    return lambda: index.search(q, CUTOFF)


def _table(ways: dict[str, Callable[[], object]], rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # compiles, warms up
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds[OURS])
    print("| way | seconds (minimum) | against ours |\n|---|---|---|")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {median:.3f} ({min(times):.3f}) | {median / ours:.1f} x |")


# ----------------------------------------------------------------------------------- growth


def _growth(query: Codes, rng: np.random.Generator, sizes: list[int], rounds: int) -> None:
    """Print seconds, pairs a second and the peak of memory as the database on disk grows."""
    bits, n_classes = query.codes.width, query.labels.width
    print(f"\n{bits} bits, {n_classes} classes, packed on disk:\n")
    print("| codes | seconds (minimum) | pairs a second | peak MiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            database = _on_disk(Path(folder), rng, size, bits, n_classes)
            evaluate(query, database, device="cpu")  # compiles, warms up
            seconds = []
            with _peak_memory() as peak:
                for _ in range(rounds):
                    start = time.perf_counter()
                    evaluate(query, database, device="cpu")
                    seconds.append(time.perf_counter() - start)
            pairs = len(query) * size / min(seconds)
            print(
                f"| {size:,} | {statistics.median(seconds):.3f} ({min(seconds):.3f})"
                f" | {pairs:.2e} | {max(peak):.0f} |"
            )


def _on_disk(folder: Path, rng: np.random.Generator, size: int, bits: int, n_classes: int) -> Codes:
    """Write random codes, a hundred thousand at a time, and return them as memory maps."""
    parts = []
    with (folder / "codes").open("wb") as codes, (folder / "labels").open("wb") as labels:
        for start in range(0, size, 10**5):
            piece = _codes(rng, min(10**5, size - start), bits, n_classes)
            piece.codes.rows.tofile(codes)
            piece.labels.rows.tofile(labels)
    for name, width in (("codes", bits), ("labels", n_classes)):
        rows = np.memmap(folder / name, np.uint8, "r", shape=(size, -(-width // 8)))
        parts.append(PackedBits(rows, width))
    return Codes(*parts)


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """Sample the MiB that are this process's own every 2 ms; pages of mapped files do not count."""
    samples: list[float] = []
    done = threading.Event()

    def sample() -> None:
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
        samples.append((int(resident) - int(shared)) * 4096 / 2**20)

    def watch() -> None:
        while not done.wait(0.002):
            sample()

    sample()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    sys.exit(run_command(main))
