"""The evaluation over a Dask cluster: pieces are counted on the workers and their stats add up.

Needs the extra `cluster`: `pip install "hashbench[cluster]"`. Any `distributed.Client` will do: of
a `LocalCluster`, of a running scheduler (`Client("tcp://...")`), or of a batch system through
`dask_jobqueue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.graded_relevance import Similarity

if TYPE_CHECKING:
    from distributed import Client

AHEAD = 2  # pieces sent for each thread of a worker: one that runs and one that waits


def evaluate_on_cluster(
    client: Client,
    query: Codes,
    pieces: Iterable[Codes | Callable[[], Codes]],
    *,
    similarity: Similarity | None = None,
    device: str | torch.device = "auto",
) -> RetrievalStats:
    """Return what `evaluate` returns for the same pieces, to the last digit.

    The queries are sent to every worker once. The iterable is read as workers become free, two
    pieces a thread ahead of the workers there are by then, so that neither this process nor the
    scheduler holds the database.

    Parameters
    ----------
    client : distributed.Client
        Best with one thread a worker, for every count uses all cores that torch is given.
    query : Codes
        Q codes of K bits with labels over C classes.
    pieces : iterable of Codes or of functions without arguments that return Codes
        A function is called on the worker: give one where workers read the database themselves,
        from a file that all of them see. Memory maps are sent whole otherwise.
    similarity, device
        As for `evaluate`; "auto" is CUDA on the workers that have it.

    Returns
    -------
    RetrievalStats

    Raises
    ------
    ValueError
        As `evaluate`; the message names the piece.

    Examples
    --------
    A database of packed codes on a disk that all workers see::

        def rows(start, stop):
            codes = np.load("codes.npy", mmap_mode="r")[start:stop]
            labels = np.load("labels.npy", mmap_mode="r")[start:stop]
            return Codes(PackedBits(codes, 64), PackedBits(labels, 10))

        pieces = [partial(rows, start, start + 10**6) for start in range(0, 10**8, 10**6)]
        stats = evaluate_on_cluster(Client("tcp://scheduler:8786"), query, pieces)
    """
    from distributed import as_completed

    total = evaluate(query, [], similarity=similarity, device="cpu")
    everywhere = client.scatter(query, broadcast=True, hash=False)
    running = as_completed(with_results=True)
    for number, piece in enumerate(pieces):
        if running.count() >= max(1, AHEAD * sum(client.nthreads().values())):
            total += next(running)[1]
        sent = client.scatter(piece, hash=False) if isinstance(piece, Codes) else piece
        options = (number, similarity, str(device))
        running.add(client.submit(_count, everywhere, sent, *options, pure=False))
    for _, stats in running:
        total += stats
    return total


def _count(
    query: Codes,
    piece: Codes | Callable[[], Codes],
    number: int,
    similarity: Similarity | None,
    device: str,
) -> RetrievalStats:
    """Evaluate one piece, on a worker."""
    codes = piece if isinstance(piece, Codes) else piece()
    try:
        return evaluate(query, codes, similarity=similarity, device=device)
    except ValueError as error:
        raise ValueError(f"piece {number} of the cluster's database: {error}") from error
