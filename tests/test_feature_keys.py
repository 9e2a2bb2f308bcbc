"""The cache computes features again where the code that makes them has changed, and only there."""

import inspect
import re

import pytest
import torch
from safetensors.torch import save_file

import datasets.augment
import datasets.resample
from benchmarks.features import base, captions, extraction, extractor, fold_batch_norm
from benchmarks.features import timm_backbone as timm_backbone_module
from benchmarks.features.backbones import backbone
from benchmarks.features.base import Pixels
from benchmarks.features.cache import FeatureCache
from benchmarks.features.captions import encoder_digest
from benchmarks.features.extraction import extraction_digest
from benchmarks.machine.torchvision_stub import import_timm
from datasets import load

CPU = torch.device("cpu")
ALWAYS = (datasets.augment, datasets.resample, base, extraction, extractor)
OF_NETWORKS = (fold_batch_norm, timm_backbone_module)
PROSE = {
    "comment": lambda source: source.replace("\n\n\n", "\n\n\n# A word.\n"),
    "docstring": lambda source: source.replace('"""', '"""Well: ', 1),
    "import": lambda source: f"{source}\nimport os\n",
    "place": lambda source: re.sub(r"(?m)^from \w+", "from elsewhere", source),
}


def statement(source):
    return f"{source}\nx = 1\n"


def names(modules):
    return [module.__name__.rpartition(".")[2] for module in modules]


class Counting(Pixels):
    """Counts the images it is shown."""

    def __init__(self):
        super().__init__("pixels", None)
        self.seen = 0

    def features(self, images):
        self.seen += len(images)
        return super().features(images)


@pytest.fixture
def rewrite(monkeypatch):
    """Change the source of a module, as digests read it."""
    real = inspect.getsource

    def rewrite(module, change):
        assert change(real(module)) != real(module)
        monkeypatch.setattr(
            "inspect.getsource",
            lambda piece: change(real(piece)) if piece is module else real(piece),
        )
        extraction_digest.cache_clear()

    yield rewrite
    extraction_digest.cache_clear()


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A folder that holds the features and views of a small data set, and the data set."""
    data, root = load("synthetic"), tmp_path_factory.mktemp("cache")
    ask(data, root)
    return data, root


def ask(data, root):
    """Ask for features and views; returns how many images the backbone was shown."""
    net, cache = Counting(), FeatureCache(root, CPU)
    cache.features(data, net)
    cache.bank(data, net, "cibhash", 1)
    return net.seen


@pytest.mark.parametrize("change", PROSE.values(), ids=PROSE)
@pytest.mark.parametrize("module", ALWAYS, ids=names(ALWAYS))
def test_other_prose_computes_nothing_again(cached, rewrite, module, change):
    rewrite(module, change)
    assert ask(*cached) == 0


@pytest.mark.parametrize("module", ALWAYS, ids=names(ALWAYS))
def test_another_statement_computes_everything_again(cached, tmp_path, rewrite, module):
    data, _ = cached
    ask(data, tmp_path)
    rewrite(module, statement)
    assert ask(data, tmp_path) == len(data.images) + len(data.train)


def test_code_of_networks_is_not_that_of_pixels(cached, rewrite):
    for module in OF_NETWORKS:
        rewrite(module, statement)
        assert ask(*cached) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports
@pytest.mark.parametrize("module", [base, *OF_NETWORKS], ids=names((base, *OF_NETWORKS)))
def test_a_network_is_another_where_its_pooling_tokens_or_folding_are(tmp_path, rewrite, module):
    model = import_timm().create_model("test_resnet", pretrained=False)
    save_file(model.state_dict(), tmp_path / "a.safetensors")

    def digest():
        return backbone(f"timm:test_resnet={tmp_path}/a.safetensors").digest

    before = digest()
    for change in PROSE.values():
        rewrite(module, change)
        assert digest() == before
    rewrite(module, statement)
    assert digest() != before


def test_embeddings_are_others_where_the_code_of_their_encoder_is(rewrite):
    before = encoder_digest("lsa")
    for change in PROSE.values():
        rewrite(captions, change)
        assert encoder_digest("lsa") == before
    rewrite(captions, statement)
    assert encoder_digest("lsa") != before
