"""Embeddings of texts: read from a file, told to the methods that learn from them, and refused."""

import numpy as np
import pytest
import torch

from benchmarks import export, repro, run, verify
from benchmarks.features.backbones import backbone
from benchmarks.features.captions import embed
from benchmarks.features.texts import read_texts
from benchmarks.grid.cells import expand
from benchmarks.grid.method_settings import method_spec
from benchmarks.grid.tasks import Task
from benchmarks.publish.bundle import Bundle, write_bundle
from benchmarks.publish.reference import items_of
from benchmarks.training.targets import target_of
from datasets import load
from datasets.errors import DatasetError
from results.store.store import ResultStore

NOUNS = np.eye(192, dtype=np.float32)[10:60:5]  # digits have 64 pixels of three colours


def saved(tmp_path, name="texts.npz", **arrays):
    np.savez(tmp_path / name, **arrays)
    return tmp_path / name


def call(tmp_path, *arguments):
    places = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    small = ["--datasets", "digits", "--bits", "16", "--seeds", "1", "--no-report"]
    return run.main([*small, *places, *arguments])


def test_a_file_gives_the_kinds_that_it_holds(tmp_path):
    from safetensors.numpy import save_file

    save_file({"nouns": NOUNS.astype(np.float16), "more": NOUNS}, tmp_path / "texts.safetensors")
    texts = read_texts(tmp_path / "texts.safetensors")
    assert list(texts.embeddings) == ["nouns"]
    assert torch.equal(texts.embeddings["nouns"], torch.from_numpy(NOUNS))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"words": NOUNS}, "expected an array nouns or class_names, found words"),
        ({"nouns": NOUNS[0]}, r"nouns must be float \(M, D\), got float32 \(192,\)"),
        ({"nouns": NOUNS.astype(int)}, r"nouns must be float \(M, D\), got int64 \(10, 192\)"),
        ({"nouns": NOUNS * np.nan}, "each row of nouns must be finite and not all 0"),
        ({"class_names": 0 * NOUNS}, "each row of class_names must be finite and not all 0"),
    ],
)
def test_what_is_no_embeddings_is_refused(tmp_path, arrays, words):
    path = saved(tmp_path, **arrays)
    with pytest.raises(DatasetError, match=f"--texts {path}: {words}"):
        read_texts(path)


def test_a_method_without_its_texts_is_left_out_of_all_with_the_way_to_give_them(tmp_path, capsys):
    assert call(tmp_path, "--methods", "all", "--dry-run") == 0
    out = capsys.readouterr().out
    for name, kind in (("duh_eg", "nouns"), ("uhscm", "class_names")):
        assert f"skipped: {name} learns from {kind}, and none are given; give --texts FILE" in out


def test_a_method_that_is_named_without_its_texts_is_an_error(tmp_path, capsys):
    assert call(tmp_path, "--methods", "uhscm") == 2
    error = capsys.readouterr().err
    assert "uhscm learns from class_names, and none are given; give --texts FILE with" in error
    assert len(error.splitlines()) == 1


def test_texts_of_the_other_kind_or_of_another_space_are_no_help(tmp_path, capsys):
    path = saved(tmp_path, nouns=NOUNS)
    assert call(tmp_path, "--methods", "uhscm", "--texts", str(path)) == 2
    assert f"uhscm learns from class_names, and {path} has no such array" in capsys.readouterr().err
    path = saved(tmp_path, class_names=np.ones((3, 32)))
    assert call(tmp_path, "--methods", "uhscm", "--texts", str(path)) == 2
    said = f"features have 192 numbers where class_names of {path} have 32; take both of one model"
    assert said in capsys.readouterr().err


def test_rows_that_learn_from_texts_are_of_kinds_of_their_own(tmp_path, capsys):
    path = saved(tmp_path, nouns=NOUNS, class_names=NOUNS)
    names = ["--methods", "uhscm", "duh_eg", "cghash", "--epochs", "1"]
    assert call(tmp_path, *names, "--texts", str(path)) == 0
    out = capsys.readouterr().out
    for heading in ("from a bank of nouns too", "number of classes", "from names of classes too"):
        assert out.count(heading) == 1


def test_texts_that_nobody_reads_are_told(tmp_path, capsys):
    path = saved(tmp_path, nouns=NOUNS)
    assert call(tmp_path, "--methods", "lsh", "--texts", str(path), "--dry-run") == 0
    said = "skipped: --texts: no method here learns from nouns or class names"
    assert said in capsys.readouterr().out


def test_texts_are_in_the_digest_of_the_cells_that_learn_from_them(tmp_path):
    data, network = load("digits"), backbone("pixels")
    specs = [method_spec("lsh"), method_spec("cibhash"), method_spec("duh_eg")]
    digests = []
    for nouns in (NOUNS, 2 * NOUNS, NOUNS):
        texts = read_texts(saved(tmp_path, nouns=nouns))
        task = Task(data, network, texts=texts)
        digests.append([cell.digest for cell in expand([task], specs, [16], 1)])
    assert digests[0] == digests[2]
    assert digests[0][:2] == digests[1][:2]
    assert digests[0][2] != digests[1][2]


def test_a_target_of_texts_is_what_the_file_holds():
    texts = {"nouns": torch.from_numpy(NOUNS)}
    target = target_of(load("digits"), "nouns", embed, texts)
    assert target.value is texts["nouns"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A folder with the record of a method that learnt from texts, and its texts."""
    folder = tmp_path_factory.mktemp("told")
    path = saved(folder, nouns=NOUNS)
    settings = ["--methods", "duh_eg", "--epochs", "1", "--device", "cpu", "--keep-models", "none"]
    assert call(folder, *settings, "--texts", str(path)) == 0
    store = ResultStore(folder / "out")
    items = tuple(item.without_codes() for item in items_of(store))
    write_bundle(
        folder / "records.parquet",
        Bundle(tuple(item for item in items if item.record.method.startswith("duh_eg"))),
    )
    return folder


def again(command, folder, *more):
    """Run the cell of a record again; returns the exit code."""
    (record,) = (folder / "out/runs").rglob("duh_eg*/*.json")
    what = {
        "repro": [str(record)],
        "export": [str(record), "--to", str(folder / "model")],
        "verify": [str(folder / "records.parquet")],
    }
    main = {"repro": repro.main, "export": export.main, "verify": verify.main}[command]
    return main([*what[command], "--cache", f"{folder}/cache", "--device", "cpu", *more])


COMMANDS = pytest.mark.parametrize(
    ("command", "failed"), [("repro", 2), ("export", 2), ("verify", 1)]
)


@COMMANDS
def test_a_cell_that_learnt_from_texts_comes_out_the_same_with_them(told, command, failed, capsys):
    assert again(command, told, "--texts", str(told / "texts.npz")) == 0
    said = capsys.readouterr()
    assert "differ" not in said.out + said.err


@COMMANDS
def test_a_cell_that_learnt_from_texts_is_not_run_without_them(told, command, failed, capsys):
    assert again(command, told) == failed
    said = capsys.readouterr()
    missing = "duh_eg learns from nouns, and none are given; give --texts FILE with"
    assert missing in (said.out if command == "verify" else said.err)


@COMMANDS
def test_other_texts_give_other_numbers(told, tmp_path, command, failed, capsys):
    other = saved(tmp_path, "other.npz", nouns=NOUNS[:, ::-1])
    assert again(command, told, "--texts", str(other)) == 1
    said = capsys.readouterr()
    assert "mAP@100: " in said.out + said.err
    assert ("differs: settings.texts: " in said.out) == (command == "repro")
