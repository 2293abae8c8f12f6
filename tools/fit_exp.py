"""Fits the table and the polynomial of exp: e^r = 1 + r + r^2 q(r), and prints their group of csrc/math/constants.h."""

import re

import numpy as np
from mpmath import cos, exp, fabs, log, lu_solve, matrix, mp, mpf, pi

mp.prec = 200

BITS = {"F32": 24, "F64": 53}  # of the significand


def rounded(a, bits):
    """`a` rounded to nearest, to `bits` bits."""
    with mp.workprec(bits):
        return +a


def grid(low, high, points=1000):
    """Chebyshev points, dense at both ends."""
    return [(low + high) / 2 - (high - low) / 2 * cos(pi * i / (points - 1)) for i in range(points)]


def horner(c, x):
    value = mpf(0)
    for a in reversed(c):
        value = value * x + a
    return value


def remez(xs, target, weight, degree):
    """The polynomial p that minimises max |weight * (target - p)| over the points xs, by multiple exchange."""
    last = len(xs) - 1
    count = degree + 2
    scale = max(map(fabs, xs))
    chosen = [round((1 - float(cos(pi * i / (count - 1)))) / 2 * last) for i in range(count)]
    for _ in range(60):
        a = matrix(count, count)
        for row, i in enumerate(chosen):
            for k in range(degree + 1):
                a[row, k] = (xs[i] / scale) ** k
            a[row, degree + 1] = (-1) ** row / weight[i]
        solution = lu_solve(a, matrix([target[i] for i in chosen]))
        p = [solution[k] / scale**k for k in range(degree + 1)]
        level = fabs(solution[degree + 1])
        error = [w * (t - horner(p, x)) for x, t, w in zip(xs, target, weight, strict=True)]
        if max(map(fabs, error)) <= level * (1 + mpf(10) ** -6):
            break
        # The new points: the largest error of each run of one sign, less the smallest of them. Signs go on
        # alternating when an end is dropped, or two neighbours.
        peaks = []
        for i, e in enumerate(error):
            if peaks and e * error[peaks[-1]] > 0:
                if fabs(e) > fabs(error[peaks[-1]]):
                    peaks[-1] = i
            elif e:
                peaks.append(i)
        sizes = [fabs(error[i]) for i in peaks]
        while len(peaks) > count:
            k = min(range(len(peaks)), key=sizes.__getitem__)
            if len(peaks) == count + 1:
                k = 0 if sizes[0] < sizes[-1] else len(peaks) - 1
            drop = slice(k, k + 1)
            if 0 < k < len(peaks) - 1:
                drop = slice(k, k + 2) if sizes[k + 1] < sizes[k - 1] else slice(k - 1, k + 1)
            del peaks[drop], sizes[drop]
        chosen = peaks
    return p, max(map(fabs, error))


def fit(xs, target, weight, degree, bits):
    """As remez, with coefficients of `bits` bits; returns them.

    They are rounded one at a time, the lowest first, and the others make up for it.
    """
    fixed = []
    while True:
        p, _ = remez(xs, target, weight, degree - len(fixed))
        c = rounded(p[0], bits)
        fixed.append(c)
        if len(fixed) > degree:
            return fixed
        target = [(t - c) / x for x, t in zip(xs, target, strict=True)]
        weight = [w * fabs(x) for x, w in zip(xs, weight, strict=True)]


def literal(a, dtype):
    """`a` as a C hexadecimal literal; it must be a number of the type already."""
    assert a == rounded(a, BITS[dtype])
    text = re.sub(r"\.?0*p", "p", float(a).hex())
    return text + ("f" if dtype == "F32" else "")


def define(name, a, dtype):
    print(f"#define SG_{dtype}_{name} {literal(a, dtype)}")


