"""Verify a local copy of a data set.

Every image is decoded. Exit codes: 0 all is well; 1 something is wrong; 2 bad arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datasets.arguments import BAD_ARGUMENTS, Parser, add_data_arguments, load_options
from datasets.errors import DatasetError, OptionError, UnknownName
from datasets.terminal import run_command

if TYPE_CHECKING:  # all of it loads torch, which --help does without
    from torch import Tensor

    from datasets import Contents, LoadOptions, Protocol_

MOST_DETAILS = 10
"""Lines below a check; more are counted."""


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes
    ----------
    name, expected, found : str
        What was looked at, what it should be and what it is.
    ok : bool
        Whether that is well.
    details : sequence of str
        What is wrong with which file or class, a line each.
    """

    name: str
    expected: str
    found: str
    ok: bool = True
    details: Sequence[str] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("datasets.doctor", __doc__)
    parser.add_argument("name", metavar="NAME[/PROTOCOL]", help="or KIND:PATH, your own data")
    add_data_arguments(parser)
    given = parser.parse_args(arguments)
    from datasets import full_name

    try:
        checks = list(examine(full_name(given.name), load_options(given)))
    except (UnknownName, OptionError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_ARGUMENTS
    sys.stdout.write("\n".join(table(checks)) + "\n")
    return 0 if all(check.ok for check in checks) else 1


def examine(name: str, options: LoadOptions) -> Iterator[Check]:
    """Look at a data set; nothing that is wrong with it ends the examination early but its files.

    Parameters
    ----------
    name : str
        As for `datasets.read`.
    options : LoadOptions
        With `allow_missing`, the split is that of the rows that are there.

    Yields
    ------
    Check

    Raises
    ------
    UnknownName, OptionError
        If there is no such data set, or an option makes no sense for it.
    """
    from datasets import read

    try:
        protocol, contents = read(name, replace(options, allow_missing=True))
    except (UnknownName, OptionError):
        raise
    except DatasetError as error:
        yield Check("files", "readable", "refused", ok=False, details=[str(error)])
        return
    yield Check("files", "readable", f"{len(contents):,} rows", details=contents.notes)
    yield from _images(contents, options)
    yield from _labels(contents)
    yield from _split(protocol, contents, options)


def table(checks: Iterable[Check]) -> list[str]:
    """Lines of a table: check, expected, found, ok or wrong; details below their check."""
    rows = [(c.name, c.expected, c.found, "ok" if c.ok else "wrong") for c in checks]
    head = ("check", "expected", "found", "")
    width = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(head, width, strict=True)).rstrip()]
    lines.append("-" * (sum(width) + 6))
    for check, row in zip(checks, rows, strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip())
        lines += [f"    {detail}" for detail in check.details[:MOST_DETAILS]]
        if len(check.details) > MOST_DETAILS:
            lines.append(f"    and {len(check.details) - MOST_DETAILS:,} more")
    return lines


def _images(contents: Contents, options: LoadOptions) -> Iterator[Check]:
    from datasets.assemble import unreadable

    if contents.images is None:
        return
    found = unreadable(contents, options, afresh=True)
    absent = set(contents.images.absent().tolist())
    for name, reasons in (
        ("images absent", [found[row] for row in found if row in absent]),
        ("images unreadable", [found[row] for row in found if row not in absent]),
    ):
        yield Check(name, "0", f"{len(reasons):,}", not reasons, reasons)


def _labels(contents: Contents) -> Iterator[Check]:
    """Compare the counts of each class with the published ones."""
    labels = contents.labels
    names = contents.classes or tuple(f"class {c}" for c in range(labels.n_classes))
    for part, published in contents.published.items():
        rows = labels if part == "all" else labels[contents.parts.get(part, [])]
        counts = rows.class_sizes().tolist()
        wrong = [
            f"{name}: expected {right:,}, found {count:,}"
            for name, right, count in zip(names, published, counts, strict=True)
            if count != right
        ]
        expected, found = (f"{sum(n):,} in {len(n)} classes" for n in (published, counts))
        yield Check(f"labels of {part}", expected, found, not wrong, wrong)
    yield Check("rows without label", "", f"{int((labels.counts() == 0).sum()):,}")


def _split(protocol: Protocol_, contents: Contents, options: LoadOptions) -> Iterator[Check]:
    from datasets.assemble import assemble, repeated

    try:
        data = assemble(protocol, contents, options)
    except DatasetError as error:
        yield Check("split", protocol.name, "refused", ok=False, details=[str(error)])
        return
    same = data.protocol.digest == protocol.digest
    yield Check("split", protocol.name, data.protocol.name, same)
    for name, rows, expected in (
        ("queries", data.query, protocol.n_query),
        ("training rows", data.train, protocol.n_train),
        ("database", data.database, protocol.n_database),
    ):
        found = f"{len(rows):,}, a class {_range(data.labels[rows].class_sizes())}"
        yield Check(name, f"{expected:,}", found, len(rows) == expected)
    again = repeated(data.images, data.features, data.query, data.database, options)
    what = "row {}".format if data.images is None else data.images.name
    yield Check(
        "queries in the database too",
        "",
        f"{len(again):,}, of the same bytes",
        details=[f"{what(query)} is {what(row)}" for query, row in again.items()],
    )
    yield Check("cutoff", f"{protocol.cutoff:,}", f"{data.protocol.cutoff:,}", same)
    yield Check("labels a row", "", _range(data.labels.counts()))
    yield Check("digest of the protocol", "", data.protocol.digest[:16])
    yield Check("digest of the data", "", data.digest[:16])


def _range(counts: Tensor) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"


if __name__ == "__main__":
    sys.exit(run_command(main))
