"""NaN, infinities and extreme rows, in every lane and tail position: the table of special values."""

import numpy as np
import pytest
import reference
from helpers import SHORT, assert_close, assert_same_bits, ids
from numpy.testing import assert_array_equal

import softgrad as sg

SIZES = [*SHORT, 127, 128, 129, 255, 256, 257, 271, 4095, 4096, 4097]
by_size = pytest.mark.parametrize("n", SIZES, ids=ids("n"))
INF, NAN = np.inf, np.nan


def positions(n):
    """Every position of a short row; in a long one the ends and the edges of its vectors."""
    ends = [0, 15, 16, 63, 64, n // 2, n - 65, n - 64, n - 17, n - 16, n - 2, n - 1]
    return np.arange(n) if n <= 70 else np.array(ends)


def rows_with(n, dtype, rng, *values):
    """(x, at): rows of noise, each value at each position, and an ordinary row at the end."""
    at = np.tile(positions(n), max(1, len(values)))
    x = rng.normal(0, 2, (len(at) + 1, n)).astype(dtype)
    if values:
        x[np.arange(len(at)), at] = np.repeat(values, len(at) // len(values))
    return x, at


def run(function, x, *targets, **options):
    """function on rows, and on the same rows along axis 0: the same bits."""
    result = function(x, *targets, **options)
    columns = np.ascontiguousarray(x.T)
    assert_same_bits(
        np.ascontiguousarray(np.asarray(function(columns, *targets, axis=0, **options)).T), result
    )
    return result


def hot(at, n):
    return (np.arange(n) == at[:, None]).astype(float)


def check_last_row(x, *results):
    """A bad row does not touch another one."""
    for function, result in zip((sg.softmax, sg.log_softmax, sg.logsumexp), results, strict=True):
        assert_same_bits(result[-1:], function(x[-1:]))
        assert np.isfinite(result[-1]).all()


def three(x):
    return run(sg.softmax, x), run(sg.log_softmax, x), run(sg.logsumexp, x)


@by_size
def test_nan(isa, dtype, n, rng):
    x, _ = rows_with(n, dtype, rng, NAN)
    results = three(x)
    for result in results:
        assert np.isnan(result[:-1]).all()
    check_last_row(x, *results)
    loss, grad, hess = losses(x, np.zeros(len(x), int))
    assert np.isnan(loss[:-1]).all()
    assert np.isnan(grad[:-1]).all()
    assert np.isnan(hess[:-1]).all()
    assert np.isfinite(grad[-1]).all()


@pytest.mark.parametrize("other", [INF, -INF, 1e30])
@pytest.mark.parametrize("n", [2, 3, 16, 17, 40, 64, 65, 129, 257, 300, 4097], ids=ids("n"))
def test_nan_beside_other_extremes(isa, dtype, n, other, rng):
    x, at = rows_with(n, dtype, rng, NAN)
    x[np.arange(len(at)), at - 1] = other
    for result in three(x):
        assert np.isnan(result[:-1]).all()


def losses(x, labels):
    grad, hess = sg.cross_entropy_grad_hess(x, labels, reduction="none")
    return run(sg.cross_entropy, x, labels, reduction="none"), grad, hess


@by_size
def test_one_positive_infinity(isa, dtype, n, rng):
    x, at = rows_with(n, dtype, rng, INF)
    s, log_s, lse = three(x)
    assert_array_equal(s[:-1], hot(at, n))
    assert_array_equal(log_s[:-1], np.where(hot(at, n), 0, -INF))
    assert_array_equal(lse[:-1], INF)
    check_last_row(x, s, log_s, lse)


@by_size
def test_losses_of_a_positive_infinity(isa, dtype, n, rng):
    x, at = rows_with(n, dtype, rng, INF)
    on = np.append(at, 0)
    loss, grad, _ = losses(x, on)
    assert_array_equal(loss[:-1], np.zeros(len(at)))
    assert_array_equal(grad[:-1], np.zeros((len(at), n)))
    off = (on + 1) % n
    if n > 1:
        loss, grad, _ = losses(x, off)
        assert_array_equal(loss[:-1], np.full(len(at), INF))
        assert_array_equal(grad[:-1], hot(at, n) - hot(off[:-1], n))


@pytest.mark.parametrize("k", [2, 3, 5, 16])
@pytest.mark.parametrize(
    "n", [2, 3, 5, 8, 16, 17, 33, 64, 65, 70, 129, 257, 300, 4097], ids=ids("n")
)
def test_several_positive_infinities(isa, dtype, n, k, rng):
    x, at = rows_with(n, dtype, rng)
    k = min(k, n)
    for row, p in zip(x, at, strict=False):
        row[(p + np.arange(k) * max(1, n // k)) % n] = INF
    infinite = np.isinf(x)
    infinite[-1] = False
    count = np.broadcast_to(infinite.sum(-1, keepdims=True), x.shape)[:-1]
    s, log_s, lse = three(x)
    equal = sg.softmax(np.zeros((1, k), dtype)), sg.log_softmax(np.zeros((1, k), dtype))
    assert (count == k).all()
    assert_array_equal(s[:-1], np.where(infinite[:-1], equal[0][0, 0], 0))
    assert_array_equal(log_s[:-1], np.where(infinite[:-1], equal[1][0, 0], -INF))
    assert_array_equal(lse[:-1], INF)
    check_last_row(x, s, log_s, lse)
    loss, grad, _ = losses(x, np.append(at, 0))
    assert_close(loss[:-1], np.full(len(at), np.log(np.longdouble(k))))
    assert_close(grad[:-1], infinite[:-1] / np.longdouble(k) - hot(at, n))


@by_size
def test_negative_infinity_counts_nothing(isa, dtype, n, rng):
    x, at = rows_with(n, dtype, rng, -INF if n > 1 else 0)
    s, log_s, lse = three(x)
    assert_close(s, reference.softmax(x))
    assert_close(log_s, reference.log_softmax(x), terms=1)
    assert_close(lse, reference.logsumexp(x), terms=10)
    if n > 1:
        rows = np.arange(len(at))
        assert_array_equal(s[rows, at], np.zeros(len(at)))
        assert_array_equal(log_s[rows, at], np.full(len(at), -INF))
        loss, grad, _ = losses(x, np.append(at, 0))
        assert_array_equal(loss[:-1], np.full(len(at), INF))
        assert_close(grad[:-1], reference.softmax(x[:-1]) - hot(at, n))
    check_last_row(x, s, log_s, lse)


@by_size
def test_only_negative_infinity(isa, dtype, n, rng):
    x, _ = rows_with(n, dtype, rng)
    x[:-1] = -INF
    s, log_s, lse = three(x)
    assert np.isnan(s[:-1]).all()
    assert np.isnan(log_s[:-1]).all()
    assert_array_equal(lse[:-1], -INF)
    check_last_row(x, s, log_s, lse)
    loss, grad, hess = losses(x, np.zeros(len(x), int))
    assert np.isnan(loss[:-1]).all()
    assert np.isnan(grad[:-1]).all()
    assert np.isnan(hess[:-1]).all()


def check_reference(x, **log_options):
    s, log_s, lse = three(x)
    assert_close(s, reference.softmax(x))
    assert_close(log_s, reference.log_softmax(x), **log_options)
    assert_close(lse, reference.logsumexp(x), terms=10)


@by_size
def test_one_finite_value_among_negative_infinities(isa, dtype, n, rng):
    x, at = rows_with(n, dtype, rng, 0.0, -1000.0, 1e30, -1e30)
    finite = x[np.arange(len(at)), at]
    x[:-1] = np.where(hot(at, n), finite[:, None], -INF)
    s, log_s, lse = three(x)
    assert_array_equal(s[:-1], hot(at, n))
    assert_array_equal(log_s[:-1], np.where(hot(at, n), 0, -INF))
    assert_array_equal(lse[:-1], finite)


@by_size
def test_rows_far_below_zero(isa, dtype, n, rng):
    """A maximum that starts at a small positive number gives NaN for rows below -104."""
    x = rows_with(n, dtype, rng)[0]
    low = np.array([-200.0, -1e4, -1e6, -1e30, 0.0], dtype)[:, None, None]
    check_reference((x + low).reshape(-1, n), terms=1)


@by_size
def test_the_maximum_in_every_position(isa, dtype, n, rng):
    check_reference(rows_with(n, dtype, rng, 5.0, 95.0, 1e5, 1e30)[0], ulps=4)


@by_size
def test_an_entry_far_below_the_others(isa, dtype, n, rng):
    check_reference(rows_with(n, dtype, rng, -90.0, -110.0, -800.0, -1e5, -1e30)[0], terms=1)


def test_the_largest_finite_numbers(isa, dtype):
    big = np.finfo(dtype).max
    x = np.array([[big, -big, 0], [big, big, -big], [-big, -big, -big], [big, INF, 0]], dtype)
    with np.errstate(all="raise"):
        s, log_s, lse = sg.softmax(x), sg.log_softmax(x), sg.logsumexp(x)
    assert_array_equal(s[:3], np.array([[1, 0, 0], [0.5, 0.5, 0], [1 / dtype.type(3)] * 3], dtype))
    assert_array_equal(log_s[0], np.array([0, -INF, -big], dtype))  # -2 max overflows
    assert_array_equal(lse, np.array([big, big, -big, INF], dtype))
    assert_array_equal(s[3], [0, 1, 0])
    assert_array_equal(sg.cross_entropy(x, [1, 0, 0, 1], reduction="none")[[0, 3]], [INF, 0])


def test_signed_zeros_are_equal(isa, dtype):
    for n in (1, 2, 7, 16, 33, 100):
        x = np.where(np.arange(n) % 2, -0.0, 0.0).astype(dtype)
        assert_same_bits(sg.softmax(x), sg.softmax(np.zeros(n, dtype)))
        assert_same_bits(sg.log_softmax(-x), sg.log_softmax(np.zeros(n, dtype)))


def test_subnormal_logits(isa, dtype):
    x = np.array([1, -3, 0, 7], dtype) * np.finfo(dtype).smallest_subnormal
    assert_close(sg.softmax(x), np.full(4, 0.25), ulps=2)
    assert_close(sg.logsumexp(x), np.log(np.longdouble(4)), ulps=3)
    assert sg.logsumexp(x[:1]) == x[0]


@pytest.mark.parametrize("where_bad", ["first", "middle", "last"])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("n", [1, 3, 16, 64, 100, 1000], ids=ids("n"))
def test_a_bad_row_leaves_the_others_alone(isa, dtype, n, bad, where_bad, rng):
    rows = 37
    r = {"first": 0, "middle": 17, "last": 36}[where_bad]
    x = rng.normal(0, 3, (rows, n)).astype(dtype)
    labels = rng.integers(0, n, rows)
    good = np.arange(rows) != r
    broken = x.copy()
    broken[r] = bad
    for function in (sg.softmax, sg.log_softmax, sg.logsumexp):
        assert_same_bits(run(function, broken)[good], function(x)[good])
    left, right = (
        sg.cross_entropy_value_and_grad(v, labels, reduction="none") for v in (broken, x)
    )
    for a, b in zip(left, right, strict=True):
        assert_same_bits(a[good], b[good])


def test_no_classes(dtype):
    x = np.zeros((3, 0), dtype)
    assert sg.softmax(x).shape == sg.log_softmax(x).shape == (3, 0)
    assert_array_equal(sg.logsumexp(x), np.full(3, -INF))
    assert sg.logsumexp(x, None) == -INF
    assert sg.softmax(np.zeros((0, 3), dtype)).shape == (0, 3)
    assert sg.logsumexp(np.zeros((0, 3), dtype)).shape == (0,)


def test_no_floating_point_warnings(isa, dtype):
    """Nothing that NumPy would report is raised, whatever the rows hold."""
    x = np.array(
        [[INF, -INF, NAN, 0], [-INF] * 4, [1e30, -1e30, 0, 0], [0, -90, -100, -800]], dtype
    )
    with np.errstate(all="raise"):
        sg.softmax(x)
        sg.log_softmax(x)
        sg.logsumexp(x, b=[1, -1, 1, 0])
        sg.softmax_jacobian(x)
        sg.softmax_vjp(x, x)
        sg.log_softmax_jvp(x, x)
        sg.cross_entropy_grad_hess(x, [0, 1, 2, 3], z_loss=0.1)
        sg.log_loss_value_and_grad(x, [0, 1, 2, 3])
