import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import run
from benchmarks.features import onnx_backbone as module
from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.features.extractor import Extractor
from benchmarks.features.onnx_backbone import OnnxBackbone, is_for, quickest
from benchmarks.machine.torchvision_stub import import_timm
from datasets import load
from tests.small_vit import small_vit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
runtime = pytest.importorskip("onnxruntime", reason="extra onnx is not installed")
pytest.importorskip("onnxscript", reason="extra onnx is not installed")

CPU = torch.device("cpu")


def images(n, size=64):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where exported networks are kept, for all tests here."""
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def lite0():
    return backbone("efficientnet_lite0", 64)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return backbone(small_vit(tmp_path_factory.mktemp("vit")), 32)


@pytest.fixture
def said():
    return []


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("name", ["lite0", "vit"])
def test_it_gives_torchs_numbers_for_any_number_of_images(name, n, folder, said, request):
    net = request.getfixturevalue(name)
    quick = quickest(net, CPU, folder, said.append)
    assert isinstance(quick, OnnxBackbone)
    x = images(n, net.input_size)
    expected = net.frozen().both(x)
    for found in (quick.both(x), (quick.features(x), quick.tokens(x))):
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))
    (line,) = said
    assert line.startswith(f"{net.label}: ONNX Runtime and torch differ by at most ")
    assert float(line.split()[-1]) < 1e-4 * max(float(t.abs().max()) for t in expected)


def test_the_runtime_computes_and_not_torch(lite0, folder, said, monkeypatch):
    quick = quickest(lite0, CPU, folder, said.append)
    x = images(3)
    quick.features(x)  # checked
    monkeypatch.setattr(quick._torch, "network", None)
    assert Extractor(quick, ["features", "tokens"], CPU)(x)[0].shape == (3, 1280)


def test_it_is_exported_once_for_a_backbone_and_a_size(lite0, folder, monkeypatch):
    quickest(lite0, CPU, folder, str)
    before = set(folder.iterdir())
    monkeypatch.setattr(module, "exported", None)
    again = quickest(lite0, CPU, folder, str)
    assert again.features(images(2)).shape == (2, 1280)
    assert set(folder.iterdir()) == before


def test_a_torn_file_is_exported_anew(lite0, folder, tmp_path, said):
    quickest(lite0, CPU, folder, str)
    shutil.copytree(folder, tmp_path / "networks")
    for path in (tmp_path / "networks").iterdir():
        path.write_bytes(path.read_bytes()[:5000])
    quickest(lite0, CPU, tmp_path / "networks", said.append).features(images(2))
    assert "differ by at most" in said[0]
    assert any(path.stat().st_size > 5000 for path in (tmp_path / "networks").iterdir())


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_numbers_that_are_others_are_left_to_torch(lite0, folder, said, wrong):
    quick = quickest(lite0, CPU, folder, said.append)
    real = quick._session

    class Off:
        def run(self, names, inputs):
            return [values + np.float32(wrong) for values in real.run(names, inputs)]

    quick._session = Off()
    x = images(3)
    torch.testing.assert_close(quick.both(x), lite0.frozen().both(x), rtol=0, atol=0)
    assert quick.features(x).shape == (3, 1280)
    (line,) = said
    assert line.endswith("; torch computes it")


def test_what_fails_when_it_runs_is_left_to_torch(lite0, folder, said):
    quick = quickest(lite0, CPU, folder, said.append)
    quick._session = type("Failing", (), {"run": lambda *given: 1 / 0})()
    assert torch.equal(quick.features(images(3)), lite0.frozen().features(images(3)))
    (line,) = said
    assert "ONNX Runtime fails (division by zero)" in line


def test_what_cannot_be_exported_is_left_to_torch(lite0, tmp_path, said, monkeypatch):
    def refuse(*given, **more):
        raise RuntimeError("an operator is unknown\nand more")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    quick = quickest(lite0, CPU, tmp_path, said.append)
    assert torch.equal(quick.tokens(images(3)), lite0.frozen().tokens(images(3)))
    assert said == [
        "efficientnet_lite0@64: torch computes it, for it cannot be exported "
        "(an operator is unknown and more)"
    ]


def test_a_network_without_tokens_gives_features(tmp_path, said, monkeypatch):
    timm = import_timm()
    model = timm.create_model("test_vit", pretrained=False)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    net = backbone(f"timm:test_vit={tmp_path}/a.safetensors", 160)
    monkeypatch.setattr(type(net), "_maps", lambda self, x: x.flatten(1)[:, :64])
    monkeypatch.setattr(type(net), "_pooled", lambda self, maps: maps * 2)
    quick = quickest(net, CPU, tmp_path, said.append)
    x = images(3, 160)
    torch.testing.assert_close(quick.features(x), x.flatten(1)[:, :64] * 2)
    with pytest.raises(module.BackboneError, match="no tokens"):
        quick.tokens(x)


def test_it_is_for_networks_on_a_cpu_where_it_is_installed(lite0, monkeypatch, tmp_path):
    assert is_for(lite0, CPU)
    assert not is_for(backbone("pixels"), CPU)
    assert not is_for(lite0, torch.device("cuda"))
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnx" else True)
    assert not is_for(lite0, CPU)
    assert quickest(lite0, CPU, tmp_path, str) is lite0


def test_its_features_have_a_place_of_their_own_in_the_cache(tmp_path, lite0, said, monkeypatch):
    data = load("synthetic")
    found = FeatureCache(tmp_path, CPU, say=said.append).features(data, lite0).array
    assert len(said) == 1
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    cache = FeatureCache(tmp_path, CPU, say=said.append)
    by_torch = cache.features(data, lite0).array
    assert len(said) == 1
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    torch.testing.assert_close(found, by_torch, rtol=1e-2, atol=1e-3)
    assert not torch.equal(found, by_torch)


def test_a_run_says_how_far_the_two_differ(tmp_path, capfd):
    words = ["--methods", "lsh", "--datasets", "synthetic", "--bits", "8", "--seeds", "1"]
    words += ["--backbone", "efficientnet_lite0", "--input-size", "32", "--device", "cpu"]
    folders = ["--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache", "--no-report"]
    assert run.main([*words, *folders]) == 0
    said = "efficientnet_lite0@32: ONNX Runtime and torch differ by at most"
    assert capfd.readouterr().err.count(said) == 1
