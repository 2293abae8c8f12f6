"""
Gradient boosting of handwritten digits
=======================================

XGBoost and LightGBM with their built-in objectives; with softgrad's, which give the same; and with label smoothing, which the
built-in ones lack (it makes scores less sure; where labels are right, as here, that costs loss). ::

    pip install xgboost lightgbm scikit-learn matplotlib
    python examples/boosting.py
"""

import matplotlib.pyplot as plt
import numpy as np
from lightgbm import LGBMClassifier
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

import softgrad as sg
from softgrad.objectives import SoftmaxObjective

# Objectives from Python start from equal scores, the built-in ones only if told to.
XGBOOST = XGBClassifier(n_estimators=30, n_jobs=1, base_score=0)
LIGHTGBM = LGBMClassifier(n_estimators=30, n_jobs=1, boost_from_average=False, verbose=-1)


def main() -> dict[tuple[str, str], float]:
    """Print loss and accuracy on the test data; return the losses by library and objective."""
    x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    losses = {}
    for library, model, built_in, raw in (
        ("xgboost", XGBOOST, "multi:softprob", "output_margin"),
        ("lightgbm", LIGHTGBM, "multiclass", "raw_score"),
    ):
        ours, smoothed = SoftmaxObjective(library), SoftmaxObjective(library, label_smoothing=0.05)
        for name, objective in ("built-in", built_in), ("softgrad", ours), ("smoothed", smoothed):
            scores = model.set_params(objective=objective).fit(x, y).predict(x_test, **{raw: True})
            losses[library, name] = loss = float(sg.cross_entropy(scores, y_test))
            accuracy = (scores.argmax(axis=1) == y_test).mean()
            print(f"{library:<10}{name:<10}loss {loss:.5f}  accuracy {accuracy:.1%}")
    return losses


def draw(losses: dict[tuple[str, str], float]) -> None:
    """A bar for each loss."""
    figure, axes = plt.subplots(figsize=(6.0, 3.5), layout="constrained")
    positions = np.arange(2)
    for i, name in enumerate(("built-in", "softgrad", "smoothed")):
        heights = [losses[library, name] for library in ("xgboost", "lightgbm")]
        axes.bar(positions + 0.27 * i, heights, width=0.25, label=name)
    axes.set_xticks(positions + 0.27, ["XGBoost", "LightGBM"])
    axes.set(ylabel="cross-entropy on the test data")
    figure.legend(loc="outside upper center", ncols=3)


if __name__ == "__main__":
    draw(main())
    plt.show()
