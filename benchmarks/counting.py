"""Count database items by Hamming distance and relevance, in three ways that agree to the digit.

`count_numpy` is the oracle, the plainest code that can be right. `count_numba` runs on the CPU,
`count_torch` on any torch device. For every query they return how many items lie at each distance
0..K, and how many of those share a label with it. `gain_*` sum a graded relevance instead.

How the CPU kernel is fast: codes and label sets are packed into planes of 16-bit words, so that
one instruction handles 16 or 32 items. For a block of items that stays in the first-level cache, a
loop that LLVM vectorises writes `2 * distance + relevant` into a buffer; a second loop counts the
buffer into four histograms, because two neighbouring items often hit the same counter and would
wait for each other. All queries pass over a block before the next is read, so a large database
crosses the memory bus once per thread and not once per query. One word size for everything means
one specialisation to compile, whatever the bits and classes (under a second, once a process).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Bits = Tensor | NDArray[np.bool_]
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]

BLOCK = 4096  # items a block: 8 KiB of keys and 8 KiB a plane, within a 32 KiB first-level cache
MAX_BITS = 2**15 - 1  # the key 2 * distance + relevant has to fit 16 bits


class Backend(NamedTuple):
    """The two counters of one device."""

    counts: Callable[[Bits, Bits, Bits, Bits], Counts]
    gains: Callable[[Bits, Bits, Array, Array, Array], NDArray[np.float64]]


def backend(device: str | torch.device = "auto") -> Backend:
    """Return the counters for a device.

    Parameters
    ----------
    device : str or torch.device
        "cpu" is the numba kernel, any other device the torch path; "auto" is CUDA where present.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cpu":
        return Backend(count_numba, gain_numba)
    return Backend(partial(count_torch, device=device), partial(gain_torch, device=device))


# ------------------------------------------------------------------------------------ NumPy


def count_numpy(query_bits: Bits, query_labels: Bits, bits: Bits, labels: Bits) -> Counts:
    """Count with one comparison a query: the oracle of the other two.

    Parameters
    ----------
    query_bits, query_labels : Tensor or ndarray, bool, shapes (Q, K) and (Q, C)
    bits, labels : Tensor or ndarray, bool, shapes (M, K) and (M, C)

    Returns
    -------
    items, relevant : ndarray, int64, shape (Q, K + 1)

    Examples
    --------
    >>> code = np.array([[True, False]])
    >>> database = np.array([[True, False], [False, True], [True, True]])
    >>> label = np.array([[True]])
    >>> items, relevant = count_numpy(code, label, database, np.array([[True], [False], [False]]))
    >>> items.tolist(), relevant.tolist()
    ([[1, 1, 1]], [[1, 0, 0]])
    """
    q, q_labels, b, b_labels = map(to_numpy, (query_bits, query_labels, bits, labels))
    items = np.zeros((len(q), q.shape[1] + 1), np.int64)
    relevant = np.zeros_like(items)
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        related = (q_labels[i] & b_labels).any(axis=1)
        items[i] = np.bincount(distance, minlength=items.shape[1])
        relevant[i] = np.bincount(distance[related], minlength=items.shape[1])
    return items, relevant


def gain_numpy(
    query_bits: Bits, bits: Bits, query_set: Array, item_set: Array, table: Array
) -> NDArray[np.float64]:
    """Sum the gain per Hamming distance: the oracle of the other two.

    Parameters
    ----------
    query_bits, bits : Tensor or ndarray, bool, shapes (Q, K) and (M, K)
    query_set, item_set : ndarray, int64, shapes (Q,) and (M,)
        Number of the label set that the query or item has.
    table : ndarray, float64, shape (S, P)
        Gain of an item with set p for a query with set s.

    Returns
    -------
    ndarray, float64, shape (Q, K + 1)
    """
    q, b = to_numpy(query_bits), to_numpy(bits)
    total = np.zeros((len(q), q.shape[1] + 1))
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        total[i] = np.bincount(distance, table[query_set[i], item_set], minlength=total.shape[1])
    return total


def to_numpy(values: Tensor | Array) -> Array:
    """Return a tensor of any device, or an array, as an array."""
    return values.cpu().numpy() if isinstance(values, Tensor) else values


# ------------------------------------------------------------------------------------ numba


