"""out=: the same object back, in place, any strides, any overlap, and its errors."""

import numpy as np
import pytest
from helpers import (
    GRADIENTS,
    JACOBIANS,
    PRODUCTS,
    WITH_OUT,
    arguments,
    assert_same_bits,
    ids,
    layouts,
    raises,
)

import softgrad as sg

IN_PLACE = [name for name in WITH_OUT if name not in ("logsumexp", *JACOBIANS)]
by_name = pytest.mark.parametrize("name", WITH_OUT)
by_in_place = pytest.mark.parametrize("name", IN_PLACE)


def array_of(result):
    """The array that out= receives, of what the function returns."""
    return result[-1] if isinstance(result, tuple) else result


@by_name
def test_is_returned_itself(isa, dtype, name):
    given = arguments(name, dtype)
    expected = getattr(sg, name)(*given)
    out = np.full_like(array_of(expected), 77)
    result = getattr(sg, name)(*given, out=out)
    assert array_of(result) is out
    assert_same_bits(result, expected)


@by_name
def test_may_have_any_strides(isa, dtype, name):
    given = arguments(name, dtype, (4, 3, 21))
    expected = getattr(sg, name)(*given)
    for layout, out in layouts(np.zeros_like(array_of(expected))).items():
        if layout != "swapped":
            assert array_of(getattr(sg, name)(*given, out=out)) is out
            assert_same_bits(out.copy(), array_of(expected), layout)


@by_name
def test_of_another_byte_order(dtype, name):
    """Not the result's dtype: an error; the native one is."""
    given = arguments(name, dtype)
    expected = array_of(getattr(sg, name)(*given))
    out = np.zeros(expected.shape, dtype.newbyteorder())
    with raises(TypeError, name, "out", dtype.name):
        getattr(sg, name)(*given, out=out)


@by_name
def test_of_a_subclass_stays_one(name):
    class Mine(np.ndarray):
        pass

    given = arguments(name)
    out = np.zeros_like(array_of(getattr(sg, name)(*given))).view(Mine)
    assert array_of(getattr(sg, name)(*given, out=out)) is out


@by_in_place
@pytest.mark.parametrize("n", [1, 5, 16, 17, 64, 100, 1000], ids=ids("n"))
def test_in_place(isa, dtype, name, n):
    given = arguments(name, dtype, (5, n))
    expected = getattr(sg, name)(*given)
    result = getattr(sg, name)(*given, out=given[0])
    assert array_of(result) is given[0]
    assert_same_bits(result, expected)


@by_in_place
def test_in_place_with_strides(isa, dtype, name):
    for layout, view in layouts(arguments(name, dtype, (4, 3, 21))[0]).items():
        given = arguments(name, dtype, (4, 3, 21))
        expected = getattr(sg, name)(*given)
        if layout != "swapped":
            result = getattr(sg, name)(view, *given[1:], out=view)
            assert array_of(result) is view
            assert_same_bits(view.copy(), array_of(expected), layout)


def over(array, shift, reverse=False):
    """(a copy of the array, an out of its shape that begins `shift` elements later in the same memory)"""
    memory = np.zeros(array.size + abs(shift), array.dtype)
    first, second = max(-shift, 0), max(shift, 0)
    view = memory[first : first + array.size].reshape(array.shape)
    view[...] = array
    out = memory[second : second + array.size].reshape(array.shape)
    return view, out[::-1, ::-1] if reverse else out


@by_in_place
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("shift", [-30, -7, -1, 0, 1, 7, 30], ids=ids("shift"))
def test_partial_overlap_with_the_first_argument(isa, dtype, name, shift, reverse):
    given = arguments(name, dtype, (5, 21))
    expected = getattr(sg, name)(*given)
    given[0], out = over(given[0], shift, reverse)
    assert array_of(getattr(sg, name)(*given, out=out)) is out
    assert_same_bits(out.copy(), array_of(expected))


def test_overlap_with_its_own_transpose(dtype, rng):
    for name in ("softmax", "log_softmax"):
        x = rng.normal(0, 1, (20, 20)).astype(dtype)
        expected = getattr(sg, name)(x)
        assert_same_bits(getattr(sg, name)(x, out=x.T).copy(), expected)


@pytest.mark.parametrize("shift", [0, 1, 7, -3], ids=ids("shift"))
@pytest.mark.parametrize("name", [*GRADIENTS, *PRODUCTS])
def test_overlap_with_targets_or_vectors(isa, dtype, name, shift):
    given = arguments(name, dtype, (5, 21))
    given[1] = np.abs(arguments("softmax", dtype, (5, 21))[0])
    expected = getattr(sg, name)(*given)
    given[1], out = over(given[1], shift)
    assert_same_bits(array_of(getattr(sg, name)(*given, out=out)).copy(), array_of(expected))


@pytest.mark.parametrize("name", GRADIENTS)
def test_overlap_with_the_small_arrays(dtype, name):
    """Labels, weight and sample_weight live in the memory of out."""
    x, labels = arguments(name, dtype, (5, 16))
    weight, sample_weight = np.linspace(1, 2, 16).astype(dtype), np.linspace(1, 3, 5).astype(dtype)
    expected = getattr(sg, name)(x, labels, weight=weight, sample_weight=sample_weight)
    out = np.zeros((5, 16), dtype)
    flat = out.reshape(-1)
    flat[:16], flat[16:21] = weight, sample_weight
    inside = flat[32:52].view(np.int64)[:5]
    inside[...] = labels
    result = getattr(sg, name)(x, inside, weight=flat[:16], sample_weight=flat[16:21], out=out)
    assert_same_bits(result, expected)


