import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.font_manager import findfont

from results.analysis.board import PANELS
from results.choices import CAPTIONS
from results.figures import lines as figure_lines
from results.figures.by_name import FIGURES, draw
from results.figures.letters import LATIN, add_latin
from results.figures.lines import bit_balance, precision_at_n
from results.figures.ranks import mean_ranks
from results.figures.style import (
    COLOURS,
    DPI,
    WIDTHS,
    inline_png,
    inline_svg,
    method_styles,
    panels,
    save,
)
from results.figures.training import cost, loss, pareto
from results.figures.truths import labels_against_neighbours
from results.gallery.view import View
from tests.record_factory import ORDER, board_of, by_neighbours, failure, grid, make_record


def map_against_bits(board):
    return figure_lines.map_against_bits(View(board))


def precision_recall(board):
    return figure_lines.precision_recall(View(board))


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


def test_yardsticks_of_several_kinds_are_told_apart_and_named_with_what_they_take():
    sizes = {"pq": "K bits", "opq": "K bits", "rabitq": "K + 64 bits"}
    more = [
        make_record(method=m, kind="yardstick", bits=b, settings={"method": {"size": size}})
        for m, size in sizes.items()
        for b in (16, 32, 64)
    ]
    board = board_of([*grid(seeds=1), *more])
    (axes,) = map_against_bits(board).axes
    lines = lines_of(axes)
    assert {"pq (K bits)", "rabitq (K + 64 bits)", "float", "random"} <= set(lines)
    styles = method_styles(board)
    rows = [*sizes, "float", "random"]
    assert len({styles[name]["linestyle"] for name in rows}) == len(rows)
    assert len({styles[name]["color"] for name in rows}) == 1


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


def test_recall_is_drawn_against_all_bytes_of_an_item():
    info = make_record().protocol_info | {"metric": "recall10@10"}
    shared = {"protocol": "p+knn10-l2", "protocol_info": info}

    def metrics(recall, **more):
        return {"recall10@10": recall, "recall10@40": recall + 0.2, **more}

    records = [
        *(make_record(bits=b, metrics=metrics(b / 100), **shared) for b in (64, 12)),
        make_record(
            method="rabitq",
            kind="yardstick",
            metrics=metrics(0.5, **{"codes.bytes": 10.0}),
            **shared,
        ),
        make_record(
            method="int8",
            kind="yardstick",
            bits=0,
            metrics=metrics(0.7, **{"codes.bytes": 48.0}),
            **shared,
        ),
    ]
    plain, again = figure_lines.recall_against_bytes(View(board_of(records))).axes
    for axes, gain in ((plain, 0), (again, 0.2)):
        found = {
            name.split(" ")[0]: (list(line.get_xdata()), list(line.get_ydata()))
            for name, line in lines_of(axes).items()
        }
        assert found["lsh"] == ([2, 8], pytest.approx([0.12 + gain, 0.64 + gain]))
        assert found["rabitq"] == ([10], pytest.approx([0.5 + gain]))
        assert found["int8"] == ([48], pytest.approx([0.7 + gain]))
        markers = {name: line.get_marker() for name, line in lines_of(axes).items()}
        assert len({markers[name] for name in markers if "lsh" not in name} - {"None"}) == 2
    assert [axes.get_ylabel() for axes in (plain, again)] == ["recall10@10", "recall10@40"]
    assert figure_lines.recall_against_bytes(View(board_of(grid()))) is None


def test_no_curves_no_figure():
    assert precision_recall(board_of([make_record()])) is None


