"""Newton's method for a point at wanted distances from others, for many such problems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 100
"""Steps of Newton's method at most."""
_NO_GAIN = 1e-17
"""Share of its value that a step gains where centres are at their best place."""


def newton_steps(alpha: Tensor, U: Tensor, least: Tensor) -> Callable[[Tensor], Tensor]:
    """Give a function of slopes, |H|^-1 slope of H = alpha I + U^T U, (M, d) -> (M, d).

    Curvatures count as `least` at least.

    Parameters
    ----------
    alpha, least : Tensor, float64, shape (M, 1)
    U : Tensor, float64, shape (M, n, d)
    """
    U_t = U.transpose(1, 2)
    if (alpha > least).all():  # as nearly always: H is positive, and factors of the smaller side do
        tall = U.shape[1] > U.shape[2]
        gram = U_t @ U if tall else U @ U_t
        gram.diagonal(dim1=1, dim2=2).add_(alpha)
        factor = torch.linalg.cholesky(gram)

        def solved(slope: Tensor) -> Tensor:
            column = slope[..., None]
            low = torch.cholesky_solve(column if tall else U @ column, factor)
            return (low if tall else (column - U_t @ low) / alpha[..., None]).squeeze(-1)

        return solved
    g, E = torch.linalg.eigh(U @ U_t)  # (M, n); of U^T U, but for zeros
    g = g.clamp(min=0)
    flat = 1 / alpha.abs().maximum(least)
    along = 1 / (alpha + g).abs().maximum(least) - flat
    along = torch.where(g > 1e-6 * least, along / g, 0.0)[..., None]

    def turned(slope: Tensor) -> Tensor:
        low: Tensor = E @ (along * (E.transpose(1, 2) @ (U @ slope[..., None])))  # (M, n, 1)
        return flat * slope + (U_t @ low).squeeze(-1)

    return turned


def best_place(c: Tensor, mean: Tensor, others: Tensor, h: Tensor, weights: Tensor) -> Tensor:
    """Minimise |c - mean|^2 + sum_i w_i (|c - c_i| - h_i)^2 from c by Newton's method.

    Curvatures count by their absolute values, so that a step leaves a saddle, and none below 1e-6
    of a bound on them all. A step is halved until it descends. Curvatures are taken anew where
    those of a step before no longer make what it gains a hundredth of what the last one gained.

    Parameters
    ----------
    c, mean : Tensor, float64, shape (M, d)
        M problems.
    others : Tensor, float64, shape (M, n, d)
        The points c_i.
    h, weights : Tensor, float64, shape (M, n)
    """
    bound = 1 + weights.sum(1, keepdim=True)  # (M, 1)
    smallest = torch.finfo(c.dtype).tiny

    def at(c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        away = c[:, None] - others  # (M, n, d)
        r = away.norm(dim=-1)
        return away, r, (c - mean).square().sum(1) + (weights * (r - h).square()).sum(1)

    away, r, now = at(c)
    steps: Callable[[Tensor], Tensor] | None = None
    last = torch.full_like(now, torch.inf)
    for _ in range(STEPS):
        r = r.clamp(min=smallest)
        pull = weights * h / r
        slope = c - mean + ((weights - pull)[:, None] @ away)[:, 0]  # half the gradient
        step = slope if steps is None else steps(slope)
        gain = (step * slope).sum(1)  # what the quadratic model promises
        if steps is None or (gain > last.maximum(_NO_GAIN * now) / 100).any():
            U = away * (pull.sqrt() / r)[..., None]
            alpha = bound - pull.sum(1, keepdim=True)  # half the Hessian is alpha I + U^T U
            steps = newton_steps(alpha, U, 1e-6 * bound)
            step = steps(slope)
            gain = (step * slope).sum(1)
        near = gain <= 1e-13 * now  # the value cannot tell any more; the step is still good
        size = torch.ones_like(bound)
        for _ in range(30):
            place = c - size * step
            away, r, value = at(place)
            worse = (value > now) & ~near
            if not worse.any():
                break
            size = torch.where(worse[:, None], size / 2, size)
        c, now, last = place, value, gain
        if (gain <= _NO_GAIN * now).all():
            break
    return c
