"""cross_entropy, its gradient and the diagonal of its Hessian: every option, every combination."""

import itertools

import numpy as np
import pytest
import reference
from helpers import FEW, assert_close, assert_same_bits, derivative, ids, softmax_like
from numpy.testing import assert_allclose, assert_array_equal

import softgrad as sg

KINDS = ["labels", "probabilities"]
REDUCTIONS = ["mean", "sum", "none"]
AXES = [((2, 21, 6, 5), 1), ((21, 9), 0), ((3, 33, 70), -2), ((4, 7, 3), 2), ((30,), 0)]
by_kind = pytest.mark.parametrize("kind", KINDS)
by_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def problem(kind, rng, shape, dtype, axis=-1):
    """(logits, targets); every seventh label is ignored."""
    logits = rng.normal(0, 3, shape).astype(dtype)
    if kind == "probabilities":
        return logits, softmax_like(rng, shape, dtype, axis)
    rows = np.moveaxis(logits, axis, -1).shape[:-1]
    labels = rng.integers(0, shape[axis], rows)
    labels.reshape(-1)[5::7] = -100
    return logits, labels


def check(logits, targets, axis=-1, **options):
    """All four functions, close to the reference and in agreement with each other."""
    expected = reference.cross_entropy_grad_hess(logits, targets, axis, **options)
    terms = reference.cross_entropy_magnitudes(logits, targets, axis, **options)
    loss, grad = sg.cross_entropy_value_and_grad(logits, targets, axis, **options)
    also_grad, hess = sg.cross_entropy_grad_hess(logits, targets, axis, **options)
    for actual, exact, size in zip((loss, grad, hess), expected, terms, strict=True):
        assert_close(actual, exact, terms=size, ulps=16)
    assert_same_bits(sg.cross_entropy_grad(logits, targets, axis, **options), grad)
    assert_same_bits(also_grad, grad)
    assert_same_bits(sg.cross_entropy(logits, targets, axis, **options), loss)
    return loss, grad, hess


@by_reduction
@by_kind
@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_cross_entropy(isa, dtype, kind, n, reduction, rng):
    check(*problem(kind, rng, (9, n), dtype), reduction=reduction)


@by_kind
@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_axis(isa, dtype, kind, shape, axis, rng):
    logits, targets = problem(kind, rng, shape, dtype, axis)
    loss, grad, hess = check(logits, targets, axis, reduction="none")
    assert np.shape(loss) == tuple(np.delete(shape, axis))
    assert grad.shape == hess.shape == shape


OPTIONS = {
    "weight": np.array([0.5, 2, 0, 1, 3, 0.25, 1, 1.5, 2, 0.125, 1]),
    "sample_weight": np.array([1, 0.5, 0, 2, 3, 1, 1.25]),
    "label_smoothing": 0.1,
    "temperature": 1.7,
    "z_loss": 0.01,
}
COMBINATIONS = [c for k in range(6) for c in itertools.combinations(OPTIONS, k)]


@by_reduction
@by_kind
@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda c: "+".join(c) or "plain")
def test_options(isa, dtype, kind, combination, reduction, rng):
    logits, targets = problem(kind, rng, (7, 11), dtype)
    check(logits, targets, reduction=reduction, **{name: OPTIONS[name] for name in combination})


@by_kind
@pytest.mark.parametrize("combination", [("weight", "sample_weight"), tuple(OPTIONS)], ids="+".join)
def test_options_on_another_axis(isa, dtype, kind, combination, rng):
    logits, targets = problem(kind, rng, (2, 11, 7), dtype, 1)
    options = {name: OPTIONS[name] for name in combination}
    options["sample_weight"] = np.stack([OPTIONS["sample_weight"]] * 2)
    for reduction in REDUCTIONS:
        check(logits, targets, 1, reduction=reduction, **options)


# --- known answers


def test_known_answer_of_one_row():
    p = np.array([0.228, 0.619, 0.153])
    for targets in (1, [0.0, 1.0, 0.0], np.array([False, True, False])):
        assert sg.cross_entropy(np.log(p), targets) == pytest.approx(0.47965, abs=5e-6)
        assert_allclose(
            sg.cross_entropy_grad(np.log(p), targets), p - [0, 1, 0], rtol=0, atol=1e-15
        )


