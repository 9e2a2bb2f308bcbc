"""The user's own data, by a kind and a path: ``folder:PATH``, ``features:PATH`` and their like.

>>> own_name("folder:photos/../birds/").endswith("/birds")
True
"""

from datasets.own.kinds import (
    OWN,
    is_own,
    own_name,
    read_own,
    refuse_own_options,
    without_own,
)

__all__ = ["OWN", "is_own", "own_name", "read_own", "refuse_own_options", "without_own"]
