"""A model on disk: what a cell of a grid learnt, in the layout of the Hugging Face hub.

=======================  ==========================================================================
``model.safetensors``    weights of the method, and of the backbone where it was trained too
``config.json``          method, hyper-parameters, backbone, preprocessing, code length, origin,
                         and the SHA-256 of the other files
``golden.safetensors``   eight inputs and their scores, checked whenever the model is loaded
``README.md``            the model card
=======================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from benchmarks.features.backbones import backbone
from benchmarks.features.base import Backbone, BackboneError
from benchmarks.features.extraction import extraction_digest
from benchmarks.features.kmeans_patches import WEIGHTS as PATCHES
from benchmarks.features.kmeans_patches import KMeansPatches
from benchmarks.models.card import model_card
from benchmarks.runner.repeat_record import stored_method
from datasets.errors import one_line
from methods.base import HashMethod
from results.store.files import write_atomic
from results.store.record import RunRecord

FORMAT = 1
CONFIG, WEIGHTS, GOLDEN, CARD = (
    "config.json",
    "model.safetensors",
    "golden.safetensors",
    "README.md",
)
SURE = 1e-3
"""Scores this close to 0, in standard deviations of the golden ones, may round to either side."""


class ModelError(Exception):
    """A model that cannot be written or read; the message is one line meant for the user."""


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` holds.

    Attributes
    ----------
    format : int
        Of this layout.
    method, bits, seed, dataset, protocol, backbone : str or int
        Names of the cell that the model comes from, see `results.store.run_key.RunKey`.
    record : str
        Digest of the cell, 64 hexadecimal digits.
    settings : dict
        All that shaped the cell's numbers, see `benchmarks.grid.cells.Cell.settings`.
    in_dim : int
        Width D of what the method takes.
    image_size : int or None
        Side, in pixels, that images are decoded to before the backbone resizes them; None where
        the data set had no images.
    versions : dict
        Libraries by name.
    sha256 : dict
        Of the files beside, by name.
    """

    format: int
    method: str
    bits: int
    seed: int
    dataset: str
    protocol: str
    backbone: str
    record: str
    settings: dict[str, Any]
    in_dim: int
    image_size: int | None
    versions: dict[str, str]
    sha256: dict[str, str]


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
    patches : Tensor or None, float32, shape (n,)
        What a backbone learnt from the training images, see `KMeansPatches.weights`.
    """

    method: HashMethod
    config: ModelConfig
    weights: Mapping[str, Tensor]
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
        settings = self.config.settings
        if self.config.image_size is None:
            raise ModelError(
                f"model {self.config.method}: it was trained on features and knows no images; "
                "give features to encode"
            )
        wanted = settings["backbone"]
        try:
            found = backbone(name or wanted["name"], wanted["input_size"], wanted["resize"])
            if isinstance(found, KMeansPatches) and self.patches is not None:
                found = found.restored(self.patches, wanted["digest"])
            digest = found.digest
        except BackboneError as error:
            raise ModelError(f"model {self.config.method}: {error}") from error
        if digest != wanted["digest"] or settings["extraction"] != extraction_digest():
            what = "its weights" if digest != wanted["digest"] else "the code around it"
            raise ModelError(
                f"model {self.config.method}: backbone {found.label} gives other features here, "
                f"for {what} differ from those that the model was trained on; export the model "
                "again, or install the version that made it"
            )
        if self.weights:
            found, weights = found.trainable(), [self.weights[key] for key in sorted(self.weights)]
            for parameter, value in zip(found.parameters(), weights, strict=True):
                parameter.data.copy_(value)
        return found


def save_model(
    folder: Path, record: RunRecord, learnt: Mapping[str, Tensor], card: str = ""
) -> None:
    """Write a model; a folder that holds one is replaced, its config last.

    Parameters
    ----------
    folder : Path
    record : RunRecord
        Of the cell that trained it.
    learnt : mapping from str to Tensor
        What `benchmarks.runner.fit_and_encode.learnt` says of it.
    card : str
        Lines of the leaderboard that the model card shows.

    Raises
    ------
    ModelError
        If the folder cannot be written.
    """
    parts: dict[str, dict[str, Tensor]] = {WEIGHTS: {}, GOLDEN: {}}
    for name, value in learnt.items():
        if name != "image_size":
            parts[GOLDEN if name.startswith("golden.") else WEIGHTS][name] = value
    files = {name: safetensors.torch.save(tensors) for name, tensors in parts.items()}
    size = learnt.get("image_size")
    config = ModelConfig(
        FORMAT,
        **vars(record.key),
        record=record.digest,
        settings=record.settings,
        in_dim=learnt["golden.inputs"].shape[-1],
        image_size=None if size is None else int(size),
        versions=record.versions,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    files[CARD] = model_card(record, card).encode()
    files[CONFIG] = json.dumps(asdict(config), indent=1).encode()
    try:
        for name, data in files.items():
            write_atomic(folder / name, data)
    except OSError as error:
        raise ModelError(f"model folder {folder}: {error.strerror}; choose another") from error


def load_model(folder: Path) -> Model:
    """Read a model and check it whole.

    Raises
    ------
    ModelError
        If a file is missing or altered, the method is another one here, or the golden inputs get
        other codes.
    """
    config = _config(folder)
    tensors = {name: _tensors(folder, name, config) for name in (WEIGHTS, GOLDEN)}
    state: dict[str, dict[str, Tensor]] = {"method": {}, "backbone": {}}
    patches = tensors[WEIGHTS].pop(PATCHES, None)
    for name, value in tensors[WEIGHTS].items():
        part, _, rest = name.partition(".")
        state.setdefault(part, {})[rest] = value
    method = _method(folder, config)
    try:
        _restore(method, state["method"])
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"model folder {folder}: {WEIGHTS}: {one_line(error)}") from error
    model = Model(method.eval(), config, state["backbone"], patches)
    _check_golden(folder, model, tensors[GOLDEN])
    return model


def _config(folder: Path) -> ModelConfig:
    try:
        data = json.loads((folder / CONFIG).read_text())
        if data["format"] != FORMAT:
            raise ModelError(
                f"model folder {folder}: format {data['format']}, this version reads {FORMAT}; "
                "export the model again"
            )
        return ModelConfig(**{f.name: data[f.name] for f in fields(ModelConfig)})
    except FileNotFoundError as error:
        raise ModelError(
            f"model folder {folder}: no {CONFIG}; write one with benchmarks.export"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"model folder {folder}: {CONFIG} cannot be read ({one_line(error)}); export the model "
            "again"
        ) from error


def _tensors(folder: Path, name: str, config: ModelConfig) -> dict[str, Tensor]:
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
    found: dict[str, Tensor] = safetensors.torch.load(data)
    return found


def _method(folder: Path, config: ModelConfig) -> HashMethod:
    settings = config.settings["method"]
    spec = stored_method(settings, config.bits)
    if spec.settings(config.bits)["source"] != settings["source"]:
        raise ModelError(
            f"model folder {folder}: made by another version of {config.method}; export the model "
            "again, or install the version that made it"
        )
    with torch.random.fork_rng(devices=[]):  # what it draws is overwritten
        return spec.cls(config.in_dim, config.bits, **spec.params)


def _restore(method: HashMethod, state: Mapping[str, Tensor]) -> None:
    """Load weights; buffers, such as anchors, take the size that training gave them."""
    for name, _ in list(method.named_buffers()):
        owner, _, last = name.rpartition(".")
        method.get_submodule(owner)._buffers[last] = torch.empty_like(state[name])
    method.load_state_dict(dict(state))


def _check_golden(folder: Path, model: Model, golden: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        scores = model.method.project(golden["golden.inputs"])
    expected = golden["golden.scores"]
    sure = expected.abs() > SURE * expected.std()
    wrong = int(((scores > 0) != (expected > 0))[sure].sum())
    if wrong:
        raise ModelError(
            f"model folder {folder}: {wrong} of {int(sure.sum())} bits of the golden inputs come "
            "out otherwise here; export the model again on this machine"
        )
