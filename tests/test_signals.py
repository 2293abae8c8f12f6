"""Signals: Ctrl-C and Python's handlers wait for the end of a call, and leave results, threads and the floating-point mode whole."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from float_mode import float_mode
from helpers import ALL, FULL, arguments, assert_same_bits, run_python

import softgrad as sg

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no POSIX signals")

CLASSES = 100_000


@pytest.fixture
def handler():
    """Sets a handler of SIGALRM; at the end that of before is back, and no timer runs."""
    before = signal.getsignal(signal.SIGALRM)
    yield lambda function: signal.signal(signal.SIGALRM, function)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def long_call(out):
    """A second of work without the GIL, from little memory; -1 stands in `out` until a row is done."""
    x = np.broadcast_to(np.zeros(CLASSES, np.float32), (len(out), CLASSES))
    out[:] = -1
    sg.logsumexp(x, out=out)


def rows_of_a_second():
    out, begin = np.empty(500, np.float32), time.perf_counter()
    long_call(out)
    return int(len(out) / (time.perf_counter() - begin)) + 2


@pytest.mark.parametrize("count", [1, 2])
def test_interrupt_in_a_long_call(count, threads):
    """KeyboardInterrupt comes after the call, whose result is whole."""
    threads(count)
    x, labels = np.random.default_rng(0).normal(0, 3, (100, 1000)), np.arange(100)
    expected = sg.cross_entropy_value_and_grad(x, labels)
    out = np.full(rows_of_a_second(), -1, np.float32)
    found = {}

    def interrupt():
        while (out == -1).all():
            time.sleep(1e-3)
        found["unfinished"] = bool((out == -1).any())
        os.kill(os.getpid(), signal.SIGINT)

    # a process started in the background ignores it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = threading.Thread(target=interrupt)

    def call_and_wait():
        long_call(out)
        sender.join()  # where the call was over before

    with float_mode("nearest") as mode:
        before = mode()
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            call_and_wait()
        assert mode() == before
    sender.join()
    assert found["unfinished"], "the signal came in the call"
    assert np.allclose(out, np.log(CLASSES))
    assert sg.get_num_threads() == count
    assert_same_bits(sg.cross_entropy_value_and_grad(x, labels), expected)


def test_a_handler_runs_after_the_call(handler, threads):
    threads(2)
    out = np.full(rows_of_a_second(), -1, np.float32)
    unfinished = []
    handler(lambda *_: unfinished.append(int((out == -1).sum())))
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.01)
    long_call(out)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0 in unfinished
    assert set(unfinished) <= {0, len(out)}, "never in the midst of a call"
    assert np.allclose(out, np.log(CLASSES))


@pytest.mark.parametrize("name", ALL)
def test_a_handler_that_calls_softgrad(name, handler, threads):
    """In the midst of Python code of softgrad's own, too: threaded calls and small ones."""
    threads(2)
    function, small = getattr(sg, name), arguments(name, np.float32)
    large = arguments(name, np.float32, (8, 100) if "jacobian" in name else (700, 100))
    if name.startswith("linear"):
        large[2] %= len(large[1])
    turned = [a.T.astype(np.float64).T if a.ndim == 2 else a for a in large]  # the general way
    expected, seen = [function(*given) for given in (small, large, turned)], []

    def call(*_):
        seen.append(function(*small))

    handler(call)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    end = time.monotonic() + (10 if FULL else 0.1)
    while time.monotonic() < end or len(seen) < 5:
        assert_same_bits([function(*given) for given in (small, large, turned)][1], expected[1])
        assert_same_bits(function(*turned), expected[2])
    signal.setitimer(signal.ITIMER_REAL, 0)
    for result in seen:
        assert_same_bits(result, expected[0])


def interrupt_anywhere(rounding):
    """Many interrupts, in calls that go through softgrad's own Python code and NumPy's."""
    rng = random.Random(0)
    integers = np.arange(600).reshape(20, 30) % 7
    halves = integers.astype(np.float16).T
    x, w, labels = arguments("linear_cross_entropy", np.float32)
    calls = [
        lambda: sg.softmax(integers),
        lambda: sg.softmax(halves, temperature=0.3),
        lambda: sg.cross_entropy(integers, integers, label_smoothing=0.1),
        lambda: sg.linear_cross_entropy_value_and_grad(x, w, labels),
    ]
    with float_mode("nearest"):
        expected = [call() for call in calls]

    signal.signal(signal.SIGALRM, signal.default_int_handler)
    errors = np.geterr()
    stopped = 0
    with float_mode(rounding) as mode:
        before = mode()[0]
        for _ in range(20_000 if FULL else 500):
            i = rng.randrange(len(calls))
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 3e-4))
                result = calls[i]()
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert_same_bits(result, expected[i])  # an alarm from before is handled only now
            except KeyboardInterrupt:
                stopped += 1
            assert mode()[0] == before
    np.seterr(**errors)  # numpy.errstate loses them to an interrupt in its __enter__
    assert stopped > 20


@pytest.mark.parametrize("rounding", ["up", "flush"])
def test_interrupts_anywhere(rounding):
    """The floating-point mode of the caller stands again, whatever softgrad or NumPy was at. In a process of its own: coverage
    waits forever for its lock where an interrupt came while it had it."""
    with float_mode(rounding):
        pass  # skips where it is not known
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.append({here!r}); import test_signals; test_signals.interrupt_anywhere({rounding!r})"
    assert run_python(code) == (0, "", "")
