"""softgrad.torch: cross_entropy and softmax as functions of tensors that autograd differentiates."""

import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same_bits, raises, run_python
from test_docstrings import README, check

import softgrad as sg

torch = pytest.importorskip("torch")
import softgrad.torch as st  # noqa: E402

F = torch.nn.functional
CLASSES = 5
BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "torch_training.py"

FLOATS = [torch.float32, torch.float64]
HALVES = [torch.float16, torch.bfloat16]
REDUCTIONS = ["mean", "sum", "none"]
SHAPES = {"c": (CLASSES,), "nc": (4, CLASSES), "nchw": (2, CLASSES, 3, 2)}
OPTIONS = [
    "", "weight", "label_smoothing", "ignore_index", "weight+label_smoothing+ignore_index",
    "temperature", "z_loss", "sample_weight",
    "weight+label_smoothing+ignore_index+temperature+z_loss+sample_weight",
]  # fmt: skip
IN_PYTORCH = [
    o for o in OPTIONS if not {"temperature", "z_loss", "sample_weight"} & {*o.split("+")}
]

by_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=str)
by_any_dtype = pytest.mark.parametrize("dtype", FLOATS + HALVES, ids=str)
by_kind = pytest.mark.parametrize("kind", ["labels", "probabilities"])
by_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
by_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
by_options = pytest.mark.parametrize("names", OPTIONS, ids=lambda n: n or "plain")
by_options_of_pytorch = pytest.mark.parametrize("names", IN_PYTORCH, ids=lambda n: n or "plain")


def tensor(a):
    """The tensor of an array or of a NumPy scalar."""
    return torch.from_numpy(np.asarray(a))


def problem(rng, kind="labels", shape=SHAPES["nc"], dtype=torch.float64, names=""):
    """(logits, target, options), the options being those that `names` names."""
    logits = tensor(rng.normal(0, 2, shape)).to(dtype)
    dim = min(1, len(shape) - 1)
    rows = [n for d, n in enumerate(shape) if d != dim]
    labels = tensor(rng.integers(0, CLASSES, rows))
    options = {
        "weight": tensor(rng.random(CLASSES) + 0.5).to(dtype),
        "label_smoothing": 0.1,
        "ignore_index": 2,
        "temperature": 1.7,
        "z_loss": 0.01,
        "sample_weight": tensor(rng.random(rows) + 0.5).to(dtype),
    }
    options = {name: options[name] for name in names.split("+") if name}
    if kind == "labels":
        if "ignore_index" in options and rows:
            labels.view(-1)[1] = 2
        return logits, labels, options
    options.pop("ignore_index", None)
    return logits, torch.softmax(tensor(rng.normal(0, 1, shape)).to(dtype), dim), options


def layouts(x):
    """The same values in other places of memory."""
    wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1] + 1, dtype=x.dtype)[..., 1::2]
    wide.copy_(x)
    found = {"plain": x, "stepped": wide, "turned": x.mT.contiguous().mT}
    if x.ndim == 4:
        found["channels_last"] = x.contiguous(memory_format=torch.channels_last)
    return found


