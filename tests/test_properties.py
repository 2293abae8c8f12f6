"""Properties that hold for any input, searched by hypothesis: the only file that needs it."""

import numpy as np
import pytest

pytest.importorskip("hypothesis")

import reference
from helpers import assert_close, assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import softgrad as sg

settings.register_profile("softgrad", max_examples=150, deadline=None, derandomize=True)
settings.load_profile("softgrad")

FLOATS = [np.dtype(np.float32), np.dtype(np.float64)]


def numbers(dtype, size):
    return st.floats(-size, size, width=8 * dtype.itemsize, allow_nan=False)


@st.composite
def rows(draw, size=50.0, least=1):
    """(rows, n) logits of either type."""
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=least, max_side=70))
    return draw(hnp.arrays(dtype, shape, elements=numbers(dtype, size)))


@st.composite
def anywhere(draw, size=200.0):
    """(array of any shape, order and strides; an axis of it)"""
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(hnp.array_shapes(max_dims=4, max_side=9))
    x = draw(hnp.arrays(dtype, shape, elements=numbers(dtype, size)))
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    x = x[tuple(slice(None, None, draw(st.sampled_from([1, 1, 2, -1, -2]))) for _ in range(x.ndim))]
    return x, draw(st.integers(-x.ndim, x.ndim - 1))


@st.composite
def classification(draw, size=50.0):
    x = draw(rows(size))
    labels = draw(hnp.arrays(np.int64, x.shape[0], elements=st.integers(0, x.shape[1] - 1)))
    return x, labels


@given(anywhere())
def test_functions_against_the_references(case):
    x, axis = case
    assert_close(sg.softmax(x, axis), reference.softmax(x, axis))
    assert_close(sg.log_softmax(x, axis), reference.log_softmax(x, axis), terms=1e-3)
    assert_close(sg.logsumexp(x, axis), reference.logsumexp(x, axis), terms=np.abs(x).max() + 1)


@given(anywhere(), st.booleans())
def test_loss_against_the_reference(case, as_labels):
    x, axis = case
    targets = np.abs(np.sin(x)).astype(x.dtype)
    if as_labels:
        targets = targets.argmax(axis)
    for options in ({}, {"label_smoothing": 0.3, "z_loss": 0.1, "reduction": "sum"}):
        actual = sg.cross_entropy_grad_hess(x, targets, axis, **options)
        exact = reference.cross_entropy_grad_hess(x, targets, axis, **options)[1:]
        terms = reference.cross_entropy_magnitudes(x, targets, axis, **options)[1:]
        for a, e, t in zip(actual, exact, terms, strict=True):
            assert_close(a, e, terms=t, ulps=16)


@given(rows())
def test_probabilities_sum_to_one(x):
    s = sg.softmax(x).astype(np.longdouble)
    assert (s >= 0).all()
    # every entry is within 3 units in the last place, at most 3 eps s_i; the s_i sum to one
    assert (np.abs(s.sum(-1) - 1) <= 3 * np.finfo(x.dtype).eps).all()


@given(rows(), st.integers(-(2**10), 2**10))
def test_an_exact_shift_changes_nothing_but_rounding(x, shift):
    """softmax(x + c) = softmax(x) where x + c is exact: on a grid of 1/64."""
    x = np.rint(64 * x) / x.dtype.type(64)
    assert ((x + shift) - shift == x).all()
    assert_close(sg.softmax(x + x.dtype.type(shift)), sg.softmax(x), ulps=6)
    assert_close(sg.log_softmax(x + x.dtype.type(shift)), sg.log_softmax(x), ulps=6)


@given(rows(), st.randoms(use_true_random=False))
def test_permuted_classes_give_permuted_results(x, random):
    order = list(range(x.shape[1]))
    random.shuffle(order)
    assert_close(sg.softmax(x[:, order]), sg.softmax(x)[:, order], ulps=6)
    assert_close(sg.logsumexp(x[:, order]), sg.logsumexp(x), terms=100, ulps=6)


