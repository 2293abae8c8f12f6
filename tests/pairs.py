"""Arithmetic with about 128 bits on whole arrays: unevaluated sums hi + lo of two long doubles.

Where long double is wider than double (x86-64 Linux: 64 bits, aarch64 Linux: 113) a pair has 126
bits or more and a range of 10^+-4900. Elsewhere it is a pair of doubles; `IS_WIDE` tells.
The algorithms: Dekker 1971; Joldes, Muller and Popescu, ACM TOMS 44(2), 2017.
"""

import mpmath
import numpy as np

WIDE = np.longdouble
DIGITS = np.finfo(WIDE).nmant + 1
IS_WIDE = np.finfo(WIDE).maxexp > 1024
_SPLIT = WIDE(2) ** ((DIGITS + 1) // 2) + 1
_CHUNK = 1 << 13  # entries at a time in exp: the temporaries stay in cache


def two_sum(a, b):
    """(s, e) with s = fl(a + b) and s + e = a + b."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a, b):
    """The same for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def _halves(a):
    t = _SPLIT * a
    high = t - (t - a)
    return high, a - high


def two_prod(a, b):
    """(p, e) with p = fl(a * b) and p + e = a * b."""
    p = a * b
    a1, a2 = _halves(a)
    b1, b2 = _halves(b)
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


class Pair:
    """An array of numbers hi + lo with |lo| at most half a unit in the last place of hi."""

    __slots__ = ("hi", "lo")
    __array_ufunc__ = None  # ndarray + Pair comes here

    def __init__(self, hi, lo=None):
        self.hi = np.asarray(hi, WIDE)
        self.lo = np.zeros_like(self.hi) if lo is None else lo

    @staticmethod
    def of(a):
        return a if isinstance(a, Pair) else Pair(a)

    @property
    def shape(self):
        return self.hi.shape

    def __getitem__(self, key):
        return Pair(self.hi[key], self.lo[key])

    def __neg__(self):
        return Pair(-self.hi, -self.lo)

    def __abs__(self):
        sign = np.where(self.hi < 0, WIDE(-1), WIDE(1))
        return Pair(self.hi * sign, self.lo * sign)

    def __add__(self, other):
        other = Pair.of(other)
        s, e = two_sum(self.hi, other.hi)
        t, f = two_sum(self.lo, other.lo)
        s, e = fast_two_sum(s, e + t)
        return Pair(*fast_two_sum(s, e + f))

    def __sub__(self, other):
        return self + -Pair.of(other)

    def __mul__(self, other):
        other = Pair.of(other)
        p, e = two_prod(self.hi, other.hi)
        return Pair(*fast_two_sum(p, e + (self.hi * other.lo + self.lo * other.hi)))

    def __truediv__(self, other):
        other = Pair.of(other)
        q1 = self.hi / other.hi
        rest = self - other * q1
        q2 = rest.hi / other.hi
        rest = rest - other * q2
        s, e = fast_two_sum(q1, q2)
        return Pair(s, e) + rest.hi / other.hi

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return Pair.of(other) - self

    def __rtruediv__(self, other):
        return Pair.of(other) / self

    def sum(self, *, keepdims=False):
        """Over the last axis, pairwise."""
        total = self
        while (n := total.shape[-1]) > 1:
            half = (n + 1) // 2
            low, high = total[..., :half], total[..., half:]
            if n % 2:
                pad = [(0, 0)] * (high.hi.ndim - 1) + [(0, 1)]
                high = Pair(np.pad(high.hi, pad), np.pad(high.lo, pad))
            total = low + high
        if not total.shape[-1]:
            total = Pair(np.zeros((*total.shape[:-1], 1), WIDE))
        return total if keepdims else total[..., 0]


def where(condition, a, b):
    a, b = Pair.of(a), Pair.of(b)
    return Pair(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))


def from_mpf(values):
    """The Pair nearest to an array (or one) of mpmath numbers."""
    values = np.asarray(values, object)
    hi, lo = np.empty(values.shape, WIDE), np.empty(values.shape, WIDE)
    with mpmath.workprec(400):
        for i in np.ndindex(values.shape):
            mantissa, exponent = mpmath.frexp(mpmath.mpf(values[i]))
            parts = []
            for _ in range(5):
                parts.append(float(mantissa))
                mantissa -= parts[-1]
            high, low = WIDE(0), WIDE(0)
            for part in map(WIDE, parts):
                high, rest = two_sum(high, part)
                low += rest
            high, low = two_sum(high, low)
            hi[i], lo[i] = np.ldexp(high, int(exponent)), np.ldexp(low, int(exponent))
    return Pair(hi, lo)


