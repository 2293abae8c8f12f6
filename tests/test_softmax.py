"""softmax, log_softmax and logsumexp against the plain references, with all their options."""

import numpy as np
import pytest
import reference
import scipy.special
from helpers import FEW, assert_close, assert_same_bits, ids
from numpy.testing import assert_array_equal

import softgrad as sg

FUNCTIONS = ["softmax", "log_softmax", "logsumexp"]
AXES = [0, 1, 2, -1, -2, -3, (0, 1), (1, 2), (2, 0), (-1, 0), (0, 1, 2), None]
by_axis = pytest.mark.parametrize("axis", AXES, ids=str)
by_function = pytest.mark.parametrize("name", FUNCTIONS)


def check(name, x, *args, **options):
    """The result, found close to the reference."""
    actual = getattr(sg, name)(x, *args, **options)
    expected = getattr(reference, name)(x, *args, **options)
    terms = np.nanmax(np.abs(x), initial=0, where=np.isfinite(x)) if name == "logsumexp" else 0
    assert_close(actual, expected, terms=terms)
    return actual


@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_softmax(isa, dtype, n, rng):
    check("softmax", rng.normal(0, 5, (5, n)).astype(dtype))


@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_log_softmax(isa, dtype, n, rng):
    check("log_softmax", rng.normal(0, 5, (5, n)).astype(dtype))


@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_logsumexp(isa, dtype, n, rng):
    check("logsumexp", rng.normal(0, 5, (5, n)).astype(dtype))


@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_agrees_with_scipy(n, rng):
    x = rng.normal(0, 1, (3, n))
    np.testing.assert_allclose(sg.softmax(x), scipy.special.softmax(x, -1), rtol=1e-13)
    np.testing.assert_allclose(
        sg.log_softmax(x), scipy.special.log_softmax(x, -1), rtol=1e-13, atol=1e-14
    )
    np.testing.assert_allclose(
        sg.logsumexp(x), scipy.special.logsumexp(x, -1), rtol=1e-13, atol=1e-14
    )


@by_axis
@by_function
def test_axis(isa, dtype, name, axis, rng):
    check(name, rng.normal(0, 3, (4, 5, 21)).astype(dtype), axis)


@by_function
@pytest.mark.parametrize("shape", [(3, 70, 4), (2, 33, 65), (1, 1000, 17), (5, 2, 300)], ids=str)
def test_long_strided_axis(isa, dtype, name, shape, rng):
    check(name, rng.normal(0, 3, shape).astype(dtype), 1)


@by_axis
def test_keepdims(axis, rng):
    x = rng.normal(0, 3, (4, 5, 6))
    kept = check("logsumexp", x, axis, keepdims=True)
    assert kept.shape == x.sum(axis=axis, keepdims=True).shape
    assert isinstance(kept, np.ndarray)
    assert_array_equal(np.squeeze(kept, axis), sg.logsumexp(x, axis))


def test_log_softmax_is_what_is_above_logsumexp(dtype, rng):
    x = rng.normal(0, 3, (6, 9)).astype(dtype)
    lse = sg.logsumexp(x, keepdims=True)
    assert_close(sg.log_softmax(x), x.astype(np.longdouble) - lse, terms=np.abs(x) + np.abs(lse))


@pytest.mark.parametrize(
    "temperature", [0.1, 0.7, 1, 2.0, 3.3, 1e4, np.float32(0.3), np.float64(0.3)]
)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_temperature_is_a_rounded_division(isa, dtype, name, temperature, rng):
    x = rng.normal(0, 5, (5, 33)).astype(dtype)
    actual = check(name, x, temperature=temperature)
    assert_same_bits(actual, getattr(sg, name)(x / dtype.type(temperature)))


# --- where


@by_axis
@by_function
def test_where(isa, dtype, name, axis, rng):
    x = rng.normal(0, 3, (4, 5, 21)).astype(dtype)
    check(name, x, axis, where=rng.random(x.shape) < 0.6)


@by_function
@pytest.mark.parametrize("shape", [(21,), (5, 1), (4, 1, 1), (1, 1, 21), (1, 5, 21), ()], ids=str)
def test_where_is_broadcast(dtype, name, shape, rng):
    mask = rng.random(shape) < 0.6 if shape else np.bool_(True)
    check(name, rng.normal(0, 3, (4, 5, 21)).astype(dtype), where=mask)


@by_function
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("n", [2, 17, 64, 100, 1000], ids=ids("n"))
def test_masked_entries_may_hold_anything(isa, dtype, name, n, junk, rng):
    mask = rng.random((5, n)) < 0.5
    mask[:, 0] = True
    x = rng.normal(0, 3, mask.shape).astype(dtype)
    clean = check(name, x, where=mask)
    x[~mask] = junk
    assert_same_bits(check(name, x, where=mask), clean)


