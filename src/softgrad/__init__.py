"""Softmax, its derivatives, and the fused softmax + cross-entropy loss and gradient, on NumPy arrays.

>>> import softgrad as sg
>>> loss, grad = sg.cross_entropy_value_and_grad([[2.0, 1.0, 0.1]], [0])
>>> grad  # softmax(logits) - one-hot
array([[-0.34099886,  0.24243297,  0.09856589]])
"""

from softgrad._cross_entropy import (
    cross_entropy,
    cross_entropy_grad,
    cross_entropy_grad_hess,
    cross_entropy_value_and_grad,
)
from softgrad._jacobian import log_softmax_jacobian, softmax_jacobian
from softgrad._linear import linear_cross_entropy, linear_cross_entropy_value_and_grad
from softgrad._log_loss import log_loss, log_loss_value_and_grad
from softgrad._products import log_softmax_jvp, log_softmax_vjp, softmax_jvp, softmax_vjp
from softgrad._runtime import get_include, get_num_threads, set_num_threads, show_config
from softgrad._softmax import log_softmax, logsumexp, softmax
from softgrad._version import __version__

__all__ = [
    "__version__",
    "cross_entropy",
    "cross_entropy_grad",
    "cross_entropy_grad_hess",
    "cross_entropy_value_and_grad",
    "get_include",
    "get_num_threads",
    "linear_cross_entropy",
    "linear_cross_entropy_value_and_grad",
    "log_loss",
    "log_loss_value_and_grad",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "logsumexp",
    "set_num_threads",
    "show_config",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
]
