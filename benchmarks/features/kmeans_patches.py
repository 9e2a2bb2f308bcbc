"""Features of patches, learnt by k-means from the training images of a task and no label.

Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
AISTATS 2011, in its best setting: patches x of 6 x 6 pixels, one pixel apart, each less its mean
and over its deviation, whitened (ZCA); K = 1,600 centres c_k; the triangle activation

    f_k(x) = max(0, mu(z) - z_k),   z_k = |x - c_k|,   mu(z) the mean of z_1 .. z_K;

and the sum of f over the patches of each of four quadrants, each of the 4 K numbers brought to mean
0 and deviation 1 over training images.

Departures. The paper tells neither the number of patches nor the rounds of k-means: here 200,000
and 20 at most, from centres drawn among the patches. Mean and deviation of the outcome are those of
2,000 training images at most. Images of other sizes are brought to the paper's 32 x 32 pixels.

What is learnt follows from the training images, their size and a fixed seed alone: computed on the
CPU in fixed blocks, products in float32 and all sums in float64.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.features.base import Backbone, BackboneError, Kind
from datasets.digests import code_digest
from datasets.files.disk import disk_array
from datasets.image_source import ImageSource
from datasets.progress import Progress, silent

SIDE = 6  # pixels of a patch
DIM = 3 * SIDE * SIDE
PIXELS = 32  # of an image, where nothing else is asked for
CENTRES = 1600
PATCHES = 200_000
ROUNDS = 20
STANDARDISED_BY = 2000  # training images
SEED = 0
WEIGHTS = "patches.weights"
"""Name of `KMeansPatches.weights` among what a cell learnt."""
CONTRAST = 10 / 255**2  # added to the variance of a patch; the authors' 10 on the scale to 255
WHITENING = 0.1  # added to the eigenvalues
_IMAGES, _ROWS = 4, 4096
"""Images, and patches, at a time: what they take then stays in the cache of a CPU."""


class KMeansPatches(Backbone):
    """Sums over quadrants of how near their patches are to centres, learnt by `learnt_from`.

    Features are the four quadrants in a row, D = 6,400; tokens are the quadrants, T = 4, D = 1,600.

    Raises
    ------
    BackboneError
        If the input is smaller than two patches side by side.
    """

    def __init__(self, name: str, input_size: int | None) -> None:
        super().__init__(name, PIXELS if input_size is None else input_size)
        if self.input_size is not None and self.input_size <= SIDE:
            raise BackboneError(
                f"backbone {name}: the input size must be above {SIDE} pixels, the side of its "
                f"patches, got {self.input_size}"
            )
        self._images: ImageSource | None = None
        self._rows = torch.empty(0, dtype=torch.int64)
        self._learnt_from = ""  # identifies the images, 32 hexadecimal digits
        self._folder: Path | None = None
        self._progress: Progress = silent
        self._device = torch.device("cpu")

    def learnt_from(self, images: ImageSource, rows: Tensor) -> KMeansPatches:
        """Return the one of some training images, int64 (N,); it learns when it is first run."""
        twin = copy(self)
        twin.__dict__.pop("weights", None)
        twin._images, twin._rows = images, rows
        text = f"{images.digest} {hashlib.sha256(rows.numpy().tobytes()).hexdigest()} {SEED}"
        twin._learnt_from = hashlib.sha256(text.encode()).hexdigest()[:32]
        return twin

    def restored(self, weights: Tensor, digest: str) -> KMeansPatches:
        """Return the one that had these `weights`, float32 (n,), and this digest."""
        twin = copy(self)
        twin.__dict__["weights"] = weights
        twin._learnt_from = digest[32:]
        return twin

    def keep(self, folder: Path, progress: Progress) -> None:
        """Say where on disk to keep what is learnt, and whom to tell of it."""
        self._folder, self._progress = folder, progress

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of this code and what it is given, 32 of the training images."""
        inputs = f"{self.input_size} {self.resize} {CENTRES} {PATCHES} {ROUNDS} {STANDARDISED_BY}"
        sources = (sys.modules[__name__], sys.modules[Backbone.__module__])
        code = code_digest(*map(inspect.getsource, sources))
        return hashlib.sha256(f"{code} {inputs}".encode()).hexdigest()[:32] + self._learnt_from

    def width(self, kind: Kind) -> int:
        """Width D of what it gives, known before anything is learnt."""
        return CENTRES if kind == "tokens" else 4 * CENTRES

    @cached_property
    def weights(self) -> Tensor:
        """All that is learnt in one row, float32 (n,): see `_parts`.

        Raises
        ------
        BackboneError
            If there are no training images, or too few patches for the centres.
        """
        if self._images is None:
            raise BackboneError(
                f"backbone {self.name}: is learnt from the training images of a data set, and was "
                "given none"
            )
        if self._folder is None:
            return self._learn()
        what = f"{self.name} of {len(self._rows)} training images"
        n = sum(map(math.prod, _SHAPES.values()))
        stem = self._folder / f"{self.name}-{self.digest}"
        stored = disk_array(stem, what, n, lambda _: iter([self._learn().numpy()]), mode="c")
        return torch.from_numpy(stored.array)

    def to(self, device: torch.device) -> Backbone:
        """Compute on a device; returns itself."""
        self._device = device
        return self

    def features(self, images: Tensor) -> Tensor:
        """Put the quadrants in a row."""
        return self.tokens(images).flatten(1)

    def tokens(self, images: Tensor) -> Tensor:
        """Give the quadrants: upper left, upper right, lower left, lower right."""
        parts = _parts(self.weights.to(images.device))
        return (_sums(images, parts) - parts["mean"]) / parts["deviation"]

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and tokens are the same numbers."""
        tokens = self.tokens(images)
        return tokens.flatten(1), tokens

    def _learn(self) -> Tensor:
        """Learn centres, then bring their sums to one scale."""
        generator = torch.Generator().manual_seed(SEED)
        patches = self._some_patches(generator)
        self._progress(f"{self.name}: k-means", 0, ROUNDS)
        mean, whitening = _whitening(patches)
        patches = (patches - mean) @ whitening
        drawn = patches.unique(dim=0)
        if len(drawn) < CENTRES:
            raise BackboneError(
                f"backbone {self.name}: {CENTRES:,} centres need as many patches that differ, "
                f"{len(self._rows):,} training images give {len(drawn):,}; give it more images"
            )
        start = drawn[torch.randperm(len(drawn), generator=generator)[:CENTRES]]
        centres = _k_means(patches, start, self._told)
        parts = {"patch": mean, "whitening": whitening, "centres": centres}
        order = self._rows[torch.randperm(len(self._rows), generator=generator)]
        sums = torch.cat([_sums(x, parts) for x in self._read(order[:STANDARDISED_BY])]).double()
        parts["mean"] = sums.mean(0).float()
        parts["deviation"] = sums.std(0, correction=0).clamp_min(1e-3).float()
        return torch.cat([parts[name].flatten() for name in _SHAPES])

    def _some_patches(self, generator: torch.Generator) -> Tensor:
        """Draw equally many patches of every training image, normalised, float32 (n, 108)."""
        each = max(1, -(-PATCHES // len(self._rows)))
        order = torch.randperm(len(self._rows), generator=generator)[:PATCHES]
        found = []
        for images in self._read(self._rows[order].sort().values):
            patches = _patches(images)  # (B, L, 108)
            at = torch.rand(patches.shape[:2], generator=generator).argsort(1)[:, :each]
            found.append(patches.gather(1, at[..., None].expand(-1, -1, DIM)).flatten(0, 1))
        return torch.cat(found)

    def _read(self, rows: Tensor) -> Iterator[Tensor]:
        """Read images as the network sees them, some at a time, on the CPU."""
        assert self._images is not None
        for part in rows.split(128):
            yield self.square(self._images.read(part).cpu())

    def _told(self, done: int) -> None:
        self._progress(f"{self.name}: k-means", done, ROUNDS)


_SHAPES: dict[str, tuple[int, ...]] = {
    "patch": (DIM,),
    "whitening": (DIM, DIM),
    "centres": (CENTRES, DIM),
    "mean": (4, CENTRES),
    "deviation": (4, CENTRES),
}
"""What is learnt, in the order in which `KMeansPatches.weights` holds it."""


def _parts(weights: Tensor) -> dict[str, Tensor]:
    """Take `KMeansPatches.weights` apart."""
    sizes = list(map(math.prod, _SHAPES.values()))
    rows = weights.split(sizes)
    return {name: row.view(_SHAPES[name]) for name, row in zip(_SHAPES, rows, strict=True)}


def _patches(images: Tensor) -> Tensor:
    """All patches of images, each less its mean and over its deviation, (B, L, 108)."""
    patches = F.unfold(images, SIDE).mT
    variance, mean = torch.var_mean(patches, -1, correction=0, keepdim=True)
    return (patches - mean) / (variance + CONTRAST).sqrt()


def _whitening(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (108,) of patches, and the matrix (108, 108) that makes their covariance nearly 1."""
    mean = patches.mean(0, dtype=torch.float64)
    scatter = torch.zeros(DIM, DIM, dtype=torch.float64)
    for part in patches.split(_ROWS):
        centred = part - mean
        scatter += centred.T @ centred
    values, vectors = torch.linalg.eigh(scatter / len(patches))
    matrix = vectors / (values.clamp_min(0) + WHITENING).sqrt() @ vectors.T
    return mean.float(), matrix.float()


