"""Checks of `fit` and `encode`: shapes, repeatability, devices, and better than chance."""

from __future__ import annotations

import contextlib
import io
from functools import partial

import torch
from torch import Tensor

from benchmarks.contract.devices import MixedDevices, strays
from benchmarks.contract.stand_ins import (
    ContractError,
    D,
    N,
    blobs,
    continuum,
    fitted,
    require,
    short,
)
from benchmarks.training.trainer import Trainer
from methods.base import HashMethod, LengthError, TrainingSet

BITS = (1, 8, 16, 32, 64, 128, 256)


def fit_returns_the_method_itself(cls: type[HashMethod]) -> None:
    """So that it can be chained."""
    method = cls(D, 16)
    got = method.fit(blobs(cls)[0], Trainer(short(cls, epochs=1), 0))
    require(got is method, f"fit returned {type(got).__name__}; end it with `return self`")


def scores_are_a_row_an_image_and_a_column_a_bit(cls: type[HashMethod]) -> None:
    """At any code length that the constructor takes, also one above the width of the features."""
    for n_bits in filter(partial(_takes, cls), BITS):
        data, _ = blobs(cls)
        method = fitted(cls, n_bits, epochs=1).eval()
        with torch.no_grad():
            scores = method.project(data.features)
        at = f"at {n_bits} bits and {D} features, project returned"
        shape = tuple(scores.shape)
        require(shape == (N, n_bits), f"{at} {shape} for {N} images; return ({N}, {n_bits})")
        finite = scores.is_floating_point() and bool(scores.isfinite().all())
        require(finite, f"{at} what is not finite float; check logarithms, roots and divisions")
        codes = method.encode(data.features)
        require(codes.dtype == torch.bool, f"encode returned {codes.dtype}; leave it as it is")
        require(
            torch.equal(codes, scores > 0),
            f"at {n_bits} bits, project gives other scores when it is called again; draw nothing "
            "in it, and drop nothing out in evaluation mode",
        )


def _takes(cls: type[HashMethod], n_bits: int) -> bool:
    """Whether a method can give codes of a length: its constructor refuses one that it cannot."""
    try:
        cls(D, n_bits)
    except LengthError:
        return False
    return True


def chunks_do_not_change_codes(cls: type[HashMethod]) -> None:
    """Let the code of an image depend on no other image."""
    data, _ = blobs(cls)
    method = fitted(cls)
    whole, parts = method.encode(data.features), method.encode(data.features, chunk=50)
    require(
        torch.equal(whole, parts),
        f"codes of 50 images at a time differ from those of all at once in {share(whole, parts)} "
        "of the bits; project must not use statistics of what it is given: take them in fit",
    )


def a_second_fit_forgets_the_first(cls: type[HashMethod]) -> None:
    """Let it end where a first one ends, as scikit-learn's estimators do."""
    data, _ = blobs(cls)

    def codes_after(*sets: TrainingSet) -> Tensor:
        torch.manual_seed(0)
        method = cls(D, 16)
        for given in sets:
            torch.manual_seed(1)
            method.fit(given, Trainer(short(cls, epochs=2), 0))
        return method.encode(data.features)

    once, twice = codes_after(data), codes_after(continuum(cls), data)
    require(
        torch.equal(once, twice),
        f"codes of a second fit differ from those of a first in {share(once, twice)} of the bits; "
        "in fit, set anew what it learns; or leave fit as it is and use prepare",
    )


def equal_seeds_give_equal_codes(cls: type[HashMethod]) -> None:
    """Let a run be had again."""
    data, _ = blobs(cls)
    first, again = (fitted(cls).encode(data.features) for _ in range(2))
    require(
        torch.equal(first, again),
        f"two fits from one seed differ in {share(first, again)} of the bits; draw from the "
        "generator that noise is given or torch's global one, not from numpy, random or a clock",
    )


def the_global_seed_is_left_to_the_runner(cls: type[HashMethod]) -> None:
    """Never seed: the method would be the same at every seed, and its spread a lie."""
    after = []
    for seed in (0, 1):
        fitted(cls, seed=seed, epochs=1)
        after.append(torch.rand(8))
    require(
        not torch.equal(*after),
        "torch draws the same numbers after a fit, whatever the seed before; "
        "call no torch.manual_seed",
    )


