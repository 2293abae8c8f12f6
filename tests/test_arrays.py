"""What comes in and what comes out: types, byte order, strides, lists, scalars, subclasses, empty arrays."""

import itertools
import re

import numpy as np
import pytest
import reference
from helpers import (
    ALL,
    FUNCTIONS,
    GRADIENTS,
    JACOBIANS,
    LOSSES,
    PRODUCTS,
    arguments,
    assert_close,
    assert_same_bits,
    layouts,
    raises,
)

import softgrad as sg

INTEGERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
UNSUPPORTED = ["complex64", "complex128", "O", "U3", "S3", "M8[s]", "m8[s]", "i4,f4"]
UNSUPPORTED += ["longdouble"] if np.dtype("longdouble").itemsize > 8 else []


def results(value):
    """All arrays of a result, flat."""
    return list(itertools.chain(*map(results, value))) if isinstance(value, tuple) else [value]


# --- types


@pytest.mark.parametrize("name", ALL)
def test_floats_give_their_own_type(dtype, name):
    for result in results(getattr(sg, name)(*arguments(name, dtype))):
        assert result is None or result.dtype == dtype


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("name", ALL)
def test_integers_are_computed_in_float64(name, integer):
    given = [np.abs(a).astype(integer) if a.dtype.kind == "f" else a for a in arguments(name)]
    as_float = [
        a.astype(np.float64) if i < 2 - (name in LOSSES) else a for i, a in enumerate(given)
    ]
    actual, expected = results(getattr(sg, name)(*given)), results(getattr(sg, name)(*as_float))
    for a, e in zip(actual, expected, strict=True):
        assert a is None or a.dtype == np.float64
        assert_same_bits(a, e)


@pytest.mark.parametrize("bad", UNSUPPORTED)
@pytest.mark.parametrize("name", ALL)
def test_other_types_are_named_in_the_error(name, bad):
    given = arguments(name)
    given[0] = np.zeros((3, 5), bad)
    with raises(TypeError, name, re.escape(str(given[0].dtype)), "float32", "float64"):
        getattr(sg, name)(*given)


@pytest.mark.parametrize("kind", ["f2", ">f2", "f4", "f8", ">f4", *INTEGERS])
@pytest.mark.parametrize("name", LOSSES)
def test_the_logits_decide_not_the_targets(dtype, name, kind):
    x = np.abs(arguments(name, dtype)[0])
    targets = np.eye(5)[:3].astype(kind)
    actual = results(
        getattr(sg, name)(x, targets, weight=np.ones(5, np.float16), sample_weight=[1, 2, 3])
    )
    expected = results(
        getattr(sg, name)(x, targets.astype(dtype), sample_weight=np.array([1, 2, 3], dtype))
    )
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        assert_same_bits(a, e)


# --- scalars, lists, subclasses


@pytest.mark.parametrize("name", ALL)
def test_lists_are_arrays(name):
    given = arguments(name)
    actual, expected = getattr(sg, name)(*(v.tolist() for v in given)), getattr(sg, name)(*given)
    for a, e in zip(results(actual), results(expected), strict=True):
        assert_same_bits(a, e)


def test_results_without_dimensions_are_numpy_scalars(dtype):
    x = np.array([[1, 2, 3]], dtype)
    scalar = {
        "mean": sg.cross_entropy(x, [0]),
        "sum": sg.cross_entropy(x, [0], reduction="sum"),
        "one row": sg.cross_entropy(x[0], 0, reduction="none"),
        "with gradient": sg.cross_entropy_value_and_grad(x, [0])[0],
        "log_loss": sg.log_loss(x, [0]),
        "linear": sg.linear_cross_entropy(x, x, [0]),
        "logsumexp of a row": sg.logsumexp(x[0]),
        "logsumexp of all": sg.logsumexp(x, None),
        "logsumexp of both": sg.logsumexp(x, (0, 1)),
    }
    for what, value in scalar.items():
        assert type(value) is dtype.type, what
    assert type(sg.logsumexp(x[0], keepdims=True)) is np.ndarray
    assert type(sg.cross_entropy(x, [0], reduction="none")) is np.ndarray


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zero_dimensions(dtype, name):
    x = np.array(3, dtype)
    assert getattr(sg, name)(x, None) == {"softmax": 1, "log_softmax": 0, "logsumexp": 3}[name]
    assert getattr(sg, name)(3.0, axis=None) == getattr(sg, name)(x, None)
    for axis in (-1, 0):
        with raises(np.exceptions.AxisError, name, str(axis), "0"):
            getattr(sg, name)(x, axis)


