"""Labels in every form that users have, and what is refused."""

import numpy as np
import pytest
import torch

from benchmarks.evaluation.counts import Codes, evaluate
from benchmarks.evaluation.labels import packed_labels
from benchmarks.evaluation.packing import PackedBits

CLASSES = [3, 0, 9, 9, -1, 1]
COLUMNS = np.array([[c == k for k in range(10)] for c in CLASSES])
FORMS = {
    "list": CLASSES,
    "array": np.array(CLASSES, np.int32),
    "unsigned": np.array([3, 0, 9, 9, 255, 1], np.uint8).view(np.int8),
    "tensor": torch.tensor(CLASSES),
    "lists": [[3], [0], [9], [9], [], [1]],
    "tuples and none": [(3,), (0,), (9, 9), (9,), (-1,), (1,)],
    "sets": [{3}, {0}, {9}, {9}, set(), {1}],
    "columns": COLUMNS,
    "columns of signs": torch.tensor(COLUMNS) * 2 - 1,
    "packed": PackedBits.of(COLUMNS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_columns(form):
    packed, by_number = packed_labels(FORMS[form])
    np.testing.assert_array_equal(packed.unpack(), COLUMNS)
    assert by_number == (form not in ("columns", "columns of signs", "packed"))


def test_items_of_several_classes_have_all_of_them():
    packed, _ = packed_labels([{0, 17}, [1], (0, 1)])
    assert [np.flatnonzero(row).tolist() for row in packed.unpack()] == [[0, 17], [1], [0, 1]]


def test_zeros_and_ones_are_lists_of_classes_where_nothing_else_is_possible():
    for labels in ([{0}, {1}], [[0], [1], []], [[0, 1], {1, 0}]):
        assert packed_labels(labels)[0].width == 2
    for labels in ([[0], [1]], [[0, 1], [1, 0]], [[True, False], [False, False]]):
        with pytest.raises(ValueError, match=r"could be columns .* an array for columns, and sets"):
            packed_labels(labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0.0, 1.0], "must be class numbers, got float64"),
        (["cat", "dog"], "must be class numbers, got <U3"),
        (np.array([True, False]), "must be class numbers, got bool"),
        ([0, -2], "from 0 to 65535, or -1 for none, got -2 for item 1"),
        ([[0], [2**16]], "from 0 to 65535, or -1 for none, got 65536 for item 1"),
        ([[0], 1], "a list of class numbers for each item, got 1 for item 1"),
        ([["cat"], ["dog"]], r"a list of class numbers for each item, got \['cat'\] for item 0"),
        (np.array([[0, 2]]), "must be bool, 0/1 or -1/[+]1, got 2"),
        (np.zeros((2, 2, 2)), r"must be a matrix .*got shape \(2, 2, 2\)"),
    ],
)
def test_what_is_no_label_is_refused_in_one_line(labels, words):
    with pytest.raises(ValueError, match=f"^Codes: labels .*{words}") as raised:
        Codes(np.zeros((2, 3)), labels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("similarity", [None, "jaccard", "matrix"])
def test_class_numbers_count_as_their_columns_whichever_classes_occur(similarity):
    rng = np.random.default_rng(0)
    classes, codes = rng.integers(0, 12, 60), rng.random((60, 9)) < 0.5
    classes[:5] = classes[:5] % 3  # queries know few of the classes, and so do the first items
    classes[5:20] = classes[5:20] % 5
    columns = classes[:, None] == np.arange(12)
    if similarity == "matrix":
        similarity = rng.random((12, 12))
    options = {"similarity": similarity, "device": "cpu"}
    whole = evaluate(Codes(codes[:5], columns[:5]), Codes(codes[5:], columns[5:]), **options)
    by_number = Codes(codes, classes)
    pieces = [Codes(codes[5:20], classes[5:20]), Codes(codes[20:], classes[20:].tolist())]
    few = Codes(codes[:20], classes[:20])[:5]
    for query in (by_number[:5], few, Codes(codes[:5], columns[:5])):
        for database in (by_number[5:], pieces, Codes(codes[5:], columns[5:])):
            stats = evaluate(query, database, **options)
            np.testing.assert_array_equal(stats.items, whole.items)
            np.testing.assert_array_equal(stats.relevant, whole.relevant)
            if similarity is not None:
                np.testing.assert_array_equal(stats.gain, whole.gain)


def test_a_class_beyond_the_columns_is_refused():
    codes = np.zeros((2, 4))
    query, database = Codes(codes, np.ones((2, 3))), Codes(codes, [0, 3])
    for pair in ((query, database), (database, query)):
        with pytest.raises(ValueError, match=r"equally many classes, got (3 and 4|4 and 3)"):
            evaluate(*pair, device="cpu")
    with pytest.raises(ValueError, match="a column for each of the 4 classes, got shape"):
        evaluate(database, database, similarity=np.ones((3, 3)), device="cpu")
    with pytest.raises(ValueError, match="equally many classes, got 3 and 4"):
        evaluate(Codes(codes, [0, 2]), database, similarity=np.ones((3, 3)), device="cpu")
