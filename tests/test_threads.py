"""Threads: how many, from many Python threads at once, and what the environment says. After a fork: test_fork.py."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import ALL, FULL, JACOBIANS, LINEAR, arguments, assert_same_bits, run_python

import softgrad as sg
from softgrad import _core

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not Linux")


def test_set_and_get(threads):
    for n in (1, 2, 7, 1000):
        threads(n)
        assert sg.get_num_threads() == n
    threads(np.int64(3))
    assert sg.get_num_threads() == 3
    assert sg.set_num_threads(2) is None


def test_the_default_is_the_number_of_cpus_of_this_process():
    status, out, err = run_python("import softgrad; print(softgrad.get_num_threads())")
    assert status == 0, err
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= int(out) <= available


@pytest.mark.parametrize("n", ["1", "2", "5"])
def test_environment_variable(n):
    status, out, err = run_python(
        "import softgrad; print(softgrad.get_num_threads())", SOFTGRAD_NUM_THREADS=n
    )
    assert (status, out) == (0, n), err


@pytest.mark.parametrize("bad", ["", "0", "-3", "many", "1.5", "99999999999999999999"])
def test_nonsense_in_the_environment_still_leaves_at_least_one_thread(bad):
    code = "import softgrad, numpy; assert softgrad.get_num_threads() >= 1; softgrad.softmax(numpy.ones((9, 9999)))"
    status, _, err = run_python(code, SOFTGRAD_NUM_THREADS=bad)
    assert status == 0, err


SLOW_GETENV = """
#include <string.h>
#include <unistd.h>
extern char **environ;
char *getenv(const char *name) {
    const size_t n = strlen(name);
    if (strcmp(name, "SOFTGRAD_NUM_THREADS") == 0) usleep(500000);
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=') return *e + n + 1;
    return 0;
}
"""


@linux
def test_a_setting_made_while_another_thread_finds_out_the_default(tmp_path):
    """A first call does so without the GIL. It must not undo the setting."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "slow.c").write_text(SLOW_GETENV)
    library = str(tmp_path / "slow.so")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "slow.c"], check=True, timeout=60
    )
    code = """
import threading, time, numpy, softgrad as sg
x, begun = numpy.ones((100, 10_000)), threading.Event()
other = threading.Thread(target=lambda: (begun.set(), sg.softmax(x)))
other.start()
begun.wait()
time.sleep(0.2)
sg.set_num_threads(7)
assert other.is_alive()
other.join()
print(sg.get_num_threads())
"""
    before = os.environ.get("LD_PRELOAD", "")  # a sanitizer's runtime, which must be first
    assert run_python(code, LD_PRELOAD=f"{before} {library}") == (0, "7", "")


THREADS_USED = """
import os, time
import numpy as np, softgrad as sg
from threadpoolctl import threadpool_limits
x = np.zeros((400, 20000), np.float32)

def tasks():
    return set(os.listdir("/proc/self/task"))

def run_time(task):  # nanoseconds
    with open(f"/proc/self/task/{task}/schedstat") as f:
        return int(f.read().split()[0])
"""


@linux
@pytest.mark.parametrize(
    "one",
    ["OMP_NUM_THREADS", "SOFTGRAD_NUM_THREADS", "threadpool_limits(1)", "sg.set_num_threads(1)"],
)
def test_one_thread_means_no_other_is_started(one):
    pytest.importorskip("threadpoolctl")
    environment = {"OPENBLAS_NUM_THREADS": "1"}
    code = THREADS_USED
    if one.endswith("THREADS"):
        environment[one] = "1"
    else:
        code += f"limits = {one}\n"
    status, out, err = run_python(code + "sg.softmax(x, out=x); print(len(tasks()))", **environment)
    assert (status, out) == (0, "1"), err


@linux
@pytest.mark.skipif(_core.threading_layer() != "openmp", reason="threadpoolctl knows OpenMP")
def test_threadpool_limits_ends_the_use_of_a_thread_that_is_there():
    """And what threadpool_info says of softgrad's OpenMP."""
    pytest.importorskip("threadpoolctl")
    code = """
from threadpoolctl import threadpool_info
(openmp,) = [info for info in threadpool_info() if info["user_api"] == "openmp"]
assert openmp["num_threads"] == 2, openmp
before = tasks()
sg.softmax(x, out=x)
(other,) = tasks() - before
with threadpool_limits(1):
    time.sleep(0.5)  # OpenMP's threads wait actively at first
    idle = run_time(other)
    for _ in range(5): sg.softmax(x, out=x)
    assert run_time(other) == idle
    assert sg.get_num_threads() == 2
for _ in range(5): sg.softmax(x, out=x)
assert run_time(other) > idle
assert tasks() - before == {other}
"""
    two = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2", "SOFTGRAD_NUM_THREADS": "2"}
    assert run_python(THREADS_USED + code, **two) == (0, "", "")


