"""Arrays of other libraries: read and written where they lie, refused with a reason where they cannot be.

What is tested of a library is skipped by its name where it is not installed; the extra `interop` has all.
"""

import array
import re
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import ALL, JACOBIANS, LINEAR, WITH_OUT, arguments, assert_same_bits, raises

import softgrad as sg
from softgrad._interop import as_array


class DLPack:
    """An array that has nothing but DLPack."""

    def __init__(self, a):
        self._a = a

    def __dlpack__(self, **options):
        return self._a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._a.__dlpack_device__()


class Interface:
    """An array that has nothing but NumPy's description of its memory."""

    def __init__(self, a):
        self._a = a  # keeps the memory
        self.__array_interface__ = a.__array_interface__


class OnGpu:
    """An array on a GPU that copies itself to the host when NumPy asks, as JAX's does."""

    device = "cuda:0"
    dtype = np.dtype(np.float64)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("it was read")

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA


def torch_tensor(a):
    return pytest.importorskip("torch").from_numpy(a)


def jax_array(a):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):  # float64 and int64 as they are
        return jax.numpy.asarray(a)


def pandas_frame(a):
    pandas = pytest.importorskip("pandas")
    return pandas.Series(a, copy=False) if a.ndim == 1 else pandas.DataFrame(a, copy=False)


def pandas_of_several_blocks(a):
    frame = pandas_frame(a)
    if a.ndim > 1:
        frame = pytest.importorskip("pandas").concat([frame.iloc[:, :1], frame.iloc[:, 1:]], axis=1)
    return frame


def polars_frame(a):
    polars = pytest.importorskip("polars")
    return polars.Series(a) if a.ndim == 1 else polars.DataFrame(a)


def from_array_module(a):
    """Of one dimension; a memoryview of it of more."""
    flat = array.array(a.dtype.char if a.dtype.kind == "f" else "q", a.tobytes())
    return flat if a.ndim == 1 else memoryview(flat).cast("B").cast(flat.typecode, a.shape)


SHARED = [torch_tensor, pandas_frame, memoryview, from_array_module, DLPack, Interface]
WRITABLE = [torch_tensor, memoryview, from_array_module, Interface]
if np.from_dlpack(np.zeros(1)).flags.writeable:  # NumPy 2.2.0 lets none be written to
    WRITABLE.append(DLPack)
ANY = [*SHARED, jax_array, pandas_of_several_blocks, polars_frame]

every = pytest.mark.parametrize("make", ANY)
by_name = pytest.mark.parametrize("name", ALL)
by_name_with_out = pytest.mark.parametrize("name", WITH_OUT)


def array_of(result):
    """The array that out= receives, of what the function returns."""
    return result[-1] if isinstance(result, tuple) else result


