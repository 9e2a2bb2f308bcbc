"""What the loss of a trained method owes."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from benchmarks.contract.probes import ContractError, D, blobs, continuum, require, short
from benchmarks.trainer import Trainer
from methods.base import Batch, HashMethod, TrainingSet

LOST_GRADIENT = "look for detach, no_grad, and signs that are not straight-through"


def loss_terms_are_named_finite_scalars(cls: type[HashMethod]) -> None:
    """Name what the trainer sums and records."""
    terms = ready(cls).loss(batch(cls))
    require(isinstance(terms, dict) and bool(terms), 'loss must return a dict, {"name": term}')
    for name, term in terms.items():
        ok = isinstance(name, str) and isinstance(term, Tensor) and term.shape == ()
        got = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
        require(ok, f"loss term {name!r} is {got}; return a scalar tensor, say by .mean()")
        require(bool(term.isfinite()), f"loss term {name!r} is {term.item()}; it must be finite")


def gradients_reach_every_parameter(cls: type[HashMethod]) -> None:
    """Leave no parameter untrained."""
    method = ready(cls)
    step(method, batch(cls))
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
            require(
                reached,
                f"{name} gets no gradient; use it in loss, {LOST_GRADIENT}, or give it "
                "requires_grad_(False)",
            )


def loss_is_finite_at_any_batch_size_and_length(cls: type[HashMethod]) -> None:
    """Of one image too, of two, and of an odd number."""
    for n_bits in (8, 256):
        for b in (1, 2, 3, 33):
            at = f" of {b} image{'s' * (b > 1)} at {n_bits} bits"
            step(ready(cls, n_bits), batch(cls, b), at)


def loss_of_identical_images_is_finite(cls: type[HashMethod]) -> None:
    """Bear the duplicates that data sets hold."""
    method, one = ready(cls), batch(cls, 1).views
    same, index = one.expand(-1, 6, *one.shape[2:]), torch.zeros(6).long()
    step(method, Batch(same, index, 0.0), " of six copies of one image")
    step(method, Batch(torch.ones_like(same), index, 0.0), " of constant images")


def another_number_of_views_is_refused(cls: type[HashMethod]) -> None:
    """With the way out, which `require_views` knows."""
    views = batch(cls, 4).views
    method = ready(cls)
    way_out = "begin loss with self.require_views(batch)"
    try:
        method.loss(Batch(torch.cat([views, views[:1]]), torch.arange(4), 0.0))
    except Exception as error:
        said = f"expected {cls.n_views} views, got {cls.n_views + 1}; set n_views" in str(error)
        require(said, f"a view too many ends in {type(error).__name__}: {error}; {way_out}")
    else:
        raise ContractError(f"a view too many goes unnoticed; {way_out}")


def training_lowers_the_loss(cls: type[HashMethod]) -> None:
    """On inputs without clusters."""
    torch.manual_seed(0)
    trainer = Trainer(short(cls, epochs=15), 0)
    cls(D, 16).fit(continuum(cls), trainer)
    totals = [sum(terms.values()) for terms in trainer.history]
    start, end = sum(totals[:3]) / 3, sum(totals[-3:]) / 3
    require(
        end < start,
        f"the loss went from {start:.4g} to {end:.4g} in 15 epochs; look at its sign, its gradient "
        "and the recipe's lr",
    )


def step(method: HashMethod, inputs: Batch, at: str = "") -> None:
    """One backward pass; the loss and all gradients must be finite.

    Parameters
    ----------
    at : str
        Which inputs these are, for the message: ``" of 1 image at 8 bits"``.

    Raises
    ------
    ContractError
        If a term or a gradient is not finite, or if there is none.
    """
    terms = method.loss(inputs)
    for name, term in terms.items():
        require(
            bool(term.isfinite().all()),
            f"loss term {name!r}{at} is not finite; check logarithms, roots and divisions by what "
            "may be zero or empty",
        )
    total = torch.stack(list(terms.values())).sum()
    require(total.requires_grad, f"loss{at} carries no gradient; {LOST_GRADIENT}")
    total.backward()
    for name, parameter in method.named_parameters():
        require(
            parameter.grad is None or bool(parameter.grad.isfinite().all()),
            f"the gradient of {name} by loss{at} is not finite; check roots, norms and logarithms "
            "at zero",
        )


def ready(cls: type[HashMethod], n_bits: int = 16) -> HashMethod:
    """Return a method that has prepared its fit and is about to take its first step."""
    torch.manual_seed(0)
    method = cls(D, n_bits)
    with contextlib.suppress(_FirstStep):
        method.fit(blobs(cls)[0], _Untrained())
    return method


class _FirstStep(Exception):
    """Raised so that what `fit` does after training is not done."""


class _Untrained:
    """A trainer that stops before the first step."""

    def train(self, method: HashMethod, data: TrainingSet) -> None:
        method.train()
        raise _FirstStep


def batch(cls: type[HashMethod], b: int = 8) -> Batch:
    """Draw views of the first `b` blobs."""
    index = torch.arange(b)
    return Batch(blobs(cls)[0].views(index, cls.n_views), index, 0.5)