def test_where_equals_leaving_the_entries_out(isa, dtype, rng):
    x = rng.normal(0, 3, 40).astype(dtype)
    mask = rng.random(40) < 0.5
    assert_close(sg.softmax(x, where=mask)[mask], reference.softmax(x[mask]))
    assert_close(sg.logsumexp(x, where=mask), reference.logsumexp(x[mask]), terms=3)


@pytest.mark.parametrize("n", [1, 5, 16, 64, 100], ids=ids("n"))
def test_a_fully_masked_row(isa, dtype, n, rng):
    x = rng.normal(0, 3, (3, n)).astype(dtype)
    x[1] = np.nan
    mask = np.ones((3, n), bool)
    mask[1] = False
    assert_array_equal(sg.softmax(x, where=mask)[1], np.zeros(n))
    assert_array_equal(sg.log_softmax(x, where=mask)[1], np.full(n, -np.inf))
    assert sg.logsumexp(x, where=mask)[1] == -np.inf
    for name in FUNCTIONS:
        check(name, x, where=mask)


def test_masked_entries_beside_a_bad_one(isa, dtype):
    """Masked entries get 0 and -inf whatever the rest of the row gives."""
    x = np.array([[1, np.nan, 2], [1, -np.inf, -np.inf], [1, np.inf, 2]], dtype)
    mask = np.array([False, True, True])
    nan = np.nan
    assert_array_equal(sg.softmax(x, where=mask), [[0, nan, nan], [0, nan, nan], [0, 1, 0]])
    log = sg.log_softmax(x, where=mask)
    assert_array_equal(log, [[-np.inf, nan, nan], [-np.inf, nan, nan], [-np.inf, 0, -np.inf]])
    assert_array_equal(sg.logsumexp(x, where=mask), [nan, -np.inf, np.inf])


def test_where_with_temperature(dtype, rng):
    x = rng.normal(0, 3, (3, 20)).astype(dtype)
    mask = rng.random(x.shape) < 0.7
    check("softmax", x, temperature=2.5, where=mask)
    check("log_softmax", x, temperature=2.5, where=mask)


# --- b of logsumexp


@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_b(isa, dtype, n, rng):
    x = rng.normal(0, 3, (4, n)).astype(dtype)
    b = rng.random((4, n)).astype(dtype)
    check("logsumexp", x, b=b)
    np.testing.assert_allclose(
        sg.logsumexp(x, b=b),
        scipy.special.logsumexp(x.astype(float), -1, b=b),
        rtol=1e-5,
        atol=1e-5,
    )


@by_axis
def test_b_and_axis(dtype, axis, rng):
    x = rng.normal(0, 3, (4, 5, 6)).astype(dtype)
    b = rng.random(x.shape).astype(dtype)
    check("logsumexp", x, axis, b=b)
    check("logsumexp", x, axis, b=b, keepdims=True, where=rng.random(x.shape) < 0.7)


@pytest.mark.parametrize(
    "b",
    [2.0, [[1], [2], [3]], [0.5, 0, 1, 2, 3], np.arange(15).reshape(3, 5), np.ones((2, 1, 5))],
    ids=str,
)
def test_b_is_broadcast_and_converted(dtype, b, rng):
    x = rng.normal(0, 1, (3, 5)).astype(dtype)
    assert check("logsumexp", x, b=b).dtype == dtype


def test_b_of_mixed_signs(isa, dtype):
    x = np.array([[1, 2, 3], [1, 2, 3], [0, 0, 0]], dtype)
    b = np.array([[1, -1, 1], [1, 1, -1], [1, 1, -2]], dtype)
    actual = sg.logsumexp(x, b=b)
    one, two, three = np.exp(np.arange(1, 4, dtype=np.longdouble))
    assert_close(actual[0], np.log(one - two + three), terms=3)
    assert np.isnan(actual[1]), "a negative sum"
    assert actual[2] == -np.inf, "a sum of zero"


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("n", [2, 17, 100, 1000], ids=ids("n"))
def test_b_of_zero_drops_its_entry(isa, dtype, n, zero, junk, rng):
    x = rng.normal(0, 3, (3, n)).astype(dtype)
    b = rng.random((3, n)).astype(dtype) + dtype.type(0.1)
    b[:, n // 2] = zero
    clean = check("logsumexp", x, b=b)
    x[:, n // 2] = junk
    assert_same_bits(check("logsumexp", x, b=b), clean)


def test_b_all_zero(isa, dtype):
    assert sg.logsumexp(np.array([1, np.nan], dtype), b=[0, 0]) == -np.inf


def test_b_of_a_huge_row(isa, dtype, rng):
    """b decides what the largest term is: a tiny b at the maximum, ordinary ones below."""
    x = np.array([100, 0, -3], dtype)
    b = np.array([np.finfo(dtype).tiny, 1, 2], dtype)
    expected = np.log((b.astype(np.longdouble) * np.exp(x.astype(np.longdouble))).sum())
    assert_close(sg.logsumexp(x, b=b), expected, terms=100)
