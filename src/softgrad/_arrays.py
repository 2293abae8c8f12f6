"""Arguments into arrays that the kernels take: types, axes, the view (outer, n, inner), `out`.

The only place that normalises array arguments. Arrays of other libraries become NumPy's in
_interop.py; what is special to losses is in _losses.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.exceptions import AxisError, TooHardError

from softgrad import _core
from softgrad._core import is_bfloat16
from softgrad._interop import as_array, as_memory

Array = np.ndarray[Any, np.dtype[Any]]
Out = Any  # an ndarray, or what shares its memory with one: see _interop.py

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

# Floating types, and what each computes in. Integers and bool become float64. bfloat16 is ml_dtypes': is_bfloat16.
COMPUTES_IN: dict[type, np.dtype[Any]] = {
    np.float16: FLOAT32,
    np.float32: FLOAT32,
    np.float64: FLOAT64,
}
SUPPORTED = "float16, bfloat16, float32 or float64"

# Steps that NumPy may take to find out whether two arrays overlap before it gives up. (Any: its stubs
# know of no numbers but 0 and -1.)
OVERLAP_WORK: Any = 1000


def computing_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What arrays of `dtype`, a supported one, compute in."""
    return FLOAT32 if is_bfloat16(dtype) else COMPUTES_IN.get(dtype.type, FLOAT64)


