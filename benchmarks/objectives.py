"""The time of a boosting round with softgrad's objective, with one in NumPy, and with the library's own.

    python benchmarks/objectives.py [--rounds N]

The boosters of a table row have the same data, start and settings, one thread each, and run in turn, round after round; the
shortest round counts. "alone" is the shortest time of the Python objective itself, which is a part of that round.
Needs: pip install xgboost lightgbm scikit-learn rich
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits, make_classification

import softgrad as sg
from softgrad.objectives import SoftmaxObjective

Array = Any
COLUMNS = ["data", "rows", "classes", "library", "built-in", "softgrad", "alone", "NumPy", "alone"]
SYNTHETIC = [(20_000, 10), (50_000, 3), (5_000, 100)]  # rows, classes
FEATURES = 20


class Timed:
    """An objective that keeps the shortest time of its calls."""

    def __init__(self, objective: Callable[[Array, Any], tuple[Array, Array]]) -> None:
        self.objective, self.seconds = objective, np.inf

    def __call__(self, scores: Array, data: Any) -> tuple[Array, Array]:
        start = time.perf_counter()
        result = self.objective(scores, data)
        self.seconds = min(self.seconds, time.perf_counter() - start)
        return result


def numpy_objective(hessian: str) -> Callable[[Array, Any], tuple[Array, Array]]:
    """As it is written by hand."""

    def objective(scores: Array, data: Any) -> tuple[Array, Array]:
        labels = data.get_label().astype(np.int64)
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        grad = p.copy()
        grad[np.arange(len(labels)), labels] -= 1
        if hessian == "xgboost":
            return grad, np.maximum(2 * p * (1 - p), 1e-16)
        return grad, p.shape[1] / (p.shape[1] - 1) * p * (1 - p)

    return objective


def xgboost(x: Array, y: Array, classes: int, objective: Timed | None) -> Callable[[int], Any]:
    """What runs a round, given its number."""
    parameters = {
        "objective": "multi:softprob", "num_class": classes, "nthread": 1, "base_score": 0, "max_depth": 4,
    }  # fmt: skip
    data = xgb.DMatrix(x, y, nthread=1)
    booster = xgb.Booster(parameters, [data])
    return lambda i: booster.update(data, i, fobj=objective)


def lightgbm(x: Array, y: Array, classes: int, objective: Timed | None) -> Callable[[int], Any]:
    parameters = {
        "objective": "multiclass" if objective is None else "none", "num_class": classes, "num_threads": 1,
        "boost_from_average": False, "force_col_wise": True, "num_leaves": 16, "verbose": -1,
    }  # fmt: skip
    booster = lgb.Booster(parameters, lgb.Dataset(x, y, params=parameters))
    return lambda i: booster.update(fobj=objective)


def measure(library: Callable[..., Any], x: Array, y: Array, rounds: int) -> list[float]:
    """Milliseconds, under the columns from "built-in" on."""
    name, classes = library.__name__, int(y.max()) + 1
    ours, numpys = Timed(SoftmaxObjective(name)), Timed(numpy_objective(name))
    contestants = [library(x, y, classes, objective) for objective in (None, ours, numpys)]
    shortest = [np.inf] * len(contestants)
    for i in range(rounds):
        for k, update in enumerate(contestants):
            start = time.perf_counter()
            update(i)
            shortest[k] = min(shortest[k], time.perf_counter() - start)
    found = [shortest[0], shortest[1], ours.seconds, shortest[2], numpys.seconds]
    return [1000 * seconds for seconds in found]


def data_sets() -> Iterator[tuple[str, Array, Array]]:
    yield "digits", *load_digits(return_X_y=True)
    for rows, classes in SYNTHETIC:
        yield "synthetic", *make_classification(
            rows, FEATURES, n_informative=15, n_classes=classes, n_clusters_per_class=1, random_state=0
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="boosting rounds, 20 by default")
    arguments = parser.parse_args()
    sg.set_num_threads(1)
    versions = f"xgboost {xgb.__version__}, lightgbm {lgb.__version__}, numpy {np.__version__}"
    table = Table(title=f"Milliseconds per boosting round; {versions}", box=SIMPLE)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if i in (0, 3) else "right")
    for name, x, y in data_sets():
        for library in (xgboost, lightgbm):
            times = measure(library, x, y, arguments.rounds)
            table.add_row(
                name,
                str(len(y)),
                str(int(y.max()) + 1),
                library.__name__,
                *(f"{t:.3g}" for t in times),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
