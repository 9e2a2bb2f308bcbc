"""Render every table and figure again from the stored records.

It needs nothing but the records, also while a grid is running: what is missing is said.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.command import OK, Parser, fail, run_command
from datasets.arguments import add_data_arguments, default_out, load_options
from datasets.errors import need
from results.choices import CAPTIONS, COLUMNS, FILES, FORMATS

if TYPE_CHECKING:
    from benchmarks.runner.samples import Load
    from datasets.base import RetrievalDataset
    from results.store.record import RunRecord

_NAMES = f"all where left out: {', '.join(CAPTIONS)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.report", __doc__)
    add = parser.add_argument
    add("--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s")
    add("--columns", nargs="+", choices=COLUMNS, default=[], help="what the tables show besides")
    add("--figures", nargs="+", default=[], choices=CAPTIONS, metavar="NAME", help=_NAMES)
    add("--format", nargs="+", default=[*FILES], choices=FORMATS, help="of the figures")
    add("--width", choices=["column", "page"], default="page", help="of the figures, in a paper")
    add("--samples", action="store_true", help="read data sets for the gallery, as a run does")
    add("--benchopt", type=Path, metavar="FILE.parquet", help="also for the viewer of benchopt")
    add("--publish", type=Path, metavar="DIR", help="also what others can verify, without codes")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)

    from benchmarks.publish.bundle import BundleError  # they load torch
    from benchmarks.publish.reference import publish
    from benchmarks.runner.reporting import read_board, report_written, say
    from benchmarks.runner.samples import keep_samples
    from results.report import Options, render_board
    from results.store.leftovers import tidy
    from results.store.store import ResultStore, StoreError
    from results.tables.benchopt_export import write_benchopt

    store = ResultStore(options.out)
    tidy(store)
    try:
        for flag in ("benchopt", "publish"):
            if getattr(options, flag):
                need(BundleError, f"--{flag}", "pyarrow")
        board = read_board(store)
        for line in keep_samples(store, board, _loader(options)) if options.samples else ():
            sys.stderr.write(f"no gallery: {line}\n")
        columns, figures = tuple(options.columns), tuple(options.figures)
        formats = dict.fromkeys([*options.format, *(["svg"] if options.publish else [])])
        shown = Options(columns, figures, tuple(formats), options.width)
        written = render_board(board, store, shown, say)
        if options.benchopt:
            write_benchopt(board, options.benchopt)
            written.append(options.benchopt)
        if options.publish:
            written += publish(store, options.publish)
    except (BundleError, StoreError) as error:
        return fail(error)
    last = report_written(store.root)
    sys.stdout.writelines(f"{path}\n" for path in written)
    sys.stdout.writelines(f"{note}\n" for note in board.notes)
    sys.stdout.write(f"{last}\n")
    return OK


def _loader(options: argparse.Namespace) -> Load:
    """Load the data sets that records name; the user's own are not known by their names."""
    from datasets import DATASETS, load
    from datasets.own.kinds import without_own

    given = without_own(load_options(options))

    def of(record: RunRecord) -> RetrievalDataset | None:
        if record.dataset not in DATASETS:
            return None
        return load(f"{record.dataset}/{record.protocol.partition('~')[0]}", given)

    return of


if __name__ == "__main__":
    sys.exit(run_command(main))