def to_mpf(value):
    """The mpmath number that a scalar Pair (or float) is, exactly."""
    with mpmath.workprec(400):
        total = mpmath.mpf(0)
        for part in (value.hi, value.lo) if isinstance(value, Pair) else (value,):
            mantissa, exponent = np.frexp(WIDE(part))
            while mantissa:
                high = float(mantissa)
                total += mpmath.ldexp(mpmath.mpf(high), int(exponent))
                mantissa -= WIDE(high)
        return total


def _constants():
    """ln(2)/256 in three parts, the first two short enough that their products with 23-bit integers
    are exact; 2^(j/256); 1/k!; 1/(2k+1).
    """
    with mpmath.workprec(400):
        step = mpmath.log(2) / 256
        bits = DIGITS - 24
        first = mpmath.ldexp(mpmath.nint(mpmath.ldexp(step, bits + 8)), -bits - 8)
        second = mpmath.ldexp(mpmath.nint(mpmath.ldexp(step - first, 2 * bits + 8)), -2 * bits - 8)
        steps = [from_mpf(part).hi for part in (first, second, step - first - second)]
        powers = from_mpf([mpmath.mpf(2) ** (mpmath.mpf(j) / 256) for j in range(256)])
        factorials = [from_mpf(1 / mpmath.factorial(k)) for k in range(13)]
        odd = [from_mpf(1 / mpmath.mpf(2 * k + 1)) for k in range(12)]
        return steps, powers, factorials, odd, from_mpf(256 / mpmath.log(2)).hi


_STEPS, _POWERS, _FACTORIALS, _ODD, _PER_STEP = _constants()
_LOWEST = np.finfo(WIDE).minexp * WIDE("0.69") + 100  # exp of less is 0 here


def _exp_chunk(x):
    n = np.rint(np.maximum(x.hi, _LOWEST) * _PER_STEP)
    r = x
    for step in _STEPS:
        r = r - n * step
    # |r| < 0.0014: terms from r^7/7! on are below 2^-77, so their own rounding is far below 2^-128
    tail = WIDE(0)
    for k in range(12, 6, -1):
        tail = (tail + _FACTORIALS[k].hi) * r.hi
    p = _FACTORIALS[6] + tail
    for k in range(5, -1, -1):
        p = p * r + _FACTORIALS[k]
    n = n.astype(np.int64)
    p = p * _POWERS[n % 256]
    k = (n // 256).astype(np.int32)
    live = x.hi > _LOWEST
    return np.where(live, np.ldexp(p.hi, k), 0), np.where(live, np.ldexp(p.lo, k), 0)


def exp(x):
    """e^x for x below the overflow limit; 0 where the result would leave the normal range."""
    x = Pair.of(x)
    flat = Pair(x.hi.ravel(), np.broadcast_to(x.lo, x.shape).ravel())
    out = Pair(np.empty_like(flat.hi), np.empty_like(flat.hi))
    with np.errstate(all="ignore"):
        for start in range(0, flat.hi.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            out.hi[part], out.lo[part] = _exp_chunk(flat[part])
    return Pair(out.hi.reshape(x.shape), out.lo.reshape(x.shape))


def log1p(u):
    """log(1 + u) for u > -1, to full relative precision near 0 as well."""
    u = Pair.of(u)
    with np.errstate(all="ignore"):
        # near: 2 atanh(t) = 2 t (1 + t^2/3 + t^4/5 ...), t = u / (2 + u), |t| < 2^-6
        small = where(np.abs(u.hi) < WIDE(1) / 64, u, 0)
        t = small / (2 + small)
        square = t * t
        p = _ODD[11]
        for k in range(10, -1, -1):
            p = p * square + _ODD[k]
        near = 2 * t * p
        # far: one step from the long double logarithm y: y + log1p(e), e = v exp(-y) - 1 ~ 2^-60
        v = 1 + u
        y = np.log(np.where(v.hi > 0, v.hi, 1))
        e = v * exp(-Pair.of(y)) - 1
        return where(np.abs(u.hi) < WIDE(1) / 64, near, y + (e - e * e / 2))


def log(v):
    """log(v) for v > 0."""
    v = Pair.of(v)
    exponent = np.where(np.abs(v.hi - 1) < WIDE(1) / 32, 0, np.frexp(v.hi)[1])
    ln2 = _STEPS[0] * 256 + Pair.of(_STEPS[1] * 256) + _STEPS[2] * 256
    scaled = Pair(np.ldexp(v.hi, -exponent), np.ldexp(v.lo, -exponent))
    return log1p(scaled - 1) + ln2 * exponent.astype(WIDE)