def peak_of(function, *args, **options):
    tracemalloc.start()
    try:
        function(*args, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- inputs


@every
@by_name
def test_every_argument(dtype, name, make):
    given = arguments(name, dtype)
    assert_same_bits(getattr(sg, name)(*map(make, given)), getattr(sg, name)(*given))


@every
def test_options_that_are_arrays(dtype, make):
    logits, labels = arguments("cross_entropy", dtype)
    weights = {
        "weight": np.linspace(1, 2, 5).astype(dtype),
        "sample_weight": np.linspace(1, 3, 3).astype(dtype),
    }
    made = {option: make(a) for option, a in weights.items()}
    assert_same_bits(
        sg.cross_entropy_value_and_grad(logits, labels, **made),
        sg.cross_entropy_value_and_grad(logits, labels, **weights),
    )
    b = np.abs(logits)
    assert_same_bits(sg.logsumexp(logits, b=make(b)), sg.logsumexp(logits, b=b))
    bias = weights["weight"]
    x, w = arguments("linear_cross_entropy", dtype)[0], np.eye(5, dtype=dtype)
    assert_same_bits(
        sg.linear_cross_entropy(x, w, labels, make(bias)),
        sg.linear_cross_entropy(x, w, labels, bias),
    )


@pytest.mark.parametrize("make", [torch_tensor, jax_array, pandas_frame, polars_frame, memoryview])
def test_masks(make):
    x = arguments("softmax")[0]
    mask = x > 0
    assert_same_bits(sg.softmax(x, where=make(mask)), sg.softmax(x, where=mask))


@pytest.mark.parametrize("make", SHARED)
def test_the_memory_is_the_given_one(dtype, make):
    a = np.arange(15, dtype=dtype).reshape(3, 5)
    value = make(a)
    shared = as_array("softmax", "x", value)
    assert type(shared) is np.ndarray
    assert_same_bits(shared, a)
    if make is from_array_module:  # which copies `a`
        a = np.asarray(value)
    assert np.shares_memory(shared, a)


@pytest.mark.parametrize("make", [jax_array, lambda a: polars_frame(a.reshape(-1))])
def test_the_memory_of_a_library_that_copies_what_it_is_made_from(dtype, make):
    value = make(np.arange(15, dtype=dtype).reshape(3, 5))
    first, second = (as_array("softmax", "x", value) for _ in range(2))
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("make", [torch_tensor, jax_array, pandas_frame, memoryview, DLPack])
def test_a_large_call_copies_nothing(dtype, make):
    x = np.zeros((1000, 1000), dtype)
    labels, out = np.zeros(1000, np.int64), np.empty_like(x)
    given = make(x), make(labels)
    peak = peak_of(
        sg.cross_entropy_value_and_grad, *given, out=make(out) if make in WRITABLE else out
    )
    assert peak < x.nbytes / 50


def test_views_of_tensors(rng):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(rng.normal(0, 1, (4, 6, 8)))
    for view in (x[1:, ::2], x.transpose(0, 2), x[:, :1].expand(4, 5, 8), x[0, 0], x[0, 0, 0]):
        plain = view.numpy().copy()
        assert_same_bits(sg.softmax(view, None), sg.softmax(plain, None))


def test_an_empty_tensor_of_floats_is_no_list():
    torch = pytest.importorskip("torch")
    with raises(TypeError, "cross_entropy", "targets", "integer", "float32"):
        sg.cross_entropy(torch.zeros(0, 5), torch.zeros(0))
    assert np.isnan(sg.cross_entropy(torch.zeros(0, 5), []))


def test_bytes_and_objects_are_named_in_the_error():
    for bad, word in ((b"abcd", "S4"), ({1.0}, "object"), (OnGpu, "object")):
        with raises(TypeError, "softmax", "x", "float32", re.escape(word)):
            sg.softmax(bad)


# --- out


@pytest.mark.parametrize("make", WRITABLE)
@by_name_with_out
def test_out_is_returned_itself(dtype, name, make):
    given = arguments(name, dtype)
    expected = getattr(sg, name)(*given)
    out = make(np.full_like(array_of(expected), 77))
    result = getattr(sg, name)(*given, out=out)
    assert array_of(result) is out
    assert_same_bits(np.array(as_array(name, "out", out)), array_of(expected))


@pytest.mark.parametrize("make", WRITABLE)
@pytest.mark.parametrize("name", [n for n in WITH_OUT if n not in ("logsumexp", *JACOBIANS)])
def test_in_place(dtype, name, make):
    given = arguments(name, dtype)
    expected = getattr(sg, name)(*given)
    x = make(given[0].copy())
    assert array_of(getattr(sg, name)(x, *given[1:], out=x)) is x
    assert_same_bits(np.array(as_array(name, "out", x)), array_of(expected))


@pytest.mark.parametrize("make", WRITABLE)
def test_a_pair(make):
    logits, labels = arguments("cross_entropy_grad_hess")
    expected = sg.cross_entropy_grad_hess(logits, labels)
    memory = np.zeros((2, 3, 5))
    out = make(memory[0]), make(memory[1])
    result = sg.cross_entropy_grad_hess(logits, labels, out=out)
    assert result[0] is out[0]
    assert result[1] is out[1]
    for actual, e in zip(result, expected, strict=True):
        assert_same_bits(np.array(as_array("", "", actual)), e)
    if make is not from_array_module:
        with raises(ValueError, "cross_entropy_grad_hess", "overlap"):
            sg.cross_entropy_grad_hess(logits, labels, out=(make(memory[0]), make(memory[0])))


def test_tensors_that_overlap(rng):
    torch = pytest.importorskip("torch")
    memory = torch.from_numpy(rng.normal(0, 1, (6, 5)))
    expected = sg.softmax(memory[:5].numpy().copy())
    out = memory[1:]
    assert sg.softmax(memory[:5], out=out) is out
    assert_same_bits(out.numpy().copy(), expected)


def test_empty_and_zero_dimensional_out():
    torch = pytest.importorskip("torch")
    for shape in ((0, 5), (5, 0), ()):
        out = torch.full(shape, 7.0)
        assert sg.softmax(np.zeros(shape, np.float32), None, out=out) is out
        assert (out == 1).all()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (jax_array, "immutable"),
        (lambda a: memoryview(a).toreadonly(), "read-only"),
        (pandas_of_several_blocks, "copy"),
        (polars_frame, "copy|immutable"),
        (lambda a: polars_frame(a.reshape(-1)), "immutable"),
    ],
    ids=["jax", "memoryview", "pandas", "polars", "polars_column"],
)
def test_out_that_cannot_be_written_to(make, reason):
    x = np.linspace(0, 1, 15).reshape(3, 5)
    out = make(np.full((3, 5), 7.0))
    with raises(ValueError, "softmax", "out", type(out).__name__, reason):
        sg.softmax(x, out=out)
    assert (np.asarray(out) == 7).all()


