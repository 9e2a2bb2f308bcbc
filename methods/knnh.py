"""KNNH: k-nearest neighbours hashing.

X. He, P. Wang and J. Cheng, "K-nearest neighbors hashing", CVPR 2019.

    V = (X - mu) W                      W: the K leading principal directions
    v_i = mean of the k rows of V that are nearest to v_i, without itself
    R = the rotation for which the signs of V R lose least, as in ITQ
    b = sign((x - mu) W R)

As in the authors' code, rows are replaced one after the other: a later row averages over earlier
ones that are smoothed already, while its neighbours are those of the rows as they were.

Departure: there the database is the training set, and its codes are the signs of the smoothed rows,
while queries are not smoothed. Here training set and database differ, and both sides are encoded
by the projection, without smoothing.

Fewer than k + 1 training images are each other's neighbours; a single one stays as it is. Where K
exceeds the number of principal axes, the missing columns of V are zero and the rotation spreads the
others over all K bits, as in ITQ. Where nothing varies all scores are exactly 0, so no bit is set.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, LinearMethod, Trainer, TrainingSet
from methods.functional import quantising_rotation, random_rotation
from methods.space import Range, search_space
from methods.statistics import centred_product, principal_axes


class KNNH(LinearMethod):
    """ITQ of principal components that are averaged over their neighbours.

    Parameters
    ----------
    k : int
        Neighbours of a training image.
    n_iter : int
        Alternations between codes and rotation at most; it ends where no sign changes any more.
    """

    R_0: Tensor
    title = "KNNH"
    paper = "He, Wang and Cheng, CVPR 2019, https://doi.org/10.1109/CVPR.2019.00295"
    space = search_space(k=Range(5, 50, "our own: around our 20"))

    def __init__(self, in_dim: int, n_bits: int, *, k: int = 20, n_iter: int = 1001) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, k=k)
        self.require_at_least(0, n_iter=n_iter)
        self.k, self.n_iter = k, n_iter
        # Drawn here, so that fit itself is deterministic.
        self.register_buffer("R_0", random_rotation(n_bits))  # (K, K)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Smooth the principal components, then alternate between codes and rotation."""
        X = self.training_set(data).features
        axes = principal_axes(X)
        mu, W = axes.mean, axes.leading(self.n_bits)  # (D,), (D, K)
        V = centred_product(X, mu, W)  # (N, K)
        V = smoothed(V, neighbours(V, self.k))
        R = quantising_rotation(V, self.R_0.double(), self.n_iter)
        self.set_scores(W @ R, mu)
        return self


def neighbours(V: Tensor, k: int) -> Tensor:
    """Find the rows of V (N, K) nearest to each but itself, int64, shape (N, min(k, N - 1))."""
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(V) - 1)
    if k == 0:
        return torch.empty(len(V), 0, dtype=torch.int64)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(V.cpu().numpy())
    return torch.from_numpy(search.kneighbors(return_distance=False))


def smoothed(V: Tensor, index: Tensor) -> Tensor:
    """Replace each row of V (N, K), in order, by the mean of the rows in `index` (N, k).

    Examples
    --------
    >>> smoothed(torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[1], [0], [1]])).tolist()
    [[2.0], [2.0], [2.0]]
    """
    if not index.shape[1]:
        return V
    rows = V.cpu().numpy().copy()  # a loop over arrays is several times as fast as over tensors
    for i, near in enumerate(index.numpy()):
        rows[i] = rows[near].mean(0)
    return torch.from_numpy(rows).to(V.device)
