"""What the commands share: errors of one line, the flags that load data sets, default folders."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from platformdirs import user_cache_path

from datasets.errors import call_of, printable
from datasets.progress import ProgressLine

if TYPE_CHECKING:
    from datasets.contents import LoadOptions

BAD_ARGUMENTS = 2
"""Exit code of every command."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    Parameters
    ----------
    module : str
        Of the command, as in ``python -m MODULE``.
    description : str, optional
        What the command does.
    """

    def __init__(self, module: str, description: str | None = None) -> None:
        super().__init__(prog=call_of(module), description=description)

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        self.exit(BAD_ARGUMENTS, f"error: {printable(message)}; see --help\n")


def default_out() -> Path:
    """Folder of the results where none is named: one that hides no package of the suite.

    That is ``results`` in the root of a checkout, whose package of this name lies there already,
    and ``hashbench-results`` everywhere else.
    """
    home = Path(__file__).resolve().parents[1]
    return Path("results" if Path.cwd() == home else "hashbench-results")


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser."""
    add = parser.add_argument_group("data").add_argument
    add("--data-root", type=Path, metavar="DIR", help="folder of the data; default: download")
    add("--cache", type=Path, default=user_cache_path("hashbench"), metavar="DIR", help="features")
    add("--allow-missing", action="store_true", help="go on with the images that are there")
    add("--queries", type=int, metavar="N", help="of your own data; default: a tenth, at most 1000")
    add("--train", type=int, metavar="N", help="of your own data; default: all others, up to 5000")
    add("--cutoff", type=int, metavar="K", help="of mAP@K on your own data; default: up to 1000")
    add(
        "--unseen-classes",
        type=float,
        metavar="F",
        help="of your own data: share of the classes that nothing is trained on",
    )
    add("--image-column", metavar="NAME", help="of your own parquet files; default: guessed")
    add("--label-column", metavar="NAME", help="of your own parquet files; default: guessed")


def load_options(options: argparse.Namespace) -> LoadOptions:
    """Return what the flags say."""
    from datasets.contents import LoadOptions  # it loads torch, which --help does without

    return LoadOptions(
        data_root=options.data_root,
        allow_missing=options.allow_missing,
        cache=options.cache,
        progress=ProgressLine(),
        n_query=options.queries,
        n_train=options.train,
        cutoff=options.cutoff,
        unseen=options.unseen_classes,
        image_column=options.image_column,
        label_column=options.label_column,
    )