def pack(bits: Bits) -> NDArray[np.uint16]:
    """Pack rows of booleans into 16-bit words, the last one filled up with zeros.

    Parameters
    ----------
    bits : Tensor or ndarray, bool, shape (N, B)

    Returns
    -------
    ndarray, uint16, shape (N, ceil(B / 16))
    """
    packed = np.packbits(to_numpy(bits), axis=1)
    if packed.shape[1] % 2:
        packed = np.pad(packed, ((0, 0), (0, 1)))
    return np.ascontiguousarray(packed).view(np.uint16)


def count_numba(query_bits: Bits, query_labels: Bits, bits: Bits, labels: Bits) -> Counts:
    """Count on all CPU cores (`torch.get_num_threads()`); see `count_numpy`."""
    kernel = _count_kernel()
    q, q_labels = pack(query_bits), pack(query_labels)
    planes = np.ascontiguousarray(pack(bits).T)
    label_planes = np.ascontiguousarray(pack(labels).T)
    both = np.zeros((len(q), 2 * (query_bits.shape[1] + 1)), np.int64)

    def part(rows: slice) -> None:
        kernel(q[rows], q_labels[rows], planes, label_planes, both[rows])

    _on_all_cores(part, len(q))
    relevant = np.ascontiguousarray(both[:, 1::2])
    return both[:, 0::2] + relevant, relevant


def gain_numba(
    query_bits: Bits, bits: Bits, query_set: Array, item_set: Array, table: Array
) -> NDArray[np.float64]:
    """Sum the gain on all CPU cores; see `gain_numpy`."""
    kernel = _gain_kernel()
    q = pack(query_bits)
    planes = np.ascontiguousarray(pack(bits).T)
    total = np.zeros((len(q), query_bits.shape[1] + 1))

    def part(rows: slice) -> None:
        kernel(q[rows], planes, query_set[rows], item_set, table, total[rows])

    _on_all_cores(part, len(q))
    return total


def _on_all_cores(part: Callable[[slice], None], n: int) -> None:
    """Call `part` on slices of range(n), in threads; the kernels run without Python's lock.

    Plain threads and not numba's `prange`: no second thread pool that is unsafe after a fork or
    under concurrent callers, and torch's limit of threads holds.
    """
    threads = torch.get_num_threads()
    edges = np.linspace(0, n, min(n, 4 * threads) + 1).astype(int).tolist()
    rows = [slice(a, b) for a, b in pairwise(edges)]
    if threads == 1:
        part(slice(0, n))
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, rows))


@cache
def _distance_kernel() -> Any:
    """Compile the inner loop that writes twice the Hamming distance of a block into `keys`."""
    import numba
    from numba.extending import intrinsic

    def ctpop(_typing: Any, x: Any) -> Any:
        # LLVM's own popcount: vpopcntw where the CPU has it, the best substitute elsewhere.
        return x(x), lambda _context, builder, _signature, args: builder.ctpop(args[0])

    popcount = intrinsic(ctpop)

    def distances(code: Array, planes: Array, start: int, stop: int, keys: Array) -> None:
        word, plane = code[0], planes[0, start:stop]
        for j in range(stop - start):
            keys[j] = popcount(np.uint16(word ^ plane[j])) << np.uint16(1)
        for w in range(1, planes.shape[0]):
            word, plane = code[w], planes[w, start:stop]
            for j in range(stop - start):
                keys[j] += popcount(np.uint16(word ^ plane[j])) << np.uint16(1)

    return numba.njit(nogil=True)(distances)


@cache
def _count_kernel() -> Any:
    import numba

    distances = _distance_kernel()

    def count(q: Array, q_labels: Array, planes: Array, label_planes: Array, out: Array) -> None:
        n_items, n_keys = planes.shape[1], out.shape[1]
        keys = np.empty(BLOCK, np.uint16)
        counts = np.zeros((4, n_keys), np.uint32)
        for start in range(0, n_items, BLOCK):
            stop = min(start + BLOCK, n_items)
            n = stop - start
            for i in range(q.shape[0]):
                distances(q[i], planes, start, stop, keys)
                for w in range(label_planes.shape[0]):
                    word = q_labels[i, w]
                    if word != 0:  # most words of a query with few labels are empty
                        plane = label_planes[w, start:stop]
                        for j in range(n):
                            keys[j] |= np.uint16((word & plane[j]) != 0)
                whole = n - n % 4
                for j in range(0, whole, 4):
                    counts[0, keys[j]] += np.uint32(1)
                    counts[1, keys[j + 1]] += np.uint32(1)
                    counts[2, keys[j + 2]] += np.uint32(1)
                    counts[3, keys[j + 3]] += np.uint32(1)
                for j in range(whole, n):
                    counts[0, keys[j]] += np.uint32(1)
                for key in range(n_keys):
                    out[i, key] += counts[0, key] + counts[1, key] + counts[2, key] + counts[3, key]
                counts[:] = 0

    words = numba.types.Array(numba.uint16, 2, "C")
    result = numba.types.Array(numba.int64, 2, "C")
    return numba.njit(numba.void(words, words, words, words, result), nogil=True)(count)


