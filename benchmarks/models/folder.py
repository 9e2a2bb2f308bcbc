"""A model on disk: what a cell of a grid learnt, in the layout of the Hugging Face hub.

=======================  ==========================================================================
``golden.safetensors``   eight inputs and their scores, checked whenever the model is loaded
``model.safetensors``    weights of the method, and of the backbone where it was trained too
``config.json``          method, hyper-parameters, backbone, preprocessing, code length, origin,
                         and the SHA-256 of the other files
``README.md``            the model card
=======================  ==========================================================================

Files for other programs lie beside them, see `benchmarks.models.runtimes`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone, Resize
from benchmarks.features.extraction import extraction_digest
from benchmarks.features.kmeans_patches import WEIGHTS as PATCHES
from benchmarks.features.kmeans_patches import KMeansPatches
from benchmarks.models.config import CONFIG, FORMAT, ModelConfig, ModelError, as_exported
from benchmarks.models.room import require_room
from benchmarks.runner.repeat_record import stored_method
from benchmarks.training.restore import restore
from datasets.errors import DatasetError, one_line
from methods.base import HashMethod
from results.store.files import write_atomic
from results.store.record import RunRecord

GOLDEN, WEIGHTS, CARD = "golden.safetensors", "model.safetensors", "README.md"
ENCODER, HEAD, FAISS, ONNX = "encode.py", "head.npz", "hash.faiss", "model.onnx"
FILES = (GOLDEN, WEIGHTS, ENCODER, HEAD, FAISS, ONNX, CARD, CONFIG)
"""In the order in which they are written: the first says whose folder it is, the last that it is
whole."""
READ = (WEIGHTS, GOLDEN)
"""Files that `load_model` needs beside the config."""
SURE = 1e-3
"""Scores this close to 0, in standard deviations of the golden ones, may round to either side."""

OURS = ("all",)
"""Methods of which a model is loaded unless others are named."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained method with what is known of it.

    Attributes
    ----------
    method : HashMethod
        On the CPU.
    config : ModelConfig
    weights : dict of str to Tensor
        Of the backbone, where it was trained too; else empty.
    golden : dict of str to Tensor
        ``golden.inputs``, float32 (n, ...), and their ``golden.scores``, float32 (n, K).
    patches : Tensor or None, float32, shape (n,)
        What a backbone learnt from the training images, see `KMeansPatches.weights`.
    """

    method: HashMethod
    config: ModelConfig
    weights: Mapping[str, Tensor]
    golden: Mapping[str, Tensor]
    patches: Tensor | None = None

    def network(self, name: str | None = None) -> Backbone:
        """Build the backbone that the model was trained on.

        Parameters
        ----------
        name : str, optional
            Where its weights lie in a file here, as ``timm:MODEL=FILE``.

        Raises
        ------
        ModelError
            If it had none, its weights cannot be had or are others, or the code between images and
            features has changed since.
        """
        who = f"model {self.config.method}"
        if self.config.image_size is None:
            raise ModelError(
                f"{who}: it was trained on features and knows no images; give features to encode"
            )
        try:
            with as_exported(who):
                return self._network(who, name)
        except DatasetError as error:
            raise ModelError(f"{who}: {error}") from error

    def _network(self, who: str, name: str | None) -> Backbone:
        settings = self.config.settings
        wanted = settings["backbone"]
        if wanted["resize"] not in get_args(Resize):
            raise ValueError(f"resize is {wanted['resize']!r}")
        found = backbone(name or wanted["name"], wanted["input_size"], wanted["resize"])
        if isinstance(found, KMeansPatches) and self.patches is not None:
            found = found.restored(self.patches, wanted["digest"])
        other_weights = found.digest != wanted["digest"]
        if other_weights or settings["extraction"] != extraction_digest():
            what = "its weights" if other_weights else "the code around it"
            raise ModelError(
                f"{who}: backbone {found.label} gives other features here, for {what} differ from "
                "those that the model was trained on; export the model again, or install the "
                "version that made it"
            )
        if self.weights:
            found, weights = found.trainable(), [self.weights[key] for key in sorted(self.weights)]
            for parameter, value in zip(found.parameters(), weights, strict=True):
                parameter.data.copy_(value.reshape(parameter.shape))
        return found


def make_model(
    record: RunRecord, learnt: Mapping[str, Tensor], methods: Sequence[str] = OURS
) -> Model:
    """Make a model of what the cell of a record learnt.

    Parameters
    ----------
    record : RunRecord
    learnt : mapping from str to Tensor
        What `benchmarks.runner.fit_and_encode.learnt` says of it.
    methods : sequence of str
        The record's is one of them, see `benchmarks.grid.method_settings.chosen_methods`.

    Raises
    ------
    ModelError
        If the two do not belong together.
    """
    who = f"record of {record.method}"
    golden = {name: value for name, value in learnt.items() if name.startswith("golden.")}
    weights = {n: x for n, x in learnt.items() if n not in golden and n != "image_size"}
    with as_exported(who):
        size = learnt.get("image_size")
        config = ModelConfig(
            FORMAT,
            **vars(record.key),
            record=record.digest,
            settings=record.settings,
            in_dim=golden["golden.inputs"].shape[-1],
            image_size=None if size is None else int(size),
            versions=record.versions,
            sha256={},
        )
    return _built(who, config, weights, golden, methods)


def save_model(folder: Path, model: Model, more: Mapping[str, bytes]) -> None:
    """Write a model; a folder that holds another one is replaced, its config last.

    Parameters
    ----------
    folder : Path
    model : Model
    more : mapping from str to bytes
        The model card and files for other programs, by name.

    Raises
    ------
    ModelError
        If the folder cannot be written, or holds something else.
    """
    require_room(folder, "model folder", {GOLDEN})
    weights = {f"method.{name}": value for name, value in model.method.state_dict().items()}
    weights |= {f"backbone.{name}": value for name, value in model.weights.items()}
    weights |= {} if model.patches is None else {PATCHES: model.patches}
    files = {
        **more,
        GOLDEN: safetensors.torch.save(dict(model.golden)),
        WEIGHTS: safetensors.torch.save({n: x.contiguous() for n, x in weights.items()}),
    }
    # The card is for people, who may write in it.
    digests = {n: hashlib.sha256(data).hexdigest() for n, data in files.items() if n != CARD}
    files[CONFIG] = replace(model.config, sha256=digests).text().encode()
    try:
        for name in FILES:
            if name in files:
                write_atomic(folder / name, files[name])
            else:  # of the model before
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"model folder {folder}: {error.strerror}; choose another") from error


def load_model(folder: Path, methods: Sequence[str] = OURS) -> Model:
    """Read a model and check it whole.

    Parameters
    ----------
    folder : Path
    methods : sequence of str
        The model's is one of them, see `benchmarks.grid.method_settings.chosen_methods`.

    Raises
    ------
    ModelError
        If a file is missing or altered, the method is another one here, or the golden inputs get
        other codes.
    """
    config = ModelConfig.read(folder)
    who = f"model folder {folder}"
    for name in FILES[:-2]:
        if name not in READ and (folder / name).exists():
            _checked(folder, name, config)
    weights, golden = (_tensors(folder, name, config) for name in READ)
    return _built(who, config, weights, golden, methods)


def _checked(folder: Path, name: str, config: ModelConfig) -> bytes:
    """Return a file's bytes, which must be those that the config was written for."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ModelError(
            f"model folder {folder}: {name}: {error.strerror}; export the model again"
        ) from error
    if hashlib.sha256(data).hexdigest() != config.sha256.get(name):
        raise ModelError(
            f"model folder {folder}: {name} is not the file that {CONFIG} was written for; "
            "export the model again"
        )
    return data