def test_uniform_logits_lose_log_n(isa, dtype):
    for n in (1, 2, 10, 1000):
        loss, grad = sg.cross_entropy_value_and_grad(np.zeros((4, n), dtype), np.zeros(4, int))
        assert_close(loss, np.log(np.longdouble(n)))
        assert_close(grad[0], (1 / np.longdouble(n) - np.eye(n)[0]) / 4)


def test_one_class_is_certain(isa, dtype):
    loss, grad = sg.cross_entropy_value_and_grad(np.array([[3], [-5]], dtype), [0, 0])
    assert loss == 0
    assert_array_equal(grad, [[0], [0]])


def test_a_confident_prediction_keeps_loss_and_gradient(isa, dtype):
    """Past a margin of 17 (float32) or 37 (float64) others print 0 here."""
    for margin in (20, 40, 60, 80):
        loss, grad = sg.cross_entropy_value_and_grad(np.array([margin, 0, 0], dtype), 0)
        rest = 2 * np.exp(-np.longdouble(margin))
        assert_close(loss, np.log1p(rest))
        assert_close(grad, np.array([-rest, rest / 2, rest / 2]) / (1 + rest))


def test_the_mean_of_a_batch_carries_one_over_n(rng):
    logits, targets = problem("probabilities", rng, (8, 5), np.float64)
    loss, grad = sg.cross_entropy_value_and_grad(logits, targets)
    rows, row_grad = sg.cross_entropy_value_and_grad(logits, targets, reduction="none")
    assert_allclose(loss, rows.mean(), rtol=1e-15)
    assert_allclose(grad, row_grad / 8, rtol=1e-15)


@by_kind
def test_one_hot_rows_equal_labels(isa, dtype, kind, rng):
    logits, labels = problem("labels", rng, (9, 12), dtype)
    labels = np.abs(labels) % 12
    hot = np.eye(12)[labels].astype(dtype if kind == "labels" else bool)
    for left, right in zip(check(logits, hot), check(logits, labels), strict=True):
        assert_close(left, right, ulps=4)


# --- derivatives


@by_kind
@pytest.mark.parametrize(
    "combination", [(), *itertools.combinations(OPTIONS, 1), tuple(OPTIONS)], ids="+".join
)
def test_gradient_and_hessian_are_derivatives(kind, combination, rng):
    logits, targets = problem(kind, rng, (7, 11), np.float64)
    options = {name: OPTIONS[name] for name in combination}
    grad, hess = sg.cross_entropy_grad_hess(logits, targets, **options)
    numeric = derivative(lambda x: sg.cross_entropy(x, targets, **options), logits)
    assert_allclose(grad, numeric, rtol=0, atol=1e-9)
    second = derivative(lambda x: sg.cross_entropy_grad(x, targets, **options), logits)
    assert_allclose(hess.ravel(), np.diag(second.reshape(77, 77)), rtol=0, atol=1e-9)


# --- ignore_index


@by_reduction
@pytest.mark.parametrize("ignore", [-100, 0, 3, -1, 255])
@pytest.mark.parametrize(
    "label_type", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u8"]
)
def test_ignore_index(dtype, ignore, label_type, reduction, rng):
    logits, labels = rng.normal(0, 2, (12, 6)).astype(dtype), rng.integers(0, 6, 12)
    fits = np.iinfo(label_type).min <= ignore <= np.iinfo(label_type).max
    if fits:
        labels[::4] = ignore
    labels = labels.astype(label_type)
    loss, grad, hess = check(logits, labels, ignore_index=ignore, reduction=reduction)
    if fits:
        assert_array_equal(grad[::4], np.zeros((3, 6)))
        assert_array_equal(hess[::4], np.zeros((3, 6)))
        if reduction == "none":
            assert_array_equal(loss[::4], np.zeros(3))


