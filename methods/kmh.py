"""KMH: k-means hashing.

K. He, F. Wen, J. Sun, "K-means hashing: an affinity-preserving quantization method for learning
binary compact codes", CVPR 2013.

    the principal components of x, dealt to M = K/b subspaces; in each of them 2^b centres c_i, of
    which i in binary is the code:
    minimise  E_quan + lambda E_aff
      E_quan = 1/N sum_x ||x - c_i(x)||^2,                 i(x) the centre nearest to x
      E_aff  = sum_ij n_i n_j / N^2 (||c_i - c_j|| - h_ij)^2,   h_ij = 2 s sqrt(hamming(i, j))
    centres start at the corners (+-s, ..., +-s) of the subspace's b leading axes, s the mean
    absolute value on them. Then, 50 times: assign rows; move each c_j in turn to its best place
    b_j(x) = bit of i(x), the lowest first

Components are dealt to the subspaces by `dealt`, such that the products of variances are alike.

The best place of a centre is a minimum of |c - m_j|^2 + 2 lambda sum_i p_i (|c - c_i| - h_ij)^2,
m_j the mean of its rows and p_i = n_i / N, which Newton's method finds from where the centre is,
for all subspaces at once; its Hessian is a multiple of I and a term of rank 2^b.

Departures and decisions:
- The authors minimise by numerical gradients, to 1e-2 or so of the objective; ours are exact.
- The factor 2 before lambda is that of their code; s, as there, is never updated.
- An empty cluster moves nothing and is moved by nothing: its centre stays.
- K must be a multiple of b. Where M does not divide D, or D < K, components of variance 0 are added
  behind the true ones until each subspace has max(b, D/M); a bit on these alone is 0.
- The score of a bit is how much nearer, in squared distance, the nearest centre with the bit is
  than the nearest without it: above 0 where the nearest of all has it.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from methods.base import Array, HashMethod, LengthError, Trainer, TrainingSet
from methods.newton import best_place
from methods.space import Choice, Range, search_space
from methods.statistics import ROWS_AT_ONCE, dealt, principal_axes


class KMH(HashMethod):
    """Product quantisation whose cells are numbered such that near ones differ in few bits.

    Parameters
    ----------
    b : int
        Bits a subspace.
    lambda_ : float
        Weight of the distances between centres.
    n_iter : int
        Alternations of assignment and update.
    """

    mu: Tensor
    R: Tensor
    centres: Tensor
    title = "KMH"
    paper = "He et al., CVPR 2013, https://doi.org/10.1109/CVPR.2013.378"
    space = search_space(
        b=Choice((2, 4, 8), "the authors' code"),
        lambda_=Range(1.0, 1000.0, "the authors' code has 10, a port 1000"),
    )

    def __init__(
        self, in_dim: int, n_bits: int, *, b: int = 4, lambda_: float = 10.0, n_iter: int = 50
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_at_least(1, b=b)
        self.require_at_least(0, lambda_=lambda_, n_iter=n_iter)
        if n_bits % b:
            below = max(b, n_bits // b * b)
            raise LengthError(
                f"KMH: n_bits must be a multiple of b = {b}, got {n_bits}; {below} and {below + b} "
                "work, or another b"
            )
        self.b, self.lambda_, self.n_iter = b, lambda_, n_iter
        M = n_bits // b
        width = max(b, -(-in_dim // M))
        self.register_buffer("mu", torch.zeros(in_dim))
        self.register_buffer("R", torch.zeros(in_dim, M * width))
        self.register_buffer("centres", torch.zeros(M, 2**b, width))

    def project(self, x: Tensor) -> Tensor:
        """How much nearer a centre with each bit is than one without, (N, D) -> (N, K)."""
        centres = self.centres.double()
        d2 = distances(self._parts(x, self.mu.double(), self.R.double()), centres)  # (M, N, 2^b)
        scores = []
        for bit in range(self.b):
            has = (torch.arange(2**self.b, device=x.device) >> bit) % 2 > 0
            scores.append(d2[..., ~has].amin(-1) - d2[..., has].amin(-1))  # (M, N)
        return torch.stack(scores, -1).transpose(0, 1).flatten(1).to(self.centres.dtype)

    def _parts(self, x: Tensor, mu: Tensor, R: Tensor) -> Tensor:
        """Components of x in the subspaces, float64, (M, N, D/M)."""
        M, _, width = self.centres.shape
        return ((x.double() - mu) @ R).view(-1, M, width).transpose(0, 1)

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Alternate `n_iter` times between rows and centres."""
        X = self.training_set(data).features
        M, _, width = self.centres.shape
        axes = principal_axes(X)
        R = axes.leading(M * width)[:, dealt(axes.variances, M, width)]
        Y = torch.empty(M, len(X), width).to(R)
        for start in range(0, len(X), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            Y[:, some] = self._parts(X[some], axes.mean, R)
        centres, h = corners(Y, self.b)
        for _ in range(self.n_iter):
            centres = improved(centres, h, *assigned(Y, centres), self.lambda_)
        self.mu.copy_(axes.mean)
        self.R.copy_(R)
        self.centres.copy_(centres)
        return self


def corners(Y: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """First centres, (M, 2^b, D/M), and the distances that they should keep, (M, 2^b, 2^b).

    Parameters
    ----------
    Y : Tensor, float64, shape (M, N, D/M)
        Components of the rows, in falling order in each subspace.
    b : int
        Bits; the first axis is that of the highest.
    """
    s = Y[..., :b].abs().mean((1, 2))  # (M,)
    high_first = torch.arange(b - 1, -1, -1, device=Y.device)
    codes = (torch.arange(2**b, device=Y.device)[:, None] >> high_first) % 2  # (2^b, b)
    centres = Y.new_zeros(len(Y), 2**b, Y.shape[2])
    centres[..., :b] = s[:, None, None] * (2 * codes - 1)
    hamming = (codes[:, None] != codes).sum(-1).to(Y)  # (2^b, 2^b)
    return centres, 2 * s[:, None, None] * hamming.sqrt()


def distances(Y: Tensor, centres: Tensor) -> Tensor:
    """Squared distances in each subspace, less the squares of the rows, (M, N, 2^b)."""
    squares = centres.square().sum(-1)[:, None]  # (M, 1, 2^b)
    return torch.baddbmm(squares, Y, centres.transpose(1, 2), alpha=-2)


def assigned(Y: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Share p of the rows at each centre, (M, 2^b), and the sum of their components over N."""
    N = Y.shape[1]
    p, S = torch.zeros_like(centres[..., 0]), torch.zeros_like(centres)
    for rows in Y.split(ROWS_AT_ONCE, 1):
        nearest = distances(rows, centres).argmin(-1)
        one = torch.nn.functional.one_hot(nearest, centres.shape[1]).to(Y)  # (M, n, 2^b)
        p += one.sum(1)
        S += one.transpose(1, 2) @ rows
    return p / N, S / N


def improved(centres: Tensor, h: Tensor, p: Tensor, S: Tensor, lambda_: float) -> Tensor:
    """Move each centre in turn to its best place, in all subspaces at once."""
    centres = centres.clone()
    for j in range(centres.shape[1]):
        here, share = centres[:, j], p[:, j, None]
        mean = torch.where(share > 0, S[:, j] / share, here)
        weights = 2 * lambda_ * p * (share > 0)  # an empty cluster is where it wants to be
        weights[:, j] = 0  # the centre itself, which moves along
        centres[:, j] = best_place(here, mean, centres, h[:, j], weights)
    return centres
