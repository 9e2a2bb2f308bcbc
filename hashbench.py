"""The console command ``hashbench``: a verb for each command of the suite.

It lies beside the suite's four packages and finds them there, whatever else bears their names: a
folder in the current one, an entry of PYTHONPATH, the ``datasets`` of another distribution.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

HOME = Path(__file__).parent
PACKAGES = ("benchmarks", "datasets", "methods", "results")
BAD_ARGUMENTS = 2

VERBS = {
    "run": ("benchmarks.run", "run a grid of methods, data sets, code lengths and seeds"),
    "tune": ("benchmarks.tune", "choose settings by equally many trials, on training images"),
    "report": ("benchmarks.report", "render tables, figures and the page again from the records"),
    "status": ("benchmarks.status", "say how far a grid is"),
    "score": ("benchmarks.score", "score codes that were made elsewhere"),
    "rescore": ("benchmarks.rescore", "compute every metric again from the stored codes"),
    "repro": ("benchmarks.repro", "run a stored cell again and compare"),
    "explain": ("benchmarks.explain", "list what two records differ in"),
    "export": ("benchmarks.export", "make a model folder from a stored record"),
    "encode": ("benchmarks.encode", "hash images with a model"),
    "index": ("benchmarks.index", "hash images into an index that can be searched"),
    "search": ("benchmarks.search", "search an index for images that look like some image"),
    "advise": ("benchmarks.advise", "say which code to take for embeddings, of how many bytes"),
    "submit": ("benchmarks.submit", "pack records into a file that others can verify"),
    "verify": ("benchmarks.verify", "make published numbers again"),
    "doctor": ("datasets.doctor", "verify a local copy of a data set"),
    "rows": ("datasets.rows", "write the rows and labels of a split, to encode them elsewhere"),
    "check": ("methods.check", "check a method of your own against the contract"),
}
"""The module behind each verb, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns its exit code.

    Parameters
    ----------
    arguments : sequence of str
        The verb and its own arguments; those of the process where left out.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write("\n".join(_help()) + "\n")
        return 0 if given else BAD_ARGUMENTS
    verb, *rest = given
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return _fail(f"unknown command {verb!r}; {hint}known: {', '.join(VERBS)}")
    if sys.path[:1] != [str(HOME)]:
        sys.path.insert(0, str(HOME))  # processes that this one starts take it over
    try:
        from datasets.terminal import run_command

        command: Callable[[list[str]], int] = import_module(VERBS[verb][0]).main
        return run_command(lambda: command(rest)) if arguments is None else command(rest)
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        found = getattr(sys.modules.get(package), "__file__", None) or HOME / package
        return _fail(
            f"{found} is not HashBench's own, or not all of it ({error}); another distribution has "
            "written over it: install HashBench into an environment of its own"
        )


def _help() -> list[str]:
    """Lines of the help, one a verb."""
    lines = (f"  {verb:<12} {what}" for verb, (_, what) in VERBS.items())
    head = ["usage: hashbench COMMAND ...", "", "The benchmark suite for unsupervised hashing.", ""]
    return [*head, *lines, "", "hashbench COMMAND --help tells of each."]


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return BAD_ARGUMENTS


if __name__ == "__main__":
    sys.exit(main())
