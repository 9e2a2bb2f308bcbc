"""What a notebook imports: the packages whose `__init__` says what they are for."""

import doctest
import importlib
import pkgutil

import pytest

DOORS = {
    "benchmarks.evaluation": (
        *("Codes", "PackedBits", "RetrievalStats", "evaluate", "average_precision"),
        *("mean_average_precision", "precision_at", "recall_at", "ndcg", "code_health"),
    ),
    "benchmarks.features": ("backbone", "FeatureCache"),
    "benchmarks.training": ("Trainer", "ViewBank"),
    "benchmarks.grid": ("RunKey", "Cell", "expand"),
    "datasets": ("load",),
    "datasets.protocols": ("PROTOCOLS",),
    "methods": ("METHODS", "HashMethod", "Recipe"),
    "results.store": ("ResultStore",),
}


@pytest.fixture(params=DOORS)
def door(request):
    return importlib.import_module(request.param)


def test_a_door_exports_what_notebooks_import(door):
    assert set(DOORS[door.__name__]) <= set(door.__all__)
    assert [name for name in door.__all__ if not hasattr(door, name)] == []


def test_a_door_says_what_its_room_is_for_with_an_example_that_runs(door):
    first, _, rest = door.__doc__.partition("\n")
    assert first.endswith((".", ":"))
    assert doctest.DocTestParser().get_examples(rest)


def test_no_module_bears_the_name_of_what_its_door_exports(door):
    modules = {module.name for module in pkgutil.iter_modules(door.__path__)}
    assert modules & set(door.__all__) == set()
