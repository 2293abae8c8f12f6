"""log_loss: cross-entropy of probabilities that a model already gives."""

import numpy as np
import pytest
import reference
from helpers import FEW, assert_close, assert_same_bits, derivative, ids, softmax_like
from numpy.testing import assert_allclose, assert_array_equal

import softgrad as sg

REDUCTIONS = ["mean", "sum", "none"]
by_kind = pytest.mark.parametrize("kind", ["labels", "probabilities"])
by_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def problem(kind, rng, shape, dtype, axis=-1):
    """(probabilities, targets); every seventh label is ignored."""
    probs = softmax_like(rng, shape, dtype, axis)
    if kind == "probabilities":
        return probs, softmax_like(rng, shape, dtype, axis)
    labels = rng.integers(0, shape[axis], np.moveaxis(probs, axis, -1).shape[:-1])
    labels.reshape(-1)[5::7] = -100
    return probs, labels


def check(probs, targets, axis=-1, **options):
    expected = reference.log_loss_value_and_grad(probs, targets, axis, **options)
    loss, grad = sg.log_loss_value_and_grad(probs, targets, axis, **options)
    assert_close(loss, expected[0])
    assert_close(grad, expected[1])
    assert_same_bits(sg.log_loss(probs, targets, axis, **options), loss)
    return loss, grad


@by_reduction
@by_kind
@pytest.mark.parametrize("n", FEW, ids=ids("n"))
def test_log_loss(isa, dtype, kind, n, reduction, rng):
    check(*problem(kind, rng, (9, n), dtype), reduction=reduction)


@by_reduction
@by_kind
@pytest.mark.parametrize(
    "options", [("weight",), ("sample_weight",), ("weight", "sample_weight")], ids="+".join
)
def test_weights(isa, dtype, kind, options, reduction, rng):
    values = {"weight": rng.random(11), "sample_weight": rng.random(8)}
    check(
        *problem(kind, rng, (8, 11), dtype), reduction=reduction, **{k: values[k] for k in options}
    )


@by_kind
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_axis(isa, dtype, kind, axis, rng):
    check(*problem(kind, rng, (4, 21, 35), dtype, axis), axis)


def test_known_answer():
    loss, grad = sg.log_loss_value_and_grad([0.228, 0.619, 0.153], 1)
    assert loss == pytest.approx(0.47965, abs=5e-6)
    assert_allclose(grad, [0, -1 / 0.619, 0], rtol=1e-15)


@by_kind
def test_gradient_is_the_derivative(kind, rng):
    probs, targets = problem(kind, rng, (4, 5), np.float64)
    probs = probs + 0.1  # rows need not sum to one
    weight = rng.random(5)
    numeric = derivative(lambda p: sg.log_loss(p, targets, weight=weight), probs, 1e-4)
    assert_allclose(
        sg.log_loss_value_and_grad(probs, targets, weight=weight)[1], numeric, rtol=0, atol=1e-8
    )


@by_kind
def test_agrees_with_cross_entropy(dtype, kind, rng):
    probs, targets = problem(kind, rng, (6, 10), dtype)
    logits = np.log(probs.astype(np.float64))
    assert_close(sg.log_loss(probs, targets), sg.cross_entropy(logits, targets), ulps=32, terms=5)


@pytest.mark.parametrize("n", [1, 2, 17, 64, 100], ids=ids("n"))
def test_a_zero_at_the_label_is_not_clipped(isa, dtype, n):
    probs = np.full((2, n), 0.5, dtype)
    probs[0, n // 2] = 0
    loss, grad = check(probs, np.full(2, n // 2), reduction="none")
    assert loss[0] == np.inf
    assert grad[0, n // 2] == -np.inf
    assert loss[1] == pytest.approx(np.log(2))


def test_a_zero_elsewhere_counts_nothing(isa, dtype):
    probs = np.array([[0, 0.25, 0.75]], dtype)
    check(probs, [1])
    check(probs, np.array([[0, 0.5, 0.5]]))
    loss, grad = check(probs, np.array([[1, 0.5, 0.5]]), weight=[0, 1, 1])
    assert np.isfinite(loss)
    assert grad[0, 0] == 0


def test_certainty_loses_nothing(isa, dtype):
    loss, grad = sg.log_loss_value_and_grad(np.array([[0, 1, 0]], dtype), [1])
    assert loss == 0
    assert_array_equal(grad, [[0, -1, 0]])


def test_just_below_certainty(isa, dtype):
    p = np.nextafter(dtype.type(1), dtype.type(0))
    assert_close(sg.log_loss(np.array([p, 0], dtype), 0), -np.log(np.longdouble(p)), ulps=3)


def test_subnormal_probabilities(isa, dtype):
    p = np.array([[np.finfo(dtype).smallest_subnormal, 1], [np.finfo(dtype).tiny, 1]], dtype)
    check(p, [0, 0], reduction="none")


def test_ignored_rows(isa, dtype, rng):
    probs, labels = softmax_like(rng, (4, 9), dtype), np.array([3, -100, 2, -100])
    probs[[1, 3]] = np.nan
    loss, grad = check(probs, labels)
    assert_array_equal(grad[[1, 3]], np.zeros((2, 9)))
    assert_close(loss, sg.log_loss(probs[[0, 2]], labels[[0, 2]]), ulps=2)
    assert_same_bits(check(probs, np.where(labels < 0, 7, labels), ignore_index=7)[0], loss)


def test_mean_of_nothing_is_nan(dtype):
    probs = np.full((2, 3), 1 / 3, dtype)
    loss, grad = sg.log_loss_value_and_grad(probs, [-100, -100])
    assert np.isnan(loss)
    assert_array_equal(grad, np.zeros((2, 3)))
    assert np.isnan(sg.log_loss(probs, [0, 0], weight=[0, 1, 1]))
    assert np.isnan(sg.log_loss(probs[:0], np.zeros(0, int)))


@by_kind
@pytest.mark.parametrize("sample_weight", [[0, 0], [1, -1]], ids=str)
def test_weights_that_sum_to_zero_give_nan(isa, dtype, kind, sample_weight, rng):
    probs, targets = problem(kind, rng, (2, 20), dtype)
    loss, grad = check(probs, targets, sample_weight=sample_weight)
    assert np.isnan(loss)
    assert np.isnan(grad).all()


@by_kind
def test_out_in_place(isa, dtype, kind, rng):
    probs, targets = problem(kind, rng, (7, 33), dtype)
    expected = sg.log_loss_value_and_grad(probs, targets)
    loss, grad = sg.log_loss_value_and_grad(probs, targets, out=probs)
    assert grad is probs
    assert_same_bits((loss, grad), expected)


def test_options_of_logits_are_not_options_here():
    for name in ("label_smoothing", "temperature", "z_loss"):
        with pytest.raises(TypeError, match=name):
            sg.log_loss([0.5, 0.5], 0, **{name: 1.0})
