"""Pack records into one file that others can verify: a submission to a leaderboard.

RECORDS lie in a results folder: of `benchmarks.run` with a method of your own, or of
`benchmarks.score --out` with codes made elsewhere. Their codes go into the file, so that anyone who
has the data can score them again (`benchmarks.verify`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.submit", __doc__)
    add = parser.add_argument
    add("records", nargs="+", type=Path, metavar="RECORD.json")
    add("--out", type=Path, required=True, metavar="FILE.parquet")
    add("--author", required=True, metavar="TEXT", help="who stands behind the numbers")
    add("--licence", required=True, metavar="TEXT", help="of the codes, CC-BY-4.0 say")
    add("--paper", default="", metavar="TEXT", help="authors, title, venue, year")
    add("--link", default="", metavar="URL", help="to paper or code")
    add("--hardware", default="", metavar="TEXT", help="that they were made on")
    add("--method-file", type=Path, metavar="FILE.py", help="the method, to be read and run again")
    add("--without-codes", action="store_true", help="numbers alone: they stay a claim")
    options = parser.parse_args(arguments)
    from benchmarks.evaluation.submission import SubmissionError  # these load torch
    from benchmarks.publish.bundle import BundleError
    from benchmarks.publish.submission import pack, summary
    from results.store.store import StoreError

    try:
        bundle = pack(options)
    except (BundleError, StoreError, SubmissionError) as error:
        return fail(error)
    sys.stdout.writelines(f"{line}\n" for line in (*summary(bundle), options.out))
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
