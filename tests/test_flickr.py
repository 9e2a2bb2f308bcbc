import numpy as np
import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import flickr
from datasets.sources.flickr import ALL_38, POTENTIAL, RELEVANT

from .image_files import records, run_lsh, write_images


def write_annotations(folder, marked, end="\r\n"):
    """Write a file of image numbers for each label; marked is bool (25000, 24)."""
    folder.mkdir(parents=True)
    for label, column in zip(POTENTIAL, marked.T, strict=True):
        numbers = (np.flatnonzero(column) + 1).tolist()
        (folder / f"{label}.txt").write_text("".join(f"{n}{end}" for n in numbers), newline="")
    for label in RELEVANT:
        (folder / f"{label}.txt").write_text("1\n")
    (folder / "README.txt").write_text("about")


@pytest.fixture
def marked(shared_data):
    """Labels of all 25,000 images, in the order of `POTENTIAL`."""
    with np.load(shared_data / "splits/multilabel_lists.npz") as packed:
        labels = np.unpackbits(packed["mirflickr38_labels"], axis=1)[:, :38].astype(bool)
        numbers = [int(name[2:-4]) for name in packed["mirflickr38_names"]]
    columns = [list(ALL_38).index(label) for label in POTENTIAL]
    return labels[np.argsort(numbers)][:, columns]


@pytest.fixture
def root(tmp_path, marked):
    folder = tmp_path / "data/flickr25k"
    write_annotations(folder / "annotations", marked)
    write_images(folder / "mirflickr", [f"im{i}.jpg" for i in range(1, 61)])
    return folder


def contents(root, name="flickr25k"):
    return flickr.load_flickr25k(datasets.protocol_of(name), LoadOptions(root.parent))


def refusal(root, name="flickr25k", **options):
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, LoadOptions(root.parent, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_annotations_have_the_published_counts(root, marked):
    data = contents(root)
    assert torch.equal(data.labels.dense(), torch.from_numpy(marked))
    assert tuple(data.labels.dense().sum(0).tolist()) == data.published["all"]
    assert data.classes == tuple(POTENTIAL)
    assert data.images.encoded.names[::24_999] == ["mirflickr/im1.jpg", "mirflickr/im25000.jpg"]


@pytest.mark.parametrize("name", ["2k-5k", "bihalf", "labelled"])
def test_real_labels_give_the_sizes_of_the_drawn_protocols(root, name):
    data = contents(root)
    p = datasets.protocol_of(f"flickr25k/{name}")
    split = p.split(data.labels)
    assert (len(split.query), len(split.train), len(split.database)) == (
        p.n_query,
        p.n_train,
        p.n_database,
    )


@pytest.mark.parametrize("folder", ["mirflickr25k_annotations_v080", "annotations"])
def test_either_name_of_the_annotations_and_the_folder_itself(root, folder):
    (root / "annotations").rename(root / folder)
    protocol = datasets.protocol_of("flickr25k")
    assert len(flickr.load_flickr25k(protocol, LoadOptions(root)).labels) == 25_000


def test_sixty_images_run_end_to_end(root, tmp_path):
    p = datasets.protocol_of("flickr25k/labelled")
    split = p.split(contents(root).labels)
    there = torch.cat([split.query[:9], split.train[:20]]).unique()
    write_images(root / "mirflickr", [f"im{i + 1}.jpg" for i in there.tolist()])
    assert "of 25,000 images are missing" in refusal(root, "flickr25k/labelled")
    arguments = ("--no-report", "--allow-missing")
    assert run_lsh("flickr25k/labelled", root.parent, tmp_path, *arguments) == 0
    assert all(r.startswith("flickr25k/labelled_") for r in records(tmp_path))


@pytest.mark.parametrize(
    ("protocol", "folder", "width"),
    [
        ("lists", "swuxyj_DeepHash-pytorch/data/mirflickr", 38),
        ("ssdh", "yangerkun_IJCAI2018_SSDH/flickr", 24),
    ],
)
def test_real_lists_give_the_published_split(tmp_path, paper_lists, protocol, folder, width):
    """The lists of SSDH begin at the root of their author's disk."""
    root = tmp_path / "flickr25k"
    root.mkdir()
    (root / protocol).symlink_to(paper_lists / folder)
    data = contents_after_images(root, f"flickr25k/{protocol}")
    assert data.labels.shape[1] == width
    p = datasets.protocol_of(f"flickr25k/{protocol}")
    split = p.split(data.labels, data.parts)
    assert not torch.isin(split.query, split.database).any()
    if protocol == "lists":
        assert data.classes == tuple(ALL_38)
        assert tuple(data.labels.dense().sum(0).tolist()) == data.published["all"]
    assert data.images.encoded.names[0].startswith("mirflickr/im")


def contents_after_images(root, name):
    write_images(root / "mirflickr", [f"im{i}.jpg" for i in range(1, 61)])
    return contents(root, name)


def test_absent_annotations_are_named(tmp_path):
    message = refusal(tmp_path / "flickr25k")
    assert str(tmp_path / "flickr25k") in message
    assert "annotations" in message
    assert "press.liacs.nl/mirflickr" in message


def test_one_absent_label_is_named(root):
    (root / "annotations/sea.txt").unlink()
    assert "annotations/sea.txt" in refusal(root)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0\n", "image numbers are 1..25000, found 0"),
        ("25001\n", "image numbers are 1..25000, found 25001"),
        ("im4.jpg\n", "expected the number of an image a line"),
    ],
)
def test_a_wrong_number_is_named(root, text, reason):
    path = root / "annotations/sea.txt"
    path.write_text(text)
    assert refusal(root).startswith(str(path))
    assert reason in refusal(root)


def test_files_may_begin_with_a_byte_order_mark(root):
    before = contents(root)
    for path in (root / "annotations").glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = contents(root)
    assert torch.equal(after.labels.dense(), before.labels.dense())
    assert after.images.encoded.names == before.images.encoded.names
