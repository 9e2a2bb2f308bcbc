"""Rows and labels of a split for those who encode elsewhere, and what a list says of data sets."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks import run, score
from datasets import DATASETS, load, rows
from datasets.protocols import PROTOCOLS
from datasets.sources.facts import FACTS

ENCODER = """
import sys
import numpy as np

split = np.load(sys.argv[1])
codes = np.eye(16, dtype=bool)[split["labels"].argmax(1)]  # a code a class
arrays = {f"{part}_codes": codes[split[part]] for part in ("query", "database")}
arrays |= {f"{part}_rows": split[part] for part in ("query", "database")}
np.savez(sys.argv[2], **arrays)
"""


def written(path):
    assert rows.main(["synthetic/tiny", "--out", str(path)]) == 0
    return dict(np.load(path)) if path.suffix == ".npz" else load_file(path)


@pytest.mark.parametrize("name", ["rows.npz", "deep/rows.safetensors"])
def test_rows_and_labels_of_a_split_are_written(tmp_path, capsys, name):
    arrays, data = written(tmp_path / name), load("synthetic/tiny")
    assert set(arrays) == {"query", "train", "database", "labels"}
    for part, array in arrays.items():
        assert array.dtype == (bool if part == "labels" else np.int64)
        expected = data.labels.dense() if part == "labels" else getattr(data, part)
        assert np.array_equal(array, expected.numpy())
    out = capsys.readouterr().out
    assert out.startswith(f"synthetic/tiny: {data.protocol.sizes}, 600 rows\nrow 0 is ")


def test_codes_that_a_script_makes_of_the_rows_are_scored(tmp_path, capsys):
    written(tmp_path / "rows.npz")
    (tmp_path / "encode.py").write_text(ENCODER)
    subprocess.run([sys.executable, "encode.py", "rows.npz", "codes.npz"], cwd=tmp_path, check=True)
    capsys.readouterr()
    assert score.main(["--codes", f"{tmp_path}/codes.npz", "--dataset", "synthetic/tiny"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["mAP"] == metrics["P@100"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["synthetic", "--out", "x.csv"], "argument --out: expected a .npz or .safetensors file"),
        (["synthetik", "--out", "x.npz"], "unknown data set 'synthetik'; did you mean 'synthetic'"),
        (["synthetic", "--out", "file/x.npz"], "File exists"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    try:
        code = rows.main(arguments)
    except SystemExit as left:
        code = left.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_the_list_of_data_sets_tells_what_a_newcomer_asks(capsys):
    assert run.main(["--list", "datasets"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["mnist"] == (
        "mnist                   70,000 images, 10 classes, downloaded; 1k-5k, official; "
        "licence: see its page, huggingface.co/datasets/ylecun/mnist"
    )
    for name in DATASETS:
        assert all(protocol in lines[name] for protocol in PROTOCOLS[name])


def test_every_data_set_has_its_facts_and_no_split_is_larger():
    assert list(FACTS) == list(DATASETS)
    for name, facts in FACTS.items():
        sizes = [p.n_query + p.n_database for p in PROTOCOLS[name].values()]
        assert max(sizes) <= facts.images, name
        by_hand = facts.had == "needs --data-root"
        assert by_hand == (name in BY_HAND), name


BY_HAND = {
    *("ucmerced", "nuswide21", "nuswide81", "mscoco", "flickr25k", "voc2012", "imagenet100"),
    *("imagenet", "conceptual_captions"),
}


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_facts_of_what_is_embedded_are_those_of_the_data(name):
    data = load(name)
    facts = (len(data.labels), f"{data.labels.shape[1]} classes")
    assert facts == (FACTS[name].images, FACTS[name].classes)
