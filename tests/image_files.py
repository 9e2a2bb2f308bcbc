"""Tiny images in files, for the tests of data sets that are folders of images."""

import dataclasses

import numpy as np
from PIL import Image

from benchmarks import run
from datasets.protocols.table import PROTOCOLS


def write_images(root, names):
    """Write an 8 x 8 JPEG of a colour of its own to each path."""
    colours = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (len(names), 3), np.uint8)
    for name, colour in zip(names, colours, strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.broadcast_to(colour, (8, 8, 3)).copy()).save(path, "JPEG")


def run_lsh(dataset, root, out, *arguments):
    """Exit code of the command for one cell of LSH on pixels."""
    words = ["--methods", "lsh", "--datasets", dataset, "--bits", "8", "--seeds", "1"]
    words += ["--backbone", "pixels", "--input-size", "8", "--data-root", str(root)]
    return run.main([*words, "--out", f"{out}/out", "--cache", f"{out}/cache", *arguments])


def records(out):
    """Paths of the records, below the folder of the runs."""
    runs = out / "out/runs"
    return [str(path.relative_to(runs)) for path in runs.rglob("*.json")]


def smaller(monkeypatch, name, **sizes):
    """Give a protocol the sizes of a fabricated copy, for one test."""
    dataset, _, protocol = name.partition("/")
    small = dataclasses.replace(PROTOCOLS[dataset][protocol], **sizes)
    monkeypatch.setitem(PROTOCOLS[dataset], protocol, small)
