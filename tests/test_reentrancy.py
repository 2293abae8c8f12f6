"""Arguments that run code of their own while they are read: it may raise, answer otherwise a second time, or resize the
arrays that the same call was given.
"""

import array
import inspect
import itertools
import re

import numpy as np
import pytest
from helpers import ALL, LINEAR, LOSSES, WITH_OUT, arguments, assert_same_bits, raises, run_python

import softgrad as sg

# What each option is given; arrays fit the arrays of helpers.arguments().
OPTIONS = {
    "axis": -1,
    "temperature": 2.0,
    "label_smoothing": 0.25,
    "z_loss": 0.5,
    "ignore_index": 2,
    "chunk_rows": 2,
    "keepdims": True,
    "where": np.array(True),
    "b": np.array(2.0),
    "bias": np.linspace(0, 1, 7),
    "weight": np.linspace(1, 2, 5),
    "sample_weight": np.linspace(1, 2, 3),
}
RESIZED = {
    "turned": lambda r, c: (c, r),
    "smaller": lambda r, c: (1, c),
    "larger": lambda r, c: (90 * r, c),
}


class Error(Exception):
    pass


class Acting:
    """A number or an array that does something each time it is asked what it is."""

    def __init__(self, value, act):
        self.value, self.act, self.asked = value, act, 0

    def _answer(self):
        self.asked += 1
        self.act()
        return self.value

    def __float__(self):
        return float(self._answer())

    def __index__(self):
        return int(self._answer())

    def __bool__(self):
        return bool(self._answer())

    def __array__(self, dtype=None, copy=None):
        return self._answer()


def owned(name):
    """arguments(), each with memory of its own, so that it can be resized."""
    return [a.copy() for a in arguments(name)]


def options_of(name):
    weight = {"weight": np.linspace(1, 2, 7)} if name.startswith("linear") else {}
    return {
        o: (OPTIONS | weight)[o]
        for o in inspect.signature(getattr(sg, name)).parameters
        if o in OPTIONS
    }


def places_of(name):
    """Where an argument can be: a position, or the name of an option."""
    return [*range(len(arguments(name))), *options_of(name)]


def call(name, given, place, value, **options):
    given = list(given)
    if isinstance(place, int):
        given[place] = value
    else:
        options[place] = value
    return getattr(sg, name)(*given, **options)


def outcome(function, *args, **options):
    """What the call returns, or the type of the error that it raises."""
    try:
        return function(*args, **options)
    except (IndexError, TypeError, ValueError) as error:
        return type(error)


def original(name, place, given):
    return given[place] if isinstance(place, int) else options_of(name)[place]


EVERY = [(name, place) for name in ALL for place in places_of(name)]
every = pytest.mark.parametrize(("name", "place"), EVERY)


@every
def test_each_argument_is_read_once(name, place):
    given = owned(name)
    value = original(name, place, given)
    acting = Acting(value, lambda: None)
    assert_same_bits(call(name, given, place, acting), call(name, given, place, value))
    assert acting.asked == 1


@every
def test_an_argument_that_raises(name, place):
    """Its error is not swallowed, and nothing has been written."""

    def act():
        raise Error

    given = owned(name)
    out = {}
    if name in WITH_OUT or name == "cross_entropy_grad_hess":
        result = getattr(sg, name)(*given, **({"keepdims": True} if name == "logsumexp" else {}))
        if name == "cross_entropy_grad_hess":
            out["out"] = tuple(np.full_like(a, 7) for a in result)
        else:
            out["out"] = np.full_like(result[-1] if isinstance(result, tuple) else result, 7)
    acting = Acting(original(name, place, given), act)
    with pytest.raises(Error):
        call(name, given, place, acting, **out)
    assert (np.array(out.get("out", 7)) == 7).all()


