"""The short way of plain calls (_plain.pxi) gives what the general one does: bits, types, errors. What it does not know goes there."""

import numpy as np
import pytest
from helpers import ALL, GRADIENTS, JACOBIANS, LINEAR, LOSSES, PRODUCTS, arguments, assert_same_bits

import softgrad as sg
from softgrad import _core

SHAPE = (3, 4, 5)
SHORT = [name for name in ALL if name not in LINEAR]
AXES = [0, 1, 2, -1, -3]
by_dtype = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
LABELS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]


def short_of(name):
    return "plain_softmax_vjp" if name == "softmax_jvp" else f"plain_{name}"


def both_ways(monkeypatch, name, *args, is_open=True, **options):
    """(the result, what the general way gives or raises); the short way is open, or is not."""
    function, short, results = getattr(sg, name), getattr(_core, short_of(name)), []

    def watched(*given):
        results.append(short(*given))
        return results[0]

    found = []
    for way in (watched, lambda *given: None):
        with monkeypatch.context() as patch:
            patch.setattr(_core, short_of(name), way)
            try:
                found.append(function(*args, **options))
            except (IndexError, TypeError, ValueError) as error:
                found.append(error)
    assert (results[0] is not None) == is_open
    return found


def assert_alike(actual, expected):
    assert type(actual) is type(expected)
    if isinstance(expected, Exception):
        assert str(actual) == str(expected)
    else:
        assert_same_bits(actual, expected)


def given(name, dtype, axis=-1, shape=SHAPE):
    """Arguments with the class axis there."""
    x, *rest = arguments(name, dtype, shape)
    if name in LOSSES:
        moved = np.moveaxis(x, -1, axis)
        return [np.ascontiguousarray(moved), *rest]
    return [np.ascontiguousarray(np.moveaxis(a, -1, axis)) for a in (x, *rest)]


@by_dtype
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", SHORT)
def test_every_axis(monkeypatch, name, axis, dtype):
    args = given(name, dtype, axis)
    is_open = name not in JACOBIANS or axis in (2, -1)
    assert_alike(*both_ways(monkeypatch, name, *args, axis=axis, is_open=is_open))


@by_dtype
@pytest.mark.parametrize("name", SHORT)
def test_a_vector(monkeypatch, name, dtype):
    args = arguments(name, dtype, (5,))
    if name in LOSSES:
        args[1] = np.full(5, 0.2, dtype)
    for options in [{"reduction": r} for r in ("mean", "none")] if name in LOSSES else [{}]:
        assert_alike(*both_ways(monkeypatch, name, *args, **options))


@pytest.mark.parametrize("temperature", [0.3, 2.5, 2, 1e-30, 1e38])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", *JACOBIANS])
def test_temperature(monkeypatch, name, temperature):
    for dtype in (np.float16, np.float32, np.float64):
        (x,) = given(name, dtype)
        assert_alike(*both_ways(monkeypatch, name, x, temperature=temperature))


def options_of(name, dtype, rng):
    """All sets of options to try, with weights of what `dtype` computes in."""
    wide = np.float64 if dtype == np.float64 else np.float32
    weight, sample_weight = rng.random(5).astype(wide), rng.random((3, 4)).astype(wide)
    sets = [{"reduction": "none"}, {"reduction": "sum", "weight": weight}]
    sets += [{"sample_weight": sample_weight}, {"weight": weight, "sample_weight": sample_weight}]
    if not name.startswith("log_loss"):
        sets += [{"label_smoothing": 0.1}, {"temperature": 1.7}, {"z_loss": 0.01}]
        sets += [{"label_smoothing": 1, "temperature": 3, "z_loss": 0, "weight": weight}]
        sets += [{"label_smoothing": 0.3, "z_loss": 1e-3, "sample_weight": sample_weight}]
    return sets


@by_dtype
@pytest.mark.parametrize("targets", ["labels", "ignored", "probs"])
@pytest.mark.parametrize("name", LOSSES)
def test_options(monkeypatch, name, targets, dtype):
    rng = np.random.default_rng(3)
    for axis in (-1, 1):
        x, labels = given(name, dtype, axis)
        more = {}
        if targets == "ignored":
            more["ignore_index"] = int(labels[1, 2])
        elif targets == "probs":
            labels = rng.random(x.shape).astype(dtype)
        for options in options_of(name, dtype, rng):
            assert_alike(*both_ways(monkeypatch, name, x, labels, axis=axis, **options, **more))


