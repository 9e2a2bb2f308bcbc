"""Check a move between devices on a machine that has only one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def strays(method: nn.Module) -> str:
    """Name the tensors that are neither parameter nor buffer, for a message; empty if none."""
    names = [
        f"{prefix}{'.' * bool(prefix)}{name}"
        for prefix, module in method.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
    return f"neither parameter nor buffer: {', '.join(names)}; " if names else ""


class MixedDevices(TorchFunctionMode):
    """Inside of it, `operations` gathers what is called on tensors of two devices.

    Scalars on the CPU mix with anything, and so do operations that copy or index.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = _tensors((args, kwargs or {}))
        devices = {t.device.type for t in given if t.ndim or t.device.type != "cpu"}
        if len(devices) > 1 and func.__name__ not in _CROSSING:
            self.operations.append(func.__name__.strip("_"))
        return func(*args, **(kwargs or {}))


_CROSSING = ("__getitem__", "__setitem__", "copy_", "to", "type_as", "new_tensor")
"""Operations that torch allows on tensors of two devices."""


def _tensors(values: object) -> Iterator[Tensor]:
    """Find the tensors in nested lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tensors(value)
