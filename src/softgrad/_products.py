"""Products with the Jacobians of softmax and log_softmax, without forming these. They take the result
of the forward function, as a backward pass has it.
"""

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
    as_out,
    check_shape,
    common_dtype,
    convert,
)
from softgrad._interop import as_array, read, read_out

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def softmax_vjp(y: ArrayLike, g: ArrayLike, /, axis: int = -1, *, out: Out = None) -> Array:
    """Vector-Jacobian product of softmax: y * (g - sum(g * y)), where y = softmax(x).

    Parameters
    ----------
    y : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The result of softmax(x), not `x`.
    g : array_like
        The gradient of a loss in `y`, of the same shape.
    axis : int, default -1
        The class axis.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `y` or `g` itself.

    Returns
    -------
    ndarray
        The gradient of that loss in `x`, of the shape of `y` and of the type
        numpy.result_type(y, g), float64 if that is an integer type. If softmax had a temperature T,
        divide by it.

    Raises
    ------
    TypeError
        A dtype other than those above, or an `out` of another dtype than the result's.
    ValueError
        Shapes that differ, a read-only `out`.
    numpy.exceptions.AxisError
        An axis that `y` does not have.

    Notes
    -----
    The product g^T (diag(y) - y y^T), equation (4.106) of C. M. Bishop, Pattern Recognition and
    Machine Learning, 2006. The dot product is subtracted before the multiplication by y.

    Examples
    --------
    >>> import softgrad as sg
    >>> y = sg.softmax([1.0, 2.0, 3.0])
    >>> sg.softmax_vjp(y, [1.0, 0.0, 0.0])  # the first row of the Jacobian
    array([ 0.08192507, -0.02203304, -0.05989202])
    """
    result = _core.plain_softmax_vjp(y, g, axis, out)
    if result is None:
        result = _product("softmax_vjp", _core.softmax_vjp, axis, out, y=y, g=g)
    return result


def softmax_jvp(y: ArrayLike, v: ArrayLike, /, axis: int = -1, *, out: Out = None) -> Array:
    """Jacobian-vector product of softmax: y * (v - sum(v * y)), where y = softmax(x).

    Parameters
    ----------
    y : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The result of softmax(x), not `x`.
    v : array_like
        A direction in `x`, of the same shape.
    axis : int, default -1
        The class axis.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `y` or `v` itself.

    Returns
    -------
    ndarray
        The derivative of `y` in that direction; shape and type as in `softmax_vjp`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax_vjp` does.

    Notes
    -----
    The Jacobian is symmetric, so this is `softmax_vjp` under the name that forward mode gives it.

    Examples
    --------
    >>> import softgrad as sg
    >>> y = sg.softmax([1.0, 2.0, 3.0])
    >>> sg.softmax_jvp(y, [0.0, 1.0, 0.0])  # the second column of the Jacobian
    array([-0.02203304,  0.18483645, -0.1628034 ])
    """
    result = _core.plain_softmax_vjp(y, v, axis, out)
    if result is None:
        result = _product("softmax_jvp", _core.softmax_vjp, axis, out, y=y, v=v)
    return result


def log_softmax_vjp(ly: ArrayLike, g: ArrayLike, /, axis: int = -1, *, out: Out = None) -> Array:
    """Vector-Jacobian product of log_softmax: g - exp(ly) * sum(g), where ly = log_softmax(x).

    Parameters
    ----------
    ly : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The result of log_softmax(x), not `x`. An entry of -inf gets g - 0.
    g : array_like
        The gradient of a loss in `ly`, of the same shape.
    axis : int, default -1
        The class axis.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `ly` or `g` itself.

    Returns
    -------
    ndarray
        The gradient of that loss in `x`; shape and type as in `softmax_vjp`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax_vjp` does.

    Notes
    -----
    The product g^T (I - 1 s^T) with s = exp(ly), from d log s_i / dx_j = delta_ij - s_j: equation
    (4.106) of Bishop (see `softmax_vjp`) divided by s_i.

    Examples
    --------
    >>> import softgrad as sg
    >>> ly = sg.log_softmax([1.0, 2.0, 3.0])
    >>> sg.log_softmax_vjp(ly, [1.0, 0.0, 0.0])  # the first row of the Jacobian
    array([ 0.90996943, -0.24472847, -0.66524096])
    """
    result = _core.plain_log_softmax_vjp(ly, g, axis, out)
    if result is None:
        result = _product("log_softmax_vjp", _core.log_softmax_vjp, axis, out, ly=ly, g=g)
    return result


def log_softmax_jvp(ly: ArrayLike, v: ArrayLike, /, axis: int = -1, *, out: Out = None) -> Array:
    """Jacobian-vector product of log_softmax: v - sum(exp(ly) * v), where ly = log_softmax(x).

    Parameters
    ----------
    ly : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The result of log_softmax(x), not `x`.
    v : array_like
        A direction in `x`, of the same shape.
    axis : int, default -1
        The class axis.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `ly` or `v` itself.

    Returns
    -------
    ndarray
        The derivative of `ly` in that direction; shape and type as in `softmax_vjp`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax_vjp` does.

    Notes
    -----
    The product (I - 1 s^T) v with s = exp(ly); the matrix is that of `log_softmax_vjp`.

    Examples
    --------
    >>> import softgrad as sg
    >>> ly = sg.log_softmax([1.0, 2.0, 3.0])
    >>> sg.log_softmax_jvp(ly, [1.0, 0.0, 0.0])  # the first column of the Jacobian
    array([ 0.90996943, -0.09003057, -0.09003057])
    """
    result = _core.plain_log_softmax_jvp(ly, v, axis, out)
    if result is None:
        result = _product("log_softmax_jvp", _core.log_softmax_jvp, axis, out, ly=ly, v=v)
    return result


def _product(
    function: str,
    kernel: Callable[[Array, Array, Array], None],
    axis: int,
    out: Out,
    **arrays: ArrayLike,
) -> Array:
    first, second = arrays
    given = {name: read(function, name, a) for name, a in arrays.items()}
    axis, place = as_int(function, "axis", axis), read_out(function, "out", out)

    y, g = (as_array(function, name, a) for name, a in given.items())
    dtype = common_dtype(function, **{first: y, second: g})
    y, g = convert(y, dtype), convert(g, dtype)
    axis = as_axis(function, axis, y.ndim)
    check_shape(function, second, g, y.shape, f"that of {first}")
    memory = as_out(function, place, y.shape, y.dtype)
    if y.size == 0:
        return np.empty_like(y) if out is None else out
    fold = Fold(y, (axis,))
    y3, g3 = fold.view(y), fold.view(g)
    result, written = fold.output(memory, y, [y3, g3])
    kernel(y3, g3, written)
    fold.settle(written, result)
    return result if out is None else out
