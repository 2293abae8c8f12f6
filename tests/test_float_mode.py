"""A caller that left flush-to-zero or another rounding mode on: the same bits, and the mode and flags stay as they were."""

import numpy as np
import pytest
from float_mode import MODES, float_mode
from helpers import (
    ALL,
    FUNCTIONS,
    JACOBIANS,
    LINEAR,
    LOSSES,
    PRODUCTS,
    arguments,
    assert_same_bits,
    softmax_like,
)

import softgrad as sg
from softgrad.objectives import SoftmaxObjective

CLASSES = 40
LOWEST = {"float64": -735.0, "float32": -95.0, "bfloat16": -95.0, "float16": -15.0}
TINY = {"float64": 1e-310, "float32": 1e-39, "bfloat16": 1e-39, "float16": 1e-7}


@pytest.fixture(params=LOWEST)
def name(request):
    """Of a floating type."""
    return request.param


def type_of(name):
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


def scaled(a, rows, factor):
    """Some rows times a number, rounded once: subnormal numbers."""
    a[rows] = (a[rows].astype(np.float64) * factor).astype(a.dtype)


def inputs(function, name):
    """Arguments with subnormal entries, or whose results are subnormal."""
    args = arguments(function, type_of(name), (6, CLASSES))
    x = args[0]
    if function in FUNCTIONS or function.startswith("cross"):
        x[0] += np.linspace(LOWEST[name], 0, CLASSES).astype(x.dtype)
    scaled(x, np.s_[1], TINY[name])
    scaled(x, np.s_[2, ::3], TINY[name])
    if function in PRODUCTS:
        scaled(args[1], np.s_[3], TINY[name])
    if function in LINEAR:
        args[2] %= len(args[1])
    return args


def calls(function, name):
    """(args, options) for all ways that arguments take: the short one, strides, conversions by NumPy."""
    args = inputs(function, name)
    yield args, {}
    if function in FUNCTIONS:
        yield args, {"axis": 0}
        yield [np.arange(2**60 + 1, 2**60 + 100)], {}
    if function == "logsumexp":
        yield args, {"b": np.linspace(0, 1.1, CLASSES)}
    elif function in FUNCTIONS:
        yield args, {"temperature": 0.7, "where": np.arange(CLASSES) % 5 > 0}
        yield args, {"temperature": 2**53 + 1}
    if function in JACOBIANS or function in FUNCTIONS[:2]:
        yield args, {"temperature": 0.7}
    if function not in LOSSES + LINEAR:
        return
    classes = len(args[1]) if function in LINEAR else CLASSES
    options = {"weight": np.linspace(0, 1.1, classes), "sample_weight": np.linspace(0.1, 1, 6) / 3}
    if not function.startswith("log_loss"):
        numbers = {"label_smoothing": 0.1, "temperature": 0.7, "z_loss": 1e-3}
        yield args, numbers
        options |= numbers
    yield args, options
    yield args, options | {"reduction": "none"}
    probs = softmax_like(np.random.default_rng(3), (6, classes), np.float64)
    probs[:, 0] = TINY[name]
    yield [*args[:-1], probs], {}
    if function in LINEAR:
        yield [*args, np.linspace(-1, 1.1, classes)], {}


def check(mode, function, args, options, label):
    expected = function(*args, **options)
    with float_mode(mode) as state:
        before = state()
        actual = function(*args, **options)
        after = state()
    assert after == before, label
    flat = [a for a in flatten(actual) if a is not None]
    for a, e in zip(flat, (e for e in flatten(expected) if e is not None), strict=True):
        assert_same_bits(np.asarray(a, order="C"), np.asarray(e, order="C"), label)


def flatten(result):
    return [a for part in result for a in flatten(part)] if type(result) is tuple else [result]


def test_the_mode_is_felt():
    """Elsewhere the modes do what they say, or the tests below said nothing."""
    tiny = np.float64(5e-324)
    third = {}
    for mode in MODES:
        with float_mode(mode) as state:
            third[mode] = (np.float64(1) / np.float64(3), np.float64(-1) / np.float64(3), tiny * 1)
            _, flags = state()
        assert flags != 0
    assert third["up"][0] > third["nearest"][0]
    assert third["down"][1] < third["nearest"][1]
    assert third["zero"][:2] == (third["down"][0], third["up"][1])
    assert third["flush"][:2] == third["nearest"][:2]
    assert (third["nearest"][2], third["flush"][2], third["flush_up"][2]) == (tiny, 0, 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", ALL)
def test_functions(isa, mode, function, name):
    for args, options in calls(function, name):
        check(mode, getattr(sg, function), args, options, f"{function} {sorted(options)}")


@pytest.mark.parametrize("mode", MODES)
def test_objectives(mode, dtype):
    _, labels = arguments("cross_entropy", dtype, (6, CLASSES))
    scores = inputs("cross_entropy", dtype.name)[0]
    for hessian in ("exact", "xgboost", "lightgbm"):
        objective = SoftmaxObjective(hessian, weight=np.linspace(0, 1.1, CLASSES))
        check(mode, objective, (labels, scores), {}, hessian)


@pytest.mark.parametrize("mode", MODES)
def test_worker_threads(mode, name, threads):
    threads(2)
    x = np.tile(inputs("softmax", name)[0], (1000, 1))
    labels = np.arange(len(x)) % CLASSES
    check(mode, sg.softmax, (x,), {}, "softmax")
    check(mode, sg.cross_entropy_value_and_grad, (x, labels), {}, "cross_entropy_value_and_grad")
