"""Spectral clusters of a training set, without a matrix of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.statistics import ROWS_AT_ONCE

N_LANDMARKS = 1000
"""Rows from which the affinities of all pairs are told; with so many rows or fewer, exactly."""


@torch.no_grad()
def spectral_clusters(U: Tensor, n_clusters: int, seed: int) -> Tensor:
    """Cluster vectors of unit length by the normalised cut of ``A_ij = exp(-|u_i - u_j|^2)``.

    The leading eigenvectors of ``D^-1/2 A D^-1/2`` are found by Nystroem's method from the columns
    of A that belong to landmarks, in float64: A is smooth, and close to a matrix of low rank. Then
    they are rotated towards indicators of clusters.

    Parameters
    ----------
    U : Tensor, float32, shape (N, D)
    n_clusters : int
        At most N are found, and fewer where some stay empty.
    seed : int
        Of the landmarks, and of the row that the rotation starts with.

    Returns
    -------
    Tensor, int64, shape (N,)

    References
    ----------
    Yu and Shi, "Multiclass spectral clustering", ICCV 2003; Fowlkes, Belongie, Chung, Malik,
    "Spectral grouping using the Nystroem method", PAMI 2004.
    """
    generator = torch.Generator().manual_seed(seed)
    landmarks = torch.randperm(len(U), generator=generator)[:N_LANDMARKS].to(U.device)
    start = int(torch.randint(len(U), (), generator=generator))
    return discretise(cut_vectors(U, min(n_clusters, len(U)), landmarks), start)


def cut_vectors(U: Tensor, k: int, landmarks: Tensor) -> Tensor:
    """Relaxed indicators of the normalised cut: the k leading eigenvectors, float64 (N, k).

    Those of ``D^-1/2 A D^-1/2``, each row divided by the root of its degree.
    """
    others = U[landmarks].double()
    A = torch.cat([(2 * rows.double() @ others.T - 2).exp_() for rows in U.split(ROWS_AT_ONCE)])
    values, vectors = torch.linalg.eigh(A[landmarks])  # (M,), ascending
    kept = values > values[-1] * 1e-10
    G = A @ (vectors[:, kept] / values[kept].sqrt())  # (N, R): all affinities are G G^T
    del A
    degrees = (G @ G.sum(0)).clamp_(min=torch.finfo(torch.float64).tiny)
    G /= degrees.sqrt()[:, None]
    vectors = torch.linalg.eigh(G.T @ G)[1][:, -k:].flip(1)
    indicators: Tensor = G @ vectors / degrees.sqrt()[:, None]
    return indicators


def discretise(vectors: Tensor, start: int, n_iter: int = 30) -> Tensor:
    """Find the partition whose indicators are nearest to a rotation of eigenvectors.

    Parameters
    ----------
    vectors : Tensor, float64, shape (N, k)
    start : int
        Row that is the first axis of the rotation; each next one is the row least like those.
    n_iter : int
        Alternations of partition and rotation at most.

    Returns
    -------
    Tensor, int64, shape (N,)

    Examples
    --------
    >>> x = torch.tensor([[1.0, 1.0], [1.0, 1.1], [1.0, -1.0]], dtype=torch.float64)
    >>> discretise(x, 0).tolist()
    [0, 0, 1]
    """
    V = F.normalize(F.normalize(vectors, dim=0), dim=1)
    axes = [V[start]]
    likeness = torch.zeros_like(V[:, 0])
    for _ in range(V.shape[1] - 1):
        likeness += (V @ axes[-1]).abs()
        axes.append(V[likeness.argmin()])
    R = torch.stack(axes, 1)  # (k, k)
    labels = (V @ R).argmax(1)
    for _ in range(n_iter):
        left, _, right = torch.linalg.svd(F.one_hot(labels, V.shape[1]).to(V).T @ V)
        before, labels = labels, (V @ (left @ right).T).argmax(1)
        if torch.equal(labels, before):
            break
    return labels