def array(tensor):
    """A tensor as an array of the same bits."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(pytest.importorskip("ml_dtypes").bfloat16)
    return tensor.numpy()


def differentiated(function, x, *args, seed=None, **options):
    """(result, gradient in x) of a function of tensors; `seed` is the gradient in its result."""
    x = x.detach().requires_grad_()
    result = function(x, *args, **options)
    result.backward(torch.ones_like(result) if seed is None else seed)
    return result.detach(), x.grad


# --- cross_entropy: the numbers


@by_reduction
@by_options
@by_kind
@by_any_dtype
def test_cross_entropy_is_that_of_arrays(dtype, kind, names, reduction, rng):
    if dtype is torch.bfloat16:
        pytest.importorskip("ml_dtypes")
    logits, target, options = problem(rng, kind, dtype=dtype, names=names)
    arrays = {k: array(v) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    given = array(logits), array(target), 1
    expected = sg.cross_entropy_value_and_grad(*given, reduction=reduction, **arrays)
    loss, grad = differentiated(st.cross_entropy, logits, target, reduction=reduction, **options)
    assert grad.dtype == dtype
    for actual, exact in zip((array(loss), array(grad)), expected, strict=True):
        assert actual.dtype == exact.dtype
        assert_same_bits(actual.astype(np.float64), exact.astype(np.float64))


@by_reduction
@by_options_of_pytorch
@by_shape
@by_kind
@by_dtype
def test_cross_entropy_is_that_of_pytorch(dtype, kind, shape, names, reduction, rng):
    logits, target, options = problem(rng, kind, shape, dtype, names)
    options["reduction"] = reduction
    rows = F.cross_entropy(logits, target, **options)
    seed = tensor(rng.normal(0, 1, rows.shape)).to(dtype)
    expected = differentiated(F.cross_entropy, logits, target, seed=seed, **options)
    actual = differentiated(st.cross_entropy, logits, target, seed=seed, **options)
    torch.testing.assert_close(actual, expected)


def test_positional_arguments_are_those_of_pytorch(rng):
    logits, target, options = problem(rng, names="weight")
    torch.testing.assert_close(
        st.cross_entropy(logits, target, options["weight"]),
        F.cross_entropy(logits, target, options["weight"]),
    )
    torch.testing.assert_close(
        st.cross_entropy(input=logits, target=target), F.cross_entropy(input=logits, target=target)
    )
    with pytest.raises(TypeError):  # PyTorch has two deprecated arguments among the next ones
        st.cross_entropy(logits, target, options["weight"], 0)


@pytest.mark.parametrize("label_type", [torch.uint8, torch.int8, torch.int32, torch.int64], ids=str)
def test_labels_of_any_integer_type(label_type, rng):
    logits, target, _ = problem(rng)
    torch.testing.assert_close(
        st.cross_entropy(logits, target.to(label_type)), F.cross_entropy(logits, target)
    )


@pytest.mark.parametrize("dim", [0, 1, -1, 2])
def test_class_dimension(dim, rng):
    x = tensor(rng.normal(0, 1, (3, 4, 2)))
    target = tensor(rng.integers(0, x.shape[dim], x.select(dim, 0).shape))
    seed = tensor(rng.normal(0, 1, target.shape))
    expected = differentiated(
        lambda a: F.cross_entropy(a.movedim(dim, 1), target, reduction="none"), x, seed=seed
    )
    actual = differentiated(st.cross_entropy, x, target, dim=dim, reduction="none", seed=seed)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("layout", ["plain", "stepped", "turned", "channels_last"])
@by_reduction
def test_layouts(layout, reduction, rng):
    logits, target, _ = problem(rng, shape=SHAPES["nchw"])
    x = layouts(logits)[layout]
    expected = differentiated(st.cross_entropy, logits, target, reduction=reduction)
    loss, grad = differentiated(st.cross_entropy, x, target, reduction=reduction)
    torch.testing.assert_close((loss, grad), expected, rtol=0, atol=0)
    assert grad.stride() == torch.empty_like(x).stride()


def test_expanded_logits(rng):
    row = tensor(rng.normal(0, 1, (1, CLASSES)))
    target = torch.arange(CLASSES)
    torch.testing.assert_close(
        differentiated(lambda x: st.cross_entropy(x.expand(CLASSES, -1), target), row),
        differentiated(lambda x: F.cross_entropy(x.expand(CLASSES, -1), target), row),
    )


@by_reduction
@by_kind
def test_empty_batch(kind, reduction):
    x = torch.zeros((0, CLASSES))
    target = torch.zeros(0, dtype=torch.int64) if kind == "labels" else torch.zeros((0, CLASSES))
    loss, grad = differentiated(st.cross_entropy, x, target, reduction=reduction)
    assert grad.shape == x.shape
    expected = F.cross_entropy(x, target, reduction=reduction)
    torch.testing.assert_close(loss, expected, equal_nan=True)


# --- cross_entropy: derivatives


@by_reduction
@by_options
@by_kind
def test_gradcheck(kind, names, reduction, rng):
    logits, target, options = problem(rng, kind, names=names)
    assert torch.autograd.gradcheck(
        lambda x: st.cross_entropy(x, target, reduction=reduction, **options),
        logits.requires_grad_(),
    )


@pytest.mark.parametrize("layout", ["plain", "stepped", "turned", "channels_last"])
@by_reduction
def test_gradcheck_of_layouts(layout, reduction, rng):
    logits, target, options = problem(rng, shape=SHAPES["nchw"], names="weight+label_smoothing")
    x = layouts(logits)[layout].detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: st.cross_entropy(x, target, reduction=reduction, **options), x
    )


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_pass_over_a_retained_graph(scale, reduction, rng):
    logits, target, _ = problem(rng)
    expected = differentiated(
        lambda x: scale * F.cross_entropy(x, target, reduction=reduction).sum(), logits
    )[1]
    x = logits.requires_grad_()
    loss = scale * st.cross_entropy(x, target, reduction=reduction).sum()
    loss.backward(retain_graph=True)
    torch.testing.assert_close(x.grad, expected)
    x.grad.mul_(100)  # what an optimiser does to it must not reach what the graph keeps
    loss.backward(retain_graph=True)
    torch.testing.assert_close(x.grad, 101 * expected)
    x.grad = None
    loss.backward()
    torch.testing.assert_close(x.grad, expected)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_the_gradient_that_a_retained_graph_keeps_is_not_changed_unseen(rng):
    logits, target, _ = problem(rng)
    x = logits.requires_grad_()
    loss = st.cross_entropy(x, target)
    (grad,) = torch.autograd.grad(loss, x, retain_graph=True)
    grad.zero_()
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


def test_gradient_of_the_loss_itself_is_handed_on(rng):
    logits, target, _ = problem(rng)
    x = logits.requires_grad_()
    loss = st.cross_entropy(x, target)
    (kept,) = loss.grad_fn.saved_tensors
    (grad,) = torch.autograd.grad(loss, x)
    assert grad.data_ptr() == kept.data_ptr()


@by_reduction
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_scaled_loss_of_a_half_precision(dtype, reduction, rng):
    pytest.importorskip("ml_dtypes")
    logits, target, _ = problem(rng, dtype=dtype)
    loss, grad = differentiated(st.cross_entropy, logits, target, reduction=reduction)
    seed = torch.full_like(loss, 3.0)
    scaled = differentiated(st.cross_entropy, logits, target, reduction=reduction, seed=seed)[1]
    assert loss.dtype is torch.float32
    assert scaled.dtype is dtype
    torch.testing.assert_close(scaled, (3 * grad.float()).to(dtype), rtol=0, atol=0)


def test_gradients_add_up_where_logits_are_used_twice(rng):
    logits, target, _ = problem(rng)

    def twice(cross_entropy):
        return lambda x: cross_entropy(x, target) + cross_entropy(x, target.flip(0)) + x.sum()

    torch.testing.assert_close(
        differentiated(twice(st.cross_entropy), logits),
        differentiated(twice(F.cross_entropy), logits),
    )


@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference"]
)
def test_no_gradient_is_computed_where_none_is_recorded(mode, rng, monkeypatch):
    logits, target, _ = problem(rng)
    expected = F.cross_entropy(logits, target)
    monkeypatch.delattr(sg, "cross_entropy_value_and_grad")
    assert not st.cross_entropy(logits, target).requires_grad
    with mode():
        loss = st.cross_entropy(logits.requires_grad_(), target)
        assert not st.softmax(logits, 1).requires_grad
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected)
    with pytest.raises(AttributeError):  # where one is, it would have been called
        st.cross_entropy(logits, target)


def test_second_derivative_of_cross_entropy_is_refused(rng):
    logits, target, _ = problem(rng)
    x = logits.requires_grad_()
    with raises(NotImplementedError, "cross_entropy", "create_graph=False", "True"):
        torch.autograd.grad(st.cross_entropy(x, target), x, create_graph=True)


# PyTorch 2.13 warns of its own use of torch.jit when forward mode begins
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_forward_mode_and_torch_func_are_refused(rng):
    logits, target, _ = problem(rng)
    functions = [lambda x: st.cross_entropy(x, target), lambda x: st.softmax(x, 1).sum()]
    for function in functions:
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(logits, logits)
            with pytest.raises(NotImplementedError, match="forward mode"):
                function(dual)
        with pytest.raises(RuntimeError, match="functorch"):
            torch.func.grad(function)(logits)


# PyTorch 2.13 warns of its own doings when it compiles an autograd function
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled(rng):
    logits, target, _ = problem(rng)

    def function(x):
        return st.cross_entropy(2 * x, target) + st.softmax(x, 1)[0, 0]

    compiled = torch.compile(function, backend="eager")
    torch.testing.assert_close(differentiated(compiled, logits), differentiated(function, logits))


# --- softmax


@pytest.mark.parametrize("dim", [0, 1, -1, 2])
@by_dtype
def test_softmax_is_that_of_pytorch(dtype, dim, rng):
    x, seed = tensor(rng.normal(0, 2, (2, 3, 4, 5))).to(dtype)
    torch.testing.assert_close(
        differentiated(st.softmax, x, dim, seed=seed),
        differentiated(torch.softmax, x, dim, seed=seed),
    )


@by_any_dtype
def test_softmax_is_that_of_arrays(dtype, rng):
    if dtype is torch.bfloat16:
        pytest.importorskip("ml_dtypes")
    x, seed = tensor(rng.normal(0, 2, (2, 3, 4))).to(dtype)
    y, grad = differentiated(st.softmax, x, 0, seed=seed)
    assert (y.dtype, grad.dtype) == (dtype, dtype)
    exact = sg.softmax(array(x), 0)
    for actual, expected in ((y, exact), (grad, sg.softmax_vjp(exact, array(seed), 0))):
        assert_same_bits(array(actual).astype(np.float64), expected.astype(np.float64))


@pytest.mark.parametrize("layout", ["plain", "stepped", "turned", "channels_last"])
def test_gradcheck_of_softmax(layout, rng):
    x = layouts(tensor(rng.normal(0, 1, (2, 3, 2, 2))))[layout].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: st.softmax(x, 1), x)
    assert torch.autograd.gradgradcheck(lambda x: st.softmax(x, 1), x)
    assert st.softmax(x, 1).stride() == torch.empty_like(x).stride()


def test_softmax_keeps_what_a_second_pass_needs(rng):
    x, seed = tensor(rng.normal(0, 1, (2, 3, 4)))
    x.requires_grad_()
    y = st.softmax(x, 1)
    (first,) = torch.autograd.grad(y, x, seed, retain_graph=True)
    expected = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(y, x, seed, retain_graph=True)
    torch.testing.assert_close(second, expected, rtol=0, atol=0)
    with torch.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="inplace operation"):
        torch.autograd.grad(y, x, seed)


def test_integers_and_bool_give_float64():
    for x in (torch.arange(3), torch.tensor([True, False, True])):
        torch.testing.assert_close(st.softmax(x, 0), torch.softmax(x.double(), 0))
        loss = st.cross_entropy(x, torch.tensor(1))
        torch.testing.assert_close(loss, F.cross_entropy(x.double(), torch.tensor(1)))


# --- errors


@pytest.mark.parametrize("name", ["input", "target", "weight", "sample_weight"])
@pytest.mark.parametrize(
    ("replace", "words"),
    [
        (lambda a: a.tolist(), ["torch.Tensor", "list"]),
        (lambda a: a.to("meta"), ["on the CPU", "on meta"]),
        (lambda a: a.to_sparse(), ["NumPy can read", "Sparse"]),
    ],
    ids=["list", "meta", "sparse"],
)
def test_no_tensor_or_not_one_of_the_cpu(name, replace, words, rng):
    logits, target, options = problem(rng, names="weight+sample_weight")
    given = {"input": logits, "target": target, **options}
    given[name] = replace(given[name])
    with raises(TypeError, "cross_entropy", f"expected {name} ", *words):
        st.cross_entropy(**given)
    if name == "input":
        with raises(TypeError, "softmax", "expected input ", *words):
            st.softmax(given[name], 1)


@pytest.mark.parametrize("name", ["target", "weight", "sample_weight"])
def test_what_gets_no_gradient_may_require_none(name, rng):
    logits, target, options = problem(rng, "probabilities", names="weight+sample_weight")
    given = {"input": logits, "target": target, **options}
    expected = st.cross_entropy(**given)
    given[name].requires_grad_()
    with raises(TypeError, "cross_entropy", f"expected {name} that requires no gradient"):
        st.cross_entropy(**given)
    with torch.no_grad():
        assert st.cross_entropy(**given) == expected


def test_errors_of_softgrad(rng):
    logits, target, _ = problem(rng)
    target[2] = CLASSES
    with raises(IndexError, r"targets\[2\] = 5 is out of bounds for 5 classes"):
        st.cross_entropy(logits.requires_grad_(), target)
    with raises(IndexError, "softmax", "2"):
        st.softmax(logits, 2)
    with raises(ValueError, "cross_entropy", "reduction", "'max'"):
        st.cross_entropy(logits, target, reduction="max")
    with raises(ValueError, "cross_entropy", "targets of shape", r"\(3,\)"):
        st.cross_entropy(logits, target[:3])
    for function in (lambda x: st.softmax(x, 1), lambda x: st.cross_entropy(x, target)):
        with raises(TypeError, "float64", "complex128"):
            function(logits.detach() + 0j)


# --- the module


def test_softgrad_does_not_import_pytorch():
    code = "import softgrad, sys; print('torch' in sys.modules, 'softgrad.torch' in sys.modules)"
    assert run_python(code)[:2] == (0, "False False")


@pytest.mark.parametrize("name", st.__all__)
def test_docstring_examples(name):
    text = inspect.getdoc(getattr(st, name))
    assert "\nReturns\n-------\n" in text
    assert check(text, name, f"softgrad.torch.{name}") >= 4


# --- training


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_training_gives_the_losses_of_pytorch(one_thread):
    pytest.importorskip("sklearn")
    pytest.importorskip("rich")
    benchmark = runpy.run_path(str(BENCHMARK))
    x, labels = benchmark["digits"]()
    ours = benchmark["train"](st.cross_entropy, x, labels)
    theirs = benchmark["train"](F.cross_entropy, x, labels)
    assert len(ours) == 5 * 29
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert np.mean(ours[-29:]) < 0.1 * ours[0]


def test_readme_example():
    blocks = re.findall(
        r"^```pycon\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = (b for b in blocks if "softgrad.torch" in b)
    assert check(block, "README.md", str(README)) == 8
