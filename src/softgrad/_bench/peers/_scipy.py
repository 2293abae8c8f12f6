"""SciPy: scipy.special has softmax, log_softmax and logsumexp; halves go through float32, as in _numpy.py."""

from __future__ import annotations

from typing import Any

from scipy.special import log_softmax, logsumexp, softmax

from softgrad._bench.case import Case, Work


def _map(function: Any) -> Any:
    def make(c: Case) -> Work:
        x, axis, dtype, wide = c.x, c.axis, c.dtype, c.wide
        if dtype == wide:
            return Work(lambda: function(x, axis), lambda result: (result,))
        return Work(lambda: function(x.astype(wide), axis).astype(dtype), lambda result: (result,))

    return make


WORKS = {
    "softmax": {"SciPy": _map(softmax)},
    "log_softmax": {"SciPy": _map(log_softmax)},
    "logsumexp": {"SciPy": _map(logsumexp)},
}