def saving_and_loading_keeps_codes(cls: type[HashMethod]) -> None:
    """Give a new object what a fitted one saved."""
    data, _ = blobs(cls)
    method, file = fitted(cls), io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    torch.manual_seed(99)
    other = cls(D, 16)
    try:
        other.load_state_dict(torch.load(file, weights_only=True))
    except RuntimeError as error:
        raise ContractError(
            f"a new object cannot load what a fitted one saved ({' '.join(str(error).split())}); "
            "make every parameter and buffer in __init__, in its final shape"
        ) from error
    codes, loaded = method.encode(data.features), other.encode(data.features)
    require(
        torch.equal(codes, loaded),
        f"a loaded copy gives other codes in {share(codes, loaded)} of the bits; "
        f"{strays(method)}keep what project uses in parameters or buffers",
    )


def nothing_stays_behind_on_a_device_move(cls: type[HashMethod]) -> None:
    """Without a second device: on `meta`, where tensors have shapes alone."""
    data, _ = blobs(cls)
    method = fitted(cls).eval()
    plain = strays(method)
    x, mixed = data.features.to("meta"), MixedDevices()
    method.to("meta")
    # An operation on numbers fails on `meta`: whether it mixes devices, only a real one can tell.
    with contextlib.suppress(NotImplementedError, RuntimeError), mixed:
        method.project(x)
    operations = ", ".join(dict.fromkeys(mixed.operations))
    require(
        not operations,
        f"after method.to(device), {operations} in project meets tensors of two "
        f"devices; {plain}register_buffer what it uses, and make new tensors by x.new_zeros or "
        "with device=x.device",
    )


def a_move_to_cuda_keeps_codes(cls: type[HashMethod]) -> None:
    """Where there is a CUDA device."""
    data, _ = blobs(cls)
    method = fitted(cls)
    codes = method.encode(data.features)
    moved = method.to("cuda").encode(data.features)
    require(
        bool((codes != moved).float().mean() < 1e-3),  # a score at zero may fall either way
        f"on CUDA {share(codes, moved)} of the bits differ; {strays(method)}check what project "
        "leaves on the CPU or draws",
    )


def inputs_stay_unmodified(cls: type[HashMethod]) -> None:
    """Other methods read the same features."""
    data, _ = blobs(cls)
    before = data.features.clone()
    method = cls(D, 16)
    method.fit(data, Trainer(short(cls, epochs=1), 0))
    method.encode(data.features)
    require(
        torch.equal(data.features, before),
        "fit or project changed the features in place; write x = x - mu, not x -= mu",
    )


def labels_are_never_asked_for(cls: type[HashMethod]) -> None:
    """Ask a training set for inputs and the declared target alone."""
    data, _ = blobs(cls)
    try:
        cls(D, 16).fit(data, Trainer(short(cls, epochs=1), 0))
    except AttributeError:
        if not data.asked:
            raise
    require(
        not data.asked,
        f"fit or loss asked the training set for {', '.join(dict.fromkeys(data.asked))}; it has "
        "features, shape, len(), mean, generator, draw, views and parameters, target_distances or "
        "target_value where the class declares supervision, and no labels",
    )


def images_alike_get_codes_alike(cls: type[HashMethod]) -> None:
    """Three blobs far apart are told apart by anything that hashes."""
    data, labels = blobs(cls)
    codes = fitted(cls, n_bits=32, epochs=20).encode(data.features).float()
    distance = torch.cdist(codes, codes, p=0) + 1e9 * torch.eye(N)
    found = (labels[distance.argmin(1)] == labels).float().mean().item()
    require(
        found > 0.8,
        f"the nearest code is of the same blob for {found:.0%} of images, where chance gives 33% "
        "and this check asks for 80%; centre the features, and look at the sign of the loss",
    )


def share(codes: Tensor, others: Tensor) -> str:
    """Share of the bits in which codes differ, for a message."""
    return f"{(codes != others).float().mean().item():.1%}"
