"""A board as text: Markdown, LaTeX, plain text for a terminal, and frames that become CSV.

Markdown and LaTeX come from the templates in ``results/templates``, which escape all they print.

>>> from pathlib import Path
>>> from results.analysis import build
>>> from results.store import ResultStore
>>> print(leaderboard_plain(build(ResultStore(Path("nowhere")).scan())).strip())
No record can be shown.
"""

from results.tables.leaderboard import leaderboard_latex, leaderboard_markdown, leaderboard_plain
from results.tables.published import published_markdown

__all__ = ["leaderboard_latex", "leaderboard_markdown", "leaderboard_plain", "published_markdown"]
