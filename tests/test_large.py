"""More than 2^31 elements in an array, a row, a label. Zeros that were never written to take no memory where the system
hands out pages at their first use; what writes them all runs with SOFTGRAD_FULL=1 only, in 12 GiB and two minutes.
"""

import sys

import numpy as np
import pytest
from helpers import FULL, assert_close, assert_same_bits

import softgrad as sg

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.maxsize < 2**32,
    reason="a gigabyte of zeros takes a gigabyte elsewhere",
)
full = pytest.mark.skipif(not FULL, reason="takes 12 GiB and two minutes")


def zeros(shape, kind):
    try:
        return np.zeros(shape, kind)
    except MemoryError:
        pytest.skip("the system promises no more memory than it has")


def test_a_row_of_more_classes_than_31_bits_count():
    """And the label is one of the last."""
    n = 2**31 + 5
    x = zeros(n, np.float32)
    x[-3:] = 12, 13, 14
    total = np.log(n - 3 + np.exp(np.longdouble([12, 13, 14])).sum())
    assert_close(sg.logsumexp(x), total, ulps=3)
    for label in (n - 2, 1):
        loss = sg.cross_entropy(x, np.uint32(label))
        assert_close(loss, total - np.longdouble(x[label]), ulps=3)


def test_rows_further_apart_than_31_bits_count():
    n = 2**30 + 3
    x = zeros((3, n), np.float32)
    x[2, -2:] = 12, 13
    total = np.log(n - 2 + np.exp(np.longdouble([12, 13])).sum())
    losses = sg.cross_entropy(x[::2], np.array([n - 1, n - 1]), reduction="none")
    assert_close(losses, [np.log(np.longdouble(n)), total - 13], ulps=3)
    corner = x[:, -4:]
    expected = sg.softmax(corner.copy())
    assert sg.softmax(corner, out=corner) is corner
    assert_same_bits(corner.copy(), expected)


@full
def test_many_rows_in_place():
    """6 GiB."""
    x = zeros((2**30 + 1, 3), np.float16)
    some = np.array([0, 1, 2**31 // 3, 2**31 // 3 + 1, 2**30 - 1, 2**30])
    x[some] = np.random.default_rng(3).normal(0, 2, (len(some), 3))
    expected = sg.softmax(x[some])
    assert sg.softmax(x, out=x) is x
    assert_same_bits(x[some], expected)
    x[some] = x[2]
    third = sg.softmax(np.zeros(3, np.float16))[0]
    assert x.min() == third == x.max()


@full
def test_long_rows_in_place(threads):
    """4 GiB, and 8 bytes a class for a row in float32 and its result, on one thread."""
    threads(1)
    n = 2**30 + 3
    x = zeros((2, n), np.float16)
    x[1, -3:] = 12
    assert sg.softmax(x, out=x) is x
    e = np.exp(np.longdouble(12))
    assert (x[1, -3:] == np.float16(e / (n - 3 + 3 * e))).all()
    assert x[0].max() == x[1, :-3].max() == 0  # 1 / n is less than half of the smallest subnormal
