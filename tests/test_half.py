"""float16 and bfloat16: float32 arithmetic, one rounding at the end, on every path; and no float32 copy."""

import itertools
import sys

import numpy as np
import oracle
import pytest
import reference
from helpers import (
    ALL,
    FUNCTIONS,
    GRADIENTS,
    JACOBIANS,
    LINEAR,
    LOSSES,
    PRODUCTS,
    arguments,
    assert_same_bits,
    ids,
    layouts,
    raises,
    run_python,
)
from pairs import WIDE

import softgrad as sg
from softgrad import _linear

ml_dtypes = pytest.importorskip("ml_dtypes")

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
NEAREST = 0.5 + 3 * 2.0**-13  # units of the half type: a unit of float32 is 2^-13 or 2^-16 of one
REDUCED = ("logsumexp", "cross_entropy", "log_loss", "linear_cross_entropy")


@pytest.fixture(params=list(HALVES))
def half(request):
    return HALVES[request.param]


def results(value):
    """All arrays of a result, flat."""
    return list(itertools.chain(*map(results, value))) if isinstance(value, tuple) else [value]


def widened(values):
    return [a.astype(np.float32) if a.dtype.itemsize == 2 else a for a in values]


def assert_rounded(actual, wide):
    """`actual` holds the float32 results, rounded to its own types. Every NaN is the same."""
    for a, w in zip(results(actual), results(wide), strict=True):
        if w is None:
            assert a is None
            continue
        with np.errstate(over="ignore"):
            expected = np.asarray(w).astype(np.asarray(a).dtype)
        assert_same_bits(np.asarray(a).astype(np.float32), expected.astype(np.float32))


# --- types


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_halves_and_losses_float32(half, name):
    types = [v.dtype for v in results(getattr(sg, name)(*arguments(name, half))) if v is not None]
    if name in REDUCED:
        assert types == [np.float32]
    elif "value" in name:
        assert types == [np.float32] + [half] * (len(types) - 1)
    else:
        assert set(types) == {half}


@pytest.mark.parametrize("name", PRODUCTS + LINEAR)
def test_two_kinds_of_halves_do_not_mix(name):
    given = arguments(name, HALVES["float16"])
    given[1] = given[1].astype(HALVES["bfloat16"])
    with raises(TypeError, name, "float16", "bfloat16"):
        getattr(sg, name)(*given)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_half_and_a_float32_give_float32(half, name):
    y, g = arguments(name, half)
    expected = getattr(sg, name)(y.astype(np.float32), g.astype(np.float32))
    assert_same_bits(getattr(sg, name)(y, g.astype(np.float32)), expected)
    assert_same_bits(getattr(sg, name)(y.astype(np.float32), g), expected)


@pytest.mark.parametrize("kind", ["int16", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_bfloat16_and_wide_integers_give_float64(name, kind):
    y, g = arguments(name, HALVES["bfloat16"])
    g = np.abs(g).astype(kind)
    expected = getattr(sg, name)(y.astype(np.float64), g.astype(np.float64))
    assert_same_bits(getattr(sg, name)(y, g), expected)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "int4"])
@pytest.mark.parametrize("name", ["softmax", "cross_entropy", "softmax_vjp"])
def test_other_types_of_ml_dtypes_are_not_supported(name, kind):
    given = arguments(name)
    given[0] = given[0].astype(getattr(ml_dtypes, kind))
    with raises(TypeError, name, kind, "bfloat16"):
        getattr(sg, name)(*given)


@pytest.mark.parametrize("name", ["softmax", "softmax_jacobian", "cross_entropy", "softmax_vjp"])
def test_integers_and_swapped_bytes_are_told_apart_from_bfloat16(name):
    """NumPy shows the buffer of none of the three by that name; the short way takes native bfloat16 only."""
    given = arguments(name, HALVES["bfloat16"])
    function, x = getattr(sg, name), given[0]
    expected = function(*given)
    assert_same_bits(function(*given), expected)  # the first call of all goes another way
    swapped = x.astype(x.dtype.newbyteorder())
    assert_same_bits(function(swapped, *given[1:]), expected)
    integers = x.view(np.uint16)
    assert_same_bits(
        function(integers, *given[1:]), function(integers.astype(np.float64), *given[1:])
    )


