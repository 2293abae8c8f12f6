"""A few hundred cases of fuzz.py, the same in every run; tests/c/run_sanitizers.sh and .ci/full run new ones."""

import pytest

pytest.importorskip("hypothesis")

import fuzz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_fuzz(data):
    fuzz.check(data.draw)
