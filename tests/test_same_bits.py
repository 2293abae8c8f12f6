"""The bits of a row depend on its values, its length, the dtype and the options: not on the instruction
set, the threads, the batch, the strides, the axis, the alignment or out=.
"""

import numpy as np
import pytest
from helpers import EDGES, SHORT, assert_same_bits, ids, layouts

import softgrad as sg
from softgrad import _core

ROWS = 11
by_size = pytest.mark.parametrize("n", [*SHORT, *EDGES], ids=ids("n"))
few_sizes = pytest.mark.parametrize(
    "n", [1, 2, 3, 7, 10, 16, 21, 33, 64, 70, 100, 129, 256, 257, 300, 1000, 4097], ids=ids("n")
)

NONE = {"reduction": "none"}
EVERYTHING = NONE | {"label_smoothing": 0.1, "temperature": 1.3, "z_loss": 0.01}

# name -> function(x, y, labels, axis): x any logits, y in (0, 1); everything row by row
CASES = {
    "softmax": lambda x, y, t, axis: sg.softmax(x, axis),
    "log_softmax": lambda x, y, t, axis: sg.log_softmax(x, axis),
    "logsumexp": lambda x, y, t, axis: sg.logsumexp(x, axis),
    "logsumexp_b": lambda x, y, t, axis: sg.logsumexp(x, axis, b=y),
    "where": lambda x, y, t, axis: sg.softmax(x, axis, where=y > 0.3),
    "softmax_vjp": lambda x, y, t, axis: sg.softmax_vjp(y, x, axis),
    "log_softmax_vjp": lambda x, y, t, axis: sg.log_softmax_vjp(-y, x, axis),
    "log_softmax_jvp": lambda x, y, t, axis: sg.log_softmax_jvp(-y, x, axis),
    "labels": lambda x, y, t, axis: sg.cross_entropy_value_and_grad(x, t, axis, **NONE),
    "probabilities": lambda x, y, t, axis: sg.cross_entropy_value_and_grad(x, y, axis, **NONE),
    "grad_hess": lambda x, y, t, axis: sg.cross_entropy_grad_hess(x, t, axis, **EVERYTHING),
    "options": lambda x, y, t, axis: sg.cross_entropy_value_and_grad(x, y, axis, **EVERYTHING),
    "log_loss": lambda x, y, t, axis: sg.log_loss_value_and_grad(y, t, axis, **NONE),
    "log_loss_probabilities": lambda x, y, t, axis: sg.log_loss_value_and_grad(y, y, axis, **NONE),
}
by_case = pytest.mark.parametrize("case", CASES)