def test_ml_dtypes_is_not_imported():
    code = "import sys, numpy, softgrad; softgrad.softmax(numpy.ones(3, 'e')); print(*sorted(sys.modules))"
    status, out, err = run_python(code)
    assert status == 0, err
    assert "ml_dtypes" not in out.split()


# --- the float32 result, rounded


@pytest.mark.parametrize("name", [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *LOSSES])
@pytest.mark.parametrize("n", [1, 2, 7, 16, 33, 64, 100, 257], ids=ids("n"))
def test_halves_are_computed_in_float32(isa, half, name, n):
    given = arguments(name, half, (37, n))
    assert_rounded(getattr(sg, name)(*given), getattr(sg, name)(*widened(given)))


@pytest.mark.parametrize("name", [*FUNCTIONS, *PRODUCTS, *LOSSES])
@pytest.mark.parametrize("n", [1000, 4096, 4097, 70000], ids=ids("n"))
def test_long_rows(isa, half, name, n):
    given = arguments(name, half, (5, n))
    assert_rounded(getattr(sg, name)(*given), getattr(sg, name)(*widened(given)))


@pytest.mark.parametrize("name", [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *LOSSES])
@pytest.mark.parametrize("shape", [(2, 3, 19), (3, 50, 21)], ids=str)
def test_layouts_of_every_argument(isa, half, name, shape):
    given = arguments(name, half, shape)
    expected = getattr(sg, name)(*given)
    for i, argument in enumerate(given):
        for layout, view in layouts(argument).items():
            if layout == "swapped" and half == HALVES["bfloat16"]:
                continue  # ml_dtypes knows native byte order only
            actual = getattr(sg, name)(*given[:i], view, *given[i + 1 :])
            for a, e in zip(results(actual), results(expected), strict=True):
                assert_same_bits(
                    np.asarray(a).astype(np.float32),
                    np.asarray(e).astype(np.float32),
                    f"{layout} argument {i}",
                )


@pytest.mark.parametrize("name", [*FUNCTIONS, *LOSSES])
@pytest.mark.parametrize(
    "shape", [(4, 21, 9, 9), (3, 300, 40), (2, 3000, 17), (2, 70000, 2)], ids=str
)
def test_class_axis_in_the_middle(isa, half, name, shape, rng):
    x = np.abs(rng.normal(0, 2, shape)).astype(half)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    rest = [labels] if name in LOSSES else []
    actual = getattr(sg, name)(x, *rest, axis=1)
    assert_rounded(actual, getattr(sg, name)(x.astype(np.float32), *rest, axis=1))


@pytest.mark.parametrize("name", LOSSES)
def test_options_and_probability_targets(isa, half, name, rng):
    x = np.abs(rng.normal(0, 2, (50, 23))).astype(half)
    targets = rng.random((50, 23)).astype(half)
    options = {"weight": rng.random(23).astype(half), "sample_weight": rng.random(50).astype(half)}
    wide = {k: v.astype(np.float32) for k, v in options.items()}
    if not name.startswith("log_loss"):
        more = {"label_smoothing": 0.1, "temperature": 1.7, "z_loss": 0.01}
        options, wide = options | more, wide | more
    function, x32, t32 = getattr(sg, name), x.astype(np.float32), targets.astype(np.float32)
    expected = function(x32, t32, **wide)
    assert_rounded(function(x, targets, **options), expected)
    assert_rounded(function(x, t32, **options), expected)
    assert_same_bits(function(x32, targets, **options), expected)
    for other in HALVES.values():  # targets are converted whatever they are
        mixed = function(x, targets.astype(other), **options)
        assert_rounded(mixed, function(x32, targets.astype(other).astype(np.float32), **wide))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_where(half, name, rng):
    x, keep = rng.normal(0, 2, (9, 40)).astype(half), rng.random((9, 40)) < 0.5
    keep[3] = False
    x[~keep] = np.nan
    assert_rounded(
        getattr(sg, name)(x, where=keep), getattr(sg, name)(x.astype(np.float32), where=keep)
    )


