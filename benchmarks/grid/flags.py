"""The flags of ``benchmarks.run``: their parser, and the grids that a call asks for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.grid.errors import GridError, check_range
from benchmarks.grid.presets import DEFAULT, read_preset
from datasets.arguments import Parser, add_data_arguments, default_out
from datasets.errors import lookup, need

EXECUTORS = ("local", "loky", "dask")
"""Where cells can run, see `benchmarks.runner.executors`."""
RECIPES = ("paper", "common", "tuned")
"""How methods train; a file of `benchmarks.tune` is the fourth choice."""
LISTS = ("methods", "bibtex", "recipes", "datasets", "protocols", "backbones", "presets")
"""What `benchmarks.grid.listing` lists."""

_MAX_JOBS = 1024
_LONGEST = 10**9
"""Seconds of thirty years; no timer of the system takes many more."""


def make_parser(defaults: Mapping[str, Any] = MappingProxyType({})) -> argparse.ArgumentParser:
    """Make the parser; `defaults` are flags of a preset, by the parser's own names."""
    parser = Parser(
        "benchmarks.run", "Grid over methods, bits, data sets and seeds; skip what is stored."
    )
    add = parser.add_argument_group("the grid").add_argument
    add("--preset", default=DEFAULT, metavar="NAME|FILE.toml", help="flags from a file")
    add("--methods", nargs="+", metavar="NAME", help="or FILE.py:CLASS, or shallow, deep, all")
    add("--datasets", nargs="+", metavar="NAME[/PROTOCOL]", help="or KIND:PATH, your own data")
    add("--relevance", metavar="labels|knn[:K][:l2|cosine|ip]", help="what is relevant to a query")
    add("--bits", nargs="+", type=int, metavar="K", help="code lengths")
    add("--seeds", type=int, metavar="N", help="a count; each cell runs N times")
    add("--backbone", metavar="NAME", help="default: by data set")
    add("--input-size", type=int, metavar="PX", help="default: what the weights were trained at")
    add(
        "--resize",
        choices=["stretch", "crop"],
        default="stretch",
        help="how an image becomes that square: all of it, or its centre undistorted",
    )
    add("--shift", action="store_true", help="also ask with queries that were made worse")
    add("--distractors", metavar="NAME", help="data whose images the database also grows by")
    add("--epochs", type=int, metavar="N", help="for every trained method; default: its recipe")
    add(
        "--recipe",
        default="paper",
        metavar="paper|common|tuned|FILE.toml",
        help="each method's own settings, one recipe for all that are trained, or what was tuned",
    )
    add("--views", choices=["bank", "fresh"], default="bank", help="augmented views, kept or new")
    add(
        "--matmul",
        choices=["highest", "high", "medium"],
        default="highest",
        help="in trainings: exact, or as TensorFloat32 or bfloat16 where that is faster",
    )
    add("--finetune", action="store_true", help="train the backbone too, from the images")
    add("--text-encoder", metavar="NAME", help="lsa, minilm or st:MODEL; default: lsa")
    add("--texts", type=Path, metavar="FILE", help="embeddings of nouns or class names")
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
    add("--threads", type=int, metavar="N", help="of each process; default: as measured")
    add("--scheduler", metavar="tcp://HOST:PORT", help="of a running Dask cluster")
    add("--cell-timeout", type=float, metavar="SECONDS", help="after which a cell counts as failed")
    add("--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="of a training")
    add("--asym", action="store_true", help="rank by the scores of queries against codes too")
    add("--deterministic", action="store_true", help="torch's strict mode")
    add("--skip-absent", action="store_true", help="run the data sets that are here")
    add = parser.add_argument_group("what it writes").add_argument
    add("--out", type=Path, default=default_out(), metavar="DIR", help="default: %(default)s")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add("--force", action="store_true", help="run stored cells again")
    add("--no-report", action="store_true", help="write the records only")
    add("--publish", type=Path, metavar="DIR", help="also what others can verify, without codes")
    add(
        "--keep-models",
        choices=("best", "all", "none"),
        default="best",
        help="of each column of a table, and what was fine-tuned; of every cell; of none",
    )
    add("--list", choices=LISTS, help="and stop")
    add_data_arguments(parser)
    parser.set_defaults(**defaults)
    return parser


def read_grids(arguments: Sequence[str] | None, preset: str = DEFAULT) -> list[argparse.Namespace]:
    """Read the flags of each grid: the user's over the preset's over the default preset's.

    What a call has once, whatever its grids, is the same in all of them.

    Parameters
    ----------
    arguments : sequence of str or None
        Without the program's name; None takes those of the process.
    preset : str
        As ``--preset`` takes it.

    Raises
    ------
    GridError
        If the preset cannot be read, or flags contradict each other.
    DeviceError
        If this rank cannot have the device.
    """
    from benchmarks.features.captions import DEFAULT_ENCODER  # these load torch
    from benchmarks.machine.environment import own_device

    (first,) = read_preset(DEFAULT, make_parser())
    grids = [
        make_parser({**first, **grid}).parse_args(arguments)
        for grid in read_preset(preset, make_parser())
    ]
    for options in grids:
        if options.cell_timeout is not None:
            if not options.cell_timeout > 0:
                raise GridError(
                    f"--cell-timeout: must be above 0 seconds, got {options.cell_timeout}"
                )
            check_range("--cell-timeout", options.cell_timeout, 0, _LONGEST)
        check_range("--checkpoint-every", options.checkpoint_every, 0, _LONGEST)
        if options.publish is not None and options.no_report:
            raise GridError("--publish: takes tables and figures of the report; drop --no-report")
        if options.publish is not None:
            need(GridError, "--publish", "pyarrow")
        if not options.recipe.endswith(".toml"):
            lookup("recipe", options.recipe, dict.fromkeys(RECIPES))
        options.text_encoder = options.text_encoder or DEFAULT_ENCODER
        options.device = own_device(options.device)
        options.executor = _executor(options)
    return grids


def _executor(options: argparse.Namespace) -> str:
    """Choose where cells run, or say why they cannot run where the flags want them."""
    from benchmarks.machine.environment import place  # it loads torch

    jobs = 1 if options.jobs is None else options.jobs
    check_range("--jobs", jobs, 1, _MAX_JOBS)
    if options.threads is not None:
        check_range("--threads", options.threads, 1, _MAX_JOBS)
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
