"""Search an index for images that look like some image."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, Parser, fail, run_command
from benchmarks.encode import add_images


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = Parser("benchmarks.search", __doc__)
    add = parser.add_argument
    add("index", type=Path, metavar="INDEX", help="folder of the index, see benchmarks.index")
    add("images", nargs="+", metavar="IMAGE", help="files, folders, patterns, .parquet files")
    add("-k", type=int, default=10, metavar="N", help="images to show (default: 10)")
    add("--rerank", type=int, metavar="R", help="order R x k candidates by their features")
    add("--html", type=Path, metavar="FILE", help="write a page with thumbnails")
    add("--model", help="where the model lies now; default: where it was")
    add_images(parser)
    options = parser.parse_args(arguments)
    from benchmarks.models.refusals import USER_ERRORS
    from benchmarks.models.search_images import search, text_of, write_page

    try:
        answers = search(options)
        if options.html is not None:
            write_page(options.html, answers, options.image_column)
    except USER_ERRORS as error:
        return fail(error)
    sys.stdout.writelines(f"{line}\n" for line in text_of(answers))
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
