"""What tests of a difference find with few seeds, and how often they are wrong, by simulation.

``python -m benchmarks.perf.few_seeds`` prints a row a test. Seeds alone vary, as if there were
queries without number; their standard deviation is 1.

- Welch: what a test of a report is where queries do not matter, see `results.analysis.statistics`;
- known spreads: the normal test that is told the true ones. Of all that hold their level and are
  unbiased it finds most, so no test of values finds more;
- pooled: one Student t for which the spread over seeds is the mean over all methods of a family;
- moderated: spreads are shrunk towards those of the family by an empirical Bayes prior (Smyth);
- bootstrap: seeds drawn again with replacement, one less than there are, all draws enumerated.

In per cent:

- 6, 20: share of families of so many equal methods in which Holm leaves any pair told apart;
- worst pair: of six methods the pair that is told apart most often, each pair tested alone;
- the same where every second method varies four times as much;
- found: share of pairs of six methods told apart, each tested alone, that differ by `--gap`.

References
----------
Smyth, "Linear models and empirical Bayes methods for assessing differential expression in
microarray experiments", Statistical Applications in Genetics and Molecular Biology 2004.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from scipy.special import digamma, ndtr, polygamma, stdtr

from benchmarks.command import run_command
from results.analysis.statistics import ALPHA, Floats

Test = Callable[[Floats, Floats], Floats]
"""Seeds (T, M, S) of T trials and their true variances (M,) to p of all pairs, (T, P)."""
RATIO = 4
HEADINGS = ("6", "20", "worst pair", f"6, x {RATIO}", f"20, x {RATIO}", f"worst pair, x {RATIO}")


def welch(seeds: Floats, _: Floats) -> Floats:
    """Estimate each method's variance from its own seeds."""
    return _t(seeds, seeds.var(2, ddof=1), np.array(seeds.shape[2] - 1.0))


def known(seeds: Floats, variances: Floats) -> Floats:
    """Take the true variances."""
    return _t(seeds, variances[None], np.array(np.inf))


def pooled(seeds: Floats, _: Floats) -> Floats:
    """Take the mean variance of all methods for each."""
    n_methods, n_seeds = seeds.shape[1:]
    mean = seeds.var(2, ddof=1).mean(1, keepdims=True).repeat(n_methods, 1)
    # The two variances of a pair are one, whose degrees of freedom are counted once.
    return _t(seeds, mean, np.array(n_methods * (n_seeds - 1) / 2))


def moderated(seeds: Floats, _: Floats) -> Floats:
    """Shrink variances to a prior whose scale and degrees of freedom are estimated by moments."""
    n_methods, n_seeds = seeds.shape[1:]
    own, squares = n_seeds - 1, seeds.var(2, ddof=1)
    logs = np.log(squares) - digamma(own / 2) + np.log(own / 2)
    excess = logs.var(1, ddof=1, keepdims=True) - polygamma(1, own / 2)
    prior = 2 * _inverse_trigamma(np.maximum(excess, 1e-3))
    scale = np.exp(logs.mean(1, keepdims=True) + digamma(prior / 2) - np.log(prior / 2))
    shrunk = (prior * scale + own * squares) / (prior + own)
    return _t(seeds, shrunk, np.minimum(prior + own, n_methods * own))


def bootstrap(seeds: Floats, _: Floats) -> Floats:
    """Take the share of resampled differences that lie beyond 0."""
    n_seeds = seeds.shape[2]
    means = seeds[:, :, list(product(range(n_seeds), repeat=n_seeds - 1))].mean(3)
    p = [
        np.minimum((gaps <= 0).mean((1, 2)), (gaps >= 0).mean((1, 2)))
        for a, b in zip(*np.triu_indices(seeds.shape[1], 1), strict=True)
        for gaps in [means[:, a, :, None] - means[:, b, None, :]]
    ]
    return np.stack(p, 1) * 2


def _t(seeds: Floats, variances: Floats, degrees: Floats) -> Floats:
    """Return p by Student's t with Satterthwaite's degrees of freedom for two variances."""
    first, second = np.triu_indices(seeds.shape[1], 1)
    a, b = variances[:, first], variances[:, second]
    means = seeds.mean(2)
    ratio = np.abs(means[:, first] - means[:, second]) / np.sqrt((a + b) / seeds.shape[2])
    if np.isinf(degrees).all():
        return np.asarray(2 * ndtr(-ratio))
    return np.asarray(2 * stdtr(degrees * (a + b) ** 2 / (a**2 + b**2), -ratio))


def _inverse_trigamma(values: Floats) -> Floats:
    """Solve trigamma(x) = values by Newton's method, as Smyth's appendix does."""
    x = 0.5 + 1 / values
    for _ in range(20):
        trigamma = polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / polygamma(2, x)
    return np.asarray(x)


TESTS: dict[str, Test] = {
    "Welch": welch,
    "known spreads": known,
    "pooled": pooled,
    "moderated": moderated,
    "bootstrap": bootstrap,
}


def shares(test: Test, n_seeds: int, gap: float, trials: int) -> Iterator[float]:
    """Yield the shares of `HEADINGS`, then what is found of the gap; the same draws for each."""
    rng = np.random.default_rng(0)
    for ratio in (1, RATIO):
        p = {}
        for size in (6, 20):
            spreads = np.resize([ratio, 1.0], size)
            seeds = spreads[:, None] * rng.normal(size=(trials, size, n_seeds))
            p[size] = test(seeds, spreads**2)
            yield float((p[size].min(1) * p[size].shape[1] < ALPHA).mean())
        yield float((p[6] < ALPHA).mean(0).max())
    seeds = rng.normal(size=(trials, 6, n_seeds))
    seeds[:, ::2] += gap
    apart = np.subtract(*np.triu_indices(6, 1)) % 2 == 1
    yield float((test(seeds, np.ones(6))[:, apart] < ALPHA).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gap", type=float, default=1.25, help="in standard deviations of seeds")
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args(arguments)
    print(f"| test | {' | '.join((*HEADINGS, 'found'))} |\n| --- |{' ---: |' * 7}")
    for name, test in TESTS.items():
        found = shares(test, options.seeds, options.gap, options.trials)
        print(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in found)} |", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
