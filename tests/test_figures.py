import re

import matplotlib as mpl
import numpy as np
import pytest

from results.figures import (
    COLOURS,
    inline_svg,
    map_against_bits,
    method_styles,
    precision_recall,
    save,
)
from tests.record_factory import ORDER, board_of, failure, grid, make_record


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


def test_one_line_a_method_through_the_means_with_a_band_of_one_deviation():
    (axes,) = map_against_bits(board_of(grid())).axes
    line = lines_of(axes)["itq"]
    np.testing.assert_allclose(line.get_xdata(), [16, 32, 64])
    np.testing.assert_allclose(line.get_ydata(), [0.42, 0.436, 0.468])
    assert len(axes.collections) == len(ORDER)
    band = axes.collections[1].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.42 - 0.004)
    assert band[:, 1].max() == pytest.approx(0.468 + 0.004)


def test_yardsticks_are_ink_dashed_across_and_dotted():
    (axes,) = map_against_bits(board_of(grid())).axes
    lines = lines_of(axes)
    assert len(set(lines["float"].get_ydata())) == 1
    assert list(lines["float"].get_xdata()) == [0, 1]  # across the panel
    styles = method_styles(board_of(grid()))
    dashes = {styles[name]["linestyle"] for name in ("float", "random")}
    assert len(dashes) == 2
    assert lines["random"].get_color() == lines["float"].get_color()


def test_one_panel_a_section_and_one_legend_entry_a_method():
    board = board_of(grid(seeds=1) + grid(seeds=1, backbone="other") + grid(seeds=1, dataset="x"))
    figure = map_against_bits(board)
    assert len(figure.axes) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*ORDER, "float", "random"]


def test_a_method_keeps_its_colour_whatever_else_is_shown():
    alone = method_styles(board_of([make_record(method="cibhash")]))
    among = method_styles(board_of([*grid(), make_record(method="aaa")]))
    assert alone["cibhash"]["color"] == among["cibhash"]["color"] == COLOURS[2]
    assert among["aaa"]["color"] == COLOURS[3]


def test_a_variant_has_the_colour_of_its_base_and_another_look():
    names = ["lsh", "lsh(x=1)", "lsh(x=2)"]
    styles = method_styles(board_of([make_record(method=name) for name in names]))
    assert len({styles[name]["color"] for name in names}) == 1
    assert len({(styles[name]["marker"], styles[name]["linestyle"]) for name in names}) == 3


def test_more_methods_than_colours_stay_apart():
    names = [f"m{n:02}" for n in range(12)]
    styles = method_styles(board_of([make_record(method=name) for name in names]))
    looks = {(s["color"], s["marker"], s["linestyle"]) for s in styles.values()}
    assert len(looks) == len(names)


def test_precision_recall_averages_seeds_at_the_longest_codes():
    first = {"radius": [0, 1, 2], "precision": [1.0, 0.6, 0.2], "recall": [0.0, 0.5, 1.0]}
    second = first | {"precision": [0.8, 0.4, 0.0]}
    short = {"radius": [0, 1], "precision": [0.1, 0.1], "recall": [0.0, 1.0]}
    records = [
        make_record(bits=2, seed=0, curves={"precision_recall": first}),
        make_record(bits=2, seed=1, curves={"precision_recall": second}),
        make_record(bits=1, curves={"precision_recall": short}),
    ]
    (axes,) = precision_recall(board_of(records)).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_ydata(), [0.9, 0.5, 0.1])
    np.testing.assert_allclose(line.get_xdata(), [0.0, 0.5, 1.0])


def test_no_curves_no_figure():
    assert precision_recall(board_of([make_record()])) is None


@pytest.mark.parametrize(
    ("form", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_same_records_give_the_same_bytes(form, magic):
    first, second = (save(map_against_bits(board_of(grid())), form) for _ in range(2))
    assert first.startswith(magic)
    assert first == second


def test_one_seed_one_length_and_names_with_mathematics_still_draw():
    record = make_record(method=r"a$\nope$", dataset=r"$\nope$", backbone=r"\frac{")
    figure = map_against_bits(board_of([record]))
    assert "one seed, so no band" in figure.get_supxlabel()
    assert save(figure, "png").startswith(b"\x89PNG")


def test_a_method_whose_every_run_failed_is_left_out():
    board = board_of([make_record()], failures=[failure(method="itq")])
    (axes,) = map_against_bits(board).axes
    assert list(lines_of(axes)) == ["lsh"]


def test_only_a_yardstick_without_codes_still_draws():
    record = make_record(method="float", kind="yardstick", bits=0)
    assert save(map_against_bits(board_of([record])), "png")


def test_inline_svg_takes_the_colour_of_the_page_and_prefixes_its_ids():
    svg = inline_svg(map_against_bits(board_of(grid())), "fig")
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#26262a" not in svg
    assert svg.count("#ffffff") == svg.count("var(--paper, #ffffff)") > 0
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert all(name.startswith("fig-") for name in ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert {a or b for a, b in used} <= set(ids)


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    save(map_against_bits(board_of(grid())), "png")
    assert dict(mpl.rcParams) == before


def test_legend_marks_rows_that_learn_from_more():
    record = make_record(method="kl_hash_captions", kind="captions", bits=16)
    figure = map_against_bits(board_of([*grid(), record]))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "kl_hash_captions [captions]" in labels
    assert "cibhash" in labels
