"""The command line: build the grid, skip what is stored, run the rest, render the report.

``python -m benchmarks.run --methods all``
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path

from benchmarks.backbones import BACKBONES, backbone
from benchmarks.cell import SuiteInputs, run_cell
from benchmarks.command import INTERRUPTED, OK, SOME_FAILED, Parser, fail
from benchmarks.environment import DeviceError, Environment, environment
from benchmarks.features import FeatureCache
from benchmarks.grid import DEFAULT_BACKBONE, NATURAL_BACKBONE, NO_BACKBONE, Cell, Suite, expand
from benchmarks.outside import installed_methods
from benchmarks.progress import Display
from benchmarks.specs import (
    YARDSTICKS,
    GridError,
    MethodSpec,
    chosen_methods,
    method_spec,
    parse_overrides,
)
from benchmarks.text import DEFAULT_ENCODER, check_encoder
from datasets import DATASETS, full_name, load
from datasets.arguments import add_data_arguments, load_options
from datasets.base import DatasetError, lookup, one_line
from datasets.own import OWN
from datasets.protocols import PROTOCOLS
from methods import METHODS, HashMethod
from results.report import load_board, render_board
from results.store import ResultStore, StoreError
from results.tables import leaderboard_plain

LISTS = ("methods", "recipes", "datasets", "protocols", "backbones")

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
        return _main(_parser().parse_args(arguments))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return INTERRUPTED


def _main(options: argparse.Namespace) -> int:
    if options.list:
        print("\n".join(_listing(options.list)))
        return OK
    try:
        env = environment(options.device)
        store = ResultStore(options.out)
        store.check_writable()
        cells, skipped = _cells(options)
        todo = [cell for cell in cells if options.force or not _is_stored(store, cell)]
    except _USER_ERRORS as error:
        return fail(error)
    print("\n".join([*_plan(cells, todo), *(f"skipped: {reason}" for reason in skipped)]))
    if options.dry_run:
        return OK
    try:
        options.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return fail(f"cache folder {options.cache}: {error.strerror}; choose another with --cache")
    failed = _run(todo, store, env, options.cache, force=options.force)
    for line in failed:
        sys.stderr.write(f"failed: {line}\n")
    try:
        board = load_board(store, list(METHODS))
        print(leaderboard_plain(board))
        if not options.no_report:
            render_board(board, store.root / "report")
    except StoreError as error:
        return fail(error)
    return SOME_FAILED if failed else OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m benchmarks.run",
        description="Grid over methods, bits, data sets and seeds; skip what is stored.",
    )
    add = parser.add_argument
    add("--methods", nargs="+", default=["all"], metavar="NAME", help="or FILE.py:CLASS, or all")
    add(
        "--datasets",
        nargs="+",
        default=["digits"],
        metavar="NAME[/PROTOCOL]",
        help="or KIND:PATH, your own data",
    )
    add("--bits", nargs="+", type=int, default=[16, 32, 64], metavar="K", help="code lengths")
    add("--seeds", type=int, default=3, metavar="N", help="a count; each cell runs N times")
    add("--backbone", metavar="NAME", help="default: by data set")
    add("--input-size", type=int, metavar="PX", help="default: what the weights were trained at")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--epochs", type=int, metavar="N", help="for every trained method; default: its recipe")
    add("--recipe", choices=["paper", "common"], default="paper", help="how trained methods train")
    add("--views", choices=["bank", "fresh"], default="bank", help="augmented views, kept or new")
    add("--finetune", action="store_true", help="train the backbone too, from the images")
    add("--text-encoder", default=DEFAULT_ENCODER, metavar="NAME", help="lsa, minilm or st:MODEL")
    add("--set", nargs="+", default=[], metavar="METHOD.PARAM=VALUE", help="change a setting")
    add("--out", type=Path, default=Path("results"), metavar="DIR")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add("--force", action="store_true", help="run stored cells again")
    add("--no-report", action="store_true", help="write the records only")
    add("--list", choices=LISTS, help="and stop")
    add_data_arguments(parser)
    return parser


def _listing(what: str) -> list[str]:
    if what == "methods":
        lines = [f"{name:<10} {cls.paper}" for name, cls in METHODS.items()]
        lines += [f"{name:<10} {origin}" for name, origin in installed_methods().items()]
        return [*lines, *(f"{name:<10} yardstick, in every table" for name in YARDSTICKS)]
    if what == "datasets":
        return [*DATASETS, *(f"{kind}:PATH" for kind in OWN)]
    if what == "protocols":
        protocols = [p for named in PROTOCOLS.values() for p in named.values()]
        width = max(len(p.label) for p in protocols)
        return [f"{p.label:<{width}} {p.sizes}" for p in protocols]
    if what == "recipes":
        return [line for name, cls in METHODS.items() for line in _recipes(name, cls)]
    return list(BACKBONES)


def _recipes(name: str, cls: type[HashMethod]) -> list[str]:
    """Describe how a method is trained on a frozen backbone, and how its paper trains."""
    if not MethodSpec(name, cls).is_trained:
        return [f"{name:<18} closed form"]
    lines = []
    for mode, finetune in (("frozen backbone", False), ("--finetune", True)):
        spec = method_spec(name, finetune=finetune)
        settings = spec.settings(32)
        values = settings["recipe"] | settings["params"]
        if at := dict(spec.recipe.epochs_at):
            values |= {f"epochs at {bits} bits": epochs for bits, epochs in at.items()}
        lines.append(f"{name:<18} {mode}: {', '.join(f'{k}={v}' for k, v in values.items())}")
        lines.append(f"{'':<18} from: {spec.recipe.source}")
    return lines


def _cells(options: argparse.Namespace) -> tuple[list[Cell], list[str]]:
    """Build the grid: the first moment at which a wrong name or a missing file shows.

    Of all methods, those that a data set cannot feed are left out, with the reason; a method that
    was named is an error then.
    """
    overrides = parse_overrides(options.set)
    known = chosen_methods(options.methods)
    for name in overrides:
        lookup("method in --set", name, known)
    if options.epochs is not None and options.epochs < 1:
        raise GridError(f"--epochs: must be at least 1, got {options.epochs}")
    check_encoder(options.text_encoder)
    settings = (options.epochs, options.recipe, options.finetune)
    methods = [method_spec(name, overrides.get(name), *settings, known) for name in known]
    datasets = dict.fromkeys(full_name(name) for name in options.datasets)
    suites = [_suite(name, options) for name in datasets]
    _check_names(suites)
    skipped = [reason for suite in suites for reason in _lacks(suite, methods)]
    if skipped and "all" not in options.methods:
        raise GridError(f"--methods: {skipped[0]}; choose another data set, or leave it out")
    bits = list(dict.fromkeys(options.bits))
    cells = expand(suites, methods, bits, options.seeds, options.views, options.text_encoder)
    return [cell for cell in cells if cell.suite.lacks(cell.method) is None], skipped


def _check_names(suites: Sequence[Suite]) -> None:
    """Refuse data sets that tables could not tell apart."""
    first: dict[str, Suite] = {}
    for suite in suites:
        name = suite.data.protocol.label
        if first.setdefault(name, suite).data.digest != suite.data.digest:
            raise GridError(
                f"--datasets: two data sets would both be called {name}, and no table holds both; "
                "rename one, or give another --out"
            )


def _lacks(suite: Suite, methods: Sequence[MethodSpec]) -> list[str]:
    """Say which methods the suite cannot feed, and check that its backbone can be trained."""
    if any(spec.finetune for spec in methods):
        suite.backbone.check_trainable()
    return [reason for spec in methods if (reason := suite.lacks(spec)) is not None]


def _suite(name: str, options: argparse.Namespace) -> Suite:
    data = load(name, load_options(options))
    chosen = options.backbone or DEFAULT_BACKBONE.get(data.name, NATURAL_BACKBONE)
    if data.features is not None:
        return Suite(data, backbone(NO_BACKBONE, None))
    return Suite(data, backbone(chosen, options.input_size))


def _is_stored(store: ResultStore, cell: Cell) -> bool:
    key = cell.key
    names = (key.dataset, key.protocol, key.backbone, key.method)
    return store.has(*names, key.bits, key.seed, cell.digest)


def _plan(cells: Sequence[Cell], todo: Sequence[Cell]) -> list[str]:
    suites = dict.fromkeys(cell.suite for cell in cells)
    lines = []
    for suite in suites:
        protocol = suite.data.protocol
        lines.append(f"{protocol.label} on {suite.label}: {protocol.sizes}")
        lines += [f"  {note}" for note in suite.data.notes]
    lines.append(f"{len(cells)} cells, {len(cells) - len(todo)} stored, {len(todo)} to run")
    return lines


def _run(
    todo: Sequence[Cell], store: ResultStore, env: Environment, cache: Path, *, force: bool
) -> list[str]:
    """Run cells one after the other; returns a line for each that failed."""
    failed: list[str] = []
    with Display(len(todo)) as display:
        features = FeatureCache(cache, env.device, display.extraction)
        for suite, cells in groupby(todo, key=lambda cell: cell.suite):
            inputs = SuiteInputs(suite, features)
            for cell in cells:
                if not force and _is_stored(store, cell):  # by another process, in the meantime
                    display.cell_done(cell.key, "stored by another process")
                    continue
                try:
                    record, arrays = run_cell(cell, inputs, env, partial(display.epoch, cell.key))
                    store.save(record, arrays, force=force)
                    metric = f"mAP@{suite.data.protocol.cutoff}"
                    note = f"{metric} {record.metrics[metric]:.4f}"
                except Exception as error:  # one failure is one cell; the others go on
                    note = one_line(error)
                    failed.append(f"{cell.key}: {note}")
                    _mark_failed(store, cell, note)
                display.cell_done(cell.key, note)
    return failed


def _mark_failed(store: ResultStore, cell: Cell, error: str) -> None:
    """Leave the traceback in the store; a disk that refuses it too is no second failure."""
    with contextlib.suppress(StoreError):
        store.mark_failed(
            **asdict(cell.key),
            kind=cell.kind,
            digest=cell.digest,
            error=error,
            traceback=traceback.format_exc(),
        )


if __name__ == "__main__":
    sys.exit(main())
