"""The promise on accuracy: every result within 3 units in the last place of the exact one (Jacobians
and Hessians: 4), for every function, dtype and family of inputs.

A result that is by nature a cancelling sum is measured against the magnitudes of its terms.
"""

import numpy as np
import oracle
import pairs
import pytest
from families import FAMILIES, exact, logits, width
from pairs import WIDE, Pair

import softgrad as sg

ROWWISE = {"reduction": "none"}


def pick(x, which):
    """Labels: the largest entry of each row, a random one, the smallest."""
    random = np.random.default_rng(5).integers(0, x.shape[-1], len(x))
    return {"top": x.argmax(-1), "random": random, "lowest": x.argmin(-1)}[which]


def distribution(x):
    p = np.random.default_rng(6).random(x.shape)
    return (p / p.sum(-1, keepdims=True)).astype(x.dtype)


def gradient_of_label(which):
    def check(x, e):
        labels = pick(x, which)
        return (
            sg.cross_entropy_grad(x, labels, **ROWWISE),
            e.grad(oracle.one_hot(labels, x.shape[-1])),
            None,
        )

    return check


def loss_of_label(which):
    def check(x, e):
        labels = pick(x, which)
        return (
            sg.cross_entropy(x, labels, **ROWWISE),
            -e.log_softmax[np.arange(len(x)), labels],
            None,
        )

    return check


def gradient_of_the_mean(x, e):
    """The division by the count is part of the one rounding."""
    labels = pick(x, "random")
    return (
        sg.cross_entropy_grad(x, labels),
        e.grad(oracle.one_hot(labels, x.shape[-1])) / WIDE(len(x)),
        None,
    )


def gradient_with_weights(x, e):
    labels, rng = pick(x, "top"), np.random.default_rng(8)
    w = rng.uniform(0.1, 3, x.shape[-1]).astype(x.dtype)
    sample = rng.uniform(0.1, 3, len(x)).astype(x.dtype)
    row = Pair(w[labels]) * sample.astype(WIDE)
    y = oracle.one_hot(labels, x.shape[-1]) * row[:, None]
    return (
        sg.cross_entropy_grad(x, labels, weight=w, sample_weight=sample),
        e.grad(y) / row.sum(),
        None,
    )


def gradient_of_probabilities(x, e):
    y = distribution(x)
    return sg.cross_entropy_grad(x, y, **ROWWISE), e.grad(y), e.grad_terms(y)


def loss_of_probabilities(x, e):
    y = distribution(x)
    return sg.cross_entropy(x, y, **ROWWISE), e.loss(y), None


def smoothed(x, smoothing):
    n, part = x.shape[-1], Pair(x.dtype.type(smoothing))
    labels = pick(x, "random")
    return labels, (1 - part) * oracle.one_hot(labels, n) + part / WIDE(n)


def gradient_smoothed(x, e):
    labels, y = smoothed(x, 0.1)
    return (
        sg.cross_entropy_grad(x, labels, label_smoothing=0.1, **ROWWISE),
        e.grad(y),
        e.grad_terms(y),
    )


def loss_smoothed(x, e):
    labels, y = smoothed(x, 0.1)
    return sg.cross_entropy(x, labels, label_smoothing=0.1, **ROWWISE), e.loss(y), None


def gradient_with_z_loss(x, e):
    labels, a = pick(x, "random"), WIDE(x.dtype.type(0.01))
    y = oracle.one_hot(labels, x.shape[-1])
    exact_grad = e.grad(y) + e.softmax * (2 * a * e.logsumexp)[:, None]
    terms = e.grad_terms(y) + e.softmax * (2 * a * e.logsumexp_terms)[:, None]
    return sg.cross_entropy_grad(x, labels, z_loss=0.01, **ROWWISE), exact_grad, terms


def loss_with_z_loss(x, e):
    labels, a = pick(x, "random"), WIDE(x.dtype.type(0.01))
    loss = -e.log_softmax[np.arange(len(x)), labels]
    exact_loss = loss + a * e.logsumexp * e.logsumexp
    terms = loss + a * e.logsumexp_terms * e.logsumexp_terms
    return sg.cross_entropy(x, labels, z_loss=0.01, **ROWWISE), exact_loss, terms


def weighted_logsumexp(x, e):
    b = np.random.default_rng(9).uniform(0.5, 2, x.shape).astype(x.dtype)
    total = (e.e * b.astype(WIDE)).sum()
    log = pairs.log(total)
    # errors of the sum are relative to it: those of its logarithm are absolute
    return sg.logsumexp(x, b=b), e.max[:, 0] + log, np.abs(e.max[:, 0]) + abs(log) + 1


def hessian(x, e):
    return sg.cross_entropy_grad_hess(x, pick(x, "random"), **ROWWISE)[1], e.hess, None


