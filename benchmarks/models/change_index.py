"""Add images to an index, and take others out of it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmarks.models.config import ModelError
from benchmarks.models.hasher import Hasher
from benchmarks.models.images import find_images, hash_images
from benchmarks.models.index import INDEX, ImageIndex, alone, full_name


def change_index(options: argparse.Namespace) -> tuple[ImageIndex, list[str]]:
    """Change an index with the flags of `benchmarks.index`; where there is none, one is begun.

    Returns
    -------
    index : ImageIndex
    broken : list of str
        What is wrong with the images that were left out, a line each.

    Raises
    ------
    ModelError, DatasetError, DeviceError
        If the index or its model cannot be read, an image cannot be decoded, or is not there.
    """
    hasher = Hasher.load(
        options.model, device=options.device, backbone=options.backbone, method=options.method
    )
    found = find_images(options.images, options.image_column)
    with alone(options.out):
        if (options.out / INDEX).exists():
            index = ImageIndex.load(options.out)
            index.require_model(hasher)
        elif found:
            index = ImageIndex.empty(options.model, hasher)
        else:
            raise ModelError(
                f"index {options.out}: there is none; name the images to begin it with"
            )
        index = replace(index, kind=options.kind or index.kind)
        removed = {full_name(name): name for name in options.remove}
        unknown = [removed[name] for name in removed.keys() - set(index.names)]
        if unknown:
            raise ModelError(f"--remove {min(unknown)}: not in the index {options.out}")
        index = index.without(list(removed))
        hashed = hash_images(hasher, found, skip_broken=options.skip_broken, keep_inputs=True)
        index = index.added(hashed)
        index.save(options.out)
    return index, hashed.broken
