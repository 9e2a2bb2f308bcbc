"""What methods take of a whole training set: principal axes and anchors, each computed once.

A function under `once` gives again what it gave for the same training set, so that methods, code
lengths and seeds share the work without knowing of each other. Nothing here is of size N x N.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, TypeVarTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

ROWS_AT_ONCE = 8192
"""Rows that are turned into float64 at a time."""

_Given = TypeVarTuple("_Given")
_Result = TypeVar("_Result")

_known = WeakTensorKeyDictionary()
"""What was computed, by the tensor of features; it goes when the tensor goes."""


def once(function: Callable[[Tensor, *_Given], _Result]) -> Callable[[Tensor, *_Given], _Result]:
    """Let a function of features (N, D) and of hashable settings compute each result once.

    The features count as the same as long as they are the same tensor, unchanged. A result is
    shared, so nobody may write into it.

    Examples
    --------
    >>> X = torch.ones(2, 3)
    >>> once(torch.clone)(X) is once(torch.clone)(X)
    True
    """

    @wraps(function)
    def known(X: Tensor, *settings: *_Given) -> _Result:
        results: dict[Hashable, Any] = _known.setdefault(X, {})
        key = (function, settings, X._version)
        if key not in results:
            results[key] = function(X, *settings)
        result: _Result = results[key]
        return result

    return known


@dataclass(frozen=True)
class PrincipalAxes:
    """Eigenvectors of the covariance of a training set.

    An eigenvector is known up to its sign; each is signed such that its entry of largest absolute
    value is positive, so that nothing depends on the library that found it.

    Attributes
    ----------
    mean : Tensor, float64, shape (D,)
    variances : Tensor, float64, shape (D,)
        Eigenvalues of Xc^T Xc / (N - 1), largest first.
    vectors : Tensor, float64, shape (D, D)
        Column k belongs to variance k. It is zero where nothing varies, for any direction would do.
    """

    mean: Tensor
    variances: Tensor
    vectors: Tensor

    def leading(self, k: int) -> Tensor:
        """Give the k leading directions as columns, (D, k); columns beyond D are zero."""
        return F.pad(self.vectors, (0, k - self.vectors.shape[1]))

    def leading_variances(self, k: int) -> Tensor:
        """Give the variances along the k leading directions, (k,); those beyond D are zero."""
        return F.pad(self.variances, (0, k - len(self.variances)))


def signed(vectors: Tensor) -> Tensor:
    """Sign columns such that the entry of largest absolute value is positive.

    Examples
    --------
    >>> signed(torch.tensor([[0.6, 0.6], [-0.8, 0.8]]))
    tensor([[-0.6000,  0.6000],
            [ 0.8000,  0.8000]])
    """
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest > 0, 1.0, -1.0)


@once
@torch.no_grad()
def principal_axes(X: Tensor) -> PrincipalAxes:
    """Find the principal axes of features (N, D), in float64.

    Examples
    --------
    >>> axes = principal_axes(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    >>> axes.variances.tolist(), axes.leading(3).tolist()
    ([2.0, 0.0], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """
    mean = X.mean(0, dtype=torch.float64)
    scatter = torch.zeros(X.shape[1], X.shape[1], dtype=torch.float64, device=X.device)
    for rows in X.split(ROWS_AT_ONCE):
        centred = rows.double() - mean
        scatter.addmm_(centred.T, centred)
    values, vectors = torch.linalg.eigh(scatter)  # ascending
    values, vectors = values.flip(0).clamp(min=0), signed(vectors.flip(1))
    rounding = torch.finfo(torch.float64).eps * max(X.shape) * values[0]
    varies = values > rounding
    return PrincipalAxes(mean, values * varies / max(1, len(X) - 1), vectors * varies)


@torch.no_grad()
def centred_product(X: Tensor, mu: Tensor, W: Tensor) -> Tensor:
    """Give (X - mu) W in float64, (N, k), without a copy of all features (N, D)."""
    return torch.cat([(rows.double() - mu) @ W for rows in X.split(ROWS_AT_ONCE)])


@once
@torch.no_grad()
def anchors(X: Tensor, n_anchors: int, n_iter: int, seed: int) -> Tensor:
    """Centres of k-means over features (N, D), from rows drawn without replacement.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    n_anchors : int
        Centres m; at most N are found.
    n_iter : int
        Rounds of Lloyd's algorithm at most.
    seed : int
        Of the rows drawn: `TrainingSet.seed`, which all methods of a run share.

    Returns
    -------
    Tensor, float64, shape (min(m, N), D)
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randperm(len(X), generator=generator)[:n_anchors]
    return k_means(X, X[start.to(X.device)], n_iter)


@torch.no_grad()
def k_means(X: Tensor, centres: Tensor, n_iter: int) -> Tensor:
    """Move centres (m, D) by Lloyd's algorithm over X (N, D) until they rest, or `n_iter` times.

    A centre that no row is nearest to is put on the row that is farthest from its own.

    Returns
    -------
    Tensor, float64, shape (m, D)
    """
    from sklearn.cluster import KMeans

    found = KMeans(len(centres), init=centres.cpu().numpy(), n_init=1, max_iter=n_iter, tol=0)
    found.fit(X.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(X.device, torch.float64)
