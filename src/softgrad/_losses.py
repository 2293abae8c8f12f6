"""What all losses share: their options and targets, checked; the divisor and the reduction; one loss
over an array. _linear.py goes by chunks of rows instead.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from softgrad import _core
from softgrad._arrays import (
    Array,
    Fold,
    Out,
    as_axis,
    as_factors,
    as_int,
    as_number,
    as_out,
    as_real,
    as_temperature,
    check_shape,
    computing_dtype,
    convert,
    floating_dtype,
    overlap,
)
from softgrad._interop import as_array, read, read_out

IGNORE_INDEX = -100  # torch.nn.functional.cross_entropy's default
REDUCTIONS = ("mean", "sum", "none")
INT64 = np.dtype(np.int64)


class Options(NamedTuple):
    """The options of a loss as the caller gave them; log_loss leaves the last three at what they are."""

    weight: Any
    sample_weight: Any
    ignore_index: Any
    reduction: Any
    label_smoothing: Any = 0.0
    temperature: Any = 1.0
    z_loss: Any = 0.0

    def read(self, function: str) -> Options:
        """These with no code in them left to run, as _interop.read() has it."""
        if not isinstance(self.reduction, str) or self.reduction not in REDUCTIONS:
            raise ValueError(
                f"{function}: expected reduction to be mean, sum or none, got {self.reduction!r}"
            )
        return Options(
            read(function, "weight", self.weight),
            read(function, "sample_weight", self.sample_weight),
            as_int(function, "ignore_index", self.ignore_index),
            REDUCTIONS[REDUCTIONS.index(self.reduction)],  # no subclass of str
            as_number(function, "label_smoothing", self.label_smoothing),
            as_number(function, "temperature", self.temperature),
            as_number(function, "z_loss", self.z_loss),
        )


def read_targets(function: str, targets: Any) -> Any:
    """As _interop.read(); an empty list is no list of floats."""
    a = read(function, "targets", targets)
    if a is not targets and a.size == 0 and not hasattr(targets, "dtype"):
        return a.astype(INT64)
    return a


class Request:
    """Targets and options, which were read, for logits of a computing type and a shape, checked and converted."""

    def __init__(
        self,
        function: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        axis: int,
        targets: Any,
        options: Options,
    ) -> None:
        self.function, self.dtype, self.reduction = function, dtype, options.reduction
        self.classes = shape[axis]
        self.shape = (*shape[:axis], *shape[axis + 1 :])  # of the rows
        self.rows = math.prod(self.shape)
        self.temperature = as_temperature(function, options.temperature, dtype)
        self.label_smoothing = as_number(
            function, "label_smoothing", options.label_smoothing, dtype
        )
        if not 0.0 <= self.label_smoothing <= 1.0:
            given = options.label_smoothing
            raise ValueError(f"{function}: expected label_smoothing within [0, 1], got {given!r}")
        self.z_loss = as_number(function, "z_loss", options.z_loss, dtype)
        if not self.z_loss >= 0.0:
            raise ValueError(f"{function}: expected z_loss >= 0, got {options.z_loss!r}")
        self.weight = self._vector("weight", options.weight, (self.classes,), "the classes")
        self.sample_weight = self._vector(
            "sample_weight", options.sample_weight, self.shape, "the rows"
        )
        self.ignore_index: int = options.ignore_index
        self.labels: Array | None = None  # int64 (rows,)
        self.probs: Array | None = None  # as given, not yet of the computing type
        self._take_targets(as_array(function, "targets", targets), shape, axis)

    def _vector(self, name: str, value: Any, shape: tuple[int, ...], like: str) -> Array | None:
        if value is None:
            return None
        a = as_real(self.function, name, value, self.dtype)
        check_shape(self.function, name, a, shape, like)
        return np.ascontiguousarray(a).reshape(-1)

    def _take_targets(self, targets: Array, shape: tuple[int, ...], axis: int) -> None:
        function = self.function
        if targets.shape == self.shape:
            if targets.dtype.kind not in "iu":
                raise TypeError(
                    f"{function}: expected targets of an integer dtype, as their shape "
                    f"{targets.shape} is that of class labels, got {targets.dtype}"
                )
            self._take_labels(targets)
        elif targets.shape == shape:
            floating_dtype(function, "targets", targets.dtype)
            if self.ignore_index != IGNORE_INDEX:
                raise ValueError(
                    f"{function}: expected no ignore_index with probability targets, "
                    f"got {self.ignore_index}"
                )
            self.probs = targets
        else:
            hint = ""
            if len(shape) > 1 and targets.shape == (shape[0], *shape[2:]):
                hint = "; if the classes are on axis 1, as in PyTorch, pass axis=1"
            raise ValueError(
                f"{function}: expected targets of shape {self.shape} (class labels) or {shape} "
                f"(probabilities), the class axis being {axis}, got {targets.shape}{hint}"
            )

    def _take_labels(self, targets: Array) -> None:
        """Labels as int64, each in range or the ignored one; uint64 wraps around, so that what is
        beyond int64 becomes negative."""
        labels = np.ascontiguousarray(convert(targets, INT64).reshape(-1))
        bounds = np.iinfo(targets.dtype)
        ignored, bad = self.ignore_index, -1
        if bounds.min <= ignored <= bounds.max:
            ignored = ignored if ignored < 2**63 else ignored - 2**64
            bad = _core.find_bad_label(labels, self.classes, ignored)
        else:  # no label is that one: none is ignored
            ignored = -1
            if self.classes > 0:
                bad = _core.find_bad_label(labels, self.classes, 0)
            elif labels.size > 0:
                bad = 0
        if bad >= 0:
            at = np.unravel_index(bad, targets.shape) if targets.ndim else ()
            where = f"[{', '.join(str(i) for i in at)}]" if at else ""
            raise IndexError(
                f"targets{where} = {targets[at]} is out of bounds for {self.classes} classes"
            )
        self.labels, self.ignore_index = labels, ignored

    def norm(self) -> tuple[float, float]:
        """What the loss and its gradients are divided by, as two floats to add."""
        if self.reduction != "mean":
            return 1.0, 0.0
        like = np.empty((0, self.classes, 1), self.dtype)
        return _core.total_weight(
            like, self.rows, self.labels, self.ignore_index, self.weight, self.sample_weight
        )

    def no_loss(self) -> Array:
        """Losses of all rows, to write to; what they are where there is no class. The memory of what reduce() returns is taken
        here, as none may be lacking once `out` has been written."""
        loss = np.zeros(self.rows, np.float64)  # without it NumPy 2.4, 2.5 leak a reference
        self.reduced = np.empty(self.rows if self.reduction == "none" else 1, self.dtype)
        if self.classes == 0 and self.probs is not None and self.z_loss > 0.0:
            # z_loss * logsumexp(nothing)^2, and 0 * inf = 0
            weight = self.sample_weight
            if weight is None:
                weight = np.ones(self.rows, np.float64)
            loss[weight != 0.0] = np.copysign(np.inf, weight[weight != 0.0])
        return loss

    def reduce(self, loss: Array, norm: tuple[float, float]) -> Any:
        """The loss as it is returned, from the losses (float64) of all rows."""
        if self.reduction == "none":
            _core.narrow(loss, self.reduced)
            return self.reduced.reshape(self.shape)[()]
        _core.reduce(loss, norm, self.reduced)
        return self.reduced[0]


def evaluate(
    function: str,
    name: str,
    x: Any,
    targets: Any,
    axis: Any,
    options: Options,
    outs: tuple[Out, ...] = (),
    *,
    with_loss: bool = True,
) -> tuple[Any, ...]:
    """(loss, *derivatives) of the argument `name`, logits or probs; as many derivatives as there are
    `outs`, each None or where to write it. The loss is None where it is not wanted."""
    x, targets = read(function, name, x), read_targets(function, targets)
    axis, options = as_int(function, "axis", axis), options.read(function)
    names = ["out"] if len(outs) == 1 else ["out[0]", "out[1]"]
    places = [read_out(function, *out) for out in zip(names, outs, strict=False)]

    a = as_real(function, name, x)
    axis = as_axis(function, axis, a.ndim)
    request = Request(function, computing_dtype(a.dtype), a.shape, axis, targets, options)
    memories = [
        as_out(function, place, a.shape, a.dtype, of)
        for of, place in zip(names, places, strict=False)
    ]
    given = [memory for memory in memories if memory is not None]
    if len(given) == 2 and overlap(*given):
        raise ValueError(f"{function}: expected two arrays as out, got two that overlap")

    loss = request.no_loss() if with_loss else None  # memory before work
    if a.size == 0:
        value = None if loss is None else request.reduce(loss, request.norm())
        return value, *(np.empty_like(a) if out is None else out for out in outs)
    fold = Fold(a, (axis,), ordered=True)
    a3, probs = fold.view(a), None
    if request.probs is not None:
        probs = fold.view(as_factors(function, "targets", request.probs, a))
    small = (request.labels, request.weight, request.sample_weight)
    beside = [b for b in (probs, *small) if b is not None]
    results, written = [], []
    for i, memory in enumerate(memories):
        in_place = [a3] if i == 0 else []
        result, target = fold.output(memory, a, in_place, beside if i == 0 else [a3, *beside])
        results.append(result)
        written.append(target)
    norm = request.norm()
    shared = (
        a3,
        request.labels,
        request.ignore_index,
        probs,
        request.weight,
        request.sample_weight,
    )
    padded = (*written, None, None)
    if name == "probs":
        _core.log_loss(*shared, norm, loss, padded[0])
    else:
        numbers = (request.label_smoothing, request.temperature, request.z_loss)
        _core.cross_entropy(*shared, *numbers, norm, loss, padded[0], padded[1])
    for result, target in zip(results, written, strict=True):
        fold.settle(target, result)
    returned = [new if out is None else out for new, out in zip(results, outs, strict=True)]
    return None if loss is None else request.reduce(loss, norm), *returned
