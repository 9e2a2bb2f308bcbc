"""Make a model folder from a stored record: weights, config, card.

Where the head is linear layers on features, encode.py beside them hashes features with NumPy alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import OK, SOME_FAILED, Parser, fail, run_command
from datasets.arguments import add_data_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if training again gave other codes."""
    parser = Parser("benchmarks.export", __doc__)
    add = parser.add_argument
    add("record", type=Path, metavar="RECORD.json")
    add("--to", type=Path, required=True, metavar="DIR", help="folder of the model")
    add("--onnx", action="store_true", help="write model.onnx too: images to scores")
    add("--faiss", action="store_true", help="write hash.faiss too, of a linear head")
    add("--dataset", metavar="NAME/PROTOCOL", help="default: the record's; your own: KIND:PATH")
    add("--method", metavar="FILE.py:CLASS", help="where the record is of a method from outside")
    add("--backbone", metavar="timm:MODEL=FILE", help="where its weights are a file")
    add("--texts", type=Path, metavar="FILE", help="where it learnt from texts")
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    add("--deterministic", action="store_true", help="torch's strict mode")
    add_data_arguments(parser)
    options = parser.parse_args(arguments)
    from benchmarks.models.config import ModelError
    from benchmarks.models.export_record import export  # loads torch
    from benchmarks.runner.repeat_record import USER_ERRORS

    try:
        changes = export(options)
    except (*USER_ERRORS, ModelError) as error:
        return fail(error)
    for line in changes:
        sys.stderr.write(f"differs: {line}\n")
    sys.stdout.write(f"{options.to}\n")
    return SOME_FAILED if changes else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
