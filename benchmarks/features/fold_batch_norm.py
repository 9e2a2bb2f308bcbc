"""Fold the batch normalisation of a frozen network into the convolutions before it.

In evaluation mode it is one factor and one shift a channel, which the weights of the convolution
can hold: the same function, to rounding, with a pass over memory less for each layer.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CLOSE = 1e-2
"""Share of its largest number by which a folded network may differ; TF32 rounds by 1e-3."""


@torch.no_grad()
def folded(network: nn.Module, images: Tensor) -> nn.Module:
    """Fold what can be folded, and leave the network as it is.

    Which normalisation follows which convolution is seen in a forward pass.

    Parameters
    ----------
    network : Module
        In evaluation mode. An activation that a normalisation holds, as timm's do, is kept.
    images : Tensor, float32, shape (B, 3, S, S)
        For that pass.

    Returns
    -------
    Module
        A copy; or the network itself, where nothing can be folded without another result.
    """
    pairs, output = _pairs(network, images)
    if not pairs:
        return network
    twin = copy.deepcopy(network)
    for first, second in pairs:
        conv, norm = twin.get_submodule(first), twin.get_submodule(second)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)  # noqa: PT018
        fused = fuse_conv_bn_eval(conv, norm)
        fused.weight.data = fused.weight.contiguous(memory_format=torch.channels_last)
        twin.set_submodule(first, fused)
        twin.set_submodule(second, getattr(norm, "act", nn.Identity()))
    gap = (twin(images) - output).abs().max()
    return twin if gap <= _CLOSE * output.abs().max() else network


def _pairs(network: nn.Module, images: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Names of convolutions and of the normalisations of their outputs; the network's output."""
    made: dict[int, tuple[str, Tensor]] = {}  # holds the outputs, so that no number comes twice
    pairs: list[tuple[str, str]] = []

    def note(name: str, given: Tensor, output: Tensor) -> None:
        module = network.get_submodule(name)
        if isinstance(module, nn.Conv2d):
            made[id(output)] = name, output
        elif id(given) in made:
            pairs.append((made[id(given)][0], name))

    hooks = [
        module.register_forward_hook(
            lambda _, given, output, name=name: note(name, given[0], output)
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        output: Tensor = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs, output
