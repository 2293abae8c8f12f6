"""The arrays of one cell, the same for every library, and the comparison of what the libraries make of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softgrad._bench.cells import JACOBIAN, LINEAR, Cell

Array = npt.NDArray[Any]

ALIGNMENT = 64  # bytes: JAX would copy what is less aligned
BLOCK = 2**15  # elements that are compared at a time
# Relative error that is taken for rounding, and the absolute one as a part of the largest entry.
# In half precision two units each: a peer that rounds d = x - max, exp(d) and the quotient is off by
# (3 + |d|) exp(d) <= 3 half units of the largest entry, one that takes exp(log s), log s rounded near
# -6, by 2 units of the entry itself.
TOLERANCES = {
    "float32": (1e-3, 1e-5),
    "float64": (1e-9, 1e-12),
    "float16": (2.0**-9, 2.0**-9),
    "bfloat16": (2.0**-6, 2.0**-6),
}


@dataclass(frozen=True)
class Work:
    """What one library does for a cell.

    `run` is timed. `results` turns what it returned into NumPy arrays, those of `Case.results`.
    """

    run: Callable[[], Any]
    results: Callable[[Any], tuple[Any, ...]]


class WrongResultError(Exception):
    """A library computes something else than softgrad does."""


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of that name; bfloat16 is ml_dtypes', and ImportError where that is not installed."""
    if name != "bfloat16":
        return np.dtype(name)
    from ml_dtypes import bfloat16

    found: np.dtype[Any] = np.dtype(bfloat16)
    return found


class Case:
    """The inputs of a cell, aligned and read by all libraries in place.

    Libraries other than softgrad see C-contiguous logits `x` of shape (rows, C), or (outer, C, inner)
    where the classes are strided; `axis` is -1 or 1. softgrad gets them as the cell says, by `given`.

    The results are, for every function, in the layout of `x`: (s,), (log s,), (log sum exp,), (loss,),
    (loss, gradient), (g J,), (J,), (gradient, Hessian's diagonal), (loss, dx, dw). Losses and
    their gradients are those of the mean over the rows, gradient and Hessian of the sum.
    `wide` is the type of softgrad's losses and logsumexp; peers that have them in half precision may
    give that.
    `threads` is for libraries that take the number call by call.
    """

    def __init__(self, cell: Cell, threads: int = 1) -> None:
        self.cell, self.threads = cell, threads
        self.dtype = numpy_dtype(cell.dtype)
        self.wide = np.promote_types(self.dtype, np.float32)
        self.n = cell.shape[cell.axis]
        self.rows = math.prod(cell.shape) // self.n
        self.axis, self.x_shape = -1, cell.shape
        if cell.order == "F":
            self.axis, self.x_shape = 1, (1, self.n, self.rows)
        elif cell.axis != -1:
            outer = math.prod(cell.shape[: cell.axis])
            self.axis, self.x_shape = 1, (outer, self.n, self.rows // outer)
        self._rng = np.random.default_rng(20260)

    def given(self, a: Array) -> Array:
        """View an array laid out as `x` as the cell says; or one without the class axis."""
        if a.shape != self.x_shape:
            return a.reshape([n for i, n in enumerate(self.cell.shape) if i != self.given_axis])
        return a[0].T if self.cell.order == "F" else a.reshape(self.cell.shape)

    @property
    def given_axis(self) -> int:
        """The class axis of the cell, from the front."""
        return self.cell.axis % len(self.cell.shape)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of `x` without the class axis."""
        return (self.rows,) if self.axis == -1 else (self.x_shape[0], self.x_shape[2])

    def empty(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Memory for a result, or an input, of the cell's dtype, aligned."""
        kind = self.dtype if dtype is None else np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + size].view(kind).reshape(shape)

    def _filled(self, values: Array, dtype: Any = None) -> Array:
        a = self.empty(values.shape, dtype)
        a[...] = values
        return a

    def _normal(self, shape: tuple[int, ...], scale: float = 1.0) -> Array:
        return self._filled(self._rng.standard_normal(shape, np.float32) * np.float32(scale))

    @cached_property
    def x(self) -> Array:
        """Logits ~ N(0, 3)."""
        return self._normal(self.x_shape, 3.0)

    @cached_property
    def labels(self) -> Array:
        """Class indices, int64, of `row_shape`."""
        return self._filled(self._rng.integers(0, self.n, self.row_shape), np.int64)

    @cached_property
    def probs(self) -> Array:
        """Probabilities as targets, of the shape of `x`."""
        e = np.exp(self._rng.standard_normal(self.x_shape, np.float32))
        return self._filled(e / e.sum(self.axis, keepdims=True))

    @cached_property
    def y(self) -> Array:
        """softmax(x), of which the products are made."""
        x = self.x.astype(np.float64)
        e = np.exp(x - x.max(self.axis, keepdims=True))
        return self._filled(e / e.sum(self.axis, keepdims=True))

    @cached_property
    def g(self) -> Array:
        """The vector of the product, of the shape of `x`."""
        return self._normal(self.x_shape)

    @cached_property
    def hidden(self) -> Array:
        """The input (rows, D) of the linear layer."""
        return self._normal((self.rows, self.cell.depth))

    @cached_property
    def weights(self) -> Array:
        """Its weights (C, D), such that the logits are ~ N(0, 3)."""
        return self._normal((self.n, self.cell.depth), 3.0 / math.sqrt(self.cell.depth))

    def unit(self) -> Work:
        """What "copies" counts: a copy of the logits, of the Jacobian, or the three products."""
        if self.cell.function == LINEAR:
            # In `wide`, since NumPy has no fast products of halves.
            x, w = self.hidden.astype(self.wide), self.weights.astype(self.wide)
            z, dx, dw = (self.empty(s, self.wide) for s in (self.x_shape, x.shape, w.shape))
            z[...] = 0.5

            def products() -> None:
                np.matmul(x, w.T, out=z)
                np.matmul(z, w, out=dx)
                np.matmul(z.T, x, out=dw)

            return Work(products, lambda _: ())
        shape = (self.rows, self.n, self.n) if self.cell.function == JACOBIAN else self.x_shape
        source, target = self._normal(shape), self.empty(shape)
        return Work(lambda: np.copyto(target, source), lambda _: ())

    def check(self, name: str, expected: tuple[Any, ...], actual: tuple[Any, ...]) -> None:
        """Raise WrongResultError unless `actual`, of the library `name`, is `expected` but for rounding."""
        for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
            difference = self._difference(np.asarray(e), np.asarray(a))
            if difference:
                raise WrongResultError(f"{self.cell.name}: result {i} of {name} {difference}")

    def _difference(self, right: Array, found: Array) -> str:
        """What is wrong with `found`, or ""; block by block, which is ten times as fast as in one piece."""
        if right.shape != found.shape:
            return f"has the shape {found.shape}, softgrad's {right.shape}"
        relative, absolute = TOLERANCES[self.cell.dtype]
        absolute *= float(np.abs(right).max())
        right, found = right.reshape(-1), found.reshape(-1)
        for begin in range(0, right.size, BLOCK):
            r = right[begin : begin + BLOCK].astype(np.float64)
            f = found[begin : begin + BLOCK].astype(np.float64)
            close = np.abs(f - r) <= relative * np.abs(r) + absolute  # false for a NaN
            if not close.all():
                at = int(np.argmin(close))
                return f"is {f[at]:.9g} at {begin + at}, softgrad's {r[at]:.9g}"
        return ""
