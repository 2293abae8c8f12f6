"""Every allocation of every function fails in turn: a MemoryError, nothing written, nothing leaked, and the next call
works. c/fail_malloc.c makes them fail.
"""

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from helpers import ALL, run_python

import softgrad as sg

COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
if platform.libc_ver()[0] != "glibc" or not shutil.which(COMPILER):
    pytest.skip(f"malloc is replaced in glibc's way, by {COMPILER}", allow_module_level=True)

SOURCE = Path(__file__).parent / "c" / "fail_malloc.c"

# Each case is tried with k = 1, 2, ... until its k-th allocation is one too many and it succeeds.
SCRIPT = """
import ctypes
import gc
import itertools
import sys

import numpy as np
from helpers import LINEAR, LOSSES, PRODUCTS, WITH_OUT, arguments, assert_same_bits

import softgrad as sg

calls_to_failure = ctypes.c_long.in_dll(ctypes.CDLL(None), "calls_to_failure")
blocks_in_use = ctypes.c_long.in_dll(ctypes.CDLL(None), "blocks_in_use")


def arrays_of(value):
    if isinstance(value, (tuple, list)):
        return [a for one in value for a in arrays_of(one)]
    return [value] if isinstance(value, np.ndarray) else []


def attempt(function, given, options, k):
    # (whether that many allocations were not made, the result)
    calls_to_failure.value = k
    try:
        result = function(*given, **options)
    except MemoryError:
        assert calls_to_failure.value <= 0
        return False, None
    finally:
        left, calls_to_failure.value = calls_to_failure.value, 0
    return left > 0, result


def fails_in_turn(function, given, options):
    expected = function(*[a.copy() for a in given], **options | out_of(options, np.copy))
    read_and_written = arrays_of([given, *options.values()])
    before = [a.tobytes() for a in read_and_written]
    gc.collect()
    blocks = blocks_in_use.value
    for k in itertools.count(1):
        succeeded, result = attempt(function, given, options, k)
        if succeeded:
            break
        assert result is None, (k, "an allocation failed, and the call went on")
        assert [a.tobytes() for a in read_and_written] == before, (k, "written before the error")
        gc.collect()
        assert blocks_in_use.value == blocks, (k, "leaked")
    assert_same_bits(result, expected)
    del result
    gc.collect()
    assert blocks_in_use.value == blocks, "leaked by the call that succeeded"
    return k - 1


def out_of(options, copy):
    out = options.get("out")
    if out is None:
        return {}
    return {"out": tuple(map(copy, out)) if isinstance(out, tuple) else copy(out)}


def transposed(a):
    return np.ascontiguousarray(np.moveaxis(a, -1, 0))


function, failures = getattr(sg, name), {}
for kind, shape, threads in [
    ("float64", (600, 260), 2),  # scratch is for more than 256 classes, losses of 512 rows have 4096 bytes
    ("float16", (600, 260), 1),
    ("float32", (1, 100000), 2),  # two threads for one row
]:
    if name.endswith("jacobian"):
        shape = (9, 70)
    sg.set_num_threads(threads)
    given = arguments(name, np.dtype(kind), shape)
    if name in LINEAR:
        given[2] %= 7
    function(*given)  # what is made once is made here: threads, buffers of BLAS
    result = function(*given)
    array = result[-1] if isinstance(result, tuple) else result
    cases = {"plain": (given, {})}
    if name in LOSSES + LINEAR:
        weight = np.linspace(1, 2, 7 if name in LINEAR else shape[1])
        options = {"weight": weight, "sample_weight": np.linspace(1, 2, shape[0]), "reduction": "none"}
        cases["weights"] = given, options
    if name in LOSSES:
        cases["probabilities"] = [given[0], np.abs(given[0]).astype("i4")], {"reduction": "none"}
    if name not in LINEAR:
        cases["other axis"] = [transposed(a) if a.ndim > 1 else a for a in given], {"axis": 0}
    if name in ("softmax", "log_softmax", "logsumexp"):
        cases["where"] = given, {"where": np.arange(shape[1]) % 3 > 0}
    if name == "logsumexp":
        cases["b"] = given, {"b": np.abs(given[0])}
    if name in WITH_OUT:
        for case, (args, options) in list(cases.items()):
            if case == "other axis":
                continue
            cases[case + ", out"] = args, options | {"out": np.full_like(array, 7)}
            packed = np.zeros(array.shape, [("a", "V1"), ("b", array.dtype)])
            cases[case + ", packed out"] = args, options | {"out": packed["b"]}
    if name == "cross_entropy_grad_hess":
        pair = np.full((2, *shape), 7, given[0].dtype)
        cases["pair"] = given, {"out": tuple(pair)}
    for case, (args, options) in cases.items():
        failures[kind, shape, case] = fails_in_turn(function, args, options)
print(sum(failures.values()))
for case, n in failures.items():
    print(*case, n, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def fail_malloc(tmp_path_factory):
    """The library to preload."""
    library = tmp_path_factory.mktemp("malloc") / "fail_malloc.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-Werror", str(SOURCE), "-o", str(library)]
    subprocess.run(command, check=True, timeout=60)
    return library


@pytest.mark.parametrize("name", ALL)
def test_every_allocation_fails(name, fail_malloc):
    environment = {
        "LD_PRELOAD": str(fail_malloc),
        "OPENBLAS_NUM_THREADS": "1",
    }  # it exits where malloc fails
    paths = os.pathsep.join(map(str, [Path(sg.__file__).parent.parent, Path(__file__).parent]))
    code = f"name = {name!r}\n" + SCRIPT
    status, failures, error = run_python(code, PYTHONPATH=paths, **environment)
    assert status == 0, error
    assert int(failures) > 5, error  # of a result, of scratch
