"""Views of features: noise of the data's scale, and coordinates that drop out."""

import numpy as np
import pytest
import torch

from benchmarks import run
from benchmarks.training import embedding_views
from benchmarks.training.embedding_views import EmbeddingViews
from results.store.store import ResultStore

P, SIGMA = embedding_views.P, embedding_views.SIGMA


@pytest.fixture
def features():
    return 100 + 7 * torch.randn(400, 30, generator=torch.Generator().manual_seed(0))


def test_noise_has_the_scale_of_the_data_and_dropped_numbers_are_the_mean(features):
    data = EmbeddingViews(features)
    index = torch.arange(400)
    views = data.views(index, data.draw(400, 2, data.generator(0)))
    assert views.shape == (2, 400, 30)
    dropped = views == features.mean(0)
    assert dropped.float().mean() == pytest.approx(P, abs=0.01)
    noise = (views - features)[~dropped]
    scale = float((features - features.mean(0)).square().mean().sqrt())
    assert float(noise.std()) == pytest.approx(SIGMA * scale, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02 * scale)
    assert float((noise / noise.std()).pow(4).mean()) == pytest.approx(3, abs=0.15)  # normal
    assert not torch.equal(views[0], views[1])


def test_views_are_finite_at_the_ends_of_the_draws(features):
    data = EmbeddingViews(features)
    ends = torch.tensor([P, 1 - 2**-24]).expand(400, 30, 2).reshape(400, 2, 30)
    assert data.views(torch.arange(400), ends.contiguous()).isfinite().all()


@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=["features", "tokens"])
def test_views_of_several_trainings_are_those_of_each(shape):
    data = EmbeddingViews(torch.randn(20, *shape))
    index = torch.tensor([[4, 9, 0, 1], [2, 2, 7, 3]])
    drawn = torch.stack([data.draw(4, 2, data.generator(seed)) for seed in range(2)])
    together = data.views(index, drawn)
    assert together.shape == (2, 2, 4, *shape)
    for views, rows, own in zip(together, index, drawn, strict=True):
        torch.testing.assert_close(views, data.views(rows, own))
    one = data.views(index[0, :1], drawn[0, :1])
    torch.testing.assert_close(one[:, 0], together[0][:, 0])


def call(folder, *arguments):
    np.savez(folder / "x.npz", features=np.random.default_rng(0).normal(size=(200, 12)))
    flags = ["--datasets", f"features:{folder}/x.npz", "--bits", "8", "--seeds", "1"]
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--device", "cpu"]
    return run.main([*flags, *places, "--epochs", "2", "--no-report", *arguments])


def test_a_method_of_two_views_trains_on_embeddings_where_it_is_told_to(tmp_path, capsys):
    assert call(tmp_path, "--methods", "cibhash") == 2
    assert "--set cibhash.augmentation=embedding makes views" in capsys.readouterr().err
    setting = ["--set", "cibhash.augmentation=embedding"]
    assert call(tmp_path, "--methods", "cibhash", *setting, "--views", "fresh") == 0
    found = {record.method: record for record in ResultStore(tmp_path / "out").records()}
    record = found["cibhash(augmentation=embedding,epochs=2)"]
    assert record.settings["method"]["recipe"]["augmentation"] == "embedding"
    assert record.settings["views"] is None
    assert call(tmp_path, "--methods", "cibhash", *setting, "--dry-run") == 0
    assert "3 stored, 0 to run" in capsys.readouterr().out


def test_noise_and_finetuning_exclude_each_other(tmp_path, capsys):
    given = ["--set", "cibhash.augmentation=embedding", "--finetune"]
    assert call(tmp_path, "--methods", "cibhash", *given) == 2
    assert "embedding is noise on features, and --finetune trains" in capsys.readouterr().err


def test_features_of_images_can_have_noise_for_views_too(tmp_path):
    given = ["--methods", "cibhash", "--set", "cibhash.augmentation=embedding"]
    assert call(tmp_path, *given, "--datasets", "digits") == 0
    names = {record.method for record in ResultStore(tmp_path / "out").records()}
    assert "cibhash(augmentation=embedding,epochs=2)" in names
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1  # the features, and no bank
