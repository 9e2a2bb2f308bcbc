import pytest

from benchmarks.grid.method_settings import (
    COMMON,
    GridError,
    method_spec,
    parse_overrides,
)
from datasets.errors import UnknownName
from methods import METHODS


def test_settings_reach_constructor_and_recipe_and_show_in_the_label():
    spec = method_spec("cibhash", {"tau": 1, "lr": 0.01}, epochs=5)
    assert spec.params["tau"] == 1.0
    assert isinstance(spec.params["tau"], float)
    assert spec.params["beta"] == 0.001
    assert (spec.recipe.lr, spec.recipe.epochs_for(16)) == (0.01, 5)
    assert spec.label == "cibhash(tau=1.0,lr=0.01,epochs=5)"


def test_common_recipe_is_the_same_for_every_trained_method_and_shows_in_the_label():
    specs = [method_spec(name, recipe="common") for name in METHODS]
    trained = [spec for spec in specs if spec.is_trained]
    assert all(spec.recipe == COMMON for spec in trained)
    assert all(spec.label == f"{spec.name}(recipe=common)" for spec in trained)
    assert method_spec("lsh", recipe="common") == method_spec("lsh")
    spec = method_spec("cibhash", {"lr": 0.01}, epochs=3, recipe="common")
    assert spec.label == "cibhash(recipe=common,lr=0.01,epochs=3)"
    assert (spec.recipe.lr, spec.recipe.epochs_for(16)) == (0.01, 3)
    assert spec.recipe.batch_size == COMMON.batch_size


def test_epochs_leave_closed_forms_alone():
    assert method_spec("lsh", epochs=5) == method_spec("lsh")
    assert method_spec("random", epochs=5) == method_spec("random")


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("cibhsh", {}, "did you mean 'cibhash'"),
        ("cibhash", {"tua": 0.5}, "did you mean 'tau'"),
        ("lsh", {"epochs": 5}, "setting of lsh"),
        ("random", {"tau": 5}, "setting of random"),
    ],
)
def test_unknown_names_are_refused_with_suggestions(name, overrides, message):
    with pytest.raises(UnknownName, match=message):
        method_spec(name, overrides)


def test_value_of_another_type_is_refused():
    with pytest.raises(GridError, match=r"cibhash.tau: expected float .* got 'warm'"):
        method_spec("cibhash", {"tau": "warm"})


@pytest.mark.parametrize("item", ["tau=0.5", "cibhash.tau", "cibhash.=1", ".tau=1", ""])
def test_malformed_override_is_refused(item):
    with pytest.raises(GridError, match=r"expected METHOD\.PARAM=VALUE"):
        parse_overrides([item])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"optimizer": "adamw"}, "optimizer must be adam or sgd, got 'adamw'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": -1.0}, "lr must be finite and above 0"),
        ({"bank_size": 1}, "bank_size must be at least the 2 views"),
        ({"tau": float("nan")}, "expected a finite number"),
    ],
)
def test_settings_that_cannot_train_are_refused(overrides, words):
    with pytest.raises(GridError, match=words):
        method_spec("cibhash", overrides)


@pytest.mark.parametrize(
    ("parameter", "text", "words"),
    [
        ("tau", "1" + "0" * 400, "must be at most 9007199254740992, got 1000000000"),
        ("tau", "-1" + "0" * 400, "must be at most 9007199254740992, got 1000000000"),
        ("lr", "1" + "0" * 400, "must be at most"),
        ("batch_size", "1" + "0" * 400, "must be at most"),
        ("tau", "1" + "0" * 5000, "expected float as in the default 0.3, got '1000000000"),
        ("tau", "1e999", "expected a finite number, got inf"),
        ("tau", "[" * 100_000, "expected float as in the default"),
        ("optimizer", "a" * 5000, "optimizer must be adam or sgd"),
    ],
)
def test_what_is_beyond_all_that_is_counted_is_refused_in_a_short_line(parameter, text, words):
    with pytest.raises(GridError, match=words) as caught:
        method_spec("cibhash", parse_overrides([f"cibhash.{parameter}={text}"])["cibhash"])
    assert len(str(caught.value)) < 300


