"""The command before it runs: what it lists, plans and refuses."""

import pytest

from benchmarks import run
from benchmarks.command import fail
from benchmarks.grid import planning
from benchmarks.grid.flags import read_grids
from methods import METHODS
from tests.small_run import CELLS, SMALL, call


def test_dry_run_prints_the_plan_and_does_nothing(tmp_path, capsys):
    assert call(tmp_path, "--dry-run") == 0
    assert f"{CELLS} cells, 0 stored, {CELLS} to run" in capsys.readouterr().out
    assert not list((tmp_path / "out").rglob("*.json"))
    assert not (tmp_path / "cache").exists()


def test_an_error_is_one_line_that_steers_no_terminal(capsys):
    assert fail("none\x1b[2J\n\u202ehere") == 2
    assert capsys.readouterr().err == "error: none\\x1b[2J \\u202ehere\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "cibhsh"], ["cibhsh", "did you mean 'cibhash'"]),
        (["--datasets", "digit"], ["digit", "did you mean 'digits'"]),
        (["--datasets", "cifar10/1k5k"], ["1k5k", "did you mean '1k-5k'"]),
        (["--backbone", "pixles"], ["pixles", "did you mean 'pixels'"]),
        (["--bits", "0"], ["--bits", "at least 1"]),
        (["--seeds", "0"], ["--seeds", "at least 1"]),
        (["--epochs", "0"], ["--epochs", "at least 1"]),
        (["--input-size", "0"], ["at least 1 pixel"]),
        (["--bits", "1" + "0" * 20], ["--bits", "at most 32767, got 100000000000000000000"]),
        (["--seeds", "1" + "0" * 20], ["--seeds", "at most 1000"]),
        (["--epochs", "1" + "0" * 400], ["--epochs", "at most", "(401 letters)"]),
        (["--jobs", "1" + "0" * 20], ["--jobs", "at most 1024"]),
        (["--input-size", "1" + "0" * 20], ["at most 4096 pixels"]),
        (["--cell-timeout", "inf"], ["--cell-timeout", "at most 1000000000, got inf"]),
        (["--cell-timeout", "1e30"], ["--cell-timeout", "at most 1000000000, got 1e+30"]),
        (["--checkpoint-every", "nan"], ["--checkpoint-every", "at least 0, got nan"]),
        (["--checkpoint-every", "-1"], ["--checkpoint-every", "at least 0, got -1.0"]),
        (["--device", "tpu"], ["--device", "tpu"]),
        (["--device", "cuda:99"], ["--device cuda:99"]),
        (["--cell-timeout", "0"], ["--cell-timeout: must be above 0 seconds, got 0.0"]),
        (["--cell-timeout", "nan"], ["--cell-timeout: must be above 0 seconds, got nan"]),
        (["--set", "cibhash.tua=1"], ["did you mean 'tau'"]),
        (["--set", "nonsense"], ["METHOD.PARAM=VALUE"]),
        (["--set", "cibhsh.tau=1"], ["did you mean 'cibhash'"]),
        (["--datasets", "cifar10", "--data-root", "absent"], ["train-00000-of-00001.parquet"]),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    assert call(tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_unwritable_output_is_said_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.grid.planning.expand_grids", None)  # a call would be an error
    (tmp_path / "out").write_text("a file, not a folder")
    assert call(tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: output folder")
    assert error.count("\n") == 1


def test_unusable_cache_is_said_before_any_work(tmp_path, capsys):
    (tmp_path / "cache").write_text("a file, not a folder")
    assert call(tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"error: cache folder {tmp_path}/cache: ")
    assert not list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("what", ["methods", "bibtex", "datasets", "protocols", "backbones"])
def test_lists_name_what_there_is(capsys, what):
    assert run.main(["--list", what]) == 0
    expected = {
        "methods": ["lsh", "itq", "cibhash", "random", "float"],
        "bibtex": ["@inproceedings{itq,", "year = {2011}"],
        "datasets": ["digits", "cifar10"],
        "protocols": ["cifar10/1k-5k", "59,000 database"],
        "backbones": ["pixels", "efficientnet_lite0", "timm:"],
    }
    out = capsys.readouterr().out
    assert all(word in out for word in expected[what])


def test_wrong_type_of_a_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        run.main(["--bits", "x"])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "error: argument --bits: invalid int value: 'x'; see --help\n"
    )


def test_methods_that_a_data_set_cannot_feed_are_left_out_of_all_with_the_reason(tmp_path, capsys):
    assert call(tmp_path, "--methods", "all", "--datasets", "digits", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "skipped: kl_hash_captions learns from captions, and digits has none" in out
    assert "skipped: kl_hash_hierarchy learns from hierarchy, and digits has none" in out


def test_a_method_that_a_data_set_cannot_feed_is_an_error_when_named(tmp_path, capsys):
    arguments = ("--methods", "kl_hash_captions", "--datasets", "digits")
    assert call(tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert "kl_hash_captions learns from captions, and digits has none; leave it out" in error
    assert len(error.splitlines()) == 1


def test_unknown_text_encoder_is_refused(tmp_path, capsys):
    assert call(tmp_path, "--text-encoder", "bert") == 2
    assert (
        "text encoder 'bert' is unknown; known: lsa, minilm, st:<model>" in capsys.readouterr().err
    )


def test_text_encoder_shows_in_the_rows_that_read_captions(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.grid.planning.check_encoder", lambda name: name)
    arguments = ("--methods", "kl_hash", "kl_hash_captions", "--text-encoder", "st:m", "--dry-run")
    cells, _ = planning.expand_grids(read_grids([*SMALL, *arguments], "quick"))
    names = {cell.key.method for cell in cells}
    assert "kl_hash_captions(epochs=2,text_encoder=st:m)" in names
    assert "kl_hash(epochs=2)" in names


def test_recipes_are_listed_with_their_sources(capsys):
    assert run.main(["--list", "recipes"]) == 0
    out = capsys.readouterr().out
    assert "epochs at 16 bits=80" in out
    assert "official code, github.com/RosieYuu/WCH" in out
    for name in METHODS:
        assert name in out
