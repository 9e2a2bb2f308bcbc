"""Time the search of codes that runs have left, by indexes of faiss, on one thread.

Flat, graph, inverted lists and multi-hash over the codes, beside the vectors in full and as codes
of 4 bits a part; single queries and a batch apart, the best of five passes, with what candidates
cost to re-rank. One machine's numbers make a file of their own, and no ranking.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command
from datasets.arguments import add_data_arguments, default_out
from results.choices import FORMATS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.search_speed", __doc__)
    add = parser.add_argument
    add("--datasets", nargs="+", required=True, metavar="NAME", help="as of run, digits+knn10-l2")
    add("--methods", nargs="+", default=[], metavar="NAME", help="rows; default: all stored")
    add("--bits", nargs="+", type=int, default=[], metavar="K", help="default: all stored")
    add("--candidates", nargs="+", type=int, default=[1, 10], metavar="F", help="for each wanted")
    add("--backbone", metavar="NAME", help="default: by data set")
    add("--input-size", type=int, metavar="PX", help="default: what the weights were trained at")
    add("--machine", default=platform.node() or "machine", metavar="NAME", help="names the file")
    add("--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s")
    add("--format", nargs="+", default=["pdf", "png"], choices=FORMATS, help="of the figure")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    from benchmarks.embeddings.search_speed import USER_ERRORS, search_speed  # it loads torch

    try:
        written = search_speed(options)
    except USER_ERRORS as error:
        return fail(error)
    sys.stdout.writelines(f"{path}\n" for path in written)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
