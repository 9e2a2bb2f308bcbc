"""Records for the tests of the store and the report."""

import hashlib
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from results.analysis.arrange import build
from results.store.record import Failure, RunRecord
from results.store.scan import Scan

ORDER = ("lsh", "itq", "cibhash")
ARRAYS = {
    "query_codes": np.arange(8, dtype=np.uint8).reshape(4, 2),
    "query_rows": np.arange(4, dtype=np.int64),
    "query_ap": np.linspace(0, 1, 4, dtype=np.float32),
}


def make_record(**changes):
    """A record of lsh at 16 bits, with a digest of its own settings and seed."""
    record = RunRecord(
        dataset="digits",
        protocol="300-1497",
        backbone="pixels",
        method="lsh",
        kind="method",
        bits=16,
        seed=0,
        digest="",
        settings={"epochs": 0},
        protocol_info={
            **{"n_query": 300, "n_train": 1497, "n_database": 1497, "cutoff": 1000},
            **{"rule": "a fixed order", "relevance": "same label", "source": "", "digest": "p1"},
        },
        metrics={"mAP": 0.3, "mAP@1000": 0.4},
        curves={},
        history=[],
        trained_with=[0],
        timings={"fit": 0.75},
        cpu_timings={"fit": 0.5},
        peak_memory_mib=1.0,
        versions={"numpy": "2"},
        device="cpu",
        commit="",
        command="",
        created="2026-01-02T03:04:05+00:00",
    )
    record = replace(record, **{"trained_with": [changes.get("seed", 0)], **changes})
    if record.digest:
        return record
    shaped = repr((record.settings, record.seed, record.protocol_info))
    return replace(record, digest=hashlib.sha256(shaped.encode()).hexdigest())


def curve(bits):
    """A precision-recall curve by radius."""
    recall = np.linspace(0, 1, bits + 1)
    points = {"radius": list(range(bits + 1)), "precision": (1 - 0.9 * recall).tolist()}
    return {"precision_recall": points | {"recall": recall.tolist()}}


def grid(methods=ORDER, bits=(16, 32, 64), seeds=3, **changes):
    """Records of a whole grid with both yardsticks; later methods and longer codes are better."""
    records = []
    for place, method in enumerate((*methods, "random", "float")):
        yardstick = method in ("random", "float")
        for length in (0,) if method == "float" else bits:
            for seed in range(seeds):
                value = 0.3 + 0.1 * place + 0.001 * length + 0.004 * seed
                empty = 0.9 - value
                records.append(
                    make_record(
                        method=method,
                        kind="yardstick" if yardstick else "method",
                        bits=length,
                        seed=seed,
                        metrics={
                            "mAP": value / 2,
                            "mAP@1000": value,
                            "empty@H<=2": empty,
                        },
                        curves=curve(length) if length else {},
                        **changes,
                    )
                )
    return records


def by_neighbours(records):
    """The same runs under the other truth, where each is as good as it was bad by labels."""
    info = make_record().protocol_info | {"metric": "recall10@10", "digest": "p2"}
    return [
        replace(
            record,
            protocol=f"{record.protocol}+knn10-l2",
            protocol_info=info,
            metrics={"recall10@10": 1 - record.metrics["mAP@1000"], "oversample10@95": 40.0},
            digest=hashlib.sha256(record.digest.encode()).hexdigest(),
        )
        for record in records
    ]


def fill(store, records):
    """Save every record; returns the paths."""
    return [store.save(record, ARRAYS) for record in records]


def board_of(records, order=ORDER, skipped=(), failures=(), about=MappingProxyType({})):
    """What a store of these would show."""
    return build(Scan(list(records), list(skipped), list(failures)), order, about)


def failure(**changes):
    """A failed cell of `make_record(**changes)`."""
    record = make_record(**changes)
    why = {"kind": record.kind, "error": "loss is nan", "traceback": ""}
    return Failure(**vars(record.key), digest=record.digest, **why, created=record.created)
