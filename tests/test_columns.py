from dataclasses import replace

import pytest

from results.tables.columns import extra_columns
from results.tables.leaderboard import leaderboard_markdown
from tests.record_factory import board_of, make_record

COSTS = ("cost.fit_s", "cost.images_per_s", "cost.memory_mib")


def section_of(*records):
    return board_of(records).sections[0]


def entry(section, metric):
    return section.rows[0].mean(metric, 16)


def test_costs_are_means_over_seeds():
    spent = {"fit": 100.0, "encode": 2.0}
    first = make_record(cpu_timings=spent, peak_memory_mib=1500.0)
    other = make_record(cpu_timings={"fit": 300.0, "encode": 2.0}, seed=1)
    section = section_of(first, other)
    assert entry(section, "cost.fit_s") == "200"
    assert entry(section, "cost.images_per_s") == f"{(300 + 1497) / 2:,.0f}"
    assert entry(section, "cost.memory_mib") == "750"


def test_what_was_not_measured_is_a_gap_and_no_zero():
    section = section_of(make_record(cpu_timings={}, peak_memory_mib=0.0))
    assert [entry(section, metric) for metric in COSTS] == ["-", "-", "-"]


def test_costs_are_cpu_seconds_on_a_cpu_and_seconds_on_the_clock_on_cuda():
    spent = {"timings": {"fit": 39.0}, "cpu_timings": {"fit": 1.3}}
    on_cuda = make_record(**spent, versions={"cuda": "13.0"})
    assert entry(section_of(make_record(**spent)), "cost.fit_s") == "1.3"
    assert entry(section_of(on_cuda), "cost.fit_s") == "39"


def test_bounds_of_ties_are_those_of_the_main_metric():
    metrics = {"mAP@1000": 0.4, "mAP@1000:best": 0.5, "mAP@1000:worst": 0.35}
    section = section_of(make_record(metrics=metrics))
    columns = extra_columns(section, ["ties"])
    assert [entry(section, metric) for _, metric in columns] == ["0.350", "0.500"]
    assert [heading.split(",")[0] for heading, _ in columns] == ["mAP@1000"] * 2
    assert section.further == ()


def test_tables_show_them_only_where_they_are_asked_for():
    board = board_of([make_record()])
    assert "training (s)" not in leaderboard_markdown(board)
    text = leaderboard_markdown(board, ["time", "speed"])
    assert "| method | training (s) | encoding (images/s) |" in text
    assert "| lsh | 0.5 | - |" in text
    assert not board.leaderboard["metric"].str.startswith("cost.").any()


def test_costs_are_not_ranked_and_one_value_stands_for_all_lengths():
    free = replace(make_record(method="float", kind="yardstick", bits=0), cpu_timings={"fit": 3.0})
    board = board_of([make_record(), make_record(bits=32), free])
    assert board.costs["rank"].isna().all()
    (section,) = board.sections
    shown = {row.method: section.means(row, "cost.fit_s") for row in section.rows}
    assert shown == {"lsh": "0.5 / 0.5", "float": "3"}


@pytest.mark.parametrize(
    ("value", "shown"), [(0.01234, "0.0123"), (12.345, "12.3"), (59000.4, "59,000")]
)
def test_costs_keep_three_digits(value, shown):
    assert entry(section_of(make_record(cpu_timings={"fit": value})), "cost.fit_s") == shown
