"""How long the cells of a plan will take, from what stored runs of the same methods took."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.grid.cells import Cell
from results.store.record import RunRecord

_Kin = tuple[object, ...]
"""What runs have in common whose time grows alike, by which they are looked up."""


def forecast(cells: Sequence[Cell], records: Sequence[RunRecord]) -> str:
    """Say how long some cells will take one after the other, and which of them nobody has measured.

    A training is taken to grow with epochs and training images, the rest with the database. Runs of
    the same method are asked, those on the same backbone and at the same length first.

    Parameters
    ----------
    cells : sequence of Cell
        At least one.
    records : sequence of RunRecord
        Whose timings are known.
    """
    rates: dict[_Kin, list[tuple[float, float]]] = {}  # seconds a unit of fit, and a database row
    for record in records:
        for kin in _kin(record.method, record.backbone, record.bits):
            rates.setdefault(kin, []).append(_rate(record))
    total = 0.0
    unknown: list[str] = []
    for cell in cells:
        key = cell.key
        alike = [rates[kin] for kin in _kin(key.method, key.backbone, key.bits) if kin in rates]
        if not alike:
            unknown.append(cell.method.name)
            continue
        fit, rest = (statistics.median(values) for values in zip(*alike[0], strict=True))
        protocol = cell.task.data.protocol
        total += fit * _work(cell) + rest * protocol.n_database
    if len(unknown) == len(cells):
        return "time unknown until the first of them is stored"
    about = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min"
    line = f"about {about} of training and scoring, one after the other, without extraction"
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        line += f"; {len(unknown)} cells are not measured yet ({names})"
    return line


def _kin(method: str, backbone: str, bits: int) -> Iterator[_Kin]:
    """Give the keys under which a run is looked up, the closest kin first."""
    base, _, changes = method.partition("(")
    how = (base, "finetune" in changes)
    yield (*how, backbone, bits)
    yield (*how, backbone)
    if "finetune" not in changes:  # else a step takes what the network takes
        yield how


def _rate(record: RunRecord) -> tuple[float, float]:
    info, seconds = record.protocol_info, record.timings
    epochs = len(record.history) or 1  # one pass for a closed form
    rest = sum(seconds.get(stage, 0.0) for stage in ("encode", "evaluate"))
    return seconds.get("fit", 0.0) / max(epochs * info["n_train"], 1), rest / info["n_database"]


def _work(cell: Cell) -> int:
    """Epochs times training images; one pass for a closed form."""
    spec = cell.method
    epochs = spec.recipe.epochs_for(cell.key.bits) if spec.is_trained else 1
    return epochs * cell.task.data.protocol.n_train
