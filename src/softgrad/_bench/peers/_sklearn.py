"""scikit-learn: the loss behind its logistic regression and gradient boosting.

It gives losses and gradients of rows, not divided by their number: less work than the other libraries do.
"""

from __future__ import annotations

from sklearn._loss import HalfMultinomialLoss

from softgrad._bench.case import Case, Work


def _reads(c: Case) -> bool:
    """Whether it takes such logits."""
    return c.axis == -1 and c.cell.dtype in ("float32", "float64")


def _cross_entropy(c: Case) -> Work | None:
    if not _reads(c):
        return None
    loss, x, labels = HalfMultinomialLoss(n_classes=c.n), c.x, c.labels.astype(c.dtype)
    out = c.empty(c.row_shape)
    return Work(
        lambda: loss.loss(labels, x, loss_out=out, n_threads=c.threads),
        lambda _: (out.mean(),),
    )


def _labels(c: Case) -> Work | None:
    if not _reads(c):
        return None
    loss, x, labels = HalfMultinomialLoss(n_classes=c.n), c.x, c.labels.astype(c.dtype)
    out, grad = c.empty(c.row_shape), c.empty(c.x_shape)
    return Work(
        lambda: loss.loss_gradient(labels, x, loss_out=out, gradient_out=grad, n_threads=c.threads),
        lambda _: (out.mean(), grad / c.rows),
    )


def _grad_hess(c: Case) -> Work | None:
    if not _reads(c):
        return None
    loss, x, labels = HalfMultinomialLoss(n_classes=c.n), c.x, c.labels.astype(c.dtype)
    grad, hess = c.empty(c.x_shape), c.empty(c.x_shape)
    return Work(
        lambda: loss.gradient_hessian(
            labels, x, gradient_out=grad, hessian_out=hess, n_threads=c.threads
        ),
        lambda _: (grad, hess),
    )


WORKS = {
    "cross_entropy": {"scikit-learn": _cross_entropy},
    "value_and_grad": {"scikit-learn": _labels},
    "grad_hess": {"scikit-learn": _grad_hess},
}
