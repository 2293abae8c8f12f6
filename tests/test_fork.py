"""Processes that are forked, after and while threads compute, and those that pools start: none hangs, all give the same bits.

Every child here has a watchdog, a thread of faulthandler's that needs neither the GIL nor a signal: it ends the process
with the status 1 where that hangs.
"""

import ast
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from helpers import run_python

from softgrad import _core

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
gnu_openmp = pytest.mark.skipif(
    not sys.platform.startswith("linux") or _core.threading_layer() != "openmp",
    reason="not Linux with OpenMP",
)

TWO_THREADS = {"SOFTGRAD_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}

START = """
import ctypes, faulthandler, os, sys, threading
import numpy as np

def in_a_child(work, fork=os.fork):
    faulthandler.cancel_dump_traceback_later()  # a child cannot: the watchdog's thread is not there
    pid = fork()
    if pid == 0:
        status = 1
        try:
            faulthandler.dump_traceback_later(30, exit=True)
            work()
            status = 0
        finally:
            if status:
                sys.excepthook(*sys.exc_info())
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

x = np.random.default_rng(0).normal(0, 3, (200, 10_000)).astype(np.float32)
"""

IMPORTED = (
    "import softgrad as sg\nexpected = sg.softmax(x).tobytes()  # threads exist from here on\n"
)

WORK = """
def work():
    assert sg.softmax(x).tobytes() == expected
    sg.set_num_threads(3)
    assert sg.get_num_threads() == 3
    assert sg.softmax(x).tobytes() == expected
    assert sg.softmax(x.T, 0).T.tobytes() == expected
    sg.cross_entropy_value_and_grad(x.astype(np.float16), np.zeros(200, int))
"""


def run(*parts, timeout=60, **environment):
    status, out, err = run_python(START + "".join(parts), timeout=timeout, **environment)
    assert status == 0, out + err
    return out


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_after_threads(fork):
    """GNU OpenMP hangs in a child forked after it was used. A child's child, and the parent afterwards, are no exceptions."""
    generations = f"""
def generations():
    work()
    in_a_child(work, {fork})
    work()
in_a_child(generations, {fork})
work()
"""
    run(IMPORTED, WORK, generations, **TWO_THREADS)


def test_while_other_threads_compute():
    run(
        IMPORTED,
        WORK,
        """
stop = threading.Event()
def compute():
    while not stop.is_set():
        assert sg.softmax(x).tobytes() == expected
others = [threading.Thread(target=compute) for _ in range(2)]
for other in others: other.start()
try:
    for _ in range(10): in_a_child(work)
finally:
    stop.set()
for other in others: other.join()
""",
        **TWO_THREADS,
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools(method):
    """multiprocessing's and concurrent.futures', of every way to start a process."""
    run(
        IMPORTED,
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

context = multiprocessing.get_context({method!r})
watchdog = faulthandler.dump_traceback_later, (60, False, 2, True)
with context.Pool(2, *watchdog) as pool:
    results = pool.map_async(sg.softmax, [x] * 4).get(60)
with ProcessPoolExecutor(2, context, *watchdog) as pool:
    results += [f.result(60) for f in [pool.submit(sg.softmax, x) for _ in range(4)]]
assert [r.tobytes() for r in results] == [expected] * 8
assert sg.softmax(x).tobytes() == expected  # the parent goes on
""",
        **TWO_THREADS,
    )


THREADS = """
def threads():
    return len(os.listdir("/proc/self/task"))

def work():
    import softgrad as sg
    before = threads()
    result = sg.softmax(x).tobytes()
    print(threads() - before, flush=True)
    assert result == sg.softmax(x).tobytes()
"""


@gnu_openmp
def test_threads_are_used_where_they_can_be():
    """Not in the child of a process that has softgrad; in the child of one that has nothing of it."""
    assert run(THREADS, "in_a_child(work)", **TWO_THREADS) == "1"
    assert run(THREADS, "import softgrad; in_a_child(work); work()", **TWO_THREADS) == "0\n1"


@pytest.fixture(scope="module")
def openmp_library():
    """The file that softgrad's OpenMP is in."""
    pytest.importorskip("threadpoolctl")
    code = "import softgrad, threadpoolctl; print([i['filepath'] for i in threadpoolctl.threadpool_info() if i['user_api'] == 'openmp'])"
    (library,) = ast.literal_eval(run_python(code)[1])
    return library


@gnu_openmp
@pytest.mark.parametrize("when", ["before", "after"])
def test_another_library_used_the_same_openmp(when, openmp_library):
    """softgrad is imported before or after the fork, and called for the first time in the child."""
    uses = f"""
openmp = ctypes.CDLL({openmp_library!r})
def use():  # what `#pragma omp parallel` becomes
    openmp.GOMP_parallel(ctypes.CDLL(None).getpid, None, 2, 0)
use()
assert threads() == 2
"""
    imports = "import softgrad\n" if when == "before" else ""
    fork = "in_a_child(work)\nuse()\nwork()\n"
    out = run(THREADS, imports, uses, fork, **TWO_THREADS)
    assert out == "0\n0", "no thread in the child; in the parent that which was there already"


@gnu_openmp
def test_in_a_thread_of_a_process_that_was_not_forked(openmp_library):
    """Linux marks threads, but for the first, as it marks forked processes; here another library has loaded OpenMP before."""
    first = f"ctypes.CDLL({openmp_library!r})\n"
    thread = "t = threading.Thread(target=work); t.start(); t.join()"
    assert run(THREADS, first, thread, **TWO_THREADS) == "1"


SKLEARN = """
from sklearn.ensemble import HistGradientBoostingClassifier
def use():
    return HistGradientBoostingClassifier(max_iter=2).fit(x[:, :20], np.arange(200) % 3)
"""
TORCH = """
import torch
def use():
    return torch.softmax(torch.from_numpy(x), 1).sum()
"""


@gnu_openmp
@pytest.mark.parametrize(
    ("library", "code"), [("sklearn", SKLEARN), ("torch", TORCH)], ids=["sklearn", "torch"]
)
def test_beside_libraries_that_use_openmp(library, code):
    """Used before the fork; softgrad is imported in the child."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"no {library}")
    child = """
def work():
    import softgrad as sg
    assert abs(sg.softmax(x).sum(1) - 1).max() < 1e-5
    sg.set_num_threads(1)
    assert sg.softmax(x).shape == x.shape
use()
in_a_child(work)
use()
work()
"""
    run(code, child, **TWO_THREADS)


SAME_NUMBER = """
CLONE_NEWPID = 0x20000000
def new_namespace():
    if ctypes.CDLL(None).unshare(CLONE_NEWPID):
        print("not permitted"); sys.exit()

def first():
    import softgrad as sg
    expected = sg.softmax(x).tobytes()
    def child():
        assert os.getpid() == 1
        assert sg.softmax(x).tobytes() == expected
    assert os.getpid() == 1
    new_namespace()
    in_a_child(child)

new_namespace()
in_a_child(first)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
def test_a_child_with_the_number_of_the_process_that_imported_softgrad():
    """As numbers come again, and in a container in a container."""
    if "/libomp." in Path("/proc/self/maps").read_text():
        pytest.skip("LLVM's OpenMP looks for its process in /proc by that number, and aborts")
    if run(SAME_NUMBER, **TWO_THREADS) == "not permitted":
        pytest.skip("unshare is not permitted here")
