"""The import table of ARCHITECTURE.md, enforced from the syntax trees."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ALLOWED = {
    "methods": {"torch", "methods"},
    "datasets": {
        *("torch", "numpy", "kornia", "pyarrow", "huggingface_hub", "PIL", "sklearn", "joblib"),
        *("filelock", "platformdirs", "safetensors", "datasets"),
    },
    "results": {
        *("numpy", "pandas", "scipy", "matplotlib", "seaborn", "jinja2", "safetensors"),
        *("markupsafe", "sklearn", "results"),
    },
}
FILES = [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """Full names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


COMMAND = ROOT / "methods/check.py"
"""Where an author looks for it, and not a part of the package that others import."""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_package_imports_only_what_the_table_allows(path):
    if path == COMMAND:
        pytest.skip("a command: it meets benchmarks as those of benchmarks/ do")
    allowed = ALLOWED[path.relative_to(ROOT).parts[0]] | set(sys.stdlib_module_names)
    foreign = {name for name in imported(path) if name.split(".")[0] not in allowed}
    assert not foreign


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=lambda p: p.name)
def test_sibling_methods_never_import_each_other(path):
    if path.name == "__init__.py":
        pytest.skip("the table of methods names them all")
    ours = {name for name in imported(path) if name.startswith("methods")}
    shared = (
        {"methods.recipe", "methods.equal_rows"}
        if path.name == "base.py"
        else {"methods.base", "methods.functional"}
    )
    assert ours <= shared


def test_nothing_imports_the_command_among_the_methods():
    assert not [path for path in FILES if "methods.check" in set(imported(path))]


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted((ROOT / "benchmarks").rglob("*.py"))],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_nothing_that_runs_code_from_a_file_is_used(path):
    names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
    assert not names & {"pickle", "eval", "exec"}
