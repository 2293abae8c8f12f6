"""linear_cross_entropy: loss and gradients of x w^T + bias without the logits."""

import numpy as np
import pytest
import reference
from helpers import assert_same_bits, derivative, raises
from numpy.testing import assert_allclose, assert_array_equal

import softgrad as sg

CLASSES, DEPTH, ROWS = 13, 6, 9
OPTIONS = {
    "weight": np.linspace(0, 2, CLASSES),
    "sample_weight": np.linspace(0, 1, ROWS),
    "label_smoothing": 0.1,
    "temperature": 1.7,
    "z_loss": 0.01,
}
by_kind = pytest.mark.parametrize("kind", ["labels", "probabilities"])


def problem(kind, rng, dtype=np.float64, rows=ROWS, classes=CLASSES, depth=DEPTH):
    """(x, w, targets, bias); every fourth label is ignored."""
    x, w = (
        rng.normal(0, 1, (rows, depth)).astype(dtype),
        rng.normal(0, 1, (classes, depth)).astype(dtype),
    )
    if kind == "probabilities":
        targets = rng.random((rows, classes)).astype(dtype)
    else:
        targets = rng.integers(0, classes, rows)
        targets[::4] = -100
    return x, w, targets, rng.normal(0, 1, classes).astype(dtype)


def check(x, w, targets, bias=None, *, tolerance=None, **options):
    chunk = {k: options.pop(k) for k in ("chunk_rows",) if k in options}
    loss, grads = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, **options, **chunk)
    exact_loss, exact_grads = reference.linear_cross_entropy_value_and_grad(
        x, w, targets, bias, **options
    )
    tolerance = tolerance or (1e-12 if np.result_type(x, w) == np.float64 else 2e-4)
    assert_allclose(loss, exact_loss.astype(float), rtol=tolerance, atol=tolerance)
    for actual, exact, like in zip(grads, exact_grads, (x, w, bias), strict=True):
        if like is None:
            assert actual is None
        else:
            assert actual.shape == np.shape(like)
            assert type(actual) is np.ndarray
            size = max(1, float(np.abs(exact).max(initial=0)))
            assert_allclose(
                actual.astype(float), exact.astype(float), rtol=0, atol=tolerance * size
            )
    value = sg.linear_cross_entropy(x, w, targets, bias, **options, **chunk)
    assert_allclose(value, loss, rtol=tolerance)
    return loss, grads


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("with_bias", [False, True], ids=["nobias", "bias"])
@by_kind
def test_linear(isa, dtype, kind, with_bias, reduction, rng):
    x, w, targets, bias = problem(kind, rng, dtype)
    loss, _ = check(x, w, targets, bias if with_bias else None, reduction=reduction)
    assert loss.dtype == dtype
    assert np.shape(loss) == ((ROWS,) if reduction == "none" else ())


@pytest.mark.parametrize("options", [*((k,) for k in OPTIONS), tuple(OPTIONS)], ids="+".join)
@by_kind
def test_options(isa, dtype, kind, options, rng):
    check(*problem(kind, rng, dtype), **{k: OPTIONS[k] for k in options})


@pytest.mark.parametrize("chunk_rows", [1, 2, 4, 8, 9, 10, 1000, None])
@by_kind
def test_chunks_change_nothing_but_rounding(kind, chunk_rows, rng):
    check(*problem(kind, rng), chunk_rows=chunk_rows, **OPTIONS)


@pytest.mark.parametrize(
    ("rows", "classes", "depth"), [(300, 700, 17), (1, 5, 3), (70, 1, 4), (5, 3000, 1)]
)
def test_larger(dtype, rows, classes, depth, rng):
    check(*problem("labels", rng, dtype, rows, classes, depth))


def test_equals_the_product_and_cross_entropy(rng):
    x, w, targets, bias = problem("labels", rng)
    logits = x @ w.T + bias
    expected, grad = sg.cross_entropy_value_and_grad(logits, targets, z_loss=0.1)
    loss, (dx, dw, db) = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, z_loss=0.1)
    assert_allclose(loss, expected, rtol=1e-14)
    assert_allclose(dx, grad @ w, atol=1e-14)
    assert_allclose(dw, grad.T @ x, atol=1e-14)
    assert_allclose(db, grad.sum(0), atol=1e-14)


