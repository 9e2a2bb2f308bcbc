import numpy as np
import torch
from sklearn.datasets import load_digits

import datasets


def test_digits_are_scikit_learns_with_grey_levels_stretched():
    data = datasets.load("digits")
    bunch = load_digits()
    images = data.images.read(torch.arange(1797))
    assert images.dtype == torch.uint8
    assert images.shape == (1797, 3, 8, 8)
    for channel in range(3):
        error = images[:, channel].numpy() * (16 / 255) - bunch.images
        assert np.abs(error).max() < 16 / 255 / 2 + 1e-9
    assert data.labels.dense().int().argmax(1).tolist() == bunch.target.tolist()
    assert data.name == "digits"


def test_digits_have_thirty_queries_of_each_and_all_others_to_learn_from():
    data = datasets.load("digits")
    assert data.labels.dense()[data.query].sum(0).tolist() == [30] * 10
    assert torch.equal(data.train, data.database)
    assert len(data.train) == 1497


def test_digests_of_digits_are_pinned():
    data = datasets.load("digits")
    assert data.data_digest[:16] == "4952fa064e32ebcb"
    assert data.digest[:16] == "70233a08b27d0ab9"
