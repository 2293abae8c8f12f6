"""JAX, jitted: by automatic differentiation, and by the formula of the derivative where that may be faster;
half precision as it is, and converted to float32 and back within the function.

XLA reads the number of threads from the environment when it starts: run.py sets it. Results go into donated memory, without which JAX needs up to twice the time for large arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from softgrad._bench.case import Case, Work

# A function, and the arrays that it is given.
Made = tuple[Any, ...]

jax.config.update("jax_enable_x64", True)  # float64 at all; float32 stays what it is


def _jitted(function: Callable[..., Any], *arrays: Any) -> Work:
    """`function` of the arrays, read in place, its results written into those of the call before (donated)."""
    inputs = [jax.device_put(a, may_alias=True) for a in arrays]
    shapes = jax.eval_shape(function, *inputs)
    last = [jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)]
    compiled = jax.jit(lambda _, *inputs: function(*inputs), donate_argnums=0, keep_unused=True)

    def run() -> Any:
        last[0] = jax.block_until_ready(compiled(last[0], *inputs))
        return last[0]

    def results(values: Any) -> Any:  # copies: a view would keep the memory from being donated
        return tuple(np.array(a) for a in jax.tree.leaves(values))

    return Work(run, results)


def _in_float32(function: Callable[..., Any], *arrays: Any) -> Made:
    """The same, computed in float32 where arrays are in half precision."""

    def wide(*inputs: Any) -> Any:
        half = inputs[0].dtype
        given = (a.astype("float32") if a.dtype == half else a for a in inputs)
        return jax.tree.map(lambda a: a.astype(half), function(*given))

    return wide, *arrays


def _labels_of(c: Case) -> Any:
    return c.labels.astype("int32")  # JAX's own index type


def _losses(x: Any, labels: Any, axis: int) -> Any:
    """lse - x_t: how optax writes it."""
    at = jnp.take_along_axis(x, jnp.expand_dims(labels, axis), axis)
    return jax.nn.logsumexp(x, axis) - jnp.squeeze(at, axis)


def _parts(x: Any, axis: int) -> tuple[Any, Any]:
    """(softmax, logsumexp) from one exp; for the formulas."""
    m = x.max(axis, keepdims=True)
    e = jnp.exp(x - m)
    total = e.sum(axis, keepdims=True)
    return e / total, m + jnp.log(total)


def _hot(x: Any, labels: Any, axis: int) -> Any:
    return jax.nn.one_hot(labels, x.shape[axis], axis=axis, dtype=x.dtype)


def _labels(c: Case) -> Made:
    loss = jax.value_and_grad(lambda x, labels: _losses(x, labels, c.axis).mean())
    return loss, c.x, _labels_of(c)


def _labels_formula(c: Case) -> Made:
    def both(x: Any, labels: Any) -> Any:
        s, lse = _parts(x, c.axis)
        at = jnp.take_along_axis(x, jnp.expand_dims(labels, c.axis), c.axis)
        return (lse - at).mean(), (s - _hot(x, labels, c.axis)) * (1.0 / c.rows)

    return both, c.x, _labels_of(c)


def _probs(c: Case) -> Made:
    loss = jax.value_and_grad(lambda x, p: -(p * jax.nn.log_softmax(x, c.axis)).sum() / c.rows)
    return loss, c.x, c.probs


def _probs_formula(c: Case) -> Made:
    def both(x: Any, p: Any) -> Any:
        s, lse = _parts(x, c.axis)
        total = p.sum(c.axis, keepdims=True)
        return (p * (lse - x)).sum() / c.rows, (s * total - p) * (1.0 / c.rows)

    return both, c.x, c.probs


def _jacobian(c: Case) -> Made:
    return jax.vmap(jax.jacfwd(jax.nn.softmax)), c.x


def _jacobian_formula(c: Case) -> Made:
    def jacobian(x: Any) -> Any:
        s = jax.nn.softmax(x)
        return s[:, :, None] * (jnp.eye(c.n, dtype=x.dtype) - s[:, None, :])

    return jacobian, c.x


def _grad_hess(c: Case) -> Made:
    def both(x: Any, labels: Any) -> Any:
        s = jax.nn.softmax(x)
        return s - _hot(x, labels, -1), s * (1 - s)

    return both, c.x, _labels_of(c)


def _linear(c: Case) -> Made:
    def loss(x: Any, w: Any, labels: Any) -> Any:
        return _losses(x @ w.T, labels, -1).mean()

    def run(x: Any, w: Any, labels: Any) -> Any:
        value, (dx, dw) = jax.value_and_grad(loss, (0, 1))(x, w, labels)
        return value, dx, dw

    return run, c.hidden, c.weights, _labels_of(c)


def _map(function: Any) -> Callable[[Case], Made]:
    return lambda c: (lambda x: function(x, c.axis), c.x)


def _cross_entropy(c: Case) -> Made:
    return lambda x, labels: _losses(x, labels, c.axis).mean(), c.x, _labels_of(c)


def _vjp(c: Case) -> Made:
    return lambda y, g: y * (g - (y * g).sum(c.axis, keepdims=True)), c.y, c.g


MADE: dict[str, dict[str, Callable[[Case], Made]]] = {
    "softmax": {"JAX": _map(jax.nn.softmax)},
    "log_softmax": {"JAX": _map(jax.nn.log_softmax)},
    "logsumexp": {"JAX": _map(jax.nn.logsumexp)},
    "cross_entropy": {"JAX": _cross_entropy},
    "value_and_grad": {"JAX": _labels, "JAX formula": _labels_formula},
    "value_and_grad_probs": {"JAX": _probs, "JAX formula": _probs_formula},
    "softmax_vjp": {"JAX": _vjp},
    "softmax_jacobian": {"JAX": _jacobian, "JAX formula": _jacobian_formula},
    "grad_hess": {"JAX formula": _grad_hess},
    "linear_cross_entropy": {"JAX": _linear},
}


def _work(make: Callable[[Case], Made]) -> Callable[[Case], Work]:
    return lambda c: _jitted(*make(c))


def _work_in_float32(make: Callable[[Case], Made]) -> Callable[[Case], Work | None]:
    return lambda c: _jitted(*_in_float32(*make(c))) if c.dtype != c.wide else None


WORKS: dict[str, dict[str, Callable[[Case], Work | None]]] = {
    function: {
        **{name: _work(make) for name, make in makers.items()},
        **{f"{name} in float32": _work_in_float32(make) for name, make in makers.items()},
    }
    for function, makers in MADE.items()
}
