import inspect
import re
from dataclasses import replace

import pytest
import torch

from benchmarks.evaluation.counters.choice import MAX_BITS
from benchmarks.features.backbones import backbone
from benchmarks.grid.cells import expand, seed_of, training_source
from benchmarks.grid.method_settings import GridError, method_spec
from benchmarks.grid.tasks import Task
from benchmarks.training import trainer
from datasets import load
from datasets.labels import Labels
from results.store.run_key import RunKey

KEY = RunKey("digits", "300-1497", "pixels", "cibhash", 32, 0)


@pytest.fixture(scope="module")
def task():
    return Task(load("synthetic"), backbone("pixels"))


def digest(task, **options):
    spec = method_spec("cibhash", options.get("overrides"), options.get("epochs"))
    how = (options.get("views", "bank"), "lsa", options.get("matmul", "highest"))
    cells = expand([task], [spec], [16], 2, *how)
    return cells[options.get("seed", 0)].digest


def test_seed_is_hashed_from_the_names_and_differs_in_each():
    other = [
        RunKey("digits", "300-1497", "pixels", "cibhash", 32, 1),
        RunKey("digits", "300-1497", "pixels", "cibhash", 16, 0),
        RunKey("digits", "300-1497", "pixels", "lsh", 32, 0),
        RunKey("digits", "300-1497", "pixels@4", "cibhash", 32, 0),
    ]
    assert len({seed_of(key) for key in [KEY, *other]}) == 5
    assert seed_of(KEY) == 68168938415629697  # pinned: another value redraws every stored run


def test_an_ablation_starts_from_the_seed_of_the_run_it_is_compared_with():
    changed = RunKey("digits", "300-1497", "pixels", "cibhash(tau=0.5)", 32, 0)
    assert seed_of(changed) == seed_of(KEY)


