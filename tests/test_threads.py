"""Threads: how many, from many Python threads at once, and what the environment says. After a fork: test_fork.py."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import assert_same_bits, run_python

import softgrad as sg

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
    assert run_python(code, LD_PRELOAD=library) == (0, "7", "")


THREADS_USED = """
import os, threading, time
import numpy as np, softgrad as sg
x = np.zeros((400, 20000), np.float32)
sg.softmax(x, out=x)
print(len(os.listdir("/proc/self/task")))
"""


@linux
@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "SOFTGRAD_NUM_THREADS"])
def test_one_thread_means_no_other_is_started(variable):
    one = {"OPENBLAS_NUM_THREADS": "1", variable: "1"}
    status, out, err = run_python(THREADS_USED, **one)
    assert (status, out) == (0, "1"), err


def call_everything(seed):
    """Results of several functions large enough to be shared out among threads."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(0, 3, (64, 1000)), rng.integers(0, 1000, 64)
    return (
        sg.softmax(x),
        sg.log_softmax(x, 0),
        sg.logsumexp(x),
        *sg.cross_entropy_value_and_grad(x, labels),
        *sg.cross_entropy_grad_hess(x, labels, reduction="none"),
    )


def test_many_python_threads_at_once(isa, threads):
    threads(2)
    expected = [call_everything(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for actual, e in zip(pool.map(call_everything, range(8)), expected, strict=True):
                assert_same_bits(actual, e)


def test_setting_the_threads_while_others_compute(threads):
    expected, stop = call_everything(1), threading.Event()

    def flicker():
        while not stop.is_set():
            for n in (1, 2, 3):
                sg.set_num_threads(n)

    other = threading.Thread(target=flicker)
    other.start()
    try:
        for _ in range(20):
            assert_same_bits(call_everything(1), expected)
    finally:
        stop.set()
        other.join()


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
