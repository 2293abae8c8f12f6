"""The same cases as fuzz.py, chosen by what the code does with them: `python tests/fuzz_atheris.py -max_total_time=SECONDS`, or any other
options of libFuzzer. Needs `pip install atheris`, which has wheels for Linux up to Python 3.13.
"""

import sys

import atheris

with atheris.instrument_imports(include=["softgrad", "fuzz_case"]):
    import fuzz
    import numpy as np
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st


@settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def one_case(data):
    fuzz.check(data.draw)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    # libFuzzer's own inputs begin with a byte and grow: a case takes hundreds
    options = ["-max_len=8192", "-len_control=0", *sys.argv[1:]]
    atheris.Setup([sys.argv[0], *options], one_case.hypothesis.fuzz_one_input)
    atheris.Fuzz()
