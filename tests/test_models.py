"""A model on disk gives the codes that the benchmark gave, or says why it cannot."""

import hashlib
import io
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from benchmarks import Hasher, encode, export, run
from benchmarks.models import HashTransformer, ModelError, load_model, to_faiss
from benchmarks.models.card import _SEEN
from benchmarks.models.numpy_encoder import scores as numpy_scores
from benchmarks.models.runtimes import linear_layers
from datasets.errors import DatasetError
from methods import METHODS, HashMethod
from methods.base import Supervision
from results.store.files import write_atomic
from results.store.store import ResultStore
from tests.own_data import tree


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Records of a folder of images, hashed by a closed form and by a trained method."""
    folder = tmp_path_factory.mktemp("grid")
    tree(folder / "images", 40)
    call = ["--methods", "itq", "cibhash", "--datasets", f"folder:{folder}/images", "--bits", "16"]
    call += ["--seeds", "2", "--epochs", "1", "--backbone", "pixels", "--queries", "10"]
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--device", "cpu"]
    assert run.main([*call, "--train", "40", *places, "--no-report"]) == 0
    return folder


def record(grid, method, seed=0):
    return next((grid / "out/runs").rglob(f"{method}/16-{seed}-*.json"))


def exported(grid, to, method="itq", seed=0, more=(), code=0):
    data = ["--dataset", f"folder:{grid}/images", "--queries", "10", "--train", "40"]
    place = ["--cache", f"{grid}/cache", "--device", "cpu", "--to", str(to)]
    assert export.main([str(record(grid, method, seed)), *data, *place, *more]) == code
    return to


def codes(grid, method, seed=0):
    """Stored codes of all images, by row."""
    arrays = ResultStore(grid / "out").arrays(record(grid, method, seed))
    found = {}
    for part in ("query", "database"):
        found |= dict(zip(arrays[f"{part}_rows"], arrays[f"{part}_codes"], strict=True))
    return np.stack([found[row] for row in sorted(found)]), sorted(found)


def paths(grid):
    return sorted((grid / "images").rglob("*.png"))


@pytest.mark.parametrize(("method", "seed"), [("itq", 0), ("cibhash", 1)])
def test_images_get_the_codes_that_the_benchmark_gave(grid, tmp_path, method, seed):
    hasher = Hasher.load(exported(grid, tmp_path / "model", method, seed), device="cpu")
    expected, rows = codes(grid, method, seed)
    files = [paths(grid)[row] for row in rows]
    np.testing.assert_array_equal(hasher.encode(files), expected)
    order = np.random.default_rng(0).permutation(len(files))
    np.testing.assert_array_equal(hasher.encode([files[i] for i in order]), expected[order])
    images = [Image.open(file) for file in files[:5]]
    np.testing.assert_array_equal(hasher.encode(images), expected[:5])
    np.testing.assert_array_equal(hasher.encode(hasher.features(files)), expected)
    bits = np.unpackbits(expected, axis=1)[:, : hasher.n_bits]
    np.testing.assert_array_equal(hasher.scores(files) > 0, bits == 1)


def test_nothing_gets_no_codes(grid, tmp_path):
    hasher = Hasher.load(exported(grid, tmp_path / "model"), device="cpu")
    assert hasher.encode([]).shape == (0, 2)
    assert hasher.scores([]).shape == (0, 16)


def test_a_kept_model_is_not_trained_again(grid, tmp_path, monkeypatch):
    model = load_model(exported(grid, tmp_path / "model", "cibhash"))
    learnt = {f"method.{k}": v.numpy() for k, v in model.method.state_dict().items()}
    golden = torch.zeros(8, model.config.in_dim)
    with torch.no_grad():
        scores = model.method.project(golden)
    learnt |= {"golden.inputs": golden.numpy(), "golden.scores": scores.numpy()}
    store, path = ResultStore(grid / "out"), record(grid, "cibhash")
    store.keep_model(store.read(path), learnt)
    monkeypatch.setattr("benchmarks.models.export_record.run_again", None)
    again = load_model(exported(grid, tmp_path / "again", "cibhash"))
    path.with_suffix(".model").unlink()
    for name, value in model.method.state_dict().items():
        assert torch.equal(value, again.method.state_dict()[name])


def test_the_card_tells_paper_numbers_and_use(grid, tmp_path):
    text = (exported(grid, tmp_path / "model") / "README.md").read_text()
    assert METHODS["itq"].paper in text
    assert "| ITQ | 0." in text
    assert "Hasher.load" in text
    assert str(grid) not in text


def test_the_card_has_words_for_all_that_a_method_may_learn_from():
    assert set(_SEEN) == set(get_args(Supervision))


def refused(folder):
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edited(folder, change):
    """Change a config as somebody would who writes the digests anew."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("digest")
    change(config)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config | {"digest": digest}))
    return folder


