"""Matrix products and column sums with bounded temporaries: numpy.matmul copies whole operands of
another type, and cannot add to its result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from softgrad._arrays import Array, convert

# At most this much is held beside the caller's arrays for a block of each operand and of the product.
BLOCK_BYTES = 4 * 2**20
CONVERTED_DEPTH = 1024  # of a block that has to be converted


def matmul(a: Array, b: Array, out: Array, *, add: bool = False) -> None:
    """out = a @ b, or out += a @ b, computed in the type of `out`."""
    fit_a, fit_b = _fits_blas(a, out.dtype), _fits_blas(b, out.dtype)
    if fit_a and fit_b and not add:
        np.matmul(a, b, out=out)
        return
    (m, k), n = a.shape, b.shape[1]
    if m == 0 or k == 0 or n == 0:
        if not add:
            out[...] = 0
        return
    limit = BLOCK_BYTES // out.itemsize
    k_step = k if fit_a and fit_b else min(k, CONVERTED_DEPTH)
    widest = limit if fit_b else limit // k_step
    n_step = min(n, widest, max(math.isqrt(limit), limit // m))
    m_step = max(1, min(m, limit // n_step, limit if fit_a else limit // k_step))
    product = np.empty((m_step, n_step), out.dtype) if add or k_step < k else None
    for j in range(0, n, n_step):
        for depth in range(0, k, k_step):
            right = _block(b[depth : depth + k_step, j : j + n_step], fit_b, out.dtype)
            for i in range(0, m, m_step):
                left = _block(a[i : i + m_step, depth : depth + k_step], fit_a, out.dtype)
                block = out[i : i + m_step, j : j + n_step]
                if product is not None and (add or depth > 0):
                    block += np.matmul(left, right, out=product[: len(left), : right.shape[1]])
                else:
                    np.matmul(left, right, out=block)


def column_sums(a: Array) -> Array:
    """The sum of the rows of `a`, pairwise; `a` is used up."""
    rows = len(a)
    while rows > 1:
        half = rows // 2
        a[:half] += a[rows - half : rows]
        rows -= half
    total: Array = a[0]
    return total


def _block(a: Array, fits: bool, dtype: np.dtype[Any]) -> Array:
    if not fits:
        a = convert(a, dtype)
    return a if _fits_blas(a, dtype) else np.ascontiguousarray(a)


def _fits_blas(a: Array, dtype: np.dtype[Any]) -> bool:
    """Whether numpy.matmul hands `a` to BLAS as it is: its rows or its columns are contiguous."""
    (rows, columns), (down, across), size = a.shape, a.strides, dtype.itemsize
    return (
        a.dtype == dtype
        and a.flags.aligned
        and (
            (across == size and down % size == 0 and down >= columns * size)
            or (down == size and across % size == 0 and across >= rows * size)
        )
    )
