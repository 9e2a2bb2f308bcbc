"""The doctor's table: what is wrong with a local copy, and its exit code."""

import numpy as np
import pytest
import torch

from datasets import DATASETS, doctor
from datasets.contents import Contents
from datasets.files import images
from datasets.files.images import EncodedImages, FileItems
from datasets.protocols.table import PROTOCOLS
from tests.test_assemble import TOY, N, image


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Forty files in four classes, with published counts."""

    def load(protocol, options):
        names = [f"{i}.jpg" for i in range(N)]
        labels = torch.nn.functional.one_hot(torch.arange(N) % 4).bool()
        labels[0] &= not (options.data_root / "relabelled").exists()
        return Contents(
            labels,
            EncodedImages(FileItems(options.data_root, names), 32, exact=True),
            parts={"train": torch.arange(N)},
            classes=("a", "b", "c", "d"),
            published={"train": (10, 10, 10, 10), "all": (10, 10, 10, 10)},
            notes=("a note",),
        )

    monkeypatch.setitem(DATASETS, "toy", load)
    monkeypatch.setitem(PROTOCOLS, "toy", {TOY.name: TOY})
    root = tmp_path / "data"
    root.mkdir()
    for i in range(N):
        (root / f"{i}.jpg").write_bytes(image(i))
    return root


def call(capsys, root, *arguments, name="toy"):
    given = [name, "--data-root", str(root), "--cache", str(root.parent / "cache"), *arguments]
    code = doctor.main(given)
    return code, capsys.readouterr().out


def row(out, name):
    """Cells of one row: expected, found, ok or wrong."""
    line = next(line for line in out.splitlines() if line.startswith(f"{name} "))
    return line[len(name) :].split()


def test_a_complete_copy_is_well(toy, capsys):
    code, out = call(capsys, toy)
    assert code == 0
    assert "wrong" not in out
    assert "    a note" in out.splitlines()
    assert row(out, "images absent") == ["0", "0", "ok"]
    assert row(out, "labels of train") == [*("40 in 4 classes " * 2).split(), "ok"]
    assert row(out, "queries") == ["10", "10,", "a", "class", "2..3", "ok"]
    assert row(out, "split") == ["10-20", "10-20", "ok"]
    assert row(out, "digest of the protocol") == [TOY.digest[:16], "ok"]


def test_absent_and_unreadable_files_are_listed_ten_at_most(toy, capsys):
    for i in range(12):
        (toy / f"{i}.jpg").unlink()
    (toy / "20.jpg").write_bytes(b"broken")
    code, out = call(capsys, toy)
    assert code == 1
    assert row(out, "images absent") == ["0", "12", "wrong"]
    assert f"    {toy}/9.jpg: missing or empty" in out
    assert f"{toy}/10.jpg: missing" not in out
    assert "    and 2 more" in out
    assert row(out, "images unreadable") == ["0", "1", "wrong"]
    assert f"    {toy}/20.jpg: not an image (" in out
    assert "toy/10-20: 12 of 40 images are missing" in out
    code, out = call(capsys, toy, "--allow-missing")
    assert code == 1
    assert row(out, "split") == ["10-20", "10-20~27", "wrong"]


def test_an_image_of_another_size_is_listed(toy, tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (32, 31)).save(toy / "5.jpg")
    code, out = call(capsys, toy)
    assert code == 1
    assert f"{toy}/5.jpg: expected an image of 32 x 32 pixels, got 32 x 31" in out


def test_every_image_is_looked_at_again(toy, capsys, monkeypatch):
    """A note of an earlier look says nothing of a file that broke in its middle since."""
    monkeypatch.setattr(images, "_END", 4)
    assert call(capsys, toy)[0] == 0
    content = image(5)
    (toy / "5.jpg").write_bytes(content[:20] + bytes(len(content) - 40) + content[-20:])
    assert call(capsys, toy)[0] == 1


def test_other_label_counts_are_listed_by_class(toy, capsys):
    (toy / "relabelled").touch()
    code, out = call(capsys, toy)
    assert code == 1
    assert "wrong" in row(out, "labels of train")
    assert "wrong" in row(out, "labels of all")
    assert "    a: expected 10, found 9" in out
    assert row(out, "rows without label") == ["1", "ok"]


def test_a_loader_that_refuses_is_a_row(toy, tmp_path, capsys):
    code, out = call(capsys, tmp_path / "none", name="cifar10")
    assert code == 1
    assert row(out, "files") == ["readable", "refused", "wrong"]
    assert "    cifar10: not found: " in out


def test_own_data_are_examined_too(tmp_path, capsys):
    x, classes = np.zeros((40, 2), np.float32), np.arange(40) % 4
    np.savez(tmp_path / "x.npz", features=x, labels=classes)
    code, out = call(capsys, tmp_path, "--queries", "8", name=f"features:{tmp_path}/x.npz")
    assert code == 0
    assert row(out, "split") == ["8q-32t", "8q-32t", "ok"]
    x[3, 1] = np.inf
    np.savez(tmp_path / "x.npz", features=x, labels=classes)
    code, out = call(capsys, tmp_path, name=f"features:{tmp_path}/x.npz")
    assert code == 1
    assert "features must be finite, 1 rows are not, the first is row 3" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cifra10"], "error: unknown data set 'cifra10'; did you mean 'cifar10'"),
        (["digits/none"], "error: unknown protocol of digits 'none'"),
        (["folder:"], "error: folder: needs a path"),
        (["digits", "--queries", "3"], "error: digits: --queries is of your own data"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, words):
    assert doctor.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(words)
    assert len(error.splitlines()) == 1


def test_the_command_line_is_parsed_in_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        doctor.main(["digits", "--queries", "x"])
    assert left.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
