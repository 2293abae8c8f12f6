"""The fused softmax + cross-entropy losses on logits, with their derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from softgrad import _core
from softgrad._arrays import Array, Out
from softgrad._losses import Options, evaluate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Reduction = Literal["mean", "sum", "none"]


def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
) -> Any:
    """Cross-entropy of softmax(logits) against targets: L = -sum_k y_k log s_k for each row.

    Parameters
    ----------
    logits : array_like of float16, bfloat16, float32, float64, an integer type or bool
        Of any shape; the class axis has length C. Its type decides the type of the result.
    targets : array_like
        Class labels: any integer type, the shape of `logits` without the class axis. Or
        probabilities y: the shape of `logits`, floats, integers or bool; they need not sum to one.
        The shape decides which of the two.
    axis : int, default -1
        The class axis (PyTorch's is 1).
    weight : array_like of shape (C,), optional
        Factors of the classes: every y_k becomes weight[k] * y_k.
    sample_weight : array_like of the shape of the rows, optional
        Factors of the rows, on top of `weight`.
    ignore_index : int, default -100
        Rows with this label give loss 0, gradient 0, are not read, and do not count in the mean.
    label_smoothing : float, default 0.0
        e in [0, 1]: y becomes (1 - e) y + e / C.
    temperature : float, default 1.0
        T > 0, finite: s is softmax(logits / T). Gradients are in the logits given.
    z_loss : float, default 0.0
        a >= 0: adds a * logsumexp(logits / T)^2 to the loss of each row that counts, times its
        sample weight and, with labels, weight[label].
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the sum of sample_weight * weight[label] over the rows that count
        (probability targets: by the sum of sample_weight); nan if that is 0. "none" gives the loss
        of each row.

    Returns
    -------
    scalar or ndarray
        The loss in nats, a NumPy scalar; with reduction="none" an array of the shape of the rows (a
        scalar for one 1-d row). float64 for logits of float64, integers and bool, float32 for
        float32, float16 and bfloat16.

    Raises
    ------
    IndexError
        A label outside [0, C) that is not `ignore_index`; the text names its position.
    TypeError
        An unsupported dtype, labels of a float type or bool, an array that is not on the CPU.
    ValueError
        Shapes that do not fit, an option out of its range, `ignore_index` with probability targets.
    numpy.exceptions.AxisError
        An axis that `logits` does not have.

    Notes
    -----
    Equation (4.108) of C. M. Bishop, Pattern Recognition and Machine Learning, 2006, with
    log s_k = z_k - logsumexp(z) (Blanchard, Higham and Higham, see `softmax`). Options mean what they
    mean in torch.nn.functional.cross_entropy. Label smoothing: C. Szegedy et al., Rethinking the
    Inception architecture, 2016, section 7. z-loss: A. Chowdhery et al., PaLM, 2022, section 5.

    Examples
    --------
    >>> import softgrad as sg
    >>> logits = [[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]]
    >>> print(f"{sg.cross_entropy(logits, [0, 1]):.8f}")
    0.30688206
    >>> sg.cross_entropy(logits, [0, -100], reduction="none")
    array([0.41703002, 0.        ])
    """
    options = (
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss,
    )  # fmt: skip
    result = _core.plain_cross_entropy(logits, targets, axis, options)
    if result is None:
        (result,) = evaluate("cross_entropy", "logits", logits, targets, axis, Options(*options))
    return result


def cross_entropy_value_and_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    out: Out = None,
) -> tuple[Any, Array]:
    """`cross_entropy` and its gradient in the logits, from one kernel.

    Parameters
    ----------
    logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, temperature, z_loss
        As in `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `cross_entropy`. The gradient is that of the loss returned; with "none" each row holds
        the gradient of its own loss.
    out : array, optional
        Where to write the gradient, of the shape of `logits` and the result's dtype; it may be
        `logits` itself. On an error it is left as it was. Which arrays: see `softmax`. With memory
        maps larger than memory too: nothing of the size of `logits` is copied, unless `targets` are
        probabilities that have another type or overlap `out`.

    Returns
    -------
    loss : scalar or ndarray
        As `cross_entropy` gives it.
    grad : ndarray
        Of the shape of `logits`, of their type where that is floating, otherwise float64; `out` if
        that is given.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy` does; also for an `out` of another dtype (TypeError) or shape, or a
        read-only one (ValueError).

    Notes
    -----
    dL/dz_i = (s_i sum_k y_k - y_i) / T, for a label s_i - delta_ti: equation (4.109) of Bishop (see
    `cross_entropy`). Under "mean" it carries the same divisor as the loss. The entry of the label
    is minus the sum of the other probabilities, so that it does not cancel where s_t is near 1.

    Examples
    --------
    >>> import softgrad as sg
    >>> logits = [[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]]
    >>> loss, grad = sg.cross_entropy_value_and_grad(logits, [0, 1])
    >>> print(f"{loss:.8f}")
    0.30688206
    >>> grad  # (softmax(logits) - one-hot) / 2 rows
    array([[-0.17049943,  0.12121649,  0.04928295],
           [ 0.05558281, -0.08929549,  0.03371268]])
    """
    options = (
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss,
    )  # fmt: skip
    pair = _core.plain_cross_entropy_value_and_grad(logits, targets, axis, options, out)
    if pair is None:
        function = "cross_entropy_value_and_grad"
        pair = evaluate(function, "logits", logits, targets, axis, Options(*options), (out,))
    return pair


def cross_entropy_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    out: Out = None,
) -> Array:
    """The gradient of `cross_entropy` in the logits, without the loss.

    Parameters
    ----------
    logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, temperature, z_loss
        As in `cross_entropy`.
    reduction, out
        As in `cross_entropy_value_and_grad`.

    Returns
    -------
    ndarray
        Of the shape of `logits`; `out` if that is given. Types as in `cross_entropy`.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy_value_and_grad` does.

    Notes
    -----
    The same numbers as from `cross_entropy_value_and_grad`, whose formula and source hold.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.cross_entropy_grad([0.0, 0.0], 1)
    array([ 0.5, -0.5])
    >>> sg.cross_entropy_grad([0.0, 0.0], [0.25, 0.75])  # probabilities as targets
    array([ 0.25, -0.25])
    """
    options = (
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss,
    )  # fmt: skip
    grad = _core.plain_cross_entropy_grad(logits, targets, axis, options, out)
    if grad is None:
        function = "cross_entropy_grad"
        _, grad = evaluate(
            function, "logits", logits, targets, axis, Options(*options), (out,), with_loss=False
        )
    return grad


def cross_entropy_grad_hess(
    logits: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    out: tuple[Out, Out] | None = None,
) -> tuple[Array, Array]:
    """The gradient of `cross_entropy` and the diagonal of its Hessian, as gradient boosting needs them.

    Parameters
    ----------
    logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, temperature, z_loss
        As in `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `cross_entropy_value_and_grad`.
    out : pair of arrays, optional
        Where to write the gradient and the diagonal; each may be None. They may not overlap each
        other; each may be `logits` itself.

    Returns
    -------
    grad, hess : ndarray
        d L / dz_i and d^2 L / dz_i^2 of the very loss that is reduced, options included; both of
        the shape of `logits`. Types as in `cross_entropy`.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy_value_and_grad` does; also for an `out` that is no pair (TypeError) or
        whose arrays overlap (ValueError).

    Notes
    -----
    The diagonal of diag(s) - s s^T, times sum_k y_k / T^2: s_i (1 - s_i) sum_k y_k / T^2. Section
    3.1.5 of S. Boyd and L. Vandenberghe, Convex Optimization, 2004; equation (4.110) of Bishop.

    Examples
    --------
    >>> import softgrad as sg
    >>> grad, hess = sg.cross_entropy_grad_hess([[2.0, 1.0, 0.1]], [0])
    >>> grad
    array([[-0.34099886,  0.24243297,  0.09856589]])
    >>> hess
    array([[0.22471864, 0.18365923, 0.08885066]])
    """
    options = (
        weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss,
    )  # fmt: skip
    pair = _core.plain_cross_entropy_grad_hess(logits, targets, axis, options, out)
    if pair is not None:
        return pair
    function = "cross_entropy_grad_hess"
    if out is None:
        out = None, None
    elif not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(
            f"{function}: expected out to be a pair of arrays, got {type(out).__name__}"
        )
    outs = (out[0], out[1])
    _, grad, hess = evaluate(
        function, "logits", logits, targets, axis, Options(*options), outs, with_loss=False
    )
    return grad, hess
