"""Arguments that no one means well: sizes that overflow, strides that lead across each other, labels at the ends of their
types. What runs code while it is read is in test_reentrancy.py, lack of memory in test_out_of_memory.py.
"""

import array
import itertools
import re

import numpy as np
import pytest
from helpers import (
    ALL,
    JACOBIANS,
    LINEAR,
    LOSSES,
    PRODUCTS,
    WITH_OUT,
    arguments,
    assert_same_bits,
    raises,
)
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import softgrad as sg

by_name = pytest.mark.parametrize("name", ALL)
by_name_with_out = pytest.mark.parametrize("name", WITH_OUT)
by_loss = pytest.mark.parametrize("name", [*LOSSES, *LINEAR])
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


def fitting_arguments(name, dtype, shape):
    """arguments(); the linear layer has 7 classes."""
    *given, last = arguments(name, dtype, shape)
    return [*given, last % 7 if name in LINEAR else last]


def arguments_of_stride_0(name, shape):
    x, labels = np.broadcast_to(1.0, shape), np.broadcast_to(0, shape[:-1])
    if name in LINEAR:
        return [x, np.broadcast_to(1.0, (7, shape[-1])), labels]
    return [x, labels] if name in LOSSES else [x, x] if name in PRODUCTS else [x]


@pytest.mark.parametrize("shape", [(2**58, 3), (3, 2**57)], ids=["rows", "classes"])
@by_name
def test_results_that_no_memory_holds(name, shape):
    """2^59 elements and more, the squares of 2^57 classes. It is found out at once."""
    if name in LINEAR and shape[0] == 3:
        pytest.skip("its products would take years, and fit")
    with raises((MemoryError, ValueError), "llocate|too big|scratch"):
        getattr(sg, name)(*arguments_of_stride_0(name, shape))
    if name in LOSSES:
        x = np.broadcast_to(1.0, shape)
        with raises((MemoryError, ValueError), "llocate|too big|scratch"):
            getattr(sg, name)(x, x)


@pytest.mark.parametrize("shape", [(0, 2**50), (0, 0), (0, 2**29, 2**29)], ids=str)
@by_name
def test_nothing_of_huge_extents(name, shape):
    if name in LINEAR and len(shape) > 2:
        pytest.skip("x is a matrix")
    given = arguments_of_stride_0(name, shape)
    if name in JACOBIANS and shape[-1] > 0:
        with raises(ValueError, "too big"):  # says NumPy, although there are no rows
            getattr(sg, name)(*given)
    elif name == LINEAR[1] and shape[1] > 0:
        with raises(MemoryError, "llocate"):  # dw, which no address space holds
            getattr(sg, name)(*given)
    else:
        result = getattr(sg, name)(*given)
        if name in ("softmax", "log_softmax", *PRODUCTS):
            assert result.shape == shape


