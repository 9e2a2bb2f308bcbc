"""Flags that a call gives and that do nothing for some of its methods or data sets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.features.captions import DEFAULT_ENCODER
from benchmarks.features.texts import KINDS
from benchmarks.grid.method_settings import MethodSpec
from benchmarks.grid.tasks import Task


def idle_flags(
    options: argparse.Namespace, methods: Sequence[MethodSpec], tasks: Sequence[Task]
) -> Iterator[str]:
    """Say which of the flags that were given are passed over, and for what.

    Parameters
    ----------
    options : argparse.Namespace
        Flags of one grid.
    methods, tasks
        Of that grid; yardsticks take none of these flags, and are not named.

    Yields
    ------
    str
        ``--finetune for lsh, itq: they are closed forms``.
    """
    rows = [spec for spec in methods if spec.kind != "yardstick"]
    closed = ", ".join(spec.name for spec in rows if not spec.is_trained)
    for flag, given in (
        ("--finetune", options.finetune),
        ("--epochs", options.epochs is not None),
        ("--recipe", options.recipe == "common"),
        ("--views", options.views != "bank"),
        ("--matmul", options.matmul != "highest"),
    ):
        if given and closed:
            yield f"{flag} for {closed}: closed forms train without it"
    if options.text_encoder != DEFAULT_ENCODER and not any(
        spec.learns_from == "captions" for spec in rows
    ):
        yield "--text-encoder: no method here learns from captions"
    if options.texts is not None and not any(spec.learns_from in KINDS for spec in rows):
        yield "--texts: no method here learns from nouns or class names"
    without = ", ".join(
        task.data.protocol.label for task in tasks if task.data.features is not None
    )
    for flag, given in (
        ("--backbone", options.backbone is not None),
        ("--input-size", options.input_size is not None),
        ("--resize", options.resize != "stretch"),
    ):
        if given and without:
            yield f"{flag} for {without}: its features are given"
