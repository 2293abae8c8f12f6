"""The package at run time: what it exports, show_config, get_include, the version, forcing an instruction set."""

import inspect
import os
import re
from importlib.metadata import version

import numpy as np
import pytest
from helpers import ALL, LINEAR, LOSSES, PRODUCTS, run_python

import softgrad as sg
from softgrad import _core

KNOWN = ["portable", "avx2", "avx512", "neon"]


def test_names():
    public = {name for name in dir(sg) if not name.startswith("_")}
    expected = {*ALL, "set_num_threads", "get_num_threads", "show_config", "get_include"}
    assert expected <= set(sg.__all__)
    assert set(sg.__all__) <= public | {"__version__"}


def test_version():
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?([abrc.]+(dev)?\d+)?", sg.__version__)
    assert sg.__version__ == version("softgrad")


def test_include_directory():
    headers = [name for name in os.listdir(sg.get_include()) if name.endswith(".h")]
    assert headers


@pytest.mark.parametrize("name", ALL)
def test_signatures(name):
    """Arrays are positional-only, options keyword-only, as documented."""
    parameters = inspect.signature(getattr(sg, name)).parameters.values()
    kinds = {p.name: p.kind for p in parameters}
    count = 3 if name in LINEAR else 2 if name in [*LOSSES, *PRODUCTS] else 1
    first = list(kinds.values())[:count]
    assert all(kind is inspect.Parameter.POSITIONAL_ONLY for kind in first)
    middle = "bias" if name in LINEAR else "axis"
    assert kinds[middle] is inspect.Parameter.POSITIONAL_OR_KEYWORD
    for option, kind in list(kinds.items())[count + 1 :]:
        assert kind is inspect.Parameter.KEYWORD_ONLY, option


def test_defaults():
    defaults = {
        p.name: p.default
        for p in inspect.signature(sg.cross_entropy_value_and_grad).parameters.values()
    }
    defaults = {k: v for k, v in defaults.items() if v is not inspect.Parameter.empty}
    assert defaults == {
        "axis": -1, "weight": None, "sample_weight": None, "ignore_index": -100, "label_smoothing": 0.0,
        "temperature": 1.0, "z_loss": 0.0, "reduction": "mean", "out": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_docstrings(name):
    text = getattr(sg, name).__doc__
    assert ">>>" in text, "an example that is run as a test"
    assert len(text) > 200


def flat(config):
    for key, value in config.items():
        yield str(key)
        yield from flat(value) if isinstance(value, dict) else [str(value)]


def test_config_as_a_dict(isa):
    words = " ".join(flat(sg.show_config(mode="dicts")))
    assert isa in words
    assert sg.__version__ in words
    assert re.search("openmp|gcd|serial", words)


def test_config_printed(capsys):
    assert sg.show_config() is None
    printed = capsys.readouterr().out
    assert sg.__version__ in printed
    assert _core.current_isa() in printed
    sg.show_config(mode="stdout")
    assert capsys.readouterr().out == printed


def test_config_of_another_mode():
    with pytest.raises(ValueError, match=r"mode.*(stdout.*dicts|dicts.*stdout)"):
        sg.show_config(mode="json")


# --- instruction sets


def test_instruction_sets():
    available = _core.available_isas()
    assert "portable" in available
    assert set(available) <= set(KNOWN)
    assert _core.current_isa() in available
    for bad in ["sse9", "AVX2", *(set(KNOWN) - set(available))]:
        with pytest.raises((ValueError, ImportError)):
            _core.use_isa(bad)


@pytest.mark.parametrize("name", _core.available_isas())
def test_environment_forces_an_instruction_set(name):
    code = "from softgrad import _core; print(_core.current_isa())"
    assert run_python(code, SOFTGRAD_ISA=name)[:2] == (0, name)


@pytest.mark.parametrize(
    "name",
    ["sse9", "AVX2", "avx2,avx512", " portable", *sorted(set(KNOWN) - set(_core.available_isas()))],
)
def test_an_instruction_set_that_does_not_exist_here(name):
    """An ImportError that names it and lists those that would work."""
    status, _, err = run_python("import softgrad", SOFTGRAD_ISA=name)
    assert status != 0
    last = err.splitlines()[-1]
    assert last.startswith("ImportError")
    for word in [name, "SOFTGRAD_ISA", *_core.available_isas()]:
        assert word in last


def test_the_best_instruction_set_is_the_default():
    code = "from softgrad import _core; print(_core.current_isa(), _core.available_isas()[-1])"
    chosen, best = run_python(code)[1].split()
    assert chosen == best


def test_import_starts_nothing():
    """No thread, no warning, and nothing but NumPy and this package comes with it."""
    code = """
import sys, threading, numpy
before = set(sys.modules)
import softgrad
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(threading.active_count(), *sorted(new - sys.stdlib_module_names))
"""
    status, out, err = run_python(code)
    assert (status, err) == (0, "")
    count, *modules = out.split()
    assert count == "1"
    assert all(m.startswith(("softgrad", "numpy", "_cython", "cython")) for m in modules), modules


def test_results_can_be_pickled_and_the_functions_too():
    import pickle

    for name in ALL:
        assert pickle.loads(pickle.dumps(getattr(sg, name))) is getattr(sg, name)
    assert np.array_equal(
        pickle.loads(pickle.dumps(sg.softmax([1.0, 2.0]))), sg.softmax([1.0, 2.0])
    )
