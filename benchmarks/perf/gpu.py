"""Try on a GPU all that only a GPU can show: ``python -m benchmarks.perf.gpu``.

Nothing is downloaded, and it is done within ten minutes: tests that need CUDA, every method trained
there alone and as a stack, a fine-tuned cell, extraction in bfloat16, counts beside those of the
CPU, and the tables of speed. One Markdown file (``--out``) tells the machine, the versions, what
each printed, how long it took, and what failed. A step that fails stops none of the others.

Where there is no GPU it prints what it would run.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.command import OK, SOME_FAILED, Parser, run_command
from benchmarks.machine.environment import environment
from datasets.errors import printable

LIMIT = 600
"""Seconds of all steps."""
SHOWN = 60
"""Last lines of what a step printed."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Step:
    """A command line to run, with the seconds that it may take."""

    title: str
    module: str
    arguments: str
    limit: int

    @property
    def call(self) -> str:
        """What a user would type."""
        return f"python -m {self.module} {self.arguments}"


@dataclass(frozen=True)
class Outcome:
    """How a step ended: "ok", or what was wrong, and the lines that it printed."""

    step: Step
    verdict: str
    seconds: float
    lines: Sequence[str]


_CELLS = "--datasets digits --bits 16 --seeds 2 --device cuda --no-report --epochs 2 "
STEPS = (
    Step("Tests", "pytest", "-m gpu -q --no-header -p no:cacheprovider tests", 240),
    Step("Every method, its seeds as one stack", "benchmarks.run", _CELLS + "--methods all", 150),
    Step(
        "Seeds one after the other",
        "benchmarks.run",
        _CELLS + "--methods cibhash nsh wch kl_hash --stack off",
        60,
    ),
    Step(
        "Fine-tuning",
        "benchmarks.run",
        "--datasets digits --backbone efficientnet_lite0 --input-size 64 --methods cibhash --bits "
        "16 --seeds 1 --device cuda --no-report --epochs 1 --finetune",
        60,
    ),
    Step("Extraction", "benchmarks.perf.extraction", "--images 1024 --rounds 3 --device cuda", 90),
    Step("Evaluation", "benchmarks.perf.evaluation", "--bits 64 --labels 10 --rounds 3", 60),
    Step("Training", "benchmarks.perf.training", "--steps 5 --seeds 5 --device cuda", 150),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if a step failed."""
    parser = Parser("benchmarks.perf.gpu", __doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.md"), metavar="FILE.md", help="default: %(default)s"
    )
    options: argparse.Namespace = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        lines = (f"  {step.call}  # {step.title}, at most {step.limit} s" for step in STEPS)
        print("this machine has no GPU that torch can use; with one this would run\n")
        print("\n".join(lines))
        return OK
    done = []
    for outcome in outcomes(STEPS):
        done.append(outcome)
        print(f"{outcome.step.title}: {outcome.verdict}, {outcome.seconds:.0f} s", flush=True)
        options.out.write_text(page(done), encoding="utf-8")  # what is known, if it stops here
    print(options.out)
    return SOME_FAILED if any(one.verdict != "ok" for one in done) else OK


def outcomes(steps: Sequence[Step], limit: float = LIMIT) -> Iterator[Outcome]:
    """Run steps one after the other, each in a process of its own, within `limit` seconds."""
    end = time.monotonic() + limit
    with TemporaryDirectory() as folder:
        for step in steps:
            left = min(step.limit, end - time.monotonic())
            if left < 1:
                yield Outcome(step, f"not run: the {limit:.0f} s of all steps are spent", 0.0, ())
                continue
            yield _run(step, left, folder)


def _run(step: Step, limit: float, folder: str) -> Outcome:
    """Run a step; its records and features go to `folder`."""
    command = [sys.executable, "-m", step.module, *shlex.split(step.arguments)]
    if step.module == "benchmarks.run":
        command += ["--out", f"{folder}/results", "--cache", f"{folder}/cache"]
        command += ["--force"]  # the same cells are trained in two ways
    start = time.monotonic()
    with TemporaryDirectory() as place:
        printed = Path(place) / "printed"
        with printed.open("wb") as file:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=limit
                )
                verdict = "ok" if done.returncode == 0 else f"failed: exit code {done.returncode}"
            except subprocess.TimeoutExpired:
                verdict = f"failed: not done within {limit:.0f} s"
        text = printed.read_text(encoding="utf-8", errors="replace")
    lines = [printable(line) for line in text.replace("\r", "\n").splitlines()]
    return Outcome(step, verdict, time.monotonic() - start, lines[-SHOWN:])


def page(done: Sequence[Outcome]) -> str:
    """Write outcomes as Markdown: the machine, a row a step, and what each printed."""
    here = environment("auto", command="python -m benchmarks.perf.gpu")
    versions = ", ".join(f"{name} {version}" for name, version in here.versions.items())
    head = [
        f"# {here.device_name}",
        "",
        f"{versions}; commit {here.commit or 'unknown'}; `{here.command}`",
        "",
        "| step | outcome | seconds |",
        "|---|---|---|",
        *(f"| {one.step.title} | {one.verdict} | {one.seconds:.0f} |" for one in done),
    ]
    parts = (
        ["", f"## {one.step.title}", "", f"`{one.step.call}`", "", *(f"    {x}" for x in one.lines)]
        for one in done
    )
    return "\n".join([*head, *(line for part in parts for line in part)]) + "\n"


if __name__ == "__main__":
    sys.exit(run_command(main))
