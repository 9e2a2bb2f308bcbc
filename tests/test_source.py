"""The source that a method's digest covers."""

import inspect
import sys

import pytest

import methods.anchored
import methods.functional
import methods.pairs
import methods.spectral
import methods.statistics
from benchmarks.grid import method_source
from benchmarks.grid.find_method import load_class
from benchmarks.grid.method_source import _parts, own_sources, packages_imported, source_digest
from methods import METHODS

MINE = "from methods.lsh import LSH\n\nclass MyLSH(LSH):\n    paper = 'Me, https://example.org'\n"


def forget():
    """Forget the digests and sources of all methods."""
    source_digest.cache_clear()
    _parts.cache_clear()


@pytest.fixture(autouse=True)
def _no_digest_is_kept():
    forget()
    yield
    forget()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the current folder, which can be imported from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_digest_covers_the_shared_pieces_a_method_imports(monkeypatch):
    sources = {name: source_digest(cls) for name, cls in METHODS.items()}
    assert len(set(sources.values())) == len({cls.__module__ for cls in METHODS.values()})
    real = inspect.getsource
    forget()
    monkeypatch.setattr(
        "inspect.getsource",
        lambda piece: "changed" if piece is methods.functional.nt_xent else real(piece),
    )
    assert source_digest(METHODS["cibhash"]) != sources["cibhash"]
    assert source_digest(METHODS["lsh"]) == sources["lsh"]


@pytest.mark.parametrize(
    ("method", "piece"),
    [
        ("itq", methods.statistics.PrincipalAxes),
        ("bihalf", methods.pairs.pair_cosines),
        ("cimon", methods.spectral.discretise),
        ("agh", methods.statistics.squared_distances),  # by a base class
    ],
)
def test_digest_covers_the_shared_pieces_that_those_build_on(method, piece, monkeypatch):
    before, lsh = source_digest(METHODS[method]), source_digest(METHODS["lsh"])
    forget()
    real = inspect.getsource
    monkeypatch.setattr("inspect.getsource", lambda p: "changed" if p is piece else real(p))
    assert source_digest(METHODS[method]) != before
    assert source_digest(METHODS["lsh"]) == lsh


def test_the_source_of_what_all_methods_build_on_is_read_once(monkeypatch):
    read = []
    real = method_source.own_sources
    monkeypatch.setattr(method_source, "own_sources", lambda cls: read.append(cls) or real(cls))
    for cls in METHODS.values():
        source_digest(cls)
    assert len(read) == len(set(read)) > len(METHODS)


def test_digest_covers_the_constants_that_shared_pieces_name(monkeypatch):
    before = source_digest(METHODS["agh"])
    forget()
    monkeypatch.setattr(methods.statistics, "ANCHOR_ROUNDS", 7)
    assert source_digest(METHODS["agh"]) != before


WHOLE = (
    MINE + "    def late(self):\n        import near\n        return near.rate(2)\n",
    "def rate(n):\n    return n * 3\n",
)


@pytest.mark.parametrize(
    ("mine", "near", "same"),
    [
        (f"'Mine.'\nimport json\n{WHOLE[0]}# the end\n", WHOLE[1], True),
        (WHOLE[0], "def rate(n):\n    'Scale.'\n\n    return n * 3  # thrice\n", True),
        (WHOLE[0].replace("rate(2)", "rate(4)"), WHOLE[1], False),
        (WHOLE[0], WHOLE[1].replace("3", "5"), False),
    ],
)
def test_code_counts_and_prose_does_not(write, tmp_path, monkeypatch, mine, near, same):
    digests = []
    for folder, texts in (("one", WHOLE), ("two", (mine, near))):
        for name, text in zip(("mine.py", "near.py"), texts, strict=True):
            write(f"{folder}/{name}", text)
        monkeypatch.syspath_prepend(tmp_path / folder)
        for module in [name for name in sys.modules if name.startswith("mine@")]:
            del sys.modules[module]
        digests.append(source_digest(load_class(f"{folder}/mine.py:MyLSH")))
    assert (digests[0] == digests[1]) == same


def test_a_file_may_move_and_be_renamed(write):
    write("mine.py", MINE)
    write("apart/yours.py", MINE)
    digests = {source_digest(load_class(f"{name}.py:MyLSH")) for name in ("mine", "apart/yours")}
    assert len(digests) == 1


def test_digest_covers_the_methods_that_a_class_builds_on(write, monkeypatch):
    write("mine.py", MINE)
    cls = load_class("mine.py:MyLSH")
    before = source_digest(cls)
    forget()
    monkeypatch.setattr(
        "benchmarks.grid.method_source.own_sources",
        lambda c: ["changed"] if c is METHODS["lsh"] else own_sources(c),
    )
    assert source_digest(cls) != before


def test_digest_covers_the_base_that_methods_on_anchors_share(monkeypatch):
    before, lsh = source_digest(METHODS["agh"]), source_digest(METHODS["lsh"])
    forget()
    monkeypatch.setattr(
        "benchmarks.grid.method_source.own_sources",
        lambda c: ["changed"] if c is methods.anchored.AnchorMethod else own_sources(c),
    )
    assert source_digest(METHODS["agh"]) != before
    assert source_digest(METHODS["lsh"]) == lsh


def test_source_of_a_file_is_that_which_ran(write):
    write("mine.py", MINE)
    cls = load_class("mine.py:MyLSH")
    write("mine.py", "another")
    assert own_sources(cls) == [MINE]


def test_files_beside_a_file_count_where_it_imports_them(write):
    write("mine.py", f"import near, json, torch\n{MINE}    def late(self):\n        import later\n")
    write("near.py", "from far import X\n")
    write("far.py", "X = 1\n")
    write("later.py", "Y = 1\n")
    write("idle.py", "Z = 1\n")
    assert own_sources(load_class("mine.py:MyLSH"))[1:] == [
        "X = 1\n",
        "Y = 1\n",
        "from far import X\n",
    ]


def test_modules_of_a_package_count_where_the_class_reaches_them(write):
    write("plug/__init__.py", "")
    write("plug/idle.py", "raise RuntimeError\n")
    write("plug/mine.py", f"from .parts import algebra\nfrom plug import parts\n{MINE}")
    write("plug/parts/__init__.py", "from . import algebra\nfrom ..losses import Loss\n")
    write("plug/parts/algebra.py", "from datasets import load\n")
    write("plug/losses.py", "class Loss: pass\n")
    cls = load_class("plug.mine:MyLSH")
    assert own_sources(cls)[1:] == [
        "",  # plug/__init__.py
        "class Loss: pass\n",
        "from . import algebra\nfrom ..losses import Loss\n",
        "from datasets import load\n",
    ]
    assert packages_imported(cls) == {"methods", "plug", "datasets"}


def test_papers_of_ours_stand_alone():
    assert all(len(own_sources(cls)) == 1 for cls in METHODS.values())


def test_a_class_of_no_module_is_refused():
    cls = type("Handmade", (), {"__module__": "nowhere"})
    with pytest.raises(TypeError, match="Handmade: no module defines this class; write it"):
        own_sources(cls)


def test_a_search_space_is_in_no_digest(write):
    space = "    space = search_space(\n        lr=RATES,\n    )\n"
    write("mine.py", MINE)
    write("tuned.py", "from methods.space import RATES, search_space\n" + MINE + space)
    write("other.py", MINE + "    spaces = 1\n")
    plain, tuned, other = (
        source_digest(load_class(f"{name}.py:MyLSH")) for name in ("mine", "tuned", "other")
    )
    assert tuned == plain != other
