"""vjp and jvp of softmax and log_softmax: the Jacobian times a vector without the Jacobian."""

import mpmath
import numpy as np
import pytest
import reference
from helpers import FEW, assert_close, assert_same_bits, ids, softmax_like
from numpy.testing import assert_allclose, assert_array_equal

import softgrad as sg

NAMES = ["softmax_vjp", "softmax_jvp", "log_softmax_vjp", "log_softmax_jvp"]
by_name = pytest.mark.parametrize("name", NAMES)


def operands(name, rng, shape, dtype, axis=-1):
    y = softmax_like(rng, shape, np.float64, axis)
    y = np.log(y) if name.startswith("log") else y
    return y.astype(dtype), rng.normal(0, 1, shape).astype(dtype)


def magnitudes(name, y, g, axis=-1):
    """The sum of the magnitudes of the terms."""
    y, g = y.astype(np.longdouble), np.abs(g.astype(np.longdouble))
    s = np.exp(y) if name.startswith("log") else y
    dot = (g if name == "log_softmax_vjp" else s * g).sum(axis=axis, keepdims=True)
    return {"log_softmax_vjp": g + s * dot, "log_softmax_jvp": g + dot}.get(name, s * (g + dot))


def check(name, y, g, axis=-1):
    actual = getattr(sg, name)(y, g, axis)
    assert_close(actual, getattr(reference, name)(y, g, axis), terms=magnitudes(name, y, g, axis))
    return actual


@by_name
@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_products(isa, dtype, name, n, rng):
    check(name, *operands(name, rng, (5, n), dtype))


@by_name
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_axis(isa, dtype, name, axis, rng):
    check(name, *operands(name, rng, (4, 21, 35), dtype, axis), axis)


@by_name
def test_is_the_jacobian_times_a_vector(isa, dtype, name, rng):
    x, g = rng.normal(0, 1, (2, 5, 13)).astype(dtype)
    function = name.rpartition("_")[0]
    jacobian = getattr(reference, f"{function}_jacobian")(x)
    expected = np.einsum("rij,ri->rj" if name.endswith("vjp") else "rij,rj->ri", jacobian, g)
    y = getattr(sg, function)(x)
    assert_close(getattr(sg, name)(y, g), expected, terms=magnitudes(name, y, g))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_vjp_and_jvp_are_adjoint(name, rng):
    """<g, J v> = <J^T g, v>"""
    x, g, v = rng.normal(0, 1, (3, 4, 20))
    y = getattr(sg, name)(x)
    left = (g * getattr(sg, f"{name}_jvp")(y, v)).sum(-1)
    right = (getattr(sg, f"{name}_vjp")(y, g) * v).sum(-1)
    assert_allclose(left, right, rtol=0, atol=1e-13)


def test_softmax_jvp_is_its_vjp(isa, dtype, rng):
    y, g = operands("softmax_vjp", rng, (5, 77), dtype)
    assert_same_bits(sg.softmax_jvp(y, g), sg.softmax_vjp(y, g))


def test_composed_they_are_the_loss_gradient(isa, dtype, rng):
    """dL/ds = -y/s through the softmax VJP gives s sum(y) - y."""
    x = rng.normal(0, 1, (6, 11)).astype(dtype)
    s, y = sg.softmax(x), softmax_like(rng, x.shape, dtype)
    actual = sg.softmax_vjp(s, -y / s)
    assert_close(actual, sg.cross_entropy_grad(x, y, reduction="none"), terms=4 * (s + y))


@by_name
def test_the_two_arrays_have_equal_standing(name, rng):
    y, g = operands(name, rng, (3, 8), np.float64)
    for first, second, result in [
        ("f4", "f8", "f8"),
        ("f8", "f4", "f8"),
        ("f4", "f4", "f4"),
        ("f4", "i4", "f8"),
    ]:
        a, b = y.astype(first), np.rint(3 * g).astype(second)
        actual = getattr(sg, name)(a, b)
        assert actual.dtype == result
        assert_same_bits(actual, getattr(sg, name)(a.astype(result), b.astype(result)))


