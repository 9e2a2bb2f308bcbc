import subprocess
import sys

import pytest

from benchmarks.grid import code_stamps
from benchmarks.grid import kept_listing as kept
from benchmarks.grid.flags import LISTS
from benchmarks.grid.listing import listing


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder of code beside which lists are kept, and the file in it."""
    path = tmp_path / "code/methods/one.py"
    path.parent.mkdir(parents=True)
    path.write_text("1")
    monkeypatch.setattr(code_stamps, "HOME", tmp_path / "code")
    return path


@pytest.mark.parametrize("what", LISTS)
def test_a_kept_list_is_the_list(what, tmp_path):
    texts = ["\n".join(kept.kept_listing(what, tmp_path)) for _ in range(2)]
    assert texts == ["\n".join(listing(what))] * 2


def test_a_list_is_made_anew_once_the_code_or_the_packages_have_changed(
    code, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr("benchmarks.grid.listing.listing", lambda what: made.append(what) or ["a"])
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    calls = []
    for change in (
        lambda: None,
        lambda: code.write_text("12"),
        lambda: (tmp_path / "packages/new.dist-info").mkdir(parents=True),
    ):
        change()
        calls += [kept.kept_listing("methods", tmp_path / "cache") for _ in range(2)]
    assert calls == [["a"]] * 6
    assert len(made) == 3


def test_a_cache_that_cannot_be_written_or_read_stops_no_list(tmp_path):
    (tmp_path / "file").write_text("")
    assert kept.kept_listing("presets", tmp_path / "file") == listing("presets")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/presets.txt").write_bytes(b"\xff\xfe")
    assert kept.kept_listing("presets", tmp_path) == listing("presets")
    (tmp_path / "lists/presets.txt").write_text("")
    assert kept.kept_listing("presets", tmp_path) == listing("presets")


def test_a_kept_list_is_shown_without_torch(tmp_path):
    ask = f"run.main(['--list', 'methods', '--cache', {str(tmp_path)!r}])"
    code = f"import sys; from benchmarks import run; {ask}; print('torch' in sys.modules)"
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        said.append(done.stdout.splitlines())
    assert said == [[*listing("methods"), "True"], [*listing("methods"), "False"]]
