"""Find the folder of a data set that may not be downloaded for the user, or say where it is had."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.contents import Contents, LoadOptions
from datasets.errors import AbsentData
from datasets.files.images import EncodedImages, FileItems
from datasets.files.lists import Lists, has_lists, read_lists, relative
from datasets.protocols.protocol import Protocol_

LIST_PAGES = "github.com/swuxyj/DeepHash-pytorch and github.com/thuml/HashNet"


@dataclass(frozen=True)
class Place:
    """Where a data set lies and where it is had.

    Parameters
    ----------
    name : str
        Our name of the data set.
    folders : tuple of str
        Names that its folder below ``--data-root`` may have.
    page : str
        Where its files are had.
    """

    name: str
    folders: tuple[str, ...]
    page: str

    def candidates(self, data_root: Path | None) -> list[Path]:
        """Folders that may be the data set's, `data_root` among them if it has its name."""
        if data_root is None:
            raise AbsentData(
                f"{self.name}: it cannot be downloaded automatically; get it from {self.page}, "
                f"put it into DIR/{self.folders[0]} and give --data-root DIR"
            )
        folders = [data_root / name for name in self.folders]
        return [*folders, data_root] if data_root.resolve().name in self.folders else folders

    def find(self, data_root: Path | None, *wanted: str) -> Path:
        """Folder of the data set that holds all wanted files and folders, paths with ``/``.

        Raises
        ------
        AbsentData
            If there is none; the message lists what is missing and where it was looked for.
        """
        folders = self.candidates(data_root)
        missing = {f: [w for w in wanted if not (f / w).exists()] for f in folders}
        best = min(folders, key=lambda folder: len(missing[folder]))
        if missing[best]:
            others = [str(folder) for folder in folders if folder != best]
            also = f" (nor in {', '.join(others)})" if others else ""
            raise AbsentData(
                f"{self.name}: not found below {best}{also}: {_some(missing[best])}; "
                f"get the data set from {self.page}"
            )
        return best

    def images(self, root: Path, readings: Iterable[Sequence[str]]) -> EncodedImages:
        """Images in files below `root`, under the reading of their names that finds most of them.

        Parameters
        ----------
        root : Path
        readings : iterable of sequences of str
            Paths of all N images in one layout, then in another, and so on; the first of equals
            is taken.

        Raises
        ------
        AbsentData
            If no image is there at all.
        """
        tried, best, most = [], None, 0
        for names in readings:
            tried.append(names[0])
            found = _n_files(root, names)
            if found > most:
                best, most = names, found
            if found == len(names):
                break
        if best is None:
            raise AbsentData(
                f"{self.name}: no image of {len(names):,} is below {root}; looked for "
                f"{_some(list(dict.fromkeys(tried)))} and the like; get them from {self.page}"
            )
        return EncodedImages(FileItems(root, best))

    def listed(
        self,
        protocol: Protocol_,
        options: LoadOptions,
        readings: Callable[[Lists], Iterable[Sequence[str]]],
    ) -> Contents:
        """Contents of the lists of a protocol.

        Parameters
        ----------
        protocol : Protocol_
            The lists lie in the folder of the data set, or in a folder there of the protocol's
            name.
        options : LoadOptions
        readings : callable
            Paths of the images below the folder of the data set, see `images`.

        Raises
        ------
        AbsentData
            If the lists or all images are missing.
        DatasetError
            If a list is broken.
        """
        root, folder = self._lists_folder(protocol, options.data_root)
        lists = read_lists(folder, LIST_PAGES)
        images = self.images(root, readings(lists))
        return Contents(labels=lists.labels, images=images, parts=lists.parts)

    def _lists_folder(self, protocol: Protocol_, data_root: Path | None) -> tuple[Path, Path]:
        """Folder of the data set and the folder of its lists."""
        roots = self.candidates(data_root)
        folders = [(root, lists) for root in roots for lists in (root / protocol.name, root)]
        for root, lists in folders:
            if has_lists(lists):
                return root, lists
        raise AbsentData(
            f"{protocol.label}: no lists (train.txt, test.txt, database.txt) in "
            f"{_some([str(lists) for _, lists in folders])}; the field's lists are had from "
            f"{LIST_PAGES}"
        )


def tails(names: Sequence[str], *prefixes: str) -> Iterator[list[str]]:
    """Paths as they are written, below each prefix, then without their first folders.

    Examples
    --------
    >>> list(tails(["/home/me/flickr/im1.jpg"], "", "images/"))[-2:]
    [['im1.jpg'], ['images/im1.jpg']]
    """
    split = [relative(name).parts for name in names]
    for n in range(max(len(parts) for parts in split)):
        paths = ["/".join(parts[min(n, len(parts) - 1) :]) for parts in split]
        if n and len(set(paths)) < len(paths):
            return  # one file would be two images
        yield from ([prefix + path for path in paths] for prefix in prefixes)


def _n_files(root: Path, names: Sequence[str]) -> int:
    """Count the files that exist; every folder is listed once."""
    listed: dict[str, set[str]] = {}
    found = 0
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder not in listed:
            below = root / folder
            listed[folder] = {f.name for f in os.scandir(below)} if below.is_dir() else set()
        found += file in listed[folder]
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
