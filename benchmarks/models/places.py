"""Where a model lies: a folder here, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.models.config import CONFIG, ModelError
from benchmarks.models.folder import READ
from datasets.errors import need, one_line

_COMMIT = re.compile("[0-9a-f]{40}")


def find_model(place: str | Path, revision: str | None = None) -> Path:
    """Find the folder of a model, fetched from the hub where there is none of the name.

    Parameters
    ----------
    place : str or Path
        Folder, or ``NAME/NAME@COMMIT``.
    revision : str, optional
        The commit, where `place` lacks it.

    Raises
    ------
    ModelError
        If it is neither, or the hub does not give it.
    """
    folder = Path(place)
    try:
        if folder.is_dir():
            return folder
    except OSError:  # a name longer than any file's
        pass
    name, _, commit = str(place).partition("@")
    commit = revision or commit
    if name.count("/") != 1 or not _COMMIT.fullmatch(commit):
        raise ModelError(
            f"model {place}: no such folder; a repository of the hub is given as NAME/NAME@COMMIT, "
            "or with revision=COMMIT, of 40 hexadecimal digits"
        )
    need(ModelError, f"model {name}", "huggingface_hub")
    from huggingface_hub import hf_hub_download

    try:
        # Nothing else is fetched. What the cache has of a commit is had without a network.
        files = [hf_hub_download(name, file, revision=commit) for file in (CONFIG, *READ)]
    # The client passes on the errors of its HTTP library, and that differs between its versions.
    except Exception as error:
        raise ModelError(
            f"model {name}: the hub does not give it at {commit} ({type(error).__name__}: "
            f"{one_line(error)}); check name, commit and network"
        ) from error
    return Path(files[0]).parent
