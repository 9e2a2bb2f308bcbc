"""What is part of a digest, and what is not."""

import ast
import inspect
from pathlib import Path

import pytest

import datasets
from datasets import digests
from datasets.digests import code_digest, code_only

SOURCE = '''"""What the file is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 3
"""Most of them."""


@decorated
def area(r: float, n: int = 2) -> float:
    """Area of a circle."""
    # Squared.
    return math.pi * r**n
'''
CODE = """LIMIT = 3
@decorated
def area(r: float, n: int = 2) -> float:
    return math.pi * r**n
"""


def test_code_is_what_is_left_without_prose_and_imports():
    assert code_only(SOURCE) == CODE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What the file is", "What it is"),
        ('    """Area of a circle."""\n', ""),
        ('"""Most of them."""', "'''Most\n\n  of them.'''"),
        ("# Squared.", "# To the n-th."),
        ("    # Squared.\n", ""),
        ("r**n\n", "r**n  # squared\n"),
        ("import math\n", "from math import pi\nimport math\n"),
        ("from collections.abc", "from typing"),
        ("    from collections", "    import ast\n\n    from collections"),
        ("LIMIT = 3\n", "\n\nLIMIT = 3   \n\t\n"),
        ("import math\n", "from math import (\n    pi,  # of a circle\n    tau,\n)\nimport math\n"),
        ("LIMIT = 3\n", "import os; LIMIT = 3\n"),
        ("LIMIT = 3\n", "LIMIT = 3; import os\n"),
        ("LIMIT = 3\n", "'a word' ;import os;  LIMIT = 3\n"),
        ("\n", "\r\n"),
        ('"""What', '\ufeff"""What'),
    ],
)
def test_other_prose_and_other_imports_are_the_same_code(old, new):
    assert SOURCE.replace(old, new) != SOURCE
    assert code_only(SOURCE.replace(old, new)) == CODE
    assert code_digest(SOURCE.replace(old, new)) == code_digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("n: int = 2", "n: int = 3"),
        ("@decorated", "@cached"),
        ("@decorated\n", ""),
        ("r**n", "r * n"),
        ("    # Squared.", "    r = abs(r)"),
        ("r: float", "r: int"),
        ("LIMIT = 3\n", "LIMIT = 3; import os; os.umask(0)\n"),
    ],
)
def test_other_code_has_another_digest(old, new):
    assert SOURCE.replace(old, new) != SOURCE
    assert code_digest(SOURCE.replace(old, new)) != code_digest(SOURCE)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import a; x = 1\n", "x = 1\n"),
        ("x = 1; import a; y = 2\n", "x = 1; y = 2\n"),
        ("if x: import a\nelse: y = 1\n", "if x:\nelse: y = 1\n"),
        ('def f(): "Doc."; return 1\n', "def f(): return 1\n"),
        ('def f():\n    """Doc."""\n', "def f():\n"),
        ('class A:\n    """Doc."""\n\n    b = 1\n    "Of b."\n', "class A:\n    b = 1\n"),
        ('("a"  # of it\n "b")\nx = 1\n', "x = 1\n"),
        ("try:\n    import a\nexcept ImportError:\n    a = None\n",
         "try:\nexcept ImportError:\n    a = None\n"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import a\nx = 1\n", "x = 1\n"),
        ("if TYPE_CHECKING:\n    import a\n    x = 1\n", "if TYPE_CHECKING:\n    x = 1\n"),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    x = 1\n",
         "if TYPE_CHECKING:\nelse:\n    x = 1\n"),
        ("", ""),
        ("# nothing\n", ""),
        ("x = 1", "x = 1\n"),
    ],
)  # fmt: skip
def test_a_statement_beside_what_goes_stays(source, code):
    assert code_only(source) == code


