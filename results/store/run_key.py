"""What identifies a run: its key, all names, and its address, the key with a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TRUTHS = ("labels", "neighbours")
"""What can say which items are relevant to a query; no number of the one is beside the other's."""
_NEIGHBOURS = re.compile(r"\+knn\d+-(?:l2|cosine|ip)")


class Table(NamedTuple):
    """The names that all numbers of one table share.

    Examples
    --------
    >>> table = Table("digits", "300-1497+knn10-l2", "pixels")
    >>> table.truth, table.split
    ('neighbours', '300-1497')
    """

    dataset: str
    protocol: str
    backbone: str  # "efficientnet_lite0@128"

    @property
    def truth(self) -> str:
        """Which of `TRUTHS` says what is relevant, as the name of the protocol tells."""
        return TRUTHS[_NEIGHBOURS.search(self.protocol) is not None]

    @property
    def split(self) -> str:
        """The protocol without what it says of neighbours: the same split under either truth."""
        return _NEIGHBOURS.sub("", self.protocol)


@dataclass(frozen=True)
class RunKey:
    """The names of one run, as tables and folders show them.

    Attributes
    ----------
    dataset, protocol, backbone : str
        Its table.
    method : str
        Row of the table: "cibhash", or "cibhash(tau=0.5)" where settings were changed.
    bits : int
        Length of the codes; 0 for a yardstick without codes.
    seed : int
        Index of the repetition.

    Examples
    --------
    >>> key = RunKey("digits", "300-1497", "pixels", "lsh", 16, 0)
    >>> print(key)
    digits/300-1497 lsh 16 bits seed 0
    >>> key.table
    Table(dataset='digits', protocol='300-1497', backbone='pixels')
    >>> key.entry
    ('digits', '300-1497', 'pixels', 'lsh', 16)
    """

    dataset: str
    protocol: str
    backbone: str
    method: str
    bits: int
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.protocol} {self.method} {self.bits} bits seed {self.seed}"

    @property
    def table(self) -> Table:
        """The table that the run stands in."""
        return Table(self.dataset, self.protocol, self.backbone)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The row of a table: the table's names and the method."""
        return *self.table, self.method

    @property
    def entry(self) -> tuple[str, str, str, str, int]:
        """The entry of a row, a mean over seeds: the row's names and the bits."""
        return *self.row, self.bits


@dataclass(frozen=True)
class Address(RunKey):
    """A run's names and the digest of all that shapes its number: where the store keeps it.

    Attributes
    ----------
    digest : str
        64 hexadecimal digits.

    Examples
    --------
    >>> names = ("digits", "300-1497", "timm:vgg16@224", "nsh(tau=1)", 16, 0)
    >>> Address(*names, digest="ab" * 32).path.as_posix()
    'digits/300-1497/timm_vgg16@224/nsh/16-0-abababab.json'
    """

    digest: str

    @property
    def key(self) -> RunKey:
        """The names alone; several runs share them if settings or code have changed in between."""
        names = (self.dataset, self.protocol, self.backbone, self.method, self.bits, self.seed)
        return RunKey(*names)

    @property
    def path(self) -> Path:
        """Path of its record below ``runs``; settings in the method's name are in the digest."""
        names = (*self.table, self.method.partition("(")[0])
        return Path(*map(folder_name, names), f"{self.bits}-{self.seed}-{self.digest[:8]}.json")


@lru_cache(maxsize=1000)
def folder_name(part: str) -> str:
    """Return `part` as one safe path component.

    Examples
    --------
    >>> folder_name("timm:vgg16.tv_in1k@224"), folder_name("../x"), folder_name("..")
    ('timm_vgg16.tv_in1k@224', '.._x', '__')
    """
    safe = re.sub(r"[^A-Za-z0-9._@=-]", "_", part)
    return safe if safe.strip(".") else "_" * max(len(safe), 1)
