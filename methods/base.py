"""What a hashing method is: `HashMethod`; `methods.inputs` has the plain types it meets.

A method knows its paper and nothing else. It receives inputs, never labels; it hands its loss to a
trainer that it does not know; and it returns codes that somebody else will score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol, Self, final

import torch
from torch import Tensor, nn

from methods.equal_rows import repeated_rows, row_keys
from methods.inputs import Array as Array
from methods.inputs import Batch as Batch
from methods.inputs import Matrix as Matrix
from methods.inputs import TrainingSet as TrainingSet
from methods.recipe import Recipe as Recipe
from methods.space import Space as Space
from methods.space import search_space

Input = Literal["features", "tokens"]
Supervision = Literal["none", "captions", "hierarchy", "n_classes", "nouns", "class_names"]


class LengthError(ValueError):
    """A code length that a method's algorithm cannot give; the message names lengths that work."""


class Trainer(Protocol):
    """Whoever minimises a method's loss."""

    def train(self, method: HashMethod, data: TrainingSet) -> None:
        """Minimise the sum of the terms of `method.loss` over `data`."""
        ...


class HashMethod(nn.Module, ABC):
    """One paper. Subclasses define `project` and either `loss` (trained) or `fit` (closed form).

    Hyper-parameters are keyword-only arguments of the subclass, under the paper's symbols. Initial
    weights are drawn from torch's global generator, which the runner seeds from the key of the run
    before it builds the method; what a loss needs at random is drawn by `noise`.

    Parameters
    ----------
    in_dim : int
        Width D of the inputs.
    n_bits : int
        Code length K in bits.

    Raises
    ------
    ValueError
        If `n_bits` or `in_dim` is below 1; `LengthError` where the algorithm cannot give a length.
    """

    paper: ClassVar[str]
    """Authors, venue with year, and address."""
    title: ClassVar[str]
    """The method's name as its paper writes it; that of the class where none is given."""
    consumes: ClassVar[Input] = "features"
    n_views: ClassVar[int] = 1
    supervision: ClassVar[Supervision] = "none"
    """What it learns from beside images; tables rank each kind apart."""
    stacks: ClassVar[bool] = False
    """Whether seeds can train together, as one stack of parameters and, on CUDA, as one graph.

    `loss` must then be a function of parameters, buffers and the batch alone, made of operations on
    tensors: it draws nothing, reads no value back, keeps nothing in attributes. What differs
    between seeds lies in parameters and buffers, and `fit` is the default.
    """
    recipe: ClassVar[Recipe] = Recipe()
    """How a head on a frozen backbone is trained."""
    published: ClassVar[Recipe | None] = None
    """How the paper trains, backbone included; None where `recipe` is that already."""
    space: ClassVar[Space] = search_space()
    """What may be tuned, and within which bounds; empty where the paper leaves nothing open."""

    head: nn.Module
    """Maps pooled features to scores; a test may put ``nn.Identity()`` here."""

    _made_with: tuple[tuple[Any, ...], dict[str, Any], Tensor]  # and where the generator stood
    _was_fitted: bool

    def __init_subclass__(cls, **settings: Any) -> None:
        """Give a method without a title the name of its class."""
        super().__init_subclass__(**settings)
        if "title" not in vars(cls):
            cls.title = cls.__name__

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Note what the constructor is given, and the generator that it will draw from."""
        method = super().__new__(cls)
        method._made_with = arguments, settings, torch.get_rng_state()
        method._was_fitted = False
        return method

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__()
        self.require_at_least(1, in_dim=in_dim, n_bits=n_bits)
        self.in_dim = in_dim
        self.n_bits = n_bits

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Scores of inputs; bit k is set where score k > 0.

        Parameters
        ----------
        x : Tensor, float32, shape (N, ...)
            Inputs of the kind that `consumes` names: features (N, D) or tokens (N, T, D).

        Returns
        -------
        Tensor, float32, shape (N, K)
        """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms of the objective; the trainer minimises their sum.

        Raises
        ------
        TypeError
            If the method has no loss, because `fit` is its closed form.
        """
        raise TypeError(
            f"{type(self).__name__}.loss: this method has no loss to train; call fit, "
            "or define loss in the class"
        )

    def noise(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw the random numbers that the loss of `n` images needs, a row an image, if any.

        Parameters
        ----------
        n : int
            Images.
        generator : torch.Generator
            On the device of the method.
        """
        return None

    def viewed(self, index: Tensor, generator: torch.Generator) -> Tensor | None:
        """Choose images whose views a batch takes beside its own; the default chooses none.

        Parameters
        ----------
        index : Tensor, int64, shape (B,)
            Rows of the training set.
        generator : torch.Generator
            On the device of the method.

        Returns
        -------
        Tensor, int64, shape (V, B), or None
            The row that view v of image i is made of, where it is not always `index[i]`.
        """
        return None

    def prepare(self, data: TrainingSet) -> None:
        """Take what the loss needs of the whole training set; the default takes nothing."""

    def refresh(self, data: TrainingSet, generator: torch.Generator) -> None:
        """Take such things anew before an epoch, by the weights of now; the default takes nothing.

        They are written into buffers that `prepare` has made.

        Parameters
        ----------
        data : TrainingSet
        generator : torch.Generator
            On the device of the method.
        """

    def finish(self) -> None:
        """Drop what `prepare` kept for the training alone; the default has nothing to drop."""

    def fit(self, data: TrainingSet | Array, trainer: Trainer | None = None) -> Self:
        """Learn from `data`; a second call forgets the first, as scikit-learn's estimators do.

        The default prepares, hands the loss to the shared trainer, and finishes; from the second
        call on it begins with the parameters that the constructor drew. A closed-form method
        overrides it, and sets all that it learns anew.

        Parameters
        ----------
        data : TrainingSet, or tensor or array of numbers, shape (N, ...)
            Training images, or their inputs alone, see `training_set`.
        trainer : Trainer, optional
            `benchmarks.training.Trainer`, say; a closed form needs none.

        Raises
        ------
        ValueError, TypeError
            As of `training_set`, or if the loss needs what inputs alone do not give.
        """
        name = type(self).__name__
        data = self.training_set(data)
        if isinstance(data, Matrix) and (self.n_views > 1 or self.supervision != "none"):
            views = f"{self.n_views} views of each image"
            lacks = views if self.n_views > 1 else self.supervision
            raise ValueError(
                f"{name}.fit: it learns from {lacks}, and got inputs alone; give "
                "benchmarks.training.ViewBank"
            )
        if trainer is None:
            raise TypeError(
                f"{name}.fit: it is trained, so it needs a trainer; give "
                f"benchmarks.training.Trainer({name}.recipe, seed=0)"
            )
        if self._was_fitted:
            self._start_anew()
        self._was_fitted = True
        self.prepare(data)
        trainer.train(self, data)
        self.finish()
        return self

    def training_set(self, data: TrainingSet | Array) -> TrainingSet:
        """Take a training set as it is, and a matrix of inputs as one on the method's device.

        Raises
        ------
        ValueError
            If the inputs have another shape than the method takes, or are not finite.
        TypeError
            If it is neither a training set nor a tensor or array.
        """
        who = f"{type(self).__name__}.fit"
        if isinstance(data, list | tuple):
            raise TypeError(f"{who}: expected an array or tensor, got a {type(data).__name__}")
        if not isinstance(data, Array):
            return data
        x = self._inputs(data, who).to(next(self.state()).device, torch.float32)
        bad = ~x.flatten(1).isfinite().all(1)
        if bad.any():
            raise ValueError(
                f"{who}: inputs must be finite, {int(bad.sum())} rows are not, the first is row "
                f"{int(bad.nonzero()[0, 0])}"
            )
        return Matrix(x)

    def _inputs(self, x: Array, who: str) -> Tensor:
        """Check inputs of the kind that `consumes` names, shape (N, D) or (N, T, D)."""
        found = x if isinstance(x, Tensor) else torch.tensor(x.__array__())
        expected = ("N", "D") if self.consumes == "features" else ("N", "T", "D")
        if found.ndim != len(expected) or found.shape[-1] != self.in_dim or not len(found):
            raise ValueError(
                f"{who}: expected {self.consumes} of shape ({', '.join(expected)}) with "
                f"D = {self.in_dim}, got {tuple(found.shape)}"
            )
        return found

    @final
    @torch.no_grad()
    def encode(self, x: Array, chunk: int = 8192) -> Tensor:
        """Codes of inputs, in evaluation mode and without gradients.

        Equal inputs get equal codes, those of the first of them, however their scores are rounded.

        Parameters
        ----------
        x : tensor or array of numbers, shape (N, ...)
            Inputs, on any device; chunks are moved to the method's own.
        chunk : int
            Rows at a time.

        Returns
        -------
        Tensor, bool, shape (N, K)
            On the device of `x`.
        """
        x = x if isinstance(x, Tensor) else self._inputs(x, f"{type(self).__name__}.encode")
        was_training = self.training
        self.eval()
        try:
            device = next(self.state()).device
            codes = torch.empty(len(x), self.n_bits, dtype=torch.bool, device=x.device)
            keys = torch.empty(len(x), dtype=torch.int64, device=device)
            for start in range(0, len(x), chunk):
                some = slice(start, start + chunk)
                part = x[some].to(device, torch.float32)
                keys[some] = row_keys(part)
                codes[some] = self.project(part) > 0
        finally:
            self.train(was_training)
        for rows, first in repeated_rows(x, keys, chunk):
            codes[rows] = codes[first]
        return codes

    def _start_anew(self) -> None:
        """Become what the constructor made: the same draws, on the device of now."""
        arguments, settings, random_state = self._made_with
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(random_state)
            new = type(self)(*arguments, **settings)
        new.to(next(self.state()).device)
        vars(self).clear()
        vars(self).update(vars(new))

    def state(self) -> Iterator[Tensor]:
        """Every parameter and buffer."""
        yield from self.parameters()
        yield from self.buffers()

    def require_at_least(self, least: float, **values: float) -> None:
        """Raise ValueError for the first of the named values that is below `least`."""
        for name, value in values.items():
            if not value >= least:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be at least {least}, got {value}"
                )

    def require_above(self, bound: float, **values: float) -> None:
        """Raise ValueError for the first of the named values that is not above `bound`."""
        for name, value in values.items():
            if not value > bound:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be above {bound}, got {value}"
                )

    def require_views(self, batch: Batch) -> None:
        """Check that a batch carries the views which the loss needs.

        Raises
        ------
        ValueError
            If the number of views differs from `n_views`.
        """
        if len(batch.views) != self.n_views:
            raise ValueError(
                f"{type(self).__name__}.loss: expected {self.n_views} views, "
                f"got {len(batch.views)}; set n_views = {len(batch.views)} on the class"
            )


