"""Cells of a grid, one run each: their names, settings, seeds and digests.

Cells are methods x bits x seeds x tasks, a task being a data set under one protocol seen through
one backbone.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal

from benchmarks.evaluation.counters.choice import MAX_BITS
from benchmarks.features.captions import DEFAULT_ENCODER
from benchmarks.features.extraction import extraction_digest
from benchmarks.grid.method_settings import GridError, MethodSpec, check_range
from benchmarks.grid.tasks import Task
from benchmarks.training.trainer import Matmul
from datasets.digests import code_digest
from results.store.record import SCHEMA
from results.store.run_key import Address
from results.store.run_key import RunKey as RunKey

Views = Literal["bank", "fresh"]

MAX_SEEDS = 1000
"""Repetitions of a cell, all of which a plan lists."""


def seed_of(key: RunKey) -> int:
    """Seed of a run, hashed from its names, so that a new method never shifts an old one's.

    Settings are left out of it: an ablation starts from the weights of the run it is compared with.

    Examples
    --------
    >>> seed_of(RunKey("digits", "300-1497", "pixels", "lsh", 16, 0)) % 1000
    154
    """
    method = key.method.partition("(")[0]
    text = json.dumps([key.dataset, key.protocol, key.backbone, method, key.bits, key.seed])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


_TRAINING = (
    "benchmarks.features.captions",
    "benchmarks.features.extractor",
    "benchmarks.features.texts",
    "benchmarks.runner.fit_and_encode",
    "benchmarks.runner.task_inputs",
    "benchmarks.training.distributed.shared_batch",
    "benchmarks.training.embedding_views",
    "benchmarks.training.optimizer",
    "benchmarks.training.stacked_seeds",
    "benchmarks.training.step",
    "benchmarks.training.targets",
    "benchmarks.training.trainer",
    "benchmarks.training.training_sets",
    "methods.recipe",
)
"""Modules between features and codes, beside the method; backbones have a digest of their own."""


@cache
def training_source() -> str:
    """SHA-256 of all code between features and codes: another loop, another number."""
    return code_digest(*(inspect.getsource(import_module(name)) for name in _TRAINING))


@dataclass(frozen=True)
class Cell:
    """One run to do."""

    key: RunKey
    task: Task
    method: MethodSpec
    views: Views
    text_encoder: str = DEFAULT_ENCODER
    matmul: Matmul = "highest"

    @property
    def kind(self) -> str:
        """What a record counts as, see `MethodSpec.kind`."""
        return self.method.kind

    @property
    def seed(self) -> int:
        """Seed of the run, from which everything random in it follows, see `seed_of`."""
        return seed_of(self.key)

    @property
    def address(self) -> Address:
        """Names and digest, by which the store knows the cell."""
        return Address(**vars(self.key), digest=self.digest)

    @property
    def _views(self) -> str | None:
        if not self.method.is_trained or self.method.sees_noise:
            return None
        return "fresh" if self.method.finetune else self.views

    @property
    def settings(self) -> dict[str, Any]:
        """All that shapes the numbers of this cell, its seed aside, as JSON data."""
        data, backbone = self.task.data, self.task.backbone
        return {
            "dataset": {"name": data.name, "digest": data.digest},
            "protocol": {"name": data.protocol.name, "digest": data.protocol.digest},
            "backbone": {
                "name": backbone.name,
                "input_size": backbone.input_size,
                "resize": backbone.resize,
                "digest": backbone.digest,
            },
            "extraction": extraction_digest(),
            "training": training_source() if self.method.is_trained else None,
            "method": self.method.settings(self.key.bits),
            "bits": self.key.bits,
            "views": self._views,
            "matmul": self.matmul if self.method.is_trained else None,
            "text_encoder": self.text_encoder if self.method.learns_from == "captions" else None,
            "texts": self.task.texts_digest(self.method.learns_from),
            "schema": SCHEMA,
            **({"tracks": self.task.tracks} if self.task.tracks else {}),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the settings and the seed, 64 hexadecimal digits."""
        identity = {"settings": self.settings, "seed": self.key.seed}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def stacks(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Put next to each other what can be trained together: cells that differ in their seed alone.

    Returns
    -------
    list of list of Cell
        In the order of their first cells; alone, where a method does not stack.
    """
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        cls = cell.method.cls
        together = cls.stacks and not cell.method.finetune
        kin = json.dumps(cell.settings, sort_keys=True) if together else cell.digest
        found.setdefault(kin, []).append(cell)
    return list(found.values())


def expand(
    tasks: Sequence[Task],
    methods: Sequence[MethodSpec],
    bits: Sequence[int],
    n_seeds: int,
    views: Views = "bank",
    text_encoder: str = DEFAULT_ENCODER,
    matmul: Matmul = "highest",
) -> list[Cell]:
    """All cells of a grid, those that share features next to each other.

    The yardstick `float` has no length and no randomness: one cell a task, with 0 bits and seed 0.

    Raises
    ------
    GridError
        If a code length or the number of seeds is out of range, or a setting would do nothing.
    """
    for n_bits in bits:
        check_range("--bits", n_bits, 1, MAX_BITS)
    check_range("--seeds", n_seeds, 1, MAX_SEEDS)

    def cells() -> Iterator[Cell]:
        for task in tasks:
            for spec in methods:
                marks: dict[str, Any] = {}
                if views == "fresh" and spec.is_trained and not (spec.finetune or spec.sees_noise):
                    marks["views"] = "fresh"  # a fine-tuned backbone has no others
                    if "bank_size" in spec.changes:
                        raise GridError(
                            f"--set {spec.name}.bank_size: does nothing with --views fresh; leave "
                            "out one of them"
                        )
                if text_encoder != DEFAULT_ENCODER and spec.learns_from == "captions":
                    marks["text_encoder"] = text_encoder
                if matmul != "highest" and spec.is_trained:
                    marks["matmul"] = matmul
                labelled = replace(spec, changes=spec.changes | marks)
                for b in spec.lengths(bits):
                    for seed in range(n_seeds if b else 1):
                        names = (task.data.name, task.data.protocol.name, task.label)
                        key = RunKey(*names, labelled.label, b, seed)
                        yield Cell(key, task, spec, views, text_encoder, matmul)

    return list(cells())