@pytest.mark.parametrize(
    ("form", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_the_same_records_give_the_same_bytes(form, magic):
    first, second = (save(map_against_bits(board_of(grid())), form) for _ in range(2))
    assert first.startswith(magic)
    assert first == second


def test_each_form_of_a_figure_is_drawn_once(monkeypatch):
    figure, drawn = map_against_bits(board_of(grid())), []
    draw_figure = mpl.figure.Figure.draw
    monkeypatch.setattr(
        mpl.figure.Figure, "draw", lambda f, renderer: drawn.append(f) or draw_figure(f, renderer)
    )
    sizes = [len(save(figure, form)) for form in ("pdf", "png", "svg")]
    assert drawn == [figure] * 3
    assert figure.dpi == DPI
    assert sizes[1] == len(save(map_against_bits(board_of(grid())), "png"))  # laid out alike


def test_a_pdf_has_letters_of_the_small_font_and_others_of_the_whole():
    records = [make_record(method=name) for name in ("lsh", "\u03bb-hash")]
    pdf = save(map_against_bits(board_of(records)), "pdf")
    assert b"HashBenchSans" in pdf
    assert b"DejaVuSans" in pdf
    assert b"DejaVuSans" not in save(map_against_bits(board_of(records[:1])), "pdf")


def test_the_small_font_has_no_tables_for_text_shapers():
    add_latin()
    with TTFont(findfont(LATIN)) as font:
        assert not {"GDEF", "GPOS", "GSUB", "MATH"} & set(font.keys())


def test_pixels_are_drawn_on_the_canvas_that_measured_the_texts():
    figure = map_against_bits(board_of(grid()))
    canvas = figure.canvas
    save(figure, "pdf")
    measured = canvas.get_renderer()
    save(figure, "png")
    assert figure.canvas is canvas
    assert canvas.get_renderer() is measured


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
    svg = inline_svg(save(map_against_bits(board_of(grid())), "svg"), "fig", "A <caption>")
    assert svg.startswith('<svg role="img" aria-label="A &lt;caption&gt;"')
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


def with_curves(seed=0, method="lsh", bits=2):
    return make_record(
        method=method,
        bits=bits,
        seed=seed,
        curves={
            "cutoffs": {"n": [1, 10], "precision": [1.0, 0.4 + 0.2 * seed], "recall": [0.1, 0.5]},
            "bits": {"bit": [0, 1], "activation": [0.2, 0.8], "entropy": [0.7, 0.7]},
            "distances": {"pairs": [4, 4, 2], "relevant": [3, 1, 0]},
            "growth": {"n": [10, 100], "map": [0.4, 0.1 + 0.2 * seed], "precision": [0.3, 0.1]},
        },
        history=[{"contrastive": 3.0 - seed, "kl": 1.0}, {"contrastive": 2.0, "kl": 0.5}],
        cpu_timings={"fit": 2.0 + seed},
        metrics={"mAP@1000": 0.4, "P@H<=2": 0.3}
        | {"mAP@1000:noise-1": 0.3, "mAP@1000:fog-1": 0.1, "mAP@1000:fog-3": 0.1 * seed},
    )


def test_curves_by_cutoff_are_means_over_seeds_at_the_longest_codes():
    records = [with_curves(0), with_curves(1), with_curves(bits=1)]
    (axes,) = precision_at_n(View(board_of(records))).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_data(), [[1, 10], [1.0, 0.5]])
    assert axes.get_xscale() == "log"


def test_quality_by_severity_is_the_mean_over_kinds_and_seeds_and_begins_clean():
    (axes,) = figure_of("shift", [with_curves(0), with_curves(1), with_curves(bits=1)]).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_data(), [[0, 1, 3], [0.4, 0.2, 0.05]])


def test_growth_is_drawn_against_the_items_of_the_database():
    (axes,) = figure_of("growth", [with_curves(0), with_curves(1)]).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_data(), [[10, 100], [0.4, 0.2]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "100"]


def figure_of(name, records):
    (one,) = draw(View(board_of(records)), name)
    return one.figure


def test_bits_stand_by_falling_activation():
    (axes,) = bit_balance(View(board_of([with_curves()]))).axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.8, 0.2])


def test_loss_has_a_panel_a_method_with_its_terms_and_their_sum():
    view = View(board_of([with_curves(0), with_curves(1), with_curves(method="itq")]))
    (section,) = view.board.sections
    axes, other = loss(view, section).axes
    assert axes.get_title(loc="left") == "lsh"
    assert other.get_title(loc="left") == "itq"
    lines = lines_of(axes)
    np.testing.assert_allclose(lines["sum"].get_ydata(), [3.5, 2.5])
    np.testing.assert_allclose(lines["kl"].get_ydata(), [1.0, 0.5])


