"""What tuning found: the settings chosen with and without labels, and how methods rank by them.

A table of trials has a row a trial, with the columns ``method``, ``trial`` (0 has the method's own
settings), ``score`` (of the images that are set aside; NaN where the trial failed) and
``agreement`` (of the codes of two views, which sees no label; NaN where there is none).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd


def choices(trials: pd.DataFrame) -> pd.DataFrame:
    """Choose a trial of each method: by its score, and by its agreement.

    Parameters
    ----------
    trials : DataFrame

    Returns
    -------
    DataFrame
        A row a method, in the order of the trials: ``trials`` and how many of them ``failed``; the
        score ``own`` of trial 0; the score ``tuned`` and the number ``trial`` of the best, the
        first of equals; ``unlabelled`` and ``unlabelled_trial``, score and number of the trial of
        the highest agreement; and ``correlation``, Spearman's, of scores and agreements.
    """
    rows = []
    for method, of_method in trials.groupby("method", sort=False):
        found = of_method.set_index("trial")
        scored = found[found["score"].notna()]
        viewed = scored[scored["agreement"].notna()]
        row: dict[str, object] = {
            "method": method,
            "trials": len(found),
            "failed": len(found) - len(scored),
            "own": found["score"].get(0),
        }
        if len(scored):
            best = int(scored["score"].argmax())
            row |= {"tuned": scored["score"].iloc[best], "trial": scored.index[best]}
        if len(viewed):
            best = int(viewed["agreement"].argmax())
            row |= {
                "unlabelled": viewed["score"].iloc[best],
                "unlabelled_trial": viewed.index[best],
            }
        if min(viewed["score"].nunique(), viewed["agreement"].nunique()) > 1:
            ranks = viewed[["score", "agreement"]].rank()
            row["correlation"] = ranks["score"].corr(ranks["agreement"])
        rows.append(row)
    columns = ["method", "trials", "failed", "own", "tuned", "trial"]
    columns += ["unlabelled", "unlabelled_trial", "correlation"]
    whole = {"trial": "Int64", "unlabelled_trial": "Int64"}
    return pd.DataFrame(rows, columns=columns).astype(whole)


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """Best score of each method after each trial, a column a method; NaN where none has a score."""
    scores = trials.pivot_table("score", "trial", "method", sort=False, dropna=False)
    columns = list(dict.fromkeys(trials["method"]))
    return scores.sort_index().cummax().ffill().reindex(columns=columns)


def remarks(trials: pd.DataFrame) -> list[str]:
    """Say in sentences what tuning changes, and what the choice without labels does."""
    found = choices(trials)
    several, most = found[found["trials"] > 1], found["trials"].max()
    lines = []
    pairs, swapped = swapped_pairs(found["own"], found["tuned"])
    if pairs:
        lines.append(f"{swapped} of {pairs} pairs of methods change their order by tuning.")
        lines.append(f"It is that of the end after {_settled(trials)} of {most} trials.")
    viewed = several[several["unlabelled"].notna()]
    if len(viewed):
        other = int((viewed["trial"] != viewed["unlabelled_trial"]).sum())
        lost = viewed["tuned"] - viewed["unlabelled"]
        lines.append(
            f"Without labels {other} of {len(viewed)} methods get another trial, and lose "
            f"{lost.mean():.3f} of the score, {lost.max():.3f} at most."
        )
        pairs, swapped = swapped_pairs(found["tuned"], found["unlabelled"])
        if pairs:
            lines.append(f"{swapped} of {pairs} pairs of methods change their order by that.")
    return lines


def swapped_pairs(one: Iterable[float], other: Iterable[float]) -> tuple[int, int]:
    """Count pairs of methods, and those in another order by one score than by the other.

    Methods that lack one of the scores are left out.

    Examples
    --------
    >>> swapped_pairs([0.5, 0.6, 0.7], [0.8, 0.6, 0.9])
    (3, 1)
    """
    both = [scores for scores in zip(one, other, strict=True) if not np.isnan(scores).any()]
    pairs = list(combinations(both, 2))
    return len(pairs), sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in pairs)


def _settled(trials: pd.DataFrame) -> int:
    """Count the trials after which the order of methods stays what it is at the end."""
    orders = best_so_far(trials).rank(axis=1, na_option="bottom")
    different = (orders != orders.iloc[-1]).any(axis=1)
    return int(different[different].index.max()) + 2 if different.any() else 1
