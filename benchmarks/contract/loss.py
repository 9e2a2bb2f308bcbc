"""Checks of the loss of a trained method: its terms, its gradients and its randomness."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.contract.stand_ins import ContractError, D, blobs, continuum, require, short
from benchmarks.training.trainer import Trainer, train_together
from methods.base import Batch, HashMethod, TrainingSet
from results.store.wording import counted

LOST_GRADIENT = "look for detach, no_grad, and signs that are not straight-through"


def loss_terms_are_named_finite_scalars(cls: type[HashMethod]) -> None:
    """Name what the trainer sums and records."""
    method = ready(cls)
    terms = method.loss(batch(method))
    require(isinstance(terms, dict) and bool(terms), 'loss must return a dict, {"name": term}')
    for name, term in terms.items():
        ok = isinstance(name, str) and isinstance(term, Tensor) and term.shape == ()
        got = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
        require(ok, f"loss term {name!r} is {got}; return a scalar tensor, say by .mean()")
        require(bool(term.isfinite()), f"loss term {name!r} is {term.item()}; it must be finite")


def gradients_reach_every_parameter(cls: type[HashMethod]) -> None:
    """Leave no parameter untrained."""
    method = ready(cls)
    step(method, batch(method))
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
            at = f" of {counted(b, 'image')} at {n_bits} bits"
            method = ready(cls, n_bits)
            step(method, batch(method, b), at)


def loss_of_identical_images_is_finite(cls: type[HashMethod]) -> None:
    """Bear the duplicates that data sets hold."""
    method = ready(cls)
    given = batch(method, 6)
    same = given.views[:, :1].expand_as(given.views)
    six = replace(given, views=same, index=torch.zeros(6).long())
    step(method, six, " of six copies of one image")
    step(method, replace(six, views=torch.ones_like(same)), " of constant images")


def another_number_of_views_is_refused(cls: type[HashMethod]) -> None:
    """With the way out, which `require_views` knows."""
    method = ready(cls)
    given = batch(method, 4)
    more = replace(given, views=torch.cat([given.views, given.views[:1]]))
    way_out = "begin loss with self.require_views(batch)"
    try:
        method.loss(more)
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


def seeds_train_together_as_alone(cls: type[HashMethod]) -> None:
    """Where the class says that its seeds stack."""
    if not cls.stacks:
        return
    require(cls.fit is HashMethod.fit, "stacks is True, and fit is not the default; use prepare")
    data, recipe = blobs(cls)[0], short(cls, epochs=2)
    seeds = (0, 1, 2)

    def started(seed: int) -> HashMethod:
        torch.manual_seed(seed)
        method = cls(D, 16)
        method.prepare(data)
        return method

    together = [started(seed) for seed in seeds]
    try:
        train_together([Trainer(recipe, seed) for seed in seeds], together, data)
    except Exception as error:
        raise ContractError(
            f"three seeds cannot be stacked ({' '.join(str(error).split())[:200]}); {UNSTACKED}"
        ) from error
    for seed, stacked in zip(seeds, together, strict=True):
        alone = started(seed)
        train_together([Trainer(recipe, seed)], [alone], data)
        for (name, one), other in zip(alone.named_parameters(), stacked.parameters(), strict=True):
            gap = float((one - other).detach().abs().max())
            require(
                gap < 1e-3,
                f"{name} of seed {seed} ends up to {gap:.2g} away where three seeds train "
                f"together; {UNSTACKED}",
            )


UNSTACKED = "keep no state in attributes, draw in noise, branch on no value, or set stacks = False"


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
        method.refresh(data, torch.Generator().manual_seed(0))
        raise _FirstStep


def batch(method: HashMethod, b: int = 8) -> Batch:
    """Draw views of the first `b` blobs, and what else the loss needs."""
    data, index = blobs(type(method))[0], torch.arange(b)
    drawn = data.draw(b, method.n_views, data.generator(0))
    noise = method.noise(b, torch.Generator().manual_seed(0))
    return Batch(data.views(index, drawn), index, torch.tensor(0.5), noise)
