"""Logistic regression on linear_cross_entropy_value_and_grad has the coefficients of scikit-learn."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

EXAMPLE = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "logistic_regression.py"))
fit, fit_sklearn = EXAMPLE["fit"], EXAMPLE["fit_sklearn"]


def load(name):
    """(x standardised, labels) of one of scikit-learn's data sets."""
    x, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(x), labels


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float64
        assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("c", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", ["wine", "iris"])
def test_coefficients_and_intercepts(name, c):
    x, labels = load(name)
    ours = fit(x, labels, c)
    assert np.abs(ours[0]).max() > 0.1
    assert_same(ours, fit_sklearn(x, labels, c))


def test_weights_of_samples(rng):
    x, labels = load("wine")
    sample_weight = rng.random(len(x)) + 0.5
    ours = fit(x, labels, sample_weight=sample_weight)
    assert_same(ours, fit_sklearn(x, labels, sample_weight=sample_weight))


def test_weights_of_classes():
    x, labels = load("wine")
    weight = np.array([1.0, 2.0, 0.5])
    assert_same(fit(x, labels, weight=weight), fit_sklearn(x, labels, sample_weight=weight[labels]))


def test_two_classes():
    """scikit-learn has one row then, w_1 - w_0. The least |w_0|^2 + |w_1|^2 for it is half its |w|^2: c stands for 2 c."""
    x, labels = load("breast_cancer")
    w, b = fit(x, labels, 0.5)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10).fit(x, labels)
    assert_same((w[1:] - w[:1], b[1:] - b[:1]), (model.coef_, model.intercept_))
    assert_allclose(w[0], -w[1], rtol=1e-6, atol=1e-6)
