"""Adversarial logits for the accuracy tests: name -> rows, one function per kind of trouble."""

from functools import lru_cache

import numpy as np
import oracle
import pairs

SCALES = [1e-3, 0.1, 1, 3, 20, 100, 1e4, 1e30]
LENGTHS = [1, 2, 3, 10, 64, 100, 1000, 4097, 32768, 1_000_000]


def _by_scale(dtype, rng, scale):
    return rng.normal(0, scale, (20, 100))


def _by_length(dtype, rng, n):
    # a long double without its own hardware is a hundred times slower: a tenth of the million there
    n = min(n, 1_000_000 if pairs.DIGITS == 64 else 30_000)
    return rng.normal(0, 3, (max(1, min(200, 20_000 // n)), n))


def _sorted(dtype, rng, direction):
    return np.sort(rng.normal(0, 10, (10, 1000)), axis=-1)[:, ::direction]


def _constant(dtype, rng, n):
    values = [0, 1, -1, 0.1, 87.3, -103.9, 708.4, -744.9, 1e5, -1e30]
    return np.repeat(values, n).reshape(-1, n)


def _dominant(dtype, rng, others):
    """One class leads by every margin up to where its rivals underflow."""
    margin = np.linspace(0, 1.1 * -np.log(float(np.finfo(dtype).smallest_subnormal)), 2000)
    x = rng.normal(0, 0.5, (2000, others + 1))
    x[np.arange(2000), rng.integers(0, others + 1, 2000)] = x.max(-1) + margin
    return x


def _confident(dtype, rng, n):
    """Many rows whose largest probability is next to 1: the error of one exponential is all there is."""
    x = rng.normal(0, 1, (20_000, n)) * rng.choice([0.5, 3, 10, 20], (20_000, 1))
    rows = np.arange(20_000)
    x[rows, rng.integers(0, n, 20_000)] = x.max(-1) + rng.uniform(0, 25, 20_000)
    return x


def _near_ties(dtype, rng, at):
    x = np.full((50, 40), at, dtype)
    steps = rng.integers(0, 4, x.shape)
    for k in range(3):
        x = np.where(steps > k, np.nextafter(x, dtype.type(np.inf)), x)
    return x


def _far_below(dtype, rng, n):
    """0 beside many entries whose terms are near the smallest numbers: their sum still counts."""
    low = np.log(float(np.finfo(dtype).tiny))
    depths = low * np.array([0.5, 0.9, 0.99, 1, 1.05, 1.1, 1.15])
    x = np.repeat(depths, n).reshape(-1, n)
    x[:, n // 3] = 0
    return x


def _subnormal_results(dtype, rng, n):
    """Margins at which most results are subnormal."""
    low, lowest = np.log(
        np.array([np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal], float)
    )
    x = rng.uniform(lowest - 1, low + 1, (50, n))
    x[:, 0] = 0
    return x


def _subnormal_logits(dtype, rng, n):
    return rng.integers(-9, 9, (20, n)) * np.finfo(dtype).smallest_subnormal


def _large(dtype, rng, exponent):
    """A spread of a few ulps about a number so large that its ulp is 2^-4 to 1 and more."""
    base = dtype.type(2.0**exponent)
    return rng.choice([-1, 1], (20, 1)) * base + rng.integers(-20, 20, (20, 60)) * np.spacing(base)


def _outlier(dtype, rng, value):
    x = rng.normal(0, 2, (20, 70))
    x[np.arange(20), rng.integers(0, 70, 20)] = value
    return x


def _edges_of_reduction(dtype, rng, _):
    """(k + 1/2) ln 2: where the argument of the polynomial is largest and its sign flips."""
    return (rng.integers(-40, 40, (50, 50)) + 0.5) * np.log(2) + rng.normal(0, 1e-6, (50, 50))


def _sum_near_one(dtype, rng, n):
    """logsumexp crosses zero."""
    return -np.log(n) + rng.normal(0, 1e-3, (100, n))


FAMILIES = {
    **{f"scale{s:g}": (_by_scale, s) for s in SCALES},
    **{f"n{n}": (_by_length, n) for n in LENGTHS},
    "ascending": (_sorted, 1),
    "descending": (_sorted, -1),
    "constant1": (_constant, 1),
    "constant129": (_constant, 129),
    "constant10000": (_constant, 10_000),
    "dominant1": (_dominant, 1),
    "dominant6": (_dominant, 6),
    "dominant40": (_dominant, 40),
    "confident2": (_confident, 2),
    "confident7": (_confident, 7),
    "ties_at_1": (_near_ties, 1),
    "ties_at_-77": (_near_ties, -77),
    "far_below": (_far_below, 10_000),
    "subnormal_results": (_subnormal_results, 30),
    "subnormal_logits": (_subnormal_logits, 30),
    **{f"large2^{k}": (_large, k) for k in (16, 17, 19, 22, 40, 52)},
    **{f"outlier{v:g}": (_outlier, v) for v in (2e5, -2e5, 1e30, -1e30)},
    "edges_of_reduction": (_edges_of_reduction, 0),
    "sum_near_one": (_sum_near_one, 50),
}


def width(family):
    return logits(family, np.dtype(np.float32)).shape[-1]


@lru_cache
def logits(family, dtype):
    make, value = FAMILIES[family]
    return np.ascontiguousarray(make(dtype, np.random.default_rng(11), value).astype(dtype))


@lru_cache
def exact(family, dtype):
    return oracle.Softmax(logits(family, dtype))
