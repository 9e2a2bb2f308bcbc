"""The model card: what a model is, where it comes from, and how to use it."""

from __future__ import annotations

from methods.base import HashMethod
from results.store.record import RunRecord
from results.tables.markup import markdown_escape

_LICENCE = {
    "efficientnet_lite0": "weights of the backbone: Apache 2.0",
    "pixels": "no backbone",
    "kmeans_patches": "the backbone was learnt from the training images",
}


_SEEN = {
    "none": "without labels",
    "captions": "without labels, from captions",
    "hierarchy": "without labels of images, from a hierarchy of classes",
    "n_classes": "without labels, told the number of classes",
    "nouns": "without labels, from a bank of nouns",
    "class_names": "without labels of images, from the names of the classes",
}
"""What a method learnt from, by `HashMethod.supervision`."""


def model_card(record: RunRecord, method: HashMethod, row: str = "") -> str:
    """Write ``README.md`` of a model.

    Parameters
    ----------
    record : RunRecord
        Of the cell that trained it.
    method : HashMethod
        What was trained.
    row : str
        Its row of a leaderboard, as Markdown.
    """
    metric = record.metric
    numbers = [
        f"| {markdown_escape(key)} | {record.metrics[key]:.4f} |"
        for key in (metric, "mAP")
        if key in record.metrics
    ]
    licence = _LICENCE.get(record.backbone.partition("@")[0], "licence of the backbone: see timm")
    names = [record.dataset, record.protocol, record.backbone]
    where = " / ".join(map(markdown_escape, names))
    return "\n".join(
        [
            "---",
            "library_name: hashbench",
            "tags: [hashing, image-retrieval]",
            "---",
            f"# {markdown_escape(method.title)}, {record.bits} bits",
            "",
            f"Paper: {markdown_escape(method.paper)}",
            "",
            f"Trained {_SEEN[method.supervision]} on {where}, seed {record.seed}.",
            f"Split: {markdown_escape(str(record.protocol_info['rule']))}.",
            "",
            "| metric | this model |",
            "| --- | ---: |",
            *numbers,
            "",
            *([row, ""] if row else []),
            "## Use",
            "",
            "```python",
            "from benchmarks import Hasher",
            "",
            'hasher = Hasher.load("FOLDER")',
            f'codes = hasher.encode(["image.jpg"])  # uint8 (1, {-(-record.bits // 8)})',
            "```",
            "",
            "The first bit of a code is the highest bit of its first byte, as `numpy.packbits`",
            "writes it; `benchmarks.models.to_faiss` gives the order of faiss.",
            "",
            f"Terms: {licence}; the data set has its own.",
            "",
        ]
    )