@pytest.mark.parametrize("name", ALL)
def test_subclasses_come_back_plain(name):
    class Mine(np.ndarray):
        pass

    given = arguments(name)
    actual, expected = getattr(sg, name)(*(a.view(Mine) for a in given)), getattr(sg, name)(*given)
    for a, e in zip(results(actual), results(expected), strict=True):
        assert not isinstance(a, Mine)
        assert_same_bits(a, e)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_an_array():
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert type(sg.softmax(np.matrix(x))) is np.ndarray
    assert sg.logsumexp(np.matrix(x)).shape == (2,)


@pytest.mark.parametrize("name", ALL)
def test_read_only_inputs(name):
    given = arguments(name)
    expected = getattr(sg, name)(*given)
    for a in given:
        a.flags.writeable = False
    for a, e in zip(results(getattr(sg, name)(*given)), results(expected), strict=True):
        assert_same_bits(a, e)


@pytest.mark.parametrize("name", ALL)
def test_inputs_are_left_alone(name):
    given = arguments(name)
    before = [a.copy() for a in given]
    getattr(sg, name)(*given)
    for a, b in zip(given, before, strict=True):
        assert_same_bits(a, b)


def test_read_only_memory_map(tmp_path, dtype, rng):
    x = rng.normal(0, 1, (4, 50)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    assert_same_bits(sg.softmax(np.load(tmp_path / "x.npy", mmap_mode="r")), sg.softmax(x))


# --- strides


@pytest.mark.parametrize("name", [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *LOSSES])
def test_layouts_of_every_argument(isa, dtype, name):
    given = arguments(name, dtype, (2, 3, 19))
    expected = getattr(sg, name)(*given)
    for i, argument in enumerate(given):
        for layout, view in layouts(argument).items():
            actual = getattr(sg, name)(*given[:i], view, *given[i + 1 :])
            assert_same_bits(actual, expected, f"{layout} argument {i}")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_axis_of_every_memory_order(isa, dtype, name, order, rng):
    x = rng.normal(0, 2, (4, 9, 17)).astype(dtype).transpose(order)
    for axis in (0, 1, 2, (0, 1), (2, 0), None):
        terms = 10 if name == "logsumexp" else 0
        assert_close(getattr(sg, name)(x, axis), getattr(reference, name)(x, axis), terms=terms)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zero_strides(isa, dtype, name, rng):
    for shape, base in [
        ((4, 33), (33,)),
        ((4, 33), (4, 1)),
        ((4, 33), (1, 1)),
        ((3, 4, 33), (3, 1, 33)),
    ]:
        x = np.broadcast_to(rng.normal(0, 2, base).astype(dtype), shape)
        for axis in (0, -1, None):
            assert_same_bits(getattr(sg, name)(x, axis), getattr(sg, name)(x.copy(), axis))


@pytest.mark.parametrize("name", GRADIENTS)
def test_broadcast_targets_and_weights(dtype, name, rng):
    x = np.abs(rng.normal(0, 2, (4, 9))).astype(dtype)
    row = np.broadcast_to(rng.random(9).astype(dtype), (4, 9))
    one = np.broadcast_to(dtype.type(2), 9)
    for targets in (row, np.broadcast_to(3, 4)):
        expected = getattr(sg, name)(x, targets.copy(), weight=one.copy())
        assert_same_bits(getattr(sg, name)(x, targets, weight=one), expected)


def test_many_dimensions(dtype, rng):
    x = rng.normal(0, 2, (1, 2, 1, 3, 2, 1, 5, 2, 1, 2)).astype(dtype)
    for axis in (6, (3, 6), (0, 9), -4, None):
        assert_close(sg.softmax(x, axis), reference.softmax(x, axis))


@pytest.mark.parametrize("name", [*FUNCTIONS, *PRODUCTS])
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (2, 0, 3), (0,), (0, 0)], ids=str)
def test_empty_arrays(dtype, name, shape):
    given = arguments(name, dtype, shape)
    for axis in range(len(shape)):
        result = getattr(sg, name)(*given, axis=axis)
        expected = tuple(np.delete(shape, axis)) if name == "logsumexp" else shape
        assert result.shape == expected
        assert result.dtype == dtype


def test_arithmetic_of_indices_is_64_bit(tmp_path):
    """2^31 elements in one row, and strides that leave the reach of 32 bits."""
    n = 2**31 + 8
    lse = sg.logsumexp(np.broadcast_to(np.float32(0), (n,)))
    assert_close(lse, np.log(np.longdouble(n)), ulps=3)
    sparse = np.memmap(tmp_path / "sparse", np.float32, "w+", shape=(3, 2**30 + 5))
    corner = sparse[:, -5:]  # the third row begins 2^31 elements in
    corner[...] = np.arange(15).reshape(3, 5)
    assert_same_bits(
        sg.softmax(corner, out=corner.copy()), sg.softmax(np.arange(15, dtype="f4").reshape(3, 5))
    )
    assert_same_bits(sg.softmax(corner, 0), sg.softmax(corner.copy(), 0))