def find_table(steps, bits):
    """Numbers t_k and c such that t_k (1 + k/steps), rounded, is as near as can be to c 2^(k/steps), and how near, in units of 2^-bits.

    (1 + k/steps) is what the bits of n, read as a number, make of n = k. Tried are all c up to 1 whose first entry has 24 bits; those
    from 2^(-1/(2 steps)) on are all there are, as others only turn the table round. Below a thousandth the largest c is taken.
    """
    last = 2.0**-bits
    first = np.arange(int(2 ** (24 - 1 / (2 * steps))), 2**24).astype(np.longdouble) / 2**24
    low, high = np.zeros(len(first)), np.zeros(len(first))
    entries = [first]

    def round_to(x, units):
        ulp = 2 * last * np.exp2(np.floor(np.log2(x)))
        return (np.rint(x / ulp) + units) * ulp

    for k in range(1, steps):
        exact, by = (
            first * np.longdouble(2) ** (np.longdouble(k) / steps),
            1 + np.longdouble(k) / steps,
        )
        wanted = round_to(exact, 0)
        tried = [round_to(wanted / by, units) for units in (-1, 0, 1)]
        entry = np.select([round_to(t * by, 0) == wanted for t in tried], tried, np.nan)
        error = np.where(np.isnan(entry), np.inf, (wanted - exact) / exact / last)
        low, high = np.minimum(low, error), np.maximum(high, error)
        entries.append(entry)
    width = np.maximum(high - low, 1e-3)
    best = len(width) - 1 - np.argmin(width[::-1])
    table = [mpf(float(entry[best])) for entry in entries]
    powers = [
        rounded(t * (1 + mpf(k) / steps), bits) / 2 ** (mpf(k) / steps) for k, t in enumerate(table)
    ]
    c = (min(powers) + max(powers)) / 2
    return table, c, (max(powers) / c - 1) * 2**bits


def main():
    fit_type("F32", 2, (1, 2, 3), 8)
    fit_type("F64", 7, (6, 7, 8), 2)


def fit_type(dtype, chosen, degrees, steps):
    slack = mpf("0.05") if dtype == "F32" else mpf("1e-3")  # of x log2(e), which is rounded
    bound = log(2) / 2 / steps * (1 + slack)
    xs = [r for r in grid(-bound, bound) if r]  # an even number of points: 0 is not among them
    checks = [r for r in grid(-bound, bound, 10000) if r]
    target = [(exp(r) - 1 - r) / r**2 for r in xs]
    weight = [r**2 / exp(r) for r in xs]

    def error(q):
        """The largest relative error of 1 + r + r^2 q(r)."""
        return max(fabs((1 + r + r**2 * horner(q, r)) / exp(r) - 1) for r in checks)

    found = {d: fit(xs, target, weight, d, BITS[dtype]) for d in degrees}
    errors = {d: mp.nstr(error(found[d]), 3) for d in degrees}
    others = ", ".join(f"{errors[d]} of degree {d}" for d in degrees if d != chosen)
    print(
        f"/* tools/fit_exp.py: e^r = 1 + r + r^2 q(r), |r| <= ln2/{2 * steps} * {mp.nstr(1 + slack, 4)}, q = Q0 + Q1 r + ...,\n"
        f" * relative error {errors[chosen]} ({others}). */"
    )
    high = rounded(log(2), BITS[dtype])
    define("LOG2E", rounded(1 / log(2), BITS[dtype]), dtype)
    define("LN2_HI", high, dtype)
    define("LN2_LO", rounded(log(2) - high, BITS[dtype]), dtype)
    for k, a in enumerate(found[chosen]):
        define(f"EXP_Q{k}", a, dtype)
    table, c, near = find_table(steps, BITS[dtype])
    print(
        f"/* C 2^(k/{steps}) / (1 + k/{steps}): with (1 + k/{steps}) again, rounded, it is off by {mp.nstr(near, 2)} units of rounding at most. */"
    )
    print(f"#define SG_{dtype}_EXP_STEPS {steps}")
    print(f"#define SG_{dtype}_EXP_TABLE {{{', '.join(literal(t, dtype) for t in table)}}}")
    high = rounded(1 / c, 53)
    print(f"#define SG_{dtype}_EXP_PER_C_HI {float(high).hex()}")
    print(f"#define SG_{dtype}_EXP_PER_C_LO {float(rounded(1 / c - high, 53)).hex()}\n")


if __name__ == "__main__":
    main()
