"""End-to-end training: the backbone learns too, through the one training loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import run
from benchmarks.features.backbones import backbone
from benchmarks.features.base import BackboneError
from benchmarks.features.cache import FeatureCache
from benchmarks.grid.cells import expand, seed_of
from benchmarks.grid.method_settings import COMMON, method_spec
from benchmarks.grid.tasks import Task
from benchmarks.machine.environment import environment
from benchmarks.models import Hasher, ModelError, make_model, save_model
from benchmarks.runner.make_record import run_cells
from benchmarks.runner.task_inputs import TaskInputs
from benchmarks.training import training_sets
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import EndToEnd
from datasets import load
from datasets.augment import AUGMENTATIONS
from methods import METHODS
from methods.base import Recipe
from results.store.store import ResultStore
from tests.small_vit import small_vit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # timm's own imports

CPU = torch.device("cpu")
TRAINED = [name for name in METHODS if method_spec(name).is_trained]


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return small_vit(tmp_path_factory.mktemp("vit"))


def end_to_end(vit, kind="features"):
    data = load("synthetic")
    images = data.images.read(data.train[:64])
    net = backbone(vit, 32)
    return EndToEnd(images, net, kind, AUGMENTATIONS["cibhash"], CPU), net, images


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


@pytest.mark.parametrize("name", ["cibhash", "wch"])
def test_a_step_moves_the_weights_of_a_copy_and_not_the_backbone_itself(vit, name):
    spec = method_spec(name, finetune=True)
    training, net, images = end_to_end(vit, spec.cls.consumes)
    frozen, before, inputs = weights(net), weights(training), training.features
    torch.manual_seed(0)
    method = spec.cls(training.shape[-1], 8, **spec.params)
    method.fit(training, Trainer(replace(spec.recipe, epochs=1, epochs_at={}, batch_size=32), 0))
    assert all(torch.equal(a, b) for a, b in zip(frozen, net.parameters(), strict=True))
    moved = [not torch.equal(a, b) for a, b in zip(before, training.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)  # all but the unused classifier
    assert not torch.equal(training.extract(images), inputs)


def test_weights_move_by_the_backbones_own_learning_rate(vit):
    """Adam's first step moves every weight by its learning rate, whatever the gradient."""
    training, _, _ = end_to_end(vit)
    before = weights(training)
    method = METHODS["cibhash"](training.shape[-1], 8)
    head = method.head[0].weight.detach().clone()
    recipe = Recipe(epochs=1, batch_size=64, lr=1e-3, backbone_lr=1e-6, augmentation="cibhash")
    method.fit(training, Trainer(recipe, 0))
    largest = max(
        float((a - b.detach()).abs().max())
        for a, b in zip(before, training.parameters(), strict=True)
    )
    assert largest == pytest.approx(1e-6, rel=0.2)
    assert float((head - method.head[0].weight.detach()).abs().max()) == pytest.approx(
        1e-3, rel=0.01
    )


def test_cosine_schedule_ends_in_small_steps(vit):
    training, _, _ = end_to_end(vit)
    rates = []

    class Spy(METHODS["cibhash"]):
        def loss(self, batch):
            before = self.head[2].bias.detach().clone()
            if rates:
                rates[-1] = float((rates[-1] - before).abs().max())
            rates.append(before)
            return super().loss(batch)

    recipe = Recipe(epochs=8, batch_size=64, lr=1e-3, schedule="cosine", augmentation="cibhash")
    Spy(training.shape[-1], 8).fit(training, Trainer(recipe, 0))
    assert rates[0] == pytest.approx(1e-3, rel=0.01)
    assert rates[6] < 0.3 * rates[0]


def test_unaugmented_inputs_start_as_the_frozen_features(vit):
    training, net, images = end_to_end(vit)
    with torch.no_grad():
        from datasets.augment import resize

        expected = net.features(resize(images, 32))
    torch.testing.assert_close(training.features, expected)


@pytest.mark.parametrize("kind", ["features", "tokens"])
def test_shape_and_mean_take_no_inputs_of_all_images_at_once(vit, monkeypatch, kind):
    monkeypatch.setattr(training_sets, "IMAGES_PER_PASS", 24)  # 64 are two parts and a rest
    training, _, _ = end_to_end(vit, kind)
    x = training.features
    largest, extract = [], training.extract
    monkeypatch.setattr(
        training, "extract", lambda images: largest.append(images) or extract(images)
    )
    assert (len(training), training.shape) == (64, tuple(x.shape[1:]))
    torch.testing.assert_close(training.mean(), x.mean(tuple(range(x.ndim - 1))))
    assert max(map(len, largest)) == 24


def test_a_backbone_without_weights_is_refused_before_any_work(tmp_path, capsys):
    code = run.main(
        ["--methods", "cibhash", "--datasets", "synthetic", "--finetune", "--out", f"{tmp_path}/o"]
    )
    assert code == 2
    assert "backbone pixels: has no weights to train; choose a network" in capsys.readouterr().err
    with pytest.raises(BackboneError):
        backbone("pixels").trainable()


