"""Advice as a page in the look of the report, which asks nothing of the network."""

from __future__ import annotations

from markupsafe import Markup

from results.analysis.advice import Advice
from results.page.render import policy
from results.tables.advice import entries, heads
from results.tables.markup import TEMPLATES, template


def advice_html(advice: Advice) -> str:
    """Return the page; every name in it is escaped."""
    return template("advice.html.jinja").render(
        advice=advice,
        heads=heads(advice),
        entries=entries,
        style=Markup((TEMPLATES / "page.css").read_text()),
        policy=policy(()),
    )
