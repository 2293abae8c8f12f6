"""A fuzz target over the Python interface: `python tests/fuzz.py SECONDS` runs it that long; test_fuzz.py a few cases.

A case is a function with arrays of any type, shape, strides, axis and special values, options, out=, threads and an
instruction set. Its result must have the bits of the plain call: contiguous rows of the computing type, new arrays, one
thread, the first instruction set. That one is compared with reference.py. Nothing else may have been written, on an error
nothing at all. Not fuzzed: the linear pair, whose products are BLAS's.
"""

import sys
import time
from contextlib import contextmanager

import numpy as np
import reference
from fuzz_case import Case
from helpers import JACOBIANS, LOSSES, PRODUCTS, assert_close, assert_same_bits
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import softgrad as sg
from softgrad import _core


@contextmanager
def setting(isa, threads):
    """That instruction set and number of threads, and then those of before."""
    before = _core.current_isa(), sg.get_num_threads()
    _core.use_isa(isa)
    sg.set_num_threads(threads)
    try:
        yield
    finally:
        _core.use_isa(before[0])
        sg.set_num_threads(before[1])


def in_shape(case, result):
    """The plain result as the call gives it: rounded to its type, the class axis in its place."""

    def one(a, wide):
        a = np.asarray(a)
        with np.errstate(all="ignore"):
            a = a if wide else a.astype(case.result)
        if case.name in JACOBIANS or a.shape == case.rows_shape:
            return a
        if a.shape == case.plain_x.shape:
            rest = [d for d in range(len(case.shape)) if d not in case.axes]
            order = [*rest, *case.axes]
            a = a.reshape([case.shape[d] for d in order])
            return a.transpose(np.argsort(order))
        return a

    if case.name in ("logsumexp", "cross_entropy", "log_loss"):
        return one(result, True)
    if not isinstance(result, tuple):
        return one(result, False)
    has_loss = case.name != "cross_entropy_grad_hess"
    return tuple(one(a, has_loss and i == 0) for i, a in enumerate(result))


# ---- The reference -------------------------------------------------------------------------------


def check_reference(case, actual):
    """The plain result, within the bounds of assert_close."""
    name, x, options = case.name, case.plain_x, case.plain_options
    with np.errstate(all="ignore"):
        if name in LOSSES:
            check_loss(case, actual)
        elif name in PRODUCTS:
            y, g = (np.abs(a.astype(np.longdouble)) for a in case.plain_given)
            # squares of larger ones leave the range of the computing type
            if not y.size or (y >= 1e3).any() or (g >= 1e3).any():
                return
            e = np.exp(-y)
            terms = {
                "softmax": lambda: y * (g + (g * y).sum(-1, keepdims=True)),
                "log_softmax_v": lambda: g + e * g.sum(-1, keepdims=True),
                "log_softmax_j": lambda: g + (e * g).sum(-1, keepdims=True),
            }[name[:13] if name.startswith("log") else "softmax"]()
            assert_close(actual, getattr(reference, name)(*case.plain_given), terms=terms)
        else:
            exact = getattr(reference, name)(x, **options)
            terms = 0
            if name == "logsumexp":
                terms = np.where(np.isfinite(x), np.abs(x), 0).max(-1, initial=0) + 1
            assert_close(actual, exact, terms=terms)


def check_loss(case, actual):
    x, targets = case.plain_given
    options = case.plain_options
    if not np.isfinite(x).all() or not x.size:
        return
    if np.abs(x).max() > 1e6:  # a z_loss of the square, and the terms of a mean, leave the range
        return
    exact, terms = (
        f(x, targets, **options)
        for f in (
            (reference.cross_entropy_grad_hess, reference.cross_entropy_magnitudes)
            if case.name.startswith("cross")
            else (reference.log_loss_value_and_grad, log_loss_magnitudes)
        )
    )
    which = {
        "cross_entropy": [0],
        "log_loss": [0],
        "cross_entropy_grad": [1],
        "cross_entropy_grad_hess": [1, 2],
    }.get(case.name, [0, 1])
    results = actual if isinstance(actual, tuple) else (actual,)
    for i, a in zip(which, results, strict=True):
        assert_close(a, exact[i], terms=terms[i], ulps=16)


