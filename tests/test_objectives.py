"""Objectives for gradient boosting: the numbers, and training beside XGBoost's and LightGBM's built-in ones."""

import copy
import inspect
import pickle

import numpy as np
import pytest
from helpers import assert_close, layouts, raises, run_python
from numpy.testing import assert_allclose, assert_array_equal
from test_docstrings import check

from softgrad.objectives import SoftmaxObjective

HESSIANS = ["xgboost", "lightgbm", "exact"]
XGBOOST = {"objective": "multi:softprob", "nthread": 1, "max_depth": 4, "eta": 0.3, "base_score": 0}
LIGHTGBM = {
    "objective": "multiclass", "num_threads": 1, "min_data_in_leaf": 5, "boost_from_average": False,
    "deterministic": True, "force_col_wise": True, "verbose": -1,
}  # fmt: skip
ROUNDS = 15
# Scores span 3 to 7, and agree to 1e-6; a factor of 1.001 in the Hessian moves them by 7e-4 at least,
# after three rounds.
CLOSE = {"rtol": 0, "atol": 2e-5}


def expected(scores, labels, hessian, sample_weight=None, weight=None, label_smoothing=0.0):
    """Gradient and Hessian from the formulas, in long double, as 1 - s cancels."""
    z = np.asarray(scores, np.longdouble)
    n, k = z.shape
    s = np.exp(z - z.max(1, keepdims=True))
    s /= s.sum(1, keepdims=True)
    y = (1 - label_smoothing) * np.eye(k)[np.asarray(labels, int)]
    w = np.ones(k) if weight is None else np.asarray(weight)
    # torch's: the label's part carries its own weight, the smooth part those of all classes
    y = y * w + label_smoothing / k * w
    y = y * (np.ones(n) if sample_weight is None else sample_weight)[:, None]
    total = y.sum(1, keepdims=True)
    hess = s * (1 - s) * total
    if hessian == "xgboost":
        hess = np.maximum(2 * hess, 1e-16)
    elif hessian == "lightgbm":
        hess = k / (k - 1) * hess
    return s * total - y, hess


class Data:
    """What DMatrix and Dataset have in common."""

    def __init__(self, label, weight):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


@pytest.fixture
def problem(rng):
    """(scores, float labels, weights)"""
    scores = rng.normal(0, 2, (200, 5))
    return scores, rng.integers(0, 5, 200).astype(np.float32), rng.uniform(0.2, 3, 200)


# The numbers


@pytest.mark.parametrize("hessian", HESSIANS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "options",
    [{}, {"weight": [1, 2, 0.5, 0, 3], "label_smoothing": 0.1}],
    ids=["no_options", "options"],
)
def test_gradient_and_hessian(dtype, hessian, weighted, options, problem):
    scores, labels, weights = problem
    scores, weights = scores.astype(dtype), weights if weighted else None
    grad, hess = SoftmaxObjective(hessian, **options)(labels, scores, weights)
    g, h = expected(scores, labels, hessian, weights, **options)
    assert grad.dtype == hess.dtype == dtype
    assert_close(grad, g, terms=np.abs(g).max())
    assert_close(hess, h)


def test_the_error_state_of_numpy_changes_nothing():
    scores = np.array([[0, -103.0, -50, 3], [0, 1, 2, -95]], np.float32)
    for hessian in HESSIANS:
        expected = SoftmaxObjective(hessian)([0, 3], scores)
        with np.errstate(all="raise"):
            assert_array_equal(SoftmaxObjective(hessian)([0, 3], scores), expected)


@pytest.mark.parametrize("label", [1e300, 2.0**63, 3.0, -1.0, np.uint64(2**64 - 1)])
def test_whole_labels_out_of_range(label):
    with raises(IndexError, "SoftmaxObjective", r"\[0, 3\)"):
        SoftmaxObjective("exact")(np.array([label]), np.zeros((1, 3)))


