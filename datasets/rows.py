"""Write which rows ask, train and answer, and all labels, for those who encode elsewhere.

FILE is .npz or .safetensors. It holds query, train and database, int64 row numbers of the data set,
and labels, bool (N, C), a row for each of its N rows. benchmarks.score takes the codes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from datasets.arguments import BAD_ARGUMENTS, Parser, add_data_arguments, load_options
from datasets.errors import DatasetError, one_line
from datasets.terminal import run_command

if TYPE_CHECKING:
    from datasets import RetrievalDataset


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("datasets.rows", __doc__)
    parser.add_argument("name", metavar="NAME[/PROTOCOL]", help="or KIND:PATH, your own data")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    add_data_arguments(parser)
    given = parser.parse_args(arguments)
    if given.out.suffix not in (".npz", ".safetensors"):
        parser.error(f"argument --out: expected a .npz or .safetensors file, got {given.out}")
    from datasets import load  # it loads torch, which --help does without

    try:
        data = load(given.name, load_options(given))
        write_rows(data, given.out)
    except (DatasetError, OSError) as error:
        sys.stderr.write(f"error: {one_line(error)}\n")
        return BAD_ARGUMENTS
    sys.stdout.writelines(f"{line}\n" for line in _told(data))
    return 0


def write_rows(data: RetrievalDataset, path: Path) -> None:
    """Write the split and the labels of a data set.

    Parameters
    ----------
    data : RetrievalDataset
    path : Path
        Its suffix, ``.npz`` or ``.safetensors``, says how.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    parts = {part: getattr(data, part).numpy() for part in ("query", "train", "database")}
    arrays = parts | {"labels": data.labels.dense().numpy()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        save_file(arrays, path)


def _told(data: RetrievalDataset) -> list[str]:
    """Say what was written, and what a row number means."""
    lines = [f"{data.protocol.label}: {data.protocol.sizes}, {len(data.labels):,} rows"]
    if data.images is not None:
        lines.append(f"row 0 is {data.images.name(0)}")
    return [*lines, *data.notes]


if __name__ == "__main__":
    sys.exit(run_command(main))