def _tensors(folder: Path, name: str, config: ModelConfig) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = safetensors.torch.load(_checked(folder, name, config))
    except safetensors.SafetensorError as error:
        raise ModelError(
            f"model folder {folder}: {name}: {one_line(error)}; export the model again"
        ) from error
    return found


def _built(
    who: str,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    golden: Mapping[str, Tensor],
    methods: Sequence[str],
) -> Model:
    """Build a method with its weights; the golden inputs must get their codes."""
    parts: dict[str, dict[str, Tensor]] = {"method": {}, "backbone": {}}
    with as_exported(who):
        patches = weights.get(PATCHES)
        for name, value in weights.items():
            part, _, rest = name.partition(".")
            if name != PATCHES:
                parts[part][rest] = value
        x, expected = golden["golden.inputs"], golden["golden.scores"]
        # Sizes that the files bear out are sizes that there is room for.
        shapes = tuple(x.shape), tuple(expected.shape)
        if not len(x) or (shapes[0][-1], shapes[1]) != (config.in_dim, (len(x), config.bits)):
            raise ValueError(f"golden inputs {shapes[0]}, scores {shapes[1]}")
        if not expected.isfinite().all():
            raise ValueError("golden scores must be finite")
        method = _method(who, config, methods)
        restore(method, parts["method"])
        with torch.no_grad():
            scores = method.project(x)
        sure = expected.abs() > SURE * expected.std(correction=0)
        wrong = int(((scores > 0) != (expected > 0))[sure].sum())
        if wrong:
            raise ModelError(
                f"{who}: {wrong} of {int(sure.sum())} bits of the golden inputs come out otherwise "
                "here; export the model again on this machine"
            )
    return Model(method, config, parts["backbone"], golden, patches)


def _method(who: str, config: ModelConfig, methods: Sequence[str]) -> HashMethod:
    settings = config.settings["method"]
    with torch.random.fork_rng(devices=[]):  # what it draws is overwritten
        spec = stored_method(settings, config.bits, methods)
        if spec.settings(config.bits)["source"] != settings["source"]:
            raise ModelError(
                f"{who}: made by another version of {config.method}; export the model again, or "
                "install the version that made it"
            )
        return spec.cls(config.in_dim, config.bits, **spec.params).eval()
