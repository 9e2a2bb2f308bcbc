"""A frozen network on a CPU by ONNX Runtime, which needs less time for it than torch there.

The folded network is exported once, for any number of images, and kept as a file. The first images
are computed by torch too: the two have to agree, or else torch computes all of them.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.features.base import Backbone, BackboneError, Kind
from datasets.digests import code_digest
from datasets.errors import one_line
from results.store.files import write_atomic

CLOSE = 1e-4
"""Share of its largest number by which an output may differ from torch's: float16, in which
features are kept, rounds by 5e-4."""
_AT_ONCE = 8
"""Images for each thread at a time: what layers hand on then stays in the cache."""
_LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
_KINDS: tuple[Kind, Kind] = ("features", "tokens")

Say = Callable[[str], object]


def unheard(text: str) -> None:
    """Tell nobody."""


@cache
def onnx_digest() -> str:
    """SHA-256 of the code of this module, part of the key of what it computes."""
    return code_digest(inspect.getsource(sys.modules[__name__]))


def is_for(backbone: Backbone, device: torch.device) -> bool:
    """Whether ONNX Runtime computes a backbone on a device, as far as can be told beforehand."""
    return device.type == "cpu" and backbone.is_network and all(map(find_spec, _LIBRARIES))


def quickest(backbone: Backbone, device: torch.device, folder: Path, say: Say) -> Backbone:
    """Choose what is to compute a frozen backbone on a device.

    Parameters
    ----------
    backbone : Backbone
    device : torch.device
    folder : Path
        Where exported networks are kept.
    say : callable
        Told, in a line, how far ONNX Runtime and torch differ, or why torch computes.

    Returns
    -------
    Backbone
        Itself, or an `OnnxBackbone`.
    """
    return OnnxBackbone(backbone, folder, say) if is_for(backbone, device) else backbone


class OnnxBackbone(Backbone):
    """A backbone, frozen, as ONNX Runtime computes it on as many threads as torch has.

    Parameters are those of `quickest`.
    """

    def __init__(self, backbone: Backbone, folder: Path, say: Say) -> None:
        super().__init__(backbone.name, backbone.input_size)
        self._given, self._torch, self._say = backbone, backbone.frozen(), say
        self._is_checked = False
        self._at_once = _AT_ONCE * torch.get_num_threads()
        self._session: Any = None  # onnxruntime ships no types
        self._outputs: set[str] = set()
        try:
            self._session = self._open(folder)
            self._outputs = {output.name for output in self._session.get_outputs()}
        except Exception as error:  # an exporter meets a network that it was not made for
            say(f"{self.label}: torch computes it, for it cannot be exported ({one_line(error)})")

    @property
    def label(self) -> str:
        """That of the backbone."""
        return self._given.label

    @property
    def digest(self) -> str:
        """That of the backbone: which numbers it gives is said by `is_for`, beside it."""
        return self._given.digest

    def square(self, images: Tensor) -> Tensor:
        """Bring whole images to the input, see `Backbone.square`."""
        return self._given.square(images)

    def to(self, device: torch.device) -> Backbone:
        """Return itself: it is on the CPU."""
        return self

    def frozen(self) -> Backbone:
        """Return itself: it is frozen."""
        return self

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, see `Backbone.features`."""
        return self._compute(images, ["features"])[0]

    def tokens(self, images: Tensor) -> Tensor:
        """Features of parts, see `Backbone.tokens`."""
        return self._compute(images, ["tokens"])[0]

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and tokens of one pass."""
        features, tokens = self._compute(images, _KINDS)
        return features, tokens

    def _compute(self, images: Tensor, kinds: Sequence[Kind]) -> Sequence[Tensor]:
        if self._session is not None and not self._is_checked:
            self._check(images[: self._at_once])
        if self._session is None or not self._outputs.issuperset(kinds):
            if len(kinds) > 1:
                return self._torch.both(images)
            return [getattr(self._torch, kind)(images) for kind in kinds]
        parts = [
            self._session.run(list(kinds), {"images": part.contiguous().numpy()})
            for part in images.split(self._at_once)
        ]
        return [torch.cat(list(map(torch.from_numpy, kind))) for kind in zip(*parts, strict=True)]

    def _check(self, images: Tensor) -> None:
        """Compare the two on some images, and leave it to torch where they do not agree."""
        self._is_checked = True
        names = sorted(self._outputs)
        try:
            found = self._session.run(names, {"images": images.contiguous().numpy()})
        except Exception as error:  # the runtime meets what the exporter let pass
            self._session = None
            reason = f"ONNX Runtime fails ({one_line(error)})"
            self._say(f"{self.label}: torch computes it, for {reason}")
            return
        expected = [getattr(self._torch, name)(images) for name in names]
        gaps = [
            float((torch.from_numpy(values) - numbers).abs().max())
            for values, numbers in zip(found, expected, strict=True)
        ]
        bounds = [CLOSE * float(numbers.abs().max()) for numbers in expected]
        told = f"{self.label}: ONNX Runtime and torch differ by at most {max(gaps):.1e}"
        if all(gap <= bound for gap, bound in zip(gaps, bounds, strict=True)):
            self._say(told)
        else:
            self._session = None
            self._say(f"{told}, and not {min(bounds):.1e}; torch computes it")

    def _open(self, folder: Path) -> Any:
        """Open the exported network, or export it and keep it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors

        def session(model: bytes) -> Any:
            providers = ["CPUExecutionProvider"]
            return onnxruntime.InferenceSession(model, options, providers=providers)

        key = f"{self.digest} {self.input_size} {onnx_digest()} {torch.__version__}"
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.onnx"
        if path.is_file():
            try:
                return session(path.read_bytes())
            except Exception:  # torn, or of another version: it is made anew
                path.unlink(missing_ok=True)
        model = exported(self._torch)
        write_atomic(path, model)
        return session(model)


def exported(frozen: Backbone) -> bytes:
    """Export a frozen network: images (B, 3, S, S) to features and, where it has some, tokens."""
    size = frozen.input_size
    assert size is not None, "a network has an input size"
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    kinds = list(_KINDS)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter
        try:
            frozen.tokens(images)
        except BackboneError:
            kinds = ["features"]
        program = torch.onnx.export(
            _Outputs(frozen, kinds).eval(),
            (images,),
            input_names=["images"],
            output_names=kinds,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: bytes = program.model_proto.SerializeToString()
    return model


class _Outputs(nn.Module):
    """What a backbone gives, as the forward pass of a module."""

    def __init__(self, backbone: Backbone, kinds: Sequence[Kind]) -> None:
        super().__init__()
        self.network = backbone.network  # type: ignore[attr-defined]  # its weights
        self._backbone, self._kinds = backbone, kinds

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if len(self._kinds) > 1:
            return self._backbone.both(images)
        return (self._backbone.features(images),)
