"""What a grid found, in hand: hash new images or features with a trained method.

>>> import numpy as np
>>> from benchmarks.models import HashTransformer
>>> embeddings = np.random.default_rng(0).normal(size=(100, 16))
>>> HashTransformer(method="itq", n_bits=32).fit_transform(embeddings).shape
(100, 4)
"""

from benchmarks.models.config import ModelError
from benchmarks.models.folder import Model, load_model, make_model, save_model
from benchmarks.models.hasher import Hasher, to_faiss

__all__ = [
    "HashTransformer",
    "Hasher",
    "Model",
    "ModelError",
    "load_model",
    "make_model",
    "save_model",
    "to_faiss",
]


def __getattr__(name: str) -> object:
    """Give `HashTransformer` when it is asked for: hashing does without scikit-learn."""
    if name == "HashTransformer":
        from benchmarks.models.transformer import HashTransformer

        return HashTransformer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