def rewritten(folder, name, data):
    (folder / name).write_bytes(data)
    return edited(folder, lambda c: c["sha256"].update({name: hashlib.sha256(data).hexdigest()}))


def test_a_model_that_is_not_whole_is_refused(grid, tmp_path):
    good = exported(grid, tmp_path / "good")

    def copy(name):
        return shutil.copytree(good, tmp_path / name)

    assert "no config.json" in refused(tmp_path)
    (copy("missing") / "model.safetensors").unlink()
    assert "model.safetensors: No such file" in refused(tmp_path / "missing")
    weights = copy("altered") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert "is not the file that config.json was written for" in refused(tmp_path / "altered")
    assert "format 99" in refused(edited(copy("format"), lambda c: c.update(format=99)))

    def other_source(config):
        config["settings"]["method"]["source"] = "0" * 64

    assert "another version of itq" in refused(edited(copy("source"), other_source))
    (copy("broken") / "config.json").write_text("{")
    assert "cannot be read" in refused(tmp_path / "broken")


def test_a_config_that_was_altered_is_refused(grid, tmp_path):
    folder = exported(grid, tmp_path / "model")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"image_size": 8', '"image_size": 9'))
    assert "config.json was altered" in refused(folder)


@pytest.mark.parametrize("text", ["[]", "null", "[" * 100_000, "\xff", '{"format": 2}'])
def test_a_config_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert "config.json cannot be read" in refused(tmp_path)


def test_a_size_that_the_files_do_not_bear_out_is_refused_before_it_is_built(
    grid, tmp_path, monkeypatch
):
    folder = edited(exported(grid, tmp_path / "model"), lambda config: config.update(bits=10**9))
    monkeypatch.setattr("benchmarks.models.folder.stored_method", None)
    assert "golden inputs (8, 192), scores (8, 16)" in refused(folder)


ITS_METHOD = {"settings": {"method": {"name": "itq", "params": {}, "source": ""}}}


@pytest.mark.parametrize(
    "change",
    [
        *({"bits": bits} for bits in ("16", -1, 8, 10**9)),
        *({"in_dim": width} for width in (None, 10, 10**12)),
        *({"image_size": size} for size in (-3, 0, 10**9)),
        *({"sha256": files} for files in ([], {})),
        *({"settings": settings} for settings in ([], {}, {"method": None}, ITS_METHOD)),
    ],
    ids=str,
)
def test_a_config_that_no_export_writes_is_refused(grid, tmp_path, change):
    folder = edited(exported(grid, tmp_path / "model"), lambda config: config.update(change))
    with pytest.raises(ModelError) as caught:
        Hasher.load(folder, device="cpu").encode(paths(grid)[:1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["os.path:join", "mine.py:Mine", ["itq"], "lsh", "random"])
def test_a_config_chooses_among_the_methods_of_the_suite(grid, tmp_path, name):
    def other_method(config):
        config["settings"]["method"]["name"] = name

    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    refused(edited(exported(grid, tmp_path / "model"), other_method))


@pytest.mark.parametrize(
    "change",
    [{"resize": "zoom"}, {"name": None}, {"input_size": "8"}, {"name": "timm:hf-hub:some/model"}],
    ids=str,
)
def test_a_backbone_that_no_export_writes_is_refused(grid, tmp_path, change):
    folder = edited(
        exported(grid, tmp_path / "model"), lambda c: c["settings"]["backbone"].update(change)
    )
    with pytest.raises(ModelError):
        Hasher.load(folder, device="cpu").encode(paths(grid)[:1])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-10],
        lambda data: b"",
        lambda data: save({}),
        lambda data: save({name: x.reshape(-1) for name, x in load(data).items()}),
        lambda data: save({name: x * torch.nan for name, x in load(data).items()}),
    ],
    ids=["torn", "no file", "empty", "flat", "nan"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "golden.safetensors"])
