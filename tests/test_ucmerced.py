import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.protocols.table import PROTOCOLS
from datasets.sources import ucmerced
from datasets.sources.ucmerced import LABELS, SCENES
from tests.parquet_factory import noise, png, write_parquet

IMAGES = [png(p) for p in noise(21, 40)]
COLUMNS = {
    "scene": list(SCENES),
    "labels": [[LABELS[i % 17], LABELS[(i + 1) % 17]] for i in range(21)],
    "captions": [[f"A {scene} .", f"There is a {scene} ."] for scene in SCENES],
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(ucmerced, "N_ROWS", 21)
    write(tmp_path)
    return tmp_path


def write(root, **changes):
    path = root / "ucmerced" / "train-00000-of-00001.parquet"
    return write_parquet(path, IMAGES, **(COLUMNS | changes))


def load(root, name="scene", **options):
    return ucmerced.load_ucmerced(PROTOCOLS["ucmerced"][name], LoadOptions(root, **options))


def test_the_protocol_says_which_labels_are_taken(root):
    assert torch.equal(load(root, "scene").labels.dense(), torch.eye(21, dtype=torch.bool))
    labels = load(root, "multi").labels.dense()
    assert labels.shape == (21, 17)
    assert labels[16].nonzero().flatten().tolist() == [0, 16]


def test_captions_and_the_size_of_the_images_come_along(root):
    contents = load(root)
    assert contents.captions[3] == ["A beach .", "There is a beach ."]
    assert contents.images.read(torch.tensor([0])).shape == (1, 3, 40, 40)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scene": [*SCENES[:20], "moon"]}, "row 20 has 'moon', expected one of agricultural"),
        ({"labels": [["trees"]] * 20 + [["moon"]]}, "row 20 has 'moon', expected one of airplane"),
        ({"labels": [["trees"]] * 20 + [None]}, "row 20 has no 'labels'"),
    ],
)
def test_what_is_no_label_is_named_by_row(root, changes, words):
    path = write(root, **changes)
    with pytest.raises(DatasetError, match=words) as caught:
        load(root)
    assert str(path) in str(caught.value)


def test_another_number_of_rows_is_refused(root, monkeypatch):
    monkeypatch.setattr(ucmerced, "N_ROWS", 22)
    with pytest.raises(DatasetError, match="expected 22 rows, got 21"):
        load(root)
    assert len(load(root, allow_missing=True)) == 21


@pytest.mark.parametrize("given", [True, False])
def test_an_absent_file_is_named_with_where_to_get_it(tmp_path, given):
    with pytest.raises(DatasetError) as caught:
        load(tmp_path if given else None)
    message = str(caught.value)
    assert "\n" not in message
    assert "ucmerced/train-00000-of-00001.parquet" in message
    assert "weegee.vision.ucmerced.edu" in message
    assert (str(tmp_path) in message) == given
    assert ("--data-root" in message) != given


def test_the_real_copy_has_its_published_counts(shared_data):
    scenes = datasets.load("ucmerced/scene", LoadOptions(shared_data))
    assert scenes.labels.dense().sum(0).tolist() == [100] * 21
    assert scenes.labels.dense()[scenes.query].sum(0).tolist() == [10] * 21
    assert all(len(sentences) == 5 for sentences in scenes.captions)
    multi = datasets.load("ucmerced/multi", LoadOptions(shared_data))
    counts = dict(zip(LABELS, multi.labels.dense().sum(0).tolist(), strict=True))
    assert (counts["airplane"], counts["trees"], counts["pavement"]) == (100, 1009, 1300)
    assert round(float(multi.labels.dense().sum(1).float().mean()), 1) == 3.3
    assert (multi.labels.dense()[multi.query].sum(0) >= 12).all()
