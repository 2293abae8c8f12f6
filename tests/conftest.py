"""Fixtures: the instruction set, the dtype, a seeded generator. Helpers are in helpers.py."""

import zlib

import numpy as np
import pytest

from softgrad import _core


@pytest.fixture(params=_core.available_isas())
def isa(request):
    """Runs a test once per instruction set that this CPU has, in one process."""
    before = _core.current_isa()
    _core.use_isa(request.param)
    assert _core.current_isa() == request.param
    yield request.param
    _core.use_isa(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng(request):
    """A generator of its own for every test, the same in every run and for every instruction set."""
    name = request.node.originalname
    return np.random.default_rng(zlib.crc32(name.encode()))


@pytest.fixture
def threads():
    """softgrad.set_num_threads, with the setting of before restored after the test."""
    import softgrad

    before = softgrad.get_num_threads()
    yield softgrad.set_num_threads
    softgrad.set_num_threads(before)