def test_label_zero_is_a_class_like_others(isa, dtype, rng):
    logits = rng.normal(0, 2, (5, 4)).astype(dtype)
    loss = check(logits, np.zeros(5, int), reduction="none")[0]
    assert (loss > 0).all()


def test_ignored_rows_leave_the_rest_as_it_was(isa, dtype, rng):
    """They are not read, and do not count in the mean."""
    logits, labels = rng.normal(0, 2, (6, 33)).astype(dtype), rng.integers(0, 33, 6)
    kept = [0, 2, 3]
    logits[[1, 4, 5]] = np.array([[np.nan], [np.inf], [-np.inf]])
    labels[[1, 4, 5]] = -100
    for options in ({}, {"label_smoothing": 0.2}, {"z_loss": 0.1, "weight": np.linspace(1, 2, 33)}):
        loss, grad, hess = check(logits, labels, **options)
        few_loss, few_grad, few_hess = check(logits[kept], labels[kept], **options)
        assert_same_bits(grad[kept], few_grad)
        assert_same_bits(hess[kept], few_hess)
        assert_close(loss, few_loss, ulps=2)
        assert_array_equal(grad[[1, 4, 5]], np.zeros((3, 33)))


# --- nothing to divide by


def test_mean_of_nothing_is_nan_without_a_warning(isa, dtype, rng):
    logits = rng.normal(0, 1, (3, 4)).astype(dtype)
    nothing = {
        "all ignored": (logits, np.full(3, -100), {}),
        "zero class weight": (logits, np.zeros(3, int), {"weight": [0, 1, 1, 1]}),
        "zero sample weight": (logits, np.zeros(3, int), {"sample_weight": np.zeros(3)}),
        "zero sample weight of rows": (logits, np.ones((3, 4)), {"sample_weight": np.zeros(3)}),
    }
    with np.errstate(all="raise"):
        for what, (x, targets, options) in nothing.items():
            loss, grad = sg.cross_entropy_value_and_grad(x, targets, **options)
            assert np.isnan(loss), what
            assert np.isnan(sg.cross_entropy(x, targets, **options)), what
            assert (grad == 0).all() if what == "all ignored" else np.isnan(grad).all(), what
            assert sg.cross_entropy(x, targets, reduction="sum", **options) == 0, what


def test_rows_that_count_get_nan_and_ignored_ones_zero(dtype, rng):
    logits = rng.normal(0, 1, (2, 3)).astype(dtype)
    grad = sg.cross_entropy_grad(logits, [0, -100], weight=[0, 1, 1])
    assert np.isnan(grad[0]).all()
    assert_array_equal(grad[1], np.zeros(3))


@by_kind
def test_no_rows(dtype, kind):
    logits = np.zeros((0, 4), dtype)
    targets = np.zeros(0, int) if kind == "labels" else logits
    loss, grad = sg.cross_entropy_value_and_grad(logits, targets)
    assert np.isnan(loss)
    assert grad.shape == (0, 4)
    assert sg.cross_entropy(logits, targets, reduction="sum") == 0
    assert sg.cross_entropy(logits, targets, reduction="none").shape == (0,)


# --- what counts for nothing


def test_zero_times_infinity_is_zero(isa, dtype):
    """A class of target 0 or of weight 0 whose log-probability is -inf."""
    logits = np.array([[0, -np.inf, 1]], dtype)
    check(logits, np.array([[0.5, 0, 0.5]]))
    check(logits, np.array([[0.5, 0.5, 0.5]]), weight=[1, 0, 2])
    check(logits, [0], label_smoothing=0.3, weight=[1, 0, 2])
    check(logits, [1], weight=[1, 0, 2], reduction="sum")
    loss, grad, _ = check(logits, [1])
    assert loss == np.inf
    assert grad[0, 1] == -1


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.25}], ids=str)
def test_a_row_of_weight_zero_counts_nothing(isa, dtype, options):
    """An infinite logit makes z_loss infinite, and 0 * inf = 0 again."""
    logits = np.array([[np.inf, 1, 0], [2, 1, 0]], dtype)
    options = {"z_loss": 0.5, "sample_weight": [0, 1], "reduction": "sum"} | options
    loss, grad, _ = check(logits, [1, 1], **options)
    assert np.isfinite(loss)
    assert_array_equal(grad[0], np.zeros(3))