def test_tensors_that_do_not_fit_are_refused(grid, tmp_path, name, change):
    folder = exported(grid, tmp_path / "model")
    refused(rewritten(folder, name, change((folder / name).read_bytes())))


def test_weights_of_something_else_are_refused(grid, tmp_path):
    folder = exported(grid, tmp_path / "model")
    tensors = load((folder / "model.safetensors").read_bytes())
    data = save({**tensors, "other.x": torch.zeros(2)})
    assert "not as it is exported" in refused(rewritten(folder, "model.safetensors", data))
    data = save({**tensors, "backbone.00000": torch.zeros(2)})
    hasher = Hasher.load(rewritten(folder, "model.safetensors", data), device="cpu")
    with pytest.raises(ModelError, match="no weights to train"):
        hasher.encode(paths(grid)[:1])


def test_files_for_other_programs_are_checked_too(grid, tmp_path):
    folder = exported(grid, tmp_path / "model", more=["--faiss"])
    with (folder / "encode.py").open("a") as file:
        file.write("print()")
    assert "encode.py is not the file" in refused(folder)
    (folder / "encode.py").unlink()
    (folder / "README.md").write_text("A card is for people, who may write in it.")
    load_model(folder)


def test_a_model_replaces_another_and_nothing_of_that_stays(grid, tmp_path):
    pytest.importorskip("faiss")
    folder = exported(grid, tmp_path / "model", "itq", more=["--faiss"])
    assert (folder / "hash.faiss").exists()
    exported(grid, folder, "cibhash")
    assert not (folder / "hash.faiss").exists()
    assert load_model(folder).config.method == "cibhash(epochs=1)"


