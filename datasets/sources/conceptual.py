"""Conceptual Captions: images of the web and the text that described them there.

Google's files hold a caption and a URL a line; whoever wants the images fetches them. Many URLs are
dead, so a copy is never complete: the rows are those whose image is there, in the order of the
files, and need ``--allow-missing``. The validation file asks, the training file answers.

An image lies in ``images/<SHA-256 of its URL>``, with any ending or none. The URL and not
the number of the row names it, because the former stays with the image when lines are dropped,
sorted or split into shards, and the captions of other images can never slip in.

There are no labels. By a rule of our own two images are relevant to each other if their captions
share one of the `N_WORDS` words that are in most captions of both files, stop words left out
(scikit-learn's English list, and what has fewer than three letters). A caption without any of them
has no label.

References
----------
P. Sharma, N. Ding, S. Goodman, R. Soricut, "Conceptual Captions: A cleaned, hypernymed, image
alt-text dataset for automatic image captioning", ACL 2018.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, one_line
from datasets.files.images import EncodedImages, FileItems
from datasets.files.places import Place
from datasets.labels import Labels
from datasets.protocols.protocol import Protocol_

PLACE = Place(
    "conceptual_captions",
    ("conceptual_captions", "cc3m"),
    "ai.google.com/research/ConceptualCaptions",
)
FILES = {"train": "Train_GCC-training.tsv", "test": "Validation_GCC-1.1.0-Validation.tsv"}
N_WORDS = 200
_WORD = re.compile(r"[a-z]{3,}")


def load_conceptual_captions(protocol: Protocol_, options: LoadOptions) -> Contents:
    """Read the captions of the images that are there; the images stay encoded.

    Parameters
    ----------
    protocol : Protocol_
        One of ``PROTOCOLS["conceptual_captions"]``.
    options : LoadOptions
        Below its `data_root`: both files and ``images``.

    Returns
    -------
    Contents
        A row for each image that is there, 200 labels, one caption each.

    Raises
    ------
    DatasetError
        If a file is absent or has lines of another form, or images are missing and that is not
        allowed.
    """
    root = PLACE.find(options.data_root, *FILES.values(), "images")
    there = {file.name.partition(".")[0]: file.name for file in os.scandir(root / "images")}
    counts: Counter[str] = Counter()
    names: list[str] = []
    captions: list[str] = []
    parts = {}
    n_lines = 0
    for part, file in FILES.items():
        start = len(names)
        for caption, url in _lines(root / file):
            n_lines += 1
            counts.update(words_of(caption))
            # Once only: a URL that comes again would put an image among queries and database.
            name = there.pop(hashlib.sha256(url.encode()).hexdigest(), None)
            if name is not None:
                names.append(f"images/{name}")
                captions.append(caption)
        parts[part] = torch.arange(start, len(names))
    missing = n_lines - len(names)
    if not names or (missing and not options.allow_missing):
        raise DatasetError(
            f"{protocol.label}: {missing:,} of {n_lines:,} images are missing below "
            f"{root / 'images'}, where an image is named by the SHA-256 of its URL; "
            "--allow-missing goes on with those that are there, if any"
        )
    words, labels = _labels(captions, counts)
    return Contents(
        labels=Labels.of(labels),
        images=EncodedImages(FileItems(root, names)),
        parts=parts,
        classes=words,
        captions=[(caption,) for caption in captions],
        notes=(f"{missing:,} of {n_lines:,} images are not there",),
    )


def words_of(caption: str) -> set[str]:
    """Content words of a caption.

    Examples
    --------
    >>> sorted(words_of("A man in the red car , by a red barn"))
    ['barn', 'car', 'man', 'red']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return {w for w in _WORD.findall(caption.lower()) if w not in ENGLISH_STOP_WORDS}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Captions and URLs."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                caption, tab, url = line.rstrip("\r\n").partition("\t")
                if not caption.strip() or not tab or not url or "\t" in url:
                    raise DatasetError(
                        f"{path} line {number}: expected a caption, a tab and a URL, "
                        f"got {line[:60]!r}"
                    )
                yield caption, url
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)})") from error


def _labels(captions: list[str], counts: Counter[str]) -> tuple[tuple[str, ...], Tensor]:
    """Words in most captions, in the order of the alphabet, and which caption has which."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:N_WORDS]
    words = tuple(sorted(word for word, _ in most))
    column = {word: c for c, word in enumerate(words)}
    labels = torch.zeros(len(captions), len(words), dtype=torch.bool)
    for row, caption in enumerate(captions):
        labels[row, [column[word] for word in words_of(caption) if word in column]] = True
    return words, labels
