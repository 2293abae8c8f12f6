"""A linear layer and the cross-entropy of its result, by chunks of rows: the logits x w^T + bias are
never held as a whole. BLAS does the products, the fused kernel works in place on a chunk's logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softgrad import _core
from softgrad._arrays import (
    Array,
    as_int,
    as_real,
    check_shape,
    common_dtype,
    computing_dtype,
    convert,
)
from softgrad._cross_entropy import Reduction
from softgrad._interop import as_array, read
from softgrad._losses import Options, Request, read_targets
from softgrad._matmul import BLOCK_BYTES, column_sums, matmul

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Memory beyond the results is to stay below 128 MiB. A chunk's logits and what goes with them take at
# most this much, or one row's; blocks of the products (_matmul.py), what BLAS allocates and the losses
# of the rows take the rest.
CHUNK_BYTES = 80 * 2**20
# Chunks of this size stay in L2 from product to product; of fewer rows, the additions to dw tell. Zen 4, ms, 256 rows and 512:
# (512, 32000), D = 256, 290 and 280; (2048, 8000), D = 512, 558 and 528; (2048, 32000), D = 256, 1176 and 1192.
CACHE_BYTES = 2 * 2**20
ENOUGH_ROWS = 512
# Fewer logits are one thread's between the products: OpenMP's others would go on looking for work for milliseconds, on the
# CPUs that BLAS's threads are to have. Zen 4, 2 threads, ms: (512, 4096), D = 128, 28 -> 13 (one thread 23).
ENOUGH_LOGITS = 2**24
# Half-precision dw adds up in float32, in as many classes at a time as take so much; where that is not all of them, the
# logits are computed again for each.
ADDED_BYTES = 32 * 2**20
HALF_CHUNK_BYTES = 48 * 2**20


def linear_cross_entropy(
    x: ArrayLike,
    w: ArrayLike,
    targets: ArrayLike,
    /,
    bias: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    chunk_rows: int | None = None,
) -> Any:
    """`cross_entropy` of the logits x w^T + bias, which are never held as a whole.

    Parameters
    ----------
    x : array_like of shape (N, D)
        The last hidden layer. The gradients' type is numpy.result_type(x, w), float64 if that is an
        integer type; float16 and bfloat16 compute in float32, chunk by chunk.
    w : array_like of shape (C, D)
        The weights of the classes.
    targets : array_like of shape (N,) or (N, C)
        Class labels of any integer type, or probabilities.
    bias : array_like of shape (C,), optional
        Converted to the computing type.
    weight, sample_weight, ignore_index, label_smoothing, temperature, z_loss, reduction
        As in `cross_entropy`.
    chunk_rows : int, optional
        How many rows of logits are held at a time. By default as many as keep the memory beyond
        the results below 128 MiB, at least one.

    Returns
    -------
    scalar or ndarray
        The loss in nats, as `cross_entropy` gives it.

    Raises
    ------
    IndexError, TypeError, ValueError
        As `cross_entropy` does; ValueError also for chunk_rows < 1.

    Notes
    -----
    The loss is equation (4.108) of C. M. Bishop, Pattern Recognition and Machine Learning, 2006, of
    linear activations. Not to hold the logits: E. Wijmans et al., Cut your losses in
    large-vocabulary language models, 2025. The matrix products are those of NumPy's BLAS, and so is
    their rounding.

    Examples
    --------
    >>> import numpy as np
    >>> import softgrad as sg
    >>> x, w = np.eye(2), np.array([[2.0, 0.5], [1.0, 2.5], [0.1, 0.0]])
    >>> print(f"{sg.linear_cross_entropy(x, w, [0, 1]):.8f}")
    0.30688206
    """
    options = Options(
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss
    )
    return _Layer("linear_cross_entropy", x, w, targets, bias, options, chunk_rows).run(False)[0]


def linear_cross_entropy_value_and_grad(
    x: ArrayLike,
    w: ArrayLike,
    targets: ArrayLike,
    /,
    bias: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    chunk_rows: int | None = None,
) -> tuple[Any, tuple[Array, Array, Array | None]]:
    """`linear_cross_entropy` and its gradients in `x`, `w` and `bias`.

    Parameters
    ----------
    x, w, targets, bias, weight, sample_weight, ignore_index, label_smoothing, temperature, z_loss
        As in `linear_cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `cross_entropy`. With "none" the gradients are those of the sum of the losses.
    chunk_rows : int, optional
        As in `linear_cross_entropy`.

    Returns
    -------
    loss : scalar or ndarray
        As `cross_entropy` gives it.
    grads : tuple of ndarray
        (dx, dw, db) of shapes (N, D), (C, D), (C,) and the common type of `x` and `w`; db is None
        without `bias`. Rows with the label `ignore_index` have dx = 0 and take no part in dw and db,
        whatever they hold.

    Raises
    ------
    IndexError, TypeError, ValueError
        As `linear_cross_entropy` does.

    Notes
    -----
    With G = dL/dlogits of `cross_entropy_grad`: dx = G w, dw = G^T x (equation (4.109) of Bishop, see
    `linear_cross_entropy`), db = the sum of the rows of G.

    Examples
    --------
    >>> import numpy as np
    >>> import softgrad as sg
    >>> x, w = np.eye(2), np.array([[2.0, 0.5], [1.0, 2.5], [0.1, 0.0]])
    >>> loss, (dx, dw, db) = sg.linear_cross_entropy_value_and_grad(x, w, [0, 1], np.zeros(3))
    >>> print(f"{loss:.8f}")
    0.30688206
    >>> dw.T  # x is the identity: the gradient in the logits
    array([[-0.17049943,  0.12121649,  0.04928295],
           [ 0.05558281, -0.08929549,  0.03371268]])
    """
    options = Options(
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss
    )
    function = "linear_cross_entropy_value_and_grad"
    return _Layer(function, x, w, targets, bias, options, chunk_rows).run(True)


class _Layer:
    """The arguments, checked, and the results; run() goes over the chunks."""

    def __init__(
        self, function: str, x: Any, w: Any, targets: Any, bias: Any, options: Options, step: Any
    ) -> None:
        x, w, bias = read(function, "x", x), read(function, "w", w), read(function, "bias", bias)
        targets, options = read_targets(function, targets), options.read(function)
        step = None if step is None else as_int(function, "chunk_rows", step)

        self.x, self.w = as_array(function, "x", x), as_array(function, "w", w)
        self.given = common_dtype(function, x=self.x, w=self.w)  # the gradients' type
        self.dtype = computing_dtype(self.given)
        self.half = self.given != self.dtype
        for name, a, shape in (("x", self.x, "(N, D)"), ("w", self.w, "(C, D)")):
            if a.ndim != 2:
                raise ValueError(f"{function}: expected {name} of shape {shape}, got {a.shape}")
        (rows, depth), classes = self.x.shape, len(self.w)
        check_shape(function, "w", self.w, (classes, depth), f"x having shape {self.x.shape}")
        self.bias = None
        if bias is not None:
            self.bias = as_real(function, "bias", bias, self.dtype)
            check_shape(function, "bias", self.bias, (classes,), "the classes")
        self.request = Request(function, self.dtype, (rows, classes), 1, targets, options)
        self.step = self._default_step() if step is None else step
        if self.step < 1:
            raise ValueError(f"{function}: expected chunk_rows >= 1, got {step}")
        self.dx: Array | None = None
        self.dw: Array | None = None
        self.dw_begun = False  # whether what is added up holds anything yet
        self.db: Array | None = None

    def _default_step(self) -> int:
        (classes, depth), request = self.w.shape, self.request
        row = classes
        if request.probs is not None and request.probs.dtype != self.dtype:
            row += classes  # they are converted
        if request.labels is not None and (request.labels == request.ignore_index).any():
            row += 2 * depth  # the rows that count are copied, and their dx
        if self.half:
            row += 2 * depth  # of x and dx, in the computing type
        row_bytes: int = max(1, row * self.dtype.itemsize)
        if self.half:  # w is converted once a chunk
            return max(1, HALF_CHUNK_BYTES // row_bytes)
        few = max(ENOUGH_ROWS, CACHE_BYTES // row_bytes)
        return max(1, min(few, CHUNK_BYTES // row_bytes))

    def run(self, with_grads: bool) -> tuple[Any, tuple[Any, Any, Array | None]]:
        """(loss, (dx, dw, db))."""
        request, classes = self.request, len(self.w)
        loss, norm = request.no_loss(), request.norm()  # memory before work
        if with_grads:
            self.dx = np.zeros(self.x.shape, self.given)
            self.dw = np.empty(self.w.shape, self.given)
            if self.bias is not None:
                # Chunks add up in float64, unless that took much memory.
                wide = classes * 8 <= BLOCK_BYTES
                self.db = np.zeros(classes, np.float64 if wide else self.dtype)
        step = max(1, min(self.step, request.rows))
        with _core.DefaultMode(), np.errstate(all="ignore"):
            if classes > 0:
                logits = np.empty((step, classes), self.dtype)
                for block in self._blocks_of_dw():
                    dw = None if self.dw is None else self.dw[block]
                    added: Any = dw
                    if dw is not None and self.half:
                        added = np.empty(dw.shape, self.dtype)
                    self.dw_begun = False
                    for begin in range(0, request.rows, step):
                        self._chunk(slice(begin, begin + step), logits, norm, loss, block, added)
                    if added is not None and not self.dw_begun:
                        added[...] = 0  # no row counts
                    if dw is not None and self.half:
                        _core.narrow_half(added, dw)
            db = None if self.db is None else self.db.astype(self.given, copy=False)
        return request.reduce(loss, norm), (self.dx, self.dw, db)

    def _blocks_of_dw(self) -> list[slice]:
        """The classes whose dw is added up in one pass over the rows; almost always all of them."""
        classes, depth = self.w.shape
        at_once = max(1, ADDED_BYTES // (depth * self.dtype.itemsize + 1))
        if self.dw is None or not self.half or classes <= at_once:
            return [slice(0, classes)]
        return [slice(begin, begin + at_once) for begin in range(0, classes, at_once)]

    def _chunk(
        self,
        rows: Any,
        logits: Array,
        norm: tuple[float, float],
        loss: Array,
        block: slice,
        dw: Any,
    ) -> None:
        """Rows of the results, at the first block of classes; and what they add to its dw."""
        request, labels, probs = self.request, self.request.labels, None
        if labels is not None:
            counts = labels[rows] != request.ignore_index
            if not counts.all():  # 0 * NaN must not reach the products
                rows = rows.start + np.flatnonzero(counts)
            labels = labels[rows]
        elif request.probs is not None:
            probs = convert(request.probs[rows], self.dtype)[:, :, None]
        x = self.x[rows]
        if len(x) == 0:
            return
        if self.half:
            x = convert(x, self.dtype)
        logits = logits[: len(x)]
        matmul(x, self.w.T, logits)
        if self.bias is not None:
            logits += self.bias
        sample_weight = request.sample_weight
        if sample_weight is not None:
            sample_weight = sample_weight[rows]
        z, part = logits[:, :, None], np.empty(len(x), np.float64)
        _core.cross_entropy(
            z, labels, request.ignore_index, probs, request.weight, sample_weight,
            request.label_smoothing, request.temperature, request.z_loss, norm, part,
            None if self.dx is None else z, None, alone=logits.size < ENOUGH_LOGITS,
        )  # fmt: skip
        loss[rows] = part
        if self.dx is None:
            return
        matmul(logits[:, block].T, x, dw, add=self.dw_begun)
        self.dw_begun = True
        if block.start > 0:
            return
        if isinstance(rows, slice) and not self.half:
            matmul(logits, self.w, self.dx[rows])
        else:
            dx = np.empty(x.shape, self.dtype)
            matmul(logits, self.w, dx)
            self.dx[rows] = dx
        if self.db is not None:
            self.db += column_sums(logits)
