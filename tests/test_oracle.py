"""The oracle itself: pairs against mpmath, and the definition of the unit in the last place."""

import mpmath
import numpy as np
import oracle
import pairs
import pytest
from pairs import WIDE, Pair

ENOUGH = 2.0**-120 if pairs.IS_WIDE else 2.0**-98


def relative_error(pair, exact):
    with mpmath.workprec(400):
        errors = (abs(pairs.to_mpf(pair[i]) - v) / abs(v) for i, v in enumerate(exact) if v)
        return float(max(errors, default=0))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 700.0])
def test_exp_and_logarithms(scale):
    x = -np.abs(np.random.default_rng(1).normal(0, scale, 200)).clip(max=700)
    with mpmath.workprec(400):
        exact = [pairs.to_mpf(v) for v in x]
        assert relative_error(pairs.exp(Pair(x)), [mpmath.exp(v) for v in exact]) < ENOUGH
        assert relative_error(pairs.log1p(Pair(-x)), [mpmath.log1p(-v) for v in exact]) < ENOUGH
        assert relative_error(pairs.log(Pair(-x)), [mpmath.log(-v) for v in exact]) < ENOUGH


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0, 300.0])
@pytest.mark.parametrize("n", [1, 2, 7, 130])
def test_softmax_of_the_oracle(dtype, scale, n):
    x = np.random.default_rng(n).normal(0, scale, (2, n)).astype(dtype)
    exact = oracle.Softmax(x)
    for r, row in enumerate(x):
        s, log_s, lse = oracle.mp_softmax(row)
        assert relative_error(exact.softmax[r], s) < ENOUGH
        assert relative_error(exact.log_softmax[r], log_s) < ENOUGH
        with mpmath.workprec(400):
            terms = pairs.to_mpf(exact.logsumexp_terms[r])
            assert abs(pairs.to_mpf(exact.logsumexp[r]) - lse) <= ENOUGH * terms
            if n > 1:
                assert relative_error(exact.complement[r], [1 - v for v in s]) < ENOUGH
                assert relative_error(exact.hess[r], [v * (1 - v) for v in s]) < ENOUGH
                hot = oracle.one_hot([0, 0], n)
                assert relative_error(exact.grad(hot)[r], [s[0] - 1, *s[1:]]) < ENOUGH
                assert relative_error(exact.loss(hot)[r : r + 1], [-log_s[0]]) < ENOUGH
            diagonal = [[-a * b for b in s] for a in s]
            for i in range(n):
                diagonal[i][i] = s[i] * (1 - s[i])
            if n <= 7:
                for i in range(n):
                    assert n == 1 or relative_error(exact.jacobian[r, i], diagonal[i]) < ENOUGH


def test_a_tiny_loss_keeps_its_digits():
    exact = oracle.Softmax(np.array([[0.0, -69.0, -80.0]]))
    with mpmath.workprec(400):
        loss = mpmath.log1p(mpmath.exp(-69) + mpmath.exp(-80))
    assert relative_error(exact.loss(oracle.one_hot([0], 3)), [loss]) < ENOUGH


def test_products_of_the_oracle():
    rng = np.random.default_rng(3)
    y, g = rng.random((1, 9)), rng.normal(0, 1, (1, 9))
    ly = np.log(y)
    with mpmath.workprec(400):
        my, mg, mly = ([pairs.to_mpf(v) for v in a[0]] for a in (y, g, ly))
        dot = mpmath.fsum(a * b for a, b in zip(my, mg, strict=True))
        es = [mpmath.exp(v) for v in mly]
        jvp = mpmath.fsum(a * b for a, b in zip(es, mg, strict=True))
        expected = {
            oracle.softmax_vjp: [a * (b - dot) for a, b in zip(my, mg, strict=True)],
            oracle.log_softmax_vjp: [b - e * mpmath.fsum(mg) for e, b in zip(es, mg, strict=True)],
            oracle.log_softmax_jvp: [b - jvp for b in mg],
        }
    for function, exact in expected.items():
        pair, terms = function(y if function is oracle.softmax_vjp else ly, g)
        assert relative_error(pair[0], exact) < 8 * ENOUGH
        assert (terms.hi >= np.abs(pair.hi)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_unit_in_the_last_place(dtype):
    info = np.finfo(dtype)
    one, eps, tiny, smallest = (
        dtype(1),
        WIDE(info.eps),
        WIDE(info.tiny),
        WIDE(info.smallest_subnormal),
    )
    bit = WIDE(2) ** -100
    assert oracle.ulp(WIDE(1), dtype) == eps
    assert oracle.ulp(Pair(WIDE(1), -bit), dtype) == eps / 2, "just below a power of two"
    assert oracle.ulp(Pair(WIDE(-1), bit), dtype) == eps / 2
    assert oracle.ulp(Pair(WIDE(1), bit), dtype) == eps
    assert oracle.ulp(WIDE(1.999), dtype) == eps
    assert oracle.ulp(tiny, dtype) == smallest
    assert oracle.ulp(tiny / 1024, dtype) == smallest
    assert oracle.ulp(WIDE(0), dtype) == smallest
    assert oracle.ulp(WIDE(info.max), dtype) == WIDE(2) ** (info.maxexp - 1) * eps
    assert oracle.ulp_error(np.nextafter(one, dtype(2)), Pair(WIDE(1))) == 1
    assert oracle.ulp_error(np.nextafter(one, dtype(0)), Pair(WIDE(1))) == 0.5
    assert oracle.ulp_error(info.smallest_subnormal, Pair(WIDE(0))) == 1


def test_error_measure_handles_what_is_not_finite():
    exact = Pair(np.array([1, 1e39, 1e39, -1e39], WIDE))
    error = oracle.ulp_error(np.array([np.nan, np.inf, -np.inf, -np.inf], np.float32), exact)
    assert error.tolist() == [np.inf, 0, np.inf, 0]


def test_error_measure_takes_mpmath_numbers():
    with mpmath.workprec(200):
        third = mpmath.mpf(1) / 3
        error = oracle.ulp_error(
            np.array([np.float32(1) / np.float32(3)]), np.array([third], object)
        )
        expected = abs(mpmath.mpf(float(np.float32(1) / np.float32(3))) - third) * 2**25
    assert error[0] == pytest.approx(float(expected), rel=1e-12)
