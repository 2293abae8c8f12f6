"""softmax and cross_entropy of PyTorch tensors on the CPU, as functions that autograd differentiates.

Nothing else in softgrad imports PyTorch, nor this module; bfloat16 tensors need ml_dtypes as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import softgrad as sg
from softgrad._interop import as_array

if TYPE_CHECKING:
    from softgrad._arrays import Array
    from softgrad._cross_entropy import Reduction

__all__ = ["cross_entropy", "softmax"]


def softmax(input: torch.Tensor, dim: int) -> torch.Tensor:  # noqa: A002 - PyTorch's name
    """Probabilities along `dim`, as torch.softmax gives them: s_i = exp(x_i) / sum_k exp(x_k).

    Parameters
    ----------
    input : Tensor of float16, bfloat16, float32, float64, an integer type or bool
        The logits, of any shape and strides, on the CPU.
    dim : int
        The class dimension.

    Returns
    -------
    Tensor
        Of the shape of `input`. Floating types give their own, integers and bool float64.

    Raises
    ------
    TypeError
        An `input` that is no tensor, not on the CPU, or of another dtype.
    numpy.exceptions.AxisError
        A `dim` that `input` does not have; it is an IndexError too, as PyTorch's.

    Notes
    -----
    Forward `softgrad.softmax`, backward `softgrad.softmax_vjp`, whose sources hold. A gradient that is
    to be differentiated again (create_graph=True) is made of PyTorch's own operations. Forward mode
    and torch.func are not supported, PyTorch says so; torch.compile breaks its graph here.

    Examples
    --------
    >>> import torch
    >>> import softgrad.torch
    >>> x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    >>> s = softgrad.torch.softmax(x, 0)
    >>> s.detach().numpy()
    array([0.09003057, 0.24472847, 0.66524096])
    >>> s[0].backward()
    >>> x.grad.numpy()  # the first row of the Jacobian
    array([ 0.08192507, -0.02203304, -0.05989202])
    """
    return _Softmax.apply(input, dim)


def cross_entropy(
    input: torch.Tensor,  # noqa: A002 - PyTorch's name
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    dim: int = 1,
    sample_weight: torch.Tensor | None = None,
    temperature: float = 1.0,
    z_loss: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of softmax(input) against target, as torch.nn.functional.cross_entropy gives it.

    Parameters
    ----------
    input : Tensor of float16, bfloat16, float32, float64, an integer type or bool
        The logits, on the CPU, of any strides: (N, C), (C,) or (N, C, d1, ...).
    target : Tensor
        Class labels of any integer type, in the shape of `input` without the class dimension. Or
        probabilities, in the shape of `input`, which get no gradient: one that requires it is refused.
    weight : Tensor of shape (C,), optional
        Factors of the classes. They get no gradient either.
    ignore_index, label_smoothing, temperature, z_loss
        As in `softgrad.cross_entropy`; the first two as in PyTorch.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `softgrad.cross_entropy`, and in PyTorch.
    dim : int, default 1
        The class dimension; 1 means the only one if there is no other.
    sample_weight : Tensor of the shape of the rows, optional
        Factors of the rows, on top of `weight`. They get no gradient either.

    Returns
    -------
    Tensor
        The loss, of no dimension; with reduction="none" of the shape of the rows. float64 for float64,
        integers and bool, float32 for the other types, halves too.

    Raises
    ------
    IndexError
        A label outside [0, C) that is not `ignore_index`; the text names its position.
    TypeError
        An argument that is no tensor, not on the CPU, or of an unsupported dtype; a `target`, `weight`
        or `sample_weight` that requires a gradient while gradients are recorded.
    ValueError
        Shapes that do not fit, an option out of its range, `ignore_index` with probability targets.
    NotImplementedError
        In a backward pass with create_graph=True: there is no second derivative.
    numpy.exceptions.AxisError
        A `dim` that `input` does not have.

    Notes
    -----
    If a gradient is asked for, the forward pass computes it together with the loss, in one kernel:
    `softgrad.cross_entropy_value_and_grad`, whose formula and sources hold. It is all that is kept for
    the backward pass, which multiplies it by the gradient of the loss, or hands it on if that is 1. So
    a float16 gradient is rounded before a loss scale multiplies it: what underflows is lost. Forward
    mode and torch.func are not supported, PyTorch says so; torch.compile breaks its graph here.

    Examples
    --------
    >>> import torch
    >>> import softgrad.torch
    >>> logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]]).double().requires_grad_()
    >>> loss = softgrad.torch.cross_entropy(logits, torch.tensor([0, 1]))
    >>> loss.backward()
    >>> print(f"{loss.item():.6f}")
    0.306882
    >>> logits.grad.numpy()  # (softmax(logits) - one-hot) / 2 rows
    array([[-0.17049943,  0.12121649,  0.04928295],
           [ 0.05558281, -0.08929549,  0.03371268]])
    """
    recorded = torch.is_grad_enabled()  # within forward it never is
    for name, a in (("target", target), ("weight", weight), ("sample_weight", sample_weight)):
        if recorded and getattr(a, "requires_grad", False):
            raise TypeError(
                f"cross_entropy: expected {name} that requires no gradient, got a tensor that does"
            )
    options = {
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "temperature": temperature,
        "z_loss": z_loss,
        "reduction": reduction,
    }
    return _CrossEntropy.apply(input, target, weight, sample_weight, dim, options, recorded)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, dim: int) -> torch.Tensor:
        logits = _array("softmax", "input", x)
        y = torch.empty_like(x, dtype=None if x.is_floating_point() else torch.float64)
        sg.softmax(logits, dim, out=_array("softmax", "the result", y))
        ctx.dim = dim
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        """y * (g - sum(g * y))."""
        (y,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: it is to be differentiated
            return y * (g - (g * y).sum(ctx.dim, keepdim=True)), None
        grad = torch.empty_like(y)
        sg.softmax_vjp(
            _array("softmax", "y", y), _array("softmax", "g", g), ctx.dim,
            out=_array("softmax", "the gradient", grad),
        )  # fmt: skip
        return grad, None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None,
        sample_weight: torch.Tensor | None,
        dim: int,
        options: dict[str, Any],
        recorded: bool,
    ) -> torch.Tensor:
        function = "cross_entropy"
        logits, targets = _array(function, "input", x), _array(function, "target", target)
        for name, a in (("weight", weight), ("sample_weight", sample_weight)):
            options[name] = None if a is None else _array(function, name, a)
        ctx.dim = 0 if dim == 1 == x.ndim else dim
        if recorded and ctx.needs_input_grad[0]:
            grad = torch.empty_like(x)
            out = _array(function, "the gradient", grad)
            loss, _ = sg.cross_entropy_value_and_grad(logits, targets, ctx.dim, out=out, **options)
            ctx.save_for_backward(grad)
        else:
            loss = sg.cross_entropy(logits, targets, ctx.dim, **options)
        return torch.from_numpy(np.asarray(loss))

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of every row times that of its loss, or times the only one."""
        if torch.is_grad_enabled():
            # once_differentiable would let a penalty on the gradient go without a derivative, as long
            # as g itself requires none.
            raise NotImplementedError(
                "cross_entropy: expected create_graph=False, as its gradient cannot be "
                "differentiated again, got True"
            )
        (grad,) = ctx.saved_tensors
        if g.ndim > 0:
            grad = grad.mul(g.unsqueeze(ctx.dim)).to(grad.dtype)
        elif g.item() != 1.0:
            grad = grad * g  # not in place: with retain_graph=True there may be another pass
        return grad, None, None, None, None, None, None


def _array(function: str, name: str, tensor: Any) -> Array:
    """The memory of a tensor as an array."""
    if not isinstance(tensor, torch.Tensor):
        kind = type(tensor).__name__
        raise TypeError(f"{function}: expected {name} to be a torch.Tensor, got {kind}")
    tensor = tensor.detach()
    try:
        memory: Array = tensor.numpy()  # in a quarter of the time of as_array
        return memory
    except (RuntimeError, TypeError):  # bfloat16, or what as_array has words for
        return as_array(function, name, tensor)
