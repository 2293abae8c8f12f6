"""NumPy, as one writes it by hand when speed counts: in place, into memory that is there already.

Halves are converted to float32 and back: in its own arithmetic of float16 it takes ten times as long and more, and
a sum of bfloat16 ceases to grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from softgrad._bench.case import Array, Case, Work
from softgrad._bench.cells import LINEAR, PROBS, VJP

INPUTS = {PROBS: ("x", "probs"), VJP: ("y", "g"), LINEAR: ("hidden", "weights")}  # else x


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
    x, p, axis, rows, out = c.x, c.probs, c.axis, c.rows, c.empty(c.x_shape)

    def run() -> Any:
        m = x.max(axis, keepdims=True)
        np.subtract(x, m, out=out)
        np.exp(out, out=out)
        total, weight = out.sum(axis, keepdims=True), p.sum(axis, keepdims=True)
        loss = ((weight * (m + np.log(total))).sum() - np.vdot(p, x)) / rows
        np.multiply(out, weight / total, out=out)
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


def _through_float32(make: Callable[[Case], Work]) -> Callable[[Case], Work]:
    """`make`, on copies in float32 where the arrays are halves."""

    def of(c: Case) -> Work:
        if c.dtype == c.wide:
            return make(c)
        wide, inputs = Case(replace(c.cell, dtype=c.wide.name), c.threads), []
        wide.labels = c.labels
        for name in INPUTS.get(c.cell.function, ("x",)):
            given = getattr(c, name)
            copy = wide.empty(given.shape)
            copy[...] = given
            setattr(wide, name, copy)
            inputs.append((copy, given))
        work = make(wide)
        outs = [c.empty(np.shape(a)) for a in work.results(work.run())]

        def run() -> None:
            for copy, given in inputs:
                np.copyto(copy, given)
            for out, result in zip(outs, work.results(work.run()), strict=True):
                np.copyto(out, result, casting="unsafe")

        return Work(run, lambda _: tuple(outs))

    return of


MAKERS = {
    "softmax": _map(_softmax),
    "log_softmax": _map(_log_softmax),
    "logsumexp": _map(_logsumexp),
    "cross_entropy": _cross_entropy,
    "value_and_grad": _labels,
    "value_and_grad_probs": _probs,
    "softmax_vjp": _vjp,
    "softmax_jacobian": _jacobian,
    "grad_hess": _grad_hess,
    "linear_cross_entropy": _linear,
}
WORKS = {function: {"NumPy": _through_float32(make)} for function, make in MAKERS.items()}
