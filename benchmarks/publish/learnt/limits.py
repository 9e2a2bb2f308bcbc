"""What the published numbers do not cover: what the copies lack, and what backbones have seen."""

from __future__ import annotations

from benchmarks.features.backbones import learnt_from
from datasets.protocols import PROTOCOLS
from results.analysis.board import Board
from results.analysis.statistics import MIN_SEEDS
from results.tables.markup import markdown_escape

COPIES = {
    "cifar10": (
        "The copy of CIFAR-10 was recompressed as JPEG of quality 75 by its source, so numbers lie "
        "a little below the original's."
    ),
}
"""What the local copy of a data set is, where its records cannot tell."""


def limits(board: Board) -> str:
    """List what is particular to the data and the backbones of a board."""
    found = dict.fromkeys(
        COPIES[section.dataset] for section in board.sections if section.dataset in COPIES
    )
    found |= dict.fromkeys(filter(None, (_lacking(board, s.dataset) for s in board.sections)))
    backbones = dict.fromkeys(section.backbone for section in board.sections)
    told = {label: learnt_from(label) for label in backbones}
    found |= dict.fromkeys(
        f"Backbone `{label}`: learnt from {text}." for label, text in told.items() if text
    )
    few = sorted({section.seeds for section in board.sections})
    seeds = f"{few[0]}" if few[0] == few[-1] else f"{few[0]} to {few[-1]}"
    found |= {f"Seeds of an entry: {seeds}; a test takes {MIN_SEEDS}.": None}
    return "\n".join(f"- {text}" for text in found)


def _lacking(board: Board, dataset: str) -> str:
    """Say how many images an incomplete copy has of those of its protocol."""
    for record in board.records:
        base, mark, _ = record.protocol.partition("~")
        known = PROTOCOLS.get(dataset, {}).get(base)
        if record.dataset == dataset and mark and known is not None:
            own, whole = record.protocol_info["n_database"], known.n_database
            return (
                f"The copy of {markdown_escape(dataset)} has {own:,} of {whole:,} database images."
            )
    return ""
