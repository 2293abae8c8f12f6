"""The Jacobians of softmax and log_softmax."""

import numpy as np
import pytest
import reference
from helpers import assert_close, assert_same_bits, derivative, ids
from numpy.testing import assert_allclose, assert_array_equal

import softgrad as sg

NAMES = ["softmax_jacobian", "log_softmax_jacobian"]
by_name = pytest.mark.parametrize("name", NAMES)


def check(name, x, *args, **options):
    actual = getattr(sg, name)(x, *args, **options)
    assert_close(actual, getattr(reference, name)(x, *args, **options))
    return actual


@by_name
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 16, 17, 33, 64, 65, 100], ids=ids("n"))
def test_jacobian(isa, dtype, name, n, rng):
    assert check(name, rng.normal(0, 2, (3, n)).astype(dtype)).shape == (3, n, n)


@by_name
def test_a_large_jacobian(isa, dtype, name, rng):
    check(name, rng.normal(0, 2, (1, 700)).astype(dtype))


def test_known_answer():
    s = [0.16205871, 0.15308274, 0.22661096, 0.22634251, 0.23190508]
    jacobian = sg.softmax_jacobian(np.log(s))
    diagonal = [0.13579568, 0.12964841, 0.17525843, 0.17511158, 0.17812512]
    assert_allclose(np.diag(jacobian), diagonal, rtol=0, atol=1e-8)
    assert jacobian[0, 1] == pytest.approx(-0.02480839, abs=1e-8)
    assert jacobian[3, 4] == pytest.approx(-0.05248998, abs=1e-8)


@by_name
@pytest.mark.parametrize(
    ("shape", "axis", "result"),
    [
        ((3, 4, 5), 0, (4, 5, 3, 3)),
        ((3, 4, 5), 1, (3, 5, 4, 4)),
        ((3, 4, 5), -2, (3, 5, 4, 4)),
        ((3, 4, 5), 2, (3, 4, 5, 5)),
        ((2, 33, 20), 1, (2, 20, 33, 33)),
        ((6,), 0, (6, 6)),
        ((2, 1, 3), 1, (2, 3, 1, 1)),
    ],
)
def test_the_axis_moves_to_the_end(isa, dtype, name, shape, axis, result, rng):
    x = rng.normal(0, 2, shape).astype(dtype)
    actual = check(name, x, axis)
    assert actual.shape == result
    assert_same_bits(actual, getattr(sg, name)(np.moveaxis(x, axis, -1)))


@by_name
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10, 15, 16, 17], ids=ids("n"))
@pytest.mark.parametrize("kind", ["usual", "tiny", "masked", "special"])
@pytest.mark.parametrize("temperature", [1.0, 0.25, 30.0])
def test_rows_of_few_classes_together(isa, dtype, name, n, kind, temperature, rng):
    """Whole tiles of matrices are made in lanes, the rows that are left one by one: with the same bits, also where entries are nearly 0, and where
    matrices are not one behind the other."""
    function = getattr(sg, name)
    x = rng.normal(0, 2, (37, n)).astype(dtype)
    if kind == "tiny":
        x[::3, 0] = np.log(np.finfo(dtype).tiny) * temperature * np.linspace(0.3, 1.1, 13)
    elif kind == "masked":
        x[rng.random(x.shape) < 0.1] = -np.inf
    elif kind == "special":
        x[3, 0], x[20], x[30, n - 1] = np.nan, -np.inf, np.inf
        x[7] += 2**20 if dtype == np.float32 else 2**45
    whole = (
        check(name, x, temperature=temperature)
        if kind != "special"
        else function(x, temperature=temperature)
    )
    for row, expected in zip(x, whole, strict=True):
        assert_same_bits(function(row, temperature=temperature), expected)
    memory = np.full((37, n * n + 3), 7, dtype)
    strides = memory.strides[0], n * dtype.itemsize, dtype.itemsize
    out = np.lib.stride_tricks.as_strided(memory, (37, n, n), strides)
    function(x, temperature=temperature, out=out)
    assert_same_bits(out.copy(), whole)
    assert (memory[:, n * n :] == 7).all()


@by_name
@pytest.mark.parametrize("temperature", [0.5, 1, 3.0, 0.7])
def test_temperature(isa, dtype, name, temperature, rng):
    check(name, rng.normal(0, 2, (4, 12)).astype(dtype), temperature=temperature)


