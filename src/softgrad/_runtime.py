"""Threads, the configuration and the place of the C headers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from softgrad import _core
from softgrad._arrays import as_int
from softgrad._version import __version__

HERE = os.path.dirname(os.path.abspath(__file__))

MOST_THREADS = 2**31 - 1  # a C int


def set_num_threads(n: int, /) -> None:
    """Let every call from now on use at most `n` threads.

    Parameters
    ----------
    n : int
        At least 1. The results do not depend on it. Small calls use fewer.

    Raises
    ------
    ValueError
        `n` is below 1.
    TypeError
        `n` is not an integer.

    Notes
    -----
    Without a call of this function the number is that of the environment variable
    SOFTGRAD_NUM_THREADS, else of the CPUs that this process may use. OMP_NUM_THREADS and
    threadpoolctl limit it further where threads are OpenMP's: see `show_config`.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.set_num_threads(1)
    >>> sg.get_num_threads()
    1
    """
    count = as_int("set_num_threads", "n", n)
    if count < 1:
        raise ValueError(f"set_num_threads: expected n >= 1, got {count}")
    _core.set_num_threads(min(count, MOST_THREADS))


def get_num_threads() -> int:
    """How many threads a call may use.

    Returns
    -------
    int
        What `set_num_threads` says about it.

    Examples
    --------
    >>> import softgrad as sg
    >>> sg.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Version, instruction sets and threads, as `numpy.show_config` tells NumPy's.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Print it, or return it as a dictionary.

    Returns
    -------
    dict or None
        The dictionary with mode="dicts", else None.

    Raises
    ------
    ValueError
        Any other mode.

    Examples
    --------
    >>> import softgrad as sg
    >>> config = sg.show_config(mode="dicts")
    >>> config["Instruction sets"]["in use"] in config["Instruction sets"]["available"]
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: expected mode to be stdout or dicts, got {mode!r}")
    import platform  # 2 ms, for this function only

    config: dict[str, dict[str, Any]] = {
        "softgrad": {"version": __version__, "location": HERE},
        "Instruction sets": {
            "in use": _core.current_isa(),
            "available": _core.available_isas(),
            "portable has fused multiply-add": _core.portable_is_fused(),
        },
        "Threads": {"layer": _core.threading_layer(), "at most": _core.get_num_threads()},
        "Python": {"version": platform.python_version(), "numpy": np.__version__},
        "Machine": {"system": platform.system(), "processor": platform.machine()},
    }
    if mode == "dicts":
        return config
    for section, entries in config.items():
        print(f"{section}:")
        for key, value in entries.items():
            print(f"  {key}: {', '.join(value) if isinstance(value, list) else value}")
    return None


def get_include() -> str:
    """The folder of the C headers, for the include path of other native code.

    Returns
    -------
    str
        The folder that holds softgrad.h.

    Examples
    --------
    >>> import os
    >>> import softgrad as sg
    >>> os.path.exists(os.path.join(sg.get_include(), "softgrad.h"))
    True
    """
    return os.path.join(HERE, "include")
