"""The plain NumPy references: one short function per public function, straight from the formulas,
in long double. Slow and readable; special values follow from the formulas where they can.
"""

import numpy as np

WIDE = np.longdouble


def computing_type(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")


def rounded(value, dtype):
    """`value` as softgrad reads it for logits of `dtype`: converted to the computing type."""
    return np.asarray(value).astype(computing_type(dtype)).astype(WIDE)


def scaled(x, temperature=1.0):
    """x / T, rounded to the computing type."""
    x = np.asarray(x)
    real = computing_type(x.dtype).type
    return (x.astype(real) / real(temperature)).astype(WIDE)


def _terms(z, axis):
    """(max, z - max, sum(exp(z - max)) - 1); z - max is 0 at the maximum even if that is infinite.

    The 1 is a maximum's own term: left out, what the others add to it is not rounded away.
    """
    top = np.max(z, axis=axis, keepdims=True, initial=-np.inf)
    d = np.where(z == top, 0, z - top)
    others = np.where(d == 0, 0, np.exp(d)).sum(axis=axis, keepdims=True)
    return top, d, others + ((d == 0).sum(axis=axis, keepdims=True) - 1)


def softmax(x, axis=-1, *, temperature=1.0, where=None):
    keep = np.True_ if where is None else where
    with np.errstate(all="ignore"):
        top, d, others = _terms(np.where(keep, scaled(x, temperature), -np.inf), axis)
        s = np.where(top == -np.inf, np.nan, np.exp(d) / (1 + others))  # NaN: a row of -inf only
        return np.where(keep, s, 0)


def complement(x, axis=-1, *, temperature=1.0):
    """1 - softmax, as the sum of the other terms"""
    with np.errstate(all="ignore"):
        top, d, others = _terms(scaled(x, temperature), axis)
        rest = np.where(d == 0, others, (1 - np.exp(d)) + others)
        return np.where(top == -np.inf, np.nan, rest / (1 + others))


def log_softmax(x, axis=-1, *, temperature=1.0, where=None):
    keep = np.True_ if where is None else where
    with np.errstate(all="ignore"):
        top, d, others = _terms(np.where(keep, scaled(x, temperature), -np.inf), axis)
        return np.where(keep, np.where(top == -np.inf, np.nan, d - np.log1p(others)), -np.inf)


def logsumexp(x, axis=-1, *, b=None, keepdims=False, where=None):
    b = 1 if b is None else rounded(b, np.asarray(x).dtype)
    keep = (b != 0) & (np.True_ if where is None else where) & np.ones(np.shape(x), bool)
    with np.errstate(all="ignore"):
        top, d, others = _terms(np.where(keep, scaled(x), -np.inf), axis)
        if not np.array_equal(b, 1):
            others = (np.where(keep, b, 0) * np.exp(d)).sum(axis=axis, keepdims=True) - 1
        result = np.where(top == -np.inf, -np.inf, top + np.log1p(others))
    return result if keepdims else np.squeeze(result, axis)


def softmax_jacobian(x, axis=-1, *, temperature=1.0):
    s = np.moveaxis(softmax(x, axis, temperature=temperature), axis, -1)
    return s[..., :, None] * log_softmax_jacobian(x, axis, temperature=temperature)


def log_softmax_jacobian(x, axis=-1, *, temperature=1.0):
    s = np.moveaxis(softmax(x, axis, temperature=temperature), axis, -1)
    rest = np.moveaxis(complement(x, axis, temperature=temperature), axis, -1)
    eye = np.eye(s.shape[-1], dtype=bool)
    jacobian = np.where(eye, rest[..., None, :], -s[..., None, :])
    return jacobian / rounded(temperature, np.asarray(x).dtype)


def softmax_vjp(y, g, axis=-1):
    y, g = scaled(y), scaled(g)
    return y * (g - (g * y).sum(axis=axis, keepdims=True))


softmax_jvp = softmax_vjp  # the Jacobian is symmetric


def log_softmax_vjp(ly, g, axis=-1):
    ly, g = scaled(ly), scaled(g)
    return g - np.exp(ly) * g.sum(axis=axis, keepdims=True)


def log_softmax_jvp(ly, v, axis=-1):
    ly, v = scaled(ly), scaled(v)
    return v - (np.exp(ly) * v).sum(axis=axis, keepdims=True)


def _targets(
    x, targets, axis, *, weight=None, sample_weight=None, ignore_index=-100, label_smoothing=0.0
):
    """(y, row weights, counts) with the class axis last: the loss of a row is -sum(y log s), every
    option worked into y; a row weight is what "mean" divides by the sum of; counts: not ignored.
    """
    rows = np.moveaxis(np.empty(np.shape(x)), axis, -1)
    n, dtype, targets = rows.shape[-1], np.asarray(x).dtype, np.asarray(targets)
    weight = np.ones(n, WIDE) if weight is None else rounded(weight, dtype)
    sample = (
        np.ones(rows.shape[:-1], WIDE) if sample_weight is None else rounded(sample_weight, dtype)
    )
    e = rounded(label_smoothing, dtype)
    if targets.shape == np.shape(x):
        y = np.moveaxis(rounded(targets, dtype), axis, -1)
        y = ((1 - e) * y + (e / n if n else 0)) * weight
        return sample[..., None] * y, sample, np.ones(sample.shape, bool)
    counts = targets != ignore_index
    label = np.where(counts, targets, 0).astype(int)
    w = weight[label] if n else np.zeros(label.shape, WIDE)
    hot = np.arange(n) == label[..., None]
    y = (1 - e) * hot * w[..., None] + (e / n if n else 0) * weight
    sample = np.where(counts, sample, 0)
    return sample[..., None] * y, sample * w, counts


def _reduced(rows, row_weight, reduction):
    """(loss, what gradients are divided by); `rows`: the loss of each row."""
    norm = row_weight.sum() if reduction == "mean" else WIDE(1)
    with np.errstate(all="ignore"):
        loss = rows if reduction == "none" else rows.sum() / norm
    return (WIDE(np.nan) if norm == 0 else loss), np.where(norm == 0, np.nan, norm)


def _cross_entropy(
    logits,
    targets,
    axis=-1,
    *,
    temperature=1.0,
    z_loss=0.0,
    reduction="mean",
    magnitudes=False,
    **options,
):
    """loss of a row = -sum(y log s) + w a lse^2
    gradient      = (s (sum(y) + 2 w a lse) - y) / T
    second        = (s (1 - s) (sum(y) + 2 w a lse) + 2 w a s^2) / T^2

    With `magnitudes` every term, those of lse too, is taken without its sign.
    """
    y, row_weight, counts = _targets(logits, targets, axis, **options)
    dtype = np.asarray(logits).dtype
    t, a = rounded(temperature, dtype), rounded(z_loss, dtype)
    z = np.where(counts[..., None], np.moveaxis(scaled(logits, temperature), axis, -1), 0)
    with np.errstate(all="ignore"):
        s, rest, log_s, lse = softmax(z), complement(z), log_softmax(z), logsumexp(z)
        if magnitudes:
            top = z.max(-1, initial=-np.inf)
            lse = np.abs(top) + (lse - top)
        nothing = (y == 0) & ~np.isnan(log_s)  # 0 * inf = 0 here
        penalty = np.where(row_weight * a == 0, 0, row_weight * a * lse)
        rows = np.where(nothing, 0, -y * log_s).sum(-1) + np.where(penalty == 0, 0, penalty * lse)
        loss, norm = _reduced(rows, row_weight, reduction)
        total, penalty = y.sum(-1, keepdims=True), 2 * penalty[..., None]
        # s total - y, without the cancellation at a confident label
        grad = s * total + y if magnitudes else s * (total - y) - y * rest
        grad = (grad + s * penalty) / t / norm
        hess = s * rest * (total + penalty) + 2 * (row_weight * a)[..., None] * s**2
        hess = hess / t**2 / norm
    grad, hess = (np.where(counts[..., None], v, 0) for v in (grad, hess))
    return loss, np.moveaxis(grad, -1, axis), np.moveaxis(hess, -1, axis)


def cross_entropy_grad_hess(logits, targets, axis=-1, **options):
    """(loss, gradient, diagonal of the Hessian)"""
    return _cross_entropy(logits, targets, axis, **options)


def cross_entropy_magnitudes(logits, targets, axis=-1, **options):
    """The same, the magnitudes of all terms added: what errors of cancelling results compare with."""
    return _cross_entropy(logits, targets, axis, magnitudes=True, **options)


def cross_entropy(logits, targets, axis=-1, **options):
    return cross_entropy_grad_hess(logits, targets, axis, **options)[0]


def cross_entropy_value_and_grad(logits, targets, axis=-1, **options):
    return cross_entropy_grad_hess(logits, targets, axis, **options)[:2]


def cross_entropy_grad(logits, targets, axis=-1, **options):
    return cross_entropy_grad_hess(logits, targets, axis, **options)[1]


def log_loss_value_and_grad(probs, targets, axis=-1, *, reduction="mean", **options):
    """loss of a row = -sum(y log p); gradient = -y / p"""
    y, row_weight, counts = _targets(probs, targets, axis, **options)
    p = np.moveaxis(scaled(probs), axis, -1)
    with np.errstate(all="ignore"):
        rows = np.where(y == 0, 0, -y * np.log(p)).sum(-1)
        loss, norm = _reduced(rows, row_weight, reduction)
        grad = np.where(y == 0, 0, -y / p) / norm
    return loss, np.moveaxis(np.where(counts[..., None], grad, 0), -1, axis)


def log_loss(probs, targets, axis=-1, **options):
    return log_loss_value_and_grad(probs, targets, axis, **options)[0]


def linear_cross_entropy_value_and_grad(x, w, targets, bias=None, **options):
    """(loss, (dx, dw, db)) of logits = x w^T + bias; ignored rows are left out of every sum"""
    dtype = np.result_type(x, w)
    x, w = rounded(x, dtype), rounded(w, dtype)
    ignored = np.zeros(len(x), bool)
    if np.ndim(targets) == 1:
        ignored = np.asarray(targets) == options.get("ignore_index", -100)
    x = np.where(ignored[:, None], 0, x)
    logits = x @ w.T + (0 if bias is None else rounded(bias, dtype))
    # the logits are exact here, so the options are read as they stand
    options = {k: rounded(v, dtype) if isinstance(v, float) else v for k, v in options.items()}
    loss, grad, _ = cross_entropy_grad_hess(logits, targets, **options)
    return loss, (grad @ w, grad.T @ x, None if bias is None else grad.sum(0))


def linear_cross_entropy(x, w, targets, bias=None, **options):
    return linear_cross_entropy_value_and_grad(x, w, targets, bias, **options)[0]
