"""What several test files share: inputs, memory layouts, comparisons, error texts, subprocesses."""

import contextlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest

WIDE = np.longdouble

FULL = os.environ.get("SOFTGRAD_FULL") == "1"  # .ci/full: the long forms of tests

# Row lengths: every tail of a 64-byte vector and of a group of four, and the edges of blocks.
SHORT = [*range(1, 71)]
EDGES = [100, 127, 128, 129, 255, 256, 257, 300, 1000, 4095, 4096, 4097, 10000]
FEW = [1, 2, 3, 10, 17, 64, 100, 1000, 4097]

FUNCTIONS = ["softmax", "log_softmax", "logsumexp"]
JACOBIANS = ["softmax_jacobian", "log_softmax_jacobian"]
PRODUCTS = ["softmax_vjp", "softmax_jvp", "log_softmax_vjp", "log_softmax_jvp"]
GRADIENTS = ["cross_entropy_grad", "cross_entropy_value_and_grad", "log_loss_value_and_grad"]
LOSSES = ["cross_entropy", "log_loss", "cross_entropy_grad_hess", *GRADIENTS]
LINEAR = ["linear_cross_entropy", "linear_cross_entropy_value_and_grad"]
ALL = [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *LOSSES, *LINEAR]
WITH_OUT = [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *GRADIENTS]


def arguments(name, dtype=np.float64, shape=(3, 5)):
    """Positional arguments that the function takes, class axis last: arrays of `dtype`, and labels."""
    rng = np.random.default_rng(7)
    x, g = rng.normal(0, 1, (2, *shape)).astype(dtype)
    labels = rng.integers(0, max(shape[-1], 1), shape[:-1])
    if name in LINEAR:
        return [x, rng.normal(0, 1, (7, shape[-1])).astype(dtype), labels]
    if name in PRODUCTS:
        return [(-np.abs(x) if name.startswith("log") else np.abs(x)).astype(dtype), g]
    if name in LOSSES:
        return [np.abs(x) if name.startswith("log_loss") else x, labels]
    return [x]


def ids(prefix):
    """Readable test ids: n17, axis-1, threads2."""
    return lambda value: f"{prefix}{value}"


def softmax_like(rng, shape, dtype, axis=-1):
    """Positive numbers that sum to about one along the axis."""
    p = rng.random(shape) + 1e-3
    return (p / p.sum(axis=axis, keepdims=True)).astype(dtype)


def assert_close(actual, expected, *, terms=0, ulps=8):
    """Within `ulps` units of the larger of |expected| and `terms`, infinities and NaN alike.

    `terms` stands for the magnitudes of what was added, where the result cancels.
    """
    actual, expected = np.asarray(actual), np.asarray(expected, WIDE)
    assert actual.shape == expected.shape
    info, wide = np.finfo(actual.dtype), actual.astype(WIDE)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(expected), terms)
        allowed = ulps * (WIDE(info.eps) * size + WIDE(info.smallest_subnormal))
        error = np.abs(wide - expected)
    same = (wide == expected) | (np.isnan(wide) & np.isnan(expected))
    overflow = np.isinf(wide) & (np.abs(expected) > info.max) & (wide * expected > 0)
    bad = ~(same | overflow | (error <= allowed))
    if bad.any():
        i = tuple(int(k[0]) for k in np.nonzero(bad)) if bad.ndim else ()
        pytest.fail(
            f"{bad.sum()} of {bad.size} entries differ; at {i}: {actual[i]!r}, expected {expected[i]!r}, "
            f"{float(error[i] / allowed[i] * ulps) if np.ndim(allowed) else error[i]} units off"
        )


def bits(a):
    """The bytes of an array as integers, every NaN the same."""
    a = np.ascontiguousarray(a)
    if a.dtype.kind in "fV":  # V: bfloat16
        a = np.where(np.isnan(a), np.array(np.nan, a.dtype), a)
    return a.view(f"u{a.dtype.itemsize}")


def assert_same_bits(actual, expected, label=""):
    """The same type, shape and bits; tuples entry by entry."""
    if isinstance(expected, tuple):
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_same_bits(a, e, f"{label} [{i}]")
    elif expected is None:
        assert actual is None, label
    else:
        assert np.asarray(actual).dtype == np.asarray(expected).dtype, label
        assert np.shape(actual) == np.shape(expected), label
        different = np.argwhere(bits(actual) != bits(expected))
        assert not len(different), (
            f"{label}: {len(different)} of {np.size(actual)} entries differ, the first at {different[0]}"
        )


def layouts(x):
    """The same values in other places of memory: name -> view or copy."""
    shape, size = x.shape, x.size

    def at_offset(count, unaligned=0):
        raw = np.zeros((size + count) * x.itemsize + unaligned, np.uint8)
        start = count * x.itemsize + unaligned
        view = raw[start : start + size * x.itemsize].view(x.dtype).reshape(shape)
        view[...] = x
        return view

    stepped = np.full([2 * k + 1 for k in shape], 99, x.dtype)[
        tuple(slice(1, None, 2) for _ in shape)
    ]
    stepped[...] = x
    backwards = tuple(slice(None, None, -1) for _ in shape)
    found = {
        "fortran": x.copy(order="F"),
        "negative": x[backwards].copy()[backwards],
        "stepped": stepped,
        "unaligned": at_offset(0, unaligned=1),
        "swapped": x.astype(x.dtype.newbyteorder()),
    }
    found |= {f"offset{k}": at_offset(k) for k in (1, 3, 5, 7)}
    if x.ndim > 1:
        moved = np.moveaxis(x, -1, 0).copy()
        found["axis_first"] = np.moveaxis(moved, 0, -1)
    return found


@contextlib.contextmanager
def raises(error, *words):
    """The error, with a text that names every one of `words` (regular expressions)."""
    with pytest.raises(error) as info:
        yield info
    for word in words:
        assert re.search(word, str(info.value)), f"{word!r} is not in: {info.value}"


def run_python(code, *, timeout=60, **environment):
    """Run code in a fresh interpreter; (exit status, stdout, stderr)."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "SOFTGRAD_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keep | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def derivative(function, x, step=1e-3):
    """Central finite differences of order 4 of a function of an array; shape f(x).shape + x.shape."""
    columns = []
    for i in np.ndindex(x.shape):
        delta = np.zeros_like(x)
        delta[i] = step
        near = np.asarray(function(x + delta)) - function(x - delta)
        far = np.asarray(function(x + 2 * delta)) - function(x - 2 * delta)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, -1).reshape(*np.shape(columns[0]), *x.shape)
