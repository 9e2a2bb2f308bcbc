import numpy as np
import pytest

from results.analysis.comparisons import compare
from results.analysis.variance import decompose, variances
from results.tables.comparisons import statistics_frame, statistics_markdown
from tests.record_factory import board_of, make_record

FACTORS = ("method", "backbone", "bits")


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_the_shares_of_all_parts_add_up_to_one():
    shares = decompose(noise(4, 2, 3, 5), FACTORS)
    assert list(shares) == [
        *("method", "backbone", "bits"),
        *("method x backbone", "method x bits", "backbone x bits"),
        *("method x backbone x bits", "seed"),
    ]
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0


def test_each_part_has_what_was_put_into_it():
    """Effects that sum to zero along their axes are orthogonal: squares add up by hand."""
    method = np.array([-1.0, 0, 1]).reshape(3, 1, 1, 1)
    backbone = np.array([-2.0, 2]).reshape(1, 2, 1, 1)
    both = (np.array([1.0, -1, 0])[:, None] * np.array([1, -1])).reshape(3, 2, 1, 1)
    seed = np.array([-0.5, 0.5])
    values = 7 + method + backbone + both + seed
    squares = {"method": 2 / 3, "backbone": 4, "method x backbone": 2 / 3, "seed": 0.25}
    total = sum(squares.values())
    shares = decompose(values, FACTORS)
    assert shares == pytest.approx({name: of / total for name, of in squares.items()})


def test_one_level_and_one_seed_are_no_part():
    assert decompose(noise(3, 1, 1, 1), FACTORS) == {"method": pytest.approx(1)}
    assert decompose(np.full((3, 2, 1, 2), 0.1), FACTORS) == {}


def records():
    """Records of two backbones: one lacks 64 bits and c, and b has a seed more."""
    found = [make_record(method="float", kind="yardstick", bits=0, metrics={"mAP@1000": 0.9})]
    for backbone in ("cnn", "pixels"):
        for place, method in enumerate("abc"):
            for bits in (16, 32, 64):
                if backbone == "pixels" and (bits == 64 or method == "c"):
                    continue
                for seed in range(3 if method == "b" else 2):
                    value = 0.1 + 0.3 * (backbone == "cnn") + 0.1 * place + 0.01 * seed
                    names = {"backbone": backbone, "method": method, "bits": bits, "seed": seed}
                    found.append(make_record(**names, metrics={"mAP@1000": value}))
    return found


def test_only_what_is_crossed_in_full_is_taken_apart():
    (found,) = variances(board_of(records()))
    assert (found.methods, found.backbones, found.bits) == (("a", "b"), ("cnn", "pixels"), (16, 32))
    assert found.seeds == 2
    np.testing.assert_allclose(found.means[:, 0, 0], [0.405, 0.505])
    assert found.shares["backbone"] == pytest.approx(0.0225 / (0.0225 + 0.0025 + 0.000025))
    assert list(variances(board_of([make_record()]))) == []


def test_tables_tell_the_shares_and_put_backbones_side_by_side():
    board = compare(board_of(records()), {})
    lines = statistics_markdown(board)
    assert any("89.9%" in line for line in lines)
    assert "| method | cnn, 16 bits | cnn, 32 bits | pixels, 16 bits | pixels, 32 bits |" in lines
    assert "| a | 0.405 | 0.405 | 0.105 | 0.105 |" in lines
    frame = statistics_frame(board)
    shares = frame[frame["statistic"] == "variance share"].set_index("other")["value"]
    assert shares["backbone"] == pytest.approx(0.8991, abs=1e-4)