@given(rows(), st.randoms(use_true_random=False))
def test_permuted_rows_give_permuted_rows(x, random):
    order = list(range(x.shape[0]))
    random.shuffle(order)
    assert_same_bits(sg.softmax(x[order]), sg.softmax(x)[order])
    assert_same_bits(sg.logsumexp(x[order]), sg.logsumexp(x)[order])


@given(rows())
def test_order_is_kept(x):
    """A larger logit never has a smaller probability."""
    s = np.take_along_axis(sg.softmax(x), np.argsort(x, -1), -1)
    assert (np.diff(s, axis=-1) >= -3 * np.finfo(x.dtype).eps * s[:, 1:]).all()


@given(classification())
def test_a_gradient_sums_to_zero(case):
    x, labels = case
    grad = sg.cross_entropy_grad(x, labels, reduction="none").astype(np.longdouble)
    size = np.abs(grad).sum(-1)
    assert (
        np.abs(grad.sum(-1))
        <= 4 * np.finfo(x.dtype).eps * size + 100 * np.finfo(x.dtype).smallest_subnormal
    ).all()
    assert (grad[np.arange(len(x)), labels] <= 0).all()


@given(classification())
def test_a_loss_is_never_negative_and_above_the_hardest_margin(case):
    x, labels = case
    loss = sg.cross_entropy(x, labels, reduction="none")
    margin = x.max(-1) - x[np.arange(len(x)), labels]
    assert (loss >= 0).all()
    assert (loss >= margin * (1 - 4 * np.finfo(x.dtype).eps)).all()


@given(classification())
def test_a_step_along_the_gradient_lowers_the_loss(case):
    x, labels = case
    x = x.astype(np.float64)
    loss, grad = sg.cross_entropy_value_and_grad(x, labels, reduction="sum")
    assert sg.cross_entropy(x - 1e-3 * grad, labels, reduction="sum") <= loss


@given(classification(), st.floats(0, 1))
def test_the_mean_is_the_sum_over_the_count(case, smoothing):
    x, labels = case
    options = {"label_smoothing": smoothing}
    rows_ = sg.cross_entropy(x, labels, reduction="none", **options).astype(np.longdouble)
    assert_close(sg.cross_entropy(x, labels, reduction="sum", **options), rows_.sum(), ulps=4)
    assert_close(sg.cross_entropy(x, labels, **options), rows_.mean(), ulps=4)


@given(rows(least=2), st.data())
def test_a_weight_is_a_repetition(x, data):
    """A row of sample weight 2 counts as two rows."""
    labels = np.argmax(np.sin(x), -1)
    twice = data.draw(hnp.arrays(np.bool_, len(x)))
    repeated = np.repeat(np.arange(len(x)), 1 + twice)
    left = sg.cross_entropy(x, labels, sample_weight=1 + twice)
    assert_close(left, sg.cross_entropy(x[repeated], labels[repeated]), ulps=8)


@given(rows(), st.data())
def test_masking_is_minus_infinity(x, data):
    mask = data.draw(hnp.arrays(np.bool_, x.shape))
    mask[:, 0] = True
    low = np.where(mask, x, -np.inf)
    assert_same_bits(sg.softmax(x, where=mask), sg.softmax(low))
    assert_same_bits(sg.log_softmax(x, where=mask), sg.log_softmax(low))
    assert_same_bits(sg.logsumexp(x, where=mask), sg.logsumexp(low))


@given(rows(size=20.0))
def test_vjp_annihilates_constants(x):
    """Adding a constant to g changes nothing: softmax does not see a shift of all logits."""
    y, ones = sg.softmax(x), np.ones_like(x)
    assert_close(sg.softmax_vjp(y, ones), np.zeros_like(x), terms=2 * y, ulps=8)
    ly = sg.log_softmax(x)
    # sum(exp(ly)) is 1 up to the rounding of ly, whose absolute error grows with its size
    size = 2 + np.abs(ly).max(-1, keepdims=True)
    assert_close(sg.log_softmax_jvp(ly, ones), np.zeros_like(x), terms=size, ulps=8)
