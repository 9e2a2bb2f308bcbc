"""Data sets by name, and the protocols that split them.

What is imported from here is loaded when it is asked for, for torch takes seconds: the commands
read their arguments without it.

>>> from datasets import load
>>> digits = load("digits/300-1497")
>>> digits.protocol.sizes
'300 queries, 1,497 train, 1,497 database, mAP@100'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.sources import (
        DATASETS,
        PROTOCOLS,
        Contents,
        DatasetError,
        ImageSource,
        LoadOptions,
        MemoryImages,
        OptionError,
        Protocol_,
        RetrievalDataset,
        UnknownName,
        full_name,
        load,
        lookup,
        protocol_of,
        read,
    )

__all__ = [
    "DATASETS",
    "PROTOCOLS",
    "Contents",
    "DatasetError",
    "ImageSource",
    "LoadOptions",
    "MemoryImages",
    "OptionError",
    "Protocol_",
    "RetrievalDataset",
    "UnknownName",
    "full_name",
    "load",
    "lookup",
    "protocol_of",
    "read",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("datasets.sources"), name)
