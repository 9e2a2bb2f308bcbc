"""One contract for every method: a class in METHODS is tested before its author writes a test."""

from dataclasses import replace

import pytest
import torch

from benchmarks.trainer import Trainer
from benchmarks.training_sets import ViewBank
from methods import METHODS, Batch, HashMethod

D, N, V, T = 24, 192, 4, 5
CPU = torch.device("cpu")


@pytest.fixture(params=METHODS)
def cls(request):
    return METHODS[request.param]


@pytest.fixture
def trained(cls):
    if cls.loss is HashMethod.loss:
        pytest.skip("closed form: fit is its training")
    return cls


class BlobTarget:
    """Blobs in a row: neighbours at distance 1/2, the ends of the row at distance 1."""

    def __init__(self, labels):
        self.labels = labels.float()

    def to(self, device):
        return self

    def distances(self, rows, others):
        return (self.labels[rows][:, None] - self.labels[others]).abs() / 2


def training_set(cls, seed=0):
    """Three blobs; views are the inputs with noise, tokens noisy copies of an image's features."""
    g = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(3, D, generator=g)
    labels = torch.arange(N) % 3
    plain = centres[labels] + torch.randn(N, D, generator=g)
    if cls.consumes == "tokens":
        plain = plain[:, None] + torch.randn(N, T, D, generator=g)
    bank = plain[:, None] + 0.3 * torch.randn(N, V, *plain.shape[1:], generator=g)
    return ViewBank(plain, bank, seed, CPU, BlobTarget(labels)), labels


def fitted(cls, n_bits=16, seed=0, epochs=5, **recipe):
    data, _ = training_set(cls)
    torch.manual_seed(seed)
    method = cls(D, n_bits)
    changes = {"epochs": epochs, "epochs_at": {}, "batch_size": 32} | recipe
    return method.fit(data, Trainer(replace(cls.recipe, **changes), seed))


def prepared(cls, n_bits=16):
    """A method that has seen its training set, ready for a step."""
    method = fitted(cls, n_bits, epochs=1).train()
    method.zero_grad(set_to_none=True)
    return method


def batch(cls, b=8):
    data, _ = training_set(cls)
    index = torch.arange(b)
    return Batch(data.views(index, cls.n_views), index, 0.5)


def test_paper_is_named_with_a_link(cls):
    assert "http" in cls.paper


def test_fit_returns_the_method_itself(cls):
    data, _ = training_set(cls)
    method = cls(D, 16)
    assert method.fit(data, Trainer(replace(cls.recipe, epochs=1, epochs_at={}), 0)) is method


@pytest.mark.parametrize("n_bits", [1, 8, 16, 256])
def test_codes_are_bool_and_as_long_as_asked(cls, n_bits):
    data, _ = training_set(cls)
    codes = fitted(cls, n_bits, epochs=1).encode(data.features)
    assert codes.shape == (N, n_bits)
    assert codes.dtype == torch.bool


def test_code_is_set_where_the_score_is_above_zero(cls):
    data, _ = training_set(cls)
    method = fitted(cls)
    with torch.no_grad():
        assert torch.equal(method.encode(data.features), method.project(data.features) > 0)


def test_chunks_do_not_change_codes(cls):
    data, _ = training_set(cls)
    method = fitted(cls)
    assert torch.equal(method.encode(data.features), method.encode(data.features, chunk=50))


