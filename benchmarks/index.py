"""Hash images into an index that can be searched.

An index that is there is added to: an image of a path that it holds is hashed anew, all others
stay as they are. Two calls on one index wait for each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command
from benchmarks.encode import add_images
from datasets.errors import printable
from results.store.wording import counted

KINDS = ("auto", "flat", "hnsw", "multihash")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if images were skipped."""
    parser = Parser("benchmarks.index", __doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder, see benchmarks.export, or NAME/NAME@COMMIT")
    add("images", nargs="*", metavar="IMAGES", help="files, folders, patterns, .parquet files")
    add("--out", type=Path, required=True, metavar="INDEX", help="folder of the index")
    add("--kind", choices=KINDS, help="default: by size, or as the index is")
    add("--remove", nargs="+", default=[], metavar="PATH", help="images to take out of it")
    add("--skip-broken", action="store_true", help="name images that cannot be read, and go on")
    add_images(parser)
    options = parser.parse_args(arguments)
    from benchmarks.models.change_index import change_index
    from benchmarks.models.refusals import USER_ERRORS

    try:
        index, broken = change_index(options)
    except USER_ERRORS as error:
        return fail(error)
    sys.stderr.writelines(f"skipped: {line}\n" for line in broken)
    told = f"{counted(len(index.names), 'image')}, {index.n_bits} bits: {options.out}"
    sys.stdout.write(f"{printable(told)}\n")
    return SOME_FAILED if broken else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
