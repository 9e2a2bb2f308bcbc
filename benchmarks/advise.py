"""Say which code to take for embeddings, of how many bytes, and how sure that is.

Runs the grid of methods and sizes on them, scored by their true nearest neighbours, skips what is
stored, and writes one page: recall with and without re-ranking by size, what ties do, memory, and
a recommendation with its interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import INTERRUPTED, OK, Parser, fail, run_command, wait_asleep
from datasets.arguments import add_data_arguments, default_out

FILES = ".npy, .npz, .safetensors, .parquet, .fvecs and its like, .hdf5, or a folder of .fvecs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.advise", __doc__)
    add = parser.add_argument
    add("embeddings", type=Path, metavar="EMBEDDINGS", help=FILES)
    add("--bytes", nargs="+", type=int, default=[8, 16, 32, 64], metavar="B", help="of a code")
    add("--budget", type=float, metavar="B", help="bytes of a vector, at most; default: largest")
    add("-k", type=int, default=10, metavar="K", help="neighbours that are wanted (default: 10)")
    add("--distance", choices=("cosine", "l2", "ip"), help="default: cosine, or as the file says")
    add("--methods", nargs="+", default=["shallow", "yardsticks"], metavar="NAME", help="as of run")
    add("--seeds", type=int, default=3, metavar="N", help="a count (default: 3)")
    add("--asym", action="store_true", help="rank by the scores of queries against codes too")
    add("--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--no-report", action="store_true", help="write records and advice only")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    wait_asleep()
    from benchmarks.embeddings.advise import advise  # it loads torch
    from benchmarks.runner.run_grids import USER_ERRORS
    from results.tables.advice import advice_plain

    try:
        advice, written = advise(options)
    except USER_ERRORS as error:
        return fail(error)
    except ExceptionGroup as several:
        return fail(*several.exceptions, several.message)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED
    sys.stdout.write(f"\n{advice_plain(advice)}\nadvice: {' and '.join(map(str, written))}\n")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
