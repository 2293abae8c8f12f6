"""softmax, log_softmax and logsumexp."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from softgrad import _core
from softgrad._arrays import (
    Array,
    Fold,
    Out,
    as_axes,
    as_factors,
    as_hidden,
    as_number,
    as_out,
    as_real,
    as_temperature,
    computing_dtype,
    hide,
    read_axis,
    target,
)
from softgrad._interop import read, read_out

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Axis = int | tuple[int, ...] | None


def softmax(
    x: ArrayLike,
    /,
    axis: Axis = -1,
    *,
    temperature: float = 1.0,
    where: ArrayLike | None = None,
    out: Out = None,
) -> Any:
    """Probabilities of the logits `x`: s_i = exp(x_i / T) / sum_k exp(x_k / T).

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The logits, of any shape.
    axis : int, tuple of ints or None, default -1
        The class axis; several axes, or all of them, are one class axis together.
    temperature : float, default 1.0
        T > 0, finite. Above 1 it evens the probabilities out, below 1 it sharpens them.
    where : array_like of bool, optional
        Broadcastable to `x`. Entries where it is False get probability 0 and take no part in the
        sums, whatever they hold. A row without any True gives 0 everywhere.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `x` itself. An ndarray, a
        memory map or another library's array on the CPU that NumPy can write to, such as a PyTorch
        tensor: the very object is returned.

    Returns
    -------
    ndarray
        Of the shape of `x`; `out` if that is given. Floating types give their own, integers and
        bool float64. float16 and bfloat16 (of ml_dtypes) compute in float32, and are rounded once at
        the end. For a 0-d `x` a scalar.

    Raises
    ------
    TypeError
        A dtype other than those above, an `out` of another dtype than the result's, an array that
        is not on the CPU, or that its library does not let NumPy read.
    ValueError
        A temperature that is not positive and finite, shapes that do not fit, an `out` that is
        read-only, immutable (JAX) or of which NumPy receives a copy only.
    numpy.exceptions.AxisError
        An axis that `x` does not have.

    Notes
    -----
    A NaN makes its row NaN. k entries of +inf share the row, 1/k each. A row of nothing but -inf is
    NaN, unless `where` made it so. The formula is (1.2) of P. Blanchard, D. J. Higham and
    N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA Journal of
    Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import softgrad as sg
    >>> sg.softmax([1.0, 2.0, 3.0])
    array([0.09003057, 0.24472847, 0.66524096])
    >>> sg.softmax(np.log([[1, 3], [2, 2]]), where=[[True, True], [True, False]])
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    y = _core.plain_softmax(x, axis, temperature, where, out)
    if y is None:
        y = _map("softmax", _core.softmax, x, axis, temperature, where, out, 0.0)
    return y


def log_softmax(
    x: ArrayLike,
    /,
    axis: Axis = -1,
    *,
    temperature: float = 1.0,
    where: ArrayLike | None = None,
    out: Out = None,
) -> Any:
    """Logarithms of the probabilities: log s_i = x_i / T - log(sum_k exp(x_k / T)).

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The logits, of any shape.
    axis : int, tuple of ints or None, default -1
        The class axis; several axes, or all of them, are one class axis together.
    temperature : float, default 1.0
        T > 0, finite.
    where : array_like of bool, optional
        Broadcastable to `x`. Entries where it is False get -inf and take no part in the sums.
    out : array, optional
        Where to write the result, of its shape and dtype; it may be `x` itself.

    Returns
    -------
    ndarray
        Of the shape of `x`, in natural logarithms (nats); types as in `softmax`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax` does.

    Notes
    -----
    Near 0, where exp(x_k) of the others all but vanish, the result is -log1p of their share, so
    that it is not rounded to 0. The formula is (1.3) of Blanchard, Higham and Higham, see `softmax`.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.log_softmax([1.0, 2.0, 3.0])
    array([-2.40760596, -1.40760596, -0.40760596])
    >>> sg.log_softmax([0.0, 50.0])  # the last entry: -exp(-50)
    array([-5.00000000e+01, -1.92874985e-22])
    """
    y = _core.plain_log_softmax(x, axis, temperature, where, out)
    if y is None:
        y = _map("log_softmax", _core.log_softmax, x, axis, temperature, where, out, -np.inf)
    return y


