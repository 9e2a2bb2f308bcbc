"""Make a model of a stored record, from what was kept of it or by training its cell again."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from benchmarks.features.base import Backbone
from benchmarks.grid.cells import Cell
from benchmarks.models.folder import ModelError, load_model, save_model
from benchmarks.models.runtimes import write_faiss, write_numpy_encoder, write_onnx
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
    store = store_of(options.record)
    kept = store.model(options.record)
    different: list[str] = []
    if kept is not None:
        learnt = {name: torch.from_numpy(value) for name, value in kept.items()}
    else:
        learnt = {}

        def on_trained(cell: Cell, found: dict[str, Tensor]) -> None:
            if cell.key.seed == record.seed:
                learnt.update(found)

        again, arrays = run_again(record, options, on_trained)
        different = list(changes(record, again, store.arrays(options.record), arrays))
    save_model(options.to, record, learnt, _row(store, record))
    model = load_model(options.to)
    write_numpy_encoder(options.to, model, learnt)
    if options.faiss:
        write_faiss(options.to, model)
    if options.onnx and model.config.image_size is None:
        write_onnx(options.to, model)
    elif options.onnx:
        network = model.network(options.backbone)
        write_onnx(options.to, model, network, _some_images(record, network, options))
    return different


def _some_images(record: RunRecord, network: Backbone, options: argparse.Namespace) -> Tensor:
    """Read a few training images as the backbone sees them."""
    data = load(options.dataset or f"{record.dataset}/{record.protocol}", load_options(options))
    if data.images is None:
        raise ModelError(f"{options.dataset}: has no images; name the data of the record")
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