def test_equal_seeds_give_equal_codes_and_others_do_not(cls):
    data, _ = training_set(cls)
    first, again, other = (fitted(cls, seed=s).encode(data.features) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_saving_and_loading_keeps_codes(cls, tmp_path):
    data, _ = training_set(cls)
    method = fitted(cls)
    torch.save(method.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(99)
    other = cls(D, 16)
    other.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    assert torch.equal(method.encode(data.features), other.encode(data.features))


@pytest.mark.gpu
def test_device_move_keeps_codes(cls):
    data, _ = training_set(cls)
    method = fitted(cls)
    codes = method.encode(data.features)
    moved = method.to("cuda").encode(data.features)
    assert (codes != moved).float().mean() < 1e-3  # a score at zero may fall either way
    assert moved.device.type == "cpu"


def test_inputs_stay_unmodified(cls):
    data, _ = training_set(cls)
    before = data.features.clone()
    method = cls(D, 16).fit(data, Trainer(replace(cls.recipe, epochs=1, epochs_at={}), 0))
    method.encode(data.features)
    assert torch.equal(data.features, before)


def test_beats_chance(cls):
    data, labels = training_set(cls)
    codes = fitted(cls, n_bits=32, epochs=20).encode(data.features).float()
    distance = torch.cdist(codes, codes, p=0) + 1e9 * torch.eye(N)
    nearest = labels[distance.argmin(1)]
    assert (nearest == labels).float().mean() > 0.8  # chance: 1/3


@pytest.mark.parametrize("name", ["in_dim", "n_bits"])
def test_sizes_below_one_are_refused(cls, name):
    sizes = {"in_dim": D, "n_bits": 16, name: 0}
    with pytest.raises(ValueError, match=rf"{cls.__name__}: {name} must be at least 1, got 0"):
        cls(**sizes)


def step(method, inputs):
    """Loss terms after one backward pass."""
    terms = method.loss(inputs)
    sum(terms.values()).backward()
    return terms


def assert_finite(method, terms):
    assert all(term.isfinite() for term in terms.values())
    for name, parameter in method.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_loss_terms_are_named_finite_scalars_that_reach_every_parameter(trained):
    method = prepared(trained)
    terms = step(method, batch(trained))
    assert terms
    for name, term in terms.items():
        assert isinstance(name, str)
        assert term.shape == ()
    assert_finite(method, terms)
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.abs().sum() > 0, f"{name} has a zero gradient"


@pytest.mark.parametrize("n_bits", [8, 256])
@pytest.mark.parametrize("b", [1, 2, 3, 33])
def test_loss_is_finite_at_any_batch_size_and_length(trained, b, n_bits):
    method = prepared(trained, n_bits)
    assert_finite(method, step(method, batch(trained, b)))


def test_loss_of_identical_images_is_finite(trained):
    method = prepared(trained)
    one = batch(trained, 1)
    same = Batch(one.views.expand(-1, 6, *one.views.shape[2:]), torch.zeros(6).long(), 0.0)
    assert_finite(method, step(method, same))
    constant = Batch(torch.ones_like(same.views), same.index, 0.0)
    assert_finite(method, step(method, constant))


def test_another_number_of_views_is_refused_with_the_way_out(trained):
    views = batch(trained, 4).views
    more = Batch(torch.cat([views, views[:1]]), torch.arange(4), 0.0)
    with pytest.raises(ValueError, match=r"expected \d views, got \d; set n_views"):
        prepared(trained).loss(more)


def test_training_lowers_the_loss(trained):
    """On inputs without clusters, so that every image has nearer and farther neighbours."""
    g = torch.Generator().manual_seed(0)
    plain = torch.randn(N, 6, generator=g) @ torch.randn(6, D, generator=g)
    if trained.consumes == "tokens":
        plain = plain[:, None] + 0.3 * torch.randn(N, T, D, generator=g)
    bank = plain[:, None] + 0.3 * torch.randn(N, V, *plain.shape[1:], generator=g)
    torch.manual_seed(0)
    trainer = Trainer(replace(trained.recipe, epochs=15, epochs_at={}, batch_size=32), 0)
    target = BlobTarget(plain.flatten(1)[:, 0].gt(0))
    trained(D, 16).fit(ViewBank(plain, bank, 0, CPU, target), trainer)
    totals = [sum(terms.values()) for terms in trainer.history]
    assert sum(totals[-3:]) < sum(totals[:3])


def test_loss_of_a_closed_form_is_an_error_that_says_so(cls):
    if cls.loss is not HashMethod.loss:
        pytest.skip("trained by a loss")
    with pytest.raises(TypeError, match="call fit"):
        cls(D, 16).loss(batch(cls))
