"""Threads: how many, from many Python threads at once, after fork, and what the environment says."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import assert_same_bits, run_python

import softgrad as sg

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


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


THREADS_USED = """
import os, threading, time
import numpy as np, softgrad as sg
x = np.zeros((400, 20000), np.float32)
sg.softmax(x, out=x)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the threads in /proc")
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


FORK = """
import os, signal, sys
import numpy as np, softgrad as sg
sg.set_num_threads(2)
x = np.random.default_rng(0).normal(0, 3, (200, 10000)).astype(np.float32)
expected = sg.softmax(x)               # threads exist from here on
for generation in range(2):            # a child, and a child of the child
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    signal.alarm(30)
    assert sg.softmax(x).tobytes() == expected.tobytes()
    sg.set_num_threads(2)
    assert sg.softmax(x, 0).shape == x.shape
os._exit(0)
"""


@posix
def test_fork_after_threads():
    """GNU OpenMP hangs in a child forked after it was used."""
    status, _, err = run_python(FORK, timeout=90)
    assert status == 0, err


@posix
def test_fork_in_multiprocessing():
    code = """
import multiprocessing, numpy as np, softgrad as sg
x = np.ones((300, 10000), np.float32)
def work(i):
    return float(sg.logsumexp(x)[i])
if __name__ == "__main__":
    sg.softmax(x)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(work, range(4)).get(timeout=60) == [work(0)] * 4
    sg.softmax(x)                      # the parent goes on
"""
    status, _, err = run_python(code, timeout=90)
    assert status == 0, err


@posix
def test_fork_while_another_thread_computes():
    code = """
import os, signal, threading, numpy as np, softgrad as sg
sg.set_num_threads(2)
x = np.ones((400, 10000), np.float32)
stop = threading.Event()
def work():
    while not stop.is_set():
        sg.softmax(x)
t = threading.Thread(target=work); t.start()
for _ in range(10):
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        sg.softmax(x)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set(); t.join()
"""
    status, _, err = run_python(code, timeout=90)
    assert status == 0, err
