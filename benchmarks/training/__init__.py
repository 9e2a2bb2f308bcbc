"""One training loop for every method, and what methods train on.

>>> import torch
>>> from methods import METHODS, Recipe
>>> x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
>>> bank = ViewBank(x, torch.stack([x, -x], dim=1).half(), x.device)  # two views of each image
>>> trainer = Trainer(Recipe(epochs=2, batch_size=32), seed=0)
>>> method = METHODS["cibhash"](8, 16).fit(bank, trainer)
>>> method.encode(x).shape, len(trainer.history)
(torch.Size([64, 16]), 2)
"""

from benchmarks.training.trainer import Trainer, TrainingError
from benchmarks.training.training_sets import ViewBank

__all__ = ["Trainer", "TrainingError", "ViewBank"]
