"""What `evaluate` counts, from arrays, shards and disk, and what it refuses."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from benchmarks.evaluation.counts import Codes, RetrievalStats, evaluate
from benchmarks.evaluation.graded_metrics import ndcg
from benchmarks.evaluation.graded_relevance import Grades
from benchmarks.evaluation.packing import PackedBits
from tests.code_factory import codes


def test_a_case_worked_on_paper():
    query = Codes(np.array([[1, 0, 1], [0, 0, 0]]), np.array([[1, 0], [0, 1]]))
    database = Codes(
        torch.tensor([[1, 0, 1], [1, 1, 1], [0, 1, 0]]), torch.tensor([[1, 0], [0, 1], [1, 1]])
    )
    stats = evaluate(query, database, device="cpu")
    assert stats.items.tolist() == [[1, 1, 0, 1], [0, 1, 1, 1]]
    assert stats.relevant.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert stats.gain is None
    assert stats.n_without_relevant == 0


@pytest.mark.parametrize("similarity", [None, "shared", "exponential", "jaccard", "matrix"])
def test_shards_in_any_cut_equal_the_whole_to_the_last_digit(similarity):
    query, database = Codes(*codes(7, 24, 5, 0)), Codes(*codes(300, 24, 5, 1))
    if similarity == "matrix":
        similarity = np.random.default_rng(2).random((5, 5))
    whole = evaluate(query, database, similarity=similarity, device="cpu")
    cuts = [0, 0, 1, 120, 299, 300]
    pieces = [database[a:b] for a, b in itertools.pairwise(cuts)]
    streamed = evaluate(query, iter(pieces), similarity=similarity, device="cpu")
    added = sum(
        (evaluate(query, p, similarity=similarity, device="cpu") for p in pieces[1:]),
        evaluate(query, pieces[0], similarity=similarity, device="cpu"),
    )
    for stats in (streamed, added):
        np.testing.assert_array_equal(stats.items, whole.items)
        np.testing.assert_array_equal(stats.relevant, whole.relevant)
        if similarity is not None:
            np.testing.assert_array_equal(stats.gain, whole.gain)
            np.testing.assert_array_equal(stats.grades.values, whole.grades.values)
            np.testing.assert_array_equal(stats.grades.items, whole.grades.items)


def test_jaccard_and_class_similarity_by_hand():
    query = Codes(np.zeros((1, 2)), np.array([[1, 1, 0]]))
    database = Codes(
        np.array([[0, 0], [0, 1], [1, 1]]), np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    )
    jaccard = evaluate(query, database, similarity="jaccard", device="cpu").gain
    np.testing.assert_allclose(jaccard, [[1 / 2, 1 / 3, 0]], atol=2**-26)
    similarity = np.array([[1, 0.5, 0.25], [0.5, 1, 0], [0.25, 0, 1]])
    gain = evaluate(query, database, similarity=similarity, device="cpu").gain
    np.testing.assert_allclose(gain, [[1, 1, 0.25]])


def test_exponential_gain_by_hand():
    query = Codes(np.zeros((1, 1)), np.array([[1, 1, 1]]))
    labels = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1]])
    stats = evaluate(query, Codes(np.zeros((4, 1)), labels), similarity="exponential", device="cpu")
    assert stats.gain.tolist() == [[0 + 1 + 3 + 7, 0]]
    assert stats.grades.values.tolist() == [0, 1, 3, 7]


@pytest.mark.parametrize("similarity", ["shared", "jaccard"])
@pytest.mark.parametrize("step", [7, 10**6])
def test_gains_and_grades_are_those_of_a_loop_over_pairs(monkeypatch, similarity, step):
    """More queries than one table of gains holds."""
    monkeypatch.setattr("benchmarks.evaluation.counts.GRADED_PIECE", step)
    (query, q_labels), (items, labels) = codes(70, 6, 4, 0), codes(30, 6, 4, 1)
    stats = evaluate(
        Codes(query, q_labels), Codes(items, labels), similarity=similarity, device="cpu"
    )
    values = stats.grades.values
    expected = np.zeros((70, len(values), 7), int)
    for i, j in itertools.product(range(70), range(30)):
        shared = (q_labels[i] & labels[j]).sum()
        union = max((q_labels[i] | labels[j]).sum(), 1)
        gain = shared if similarity == "shared" else shared / union
        expected[i, np.abs(values - gain).argmin(), (query[i] != items[j]).sum()] += 1
    np.testing.assert_array_equal(stats.items, expected.sum(1))
    np.testing.assert_array_equal(stats.relevant, expected[:, values > 0].sum(1))
    np.testing.assert_array_equal(stats.grades.items, expected.sum(2))
    np.testing.assert_allclose(stats.gain, (expected * values[:, None]).sum(1), atol=1e-6)


def test_an_empty_shard_is_the_neutral_element():
    query, database = Codes(*codes(4, 20, 3, 0)), Codes(*codes(50, 20, 3, 1))
    empty = evaluate(query, database[:0], device="cpu")
    whole = evaluate(query, database, device="cpu")
    assert empty.items.shape == (4, 21)
    assert not empty.items.any()
    for stats in (whole + empty, empty + whole, evaluate(query, [], device="cpu") + whole):
        np.testing.assert_array_equal(stats.items, whole.items)
        np.testing.assert_array_equal(stats.relevant, whole.relevant)


def on_disk(folder, database):
    """The same codes and labels as memory maps, packed."""
    maps = []
    for name, values in (("codes", database.codes), ("labels", database.labels)):
        path = folder / f"{name}.npy"
        np.save(path, values.rows)
        maps.append(PackedBits(np.load(path, mmap_mode="r"), values.width))
    return Codes(*maps)


@pytest.mark.parametrize("similarity", [None, "jaccard"])
@pytest.mark.parametrize(("bits", "classes"), [(21, 5), (64, 16)])
def test_packed_codes_on_disk_count_the_same(tmp_path, monkeypatch, bits, classes, similarity):
    query, database = Codes(*codes(7, bits, classes, 0)), Codes(*codes(300, bits, classes, 1))
    whole = evaluate(query, database, similarity=similarity, device="cpu")
    monkeypatch.setattr("benchmarks.evaluation.counts.PIECE", 128)
    maps = on_disk(tmp_path, database)
    columns = Codes(
        *(PackedBits(np.asfortranarray(x.rows), x.width) for x in (maps.codes, maps.labels))
    )
    for form in (maps, columns, Codes(maps.codes, database.labels)):
        stats = evaluate(query, form, similarity=similarity, device="cpu")
        np.testing.assert_array_equal(stats.items, whole.items)
        np.testing.assert_array_equal(stats.relevant, whole.relevant)
        if similarity:
            np.testing.assert_array_equal(stats.gain, whole.gain)


def test_memory_does_not_grow_with_the_database(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.counts.PIECE", 2**12)
    query = Codes(*codes(2, 64, 10, 0))
    peaks = []
    for n in (2**14, 2**19):
        maps = []
        for name, n_bytes in (("codes", 8), ("labels", 2)):
            path = tmp_path / f"{name}-{n}"
            path.write_bytes(bytes(n * n_bytes))
            rows = np.memmap(path, np.uint8, "r", shape=(n, n_bytes))
            maps.append(PackedBits(rows, {8: 64, 2: 10}[n_bytes]))
        evaluate(query, Codes(*maps), device="cpu")  # compiled before it is measured
        tracemalloc.start()
        evaluate(query, Codes(*maps), device="cpu")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 2**20  # the codes alone are four times as large


def test_inputs_stay_unmodified():
    query, database = codes(4, 16, 3, 0), codes(9, 16, 3, 1)
    copies = [x.copy() for x in (*query, *database)]
    evaluate(Codes(*query), Codes(*database), device="cpu")
    for got, before in zip((*query, *database), copies, strict=True):
        np.testing.assert_array_equal(got, before)


def good(n=3, bits=4, classes=2):
    return Codes(np.zeros((n, bits), bool), np.ones((n, classes), bool))


@pytest.mark.parametrize("form", [np.array, torch.tensor])
@pytest.mark.parametrize("value", [0.5, -1.0, float("nan"), 2.0])
def test_values_that_are_no_bits_are_named(form, value):
    matrix = np.zeros((3, 4))
    matrix[1, 2] = value
    with pytest.raises(ValueError, match=rf"Codes: codes .* got {value} in row 1, column 2"):
        Codes(form(matrix), good().labels)
    with pytest.raises(ValueError, match=rf"Codes: labels .* got {value} in row 1, column 2"):
        Codes(good().codes, form(matrix))


def test_packed_rows_of_another_width_are_refused():
    rows = np.zeros((3, 1), np.uint8)
    for width, wrong in ((9, rows), (0, rows), (8, rows[0]), (8, rows.astype(int))):
        with pytest.raises(ValueError, match=rf"PackedBits: {width} columns take a uint8 matrix"):
            PackedBits(wrong, width)


def test_packed_rows_with_more_than_their_width_are_named_as_they_are_read(monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.counts.PIECE", 2)
    rows = np.zeros((3, 1), np.uint8)
    rows[2] = 0b00010010
    wrong = Codes(PackedBits(rows, 4), good().labels)
    with pytest.raises(ValueError, match=r"database codes of 4 packed .* byte of 18 in row 2"):
        evaluate(good(), wrong, device="cpu")
    with pytest.raises(ValueError, match=r"query codes of 4 packed .* byte of 18 in row 2"):
        evaluate(wrong, good(), device="cpu")
    with pytest.raises(ValueError, match=r"piece 1 labels of 2 packed .* byte of 18 in row 2"):
        evaluate(good(), [good(), Codes(good().codes, PackedBits(rows, 2))], device="cpu")


@pytest.mark.parametrize(
    ("query", "database", "words"),
    [
        (good(bits=4), good(bits=5), "equally many bits a code, got 4 and 5"),
        (good(classes=2), good(classes=3), "equally many classes, got 2 and 3"),
        (good(n=0), good(), "at least 1 query, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(query, database, words):
    with pytest.raises(ValueError, match=f"evaluate: .*{words}"):
        evaluate(query, database, device="cpu")


def test_codes_without_labels_are_refused():
    rows = np.zeros((3, 4))
    with pytest.raises(TypeError, match=r"query must be Codes, got ndarray; give Codes\(codes, la"):
        evaluate(rows, good(), device="cpu")
    with pytest.raises(TypeError, match="database piece 0 must be Codes, got ndarray"):
        evaluate(good(), rows, device="cpu")


@pytest.mark.parametrize(
    ("codes", "labels", "words"),
    [
        (np.zeros((4, 0)), np.ones((4, 2)), "1 to 32767 bits, got 0"),
        (np.zeros((1, 2**15)), np.ones((1, 2)), "1 to 32767 bits, got 32768"),
        (np.zeros(4), np.ones((4, 2)), "codes must be a matrix"),
        ([[0, 1], [1]], np.ones((2, 2)), "codes must have rows of one length"),
        ([["0", "1"]], [0], "must be bool, 0/1 or -1/[+]1, got 0 in row 0, column 0"),
        (np.zeros((4, 4)), np.ones((3, 2)), "one row of labels a code, got 4 codes and 3 rows"),
    ],
)
def test_codes_and_labels_that_do_not_belong_together_are_refused(codes, labels, words):
    with pytest.raises(ValueError, match=f"Codes: .*{words}"):
        Codes(codes, labels)


@pytest.mark.parametrize(
    ("similarity", "words"),
    [
        (np.zeros((3, 3)), "a row and a column for each of the 2 classes"),
        (np.full((2, 2), 1.5), r"\[0, 1\], got 1.5 in row 0"),
        ("cosine", "'shared', 'exponential', 'jaccard' or a matrix"),
    ],
)
def test_similarity_that_is_none_is_refused(similarity, words):
    with pytest.raises(ValueError, match=words):
        evaluate(good(), good(n=0), similarity=similarity, device="cpu")


@pytest.mark.parametrize("n_shared", [30, 31, 45, 60, 960, 2000])
def test_any_number_of_labels_in_common_has_a_gain(n_shared):
    """Beyond 960 they count as 960, so that no sum over a database overflows."""
    labels = np.tri(n_shared + 1, n_shared, -1, dtype=bool)[[n_shared, n_shared, n_shared // 2, 1]]
    items = Codes(np.array([[1], [1], [1], [0]]), labels)
    stats = evaluate(items[:1], items, similarity="exponential", device="cpu")
    most, half = (2.0 ** min(n, 960) - 1 for n in (n_shared, n_shared // 2))
    assert stats.gain.tolist() == [[most + most + half, 1]]
    assert stats.grades.items.tolist() == ([[1, 3]] if half == most else [[1, 1, 2]])
    discount = 1 / np.log2([2, 3, 4, 5])
    found = (2 * most + half) / 3 * discount[:3].sum() + discount[3]
    assert ndcg(stats, 4) == pytest.approx([found / (discount @ [most, most, half, 1])], rel=1e-12)


def test_too_many_different_gains_are_refused():
    values = np.arange(2**14 + 1.0)
    with pytest.raises(ValueError, match="at most 16384 different gains can be kept, got 16385"):
        Grades(values, np.ones((1, len(values)), int))


def test_stats_of_other_queries_do_not_add_up():
    one = RetrievalStats(np.ones((2, 3), int), np.ones((2, 3), int))
    other = RetrievalStats(np.ones((2, 4), int), np.ones((2, 4), int))
    with pytest.raises(ValueError, match="same queries and code length"):
        one + other
