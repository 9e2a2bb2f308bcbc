"""The command line: plan the grid, skip what is stored, run the rest, render the report.

``python -m benchmarks.run --methods all``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.command import INTERRUPTED, OK, SOME_FAILED, Parser, fail
from benchmarks.features.captions import DEFAULT_ENCODER
from benchmarks.grid.cells import Cell
from benchmarks.grid.listing import LISTS, listing
from benchmarks.grid.method_settings import GridError
from benchmarks.grid.planning import Plan, check_cells, expand_grids
from benchmarks.grid.presets import DEFAULT, read_preset
from benchmarks.machine.environment import DeviceError, Environment, environment, own_device, place
from benchmarks.runner.executors import EXECUTORS, Executor, in_processes, local, on_dask, run_all
from benchmarks.runner.follower import follow
from benchmarks.runner.progress import Display, Watcher
from benchmarks.runner.run_settings import Outcome, RunSettings
from benchmarks.runner.task_inputs import needs_of
from benchmarks.samples import keep_samples, known
from benchmarks.training.distributed.rank_group import Crew
from benchmarks.training.distributed.torchrun import joined, leave
from datasets.arguments import add_data_arguments
from datasets.errors import DatasetError
from methods import METHODS
from results.report import load_board, render_board
from results.store.leftovers import tidy
from results.store.planned_grid import write_plan
from results.store.store import ResultStore, StoreError
from results.tables.leaderboard import leaderboard_plain

_USER_ERRORS = (DatasetError, GridError, DeviceError, StoreError)
"""Errors whose message is one line meant for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name; those of the process where left out.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser({}).parse_args(arguments)
    if options.list:
        print("\n".join(listing(options.list)))
        return OK
    try:
        grids = _grids(arguments, options.preset)
        options = grids[0]
        options.device = own_device(options.device)
        here = environment(options.device)
        if options.cell_timeout is not None and not options.cell_timeout > 0:
            raise GridError(f"--cell-timeout: must be above 0 seconds, got {options.cell_timeout}")
        options.executor = _executor_name(options)
        store = ResultStore(options.out)
        store.check_writable()
        plan = _plan(grids, store, force=options.force)
        check_cells(plan.todo)
        leads = place().rank == 0
        if leads:
            scan = store.scan()
            sys.stderr.writelines(f"{line}\n" for line in scan.outdated)
            print("\n".join(plan.lines(scan.records)))
        if options.dry_run:
            return OK
        try:
            options.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return fail(
                f"cache folder {options.cache}: {error.strerror}; choose another with --cache"
            )
        settings = _run_settings(options, here, plan.todo)
        with joined(options.device) as crew:
            if not leads:
                follow(settings, plan.cells, crew)
                return OK
            write_plan(store, plan.addresses())
            failed = _run(plan.todo, store, options, settings, crew)
        tidy(store)
    except _USER_ERRORS as error:
        return fail(error)
    for outcome in failed:
        sys.stderr.write(f"failed: {outcome.key}: {outcome.note}\n")
    try:
        board = load_board(store, list(METHODS))
        print(leaderboard_plain(board))
        if not options.no_report:
            tasks = dict.fromkeys(cell.task for cell in plan.cells)
            keep_samples(store, board, known([task.data for task in tasks]))
            render_board(board, store)
    except StoreError as error:
        return fail(error)
    return SOME_FAILED if failed else OK


