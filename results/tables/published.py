"""Figures that papers report, beside those of a report under the same protocol; never ranked.

``published.csv`` holds figures and where they stand, one a row: `published` is the name in print,
`row` the method of this suite that it is (or nothing), `network` the timm model of its backbone,
`resize` how a whole image comes to its input: ``stretch``, also of a square image that is taken
whole, or ``crop``, with what is said of its margin, or, where nothing is known, nothing; `setting`
what differs from the named protocol or is not stated. Where `protocol` is empty, the paper follows
none that has a name here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from results.analysis.board import Board, Row, Section
from results.tables.markup import template

SOURCE = Path(__file__).with_name("published.csv")
TEXTS = (
    "dataset",
    "protocol",
    "metric",
    "published",
    "venue",
    "backbone",
    "row",
    "network",
    "resize",
)
COLUMNS = [
    *("dataset", "protocol", "metric", "bits", "published", "venue", "value", "published_backbone"),
    *("method", "backbone", "mean", "std", "n", "gap", "differs", "source"),
]
PAPERS_SIZE = "224"
"""Side of the input of the networks that papers name, in pixels, where they do not say another."""
NOTE = (
    "Figures of papers and repositories beside the rows of this report, under the protocol of the "
    "same name; none of them takes part in a ranking. Gap: ours minus theirs. Papers break ties of "
    "equal distance by the order of a sort, which alone can move a figure."
)


@cache
def published_figures() -> pd.DataFrame:
    """Read all figures that are known, one a row."""
    kinds = dict.fromkeys((*TEXTS, "setting", "source"), "str") | {"bits": "int64"}
    return pd.read_csv(SOURCE, dtype=kinds | {"value": "float64"}, keep_default_na=False)


def published_frame(board: Board) -> pd.DataFrame:
    """Return ``published.csv`` of a report: every figure under a protocol that was run.

    A figure stands once for each row of ours that it can be laid beside, and once alone where
    there is none; `differs` says what keeps the two apart, or why there is none.
    """
    rows: list[dict[str, Any]] = []
    for figure in published_figures().to_dict("records"):
        sections = [section for section in board.sections if _same(section, figure)]
        if sections:
            beside = [entry for section in sections for entry in _beside(section, figure)]
            rows += beside or [_alone(sections, figure)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"n": "Int64", "mean": "float64", "std": "float64", "gap": "float64"})


def _same(section: Section, figure: dict[Any, Any]) -> bool:
    protocol = section.protocol.partition("~")[0]  # an incomplete copy: said in `differs`
    return (section.dataset, protocol) == (figure["dataset"], figure["protocol"])


def _beside(section: Section, figure: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for row in section.rows:
        cell = row.cells.get((figure["metric"], figure["bits"]))
        if figure["row"] and row.method.split("(")[0] == figure["row"] and cell is not None:
            yield _printed(figure) | {
                "protocol": section.protocol,
                "method": row.method,
                "backbone": section.backbone,
                "mean": cell.mean,
                "std": cell.std,
                "n": cell.n,
                "gap": cell.mean - figure["value"],
                "differs": "; ".join(_differences(section, row, figure)),
            }


def _alone(sections: Sequence[Section], figure: dict[Any, Any]) -> dict[str, Any]:
    metrics = {metric for s in sections for row in s.rows for metric, _ in row.cells}
    reason = "not run here" if figure["row"] else "no method of this suite"
    if figure["metric"] not in metrics:
        reason = f"{figure['metric']} is not recorded here"
    differs = "; ".join(filter(None, (reason, figure["setting"])))
    return _printed(figure) | {"differs": differs}


def _printed(figure: dict[Any, Any]) -> dict[str, Any]:
    names = ("dataset", "protocol", "metric", "bits", "published", "venue", "value", "source")
    return {name: figure[name] for name in names} | {"published_backbone": figure["backbone"]}


def _differences(section: Section, row: Row, figure: dict[Any, Any]) -> Iterator[str]:
    """Name what differs between a figure and a row of ours, as far as both say."""
    network, _, seen = section.backbone.partition("@")
    size, _, resize = seen.partition(",")
    resize = resize or "stretch"
    if not figure["network"] or not f"{network}.".startswith(f"{figure['network']}."):
        yield f"backbone {figure['backbone']}, ours {section.backbone}"
    else:
        if size != PAPERS_SIZE:
            yield f"input of {PAPERS_SIZE} px, ours of {size or 'another size'}"
        if figure["resize"] != resize:
            yield f"images: {figure['resize'] or 'resizing not said'}, ours {resize}"
        if weights := network.removeprefix(figure["network"]).removeprefix("."):
            yield f"weights not said, ours {weights}"
        if "frozen" not in figure["backbone"] and "finetune" not in row.method:
            yield "backbone not said to be frozen"
    if "(" in row.method:
        yield f"ours with {row.method.partition('(')[2].rstrip(')')}"
    if "~" in section.protocol:
        yield "ours on an incomplete copy"
    if figure["setting"]:
        yield figure["setting"]


def published_markdown(board: Board) -> str:
    """Return ``published.md``: a table a protocol and metric, at the lengths that were run."""
    frame = published_frame(board)
    ran = {
        (s.dataset, s.protocol.partition("~")[0], bits) for s in board.sections for bits in s.bits
    }
    base = frame["protocol"].str.partition("~")[0] if len(frame) else frame["protocol"]
    keys = zip(frame["dataset"], base, frame["bits"], strict=True)
    shown = frame.loc[[key in ran for key in keys]]
    numbers = {source: n for n, source in enumerate(dict.fromkeys(shown["source"]), start=1)}
    tables: dict[str, list[list[str]]] = {}
    names = ["dataset", "protocol", "metric"]
    for (dataset, protocol, metric), table in shown.groupby(names, sort=False):
        ordered = table.sort_values(["bits", "value"], ascending=[True, False], kind="stable")
        rows = ordered.to_dict("records")
        lines = [[*_texts(row, board), str(numbers[row["source"]])] for row in rows]
        tables[f"{dataset} / {protocol}, {metric}"] = lines
    hidden = len(frame) - len(shown)
    text = template("published.md.jinja").render(
        note=NOTE, tables=tables, hidden=hidden, sources=list(numbers)
    )
    return f"{text.rstrip()}\n"


def _texts(row: dict[Any, Any], board: Board) -> list[str]:
    """Return what the table shows of a figure, its source aside."""
    ours = gap = "-"
    if not pd.isna(row["mean"]):
        spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.3f}"
        ours, gap = f"{board.title(row['method'])} {row['mean']:.3f}{spread}", f"{row['gap']:+.3f}"
    names = ("bits", "published", "venue", "published_backbone")
    return [*(str(row[name]) for name in names), f"{row['value']:.3f}", ours, gap, row["differs"]]
