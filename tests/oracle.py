"""The high-precision oracle: what the exact results are, to more than 120 bits, and how far off a result is.

Rows are the last axis of 2-d arrays. Exact values are `pairs.Pair` arrays; test_oracle.py checks them
against mpmath. Only finite logits: special values are the business of reference.py.
"""

from functools import cached_property

import mpmath
import numpy as np
import pairs
from pairs import WIDE, Pair


class Softmax:
    """Everything that follows from one array of logits (rows, C), in quantities that never cancel."""

    def __init__(self, x):
        x = np.asarray(x).astype(WIDE)
        self.top = x.argmax(-1)[:, None]
        self.is_top = np.arange(x.shape[-1]) == self.top
        self.max = np.take_along_axis(x, self.top, -1)
        self.distance = Pair(*pairs.two_sum(x, -self.max))  # x - max, exactly
        self.e = pairs.exp(self.distance)
        self.rest = pairs.where(self.is_top, 0, self.e).sum(keepdims=True)  # sum(e) - e_top
        self.total = 1 + self.rest

    @cached_property
    def softmax(self):
        return self.e / self.total

    @cached_property
    def complement(self):
        """1 - s"""
        return pairs.where(self.is_top, self.rest, self.total - self.e) / self.total

    @cached_property
    def log_softmax(self):
        return self.distance - pairs.log1p(self.rest)

    @cached_property
    def logsumexp(self):
        return (self.max + pairs.log1p(self.rest))[:, 0]

    @cached_property
    def logsumexp_terms(self):
        """|max| + log(sum(exp(x - max)))"""
        return (np.abs(self.max) + pairs.log1p(self.rest))[:, 0]

    @cached_property
    def jacobian(self):
        s, eye = self.softmax, np.eye(self.e.shape[-1], dtype=bool)
        off = s[:, :, None] * -s[:, None, :]
        return pairs.where(eye, (s * self.complement)[:, :, None], off)

    @cached_property
    def log_jacobian(self):
        s, eye = self.softmax, np.eye(self.e.shape[-1], dtype=bool)
        return pairs.where(eye, self.complement[:, :, None], -s[:, None, :])

    def loss(self, y):
        """sum(-y log s), y being anything that Pair takes, of shape (rows, C)"""
        return (pairs.where(Pair.of(y).hi == 0, 0, -self.log_softmax) * y).sum()

    def grad(self, y):
        """s sum(y) - y, written so that it does not cancel for a one-hot y"""
        y = Pair.of(y)
        return self.softmax * (y.sum(keepdims=True) - y) - y * self.complement

    def grad_terms(self, y):
        """s sum(|y|) + |y|: the magnitudes of the terms of the gradient"""
        y = abs(Pair.of(y))
        return self.softmax * y.sum(keepdims=True) + y

    @cached_property
    def hess(self):
        return self.softmax * self.complement


def softmax_vjp(y, g):
    """(y (g - sum(g y)), the magnitudes of its terms)"""
    y, g = Pair(y), Pair(g)
    exact = y * (g - (g * y).sum(keepdims=True))
    return exact, abs(y) * (abs(g) + abs(g * y).sum(keepdims=True))


def log_softmax_vjp(ly, g):
    """(g - exp(ly) sum(g), the magnitudes of its terms)"""
    s, g = pairs.exp(Pair(ly)), Pair(g)
    return g - s * g.sum(keepdims=True), abs(g) + s * abs(g).sum(keepdims=True)


def log_softmax_jvp(ly, v):
    """(v - sum(exp(ly) v), the magnitudes of its terms)"""
    s, v = pairs.exp(Pair(ly)), Pair(v)
    return v - (s * v).sum(keepdims=True), abs(v) + (s * abs(v)).sum(keepdims=True)


def one_hot(labels, n):
    return (np.arange(n) == np.asarray(labels)[:, None]).astype(WIDE)


def mp_softmax(row, precision=4000):
    """(s, log s, logsumexp) of one row with mpmath, by the definition."""
    with mpmath.workprec(precision):
        x = [pairs.to_mpf(value) for value in row]
        top = max(x)
        total = mpmath.fsum(mpmath.exp(value - top) for value in x)
        lse = top + mpmath.log(total)
        return [mpmath.exp(value - lse) for value in x], [value - lse for value in x], lse


def ulp(exact, dtype):
    """The unit in the last place of `dtype` at an exact value: 2^(e - p + 1) for 2^e <= |v| < 2^(e+1),
    p bits of precision, and never less than the smallest subnormal.
    """
    info, exact = np.finfo(dtype), Pair.of(exact)
    mantissa, exponent = np.frexp(np.abs(exact.hi))
    # a pair just below a power of two has that power in hi: it belongs to the binade below
    below = (mantissa == WIDE(0.5)) & (exact.lo * np.sign(exact.hi) < 0)
    exponent = exponent - below - (info.nmant + 1)
    lowest = np.frexp(WIDE(info.smallest_subnormal))[1] - 1
    return np.ldexp(WIDE(1), np.where(exact.hi == 0, lowest, np.maximum(exponent, lowest)))


def ulp_error(actual, exact, terms=None):
    """|actual - exact| in units in the last place of `exact`, or of `terms` (the sum of the magnitudes
    of what was added) where the result cancels. `exact`: a Pair, or an array of mpmath numbers.
    An overflow to infinity is exact where rounding to nearest overflows; a NaN is infinitely off.
    """
    actual = np.asarray(actual)
    exact = exact if isinstance(exact, Pair) else pairs.from_mpf(exact)
    assert actual.shape == exact.shape, f"{actual.shape} against {exact.shape}"
    unit = ulp(exact if terms is None else terms, actual.dtype)
    with np.errstate(all="ignore"):
        error = np.abs((actual.astype(WIDE) - exact.hi) - exact.lo) / unit
    largest = WIDE(np.finfo(actual.dtype).max)
    overflows = np.abs(exact.hi) >= largest * (1 + WIDE(np.finfo(actual.dtype).eps) / 4)
    right = overflows & np.isinf(actual) & (np.sign(actual) == np.sign(exact.hi))
    error = np.where(right, 0, np.where(np.isfinite(actual), error, np.inf))
    return error.astype(np.float64)
