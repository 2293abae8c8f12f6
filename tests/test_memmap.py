"""Memory-mapped arrays: computed where they lie, in memory far smaller than they are."""

import sys
import tracemalloc

import numpy as np
import pytest
from helpers import (
    FUNCTIONS,
    GRADIENTS,
    PRODUCTS,
    arguments,
    assert_same_bits,
    raises,
    run_python,
)

import softgrad as sg

INTO_A_MAP = [*FUNCTIONS, *PRODUCTS, *GRADIENTS]

# Runs with a limit on the memory that is not a file's (RLIMIT_DATA, which Linux alone applies to all
# of it). Rows at the ends and in the middle have values, which are compared; the rest of the file is
# a hole, so that it takes no time to make.
SCRIPT = """
import resource
import tracemalloc

import numpy as np

import softgrad as sg

ROWS, CLASSES, ALLOWED = 2**17, 1024, 2**25

rng = np.random.default_rng(3)
sample = np.array([0, 1, ROWS // 2, ROWS - 1])
logits = np.memmap({folder!r} + "/logits", np.float32, "w+", shape=(ROWS, CLASSES))
logits[sample] = rng.normal(0, 3, (len(sample), CLASSES))
out = logits
if {another}:
    out = np.memmap({folder!r} + "/out", np.float32, "w+", shape=(ROWS, CLASSES))
targets = rng.integers(0, CLASSES, ROWS)
if {probabilities}:
    targets = np.memmap({folder!r} + "/targets", np.float32, "w+", shape=(ROWS, CLASSES))
    targets[sample] = 1 / CLASSES
loss_of_some, grad_of_some = sg.cross_entropy_value_and_grad(
    np.array(logits[sample]), np.array(targets[sample]), reduction="none"
)
sg.cross_entropy(np.zeros((64, 10000)), np.zeros(64, int))  # the threads' stacks count too

with open("/proc/self/status") as status:
    (used,) = (1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + ALLOWED, used + ALLOWED))
assert logits.nbytes >= 16 * ALLOWED
try:
    np.array(logits)
except MemoryError:
    pass
else:
    raise AssertionError("a copy fits within the limit, which therefore shows nothing")

tracemalloc.start()
losses, grad = sg.cross_entropy_value_and_grad(logits, targets, reduction="none", out=out)
print(tracemalloc.get_traced_memory()[1])
assert grad is out
assert (losses[sample] == loss_of_some).all()
assert (grad[sample] == grad_of_some).all()
"""


def array_of(result):
    """The array that out= receives, of what the function returns."""
    return result[-1] if isinstance(result, tuple) else result


def peak_of(function, *args, **options):
    """(what the call returns, the most memory that NumPy and Python held for it)."""
    tracemalloc.start()
    try:
        result = function(*args, **options)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def mapped(tmp_path):
    """(array, mode="r") -> the array, mapped from a file that is removed after the test."""
    files = []

    def save(a, mode="r"):
        files.append(tmp_path / f"{len(files)}.npy")
        np.save(files[-1], a)
        return np.load(files[-1], mmap_mode=mode)

    yield save
    for file in files:
        file.unlink()


@pytest.mark.parametrize("name", INTO_A_MAP)
def test_from_maps_into_a_map(mapped, dtype, name):
    given = arguments(name, dtype, (2000, 257))
    expected = getattr(sg, name)(*given)
    out = mapped(np.zeros_like(array_of(expected)), "r+")
    maps = [mapped(a) for a in given]
    result, peak = peak_of(getattr(sg, name), *maps, out=out)
    assert array_of(result) is out
    assert_same_bits(result, expected)
    assert peak < given[0].nbytes / 8
    out.flush()
    assert_same_bits(np.load(out.filename), array_of(expected))


@pytest.mark.parametrize("name", [*PRODUCTS, *GRADIENTS, "softmax", "log_softmax"])
def test_in_place_in_a_map(mapped, dtype, name):
    given = arguments(name, dtype, (2000, 257))
    expected = getattr(sg, name)(*given)
    x = mapped(given[0], "r+")
    result, peak = peak_of(getattr(sg, name), x, *given[1:], out=x)
    assert array_of(result) is x
    assert_same_bits(result, expected)
    assert peak < x.nbytes / 8


@pytest.mark.parametrize("name", GRADIENTS)
def test_probabilities_in_a_map(mapped, dtype, name):
    given = [np.abs(a) for a in arguments("softmax_vjp", dtype, (2000, 257))]
    expected = getattr(sg, name)(*given)
    out = np.zeros_like(given[0])
    result, peak = peak_of(getattr(sg, name), *map(mapped, given), out=out)
    assert_same_bits(result, expected)
    assert peak < out.nbytes / 8


def test_a_class_axis_in_the_middle(mapped, dtype):
    x = arguments("softmax", dtype, (40, 30, 50))[0]
    expected = sg.softmax(x, 1)
    out = mapped(np.zeros_like(x), "r+")
    result, peak = peak_of(sg.softmax, mapped(x), 1, out=out)
    assert_same_bits(result, expected)
    assert peak < x.nbytes / 8


def test_modes(mapped):
    x = arguments("softmax")[0]
    with raises(ValueError, "softmax", "read-only"):
        sg.softmax(x, out=mapped(x, "r"))
    private = mapped(x, "c")  # copy on write
    assert sg.softmax(x, out=private) is private
    assert_same_bits(private, sg.softmax(x))
    assert_same_bits(np.load(private.filename), x)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone limits all memory by RLIMIT_DATA")
@pytest.mark.parametrize(
    ("another", "probabilities"),
    [(True, False), (False, False), (True, True)],
    ids=["labels", "labels-in_place", "probabilities"],
)
def test_logits_larger_than_memory(tmp_path, another, probabilities):
    """512 MiB of logits, 32 MiB of memory; of these the losses of the rows take about 2."""
    code = SCRIPT.format(folder=str(tmp_path), another=another, probabilities=probabilities)
    try:
        status, peak, error = run_python(code, SOFTGRAD_NUM_THREADS="2")
    finally:
        for file in tmp_path.iterdir():
            file.unlink()
    assert status == 0, error
    assert int(peak) < 2**22