def data(n, dtype, rows=ROWS):
    """(x, y, labels): rows of every size of logits, some of them special."""
    rng = np.random.default_rng(n)
    scale = np.resize([1, 5, 0.01, 80, 1e6, 3], rows)[:, None]
    x = (
        rng.normal(0, 1, (rows, n)) * scale + np.resize([0, -30, 7, 0, 0, 1e7, -1e6], rows)[:, None]
    ).astype(dtype)
    labels = rng.integers(0, n, rows)
    if rows > 8:
        x[3, n // 2], x[5, n - 1], x[7, 0] = np.inf, -np.inf, np.nan
        labels[2] = -100
    return x, rng.random((rows, n)).astype(dtype) + dtype.type(1e-3), labels


def everything(n, dtype, axis=-1):
    return {name: case(*data(n, dtype), axis) for name, case in CASES.items()}


def part(result, rows):
    return tuple(a[rows] for a in result) if isinstance(result, tuple) else result[rows]


def last(result):
    """Results along axis 0, with the class axis moved to the end."""
    move = lambda a: np.ascontiguousarray(np.moveaxis(a, 0, -1)) if a.ndim > 1 else a  # noqa: E731
    return tuple(map(move, result)) if isinstance(result, tuple) else move(result)


@by_size
def test_instruction_sets(dtype, n):
    before = _core.current_isa()
    found = {}
    try:
        for name in _core.available_isas():
            _core.use_isa(name)
            found[name] = everything(n, dtype)
            if n <= 130:
                found[name]["jacobian"] = sg.softmax_jacobian(data(n, dtype)[0])
                found[name]["log_jacobian"] = sg.log_softmax_jacobian(data(n, dtype)[0])
    finally:
        _core.use_isa(before)
    for name, results in found.items():
        for case, result in results.items():
            assert_same_bits(result, found[before][case], f"{case}: {name} against {before}")


@by_size
def test_row_by_row(isa, dtype, n):
    x, y, t = data(n, dtype)
    for name, case in CASES.items():
        whole = case(x, y, t, -1)
        for r in range(ROWS):
            one = slice(r, r + 1)
            assert_same_bits(case(x[one], y[one], t[one], -1), part(whole, one), f"{name}, row {r}")
            single = case(x[r], y[r], t[r], -1)
            assert_same_bits(single, part(whole, r), f"{name}, row {r} alone")


@by_case
@few_sizes
def test_batches(isa, dtype, n, case):
    x, y, t = data(n, dtype, 67)
    whole = CASES[case](x, y, t, -1)
    for start, stop in [(0, 2), (1, 4), (3, 8), (0, 16), (5, 22), (1, 33), (2, 66), (60, 67)]:
        rows = slice(start, stop)
        assert_same_bits(
            CASES[case](x[rows], y[rows], t[rows], -1), part(whole, rows), f"rows {start}:{stop}"
        )


@by_case
@pytest.mark.parametrize("n", [57, 64, 200, 256, 257, 1000, 9001], ids=ids("n"))
@pytest.mark.parametrize("odd", ["none", "far", "ignored"])
def test_many_rows_together(isa, dtype, n, case, odd):
    """Rows go together, and leave results to those that come next: not where one of these is far, or none of them counts."""
    rng = np.random.default_rng(n)
    rows = 70 if n <= 1000 else 7
    x, y = rng.normal(0, 3, (rows, n)).astype(dtype), rng.random((rows, n)).astype(dtype)
    t = rng.integers(0, n, rows)
    if odd == "far":
        high = dtype.type(2**13 if dtype.itemsize == 2 else 2**41)
        if n > 1000:
            x[2, -1], x[5] = high, x[5] + high
        else:
            x[20] += high
    if odd == "ignored":
        t[16:32] = t[rows - 2] = -100  # all of a tile, for one
    whole = CASES[case](x, y, t, -1)
    for r in range(len(x)):
        one = slice(r, r + 1)
        assert_same_bits(CASES[case](x[one], y[one], t[one], -1), part(whole, one), f"row {r}")


@pytest.mark.parametrize("n", [64, 257, 1000, 9001], ids=ids("n"))
def test_many_rows_in_place(isa, dtype, n):
    rng = np.random.default_rng(n)
    rows = 70 if n <= 1000 else 7
    x, t = rng.normal(0, 3, (rows, n)).astype(dtype), rng.integers(0, n, rows)
    if n > 1000 and dtype.itemsize > 2:
        x[2, -1] = 2**41
    for function, *targets in [(sg.softmax,), (sg.log_softmax,), (sg.cross_entropy_grad, t)]:
        out = x.copy()
        assert function(out, *targets, out=out) is out
        assert_same_bits(out, function(x, *targets), function.__name__)


@pytest.mark.parametrize(
    "n", [57, 64, 127, 128, 150, 255, 256, 300, 512, 1000, 4095, 4096, 4097, 9000], ids=ids("n")
)
def test_products_of_many_rows_in_place(isa, dtype, threads, n):
    """Tiles of rows leave their results to the next tile, which reads what lies behind them; the last one of each thread makes its own."""
    rows = 1200 if n < 100 else 300 if n <= 1000 else 30  # enough for three threads
    rng = np.random.default_rng(n)
    y, v = rng.random((rows, n)).astype(dtype), rng.normal(0, 3, (rows, n)).astype(dtype)
    v[5, :4] = np.finfo(np.float16).max if dtype.itemsize == 2 else np.finfo(dtype).max
    expected = np.concatenate([sg.softmax_vjp(y[r : r + 1], v[r : r + 1]) for r in range(rows)])
    for used in (rows, 17, 7, 1):
        for count in (1, 2, 3) if used == rows else (1,):
            threads(count)
            of_y, of_v = y[:used].copy(), v[:used].copy()
            assert_same_bits(sg.softmax_vjp(of_y, of_v), expected[:used], f"{used} rows, {count}")
            for offset in (0, 1, 5):
                out = at_offset(np.zeros_like(of_y), offset)
                assert_same_bits(
                    sg.softmax_vjp(of_y, of_v, out=out),
                    expected[:used],
                    f"{used} rows, at {offset}",
                )
            assert_same_bits(
                sg.softmax_vjp(of_y, of_v, out=of_v), expected[:used], f"{used} rows, out = v"
            )
            of_v = v[:used].copy()
            assert_same_bits(
                sg.softmax_vjp(of_y, of_v, out=of_y), expected[:used], f"{used} rows, out = y"
            )


@pytest.mark.parametrize("name", ["log_softmax_vjp", "log_softmax_jvp"])
@pytest.mark.parametrize("n", [57, 64, 255, 300, 1000], ids=ids("n"))
def test_log_products_of_many_rows_in_place(isa, dtype, name, n):
    rng = np.random.default_rng(n)
    function = getattr(sg, name)
    ly, v = -rng.random((37, n)).astype(dtype), rng.normal(0, 3, (37, n)).astype(dtype)
    ly[3, 1], v[20, 5] = -np.inf, np.nan
    expected = np.concatenate([function(ly[r : r + 1], v[r : r + 1]) for r in range(37)])
    for given in (0, 1):
        pair = [ly.copy(), v.copy()]
        assert_same_bits(function(*pair), expected, "all rows")
        function(*pair, out=pair[given])
        assert_same_bits(pair[given], expected, f"in place of {given}")


@pytest.mark.parametrize("n", [57, 100, 256, 257, 1000, 4097, 10_000], ids=ids("n"))
@pytest.mark.parametrize("name", ["softmax_vjp", "log_softmax_jvp"])
def test_order_of_products(isa, dtype, name, n):
    """Of probabilities and a constant: what is left is the rounding of the sum, which shows its order."""
    y = np.random.default_rng(n).random((40, n)) + 0.01
    y = y / y.sum(axis=1, keepdims=True)
    y = (y if name == "softmax_vjp" else np.log(y)).astype(dtype)
    v = np.full_like(y, 3)
    function = getattr(sg, name)
    expected = function(y, v)
    assert np.count_nonzero(expected) > expected.size / 2
    assert_same_bits(function(y.T.copy(), v.T.copy(), 0).T.copy(), expected, "axis 0")
    alone = [function(y[r : r + 1], v[r : r + 1]) for r in range(40)]
    assert_same_bits(np.concatenate(alone), expected, "row by row")
    stepped = np.zeros((40, n, 2), dtype)
    stepped[..., 0] = y
    assert_same_bits(function(stepped[..., 0], v), expected, "stepped")


@pytest.mark.parametrize("n", [65_536, 200_003])
def test_order_of_products_of_one_row_and_threads(isa, dtype, threads, n):
    y = np.random.default_rng(n).random(n)
    y = (y / y.sum()).astype(dtype)
    results = []
    for count in (1, 2, 3, 64):
        threads(count)
        results.append(sg.softmax_vjp(y, np.full_like(y, 3)))
        assert_same_bits(results[-1], results[0], f"{count} threads")
    assert np.count_nonzero(results[0]) > n / 2


@by_size
def test_axis_position(isa, dtype, n):
    x, y, t = data(n, dtype)
    for name, case in CASES.items():
        expected = case(x, y, t, -1)
        columns = [np.ascontiguousarray(a.T) for a in (x, y)]
        assert_same_bits(last(case(*columns, t, 0)), expected, f"{name}, columns")
        assert_same_bits(last(case(x.T, y.T, t, 0)), expected, f"{name}, a transposed view")
        stacked = [np.stack([a.T, a.T[:, ::-1]]) for a in (x, y)]
        result = case(*stacked, np.stack([t, t[::-1]]), 1)
        first = part(result, 0)
        assert_same_bits(last(first), expected, f"{name}, axis 1 of 3")


@few_sizes
@pytest.mark.parametrize("inner", [1, 2, 5, 16, 17, 40, 129], ids=ids("inner"))
def test_strided_axis_of_any_width(isa, dtype, n, inner):
    n = min(n, 20_000 // inner)
    x, y, t = data(n, dtype, inner)
    for name, case in CASES.items():
        columns = [np.ascontiguousarray(a.T) for a in (x, y)]
        assert_same_bits(last(case(*columns, t, 0)), case(x, y, t, -1), name)


def at_offset(a, elements):
    """A copy of `a` whose data begin so many elements after a line of the cache."""
    line = 64 // a.itemsize
    memory = np.empty(a.size + 2 * line, a.dtype)
    start = -(memory.ctypes.data // a.itemsize) % line + elements
    copy = memory[start : start + a.size].reshape(a.shape)
    copy[...] = a
    return copy


@by_case
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("inner", [20, 271, 352])
@pytest.mark.parametrize("n", [3, 21, 300], ids=ids("n"))
def test_matrices_along_axis_1(isa, dtype, n, inner, special, case):
    x, y, t = data(n, dtype, 2 * inner)
    if not special:  # rows of which none is far: those of `data` are done one by one
        x = np.random.default_rng(n).normal(0, 3, x.shape).astype(dtype)
    expected = CASES[case](x, y, t, -1)
    along = lambda a: np.moveaxis(a.reshape(2, inner, n), -1, 1)  # noqa: E731
    back = lambda a: np.moveaxis(a, 1, -1).reshape(-1, n) if a.ndim == 3 else a.ravel()  # noqa: E731
    found = CASES[case](at_offset(along(x), 4), at_offset(along(y), 4), t.reshape(2, -1), 1)
    found = tuple(map(back, found)) if isinstance(found, tuple) else back(found)
    assert_same_bits(found, expected, case)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("inner", [41, 271, 352])
@pytest.mark.parametrize("n", [21, 300, 600], ids=ids("n"))
def test_matrices_anywhere(isa, dtype, threads, n, inner, in_place):
    """Tiles in lanes begin at a line of the cache where they can, and do rows twice, where these are not overwritten, so that none is of few rows."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(0, 3, (2, n, inner)).astype(dtype), rng.random((2, n, inner)).astype(dtype)
    labels = rng.integers(0, n, (2, inner))
    contiguous = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, y)]
    functions = {
        "softmax": lambda x, y, axis, out: sg.softmax(x, axis, out=out),
        "log_softmax": lambda x, y, axis, out: sg.log_softmax(x, axis, out=out),
        "softmax_vjp": lambda x, y, axis, out: sg.softmax_vjp(y, x, axis, out=out),
        "gradient": lambda x, y, axis, out: sg.cross_entropy_value_and_grad(
            x, labels, axis, out=out, **NONE
        )[1],
    }
    for name, function in functions.items():
        expected = np.moveaxis(function(*contiguous, -1, None), -1, 1)
        for offset in (0, 1, 4, 64 // dtype.itemsize - 1):
            for count in (1, 2, 3):
                threads(count)
                logits = at_offset(x, offset)
                out = logits if in_place else at_offset(np.zeros_like(x), offset)
                found = function(logits, at_offset(y, offset), 1, out)
                assert_same_bits(found, expected, f"{name}, {offset}, {count} threads")


@pytest.mark.parametrize("n", [8, 9, 10, 11, 56, 57, 75, 384, 385])
def test_runs_of_products(isa, dtype, threads, n):
    """softmax_vjp along another axis goes class by class over up to a page of neighbours; rows whose pairs overflow or underflow are done once more."""
    inner = 4000 if n < 12 else 1100 if n < 100 else 300  # enough for two threads
    rng = np.random.default_rng(n)
    y, v = rng.random((2, inner, n)).astype(dtype), rng.normal(0, 3, (2, inner, n)).astype(dtype)
    large, small = np.finfo(dtype).max, np.finfo(dtype).smallest_normal
    v[0, 3, :4] = large
    v[0, 700 % inner, -3:] = -large
    v[1, 64, 0] = np.nan
    v[1, 250, n // 2] = np.inf
    y[1, 129] *= small
    v[1, 129] *= small
    expected = np.moveaxis(sg.softmax_vjp(y, v), -1, 1)
    for offset in (0, 4):
        for count in (1, 2, 3):
            threads(count)
            of_y, of_v = (at_offset(np.moveaxis(a, -1, 1), offset) for a in (y, v))
            for out in (at_offset(np.zeros_like(of_y), offset), at_offset(of_y, offset), None):
                if out is not None and np.array_equal(out, of_y):
                    found = sg.softmax_vjp(out, of_v, 1, out=out)
                else:
                    found = sg.softmax_vjp(of_y, of_v, 1, out=out)
                assert_same_bits(found, expected, f"{offset}, {count} threads")
            apart = np.zeros((2, n + 1, inner + 5), dtype)[:, :n, :inner]
            apart[...] = of_v
            assert_same_bits(sg.softmax_vjp(of_y, apart, 1), expected, f"{offset}, other strides")
            assert_same_bits(
                sg.softmax_vjp(of_y, of_v, 1, out=of_v), expected, f"{offset}, out = v"
            )


@few_sizes
def test_layouts(isa, dtype, n):
    x, y, t = data(n, dtype)
    for name, case in CASES.items():
        expected = case(x, y, t, -1)
        for layout, view in layouts(x).items():
            assert_same_bits(case(view, y, t, -1), expected, f"{name}, {layout} x")
        for layout, view in layouts(y).items():
            assert_same_bits(case(x, view, t, -1), expected, f"{name}, {layout} y")


@by_size
def test_out_and_alignment(isa, dtype, n):
    x, _, t = data(n, dtype)
    for name in ("softmax", "log_softmax"):
        expected = getattr(sg, name)(x)
        for layout, out in layouts(x).items():
            if layout != "swapped":
                assert_same_bits(
                    getattr(sg, name)(x, out=out).copy(), expected, f"{name}, {layout} out"
                )
                out[...] = x
                assert_same_bits(
                    getattr(sg, name)(out, out=out).copy(), expected, f"{name}, {layout} in place"
                )
    expected = sg.cross_entropy_value_and_grad(x, t, **NONE)
    for layout, out in layouts(x).items():
        if layout != "swapped":
            loss, grad = sg.cross_entropy_value_and_grad(x, t, out=out, **NONE)
            assert_same_bits((loss, grad.copy()), expected, f"{layout} out")


@by_case
@pytest.mark.parametrize(
    "shape",
    [(30_000, 3), (5000, 21), (300, 1000), (7, 32_768), (2, 200_003), (1, 400_000)],
    ids=str,
)
def test_threads(dtype, threads, shape, case):
    x, y, t = data(shape[1], dtype, shape[0])
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(CASES[case](x, y, t, -1))
        if n > 1:
            assert_same_bits(results[-1], results[0], f"{n} threads")


# What the blocks of a row meet: values that start it again, or that only one block has.
LONG_ROWS = {
    "ordinary": lambda x: x,
    "far": lambda x: x * 1e6,
    "far in the last block": lambda x: np.where(np.arange(x.size) == x.size - 5, 3e7, x),
    "far below": lambda x: x - 1e7,
    "nan": lambda x: np.where(np.arange(x.size) == 70_000, np.nan, x),
    "inf": lambda x: np.where(np.arange(x.size) % 50_000 == 9, np.inf, x),
    "huge": lambda x: np.where(np.arange(x.size) % 50_000 < 4, 3e38, x),
    "-inf but for one": lambda x: np.where(np.arange(x.size) == 123_456, 1.0, -np.inf),
    "nothing but -inf": lambda x: np.full(x.size, -np.inf),
    "constant": np.zeros_like,
}


@pytest.mark.parametrize("kind", LONG_ROWS)
@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@pytest.mark.parametrize("n", [199_999, 262_144])
def test_one_long_row_and_threads(isa, threads, kind, name, n):
    """Its blocks are shared out: any number of threads, in place, and from other strides."""
    with np.errstate(over="ignore"):
        x = LONG_ROWS[kind](np.random.default_rng(n).normal(0, 3, n)).astype(name)
    stepped = np.zeros((n, 2), name)[:, 0]
    stepped[...] = x
    label = np.array(n // 3)
    weights = (np.arange(n) % 3 / n).astype(name)
    results = []
    for count in (1, 2, 3, 64):
        threads(count)
        copies = x.copy(), x.copy(), x.copy()
        results.append(
            (
                sg.softmax(x), sg.log_softmax(x), sg.logsumexp(x), sg.cross_entropy(x, label),
                *sg.cross_entropy_value_and_grad(x, label), *sg.cross_entropy_grad_hess(x, label),
                *sg.cross_entropy_value_and_grad(x, weights), sg.softmax_vjp(weights, x),
            )
        )  # fmt: skip
        assert_same_bits(results[-1], results[0], f"{count} threads")
        assert_same_bits(sg.softmax(copies[0], out=copies[0]), results[0][0], "in place")
        in_place = sg.cross_entropy_value_and_grad(copies[1], label, out=copies[1])
        assert_same_bits(in_place, results[0][4:6], "in place")
        in_place = sg.cross_entropy_value_and_grad(copies[2], weights, out=copies[2])
        assert_same_bits(in_place, results[0][8:10], "in place")
        copy = x.copy()
        assert_same_bits(sg.softmax_vjp(weights, copy, out=copy), results[0][10], "in place")
        assert_same_bits(sg.softmax(stepped), results[0][0], "stepped")
        assert_same_bits(sg.logsumexp(stepped), results[0][2], "stepped")
        assert_same_bits(sg.cross_entropy(stepped, weights), results[0][8], "stepped")
        assert_same_bits(sg.softmax_vjp(weights, stepped), results[0][10], "stepped")


@by_case
def test_threads_along_another_axis(dtype, threads, case):
    x, y, t = data(21, dtype, 9000)
    x, y = (np.ascontiguousarray(a.reshape(9, 1000, 21).transpose(0, 2, 1)) for a in (x, y))
    results = []
    for n in (1, 2, 4):
        threads(n)
        results.append(CASES[case](x, y, t.reshape(9, 1000), 1))
        assert_same_bits(results[-1], results[0], f"{n} threads")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "shape", [(1, 7), (100, 10), (30_000, 3), (1003, 257), (3, 50_000)], ids=str
)
def test_reduced_losses(isa, dtype, threads, shape, reduction):
    """Neither threads nor the layout change the mean; nor does asking for the gradient as well."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(0, 3, shape).astype(dtype), rng.integers(0, shape[1], shape[0])
    weight = rng.random(shape[1]).astype(dtype)
    threads(1)
    loss = sg.cross_entropy(x, t, weight=weight, reduction=reduction)
    for n in (1, 2, 3):
        threads(n)
        assert_same_bits(sg.cross_entropy(x, t, weight=weight, reduction=reduction), loss)
        both = sg.cross_entropy_value_and_grad(x, t, weight=weight, reduction=reduction)
        assert_same_bits(both[0], loss)
        columns = np.asfortranarray(x)
        assert_same_bits(sg.cross_entropy(columns, t, weight=weight, reduction=reduction), loss)
        assert_same_bits(
            sg.cross_entropy(columns.T, t, 0, weight=weight, reduction=reduction), loss
        )


def test_reduced_losses_of_all_instruction_sets(dtype):
    x, _, t = data(100, dtype, 2000)
    x, t = np.where(np.isfinite(x), x, 0), np.abs(t) % 100
    before = _core.current_isa()
    try:
        found = []
        for name in _core.available_isas():
            _core.use_isa(name)
            found.append(
                sg.cross_entropy_value_and_grad(x, t, sample_weight=np.linspace(0, 1, 2000))
            )
    finally:
        _core.use_isa(before)
    for other in found[1:]:
        assert_same_bits(other, found[0])


def test_repeated_calls(isa, dtype):
    x, y, t = data(1000, dtype)
    for case in CASES.values():
        first = case(x, y, t, -1)
        for _ in range(3):
            assert_same_bits(case(x, y, t, -1), first)


# --- large results: those of products and Jacobians pass by the caches (SG_STREAM_PRODUCTS, SG_STREAM_JACOBIANS of csrc/kernel/block.h)

STREAMED = {
    "softmax": lambda x, y, t, out: sg.softmax(x, out=out),
    "log_softmax": lambda x, y, t, out: sg.log_softmax(x, out=out),
    "softmax_vjp": lambda x, y, t, out: sg.softmax_vjp(y, x, out=out),
    "labels": lambda x, y, t, out: sg.cross_entropy_value_and_grad(x, t, **NONE, out=out),
    "probabilities": lambda x, y, t, out: sg.cross_entropy_value_and_grad(x, y, **NONE, out=out),
}


@pytest.mark.parametrize("case", STREAMED)
@pytest.mark.parametrize("n", [100, 1000, 4999], ids=ids("n"))
@pytest.mark.parametrize("new", [False, True], ids=["out", "new"])
def test_large_results(isa, dtype, n, case, new):
    """In memory that is in use; in new memory they do not pass by the caches, see run.c."""
    x, y, labels = data(n, dtype, 40)
    copies = 2**24 // x.nbytes + 1
    many = [np.concatenate([a] * copies) for a in (x, y, labels)]
    expected = STREAMED[case](x, y, labels, None)
    actual = STREAMED[case](*many, None if new else np.full_like(many[0], 99))
    if not isinstance(actual, tuple):
        expected, actual = (expected,), (actual,)
    for e, a in zip(expected, actual, strict=True):
        assert_same_bits(a, np.concatenate([e] * copies))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [1001, 2**22 + 5], ids=ids("n"))
@pytest.mark.parametrize("threads_used", [1, 2], ids=ids("threads"))
def test_large_results_anywhere(isa, dtype, n, name, threads, threads_used):
    """Beginning and ending within a line of the cache."""
    threads(threads_used)
    rows = 2**24 // (n * dtype.itemsize) + 1
    x = np.random.default_rng(1).normal(0, 3, (rows, n)).astype(dtype)
    memory = np.full(x.size + 3, 99, dtype)
    out = memory[1:-2].reshape(x.shape)
    expected = getattr(sg, name)(x[::-1][:2].copy())
    assert getattr(sg, name)(x, out=out) is out
    assert_same_bits(out[::-1][:2], expected)
    assert (memory[[0, -2, -1]] == 99).all()


@pytest.mark.parametrize("n", [255, 256, 257, 1000, 2049, 4097, 4999], ids=ids("n"))
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_large_products_anywhere(isa, dtype, n, offset, threads):
    """Rows that begin and end within a line of the cache, which they then share with the next row, or with another thread's."""
    copies = 2**24 // (40 * n * dtype.itemsize) + 1
    x, y, _ = data(n, dtype, 40)
    expected = np.concatenate([sg.softmax_vjp(y[r : r + 1], x[r : r + 1]) for r in range(40)])
    many_x, many_y = np.concatenate([x] * copies), np.concatenate([y] * copies)
    memory = np.empty(many_x.size + 200, dtype)
    start = -memory.ctypes.data % 64 // dtype.itemsize + offset
    out = memory[start : start + many_x.size].reshape(many_x.shape)
    spread = np.full((len(many_x), n + 3), 99, dtype)
    for count in (1, 2, 3):
        threads(count)
        memory[:] = 99
        assert sg.softmax_vjp(many_y, many_x, out=out) is out
        assert_same_bits(out.reshape(copies, 40, n), np.broadcast_to(expected, (copies, 40, n)))
        assert (memory[:start] == 99).all()
        assert (memory[start + out.size :] == 99).all()
    sg.softmax_vjp(many_y, many_x, out=spread[:, 1:-2])
    assert_same_bits(np.ascontiguousarray(spread[:, 1:-2]), out)
    assert (spread[:, [0, -2, -1]] == 99).all()


@pytest.mark.parametrize("n", [9, 21, 100], ids=ids("n"))
@pytest.mark.parametrize("offset", [0, 4, 5])
def test_large_runs_of_products(isa, dtype, n, offset, threads):
    """Along another axis, classes that begin at a line of the cache or within one."""
    inner = 2**24 // (2 * n * dtype.itemsize) // 32 * 32 + 32 + offset % 2
    rng = np.random.default_rng(n)
    y, v = rng.random((2, inner, n)).astype(dtype), rng.normal(0, 3, (2, inner, n)).astype(dtype)
    expected = np.moveaxis(sg.softmax_vjp(y, v), -1, 1)
    y, v = (np.moveaxis(a, -1, 1).copy() for a in (y, v))
    out = at_offset(np.full_like(y, 99), offset)
    for count in (1, 2):
        threads(count)
        out[...] = 99
        assert_same_bits(sg.softmax_vjp(y, v, 1, out=out), expected, f"{count} threads")


@pytest.mark.parametrize("name", ["softmax_jacobian", "log_softmax_jacobian"])
@pytest.mark.parametrize("n", [16, 57, 100, 333, 1529, 3057], ids=ids("n"))
@pytest.mark.parametrize("offset", [0, 1])
def test_large_jacobians(isa, dtype, n, name, offset):
    """More than SG_STREAM_JACOBIANS, from a line of the cache on or within one."""
    rows = 2**25 // (n * n * dtype.itemsize) + 1
    x = np.tile(np.random.default_rng(1).normal(0, 3, (2, n)).astype(dtype), (rows, 1))[:rows]
    memory = np.full(rows * n * n + 64, 99, dtype)
    start = -memory.ctypes.data % 64 // dtype.itemsize + offset
    out = memory[start : start + rows * n * n].reshape(rows, n, n)
    expected = getattr(sg, name)(x[:2])
    assert getattr(sg, name)(x, out=out) is out
    for i in {0, 1, rows // 2, rows - 1} & set(range(rows)):
        assert_same_bits(out[i], expected[i % 2])
    assert (memory[:start] == 99).all()
    assert (memory[start + out.size :] == 99).all()


def test_windows_that_overlap(isa, dtype):
    """Rows that are skipped, and come again at the same addresses in another tile: what was looked at for them there counts for them
    alone (csrc/kernel/stats.h)."""
    rng = np.random.default_rng(3)
    rows = (np.arange(36)[:, None] * 1000 + rng.normal(size=(36, 100))).astype(dtype)
    x = np.lib.stride_tricks.sliding_window_view(rows, 20, axis=0)[::16]
    labels = np.zeros((2, 20), np.int64)
    labels[:, 16:] = -100
    for options in ({}, {"label_smoothing": 0.1}):
        found = sg.cross_entropy_value_and_grad(x, labels, axis=1, **options)
        expected = sg.cross_entropy_value_and_grad(
            np.ascontiguousarray(x), labels, axis=1, **options
        )
        for a, b in zip(found, expected, strict=True):
            assert_same_bits(a, b)
