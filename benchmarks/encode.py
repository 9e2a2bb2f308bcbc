"""Hash images with a model.

IMAGES are files, folders (at any depth), quoted patterns such as 'photos/**/*.jpg', and .parquet
files. FILE.npy gets the codes, uint8 (N, bytes) as numpy.packbits packs them; FILE.json beside it
the model and the path of each row.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which images are hashed, and how."""
    add = parser.add_argument
    add("--image-column", default="image", metavar="NAME", help="of .parquet files")
    add("--skip-broken", action="store_true", help="name images that cannot be read, and go on")
    add("--backbone", metavar="timm:MODEL=FILE", help="where its weights are a file")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if images were skipped."""
    parser = Parser("benchmarks.encode", __doc__)
    add = parser.add_argument
    add("model", metavar="DIR", help="model folder, see benchmarks.export")
    add("images", nargs="+", metavar="IMAGES")
    add("--out", type=Path, required=True, metavar="FILE.npy")
    add_images(parser)
    options = parser.parse_args(arguments)
    import numpy as np

    from benchmarks.models.hasher import Hasher
    from benchmarks.models.images import find_images, hash_images
    from benchmarks.models.refusals import USER_ERRORS
    from results.store.files import write_atomic

    try:
        hasher = Hasher.load(options.model, device=options.device, backbone=options.backbone)
        found = find_images(options.images, options.image_column)
        hashed = hash_images(hasher, found, skip_broken=options.skip_broken)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        np.save(options.out, hashed.codes, allow_pickle=False)
        config = hasher.model.config
        about = {"record": config.record, "bits": config.bits, "bit_order": hasher.bit_order}
        about["paths"] = hashed.names
        write_atomic(options.out.with_suffix(".json"), json.dumps(about).encode())
    except OSError as error:
        return fail(f"{options.out}: {error.strerror}; choose another file with --out")
    except USER_ERRORS as error:
        return fail(error)
    sys.stderr.writelines(f"skipped: {line}\n" for line in hashed.broken)
    sys.stdout.write(f"{len(hashed.names):,} images, {config.bits} bits: {options.out}\n")
    return SOME_FAILED if hashed.broken else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
