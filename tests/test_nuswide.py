import numpy as np
import pytest
import torch

import datasets
from datasets.contents import LoadOptions
from datasets.errors import DatasetError
from datasets.sources import nuswide
from datasets.sources.nuswide import FREQUENT

from .image_files import records, run_lsh, smaller, write_images

OTHERS = tuple(f"rare{i:02}" for i in range(60))
N = 130
NAMES = [f"{'actor' if i < 70 else 'zebra'}\\{i:04}_{7 * i}.jpg" for i in range(N)]


def write_official(root, flags, names=NAMES, concepts=(*FREQUENT, *OTHERS), end="\r\n"):
    """Write annotations in the real layout; flags is bool (N, C)."""
    (root / "ImageList").mkdir(parents=True)
    (root / "ImageList/Imagelist.txt").write_text(end.join(names) + end, newline="")
    folder = root / "Groundtruth/AllLabels"
    folder.mkdir(parents=True)
    ends = np.frombuffer(b"\r\n" if end == "\r\n" else b"\n", np.uint8)
    for column, concept in zip(flags.T, concepts, strict=True):
        lines = np.empty((len(column), 1 + len(ends)), np.uint8)
        lines[:, 0], lines[:, 1:] = 48 + column, ends
        (folder / f"Labels_{concept}.txt").write_bytes(lines.tobytes())


def small_flags():
    """Row i has concept i modulo 26 (21 frequent ones, 5 rare); every 17th has none."""
    flags = np.zeros((N, 81), bool)
    flags[np.arange(N), np.arange(N) % 26] = True
    flags[::17] = False
    return flags


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data/nuswide21"
    write_official(folder, small_flags())
    write_images(folder / "Flickr", [name.replace("\\", "/") for name in NAMES])
    return folder


def load(root, name="nuswide21/2k-10k", **options):
    return datasets.load(name, LoadOptions(root.parent, **options))


def contents(root, name="nuswide21"):
    protocol = datasets.protocol_of(name)
    return datasets.DATASETS[name](protocol, LoadOptions(root.parent))


