"""A recipe: how a paper trains its method, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Recipe:
    """How a paper trains, as data.

    Attributes
    ----------
    epochs : int
        Passes over the training set.
    epochs_at : Mapping[int, int]
        Exceptions to `epochs` by code length in bits, where a paper has them.
    batch_size : int
        Images a step.
    optimizer : str
        ``"adam"`` or ``"sgd"`` (with momentum 0.9).
    lr, weight_decay : float
        Learning rate and L2 penalty.
    backbone_lr : float
        Learning rate of the backbone, where it is trained too.
    schedule : str
        ``"constant"``, or ``"cosine"``: both rates fall to 0 over the epochs, along half a cosine.
    augmentation : str
        Name of the recipe that draws the views (``datasets.augment.AUGMENTATIONS``).
    bank_size : int
        Augmented views kept for each training image when views come from a bank.
    params : Mapping[str, Any]
        Hyper-parameters of the method that go with it, where they are not the constructor's.
    source : str
        Where these values were read, and which are not the paper's.
    """

    epochs: int = 60
    epochs_at: Mapping[int, int] = field(default_factory=dict)
    batch_size: int = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    backbone_lr: float = 1e-5
    schedule: Literal["constant", "cosine"] = "constant"
    augmentation: str = "none"
    bank_size: int = 10
    params: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "bank_size"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"Recipe: {name} must be at least 1, got {value}")
        for name in ("lr", "backbone_lr"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"Recipe: {name} must be finite and above 0, got {value}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(
                f"Recipe: weight_decay must be finite and at least 0, got {self.weight_decay}"
            )
        for name, known in (("optimizer", ("adam", "sgd")), ("schedule", ("constant", "cosine"))):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"Recipe: {name} must be {' or '.join(known)}, got {value!r}")

    def epochs_for(self, n_bits: int) -> int:
        """Epochs at a code length.

        Examples
        --------
        >>> Recipe(epochs=60, epochs_at={16: 80}).epochs_for(16)
        80
        """
        return self.epochs_at.get(n_bits, self.epochs)
