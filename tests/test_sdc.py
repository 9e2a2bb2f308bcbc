import pytest
import torch
from scipy import stats

from benchmarks.contract.stand_ins import blobs, short
from benchmarks.grid.method_settings import method_spec
from benchmarks.training.trainer import Trainer
from benchmarks.training.training_sets import ViewBank
from methods.functional import BatchNorm
from methods.sdc import SDC, beta_quantiles
from tests.batches import batch_of
from tests.keep import Keep
from tests.released import Given, assert_gradient, assert_value, vectors

CPU = torch.device("cpu")


def test_sdc_matches_the_released_code_in_values_and_gradients(golden):
    z = vectors(golden, "sdc")
    method = SDC(20, 16, beta=float(z["beta"]))
    torch.testing.assert_close(beta_quantiles(6, method.beta, CPU), z["quantiles"])
    method.head = Given(z["scores"])
    terms = method.loss(batch_of(method, z["features"][None]))
    for name in ("calibration", "quantisation"):
        assert_value(terms[name], z[name])
    sum(terms.values()).backward()
    assert_gradient(method.head.scores.grad[0], z["grad_scores"])


def test_sdc_with_contrast_matches_the_released_code_in_values_and_gradients(golden):
    z = {name.removeprefix("contrastive_"): x for name, x in vectors(golden, "sdc").items()}
    beta = float(vectors(golden, "sdc")["beta"])
    method = SDC(20, 16, beta=beta, contrastive=True, tau=float(z["temperature"]))
    method.head = Given(z["scores_1"], z["scores_2"])
    terms = method.loss(batch_of(method, torch.stack([z["features_1"], z["features_2"]])))
    for name in ("calibration", "quantisation", "contrastive"):
        assert_value(terms[name], z[name])
    sum(terms.values()).backward()
    for i in (0, 1):
        assert_gradient(method.head.scores.grad[i], z[f"grad_scores_{i + 1}"])


@pytest.mark.parametrize("beta", [0.5, 1.0, 5.0, 40.0])
@pytest.mark.parametrize("m", [1, 6, 500])
def test_quantiles_are_those_of_the_beta_distribution(beta, m):
    p = (torch.arange(m).double() + 0.5) / m
    expected = torch.from_numpy(2 * stats.beta.ppf(p.numpy(), beta, beta) - 1).float()
    torch.testing.assert_close(beta_quantiles(m, beta, CPU), expected, rtol=0, atol=2e-7)


def test_contrast_learns_from_two_views_and_says_so_where_there_is_one():
    data, _ = blobs(SDC)
    method = SDC(24, 8, contrastive=True)
    trainer = Trainer(short(SDC, 2), 0)
    assert list(method.fit(data, trainer) and trainer.history[-1]) == [
        *("calibration", "quantisation", "contrastive")
    ]
    way_out = r"SDC.fit: contrastive=True .* got 1; --set sdc.augmentation=cibhash"
    with pytest.raises(ValueError, match=way_out):
        method.fit(ViewBank(data.features, data.features[:, None]), Keep())
    with pytest.raises(ValueError, match="learns from 2 views of each image"):
        method.fit(data.features, Keep())


def test_the_way_out_that_contrast_names_is_one():
    settings = {"contrastive": True, "augmentation": "cibhash", "bank_size": 10}
    spec = method_spec("sdc", settings)
    assert (spec.recipe.augmentation, spec.recipe.bank_size) == ("cibhash", 10)
    assert SDC(4, 8, **spec.params).n_views == 2
    assert SDC.n_views == 1


def test_the_last_batch_normalisation_is_torchs_and_bears_a_batch_of_one(golden):
    z = vectors(golden, "crovca")
    norm = BatchNorm(16)
    torch.testing.assert_close(norm(z["before_norm"]), z["after_norm"], rtol=1e-5, atol=1e-6)
    one, mean, var = z["before_norm"][:1], norm.running_mean.clone(), norm.running_var.clone()
    expected = (one - mean) / (var + norm.eps).sqrt()
    torch.testing.assert_close(norm(one), expected)
    assert torch.equal(norm.running_mean, mean)
    torch.testing.assert_close(norm.eval()(one), expected)
