"""NumPy, as one writes it by hand when speed counts: in place, into memory that is there already."""

from __future__ import annotations

from typing import Any

import numpy as np

from softgrad._bench.case import Array, Case, Work


def _softmax(x: Array, axis: int, out: Array) -> Array:
    np.subtract(x, x.max(axis, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis, keepdims=True)
    return out


def _log_softmax(x: Array, axis: int, out: Array) -> Array:
    m = x.max(axis, keepdims=True)
    np.subtract(x, m, out=out)
    np.exp(out, out=out)
    np.subtract(x, m + np.log(out.sum(axis, keepdims=True)), out=out)
    return out


def _logsumexp(x: Array, axis: int, spare: Array) -> Array:
    m = x.max(axis, keepdims=True)
    np.subtract(x, m, out=spare)
    np.exp(spare, out=spare)
    total: Array = np.squeeze(m + np.log(spare.sum(axis, keepdims=True)), axis)
    return total


def _at_labels(c: Case) -> tuple[Any, ...]:
    """The index of the labels' entries in `x`."""
    rows = np.ogrid[tuple(map(slice, c.row_shape))]
    return (*rows, c.labels) if c.axis == -1 else (rows[0], c.labels, rows[1])


def _cross_entropy(c: Case) -> Work:
    x, axis, at, spare = c.x, c.axis, _at_labels(c), c.empty(c.x_shape)
    return Work(lambda: (_logsumexp(x, axis, spare) - x[at]).mean(), lambda loss: (loss,))


def _labels(c: Case) -> Work:
    x, axis, at, rows, out = c.x, c.axis, _at_labels(c), c.rows, c.empty(c.x_shape)

    def run() -> Any:
        m = x.max(axis, keepdims=True)
        np.subtract(x, m, out=out)
        np.exp(out, out=out)
        total = out.sum(axis, keepdims=True)
        loss = (np.squeeze(m + np.log(total), axis) - x[at]).mean()
        np.divide(out, total * rows, out=out)
        out[at] -= out.dtype.type(1.0 / rows)
        return loss

    return Work(run, lambda loss: (loss, out))


def _probs(c: Case) -> Work:
    x, p, axis, rows = c.x, c.probs, c.axis, c.rows
    out, logs = c.empty(c.x_shape), c.empty(c.x_shape)

    def run() -> Any:
        _log_softmax(x, axis, logs)
        loss = np.vdot(p, logs) / -rows
        np.exp(logs, out=out)
        np.multiply(out, p.sum(axis, keepdims=True), out=out)
        np.subtract(out, p, out=out)
        np.divide(out, rows, out=out)
        return loss

    return Work(run, lambda loss: (loss, out))


def _vjp(c: Case) -> Work:
    y, g, axis, out = c.y, c.g, c.axis, c.empty(c.x_shape)

    def run() -> None:
        np.multiply(y, g, out=out)
        total = out.sum(axis, keepdims=True)
        np.subtract(g, total, out=out)
        np.multiply(y, out, out=out)

    return Work(run, lambda _: (out,))


def _jacobian(c: Case) -> Work:
    x, s, out = c.x, c.empty(c.x_shape), c.empty((c.rows, c.n, c.n))
    diagonal = np.einsum("kii->ki", out)  # a view

    def run() -> None:
        _softmax(x, -1, s)
        np.multiply(-s[:, :, None], s[:, None, :], out=out)
        np.add(diagonal, s, out=diagonal)

    return Work(run, lambda _: (out,))


def _grad_hess(c: Case) -> Work:
    x, at, grad, hess = c.x, _at_labels(c), c.empty(c.x_shape), c.empty(c.x_shape)

    def run() -> None:
        _softmax(x, -1, grad)
        np.subtract(1.0, grad, out=hess)
        np.multiply(hess, grad, out=hess)
        grad[at] -= 1.0

    return Work(run, lambda _: (grad, hess))


def _linear(c: Case) -> Work:
    x, w, at, rows, z = c.hidden, c.weights, _at_labels(c), c.rows, c.empty(c.x_shape)
    dx, dw = c.empty(x.shape), c.empty(w.shape)

    def run() -> Any:
        np.matmul(x, w.T, out=z)
        z_at = z[at]
        m = z.max(-1, keepdims=True)
        np.subtract(z, m, out=z)
        np.exp(z, out=z)
        total = z.sum(-1, keepdims=True)
        loss = ((m + np.log(total))[:, 0] - z_at).mean()
        np.divide(z, total * rows, out=z)
        z[at] -= z.dtype.type(1.0 / rows)
        np.matmul(z, w, out=dx)
        np.matmul(z.T, x, out=dw)
        return loss

    return Work(run, lambda loss: (loss, dx, dw))


def _map(function: Any) -> Any:
    def make(c: Case) -> Work:
        x, axis, out = c.x, c.axis, c.empty(c.x_shape)
        return Work(lambda: function(x, axis, out), lambda result: (result,))

    return make


WORKS = {
    "softmax": {"NumPy": _map(_softmax)},
    "log_softmax": {"NumPy": _map(_log_softmax)},
    "logsumexp": {"NumPy": _map(_logsumexp)},
    "cross_entropy": {"NumPy": _cross_entropy},
    "value_and_grad": {"NumPy": _labels},
    "value_and_grad_probs": {"NumPy": _probs},
    "softmax_vjp": {"NumPy": _vjp},
    "softmax_jacobian": {"NumPy": _jacobian},
    "grad_hess": {"NumPy": _grad_hess},
    "linear_cross_entropy": {"NumPy": _linear},
}
