import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from benchmarks import run
from results.store.store import ResultStore

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_thread_a_worker():
    """Workers side by side must not fight for cores."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden():
    """Path of the official implementations' inputs and outputs."""
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip("the golden vectors lie in ../shared/golden, which is absent")
    return folder


@pytest.fixture(scope="session")
def shared_data():
    """Path of the real data sets."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets lie in ../shared/data, which is absent")
    return folder


@pytest.fixture(scope="session")
def paper_lists(shared_data, tmp_path_factory):
    """Folder of the papers' list files, a folder for each repository that published them."""
    folder = tmp_path_factory.mktemp("lists")
    with tarfile.open(shared_data / "splits" / "original_lists.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def one_figure(monkeypatch):
    """Reports draw one figure, and not all, which take longest of all that a small grid does."""
    from results.figures import by_name as figures

    name = "map_against_bits"
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name]})


@pytest.fixture(scope="session")
def _small_grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small_grid")
    arguments = ["--methods", "lsh", "--datasets", "synthetic", "--bits", "8", "--seeds", "2"]
    arguments += ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--no-report"]
    assert run.main(arguments) == 0
    return folder / "out"


@pytest.fixture
def stored(_small_grid, tmp_path):
    """A small grid in its store."""
    return ResultStore(shutil.copytree(_small_grid, tmp_path / "out"))


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
