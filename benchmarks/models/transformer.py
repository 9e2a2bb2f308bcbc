"""Any method of the suite on a matrix of features, as a transformer of scikit-learn."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from benchmarks.evaluation.counters.choice import MAX_BITS
from benchmarks.evaluation.packing import PackedBits
from benchmarks.grid.method_settings import GridError, method_spec
from benchmarks.training.trainer import Trainer
from datasets.errors import UnknownName
from methods import METHODS
from methods.base import HashMethod


class HashTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """Learn to hash feature vectors, embeddings say, and hash others.

    Parameters
    ----------
    method : str
        Name of a method in `methods.METHODS` that takes features and one view of them: every closed
        form does, and the trained ones whose loss needs no augmentation.
    n_bits : int
        Code length K.
    random_state : int, RandomState or None
        Seed of all that the method draws, or where it is drawn from, as in scikit-learn.
    output : "packed" or "bits"
        What `transform` gives: uint8 (N, ceil(K / 8)), the first bit of a code the highest of its
        first byte as `numpy.packbits` writes it, or uint8 (N, K) of zeros and ones.
    **params
        Hyper-parameters of the method, or fields of its recipe, by name.

    Attributes
    ----------
    method_ : HashMethod
        What was learnt.
    n_features_in_ : int
        Width D of the features.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = HashTransformer(method="itq", n_bits=16, n_iter=10).fit(X)
    >>> hasher.transform(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        method: str = "itq",
        n_bits: int = 64,
        random_state: int | np.random.RandomState | None = 0,
        output: Literal["packed", "bits"] = "packed",
        **params: Any,
    ) -> None:
        self.method = method
        self.n_bits = n_bits
        self.random_state = random_state
        self.output = output
        self.params = params

    def __sklearn_tags__(self) -> Any:
        """Say that codes have a type of their own, whatever that of the features."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _n_features_out(self) -> int:
        """Columns of codes, from which scikit-learn makes their names."""
        n_bits = self.method_.n_bits
        return -(-n_bits // 8) if self.output == "packed" else n_bits

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return every parameter by name, those of the method beside the others."""
        own: dict[str, Any] = super().get_params(deep)
        return own | self.params

    def set_params(self, **params: Any) -> Self:
        """Change parameters by name; what is not one of the transformer is one of the method."""
        own = self._get_param_names()
        for name, value in params.items():
            if name in own:
                setattr(self, name, value)
            else:
                self.params[name] = value
        return self

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn from features.

        Parameters
        ----------
        X : array of shape (N, D)
            Finite numbers; learnt from as float32.
        y : object
            Not looked at: methods see no labels.

        Raises
        ------
        ValueError
            If the features are no such matrix, or the method cannot learn from features alone, or
            a parameter breaks its rule.
        """
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        if self.output not in ("packed", "bits"):
            raise ValueError(
                f'HashTransformer: output must be "packed" or "bits", got {self.output!r}'
            )
        try:
            check_scalar(self.method, "method", str)
            check_scalar(self.n_bits, "n_bits", Integral, min_val=1, max_val=MAX_BITS)
            spec = method_spec(self.method, self.params, known=METHODS)
        except (GridError, TypeError, ValueError, UnknownName) as error:
            raise ValueError(f"HashTransformer: {error}") from error
        _require_features_alone(spec.name, spec.cls)
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        seed = int(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = spec.cls(X.shape[1], int(self.n_bits), **spec.params)
            trainer = Trainer(spec.recipe, seed) if spec.is_trained else None
            self.method_ = made.fit(X, trainer)
        return self

    def transform(self, X: Any) -> NDArray[np.uint8]:
        """Hash features (N, D): codes as `output` says.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            If nothing was learnt yet, or the features have another width.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        codes = self.method_.encode(torch.from_numpy(np.ascontiguousarray(X)))
        return PackedBits.of(codes).rows if self.output == "packed" else codes.numpy().astype("u1")

    def scores(self, X: Any) -> NDArray[np.float32]:
        """Real values of features (N, D) before the threshold, float32 (N, K); a bit is score > 0.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As of `transform`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        with torch.no_grad():
            return self.method_.eval().project(torch.from_numpy(X)).numpy()


def _require_features_alone(name: str, cls: type[HashMethod]) -> None:
    """Raise ValueError if a method cannot learn from one vector an item."""
    lacks = None
    if cls.consumes != "features":
        lacks = f"it takes {cls.consumes} of images"
    elif cls.n_views > 1:
        lacks = f"its loss compares {cls.n_views} augmented views of an image"
    elif cls.supervision != "none":
        lacks = f"it learns from {cls.supervision} too"
    if lacks:
        raise ValueError(
            f"HashTransformer: {name} cannot learn from features alone, for {lacks}; choose "
            "another method, for example itq"
        )
