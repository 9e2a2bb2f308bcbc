"""A few steps of end-to-end training, on one process or, under torchrun, on several.

``torchrun ... -m tests.rank_steps VIT FOLDER`` leaves what each rank has learned in a file.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.backbones import backbone
from benchmarks.ranks import joined, place
from benchmarks.shared_batch import SharedBatch
from benchmarks.trainer import Trainer
from benchmarks.training_sets import EndToEnd
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


def learned(name, vit, at_once=None):
    """Train a method and a backbone; returns the weights of both by name."""
    data, cls = load("synthetic"), METHODS[name]
    kind = EndToEnd if place().size == 1 else SharedBatch
    images = data.images.read(data.train[:64])
    augmentation = AUGMENTATIONS[RECIPE.augmentation]
    on = (backbone(vit, 32), cls.consumes, augmentation, 0, torch.device("cpu"))
    training = kind(images, *on)
    training.at_once = at_once
    torch.manual_seed(place().rank)  # rank 0's weights count
    method = cls(training.shape[-1], 8)
    if isinstance(training, SharedBatch):
        training.connect(method)
    torch.manual_seed(0)
    method.fit(training, Trainer(RECIPE, 0))
    weights = {
        f"backbone.{i}": p.detach().contiguous() for i, p in enumerate(training.parameters())
    }
    return weights | {f"method.{k}": v.clone() for k, v in method.state_dict().items()}


if __name__ == "__main__":
    vit, folder = sys.argv[1:]
    torch.set_num_threads(1)
    with joined("cpu"):
        for name, at_once in (("cibhash", None), ("wch", None), ("nsh", 5)):
            save_file(
                learned(name, vit, at_once), Path(folder) / f"{name}-{place().rank}.safetensors"
            )
