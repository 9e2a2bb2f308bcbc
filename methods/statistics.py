"""What methods take of a training set, each computed once: mean, principal axes, anchor graphs.

A function under `once` gives again what it gave for the same training set, so that methods, code
lengths and seeds share the work without knowing of each other. Nothing here is of size N x N.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar, TypeVarTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from methods.functional import signs

ROWS_AT_ONCE = 8192
"""Rows that are turned into float64 at a time."""

ANCHOR_ROUNDS = 20
"""Rounds of k-means that place the anchors of a graph, at most; those of AGH's demonstration."""

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
    return vectors * signs(largest)


@once
@torch.no_grad()
def mean_row(X: Tensor) -> Tensor:
    """Give the mean of the rows of features (N, D), float64, shape (D,).

    Examples
    --------
    >>> mean_row(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor([1.5000, 3.0000], dtype=torch.float64)
    """
    sums = [rows.sum(0, dtype=torch.float64) for rows in X.split(ROWS_AT_ONCE)]
    return torch.stack(sums).sum(0) / len(X)


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
    mean = mean_row(X)
    scatter = torch.zeros(X.shape[1], X.shape[1], dtype=torch.float64, device=X.device)
    for rows in X.split(ROWS_AT_ONCE):
        centred = rows.double() - mean
        scatter.addmm_(centred.T, centred)
    values, vectors = torch.linalg.eigh(scatter)  # ascending
    values, vectors = values.flip(0).clamp(min=0), signed(vectors.flip(1))
    rounding = torch.finfo(torch.float64).eps * max(X.shape) * values[0]
    varies = values > rounding
    return PrincipalAxes(mean, values * varies / max(1, len(X) - 1), vectors * varies)


def dealt(variances: Tensor, n_parts: int, width: int) -> Tensor:
    """Share out axes such that the products of the variances of all parts are alike.

    Each axis goes to the part that has room and the smallest sum of logarithms, of which the
    smallest counts as 1. A variance below rounding counts as the rounding of the largest. Axes
    beyond those that there are count as the last.

    Parameters
    ----------
    variances : Tensor, float64, shape (D,)
        Largest first.
    n_parts, width : int
        Parts M, and axes of each: at least D in all.

    Returns
    -------
    Tensor, int64, shape (n_parts * width,)
        Numbers of the axes, those of each part next to each other and in rising order.

    References
    ----------
    Ge, He, Ke, Sun, "Optimized product quantization", CVPR 2013, eigenvalue allocation.

    Examples
    --------
    >>> dealt(torch.tensor([8.0, 4.0, 2.0]).double(), 2, 2).tolist()
    [0, 3, 1, 2]
    """
    D, float64 = len(variances), torch.finfo(torch.float64)
    floor = max(float(variances[0]) * float64.eps * D, float64.tiny)
    logs = variances.clamp(min=floor).log()
    logs = F.pad(logs, (0, n_parts * width - D), value=float(logs[-1]))
    sums = [0.0] * n_parts
    parts: list[list[int]] = [[] for _ in range(n_parts)]
    for axis, log in enumerate((logs - logs[-1] + 1).tolist()):
        m = min((m for m in range(n_parts) if len(parts[m]) < width), key=lambda m: sums[m])
        sums[m] += log
        parts[m].append(axis)
    return torch.tensor(parts, device=variances.device).flatten()


@torch.no_grad()
def centred_product(X: Tensor, mu: Tensor, W: Tensor) -> Tensor:
    """Give (X - mu) W in float64, (N, k), without a copy of all features (N, D)."""
    return torch.cat([(rows.double() - mu) @ W for rows in X.split(ROWS_AT_ONCE)])


@once
@torch.no_grad()
def anchors(X: Tensor, n_anchors: int, n_iter: int, seed: int) -> Tensor:
    """Centres of k-means over features (N, D), from rows drawn without replacement, no two equal.

    Parameters
    ----------
    X : Tensor, float32, shape (N, D)
    n_anchors : int
        Centres m; fewer are found where fewer different rows are drawn.
    n_iter : int
        Rounds of Lloyd's algorithm at most.
    seed : int
        Of the rows drawn: `TrainingSet.seed`, which all methods of a run share.

    Returns
    -------
    Tensor, float64, shape (at most min(m, N), D)
    """
    return k_means(X, some_rows(X, n_anchors, seed).unique(dim=0), n_iter)


def some_rows(X: Tensor, n: int, seed: int) -> Tensor:
    """Draw n rows of X (N, D) without replacement, all of them where n exceeds N."""
    drawn = torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))[:n]
    return X[drawn.to(X.device)]


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


def squared_distances(X: Tensor, C: Tensor) -> Tensor:
    """Squared Euclidean distances of rows (n, D) to centres (m, D), float64, (n, m).

    Examples
    --------
    >>> squared_distances(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[25.,  0.]], dtype=torch.float64)
    """
    origin = C[0].double()  # near the data, so that little is lost in the difference
    X, C = X.double() - origin, C.double() - origin
    squares = X.square().sum(1, keepdim=True) + C.square().sum(1)
    return squares.addmm_(X, C.T, alpha=-2).clamp_(min=0)