@cache
def _gain_kernel() -> Any:
    import numba

    distances = _distance_kernel()

    def gain(
        q: Array, planes: Array, q_set: Array, item_set: Array, table: Array, out: Array
    ) -> None:
        n_items = planes.shape[1]
        keys = np.empty(BLOCK, np.uint16)
        for start in range(0, n_items, BLOCK):
            stop = min(start + BLOCK, n_items)
            for i in range(q.shape[0]):
                distances(q[i], planes, start, stop, keys)
                row = table[q_set[i]]
                for j in range(stop - start):
                    out[i, keys[j] >> 1] += row[item_set[start + j]]

    words = numba.types.Array(numba.uint16, 2, "C")
    sets = numba.types.Array(numba.int64, 1, "C")
    real = numba.types.Array(numba.float64, 2, "C")
    return numba.njit(numba.void(words, words, sets, sets, real, real), nogil=True)(gain)


# ------------------------------------------------------------------------------------ torch


def count_torch(
    query_bits: Bits,
    query_labels: Bits,
    bits: Bits,
    labels: Bits,
    device: str | torch.device = "cpu",
) -> Counts:
    """Count by matrix products in chunks on a torch device; see `count_numpy`."""
    q, b = _signs(query_bits, device), _signs(bits, device)
    q_labels = torch.as_tensor(query_labels, device=device).to(q.dtype)
    b_labels = torch.as_tensor(labels, device=device).to(q.dtype)
    n_keys = 2 * (q.shape[1] + 1)
    counts = torch.zeros(len(q), n_keys, dtype=torch.int64, device=device)
    for rows, columns in _chunks(len(q), len(b), counts.is_cuda):
        key = q.shape[1] - q[rows] @ b[columns].T  # K - <a, b> is twice the Hamming distance
        key = key.long() + (q_labels[rows] @ b_labels[columns].T > 0)
        key += torch.arange(len(key), device=device)[:, None] * n_keys
        found = torch.bincount(key.flatten(), minlength=len(key) * n_keys)
        counts[rows] += found.view(-1, n_keys)
    both = counts.cpu().numpy()
    relevant = np.ascontiguousarray(both[:, 1::2])
    return both[:, 0::2] + relevant, relevant


def gain_torch(
    query_bits: Bits,
    bits: Bits,
    query_set: Array,
    item_set: Array,
    table: Array,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Sum the gain by matrix products in chunks on a torch device; see `gain_numpy`."""
    q, b = _signs(query_bits, device), _signs(bits, device)
    q_set, i_set, values = (torch.as_tensor(x, device=device) for x in (query_set, item_set, table))
    total = torch.zeros(len(q), q.shape[1] + 1, dtype=torch.float64, device=device)
    for rows, columns in _chunks(len(q), len(b), total.is_cuda):
        distance = (q.shape[1] - q[rows] @ b[columns].T).long() // 2
        gain = values[q_set[rows, None], i_set[None, columns]]
        total[rows] = total[rows].scatter_add(1, distance, gain)
    return total.cpu().numpy()


def _signs(bits: Bits, device: str | torch.device) -> Tensor:
    """Return +1 / -1 in the narrowest floating type in which every sum of K of them is exact."""
    half = torch.device(device).type == "cuda" and bits.shape[1] <= 1024  # 2K <= 2^11
    dtype = torch.float16 if half else torch.float32
    return torch.as_tensor(bits, device=device).to(dtype) * 2 - 1


def _chunks(n_query: int, n_items: int, is_cuda: bool) -> list[tuple[slice, slice]]:
    """Cut the Q x M matrix into pieces that fit: 16 M pairs on a GPU, 1 M on a CPU."""
    height = min(n_query, 1024 if is_cuda else 64)
    width = (2**24 if is_cuda else 2**20) // height
    return [
        (slice(i, i + height), slice(j, j + width))
        for j in range(0, n_items, width)
        for i in range(0, n_query, height)
    ]
