"""CBE: circulant binary embedding.

F. X. Yu, S. Kumar, Y. Gong and S.-F. Chang, "Circulant binary embedding", ICML 2014.

    b = sign(R s x)      s: random signs on the diagonal, R: the circulant matrix of a vector r

so that the scores are numbers of a circular convolution, which FFT finds in O(D log D). CBE-rand
draws r from N(0, 1) and takes K of the D outputs at random. CBE-opt, ``optimise=True``, takes the
first K and learns r with them, B being 0 beyond bit K:

    minimise  ||B - X R^T||_F^2 + lambda ||R R^T - I||_F^2        by turns over B and r

The r-step is one problem a frequency l, of the complex number rho_l = fft(r)_l. With F = fft(x_i)
and G = fft(b_i) of each image, m_l = sum_i |F_l|^2 / D and c_l = -(2 / D) sum_i conj(F_l) G_l:

    minimise  m |rho|^2 + Re(conj(c) rho) + lambda (|rho|^2 - 1)^2

rho has the direction of -c, and its modulus is the positive root of
4 lambda t^3 + (2 m - 4 lambda) t - |c| = 0; where c is 0 it keeps its direction. The authors
minimise numerically and stay, at frequency 0, in the basin of the value before; we take the roots
themselves, and stay there too.

As in the authors' code, x is centred on the training mean, rows are scaled to unit length for the
learning (which no sign sees), at most 5,000 training images are used, and it ends where the
objective falls by less than 0.1 (an absolute number, so it depends on their count) or after 500
turns. Departure: the dimensions are not permuted first; random signs do for it.

Bits beyond D do not exist, since R has D rows: their score is exactly 0, so they are never set.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.base import Array, CentredMethod, Trainer, TrainingSet
from methods.space import Choice, Range, search_space
from methods.statistics import mean_row, some_rows


class CBE(CentredMethod):
    """Signs of a circulant projection.

    Parameters
    ----------
    optimise : bool
        CBE-opt instead of CBE-rand.
    lambda_r : float
        Weight of the orthogonality of R.
    n_train : int
        Training images that r is learnt from, at most.
    n_iter : int
        Turns of the learning, at most.
    """

    r_0: Tensor
    r: Tensor
    s: Tensor
    outputs: Tensor
    title = "CBE"
    paper = "Yu, Kumar, Gong and Chang, ICML 2014, https://proceedings.mlr.press/v32/yub14.html"
    space = search_space(
        optimise=Choice((False, True), "paper: CBE-rand and CBE-opt"),
        lambda_r=Range(0.1, 10.0, "our own: a decade around the 1 of the authors' code"),
    )

    def __init__(
        self,
        in_dim: int,
        n_bits: int,
        *,
        optimise: bool = False,
        lambda_r: float = 1.0,
        n_train: int = 5000,
        n_iter: int = 500,
    ) -> None:
        super().__init__(in_dim, n_bits)
        self.require_above(0, lambda_r=lambda_r)
        self.require_at_least(1, n_train=n_train, n_iter=n_iter)
        self.optimise, self.lambda_r, self.n_train, self.n_iter = (
            optimise,
            lambda_r,
            n_train,
            n_iter,
        )
        self.register_buffer("r_0", torch.randn(in_dim))  # what learning starts from, (D,)
        self.register_buffer("r", self.r_0.clone())
        self.register_buffer("s", 2.0 * torch.randint(2, (in_dim,)) - 1)
        outputs = torch.arange(in_dim) if optimise else torch.randperm(in_dim)
        self.register_buffer("outputs", outputs[:n_bits])  # (min(D, K),)

    def project(self, x: Tensor) -> Tensor:
        """Chosen outputs of the convolution, (N, D) -> (N, K)."""
        spectrum = torch.fft.rfft((x - self.mu) * self.s) * torch.fft.rfft(self.r)
        scores = torch.fft.irfft(spectrum, n=self.in_dim)[:, self.outputs]
        return F.pad(scores, (0, self.n_bits - len(self.outputs)))

    @torch.no_grad()
    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Take the mean, and learn r where it is to be optimised."""
        data = self.training_set(data)
        X = data.features
        mu = mean_row(X)
        self.mu.copy_(mu)
        if self.optimise:
            x = some_rows(X, self.n_train, data.seed).double() - mu
            x = F.normalize(x, dim=1) * self.s
            self.r.copy_(self.learn(x, self.r_0.double())[0])
        return self

    def learn(self, x: Tensor, r: Tensor) -> tuple[Tensor, list[float]]:
        """Optimise r for rows of unit length.

        Parameters
        ----------
        x : Tensor, float64, shape (N, D)
            Centred, scaled, and multiplied by s.
        r : Tensor, float64, shape (D,)
            Where to start.

        Returns
        -------
        tuple of Tensor, float64, shape (D,), and list of float
            r, and the objective after each turn.
        """
        (N, D), K, lambda_r = x.shape, len(self.outputs), self.lambda_r
        at = torch.arange(D, device=x.device)
        circulant = (at[:K, None] - at) % D  # R_kj = r_(k - j), (K, D)
        shifts = torch.fft.rfft(torch.eye(D, dtype=x.dtype, device=x.device)[:K])  # (K, L)
        m = torch.fft.rfft(x).abs().square().sum(0) / D  # (L,), L = D // 2 + 1
        weight = torch.full_like(m, 2)  # for the conjugates at D - l
        weight[0] = weight[(D + 1) // 2 :] = 1  # 0 and, where D is even, D / 2 have none
        rho, objective = torch.fft.rfft(r), []
        for _ in range(self.n_iter):
            B = torch.where(x @ r[circulant].T >= 0, 1.0, -1.0).to(x)  # (N, K)
            c = -2 / D * (torch.fft.rfft(B.T @ x).conj() * shifts).sum(0)  # (L,)
            rho = minimiser(m, c, lambda_r, rho)
            r = torch.fft.irfft(rho, n=D)
            fit = m * rho.abs().square() + (c.conj() * rho).real
            terms = fit + lambda_r * (rho.abs().square() - 1).square()
            objective.append(N * K + float((weight * terms).sum()))
            if len(objective) > 1 and objective[-2] - objective[-1] < 0.1:
                break
        return r, objective


def minimiser(m: Tensor, c: Tensor, lambda_r: float, rho: Tensor) -> Tensor:
    """Minimise m |rho|^2 + Re(conj(c) rho) + lambda (|rho|^2 - 1)^2 at each frequency.

    Parameters
    ----------
    m : Tensor, float64, shape (L,)
    c : Tensor, complex128, shape (L,)
    lambda_r : float
    rho : Tensor, complex128, shape (L,)
        The values before: the first, which is real, stays in its basin.

    Returns
    -------
    Tensor, complex128, shape (L,)
    """
    p, q = (m - 2 * lambda_r) / (2 * lambda_r), c.abs() / (4 * lambda_r)
    new = torch.where(c == 0, rho, -c).sgn() * largest_root(p, -q)
    if 4 * p[0] ** 3 + 27 * q[0] ** 2 < 0:  # the first has a second minimum, across a maximum
        best = new[0].real
        other = -best.sgn() * largest_root(p[:1], q[:1])[0]
        if (rho[0].real + best + other) * best < 0:  # the maximum is at -(best + other)
            new[0] = other
    return new


def largest_root(p: Tensor, q: Tensor) -> Tensor:
    """Largest real root of t^3 + p t + q where it is not negative, by Newton's method from above.

    Examples
    --------
    >>> p, q = torch.tensor([-7.0, -3.0, 1.0]), torch.tensor([6.0, 0.0, -2.0])
    >>> largest_root(p, q).square().round(decimals=4)
    tensor([4., 3., 1.])
    """
    t = (-p).clamp(min=0).sqrt() + (-q).clamp(min=0).pow(1 / 3)
    for _ in range(60):
        slope = 3 * t.square() + p
        t = torch.where(slope > 0, t - (t**3 + p * t + q) / slope, t)
    return t