@pytest.mark.parametrize("resized", RESIZED)
@every
def test_an_argument_that_resizes_the_others(name, place, resized):
    """The call is as if they had been so from the start: their memory is looked at when all code has run."""

    def resize(arrays):
        for i, a in enumerate(arrays):
            if i != place and a.ndim == 2:
                a.resize(RESIZED[resized](*a.shape), refcheck=False)

    given, before = owned(name), owned(name)
    value = original(name, place, before)
    done = []

    def act():
        if not done:
            resize(given)
            done.append(np.ones(1000))  # takes the memory that was given back

    resize(before)
    expected = outcome(call, name, before, place, value)
    actual = outcome(call, name, given, place, Acting(value, act))
    assert done
    if isinstance(expected, type):
        assert actual is expected
    else:
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("resized", RESIZED)
@pytest.mark.parametrize("name", WITH_OUT)
def test_an_out_that_resizes_the_arguments(name, resized):
    def resize(arrays):
        for a in arrays:
            if a.ndim == 2 and RESIZED[resized](*a.shape) != a.shape:
                a.resize(RESIZED[resized](*a.shape), refcheck=False)

    given, before = owned(name), owned(name)
    resize(before)
    expected = outcome(getattr(sg, name), *before)
    wrong = isinstance(expected, type)
    array = np.zeros(3) if wrong else expected[-1] if isinstance(expected, tuple) else expected
    out = Acting(np.zeros_like(array), lambda: resize(given) if given[0].shape == (3, 5) else None)
    actual = outcome(getattr(sg, name), *given, out=out)
    if wrong:
        assert actual is expected
    else:
        assert (actual[-1] if isinstance(actual, tuple) else actual) is out
        assert_same_bits(out.value, array)


def test_a_pair_that_changes_its_length():
    class Pair(list):
        def __len__(self):
            length = super().__len__()
            self.append(None)
            return length

    logits, labels = arguments("cross_entropy_grad_hess")
    pair = Pair([np.empty((3, 5)), np.empty((3, 5))])
    grad, hess = sg.cross_entropy_grad_hess(logits, labels, out=pair)
    assert grad is pair[0]
    assert hess is pair[1]


@pytest.mark.parametrize("name", LOSSES)
def test_targets_that_grow_while_they_are_read(name):
    class Growing:
        """A sequence."""

        length = 3

        def __len__(self):
            return self.length

        def __getitem__(self, i):
            if i >= self.length:
                raise IndexError
            self.length += i < 2
            x.resize((1, 5), refcheck=False)
            return 1

    x = owned(name)[0]
    with raises(ValueError, name, "targets", re.escape("(1, 5)")):
        getattr(sg, name)(x, Growing())


