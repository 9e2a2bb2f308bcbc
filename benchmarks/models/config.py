"""What ``config.json`` of a model holds, read as what a stranger may have written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_origin, get_type_hints

from benchmarks.grid.errors import GridError
from datasets.errors import one_line, printable

FORMAT = 2
CONFIG = "config.json"


class ModelError(Exception):
    """A model that cannot be written or read; the message is one line meant for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` holds, beside a digest of all this.

    Attributes
    ----------
    format : int
        Of this layout.
    method, bits, seed, dataset, protocol, backbone : str or int
        Names of the cell that the model comes from, see `results.store.run_key.RunKey`.
    record : str
        Digest of the cell, 64 hexadecimal digits.
    settings : dict
        All that shaped the cell's numbers, see `benchmarks.grid.cells.Cell.settings`.
    in_dim : int
        Width D of what the method takes.
    image_size : int or None
        Side, in pixels, that images are decoded to before the backbone resizes them; None where
        the data set had no images.
    versions : dict
        Libraries by name.
    sha256 : dict
        Of the files beside, by name.
    """

    format: int
    method: str
    bits: int
    seed: int
    dataset: str
    protocol: str
    backbone: str
    record: str
    settings: dict[str, Any]
    in_dim: int
    image_size: int | None
    versions: dict[str, str]
    sha256: dict[str, str]

    def text(self) -> str:
        """Write it as JSON."""
        data = asdict(self)
        return json.dumps(data | {"digest": _digest(data)}, indent=1)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read that of a model folder.

        Raises
        ------
        ModelError
            If it is not there, altered, or of another format.
        """
        who = f"model folder {folder}"
        try:
            data = json.loads((folder / CONFIG).read_bytes())
            if data["format"] != FORMAT:
                raise ModelError(
                    f"{who}: format {data['format']}, this version reads {FORMAT}; export the "
                    "model again"
                )
            if data.pop("digest") != _digest(data):
                raise ModelError(f"{who}: {CONFIG} was altered; export the model again")
            for name, kind in get_type_hints(cls).items():
                plain = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
                if not isinstance(data[name], plain):
                    raise TypeError(f"{name} is {type(data[name]).__name__}")
            return cls(**data)
        except FileNotFoundError as error:
            raise ModelError(f"{who}: no {CONFIG}; write one with benchmarks.export") from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{who}: {CONFIG} cannot be read ({one_line(error)}); export the model again"
            ) from error


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


_FAILURES = (AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


@contextmanager
def as_exported(who: str) -> Iterator[None]:
    """Refuse what no export writes: building a model of it fails somewhere."""
    try:
        yield
    except GridError as error:
        raise ModelError(f"{who}: {error}") from error
    except _FAILURES as error:
        told = f"{type(error).__name__}: {one_line(error)}"
        raise ModelError(
            f"{who}: not as it is exported ({told}); export the model again"
        ) from error
