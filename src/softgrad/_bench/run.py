"""Runs the benchmark: one process for each number of threads, since several libraries fix theirs at import.

`command` is `python -m softgrad bench`; `main`, in the process that was started, measures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softgrad._bench import cells
from softgrad._bench.summary import summary

NEEDS_RICH = "the benchmark needs rich: pip install 'softgrad[bench]', which brings the peers too"


@dataclass
class Settings:
    """What to measure. The lists hold substrings, of which one must occur if there are any."""

    quick: bool
    threads: list[int]
    group: list[str]
    dtype: list[str]
    cell: list[str]
    peer: list[str]

    def select(self, threads: int) -> list[cells.Cell]:
        """The cells to measure with so many threads."""
        return cells.select(
            quick=self.quick, threads=threads, groups=self.group, dtypes=self.dtype, names=self.cell
        )


def add_arguments(parser: argparse.ArgumentParser, *, quick: bool) -> None:
    """Add the options of the benchmark; `quick` is what it does without --quick or --full."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--quick", action="store_true", default=quick, help="few cells, about a minute"
    )
    length.add_argument(
        "--full", action="store_false", dest="quick", help="all cells, about eight minutes"
    )
    parser.add_argument(
        "--threads", type=_positive, nargs="+", default=[1], metavar="N",
        help="threads of every library, one run for each number; with more than one only cells of "
        f"at least {cells.THREADED_SIZE:,} elements",
    )  # fmt: skip
    for name, what in (
        ("group", "groups"), ("dtype", "dtypes"), ("cell", "cells"), ("peer", "libraries"),
    ):  # fmt: skip
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="TEXT",
            help=f"only {what} whose name contains TEXT; may be repeated",
        )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="save everything that was measured")


def _positive(text: str) -> int:
    n = int(text)
    if n < 1:
        raise ValueError
    return n


def settings(arguments: argparse.Namespace) -> Settings:
    """What the command line says."""
    return Settings(
        arguments.quick, arguments.threads, arguments.group, arguments.dtype,
        arguments.cell, arguments.peer,
    )  # fmt: skip


def command(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what the arguments say, print the tables, save the JSON; return what it holds."""
    try:
        from softgrad._bench import report
    except ImportError as error:
        raise SystemExit(NEEDS_RICH) from error
    measured = run(settings(arguments))
    report.show(measured)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return measured


def run(wanted: Settings) -> dict[str, Any]:
    """Measure in one process for each number of threads, and bring the results together."""
    for n in wanted.threads:
        if not wanted.select(n):
            raise SystemExit(f"no cell passes these filters with {n} thread(s)")
    parts = [_in_process(wanted, n) for n in wanted.threads]
    records = [record for part in parts for record in part["cells"]]
    single = {r["name"]: r["seconds"]["softgrad"] for r in records if r["threads"] == 1}
    for r in records:
        if r["threads"] > 1 and r["name"] in single:
            r["speedup"] = single[r["name"]] / r["seconds"]["softgrad"]
    return {
        "machine": parts[0]["machine"],
        "missing": parts[0]["missing"],
        "summary": {
            str(n): summary(part["cells"]) for n, part in zip(wanted.threads, parts, strict=True)
        },
        "cells": records,
    }


def _in_process(wanted: Settings, n: int) -> dict[str, Any]:
    """What main() measures in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, _pinned(n):
        result = Path(folder) / "result.json"
        request = json.dumps({"settings": asdict(wanted), "threads": n, "result": str(result)})
        code = [sys.executable, "-m", "softgrad._bench.run", request]
        if subprocess.run(code, env=_environment(n), check=False).returncode:
            raise SystemExit("the benchmark stopped: see above")
        part: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return part


def _environment(n: int) -> dict[str, str]:
    """os.environ with the number of threads, for what reads it at import."""
    environment = dict(os.environ)
    for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM"):
        environment[f"{name}_NUM_THREADS"] = str(n)
    environment["NPROC"] = str(n)  # XLA
    if n == 1:
        flags = environment.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return environment


@contextmanager
def _pinned(n: int) -> Iterator[None]:
    """Let processes started meanwhile run on the last `n` CPUs only, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-n:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main(request: str) -> None:
    """Measure with one number of threads, in this process; write the result to a file."""
    from softgrad._bench import machine, report
    from softgrad._bench.measure import FULL, QUICK, measure
    from softgrad._bench.peers import Libraries

    asked = json.loads(request)
    wanted, threads = Settings(**asked["settings"]), asked["threads"]
    libraries = Libraries(wanted.peer)
    libraries.set_threads(threads)
    effort = QUICK if wanted.quick else FULL
    chosen = wanted.select(threads)
    todo = [c for c in chosen if c.needs is None or importlib.util.find_spec(c.needs)]
    absent = sorted({c.needs for c in chosen if c.needs} - {c.needs for c in todo})
    if not todo:
        raise SystemExit(f"not installed: {', '.join(absent)}, which all of these cells need")
    with report.progress(len(todo), threads) as step:
        records = []
        for cell in todo:
            step(cell.name)
            records.append(measure(cell, libraries, threads, effort))
    found = {
        "machine": machine.facts(libraries.versions),
        "missing": libraries.missing + absent,
        "cells": records,
    }
    Path(asked["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