@pytest.mark.parametrize("name", [*LOSSES, *LINEAR])
def test_a_reduction_that_compares_itself(name):
    class Word(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            x.resize((1, 5), refcheck=False)
            return str.__eq__(self, other)

    x, *others = owned(name)
    with raises(ValueError, name, "targets", re.escape("(1,)")):
        getattr(sg, name)(x, *others, reduction=Word("sum"))


# --- what an object says it is


@pytest.mark.parametrize("bad", [None, 1.0, [[1.0]], "x"], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_an_array_method_that_gives_no_array(name, bad):
    given = arguments(name)
    for i in range(len(given)):
        with raises(TypeError, name, "NumPy can read", "Acting"):
            getattr(sg, name)(*given[:i], Acting(bad, lambda: None), *given[i + 1 :])


@pytest.mark.parametrize("name", WITH_OUT)
def test_an_out_that_is_elsewhere_the_second_time(name):
    given = arguments(name)
    result = getattr(sg, name)(*given)
    result = result[-1] if isinstance(result, tuple) else result
    memories = [np.full_like(result, 7) for _ in range(2)]
    turn = itertools.cycle(memories)

    class Out(Acting):
        value = property(lambda self: next(turn), lambda self, value: None)

    with raises(ValueError, name, "out", "copy"):
        getattr(sg, name)(*given, out=Out(None, lambda: None))
    assert (np.array(memories) == 7).all()


@pytest.mark.parametrize("name", ALL)
def test_a_class_that_pretends_to_be_an_ndarray(name):
    class Pretender(Acting):
        __class__ = property(lambda self: np.ndarray)

    given = arguments(name)
    pretenders = [Pretender(a, lambda: None) for a in given]
    assert_same_bits(getattr(sg, name)(*pretenders), getattr(sg, name)(*given))
    assert [p.asked for p in pretenders] == [1] * len(given)


class Liar(np.ndarray):
    """An array whose Python side may not be trusted, or used."""

    armed = False

    def _refuse(self, *args, **options):
        if Liar.armed:
            raise Error
        return NotImplemented

    shape = strides = dtype = ndim = size = flags = base = T = __array_interface__ = property(
        _refuse
    )
    __array_finalize__ = __array_ufunc__ = __array_function__ = __array_wrap__ = __array__ = _refuse
    __getitem__ = __len__ = __iter__ = __dlpack__ = view = reshape = astype = copy = transpose = (
        _refuse
    )


@pytest.mark.parametrize("name", ALL)
def test_a_subclass_that_lies_about_itself(name, monkeypatch):
    """It is read by what NumPy knows of it, and no code of it runs."""
    given = arguments(name)
    expected = getattr(sg, name)(*given)
    liars = [np.ndarray.view(a, Liar) for a in given]
    options, memory = {}, None
    if name in WITH_OUT:
        memory = np.zeros_like(expected[-1] if isinstance(expected, tuple) else expected)
        options["out"] = np.ndarray.view(memory, Liar)
    monkeypatch.setattr(Liar, "armed", True)
    actual = getattr(sg, name)(*liars, **options)
    monkeypatch.undo()
    if memory is None:
        assert_same_bits(actual, expected)
    else:
        assert (actual[-1] if isinstance(actual, tuple) else actual) is options["out"]
        assert_same_bits(memory, expected[-1] if isinstance(expected, tuple) else expected)


class Described:
    def __init__(self, a, **changes):
        self.memory, self.__array_interface__ = a, a.__array_interface__ | changes


def test_what_an_object_says_of_its_memory():
    """Any view of it will do; what cannot be one is NumPy's error, or no number."""
    a = np.arange(15.0)
    for shape, strides in (
        ((3, 5), (0, 8)),
        ((4, 6), (8, 16)),
        ((5, 3), (8, 0)),
        ((0, 2**40), None),
    ):
        rows = Described(a, shape=shape, strides=strides)
        assert_same_bits(sg.softmax(rows), sg.softmax(np.array(rows)))
    wrong = [{"shape": (-3, 5)}, {"strides": (8, 8)}, {"shape": (2**62, 2)}, {"typestr": "<x9"}]
    for changes in wrong:
        with pytest.raises((TypeError, ValueError)):
            sg.softmax(Described(a, **changes))
    on_gpu = type("OnGpu", (), {"__cuda_array_interface__": a.__array_interface__})()
    with raises(TypeError, "softmax", "object"):
        sg.softmax(on_gpu)


def test_memory_that_is_exported_cannot_be_resized():
    x = array.array("d", [1.0, 2.0, 3.0])
    with pytest.raises(BufferError):
        sg.softmax(x, temperature=Acting(1.0, lambda: x.append(4.0)))
    assert len(x) == 3


@pytest.mark.parametrize("call", [
    "cross_entropy_value_and_grad(x, labels, reduction='none')",
    "cross_entropy_value_and_grad(x, x)",
    "cross_entropy_grad_hess(x, labels.astype('i4'))",
    "logsumexp(x)",
    "softmax(x, temperature=2.0)",
])  # fmt: skip
def test_the_garbage_collector_turns_an_array(call):
    """Where memory is taken, Python before 3.12 may run a callback of the collector's, which turns x. Each round it is a
    later allocation that does it."""
    code = f"""
import gc, warnings, numpy as np, softgrad as sg
warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2.5: there is still code that sets a shape
x, labels = np.zeros((200000, 2)), np.zeros(200000, np.int64)
armed = False
def turn(phase, info):
    global armed
    if armed and phase == "start":
        armed = False
        x.shape = (2, 200000)
gc.disable()
gc.callbacks.append(turn)
tuples = [(i,) * k for k in range(1, 8) for i in range(4200)]  # no free list has one left
for allocations in range(1, 60):
    x.shape = (200000, 2)
    tuples += [(i,) * k for k in range(1, 8) for i in range(2100)]
    gc.set_threshold(700, 0, 0)
    gc.collect()
    gc.set_threshold(allocations, 0, 0)
    armed = True
    gc.enable()
    try:
        sg.{call}
    except ValueError:
        pass
    gc.disable()
    armed = False
"""
    assert run_python(code, timeout=300) == (0, "", "")
