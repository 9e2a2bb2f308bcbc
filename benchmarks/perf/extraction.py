"""Time extraction against the bare backbone: ``python -m benchmarks.perf.extraction``.

One run, the same images, threads and batch size for all, the ways taken in turn; the medians of
several rounds. The bare forward runs a batch of inputs that lie on the device over and over: no
reading, scaling, augmentation, writing. Ours ends with features and tokens on disk, as in a run.

On a CPU seconds are those of its threads, so that other processes weigh little; where ONNX Runtime
is installed, torch's rows stand beside its own. The network is exported before the clock starts.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import platform
import shutil
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
from benchmarks.features.onnx_backbone import is_for, quickest
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
Name = tuple[str, str]
"""What computes the network, and the way."""


def main() -> None:
    """Print a table of images a second, shares of the bare forward and multiples of torch."""
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
        by = {"torch": copy.copy(net)}
        by["torch"].is_network = False  # then nothing exports it
        if is_for(net, here.device):
            by["ONNX Runtime"] = net
        ways: dict[Name, Way] = {}
        for name, network in by.items():
            root = Path(folder) / name
            found = _ways(network, here.device, root, pixels, files, options.views)
            ways |= {(name, way): work for way, work in found.items()}
        clock = time.process_time if here.device.type == "cpu" else time.perf_counter
        _table(ways, options.rounds, clock)


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
    """Everything that is timed with one network, by name."""
    n, roots = len(pixels), (folder / f"cache {i}" for i in itertools.count())
    resident, data = FeatureCache(folder, device), _data(MemoryImages(pixels))
    quick = quickest(net, device, folder / "networks", print)

    def new_root() -> Path:
        """Make an empty cache that has the exported network."""
        root = next(roots)
        if (folder / "networks").is_dir():
            shutil.copytree(folder / "networks", root / "networks")
        return root

    def bare() -> None:
        extractor = Extractor(quick, ["features", "tokens"], device)
        size = net.input_size or pixels.shape[-1]
        inputs = torch.rand(extractor.batch, 3, size, size, device=device)
        with torch.inference_mode():
            for first in range(0, n, extractor.batch):
                extractor(inputs[: n - first])

    def features() -> None:
        resident.root = new_root()
        resident.features(data, net, also="tokens")

    def bank() -> None:
        resident.root = new_root()
        resident.bank(data, net, "cibhash", views, also="tokens")

    def decoding() -> None:
        EncodedImages(files).prepare(next(roots), silent)

    def first_run() -> None:
        FeatureCache(new_root(), device).features(_data(EncodedImages(files)), net, also="tokens")

    return {
        BARE: (n, bare),
        "resident images": (n, features),
        f"{views} augmented views an image, resident": (len(data.train) * views, bank),
        "decoding JPEG files alone": (n, decoding),
        "images from JPEG files": (n, first_run),
    }


def _data(images: ImageSource) -> RetrievalDataset:
    """Images with one query and one class: nothing here looks at labels."""
    rows, n = torch.arange(len(images)), len(images) - 1
    protocol = Protocol_("perf", "all", 1, n, n, "none", 1, "the same class", "this script")
    labels = Labels.one_each(torch.zeros_like(rows), 1)
    return RetrievalDataset(
        "perf", protocol, images, None, labels, train=rows[1:], query=rows[:1], database=rows[1:]
    )


def _table(ways: dict[Name, Way], rounds: int, clock: Callable[[], float]) -> None:
    rates: dict[Name, list[float]] = {name: [] for name in ways}
    for _, work in ways.values():
        work()  # warms up; on CUDA it also brings images to the device
    for _ in range(rounds):
        for name, (n, work) in ways.items():
            start = clock()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            rates[name].append(n / (clock() - start))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print("\n| by | way | images a second (best) | of its bare forward | of torch |")
    print("|---|---|---|---|---|")
    for (by, way), rate in medians.items():
        best, bare, torchs = max(rates[by, way]), medians[by, BARE], medians["torch", way]
        print(f"| {by} | {way} | {rate:,.0f} ({best:,.0f}) | {rate / bare:.0%} ", end="")
        print(f"| {rate / torchs:.2f}x |")


if __name__ == "__main__":
    sys.exit(run_command(main))
