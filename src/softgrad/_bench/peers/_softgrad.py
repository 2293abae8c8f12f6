"""softgrad itself, in the same form as its peers; it gets the arrays in the layout that the cell names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import softgrad as sg
from softgrad._bench.case import Case, Work


def set_threads(n: int) -> None:
    """Use `n` threads."""
    sg.set_num_threads(n)


def _map(function: Callable[..., Any]) -> Callable[[Case], Work]:
    def make(c: Case) -> Work:
        out = c.empty(c.x_shape)
        x, given_out, axis = c.given(c.x), c.given(out), c.given_axis
        return Work(lambda: function(x, axis, out=given_out), lambda _: (out,))

    return make


def _logsumexp(c: Case) -> Work:
    out = c.empty(c.row_shape, c.wide)
    x, given_out, axis = c.given(c.x), c.given(out), c.given_axis
    return Work(lambda: sg.logsumexp(x, axis, out=given_out), lambda _: (out,))


def _cross_entropy(c: Case) -> Work:
    x, labels, axis = c.given(c.x), c.given(c.labels), c.given_axis
    return Work(lambda: sg.cross_entropy(x, labels, axis), lambda loss: (loss,))


def _value_and_grad(c: Case, targets: Any) -> Work:
    out = c.empty(c.x_shape)
    x, given_out, axis = c.given(c.x), c.given(out), c.given_axis
    return Work(
        lambda: sg.cross_entropy_value_and_grad(x, targets, axis, out=given_out),
        lambda pair: (pair[0], out),
    )


def _softmax_vjp(c: Case) -> Work:
    out = c.empty(c.x_shape)
    y, g, given_out, axis = c.given(c.y), c.given(c.g), c.given(out), c.given_axis
    return Work(lambda: sg.softmax_vjp(y, g, axis, out=given_out), lambda _: (out,))


def _jacobian(c: Case) -> Work:
    x, out = c.x, c.empty((c.rows, c.n, c.n))
    return Work(lambda: sg.softmax_jacobian(x, out=out), lambda _: (out,))


def _grad_hess(c: Case) -> Work:
    x, labels, pair = c.x, c.labels, (c.empty(c.x_shape), c.empty(c.x_shape))
    return Work(
        lambda: sg.cross_entropy_grad_hess(x, labels, reduction="sum", out=pair), lambda _: pair
    )


def _linear(c: Case) -> Work:
    x, w, labels = c.hidden, c.weights, c.labels
    return Work(
        lambda: sg.linear_cross_entropy_value_and_grad(x, w, labels),
        lambda result: (result[0], *result[1][:2]),
    )


WORKS = {
    "softmax": {"softgrad": _map(sg.softmax)},
    "log_softmax": {"softgrad": _map(sg.log_softmax)},
    "logsumexp": {"softgrad": _logsumexp},
    "cross_entropy": {"softgrad": _cross_entropy},
    "value_and_grad": {"softgrad": lambda c: _value_and_grad(c, c.given(c.labels))},
    "value_and_grad_probs": {"softgrad": lambda c: _value_and_grad(c, c.given(c.probs))},
    "softmax_vjp": {"softgrad": _softmax_vjp},
    "softmax_jacobian": {"softgrad": _jacobian},
    "grad_hess": {"softgrad": _grad_hess},
    "linear_cross_entropy": {"softgrad": _linear},
}
