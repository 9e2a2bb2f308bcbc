"""Yardsticks that are no Hamming codes: product quantisation and RaBitQ."""

import importlib.util

import numpy as np
import pytest
import torch

from benchmarks import repro, rescore, run
from benchmarks.grid.method_settings import chosen_methods, method_spec
from benchmarks.grid.yardsticks import YARDSTICKS
from benchmarks.grid.yardsticks.product_quantisation import OPQ, PQ
from benchmarks.grid.yardsticks.rabitq import RaBitQ
from benchmarks.grid.yardsticks.scalar_quantisation import Int8
from benchmarks.runner.reporting import read_board
from methods.statistics import dealt
from results.page.overview import overview
from results.store.store import ResultStore
from tests import record_factory
from tests.golden_arrays import arrays
from tests.record_factory import fill, make_record

needs_faiss = pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
)


def squares(method, queries, items):
    """Squared distances that the vectors of a yardstick stand for."""
    return -2 * method.project(queries.float()) @ method.database(items.float()).T


def clusters(n=600, d=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(40, d, generator=generator)
    return centres[torch.randint(40, (n,), generator=generator)] + torch.randn(
        n, d, generator=generator
    )


def built(cls, in_dim, n_bits, seed=0, **params):
    torch.manual_seed(seed)
    return cls(in_dim, n_bits, **params)


# int8


def test_int8_keeps_each_number_to_half_a_step_of_its_range():
    x = clusters(200, 6) * torch.tensor([1.0, 10, 100, 0, 1, 1])
    method = built(Int8, 6, 0).fit(x)
    found = method.database(x)[:, :6]
    step = (x.amax(0) - x.amin(0)) / 255
    assert ((found - x).abs() <= step / 2 + 1e-5).all()
    assert all(len(column.unique()) > 100 for column in found.T[:3])
    assert torch.equal(found[:, 3], torch.zeros(200, dtype=torch.float64))
    far = torch.full((1, 6), 1e6)  # beyond what was seen, the largest is kept
    torch.testing.assert_close(method.database(far)[0, :6], x.amax(0).double())
    truth = torch.cdist(x[:3].double(), found) ** 2
    torch.testing.assert_close(
        squares(method, x[:3], x) - squares(method, x[:3], x)[:, :1], truth - truth[:, :1]
    )


def test_bytes_of_an_item_are_all_that_is_kept_of_it():
    sizes = {"float": 80, "int8": 20, "pq": 4, "opq": 4, "rabitq": 12, "random": 4, "itq": 4}
    for name, expected in sizes.items():
        assert method_spec(name).item_bytes(20, 32) == expected


# RaBitQ


def test_rabitq_estimates_as_its_authors_do(golden):
    g = arrays(golden, "rabitq")
    method = RaBitQ(24, 24)
    method.P, method.mu = g["rotation"].T, g["centroid"]
    found = squares(method, g["x_test"], g["x_train"])
    torch.testing.assert_close(found, g["estimate"], rtol=1e-5, atol=1e-4)
    signs = method.items(g["x_train"].float())[:, :24] > 0
    sure = g["rotated_train"].sub(g["centroid"] @ g["rotation"]).abs() > 1e-4
    assert torch.equal(signs[sure], g["codes_train"].bool()[sure])


def test_rabitq_takes_the_training_mean_as_centroid_and_turns_at_random(golden):
    g = arrays(golden, "rabitq")
    method = built(RaBitQ, 24, 16).fit(g["x_train"].float())
    torch.testing.assert_close(method.mu, g["centroid"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(method.P @ method.P.T, torch.eye(16), rtol=0, atol=1e-5)
    assert not torch.equal(method.P, built(RaBitQ, 24, 16, seed=1).P)
    assert torch.equal(method.P, built(RaBitQ, 24, 16).P)


def test_the_estimate_of_rabitq_is_right_on_average():
    x = clusters(60, 16)
    truth = torch.cdist(x[:5].double(), x.double()) ** 2
    found = [squares(built(RaBitQ, 16, 16, seed).fit(x), x[:5], x) for seed in range(400)]
    mean, spread = torch.stack(found).mean(0), torch.stack(found).std(0)
    assert ((mean - truth).abs() < 5 * spread / 20 + 1e-6).all()


def test_rabitq_has_more_bits_than_features():
    x = clusters(100, 8)
    method = built(RaBitQ, 8, 64).fit(x)
    torch.testing.assert_close(method.P.T @ method.P, torch.eye(8), rtol=0, atol=1e-5)
    truth = torch.cdist(x.double(), x.double()) ** 2
    near = np.corrcoef(squares(method, x, x).flatten(), truth.flatten())[0, 1]
    assert near > 0.98


def test_an_item_at_the_centroid_is_as_far_as_the_query_is_from_it():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    method = built(RaBitQ, 2, 2).fit(x)
    found = squares(method, torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    torch.testing.assert_close(found, torch.tensor([[25.0]], dtype=torch.float64))


# PQ and OPQ


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["pq", "opq", "opqp"])
def test_stored_centroids_give_the_codes_and_distances_of_faiss(golden, name, bits):
    g = arrays(golden, "pq_opq")
    turned = name != "pq"
    method = (OPQ if turned else PQ)(24, bits, b=4)
    method.C = g[f"{name}_centroids_{bits}"]
    if turned:
        rotation = g[f"{name}_rotation_{bits}"]
        method.A = rotation if name == "opqp" else rotation.T.contiguous()
    if name == "opqp":
        method.mu = g["mean"].float()
    x = g["x_train"].float()
    y = method._turned(x)
    error = (y - method.decode(method.codes(x))).square().sum(1).mean()
    torch.testing.assert_close(error.float(), g[f"{name}_error_{bits}"][0], rtol=1e-4, atol=0)
    if name != "opqp":
        assert torch.equal(method.codes(x), g[f"{name}_codes_train_{bits}"].long())
        found = squares(method, g["x_test"], g["x_train"]).float()
        torch.testing.assert_close(found, g[f"{name}_adc_{bits}"], rtol=1e-3, atol=1e-3)
    if name == "pq":
        found = method.decode(method.codes(x)).float()
        torch.testing.assert_close(found, g[f"pq_reconstruction_{bits}"], rtol=1e-5, atol=1e-5)


@needs_faiss
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("cls", "name"), [(PQ, "pq"), (OPQ, "opq"), (OPQ, "opqp")])
def test_training_loses_no_more_than_that_of_faiss(golden, cls, name, bits, capfd):
    g = arrays(golden, "pq_opq")
    x = g["x_train"].float()
    method = built(cls, 24, bits, b=4).fit(x)
    error = (method._turned(x) - method.decode(method.codes(x))).square().sum(1).mean()
    gained = 0.97 if name == "opqp" else 1.05  # the rotation goes on from the dealt axes
    assert error <= gained * g[f"{name}_error_{bits}"][0]
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("bits", [8, 16])
def test_axes_are_dealt_as_the_parametric_solution_deals_them(golden, bits):
    g = arrays(golden, "pq_opq")
    x = g["x_train"] - g["mean"]
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    order = dealt(values.flip(0), bits // 4, 24 // (bits // 4))
    parts = vectors.flip(1)[:, order].unflatten(1, (bits // 4, -1)).unbind(1)
    theirs = g[f"opqp_rotation_{bits}"].double().unflatten(1, (bits // 4, -1)).unbind(1)
    ours = {tuple((W @ W.T).flatten().mul(1e3).round().int().tolist()) for W in parts}
    assert ours == {tuple((W @ W.T).flatten().mul(1e3).round().int().tolist()) for W in theirs}


@needs_faiss
@pytest.mark.parametrize("cls", [PQ, OPQ])
def test_dimensions_that_the_parts_do_not_divide_are_filled_up(cls):
    x = clusters(400, 20)
    method = built(cls, 20, 12, b=4).fit(x)
    assert method.width == 21
    found = squares(method, x[:9], x)
    truth = torch.cdist(x[:9].double(), x.double()) ** 2
    assert np.corrcoef(found.flatten(), truth.flatten())[0, 1] > 0.8
    y = method._turned(x)
    torch.testing.assert_close(torch.cdist(y[:9], y) ** 2, truth, rtol=1e-4, atol=1e-3)


@needs_faiss
@pytest.mark.parametrize("cls", [PQ, OPQ])
def test_the_seed_of_the_run_decides_and_a_second_fit_forgets_the_first(cls):
    x, other = clusters(), clusters(seed=1)
    one = built(cls, 20, 16, b=4).fit(x)
    again = built(cls, 20, 16, b=4).fit(other).fit(x)
    assert torch.equal(one.C, again.C)
    assert not torch.equal(one.C, built(cls, 20, 16, seed=1, b=4).fit(x).C)


@needs_faiss
@pytest.mark.parametrize("cls", [PQ, OPQ])
@pytest.mark.parametrize("kind", ["constant", "duplicates", "wide"])
def test_features_that_hardly_vary_are_quantised(cls, kind):
    x = clusters(64, 20)
    if kind == "constant":
        x[:, 5:] = 7.0
    if kind == "duplicates":
        x = x[:3].repeat(22, 1)
    method = built(cls, 20, 64 if kind == "wide" else 16, b=4).fit(x)
    found = method.database(x)
    assert found.isfinite().all()
    if kind == "duplicates":
        truth = torch.cdist(x.double(), x.double()) ** 2
        torch.testing.assert_close(squares(method, x, x), truth, rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["pq", "opq", "rabitq"])
def test_equal_items_have_equal_vectors_wherever_they_lie(name):
    if name != "rabitq":
        pytest.importorskip("faiss")
    cls = YARDSTICKS[name]
    x = clusters(300, 37)
    method = built(cls, 37, 16, **({} if name == "rabitq" else {"b": 4})).fit(x)
    mixed = torch.cat([x, x[torch.randperm(300)], x[:1].repeat(97, 1)])
    found = method.database(mixed, chunk=61)
    first = (found[:, None, :] == found[None]).all(2).int().argmax(1)
    same = (mixed[:, None] == mixed[None]).all(2).int().argmax(1)
    assert torch.equal(first[same], first)


@pytest.mark.parametrize(
    ("cls", "in_dim", "bits", "words"),
    [
        (PQ, 64, 20, "PQ: n_bits must be a multiple of b = 8 .*, got 20; 16 and 24 work"),
        (OPQ, 64, 7, "OPQ: n_bits must be .*, got 7; 8 works"),
        (PQ, 3, 64, "at most 24, b for each of 3 dimensions, got 64; 24 works"),
        (OPQ, 1280, 2056, "at most 2048, b for each of 256 dimensions, got 2056; 2048 works"),
    ],
)
def test_a_length_that_makes_no_parts_is_refused_with_those_that_do(cls, in_dim, bits, words):
    with pytest.raises(ValueError, match=words):
        cls(in_dim, bits)


@pytest.mark.parametrize("b", [0, 17])
def test_parts_of_too_few_or_many_bits_are_refused(b):
    with pytest.raises(ValueError, match=f"PQ: b must be at .* got {b}"):
        PQ(64, 16, b=b)


def test_fewer_images_than_centroids_are_refused():
    with pytest.raises(ValueError, match=r"PQ\.fit: it needs 256 training images .* got 255"):
        PQ(20, 16).fit(clusters(255))


# In a grid


def grid(tmp_path, *arguments):
    flags = ["--datasets", "synthetic", "--seeds", "2", "--bits", "8", "16"]
    where = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    return run.main([*flags, *where, *arguments])


def test_yardsticks_that_take_time_are_asked_for():
    assert list(chosen_methods(["lsh"])) == ["lsh", "random", "float"]
    assert list(chosen_methods(["lsh", "rabitq"])) == ["lsh", "rabitq", "random", "float"]
    assert list(chosen_methods(["yardsticks", "lsh"])) == ["lsh", *YARDSTICKS]
    assert "pq" not in chosen_methods(["all"])


@needs_faiss
def test_yardsticks_run_and_are_shown_apart_with_what_they_take(tmp_path, capsys, one_figure):
    assert grid(tmp_path, "--methods", "lsh", "yardsticks", "--set", "pq.b=4", "opq.b=4") == 0
    shown = capsys.readouterr().out
    for name in ("PQ(b=4)", "OPQ(b=4)", "SpH-SHD"):
        assert f"\n{name} (K bits)  " in shown
    for name in ("RaBitQ (K + 64 bits)", "float (no codes)"):
        assert f"\n{name}  " in shown
    records = list(ResultStore(tmp_path / "out").records())
    assert len(records) == 2 * 2 * 6 + 2
    by_row = {(r.method.split("(")[0], r.bits, r.seed): r for r in records}
    for name in ("pq", "opq", "rabitq", "sph_shd"):
        for bits in (8, 16):
            one, other = (by_row[name, bits, seed] for seed in (0, 1))
            assert one.kind == "yardstick"
            assert set(one.curves) == {"cutoffs"}
            assert one.metrics != other.metrics
            than = by_row["lsh" if "pq" in name else "random", bits, 0].metrics
            assert one.metrics["mAP"] > 1.2 * than["mAP"]
            assert not {"P@H<=2"} & set(one.metrics)
    assert grid(tmp_path, "--methods", "lsh", "yardsticks", "--set", "pq.b=4", "opq.b=4") == 0
    assert "26 stored, 0 to run" in capsys.readouterr().out
    store = ResultStore(tmp_path / "out")
    assert rescore.main(["--out", str(store.root), "--no-report"]) == 0
    assert "26 records: 0 changed, 8 the same, 18 without codes, 0 left" in capsys.readouterr().out
    for name in ("opq", "rabitq", "sph_shd"):
        path = store.locate(by_row[name, 16, 1])
        assert repro.main([str(path), "--cache", f"{tmp_path}/cache"]) == 0


def test_a_yardstick_whose_package_is_missing_is_left_out_with_the_way_to_it(
    tmp_path, capsys, monkeypatch
):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "faiss" else real(name, *a)
    )
    assert grid(tmp_path, "--methods", "lsh", "yardsticks", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "skipped: pq needs faiss, which is not installed: pip install -e '.[faiss]'" in out
    assert "skipped: opq needs faiss" in out
    assert "18 cells" in out  # of lsh, rabitq, sph_shd and random four each, of float and int8 one
    assert grid(tmp_path, "--methods", "lsh", "pq", "--dry-run") == 2
    assert "--methods: pq needs faiss, which is not installed" in capsys.readouterr().err


@needs_faiss
def test_a_yardstick_that_does_not_fit_is_told_before_anything_runs(tmp_path, capsys):
    n_train = "--set", "pq.b=10"
    assert grid(tmp_path, "--methods", "pq", *n_train, "--dry-run") == 2
    assert "pq needs 1,024 training images for its centroids, got " in capsys.readouterr().err
    assert grid(tmp_path, "--methods", "pq", "--bits", "12", "--dry-run") == 2
    assert "pq at 12 bits: PQ: n_bits must be a multiple of b = 8" in capsys.readouterr().err
    assert grid(tmp_path, "--methods", "yardsticks", "--bits", "12", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "skipped: opq at 12 bits: OPQ: n_bits must be" in out
    assert "skipped: rabitq" not in out


@needs_faiss
def test_a_rotation_helps_pq_where_few_coordinates_hold_the_variance():
    x = clusters(2000, 16) * 0.7 ** torch.arange(16)
    truth = torch.cdist(x[:50].double(), x.double()) ** 2
    errors = {}
    for rotate in (False, True):
        method = built(PQ, 16, 16, rotate=rotate).fit(x)
        errors[rotate] = float((squares(method, x[:50], x) - truth).abs().mean())
    assert errors[True] < errors[False]
    wide = built(PQ, 10, 32, rotate=True)  # four parts of three of twelve dimensions
    torch.testing.assert_close(wide.A @ wide.A.T, torch.eye(10), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", YARDSTICKS)
def test_a_yardstick_says_what_it_is(name):
    spec = method_spec(name)
    assert spec.kind == "yardstick"
    assert not spec.is_trained
    assert spec.lengths([8, 16]) == ([0] if name in ("float", "int8") else [8, 16])
    assert (
        spec.settings(16).get("size")
        == {
            "pq": "K bits",
            "opq": "K bits",
            "rabitq": "K + 64 bits",
            "int8": "8 bits a number",
            "sph_shd": "K bits",
            "random": None,
            "float": "no codes",
        }[name]
    )


def test_yardsticks_from_papers_are_cited_below_the_methods(tmp_path):
    store = ResultStore(tmp_path)
    asked = [make_record(method=name, kind="yardstick") for name in ("pq", "opq", "rabitq")]
    captions = make_record(method="kl_hash_captions", kind="captions", dataset="other")
    fill(store, [*record_factory.grid(), *asked, captions])
    board = read_board(store)
    assert [board.title(name) for name in ("opq", "random", "float")] == ["OPQ", "random", "float"]
    *_, last, opq, pq, rabitq = overview(board).lines
    assert last.method == "kl_hash_captions"
    assert [line.title for line in (opq, pq, rabitq)] == ["OPQ", "PQ", "RaBitQ"]
    assert pq.link == "https://doi.org/10.1109/TPAMI.2010.57"
    assert opq.bibtex.startswith("@inproceedings{opq,")
    assert rabitq.rank is None
