"""A few steps of end-to-end training, on one process or, under torchrun, on several.

``torchrun ... -m tests.rank_steps VIT FOLDER`` leaves what each rank has learned in a file.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.features.backbones import backbone
from benchmarks.machine.environment import place
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.distributed.rank_group import RankError
from benchmarks.training.distributed.shared_batch import SharedBatch
from benchmarks.training.distributed.torchrun import joined, leave
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import EndToEnd
from datasets import load
from datasets.augment import AUGMENTATIONS
from methods import METHODS
from methods.base import Recipe

RECIPE = Recipe(
    epochs=3,
    batch_size=16,
    optimizer="sgd",  # the first steps of Adam have one size, whatever the gradient's
    lr=1e-2,
    backbone_lr=1e-2,
    weight_decay=1e-2,
    augmentation="cibhash",
)


class Drifts(METHODS["cibhash"]):
    """Its head has another gradient on every rank, as rounding may bring about."""

    def loss(self, batch):
        return super().loss(batch) | {"drift": self.head[2].bias.sum() * place().rank}


CLASSES = {"cibhash": Drifts, "wch": METHODS["wch"], "nsh": METHODS["nsh"]}


def learned(name, vit, at_once=None, epochs=RECIPE.epochs, checkpoint=None, seed=0):
    """Train a method and a backbone; returns the weights of both by name."""
    data, cls = load("synthetic"), CLASSES[name]
    kind = EndToEnd if place().size == 1 else SharedBatch
    images = data.images.read(data.train[:64])
    augmentation = AUGMENTATIONS[RECIPE.augmentation]
    on = (backbone(vit, 32), cls.consumes, augmentation, torch.device("cpu"))
    training = kind(images, *on)
    training.at_once = at_once
    torch.manual_seed(place().rank)  # rank 0's weights count
    method = cls(training.shape[-1], 8)
    if isinstance(training, SharedBatch):
        training.connect(method)
    torch.manual_seed(0)
    recipe = replace(RECIPE, epochs=epochs)
    method.fit(training, Trainer(recipe, seed, checkpoint=checkpoint))
    weights = {
        f"backbone.{i}": p.detach().contiguous() for i, p in enumerate(training.parameters())
    }
    return weights | {f"method.{k}": v.clone() for k, v in method.state_dict().items()}


def main(vit, folder):
    rank = place().rank

    def keep(weights, name):
        save_file(weights, folder / f"{name}-{rank}.safetensors")

    keep(learned("cibhash", vit), "cibhash")
    keep(learned("wch", vit), "wch")
    keep(learned("nsh", vit, at_once=5), "nsh")
    kept = Checkpoint(folder / "checkpoint", "cell", math.inf if rank else 0)
    learned("cibhash", vit, epochs=2, checkpoint=kept)
    keep(learned("cibhash", vit, checkpoint=kept), "resumed")
    try:
        learned("cibhash", vit, seed=rank)
    except RankError as error:
        (folder / f"refused-{rank}").write_text(str(error))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu"):
        main(sys.argv[1], Path(sys.argv[2]))
    leave(0)
