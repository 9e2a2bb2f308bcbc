"""Score anyone's codes under a named protocol.

FILE holds codes (N, K), a row for each row of the data set, or query_codes (Q, K) and
database_codes (M, K); a .npy file holds codes alone. Codes are bool, 0/1, -1/+1, or uint8 packed as
numpy.packbits does (--packed K). Row numbers may stand beside them, int64: rows (N,), or query_rows
(Q,) and database_rows (M,); without them the order is that of the data set, or of the split, which
datasets.rows writes.

Prints the record that a run would leave. With --out it is stored and the report is rendered, so
that a method written elsewhere enters a leaderboard by its codes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command
from datasets.arguments import add_data_arguments
from results.store.record import KINDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    from benchmarks.runner.submit_codes import USER_ERRORS, submit  # they load torch

    try:
        record = submit(options)
    except USER_ERRORS as error:
        return fail(error)
    sys.stdout.write(json.dumps(asdict(record), indent=1) + "\n")
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser("benchmarks.score", __doc__)
    add = parser.add_argument
    add("--codes", type=Path, required=True, metavar="FILE", help=".npy, .npz or .safetensors")
    add("--dataset", required=True, metavar="NAME/PROTOCOL")
    add("--packed", type=int, metavar="BITS", help="rows are packed, of so many bits")
    add("--name", default="submission", metavar="TEXT", help="row of the tables")
    add("--kind", default="method", choices=[k for k in KINDS if k != "yardstick"])
    add("--seed", type=int, default=0, metavar="N", help="which repetition this is")
    add("--backbone", metavar="NAME", help="that the codes come from")
    add("--input-size", type=int, metavar="PX")
    add("--resize", choices=["stretch", "crop"], default="stretch", help="of images, to that size")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--out", type=Path, metavar="DIR", help="store the record there too")
    add("--force", action="store_true", help="replace a stored record of the same codes")
    add("--no-report", action="store_true", help="with --out: write the record only")
    add_data_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
