"""The report as one page: tables, figures, gallery and records in a single file, no network.

>>> from pathlib import Path
>>> from results.analysis import build
>>> from results.store import ResultStore
>>> "No record can be shown." in page_html(build(ResultStore(Path("nowhere")).scan()), figures={})
True
"""

from results.page.render import page_html
from results.page.thumbnails import galleries

__all__ = ["galleries", "page_html"]