class CentredMethod(HashMethod):
    """A method that takes the mean of the training set off its inputs, in `mu`, before its head.

    Parameters
    ----------
    in_dim, n_bits : int
        As of `HashMethod`.
    centre : bool
        Whether it does; else `mu` stays 0.
    """

    mu: Tensor

    def __init__(self, in_dim: int, n_bits: int, *, centre: bool = True) -> None:
        super().__init__(in_dim, n_bits)
        self.centre = centre
        self.register_buffer("mu", torch.zeros(in_dim))

    def project(self, x: Tensor) -> Tensor:
        """Scores of the head, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x - self.mu)
        return scores

    def prepare(self, data: TrainingSet) -> None:
        """Take the mean."""
        if self.centre:
            self.mu.copy_(data.mean())


class LinearMethod(HashMethod):
    """A method whose scores are an affine function of its inputs, `head`, that its `fit` sets.

    Parameters
    ----------
    in_dim, n_bits : int
        As of `HashMethod`.
    """

    head: nn.Linear

    def __init__(self, in_dim: int, n_bits: int) -> None:
        super().__init__(in_dim, n_bits)
        self.head = nn.Linear(in_dim, n_bits).requires_grad_(False)

    def project(self, x: Tensor) -> Tensor:
        """Affine scores, (N, D) -> (N, K)."""
        scores: Tensor = self.head(x)
        return scores

    def set_scores(self, W: Tensor, mu: Tensor, t: Tensor | float = 0.0) -> None:
        """Let the scores be (x - mu) W - t.

        Parameters
        ----------
        W : Tensor, float64, shape (D, K)
            A column a bit; one of zeros, with a threshold of 0, is a bit that is never set.
        mu : Tensor, float64, shape (D,)
        t : Tensor, float64, shape (K,), or float
            Thresholds.
        """
        self.head.weight.copy_(W.T)
        self.head.bias.copy_(-(mu @ W) - t)