def test_hessian_of_xgboost_is_at_least_its_floor():
    scores = np.array([[60.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    _, hess = SoftmaxObjective("xgboost")([0, 1], scores, [1.0, 0.0])
    assert_array_equal(hess, np.full((2, 3), 1e-16, np.float32))  # after the weights
    _, hess = SoftmaxObjective("lightgbm")([0, 1], scores, [1.0, 0.0])
    assert hess.max() < 1e-24


@pytest.mark.parametrize("hessian", HESSIANS)
def test_data_sets_and_labels_are_told_apart(hessian, problem):
    """The four ways of being called give one result."""
    scores, labels, weights = problem
    objective = SoftmaxObjective(hessian)
    for weight in (None, weights):
        sized = np.zeros(0, np.float32) if weight is None else weight  # XGBoost's none
        results = [
            objective(labels, scores, weight),
            objective(scores, Data(labels, weight)),
            objective(scores, Data(labels.tolist(), sized)),
            objective(labels.astype(int), scores, sample_weight=weight),
        ]
        for grad, hess in results[1:]:
            assert_array_equal(grad, results[0][0])
            assert_array_equal(hess, results[0][1])


def test_layouts(problem):
    scores, labels, weights = problem
    objective = SoftmaxObjective("lightgbm")
    grad, hess = objective(labels, scores, weights)
    for view in layouts(scores).values():
        also_grad, also_hess = objective(labels, view, weights)
        assert_array_equal(also_grad, grad)
        assert_array_equal(also_hess, hess)
    for result in objective(labels, scores.copy(order="F"), weights):
        assert result.flags.f_contiguous  # LightGBM then ravels it without a copy


def test_arguments_are_not_written(problem):
    kept = copy.deepcopy(problem)
    scores, labels, weights = problem
    SoftmaxObjective("xgboost")(labels, scores, weights)
    for now, before in zip(problem, kept, strict=True):
        assert_array_equal(now, before)


def test_no_rows():
    for result in SoftmaxObjective("xgboost")([], np.zeros((0, 3))):
        assert result.shape == (0, 3)


# The interface


def test_docstring_examples():
    assert check(inspect.getdoc(SoftmaxObjective), "SoftmaxObjective", "softgrad.objectives") >= 5


def test_objective_can_be_pickled_and_copied(problem):
    """As scikit-learn's clone and parallel search do."""
    scores, labels, weights = problem
    objective = SoftmaxObjective("xgboost", weight=np.arange(1, 6), label_smoothing=0.2)
    grad, _ = objective(labels, scores, weights)
    for twin in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective)):
        assert_array_equal(twin(labels, scores, weights)[0], grad)


def test_nothing_else_is_imported():
    code = (
        "import sys, softgrad.objectives; print(sorted({'xgboost', 'lightgbm'} & set(sys.modules)))"
    )
    assert run_python(code) == (0, "[]", "")
    code = "import sys, softgrad; print('softgrad.objectives' in sys.modules)"
    assert run_python(code) == (0, "False", "")


def test_unknown_hessian():
    with raises(
        ValueError,
        "^SoftmaxObjective: expected hessian to be xgboost, lightgbm or exact, got 'newton'",
    ):
        SoftmaxObjective("newton")


@pytest.mark.parametrize(
    ("label", "error"),
    [(-1, IndexError), (-100, IndexError), (5, IndexError), (1.5, ValueError), (np.nan, ValueError),
     (np.inf, ValueError)],
)  # fmt: skip
def test_bad_label(label, error, problem):
    scores, labels, _ = problem
    labels[7] = label
    text = rf"^SoftmaxObjective: .*whole numbers in \[0, 5\), got labels\[7\] = {float(label)}$"
    with raises(error, text):
        SoftmaxObjective("exact")(labels, scores)


@pytest.mark.parametrize("shape", [(200,), (1000,), (200, 1), (200, 5, 1)], ids=str)
def test_scores_of_another_shape(shape, problem):
    with raises(ValueError, "^SoftmaxObjective: expected scores of shape", "num_class"):
        SoftmaxObjective("exact")(problem[1], np.zeros(shape))


def test_labels_that_do_not_fit(problem):
    scores, labels, _ = problem
    with raises(ValueError, r"^SoftmaxObjective: expected labels of shape \(200,\), got \(199,\)"):
        SoftmaxObjective("exact")(labels[1:], scores)
    with raises(TypeError, "^SoftmaxObjective: expected labels of a numeric dtype, got <U1"):
        SoftmaxObjective("exact")(["a"] * 200, scores)
    with raises(TypeError, "^SoftmaxObjective: expected labels of a numeric dtype, got object"):
        SoftmaxObjective("exact")(scores, Data(None, None))  # a data set without labels


# Training


@pytest.fixture(params=["wine", "digits"])
def data(request):
    """(x, y, weights) of scikit-learn's data sets."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = getattr(datasets, f"load_{request.param}")(return_X_y=True)
    x, y = x[:700], y[:700]
    return x, y, np.random.default_rng(1).uniform(0.2, 3, len(y)).astype(np.float32)


weighted = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


@weighted
def test_xgboost_train(data, weighted):
    xgb = pytest.importorskip("xgboost", "2.1")
    x, y, w = data
    train = xgb.DMatrix(x, y, weight=w if weighted else None)
    parameters = XGBOOST | {"num_class": int(y.max()) + 1}
    theirs = xgb.train(parameters, train, ROUNDS)
    ours = xgb.train(parameters, train, ROUNDS, obj=SoftmaxObjective("xgboost"))
    scores = theirs.predict(train, output_margin=True)
    assert np.ptp(scores) > 2
    assert_allclose(ours.predict(train, output_margin=True), scores, **CLOSE)
    assert_allclose(ours.predict(train), theirs.predict(train), **CLOSE)


def test_xgboost_floor():
    """Trees on Hessians that are nothing but the floor: the leaves are gradients over 1e-16."""
    xgb = pytest.importorskip("xgboost", "2.1")
    train = xgb.DMatrix(np.zeros((4, 1)), [1, 1, 2, 1], base_margin=np.tile([80.0, 0, 0], (4, 1)))
    parameters = XGBOOST | {"num_class": 3, "lambda": 0, "min_child_weight": 0, "eta": 1e-16}
    leaves = [
        xgb.train(parameters, train, 1, obj=objective).predict(train, output_margin=True)
        for objective in (None, SoftmaxObjective("xgboost"))
    ]
    assert_allclose(leaves[0][0], [80 - 1, 0.75, 0.25], rtol=1e-5)
    assert_allclose(leaves[1], leaves[0], rtol=1e-6)


def test_xgboost_starts_from_the_frequencies_if_told_to(data):
    xgb = pytest.importorskip("xgboost", "3.1")
    x, y, _ = data
    train = xgb.DMatrix(x, y)
    parameters = XGBOOST | {"num_class": int(y.max()) + 1}
    del parameters["base_score"]
    theirs = xgb.train(parameters, train, 3).predict(train)
    train.set_base_margin(np.tile(np.log(np.bincount(y) / len(y)), (len(y), 1)))
    ours = xgb.train(parameters, train, 3, obj=SoftmaxObjective("xgboost")).predict(train)
    assert_allclose(ours, theirs, **CLOSE)


@weighted
def test_xgboost_classifier(data, weighted):
    xgb = pytest.importorskip("xgboost", "2.1")
    x, y, w = data
    models = [
        xgb.XGBClassifier(
            n_estimators=ROUNDS, max_depth=4, n_jobs=1, base_score=0, objective=objective
        ).fit(x, y, sample_weight=w if weighted else None)
        for objective in ("multi:softprob", SoftmaxObjective("xgboost"))
    ]
    theirs, ours = (model.predict(x, output_margin=True) for model in models)
    assert np.ptp(theirs) > 2
    assert_allclose(ours, theirs, **CLOSE)
    assert_allclose(models[1].predict_proba(x), models[0].predict_proba(x), **CLOSE)


@weighted
def test_lightgbm_train(data, weighted):
    lgb = pytest.importorskip("lightgbm", "4.0")
    x, y, w = data
    parameters = LIGHTGBM | {"num_class": int(y.max()) + 1}
    theirs, ours = (
        lgb.train(
            parameters | {"objective": objective},
            lgb.Dataset(x, y, weight=w if weighted else None),
            ROUNDS,
        ).predict(x, raw_score=True)
        for objective in ("multiclass", SoftmaxObjective("lightgbm"))
    )
    assert np.ptp(theirs) > 2
    assert_allclose(ours, theirs, **CLOSE)


@weighted
def test_lightgbm_classifier(data, weighted):
    lgb = pytest.importorskip("lightgbm", "4.0")
    x, y, w = data
    theirs, ours = (
        lgb.LGBMClassifier(
            n_estimators=ROUNDS, n_jobs=1, objective=objective, boost_from_average=False,
            deterministic=True, force_col_wise=True, verbose=-1,
        )
        .fit(x, y, sample_weight=w if weighted else None)
        .predict(x, raw_score=True)
        for objective in ("multiclass", SoftmaxObjective("lightgbm"))
    )  # fmt: skip
    assert np.ptp(theirs) > 2
    assert_allclose(ours, theirs, **CLOSE)


def test_cross_validation(data):
    """The libraries' own splits: the data sets are parts of one."""
    xgb = pytest.importorskip("xgboost", "2.1")
    lgb = pytest.importorskip("lightgbm", "4.0")
    x, y, w = data
    classes = {"num_class": int(y.max()) + 1}
    for theirs, ours in (
        [
            xgb.cv(XGBOOST | classes, xgb.DMatrix(x, y, weight=w), 5, obj=objective, as_pandas=False)
            ["train-mlogloss-mean"]
            for objective in (None, SoftmaxObjective("xgboost"))
        ],
        [
            lgb.cv(
                LIGHTGBM | classes | {"objective": objective},
                lgb.Dataset(x, y, weight=w, params={"verbose": -1}), 5, return_cvbooster=True,
            )["cvbooster"].predict(x, raw_score=True)
            for objective in ("multiclass", SoftmaxObjective("lightgbm"))
        ],
    ):  # fmt: skip
        assert_allclose(ours, theirs, **CLOSE)


def test_a_wrong_factor_would_be_seen(data):
    """CLOSE tells the libraries' two factors from each other, and 2 from 2.002."""
    xgb = pytest.importorskip("xgboost", "2.1")
    x, y, _ = data
    train = xgb.DMatrix(x, y)
    parameters = XGBOOST | {"num_class": int(y.max()) + 1}

    def wrong(scores, train):
        grad, hess = SoftmaxObjective("exact")(scores, train)
        return grad, 2.002 * hess

    right = xgb.train(parameters, train, 3).predict(train, output_margin=True)
    for objective in (wrong, SoftmaxObjective("lightgbm")):
        model = xgb.train(parameters, train, 3, obj=objective)
        assert np.abs(model.predict(train, output_margin=True) - right).max() > 5 * CLOSE["atol"]