def product(name):
    def check(x, e):
        y = (sg.log_softmax if name.startswith("log") else sg.softmax)(x)
        g = np.random.default_rng(4).normal(0, 2, x.shape).astype(x.dtype)
        return getattr(sg, name)(y, g), *getattr(oracle, name)(y, g)

    return check


def log_loss(of):
    """Of the probabilities that softmax gave, as exact numbers, at the largest one."""

    def check(x, e):
        p, labels = sg.softmax(x), pick(x, "top")
        loss, grad = sg.log_loss_value_and_grad(p, labels, **ROWWISE)
        rows = np.arange(len(x))
        exact_p = Pair(p[rows, labels])
        return (
            (loss, -pairs.log(exact_p), None)
            if of == "loss"
            else (grad[rows, labels], -1 / exact_p, None)
        )

    return check


# function -> (bound in ULP, check(x, exact) -> (actual, exact, magnitudes of the terms or None))
TABLE = {
    "softmax": (3, lambda x, e: (sg.softmax(x), e.softmax, None)),
    "log_softmax": (3, lambda x, e: (sg.log_softmax(x), e.log_softmax, None)),
    "logsumexp": (3, lambda x, e: (sg.logsumexp(x), e.logsumexp, e.logsumexp_terms)),
    "logsumexp_b": (3, weighted_logsumexp),
    "loss_top": (3, loss_of_label("top")),
    "loss_random": (3, loss_of_label("random")),
    "loss_lowest": (3, loss_of_label("lowest")),
    "loss_probabilities": (3, loss_of_probabilities),
    "loss_smoothed": (3, loss_smoothed),
    "loss_z": (3, loss_with_z_loss),
    "grad_top": (3, gradient_of_label("top")),
    "grad_random": (3, gradient_of_label("random")),
    "grad_mean": (3, gradient_of_the_mean),
    "grad_weights": (3, gradient_with_weights),
    "grad_probabilities": (3, gradient_of_probabilities),
    "grad_smoothed": (3, gradient_smoothed),
    "grad_z": (3, gradient_with_z_loss),
    "log_loss": (3, log_loss("loss")),
    "log_loss_grad": (3, log_loss("grad")),
    "softmax_vjp": (3, product("softmax_vjp")),
    "log_softmax_vjp": (3, product("log_softmax_vjp")),
    "log_softmax_jvp": (3, product("log_softmax_jvp")),
    "hessian": (4, hessian),
    "jacobian": (4, lambda x, e: (sg.softmax_jacobian(x), e.jacobian, None)),
    "log_jacobian": (4, lambda x, e: (sg.log_softmax_jacobian(x), e.log_jacobian, None)),
}
WHEN_LONG = ["softmax", "log_softmax", "logsumexp", "loss_top", "grad_top", "grad_probabilities"]


def longest(function):
    """The longest rows that the function is measured on: Jacobians are square, most oracles slow."""
    if "jacobian" in function:
        return 130
    return 1_000_000 if function in WHEN_LONG else 10_000


CASES = [(f, family) for f in TABLE for family in FAMILIES if width(family) <= longest(f)]


def assert_within(bound, actual, exact_value, terms=None):
    """Within `bound` ULP; within 3 of the smallest subnormal where the result is subnormal."""
    error = oracle.ulp_error(actual, exact_value, terms)
    tiny = np.abs(exact_value.hi) < WIDE(np.finfo(actual.dtype).tiny)
    allowed = np.where(tiny, min(bound, 3), bound)
    if not (error <= allowed).all():
        worst = np.unravel_index(np.argmax(error / allowed), error.shape)
        pytest.fail(
            f"{error[worst]:.3g} ULP at {tuple(map(int, worst))}: {actual[worst]!r}, exactly {exact_value.hi[worst]!r}"
        )


# Once, for the best instruction set: test_same_bits.py asserts that the others give the same bits.
@pytest.mark.parametrize(("function", "family"), CASES)
def test_accuracy(dtype, function, family):
    bound, check = TABLE[function]
    x, e = logits(family, dtype), exact(family, dtype)
    if "jacobian" in function:
        x = x[:20]
        e = oracle.Softmax(x)
    assert_within(bound, *check(x, e))


@pytest.mark.parametrize("copies", [1, 91, 250])
def test_rows_of_the_worst_exponentials(isa, copies):
    """Two arguments whose float32 exponentials are as far off as any from 32 to 64, in opposite directions (-1.05 and 1.04
    units of rounding), so that nothing averages out."""
    low, high = float.fromhex("0x1.cc8072p+5"), float.fromhex("0x1.d7b102p+5")
    x = np.array([[low] * copies + [high, high]], np.float32)
    e = oracle.Softmax(x)
    assert_within(2.3, sg.softmax(x), e.softmax)  # the bounds of docs/numerics.md
    assert_within(2.3, sg.log_softmax(x), e.log_softmax)
    assert_within(4, sg.softmax_jacobian(x), e.jacobian)
    assert_within(4, sg.log_softmax_jacobian(x), e.log_jacobian)
    grad, hess = sg.cross_entropy_grad_hess(x, [copies], **ROWWISE)
    assert_within(3, grad, e.grad(oracle.one_hot(np.array([copies]), x.shape[-1])))
    assert_within(4, hess, e.hess)


