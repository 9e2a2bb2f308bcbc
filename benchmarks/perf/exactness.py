"""Compare banks of views with fresh views, and stacked seeds with single ones.

``python -m benchmarks.perf.exactness --data-root DIR`` trains each method on CIFAR-10 with banks of
V views, with views of which each is used once, and with its seeds in one stack, and prints mAP@1000
with 95 % intervals over seeds.

All banks are parts of one: the first V views of each image. An epoch takes n views of an image, so
a bank of n times as many views as there are epochs, of which each is taken once, is what views
drawn anew at every step are. That row is trained for as many epochs as the bank has views for, and
stands beside the default V at the same number of epochs.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.command import run_command
from benchmarks.evaluation.packing import PackedBits
from benchmarks.evaluation.scoring import score_codes
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.cells import seed_of
from benchmarks.grid.method_settings import MethodSpec, method_spec
from benchmarks.training.trainer import Trainer, train_together
from benchmarks.training.training_sets import ViewBank
from datasets import load
from datasets.base import RetrievalDataset
from datasets.contents import LoadOptions
from methods.base import HashMethod, Recipe
from results.analysis.statistics import half_width_over_seeds
from results.store.run_key import RunKey

METHODS = ("cibhash", "nsh", "wch", "kl_hash")


class OnceBank(ViewBank):
    """A bank of which every epoch takes the next views; the order of an epoch is the trainer's."""

    def __init__(self, features: Tensor, bank: Tensor, n_views: int) -> None:
        super().__init__(features, bank, features.device)
        self._taken = torch.zeros(len(features), dtype=torch.int64, device=features.device)
        self._step = torch.arange(n_views, device=features.device)

    def views(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Hand out views that no step has seen; the draws are not looked at."""
        choice = self._taken[index][..., None] + self._step  # (1, B, V)
        self._taken[index.flatten()] += len(self._step)
        return super().views(index, choice)


def main() -> None:
    """Print a table, a row for each way of training each method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", type=Path)
    add("--cache", type=Path, required=True)
    add("--input-size", type=int, default=64)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--bits", type=int, default=32)
    add("--methods", nargs="+", default=METHODS)
    add("--seeds", type=int, default=5)
    add("--views", type=int, nargs="+", default=[2, 5, 10, 20, 40])
    options = parser.parse_args()
    device = torch.device(options.device)
    data = load("cifar10", LoadOptions(data_root=options.data_root))
    network = backbone("efficientnet_lite0", options.input_size)
    cache = FeatureCache(options.cache, device)
    print("| method | views | epochs | mean | 95 % | seeds |\n|---|---|---|---|---|---|")
    for name in options.methods:
        _method(name, data, network, cache, options)


def _method(
    name: str,
    data: RetrievalDataset,
    network: Backbone,
    cache: FeatureCache,
    options: argparse.Namespace,
) -> None:
    """Print the rows of one method."""
    spec = method_spec(name)
    assert spec.cls is not None, "no yardstick is trained"
    kind, n = spec.cls.consumes, spec.cls.n_views
    most = max(options.views)
    features = cache.features(data, network, kind).array.to(cache.device)
    bank = cache.bank(data, network, spec.recipe.augmentation, most, kind).array.to(cache.device)
    plain = features[data.train.to(cache.device)]
    own = replace(spec.recipe, epochs_at={})
    short = replace(own, epochs=min(own.epochs, most // n))

    def row(title: str, training: ViewBank | None, recipe: Recipe, *, stacked: bool) -> None:
        groups = [list(range(options.seeds))] if stacked else [[s] for s in range(options.seeds)]
        values = []
        for seeds in groups:
            views = training or OnceBank(plain, bank, n)
            values += _values(spec, seeds, views, recipe, data, features, options.bits)
        mean, std = np.mean(values), np.array([np.std(values, ddof=1)])
        half = half_width_over_seeds(std, np.array([len(values)]))[0]
        print(
            f"| {name} | {title} | {recipe.epochs} | {mean:.3f} | "
            f"[{mean - half:.3f}, {mean + half:.3f}] | {' '.join(f'{v:.3f}' for v in values)} |",
            flush=True,
        )

    def first(v: int) -> ViewBank:
        return ViewBank(plain, bank[:, :v], cache.device)

    for v in options.views:
        row(f"V = {v}", first(v), own, stacked=False)
    row(f"V = {own.bank_size}, one stack", first(own.bank_size), own, stacked=True)
    row(f"V = {own.bank_size}", first(own.bank_size), short, stacked=False)
    row("each view once", None, short, stacked=False)


def _values(
    spec: MethodSpec,
    seeds: list[int],
    training: ViewBank,
    recipe: Recipe,
    data: RetrievalDataset,
    features: Tensor,
    bits: int,
) -> list[float]:
    """Train seeds, together if they are several, and return mAP@k of each."""
    methods: list[HashMethod] = []
    trainers = []
    for seed in seeds:
        key = RunKey(data.name, data.protocol.name, "exactness", spec.name, bits, seed)
        torch.manual_seed(seed_of(key))
        assert spec.cls is not None, "no yardstick is trained"
        method = spec.cls(training.shape[-1], bits, **spec.params).to(features.device)
        method.prepare(training)
        methods.append(method)
        trainers.append(Trainer(recipe, seed_of(key)))
    train_together(trainers, methods, training)
    values = []
    for method in methods:
        method.finish()
        query, database = (
            PackedBits.of(method.encode(features[rows])) for rows in (data.query, data.database)
        )
        metrics = score_codes(query, database, data, features.device).metrics
        values.append(metrics[f"mAP@{data.protocol.cutoff}"])
    return values


if __name__ == "__main__":
    sys.exit(run_command(main))
