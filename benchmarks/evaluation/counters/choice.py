"""Count database items by Hamming distance and relevance, in ways that agree to the digit.

`count_numpy` is the oracle, the plainest code that can be right. `count_numba` runs on the CPU,
`count_torch` on any torch device, and `count_triton` on CUDA where Triton is installed. For every
query they return how many items lie at each distance 0..K, and how many of those share a label with
it. `gain_*` sum a graded relevance instead.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation.counters.any_device import count_torch, gain_torch
from benchmarks.evaluation.counters.cpu import Counts, count_numba
from benchmarks.evaluation.counters.cpu_gains import gain_numba
from benchmarks.evaluation.packing import Array, PackedBits

MAX_BITS = 2**15 - 1  # a distance has to fit 16 bits


def resolve(device: str | torch.device) -> torch.device:
    """Return the device that is meant; "auto" is CUDA where present."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


class Backend(NamedTuple):
    """The two counters of one device."""

    counts: Callable[[PackedBits, PackedBits, PackedBits, PackedBits], Counts]
    gains: Callable[[PackedBits, PackedBits, Array, Array, Array], NDArray[np.float64]]


def backend(device: str | torch.device = "auto") -> Backend:
    """Return the counters for a device.

    Parameters
    ----------
    device : str or torch.device
        "cpu" is the numba kernel, CUDA the Triton kernel where Triton is installed, and any other
        device the torch path; "auto" is CUDA where present.
    """
    device = resolve(device)
    if device.type == "cpu":
        return Backend(count_numba, gain_numba)
    counts = count_torch
    if device.type == "cuda" and find_spec("triton"):
        from benchmarks.evaluation.counters.cuda import count_triton as counts
    return Backend(partial(counts, device=device), partial(gain_torch, device=device))


def count_numpy(
    query: PackedBits, query_labels: PackedBits, codes: PackedBits, labels: PackedBits
) -> Counts:
    """Count with one comparison a query: the oracle of the other two.

    Parameters
    ----------
    query, query_labels : PackedBits, shapes (Q, K) and (Q, C)
    codes, labels : PackedBits, shapes (M, K) and (M, C)

    Returns
    -------
    items, relevant : ndarray, int64, shape (Q, K + 1)

    Examples
    --------
    >>> code, label = PackedBits.of(np.array([[1, 0]])), PackedBits.of(np.array([[1]]))
    >>> codes = PackedBits.of(np.array([[1, 0], [0, 1], [1, 1]]))
    >>> labels = PackedBits.of(np.array([[1], [0], [0]]))
    >>> items, relevant = count_numpy(code, label, codes, labels)
    >>> items.tolist(), relevant.tolist()
    ([[1, 1, 1]], [[1, 0, 0]])
    """
    q, q_labels, b, b_labels = (x.unpack() for x in (query, query_labels, codes, labels))
    items = np.zeros((len(q), q.shape[1] + 1), np.int64)
    relevant = np.zeros_like(items)
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        related = (q_labels[i] & b_labels).any(axis=1)
        items[i] = np.bincount(distance, minlength=items.shape[1])
        relevant[i] = np.bincount(distance[related], minlength=items.shape[1])
    return items, relevant


def gain_numpy(
    query: PackedBits, codes: PackedBits, query_set: Array, item_set: Array, table: Array
) -> NDArray[np.float64]:
    """Sum the gain per Hamming distance: the oracle of the other two.

    Parameters
    ----------
    query, codes : PackedBits, shapes (Q, K) and (M, K)
    query_set, item_set : ndarray, int64, shapes (Q,) and (M,)
        Number of the label set that the query or item has.
    table : ndarray, float64, shape (S, P)
        Gain of an item with set p for a query with set s.

    Returns
    -------
    ndarray, float64, shape (Q, K + 1)
    """
    q, b = query.unpack(), codes.unpack()
    total = np.zeros((len(q), q.shape[1] + 1))
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        total[i] = np.bincount(distance, table[query_set[i], item_set], minlength=total.shape[1])
    return total
