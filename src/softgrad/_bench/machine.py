"""What a measurement depends on besides the code: the machine, the versions, what is set from outside."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import softgrad

VARIABLES = ("SOFTGRAD_ISA", "OPENBLAS_CORETYPE", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")


def facts(versions: dict[str, str]) -> dict[str, Any]:
    """CPU, system, Python, instruction set, BLAS and the `versions` of the libraries."""
    config = softgrad.show_config(mode="dicts") or {}
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "isa": config["Instruction sets"]["in use"],
        "threading": config["Threads"]["layer"],
        "versions": versions,
        "blas": _blas(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _cpu() -> str:
    """The CPU's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _blas() -> list[str]:
    """The BLAS libraries in this process and the kernels that they chose."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [
        f"{pool['internal_api']} {pool.get('version')} {pool.get('architecture', '')}".strip()
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
