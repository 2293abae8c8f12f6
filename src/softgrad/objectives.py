"""Objectives for gradient boosting: softmax cross-entropy as XGBoost and LightGBM take it from Python.

Neither library is imported; a data set is known by its ``get_label``. ``import softgrad`` does not
import this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from softgrad import _core
from softgrad._arrays import Array
from softgrad._cross_entropy import cross_entropy_grad_hess

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["SoftmaxObjective"]

Hessian = Literal["xgboost", "lightgbm", "exact"]
FUNCTION = "SoftmaxObjective"
FLOOR = 1e-16  # of a Hessian entry in XGBoost: src/objective/multiclass_obj.cu


@dataclass(frozen=True, eq=False)  # eq: `weight` may be an array
class SoftmaxObjective:
    """Multiclass softmax cross-entropy, its gradient and Hessian diagonal, for gradient boosting.

    The object is the callable that these take, each of which it knows by what it is called with:

    * ``xgboost.train(params, data, obj=...)``, ``xgboost.cv``: called with (scores, DMatrix);
    * ``xgboost.XGBClassifier(objective=...)``: (labels, scores[, sample_weight]);
    * ``lightgbm.train({"objective": ..., ...}, data)``, ``lightgbm.cv``: (scores, Dataset);
    * ``lightgbm.LGBMClassifier(objective=...)``: (labels, scores, weight or None).

    It needs K >= 2 classes with one score each: XGBoost 2.1 or later and LightGBM 4 or later, with
    their parameter ``num_class`` (the classifiers set it where there are more than two classes).

    Parameters
    ----------
    hessian : {"xgboost", "lightgbm", "exact"}
        What stands for the Hessian of a row with probabilities s, K classes and weight w:
        "xgboost" max(2 w s (1 - s), 1e-16), as XGBoost's multi:softprob; "lightgbm"
        K / (K - 1) w s (1 - s), as LightGBM's multiclass; "exact" the diagonal itself, w s (1 - s).
        Either library takes any of them.
    weight : array_like of shape (K,), optional
        Factors of the classes, as in `softgrad.cross_entropy`.
    label_smoothing : float, default 0.0
        As in `softgrad.cross_entropy`.

    Returns
    -------
    grad, hess : ndarray
        What a call gives: of the shape (N, K), type and memory order of the scores, float32 from
        XGBoost, float64 in Fortran order from LightGBM. They are sums over the rows, not means.
        Sample weights, those of the data set too, are multiplied in: neither library does that itself.

    Raises
    ------
    ValueError
        An unknown `hessian`; in a call, scores that are not (N, K), labels that are not N whole
        numbers. The options are checked in the call, by `softgrad.cross_entropy_grad_hess`.
    IndexError
        In a call: a label outside [0, K); the text names its position.
    TypeError
        In a call: labels or scores of a type that is not numeric.

    Notes
    -----
    T. Chen and C. Guestrin, XGBoost, 2016, equation (3), with the derivatives of
    `softgrad.cross_entropy_grad_hess`. The Hessians: src/objective/multiclass_obj.cu of XGBoost and
    src/objective/multiclass_objective.hpp of LightGBM. The factor of LightGBM is from J. H. Friedman,
    Greedy function approximation, 2001, algorithm 6.

    The built-in objectives start from the frequencies of the classes (LightGBM; XGBoost from version
    3.1 on), objectives from Python from the same score for every class. For the predictions of the
    built-in ones, set ``base_score`` (XGBoost) or ``boost_from_average=False`` (LightGBM) for these
    too; or start from the frequencies with ``base_margin`` or ``init_score``.

    LightGBM then predicts raw scores, whose `softgrad.softmax` is the probabilities. XGBoost
    predicts these itself, with ``"objective": "multi:softprob"`` among its parameters beside ``obj=``.

    Examples
    --------
    >>> from softgrad.objectives import SoftmaxObjective
    >>> objective = SoftmaxObjective("lightgbm")
    >>> labels, scores = [0.0, 2.0], [[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]]
    >>> grad, hess = objective(labels, scores)  # as LGBMClassifier(objective=objective) calls it
    >>> grad
    array([[-0.34099886,  0.24243297,  0.09856589],
           [ 0.11116562,  0.82140902, -0.93257464]])
    >>> hess  # 3 / 2 s (1 - s)
    array([[0.33707796, 0.27548884, 0.13327598],
           [0.14821174, 0.22004436, 0.09431877]])
    """

    hessian: Hessian
    weight: ArrayLike | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        names = get_args(Hessian)
        if self.hessian not in names:
            raise ValueError(
                f"{FUNCTION}: expected hessian to be {', '.join(names[:-1])} or {names[-1]}, "
                f"got {self.hessian!r}"
            )

    # XGBoost looks for a parameter of the name sample_weight, LightGBM passes it if there are three.
    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """(grad, hess) from (labels, scores[, sample_weight]), or from (scores, data set)."""
        if hasattr(second, "get_label"):
            labels, scores, sample_weight = second.get_label(), first, second.get_weight()
            if np.size(sample_weight) == 0:  # XGBoost has an empty array for none
                sample_weight = None
        else:
            labels, scores = first, second
        scores = np.asarray(scores)
        if scores.ndim != 2 or scores.shape[1] < 2:
            raise ValueError(
                f"{FUNCTION}: expected scores of shape (N, K), K >= 2 classes, got {scores.shape}; "
                "num_class sets K"
            )
        rows, classes = scores.shape
        grad, hess = cross_entropy_grad_hess(
            scores,
            _as_labels(labels, rows, classes),
            weight=self.weight,
            sample_weight=sample_weight,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        with _core.DefaultMode(), np.errstate(all="ignore"):
            if self.hessian == "xgboost":
                hess *= 2.0
                np.maximum(hess, FLOOR, out=hess)
            elif self.hessian == "lightgbm":
                hess *= classes / (classes - 1)
        return grad, hess


def _as_labels(labels: Any, rows: int, classes: int) -> Array:
    """Labels as int64, each in [0, classes). Both libraries keep them as float32."""
    a = np.asarray(labels)
    if a.dtype.kind not in "biuf":
        raise TypeError(f"{FUNCTION}: expected labels of a numeric dtype, got {a.dtype}")
    if a.shape != (rows,):
        raise ValueError(f"{FUNCTION}: expected labels of shape {(rows,)}, got {a.shape}")
    with np.errstate(invalid="ignore"):  # nan
        whole = a.astype(np.int64)
    bad = (whole != a) | (whole < 0) | (whole >= classes)
    if bad.any():
        i = int(bad.argmax())
        integral = a.dtype.kind != "f" or float(a[i]).is_integer()
        error = IndexError if integral else ValueError
        raise error(
            f"{FUNCTION}: expected labels to be whole numbers in [0, {classes}), "
            f"got labels[{i}] = {a[i]}"
        )
    return whole
