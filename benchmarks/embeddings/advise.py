"""Run a grid on somebody's embeddings, scored by their neighbours, and draw advice from it."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from benchmarks.grid.errors import GridError
from benchmarks.grid.flags import read_grids
from benchmarks.runner.reporting import read_board
from benchmarks.runner.run_grids import run_grids
from datasets import load
from datasets.arguments import load_options
from datasets.base import RetrievalDataset
from datasets.errors import DatasetError
from results.analysis.advice import Advice
from results.analysis.advice import advise as advise_on
from results.analysis.per_query import query_aps
from results.page.advice import advice_html
from results.store.files import write_atomic
from results.store.run_key import Table, folder_name
from results.store.store import ResultStore, StoreError
from results.tables.advice import advice_markdown

KINDS = {".hdf5": "ann", ".h5": "ann"}
"""Kind of data by the ending of a file; all others are `features`, and a folder is `vectors`."""


def advise(options: argparse.Namespace) -> tuple[Advice, list[Path]]:
    """Run what is missing of the grid, and write the advice.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.advise`.

    Returns
    -------
    Advice
    list of Path
        The pages that were written.

    Raises
    ------
    ExceptionGroup, and those of `benchmarks.runner.run_grids.USER_ERRORS`
        If the data, a method or a size cannot be had.
    """
    name = data_name(options)
    data = load(name, load_options(options))
    if data.features is None:
        raise DatasetError(f"{name}: holds no vectors")
    run_grids(read_grids(grid_flags(options, name)))
    store = ResultStore(options.out)
    table = Table(data.name, data.protocol.name, "features")
    board = read_board(store, [table])
    if not board.sections:
        raise StoreError(f"{data.protocol.label}: no run gave a record, so nothing can be advised")
    values, _ = query_aps(store, board.records)
    try:
        advice = advise_on(
            board.sections[0],
            values,
            n_database=data.protocol.n_database,
            budget=options.budget or max(options.bytes),
            duplicates=duplicates(data),
        )
    except ValueError as error:
        raise GridError(f"--budget: {error}") from error
    return advice, _write(store, table, advice)


def data_name(options: argparse.Namespace) -> str:
    """Name embeddings as `benchmarks.run` does: a kind, a path, and what is relevant.

    Files of vectors and of ann-benchmarks know their distance; that of others is the cosine.
    """
    path: Path = options.embeddings
    kind = "vectors" if path.is_dir() else KINDS.get(path.suffix, "features")
    source, distance = f"{kind}:{path}", options.distance
    if distance is None:
        own = kind != "features"
        distance = load(source, load_options(options)).protocol.distance if own else "cosine"
    return f"{source}+knn{options.k}-{distance}"


def grid_flags(options: argparse.Namespace, name: str) -> list[str]:
    """Return the flags of the grid, as `benchmarks.run` takes them."""
    for flag, least in (("--bytes", min(options.bytes)), ("--budget", options.budget)):
        if least is not None and least < 1:
            raise GridError(f"{flag}: must be at least 1, got {least}")
    flags = ["--datasets", name, "--methods", *options.methods]
    flags += ["--bits", *(str(8 * size) for size in options.bytes), "--seeds", str(options.seeds)]
    flags += ["--out", str(options.out), "--cache", str(options.cache), "--device", options.device]
    for flag in ("queries", "train"):
        if getattr(options, flag) is not None:
            flags += [f"--{flag}", str(getattr(options, flag))]
    return flags + ["--asym"] * options.asym + ["--no-report"] * options.no_report


def duplicates(data: RetrievalDataset) -> int:
    """Count the vectors of the database that are equal to another one before them."""
    assert data.features is not None
    seen: set[bytes] = set()
    for part in data.database.split(2**14):  # all of them may not fit into memory
        rows = data.features[part].numpy()
        seen.update(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
    return len(data.database) - len(seen)


def _write(store: ResultStore, table: Table, advice: Advice) -> list[Path]:
    """Write the advice as Markdown and as a page."""
    stem = store.root / "advice" / folder_name(f"{table.dataset}-{table.protocol}")
    pages = {".md": advice_markdown(advice), ".html": advice_html(advice)}
    written = [stem.with_name(stem.name + ending) for ending in pages]
    try:
        for path, text in zip(written, pages.values(), strict=True):
            write_atomic(path, text.encode())
    except OSError as error:
        raise StoreError(f"{stem.parent}: {error.strerror}; choose another --out") from error
    return written