def test_cost_marks_what_nothing_beats_in_both():
    assert pareto([(1, 0.2), (1, 0.3), (2, 0.3), (3, 0.1), (4, 0.9)]) == [(1, 0.3), (4, 0.9)]
    (axes,) = cost(View(board_of([*grid(), with_curves(bits=16)]))).axes
    front = lines_of(axes)["Pareto front"]
    assert set(front.get_xdata()) == {0.5}  # all cells train as long: the best of them
    assert axes.get_xlabel() == "training time (CPU seconds)"


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [((0.02, 40), ["0.1", "1", "10"]), ((2.0, 30), ["2", "5", "10", "20"])],
)
def test_axes_of_powers_of_ten_show_plain_numbers_some_even_within_a_decade(seconds, ticks):
    records = [
        make_record(method=name, cpu_timings={"fit": spent})
        for name, spent in zip(("lsh", "itq"), seconds, strict=True)
    ]
    figure = cost(View(board_of(records)))
    save(figure, "png")
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    shown = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert [tick.get_text() for tick in shown] == ticks
    assert {tick.get_text() for tick in axes.get_xticklabels(minor=True)} <= {""}


def test_the_axis_of_cost_tells_seconds_on_the_clock_from_cpu_seconds():
    on_cuda = make_record(method="itq", versions={"cuda": "13.0"})
    (axes,) = cost(View(board_of([on_cuda]))).axes
    assert axes.get_xlabel() == "training time (seconds)"
    (axes,) = cost(View(board_of([make_record(), on_cuda]))).axes
    assert axes.get_xlabel() == "training time (CPU seconds or seconds)"


def bars(figure):
    return [line for line in figure.axes[0].lines if line.get_linewidth() == 3]


def test_ranks_of_too_few_data_sets_have_no_bars_and_the_figure_says_why():
    figure = mean_ranks(View(board_of([*grid(), make_record(method="nsh", bits=16)])))
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"cibhash 1.00", "itq 2.00", "lsh 3.00"} <= texts
    assert not [text for text in texts if text.startswith("nsh")]
    assert not bars(figure)
    note = " ".join(figure.get_supxlabel().split())
    assert "over one data set" in note
    assert "No bars: 1 data set cannot tell 3 methods apart" in note
    assert "that takes 7." in note
    assert "Left out, since not all have an entry: nsh." in note
    assert mean_ranks(View(board_of([make_record(), make_record(method="itq")]))) is None


def test_a_bar_joins_methods_that_enough_data_sets_do_not_tell_apart():
    values = {"lsh": (0.1, 0.1), "itq": (0.5, 0.6), "cibhash": (0.6, 0.5)}
    records = [
        make_record(dataset=f"set {n}", method=name, metrics={"mAP@1000": pair[n % 2] + n / 100})
        for n in range(8)
        for name, pair in values.items()
    ]
    figure = mean_ranks(View(board_of(records)))
    (bar,) = bars(figure)
    assert list(bar.get_xdata()) == pytest.approx([1.46, 1.54])  # itq and cibhash, not lsh at 3
    assert "A bar joins what does not differ at 5 %" in " ".join(figure.get_supxlabel().split())


def test_labels_and_neighbours_of_one_split_are_drawn_against_each_other_a_point_a_method():
    records = [*grid(), *by_neighbours(grid()), *by_neighbours(grid(dataset="without labels"))]
    (axes,) = labels_against_neighbours(View(board_of(records))).axes
    points = {bar.get_label(): bar.lines[0].get_xydata()[0] for bar in axes.containers}
    assert list(points) == ["lsh", "itq", "cibhash"]
    assert points["itq"] == pytest.approx([0.468, 1 - 0.468])
    assert axes.get_xlabel() == "mAP@1000 by labels, 64 bits"
    assert axes.get_ylabel() == "recall10@10, 64 bits (rho -1.00)"


def test_one_truth_alone_has_nothing_to_be_drawn_against():
    other = [replace(record, backbone="cnn") for record in by_neighbours(grid())]
    for records in (grid(), by_neighbours(grid()), [*grid(), *other]):
        assert labels_against_neighbours(View(board_of(records))) is None


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_curves_has_the_width_of_the_paper(name, width):
    records = [*grid(bits=(1, 2)), *(with_curves(seed, method="nsh") for seed in (0, 1))]
    records += by_neighbours(grid(bits=(1, 2)))
    drawn = list(draw(View(board_of(records), width=width), name))
    needs_arrays = {"bit_correlation", "tsne"}
    assert bool(drawn) == (name not in needs_arrays)
    for one in drawn:
        assert one.figure.get_figwidth() == WIDTHS[width]
        shown = inline_png(save(one.figure, "png"), '"')
        assert shown.startswith('<img src="data:image/png;base64,')
        assert 'alt="&#34;"' in shown


