"""Hash images into an index that can be searched.

An index that is there is added to: an image of a path that it holds is hashed anew, all others
stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command
from benchmarks.encode import add_images


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if images were skipped."""
    parser = Parser("benchmarks.index", __doc__)
    add = parser.add_argument
    add("model", metavar="DIR", help="model folder, see benchmarks.export")
    add("images", nargs="*", metavar="IMAGES", help="files, folders, patterns, .parquet files")
    add("--out", type=Path, required=True, metavar="INDEX", help="folder of the index")
    add("--kind", default="auto", choices=("auto", "flat", "hnsw", "multihash"))
    add("--remove", nargs="+", default=[], metavar="PATH", help="images to take out of it")
    add_images(parser)
    options = parser.parse_args(arguments)
    from benchmarks.models.hasher import Hasher
    from benchmarks.models.images import find_images, hash_images
    from benchmarks.models.index import ImageIndex
    from benchmarks.models.refusals import USER_ERRORS

    try:
        hasher = Hasher.load(options.model, device=options.device, backbone=options.backbone)
        if (options.out / "index.json").exists():
            index = ImageIndex.load(options.out)
            index.require_model(hasher)
        else:
            index = ImageIndex.empty(Path(options.model), hasher, options.kind)
        unknown = sorted(set(options.remove) - set(index.names))
        if unknown:
            return fail(f"--remove {unknown[0]}: not in the index {options.out}")
        index = index.without(options.remove)
        hashed = hash_images(
            hasher,
            find_images(options.images, options.image_column),
            skip_broken=options.skip_broken,
            keep_inputs=True,
        )
        index = index.added(hashed)
        index.save(options.out)
    except USER_ERRORS as error:
        return fail(error)
    sys.stderr.writelines(f"skipped: {line}\n" for line in hashed.broken)
    sys.stdout.write(f"{len(index.names):,} images, {index.n_bits} bits: {options.out}\n")
    return SOME_FAILED if hashed.broken else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
