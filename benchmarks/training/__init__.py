"""One training loop for every method, and what methods train on.

>>> import torch
>>> from methods import METHODS, Recipe
>>> x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
>>> trainer = Trainer(Recipe(epochs=2, batch_size=32), seed=0)
>>> bank = torch.stack([x, 0.9 * x], 1).half()  # two views of each
>>> method = METHODS["cibhash"](8, 16).fit(ViewBank(x, bank, x.device), trainer)
>>> method.encode(x).shape, len(trainer.history)
(torch.Size([64, 16]), 2)
"""

from benchmarks.training.trainer import Trainer, TrainingError
from benchmarks.training.training_sets import ViewBank

__all__ = ["Trainer", "TrainingError", "ViewBank"]