def _k_means(patches: Tensor, centres: Tensor, told: Callable[[int], None]) -> Tensor:
    """Move centres to the mean of their patches until none moves; one without patches stays."""
    own = torch.full((len(patches),), -1)
    for done in range(1, ROUNDS + 1):
        norms = centres.square().sum(1) / 2
        nearest = torch.cat(
            [
                torch.addmm(norms, part, centres.T, alpha=-1).argmin(1)
                for part in patches.split(_ROWS)
            ]
        )
        told(done)
        if torch.equal(nearest, own):
            break
        own = nearest
        counts = own.bincount(minlength=CENTRES)
        sums = torch.zeros(CENTRES, DIM, dtype=torch.float64).index_add_(0, own, patches.double())
        moved = (sums / counts[:, None].clamp_min(1)).float()
        centres = torch.where(counts[:, None] > 0, moved, centres)
    return centres


def _sums(images: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
    """Sum the activations of the patches of each quadrant, (B, 3, S, S) -> (B, 4, K)."""
    with torch.autocast(images.device.type, enabled=False):
        return torch.cat([_sums_of_few(few, parts) for few in images.split(_IMAGES)])


def _sums_of_few(images: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
    patches = (_patches(images) - parts["patch"]) @ parts["whitening"]
    centres = parts["centres"]
    x = patches.flatten(0, 1)
    squares = torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2)
    z = squares.add_(x.square().sum(1, keepdim=True)).clamp_min_(0).sqrt_()
    f = z.neg_().sub_(z.mean(1, keepdim=True)).relu_()  # z is negated: mean - z
    side = images.shape[-1] - SIDE + 1
    half = (side + 1) // 2  # an odd row or column goes to the first
    first = (torch.arange(side, device=images.device) < half).float()
    ends = torch.stack([first, 1 - first])  # (2, side)
    grid = f.view(len(images), side, side, -1)
    return torch.einsum("ay,bx,nyxk->nabk", ends, ends, grid).flatten(1, 2)
