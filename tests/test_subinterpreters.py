"""Subinterpreters: the first interpreter that imports softgrad has it; every other one gets an ImportError, and does no harm."""

import sys

import pytest
from helpers import run_python

# The name and the signatures of the module that PEP 734 makes public changed with each version.
START = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

def interpreter(own_gil):
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if own_gil else "legacy")
    return interpreters.create(isolated=own_gil)

def run(code, own_gil):
    one = interpreter(own_gil)
    failure = interpreters.run_string(one, code)  # None, or what was raised; before 3.13 it raises
    assert failure is None, failure
    interpreters.destroy(one)

IMPORT = '''
import warnings
warnings.simplefilter("ignore")  # NumPy's, that it does not support subinterpreters
try:
    import softgrad
except ImportError as error:
    print("ImportError:", *str(error).splitlines()[-1:], flush=True)
else:
    print(softgrad.softmax([0.0, 0.0]).tolist(), flush=True)
'''
"""


def run(code):
    status, out, err = run_python(START + code)
    if "No module named '_" in err:
        pytest.skip("no subinterpreters in this Python")
    assert status == 0, err
    return out.splitlines()


@pytest.mark.parametrize("own_gil", [False, True])
def test_after_the_main_interpreter(own_gil):
    """Which goes on as before."""
    refused, *rest = run(f"""
import numpy as np, softgrad as sg
run(IMPORT, {own_gil})
run(IMPORT, {own_gil})
x = np.random.default_rng(0).normal(0, 3, (200, 10_000))
assert abs(sg.softmax(x).sum(1) - 1).max() < 1e-12
print(sg.softmax([0.0, 0.0]).tolist())
""")
    assert refused.startswith("ImportError")
    assert rest == [refused, "[0.5, 0.5]"]


def test_an_interpreter_that_shares_the_gil_and_is_the_first():
    """It has softgrad; the main one is refused."""
    out = run("""
run(IMPORT, False)
exec(IMPORT)
""")
    assert out[0] == "[0.5, 0.5]"
    assert out[1].startswith("ImportError")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one GIL for all interpreters")
def test_an_interpreter_with_a_gil_of_its_own_and_is_the_first():
    """It is refused, and the main one has softgrad."""
    out = run("""
run(IMPORT, True)
exec(IMPORT)
""")
    assert out[0].startswith("ImportError")
    assert out[1:] == ["[0.5, 0.5]"]
