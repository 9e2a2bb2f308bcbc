"""What identifies labels, rows and images on any machine, and the code that makes them."""

from __future__ import annotations

import ast
import hashlib
import io
import random
import re
import time
import tokenize
from collections.abc import Hashable, Iterable, Iterator
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

_TRIES = 20
_Span = tuple[int, int]
"""First character of a piece of a text, and the one after its last."""


class InBlocks(Protocol):
    """A tensor of which some rows at a time are made."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the whole."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        ...

    def blocks(self) -> Iterator[Tensor]:
        """Yield the rows, some at a time."""
        ...


def tensor_digest(*tensors: Tensor | InBlocks) -> str:
    """SHA-256 over type, shape and bytes of tensors, 64 hexadecimal digits.

    Examples
    --------
    >>> import torch
    >>> tensor_digest(torch.zeros(2, dtype=torch.uint8))[:16]
    '56f5278aa55a55f9'
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        for block in [tensor] if isinstance(tensor, Tensor) else tensor.blocks():
            digest.update(block.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def first_of_equals(keys: Iterable[Hashable]) -> Tensor:
    """Place of the first key that equals each, int64 (N,); None equals nothing."""
    first: dict[Hashable, int] = {}
    rows = [row if key is None else first.setdefault(key, row) for row, key in enumerate(keys)]
    return torch.tensor(rows, dtype=torch.int64)


def first_equal_rows(rows: Tensor) -> Tensor:
    """Row of the first row of the same bytes, of every row of a tensor (N, ...); int64 (N,)."""
    each = (hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in rows.cpu())
    return first_of_equals(each)


def code_digest(*sources: str) -> str:
    """SHA-256 over the code of Python sources, 64 hexadecimal digits; see `code_only`."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(code_only(source).encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()


def parse(source: str) -> ast.Module:
    """Parse a Python source, also while other threads do.

    Before Python 3.11.9 and 3.12.3 all threads count the depth of their trees in one place, and one
    that finds the count changed raises SystemError; nothing is wrong with the source then.
    """
    for _ in range(_TRIES):
        try:
            return ast.parse(source)
        except SystemError:
            time.sleep(random.uniform(0, 0.01))
    return ast.parse(source)


@cache  # methods share pieces, and a source is parsed in a hundredth of a second
def code_only(source: str) -> str:
    r"""Keep of a Python source what it computes, as it is written.

    Comments, strings that are statements (docstrings), imports, blank lines and white space at the
    end of a line are dropped, each exactly: a statement behind a semicolon stays. An
    ``if TYPE_CHECKING:`` that guards nothing but imports goes with them. The text is the same under
    every version of Python that can parse the source.

    Parameters
    ----------
    source : str
        A file, or a class or function of one, indented or not.

    Returns
    -------
    str
        Lines of code; what is left need not be a valid program, as a function may lose its body.

    Raises
    ------
    SyntaxError
        If the source is not Python.

    Examples
    --------
    >>> code_only("import math; x = 1  # one\n\ndef f():\n    'Do it.'\n    return x\n")
    'x = 1\ndef f():\n    return x\n'
    """
    text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n") + "\n"
    first = next((line for line in text.split("\n") if line.strip()), "")
    if first[:1].isspace():  # a method, as `inspect` returns it
        return code_only(f"if 1:\n{text}").removeprefix("if 1:\n")
    starts = [0]
    for line in text.split("\n"):  # not splitlines: it breaks at form feeds too
        starts.append(starts[-1] + len(line) + 1)
    comments, strings = _comments_and_strings(text, starts)
    gone = bytearray(len(text))
    for start, stop in (*comments, *_without_effect(text, starts)):
        gone[start:stop] = b"\1" * (stop - start)

    def left(start: int, stop: int) -> str:
        return "".join(text[i] for i in range(start, stop) if not gone[i])

    # A string is put aside while lines are stripped: white space inside of it is a value.
    pieces: list[str] = []
    aside: list[str] = []
    end = 0
    for start, stop in strings:
        if not gone[start]:
            pieces += left(end, start), f"\0{len(aside)}\0"
            aside.append(text[start:stop])
            end = stop
    lines = "".join([*pieces, left(end, len(text))]).split("\n")
    code = "".join(f"{line.rstrip()}\n" for line in lines if line.strip())
    return re.sub("\0([0-9]+)\0", lambda match: aside[int(match[1])], code)


def _comments_and_strings(text: str, starts: list[int]) -> tuple[list[_Span], list[_Span]]:
    """Find comments and strings; one with replacement fields is a single string, whole."""
    comments, strings = [], []
    opened: list[int] = []  # from Python 3.12 on such a string is a sequence of tokens
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        start, stop = (starts[row - 1] + column for row, column in (token.start, token.end))
        if kind.endswith("STRING_START"):
            opened.append(start)
        elif kind.endswith("STRING_END"):
            start = opened.pop()
        if opened:
            continue
        if kind == "COMMENT":
            comments.append((start, stop))
        elif kind == "STRING" or kind.endswith("STRING_END"):
            strings.append((start, stop))
    return comments, strings


def _without_effect(text: str, starts: list[int]) -> Iterator[_Span]:
    """Find imports and strings that are statements, each with the semicolon beside it."""
    for node in ast.walk(parse(text)):
        if not isinstance(node, ast.stmt) or not (_is_prose(node) or _is_import(node)):
            continue
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = _place(text, starts, node.lineno, node.col_offset)
        stop = _place(text, starts, node.end_lineno, node.end_col_offset)
        behind = re.compile(r"[ \t]*;[ \t]*").match(text, stop)
        before = re.search(r";[ \t]*$", text[:start])
        if behind:
            stop = behind.end()
        elif before:
            start = before.start()
        yield start, stop


def _place(text: str, starts: list[int], row: int, column: int) -> int:
    """Character of a text at a row, from 1 on, and a column in bytes, as the syntax tree has it."""
    line = text[starts[row - 1] : starts[row]].encode(errors="surrogatepass")
    return starts[row - 1] + len(line[:column].decode(errors="surrogatepass"))


def _is_prose(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_import(node: ast.stmt) -> bool:
    """Whether a statement imports and does nothing else, be it for the type checker alone."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    return (
        isinstance(node, ast.If)
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        and not node.orelse
        and all(_is_import(inner) for inner in node.body)
    )
