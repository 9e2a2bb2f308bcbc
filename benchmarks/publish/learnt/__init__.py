"""What the published numbers allow to say, as the blocks of the page "What we learnt".

Every sentence is chosen by the outcome of a test, every number is taken from a board, and what a
board cannot answer is said to be so.
"""

from collections.abc import Callable

from benchmarks.publish.learnt.claims import claims
from benchmarks.publish.learnt.conventions import denominators, tie_orders
from benchmarks.publish.learnt.costs import costs, which
from benchmarks.publish.learnt.deep import deep_against_itq
from benchmarks.publish.learnt.limits import limits
from benchmarks.publish.learnt.spread import loss_or_backbone
from results.analysis.board import Board

LEARNT: dict[str, Callable[[Board], str]] = {
    "deep-against-itq": deep_against_itq,
    "loss-or-backbone": loss_or_backbone,
    "tie-orders": tie_orders,
    "denominators": denominators,
    "claims": claims,
    "costs": costs,
    "which": which,
    "limits": limits,
}
"""In the order of the page."""
