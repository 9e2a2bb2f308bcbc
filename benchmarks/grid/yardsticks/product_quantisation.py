"""PQ and OPQ: what K bits are worth where distances need not be Hamming distances.

H. Jegou, M. Douze and C. Schmid, "Product quantization for nearest neighbor search", PAMI 2011.
T. Ge, K. He, Q. Ke and J. Sun, "Optimized product quantization", CVPR 2013 (PAMI 2014).

    y = A^T (x - mu)               PQ: A = I;  OPQ: orthonormal columns, found with the centroids
                                   with `rotate`: columns of a random rotation
    y = [y_1, ..., y_M]            M = K / b sub-vectors of as many dimensions each
    c_m = argmin_j |y_m - C_mj|    2^b centroids each, by k-means
    d(q, x) = sum_m |q_m - C_m,c_m|^2                     the query in full ("asymmetric distance")

Where M does not divide the dimensions, zeros are appended, which changes no distance.

OPQ starts from the principal axes, dealt to the sub-vectors such that the products of their
variances are alike (the paper's parametric solution), and then alternates k-means with the
rotation that fits best (its non-parametric one). Departure: of more than 256 axes the first 256 are
kept, for the time that it takes grows with their square.

The k-means and the alternation are those of faiss, which has at most 256 training rows for each
centroid take part. Their random choices come from the seed of the run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.grid.yardsticks.base import (
    VectorYardstick,
    with_item_columns,
    with_query_columns,
)
from methods.base import Array, LengthError, Trainer, TrainingSet
from methods.statistics import dealt, mean_row, principal_axes

MOST_AXES = 256
"""Principal axes that OPQ turns."""


class PQ(VectorYardstick):
    """Product quantisation of the features.

    Parameters
    ----------
    b : int
        Bits of a sub-vector, at most 16.
    rotate : bool
        Whether vectors are turned at random first: embeddings whose variance lies in few
        coordinates lose by PQ as they are; descriptors whose neighbours in the list belong together
        lose by the rotation.
    """

    mu: Tensor
    C: Tensor
    A: Tensor
    title = "PQ"
    paper = "Jegou et al., PAMI 2011, https://doi.org/10.1109/TPAMI.2010.57"
    size = "K bits"

    def __init__(self, in_dim: int, n_bits: int, *, b: int = 8, rotate: bool = False) -> None:
        super().__init__(in_dim, n_bits)
        name, dims = type(self).__name__, self._dims()
        self.require_at_least(1, b=b)
        if b > 16:
            raise ValueError(f"{name}: b must be at most 16, got {b}")
        if n_bits % b or n_bits > b * dims:
            raise LengthError(
                f"{name}: n_bits must be a multiple of b = {b} and at most {b * dims}, b for each "
                f"of {dims} dimensions, got {n_bits}; {nearest(n_bits, b, dims)}"
            )
        self.b = b
        self.n_parts = n_bits // b
        self.width = -(-dims // self.n_parts) * self.n_parts
        self._seed = torch.initial_seed() % 2**31
        self.register_buffer("mu", torch.zeros(in_dim))
        self.register_buffer("C", torch.zeros(self.n_parts, 2**b, self.width // self.n_parts))
        self.rotate = rotate
        if rotate:
            gauss = torch.randn(self.width, in_dim, dtype=torch.float64)
            self.register_buffer("A", torch.linalg.qr(gauss)[0].T.float())  # (D, width)

    @classmethod
    def lacks(cls, n_train: int, params: Mapping[str, Any]) -> str | None:
        """Say that faiss is not installed, or that centroids outnumber the training images."""
        if importlib.util.find_spec("faiss") is None:
            return "needs faiss, which is not installed: pip install -e '.[faiss]'"
        if n_train < 2 ** params["b"]:
            return f"needs {2 ** params['b']:,} training images for its centroids, got {n_train:,}"
        return None

    @classmethod
    def item_bytes(cls, in_dim: int, n_bits: int) -> int:
        """Those of the numbers of centroids."""
        return -(-n_bits // 8)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find the centroids.

        Raises
        ------
        ValueError
            If there are fewer training images than centroids of a sub-vector.
        """
        X = self.training_set(data).features
        if len(X) < 2**self.b:
            raise ValueError(
                f"{type(self).__name__}.fit: it needs {2**self.b:,} training images for its "
                f"centroids, got {len(X):,}; take a smaller b"
            )
        self.mu.copy_(mean_row(X))
        self._find(X)
        return self

    def project(self, x: Tensor) -> Tensor:
        """Turn queries as they are compared, float64, (N, D) -> (N, width + 2)."""
        return with_query_columns(self._turned(x))

    def items(self, x: Tensor) -> Tensor:
        """Reconstructions from codes, float64, (N, D) -> (N, width + 2)."""
        return with_item_columns(self.decode(self.codes(x)))

    def codes(self, x: Tensor) -> Tensor:
        """Numbers of the nearest centroids, int64, (N, D) -> (N, M)."""
        parts = self._turned(x).unflatten(1, (self.n_parts, -1)).unbind(1)
        near = [
            (C.square().sum(1) / 2 - y @ C.T).argmin(1)
            for y, C in zip(parts, self.C.double(), strict=True)
        ]
        return torch.stack(near, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Put together the centroids of codes, float64, (N, M) -> (N, width)."""
        return torch.cat([C[c] for C, c in zip(self.C.double(), codes.T, strict=True)], 1)

    def _dims(self) -> int:
        """Count the dimensions that are shared out among the sub-vectors."""
        return self.in_dim

    def _turned(self, x: Tensor) -> Tensor:
        """Vectors y of inputs, float64, (N, D) -> (N, width)."""
        if self.rotate:
            return (x.double() - self.mu) @ self.A.double()
        return F.pad(x.double() - self.mu, (0, self.width - self.in_dim))

    def _find(self, X: Tensor) -> None:
        faiss, pq = self._quantiser()
        pq.train(self._vectors(X))
        self._keep(faiss, pq)

    def _vectors(self, X: Tensor) -> NDArray[np.float32]:
        """Vectors y of all training images for faiss, (N, width)."""
        return np.concatenate([self._turned(x).float().cpu().numpy() for x in X.split(8192)])

    def _quantiser(self) -> tuple[Any, Any]:
        """Give faiss, on the threads of torch, and a quantiser of it that is to be trained."""
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        pq = faiss.ProductQuantizer(self.width, self.n_parts, self.b)
        pq.cp.seed = self._seed
        pq.cp.min_points_per_centroid = 1  # below, faiss would write to the terminal
        return faiss, pq

    def _keep(self, faiss: Any, pq: Any) -> None:
        found = torch.from_numpy(faiss.vector_to_array(pq.centroids).copy())
        self.C.copy_(found.view_as(self.C))


class OPQ(PQ):
    """Product quantisation after the rotation that suits it best."""

    title = "OPQ"
    paper = "Ge et al., CVPR 2013, https://doi.org/10.1109/CVPR.2013.379"

    def __init__(self, in_dim: int, n_bits: int, *, b: int = 8) -> None:
        super().__init__(in_dim, n_bits, b=b)
        self.register_buffer("A", torch.zeros(in_dim, self.width))

    def _dims(self) -> int:
        return min(self.in_dim, MOST_AXES)

    def _turned(self, x: Tensor) -> Tensor:
        return (x.double() - self.mu) @ self.A.double()

    def _find(self, X: Tensor) -> None:
        axes, dims = principal_axes(X), self._dims()
        order = dealt(axes.variances[:dims], self.n_parts, self.width // self.n_parts)
        W = F.pad(axes.leading(dims), (0, self.width - dims))[:, order]  # (D, width)
        self.A.copy_(W)
        faiss, pq = self._quantiser()
        opq = faiss.OPQMatrix(self.width, self.n_parts)
        opq.pq = pq
        faiss.copy_array_to_vector(np.eye(self.width, dtype=np.float32).ravel(), opq.A)
        opq.train(self._vectors(X))
        R = torch.from_numpy(faiss.vector_to_array(opq.A).copy()).view(self.width, self.width)
        self.A.copy_(W @ R.T.to(W))
        pq.train_type = faiss.ProductQuantizer.Train_hot_start
        pq.cp.niter = 25
        pq.train(self._vectors(X))
        self._keep(faiss, pq)


def nearest(n_bits: int, b: int, dims: int) -> str:
    """Name the lengths that work around one that does not.

    Examples
    --------
    >>> nearest(20, 8, 64), nearest(3, 8, 64), nearest(1000, 8, 64)
    ('16 and 24 work', '8 works', '512 works')
    """
    low = min(n_bits // b, dims) * b
    around = [length for length in (low, low + b) if b <= length <= b * dims]
    return f"{' and '.join(map(str, around))} work{'s' if len(around) == 1 else ''}"
