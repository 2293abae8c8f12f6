"""Cross-entropy of probabilities, for a model that already gives these. Nothing is clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from softgrad import _core
from softgrad._losses import Options, evaluate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from softgrad._arrays import Array, Out


def log_loss(
    probs: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Any:
    """Cross-entropy of probabilities against targets: L = -sum_k y_k log p_k for each row.

    Parameters
    ----------
    probs : array_like of float16, bfloat16, float32, float64, an integer type or bool
        The probabilities p, of any shape. Rows need not sum to one.
    targets, axis, weight, sample_weight, ignore_index, reduction
        As in `cross_entropy`.

    Returns
    -------
    scalar or ndarray
        The loss in nats; as `cross_entropy` gives it. inf where p is 0 at a class with y > 0; a
        class with y = 0 gives exactly 0.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy` does.

    Notes
    -----
    Equation (4.108) of C. M. Bishop, Pattern Recognition and Machine Learning, 2006. Where there are
    logits, `cross_entropy` is the more accurate.

    Examples
    --------
    >>> import softgrad as sg
    >>> print(f"{sg.log_loss([0.228, 0.619, 0.153], 1):.5f}")  # -ln 0.619
    0.47965
    """
    options = (weight, sample_weight, ignore_index, reduction, 0.0, 1.0, 0.0)
    result = _core.plain_log_loss(probs, targets, axis, options)
    if result is None:
        (result,) = evaluate("log_loss", "probs", probs, targets, axis, Options(*options))
    return result


def log_loss_value_and_grad(
    probs: ArrayLike,
    targets: ArrayLike,
    /,
    axis: int = -1,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Literal["mean", "sum", "none"] = "mean",
    out: Out = None,
) -> tuple[Any, Array]:
    """`log_loss` and its gradient in the probabilities.

    Parameters
    ----------
    probs, targets, axis, weight, sample_weight, ignore_index, reduction
        As in `log_loss`.
    out : array, optional
        Where to write the gradient, of the shape of `probs` and the result's dtype; it may be
        `probs` itself. On an error it is left as it was.

    Returns
    -------
    loss : scalar or ndarray
        As `log_loss` gives it.
    grad : ndarray
        Of the shape of `probs`, of their type where that is floating, otherwise float64; `out` if
        that is given.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy_value_and_grad` does.

    Notes
    -----
    dL/dp_k = -y_k / p_k, the derivative of equation (4.108) of Bishop (see `log_loss`), with each
    p_k a variable of its own; `softmax_vjp` takes it on to the logits.

    Examples
    --------
    >>> import softgrad as sg
    >>> loss, grad = sg.log_loss_value_and_grad([0.25, 0.5, 0.25], 1)
    >>> print(f"{loss:.8f}")
    0.69314718
    >>> print(grad + 0.0)  # -1 / 0.5 at the label
    [ 0. -2.  0.]
    """
    options = (weight, sample_weight, ignore_index, reduction, 0.0, 1.0, 0.0)
    pair = _core.plain_log_loss_value_and_grad(probs, targets, axis, options, out)
    if pair is None:
        function = "log_loss_value_and_grad"
        pair = evaluate(function, "probs", probs, targets, axis, Options(*options), (out,))
    return pair
