"""The templates of the report, and the escapes that make safe whatever they print."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from results.store.wording import counted

TEMPLATES = Path(__file__).parents[1] / "templates"

EMPTY = "No record can be shown."
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "±": r"$\pm$",
    "†": r"\dag{}",
    "[": "{[}",  # a bare bracket or star after the end of a row would be its argument
    "*": "{*}",
}
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327"  # that every encoding has


def one_line(text: str) -> str:
    """Return one line without control characters, so that a name cannot steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def markdown_escape(text: str) -> str:
    """Escape what Markdown or HTML would take for markup; an underscore inside a word is safe."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|~\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", text)


def latex_escape(text: str) -> str:
    r"""Return `text` as LaTeX prints it; a letter that pdflatex may lack is shown by its number.

    Examples
    --------
    >>> latex_escape("kl_hash & 50%"), latex_escape("\u6f22")
    ('kl\\_hash \\& 50\\%', '(U+6F22)')
    """
    return "".join(map(_latex_letter, one_line(text)))


def _latex_letter(c: str) -> str:
    base, marks = (parts := unicodedata.normalize("NFD", c))[0], parts[1:]
    has_accent = c < "\u0180" and base.isascii() and all(mark in _ACCENTS for mark in marks)
    return _LATEX.get(c, c if has_accent else f"(U+{ord(c):04X})")


_ESCAPES = {"md": markdown_escape, "tex": latex_escape}
_SYNTAX: Any = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
}
"""Of LaTeX templates, since braces are LaTeX's own."""


@cache
def template(name: str) -> Template:
    """Return a template of ``results/templates``.

    Whatever it prints is escaped for the form that its name tells (``html``, ``md`` or ``tex``),
    except `markupsafe.Markup`.
    """
    form = name.split(".")[1]

    def escaped(value: Any) -> Markup:
        return value if isinstance(value, Markup) else Markup(_ESCAPES[form](str(value)))

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=escaped if form in _ESCAPES else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=form != "html",
        **(_SYNTAX if form == "tex" else {}),
    )
    environment.filters["counted"] = counted
    return environment.get_template(name)
