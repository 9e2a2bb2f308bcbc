"""Arrays by name in one file, ``.npz`` or ``.safetensors``; neither holds code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetError, one_line


def read_arrays(who: str, path: Path, or_else: str = "") -> dict[str, NDArray[Any]]:
    """Read all arrays of a file.

    Parameters
    ----------
    who : str
        What messages begin with.
    path : Path
    or_else : str
        What other files the caller takes, for the message.

    Raises
    ------
    DatasetError
        If it is no file, one of another kind, or damaged.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DatasetError(f"{who}: expected a file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # NumPy has no bfloat16

            found = load_file(path).items()
            return {k: (v.float() if v.is_floating_point() else v).numpy() for k, v in found}
    except Exception as error:  # the readers raise what they like on a damaged file
        raise DatasetError(f"{who}: cannot be read ({one_line(error)})") from error
    raise DatasetError(f"{who}: expected a .npz or .safetensors file{or_else}")
