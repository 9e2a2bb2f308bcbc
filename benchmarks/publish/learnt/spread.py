"""How much is the loss and how much the backbone: shares of the spread of all runs."""

from __future__ import annotations

from benchmarks.publish.pages import markdown_table
from results.analysis.board import Board
from results.analysis.variance import SEEDS, Variance, variances
from results.store.wording import counted
from results.tables.markup import markdown_escape

FACTORS = ("method", "backbone", "bits", SEEDS)
TOGETHER = "together"
"""All parts in which factors depend on each other."""


def shares(variance: Variance) -> dict[str, float]:
    """Return the share of each factor alone, and of all that they do only together."""
    alone = {part: share for part, share in variance.shares.items() if part in FACTORS}
    return alone | {TOGETHER: sum(variance.shares.values()) - sum(alone.values())}


def parted(board: Board) -> list[Variance]:
    """Return every data set under one protocol whose runs differ."""
    return [variance for variance in variances(board) if variance.shares]


def loss_or_backbone(board: Board) -> str:
    """Say which of the two has the larger share where there are two backbones."""
    found = parted(board)
    if not found:
        return "*Nothing published has two methods to take a spread apart.*"
    rows = []
    parts = ("method", "backbone", "bits", TOGETHER, SEEDS)
    for variance in found:
        of = shares(variance)
        sizes = [str(len(variance.methods)), str(len(variance.backbones))]
        cells = [f"{100 * of[part]:.1f} %" if part in of else "-" for part in parts]
        suite = markdown_escape(f"{variance.dataset}/{variance.protocol}")
        rows.append([suite, *sizes, *cells])
    head = ["data set", "methods", "backbones", *parts]
    sentences = [_larger(variance) for variance in found if len(variance.backbones) > 1]
    told = " ".join(sentences) or (
        "No data set is published with two backbones, so nothing here weighs them against losses."
    )
    return f"{told}\n\n{markdown_table(head, rows)}"


def _larger(variance: Variance) -> str:
    of = shares(variance)
    first, second = sorted(("method", "backbone"), key=lambda part: -of[part])
    suite = markdown_escape(f"{variance.dataset}/{variance.protocol}")
    return (
        f"On {suite}, over {counted(len(variance.methods), 'method')} and "
        f"{counted(len(variance.backbones), 'backbone')}, the {first} alone makes "
        f"{100 * of[first]:.0f} % of the spread and the {second} alone {100 * of[second]:.0f} %."
    )
