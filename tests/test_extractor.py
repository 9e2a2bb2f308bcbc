"""A frozen backbone on a device gives its features, in batches that the device has room for."""

import pytest
import torch

from benchmarks.features.backbones import backbone
from benchmarks.features.base import Pixels
from benchmarks.features.extractor import BATCH, Extractor, autocast, precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
@pytest.mark.parametrize("name", ["pixels", "efficientnet_lite0"])
def test_what_is_asked_for_is_what_the_frozen_backbone_gives(name):
    net = backbone(name, 64)
    frozen = net.frozen()
    (features,) = Extractor(net, ["features"], CPU)(IMAGES)
    (tokens,) = Extractor(net, ["tokens"], CPU)(IMAGES)
    both = Extractor(net, ["features", "tokens"], CPU)(IMAGES)
    assert torch.equal(features, frozen.features(IMAGES))
    assert torch.equal(tokens, frozen.tokens(IMAGES))
    assert all(map(torch.equal, both, (features, tokens)))


def test_less_room_on_the_device_is_remembered():
    extractor = Extractor(Pixels("pixels", None), ["features"], CPU)
    tried = []

    def work(batch):
        tried.append(batch)
        if batch > 10:
            raise torch.OutOfMemoryError("no room")
        return batch

    assert [extractor.halving(work) for _ in range(2)] == [8, 8]
    assert tried == [BATCH["cpu"], 16, 8, 8]


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
    from tests.small_vit import small_vit

    net, images = backbone(small_vit(tmp_path), 32), torch.rand(2, 3, 32, 32, device=CUDA)
    with torch.inference_mode():
        (first,) = Extractor(net, ["features"], CUDA)(images)
        (second, _) = Extractor(net, ["features", "tokens"], CUDA)(images)
    assert torch.equal(first, second)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
def test_a_gpu_gives_the_features_of_a_cpu():
    with torch.inference_mode():
        (here,) = Extractor(backbone("efficientnet_lite0", 64), ["features"], CPU)(IMAGES)
        there = Extractor(backbone("efficientnet_lite0", 64), ["features"], CUDA)
        (found,) = there(IMAGES.cuda())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.cpu(), here, atol=0.1, rtol=0.1)