@by_kind
def test_gradients_are_derivatives(kind, rng):
    x, w, targets, bias = problem(kind, rng)
    _, grads = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, **OPTIONS)
    arguments = [x, w, bias]
    for i, grad in enumerate(grads):

        def loss(value, i=i):
            a = [*arguments[:i], value, *arguments[i + 1 :]]
            return sg.linear_cross_entropy(a[0], a[1], targets, a[2], **OPTIONS)

        assert_allclose(grad, derivative(loss, arguments[i]), rtol=0, atol=1e-9)


def test_the_gradient_of_a_sum_when_not_reduced(rng):
    """With "none" the losses come per row; the gradients are those of their sum."""
    x, w, targets, bias = problem("labels", rng)
    _, none = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, reduction="none")
    _, total = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, reduction="sum")
    for a, b in zip(none, total, strict=True):
        assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("chunk_rows", [1, 3, None])
def test_ignored_rows_may_hold_anything(isa, dtype, junk, chunk_rows, rng):
    """0 * NaN does not reach dx, dw or db."""
    x, w, targets, bias = problem("labels", rng, dtype)
    x[targets == -100] = 0
    expected = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias, chunk_rows=chunk_rows)
    x[targets == -100] = junk
    loss, (dx, dw, db) = sg.linear_cross_entropy_value_and_grad(
        x, w, targets, bias, chunk_rows=chunk_rows
    )
    assert_same_bits((loss, dx, dw, db), (expected[0], *expected[1]))
    assert_array_equal(dx[targets == -100], 0)


def test_all_rows_ignored(dtype, rng):
    x, w, targets, bias = problem("labels", rng, dtype)
    loss, grads = sg.linear_cross_entropy_value_and_grad(x, w, np.full_like(targets, -100), bias)
    assert np.isnan(loss)
    for grad in grads:
        assert_array_equal(grad, np.zeros_like(grad))
    assert sg.linear_cross_entropy(x, w, np.full_like(targets, -100), bias, reduction="sum") == 0


def test_no_rows(dtype):
    empty, w = np.zeros((0, 3), dtype), np.ones((4, 3), dtype)
    loss, (dx, dw, db) = sg.linear_cross_entropy_value_and_grad(
        empty, w, np.zeros(0, int), np.ones(4)
    )
    assert np.isnan(loss)
    assert (dx.shape, dw.shape, db.shape) == ((0, 3), (4, 3), (4,))


def test_types(rng):
    x, w, targets, bias = problem("labels", rng)
    for a, b, result in [
        ("f4", "f4", "f4"),
        ("f4", "f8", "f8"),
        ("f4", "i2", "f4"),
    ]:
        loss, grads = sg.linear_cross_entropy_value_and_grad(
            x.astype(a), np.rint(w).astype(b), targets, bias
        )
        assert loss.dtype == result
        assert {g.dtype for g in grads} == {np.dtype(result)}


def test_strides(dtype, rng):
    x, w, targets, bias = problem("labels", rng, dtype)
    expected = sg.linear_cross_entropy_value_and_grad(x, w, targets, bias)
    strange = (
        np.repeat(x, 2, 1)[:, ::2],
        np.asfortranarray(w),
        targets.repeat(2)[::2],
        bias[::-1].copy()[::-1],
    )
    loss, grads = sg.linear_cross_entropy_value_and_grad(*strange)
    for a, b in zip((loss, *grads), (expected[0], *expected[1]), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_shapes_that_do_not_fit():
    x, w, labels = np.zeros((4, 3)), np.zeros((5, 3)), np.zeros(4, int)
    for arguments, words in [
        ((x, w[:, :2], labels), ["w", r"\(5, 2\)", r"\(4, 3\)"]),
        ((x, w, labels[:3]), ["targets", r"\(3,\)"]),
        ((x, w, labels, np.zeros(4)), ["bias", r"\(4,\)"]),
        ((x[0], w, labels), ["x", r"\(3,\)"]),
        ((x, w[0], labels), ["w", r"\(3,\)"]),
    ]:
        for function in (sg.linear_cross_entropy, sg.linear_cross_entropy_value_and_grad):
            with raises(ValueError, function.__name__, *words):
                function(*arguments)


@pytest.mark.parametrize("bad", [0, -1])
def test_chunk_rows_out_of_range(bad):
    with raises(ValueError, "linear_cross_entropy", "chunk_rows", str(bad)):
        sg.linear_cross_entropy(
            np.zeros((4, 3)), np.zeros((5, 3)), np.zeros(4, int), chunk_rows=bad
        )


def test_bad_label_is_named():
    with raises(IndexError, r"targets\[2\] = 7 is out of bounds for 5 classes"):
        sg.linear_cross_entropy(np.zeros((4, 3)), np.zeros((5, 3)), [0, 1, 7, 9])
