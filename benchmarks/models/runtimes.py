"""A model for other programs: NumPy alone, faiss, ONNX; each checked against torch.

A head of linear layers with ReLUs between them, which most methods have, goes everywhere; what else
a method computes goes into ONNX alone.
"""

from __future__ import annotations

import inspect
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.features.base import Backbone
from benchmarks.models import numpy_encoder
from benchmarks.models.config import ModelError
from benchmarks.models.folder import ENCODER, HEAD, Model
from benchmarks.models.numpy_encoder import scores as numpy_scores
from datasets.errors import need
from methods.base import HashMethod

SURE = 1e-4
"""Scores of at least this absolute value must get the same bit everywhere."""

Head = dict[str, NDArray[np.float32]]


def linear_layers(method: HashMethod) -> Head | None:
    """Read a method's head as linear layers with ReLUs between them; None if it is something else.

    Returns
    -------
    dict of str to ndarray, float32
        ``mean`` (D,), and of each layer ``weight0`` (out, in) and ``bias0`` (out,), ``weight1``...
    """
    head_of = getattr(method, "head", None)
    modules = list(head_of) if isinstance(head_of, nn.Sequential) else [head_of]
    kinds = [type(module) for module in modules if not isinstance(module, nn.Identity)]
    if kinds != [nn.Linear, *[nn.ReLU, nn.Linear] * (len(kinds) // 2)]:
        return None
    mean = getattr(method, "mu", torch.zeros(method.in_dim))
    head = {"mean": mean.detach().float().cpu().numpy()}
    for place, layer in enumerate(m for m in modules if isinstance(m, nn.Linear)):
        bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
        head[f"weight{place}"] = layer.weight.detach().float().cpu().numpy()
        head[f"bias{place}"] = bias.detach().float().cpu().numpy()
    return head


def numpy_files(model: Model) -> dict[str, bytes]:
    """Return ``encode.py`` and ``head.npz``, which need NumPy alone; nothing where no head fits.

    The golden inputs come out the same.
    """
    head = linear_layers(model.method) if model.method.consumes == "features" else None
    if head is None:
        return {}
    golden = model.golden
    if not _same_bits(numpy_scores(golden["golden.inputs"].numpy(), head), golden["golden.scores"]):
        return {}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **head)
    return {HEAD: file.getvalue(), ENCODER: inspect.getsource(numpy_encoder).encode()}


def faiss_file(model: Model) -> bytes:
    """Return ``hash.faiss``: a linear head as an index of faiss, floats in, Hamming distances out.

    faiss sets a bit where a score is >= 0 and we where it is > 0. The index therefore holds the
    complement of each code, by weights of the other sign: every Hamming distance is the same, and
    no bit is decided otherwise.

    Raises
    ------
    ModelError
        If faiss is not installed, or the head is not one linear layer.
    """
    head = linear_layers(model.method)
    if head is None or "weight1" in head or model.method.consumes != "features":
        raise ModelError(
            f"model {model.config.method}: faiss takes a head of one linear layer, as itq, lsh or "
            "pcah have; export it with --onnx"
        )
    need(ModelError, "hash.faiss", "faiss")
    import faiss

    weight, bits = head["weight0"], model.config.bits
    bias = head["bias0"] - weight @ head["mean"]
    transform = faiss.LinearTransform(model.config.in_dim, bits, True)
    faiss.copy_array_to_vector(np.ascontiguousarray(-weight).ravel(), transform.A)
    faiss.copy_array_to_vector(np.ascontiguousarray(-bias), transform.b)
    transform.is_trained = True
    index = faiss.IndexPreTransform(transform, faiss.IndexLSH(bits, bits, False, False))
    index.is_trained = True
    data: bytes = faiss.serialize_index(index).tobytes()
    return data


def onnx_file(model: Model, network: Backbone | None = None, images: Tensor | None = None) -> bytes:
    """Return ``model.onnx``: from images, or from features where the model knows none, to scores.

    Images are float32 (N, 3, S, S) in [0, 1], already resized to the backbone's input.

    Parameters
    ----------
    network : Backbone, optional
        What the model sees images through, see `Model.network`; None where it knows none.
    images : Tensor, float32, shape (n, 3, S, S), optional
        Real ones, to check the two networks by.

    Raises
    ------
    ModelError
        If onnx is not installed, the network cannot be exported, or a sure bit differs.
    """
    need(ModelError, "model.onnx", "onnx", "onnxruntime", "onnxscript")
    import onnxruntime

    if network is None or images is None:
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(4, model.config.in_dim, generator=generator)
        scores: nn.Module = _OfFeatures(model.method)
    else:
        scores, example = _OfImages(model.method, network), images
    scores.eval()
    batch = torch.export.Dim.DYNAMIC
    try:
        program: Any = torch.onnx.export(
            scores,
            (example,),
            input_names=["input"],
            output_names=["scores"],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:
        raise ModelError(
            f"model {model.config.method}: torch cannot export it ({type(error).__name__})"
        ) from error
    data: bytes = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(["scores"], {"input": example.numpy()})[0]
    with torch.no_grad():
        expected = scores(example)
    if not _same_bits(found, expected):
        raise ModelError(
            f"model {model.config.method}: its bits come out otherwise in ONNX Runtime; leave "
            "--onnx out"
        )
    return data


class _OfImages(nn.Module):
    """From images in [0, 1] to scores."""

    def __init__(self, method: HashMethod, backbone: Backbone) -> None:
        super().__init__()
        self.network = getattr(backbone, "network", None)  # its weights
        self.method = method
        self._inputs = getattr(backbone, method.consumes)

    def forward(self, images: Tensor) -> Tensor:
        return self.method.project(self._inputs(images))


class _OfFeatures(nn.Module):
    """From features to scores."""

    def __init__(self, method: HashMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, x: Tensor) -> Tensor:
        return self.method.project(x)


def _same_bits(found: NDArray[Any], expected: Tensor) -> bool:
    sure = expected.abs().numpy() > SURE
    return bool(((found > 0) == (expected.numpy() > 0))[sure].all())
