"""Files of a hub data set: from the user's folder, else from the hub at a pinned revision.

Downloads go through huggingface_hub: HF_ENDPOINT (a mirror), HF_HUB_OFFLINE, HF_HUB_CACHE and
HF_HOME are respected, a dropped connection goes on where it broke off, and a finished file is
never fetched again. What arrives must have the pinned SHA-256 or, where none is pinned, the one
that the hub gives for the pinned revision.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets.errors import AbsentData, DatasetError, need, one_line


@dataclass(frozen=True)
class HubFile:
    """One file of a hub data set: its path there and its SHA-256 (64 hexadecimal digits).

    Without a SHA-256, the revision alone pins the content: the hub keeps that of every large file.
    """

    path: str
    sha256: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names under which a user may keep it: flat, without the hub's fingerprint, as there."""
        name = PurePosixPath(self.path).name
        plain = re.sub(r"-[0-9a-f]{16}(?=\.parquet$)", "", name)
        return tuple(dict.fromkeys((name, plain, self.path)))


@dataclass(frozen=True)
class HubSource:
    """A data set on the hub.

    Parameters
    ----------
    name : str
        Our name of the data set, which is also its folder below ``--data-root``.
    repo : str
        ``"owner/name"`` on the hub.
    revision : str
        The pinned commit, 40 hexadecimal digits.
    files : tuple of HubFile
        Files in the order of their rows.
    """

    name: str
    repo: str
    revision: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True)
class LocalFile:
    """A file on this disk and the SHA-256 of its bytes (64 hexadecimal digits)."""

    path: Path
    sha256: str


def fetch(source: HubSource, data_root: Path | None) -> list[LocalFile]:
    """Find the files below `data_root`, or download them where no root is given.

    A file of the user's own may be another copy (recompressed, say), so its SHA-256 is not
    compared with the pinned one; it is returned, and tells the copies apart from then on.

    Parameters
    ----------
    source : HubSource
        What to fetch.
    data_root : Path or None
        Folder with a folder `source.name` in it; None downloads.

    Returns
    -------
    list of LocalFile
        One for each of ``source.files``, in their order.

    Raises
    ------
    AbsentData
        If a file is absent, or cannot be downloaded.
    DatasetError
        If a file cannot be read, or arrives with another SHA-256.
    """
    if data_root is None:
        return [_download(source, file) for file in source.files]
    return [LocalFile(path, file_sha256(path)) for path in _find(source, data_root)]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error


def folders_of(name: str, data_root: Path) -> list[Path]:
    """Folders below the user's that may hold a data set: its own, or the very one given."""
    own = data_root.resolve().name == name
    return [data_root / name, *([data_root] if own else [])]


def _find(source: HubSource, data_root: Path) -> list[Path]:
    """Files below the user's folder, flat or in the folders of the hub."""
    folders = folders_of(source.name, data_root)
    found, missing = [], []
    for file in source.files:
        places = [folder / name for folder in folders for name in file.names]
        present = [place for place in places if place.is_file()]
        found += present[:1]
        if not present:
            missing.append(" or ".join(str(place) for place in dict.fromkeys(places)))
    if missing:
        raise AbsentData(
            f"{source.name}: not found: {'; '.join(missing)}. Put the files of "
            f"huggingface.co/datasets/{source.repo} there, or leave --data-root out to have "
            "them downloaded"
        )
    return found


def _download(source: HubSource, file: HubFile) -> LocalFile:
    """Return the file in the hub's cache, downloaded if it is not there yet."""
    name = f"{source.name}: {file.path} of {source.repo}"
    need(AbsentData, name, "huggingface_hub")
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    way_out = f"or put the files of the data set into DIR/{source.name} and give --data-root DIR"
    try:
        path = huggingface_hub.hf_hub_download(
            source.repo, file.path, repo_type="dataset", revision=source.revision
        )
        # The cache links its names to its files: the file itself is what has to go if it is wrong.
        local = Path(path).resolve()
        expected = file.sha256 or _hub_sha256(source, file, local)
    except LocalEntryNotFoundError as error:
        why = (
            "HF_HUB_OFFLINE is set; unset it to download"
            if constants.HF_HUB_OFFLINE
            else f"{constants.ENDPOINT} did not deliver it ({one_line(error.__cause__ or error)}); "
            "try again with a network"
        )
        raise AbsentData(
            f"{name} is not in the cache {constants.HF_HUB_CACHE} and {why}, {way_out}"
        ) from error
    # The client passes on the errors of its HTTP library, and that differs between its versions.
    except Exception as error:
        raise AbsentData(
            f"{name}: download from {constants.ENDPOINT} failed ({one_line(error)}); "
            f"try again, {way_out}"
        ) from error
    found = file_sha256(local)
    if found != expected:
        raise DatasetError(
            f"{name}: {local} has SHA-256 {found}, expected {expected}; delete that file and "
            f"try again (if it comes back, {constants.ENDPOINT} serves another file), {way_out}"
        )
    return LocalFile(local, found)


def _hub_sha256(source: HubSource, file: HubFile, local: Path) -> str:
    """SHA-256 that the hub gives for a large file, 64 hexadecimal digits.

    The cache stores such a file under it; where the system knows no links, the hub is asked again.
    """
    import huggingface_hub

    if re.fullmatch("[0-9a-f]{64}", local.name):
        return local.name
    url = huggingface_hub.hf_hub_url(
        source.repo, file.path, repo_type="dataset", revision=source.revision
    )
    return huggingface_hub.get_hf_file_metadata(url).etag or "no checksum"
