"""Give a method what another of its class has learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from methods import HashMethod


def restore(method: HashMethod, state: Mapping[str, Tensor]) -> None:
    """Load weights; buffers, such as anchors, take the size that training gave them.

    Parameters
    ----------
    method : HashMethod
        As its constructor made it.
    state : mapping from str to Tensor
        Parameters and buffers by name, as of ``state_dict``.

    Raises
    ------
    RuntimeError
        If they are not those of the method.
    """
    for name, _ in list(method.named_buffers()):
        if name in state:  # or else loading says that it is not
            owner, _, last = name.rpartition(".")
            method.get_submodule(owner)._buffers[last] = torch.empty_like(state[name])
    method.load_state_dict(dict(state))