@pytest.mark.parametrize("dtype", LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_labels_of_every_type(monkeypatch, name, dtype):
    x, labels = given(name, np.float32)
    for ignored in (-100, 2, 2**40, 255):
        args = x, labels.astype(dtype)
        assert_alike(*both_ways(monkeypatch, name, *args, ignore_index=ignored))


@pytest.mark.parametrize("name", ["cross_entropy_grad_hess", *GRADIENTS])
def test_results_over_what_is_read(name):
    """Where `out` shares memory with targets or weights, the general way makes a copy."""

    def results(part):
        """Results of arrays that are such parts of one memory."""
        for overlapping in ("probs", "weight", "sample_weight"):
            memory = np.linspace(0.1, 0.9, 100)
            x, out = part(memory, 0, 20).reshape(4, 5), part(memory, 40, 60).reshape(4, 5)
            targets, options = np.arange(4), {}
            if overlapping == "probs":
                targets = part(memory, 30, 50).reshape(4, 5)
            else:
                options[overlapping] = part(
                    memory, *((38, 43) if overlapping == "weight" else (58, 62))
                )
            options["out"] = (out, None) if name.endswith("hess") else out
            yield getattr(sg, name)(x, targets, **options)

    shared = results(lambda memory, begin, end: memory[begin:end])
    apart = results(lambda memory, begin, end: memory[begin:end].copy())
    for result, expected in zip(shared, apart, strict=True):
        assert_same_bits(result, expected)


def closed(dtype=np.float32):
    """name -> (positional arguments, options) that the short way leaves to the general one."""
    x, labels = given("cross_entropy", dtype)
    probs = np.full(SHAPE, 0.2, dtype)
    return {
        "label out of range": ([x, np.where(labels == 2, 5, labels)], {}),
        "negative int8 label": ([x, np.where(labels == 2, -1, labels).astype(np.int8)], {}),
        "bool labels": ([x, labels == 2], {}),
        "labels of uint64": ([x, labels.astype(np.uint64)], {}),
        "float labels": ([x, labels.astype(dtype)], {}),
        "strided labels": ([x, np.repeat(labels, 2, -1)[:, ::2]], {}),
        "ignore_index with probabilities": ([x, probs], {"ignore_index": 3}),
        "probabilities of another type": ([x, probs.astype(np.float64)], {}),
        "too large an ignore_index": ([x, labels], {"ignore_index": 2**70}),
        "weight of another type": ([x, labels], {"weight": np.ones(5)}),
        "weight of another shape": ([x, labels], {"weight": np.ones(4, dtype)}),
        "weight as a matrix": ([x, labels], {"weight": np.ones((1, 5), dtype)}),
        "sample_weight of another shape": ([x, labels], {"sample_weight": np.ones((4, 3), dtype)}),
        "sample_weight as a list": ([x, labels], {"sample_weight": [[1.0] * 4] * 3}),
        "smoothing above 1": ([x, labels], {"label_smoothing": 1.5}),
        "smoothing below 0": ([x, labels], {"label_smoothing": -0.1}),
        "smoothing of NaN": ([x, labels], {"label_smoothing": np.nan}),
        "no temperature": ([x, labels], {"temperature": 0.0}),
        "temperature 0 in float32": ([x, labels], {"temperature": 1e-60}),
        "infinite temperature": ([x, labels], {"temperature": 1e39}),
        "temperature as text": ([x, labels], {"temperature": "1"}),
        "temperature beyond int64": ([x, labels], {"temperature": 2**70}),
        "negative z_loss": ([x, labels], {"z_loss": -1e-3}),
        "unknown reduction": ([x, labels], {"reduction": "average"}),
        "axis out of range": ([x, labels], {"axis": 3}),
        "axis beyond int64": ([x, labels], {"axis": -(2**70)}),
        "axis as a bool": ([x, labels], {"axis": True}),
    }


@pytest.mark.parametrize("case", closed())
def test_what_is_left_to_the_general_way(monkeypatch, case):
    args, options = closed()[case]
    found = both_ways(monkeypatch, "cross_entropy_value_and_grad", *args, is_open=False, **options)
    assert_alike(*found)


@pytest.mark.parametrize("name", [*PRODUCTS, "softmax", "logsumexp"])
def test_out(monkeypatch, name):
    """In place, beside, and of another axis' shape."""
    args = given(name, np.float64, 1)
    out = np.empty(SHAPE[:2] if name == "logsumexp" else args[0].shape)
    plain, general = both_ways(monkeypatch, name, *args, axis=1, out=out)
    assert plain is general is out
    expected = getattr(sg, name)(*(np.asfortranarray(a) for a in args), axis=1)
    assert_same_bits(out, expected)
    if name != "logsumexp":
        first = args[0].copy()
        assert_same_bits(getattr(sg, name)(first, *args[1:], axis=1, out=first), expected)
    wrong = np.empty((5, 3))
    assert_alike(*both_ways(monkeypatch, name, *args, axis=1, out=wrong, is_open=False))
