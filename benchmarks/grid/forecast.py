"""How long the cells of a plan will take, from what stored runs of the same methods took."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.grid.cells import Cell
from results.store.record import RunRecord
from results.store.run_key import RunKey
from results.store.wording import counted

_Kin = tuple[object, ...]
"""What runs have in common whose time grows alike, by which they are looked up."""
_Rate = tuple[float, float]
"""Seconds of fit for an image and epoch, and of the rest for an image of the database."""
_WIDTH_BY_DATA = ("pixels", "features")
"""Inputs that are as wide as the images or the feature rows of a data set are."""


def forecast(cells: Sequence[Cell], records: Sequence[RunRecord]) -> str:
    """Say how long some cells will take one after the other, and which of them nobody has measured.

    A training is taken to grow with epochs and training images, the rest with the database. Runs of
    the same method on features of the same backbone are asked, those on the same data set and at
    the nearest code length first: on narrower features a step may take a tenth.

    Parameters
    ----------
    cells : sequence of Cell
        At least one.
    records : sequence of RunRecord
        Whose timings are known.
    """
    rates: dict[_Kin, dict[int, list[_Rate]]] = {}
    for record in records:
        for kin in _kin(record.key):
            rates.setdefault(kin, {}).setdefault(record.bits, []).append(_rate(record))
    total = 0.0
    unknown: list[str] = []
    for cell in cells:
        alike = [rates[kin] for kin in _kin(cell.key) if kin in rates]
        if not alike:
            unknown.append(cell.method.name)
            continue
        fit, rest = _nearest(alike[0], cell.key.bits)
        protocol = cell.task.data.protocol
        total += fit * _work(cell) + rest * protocol.n_database
    if len(unknown) == len(cells):
        return "time unknown until the first of them is stored"
    about = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min"
    line = f"about {about} of training and scoring, one after the other, without extraction"
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        line += f"; not measured yet: {counted(len(unknown), 'cell')} ({names})"
    return line


def _kin(key: RunKey) -> Iterator[_Kin]:
    """Give what a run is looked up by, the closest kin first."""
    base, _, changes = key.method.partition("(")
    how = (base, "finetune" in changes, key.backbone)
    yield (*how, key.dataset)
    if not key.backbone.startswith(_WIDTH_BY_DATA):
        yield how


def _nearest(by_bits: Mapping[int, Sequence[_Rate]], bits: int) -> _Rate:
    """Take the medians of the runs at the nearest code length, of two the longer one."""
    length = min(by_bits, key=lambda measured: (abs(measured - bits), -measured))
    fit, rest = (statistics.median(values) for values in zip(*by_bits[length], strict=True))
    return fit, rest


def _rate(record: RunRecord) -> _Rate:
    info, seconds = record.protocol_info, record.timings
    epochs = len(record.history) or 1  # one pass for a closed form
    rest = sum(seconds.get(stage, 0.0) for stage in ("encode", "evaluate"))
    return seconds.get("fit", 0.0) / max(epochs * info["n_train"], 1), rest / info["n_database"]


def _work(cell: Cell) -> int:
    """Epochs times training images; one pass for a closed form."""
    spec = cell.method
    epochs = spec.recipe.epochs_for(cell.key.bits) if spec.is_trained else 1
    return epochs * cell.task.data.protocol.n_train
