import tomllib

import pytest

from benchmarks import run
from benchmarks.features.backbones import backbone
from benchmarks.grid import presets
from benchmarks.grid.flags import make_parser, read_grids
from benchmarks.grid.method_settings import GridError, chosen_methods
from benchmarks.grid.presets import read_preset
from datasets import protocol_of
from datasets.errors import UnknownName

PARSER = make_parser()


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_presets_of_the_suite_name_what_exists():
    assert presets.names() == ["leaderboard", "paper", "quick", "reference"]
    for name in presets.names():
        for grid in read_preset(name, PARSER):
            chosen_methods(grid["methods"])
            for dataset in grid["datasets"]:
                protocol_of(dataset)
            if "backbone" in grid:
                assert backbone(grid["backbone"]).name == grid["backbone"]


def test_flags_of_the_call_are_flags():
    flags = {o.removeprefix("--") for a in PARSER._actions for o in a.option_strings}
    assert flags >= set(presets._OF_THE_CALL)


def test_the_presets_come_with_the_package():
    packaging = tomllib.loads((presets.FOLDER.parents[2] / "pyproject.toml").read_text())
    patterns = packaging["tool"]["setuptools"]["package-data"]["benchmarks.grid"]
    found = {p for pattern in patterns for p in presets.FOLDER.parent.glob(pattern)}
    assert {p.stem for p in found} >= set(presets.names())


def test_a_byte_order_mark_at_the_head_of_a_preset_is_no_key(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbfseeds = 2\n")
    (options,) = read_grids([], str(path))
    assert options.seeds == 2


def test_the_default_is_the_quick_preset():
    (options,) = read_grids([], "quick")
    assert options.methods == ["all"]
    assert (options.datasets, options.bits, options.seeds) == (["digits"], [16, 32, 64], 3)


def test_every_flag_of_a_grid_has_its_key(tmp_path):
    for action in PARSER._actions:
        if action.dest in presets._NOT_IN_PRESETS:
            continue
        (flag,) = [o for o in action.option_strings if o.startswith("--")]
        choice = action.choices and next(iter(action.choices))
        one = {"str": f'"{choice or "x"}"', "int": "3", "float": "2.5", "Path": '"x"'}
        value = one[action.type.__name__ if action.type else "str"]
        value = "true" if action.nargs == 0 else f"[{value}]" if action.nargs == "+" else value
        path = written(tmp_path, f"{flag.removeprefix('--')} = {value}\n")
        (grid,) = read_preset(path, PARSER)
        assert list(grid) == [action.dest]


def test_the_command_line_beats_the_preset_and_the_preset_the_default(tmp_path):
    path = written(tmp_path, 'bits = [12]\nseeds = 7\ndatasets = ["synthetic"]\n')
    (options,) = read_grids(["--seeds", "2"], path)
    assert (options.bits, options.seeds, options.datasets) == ([12], 2, ["synthetic"])
    assert options.methods == ["all"]


def test_a_file_may_tell_of_several_grids(tmp_path):
    text = (
        "seeds = 1\nbits = [8]\n"
        '[[grid]]\nmethods = ["lsh"]\n[[grid]]\nmethods = ["itq"]\nbits = [4]\n'
    )
    one, other = read_grids([], written(tmp_path, text))
    assert (one.methods, one.bits, one.seeds) == (["lsh"], [8], 1)
    assert (other.methods, other.bits, other.seeds) == (["itq"], [4], 1)


def test_several_grids_are_one_plan(tmp_path, capsys):
    text = (
        'datasets = ["synthetic"]\nseeds = 1\nbits = [8]\n'
        '[[grid]]\nmethods = ["lsh"]\n[[grid]]\nmethods = ["itq", "lsh"]\n'
    )
    assert run.main(["--preset", written(tmp_path, text), "--out", str(tmp_path), "--dry-run"]) == 0
    assert "4 cells, 0 stored, 4 to run" in capsys.readouterr().out  # lsh, random, float once


@pytest.fixture
def with_absent(tmp_path):
    """A preset with one data set that is embedded and two that nobody may download."""
    text = (
        'datasets = ["nuswide21", "synthetic", "mscoco"]\nmethods = ["lsh"]\nbits = [8]\n'
        '[[grid]]\n[[grid]]\nseeds = 1\nbackbone = "pixels"\n'
    )
    return ["--preset", written(tmp_path, text), "--out", f"{tmp_path}/out", "--dry-run"]


@pytest.mark.parametrize("root", [[], ["--data-root", "nowhere"]])
def test_all_data_sets_that_are_absent_are_named_a_line_each(with_absent, capsys, root):
    assert run.main([*with_absent, *root]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines[:2]] == [
        ["error", "nuswide21"],
        ["error", "mscoco"],
    ]
    assert lines[2:] == [
        "error: data sets that are absent: 2; --skip-absent goes on with the others"
    ]


def test_absent_data_sets_are_skipped_on_demand_and_the_plan_names_them(with_absent, capsys):
    assert run.main([*with_absent, "--skip-absent"]) == 0
    out = capsys.readouterr().out
    assert "skipped: nuswide21: it cannot be downloaded automatically; get it from " in out
    assert "skipped: mscoco: " in out
    assert out.count("skipped: ") == 2
    assert "7 cells, 0 stored, 7 to run" in out


def test_a_grid_without_any_data_set_is_no_grid(tmp_path, capsys):
    call = ["--datasets", "mscoco", "nuswide21", "--skip-absent", "--out", str(tmp_path)]
    assert run.main([*call, "--dry-run"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: data sets that are absent: 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bit = [8]", "unknown key in mine.toml 'bit'; did you mean 'bits'"),
        ("force = true", "unknown key in mine.toml 'force'"),
        ("bits = 8", "bits: expected a list, got 8"),
        ("bits = [8.5]", r"bits: expected int, got 8\.5"),
        ("bits = [true]", "bits: expected int, got True"),
        ('seeds = "3"', "seeds: expected int, got '3'"),
        ('resize = "pad"', "resize: expected one of stretch, crop, got 'pad'"),
        ("finetune = 1", "finetune: expected true or false, got 1"),
        ("grid = 3", r"grid must be a list of tables, each headed \[\[grid\]\]"),
        ("bits = ", "mine.toml: "),
        ("bits = " + "[" * 100_000, "mine.toml: "),
        ('[[grid]]\nout = "x"', r"out is of the whole call; write it above the first \[\[grid\]\]"),
        ("[[grid]]\nseeds = 1\n[[grid]]\njobs = 2", "mine.toml: jobs is of the whole call"),
    ],
)
def test_what_a_preset_gets_wrong_is_said(tmp_path, capsys, text, message):
    path = written(tmp_path, text)
    with pytest.raises((GridError, UnknownName), match=message):
        read_preset(path, PARSER)
    assert run.main(["--preset", path, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_an_unknown_or_absent_preset_is_said(tmp_path):
    with pytest.raises(UnknownName, match="unknown preset 'papr'; did you mean 'paper'"):
        read_preset("papr", PARSER)
    with pytest.raises(GridError, match="No such file"):
        read_preset(str(tmp_path / "none.toml"), PARSER)
