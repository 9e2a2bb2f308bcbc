"""Boards whose differences are known, for the tests of what is said of them."""

import numpy as np

from methods import METHODS
from results.analysis.comparisons import compare
from results.analysis.statistics import MIN_SEEDS
from tests.record_factory import board_of, make_record

QUERIES = 40


def runs_of(levels, *, cost=None, more=None, seeds=MIN_SEEDS, noise=0.01, **changes):
    """A board of methods at these mean APs, every query the same but for noise."""
    records, values = [], {}
    rng = np.random.default_rng(0)
    for method, level in levels.items():
        for bits in (16, 32):
            of = level + noise * rng.normal(size=(seeds, QUERIES))
            for seed in range(seeds):
                mean = float(of[seed].mean())
                metrics = {"mAP": mean, "mAP@1000": mean, "mAP@1000:min": mean - 0.1}
                metrics |= {"mAP@1000:worst": mean - 0.05, "mAP@1000:best": mean + 0.05}
                metrics |= more or {}
                spent = {"fit": (cost or {}).get(method, 1.0)}
                change = {"method": method, "bits": bits, "seed": seed, **changes}
                records.append(make_record(metrics=metrics, cpu_timings=spent, **change))
            values[records[-1].entry[:5]] = of
    return records, values


def board(levels, order=tuple(METHODS), **changes):
    records, values = runs_of(levels, **changes)
    return compare(board_of(records, order), values)


def joined(*parts):
    """A board of several tables."""
    records = [record for of, _ in parts for record in of]
    values = {entry: of for _, found in parts for entry, of in found.items()}
    return compare(board_of(records, tuple(METHODS)), values)
