"""Groups of methods, whose names ``--methods`` takes for all that belong to them.

==========  ====================================================
shallow     closed forms
deep        those that the shared trainer trains by a loss
all         both
yardsticks  rows beside the methods, see `yardsticks`
==========  ====================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.grid.yardsticks import YARDSTICKS
from benchmarks.grid.yardsticks.base import Yardstick
from methods import METHODS
from methods.base import HashMethod

GROUPS = ("shallow", "deep", "all", "yardsticks")


def is_trained(cls: type[HashMethod]) -> bool:
    """Whether the shared trainer minimises a loss of a method; else it is a closed form."""
    return cls.loss is not HashMethod.loss


def group_of(cls: type[HashMethod]) -> str:
    """Name the group that a method or yardstick belongs to; a method is in ``all`` too.

    Examples
    --------
    >>> group_of(METHODS["itq"]), group_of(METHODS["nsh"])
    ('shallow', 'deep')
    """
    if issubclass(cls, Yardstick):
        return "yardsticks"
    return "deep" if is_trained(cls) else "shallow"


def members(group: str) -> Mapping[str, type[HashMethod]]:
    """Classes of a group, one of `GROUPS`, by name and in the order of tables.

    Examples
    --------
    >>> list(members("all")) == list(METHODS)
    True
    """
    if group == "yardsticks":
        return YARDSTICKS
    return {name: cls for name, cls in METHODS.items() if group in ("all", group_of(cls))}