@by_name
def test_out_in_place_and_overlapping(isa, dtype, name, rng):
    y, g = operands(name, rng, (4, 33), dtype)
    function = getattr(sg, name)
    expected = function(y, g)
    for in_place in (0, 1):
        pair = [y.copy(), g.copy()]
        assert function(*pair, out=pair[in_place]) is pair[in_place]
        assert_same_bits(pair[in_place], expected)
    for other in (0, 1):
        pair = [y.copy(), g.copy()]
        memory = np.zeros(y.size + 5, dtype)
        memory[: y.size] = pair[other].ravel()
        pair[other] = memory[: y.size].reshape(y.shape)
        out = memory[5:].reshape(y.shape)
        assert function(*pair, out=out) is out
        assert_same_bits(out, expected)


@by_name
@pytest.mark.parametrize("strides", ["y", "g", "both"])
def test_strides(isa, dtype, name, strides, rng):
    y, g = operands(name, rng, (5, 40), dtype)
    expected = getattr(sg, name)(y, g)
    if strides != "g":
        y = np.repeat(y, 2, axis=1)[:, ::2]
    if strides != "y":
        g = g[:, ::-1].copy()[:, ::-1]
    assert_same_bits(getattr(sg, name)(y, g), expected)


@pytest.mark.parametrize("n", [2, 17, 64, 100], ids=ids("n"))
def test_masked_entries_of_log_softmax(isa, dtype, n, rng):
    """Where ly = -inf the VJP gives g - 0, and that g counts in sum(g)."""
    ly, g = operands("log_softmax_vjp", rng, (3, n), dtype)
    ly[:, n // 2] = -np.inf
    actual = check("log_softmax_vjp", ly, g)
    assert_array_equal(actual[:, n // 2], g[:, n // 2])
    other = g.copy()
    other[:, n // 2] += 10
    assert (sg.log_softmax_vjp(ly, other)[:, 0] != actual[:, 0]).all()


@pytest.mark.parametrize("n", [5, 100], ids=ids("n"))
@pytest.mark.parametrize("ly", [80, 700, 1e3, 1e6], ids=ids("ly"))
def test_what_is_no_logarithm_of_a_probability(isa, dtype, n, ly, rng):
    """exp(ly) may overflow: that is the row's own, whatever other rows hold."""
    y, g = operands("log_softmax_vjp", rng, (9, n), dtype)
    y[4] = ly
    g[4] = rng.normal(0, np.finfo(dtype).tiny, n)
    one = sg.log_softmax_vjp(y[4], g[4])
    assert_same_bits(sg.log_softmax_vjp(y, g)[4], one)
    if ly < np.log(np.finfo(dtype).max):
        assert_close(
            one,
            reference.log_softmax_vjp(y[4], g[4]),
            terms=magnitudes("log_softmax_vjp", y[4], g[4]),
        )


@pytest.mark.parametrize("n", [1, 5, 16, 64, 100], ids=ids("n"))
def test_zero_probabilities_give_zero(isa, dtype, n, rng):
    g = rng.normal(0, 1, (2, n)).astype(dtype)
    assert_array_equal(sg.softmax_vjp(np.zeros((2, n), dtype), g), np.zeros((2, n)))


@pytest.mark.parametrize("scale", ["tiny", "max"])
@pytest.mark.parametrize("n", [4, 40, 64, 100, 5000], ids=ids("n"))
def test_products_beyond_the_range_of_float32(isa, n, scale, rng):
    """Where a product, or a pair of them, overflows or is subnormal, the sum is as exact as elsewhere; rows beside are the same."""
    dtype = np.float32
    y, g = operands("softmax_vjp", rng, (9, n), dtype)
    expected = sg.softmax_vjp(y, g)
    if scale == "tiny":  # each product is less than half of the smallest number, but not their sum
        y[4] = 2.0 ** -np.ceil(np.log2(n))
        y[4, 0] = 0.5
        g[4] = np.finfo(dtype).smallest_subnormal / y[4, 1] / 4
        g[4, 0] = 0
    else:
        y[4] = 0.75
        g[4] = 0
        g[4, : n // 4 * 4] = np.tile(np.finfo(dtype).max * np.array([1, 1, -1, -1], dtype), n // 4)
    actual = sg.softmax_vjp(y, g)
    assert_same_bits(np.delete(actual, 4, 0), np.delete(expected, 4, 0))
    wide = reference.softmax_vjp(y[4].astype(np.longdouble), g[4].astype(np.longdouble))
    smallest = np.finfo(dtype).smallest_subnormal
    assert_allclose(actual[4], wide.astype(dtype), rtol=1e-6, atol=3 * smallest)


@pytest.mark.parametrize("n", [57, 64, 1000, 4097, 20000], ids=ids("n"))
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_rows_of_halves_are_rows_of_floats(isa, half, n, rng):
    """Contiguous rows are read vector by vector, others through a copy: the same numbers, rounded."""
    half = np.dtype(getattr(pytest.importorskip("ml_dtypes"), half, half))
    y, g = (a.astype(half) for a in operands("softmax_vjp", rng, (19, n), np.float32))
    expected = sg.softmax_vjp(y.astype(np.float32), g.astype(np.float32)).astype(half)
    assert_same_bits(sg.softmax_vjp(y, g), expected)
    assert_same_bits(sg.softmax_vjp(np.asfortranarray(y), g), expected)
    assert_same_bits(sg.softmax_vjp(y, g, out=g), expected)


@by_name
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("n", [3, 17, 64, 100], ids=ids("n"))
def test_a_nan_stays_in_its_row(isa, dtype, name, n, which, rng):
    pair = operands(name, rng, (3, n), dtype)
    expected = getattr(sg, name)(*pair)
    pair[which][1, n // 2] = np.nan
    actual = getattr(sg, name)(*pair)
    assert np.isnan(actual[1, n // 2])
    assert_same_bits(actual[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("n", [3, 17, 64, 100, 5000], ids=ids("n"))
@pytest.mark.parametrize("name", ["log_softmax_vjp", "log_softmax_jvp"])
def test_a_nan_reaches_what_underflows_and_no_masked_entry(isa, dtype, name, n, rng):
    """exp(-5000) is 0 in the dtype, but its product with NaN is none; an entry of -inf takes no part at all."""
    ly, g = operands(name, rng, (3, n), dtype)
    ly[:, 0] = [-5000, -np.inf, -np.inf]
    g[:, n - 1] = [np.nan, np.nan, 0.5]
    g[2, 0] = np.nan
    with np.errstate(invalid="ignore"):
        actual = getattr(sg, name)(ly, g)
    assert np.isnan(actual[0]).all()
    if name == "log_softmax_vjp":
        assert actual[1, 0] == g[1, 0]
        assert np.isnan(actual[[1, 2], 1:]).all()  # its g counts in the sum
    else:
        assert np.isnan(actual[1]).all()
        expected = getattr(sg, name)(ly[2, 1:], g[2, 1:])
        np.testing.assert_allclose(actual[2, 1:], expected, 1e-5 if dtype == np.float32 else 1e-13)


@by_name
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0,)], ids=str)
def test_empty(name, shape):
    assert getattr(sg, name)(np.zeros(shape), np.zeros(shape)).shape == shape


@pytest.mark.parametrize(("dtype", "y", "g"), [("f4", -131.9, 1e30), ("f8", -1063.4, 1e300)])
def test_exponentials_far_below_the_largest(isa, dtype, y, g):
    """2^-190 and 2^-1534 of it: the last that are not 0 have all their digits (docs/numerics.md)."""
    ly = np.array([[0, y]], dtype)
    expected = float(-mpmath.exp(float(ly[0, 1])) * float(np.array(g, dtype)))
    got = sg.log_softmax_vjp(ly, np.array([[g, 0]], dtype))[0, 1]
    assert abs(got - expected) <= 3 * np.finfo(dtype).eps * abs(expected)