@pytest.mark.parametrize(
    "code",
    [
        "x = '# no comment'\n",
        'x = "import a; y"\n',
        'x = """a\n\n  # b   \n\nimport c\n"""\n',
        'x = f"""{y}   \n\n# b {z!r:>{w}}   \n"""\n',
        "x = f('''  \n\n''', '\\\\')\n",
        "x = ('a'\n     'b')\n",
        "x = b'''  \n\n'''\n",
        "b'no prose'\n",
        "f'{print(1)}'\n",
        "x = 1 + \\\n    2\n",
        "if a:\n\tb = 1\n",
        "é = 'ß'; ü = 2\n",
        "x = 'a\x0cb'\ny = 1\n",
    ],
)
def test_what_only_looks_like_prose_stays_as_it_is_written(code):
    assert code_only(code) == code


def test_columns_are_counted_in_characters():
    assert code_only("ä = '🦉' # owl\nö = '€'; import a; ü = 1  # é\n") == (
        "ä = '🦉'\nö = '€'; ü = 1\n"
    )
    assert code_only("def f(): '€€€'; return 'ä' # é\n") == "def f(): return 'ä'\n"


def test_lines_are_those_of_python_and_not_of_unicode():
    assert code_only("x = 'a\u2028b\x0bc'  # d\n'prose'\ny = 2\n") == "x = 'a\u2028b\x0bc'\ny = 2\n"


def test_white_space_in_a_string_is_a_value():
    assert code_digest("x = '''a \n'''\n") != code_digest("x = '''a\n'''\n")
    assert code_digest("x = '''a\n\n'''\n") != code_digest("x = '''a\n'''\n")


def test_a_method_is_read_where_it_stands():
    source = inspect.getsource(_Method.double)
    assert code_only(source) == "    def double(self, x):\n        return 2 * x\n"


class _Method:
    def double(self, x):
        """Twice."""
        return 2 * x  # of it


def test_sources_are_told_apart_from_their_sum():
    assert code_digest("x = 1\n", "y = 1\n") != code_digest("x = 1\ny = 1\n")
    assert code_digest("x = 1\n", "y = 1\n") != code_digest("y = 1\n", "x = 1\n")


def test_the_digest_is_the_same_under_every_python():
    assert code_digest(SOURCE)[:16] == "42c1d40cd44a5d39"
    assert code_digest("x = f'{a!r}'  # b\n")[:16] == "f76b21b728278ba7"


def test_what_is_no_python_is_refused():
    with pytest.raises(SyntaxError):
        code_only("x = = 1\n")


class _Pruned(ast.NodeTransformer):
    def generic_visit(self, node):
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                kept = [inner for inner in block if not self._goes(inner)]
                needs_one = block and field == "body" and not isinstance(node, ast.Module)
                setattr(node, field, kept or ([ast.Pass()] if needs_one else []))
        return node

    def _goes(self, node):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            return isinstance(node.body[0], ast.Pass)
        value = node.value if isinstance(node, ast.Expr) else None
        prose = isinstance(value, ast.Constant) and isinstance(value.value, str)
        return prose or isinstance(node, ast.Import | ast.ImportFrom)


def _with_bodies(code):
    lines = code.split("\n")
    depth = [len(line) - len(line.lstrip()) for line in lines]
    return "\n".join(
        f"{line} pass" if line.endswith(":") and depth[i + 1] <= depth[i] else line
        for i, line in enumerate(lines)
    )


@pytest.mark.parametrize("path", sorted(Path(datasets.__path__[0]).rglob("*.py")), ids=str)
def test_the_code_of_every_file_is_its_statements(path):
    source = path.read_text()
    statements = ast.dump(_Pruned().visit(ast.parse(source)))
    assert ast.dump(ast.parse(_with_bodies(code_only(source)))) == statements


def test_a_source_is_parsed_though_other_threads_disturb_it(monkeypatch):
    real, failures = ast.parse, iter([SystemError("AST constructor recursion depth mismatch")] * 3)

    def disturbed(source):
        for failure in failures:
            raise failure
        return real(source)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert ast.dump(digests.parse("x = 1")) == ast.dump(real("x = 1"))
    monkeypatch.setattr(ast, "parse", real)
    with pytest.raises(SyntaxError):
        digests.parse("x =")
