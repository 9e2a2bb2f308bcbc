"""What is read from a table of trials."""

import numpy as np
import pandas as pd
import pytest

from results.analysis.tuning import best_so_far, choices, remarks
from results.figures.style import save
from results.figures.tuning import score_against_trials

NAN = float("nan")


def table(**methods):
    rows = [
        (method, trial, score, agreement)
        for method, found in methods.items()
        for trial, (score, agreement) in enumerate(found)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "score", "agreement"])


TRIALS = table(
    a=[(0.5, 0.1), (0.7, 0.2), (NAN, NAN), (0.6, 0.4)],
    b=[(0.6, 0.3), (0.4, 0.2), (0.55, 0.1), (0.6, 0.2)],
    c=[(0.65, 0.1)],
)


def test_the_best_trial_is_chosen_and_the_first_of_equals():
    found = choices(TRIALS).set_index("method")
    assert found["tuned"].tolist() == [0.7, 0.6, 0.65]
    assert found["trial"].tolist() == [1, 0, 0]
    assert found["own"].tolist() == [0.5, 0.6, 0.65]


def test_failed_trials_count_and_are_never_chosen():
    found = choices(TRIALS).set_index("method")
    assert found["trials"].tolist() == [4, 4, 1]
    assert found["failed"].tolist() == [1, 0, 0]


def test_without_labels_the_trial_of_the_highest_agreement_is_chosen():
    found = choices(TRIALS).set_index("method")
    assert found["unlabelled_trial"].tolist() == [3, 0, 0]
    assert found["unlabelled"].tolist() == [0.6, 0.6, 0.65]
    assert found.loc["a", "correlation"] == pytest.approx(0.5)  # ranks 1 3 2 and 1 2 3
    assert np.isnan(found.loc["c", "correlation"])


def test_a_method_of_which_every_trial_failed_has_no_choice():
    found = choices(table(a=[(NAN, NAN), (NAN, NAN)], b=[(0.5, NAN)])).set_index("method")
    assert found.loc["a", "failed"] == 2
    assert found.loc["a", ["own", "tuned", "trial", "unlabelled"]].isna().all()
    assert found.loc["b", "tuned"] == 0.5
    assert np.isnan(found.loc["b", "unlabelled"])


def test_the_best_so_far_never_falls_and_lasts_where_trials_end():
    best = best_so_far(TRIALS)
    assert list(best) == ["a", "b", "c"]
    assert best["a"].tolist() == [0.5, 0.7, 0.7, 0.7]
    assert best["c"].tolist() == [0.65] * 4


def test_remarks_count_what_changes():
    assert remarks(TRIALS) == [
        "2 of 3 pairs of methods change their order by tuning.",
        "It is that of the end after 2 of 4 trials.",
        "Without labels 1 of 2 methods get another trial, and lose 0.050 of the score, 0.100 at "
        "most.",
        "1 of 3 pairs of methods change their order by that.",
    ]


def test_of_one_method_nothing_is_said_about_orders():
    assert remarks(table(a=[(0.5, NAN), (0.6, NAN)])) == []


def test_the_figure_has_a_line_a_method():
    names = {"a": "A", "b": "B", "c": "C"}
    figure = score_against_trials(TRIALS, "birds/tiny", "mAP@5", ["c", "a"], names)
    (panel,) = figure.axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    assert set(lines) == {"A", "B", "C"}
    assert lines["A"].get_ydata().tolist() == [0.5, 0.7, 0.7, 0.7]
    assert lines["A"].get_xdata().tolist() == [1, 2, 3, 4]
    assert len({line.get_color() for line in lines.values()}) == 3
    assert save(figure, "svg").startswith(b"<?xml")