def test_files_of_something_else_are_not_written_over(grid, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    exported(grid, tmp_path, code=2)
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    exported(grid, tmp_path / "README.md", code=2)
    assert "Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "told"), [(True, "is not the file"), (False, "no config.json")])
def test_a_model_whose_writing_broke_off_is_refused_and_can_be_written_again(
    grid, tmp_path, monkeypatch, before, told
):
    folder, written = tmp_path / "model", []
    if before:
        exported(grid, folder, "itq")

    def full_disk(path, data):
        if len(written) == 1:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_atomic(path, data)

    monkeypatch.setattr("benchmarks.models.folder.write_atomic", full_disk)
    exported(grid, folder, "cibhash", code=2)
    assert told in refused(folder)
    monkeypatch.undo()
    (folder / ".half-a-file.tmp").touch()
    assert load_model(exported(grid, folder, "cibhash")).config.method == "cibhash(epochs=1)"


def test_a_yardstick_has_no_model(grid, tmp_path, capsys):
    for name in ("random", "float"):
        path = next((grid / "out/runs").rglob(f"{name}/*.json"))
        assert export.main([str(path), "--to", str(tmp_path / "model")]) == 2
        assert f"record of {name}: a yardstick learns nothing" in capsys.readouterr().err


MINE = """
from methods.lsh import LSH

class MyLSH(LSH):
    paper = "Me, 2024, https://example.org"
"""


def test_a_method_from_outside_is_exported_and_loaded_by_its_file(grid, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    mine = f"{tmp_path}/mine.py:MyLSH"
    data = ["--queries", "10", "--train", "40", "--cache", f"{grid}/cache", "--device", "cpu"]
    images = f"folder:{grid}/images"
    call = ["--methods", mine, "--datasets", images, "--bits", "16", "--backbone", "pixels"]
    assert run.main([*call, *data, "--out", f"{tmp_path}/out", "--no-report", "--seeds", "1"]) == 0
    record = str(next((tmp_path / "out/runs").rglob("my_lsh/*.json")))
    place = ["--to", f"{tmp_path}/model"]
    assert export.main([record, *place, "--dataset", images, *data]) == 2
    assert "--method must name its class" in capsys.readouterr().err
    assert export.main([record, *place, "--dataset", images, "--method", mine, *data]) == 0
    assert "MyLSH, 16 bits" in (tmp_path / "model/README.md").read_text()
    hasher = Hasher.load(tmp_path / "model", device="cpu", method=mine)
    assert hasher.encode(paths(grid)[:3]).shape == (3, 2)
    assert "--method must name its class" in refused(tmp_path / "model")
    shown = ["--out", f"{tmp_path}/codes.npy", "--method", mine]
    assert encode.main([f"{tmp_path}/model", str(paths(grid)[0]), *shown]) == 0


def test_another_backbone_is_refused(grid, tmp_path):
    def other_weights(config):
        config["settings"]["backbone"]["digest"] = "0" * 64

    folder = edited(exported(grid, tmp_path / "model"), other_weights)
    hasher = Hasher.load(folder, device="cpu")
    assert hasher.encode(np.zeros((1, hasher.model.config.in_dim), np.float32)).shape == (1, 2)
    with pytest.raises(ModelError, match="its weights differ"):
        hasher.encode(paths(grid)[:1])


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (np.zeros((2, 3), np.float32), "of width 192, got 3"),
        (np.zeros((2, 192), np.int64), "got torch.int64 of shape"),
        (np.zeros((2, 1, 8, 8), np.uint8), "uint8"),
        ([1, 2], "expected paths or Pillow images, got int"),
        (["a.png", Image.new("L", (2, 2))], "expected paths or Pillow images, got Image and str"),
        ("a.png", "expected a list of paths or of images, or an array of numbers, got str"),
        ((path for path in ()), "got generator"),
        (np.array(["a.png"]), "got ndarray"),
        (np.array([[1.0] * 192, [np.nan] * 192]), "must be finite, row 1 is not"),
        (np.full((1, 192), 1e300), "must be finite, row 0 is not"),
        ([Image.new("HSV", (9, 9))], "image 0 of mode HSV cannot be read"),
        ([Image.new("L", (9, 9))] * 600 + [Image.new("I", (9, 9))], "image 600: grey of 32 bits"),
    ],
)
def test_what_is_no_item_is_refused(grid, tmp_path, items, told):
    hasher = Hasher.load(exported(grid, tmp_path / "model"), device="cpu")
    with pytest.raises((ModelError, DatasetError), match=told) as caught:
        hasher.encode(items)
    assert "\n" not in str(caught.value)