def refusal(root, name="nuswide21/2k-10k", **options):
    with pytest.raises(DatasetError) as caught:
        load(root, name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_without_any_of_the_21_concepts_are_no_members(root):
    data = contents(root)
    expected = small_flags()[:, :21]
    members = expected.any(1)
    assert torch.equal(data.labels.dense(), torch.from_numpy(expected[members]))
    assert data.classes == FREQUENT
    names = [n.replace("\\", "/") for n, member in zip(NAMES, members, strict=True) if member]
    assert data.images.encoded.names == [f"Flickr/{name}" for name in names]
    assert data.notes == (f"{N - members.sum()} of {N} images have none of the concepts",)


def test_all_81_concepts_keep_more_rows(root):
    root.rename(root.with_name("nuswide"))
    data = contents(root, "nuswide81")
    assert data.labels.shape == (small_flags().any(1).sum(), 81)
    assert data.classes == tuple(sorted((*FREQUENT, *OTHERS)))


def test_images_may_lie_in_another_folder_and_the_folder_itself_be_given(root):
    (root / "Flickr").rename(root / "images")
    protocol = datasets.protocol_of("nuswide21")
    data = nuswide.load_nuswide21(protocol, LoadOptions(root))
    assert data.images.encoded.names[0].startswith("images/actor/")


def test_official_layout_runs_end_to_end(root, tmp_path, monkeypatch):
    n_members = int(small_flags()[:, :21].any(1).sum())
    smaller(
        monkeypatch,
        "nuswide21/2k-10k",
        n_query=21,
        n_train=42,
        n_database=n_members - 21,
        cutoff=50,
    )
    assert run_lsh("nuswide21", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("nuswide21/2k-10k/pixels@8/lsh/") for r in records(tmp_path))


def test_missing_images_are_refused_then_left_out_under_another_name(root, tmp_path, monkeypatch):
    n_members = int(small_flags()[:, :21].any(1).sum())
    smaller(
        monkeypatch,
        "nuswide21/2k-10k",
        n_query=21,
        n_train=42,
        n_database=n_members - 21,
        cutoff=50,
    )
    (root / "Flickr/actor/0001_7.jpg").unlink()
    (root / "Flickr/zebra/0105_735.jpg").write_bytes(b"")
    first = f"{root}/Flickr/actor/0001_7.jpg"
    assert f"2 of {n_members} images are missing, the first is {first}" in refusal(root)
    assert run_lsh("nuswide21", root.parent, tmp_path, "--no-report") == 2
    assert run_lsh("nuswide21", root.parent, tmp_path, "--no-report", "--allow-missing") == 0
    assert all(r.startswith(f"nuswide21/2k-10k_{n_members - 2}/") for r in records(tmp_path))


def test_the_real_number_of_rows_with_few_images_runs_end_to_end(tmp_path):
    """Annotations of 269,648 rows, 195,834 of them members, and 60 images."""
    flags = np.zeros((269_648, 21), bool)
    members = np.arange(195_834)
    flags[members, members % 21] = True
    names = [f"actor\\{i:06}.jpg" for i in range(len(flags))]
    root = tmp_path / "data/nuswide21"
    write_official(root, flags, names, FREQUENT, "\n")
    p = datasets.protocol_of("nuswide21")
    split = p.split(torch.from_numpy(flags[members]))
    there = torch.cat([split.query[:10], split.train[:20], split.database[-30:]]).unique()
    write_images(root / "Flickr", [names[i].replace("\\", "/") for i in there])
    assert run_lsh("nuswide21", root.parent, tmp_path, "--no-report", "--allow-missing") == 0
    assert any(r.startswith(f"nuswide21/2k-10k_{len(there)}/") for r in records(tmp_path))


def lists(root, database=True):
    """Write lists in the form of the papers: 4 queries, 20 in the database, 8 of them train."""
    lines = [
        f"images/{i:04}_{i}.jpg " + " ".join("1" if c == i % 3 else "0" for c in range(21)) + "\n"
        for i in range(24)
    ]
    folder = root / "lists"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("".join(lines[:4]))
    (folder / "train.txt").write_text("".join(lines[4:12]))
    if database:
        (folder / "database.txt").write_text("".join(lines[4:]))
    return [line.split()[0] for line in lines]


def test_lists_run_end_to_end(tmp_path, monkeypatch):
    root = tmp_path / "data/nuswide21"
    write_images(root, lists(root))
    smaller(monkeypatch, "nuswide21/lists", n_query=4, n_train=8, n_database=20, cutoff=20)
    assert run_lsh("nuswide21/lists", root.parent, tmp_path, "--no-report") == 0
    assert any(r.startswith("nuswide21/lists/pixels@8/lsh/") for r in records(tmp_path))


def test_lists_with_few_images_run_where_that_is_allowed(tmp_path):
    root = tmp_path / "data/nuswide21"
    names = lists(root)
    write_images(root / "Flickr/..", [names[i] for i in (0, 1, 5, 6, 13, 14)])
    assert "18 of 24 images are missing" in refusal(root, "nuswide21/lists")
    arguments = ("--no-report", "--allow-missing")
    assert run_lsh("nuswide21/lists", root.parent, tmp_path, *arguments) == 0
    assert any(r.startswith("nuswide21/lists_6/") for r in records(tmp_path))


def test_lists_without_a_database_say_where_one_is_had(tmp_path):
    root = tmp_path / "nuswide21"
    lists(root, database=False)
    message = refusal(root, "nuswide21/lists")
    assert message.startswith(f"{root / 'lists'}: database.txt")
    assert "found test.txt, train.txt" in message
    assert "github.com/swuxyj/DeepHash-pytorch" in message


def test_real_lists_are_found_complete_but_for_the_database(tmp_path, paper_lists):
    root = tmp_path / "nuswide21"
    root.mkdir()
    (root / "lists").symlink_to(paper_lists / "swuxyj_DeepHash-pytorch/data/nuswide_21")
    assert "database.txt" in refusal(root, "nuswide21/lists")


def test_no_lists_at_all_are_named_with_the_places(tmp_path):
    message = refusal(tmp_path / "nuswide21", "nuswide21/lists")
    assert message.startswith("nuswide21/lists: no lists (train.txt, test.txt, database.txt) in")
    assert str(tmp_path / "nuswide21/lists") in message


def test_nothing_is_downloaded(tmp_path):
    with pytest.raises(DatasetError, match="nuswide21: it cannot be downloaded automatically"):
        datasets.load("nuswide21", LoadOptions())


def test_absent_files_are_named_with_the_places_and_the_page(tmp_path):
    message = refusal(tmp_path / "nuswide21")
    assert "not found below" in message
    for part in ("nuswide21", "ImageList/Imagelist.txt", "Groundtruth/AllLabels", nuswide.PAGE):
        assert part in message


def test_an_absent_concept_is_named(root):
    (root / "Groundtruth/AllLabels/Labels_sky.txt").unlink()
    assert "Labels_sky.txt" in refusal(root)
    assert "expected 81 files Labels_<concept>.txt, found 80" in refusal(
        root.rename(root.with_name("nuswide81")), "nuswide81"
    )


def test_images_that_are_not_there_at_all_are_refused_always(root):
    (root / "Flickr").rename(root / "pictures")
    message = refusal(root, allow_missing=True)
    assert f"no image of {small_flags()[:, :21].any(1).sum()} is below {root}" in message
    assert "Flickr/actor/0001_7.jpg, images/actor/0001_7.jpg, actor/0001_7.jpg" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0\n1\n2\n", "line 3: expected 0 or 1, got '2'"),
        (b"0\n1\n", "2 flags for the 130 images"),
        (b"", "0 flags for the 130 images"),
    ],
)
def test_wrong_flags_are_named(root, content, message):
    path = root / "Groundtruth/AllLabels/Labels_sky.txt"
    path.write_bytes(content)
    assert refusal(root).startswith(str(path))
    assert message in refusal(root)


@pytest.mark.parametrize("name", ["..\\..\\x.jpg", "/etc/x.jpg"])
def test_a_name_that_leaves_the_folder_is_refused(root, name):
    path = root / "ImageList/Imagelist.txt"
    path.write_text("\n".join([NAMES[0], name, *NAMES[2:]]))
    assert f"{path} line 2" in refusal(root)
    assert "leaves its folder" in refusal(root)


def test_no_member_at_all_is_refused(tmp_path):
    write_official(tmp_path / "nuswide21", np.zeros((N, 81), bool))
    assert "no image has any of the 21 concepts" in refusal(tmp_path / "nuswide21")


def test_official_sizes_are_refused_where_rows_are_fewer(root):
    assert "the protocol has 10,500 train rows" in refusal(root)


def test_files_may_begin_with_a_byte_order_mark(root):
    before = contents(root)
    for path in root.rglob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = contents(root)
    assert torch.equal(after.labels.dense(), before.labels.dense())
    assert after.images.encoded.names == before.images.encoded.names
