"""Memory and reference counts over many calls of every function: results, `out=`, errors, threaded calls.

What grows is measured in a process of its own. With SOFTGRAD_FULL=1 it takes a million calls, else twenty thousand.
"""

import gc
import importlib
import importlib.util
import sys

import numpy as np
import pytest
from helpers import ALL, FULL, LINEAR, LOSSES, WITH_OUT, arguments, run_python

import softgrad as sg

DTYPES = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16)]
if importlib.util.find_spec("ml_dtypes"):
    DTYPES.append(np.dtype(importlib.import_module("ml_dtypes").bfloat16))


def ways(name):
    """Ways to call a function: label -> (arrays that it is given, the call)."""
    function, found = getattr(sg, name), {}

    def add(label, *given, **options):
        found[label] = ([*given, *options.values()], lambda: function(*given, **options))

    for dtype in DTYPES:
        given = arguments(name, dtype)
        add(f"{dtype}", *given)
        turned = [np.asarray(a.T, order="C").T if a.ndim == 2 else a for a in given]
        add(f"{dtype} turned", *turned)
        if name in WITH_OUT:
            result = function(*given)
            out = result[1] if isinstance(result, tuple) else result
            add(f"{dtype} out", *given, out=np.empty_like(out))
            stepped = np.empty((*out.shape, 2), out.dtype)[..., 0]
            add(f"{dtype} out stepped", *given, out=stepped)
    if name == "cross_entropy_grad_hess":
        x, labels = arguments(name)
        add("out", x, labels, out=(np.empty_like(x), np.empty_like(x)))
    add("integers", *(np.arange(15).reshape(3, 5) % 3 if a.ndim == 2 else a for a in given))
    add("lists", *(a.tolist() for a in given))
    return found


def errors(name):
    """Calls that raise."""
    function, found = getattr(sg, name), {}

    def add(label, *given, **options):
        found[label] = ([*given, *options.values()], lambda: function(*given, **options))

    given = arguments(name)
    add("dtype", given[0].astype(complex), *given[1:])
    add("keyword", *given, unknown=given[0])
    if name not in LINEAR:
        add("axis", *given, axis=9)
    if len(given) > 1:
        add("shape", *given[:-1], np.zeros((2, 2, 2), np.int64))
    if name in [*LOSSES, *LINEAR]:
        add("label", *given[:-1], np.array([0, 99, 1]))
        add("reduction", *given, reduction="median")
        add("weight", *given, weight=np.ones(99))
    if name in WITH_OUT:
        result = function(*given)
        out = result[1] if isinstance(result, tuple) else result
        add("out dtype", *given, out=out.astype(np.float16))
        add("out shape", *given, out=np.empty(99))
        fixed = out.copy()
        fixed.flags.writeable = False
        add("out fixed", *given, out=fixed)
    return found


def held(objects):
    """How often the arrays and lists are referred to, and the types."""
    flat = [o for one in objects for o in (one if isinstance(one, tuple) else (one,))]
    flat = [o for o in flat if isinstance(o, np.ndarray | list)]
    return [sys.getrefcount(o) for o in [*flat, *DTYPES, np.float32, np.float64]]


def call_all(calls, times, failing):
    for call in calls:
        for _ in range(times):
            if failing:
                try:
                    call()
                except Exception:
                    continue
                raise AssertionError("no error")
            call()


@pytest.mark.parametrize("kind", [ways, errors])
@pytest.mark.parametrize("name", ALL)
def test_reference_counts(name, kind):
    """Not one more or less after many calls, and no more of Python's memory."""
    found = kind(name)
    calls = [call for _, call in found.values()]
    call_all(calls, 3, kind is errors)
    gc.collect()  # what other tests left; it empties Python's free lists, too
    before = [held(objects) for objects, _ in found.values()]
    more = []
    for _ in range(3):  # what else runs in the process takes a few blocks, too, but not each time
        blocks = sys.getallocatedblocks()
        call_all(calls, 50, kind is errors)
        gc.collect()
        more.append(sys.getallocatedblocks() - blocks)
    assert min(more) < 50, "one block a call"
    for label, counts, (objects, _) in zip(found, before, found.values(), strict=True):
        assert held(objects) == counts, label


GROWTH = r'''
import ctypes
import sys
import numpy as np
import softgrad as sg
from helpers import ALL, arguments
from test_leaks import call_all, errors, ways

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

libc, allowed = ctypes.CDLL(None), 2**18  # an allocator's own changes, about twice what was seen
if hasattr(libc, "mallinfo2"):  # glibc 2.33
    libc.mallinfo2.restype = Mallinfo2
    allowed = 2**12

def in_use():
    """Bytes that malloc has given away; on another C library those of the process."""
    if hasattr(libc, "mallinfo2"):
        info = libc.mallinfo2()
        return info.uordblks + info.hblkhd
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096

def growth(name, times):
    function = getattr(sg, name)
    calls = [call for _, call in ways(name).values()]
    failing = [call for _, call in errors(name).values()]
    given = arguments(name, np.float32, (8, 100) if "jacobian" in name else (70, 1000))
    if name.startswith("linear"):
        given[2] %= len(given[1])
    for times in times // 10 + 5, times + 1:  # the first warms up
        before = in_use()
        call_all(calls, times, False)
        call_all(failing, times, True)
        call_all([lambda: function(*given)], times, False)
    return in_use() - before

sg.set_num_threads(2)
for name in ALL:
    grown = growth(name, CALLS // len(ALL) // 25)
    assert grown < allowed, (name, grown)
print("done")
'''


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow():
    """Some 25 ways to call each function: small, large enough for threads, wrong."""
    code = f"CALLS = {1_000_000 if FULL else 20_000}\n{GROWTH}"
    assert run_python(code, timeout=3000, PYTHONPATH=":".join(sys.path)) == (0, "done", "")
