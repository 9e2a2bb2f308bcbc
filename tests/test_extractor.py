"""Batch sizes and compiling: measured where it pays, never where a clock must have no say."""

import pytest
import torch

from benchmarks.features import extractor as module
from benchmarks.features.base import Pixels
from benchmarks.features.extractor import Extractor, autocast, may_measure, precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LONG = module._WORTH_MEASURING


@pytest.fixture
def extractor(monkeypatch):
    """An extractor that measures, in a process that has measured nothing yet."""
    monkeypatch.setattr(module, "may_measure", lambda device: True)
    monkeypatch.setattr(module, "_PACES", {})
    return Extractor(Pixels("pixels", None), ["features"], CPU)


def rates(monkeypatch, plain, compiled=0.0):
    """Rates by batch size instead of measured ones; what was measured."""
    asked = []

    def rate(self, run, batch, size):
        asked.append((run == self._plain, batch, size))
        found = plain.get(batch, 0.0) if run == self._plain else compiled
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Extractor, "_rate", rate)
    monkeypatch.setattr(torch, "compile", lambda run, dynamic: lambda images: (images[:, 0, 0],))
    return asked


def test_the_fastest_batch_is_taken_and_measured_once(extractor, monkeypatch):
    asked = rates(monkeypatch, {64: 1e6, 128: 3e6, 256: 2e6, 512: 1e6})
    for _ in range(2):
        extractor.tune(LONG, 32)
        assert extractor.batch == 128
    assert asked == [(True, batch, 32) for batch in (64, 128, 256, 512)]
    other = Extractor(Pixels("pixels", None), ["features"], CPU)
    other.tune(LONG, 32)
    assert other.batch == 128
    assert len(asked) == 4
    other.tune(LONG, 64)
    assert len(asked) == 8


def test_hardly_faster_is_not_worth_the_memory(extractor, monkeypatch):
    rates(monkeypatch, {64: 1e6, 128: 1.02e6, 256: 1.029e6, 512: 1.0e6})
    extractor.tune(LONG, 32)
    assert extractor.batch == 64


def test_a_batch_without_room_ends_the_search(extractor, monkeypatch):
    no_room = torch.OutOfMemoryError("no room")
    asked = rates(monkeypatch, {64: 1e6, 128: 2e6, 256: no_room, 512: 9e6})
    extractor.tune(LONG, 32)
    assert extractor.batch == 128
    assert len(asked) == 3
    monkeypatch.setattr(module, "_PACES", {})
    asked = rates(monkeypatch, {64: no_room})
    extractor.tune(LONG, 32)
    assert extractor.batch == 64  # and the pass itself halves it
    assert len(asked) == 1


@pytest.mark.parametrize(("compiled", "pays"), [(150.0, True), (101.0, False)])
def test_a_long_pass_is_compiled_where_that_is_faster(extractor, monkeypatch, compiled, pays):
    asked = rates(monkeypatch, {64: 100.0}, compiled)
    extractor.tune(LONG, 8)  # 164 s
    images = torch.rand(64, 3, 8, 8)
    assert (extractor(images)[0].shape == (64, 8)) == pays
    assert extractor(images[:63])[0].shape == (63, 192)  # would have to be compiled anew
    assert asked[-1] == (False, 64, 8)
    n_asked = len(asked)
    extractor.tune(LONG, 8)
    assert len(asked) == n_asked + pays  # what did not pay is not tried again


def test_a_short_pass_is_not_compiled(extractor, monkeypatch):
    asked = rates(monkeypatch, {64: LONG / module._REPAYS_COMPILING})
    extractor.tune(LONG, 8)
    assert all(plain for plain, _, _ in asked)
    extractor.tune(LONG + 1, 8)
    assert not asked[-1][0]


def test_a_compiler_that_fails_is_done_without(extractor, monkeypatch):
    rates(monkeypatch, {64: 100.0}, RuntimeError("no C compiler"))
    extractor.tune(LONG, 8)
    assert extractor(torch.rand(64, 3, 8, 8))[0].shape == (64, 192)
    assert [pace.compiling_pays for pace in module._PACES.values()] == [False]


def test_nothing_is_measured_for_a_short_pass_on_a_cpu_or_in_strict_mode(extractor, monkeypatch):
    asked = rates(monkeypatch, {64: 1e6})
    extractor.tune(LONG - 1, 8)
    assert extractor.batch == module.FIXED["cpu"]
    monkeypatch.undo()
    extractor.tune(LONG, 8)
    assert asked == []
    assert may_measure(CUDA)
    assert not may_measure(CPU)
    torch.use_deterministic_algorithms(True)
    try:
        assert not may_measure(CUDA)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_rate_is_measured_on_what_the_backbone_gets(extractor):
    seen = []

    def run(images):
        seen.append((images.shape, images.is_inference()))
        return images

    assert extractor._rate(run, 4, 16) > 0
    assert seen == [((4, 3, 16, 16), False)] * 5


def test_less_room_on_the_device_is_remembered(extractor):
    def work(batch):
        if batch > 10:
            raise torch.OutOfMemoryError("no room")
        return batch

    assert extractor.halving(work) == extractor.batch == 8


def test_the_backbone_itself_is_moved_before_its_twin_is_made():
    """A twin with nothing folded has the same network: moved alone, it would tear the two apart."""

    class Moving(Pixels):
        moved = False

        def to(self, device):
            self.moved = True
            return self

        def frozen(self):
            assert self.moved
            return Twin("pixels", None)

    class Twin(Pixels):
        def features(self, images):
            return super().features(images) + 1

        def to(self, device):
            raise AssertionError("the twin is where the original is")

    (found,) = Extractor(Moving("pixels", None), ["features"], CPU)(torch.zeros(1, 3, 2, 2))
    assert torch.equal(found, torch.ones(1, 12))


def test_only_cuda_computes_in_bfloat16():
    assert (precision(CPU), precision(CUDA)) == ("float32", "bfloat16")
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
def test_a_network_without_normalisation_to_fold_serves_several_passes_on_a_gpu(tmp_path):
    from benchmarks.features.backbones import backbone
    from tests.small_vit import small_vit

    net, images = backbone(small_vit(tmp_path), 32), torch.rand(2, 3, 32, 32, device=CUDA)
    with torch.inference_mode():
        (first,) = Extractor(net, ["features"], CUDA)(images)
        (second, _) = Extractor(net, ["features", "tokens"], CUDA)(images)
    assert torch.equal(first, second)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of its own compiler
def test_a_gpu_measures_and_gives_the_features_of_a_cpu(monkeypatch):
    from benchmarks.features.backbones import backbone

    monkeypatch.setattr(module, "_PACES", {})
    monkeypatch.setattr(module, "_REPAYS_COMPILING", 0.0)
    images = torch.rand(64, 3, 64, 64)
    with torch.inference_mode():
        (here,) = Extractor(backbone("efficientnet_lite0", 64), ["features"], CPU)(images)
        there = Extractor(backbone("efficientnet_lite0", 64), ["features"], CUDA)
    there.tune(LONG, 64)
    (pace,) = module._PACES.values()
    assert pace.batch in module._TRIED
    assert pace.rate > 0
    with torch.inference_mode():
        (found,) = there(images.cuda())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.cpu(), here, atol=0.1, rtol=0.1)
