"""Hash images with a model.

IMAGES are files, folders (at any depth), quoted patterns such as 'photos/**/*.jpg', and .parquet
files. FILE.npy gets the codes, uint8 (N, bytes) as numpy.packbits packs them; FILE.json beside it
the model and the path of each row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command
from datasets.errors import printable
from results.store.wording import counted


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how images are read and hashed."""
    add = parser.add_argument
    add("--image-column", default="image", metavar="NAME", help="of .parquet files")
    add("--backbone", metavar="timm:MODEL=FILE", help="where its weights are a file")
    add("--method", metavar="FILE.py:CLASS", help="where the model is of a method from outside")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if images were skipped."""
    parser = Parser("benchmarks.encode", __doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder, see benchmarks.export, or NAME/NAME@COMMIT")
    add("images", nargs="+", metavar="IMAGES")
    add("--out", type=Path, required=True, metavar="FILE.npy")
    add("--skip-broken", action="store_true", help="name images that cannot be read, and go on")
    add_images(parser)
    options = parser.parse_args(arguments)
    from benchmarks.models.config import ModelError
    from benchmarks.models.hasher import Hasher
    from benchmarks.models.images import find_images, hash_images, write_codes
    from benchmarks.models.refusals import USER_ERRORS

    try:
        if options.out.suffix != ".npy":
            raise ModelError(f"--out {options.out}: must end in .npy; add it")
        hasher = Hasher.load(
            options.model, device=options.device, backbone=options.backbone, method=options.method
        )
        found = find_images(options.images, options.image_column)
        hashed = hash_images(hasher, found, skip_broken=options.skip_broken)
        write_codes(options.out, hasher, hashed)
    except USER_ERRORS as error:
        return fail(error)
    sys.stderr.writelines(f"skipped: {line}\n" for line in hashed.broken)
    told = f"{counted(len(hashed.names), 'image')}, {hasher.n_bits} bits: {options.out}"
    sys.stdout.write(f"{printable(told)}\n")
    return SOME_FAILED if hashed.broken else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
