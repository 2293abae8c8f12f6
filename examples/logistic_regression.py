"""
Logistic regression of wines
============================

Multinomial logistic regression by scipy.optimize on softgrad's gradient: the coefficients of scikit-learn.

The objective is that of sklearn.linear_model.LogisticRegression: C times the sum of the cross-entropies of x W^T + b,
plus ``|W|^2 / 2``. The intercepts b are not penalised, and softmax does not see what is added to all of them. ::

    pip install '.[test]'
    python examples/logistic_regression.py
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import softgrad as sg


def fit(
    x: np.ndarray, labels: np.ndarray, c: float = 1.0, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (classes, features) and centred intercepts; `c` is scikit-learn's C, options are the loss's."""
    features, classes = x.shape[1], int(labels.max()) + 1

    def split(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return parameters[:-classes].reshape(classes, features), parameters[-classes:]

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective divided by C, and its gradient."""
        w, b = split(parameters)
        loss, (_, dw, db) = sg.linear_cross_entropy_value_and_grad(
            x, w, labels, b, reduction="sum", **options
        )
        penalty = 0.5 * np.vdot(w, w)
        return float(loss + penalty / c), np.concatenate([(dw + w / c).ravel(), db])

    found = minimize(
        objective,
        np.zeros(classes * (features + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10_000, "maxfun": 20_000, "gtol": 1e-8, "ftol": 0.0},
    )
    w, b = split(found.x)
    return w, b - b.mean()


def fit_sklearn(
    x: np.ndarray, labels: np.ndarray, c: float = 1.0, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The same from scikit-learn."""
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10)
    model.fit(x, labels, **options)
    return model.coef_, model.intercept_ - model.intercept_.mean()


def main() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Print the comparison and return it: library, then coefficients and intercepts."""
    x, labels = load_wine(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    fits = {"softgrad": fit(x, labels), "scikit-learn": fit_sklearn(x, labels)}
    print(f"{len(x)} wines of {labels.max() + 1} growers, {x.shape[1]} measurements of each")
    for library, (w, b) in fits.items():
        predicted = sg.softmax(x @ w.T + b).argmax(axis=1)
        right = np.mean(predicted == labels)
        print(f"{library:<14}{right:.1%} right, intercepts {np.array2string(b, precision=8)}")
    apart = [np.abs(ours - theirs).max() for ours, theirs in zip(*fits.values(), strict=True)]
    print(f"coefficients at most {apart[0]:.1e} apart, intercepts {apart[1]:.1e}")
    return fits


def draw(fits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """The coefficients of each grower by measurement: dots are softgrad's, rings scikit-learn's."""
    figure, axes = plt.subplots(figsize=(8.0, 4.5), layout="constrained")
    names = load_wine().feature_names
    for grower, (ours, theirs) in enumerate(zip(*(w for w, _ in fits.values()), strict=True)):
        colour = f"C{grower}"
        axes.plot(ours, names, "o", color=colour, markersize=4, label=f"grower {grower}")
        axes.plot(theirs, names, "o", color=colour, markersize=10, fillstyle="none")
    axes.axvline(0.0, color="grey", linewidth=0.8)
    axes.set(title="Dots: softgrad. Rings: scikit-learn", xlabel="coefficient")
    axes.invert_yaxis()
    figure.legend(loc="outside right upper")


if __name__ == "__main__":
    draw(main())
    plt.show()
