"""Records to tables: one row per run and metric, and means over seeds with their ranks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd

from results.analysis.statistics import Floats, half_width_over_seeds, interval_in_unit
from results.store.record import RunRecord

ENTRY = ["dataset", "protocol", "backbone", "method", "bits", "metric"]
RUN_COLUMNS = [*ENTRY[:5], "seed", "metric", "value"]
INTERVAL = ["ci_low", "ci_high", "interval"]
LEADERBOARD_COLUMNS = [*ENTRY, "mean", "std", "n", *INTERVAL, "rank", "kind"]
LOWER_IS_BETTER = ("empty@", "oversample", "asym.oversample")
"""How metrics begin that are better when small: queries that found nothing, items to look at."""
UNRANKED = r"^(?:bits|codes|cost)\.|.*:gap$"
"""How well codes use their bits is neither good nor bad; what runs cost hangs on the machine; bad
codes have no gap between groups of queries."""
UNBOUNDED = r"^(?:codes\.|cost\.|(?:asym\.)?oversample)|.*:gap$"
"""What counts or measures; all other metrics lie between 0 and 1."""
OPTIONAL = re.compile(r"^cost\.|:(?:best|worst)$|:\w+-\d$")
"""What tables show only where it is asked for; see `results.tables.columns`."""


def method_key(method: str, order: Sequence[str] = ()) -> tuple[int, str, bool, str]:
    """Sort key of a method: the given order, then the alphabet; variants follow their base.

    Examples
    --------
    >>> names = ["new", "lsh", "nsh(tau=1)", "nsh"]
    >>> sorted(names, key=lambda name: method_key(name, ["nsh", "lsh"]))
    ['nsh', 'nsh(tau=1)', 'lsh', 'new']
    """
    base = method.split("(")[0]
    position = list(order).index(base) if base in order else len(order)
    return position, base, method != base, method


@cache
def metric_key(metric: str) -> tuple[int, list[tuple[int, str, int]]]:
    """Sort key of a metric: mAP, P, R, others, what is better when small, health of the codes.

    Numbers in names count as numbers.

    Examples
    --------
    >>> sorted(["bits.entropy", "R@9", "P@10", "empty@H<=2", "mAP", "P@9"], key=metric_key)
    ['mAP', 'P@9', 'P@10', 'R@9', 'empty@H<=2', 'bits.entropy']
    """
    parts = re.findall(r"(\d+)|(\D+)", metric.lower())
    named = [(0, "", int(digits)) if digits else (1, text, 0) for digits, text in parts]
    groups = ("mAP", "P@", "R@", "", *LOWER_IS_BETTER)
    last = len(groups) if re.match(UNRANKED, metric) else groups.index("")
    starts = (place for place, start in enumerate(groups) if start and metric.startswith(start))
    return next(starts, last), named


def runs_frame(records: Iterable[RunRecord], method_order: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row per run and metric, with the columns of ``runs.csv``."""
    return _frame(((record, record.metrics) for record in records), method_order)


def costs_frame(records: Iterable[RunRecord], method_order: Sequence[str] = ()) -> pd.DataFrame:
    """Return what runs cost, as `runs_frame` returns their metrics.

    Seconds are those of `RunRecord.cost`. ``cost.fit_s`` is training, without features;
    ``cost.images_per_s`` counts queries and database over the seconds from features to codes;
    ``cost.memory_mib`` is the peak.
    """
    return _frame(((record, _costs(record)) for record in records), method_order)


def _costs(record: RunRecord) -> dict[str, float]:
    costs = {"cost.fit_s": record.cost("fit") or 0.0}
    if seconds := record.cost("encode"):
        info = record.protocol_info
        costs["cost.images_per_s"] = (info["n_query"] + info["n_database"]) / seconds
    costs["cost.memory_mib"] = record.peak_memory_mib
    return {name: value for name, value in costs.items() if value > 0}


