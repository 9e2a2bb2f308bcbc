import numpy as np
import pytest
from sklearn.manifold import TSNE, trustworthiness

from results.figures.codes import hamming
from results.figures.tsne import embed, neighbours


@pytest.fixture(scope="module")
def codes():
    rng = np.random.default_rng(0)
    return (rng.random((8, 64)) < 0.5)[np.arange(160) % 8] ^ (rng.random((160, 64)) < 0.15)


def divergence(P, points):
    """KL(P || Q), by the definition, a pair at a time."""
    n = len(points)
    W = np.array([[1 / (1 + ((a - b) ** 2).sum()) for a in points] for b in points])
    W[np.arange(n), np.arange(n)] = 0
    Q = W / W.sum()
    return sum(P[i, j] * np.log(P[i, j] / Q[i, j]) for i in range(n) for j in range(n) if P[i, j])


def test_a_map_is_as_faithful_as_that_of_scikit_learn(codes):
    distances = hamming(codes)
    P = neighbours(distances, 20)
    theirs = TSNE(metric="precomputed", init="random", perplexity=20, random_state=0)
    points = embed(distances, 20)
    assert divergence(P, points) < 1.05 * divergence(P, theirs.fit_transform(distances))
    assert trustworthiness(distances, points, metric="precomputed") > 0.95


def test_neighbours_of_a_row_have_the_perplexity_that_is_wanted():
    rng = np.random.default_rng(1)
    point, others = rng.normal(size=2), rng.normal(size=(40, 2))
    far = 1e6 + 1e3 * np.arange(41)[:, None]  # whose own neighbours are never the point
    distances = np.abs(far - far.T)
    distances[0, 1:] = np.linalg.norm(others - point, axis=1)
    distances[1:, 0] = 1e9
    row = 2 * 41 * neighbours(distances, 7)[0, 1:]  # of the point alone
    assert row.sum() == pytest.approx(1)
    assert np.exp(-(row * np.log(row)).sum()) == pytest.approx(7, rel=1e-6)


def test_distances_between_codes_are_in_bits(codes):
    expected = [[(a != b).sum() for a in codes[:9]] for b in codes[:9]]
    assert hamming(codes[:9]).tolist() == expected


def test_equal_codes_have_a_map_too():
    assert np.isfinite(embed(np.zeros((12, 12)))).all()
