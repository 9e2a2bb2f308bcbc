"""Checkpoints: what an interrupted training needs to go on and end as if it had not been.

One safetensors file, renamed into place, holds the tensors (parameters, optimizer, random
generators) and, in its header, the cell that it belongs to and, as JSON, the loss of each epoch.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from results.store.files import write_atomic

EVERY = 60.0
"""Seconds between two checkpoints, at the least; they are taken at the end of an epoch."""

History = list[dict[str, float]]


@dataclass
class Checkpoint:
    """Where one training is kept, and how often.

    Parameters
    ----------
    path : Path
        The file.
    identity : str
        Digest of the cell; a file of another cell is not resumed.
    every : float
        Seconds between two checkpoints, at the least.
    """

    path: Path
    identity: str
    every: float = EVERY
    _last: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._last >= self.every

    def write(self, tensors: dict[str, Tensor], history: History) -> None:
        """Keep a training after ``len(history)`` epochs; an earlier one is replaced.

        A disk that refuses costs the checkpoint and not the training.
        """
        header = {"identity": self.identity, "history": json.dumps(history)}
        content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        try:
            write_atomic(self.path, save(content, header))
        except OSError:
            return
        finally:
            self._last = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], History] | None:
        """Return the tensors and history last written; None if there are none to go on from."""
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata() or {}
                if header.get("identity") != self.identity:
                    return None
                history: History = json.loads(header["history"])
                return {name: file.get_tensor(name) for name in file.keys()}, history  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError):  # absent or damaged: start anew
            return None

    def clear(self) -> None:
        """Forget the training: it is finished."""
        self.path.unlink(missing_ok=True)


def random_state(generators: dict[str, torch.Generator]) -> dict[str, Tensor]:
    """States of some generators and of torch's own ones, uint8, by name."""
    states = {f"random.{name}": g.get_state() for name, g in generators.items()}
    states["random.torch"] = torch.get_rng_state()
    if torch.cuda.is_initialized():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(
    tensors: dict[str, Tensor], generators: dict[str, torch.Generator]
) -> None:
    """Set the generators to the states in `tensors`."""
    for name, generator in generators.items():
        generator.set_state(tensors[f"random.{name}"])
    torch.set_rng_state(tensors["random.torch"])
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
