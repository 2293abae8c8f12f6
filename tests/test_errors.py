"""Every error: its type, a text that names function, argument, value and what was expected, and that
all arrays are as they were.
"""

import re

import numpy as np
import pytest
from helpers import (
    ALL,
    FUNCTIONS,
    GRADIENTS,
    JACOBIANS,
    LINEAR,
    LOSSES,
    PRODUCTS,
    WITH_OUT,
    arguments,
    raises,
)

import softgrad as sg

CROSS_ENTROPIES = [name for name in LOSSES if name.startswith("cross_entropy")]
AXIS = [name for name in ALL if name not in LINEAR]
TEMPERED = ["softmax", "log_softmax", *JACOBIANS, *CROSS_ENTROPIES, *LINEAR]


def shape(value):
    return re.escape(str(value))


def fails(name, error, *words, given=None, **options):
    """The call raises, the text names the function and `words`; no argument and no out= is touched."""
    given = arguments(name) if given is None else [np.asarray(a) for a in given]
    out = options.pop("out", None)
    if out is None and name in WITH_OUT and np.shape(given[0]) == (3, 5):
        out = np.full(
            (3,) if name == "logsumexp" else (3, 5, 5) if name in JACOBIANS else (3, 5), 7.0
        )
    elif out is None and name == "cross_entropy_grad_hess":
        out = np.full((3, 5), 7.0), np.full((3, 5), 7.0)
    arrays = [*given, *(out if isinstance(out, tuple) else [out] if out is not None else [])]
    before = [a.tobytes() for a in arrays]
    # a bad label is named by position and value alone, as the specification prints it
    function = [] if error is IndexError else [rf"\b{name}\b"]
    with raises(error, *function, *words) as info:
        getattr(sg, name)(*given, **options, **({} if out is None else {"out": out}))
    assert [a.tobytes() for a in arrays] == before, "an array was written before the error"
    return info


# --- signatures


@pytest.mark.parametrize("name", ALL)
def test_unknown_keywords(name):
    with raises(TypeError, r"unexpected keyword argument", "'nonsense'"):
        getattr(sg, name)(*arguments(name), nonsense=1)


@pytest.mark.parametrize("name", ALL)
def test_positional_only_and_keyword_only(name):
    function, given = getattr(sg, name), arguments(name)
    first = {"softmax_vjp": "y", "softmax_jvp": "y"}.get(name, "ly" if name in PRODUCTS else "x")
    with pytest.raises(TypeError):
        function(**{first: given[0]})
    with pytest.raises(TypeError):
        function()
    with pytest.raises(TypeError):
        function(*given, -1 if name not in LINEAR else None, None)


# --- axis


