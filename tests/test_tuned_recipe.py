"""Tuned settings in a file, and ``--recipe`` that takes them."""

import pytest

from benchmarks.grid.method_settings import GridError, method_spec
from benchmarks.grid.presets import tuned_settings
from benchmarks.grid.presets.tuned_settings import TunedSettings, read_tuned
from results.store.run_key import Table
from results.store.store import ResultStore
from tests.small_run import call

TABLE = Table("synthetic", "tiny", "pixels")
CHOSEN = {"knnh": {"k": 9}, "cibhash": {"lr": 1e-05, "tau": 0.25}, "cbe": {"optimise": True}}
SMALL = ["--datasets", "synthetic", "--bits", "8", "--seeds", "1", "--epochs", "1"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.toml"
    TunedSettings(TABLE, 32, 24, CHOSEN, ("A note.",)).write(path)
    return path


def dry(tmp_path, *arguments, small=SMALL):
    return call(tmp_path, "--dry-run", *arguments, small=small)


def test_settings_come_back_as_they_were_written(path):
    found = read_tuned(str(path), TABLE)
    assert (found.table, found.bits, found.trials, found.methods) == (TABLE, 32, 24, CHOSEN)
    assert path.read_text().startswith("# A note.\n")


def test_what_was_tuned_shapes_the_cell_and_shows_in_its_row():
    spec = method_spec("cibhash", recipe={"lr": 0.002, "tau": 0.25})
    assert spec.label == "cibhash(recipe=tuned)"
    assert (spec.recipe.lr, spec.params["tau"], spec.params["beta"]) == (0.002, 0.25, 0.001)
    assert spec.recipe.epochs_for(16) == method_spec("cibhash").recipe.epochs_for(16)
    again = method_spec("cibhash", {"lr": 0.01}, recipe={"lr": 0.002, "tau": 0.25})
    assert again.label == "cibhash(recipe=tuned,lr=0.01)"
    assert (again.recipe.lr, again.params["tau"]) == (0.01, 0.25)


def test_own_settings_that_tuning_chose_again_are_the_same_row():
    own = {"lr": 0.001, "tau": 0.3, "beta": 0.001}
    assert method_spec("knnh", recipe={"k": 20}).settings(8) == method_spec("knnh").settings(8)
    assert method_spec("knnh", recipe={"k": 20}).label == "knnh"
    assert method_spec("cibhash", recipe=own).label == "cibhash"


def test_rows_and_records_say_that_they_are_tuned(tmp_path, path):
    named = ["--methods", "lsh", "knnh", "cibhash", "--recipe", str(path), "--no-report"]
    assert call(tmp_path, *named, small=SMALL) == 0
    records = {r.method: r.settings["method"] for r in ResultStore(tmp_path / "out").records()}
    assert set(records) == {
        *("lsh", "knnh(recipe=tuned)", "cibhash(recipe=tuned,epochs=1)", "random", "float"),
    }
    assert records["knnh(recipe=tuned)"]["params"]["k"] == 9
    assert records["cibhash(recipe=tuned,epochs=1)"]["recipe"]["lr"] == 1e-05


def test_a_method_that_was_not_tuned_is_refused_and_of_a_group_left_out(tmp_path, path, capsys):
    assert dry(tmp_path, "--methods", "agh", "--recipe", str(path)) == 2
    assert "agh was not tuned for synthetic/tiny" in capsys.readouterr().err
    assert dry(tmp_path, "--methods", "shallow", "--recipe", str(path)) == 0
    out = capsys.readouterr().out
    assert "skipped: agh was not tuned for synthetic/tiny" in out
    assert "skipped: lsh" not in out  # it leaves nothing open
    assert "knnh was" not in out


def test_tuned_takes_the_file_of_the_suite_for_the_table(tmp_path, path, monkeypatch, capsys):
    monkeypatch.setattr(tuned_settings, "FOLDER", tmp_path)
    assert read_tuned("tuned", TABLE).methods == CHOSEN
    assert dry(tmp_path, "--methods", "knnh", "--recipe", "tuned") == 0
    digits = ["--datasets", "digits", *SMALL[2:]]
    assert dry(tmp_path, "--methods", "knnh", "--recipe", "tuned", small=digits) == 2
    error = capsys.readouterr().err
    assert "nothing was chosen for digits/300-1497 on pixels; tune it with" in error


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.replace('"tiny"', '"other"'),
            "chosen for synthetic/other on pixels",
        ),
        (lambda text: text.replace("bits = 32\n", ""), "it has no 'bits'"),
        (lambda text: text + "[", "mine.toml: "),
        (lambda text: text.replace("tau = 0.25", "tau = -1.0"), "tau must be above 0, got -1.0"),
        (
            lambda text: text.replace("tau = 0.25", "temperature = 1.0"),
            "unknown setting of cibhash",
        ),
    ],
)
def test_what_a_file_gets_wrong_is_said_in_a_line(tmp_path, path, capsys, change, words):
    path.write_text(change(path.read_text()))
    assert dry(tmp_path, "--methods", "cibhash", "--recipe", str(path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_file_that_is_not_there_and_a_recipe_of_no_kind_are_refused(tmp_path, capsys):
    assert dry(tmp_path, "--methods", "lsh", "--recipe", "none.toml") == 2
    assert "none.toml: No such file or directory; give paper" in capsys.readouterr().err
    assert dry(tmp_path, "--methods", "lsh", "--recipe", "tunde") == 2
    assert "unknown recipe 'tunde'; did you mean 'tuned'" in capsys.readouterr().err


def test_a_backbone_that_is_trained_takes_no_settings_of_a_frozen_one(tmp_path, path, capsys):
    assert dry(tmp_path, "--methods", "cibhash", "--recipe", str(path), "--finetune") == 2
    assert "was chosen for heads on frozen features" in capsys.readouterr().err


def test_files_of_the_suite_are_of_what_exists():
    from datasets import protocol_of

    for file in tuned_settings.FOLDER.glob("*.toml"):
        found = tuned_settings._read(file)
        protocol_of(f"{found.table.dataset}/{found.table.protocol}")
        for name, values in found.methods.items():
            assert set(values) == set(method_spec(name).cls.space)
            method_spec(name, recipe=values)


def test_a_value_of_the_wrong_type_names_the_setting():
    with pytest.raises(GridError, match="tau: expected float"):
        method_spec("cibhash", recipe={"tau": "warm"})
