"""What the pages say is so: links lead somewhere, commands parse, tables are those of the code."""

import argparse
import contextlib
import importlib
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest

from datasets.protocols import PROTOCOLS
from hashbench import VERBS
from tests.test_architecture import floors

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/perf/*.md")]
MANUAL = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which tells of the past
FOREIGN = {"--nproc-per-node", "--nthreads", "--gres"}  # of torchrun, Dask and SLURM
COMMANDS = [module for module, _ in VERBS.values()]


def named(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """Anchors that a page's headings get: lower case, spaces as hyphens, other signs dropped."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{named(page)}: {link}"


class Parsed(Exception):
    """The arguments were good, and nothing has been run."""


def check_arguments(monkeypatch, module, arguments):
    """Let a command read its arguments, and stop it there."""
    real = argparse.ArgumentParser.parse_args

    def parse(parser, given=None, namespace=None):
        real(parser, given, namespace)
        raise Parsed

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        with pytest.raises(Parsed):
            importlib.import_module(module).main(arguments)


def commands(page):
    """Modules and arguments of the command lines in a page's blocks."""
    for block in [*blocks(page, "bash"), *blocks(page, "text")]:
        for line in block.splitlines():
            line = re.sub(r"^hashbench (\w+)", lambda verb: f"python -m {VERBS[verb[1]][0]}", line)
            found = re.search(r"(?:^|&& )(?:python|torchrun .*?) -m (\S+)(.*)$", line)
            if found and found[1] in COMMANDS:
                yield found[1], shlex.split(found[2], comments=True)


@pytest.mark.parametrize("page", MANUAL, ids=named)
def test_command_lines_parse(page, monkeypatch):
    for module, arguments in commands(page):
        check_arguments(monkeypatch, module, arguments)


def flags_of(module):
    """Flags that a command names in its help."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(module).main(["--help"])
    return set(re.findall(r"--[a-z][a-z-]*", text.getvalue()))


@pytest.fixture(scope="module")
def flags():
    return set().union(*map(flags_of, [*COMMANDS, "benchmarks.perf.error_rates"]))


@pytest.mark.parametrize("page", [ROOT / "README.md", *ROOT.glob("docs/*.md")], ids=named)
def test_flags_that_a_page_names_are_there(page, flags):
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text())) - flags <= FOREIGN


def test_the_page_of_flags_has_them_all():
    page = (ROOT / "docs/flags.md").read_text()
    told = set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE))
    assert told == flags_of("benchmarks.run") - {"--help"}


def test_the_page_of_data_sets_has_every_protocol():
    page = (ROOT / "docs/datasets.md").read_text()
    rows = [
        f"| `{p.label}` | {p.n_query:,} | {p.n_train:,} | {p.n_database:,} | {p.cutoff:,} "
        f"| {p.split_rule} | {p.source} |"
        for protocols in PROTOCOLS.values()
        for p in protocols.values()
    ]
    assert re.findall(r"^\| `\w+/.*$", page, re.MULTILINE) == rows


def test_the_page_on_reading_says_how_papers_resize():
    page = (ROOT / "docs/data.md").read_text()
    known = [p for named in PROTOCOLS.values() for p in named.values() if p.resize]
    rows = [f"| `{p.label}` | {p.resize} |" for p in known]
    assert re.findall(r"^\| `\w+/.*$", page, re.MULTILINE) == rows
    assert len(rows) > 5


@pytest.mark.parametrize("package", ["benchmarks", "datasets", "results"])
def test_the_tables_of_rooms_are_those_that_are_held(package):
    page = (ROOT / "ARCHITECTURE.md").read_text()
    table = page.partition(f"| floor | room of `{package}` | duty |\n")[2].partition("\n\n")[0]
    told = {}
    for floor, rooms in re.findall(r"^\| (\d) \| (.*?) \|", table, re.MULTILINE):
        told.setdefault(int(floor), set()).update(re.findall(r"`(\w+)`", rooms))
    held = {height: set(rooms) for height, rooms in enumerate(reversed(floors(package)), 1)}
    if package != "datasets":  # an empty `__init__` is no room to speak of
        held[1] -= {"__init__"}
    assert told == held


def test_the_notebook_runs(stored, monkeypatch, capsys):
    monkeypatch.chdir(stored.root.rename(stored.root.with_name("results")).parent)
    page = "\n".join(blocks(ROOT / "docs/notebooks.md", "python"))
    Path("notebook.py").write_text(page)
    runpy.run_path("notebook.py")
    assert "lsh 8" in capsys.readouterr().out


def test_every_command_has_a_page():
    assert {module for page in MANUAL for module, _ in commands(page)} >= set(COMMANDS)


def test_the_citation_has_the_version_of_the_package():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    packaged = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert cited[1] == packaged[1]
