"""SciPy: scipy.special has softmax, log_softmax and logsumexp."""

from __future__ import annotations

from typing import Any

from scipy.special import log_softmax, logsumexp, softmax

from softgrad._bench.case import Case, Work


def _map(function: Any) -> Any:
    def make(c: Case) -> Work:
        x, axis = c.x, c.axis
        return Work(lambda: function(x, axis), lambda result: (result,))

    return make


WORKS = {
    "softmax": {"SciPy": _map(softmax)},
    "log_softmax": {"SciPy": _map(log_softmax)},
    "logsumexp": {"SciPy": _map(logsumexp)},
}