def test_every_figure_can_be_chosen_by_its_name_in_the_order_of_the_page():
    assert list(CAPTIONS) == list(FIGURES)


def test_a_figure_for_each_section_has_a_stem_of_its_own():
    records = [with_curves(), replace(with_curves(), backbone="../x", digest="0" * 64)]
    stems = [one.stem for one in draw(View(board_of(records)), "loss")]
    assert stems == ["loss-digits-300-1497-.._x", "loss-digits-300-1497-pixels"]


@pytest.mark.parametrize("name", FIGURES)
def test_names_with_mathematics_are_text_in_every_figure(name):
    evil = r"$\nope{"
    records = [
        replace(record, dataset=f"{evil}$", method=f"{record.method}{evil}$", digest=f"{n:064}")
        for n, record in enumerate([*grid(bits=(1, 2)), with_curves(), with_curves(method="nsh")])
    ]
    for one in draw(View(board_of(records)), name):
        assert save(one.figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "names",
    [
        [f"method number {i:02}" for i in range(40)],
        ["_mine", "theirs"],
        [f"m(a={'v' * 95})", "theirs"],
    ],
    ids=["forty", "underscore", "long"],
)
def test_a_legend_names_every_method_and_leaves_the_panel_its_room(names, width):
    (drawn,) = draw(View(board_of(grid(names, seeds=1)), width=width), "map_against_bits")
    save(drawn.figure, "png")
    (legend,) = drawn.figure.legends
    shown = ["".join(text.get_text().split()) for text in legend.get_texts()]
    assert shown == ["".join(name.split()) for name in (*names, "float", "random")]
    box, edge = legend.get_window_extent(), drawn.figure.bbox
    assert box.x0 >= edge.x0 - 1
    assert box.x1 <= edge.x1 + 1
    assert box.y0 >= edge.y0 - 1
    assert box.y1 <= edge.y1 + 1
    (axes,) = drawn.figure.axes
    panel = axes.get_window_extent()
    assert panel.height > 1.5 * drawn.figure.dpi
    assert panel.width > 0.5 * edge.width
    assert not panel.overlaps(box)


@pytest.mark.parametrize("name", FIGURES)
def test_letters_that_the_font_lacks_are_shown_by_their_numbers(name):
    told = [{"\u6f22": 1.0, "_a": 1.0}, {"\u6f22": 0.5, "_a": 1.0}]
    records = [
        replace(record, dataset="\u9ce5", method=f"{record.method}\u54c8", digest=f"{n:064}")
        for n, record in enumerate([*grid(bits=(1, 2)), with_curves(), with_curves(method="nsh")])
    ]
    records[-1] = replace(records[-1], history=told)
    for one in draw(View(board_of(records)), name):
        save(one.figure, "svg")  # a missing letter would be a warning, which is an error here
        texts = " ".join(text.get_text() for text in one.figure.findobj(mpl.text.Text))
        assert "(U+54C8)" in texts
        assert name != "loss" or {"(U+6F22)", "_a"} <= set(texts.split())


def test_panels_go_to_the_best_where_there_are_many_methods():
    methods = [f"m{place:02}" for place in range(PANELS + 3)]
    board = board_of(grid(methods=methods, bits=(16,), seeds=1), order=methods)
    (section,) = board.sections
    shown = [row.method for row in section.with_panels]
    assert shown == [*methods[3:], "float", "random"]
    assert section.panels_note == f" The {PANELS} best of {PANELS + 3} methods."
    (few,) = board_of(grid(bits=(16,), seeds=1)).sections
    assert few.with_panels == few.rows
    assert few.panels_note == ""


def test_letters_of_two_weights_have_ids_of_their_own_in_one_svg():
    figure, (panel,) = panels(["eee"], "page")  # bold
    panel.set_xlabel("eee")
    found = re.findall(r'<path id="HashBenchSans-(\w+)-(\w+)"', save(figure, "svg").decode())
    bold = {letter for weight, letter in found if weight == "bold"}
    assert bold
    assert bold <= {letter for weight, letter in found if weight == "normal"}
