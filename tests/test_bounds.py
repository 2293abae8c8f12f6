"""No kernel reads or writes outside its arrays: guard pages, and NaN as neighbours."""

import ctypes
import mmap
import sys

import numpy as np
import pytest
from helpers import SHORT, assert_same_bits, ids

import softgrad as sg

SIZES = [*SHORT, 100, 127, 129, 255, 256, 257, 300, 1000, 4095, 4097]
by_size = pytest.mark.parametrize("n", SIZES, ids=ids("n"))
posix = pytest.mark.skipif(sys.platform == "win32", reason="guard pages are made with mprotect")


class Guarded:
    """An array that ends (or begins) at a page that may not be touched: a stray access kills the process."""

    def __init__(self, like, side):
        page = mmap.PAGESIZE
        size = -(-max(like.nbytes, 1) // page) * page
        self.memory = mmap.mmap(-1, size + 2 * page)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.pages = [(self.start, page), (self.start + page + size, page)]
        for address, length in self.pages:
            assert self.libc.mprotect(address, length, 0) == 0
        offset = page if side == "begins" else page + size - like.nbytes
        self.array = np.frombuffer(self.memory, like.dtype, like.size, offset).reshape(like.shape)
        self.array[...] = like

    def close(self):
        for address, length in self.pages:
            self.libc.mprotect(address, length, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def guard(request):
    """guard(array) is a copy of it between guard pages."""
    made = []

    def guard(like, side="ends"):
        made.append(Guarded(np.ascontiguousarray(like), side))
        return made[-1].array

    yield guard
    for one in made:
        one.close()


@posix
@by_size
def test_guard_pages(isa, dtype, n, rng, guard):
    for side in ("begins", "ends"):
        call_everything(dtype, n, side, rng, guard)


def call_everything(dtype, n, side, rng, guard):
    rows = 3
    x, g = rng.normal(0, 1, (2, rows, n)).astype(dtype)
    y, labels = np.abs(g), rng.integers(0, n, rows)
    x, g, y, labels = (guard(a, side) for a in (x, g, y, labels))
    out, hess, flat = guard(x, side), guard(x, side), guard(x[:, 0], side)
    sg.softmax(x, out=out)
    sg.log_softmax(x, out=out)
    sg.logsumexp(x, out=flat)
    sg.logsumexp(x, b=y, out=flat)
    for product in (sg.softmax_vjp, sg.log_softmax_vjp, sg.log_softmax_jvp):
        product(x, g, out=out)
    weight, sample_weight = guard(y[0], side), guard(np.abs(flat), side)
    sg.cross_entropy(x, labels)
    sg.cross_entropy_value_and_grad(x, labels, weight=weight, sample_weight=sample_weight, out=out)
    sg.cross_entropy_grad_hess(x, y, weight=weight, label_smoothing=0.1, out=(out, hess))
    sg.log_loss_value_and_grad(y, labels, weight=weight, out=out)
    sg.log_loss_value_and_grad(y, g, out=out)
    columns, results = guard(x.T, side), guard(x.T, side)
    sg.softmax(columns, 0, out=results)
    sg.cross_entropy_value_and_grad(columns, labels, 0, out=results)
    assert_same_bits(results.T.copy(), sg.cross_entropy_grad(x, labels))
    if n <= 130:
        sg.softmax_jacobian(x, out=guard(np.zeros((rows, n, n), dtype), side))


@by_size
def test_neighbours_are_neither_read_nor_written(isa, dtype, n, rng):
    """The rows and columns about a window hold NaN before, and the same bits after."""

    def window(a):
        frame = np.full((a.shape[0] + 2, a.shape[1] + 40), np.nan, dtype)
        inner = frame[1:-1, 20:-20]
        inner[...] = a
        return frame, inner

    x = rng.normal(0, 2, (3, n)).astype(dtype)
    labels = rng.integers(0, n, 3)
    (_, inside), (frame, out) = window(x), window(np.zeros_like(x))
    (hess_frame, hess) = window(np.zeros_like(x))
    for function in (sg.softmax, sg.log_softmax):
        assert_same_bits(function(inside, out=out).copy(), function(x))
    assert_same_bits(sg.logsumexp(inside), sg.logsumexp(x))
    sg.cross_entropy_grad_hess(inside, labels, out=(out, hess))
    assert_same_bits((out.copy(), hess.copy()), sg.cross_entropy_grad_hess(x, labels))
    for outer, inner in ((frame, out), (hess_frame, hess)):
        inner[...] = np.nan
        assert np.isnan(outer).all()