@pytest.mark.parametrize("axis", [2, -3, 100])
@pytest.mark.parametrize("name", AXIS)
def test_axis_that_x_does_not_have(name, axis):
    fails(
        name,
        np.exceptions.AxisError,
        f"axis {axis} is out of bounds for array of dimension 2",
        axis=axis,
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_axis_tuples(name):
    fails(name, np.exceptions.AxisError, "axis 2", axis=(0, 2))
    fails(name, ValueError, "axis", axis=(1, -1))


@pytest.mark.parametrize("name", [n for n in AXIS if n not in FUNCTIONS])
@pytest.mark.parametrize("axis", [None, (0,), (0, 1), 1.0, "1"], ids=str)
def test_axis_is_one_integer_elsewhere(name, axis):
    fails(name, TypeError, "axis", axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("axis", [1.0, "1", (0, 1.0)], ids=str)
def test_axis_of_another_type(name, axis):
    fails(name, TypeError, "axis", axis=axis)


# --- options out of their range


@pytest.mark.parametrize("bad", [0, -1, 0.0, -0.5, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", TEMPERED)
def test_temperature(name, bad):
    fails(
        name,
        ValueError,
        "temperature",
        re.escape(str(bad)),
        "positive|> 0|greater than 0",
        temperature=bad,
    )


@pytest.mark.parametrize("bad", [1e-60, 1e39])
@pytest.mark.parametrize("name", TEMPERED)
def test_temperature_is_checked_after_conversion(name, bad):
    given = arguments(name, np.float32)
    with raises(ValueError, name, "temperature", re.escape(str(bad))):
        getattr(sg, name)(*given, temperature=bad)
    getattr(sg, name)(*arguments(name, np.float64), temperature=bad)


@pytest.mark.parametrize(
    ("option", "values", "expected"),
    [
        ("label_smoothing", [-0.1, 1.1, np.nan, np.inf, -1e-9], r"\[0, 1\]|between 0 and 1"),
        ("z_loss", [-1, -1e-9, np.nan], ">= 0|non-negative|at least 0|not negative"),
        ("reduction", ["average", "", "Mean", None, 1, b"mean"], "mean.*sum.*none"),
    ],
)
@pytest.mark.parametrize("name", [*CROSS_ENTROPIES, *LINEAR])
def test_options(name, option, values, expected):
    for value in values:
        shown = repr(value) if option == "reduction" else str(value)
        fails(name, ValueError, option, re.escape(shown), expected, **{option: value})


@pytest.mark.parametrize("name", ["log_loss", "log_loss_value_and_grad"])
def test_reduction_of_log_loss(name):
    fails(name, ValueError, "reduction", "'max'", "mean.*sum.*none", reduction="max")


@pytest.mark.parametrize("option", ["temperature", "label_smoothing", "z_loss"])
@pytest.mark.parametrize("bad", ["1", None, 1j, [0.5, 0.5]], ids=str)
@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_options_that_are_not_numbers(name, option, bad):
    fails(name, TypeError, option, **{option: bad})


# --- shapes that do not fit


@pytest.mark.parametrize("name", LOSSES)
def test_shape_of_targets(name):
    for bad in [(4,), (3, 4), (5,), (3, 1), (1, 5), (3, 5, 1), ()]:
        fails(
            name,
            ValueError,
            "targets",
            shape(bad),
            shape((3,)),
            shape((3, 5)),
            given=[arguments(name)[0], np.zeros(bad, int)],
        )


@pytest.mark.parametrize(
    "targets", [np.zeros((2, 6), int), np.zeros((2, 6, 7), int)], ids=["(2, 6)", "(2, 6, 7)"]
)
@pytest.mark.parametrize("name", LOSSES)
def test_the_class_axis_of_pytorch_is_hinted_at(name, targets):
    """(N, C, ...) logits with (N, ...) labels, as PyTorch has them, and the axis left out."""
    logits = np.full((2, 5, *targets.shape[1:]), 0.5)
    fails(name, ValueError, "targets", "axis=1", given=[logits, targets])
    getattr(sg, name)(logits, targets, axis=1)


@pytest.mark.parametrize("name", LOSSES)
def test_no_hint_where_it_would_mislead(name):
    assert "axis=1" not in str(
        fails(name, ValueError, given=[np.ones((3, 5)), np.zeros(4, int)]).value
    )


@pytest.mark.parametrize("name", LOSSES)
def test_shape_of_weights(name):
    for bad in [(4,), (3,), (1,), (), (5, 1), (3, 5)]:
        fails(name, ValueError, r"\bweight", shape(bad), shape((5,)), weight=np.ones(bad))
    for bad in [(4,), (5,), (1,), (), (3, 1), (3, 5)]:
        fails(
            name, ValueError, "sample_weight", shape(bad), shape((3,)), sample_weight=np.ones(bad)
        )


@pytest.mark.parametrize("name", PRODUCTS)
def test_shapes_of_products(name):
    second = "g" if name.endswith("vjp") else "v"
    for bad in [(5,), (3, 4), (3, 1), (1, 3, 5)]:
        fails(
            name,
            ValueError,
            rf"\b{second}\b",
            shape(bad),
            shape((3, 5)),
            given=[np.ones((3, 5)), np.ones(bad)],
        )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_where(name):
    for bad in [(4,), (3, 4), (2, 3, 5), (3, 5, 1)]:
        fails(name, ValueError, "where", shape(bad), shape((3, 5)), where=np.ones(bad, bool))
    for bad in [np.ones((3, 5)), np.ones((3, 5), int), np.ones((3, 5), object)]:
        fails(name, TypeError, "where", "bool", str(bad.dtype), where=bad)


def test_b():
    for bad in [(4,), (3, 4), (2, 3, 4)]:
        fails("logsumexp", ValueError, r"\bb\b", shape(bad), shape((3, 5)), b=np.ones(bad))
    fails("logsumexp", TypeError, r"\bb\b", "complex128", b=np.ones((3, 5), complex))


# --- types of the other arguments


@pytest.mark.parametrize("bad", [np.float64, np.float32, np.float16, bool, complex, object, "U1"])
@pytest.mark.parametrize("name", LOSSES)
def test_type_of_class_labels(name, bad):
    given = [arguments(name)[0], np.zeros(3, bad)]
    fails(name, TypeError, "targets", re.escape(str(np.dtype(bad))), "integer", given=given)


@pytest.mark.parametrize("bad", [complex, object, "U1", "M8[s]"])
@pytest.mark.parametrize("name", LOSSES)
def test_type_of_probability_targets_and_weights(name, bad):
    word = re.escape(str(np.dtype(bad)))
    fails(name, TypeError, "targets", word, given=[arguments(name)[0], np.zeros((3, 5), bad)])
    fails(name, TypeError, r"\bweight", word, weight=np.zeros(5, bad))
    fails(name, TypeError, "sample_weight", word, sample_weight=np.zeros(3, bad))


@pytest.mark.parametrize("name", LOSSES)
def test_ignore_index_with_probability_targets(name):
    given = [arguments(name)[0], np.full((3, 5), 0.2)]
    fails(name, ValueError, "ignore_index", "-1", given=given, ignore_index=-1)
    getattr(sg, name)(*given, ignore_index=-100)


@pytest.mark.parametrize("bad", [1.5, "1", None])
@pytest.mark.parametrize("name", LOSSES)
def test_ignore_index_is_an_integer(name, bad):
    fails(name, TypeError, "ignore_index", ignore_index=bad)


@pytest.mark.parametrize("bad", [0.5, "4", None])
def test_number_of_threads_is_an_integer(bad):
    with pytest.raises(TypeError):
        sg.set_num_threads(bad)


# --- labels out of bounds


@pytest.mark.parametrize("label", [5, 6, -1, -99, -101, 2**31, 2**40, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("name", LOSSES)
def test_labels_out_of_bounds(name, label):
    labels = np.array([0, label, 9])
    text = re.escape(f"targets[1] = {label} is out of bounds for 5 classes")
    fails(name, IndexError, text, given=[arguments(name)[0], labels])


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("uint8", 255),
        ("uint16", 65535),
        ("uint32", 2**32 - 100),
        ("uint64", 2**64 - 100),
        ("uint64", 2**63),
        ("int8", -128),
    ],
)
@pytest.mark.parametrize("name", LOSSES)
def test_labels_of_other_types_out_of_bounds(name, kind, label):
    """2^64 - 100 is not -100: it is not ignored."""
    labels = np.array([0, 1, label], kind)
    fails(
        name, IndexError, re.escape(f"targets[2] = {label} is"), given=[arguments(name)[0], labels]
    )


@pytest.mark.parametrize("name", LOSSES)
def test_the_position_of_a_bad_label(name):
    """As many indices as the targets have dimensions; the first in C order, whatever the strides."""
    logits = np.full((4, 10, 9), 0.5)
    labels = np.zeros((9, 4), int).T
    labels[3, 7], labels[3, 8] = 12, -1
    fails(
        name,
        IndexError,
        re.escape("targets[3, 7] = 12 is out of bounds for 10 classes"),
        given=[logits, labels],
        axis=1,
    )
    one = [np.full(10, 0.5), np.array(10)]
    fails(name, IndexError, "targets.* = 10 is out of bounds for 10 classes", given=one)


@pytest.mark.parametrize("name", LOSSES)
def test_any_label_is_out_of_bounds_of_no_classes(name):
    fails(
        name, IndexError, "out of bounds for 0 classes", given=[np.zeros((2, 0)), np.zeros(2, int)]
    )


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (IndexError, {"targets": np.array([0, 1, 5])}),
        (ValueError, {"targets": np.zeros(4, int)}),
        (TypeError, {"targets": np.zeros(3)}),
        (ValueError, {"weight": np.ones(4)}),
        (ValueError, {"sample_weight": np.ones(4)}),
        (ValueError, {"reduction": "max"}),
        (ValueError, {"axis": 7}),
        (TypeError, {"nonsense": 1}),
    ],
    ids=str,
)
def test_arrays_computed_in_place_are_as_they_were(isa, name, error, wrong):
    x = arguments(name)[0]
    before = x.tobytes()
    options = {"targets": np.zeros(3, int)} | wrong
    with pytest.raises(error):
        getattr(sg, name)(x, options.pop("targets"), out=x, **options)
    assert x.tobytes() == before


@pytest.mark.parametrize("bad", [0, -1, -100])
def test_fewer_than_one_thread(bad):
    with raises(ValueError, "set_num_threads", str(bad)):
        sg.set_num_threads(bad)
