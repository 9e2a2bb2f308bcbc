"""Make published numbers again and say which came out otherwise.

WHAT is a folder of `benchmarks.run --publish` or a file of `benchmarks.submit`. The tables of a
folder are computed from its records. Records that have their codes are scored again, all of them;
of the others a random sample is run again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command, wait_asleep
from datasets.arguments import add_data_arguments
from results.store.wording import counted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if anything came out otherwise."""
    parser = Parser("benchmarks.verify", __doc__)
    add = parser.add_argument
    add("what", type=Path, metavar="WHAT", help="results/reference, or FILE.parquet")
    add("--sample", type=int, default=5, metavar="N", help="cells to run again")
    add("--sample-seed", type=int, default=0, metavar="N", help="which ones")
    add("--codes", type=Path, metavar="DIR", help="results folder that has the codes")
    add("--dataset", metavar="NAME/PROTOCOL", help="default: the records'; your own: KIND:PATH")
    add("--method", metavar="FILE.py:CLASS", help="to run records of a method from outside again")
    add("--backbone", metavar="timm:MODEL=FILE", help="where its weights are a file")
    add("--texts", type=Path, metavar="FILE", help="where records learnt from texts")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--deterministic", action="store_true", help="torch's strict mode")
    add("--out", type=Path, metavar="DIR", help="enter a submission into this results folder")
    add("--claimed", action="store_true", help="with --out: also what could not be checked")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    wait_asleep()
    from benchmarks.publish.submission import enter  # these load torch
    from benchmarks.publish.verify import USER_ERRORS, read, verify
    from results.store.store import ResultStore

    try:
        bundle = read(options.what)
        findings = []
        for finding in verify(bundle, options):
            sys.stdout.write(f"{finding}\n")
            findings.append(finding)
        if options.out is not None:
            entered = enter(ResultStore(options.out), bundle, findings, claimed=options.claimed)
            sys.stdout.write(f"{len(entered)} of {counted(len(bundle.items), 'record')} entered\n")
    except USER_ERRORS as error:
        return fail(error)
    wrong = sum(bool(finding.faults) for finding in findings)
    left = len(bundle.items) - sum(finding.item is not None for finding in findings)
    sys.stdout.write(
        f"{counted(len(findings), 'check')}, {wrong} came out otherwise; "
        f"{counted(left, 'record')} not checked\n"
    )
    return SOME_FAILED if wrong else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
