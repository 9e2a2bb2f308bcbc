"""Make a model of a stored record, from what was kept of it or by training its cell again."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from benchmarks.features.base import Backbone
from benchmarks.grid.cells import Cell
from benchmarks.models.card import model_card
from benchmarks.models.config import ModelError
from benchmarks.models.folder import (
    CARD,
    FAISS,
    GOLDEN,
    ONNX,
    OURS,
    Model,
    make_model,
    save_model,
)
from benchmarks.models.room import require_room
from benchmarks.models.runtimes import faiss_file, numpy_files, onnx_file
from benchmarks.runner.compare_records import read_record, store_of
from benchmarks.runner.repeat_record import changes, run_again
from benchmarks.runner.reporting import read_board
from datasets import load
from datasets.arguments import load_options
from datasets.progress import silent
from results.store.record import RunRecord
from results.store.store import ResultStore


def export(options: argparse.Namespace) -> list[str]:
    """Write the model of a record to ``options.to``.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of `benchmarks.export`.

    Returns
    -------
    list of str
        What came out otherwise where the cell was trained again; empty if it is the same model.

    Raises
    ------
    ModelError, and those of `benchmarks.runner.repeat_record.USER_ERRORS`
        If the record cannot be read, its cell cannot be run, or the folder cannot be written.
    """
    record = read_record(options.record)
    if record.kind == "yardstick":
        raise ModelError(
            f"record of {record.method}: a yardstick learns nothing to hash with; choose the "
            "record of a method"
        )
    require_room(options.to, "model folder", {GOLDEN})
    store = store_of(options.record)
    kept = store.model(options.record)
    different: list[str] = []
    learnt: dict[str, Tensor] = {}
    if kept is not None:
        learnt = {name: torch.from_numpy(value) for name, value in kept.items()}
    else:

        def on_trained(cell: Cell, found: dict[str, Tensor]) -> None:
            if cell.key.seed == record.seed:
                learnt.update(found)

        again, arrays = run_again(record, options, on_trained)
        different = list(changes(record, again, store.arrays(options.record), arrays))
    model = make_model(record, learnt, [options.method] if options.method else OURS)
    card = model_card(record, model.method, _row(store, record))
    save_model(
        options.to, model, {CARD: card.encode(), **_for_other_programs(model, record, options)}
    )
    return different


def _for_other_programs(
    model: Model, record: RunRecord, options: argparse.Namespace
) -> dict[str, bytes]:
    files = numpy_files(model)
    if options.faiss:
        files[FAISS] = faiss_file(model)
    if options.onnx and model.config.image_size is None:
        files[ONNX] = onnx_file(model)
    elif options.onnx:
        network = model.network(options.backbone)
        files[ONNX] = onnx_file(model, network, _some_images(record, network, options))
    return files


def _some_images(record: RunRecord, network: Backbone, options: argparse.Namespace) -> Tensor:
    """Read a few training images as the backbone sees them."""
    name = options.dataset or f"{record.dataset}/{record.protocol}"
    data = load(name, load_options(options))
    if data.images is None:
        raise ModelError(f"{name}: has no images; name the data of the record")
    images = data.images if network.resize == "stretch" else data.images.undistorted()
    images.prepare(options.cache / "pixels", silent)
    return network.square(images.read(data.train[:32]))


def _row(store: ResultStore, record: RunRecord) -> str:
    """Return the row of a record's method in the leaderboard of its store, as Markdown."""
    for section in read_board(store).sections:
        for row in section.rows:
            if section.table == record.table and row.method == record.method:
                entries = [section.entry(row, bits) for bits in section.bits]
                lines = [[section.metric, *section.columns], ["---"] * (1 + len(entries))]
                table = [*lines, [section.label(row), *entries]]
                return "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    return ""
