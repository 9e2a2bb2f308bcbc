import torch

import datasets


def test_blobs_are_the_same_on_every_machine():
    data = datasets.load("synthetic")
    assert data.data_digest[:16] == "10f8fe00434bd538"
    assert data.digest[:16] == "2abfe717dd088a51"


def test_blobs_have_the_stated_sizes():
    data = datasets.load("synthetic")
    images = data.images.read(torch.arange(600))
    assert images.shape == (600, 3, 8, 8)
    assert images.dtype == torch.uint8
    assert data.labels.dense().sum(0).tolist() == [120] * 5
    assert data.labels.dense()[data.query].sum(0).tolist() == [10] * 5
    assert data.labels.dense()[data.train].sum(0).tolist() == [60] * 5


def test_better_codes_score_better_and_all_are_above_chance():
    data = datasets.load("synthetic")
    x = data.images.read(torch.arange(600)).flatten(1).double()
    x -= x[data.train].mean(0)
    relevant = (
        data.labels.dense()[data.query].int() @ data.labels.dense()[data.database].int().T
    ) > 0

    def precision_at_50(scores):
        top = scores.topk(50, dim=1).indices
        return relevant.gather(1, top).double().mean().item()

    def of_codes(planes):
        query, database = ((x[rows] @ planes).sign() for rows in (data.query, data.database))
        noise = torch.rand(50, 550, generator=torch.Generator().manual_seed(0))  # breaks ties
        return precision_at_50(query @ database.T + 0.5 * noise)

    planes = torch.randn(192, 64, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    unit = torch.nn.functional.normalize(x)
    floats = precision_at_50(unit[data.query] @ unit[data.database].T)
    few, many = of_codes(planes[:, :8]), of_codes(planes)
    assert 0.3 < few < many < floats < 0.95  # chance is 0.2
