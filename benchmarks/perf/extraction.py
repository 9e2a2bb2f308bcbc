"""Time extraction against the bare backbone: ``python -m benchmarks.perf.extraction``.

One run, the same images, threads and batch size for all, the ways taken in turn; the medians of
several rounds. The bare forward runs a batch of inputs that lie on the device over and over: no
reading, scaling, augmentation, writing. Ours ends with the features on disk, as in a run.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.command import run_command
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.features.extractor import Extractor, precision
from benchmarks.machine.environment import environment
from benchmarks.machine.memory import keep_freed_memory
from datasets import load
from datasets.base import RetrievalDataset
from datasets.contents import LoadOptions
from datasets.files.images import EncodedImages, FileItems
from datasets.image_source import ImageSource, MemoryImages
from datasets.labels import Labels
from datasets.progress import silent
from datasets.protocols.protocol import Protocol_

BARE = "bare forward, inputs there"
Way = tuple[int, Callable[[], object]]
"""Images that the backbone sees, and what makes it see them."""


def main() -> None:
    """Print a table of images a second and shares of the bare forward."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--views", type=int, default=4, help="augmented views of an image")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--input-size", type=int, default=128, metavar="PX")
    parser.add_argument("--side", type=int, default=256, help="pixels of a JPEG file")
    parser.add_argument("--data-root", type=Path, help="take images of CIFAR-10, else noise")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    here = environment(options.device)
    keep_freed_memory()
    net = backbone(options.backbone, options.input_size)
    print(
        f"{options.images} images, {net.label}, {here.device_name}, {platform.machine()}, "
        f"{precision(here.device)}, torch {torch.__version__}; "
        f"median (best) of {options.rounds} rounds\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        pixels = _pixels(options.images, options.data_root)
        files = _write(Path(folder) / "files", pixels, options.side)
        ways = _ways(net, here.device, Path(folder), pixels, files, options.views)
        _table(ways, options.rounds)


def _pixels(n: int, root: Path | None) -> Tensor:
    """Images, uint8 (n, 3, 32, 32)."""
    if root is None:
        noise = torch.randint(0, 256, (n, 3, 4, 4), generator=torch.Generator().manual_seed(0))
        return interpolate(noise.float(), 32, mode="bilinear").byte()
    images = load("cifar10", LoadOptions(data_root=root)).images
    assert images is not None, "CIFAR-10 has images"
    return images.subset(torch.arange(n)).read(torch.arange(n))


def _write(folder: Path, pixels: Tensor, side: int) -> FileItems:
    """Write images as JPEG files of a side of their own."""
    folder.mkdir()
    names = [f"{i}.jpg" for i in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.resize((side, side), Image.Resampling.BICUBIC).save(folder / name, quality=85)
    return FileItems(folder, names)


def _ways(
    net: Backbone, device: torch.device, folder: Path, pixels: Tensor, files: FileItems, views: int
) -> dict[str, Way]:
    """Everything that is timed, by name."""
    n, caches = len(pixels), (folder / f"cache {i}" for i in itertools.count())
    resident, data = FeatureCache(folder, device), _data(MemoryImages(pixels))

    def bare() -> None:
        extractor = Extractor(net, ["features"], device)
        size = net.input_size or pixels.shape[-1]
        inputs = torch.rand(extractor.batch, 3, size, size, device=device)
        with torch.inference_mode():
            for first in range(0, n, extractor.batch):
                extractor(inputs[: n - first])

    def features() -> None:
        resident.root = next(caches)
        resident.features(data, net)

    def bank() -> None:
        resident.root = next(caches)
        resident.bank(data, net, "cibhash", views)

    def decoding() -> None:
        EncodedImages(files).prepare(next(caches), silent)

    def first_run() -> None:
        FeatureCache(next(caches), device).features(_data(EncodedImages(files)), net)

    return {
        BARE: (n, bare),
        "features, resident images": (n, features),
        f"{views} augmented views an image, resident": (len(data.train) * views, bank),
        "decoding JPEG files alone": (n, decoding),
        "features, from JPEG files": (n, first_run),
    }


def _data(images: ImageSource) -> RetrievalDataset:
    """Images with one query and one class: nothing here looks at labels."""
    rows, n = torch.arange(len(images)), len(images) - 1
    protocol = Protocol_("perf", "all", 1, n, n, "none", 1, "the same class", "this script")
    labels = Labels.one_each(torch.zeros_like(rows), 1)
    return RetrievalDataset(
        "perf", protocol, images, None, labels, train=rows[1:], query=rows[:1], database=rows[1:]
    )


def _table(ways: dict[str, Way], rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _, way in ways.values():
        way()  # warms up; on CUDA it also brings images to the device
    for _ in range(rounds):
        for name, (n, way) in ways.items():
            start = time.perf_counter()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            rates[name].append(n / (time.perf_counter() - start))
    bare = statistics.median(rates[BARE])
    print("| way | images a second (best) | of the bare forward |\n|---|---|---|")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"| {name} | {median:,.0f} ({max(found):,.0f}) | {median / bare:.0%} |")


if __name__ == "__main__":
    sys.exit(run_command(main))
