"""Features: rows of numbers, in one array or several, that need not lie in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from torch import Tensor

TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8)
"""Types of the arrays; what is handed out is float32."""
_NUMBERS = 2**23
"""Numbers of a block."""


class Features(NDArrayOperatorsMixin):
    """Rows of numbers, in one array or several below each other; handed out as float32.

    In sums, comparisons and the functions of NumPy they stand for an array of all rows.

    Parameters
    ----------
    *parts : Tensor or ndarray, shape (N_i, ...)
        Arrays, perhaps memory maps, of the same shape but for the number of their rows. Each keeps
        its type, float32, float16, uint8 or int8; bfloat16 and other arrays become float32.

    Raises
    ------
    ValueError
        If one is of another type, or of another shape than the first.

    Examples
    --------
    >>> features = Features(torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8), torch.ones(1, 2))
    >>> len(features), features[torch.tensor([2, 0])].tolist()
    (3, [[1.0, 1.0], [1.0, 2.0]])
    >>> (features > 2).any(axis=1).tolist()
    [False, True, False]
    """

    def __init__(self, *parts: Tensor | NDArray[Any]) -> None:
        tensors = [part if isinstance(part, Tensor) else _tensor(part) for part in parts]
        first = tuple(tensors[0].shape[1:])
        for part in tensors:
            if part.dtype not in TYPES or part.ndim < 2 or tuple(part.shape[1:]) != first:
                raise ValueError(
                    f"features must be float32, float16, uint8 or int8 of shape (N, D), got "
                    f"{part.dtype} {tuple(part.shape)}"
                )
        self.parts = tuple(p.float() if p.dtype == torch.bfloat16 else p for p in tensors)
        self._ends = np.cumsum([len(part) for part in self.parts]).tolist()

    @classmethod
    def of(cls, features: Features | Tensor) -> Features:
        """Take a tensor (N, D); features are returned as they are."""
        return features if isinstance(features, Features) else cls(features)

    def __len__(self) -> int:
        """Count the rows, N."""
        return int(self._ends[-1])

    @property
    def shape(self) -> torch.Size:
        """Of all rows."""
        return torch.Size((len(self), *self.parts[0].shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """Type of all arrays; float32 where they differ."""
        kinds = {part.dtype for part in self.parts}
        return kinds.pop() if len(kinds) == 1 else torch.float32

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.parts[0].device

    def __array__(self, *arguments: Any, **settings: Any) -> NDArray[Any]:
        """Hand out all rows."""
        return self[:].numpy().__array__(*arguments, **settings)

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        """Apply a function of NumPy to all rows."""
        arrays = (np.asarray(one) if isinstance(one, Features) else one for one in inputs)
        return getattr(ufunc, method)(*arrays, **settings)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Hand out some rows, float32, by their numbers, int64 (n,), or as a slice."""
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(len(self)), device=self.device)
        if len(self.parts) == 1:  # a third of the time of an index
            return self.parts[0].index_select(0, rows).float()
        found = torch.empty(len(rows), *self.shape[1:], device=self.device)
        for part, end in zip(self.parts, self._ends, strict=True):
            place = rows - (end - len(part))
            here = (place >= 0) & (place < len(part))
            if here.all():
                return part.index_select(0, place).float()
            found[here] = part.index_select(0, place[here]).float()
        return found

    def select(self, rows: Tensor) -> SomeRows:
        """Name some rows that are to be handed out later."""
        return SomeRows(self, rows.to(self.device))

    def blocks(self) -> Iterator[Tensor]:
        """Yield all rows in order, some at a time, in the type of `dtype`."""
        size = max(1, _NUMBERS // max(1, self.shape[1:].numel()))
        for part in self.parts:
            yield from (block.to(self.dtype) for block in part.split(size))

    def to(self, device: torch.device | str) -> Features:
        """Put them on a device, as they are."""
        return Features(*(part.to(device) for part in self.parts))

    def not_finite(self) -> Tensor:
        """Numbers of the rows that hold NaN or infinity, int64."""
        bad, start = [torch.empty(0, dtype=torch.int64)], 0
        for block in self.blocks() if self.dtype.is_floating_point else ():
            bad.append((~block.isfinite().flatten(1).all(1)).nonzero()[:, 0].cpu() + start)
            start += len(block)
        return torch.cat(bad)


@dataclass(frozen=True, eq=False)
class SomeRows:
    """Some rows of features, handed out as they are asked for.

    Attributes
    ----------
    features : Features
    rows : Tensor, int64, shape (M,)
    """

    features: Features
    rows: Tensor

    def __len__(self) -> int:
        """Count them, M."""
        return len(self.rows)

    def __getitem__(self, places: Tensor | slice) -> Tensor:
        """Hand out those at some places, float32."""
        return self.features[self.rows[places]]


def equal_rows(features: Features, asked: Sequence[int], among: Tensor) -> dict[int, int]:
    """Find rows that are in a list of rows too, number by number.

    Parameters
    ----------
    features : Features
    asked : sequence of int
        Rows that are looked for.
    among : Tensor, int64, shape (M,)
        Rows among which they are looked for.

    Returns
    -------
    dict from int to int
        Of each row that is found, the first that equals it in the order of `among`.
    """
    rows = features[torch.tensor(asked, dtype=torch.int64)].numpy()
    wanted: dict[bytes, list[int]] = {}
    for row, values in zip(asked, rows, strict=True):
        wanted.setdefault(values.tobytes(), []).append(row)
    weights = np.random.default_rng(0).integers(1, 2**63, rows.shape[1:], np.uint64)
    sums = np.unique(_sums(rows, weights))
    found: dict[int, int] = {}
    size = max(1, _NUMBERS // weights.size)
    for part in among.split(size):
        block = features[part].numpy()
        for place in np.flatnonzero(np.isin(_sums(block, weights), sums)):
            for row in wanted.get(block[place].tobytes(), ()):
                found.setdefault(row, int(part[place]))
    return found


def _sums(rows: NDArray[np.float32], weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Give each row a number: equal rows have the same one, others rarely."""
    flat = rows.view(np.uint32).reshape(len(rows), weights.size)
    found: NDArray[np.uint64] = flat @ weights.ravel()
    return found


def _tensor(array: NDArray[Any]) -> Tensor:
    """Take an array as a tensor, over the same memory where torch knows its type."""
    if array.dtype not in (np.float32, np.float16, np.uint8, np.int8):
        array = array.astype(np.float32)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