def _map(
    function: str,
    kernel: Callable[[Array, Array, float], None],
    x: ArrayLike,
    axis: Axis,
    temperature: float,
    where: ArrayLike | None,
    out: Out,
    hidden_result: float,
) -> Any:
    x, where = read(function, "x", x), read(function, "where", where)
    axis, temperature = read_axis(function, axis), as_number(function, "temperature", temperature)
    place = read_out(function, "out", out)

    a = as_real(function, "x", x)
    axes = as_axes(function, axis, a.ndim)
    t = as_temperature(function, temperature, computing_dtype(a.dtype))
    hidden = None if where is None else as_hidden(function, where, a.shape)
    memory = as_out(function, place, a.shape, a.dtype)
    if hidden is not None:
        a = hide(a, hidden, -np.inf)
        memory = a if memory is None else memory  # the copy is ours
    if a.size == 0:
        return np.empty_like(a) if out is None else out
    fold = Fold(a, axes)
    a3 = fold.view(a)
    result, written = fold.output(memory, a, [a3])
    kernel(a3, written, t)
    fold.settle(written, result)
    if hidden is not None:
        np.copyto(result, hidden_result, where=hidden)
    if out is not None:
        return out
    return result[()] if result.ndim == 0 else result


def logsumexp(
    x: ArrayLike,
    /,
    axis: Axis = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    out: Out = None,
) -> Any:
    """log(sum_k exp(x_k)), or log(sum_k b_k exp(x_k)), without overflow.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32, float64, an integer type or bool
        Of any shape.
    axis : int, tuple of ints or None, default -1
        The axes that are summed over; None means all.
    b : array_like, optional
        Factors, converted to the computing type of `x`, that broadcast with `x`. An entry with
        b = 0 is dropped, whatever `x` holds there; a negative sum gives NaN.
    keepdims : bool, default False
        Keep the axes that are summed over, with length 1.
    where : array_like of bool, optional
        Broadcastable to `x`. Entries where it is False take no part. A row without any True gives
        -inf.
    out : array, optional
        Where to write the result, of its shape and dtype.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` without the axes (nats); a NumPy scalar if that leaves no dimension.
        float64 for float64, integers and bool, float32 for the other types.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax` does.

    Notes
    -----
    Computed as max + log1p(sum of the others), Algorithm 4.1 of Blanchard, Higham and Higham, see
    `softmax`. An empty sum is -inf; +inf gives +inf, NaN gives NaN.

    Examples
    --------
    >>> import softgrad as sg
    >>> print(sg.logsumexp([[1.0, 2.0, 3.0], [1000.0, 1000.0, 0.0]]))
    [   3.40760596 1000.69314718]
    >>> print(f"{sg.logsumexp([0.0, 0.0], b=[3.0, -1.0]):.8f}")  # log(3 - 1)
    0.69314718
    """
    y = _core.plain_logsumexp(x, axis, b, keepdims, where, out)
    if y is not None:
        return y
    function = "logsumexp"
    x, b, where = (
        read(function, name, value) for name, value in (("x", x), ("b", b), ("where", where))
    )
    axis, keepdims, place = (
        read_axis(function, axis),
        bool(keepdims),
        read_out(function, "out", out),
    )

    a = as_real(function, "x", x)
    dtype = computing_dtype(a.dtype)
    factors = None
    if b is not None:
        factors = as_factors(function, "b", b, a)
        try:
            a, factors = np.broadcast_arrays(a, factors)
        except ValueError:
            raise ValueError(
                f"{function}: expected b to broadcast with x of shape {a.shape}, got {factors.shape}"
            ) from None
    axes = as_axes(function, axis, a.ndim)
    hidden = None if where is None else as_hidden(function, where, a.shape)
    kept = tuple(1 if d in axes else size for d, size in enumerate(a.shape))
    shape = kept if keepdims else tuple(n for d, n in enumerate(a.shape) if d not in axes)
    memory = as_out(function, place, shape, dtype)
    result = np.empty(shape, dtype) if memory is None else memory
    if a.size == 0:
        result[...] = -np.inf
    else:
        if hidden is not None:
            a = hide(a, hidden, -np.inf)
            factors = None if factors is None else hide(factors, hidden, 0.0)
        fold = Fold(a, axes)
        a3, b3 = fold.view(a), None if factors is None else fold.view(factors)
        rows, plain = fold.reduced(), result.reshape(kept)
        written = rows.view(plain)
        if memory is not None:
            written = target(written, plain, (), [a3] if b3 is None else [a3, b3])
        _core.logsumexp(a3, b3, written)
        rows.settle(written, plain)
    if out is not None:
        return out
    return result[()] if result.ndim == 0 else result