@dataclass(frozen=True)
class AnchorGraph:
    """Rows of a training set and the s anchors nearest to each: a sparse matrix Z (N, m).

    Attributes
    ----------
    U : Tensor, float64, shape (m, D)
        Anchors.
    sigma : Tensor, float64, scalar
        Mean distance of a row to its s-th nearest anchor; 1 where that is 0.
    nearest : Tensor, int64, shape (N, s)
        The anchors of each row, the nearest first.
    kernel : Tensor, float64, shape (N, s)
        exp(-d^2 / sigma^2) of their distances d.
    z : Tensor, float64, shape (N, s)
        The same with rows that sum to 1: what Z has in the columns `nearest`.
    """

    U: Tensor
    sigma: Tensor
    nearest: Tensor
    kernel: Tensor
    z: Tensor

    def to_rows(self, E: Tensor) -> Tensor:
        """Give Z E, (N, k), of what anchors have, (m, k)."""
        return F.embedding_bag(self.nearest, E, per_sample_weights=self.z, mode="sum")

    def to_anchors(self, Y: Tensor) -> Tensor:
        """Give Z^T Y, (m, k), of what rows have, float64, (N, k)."""
        order, starts = self._by_anchor
        weights = self.z.flatten()[order]
        rows = order // self.z.shape[1]
        return F.embedding_bag(rows, Y, starts, per_sample_weights=weights, mode="sum")

    @cached_property
    def _by_anchor(self) -> tuple[Tensor, Tensor]:
        """Sort the entries of Z by their anchor, and say where each anchor's begin."""
        anchor, order = self.nearest.flatten().sort(stable=True)
        begin = torch.arange(len(self.U), device=anchor.device)
        return order, torch.searchsorted(anchor, begin)

    @cached_property
    def mass(self) -> Tensor:
        """Sums of the columns of Z, float64, (m,): the diagonal Lambda."""
        return self.to_anchors(self.z.new_ones(len(self.z), 1)).squeeze(1)

    @cached_property
    def eigenvectors(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of A = Z Lambda^-1 Z^T, (r,), and W (m, r) that gives its vectors as Z W.

        The largest comes first, all are above 0, the constant vector and its eigenvalue 1 are left
        out, and Z W has orthonormal columns. Each further 1 is a further part of the graph.

        References
        ----------
        Liu et al., ICML 2011: by the m x m matrix Lambda^-1/2 Z^T Z Lambda^-1/2.
        """
        root = torch.where(self.mass > 0, self.mass, torch.inf).rsqrt()  # 0 without any rows
        constant = self.mass.sqrt() / self.mass.sum().sqrt()
        M = root[:, None] * self.product(self.z) * root - torch.outer(constant, constant)
        values, V = torch.linalg.eigh(M)  # ascending
        values, V = values.flip(0), without_rounding(signed(V.flip(1)))
        r = int((values > torch.finfo(torch.float64).eps * len(M)).sum())
        return values[:r], root[:, None] * V[:, :r] * values[:r].rsqrt()

    def product(self, values: Tensor) -> Tensor:
        """Give Z^T V, (m, m), of the matrix V (N, m) that has `values` (N, s) where Z has `z`."""
        m = len(self.U)
        total = self.z.new_zeros(m, m)
        parts = (part.split(ROWS_AT_ONCE) for part in (self.nearest, self.z, values))
        for nearest, *rows in zip(*parts, strict=True):
            Z, V = (part.new_zeros(len(part), m).scatter_(1, nearest, part) for part in rows)
            total.addmm_(Z.T, V)
        return total


@once
@torch.no_grad()
def anchor_graph(X: Tensor, n_anchors: int, s: int, seed: int) -> AnchorGraph:
    """Connect features (N, D) with their s nearest of `n_anchors` centres of k-means.

    Parameters
    ----------
    seed : int
        As of `anchors`; the rounds of k-means are `ANCHOR_ROUNDS`.

    References
    ----------
    Liu, Wang, Kumar, Chang, "Hashing with graphs", ICML 2011; the width of the Gaussian is that
    of its authors' code.
    """
    U = anchors(X, n_anchors, ANCHOR_ROUNDS, seed)
    s = min(s, len(U))
    found = [squared_distances(rows, U).topk(s, largest=False) for rows in X.split(ROWS_AT_ONCE)]
    d2 = torch.cat([d2 for d2, _ in found])
    sigma = d2[:, -1].sqrt().mean()
    sigma = torch.where(sigma > 0, sigma, 1.0)
    nearest = torch.cat([nearest for _, nearest in found])
    exponent = -d2 / sigma**2
    return AnchorGraph(U, sigma, nearest, exponent.exp(), exponent.softmax(1))


def without_rounding(V: Tensor) -> Tensor:
    """Set entries of columns to 0 that are below 1e-9 of the column's largest.

    Eigenvectors of a graph in several parts are 0 outside of theirs, but for rounding.

    Examples
    --------
    >>> without_rounding(torch.tensor([[2.0], [1e-12]])).flatten().tolist()
    [2.0, 0.0]
    """
    return V * (V.abs() >= 1e-9 * V.abs().amax(0))
