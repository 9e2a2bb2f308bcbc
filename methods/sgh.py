"""SGH: scalable graph hashing with feature transformation.

Q.-Y. Jiang, W.-J. Li, "Scalable graph hashing with feature transformation", IJCAI 2015.

    S_ij = 2 exp(-||x_i - x_j||^2 / rho) - 1  ~  p(x_i)^T q(x_j)
    p, q(x) = [ sqrt(2 (e - 1/e)/rho) f x;  sqrt(e + 1/e) f;  +1, -1 ],  f = exp(-||x||^2 / rho)
    k(x)     exp(-||x - u||^2 / (2 delta)) of m bases u, less its mean over the rows
    minimise ||K S - sgn(k(X) W) sgn(k(X) W)^T||^2  over W, one bit at a time:
      A = K (k(X)^T P) (k(X)^T Q)^T
      A w = lambda (k(X)^T k(X) + gamma I) w,  the largest lambda
      A <- A - v v^T,   v = k(X)^T sgn(k(X) w)
    and once again for each bit in random order, with the others taken off
    b = sgn(k(x) W)

Here ||x|| is about 1: x is centred and divided by the mean norm of the centred rows. Otherwise f
would underflow, and all images be equally unlike.

Departures and decisions:
- A is made symmetric; the authors' code hands it to the solver as rounding leaves it.
- The scale of w is immaterial; it is of length 1 in the norm of the right-hand matrix.
- delta, the mean of all squared distances to the bases, is 1 where that is 0.
- Bases are as many as rows where those are fewer. The eigenproblem has a leading w for any number
  of bits, also for K > m and where its eigenvalue is below 0; the authors keep it, and so do we.
- Where the kernels do not vary at all, every score is 0.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, HashMethod, Trainer, TrainingSet
from methods.functional import signs
from methods.space import ANCHORS, search_space
from methods.statistics import ROWS_AT_ONCE, mean_row, signed, some_rows, squared_distances

GAMMA, RHO = 1e-6, 2.0
"""The ridge, and the width of the Gaussian similarity."""


class SGH(HashMethod):
    """Kernel hyperplanes that reproduce all pairs' similarities, which are never written out.

    Parameters
    ----------
    n_bases : int
        Training images m that carry the kernel.
    """

    mu: Tensor
    scale: Tensor
    bases: Tensor
    delta: Tensor
    bias: Tensor
    W: Tensor
    seed: Tensor
    order: Tensor
    title = "SGH"
    paper = "Jiang and Li, IJCAI 2015, https://www.ijcai.org/Proceedings/15/Papers/316.pdf"
    space = search_space(n_bases=ANCHORS)

    def __init__(self, in_dim: int, n_bits: int, *, n_bases: int = 300) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, n_bases=n_bases)
        self.n_bases = n_bases
        self.register_buffer("mu", torch.zeros(in_dim))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("bases", torch.zeros(n_bases, in_dim))
        self.register_buffer("delta", torch.ones(()))
        self.register_buffer("bias", torch.zeros(n_bases))
        self.register_buffer("W", torch.zeros(n_bases, n_bits))
        self.register_buffer("seed", torch.randint(2**31, ()))  # of the bases
        self.register_buffer("order", torch.randperm(n_bits))  # of the second pass

    def project(self, x: Tensor) -> Tensor:
        """Kernel hyperplanes, (N, D) -> (N, K)."""
        x = (x - self.mu).double() / self.scale
        k = kernels(x, self.bases, self.delta) - self.bias
        return (k @ self.W.double()).to(self.W.dtype)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Find one hyperplane after the other, and each once more."""
        X = self.training_set(data).features
        mu = mean_row(X)
        norm = sum((rows - mu).norm(dim=1).sum() for rows in X.split(ROWS_AT_ONCE)) / len(X)
        scale = torch.where(norm > 0, norm, 1.0)
        bases = (some_rows(X, self.n_bases, int(self.seed)) - mu) / scale
        kernel, delta, A = similarity(X, mu, scale, bases)
        bias = kernel.mean(0)
        self.mu.copy_(mu)
        self.scale.copy_(scale)
        self.delta.copy_(delta)
        for buffer in (self.bases, self.bias, self.W):
            buffer.zero_()
        self.bases[: len(bases)] = bases
        self.bias[: len(bases)] = bias
        self.W[: len(bases)] = hyperplanes(kernel - bias, self.n_bits * A, self.order)
        return self


def kernels(x: Tensor, bases: Tensor, delta: Tensor) -> Tensor:
    """exp(-d^2 / (2 delta)) of points' distances d to bases, (n, m)."""
    return (squared_distances(x, bases) / (-2 * delta.double())).exp()


def features(x: Tensor) -> tuple[Tensor, Tensor]:
    """Give the transformed features p(x) and q(x), (n, D + 2) each."""
    e = torch.e
    f = (-x.square().sum(1, keepdim=True) / RHO).exp()
    one = torch.ones_like(f)
    shared = [(2 * (e - 1 / e) / RHO) ** 0.5 * f * x, (e + 1 / e) ** 0.5 * f]
    return torch.cat([*shared, one], 1), torch.cat([*shared, -one], 1)


def similarity(
    X: Tensor, mu: Tensor, scale: Tensor, bases: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Give kernels of all rows, (N, m), delta, and (k(X)^T P) (k(X)^T Q)^T, (m, m), in blocks."""
    parts = X.split(ROWS_AT_ONCE)
    d2 = torch.cat([squared_distances((rows - mu) / scale, bases) for rows in parts])
    delta = d2.mean()
    delta = torch.where(delta > 0, delta, 1.0)
    kernel = d2.div_(-2 * delta).exp_()
    centre = kernel.mean(0)
    with_p = with_q = torch.zeros(len(bases), X.shape[1] + 2).to(kernel)
    for rows, k in zip(parts, kernel.split(ROWS_AT_ONCE), strict=True):
        p, q = features((rows - mu) / scale)
        with_p = with_p + (k - centre).T @ p
        with_q = with_q + (k - centre).T @ q
    return kernel, delta, with_p @ with_q.T


def hyperplanes(kernel: Tensor, A: Tensor, order: Tensor) -> Tensor:
    """Find W, (m, K), by two passes over its columns, the second in the given order.

    Parameters
    ----------
    kernel : Tensor, float64, shape (N, m)
        Centred kernels k(X).
    A : Tensor, float64, shape (m, m)
        The similarities to be reproduced, with the factor K.
    order : Tensor, int64, shape (K,)
    """
    if not kernel.any():
        return kernel.new_zeros(len(A), len(order))
    values, Q = torch.linalg.eigh(kernel.T @ kernel)
    root = Q * (values.clamp(min=0) + GAMMA).rsqrt()  # root root^T is the right-hand inverse
    A = (A + A.T) / 2
    W = kernel.new_zeros(len(A), len(order))
    V = torch.zeros_like(W)
    for k in [*range(len(order)), *order.tolist()]:
        A = A + torch.outer(V[:, k], V[:, k])
        top = torch.linalg.eigh(root.T @ A @ root)[1][:, -1:]
        W[:, k : k + 1] = signed(root @ top)
        V[:, k] = kernel.T @ signs(kernel @ W[:, k])
        A = A - torch.outer(V[:, k], V[:, k])
    return W
