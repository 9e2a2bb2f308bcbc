from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch

from benchmarks import report, run
from benchmarks.runner.samples import keep_samples, known, thumbnails
from datasets import load
from results.figures.by_name import draw
from results.figures.codes import (
    _common_classes,
    _Map,
    _scatter,
    bit_correlation,
    correlation,
    hamming,
)
from results.figures.tsne import embed
from results.gallery.row_samples import Samples, read_samples, write_samples
from results.gallery.shown_queries import exhibits, rows_needed
from results.gallery.view import View
from results.page.thumbnails import galleries
from results.report import Options, load_board, render_board
from results.store.run_key import Table
from results.store.store import ResultStore
from tests.record_factory import board_of, make_record


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store with the samples that a run leaves in it."""
    folder = tmp_path_factory.mktemp("gallery")
    arguments = ["--methods", "lsh", "itq", "random", "--datasets", "synthetic", "--seeds", "1"]
    arguments += ["--bits", "16", "--out", f"{folder}/out", "--cache", f"{folder}/cache"]
    assert run.main([*arguments, "--no-report"]) == 0
    store = ResultStore(folder / "out")
    data = load("synthetic")
    assert keep_samples(store, load_board(store), known([data])) == []
    return store, data


def view_of(store):
    return View(load_board(store, ("lsh", "itq")), store)


def itq_of(store):
    return next(r for r in load_board(store).records if r.method == "itq")


def test_best_and_worst_queries_with_what_is_nearest(stored):
    store, data = stored
    view = view_of(store)
    (section,) = view.board.sections
    shown = exhibits(view, section)
    assert [exhibit.row.method for exhibit in shown] == ["lsh", "itq"]
    for exhibit in shown:
        arrays = view.arrays(exhibit.record)
        ap = arrays["query_ap"]
        assert [a.ap for a in exhibit.best] == pytest.approx(sorted(ap, reverse=True)[:3])
        assert [a.ap for a in exhibit.worst] == pytest.approx(sorted(ap, reverse=True)[-3:])
        answer = exhibit.best[0]
        place = int(np.flatnonzero(arrays["query_rows"] == answer.row)[0])
        query = np.unpackbits(arrays["query_codes"][place])
        distances = (np.unpackbits(arrays["database_codes"], axis=1) != query).sum(1)
        assert answer.distances.tolist() == sorted(distances)[:10]
        shares = (data.labels.dense()[answer.row] & data.labels.dense()[answer.found.tolist()]).any(
            1
        )
        assert answer.right.tolist() == shares.tolist()


def test_samples_are_those_rows_of_the_data_set(stored):
    store, data = stored
    view = view_of(store)
    assert rows_needed(view) == []
    samples = view.samples(view.board.records[0])
    rows = samples.image_rows[:5]
    expected = thumbnails(data.images.read(torch.from_numpy(rows)))
    np.testing.assert_array_equal(samples.images_of(rows), expected)
    np.testing.assert_array_equal(
        samples.labels_of(rows), data.labels.dense()[rows.tolist()].numpy()
    )
    assert samples.images_of(np.array([10**6])) is None


def test_other_labels_and_data_that_are_absent_leave_no_samples(stored, tmp_path):
    store, data = stored
    record = itq_of(store)
    other = ResultStore(tmp_path)
    other.save(record, store.arrays(store.locate(record)))
    assert keep_samples(other, load_board(other), known([])) == []
    flipped = replace(data, labels=data.labels.dense().roll(1, 1))
    (line,) = keep_samples(other, load_board(other), known([flipped]))
    assert "other labels" in line
    assert not (tmp_path / "samples").exists()


def test_damaged_samples_are_as_good_as_none_and_needed_again(stored, tmp_path):
    store, _ = stored
    record = itq_of(store)
    other = ResultStore(tmp_path)
    other.save(record, store.arrays(store.locate(record)))
    path = write_samples(other, record, read_samples(store, record))
    path.write_bytes(b"no tensors")
    assert read_samples(other, record) is None
    assert len(rows_needed(View(load_board(other), other))) == 1
    bad = Samples(np.arange(2), np.zeros((1, 1), bool), np.arange(1), np.zeros((1, 2, 2), np.uint8))
    named = replace(read_samples(store, record), classes=("one", "name", "too", "few"))
    for samples in (bad, named):
        write_samples(other, record, samples)
        assert read_samples(other, record) is None


def test_data_without_images_have_maps_and_no_gallery(stored, tmp_path):
    store, data = stored
    record = itq_of(store)
    other = ResultStore(tmp_path)
    other.save(record, store.arrays(store.locate(record)))
    bare = replace(data, images=None, features=torch.zeros(len(data.labels), 1))
    keep_samples(other, load_board(other), known([bare]))
    view = view_of(other)
    assert rows_needed(view) == []
    assert list(galleries(view)) == []
    assert len(list(draw(view, "tsne"))) == 1


def test_labels_never_tell_right_from_wrong_where_neighbours_are_relevant(stored, monkeypatch):
    view = View(load_board(stored[0]), stored[0])
    (section,) = view.board.sections
    assert exhibits(view, section)
    monkeypatch.setattr(Table, "truth", "neighbours")
    assert not exhibits(view, section)


def test_the_sheet_of_the_page_holds_each_thumbnail_once(stored):
    view = view_of(stored[0])
    (made,) = galleries(view)
    assert [exhibit.row.method for exhibit in made.exhibits] == ["lsh", "itq"]
    assert made.sheet.uri().startswith("data:image/png;base64,")
    answers = [a for e in made.exhibits for a in (*e.best, *e.worst)]
    rows = {row for a in answers for row in (a.row, *a.found.tolist())}
    places = {made.sheet.place(row) for row in rows}
    assert len(places) == len(rows) == len(made.sheet.images)
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in places)


def test_correlation_is_pearsons_without_its_sign():
    rng = np.random.default_rng(0)
    codes = rng.random((200, 6)) < 0.4
    codes[:, 1] = ~codes[:, 0]
    expected = np.abs(np.corrcoef(codes.T.astype(float)))
    np.testing.assert_allclose(correlation(codes), expected, atol=1e-9)
    codes[:, 2] = True
    assert correlation(codes)[2].tolist() == [0, 0, 1, 0, 0, 0]


def test_maps_are_the_same_each_time_and_stand_equal_codes():
    codes = np.repeat(np.eye(4, dtype=bool), 5, axis=0)
    np.testing.assert_array_equal(embed(hamming(codes)), embed(hamming(codes)))


def test_a_map_names_the_largest_classes_and_the_others():
    labels = np.eye(12, dtype=bool)[np.repeat(np.arange(12), np.arange(12, 0, -1))]
    points = np.zeros((len(labels), 2), np.float32)
    for classes, expected in (
        ((), [f"class {n}" for n in range(10)]),
        (("_a", "b", "b", *"cdefghijk"), [" _a", "b 1", "b 2", *"cdefghi"]),
    ):
        panel = mpl.figure.Figure().add_subplot()
        _scatter(panel, _Map("", points, labels, classes), _common_classes(labels))
        assert panel.get_legend_handles_labels()[1] == ["others", *expected]


def test_the_legend_of_a_map_has_the_names_of_the_classes(stored):
    (drawn,) = draw(view_of(stored[0]), "tsne")
    (legend,) = drawn.figure.legends
    assert {text.get_text() for text in legend.get_texts()} == set(stored[1].classes)


def test_records_whose_arrays_are_gone_draw_nothing(tmp_path):
    board = board_of([make_record()])
    view = View(board, ResultStore(tmp_path))
    assert bit_correlation(view, board.sections[0]) is None
    assert rows_needed(view) == []


def test_large_images_become_thumbnails_of_their_shape():
    small = thumbnails(torch.full((2, 3, 256, 128), 7, dtype=torch.uint8))
    assert small.shape == (2, 64, 32, 3)
    assert (small == 7).all()


def test_the_command_reads_the_data_when_it_is_asked_to(stored, tmp_path, capsys):
    store, _ = stored
    for record in load_board(store).records:
        ResultStore(tmp_path).save(record, store.arrays(store.locate(record)))
    arguments = ["--out", str(tmp_path), "--figures", "tsne", "--format", "svg"]
    arguments += ["--width", "column"]
    assert report.main(arguments) == 0
    assert not (tmp_path / "samples").exists()
    assert report.main([*arguments, "--samples"]) == 0
    assert "tsne-synthetic" in capsys.readouterr().out
    html = (tmp_path / "report/index.html").read_text()
    assert html.count('class="thumb"') == 12
    alone = ResultStore(tmp_path)
    render_board(load_board(alone), alone, Options(figures=("tsne",)))
    assert (tmp_path / "report/index.html").read_text().count('class="thumb"') == 12


def test_an_unknown_figure_names_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        report.main(["--figures", "nope"])
    assert caught.value.code == 2
    assert "map_against_bits" in capsys.readouterr().err