def test_the_largest_whole_number_that_is_counted_is_taken():
    assert method_spec("cibhash", {"batch_size": 2**53}).recipe.batch_size == 2**53


@pytest.mark.parametrize(
    ("parameter", "value", "finetune", "words"),
    [
        ("backbone_lr", 1e-4, False, "nsh.backbone_lr: does nothing without --finetune"),
        ("bank_size", 20, True, "nsh.bank_size: does nothing with --finetune"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(parameter, value, finetune, words):
    with pytest.raises(GridError, match=words):
        method_spec("nsh", {parameter: value}, finetune=finetune)
    spec = method_spec("nsh", {parameter: value}, finetune=not finetune)
    assert getattr(spec.recipe, parameter) == value


def test_an_unknown_augmentation_is_refused_with_a_suggestion():
    with pytest.raises(UnknownName, match=r"unknown augmentation 'cibhsh'.*did you mean 'cibhash'"):
        method_spec("nsh", {"augmentation": "cibhsh"})


@pytest.mark.parametrize(
    ("name", "parameter", "value", "words"),
    [
        ("nsh", "m", 0, "NSH: m must be at least 1, got 0"),
        ("nsh", "tau", 0, "NSH: tau must be above 0, got 0"),
        ("nsh", "lambda_q", -0.1, "NSH: lambda_q must be at least 0, got -0.1"),
        ("cibhash", "dropout", 2.0, "CIBHash: dropout must be below 1, got 2.0"),
        ("cibhash", "tau", 0.0, "CIBHash: tau must be above 0, got 0"),
        ("cibhash", "hidden", 0, "CIBHash: hidden must be at least 1, got 0"),
        ("wch", "tau_w", -1, "WCH: tau_w must be above 0, got -1"),
        ("kl_hash", "gamma", 0, "KLHash: gamma must be above 0, got 0"),
        ("kl_hash", "lambda_kl", -1, "KLHash: lambda_kl must be at least 0, got -1"),
        ("kl_hash_hierarchy", "lambda_cls", -1, "lambda_cls must be at least 0, got -1"),
    ],
)
def test_a_value_against_the_rule_of_a_constructor_is_refused(name, parameter, value, words):
    with pytest.raises(GridError, match=f"{name}: .*{words}.*; give another value"):
        method_spec(name, {parameter: value})


class Odd(METHODS["lsh"]):
    """It goes wrong by what it is given."""

    def __init__(self, in_dim, n_bits, *, how="well"):
        super().__init__(in_dim, n_bits)
        if how == "exits":
            exit(0)
        if how == "raises":
            raise RuntimeError("no room for so many")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exits", r"odd: ExitError: raised SystemExit\(0\), .* \(test_specs.py, line \d+\); give"),
        ("raises", r"odd: RuntimeError: no room for so many \(test_specs.py, line \d+\); give ano"),
    ],
)
def test_a_constructor_that_fails_by_a_value_is_refused_before_anything_runs(how, words):
    with pytest.raises(GridError, match=words):
        method_spec("odd", {"how": how}, known={"odd": Odd})


@pytest.mark.parametrize("name", ["epochs_at", "source"])
def test_notes_of_a_recipe_are_no_settings(name):
    with pytest.raises(UnknownName, match="setting of cibhash"):
        method_spec("cibhash", {name: "x"})


def test_a_setting_given_as_it_stands_changes_nothing():
    assert method_spec("nsh", {"tau": 0.2, "lr": 1e-3}) == method_spec("nsh")
    assert method_spec("nsh", epochs=30) == method_spec("nsh")
    # 60 epochs at 16 bits too, where the recipe has 80
    assert method_spec("cibhash", epochs=60).label == "cibhash(epochs=60)"


def test_a_hyper_parameter_hides_the_recipe_s_field_of_its_name():
    assert method_spec("gen_hash").settable["weight_decay"] == 1e-3
    assert method_spec("gen_hash", {"weight_decay": 1e-3}).label == "gen_hash"
    assert method_spec("gen_hash", {"weight_decay": 0.0}).params["weight_decay"] == 0.0