def _parser(defaults: Mapping[str, Any]) -> argparse.ArgumentParser:
    """Make the parser; `defaults` are flags of a preset, by the parser's own names."""
    parser = Parser(
        prog="python -m benchmarks.run",
        description="Grid over methods, bits, data sets and seeds; skip what is stored.",
    )
    add = parser.add_argument_group("the grid").add_argument
    add("--preset", default=DEFAULT, metavar="NAME|FILE.toml", help="flags from a file")
    add("--methods", nargs="+", metavar="NAME", help="or FILE.py:CLASS, or all")
    add("--datasets", nargs="+", metavar="NAME[/PROTOCOL]", help="or KIND:PATH, your own data")
    add("--bits", nargs="+", type=int, metavar="K", help="code lengths")
    add("--seeds", type=int, metavar="N", help="a count; each cell runs N times")
    add("--backbone", metavar="NAME", help="default: by data set")
    add("--input-size", type=int, metavar="PX", help="default: what the weights were trained at")
    add("--epochs", type=int, metavar="N", help="for every trained method; default: its recipe")
    add("--recipe", choices=["paper", "common"], default="paper", help="how trained methods train")
    add("--views", choices=["bank", "fresh"], default="bank", help="augmented views, kept or new")
    add(
        "--matmul",
        choices=["highest", "high", "medium"],
        default="highest",
        help="in trainings: exact, or as TensorFloat32 or bfloat16 where that is faster",
    )
    add("--finetune", action="store_true", help="train the backbone too, from the images")
    add("--text-encoder", default=DEFAULT_ENCODER, metavar="NAME", help="lsa, minilm or st:MODEL")
    add("--set", nargs="+", default=[], metavar="METHOD.PARAM=VALUE", help="change a setting")
    add = parser.add_argument_group("how it runs").add_argument
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add(
        "--executor",
        choices=EXECUTORS,
        help="default: by the next two",
    )
    add(
        "--stack",
        choices=["auto", "on", "off"],
        default="auto",
        help="train the seeds of a cell together; auto: on CUDA",
    )
    add("--jobs", type=int, metavar="N", help="processes beside each other")
    add("--scheduler", metavar="tcp://HOST:PORT", help="of a running Dask cluster")
    add("--cell-timeout", type=float, metavar="SECONDS", help="after which a cell counts as failed")
    add("--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="of a training")
    add("--deterministic", action="store_true", help="torch's strict mode")
    add = parser.add_argument_group("what it writes").add_argument
    add("--out", type=Path, default=Path("results"), metavar="DIR")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add("--force", action="store_true", help="run stored cells again")
    add("--no-report", action="store_true", help="write the records only")
    add("--list", choices=LISTS, help="and stop")
    add_data_arguments(parser)
    parser.set_defaults(**defaults)
    return parser


def _grids(arguments: Sequence[str] | None, preset: str) -> list[argparse.Namespace]:
    """Read the flags of each grid: the user's over the preset's over the default preset's."""
    parser = _parser({})
    (first,) = read_preset(DEFAULT, parser)
    grids = read_preset(preset, parser)
    return [_parser({**first, **grid}).parse_args(arguments) for grid in grids]


def _plan(grids: Sequence[argparse.Namespace], store: ResultStore, *, force: bool) -> Plan:
    cells, skipped = expand_grids(grids)
    todo = [cell for cell in cells if force or not store.has(cell.address)]
    return Plan(cells, todo, skipped)


def _run_settings(
    options: argparse.Namespace, here: Environment, todo: Sequence[Cell]
) -> RunSettings:
    on_cuda = here.device.type == "cuda"
    return RunSettings(
        out=options.out.resolve(),
        cache=options.cache.resolve(),
        device=options.device,
        force=options.force,
        cell_timeout=options.cell_timeout,
        checkpoint_every=options.checkpoint_every,
        deterministic=options.deterministic,
        command=here.command,
        stack=options.stack == "on" or (options.stack == "auto" and on_cuda),
        needs=needs_of(todo),
    )


def _run(
    todo: Sequence[Cell],
    store: ResultStore,
    options: argparse.Namespace,
    settings: RunSettings,
    crew: Crew,
) -> list[Outcome]:
    """Run cells; returns what failed."""

    def done(outcome: Outcome) -> None:
        display.cell_done(outcome)
        crew.stop_if_parted()

    if crew.size > 1:  # a cell that fails on one of them may end them all
        failed_before = {failure.digest for failure in store.failures()}
        todo = sorted(todo, key=lambda cell: cell.digest in failed_before)
    with _executor(options) as executor, Display(len(todo)) as display:
        elsewhere = executor is not local
        with Watcher(display, store, todo) if elsewhere else nullcontext():
            return run_all(executor, settings, todo, display.doing, done)


def _executor_name(options: argparse.Namespace) -> str:
    """Choose where cells run."""
    jobs = 1 if options.jobs is None else options.jobs
    if jobs < 1:
        raise GridError(f"--jobs: must be at least 1, got {jobs}")
    by_flags = "dask" if options.scheduler else "loky" if jobs > 1 else "local"
    name: str = options.executor or by_flags
    if options.scheduler and name != "dask":
        raise GridError(f"--executor {name}: takes no --scheduler; leave one of them out")
    if place().size > 1 and name != "local":
        raise GridError(
            f"--executor {name}: torchrun has started the processes, and each cell is trained by "
            "all of them; leave --jobs and --scheduler out"
        )
    if name == "local" and jobs > 1:
        raise GridError("--executor local: runs one cell at a time; leave --jobs out or take loky")
    return name


@contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor]:
    """Start what runs the cells."""
    jobs = options.jobs or 1
    if options.executor == "dask":
        with on_dask(options.scheduler, jobs) as executor:
            yield executor
    else:
        yield in_processes(jobs) if options.executor == "loky" else local


if __name__ == "__main__":
    leave(main())
