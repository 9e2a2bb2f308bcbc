import re
import shutil
import subprocess

import pytest

from results.choices import COLUMNS
from results.report import load_board
from results.store.store import ResultStore
from results.tables.leaderboard import leaderboard_latex
from tests.record_factory import ORDER, board_of, grid, make_record
from tests.test_comparisons import noise, save

PAGE = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{leaderboard}
\end{document}
"""


def compiled(text, folder):
    """Compile a page with the table; returns the log."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-recommended)")
    (folder / "leaderboard.tex").write_text(text)
    (folder / "page.tex").write_text(PAGE)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (folder / "page.pdf").stat().st_size > 1000
    return log


def test_a_report_compiles_with_all_columns_and_kinds(tmp_path):
    store = ResultStore(tmp_path / "out")
    for place, name in enumerate(ORDER):
        for bits in (16, 32, 64):
            save(store, name, noise(0.3 + 0.2 * place, seed=place), bits=bits)
    save(store, "tree", noise(0.9, seed=7), kind="hierarchy")
    save(store, "float", noise(0.9, seed=8, seeds=1), kind="yardstick", bits=0)
    text = leaderboard_latex(load_board(store, ORDER), tuple(COLUMNS))
    assert text.count(r"\underline{") == text.count(r"\textbf{") == 3
    log = compiled(text, tmp_path)
    assert "Overfull" not in log.split("leaderboard.tex")[1]


def test_names_with_any_letter_compile(tmp_path):
    latin = "".join(map(chr, [*range(32, 127), *range(0xA0, 0x180)]))
    names = (
        r"a_b&c%d$e#f{g}h~i^j\k<l>|\"",
        latin,
        "\u6f22\u5b57 \U0001f600 \u2264",
        "\\input{x}",
        "[1]",
        "*",
    )
    records = [make_record(method=name) for name in names]
    notes = ["runs/x.json: % \\end{document} \u6f22"]
    text = leaderboard_latex(board_of(records, skipped=notes))
    assert all(c in text for c in "éñšç")
    compiled(text, tmp_path)


def test_a_report_of_nothing_compiles(tmp_path):
    text = leaderboard_latex(board_of([], skipped=["runs/x.json: broken"]))
    assert text.startswith("% Needs")
    compiled(text + "Empty.", tmp_path)


def test_optional_columns_make_a_table_of_their_own():
    board = board_of(grid(seeds=1))
    text = leaderboard_latex(board, ("memory", "time"))
    assert text.count(r"\begin{tabular}{@{}lrrr@{}}") == 3
    assert "pixels: training (s), means over seeds" in text
    assert r"lsh & 0.5 & 0.5 & 0.5 \\" in text
    assert r"lsh & 1 & 1 & 1 \\" in text
    assert len(set(re.findall(r"\\label{.*?}", text))) == 3