QUOTA = """
import ctypes, os, sys
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x44000
libc, root = ctypes.CDLL(None), b"/sys/fs/cgroup"
if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC_PRIVATE, None) or libc.mount(b"t", root, b"tmpfs", 0, None):
    print("not permitted"); sys.exit()
for name, text in {files!r}.items():
    path = os.path.join(root.decode(), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f: f.write(text + "\\n")
import softgrad; print(softgrad.get_num_threads())
"""


@linux
@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "100001 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_quota_of_the_control_group(files, quota):
    """Of version 2 and 1, rounded up; none beyond the CPUs that there are."""
    status, out, err = run_python(QUOTA.format(files=files))
    if out == "not permitted":
        pytest.skip("mounts are not permitted here")
    available = len(os.sched_getaffinity(0))
    assert (status, out) == (0, str(min(quota or available, available))), err


@linux
def test_affinity():
    code = "import os, softgrad; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(softgrad.get_num_threads())"
    assert run_python(code) == (0, "1", "")


# Of two dimensions: a single row that is shared out in blocks, rows that are, classes across memory, small ones.
SHAPES = [(1, 100_000), (700, 100), (25, 3000), (3, 5)]


def calls_of(name):
    """Calls of one function, each with arrays of its own: of every type, large and small, classes last and first."""
    dtypes = [np.float32, np.float64, np.float16]
    if importlib.util.find_spec("ml_dtypes"):
        dtypes.append(importlib.import_module("ml_dtypes").bfloat16)
    function, calls = getattr(sg, name), []
    for dtype in map(np.dtype, dtypes):
        for shape in SHAPES if name not in JACOBIANS else [(8, 100), (3, 5)]:
            given = arguments(name, dtype, shape)
            if name in LINEAR:
                given[2] %= len(given[1])
            calls.append(lambda given=given: function(*given))
            if name not in LINEAR:
                first = [np.asarray(a.T, order="C") if a.ndim == 2 else a for a in given]
                calls.append(lambda first=first: function(*first, axis=0))
    return calls


@pytest.fixture
def one_blas_thread():
    """What shares the products out must not tell: BLAS's bits are its own."""
    with pytest.importorskip("threadpoolctl").threadpool_limits(1, user_api="blas"):
        yield


@pytest.mark.usefixtures("one_blas_thread")
@pytest.mark.parametrize("name", ALL)
def test_many_python_threads_at_once(name, threads):
    """Each with arrays of its own, while others set the number of threads: the bits of the calls one after the other."""
    calls, stop, strange = calls_of(name), threading.Event(), []
    threads(1)
    expected = [call() for call in calls]

    def set_and_get():
        while not stop.wait(1e-4):
            for n in (1, 2, 3):
                sg.set_num_threads(n)
                if sg.get_num_threads() not in (1, 2, 3):
                    strange.append(n)

    setters = [threading.Thread(target=set_and_get) for _ in range(2)]
    for setter in setters:
        setter.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            for _ in range(50 if FULL else 1):
                futures = [(i, pool.submit(calls[i])) for i in range(len(calls))]
                for i, future in futures:
                    assert_same_bits(future.result(), expected[i], f"call {i}")
    finally:
        stop.set()
        for setter in setters:
            setter.join()
    assert not strange


def test_every_instruction_set_in_many_python_threads(isa, threads):
    threads(2)
    calls = calls_of("cross_entropy_value_and_grad")
    expected = [call() for call in calls]
    with ThreadPoolExecutor(6) as pool:
        for i, future in [(i, pool.submit(call)) for i, call in enumerate(calls)]:
            assert_same_bits(future.result(), expected[i], f"{isa} {i}")


def test_one_array_read_by_many_threads(threads):
    """Results in rows of one array: what a call writes ends where its `out` does."""
    threads(2)
    rng = np.random.default_rng(0)
    x, out = rng.normal(0, 3, (64, 3001)).astype(np.float32), np.zeros((64, 3001), np.float32)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: sg.softmax(x[i % 8 :: 8], out=out[i % 8 :: 8]), range(8)))
    assert_same_bits(out, sg.softmax(x))


def test_the_gil_is_released(threads):
    """While one thread computes a long softmax another one gets to run."""
    threads(1)
    x = np.zeros((500, 100_000), np.float32)
    ticks, done = [], threading.Event()

    def compute():
        sg.softmax(x, out=x)
        done.set()

    worker = threading.Thread(target=compute)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        worker.start()
        while not done.is_set():
            ticks.append(0)
            done.wait(1e-3)
    finally:
        sys.setswitchinterval(switch)
        worker.join()
    assert len(ticks) > 5


def test_labels_changed_by_another_thread_do_no_harm(threads):
    """The GIL is released after the check of the labels: reads stay in bounds whatever they become."""
    threads(2)
    x, labels, stop = np.zeros((2000, 50), np.float32), np.zeros(2000, np.int64), threading.Event()

    def vandal():
        while not stop.is_set():
            labels[:] = 2**40
            labels[:] = 0

    other = threading.Thread(target=vandal)
    other.start()
    try:
        for _ in range(100):
            try:
                _, grad = sg.cross_entropy_value_and_grad(x, labels)
            except IndexError:
                continue
            assert grad.shape == x.shape
    finally:
        stop.set()
        other.join()
