"""PyTorch on the CPU: by its public functions, and for losses from the bare kernels without autograd as well.

The class axis is 1 in every layout, as cross_entropy wants it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from softgrad._bench.case import Array, Case, Work, numpy_dtype

aten = torch.ops.aten
MEAN = 1  # reduction, as the kernels number it
IGNORE = -100


def set_threads(n: int) -> None:
    """Use `n` threads."""
    torch.set_num_threads(n)


def _tensor(a: Array) -> Any:
    """The array as a tensor in the same memory; what PyTorch cannot take from NumPy, by its bits."""
    if a.dtype.name == "bfloat16":
        return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(a)


def _array(tensor: Any) -> Array:
    """The way back."""
    if tensor.dtype == torch.bfloat16:
        return _array(tensor.detach().view(torch.int16)).view(numpy_dtype("bfloat16"))
    a: Array = tensor.detach().numpy()
    return a


def _out(c: Case) -> Any:
    return _tensor(c.empty(c.x_shape))


def _map(function: Any) -> Any:
    def make(c: Case) -> Work:
        x, out = _tensor(c.x), _out(c)
        return Work(lambda: function(x, 1, out=out), lambda _: (_array(out),))

    return make


def _logsumexp(c: Case) -> Work:
    x, out = _tensor(c.x), _tensor(c.empty(c.row_shape))
    return Work(lambda: torch.logsumexp(x, 1, out=out), lambda _: (_array(out),))


def _nll(c: Case) -> tuple[Any, Any, Any, Any]:
    """nll_loss forward and backward for the layout, with the views that they want of x and labels."""
    labels = _tensor(c.labels)
    if c.axis == -1:
        return (
            aten.nll_loss_forward.output,
            aten.nll_loss_backward.grad_input,
            (lambda a: a),
            labels,
        )
    return (
        aten.nll_loss2d_forward.output,
        aten.nll_loss2d_backward.grad_input,
        lambda a: a.unsqueeze(2),
        labels.unsqueeze(1),
    )


def _cross_entropy(c: Case) -> Work:
    x, labels = _tensor(c.x), _tensor(c.labels)

    def run() -> Any:
        with torch.inference_mode():
            return F.cross_entropy(x, labels)

    return Work(run, lambda loss: (_array(loss),))


def _cross_entropy_kernels(c: Case) -> Work:
    forward, _, view, labels = _nll(c)
    x, logs = _tensor(c.x), _out(c)
    logs4, loss, weight = view(logs), x.new_empty(()), x.new_empty(())

    def run() -> None:
        aten._log_softmax.out(x, 1, False, out=logs)
        forward(logs4, labels, None, MEAN, IGNORE, output=loss, total_weight=weight)

    return Work(run, lambda _: (_array(loss),))


def _value_and_grad(c: Case, targets: Any) -> Work:
    x = _tensor(c.x).requires_grad_()
    targets = _tensor(targets)

    def run() -> Any:
        loss = F.cross_entropy(x, targets)
        return loss, torch.autograd.grad(loss, x)[0]

    def results(pair: Any) -> Any:
        return _array(pair[0]), _array(pair[1])

    return Work(run, results)


def _labels_kernels(c: Case) -> Work:
    forward, backward, view, labels = _nll(c)
    x, logs, spare, grad = _tensor(c.x), _out(c), _out(c), _out(c)
    logs4, spare4, one = view(logs), view(spare), x.new_ones(())
    loss, weight, dtype = x.new_empty(()), x.new_empty(()), x.dtype

    def run() -> None:
        aten._log_softmax.out(x, 1, False, out=logs)
        forward(logs4, labels, None, MEAN, IGNORE, output=loss, total_weight=weight)
        backward(one, logs4, labels, None, MEAN, IGNORE, weight, grad_input=spare4)
        aten._log_softmax_backward_data.out(spare, logs, 1, dtype, out=grad)

    return Work(run, lambda _: (_array(loss), _array(grad)))


def _probs_kernels(c: Case) -> Work:
    """loss = sum(g log s), gradient = g - s sum(g), for g = -p / rows."""
    x, p, logs, g, grad = (
        _tensor(c.x),
        _tensor(c.probs),
        *(_out(c) for _ in range(3)),
    )
    flat_g, flat_logs, dtype, factor = g.view(-1), logs.view(-1), x.dtype, -1.0 / c.rows

    def run() -> Any:
        aten._log_softmax.out(x, 1, False, out=logs)
        torch.mul(p, factor, out=g)
        loss = torch.dot(flat_g, flat_logs)
        aten._log_softmax_backward_data.out(g, logs, 1, dtype, out=grad)
        return loss

    return Work(run, lambda loss: (_array(loss), _array(grad)))


def _vjp(c: Case) -> Work:
    y, g, out = _tensor(c.y), _tensor(c.g), _out(c)
    dtype = y.dtype
    return Work(
        lambda: aten._softmax_backward_data.out(g, y, 1, dtype, grad_input=out),
        lambda _: (_array(out),),
    )


def _jacobian(c: Case) -> Work:
    x, s, out = _tensor(c.x), _out(c), _tensor(c.empty((c.rows, c.n, c.n)))
    column, row, diagonal = s.unsqueeze(2), s.unsqueeze(1), out.diagonal(dim1=1, dim2=2)
    minus = torch.empty_like(column)

    def run() -> None:
        torch.softmax(x, 1, out=s)
        torch.neg(column, out=minus)
        torch.mul(minus, row, out=out)
        diagonal.add_(s)

    return Work(run, lambda _: (_array(out),))


def _grad_hess(c: Case) -> Work:
    x, grad, hess = _tensor(c.x), _out(c), _out(c)
    at = _tensor(c.labels).unsqueeze(1)
    minus = x.new_full((c.rows, 1), -1.0)

    def run() -> None:
        torch.softmax(x, 1, out=grad)
        torch.addcmul(grad, grad, grad, value=-1, out=hess)
        grad.scatter_add_(1, at, minus)

    return Work(run, lambda _: (_array(grad), _array(hess)))


def _linear(loss_of: Any) -> Any:
    def make(c: Case) -> Work:
        x = _tensor(c.hidden).requires_grad_()
        w = _tensor(c.weights).requires_grad_()
        labels = _tensor(c.labels)

        def run() -> Any:
            loss = loss_of(x, w, labels)
            return loss, *torch.autograd.grad(loss, (x, w))

        return Work(run, lambda r: tuple(_array(a) for a in r))

    return make


def _linear_kernels(c: Case) -> Work:
    forward, backward, _, labels = _nll(c)
    x, w = _tensor(c.hidden), _tensor(c.weights)
    z, logs, dx, dw = _out(c), _out(c), torch.empty_like(x), torch.empty_like(w)
    loss, weight, one, dtype = x.new_empty(()), x.new_empty(()), x.new_ones(()), x.dtype

    def run() -> None:
        torch.mm(x, w.T, out=z)
        aten._log_softmax.out(z, 1, False, out=logs)
        forward(logs, labels, None, MEAN, IGNORE, output=loss, total_weight=weight)
        backward(one, logs, labels, None, MEAN, IGNORE, weight, grad_input=z)
        aten._log_softmax_backward_data.out(z, logs, 1, dtype, out=z)
        torch.mm(z, w, out=dx)
        torch.mm(z.T, x, out=dw)

    return Work(run, lambda _: (_array(loss), _array(dx), _array(dw)))


WORKS: dict[str, dict[str, Any]] = {
    "softmax": {"PyTorch": _map(torch.softmax)},
    "log_softmax": {"PyTorch": _map(torch.log_softmax)},
    "logsumexp": {"PyTorch": _logsumexp},
    "cross_entropy": {"PyTorch": _cross_entropy, "PyTorch kernels": _cross_entropy_kernels},
    "value_and_grad": {
        "PyTorch": lambda c: _value_and_grad(c, c.labels),
        "PyTorch kernels": _labels_kernels,
    },
    "value_and_grad_probs": {
        "PyTorch": lambda c: _value_and_grad(c, c.probs),
        "PyTorch kernels": _probs_kernels,
    },
    "softmax_vjp": {"PyTorch": _vjp},
    "softmax_jacobian": {"PyTorch formula": _jacobian},
    "grad_hess": {"PyTorch formula": _grad_hess},
    "linear_cross_entropy": {
        "PyTorch": _linear(lambda x, w, labels: F.cross_entropy(F.linear(x, w), labels)),
        "PyTorch kernels": _linear_kernels,
    },
}
if hasattr(F, "linear_cross_entropy"):  # since 2.13
    options = torch.nn.LinearCrossEntropyOptions()
    WORKS["linear_cross_entropy"] |= {
        "PyTorch linear_cross_entropy": _linear(F.linear_cross_entropy),
        "PyTorch linear_cross_entropy, chunked": _linear(
            lambda x, w, labels: F.linear_cross_entropy(x, w, labels, options=options)
        ),
    }