@pytest.mark.parametrize("make", WRITABLE)
@by_name_with_out
def test_out_of_another_type_or_shape(name, make):
    given = arguments(name)
    shape = array_of(getattr(sg, name)(*given)).shape
    for wrong, error in (
        (np.zeros(shape, np.float32), TypeError),
        (np.zeros((2, *shape)), ValueError),
    ):
        out = make(wrong)
        with raises(error, name, "out"):
            getattr(sg, name)(*given, out=out)
        assert not np.any(as_array(name, "out", out))


@pytest.mark.parametrize("bad", [[0.0] * 5, 1.0, "out", {}], ids=str)
def test_out_that_is_no_array(bad):
    with raises(TypeError, "softmax", "out", "array", type(bad).__name__):
        sg.softmax(np.zeros(5), out=bad)


# --- what may not be read


@by_name
def test_a_tensor_that_is_not_on_the_cpu(name):
    torch = pytest.importorskip("torch")
    given = arguments(name)
    for i, a in enumerate(given):
        tensor = torch.from_numpy(a).to("meta")
        with raises(TypeError, name, "CPU", "Tensor on meta"):
            getattr(sg, name)(*given[:i], tensor, *given[i + 1 :])


@by_name_with_out
def test_out_that_is_not_on_the_cpu(name):
    with raises(TypeError, name, "out", "CPU", "OnGpu on cuda:0"):
        getattr(sg, name)(*arguments(name), out=OnGpu())


@by_name
def test_an_array_on_a_gpu_is_not_copied_to_the_host(name):
    with raises(TypeError, name, "CPU", "OnGpu on cuda:0"):
        getattr(sg, name)(OnGpu(), *arguments(name)[1:])


@pytest.mark.parametrize("kind", ["float64", "bfloat16"])
@by_name
def test_a_tensor_that_requires_grad(name, kind):
    """Its gradient would be lost without a word."""
    torch = pytest.importorskip("torch")
    given = arguments(name)
    tensor = torch.from_numpy(given[0]).to(getattr(torch, kind)).requires_grad_()
    with raises(TypeError, name, "gradient", "detach", r"softgrad\.torch"):
        getattr(sg, name)(tensor, *given[1:])
    if name in WITH_OUT:
        with raises(TypeError, name, "out", "gradient"):
            getattr(sg, name)(*given, out=tensor)


def test_what_the_library_refuses():
    """In its own words, and its error is the cause."""
    torch = pytest.importorskip("torch")
    with raises(TypeError, "softmax", "x", "Tensor", "Sparse", "to_dense") as info:
        sg.softmax(torch.eye(3).to_sparse())
    assert isinstance(info.value.__cause__, TypeError)


def test_under_a_transformation_of_jax():
    jax = pytest.importorskip("jax")
    with raises(TypeError, "softmax", "x", "traced array"):
        jax.jit(sg.softmax)(jax.numpy.zeros(3))


# --- float16 and bfloat16


def test_the_memory_of_bfloat16_tensors():
    torch, ml_dtypes = pytest.importorskip("torch"), pytest.importorskip("ml_dtypes")
    tensor = torch.arange(15).reshape(3, 5).to(torch.bfloat16)
    for view in (tensor, tensor.T, tensor[1:, ::2], tensor[0, 3]):
        a = as_array("softmax", "x", view)
        assert a.dtype == ml_dtypes.bfloat16
        assert (a.astype(np.float32) == view.float().numpy()).all()
        assert np.shares_memory(a, tensor.view(torch.int16).numpy())


def test_bfloat16_without_ml_dtypes(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with raises(ImportError, "softmax", "x", "ml_dtypes", "bfloat16"):
        sg.softmax(torch.zeros(3, dtype=torch.bfloat16))


def half(kind):
    """NumPy's type of the name float16 or bfloat16."""
    return np.dtype(getattr(pytest.importorskip("ml_dtypes"), kind) if kind == "bfloat16" else kind)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [n for n in ALL if n not in LINEAR])
def test_halves(name, kind):
    torch = pytest.importorskip("torch")
    given = arguments(name, half(kind))
    tensors = [
        torch.from_numpy(a.astype(np.float32)).to(getattr(torch, kind))
        if a.dtype.kind != "i"
        else torch.from_numpy(a)
        for a in given
    ]
    expected = getattr(sg, name)(*given)
    assert_same_bits(getattr(sg, name)(*tensors), expected)
    if name in WITH_OUT:
        result = array_of(expected)
        out = torch.zeros(result.shape, dtype=getattr(torch, result.dtype.name))
        assert array_of(getattr(sg, name)(*tensors, out=out)) is out
        assert_same_bits(as_array(name, "out", out), result)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_halves_of_jax(kind):
    x = arguments("softmax", half(kind))[0]
    assert_same_bits(sg.softmax(jax_array(x)), sg.softmax(x))
