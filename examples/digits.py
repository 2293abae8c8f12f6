"""
Two classifiers of handwritten digits
=====================================

Multinomial logistic regression by L-BFGS, and a network with one hidden layer by stochastic gradient
descent, on softgrad's gradients; scikit-learn's LogisticRegression and MLPClassifier get the same data
and the same settings. ::

    pip install '.[test,plot]'
    python examples/digits.py [--plot FILE]
"""

import argparse
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import softgrad as sg

CLASSES = 10
REGULARISATION = 1.0  # scikit-learn's C
HIDDEN, EPOCHS, BATCH = 64, 40, 50
RATE, MOMENTUM = 0.05, 0.9


class Data(NamedTuple):
    """Images as rows of 64 grey levels in [0, 1], and the digits that they show."""

    x: np.ndarray
    digits: np.ndarray
    x_test: np.ndarray
    digits_test: np.ndarray


def load() -> Data:
    x, digits = load_digits(return_X_y=True)
    x, x_test, digits, digits_test = train_test_split(
        x / 16.0, digits, test_size=0.25, random_state=0, stratify=digits
    )
    return Data(x, digits, x_test, digits_test)


# %%
# Logistic regression
# -------------------
# It minimises the mean cross-entropy of x W^T + b, plus ``|W|^2 / (2 C N)``.


def objective(parameters: np.ndarray, data: Data) -> tuple[float, np.ndarray]:
    """The objective and its gradient; parameters are W (10, 64) and b (10,), one after the other."""
    w, b = parameters[:-CLASSES].reshape(CLASSES, -1), parameters[-CLASSES:]
    loss, (_, dw, db) = sg.linear_cross_entropy_value_and_grad(data.x, w, data.digits, b)
    strength = 1.0 / (REGULARISATION * len(data.x))
    penalty = 0.5 * strength * np.vdot(w, w)
    return float(loss + penalty), np.concatenate([(dw + strength * w).ravel(), db])


def logistic_regression(data: Data) -> dict[str, Any]:
    start = np.zeros(CLASSES * (data.x.shape[1] + 1))
    found = minimize(
        objective,
        start,
        args=(data,),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 1000, "gtol": 1e-7, "ftol": 1e-13},
    )
    w, b = found.x[:-CLASSES].reshape(CLASSES, -1), found.x[-CLASSES:]
    probabilities = sg.softmax(data.x_test @ w.T + b)
    return {"loss": found.fun, "accuracy": accuracy(probabilities, data), "weights": w}


def logistic_regression_sklearn(data: Data) -> dict[str, Any]:
    model = LogisticRegression(C=REGULARISATION, tol=1e-8, max_iter=1000)
    model.fit(data.x, data.digits)
    parameters = np.concatenate([model.coef_.ravel(), model.intercept_])
    loss, _ = objective(parameters, data)
    return {"loss": loss, "accuracy": accuracy(model.predict_proba(data.x_test), data)}


# %%
# A network
# ---------
# 64 inputs, a hidden layer of tanh, softmax over 10 classes.


def glorot(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """First weights after Glorot and Bengio (AISTATS 2010)."""
    bound = (6.0 / (inputs + outputs)) ** 0.5
    return rng.uniform(-bound, bound, (inputs, outputs))


def network(data: Data) -> dict[str, Any]:
    """Stochastic gradient descent with Nesterov momentum, as MLPClassifier does it."""
    rng = np.random.default_rng(0)
    inputs = data.x.shape[1]
    w1, b1 = glorot(rng, inputs, HIDDEN), np.zeros(HIDDEN)
    w2, b2 = glorot(rng, HIDDEN, CLASSES), np.zeros(CLASSES)
    parameters = [w1, b1, w2, b2]
    velocities = [np.zeros_like(parameter) for parameter in parameters]

    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        order = rng.permutation(len(data.x))
        for batch in np.split(order, range(BATCH, len(order), BATCH)):
            x, digits = data.x[batch], data.digits[batch]
            hidden = np.tanh(x @ w1 + b1)
            loss, grad = sg.cross_entropy_value_and_grad(hidden @ w2 + b2, digits)
            total += float(loss) * len(batch)
            grad_hidden = grad @ w2.T * (1.0 - hidden * hidden)
            gradients = [x.T @ grad_hidden, grad_hidden.sum(0), hidden.T @ grad, grad.sum(0)]
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                v *= MOMENTUM
                v -= RATE * g
                p += MOMENTUM * v - RATE * g
        losses.append(total / len(order))

    probabilities = sg.softmax(np.tanh(data.x_test @ w1 + b1) @ w2 + b2)
    return {"loss": losses[-1], "accuracy": accuracy(probabilities, data), "losses": losses}


def network_sklearn(data: Data) -> dict[str, Any]:
    model = MLPClassifier(
        (HIDDEN,),
        activation="tanh",
        solver="sgd",
        alpha=0.0,
        batch_size=BATCH,
        learning_rate_init=RATE,
        momentum=MOMENTUM,
        random_state=np.random.RandomState(0),
    )
    for _ in range(EPOCHS):
        model.partial_fit(data.x, data.digits, classes=range(CLASSES))
    losses = model.loss_curve_
    return {
        "loss": losses[-1],
        "accuracy": accuracy(model.predict_proba(data.x_test), data),
        "losses": losses,
    }


# %%
# The comparison
# --------------


def accuracy(probabilities: np.ndarray, data: Data) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == data.digits_test))


def main(argv: list[str] | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Print the comparison and return it: model, then library, then "loss", "accuracy" and more."""
    parser = argparse.ArgumentParser(description="Two classifiers of handwritten digits.")
    parser.add_argument("--plot", metavar="FILE", help="save the picture instead of showing it")
    plot = parser.parse_args(argv).plot

    data = load()
    results = {
        "logistic regression": {
            "softgrad": logistic_regression(data),
            "scikit-learn": logistic_regression_sklearn(data),
        },
        "network": {"softgrad": network(data), "scikit-learn": network_sklearn(data)},
    }
    print(f"{len(data.x)} images to train on, {len(data.x_test)} to test on")
    print(f"{'':<36}training loss  test accuracy")
    for model, libraries in results.items():
        for library, result in libraries.items():
            print(f"{model:<20}{library:<16}{result['loss']:13.8f}{result['accuracy']:15.1%}")
    draw(results)
    if plot is None:
        plt.show()
    else:
        plt.savefig(plot, dpi=120)
        print(f"Picture saved to {plot}")
    return results


def draw(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    """The weights of each digit as an image, and the loss of both networks by epoch."""
    _, (left, right) = plt.subplots(
        1, 2, figsize=(10.0, 4.0), width_ratios=[5, 4], layout="constrained"
    )
    images = results["logistic regression"]["softgrad"]["weights"].reshape(2, 5, 8, 8)
    limit = np.abs(images).max()
    left.imshow(images.transpose(0, 2, 1, 3).reshape(16, 40), cmap="RdBu", vmin=-limit, vmax=limit)
    left.set(title="Weights of the digits 0 to 9", xticks=[], yticks=[])
    for library, result in results["network"].items():
        right.semilogy(result["losses"], label=library)
    right.set(title="The network", xlabel="epoch", ylabel="cross-entropy")
    right.legend()


if __name__ == "__main__":
    main()
