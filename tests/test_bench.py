"""The benchmark: its cells, its libraries' agreement, its measurement and its reports; with few calls each."""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

import softgrad
from softgrad import _bench
from softgrad.__main__ import main
from softgrad._bench import cells, measure, report, run
from softgrad._bench.case import Case, Work, WrongResultError
from softgrad._bench.cells import Cell, Goal
from softgrad._bench.peers import Libraries, _numpy
from softgrad._bench.summary import summary

ROOT = Path(__file__).parent.parent
INSTALLED = ["numpy", "scipy", "scikit"]  # by the extra `test`
SHORT = measure.Effort(rounds=3, seconds=0.0)
FUNCTIONS = [
    *cells.MAPS, *cells.REDUCTIONS, cells.LABELS, cells.PROBS, cells.VJP, cells.JACOBIAN, cells.GRAD_HESS, cells.LINEAR,
]  # fmt: skip
ROWS_ONLY = [cells.JACOBIAN, cells.GRAD_HESS, cells.LINEAR]
HALVES = ["float16", "bfloat16"]
LAYOUTS = {
    "rows": {"shape": (7, 10)},
    "axis1": {"shape": (3, 5, 4, 2), "axis": 1},
    "fortran": {"shape": (7, 10), "order": "F"},
}


def cell(function="softmax", dtype="float32", goal=Goal(1.0), **where):  # noqa: B008
    where = where or {"shape": (7, 10)}
    return Cell("a group", goal, function, dtype, depth=6 * (function == cells.LINEAR), **where)


