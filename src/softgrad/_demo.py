"""What `python -m softgrad demo` runs. Not part of the interface.

It trains the classic first network (two moons, one hidden layer, softmax, cross-entropy) with the
fused gradient, checks that gradient against finite differences, and sets softgrad beside plain NumPy.
"""

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import softgrad

Reals = npt.NDArray[Any]  # of float32 or float64
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

POINTS = 400
HIDDEN = 16
STEPS = 600
RATE, MOMENTUM = 0.3, 0.9


def run(picture: str | None = None) -> None:
    """Run the demonstration; save its picture to the file `picture` if that is given."""
    figure = _new_figure() if picture is not None else None
    rng = np.random.default_rng(2026)
    points, labels = two_moons(rng, POINTS)
    start = rng.normal(scale=0.5, size=5 * HIDDEN + 2)

    print(f"Two moons, {POINTS} points: 2 inputs, {HIDDEN} tanh units, softmax over 2 classes;")
    print("cross-entropy loss, whose gradient in the logits is softmax - target")
    parameters, losses = train(start, points, labels)
    error, largest = check_gradient(start, points, labels)
    print(f"\nGradient of all {start.size} parameters beside central differences of the loss:")
    print(f"at most {error:.1e} apart, where the largest entry is {largest:.1e} (float64)")
    compare_with_numpy(rng)
    if figure is not None:
        _draw(figure, parameters, points, labels, losses)
        figure.savefig(picture, dpi=120)
        print(f"\nPicture saved to {picture}")


# The network