def test_digest_covers_every_setting(task):
    digests = [
        digest(task),
        digest(task, seed=1),
        digest(task, epochs=7),
        digest(task, overrides={"tau": 0.5}),
        digest(task, overrides={"lr": 0.01}),
        digest(task, views="fresh"),
        digest(task, matmul="high"),
        digest(task, matmul="medium"),
        digest(Task(task.data, backbone("pixels", 4))),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(task) == digests[0]


def test_digest_covers_the_text_encoder_of_methods_that_read_captions(task):
    def digests(name):
        spec = method_spec(name)
        cells = [expand([task], [spec], [16], 1, "bank", text)[0] for text in ("lsa", "minilm")]
        return {cell.digest for cell in cells}

    assert len(digests("kl_hash_captions")) == 2
    assert len(digests("kl_hash")) == 1


def test_the_precision_of_a_training_is_no_setting_of_a_closed_form(task):
    specs = [method_spec("lsh"), method_spec("cibhash")]
    rows = [expand([task], specs, [16], 1, matmul=matmul) for matmul in ("highest", "medium")]
    (lsh, cibhash), (same, other) = rows
    assert (lsh.digest, lsh.key) == (same.digest, same.key)
    assert cibhash.key.method == "cibhash"
    assert other.key.method == "cibhash(matmul=medium)"


@pytest.mark.parametrize(
    "source",
    ["method_settings.source_digest", "cells.extraction_digest", "cells.training_source"],
)
def test_digest_covers_the_code_of_method_extraction_and_training(task, monkeypatch, source):
    before = digest(task)
    monkeypatch.setattr(f"benchmarks.grid.{source}", lambda *given: "changed")
    assert digest(task) != before


@pytest.mark.parametrize(
    ("added", "same"),
    [
        ("\n# a remark\n", True),
        ("\n'a remark'\nimport json\n", True),
        ("\n_AHEAD = 31\n", False),
    ],
)
def test_the_code_of_the_training_counts_and_its_prose_does_not(monkeypatch, added, same):
    real, before = inspect.getsource, training_source()

    def changed(module):
        return real(module) + (added if module is trainer else "")

    monkeypatch.setattr("inspect.getsource", changed)
    assert (training_source.__wrapped__() == before) == same


def test_expand_orders_cells_by_task_and_gives_float_one_cell(task):
    specs = [method_spec("lsh"), method_spec("random"), method_spec("float")]
    keys = [cell.key for cell in expand([task], specs, [16, 32], 2)]
    assert [(k.method, k.bits, k.seed) for k in keys] == [
        *[("lsh", b, s) for b in (16, 32) for s in (0, 1)],
        *[("random", b, s) for b in (16, 32) for s in (0, 1)],
        ("float", 0, 0),
    ]
    assert {k.backbone for k in keys} == {"pixels"}


@pytest.mark.parametrize(("bits", "seeds", "flag"), [([0], 1, "--bits"), ([16], 0, "--seeds")])
def test_counts_below_one_are_refused(task, bits, seeds, flag):
    with pytest.raises(GridError, match=f"{flag}: must be at least 1, got 0"):
        expand([task], [method_spec("lsh")], bits, seeds)


def test_codes_longer_than_can_be_counted_are_refused(task):
    with pytest.raises(GridError, match=f"--bits: must be at most {MAX_BITS}, got {MAX_BITS + 1}"):
        expand([task], [method_spec("lsh")], [16, MAX_BITS + 1], 1)
    assert expand([task], [method_spec("lsh")], [MAX_BITS], 1)


@pytest.mark.parametrize(
    ("name", "settings", "n_bits", "words"),
    [
        ("agh2", {}, 7, "agh2 at 7 bits: AGH2: .* got 7; 6 and 8 work"),
        ("kmh", {}, 18, "kmh at 18 bits: KMH: .* got 18; 16 and 20 work"),
        ("kmh", {"b": 3}, 16, "kmh at 16 bits: KMH: .* b = 3, got 16; 15 and 18 work"),
    ],
)
def test_a_length_that_a_method_cannot_give_is_refused(task, name, settings, n_bits, words):
    spec = method_spec(name, settings)
    assert re.match(words, task.refuses(spec, n_bits))
    assert task.refuses(spec, 24) is None


def test_size_of_a_bank_is_refused_where_views_are_fresh(task):
    spec = method_spec("nsh", {"bank_size": 4})
    with pytest.raises(GridError, match=r"--set nsh\.bank_size: does nothing with --views fresh"):
        expand([task], [spec], [16], 1, "fresh")
    assert expand([task], [spec], [16], 1, "bank")


def test_fresh_views_show_in_the_label_of_trained_methods(task):
    specs = [method_spec("lsh"), method_spec("cibhash")]
    keys = [cell.key.method for cell in expand([task], specs, [8], 1, "fresh")]
    assert keys == ["lsh", "cibhash(views=fresh)"]


def test_digest_of_a_task_tells_weights_and_sizes_apart(task):
    other = Task(task.data, backbone("pixels", 4))
    assert len({task.digest, other.digest}) == 2
    assert Task(load("synthetic"), backbone("pixels")).digest == task.digest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wch", "wch needs tokens, and synthetic has features only"),
        (
            "nsh",
            "nsh needs augmented views, and synthetic has features only; --set "
            "nsh.augmentation=embedding makes views of features",
        ),
        ("kl_hash_captions", "kl_hash_captions learns from captions, and synthetic has none"),
        ("kl_hash_hierarchy", "kl_hash_hierarchy learns from hierarchy, and synthetic has none"),
        ("itq", None),
        ("float", None),
    ],
)
def test_what_a_task_lacks_is_said_before_training(task, name, words):
    bare = replace(
        task.data, images=None, features=torch.randn(600, 4), captions=None, hierarchy=None
    )
    assert Task(bare, task.backbone).lacks(method_spec(name)) == words
    assert task.lacks(method_spec(name)) is None


def test_vectors_of_a_large_database_are_not_ranked(task, monkeypatch):
    monkeypatch.setattr("benchmarks.grid.tasks.MOST_VECTORS", 500)
    told = "float keeps a vector of each of 550 items in memory, of at most 500"
    assert task.lacks(method_spec("float")) == told
    assert task.lacks(method_spec("random")) is None


def test_a_method_that_is_told_the_number_of_classes_needs_some(task):
    labels = Labels.of(torch.zeros(len(task.data.labels), 1).bool())
    bare = replace(task.data, labels=labels, hierarchy=None, classes=())
    said = "cghash is told the number of classes, and synthetic has none"
    assert Task(bare, task.backbone).lacks(method_spec("cghash")) == said
    assert task.lacks(method_spec("cghash")) is None