def _frame(
    runs: Iterable[tuple[RunRecord, Mapping[str, float]]], method_order: Sequence[str]
) -> pd.DataFrame:
    rows = [
        (*record.entry, record.seed, metric, float(value))
        for record, values in runs
        for metric, value in values.items()
    ]
    methods = {row[3]: method_key(row[3], method_order) for row in rows}
    metrics = {row[6]: metric_key(row[6]) for row in rows}
    rows.sort(key=lambda row: (*row[:3], methods[row[3]], *row[4:6], metrics[row[6]]))
    columns = list(zip(*rows, strict=True)) or [()] * len(RUN_COLUMNS)
    kinds = dict.fromkeys(RUN_COLUMNS, "str") | {"bits": "int64", "seed": "int64"}
    kinds["value"] = "float64"
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=kinds[name])
            for name, column in zip(RUN_COLUMNS, columns, strict=True)
        }
    )


def leaderboard(
    runs: pd.DataFrame, method_order: Sequence[str], kinds: Mapping[tuple[str, ...], str]
) -> pd.DataFrame:
    """Return means over seeds, with the columns of ``leaderboard.csv``.

    Parameters
    ----------
    runs : DataFrame
        As `runs_frame` gives it.
    method_order : sequence of str
        Order of the rows; methods that it lacks follow by the alphabet.
    kinds : mapping from tuple of str to str
        What every row counts as (`results.store.record.KINDS`), by data set, protocol, backbone
        and method.

    Returns
    -------
    DataFrame
        ``std`` is NaN where n is 1. ``ci_low`` and ``ci_high`` are a 95 % interval, NaN below three
        seeds; ``interval`` says what it is over: "seeds", for fixed queries, or "seeds and
        queries" after `with_intervals_over_queries`. ``rank`` is 1 for the best mean of its data
        set, protocol, backbone, bits, metric and kind; equal means share the lower rank; yardsticks
        have none, nor has what describes the codes and not the retrieval.
    """
    table = (
        runs.groupby(ENTRY, sort=False)["value"]
        .agg(mean="mean", std="std", n="count")
        .reset_index()
    )
    half = half_width_over_seeds(
        table["std"].to_numpy(dtype=float), table["n"].to_numpy(dtype=np.int64)
    )
    table["ci_low"], table["ci_high"] = _ends(table, half)
    table["interval"] = pd.Series("seeds", table.index, dtype="str").mask(np.isnan(half))
    # Rounded, so that equal seeds added in another order still tie.
    score = table["mean"].round(12)
    score = score.where(~table["metric"].str.startswith(LOWER_IS_BETTER), -score)
    rows = table[ENTRY[:4]].itertuples(index=False, name=None)
    table["kind"] = [kinds[row] for row in rows]
    ranked = table[(table["kind"] != "yardstick") & ~table["metric"].str.match(UNRANKED)]
    column = [name for name in ENTRY if name != "method"] + ["kind"]
    ranks = (
        ranked.assign(score=score)
        .groupby(column, sort=False)["score"]
        .rank(method="min", ascending=False)
    )
    table["rank"] = ranks.reindex(table.index).astype("Int64")
    keys = [
        (*row[:3], method_key(row[3], method_order), row[4], metric_key(row[5]))
        for row in table[ENTRY].itertuples(index=False, name=None)
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return table.iloc[order].reset_index(drop=True)[LEADERBOARD_COLUMNS]


def with_intervals_over_queries(
    table: pd.DataFrame, half: Mapping[tuple[object, ...], float]
) -> pd.DataFrame:
    """Return a leaderboard with intervals over seeds and queries in place of those over seeds.

    Parameters
    ----------
    table : DataFrame
        As `leaderboard` gives it.
    half : mapping from tuple to float
        Half of the interval, by data set, protocol, backbone, method, bits and metric.
    """
    entries = table[ENTRY].itertuples(index=False, name=None)
    of_rows = np.array([half.get(entry, np.nan) for entry in entries], dtype=float)
    low, high = _ends(table, of_rows)
    known = ~np.isnan(of_rows)
    return table.assign(
        ci_low=table["ci_low"].mask(known, low),
        ci_high=table["ci_high"].mask(known, high),
        interval=table["interval"].mask(known, "seeds and queries"),
    )


def _ends(table: pd.DataFrame, half: Floats) -> tuple[Floats, Floats]:
    """Lower and upper ends of intervals of half a width, within [0, 1] where the metric is."""
    mean = table["mean"].to_numpy(dtype=float)
    bounded = ~table["metric"].str.match(UNBOUNDED).to_numpy(dtype=bool)
    low, high = interval_in_unit(mean, half)
    return np.where(bounded, low, mean - half), np.where(bounded, high, mean + half)