@pytest.mark.parametrize("axis", [(0, 1), (1, 0, 2), None, 1], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_several_axes_of_nothing(name, axis):
    x = np.broadcast_to(1.0, (0, 2**40, 2))
    result = getattr(sg, name)(x, axis, **({"keepdims": True} if name == "logsumexp" else {}))
    if name == "logsumexp":
        assert result.shape == tuple(
            1 if axis is None or d in np.atleast_1d(axis) else n for d, n in enumerate(x.shape)
        )
        assert (result == -np.inf).all()
    else:
        assert result.shape == x.shape


@pytest.mark.parametrize("rows", [1, 2, 2**31, 2**63 - 1, 2**63, 10**30], ids=str)
@pytest.mark.parametrize("name", LINEAR)
def test_rows_of_a_chunk(name, rows):
    x, w, labels = (np.round(4 * a).astype(a.dtype) for a in arguments(name))  # products are exact
    result = getattr(sg, name)(x, w, labels // 4, chunk_rows=rows)
    expected = getattr(sg, name)(x, w, labels // 4)
    assert_same_bits(*((a if name == LINEAR[0] else a[0]) for a in (result, expected)))
    with raises(ValueError, name, "chunk_rows", str(1 - rows)):
        getattr(sg, name)(x, w, labels // 4, chunk_rows=1 - rows)


# --- strides


def fields(a, before, after):
    """(a structured array, its field with the values of `a`): strides that are no multiple of the item's size."""
    records = np.zeros(a.shape, [("before", f"V{before}"), ("it", a.dtype), ("after", f"V{after}")])
    records["it"] = a
    return records, records["it"]


def windows(a):
    """Rows of `a`'s shape and type that lie across each other in memory."""
    if a.ndim == 0:
        return a
    flat = a.reshape(-1)[: sum(a.shape) - a.ndim + 1].copy()
    for n in a.shape[1:]:
        flat = sliding_window_view(flat, n, 0) if flat.ndim == 1 else flat
    return flat[: a.shape[0]]


@pytest.mark.parametrize("around", [(1, 0), (0, 3), (4, 0), (4, 8)], ids=str)
@halves_too
@by_name
def test_fields_of_records(name, kind, around):
    """Arguments, and where there is one `out`, whose neighbours in the record are left alone."""
    given = fitting_arguments(name, np.dtype(kind), (4, 19))
    expected = getattr(sg, name)(*given)
    inputs = [fields(a, *around)[1] for a in given]
    assert_same_bits(getattr(sg, name)(*inputs), expected)
    if name in WITH_OUT:
        records, out = fields(np.zeros_like(array_of(expected)), *around)
        wanted = fields(array_of(expected), *around)[0]
        assert array_of(getattr(sg, name)(*inputs, out=out)) is out
        assert records.tobytes() == wanted.tobytes()


def test_a_pair_of_fields_of_one_record():
    logits, labels = arguments("cross_entropy_grad_hess", shape=(4, 19))
    records = np.zeros((4, 19), [("grad", "f8"), ("between", "V1"), ("hess", "f8")])
    sg.cross_entropy_grad_hess(logits, labels, out=(records["grad"], records["hess"]))
    expected = sg.cross_entropy_grad_hess(logits, labels)
    assert_same_bits((records["grad"].copy(), records["hess"].copy()), expected)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@by_name
def test_arguments_whose_rows_lie_across_each_other(name, kind):
    given = [windows(a) for a in fitting_arguments(name, np.dtype(kind), (6, 19))]
    assert given[0].strides == (np.dtype(kind).itemsize,) * 2
    assert_same_bits(getattr(sg, name)(*given), getattr(sg, name)(*(a.copy() for a in given)))


@pytest.mark.parametrize("step", [0, 1, -1])
@halves_too
@by_name_with_out
def test_an_out_that_lies_across_itself(name, kind, step):
    """It holds what NumPy's copy of the result into it holds."""
    given = fitting_arguments(name, np.dtype(kind), (4, 19))
    result = array_of(getattr(sg, name)(*given))
    memory, wanted = np.zeros((2, 2 * result.size), result.dtype)
    views = [
        as_strided(m[result.size :], result.shape, [step * m.itemsize] * result.ndim)
        for m in (memory, wanted)
    ]
    np.copyto(views[1], result)
    assert array_of(getattr(sg, name)(*given, out=views[0])) is views[0]
    assert_same_bits(memory, wanted)


ROWS, CLASSES = 60, 300  # more than go through a kernel at once
OVERLAPPED = {
    "where": np.arange(ROWS * CLASSES).reshape(ROWS, CLASSES) % 4 > 0,
    "b": np.linspace(1, 2, ROWS * CLASSES).reshape(ROWS, CLASSES),
    "weight": np.linspace(1, 2, CLASSES),
    "sample_weight": np.linspace(1, 2, ROWS),
}


def read_with_out():
    for name in [*WITH_OUT, "cross_entropy_grad_hess"]:
        options = ["weight", "sample_weight"] if name in LOSSES else []
        options += ["where"] if name in ("softmax", "log_softmax", "logsumexp") else []
        options += ["b"] if name == "logsumexp" else []
        yield from ((name, place) for place in [*range(len(arguments(name))), *options])


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("name", "place"), [*read_with_out()])
def test_overlap_by_one_element(name, place, side):
    """The last element of what is read is the first one of `out`, or the other way around."""
    given = arguments(name, shape=(ROWS, CLASSES if name not in JACOBIANS else 70))
    options = {} if isinstance(place, int) else {place: OVERLAPPED[place]}
    expected = getattr(sg, name)(*given, **options)
    result, a = array_of(expected), given[place] if isinstance(place, int) else OVERLAPPED[place]

    raw = np.zeros(2 * a.nbytes + result.nbytes + 64, np.uint8)
    start = (a.nbytes + 63) // 64 * 64
    out = raw[start : start + result.nbytes].view(result.dtype).reshape(result.shape)
    first = start - a.nbytes + a.itemsize if side == "before" else start + out.nbytes - a.itemsize
    view = raw[first : first + a.nbytes].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert np.shares_memory(view, out)

    if isinstance(place, int):
        given[place] = view
    else:
        options[place] = view
    if name == "cross_entropy_grad_hess":
        assert_same_bits(getattr(sg, name)(*given, out=(None, out), **options), expected)
        view[...] = a
        assert_same_bits(getattr(sg, name)(*given, out=(out, None), **options), expected)
    else:
        assert_same_bits(getattr(sg, name)(*given, out=out, **options), expected)


@pytest.mark.parametrize("bad", ["read-only", "dtype", "shape", "list"])
@pytest.mark.parametrize("which", [0, 1])
def test_one_bad_array_of_a_pair(which, bad):
    logits, labels = arguments("cross_entropy_grad_hess")
    pair = [np.full((3, 5), 7.0), np.full((3, 5), 7.0)]
    if bad == "read-only":
        pair[which].flags.writeable = False
    else:
        pair[which] = {"dtype": pair[0].astype("f4"), "shape": pair[0].T, "list": pair[0].tolist()}[
            bad
        ]
    words = ["read-only"] if bad == "read-only" else [re.escape(f"out[{which}]")]
    with raises((TypeError, ValueError), "cross_entropy_grad_hess", *words):
        sg.cross_entropy_grad_hess(logits, labels, out=tuple(pair))
    assert all((np.array(a) == 7).all() for a in pair)


@by_name
def test_memory_that_was_given_back(name):
    for i, a in enumerate(arguments(name)):
        given = arguments(name)
        given[i] = memoryview(a)
        given[i].release()
        with raises((TypeError, ValueError), "released|dtype|shape"):
            getattr(sg, name)(*given)
    if name in WITH_OUT:
        out = memoryview(np.zeros((3, 5)))
        out.release()
        with raises((TypeError, ValueError), "released|array|dtype"):
            getattr(sg, name)(*arguments(name), out=out)


@by_name
def test_masked_arrays_and_fields_of_recarrays(name):
    """A mask is not looked at, as numpy.asarray does not: `where` is for that."""
    given = arguments(name)
    expected = getattr(sg, name)(*given)
    masked = [np.ma.masked_array(a, mask=np.ones(a.shape, bool)) for a in given]
    assert_same_bits(getattr(sg, name)(*masked), expected)
    records = [fields(a, 1, 2)[0].view(np.recarray).it for a in given]
    assert_same_bits(getattr(sg, name)(*records), expected)


# --- labels

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", INTEGERS)
@by_loss
def test_labels_at_the_ends_of_their_type(name, kind, order):
    """Out of bounds, named as they are; ignored where ignore_index says so, and only then."""
    dtype = np.dtype(kind).newbyteorder(order)
    x, *w, _ = arguments(name)
    classes = (w or [x.T])[0].shape[0]
    plain = getattr(sg, name)(x, *w, np.array([1, -100, 2]))
    for end in (np.iinfo(kind).min, np.iinfo(kind).max):
        labels = np.array([1, end, 2], dtype)
        if end == 0:
            labels[1] = 3  # label 0 is a class
            end = 3
        else:
            text = re.escape(f"targets[1] = {end} is out of bounds for {classes} classes")
            for other in (-100, -1, int(end) - 2**64, int(end) + 2**64, 2**63, -(2**63)):
                if other != end:
                    with raises(IndexError, text):
                        getattr(sg, name)(x, *w, labels, ignore_index=other)
        assert_same_bits(getattr(sg, name)(x, *w, labels, ignore_index=int(end)), plain)


@pytest.mark.parametrize(
    "beyond", [2**63, -(2**63) - 1, 2**64, -(2**64), 10**30, 2**64 + 1], ids=str
)
@by_loss
def test_an_ignore_index_that_no_label_can_be(name, beyond):
    given = arguments(name)
    expected = getattr(sg, name)(*given)
    for kind in INTEGERS:
        if not np.iinfo(kind).min <= beyond <= np.iinfo(kind).max:
            given[-1] = given[-1].astype(kind)
            assert_same_bits(getattr(sg, name)(*given, ignore_index=beyond), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda a: memoryview(a.astype("i4")),
        lambda a: array.array("B", a.tolist()),
        lambda a: [np.int8(i) for i in a],
        lambda a: tuple(a.tolist()),
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.repeat(a, 3)[::3],
        lambda a: np.broadcast_to(a, (2, 3))[1],
    ],
    ids=["memoryview", "array", "scalars", "tuple", "negative", "stepped", "broadcast"],
)
@by_loss
def test_labels_of_all_sorts(name, make):
    *given, labels = arguments(name)
    assert_same_bits(getattr(sg, name)(*given, make(labels)), getattr(sg, name)(*given, labels))


@by_loss
def test_labels_of_a_range_and_of_nothing_that_is_an_array(name):
    *given, labels = arguments(name)
    assert_same_bits(
        getattr(sg, name)(*given, range(4, 1, -1)), getattr(sg, name)(*given, np.array([4, 3, 2]))
    )
    for bad in (itertools.count(), {0, 1, 2}, {0: 1}, object(), labels.astype(object), b"012"):
        with raises((TypeError, ValueError), name, "targets"):
            getattr(sg, name)(*given, bad)