def test_factors_of_logsumexp(half, rng):
    x, b = rng.normal(0, 2, (9, 40)).astype(half), rng.normal(0, 1, 40).astype(half)
    expected = sg.logsumexp(x.astype(np.float32), b=b.astype(np.float32))
    assert_same_bits(sg.logsumexp(x, b=b), expected)
    assert_same_bits(sg.logsumexp(x, b=b.astype(np.float64)), expected)


@pytest.mark.parametrize("name", [*FUNCTIONS, *PRODUCTS, *LOSSES])
def test_threads_change_nothing(half, name, threads):
    given = arguments(name, half, (600, 190))
    threads(1)
    expected = getattr(sg, name)(*given)
    for n in (2, 3):
        threads(n)
        for a, e in zip(results(getattr(sg, name)(*given)), results(expected), strict=True):
            assert_same_bits(np.asarray(a).astype(np.float32), np.asarray(e).astype(np.float32))


# --- out


@pytest.mark.parametrize("n", [5, 40, 300, 5000], ids=ids("n"))
@pytest.mark.parametrize("name", ["softmax", "log_softmax", *PRODUCTS, *GRADIENTS])
def test_in_place(half, name, n):
    given = arguments(name, half, (33, n))
    expected = getattr(sg, name)(*given)
    actual = getattr(sg, name)(*given, out=given[0])
    assert results(actual)[-1] is given[0]
    for a, e in zip(results(actual), results(expected), strict=True):
        assert_same_bits(np.asarray(a).astype(np.float32), np.asarray(e).astype(np.float32))


@pytest.mark.parametrize("name", ["softmax", *JACOBIANS, *PRODUCTS, *GRADIENTS])
def test_strided_out(half, name):
    given = arguments(name, half, (7, 19))
    expected = results(getattr(sg, name)(*given))[-1]
    for layout, out in layouts(np.zeros_like(expected)).items():
        if layout == "swapped":
            continue
        assert results(getattr(sg, name)(*given, out=out))[-1] is out
        assert_same_bits(out.astype(np.float32), expected.astype(np.float32), layout)


@pytest.mark.parametrize("wrong", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ["softmax", "softmax_vjp", "cross_entropy_grad", "logsumexp"])
def test_out_of_another_type(half, name, wrong):
    right = np.dtype(np.float32) if name == "logsumexp" else half
    wrong = HALVES.get(wrong, np.dtype(wrong if wrong != "bfloat16" else "f"))
    given = arguments(name, half)
    out = np.zeros(3 if name == "logsumexp" else (3, 5), wrong)
    if wrong == right:
        assert getattr(sg, name)(*given, out=out) is out
    else:
        with raises(TypeError, name, str(right), str(wrong)):
            getattr(sg, name)(*given, out=out)
        assert not out.any()


# --- accuracy


def unit(exact, half):
    """The unit in the last place of the half type at exact values."""
    info = ml_dtypes.finfo(half)
    exponent = np.frexp(np.abs(exact))[1] - (info.nmant + 1)
    lowest = np.frexp(WIDE(info.smallest_subnormal))[1] - 1
    return np.ldexp(WIDE(1), np.maximum(exponent, lowest))


@pytest.mark.parametrize("scale", [0.01, 1, 10, 100])
@pytest.mark.parametrize("n", [2, 10, 1000], ids=ids("n"))
def test_half_a_unit_from_the_exact_result(isa, half, scale, n, rng):
    x = rng.normal(0, scale, (20, n)).astype(half)
    labels = rng.integers(0, n, 20)
    exact = oracle.Softmax(x.astype(np.float32))
    for name, actual, expected in (
        ("softmax", sg.softmax(x), exact.softmax),
        ("log_softmax", sg.log_softmax(x), exact.log_softmax),
        (
            "gradient",
            sg.cross_entropy_grad(x, labels, reduction="sum"),
            exact.grad(oracle.one_hot(labels, n)),
        ),
    ):
        error = np.abs(actual.astype(WIDE) - expected.hi) / unit(expected.hi, half)
        assert error.max() <= NEAREST, name
    assert oracle.ulp_error(sg.logsumexp(x), exact.logsumexp, exact.logsumexp_terms).max() <= 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_the_reference_at_every_value(isa, half, name):
    """Rows that hold every number of the type, beside 0, 1 and -3."""
    every = np.arange(1 << 16, dtype=np.uint16).view(half)
    x = np.stack([every, *(np.full_like(every, v) for v in (0, 1, -3))], -1)
    actual = np.asarray(getattr(sg, name)(x)).astype(WIDE)
    expected = np.asarray(getattr(reference, name)(x))
    with np.errstate(all="ignore"):
        largest = WIDE(ml_dtypes.finfo(half).max) if name != "logsumexp" else np.inf
        allowed = NEAREST * unit(expected, half)
        near = np.abs(actual - expected) <= allowed
        overflow = np.isinf(actual) & (np.abs(expected) > largest) & (actual * expected > 0)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    assert (near | same | overflow).all()