def test_a_row_of_weight_zero_is_read(isa, dtype):
    """Only ignored rows go unread."""
    logits = np.array([[0, np.nan], [1, 2]], dtype)
    for options in ({"weight": [0, 1]}, {"sample_weight": [0, 1]}):
        loss, grad, _ = check(logits, [0, 1], reduction="none", **options)
        assert np.isnan(loss[0])
        assert np.isnan(grad[0]).all()
        assert np.isfinite(loss[1])


@pytest.mark.parametrize("smoothing", [0, 0.0, 1, 1.0, np.float32(0.5)])
def test_label_smoothing_at_its_ends(dtype, smoothing, rng):
    check(*problem("labels", rng, (7, 5), dtype), label_smoothing=smoothing)


@pytest.mark.parametrize("scale", [1, 1e-30, 1e25], ids=ids("scale"))
@pytest.mark.parametrize("n", [3, 40, 300], ids=ids("n"))
def test_one_hot_rows_of_any_mass_do_not_cancel(isa, dtype, n, scale, rng):
    """A - a_k is exactly 0, however class weights, sample weights and the target itself round."""
    logits = rng.normal(0, 1, (5, n)).astype(dtype)
    labels = rng.integers(0, n, 5)
    logits[np.arange(5), labels] = 40
    weight, sample = rng.uniform(0.1, 1, n).astype(dtype), rng.uniform(0.1, 1, 5).astype(dtype)
    targets = (scale * np.eye(n)[labels]).astype(dtype)
    for reduction in ("none", "mean"):
        options = {"weight": weight, "sample_weight": sample, "reduction": reduction}
        grad = sg.cross_entropy_grad(logits, targets, **options)
        expected = reference.cross_entropy_grad(logits, targets, **options)
        assert_close(grad, expected, ulps=4)


def test_targets_need_not_sum_to_one(isa, dtype, rng):
    logits = rng.normal(0, 2, (4, 9)).astype(dtype)
    check(logits, 5 * rng.random((4, 9)))
    check(logits, rng.integers(0, 3, (4, 9)))
    check(logits, rng.random((4, 9)) < 0.4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [-np.inf, -1e38, -1e30], ids=str)
@pytest.mark.parametrize("classes", [slice(0, 5000), slice(4000, 9000), slice(5000, None)], ids=str)
def test_blocks_without_weight(isa, classes, masked, dtype):
    """Of a row of several blocks some have no class that counts, whatever its logits; they change nothing."""
    rng = np.random.default_rng(5)
    x, p = rng.normal(0, 3, (2, 10_000)), rng.dirichlet(np.ones(10_000), 2)
    x[:, classes], p[:, classes] = masked, 0
    x, p = x.astype(dtype), p.astype(dtype)
    left = np.delete(np.arange(10_000), classes)
    expected = reference.cross_entropy(x[:, left], p[:, left])
    assert_close(sg.cross_entropy(x, p), expected, ulps=3)
    loss, grad = sg.cross_entropy_value_and_grad(x, p)
    assert_close(loss, expected, ulps=3)
    assert_array_equal(grad[:, classes], 0)
    few = sg.cross_entropy_grad(x[:, left], p[:, left])
    assert_allclose(grad[:, left], few, rtol=1e-6, atol=1e-6 * np.abs(few).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_of_impossible_classes(isa, dtype):
    """Their gradient is their weight, wherever the other blocks' logits lie."""
    rows, impossible = 2100, 4096
    x = np.full((rows, impossible + 20), -np.inf, dtype)
    x[:, impossible:] = np.linspace(0, 1500, rows)[:, None] - np.arange(20)
    p = np.full(x.shape, 1 / x.shape[1], dtype)
    loss, grad = sg.cross_entropy_value_and_grad(x, p, reduction="sum")
    assert loss == np.inf
    assert_array_equal(grad[:, :impossible], -p[:, :impossible])
