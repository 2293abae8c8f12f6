"""Fits the polynomial of log: log1p(f) = 2 w + w^3 P(w^2), w = f / (2 + f); prints its group of csrc/math/constants.h."""

from fit_exp import BITS, define, fit, grid, horner
from mpmath import atanh, fabs, mp, mpf, sqrt


def main():
    # f in [sqrt(1/2) - 1, sqrt(2) - 1] is |w| <= (sqrt(2) - 1) / (sqrt(2) + 1); v = w^2.
    bound = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2 * (1 + mpf("1e-6"))

    def log1p(v):
        return 2 * atanh(sqrt(v))

    vs = grid(bound * mpf("1e-4"), bound)
    checks = grid(bound * mpf("1e-4"), bound, 10000)
    target = [(log1p(v) - 2 * sqrt(v)) / sqrt(v) ** 3 for v in vs]
    weight = [sqrt(v) ** 3 / log1p(v) for v in vs]

    def error(p):
        """The largest relative error of 2 w + w^3 P(v)."""
        return max(fabs((2 * sqrt(v) + sqrt(v) ** 3 * horner(p, v)) / log1p(v) - 1) for v in checks)

    for dtype, goal in (("F32", mpf(2) ** -31), ("F64", mpf(2) ** -61)):
        degree = 1
        p = fit(vs, target, weight, degree, BITS[dtype])
        while error(p) >= goal:
            degree += 1
            p = fit(vs, target, weight, degree, BITS[dtype])
        print(
            "/* tools/fit_log.py: log1p(f) = 2 w + w^3 P(w^2), w = f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2),\n"
            f" * P = P0 + P1 v + ..., relative error {mp.nstr(error(p), 3)}. */"
        )
        for k, c in enumerate(p):
            define(f"LOG_P{k}", c, dtype)
        print()


if __name__ == "__main__":
    main()
