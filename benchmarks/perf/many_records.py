"""How long a large results folder takes: ``python -m benchmarks.perf.many_records``.

Makes a folder of records that look like those of a long grid, and prints the seconds of a reading,
of `benchmarks.status`, of a report with its tables and page, and of a small run into that folder
and the same run again, each in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np

from datasets.terminal import run_command
from results.store import ResultStore, RunRecord
from results.store.files import tensor_file
from results.store.planned_grid import read_plan, write_plan
from results.store.run_key import Address

BITS = (16, 24, 32, 48, 64)
METHODS = 20
SEEDS = 10
QUERIES = 20
_RUN = (
    "import sys; from benchmarks.run import main; main(['--methods', 'lsh', '--bits', '16',"
    "'--seeds', '1', '--no-report', '--out', sys.argv[1]])"
)
PARTS = {
    "a reading": "from pathlib import Path; from results.store import ResultStore; import sys;"
    "print(len(ResultStore(Path(sys.argv[1])).scan().records))",
    "status": "import sys; from benchmarks.status import main; main(['--out', sys.argv[1]])",
    "report": "import sys; from benchmarks.report import main;"
    "main(['--out', sys.argv[1], '--figures', 'map_against_bits', '--format', 'png'])",
    "a run": _RUN,
    "the same": _RUN,
}
"""What is timed."""


def records(count: int) -> Iterator[RunRecord]:
    """Yield records of a grid: as many data sets as it takes, 20 methods, 5 lengths, 10 seeds."""
    rng = np.random.default_rng(0)
    names = (f"set{n:03}" for n in range(count))
    grid = product(names, range(METHODS), BITS, range(SEEDS))
    for _, (dataset, method, bits, seed) in zip(range(count), grid, strict=False):
        value = float(np.clip(0.3 + 0.02 * method + 0.001 * bits + rng.normal(0, 0.01), 0, 1))
        shape = f"{dataset} {method} {bits} {seed}"
        yield RunRecord(
            dataset=dataset,
            protocol="1k-5k",
            backbone="efficientnet_lite0@128",
            method=f"method{method:02}",
            bits=bits,
            seed=seed,
            digest=hashlib.sha256(shape.encode()).hexdigest(),
            kind="method",
            settings={"epochs": 20, "method": f"method{method:02}", "lr": 0.001, "views": 10},
            protocol_info={
                **{"n_rows": 6000, "n_query": QUERIES, "n_train": 5000, "n_database": 5000},
                **{"cutoff": 1000, "rule": "drawn", "relevance": "shares a label", "source": ""},
                **{"digest": hashlib.sha256(dataset.encode()).hexdigest(), "inputs": "0" * 64},
            },
            metrics={"mAP@1000": value}
            | {f"P@{n}": value for n in (20, 100, 500, 1000)}
            | {"mAP": value / 2, "P@H<=2": value, "empty@H<=2": 1 - value, "bits.entropy": 0.9},
            curves=_curves(bits),
            history=[{"loss": 1 / epoch} for epoch in range(1, 21)],
            trained_with=[seed],
            timings={"features": 1.0, "fit": 10.0 + value, "encode": 0.1, "evaluate": 0.2},
            cpu_timings={"fit": 20.0 + value, "encode": 0.2, "evaluate": 0.4},
            peak_memory_mib=1000.0,
            versions={"numpy": "2", "torch": "2"},
            device="cpu (1 threads)",
            commit="",
            command="python -m benchmarks.run --methods all",
            created="2026-01-02T03:04:05+00:00",
        )


def _curves(bits: int) -> dict[str, dict[str, list[float]]]:
    falling = np.linspace(1, 0.1, bits + 1).tolist()
    return {
        "precision_recall": {
            "radius": list(range(bits + 1)),
            "precision": falling,
            "recall": falling[::-1],
        },
        "distances": {"pairs": list(range(bits + 1)), "relevant": list(range(bits + 1))},
        "bits": dict.fromkeys(("bit", "activation", "entropy"), falling[:-1]),
    }


def fill(store: ResultStore, count: int) -> None:
    """Write records, their arrays and the plan of their grid."""
    rng = np.random.default_rng(0)
    made = []
    for record in records(count):
        path = store.locate(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(record), indent=1))
        noise = rng.normal(record.metrics["mAP@1000"], 0.1, QUERIES)
        arrays: dict[str, np.ndarray] = {
            "query_rows": np.arange(QUERIES),
            "query_ap": noise.clip(0, 1).astype(np.float32),
        }
        path.with_suffix(".safetensors").write_bytes(tensor_file(arrays))
        made.append(Address(**vars(record.key), digest=record.digest))
    write_plan(store, made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perf.many_records")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="keep the folder here, or use the one there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        store = ResultStore(options.out or Path(temporary))
        if not store.runs.is_dir():
            fill(store, options.records)
        planned = read_plan(store)
        for name, code in PARTS.items():
            began, used = time.perf_counter(), _cpu()
            subprocess.run([sys.executable, "-c", code, str(store.root)], check=True, stdout=-3)
            wall, cpu = time.perf_counter() - began, _cpu() - used
            print(f"{name:<10} {wall:6.1f} s, {cpu:6.1f} s of CPU", flush=True)
        write_plan(store, planned)  # for another call: the runs have planned their own
    return 0


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(run_command(main))