@pytest.mark.parametrize("name", TRAINED)
def test_published_recipe_applies_to_fine_tuning_alone(name):
    frozen, tuned = method_spec(name), method_spec(name, finetune=True)
    published = METHODS[name].published or METHODS[name].recipe
    assert tuned.recipe == published
    assert frozen.recipe == METHODS[name].recipe
    assert tuned.params == frozen.params | dict(published.params)
    assert tuned.label == f"{name}(finetune)"
    assert tuned.settings(32) != frozen.settings(32)
    assert published.source


def test_common_recipe_and_the_users_values_win_over_the_published():
    tuned = method_spec("wch", {"tau_w": 0.4}, recipe="common", finetune=True)
    assert tuned.recipe == COMMON
    assert tuned.params["tau_w"] == 0.4
    assert tuned.label == "wch(finetune,recipe=common,tau_w=0.4)"
    assert method_spec("wch", {"tau_w": 0.4}, finetune=True).params["normalise"] is False


def test_closed_forms_have_nothing_to_fine_tune():
    assert method_spec("itq", finetune=True) == method_spec("itq")


def test_the_command_trains_a_small_vit_from_images(vit, tmp_path, capsys):
    """Methods on features and on tokens, from the arguments to the records."""
    arguments = ["--methods", "itq", "cibhash", "wch", "--datasets", "synthetic", "--bits", "8"]
    arguments += ["--seeds", "1", "--epochs", "1", "--backbone", vit, "--input-size", "32"]
    arguments += ["--finetune", "--out", f"{tmp_path}/out", "--cache", f"{tmp_path}/cache"]
    arguments += ["--no-report"]
    assert run.main(arguments) == 0
    records = {record.method: record for record in ResultStore(tmp_path / "out").records()}
    assert set(records) == {
        *("itq", "random", "float", "cibhash(finetune,epochs=1)", "wch(finetune,epochs=1)"),
    }
    tuned = records["wch(finetune,epochs=1)"].settings["method"]
    assert tuned["finetune"] is True
    assert tuned["recipe"]["schedule"] == "cosine"
    assert tuned["params"]["tau_w"] == 0.2
    capsys.readouterr()
    assert run.main(arguments) == 0
    assert "5 cells, 5 stored, 0 to run" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cibhash", "wch"])
def test_codes_come_from_the_trained_backbone(vit, tmp_path, name):
    task = Task(load("synthetic"), backbone(vit, 32))
    spec = method_spec(name, {"epochs": 1, "backbone_lr": 1e-2}, finetune=True)
    (run_of,) = expand([task], [spec], [8], 1)
    inputs = TaskInputs(task, FeatureCache(tmp_path, CPU))
    ((_, arrays),) = run_cells([run_of], inputs, environment("cpu"), lambda *epoch: None)
    read = task.data.images.read
    recipe = spec.recipe
    augmentation = AUGMENTATIONS[recipe.augmentation]
    on = (task.backbone, spec.cls.consumes, augmentation, CPU)
    training = EndToEnd(read(task.data.train), *on)
    training.at_once = spec.cls.n_views * recipe.batch_size  # as a run begins
    torch.manual_seed(seed_of(run_of.key))
    method = spec.cls(training.shape[-1], 8, **spec.params)
    method.fit(training, Trainer(recipe, seed_of(run_of.key)))
    images = read(task.data.database)
    stored = np.unpackbits(arrays["database_codes"], axis=1).astype(bool)
    np.testing.assert_array_equal(stored, method.encode(training.extract(images)).numpy())
    frozen = inputs.features(spec.cls.consumes).array[task.data.database]
    assert (stored != method.encode(frozen).numpy()).any()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_resumed_training_ends_in_the_same_weights(vit, tmp_path, optimizer):
    """Some weights of a network lie in memory in another order than their axes."""
    recipe = Recipe(epochs=3, batch_size=32, optimizer=optimizer, augmentation="cibhash")

    def trained(epochs, checkpoint=None):
        training, _, _ = end_to_end(vit)
        torch.manual_seed(0)
        method = METHODS["cibhash"](training.shape[-1], 8)
        method.fit(training, Trainer(replace(recipe, epochs=epochs), 0, checkpoint=checkpoint))
        return weights(training)

    checkpoint = Checkpoint(tmp_path / "c", "cell", every=0)
    trained(2, checkpoint)
    assert all(map(torch.equal, trained(3, checkpoint), trained(3)))


