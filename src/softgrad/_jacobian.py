"""Jacobians of softmax and log_softmax, as whole matrices. _products.py multiplies by them instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from softgrad import _core
from softgrad._arrays import (
    Array,
    Fold,
    Out,
    as_axis,
    as_int,
    as_number,
    as_out,
    as_real,
    as_temperature,
    computing_dtype,
    target,
)
from softgrad._interop import read, read_out

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def softmax_jacobian(
    x: ArrayLike, /, axis: int = -1, *, temperature: float = 1.0, out: Out = None
) -> Array:
    """Jacobian of softmax: J[i, j] = ds_i/dx_j = s_i (delta_ij - s_j) / T, diag(s) - s s^T.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The logits (not the probabilities), of any shape.
    axis : int, default -1
        The class axis, of length C.
    temperature : float, default 1.0
        T > 0, finite: s is softmax(x / T), and the derivative is in `x`.
    out : array, optional
        Where to write the result, of its shape and dtype.

    Returns
    -------
    ndarray
        The shape of `x` without the class axis, then (C, C): an `x` of shape (A, C, B) with axis=1
        gives (A, B, C, C). Each matrix is symmetric, its rows sum to zero. Floating types
        give their own, integers and bool float64.

    Raises
    ------
    TypeError
        A dtype other than those above, or an `out` of another dtype than the result's.
    ValueError
        A temperature that is not positive and finite, a read-only `out` or one of another shape.
    numpy.exceptions.AxisError
        An axis that `x` does not have.

    Notes
    -----
    Equation (4.106) of C. M. Bishop, Pattern Recognition and Machine Learning, 2006; as the Hessian
    of log-sum-exp in section 3.1.5 of S. Boyd and L. Vandenberghe, Convex Optimization, 2004. On
    the diagonal 1 - s_i is the sum of the others, so that it does not cancel where s_i is near 1.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.softmax_jacobian([1.0, 2.0, 3.0])
    array([[ 0.08192507, -0.02203304, -0.05989202],
           [-0.02203304,  0.18483645, -0.1628034 ],
           [-0.05989202, -0.1628034 ,  0.22269543]])
    """
    result = _core.plain_softmax_jacobian(x, axis, temperature, out)
    if result is None:
        result = _jacobian("softmax_jacobian", _core.softmax_jacobian, x, axis, temperature, out)
    return result


def log_softmax_jacobian(
    x: ArrayLike, /, axis: int = -1, *, temperature: float = 1.0, out: Out = None
) -> Array:
    """Jacobian of log_softmax: J[i, j] = d log s_i / dx_j = (delta_ij - s_j) / T.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The logits, of any shape.
    axis : int, default -1
        The class axis, of length C.
    temperature : float, default 1.0
        T > 0, finite: s is softmax(x / T), and the derivative is in `x`.
    out : array, optional
        Where to write the result, of its shape and dtype.

    Returns
    -------
    ndarray
        The shape of `x` without the class axis, then (C, C). Not symmetric: the index i of the
        result comes before the index j of the argument. Types as in `softmax_jacobian`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax_jacobian` does.

    Notes
    -----
    The row i of `softmax_jacobian` divided by s_i, as log s_i has the derivative ds_i / s_i.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.log_softmax_jacobian([1.0, 2.0, 3.0])
    array([[ 0.90996943, -0.24472847, -0.66524096],
           [-0.09003057,  0.75527153, -0.66524096],
           [-0.09003057, -0.24472847,  0.33475904]])
    """
    result = _core.plain_log_softmax_jacobian(x, axis, temperature, out)
    if result is None:
        result = _jacobian(
            "log_softmax_jacobian", _core.log_softmax_jacobian, x, axis, temperature, out
        )
    return result


def _jacobian(
    function: str,
    kernel: Callable[[Array, Array, float], None],
    x: ArrayLike,
    axis: int,
    temperature: float,
    out: Out,
) -> Array:
    x, place = read(function, "x", x), read_out(function, "out", out)
    axis = as_int(function, "axis", axis)
    temperature = as_number(function, "temperature", temperature)

    a = as_real(function, "x", x)
    axis = as_axis(function, axis, a.ndim)
    t = as_temperature(function, temperature, computing_dtype(a.dtype))
    n = a.shape[axis]
    shape = (*a.shape[:axis], *a.shape[axis + 1 :], n, n)
    memory = as_out(function, place, shape, a.dtype)
    result = np.empty(shape, a.dtype) if memory is None else memory
    given: Array = result if out is None else out
    if a.size == 0:
        return given
    fold = Fold(a, (axis,), ordered=True)
    a3 = fold.view(a)
    written = result.reshape(fold.shape[0], fold.shape[2], n, n)
    if memory is not None:
        written = target(written, result, (), [a3])
    if written.strides[-1] != written.itemsize:
        written = np.empty(written.shape, written.dtype)
    kernel(a3, written, t)
    if not np.may_share_memory(written, result):
        np.copyto(result, written.reshape(shape))
    return given