def log_loss_magnitudes(p, targets, **options):
    loss, grad = reference.log_loss_value_and_grad(p, targets, **options)
    return np.abs(loss), np.abs(grad)


# ---- One case, and many --------------------------------------------------------------------------


def copied(out):
    return tuple(a.copy() for a in out) if isinstance(out, tuple) else out.copy()


def check_error(case, out):
    """One argument is made wrong: an error, and nothing was written."""
    draw, given, options = case.draw, list(case.given), dict(case.options)
    wrong = ["axis", "unknown"] + (["temperature"] if "temperature" in options else [])
    if case.name in LOSSES:
        wrong += ["reduction", "weight", "targets"] + (["label"] if case.labels else [])
        if given[1].size == 0 and "label" in wrong:
            wrong.remove("label")
    if out is not None:
        wrong.append("out")
    what, axis = draw(st.sampled_from(wrong)), case.axis
    if what == "axis":
        axis = len(case.shape)
    elif what == "label":
        labels = given[1].astype(np.int64)
        labels[np.unravel_index(labels.size - 1, labels.shape)] = 5000
        given[1] = labels
    elif what == "targets":
        given[1] = np.zeros((*case.shape, 2), int)
    elif what == "weight":
        options["weight"] = np.ones(case.x.shape[case.axes[0]] + 1)
    elif what == "out":
        one = np.zeros((3, 3, 3, 3, 3, 3), case.result)
        out = (out[0], one) if isinstance(out, tuple) else one
    else:
        options[what] = {"temperature": 0.0, "reduction": "all", "unknown": 1}[what]
    if out is not None:
        options["out"] = out
    try:
        getattr(sg, case.name)(*given, axis, **options)
    except (ValueError, TypeError, IndexError):
        case.places.check()
    else:
        raise AssertionError(f"{case.name}: no error for a wrong {what}")


def check(draw):
    case = Case(draw)
    isas = _core.available_isas()
    function = getattr(sg, case.name)
    with setting(isas[0], 1):
        plain = function(*case.plain_given, **case.plain_options)
    check_reference(case, plain)
    expected = in_shape(case, plain)
    out = case.draw_out(expected)
    if draw(st.integers(0, 7)) == 0:
        check_error(case, out)
        return
    before = [] if out is None else out if isinstance(out, tuple) else (out,)
    before = [(a, a.copy()) for a in before]
    options = case.options if out is None else case.options | {"out": out}
    with setting(draw(st.sampled_from(isas)), draw(st.integers(1, 3))):
        result = function(*case.given, case.axis, **options)
    if out is not None:
        last = result[-1] if case.name.endswith("and_grad") else result
        assert last is out or all(a is b for a, b in zip(last, out, strict=True))
        assert_same_bits(copied(out), expected[-1] if case.name.endswith("and_grad") else expected)
        if case.name.endswith("and_grad"):
            assert_same_bits(result[0], expected[0], case.name)
    else:
        assert_same_bits(result, expected, case.name)
    case.places.check(before)


def run(seconds):
    """Batches of new cases until the time is over; the number of cases."""
    start, cases = time.monotonic(), 0
    first = time.time_ns()

    @given(st.data())
    def counted(data):
        nonlocal cases
        cases += 1
        check(data.draw)

    batch = settings(
        max_examples=500,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )(counted)
    while time.monotonic() - start < seconds:
        seed(first + cases)(batch)()
    return cases, time.monotonic() - start


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    print("fuzz: {} cases in {:.0f} s, no finding".format(*run(float(sys.argv[1]))))