@pytest.mark.parametrize("kind", ["features", "tokens"])
def test_activations_of_a_few_images_at_a_time_give_the_same_gradients(vit, kind):
    gradients, passes = [], []
    for at_once in (None, 3):
        training, _, _ = end_to_end(vit, kind)
        drawn = training.draw(8, 2, training.generator(0))
        training.at_once = at_once
        blocks = training._backbone.network.blocks
        blocks[0].register_forward_hook(lambda block, given, made: passes.append(len(made)))
        training.views(torch.arange(8), drawn).square().sum().backward()
        gradients.append([p.grad for p in training.parameters() if p.grad is not None])
    assert passes == [16, *(3, 3, 3, 3, 3, 1), *(1, 3, 3, 3, 3, 3)]  # and back again
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_a_training_without_room_starts_again_with_fewer_images_at_a_time(
    vit, tmp_path, monkeypatch
):
    task = Task(load("synthetic"), backbone(vit, 32))
    spec = method_spec("cibhash", {"epochs": 2, "batch_size": 24}, finetune=True)
    (run_of,) = expand([task], [spec], [8], 1)
    inputs, tried, told = TaskInputs(task, FeatureCache(tmp_path, CPU)), [], []

    def codes():
        on_epoch = lambda epoch, epochs, losses: told.append(epoch)  # noqa: E731
        ((record, arrays),) = run_cells([run_of], inputs, environment("cpu"), on_epoch)
        assert len(record.history) == 2
        return np.unpackbits(arrays["database_codes"], axis=1)

    whole, real, an_epoch = codes(), EndToEnd.extract_sparing, len(task.data.train) // 24

    def in_little_memory(training, images):
        tried.append(training.at_once)
        if min(len(images), training.at_once) > 15 and len(tried) > an_epoch:
            raise torch.OutOfMemoryError("as CUDA says it")
        return real(training, images)

    monkeypatch.setattr(EndToEnd, "extract_sparing", in_little_memory)
    assert (codes() == whole).mean() > 0.99
    assert tried[: an_epoch + 2] == [*(an_epoch + 1) * [48], 24]
    assert set(tried[an_epoch + 2 :]) == {12}
    assert told == [1, 2, *(1, 1, 2)]


def test_a_training_that_never_has_room_fails(vit, tmp_path, monkeypatch):
    def no_memory(training, images):
        raise torch.OutOfMemoryError("as CUDA says it")

    task = Task(load("synthetic"), backbone(vit, 32))
    spec = method_spec("cibhash", {"batch_size": 2}, finetune=True)
    (run_of,) = expand([task], [spec], [8], 1)
    monkeypatch.setattr(EndToEnd, "extract_sparing", no_memory)
    inputs = TaskInputs(task, FeatureCache(tmp_path, CPU))
    with pytest.raises(torch.OutOfMemoryError):
        run_cells([run_of], inputs, environment("cpu"), print)


@pytest.mark.gpu
def test_fine_tuning_computes_in_bfloat16_on_cuda(vit):
    data = load("synthetic")
    images = data.images.read(data.train[:64])
    device = torch.device("cuda")
    training = EndToEnd(images, backbone(vit, 32), "features", AUGMENTATIONS["cibhash"], device)
    views = training.views(
        torch.arange(8, device=device), training.draw(8, 2, training.generator(0))
    )
    assert views.dtype == torch.float32
    views.sum().backward()
    assert any(p.grad is not None for p in training.parameters())


@pytest.mark.gpu
def test_fewer_images_at_a_time_take_less_memory_on_cuda(vit):
    device, peaks = torch.device("cuda"), []
    data = load("synthetic")
    images = data.images.read(data.train[:64])
    for at_once in (None, 8):
        net = backbone(vit, 32)
        training = EndToEnd(images, net, "features", AUGMENTATIONS["cibhash"], device)
        training.at_once = at_once
        rows = torch.arange(64, device=device)
        drawn = training.draw(64, 2, training.generator(0))
        training.views(rows, drawn).sum().backward()  # what the device needs once
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        training.views(rows, drawn).sum().backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < peaks[0] / 2


def test_a_model_of_a_trained_backbone_gives_the_codes_of_the_run(vit, tmp_path):
    task = Task(load("synthetic"), backbone(vit, 32))
    spec = method_spec("cibhash", {"epochs": 1, "backbone_lr": 1e-2}, finetune=True)
    (run_of,) = expand([task], [spec], [8], 1)
    inputs, learnt = TaskInputs(task, FeatureCache(tmp_path, CPU)), {}
    ((record, arrays),) = run_cells(
        [run_of],
        inputs,
        environment("cpu"),
        lambda *epoch: None,
        on_trained=lambda cell, found: learnt.update(found),
    )
    save_model(tmp_path / "model", make_model(record, learnt), {})
    hasher = Hasher.load(tmp_path / "model", device="cpu", backbone=vit)
    images = task.data.images.read(task.data.database)
    np.testing.assert_array_equal(hasher.encode(images), arrays["database_codes"])
    with pytest.raises(ModelError, match=r"no file|could not be had"):
        Hasher.load(tmp_path / "model", device="cpu").encode(images[:1])