def needs(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")


@pytest.fixture(scope="module")
def libraries():
    return Libraries(INSTALLED)


@pytest.fixture
def fast(monkeypatch):
    """Rounds of a few calls."""
    monkeypatch.setattr(measure, "ROUND_SECONDS", 1e-5)
    monkeypatch.setattr(measure, "QUICK", SHORT)


def measured_in_process(tmp_path, *arguments):
    """What run.run returns, measured in this process with one thread."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser, quick=True)
    wanted = run.settings(parser.parse_args(arguments))
    result = tmp_path / "result.json"
    run.main(json.dumps({"settings": vars(wanted), "threads": 1, "result": str(result)}))
    return wanted, json.loads(result.read_text())


# The cells


def test_the_cells_have_names_of_their_own_and_known_functions():
    every = cells.select()
    names = [c.name for c in every]
    assert len(names) == len(set(names)) >= 180
    assert {c.function for c in every} == set(FUNCTIONS)
    quick = cells.select(quick=True)
    assert 20 < len(quick) < 70
    assert {c.name for c in quick} < set(names)


def test_filters_choose_cells():
    assert {c.dtype for c in cells.select(dtypes=["64"])} == {"float64"}
    assert {c.dtype for c in cells.select(dtypes=["16"])} == {"float16", "bfloat16"}
    assert {c.dtype for c in cells.select(dtypes=["float16"])} == {"float16"}
    assert {c.dtype for c in cells.select(dtypes=["float16", "bf"])} == {"float16", "bfloat16"}
    assert {c.group for c in cells.select(groups=["TINY", "hessian"])} == {
        "tiny call",
        "gradient and Hessian",
    }
    (only,) = cells.select(names=["log_softmax float32 (64, 10)"])
    assert (only.function, only.dtype, only.shape) == ("log_softmax", "float32", (64, 10))
    assert cells.select(groups=["tiny"], dtypes=["float64"]) == []
    assert min(c.size for c in cells.select(threads=2)) >= 10**6


# The libraries


@pytest.mark.parametrize("dtype", ["float32", "float64", *HALVES])
@pytest.mark.parametrize(
    ("function", "layout"),
    [
        (f, layout)
        for f in FUNCTIONS
        for layout in LAYOUTS
        if layout == "rows" or f not in ROWS_ONLY
    ],
)
def test_libraries_agree(function, layout, dtype, libraries, threads):
    needs(dtype)
    case = Case(cell(function, dtype, **LAYOUTS[layout]))
    libraries.set_threads(1)
    results = {name: work.results(work.run()) for name, work in libraries.works(case)}
    ours = results.pop("softgrad")
    assert "NumPy" in results
    for name, theirs in results.items():
        case.check(name, ours, theirs)
    case.unit().run()


@pytest.mark.parametrize("package", ["torch", "jax", "onnxruntime"])
def test_other_libraries_agree_in_half_precision(package):
    """In a process of its own: they change settings that other tests rely on."""
    for name in ("ml_dtypes", *_bench.peers.LIBRARIES[f"_{package}"]):
        pytest.importorskip(name)
    code = f"""
from dataclasses import replace
from softgrad._bench import cells
from softgrad._bench.case import Case
from softgrad._bench.peers import Libraries
libraries, names = Libraries(["{package}"]), set()
libraries.set_threads(1)
for function, axis in {{(c.function, c.axis) for c in cells.select(dtypes=["16"])}}:
    for dtype in cells.HALVES:
        shape, depth = ((7, 10) if axis == -1 else (3, 5, 4, 2)), 6 * (function == cells.LINEAR)
        case = Case(cells.Cell("", cells.Goal(1), function, dtype, shape, axis, depth=depth))
        (_, ours), *peers = [(name, work.results(work.run())) for name, work in libraries.works(case)]
        for name, theirs in peers:
            case.check(name, ours, theirs)
            names.add((function, dtype))
print(len(names))
"""
    status, out, err = run_python(code, timeout=300)
    assert status == 0, err
    functions = {c.function for c in cells.select(dtypes=["16"])}
    assert int(out) == 2 * (3 if package == "onnxruntime" else len(functions))


@pytest.mark.parametrize(("dtype", "unit"), [("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_in_half_precision_a_few_units_are_rounding(dtype, unit):
    needs(dtype)
    case = Case(cell(dtype=dtype))
    largest = np.arange(7.0) + 1
    case.check("P", (largest,), (largest * (1 + 2 * unit),))
    case.check("P", (largest,), (largest + 2 * unit,))
    with pytest.raises(WrongResultError, match="result 0 of P"):
        case.check("P", (largest,), (largest * (1 + 5 * unit),))


def test_arrays_are_in_the_cells_dtype():
    pytest.importorskip("ml_dtypes")
    for dtype in HALVES:
        case = Case(cell(dtype=dtype))
        assert case.x.dtype.name == case.g.dtype.name == dtype
        assert case.x.dtype.itemsize == 2
        assert case.wide == np.float32


def test_a_library_sees_the_arrays_that_the_cell_names():
    case = Case(cell(shape=(7, 10), order="F"))
    given = case.given(case.x)
    assert given.shape == (7, 10)
    assert given.flags.f_contiguous
    assert np.shares_memory(given, case.x)
    assert case.given(case.labels).shape == (7,)
    case = Case(cell(shape=(3, 5, 4, 2), axis=1))
    assert case.x.shape == (3, 5, 8)
    assert case.given(case.x).shape == (3, 5, 4, 2)
    assert case.given(case.labels).shape == (3, 4, 2)
    assert case.x.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda s: s * np.float32(1.01), r"result 0 of NumPy is .* at 0, softgrad's"),
        (lambda s: np.where(s == s.max(), np.float32(np.nan), s), "is nan at"),
        (lambda s: s[:-1], "has the shape"),
    ],
    ids=["value", "nan", "shape"],
)
def test_a_wrong_result_is_refused(spoil, text, monkeypatch, libraries, fast):
    right = _numpy.WORKS["softmax"]["NumPy"]

    def wrong(case):
        work = right(case)
        return Work(work.run, lambda result: (spoil(work.results(result)[0]),))

    monkeypatch.setitem(_numpy.WORKS, "softmax", {"NumPy": wrong})
    with pytest.raises(WrongResultError, match=text):
        measure.measure(cell(), libraries, 1, SHORT)


def test_without_ml_dtypes_the_cells_of_bfloat16_are_left_out(
    tmp_path, fast, monkeypatch, threads, capsys
):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # as if it were not installed
    chosen = ["--cell", "logsumexp", "--peer", "numpy"]
    _, part = measured_in_process(tmp_path, "--dtype", "16", *chosen)
    assert {r["dtype"] for r in part["cells"]} == {"float16"}
    assert part["missing"] == ["ml_dtypes"]
    _, part = measured_in_process(tmp_path, "--group", "tiny", *chosen)
    assert part["missing"] == []
    with pytest.raises(SystemExit, match="ml_dtypes"):
        measured_in_process(tmp_path, "--dtype", "bfloat16", *chosen)


def test_absent_libraries_are_named(monkeypatch):
    monkeypatch.setattr(_bench.peers, "LIBRARIES", {"_softgrad": ("softgrad",), "_x": ("no-such",)})
    found = Libraries()
    assert list(found.versions) == ["softgrad"]
    assert found.missing == ["no-such"]


# The measurement


def test_record_of_a_cell(libraries, fast):
    r = measure.measure(cell(goal=Goal(1e9, 1e-9, everywhere=True)), libraries, 1, SHORT)
    assert set(r["seconds"]) == {"softgrad", "NumPy", "SciPy"}
    assert all(s > 0 for s in r["seconds"].values())
    peers = {name: s for name, s in r["seconds"].items() if name != "softgrad"}
    assert r["best"] == min(peers, key=peers.get)
    assert r["x"] == pytest.approx(peers[r["best"]] / r["seconds"]["softgrad"])
    assert r["copies"] == pytest.approx(r["seconds"]["softgrad"] / r["unit"])
    assert r["misses"] == ["x", "copies"]
    assert r["rounds"] == 3
    assert (r["shape"], r["elements"], r["threads"]) == ([7, 10], 70, 1)


def test_a_goal_in_copies_is_for_large_arrays_and_one_thread(libraries, fast):
    small = measure.measure(cell(goal=Goal(0.0, 1e-9)), libraries, 1, SHORT)
    assert small["misses"] == []
    assert small["goal"]["copies"] is None
    large = cell(goal=Goal(0.0, 1e-9), shape=(1100, 1000))
    assert measure.measure(large, libraries, 1, SHORT)["misses"] == ["copies"]
    assert measure.measure(large, libraries, 2, SHORT)["misses"] == []
    half = cell(dtype="float16", goal=Goal(0.0, 1e-9), shape=(1100, 1000))
    assert measure.measure(half, libraries, 1, SHORT)["misses"] == []  # 2 MiB


def test_a_cell_without_a_peer(fast):
    r = measure.measure(cell(cells.JACOBIAN), Libraries(["scipy"]), 1, SHORT)
    assert r["best"] is r["x"] is None
    assert r["misses"] == []
    assert summary([r])["geometric_mean"] is summary([r])["worst"] is None
    assert "no peer" in report.summary_line("1", summary([r]))
    assert report.cell_row(r)[2:5] == ["", "", ""]
    assert report.group_rows([r])[0][:4] == ["a group", "1", "", ""]


def test_hopeless_peers_are_timed_no_more():
    def of(seconds):
        return measure._Contestant(Work(lambda: None, lambda _: ()), seconds=seconds)

    times = {"softgrad": 9.0, "A": 1.0, "B": 2.9, "C": 3.1, "unit": 9.0}
    kept = measure._hopeful({name: of(s) for name, s in times.items()})
    assert list(kept) == ["softgrad", "A", "B", "unit"]


def test_summary():
    records = [
        {"name": n, "best": "P", "x": x, "misses": m}
        for n, x, m in (("a", 4.0, []), ("b", 0.25, ["x"]))
    ]
    assert summary(records) == {
        "cells": 2,
        "geometric_mean": pytest.approx(1.0),
        "worst": {"name": "b", "best": "P", "x": 0.25},
        "behind": 1,
        "misses": 1,
    }


# The command


def test_bench_prints_a_table_and_saves_the_measurements(tmp_path, capfd):
    file = tmp_path / "bench.json"
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    assert (
        main(
            ["bench", "--cell", "softmax float32 (64, 10)", "--peer", "numpy", "--json", str(file)]
        )
        == 0
    )
    if before is not None:
        assert os.sched_getaffinity(0) == before
    found = json.loads(file.read_text())
    assert [r["function"] for r in found["cells"]] == ["softmax", "log_softmax"]
    assert found["summary"]["1"]["cells"] == 2
    assert found["summary"]["1"]["worst"]["x"] == min(r["x"] for r in found["cells"])
    assert found["machine"]["isa"] == softgrad._core.available_isas()[-1]
    assert set(found["machine"]["versions"]) == {"softgrad", "numpy"}
    printed = capfd.readouterr().out
    assert "softmax, few classes" in printed
    assert re.search(r"2 cells, 1 thread\(s\): \d+\.\d\d times as fast", printed)


@pytest.mark.parametrize("dtype", HALVES)
def test_bench_of_half_precision(dtype, tmp_path, capfd):
    needs(dtype)
    file, cell = tmp_path / "bench.json", f"softmax {dtype} (300, 1000)"
    arguments = ["--dtype", dtype, "--cell", cell, "--peer", "numpy", "--json", str(file)]
    assert main(["bench", *arguments]) == 0
    found = json.loads(file.read_text())
    assert [r["name"] for r in found["cells"]] == [cell, f"log_{cell}"]
    assert "float16, bfloat16" in capfd.readouterr().out


def test_measuring_process(tmp_path, fast, threads, capsys):
    wanted, part = measured_in_process(
        tmp_path, "--group", "tiny", *(f"--peer={p}" for p in INSTALLED)
    )
    assert wanted.group == ["tiny"]
    assert [r["name"] for r in part["cells"]] == [c.name for c in cells.select(groups=["tiny"])]
    assert softgrad.get_num_threads() == 1
    assert part["missing"] == []
    assert part["machine"]["cpu"]


def test_two_threads_beside_one(monkeypatch):
    def part(wanted, n):
        record = {
            "name": "a",
            "best": "P",
            "x": 2.0,
            "misses": [],
            "threads": n,
            "seconds": {"softgrad": 3.0 / n},
        }
        return {"cells": [record], "machine": {}, "missing": []}

    monkeypatch.setattr(run, "_in_process", part)
    found = run.run(run.Settings(False, [1, 2], [], [], [], []))
    assert [r.get("speedup") for r in found["cells"]] == [None, 2.0]
    assert list(found["summary"]) == ["1", "2"]


def test_threads_are_set_where_libraries_read_them(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    one, two = run._environment(1), run._environment(2)
    assert one["OMP_NUM_THREADS"] == one["NPROC"] == "1"
    assert one["XLA_FLAGS"] == "--mine --xla_cpu_multi_thread_eigen=false"
    assert two["OPENBLAS_NUM_THREADS"] == "2"
    assert two["XLA_FLAGS"] == "--mine"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cell", "nonsense"], "no cell passes these filters with 1 thread"),
        (["--group", "tiny", "--threads", "2"], "no cell passes these filters with 2 thread"),
    ],
)
def test_no_cell_is_an_error(arguments, text):
    with pytest.raises(SystemExit, match=text):
        main(["bench", *arguments])


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--threads", "x"], ["--quick", "--full"]]
)
def test_wrong_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2


def test_a_measuring_process_that_fails_is_an_error(monkeypatch):
    false = shutil.which("false", path=os.defpath)  # PATH may have the environment's programs alone
    if false is None:
        pytest.skip("no program that fails")
    monkeypatch.setattr(sys, "executable", false)
    with pytest.raises(SystemExit, match="the benchmark stopped"):
        main(["bench", "--group", "tiny"])


def test_bench_without_rich_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n == "rich" or n.startswith("rich.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "softgrad._bench.report")
    monkeypatch.delattr(_bench, "report")
    with pytest.raises(SystemExit, match=r"pip install 'softgrad\[bench\]'"):
        main(["bench"])


def test_importing_softgrad_imports_nothing_of_it():
    code = "import softgrad, sys; sys.exit(any('_bench' in name for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# benchmarks/speed.py


def test_pages_of_the_whole_benchmark(tmp_path, fast, threads, capsys):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("speed", ROOT / "benchmarks" / "speed.py")
    speed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speed)
    _, part = measured_in_process(tmp_path, "--group", "tiny", "--group", "few", "--peer", "numpy")
    found = {**part, "summary": {"1": summary(part["cells"])}}

    assert "![x of every cell](another.png)" in speed.page("another", found)
    page = speed.page(speed.NAME, found)
    rows = [
        line for line in page.splitlines() if line.startswith("| softmax_vjp float32 (1, 10) |")
    ]
    assert len(rows) == 1
    assert len(rows[0].split("|")) == len(report.CELL_HEAD) + 2
    assert "### tiny call" in page
    assert speed.short(found).count("\n| ") == 4  # ---, and the three groups
    speed.plot(tmp_path / "x.png", found)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert speed.PART.search((ROOT / "README.md").read_text(encoding="utf-8"))