def test_results_beyond_the_type_are_infinite():
    x = np.array([[60000, -60000]], np.float16)
    assert sg.log_softmax(x).tolist() == [[0.0, -np.inf]]
    assert sg.cross_entropy(x, [1]) == 120000
    assert sg.logsumexp(np.full(1000, 65504, np.float16)) == np.float32(65504 + np.log(1000))
    assert sg.softmax(np.array([0, -17], np.float16))[1] == np.float16(np.exp(-17))  # subnormal


# --- the linear layer


@pytest.mark.parametrize("options", [{}, {"chunk_rows": 7}], ids=["one chunk", "chunks"])
@pytest.mark.parametrize("added_bytes", [_linear.ADDED_BYTES, 200])
def test_linear(half, options, added_bytes, monkeypatch, rng):
    """dw adds up in float32, in one pass or in many: half a unit and what float32 loses."""
    monkeypatch.setattr(_linear, "ADDED_BYTES", added_bytes)
    x, w, b = (rng.normal(0, 1, shape).astype(half) for shape in ((40, 13), (29, 13), (29,)))
    targets = rng.integers(0, 29, 40)
    targets[3] = -100
    x[3] = np.nan
    loss, grads = sg.linear_cross_entropy_value_and_grad(x, w, targets, b, **options)
    assert loss == sg.linear_cross_entropy(x, w, targets, b, **options)
    wide = [a.astype(np.float64) for a in (x, w, b)]
    exact_loss, exact = sg.linear_cross_entropy_value_and_grad(wide[0], wide[1], targets, wide[2])
    assert abs(loss - exact_loss) <= 1e-6 * exact_loss
    for actual, expected in zip(grads, exact, strict=True):
        assert actual.dtype == half
        error = np.abs(actual.astype(np.float64) - expected)
        assert (error <= 0.5 * unit(expected, half) + 1e-6 * np.abs(expected).max()).all()


@pytest.mark.parametrize("which", [0, 1, 2], ids=["x", "w", "probabilities"])
def test_linear_takes_every_layout(half, which, rng):
    """Unaligned arrays too, which must not be read as they stand (the sanitizers see it, a CPU hardly any)."""
    shapes = (40, 13), (29, 13), (40, 29)
    args = [np.abs(rng.normal(0, 1, shape)).astype(half) for shape in shapes]
    expected = sg.linear_cross_entropy_value_and_grad(*args)
    for label, a in layouts(args[which]).items():
        args[which] = a
        actual = sg.linear_cross_entropy_value_and_grad(*args)
        for one, other in zip(results(actual), results(expected), strict=True):
            if one is not None:
                a, e = np.asarray(one).astype(np.float64), np.asarray(other).astype(np.float64)
                np.testing.assert_allclose(
                    a, e, 2 * float(ml_dtypes.finfo(half).eps), 1e-6, err_msg=label
                )


# --- memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize("call", ["sg.softmax(x, out=x)", "sg.softmax(x, 0, out=x)", "sg.logsumexp(x)",
                                  "sg.cross_entropy_value_and_grad(x, t, out=x)"])  # fmt: skip
def test_there_is_no_float32_copy(call):
    """64 MiB of float16; a float32 copy would be 128."""
    code = f"""
import numpy as np, softgrad as sg
x, t = np.ones((4096, 8192), np.float16), np.zeros(4096, np.int64)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
sg.softmax(x[:64].copy()), sg.softmax(x[:, :64].copy(), 0)
before = peak()
{call}
print((peak() - before) / 1024)
"""
    status, out, err = run_python(code)
    assert status == 0, err
    assert float(out) < 16
