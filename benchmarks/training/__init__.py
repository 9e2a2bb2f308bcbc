"""One training loop for every method, and what methods train on.

>>> import torch
>>> from methods import METHODS, Recipe
>>> x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))  # features of 64 images
>>> bank = torch.stack([x + 0.1, x - 0.1], 1).half()  # two views of each
>>> trainer = Trainer(Recipe(epochs=2, batch_size=32), seed=0)
>>> method = METHODS["cibhash"](8, 16).fit(ViewBank(x, bank, x.device), trainer)
>>> method.encode(x).shape, len(trainer.history)
(torch.Size([64, 16]), 2)
"""

from benchmarks.training.trainer import Trainer, TrainingError
from benchmarks.training.training_sets import ViewBank

__all__ = ["Trainer", "TrainingError", "ViewBank"]