def test_a_torn_image_is_named_by_its_place(grid, tmp_path):
    hasher = Hasher.load(exported(grid, tmp_path / "model"), device="cpu")
    whole = paths(grid)[0].read_bytes()
    torn = Image.open(io.BytesIO(whole[: len(whole) // 2]))
    with pytest.raises(ModelError, match="image 1 of mode RGB cannot be read"):
        hasher.encode([Image.open(io.BytesIO(whole)), torn])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_an_image_of_pillow_gets_the_code_of_its_file(grid, tmp_path, mode):
    hasher = Hasher.load(exported(grid, tmp_path / "model"), device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    image.getexif()[0x0112] = 6  # turned
    path = tmp_path / "image.tif"
    image.save(path, exif=image.getexif())
    np.testing.assert_array_equal(hasher.encode([image]), hasher.encode([path]))


def test_features_come_in_any_float_type(grid, tmp_path):
    hasher = Hasher.load(exported(grid, tmp_path / "model"), device="cpu")
    x = hasher.features(paths(grid)[:9])
    for given in (x.astype(np.float16), x.astype(np.float64), torch.tensor(x, requires_grad=True)):
        np.testing.assert_array_equal(hasher.encode(given), hasher.encode(x))
        np.testing.assert_array_equal(hasher.scores(given), hasher.scores(x))
    assert hasher.encode(torch.from_numpy(x).bfloat16()).shape == (9, 2)
    assert hasher.encode(x[:0]).shape == (0, 2)
    assert hasher.scores(x[:0]).shape == (0, 16)
    assert hasher.encode(np.zeros((0, 3, 8, 8), np.uint8)).shape == (0, 2)


def test_a_hub_model_needs_its_commit():
    with pytest.raises(ModelError, match="revision=COMMIT"):
        Hasher.load("somebody/model")


def test_codes_for_faiss_begin_with_the_lowest_bit():
    rows = np.array([[0b10000000, 0b00000001]], np.uint8)
    assert to_faiss(rows).tolist() == [[1, 128]]


# other programs


@pytest.mark.parametrize("method", ["itq", "cibhash"])
def test_numpy_alone_gives_the_same_codes(grid, tmp_path, method):
    folder = exported(grid, tmp_path / "model", method)
    hasher = Hasher.load(folder, device="cpu")
    features, codes = hasher.features(paths(grid)), hasher.encode(paths(grid))
    np.save(tmp_path / "x.npy", features)
    call = [sys.executable, "-I", str(folder / "encode.py")]
    subprocess.run([*call, f"{tmp_path}/x.npy", f"{tmp_path}/codes.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codes)
    source = (folder / "encode.py").read_text()
    assert "torch" not in {line.split()[1] for line in source.splitlines() if "import " in line}


@pytest.mark.parametrize("name", [n for n, cls in METHODS.items() if cls.consumes == "features"])
def test_a_head_of_linear_layers_is_all_that_its_method_computes(name):
    x, method = torch.randn(40, 12), METHODS[name](12, 8)
    if method.loss.__func__ is HashMethod.loss:
        method.fit(x)
    head = linear_layers(method.eval())
    if head is not None:
        scores = torch.from_numpy(numpy_scores(x.numpy(), head))
        torch.testing.assert_close(scores, method.project(x).detach(), rtol=1e-4, atol=1e-4)


def test_faiss_ranks_floats_as_our_codes_do(grid, tmp_path):
    faiss = pytest.importorskip("faiss")
    folder = exported(grid, tmp_path / "model", "itq", more=["--faiss"])
    hasher = Hasher.load(folder, device="cpu")
    x = hasher.features(paths(grid))
    index = faiss.read_index(str(folder / "hash.faiss"))
    index.add(x)
    distances, rows = index.search(x[:7], len(x))
    bits = np.unpackbits(hasher.encode(x), axis=1)
    expected = (bits[:7, None] != bits[None]).sum(-1)
    np.testing.assert_array_equal(distances, np.take_along_axis(expected, rows, 1))


def test_faiss_takes_linear_heads_only(grid, tmp_path, capsys):
    pytest.importorskip("faiss")
    exported(grid, tmp_path / "model", "cibhash", more=["--faiss"], code=2)
    assert "a head of one linear layer" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_bits_at_any_batch(grid, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = exported(grid, tmp_path / "model", "cibhash", more=["--onnx"])
    hasher = Hasher.load(folder, device="cpu")
    images = np.stack([np.asarray(Image.open(file)) for file in paths(grid)[:11]])
    pixels = images.transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (found,) = session.run(None, {"input": pixels.astype(np.float32) / 255})
    scores = hasher.scores(pixels)
    np.testing.assert_allclose(found, scores, atol=1e-3)
    sure = np.abs(scores) > 1e-3
    assert ((found > 0) == (scores > 0))[sure].all()


# HashTransformer


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(200, 12))


@pytest.mark.parametrize("method", ["itq", "lsh"])
def test_the_transformer_is_one_of_scikit_learn(method):
    reason = {"check_no_attributes_set_in_init": "hyper-parameters of any method are taken"}
    found = check_estimator(
        HashTransformer(method, n_bits=8), expected_failed_checks=reason, on_skip=None
    )
    assert {check["status"] for check in found} <= {"passed", "skipped", "xfail"}


def test_the_transformer_hashes_in_a_pipeline(x):
    hasher = HashTransformer("itq", n_bits=20, output="bits", n_iter=5)
    codes = hasher.fit_transform(x)
    assert (codes.shape, codes.dtype) == ((200, 20), np.uint8)
    packed = clone(hasher).set_params(output="packed").fit_transform(x)
    np.testing.assert_array_equal(packed, np.packbits(codes, axis=1))
    np.testing.assert_array_equal(hasher.scores(x) > 0, codes == 1)
    search = make_pipeline(hasher, NearestNeighbors(metric="hamming", n_neighbors=1)).fit(x)
    assert search.named_steps["hashtransformer"].n_features_in_ == 12


@pytest.mark.parametrize(("output", "columns"), [("packed", 3), ("bits", 20)])
def test_codes_come_as_a_frame_where_it_is_asked_for(x, output, columns):
    hasher = HashTransformer("itq", 20, output=output).set_output(transform="pandas")
    frame = hasher.fit_transform(x)
    assert list(frame) == [f"hashtransformer{i}" for i in range(columns)]
    np.testing.assert_array_equal(frame, hasher.set_output(transform="default").transform(x))


def test_the_seed_decides_all_that_is_drawn(x):
    made = [HashTransformer("lsh", 8, random_state=s).fit_transform(x) for s in (0, 0, 1)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    drawn = np.random.RandomState(5)
    twice = [HashTransformer("lsh", 8, random_state=drawn).fit_transform(x) for _ in range(2)]
    assert not np.array_equal(*twice)
    assert HashTransformer("lsh", 8, random_state=None).fit_transform(x).shape == (200, 1)
    before = torch.get_rng_state()
    HashTransformer("lsh", 8).fit(x)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"method": "cibhash"}, "compares 2 augmented views"),
        ({"method": "kl_hash_hierarchy"}, "hierarchy"),
        ({"method": "ithq"}, "did you mean"),
        ({"n_iter": -1}, "n_iter must be at least 0"),
        ({"n_iters": 3}, "n_iter"),
        ({"output": "bytes"}, "packed"),
        ({"n_bits": 0}, "n_bits == 0, must be >= 1"),
        ({"n_bits": 8.0}, "n_bits must be an instance of"),
        ({"n_bits": 10**12}, "n_bits == 1000000000000, must be <= 32767"),
        ({"method": None}, "method must be an instance of"),
        ({"method": "float"}, "unknown method 'float'"),
    ],
)
def test_what_the_transformer_cannot_do_is_said(x, settings, told):
    with pytest.raises(ValueError, match=told):
        HashTransformer(**settings).fit(x)


NOTEBOOKS = Path(__file__).parents[1] / "docs/notebooks"


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_the_notebook_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.arguments.user_cache_path", lambda name: tmp_path / "cache")
    tree(tmp_path / "images", 30)
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    Path("notebook.py").write_text(code)
    runpy.run_path("notebook.py")
    told = {
        "hash_my_folder": "0 images/crow/000.png",
        "hash_my_embeddings": "48 times smaller",
        "compare_two_methods": "itq over lsh: +",
    }
    assert told[name] in capsys.readouterr().out


def kept(folder):
    return sorted("-".join(p.stem.split("-")[:2]) for p in (folder / "out/runs").rglob("*.model"))


def test_a_run_keeps_the_models_of_the_best_row_of_each_column(tmp_path, monkeypatch):
    call = ["--methods", "itq", "lsh", "--datasets", "synthetic", "--bits", "8", "16"]
    places = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache", "--no-report"]
    assert run.main([*call, *places, "--seeds", "2", "--keep-models", "none"]) == 0
    assert kept(tmp_path) == []
    assert run.main([*call, *places, "--seeds", "2", "--keep-models", "all", "--force"]) == 0
    assert len(kept(tmp_path)) == 8
    assert run.main([*call, *places, "--seeds", "2"]) == 0
    assert kept(tmp_path) == ["16-0", "16-1", "8-0", "8-1"]
    best = {}
    for record in ResultStore(tmp_path / "out").records():
        if record.kind == "method":
            best.setdefault((record.bits, record.method), []).append(record.metrics["mAP@100"])
    for bits in (8, 16):
        name = max(("itq", "lsh"), key=lambda name: sum(best[bits, name]))
        folders = {p.parent.name for p in (tmp_path / "out/runs").rglob(f"{bits}-*.model")}
        assert folders == {name}
    record = next((tmp_path / "out/runs").rglob("16-0-*.model")).with_suffix(".json")
    monkeypatch.setattr("benchmarks.models.export_record.run_again", None)
    assert export.main([str(record), "--to", f"{tmp_path}/model"]) == 0
    assert Hasher.load(tmp_path / "model").n_bits == 16
