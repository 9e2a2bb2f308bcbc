"""Who may import whom, from the syntax trees: between packages, and inside each of them."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STANDARD = set(sys.stdlib_module_names)

PACKAGES = {
    "methods": {"torch", "sklearn", "methods"},
    "datasets": {
        *("torch", "numpy", "pyarrow", "huggingface_hub", "PIL", "sklearn", "joblib"),
        *("h5py", "filelock", "platformdirs", "safetensors", "datasets"),
    },
    "results": {
        *("numpy", "pandas", "scipy", "matplotlib", "seaborn", "jinja2", "safetensors", "orjson"),
        *("markupsafe", "fontTools", "results"),
    },
}
"""What a package may import beside the standard library. `benchmarks` may import everything."""

FLOORS = {
    "benchmarks": """
        perf
        commands
        embeddings
        models, publish, tuning
        runner, contract
        grid
        training
        evaluation, features
        machine, __init__
    """,
    "results": """
        report
        page, figures
        tables, gallery
        analysis
        store, choices, __init__
    """,
    "datasets": """
        doctor, rows
        __init__
        sources
        own
        files, assemble, arguments
        base, contents
        protocols, image_source, augment
        enhance, errors, labels, features, digests, progress, resample, terminal
    """,
}
"""The rooms of a package, a floor a line: a room may import those below, and none beside it."""

NARROWER = {"contract": {"grid", "training"}, "training": {"features", "machine"}}
"""Rooms that may import these alone of what lies below them."""

COMMANDS = {"run", "report", "status", "score", "rescore", "repro", "explain", "command"} | {
    *("export", "encode", "index", "search", "submit", "verify", "advise", "tune"),
    "search_speed",
}
"""Files of `benchmarks/` that are one room together. Every other room is a folder or one file."""

TOGETHER = {"benchmarks": COMMANDS, "datasets": {"doctor", "rows"}}
"""Commands of a package, which count as no entries of its room."""

CHECK = ROOT / "methods/check.py"
"""A command among the methods, where their authors look for it: it may import everything."""

OUTPUT = {"runs", "samples", "report", "advice", "search_speed", "plan.json", "__pycache__"}
MOST = 18  # entries of a room that are understood in one look


def modules(package):
    """Files of a package by the full names of their modules."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {package: modules(package) for package in (*FLOORS, "methods")}
FILES = [path for package in PACKAGES for path in MODULES[package].values()]
KNOWN = set().union(*MODULES.values())


def imports(path):
    """Yield name and line of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (name if name in KNOWN else node.module), node.lineno


def imported(path):
    return {name for name, _ in imports(path)}


def of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=of)
def test_a_package_imports_only_what_the_table_allows(path):
    if path == CHECK:
        pytest.skip("a command: it may import everything")
    allowed = PACKAGES[path.relative_to(ROOT).parts[0]] | STANDARD
    assert {name for name in imported(path) if name.split(".")[0] not in allowed} == set()


SHARED_BY_METHODS = {
    *(
        "base",
        "functional",
        "statistics",
        "anchored",
        "hyperbolic",
        "newton",
        "pairs",
        "space",
        "spectral",
    ),
    "walks",
}


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=of)
def test_sibling_methods_never_import_each_other(path):
    if path.name in ("__init__.py", "table.py"):
        pytest.skip("the table of methods names them all")
    ours = {name for name in imported(path) if name.startswith("methods")}
    shared = (
        {"methods.recipe", "methods.space", "methods.equal_rows", "methods.inputs"}
        if path.name == "base.py"
        else {"methods." + name for name in SHARED_BY_METHODS}
    )
    assert ours <= shared


def test_nothing_imports_the_command_among_the_methods():
    assert not [of(path) for path in FILES if "methods.check" in imported(path)]


def floors(package):
    return [line.strip().split(", ") for line in FLOORS[package].strip().splitlines()]


def room_of(module):
    """Room in which a module lies, by its full name."""
    _, _, below = module.partition(".")
    name = below.split(".")[0] or "__init__"
    return "commands" if module.startswith("benchmarks.") and name in COMMANDS else name


def allowed_rooms(package):
    """Rooms that each room may import, itself included."""
    rooms, below = {}, set()
    for floor in reversed(floors(package)):
        rooms |= {room: {room} | (below & NARROWER.get(room, below)) for room in floor}
        below |= set(floor)
    return rooms


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_lies_in_a_room_of_the_table(package):
    rooms = {room for floor in floors(package) for room in floor}
    assert {room_of(module) for module in MODULES[package]} == rooms


@pytest.mark.parametrize("package", FLOORS)
def test_imports_run_downwards(package):
    allowed = allowed_rooms(package)
    wrong = [
        f"{of(path)}:{line}: {room_of(module)} may not import {room_of(name)} ({name})"
        for module, path in MODULES[package].items()
        for name, line in imports(path)
        if name.split(".")[0] == package and room_of(name) not in allowed[room_of(module)]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", FLOORS)
def test_no_modules_import_each_other_in_a_circle(package):
    ours = MODULES[package]
    sorter = TopologicalSorter({m: imported(path) & set(ours) for m, path in ours.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_is_understood_in_one_look(package):
    folders = {path.parent for path in MODULES[package].values()}
    for folder in folders:
        names = {path.name for path in folder.iterdir()} - OUTPUT - {"__init__.py"}
        names -= {f"{name}.py" for name in TOGETHER.get(folder.name, ())}
        assert len(names) <= MOST, f"{of(folder)} has {len(names)} entries, at most {MOST}"


@pytest.mark.parametrize(
    "path", [path for ours in MODULES.values() for path in ours.values()], ids=of
)
def test_nothing_that_runs_code_from_a_file_is_used(path):
    names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
    assert not names & {"pickle", "eval", "exec"}
