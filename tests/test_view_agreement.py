"""Agreement of the codes of two views: the criterion that sees no label."""

import numpy as np
import pytest

from benchmarks import rescore
from benchmarks.evaluation.view_agreement import AGREEMENT, VIEW_CODES, view_agreement
from results.store.store import ResultStore
from tests.small_run import call


def test_agreement_is_the_mean_over_all_orders_of_ties():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (2, 40, 8), np.uint8)
    far = (codes[0][:, None] != codes[1]).sum(-1)
    own = far.diagonal()[:, None]
    nearer, level = (far < own).sum(1), (far == own).sum(1)
    expected = [
        np.mean(1 / np.arange(a + 1, a + b + 1)) for a, b in zip(nearer, level, strict=True)
    ]
    assert view_agreement(np.packbits(codes, axis=2), 8) == pytest.approx(np.mean(expected))


def test_codes_that_are_all_equal_agree_no_more_than_chance():
    assert view_agreement(np.zeros((2, 50, 2), np.uint8), 16) == pytest.approx(
        np.mean(1 / np.arange(1, 51))
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    small = ["--datasets", "synthetic+tune", "synthetic", "--bits", "8", "--seeds", "1"]
    methods = ["--methods", "lsh", "agh", "wch", "--set", "agh.n_anchors=20", "--no-report"]
    assert call(folder, *methods, "--epochs", "1", small=small) == 0
    return ResultStore(folder / "out")


def test_views_are_compared_where_settings_are_chosen_and_nowhere_else(tuned):
    found = {(r.protocol, r.method.partition("(")[0]): r.metrics for r in tuned.records()}
    compared = {key for key, metrics in found.items() if AGREEMENT in metrics}
    assert compared == {("tiny+tune", name) for name in ("lsh", "agh", "wch")}
    assert all(0 < found[key][AGREEMENT] <= 1 for key in compared)


def test_views_are_encoded_by_what_was_learnt(tuned):
    (record,) = [r for r in tuned.records() if r.method.startswith("agh") and "+" in r.protocol]
    arrays = tuned.arrays(tuned.locate(record))
    bits = np.unpackbits(arrays[VIEW_CODES], axis=2)
    plain = np.unpackbits(arrays["query_codes"], axis=1)
    assert (bits == plain).mean() > 0.6  # an anchor graph that was not restored gives constants
    assert record.metrics[AGREEMENT] == view_agreement(arrays[VIEW_CODES], 8)


def test_rescoring_keeps_the_agreement(tuned, capsys):
    assert rescore.main(["--out", str(tuned.root), "--no-report"]) == 0
    assert " 0 changed" in capsys.readouterr().out
