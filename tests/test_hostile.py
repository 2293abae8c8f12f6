"""Arguments that no one means well: sizes that overflow, strides that lie across each other, labels at the ends of their
types. What runs code of its own while it is read is in test_reentrancy.py, lack of memory in test_out_of_memory.py.
"""

import numpy as np
import pytest
from helpers import (
    ALL,
    WITH_OUT,
    raises,
)

import softgrad as sg

by_name = pytest.mark.parametrize("name", ALL)
by_name_with_out = pytest.mark.parametrize("name", WITH_OUT)
halves_too = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


def array_of(result):
    """The array that out= receives, of what the function returns."""
    return result[-1] if isinstance(result, tuple) else result


# --- sizes


def classes_whose_scratch_wraps(size):
    """So many that the scratch of a row that is copied, 4 * size + 1 / 32 bytes a class (csrc/run.c), is a multiple of 2^64 and
    a few bytes; `size` is that of the computing type."""
    about = 2**64 * 32 // (4 * size * 32 + 1)
    scratch = lambda n: 4 * size * -(n // -16) * 16 + (n // 2048 + 1) * 64  # noqa: E731
    return min(range(about - 3000, about + 3000), key=lambda n: scratch(n) % 2**64)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_scratch_whose_size_wraps_around(isa, kind):
    """It was a small block, that the row was copied into."""
    dtype = np.dtype(kind)
    x = np.broadcast_to(dtype.type(0), classes_whose_scratch_wraps(dtype.itemsize))
    with raises(MemoryError, "scratch"):
        sg.cross_entropy(x, 0, label_smoothing=0.1)