def floating_dtype(function: str, name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type, in native byte order, that arrays of `dtype` are taken as; TypeError if there is none."""
    if dtype.kind in "biu":
        return FLOAT64
    if dtype.type not in COMPUTES_IN and not is_bfloat16(dtype):
        raise TypeError(f"{function}: expected {name} of dtype {SUPPORTED}, got {dtype}")
    return np.dtype(dtype.type)


def convert(a: Array, dtype: np.dtype[Any]) -> Array:
    """`a` as a plain, aligned array of native `dtype`; `a` itself where it is one."""
    if a.dtype != dtype:
        half = (a.dtype.type is np.float16 or is_bfloat16(a.dtype)) and a.dtype.isnative
        if half and a.flags.aligned and dtype == FLOAT32 and a.ndim == 2 and a.size > 0:
            if a.strides[1] == 2:
                wide = np.empty(a.shape, dtype)
                _core.widen(a, wide)
                return wide
            if a.strides[0] == 2:
                return convert(a.T, dtype).T
        with _core.DefaultMode(), np.errstate(all="ignore"):
            return a.astype(dtype)
    return a if has_whole_steps(a) else a.copy(order="K")


def has_whole_steps(a: Array) -> bool:
    """Whether `a` is aligned and its strides count elements, as the kernels take it."""
    flags = a.flags
    return flags.aligned and (flags.forc or all(step % a.itemsize == 0 for step in a.strides))


def as_real(function: str, name: str, value: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """`value` as an array of its floating type, or converted to `dtype`."""
    a = as_array(function, name, value)
    found = floating_dtype(function, name, a.dtype)
    return convert(a, found if dtype is None else dtype)


def as_factors(function: str, name: str, value: Any, x: Array) -> Array:
    """`value` as what goes along with `x` entry by entry: in the computing type of `x`, or in half precision
    where that is float32, as the kernels convert it.
    """
    a, wanted = as_array(function, name, value), computing_dtype(x.dtype)
    found = floating_dtype(function, name, a.dtype)
    return convert(a, found if found.itemsize == 2 and wanted == FLOAT32 else wanted)


def common_dtype(function: str, **arrays: Array) -> np.dtype[Any]:
    """The floating type of arrays of equal standing, which the keywords name."""
    names = " and ".join(arrays)
    found = [floating_dtype(function, name, a.dtype) for name, a in arrays.items()]
    if len({dtype for dtype in found if dtype.itemsize == 2}) > 1:
        raise TypeError(
            f"{function}: expected one half precision in {names}, got float16 and bfloat16"
        )
    try:
        common = np.result_type(*(a.dtype for a in arrays.values()))
    except (
        TypeError
    ):  # ml_dtypes knows none of bfloat16 and the wider integers: of what these are taken as
        common = np.result_type(*found)
    return floating_dtype(function, names, common)


def read_axis(function: str, axis: Any) -> Any:
    """`axis` of ints alone, or None."""
    if axis is None:
        return None
    if isinstance(axis, tuple):
        return tuple(as_int(function, "axis", one) for one in axis)
    return as_int(function, "axis", axis)


def as_number(function: str, name: str, value: Any, dtype: np.dtype[Any] = FLOAT64) -> float:
    """`value` rounded to `dtype`."""
    try:
        if isinstance(value, (str, bytes, bytearray)):  # float() reads text
            raise TypeError
        number = float(value)
    except OverflowError:
        number = math.inf
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{function}: expected {name} to be a number, got {kind}") from None
    if dtype == FLOAT64 or number in (0.0, 1.0):
        return number
    rounded = np.empty(1, dtype)
    _core.narrow(np.array([number]), rounded)
    return float(rounded[0])


def as_int(function: str, name: str, value: Any) -> int:
    """`value` as an int."""
    try:
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{function}: expected {name} to be an int, got {kind}") from None


def as_temperature(function: str, value: Any, dtype: np.dtype[Any]) -> float:
    """`value` rounded to `dtype`, there positive and finite."""
    if type(value) is float and value == 1.0:
        return value
    number = as_number(function, "temperature", value, dtype)
    if not 0.0 < number < math.inf:
        raise ValueError(
            f"{function}: expected temperature to be positive and finite in {dtype}, got {value!r}"
        )
    return number


def as_axis(function: str, axis: Any, ndim: int) -> int:
    """One axis as an index from 0."""
    index = as_int(function, "axis", axis)
    if not -ndim <= index < ndim:
        raise AxisError(index, ndim, function)
    return index % ndim


def as_axes(function: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes given as an int, a tuple of ints, or None for all, in ascending order."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        return (as_axis(function, axis, ndim),)
    axes = sorted(as_axis(function, one, ndim) for one in axis)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{function}: axis {axis} names one twice")
    return tuple(axes)


def check_shape(function: str, name: str, a: Array, shape: tuple[int, ...], like: str) -> None:
    """ValueError unless `a` has that shape, which is the shape of `like`."""
    if a.shape != shape:
        raise ValueError(f"{function}: expected {name} of shape {shape} ({like}), got {a.shape}")


def as_hidden(function: str, where: Any, shape: tuple[int, ...]) -> Array:
    """The entries of x, of that shape, that `where` leaves out."""
    mask = as_array(function, "where", where)
    if mask.dtype != np.bool_:
        raise TypeError(f"{function}: expected where of dtype bool, got {mask.dtype}")
    try:
        return np.broadcast_to(~mask, shape)
    except ValueError:
        raise ValueError(
            f"{function}: expected where to broadcast to the shape {shape} of x, got {mask.shape}"
        ) from None


def hide(a: Array, hidden: Array, value: float) -> Array:
    """A copy of `a` that holds `value` at the hidden entries."""
    a = a.copy(order="K")
    np.copyto(a, value, where=hidden)
    return a


def as_out(
    function: str, out: Out, shape: tuple[int, ...], dtype: np.dtype[Any], name: str = "out"
) -> Array | None:
    """`out` as a plain array that a result of that shape and dtype can be written to; None is None."""
    if out is None:
        return None
    a = as_memory(function, name, out)
    if a.dtype != dtype:
        raise TypeError(f"{function}: expected {name} of dtype {dtype}, got {a.dtype}")
    check_shape(function, name, a, shape, "the result's")
    if not a.flags.writeable:
        raise ValueError(f"{function}: output array is read-only")
    return a


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share memory, or may for all that can be said in short time."""
    try:
        return bool(np.shares_memory(a, b, max_work=OVERLAP_WORK))
    except TooHardError:
        return True


def overlaps_itself(a: Array) -> bool:
    """Whether two entries of `a` may share memory."""
    if a.flags.forc:
        return False
    reach = a.itemsize
    for step, count in sorted(
        (abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1
    ):
        if step < reach:
            return True
        reach += step * (count - 1)
    return False


class Fold:
    """How arrays with the shape of `x` are seen as (outer, n, inner), n being the entries of `axes`.

    The view is chosen so that `x` needs no copy if there is any such view: rows may be taken in
    another order (unless `ordered`), and be parted anywhere between outer and inner.
    """

    __slots__ = ("order", "shape")

    def __init__(self, x: Array, axes: tuple[int, ...], *, ordered: bool = False) -> None:
        sizes, before, after = x.shape, 0, 0
        if axes:
            before, after = axes[0], axes[-1] + 1
        self.order: tuple[int, ...] | None = None  # as they are
        if x.flags.c_contiguous and after - before == len(axes):
            groups: Any = sizes[:before], sizes[before:after], sizes[after:]
        else:
            outer, inner = _arrange(x, axes, ordered)
            self.order = (*outer, *axes, *inner)
            groups = [[sizes[d] for d in dims] for dims in (outer, axes, inner)]
        self.shape = (math.prod(groups[0]), math.prod(groups[1]), math.prod(groups[2]))

    def view(self, a: Array) -> Array:
        """`a` as (outer, n, inner): a view, or a copy where there is none."""
        if self.order is not None:
            a = a.transpose(self.order)
        return a.reshape(self.shape)

    def unfold(self, a: Array, shape: tuple[int, ...]) -> Array:
        """(outer, n, inner) back into that shape; a view."""
        if self.order is None:
            return a.reshape(shape)
        inverse = sorted(range(len(shape)), key=self.order.__getitem__)
        return a.reshape([shape[d] for d in self.order]).transpose(inverse)

    def reduced(self) -> Fold:
        """The same for results that keep `axes` with length 1: (outer, 1, inner)."""
        fold = object.__new__(Fold)
        fold.order, fold.shape = self.order, (self.shape[0], 1, self.shape[2])
        return fold

    def output(
        self, out: Array | None, like: Array, in_place: Sequence[Array], read: Sequence[Array] = ()
    ) -> tuple[Array, Array]:
        """(the result, what the kernel writes): `out`, or a new array with the layout of `like`.

        The kernel reads `in_place`, each of which may be `out` itself, and `read`.
        """
        if out is None:
            out = np.empty_like(like)
            return out, self.view(out)
        return out, target(self.view(out), out, in_place, read)

    def settle(self, written: Array, result: Array) -> None:
        """Copy what the kernel wrote into the result, unless it is a view of it."""
        base = written.base
        if base is not None and (base is result or base is result.base):
            return
        if not np.may_share_memory(written, result):
            np.copyto(result, self.unfold(written, result.shape))


def target(view: Array, out: Array, in_place: Sequence[Array], read: Sequence[Array]) -> Array:
    """What a kernel writes to: `view`, which is `out` in another shape; or a new array like `view`,
    where it is not a view, has strides that are no whole number of elements, or overlaps what is read
    (other than by being it, for `in_place`) or itself.
    """
    if not np.may_share_memory(view, out):
        return view
    if (
        any(overlap(view, a) and not _same_place(view, a) for a in in_place)
        or any(overlap(view, a) for a in read)
        or overlaps_itself(out)
        or not has_whole_steps(out)
    ):
        return np.empty(view.shape, view.dtype)
    return view


def _arrange(x: Array, axes: tuple[int, ...], ordered: bool) -> tuple[list[int], list[int]]:
    """The other dimensions of `x`: those that are to make up outer, and inner."""
    shape, strides = x.shape, x.strides
    rows = [d for d in range(x.ndim) if d not in axes]

    def merge(dims: Sequence[int]) -> bool:
        return all(
            strides[a] == strides[b] * shape[b]
            for a, b in pairwise([d for d in dims if shape[d] != 1])
        )

    if merge(axes):
        step = min((abs(strides[d]) for d in axes if shape[d] != 1), default=0)
        by_stride = rows if ordered else sorted(rows, key=lambda d: -abs(strides[d]))
        # Neighbours in memory go to the kernel as neighbours: what steps less than the axes is inner.
        outside = sum(strides[d] == 0 or abs(strides[d]) >= step for d in rows)
        for split in sorted(range(len(rows) + 1), key=lambda k: abs(k - outside)):
            outer, inner = by_stride[:split], by_stride[split:]
            if merge(outer) and merge(inner):
                return outer, inner
    return rows, []


def _same_place(a: Array, b: Array) -> bool:
    """Whether two arrays are the same entries in the same memory."""
    return (
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.__array_interface__["data"] == b.__array_interface__["data"]
    )
