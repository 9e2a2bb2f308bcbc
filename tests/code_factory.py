"""Random codes with labels, for the tests of what counts them."""

import numpy as np

from benchmarks.evaluation.packing import PackedBits


def codes(n, bits, classes, seed, share=0.5):
    """Codes and labels of n items; 1.5 labels an item on average."""
    rng = np.random.default_rng(seed)
    return rng.random((n, bits)) < share, rng.random((n, classes)) < 1.5 / classes


def both(query, database):
    """The four matrices that a counter takes."""
    return tuple(map(PackedBits.of, (*query, *database)))