@by_name
@pytest.mark.parametrize("n", [2, 17, 300], ids=ids("n"))
def test_a_confident_row_at_a_low_temperature(isa, dtype, name, n, rng):
    """1 - s is subnormal before the division by the temperature, not after it."""
    temperature = dtype.type(1e-3)
    x = np.zeros((3, n), dtype)
    x[:, 1:] = np.log(np.finfo(dtype).tiny) * temperature * np.array([[0.99], [1.0], [1.02]], dtype)
    check(name, x, temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_is_the_derivative(name, temperature, rng):
    x = rng.normal(0, 1, 6)
    numeric = derivative(lambda z: getattr(sg, name)(z, temperature=temperature), x)
    analytic = getattr(sg, f"{name}_jacobian")(x, temperature=temperature)
    assert_allclose(analytic, numeric, rtol=0, atol=1e-9)


def test_softmax_jacobian_is_symmetric(isa, dtype, rng):
    jacobian = sg.softmax_jacobian(rng.normal(0, 5, (4, 37)).astype(dtype))
    assert_same_bits(np.ascontiguousarray(jacobian.swapaxes(-1, -2)), jacobian)


def test_rows_sum_to_zero(dtype, rng):
    x = rng.normal(0, 2, (4, 30)).astype(dtype)
    for name in NAMES:
        jacobian = getattr(sg, name)(x).astype(np.longdouble)
        assert_close(
            jacobian.sum(-1).astype(dtype), np.zeros((4, 30)), terms=np.abs(jacobian).sum(-1)
        )


@by_name
@pytest.mark.parametrize("order", ["C", "F", "negative"])
def test_out(isa, dtype, name, order, rng):
    x = rng.normal(0, 2, (3, 9)).astype(dtype)
    out = np.full((3, 9, 9), 7, dtype, order="F" if order == "F" else "C")
    out = out[::-1, ::-1, ::-1] if order == "negative" else out
    assert getattr(sg, name)(x, out=out) is out
    assert_same_bits(out.copy(), getattr(sg, name)(x))


@by_name
def test_out_may_overlap_the_input(dtype, name, rng):
    n = 6
    memory = rng.normal(0, 2, n * n).astype(dtype)
    for start in (0, 5, n * n - n):
        buffer = memory.copy()
        x, out = buffer[start : start + n], buffer.reshape(n, n)
        expected = getattr(sg, name)(x.copy())
        assert getattr(sg, name)(x, out=out) is out
        assert_same_bits(out, expected)


@pytest.mark.parametrize("n", [3, 17, 100], ids=ids("n"))
def test_a_saturated_row_keeps_its_diagonal(isa, dtype, n):
    """s -> 1: the diagonal is s'(1 - s'), not the 0 that 1 - s would give."""
    x = np.full(n, -60, dtype)
    x[n // 2] = 0
    jacobian = check("softmax_jacobian", x)
    assert jacobian[n // 2, n // 2] > 0
    assert check("log_softmax_jacobian", x)[n // 2, n // 2] > 0


def test_special_rows(isa, dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[1, nan, 2], [-inf] * 3, [0, inf, inf], [0, -inf, 0], [1, 2, 3]], dtype)
    jacobian, log_jacobian = sg.softmax_jacobian(x), sg.log_softmax_jacobian(x)
    assert np.isnan(jacobian[:2]).all()
    assert np.isnan(log_jacobian[:2]).all()
    assert_array_equal(jacobian[2], [[0, 0, 0], [0, 0.25, -0.25], [0, -0.25, 0.25]])
    assert_array_equal(log_jacobian[2], [[1, -0.5, -0.5], [0, 0.5, -0.5], [0, -0.5, 0.5]])
    assert_array_equal(jacobian[3], [[0.25, 0, -0.25], [0, 0, 0], [-0.25, 0, 0.25]])
    assert_close(jacobian[4], reference.softmax_jacobian(x[4]))
    assert_close(log_jacobian[4], reference.log_softmax_jacobian(x[4]))


@by_name
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0,), (0, 0)], ids=str)
def test_empty(name, shape):
    assert getattr(sg, name)(np.zeros(shape)).shape == (*shape, shape[-1])