def test_overlap_with_b_and_where(dtype, rng):
    x = rng.normal(0, 1, (6, 6)).astype(dtype)
    b = np.abs(x) + 1
    expected = sg.logsumexp(x, b=b)
    assert_same_bits(sg.logsumexp(x, b=b, out=b[2]).copy(), expected)
    expected = sg.logsumexp(x)
    assert_same_bits(sg.logsumexp(x, out=x[3]).copy(), expected)
    y = rng.normal(0, 1, (6, 8)).astype(dtype)
    mask = rng.random((6, 8)) < 0.5
    expected = sg.softmax(y, where=mask)
    out = np.zeros((6, 8), dtype)
    hidden = out.view(np.bool_)[:, : 8 * dtype.itemsize : dtype.itemsize]
    hidden[...] = mask
    assert_same_bits(sg.softmax(y, where=hidden, out=out), expected)


def test_of_logsumexp(dtype, rng):
    x = rng.normal(0, 1, (3, 4, 5)).astype(dtype)
    for axis in (0, 1, (0, 2), None):
        for keepdims in (False, True):
            expected = sg.logsumexp(x, axis, keepdims=keepdims)
            out = np.zeros(np.shape(expected), dtype)
            assert sg.logsumexp(x, axis, keepdims=keepdims, out=out) is out
            assert_same_bits(out, np.asarray(expected))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [(0, 2), (1, 0), None], ids=str)
def test_of_several_axes(dtype, name, axis, rng):
    x = rng.normal(0, 1, (3, 4, 5)).astype(dtype)
    expected = getattr(sg, name)(x, axis)
    out = np.zeros((5, 4, 3), dtype).T
    assert getattr(sg, name)(x, axis, out=out) is out
    assert_same_bits(out.copy(), expected)
    assert getattr(sg, name)(x, axis, out=x) is x
    assert_same_bits(x, expected)


# --- the pair of cross_entropy_grad_hess


def test_a_pair(isa, dtype):
    for n in (1, 5, 16, 100):
        logits, labels = arguments("cross_entropy_grad_hess", dtype, (5, n))
        expected = sg.cross_entropy_grad_hess(logits, labels)
        out = np.zeros((5, n), dtype), np.zeros((n, 5), dtype).T
        grad, hess = sg.cross_entropy_grad_hess(logits, labels, out=out)
        assert grad is out[0]
        assert hess is out[1]
        assert_same_bits((grad, hess.copy()), expected)
        for which in (0, 1):
            x = logits.copy()
            pair = [np.zeros_like(x), np.zeros_like(x)]
            pair[which] = x
            assert_same_bits(sg.cross_entropy_grad_hess(x, labels, out=tuple(pair)), expected)


def test_a_pair_that_overlaps_the_logits_partly(dtype):
    logits, labels = arguments("cross_entropy_grad_hess", dtype, (5, 21))
    expected = sg.cross_entropy_grad_hess(logits, labels)
    for which in (0, 1):
        x, shifted = over(logits, 5)
        pair = [np.zeros_like(x), np.zeros_like(x)]
        pair[which] = shifted
        result = sg.cross_entropy_grad_hess(x, labels, out=tuple(pair))
        assert result[which] is shifted
        assert_same_bits(tuple(a.copy() for a in result), expected)


def test_a_pair_that_overlaps_itself():
    logits, labels = arguments("cross_entropy_grad_hess")
    memory = np.full(25, 7.0)
    for second in (memory[:15], memory[1:16], memory[10:25]):
        before, x_before = memory.copy(), logits.copy()
        with raises(ValueError, "cross_entropy_grad_hess", "out", "overlap"):
            sg.cross_entropy_grad_hess(
                logits, labels, out=(memory[:15].reshape(3, 5), second.reshape(3, 5))
            )
        assert_same_bits(memory, before)
        assert_same_bits(logits, x_before)


# --- errors


@by_name
def test_of_another_type(name):
    given = arguments(name)
    shape = array_of(getattr(sg, name)(*given)).shape
    for bad in (np.float32, np.int64, np.complex128, object):
        with raises(TypeError, name, "out", "float64", np.dtype(bad).name):
            getattr(sg, name)(*given, out=np.zeros(shape, bad))
    with raises(TypeError, name, "out", "list"):
        getattr(sg, name)(*given, out=np.zeros(shape).tolist())


@by_name
def test_of_another_shape(name):
    given = arguments(name)
    shape = array_of(getattr(sg, name)(*given)).shape
    for bad in ((*shape, 1), shape[:-1], (shape[0] + 1, *shape[1:]), (1, *shape)):
        with raises(ValueError, name, "out", str(shape).replace("(", r"\(").replace(")", r"\)")):
            getattr(sg, name)(*given, out=np.zeros(bad))


@by_name
def test_read_only(name):
    given = arguments(name)
    out = np.full_like(array_of(getattr(sg, name)(*given)), 7)
    out.flags.writeable = False
    with raises(ValueError, "read-only"):
        getattr(sg, name)(*given, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("name", GRADIENTS)
def test_an_invalid_label_leaves_all_arrays_as_they_were(isa, dtype, name):
    x, labels = arguments(name, dtype, (50, 21))
    labels[-1] = 21
    before = x.copy()
    with pytest.raises(IndexError):
        getattr(sg, name)(x, labels, out=x)
    assert_same_bits(x, before)
