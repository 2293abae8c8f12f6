"""The records of measure.py in few numbers."""

from __future__ import annotations

import math
from typing import Any

Record = dict[str, Any]


def groups(records: list[Record]) -> dict[str, list[Record]]:
    """The records by their group, in order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["group"], []).append(record)
    return found


def summary(records: list[Record]) -> dict[str, Any]:
    """Geometric mean and worst of "x", how many cells are behind a peer, how many miss a goal."""
    compared = [r for r in records if r["x"] is not None]
    worst = min(compared, key=lambda r: float(r["x"]), default=None)
    logs = [math.log(r["x"]) for r in compared]
    return {
        "cells": len(records),
        "geometric_mean": math.exp(sum(logs) / len(logs)) if logs else None,
        "worst": None if worst is None else {k: worst[k] for k in ("name", "best", "x")},
        "behind": sum(r["x"] < 1 for r in compared),
        "misses": sum(bool(r["misses"]) for r in records),
    }