def two_moons(rng: np.random.Generator, n: int) -> tuple[Floats, Labels]:
    """Two interleaved half circles with noise: points (n, 2) and their classes (n,)."""
    labels = np.arange(n) % 2
    angle = rng.uniform(0.0, math.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(labels[:, None] == 0, upper, lower) + rng.normal(scale=0.2, size=(n, 2)), labels


def _layers(parameters: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Split the flat parameters into views: w1 (2, H), b1 (H,), w2 (H, 2), b2 (2,)."""
    w1, b1, w2, b2 = np.split(parameters, np.cumsum([2 * HIDDEN, HIDDEN, 2 * HIDDEN]))
    return w1.reshape(2, HIDDEN), b1, w2.reshape(HIDDEN, 2), b2


def _forward(parameters: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Compute the hidden layer (N, H) and the logits (N, 2)."""
    w1, b1, w2, b2 = _layers(parameters)
    hidden = np.tanh(points @ w1 + b1)
    return hidden, hidden @ w2 + b2


def loss_and_gradient(
    parameters: Floats, points: Floats, labels: Labels
) -> tuple[float, Floats, float]:
    """Mean loss, its gradient in the parameters, and the accuracy.

    dL/dlogits = (s - y) / N comes from softgrad with the loss; the rest is the chain rule.
    """
    hidden, logits = _forward(parameters, points)
    loss, grad = softgrad.cross_entropy_value_and_grad(logits, labels)
    w2 = _layers(parameters)[2]
    grad_hidden = grad @ w2.T * (1.0 - hidden * hidden)
    gradient = np.concatenate(
        [
            (points.T @ grad_hidden).ravel(),
            grad_hidden.sum(axis=0),
            (hidden.T @ grad).ravel(),
            grad.sum(axis=0),
        ]
    )
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    return float(loss), gradient, accuracy


def train(start: Floats, points: Floats, labels: Labels) -> tuple[Floats, list[float]]:
    """Gradient descent with momentum; prints its progress. The parameters and all losses."""
    parameters, velocity, losses = start.copy(), np.zeros_like(start), []
    print("  step    loss  accuracy")
    for step in range(STEPS + 1):
        loss, gradient, accuracy = loss_and_gradient(parameters, points, labels)
        losses.append(loss)
        if step % (STEPS // 6) == 0:
            print(f"  {step:4d}  {loss:.4f}   {accuracy:.1%}")
        velocity = MOMENTUM * velocity - RATE * gradient
        parameters = parameters + velocity
    return parameters, losses


def check_gradient(parameters: Floats, points: Floats, labels: Labels) -> tuple[float, float]:
    """Largest |gradient - (L(p + h) - L(p - h)) / 2h|, and the largest |gradient|."""
    _, gradient, _ = loss_and_gradient(parameters, points, labels)
    h = float(np.cbrt(np.finfo(np.float64).eps))  # where truncation and rounding balance
    differences = np.empty_like(gradient)
    for i in range(gradient.size):
        shift = np.zeros_like(gradient)
        shift[i] = h
        above, _, _ = loss_and_gradient(parameters + shift, points, labels)
        below, _, _ = loss_and_gradient(parameters - shift, points, labels)
        differences[i] = (above - below) / (2.0 * h)
    return float(np.abs(gradient - differences).max()), float(np.abs(gradient).max())


# softgrad beside plain NumPy. Each function below takes logits of any precision; the references get
# float64 and do not cancel, so that they are exact as seen from float32.


def _numpy_softmax(x: Reals) -> Reals:
    s: Reals = np.exp(x - x.max(axis=-1, keepdims=True))
    s /= s.sum(axis=-1, keepdims=True)
    return s


def _numpy_jacobian(x: Reals) -> Reals:
    s = _numpy_softmax(x)
    jacobian: Reals = np.diag(s) - np.outer(s, s)
    return jacobian


def _numpy_loss_and_gradient(x: Reals, labels: Labels) -> tuple[Any, Reals]:
    rows = np.arange(len(x))
    gradient = _numpy_softmax(x)
    loss = -np.log(gradient[rows, labels]).mean()
    gradient[rows, labels] -= 1.0
    return loss, gradient / np.asarray(len(x), x.dtype)


def _exact_jacobian(x: Floats) -> Floats:
    """diag(s) - s s^T, the diagonal s_i (1 - s_i) with 1 - s_i as the sum of the others."""
    s = _numpy_softmax(x)
    jacobian = -np.outer(s, s)
    others = np.where(np.eye(len(s), dtype=bool), 0.0, s).sum(axis=1)
    np.fill_diagonal(jacobian, s * others)
    return jacobian


def _exact_loss_and_gradient(x: Floats, labels: Labels) -> tuple[float, Floats]:
    """Loss log1p(sum of exp(others - target)); gradient s - y, s_t - 1 as -(sum of the others)."""
    rows = np.arange(len(x))
    others = np.exp(x - x[rows, labels][:, None])
    others[rows, labels] = 0.0
    loss = float(np.log1p(others.sum(axis=1)).mean())
    gradient = _numpy_softmax(x)
    gradient[rows, labels] = 0.0
    gradient[rows, labels] = -gradient.sum(axis=1)
    return loss, gradient / len(x)


def _ulp(result: Any, exact: Any) -> float:
    """Largest distance of the float32 `result` from `exact`, in units of float32's last place."""
    spacing = np.spacing(np.abs(np.asarray(exact)).astype(np.float32)).astype(np.float64)
    return float((np.abs(np.asarray(result, dtype=np.float64) - exact) / spacing).max())


def _fastest(work: Callable[[], object], seconds: float = 0.1) -> float:
    """Repeat `work()` for about `seconds` and return the shortest time."""
    work()
    fastest = math.inf
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        work()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def compare_with_numpy(rng: np.random.Generator) -> None:
    """Print time and error of softgrad and of the textbook NumPy code, on float32."""
    x = rng.normal(scale=5.0, size=(1000, 100)).astype(np.float32)
    labels = (x + rng.gumbel(size=x.shape)).argmax(axis=1)  # drawn from softmax(x)
    row = x[:5].ravel()
    exact_x, exact_row = x.astype(np.float64), row.astype(np.float64)

    threads = softgrad.get_num_threads()
    softgrad.set_num_threads(1)
    print("\nsoftgrad beside plain NumPy: float32, logits ~ N(0, 5), one thread")
    print(f"{'':>31}{'time, us':^20}{'largest error, ULP':>22}")
    print(f"{'':>31}{'softgrad':>10}{'NumPy':>10}{'softgrad':>11}{'NumPy':>11}")

    def line(
        name: str,
        ours: Callable[[], Any],
        plain: Callable[[], Any],
        error: Callable[[Any], float],
    ) -> None:
        times = f"{_fastest(ours) * 1e6:10.1f}{_fastest(plain) * 1e6:10.1f}"
        print(f"{name:<31}{times}{error(ours()):11.3g}{error(plain()):11.3g}")

    softmax, jacobian = _numpy_softmax(exact_x), _exact_jacobian(exact_row)
    loss, gradient = _exact_loss_and_gradient(exact_x, labels)
    line(
        "softmax, 1000 rows of 100",
        lambda: softgrad.softmax(x),
        lambda: _numpy_softmax(x),
        lambda result: _ulp(result, softmax),
    )
    line(
        "Jacobian, 500 x 500",
        lambda: softgrad.softmax_jacobian(row),
        lambda: _numpy_jacobian(row),
        lambda result: _ulp(result, jacobian),
    )
    line(
        "loss + gradient, 1000 x 100",
        lambda: softgrad.cross_entropy_value_and_grad(x, labels),
        lambda: _numpy_loss_and_gradient(x, labels),
        lambda result: max(_ulp(result[0], loss), _ulp(result[1], gradient)),
    )
    print("(ULP: units in the last place. s - 1 cancels where s is near 1: see README, Accuracy)")
    softgrad.set_num_threads(threads)


# The picture


def _new_figure() -> Any:
    try:
        figure = importlib.import_module("matplotlib.figure")
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install 'softgrad[plot]'") from None
    return figure.Figure(figsize=(10.0, 4.5), layout="constrained")


def _draw(
    figure: Any, parameters: Floats, points: Floats, labels: Labels, losses: list[float]
) -> None:
    """Probability of class 1 over the plane with the points on it; the loss by step."""
    (x0, y0), (x1, y1) = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    xs, ys = np.meshgrid(np.linspace(x0, x1, 200), np.linspace(y0, y1, 200))
    logits = _forward(parameters, np.stack([xs.ravel(), ys.ravel()], axis=1))[1]
    probability = softgrad.softmax(logits)[:, 1].reshape(xs.shape)

    boundary, curve = figure.subplots(1, 2)
    filled = boundary.contourf(xs, ys, probability, levels=20, cmap="RdBu", alpha=0.6)
    boundary.contour(xs, ys, probability, levels=[0.5], colors="black")
    boundary.scatter(*points.T, c=labels, cmap="RdBu", edgecolors="black", s=24)
    boundary.set(title="Decision boundary", xlabel="x", ylabel="y")
    figure.colorbar(filled, ax=boundary, label="probability of class 1")
    curve.semilogy(losses)
    curve.set(title="Training", xlabel="step", ylabel="cross-entropy")
    curve.grid(visible=True, which="both", alpha=0.3)