@pytest.mark.parametrize("family", ["scale1", "scale20", "dominant6", "n1000"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reduced_losses(isa, dtype, family, reduction):
    x = logits(family, dtype)
    labels = pick(x, "random")
    total = -exact(family, dtype).log_softmax[np.arange(len(x)), labels].sum()
    expected = total / WIDE(len(x)) if reduction == "mean" else total
    assert_within(3, sg.cross_entropy(x, labels, reduction=reduction), expected)


@pytest.mark.parametrize("temperature", [0.3, 7.0])
@pytest.mark.parametrize("family", ["scale1", "scale20", "dominant6"])
def test_temperature(isa, dtype, family, temperature):
    """The rounded quotient is the input; gradients carry 1/T, Hessians 1/T^2."""
    x, t = logits(family, dtype), dtype.type(temperature)
    e, labels = oracle.Softmax(x / t), pick(x, "top")
    hot = oracle.one_hot(labels, x.shape[-1])
    assert_within(3, sg.softmax(x, temperature=temperature), e.softmax)
    assert_within(3, sg.log_softmax(x, temperature=temperature), e.log_softmax)
    assert_within(3, sg.cross_entropy(x, labels, temperature=temperature, **ROWWISE), e.loss(hot))
    grad, hess = sg.cross_entropy_grad_hess(x, labels, temperature=temperature, **ROWWISE)
    assert_within(3, grad, e.grad(hot) / WIDE(t))
    assert_within(4, hess, e.hess / WIDE(t) / WIDE(t))
    few = oracle.Softmax((x / t)[:10])
    assert_within(4, sg.softmax_jacobian(x[:10], temperature=temperature), few.jacobian / WIDE(t))
    assert_within(
        4, sg.log_softmax_jacobian(x[:10], temperature=temperature), few.log_jacobian / WIDE(t)
    )


@pytest.mark.parametrize(
    ("family", "power"),
    [
        *[("scale1", power) for power in (-0.95, -0.5, 0.3, 0.6, 0.8, 0.95)],
        *[("scale20", power) for power in (0.3, 0.6, 0.8, 0.95)],  # below, s_i that are 0 count
        ("dominant6", 0.8),
    ],
)
def test_jacobians_at_any_temperature(isa, dtype, family, power):
    """Factors of a row, 1 / T among them, may leave the range of the type where entries do not."""
    t = np.finfo(dtype).max ** dtype.type(power)
    x = logits(family, dtype)[:10] * t
    e = oracle.Softmax(x / t)
    assert_within(4, sg.softmax_jacobian(x, temperature=float(t)), e.jacobian / WIDE(t))
    assert_within(4, sg.log_softmax_jacobian(x, temperature=float(t)), e.log_jacobian / WIDE(t))


@pytest.mark.parametrize(
    "family", ["scale1", "scale20", "n3", "n1000", "n32768", "dominant6", "subnormal_results"]
)
@pytest.mark.parametrize("product", ["softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"])
def test_products(isa, dtype, product, family):
    x = logits(family, dtype)
    y = (sg.log_softmax if product.startswith("log") else sg.softmax)(x)
    for kind in ("signed", "positive"):
        g = np.random.default_rng(4).normal(0, 2, x.shape).astype(dtype)
        g = np.abs(g) if kind == "positive" else g
        assert_within(3, getattr(sg, product)(y, g), *getattr(oracle, product)(y, g))


def test_log_loss(isa, dtype, rng):
    """-log p and -1/p, near 1 and for subnormal p too."""
    info = np.finfo(dtype)
    near_one = 1 - np.arange(1, 500) * float(info.epsneg)
    small = float(info.tiny) * np.array([1, 2, 1e5, 0.5, 0.001, 1.5])
    p = np.concatenate([rng.random(5000), near_one, small, 2.0 ** -np.arange(100)]).astype(dtype)
    p = p[p > 0][:, None]
    loss, grad = sg.log_loss_value_and_grad(p, np.zeros(len(p), int), **ROWWISE)
    assert_within(3, loss, -pairs.log(Pair(p[:, 0])))
    assert_within(3, grad, -1 / Pair(p))


def test_head_room(isa, dtype):
    """[0, -97, -97, ...] a hundred thousand times: without head-room the sum loses thousands of ULP."""
    depth = -97 if dtype == np.float32 else -720
    x = np.full(100_001, depth, dtype)
    x[0] = 0
    e = oracle.Softmax(x[None, :2])
    rest = e.rest[0, 0] * WIDE(100_000)
    loss, grad = sg.cross_entropy_value_and_grad(x, 0)
    assert_within(3, loss, pairs.log1p(rest))
    assert_within(3, grad[0], -rest / (1 + rest))
