"""softgrad from Cython and from C: tests/native is compiled against the package as it is installed, and called."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from float_mode import MODES, float_mode
from helpers import assert_same_bits, ids, run_python

import softgrad as sg
from softgrad import _core

pytest.importorskip("Cython")
pytest.importorskip("setuptools")
PYTHON_H = Path(sysconfig.get_path("include"), "Python.h")
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
if sys.platform != "win32" and not (shutil.which(COMPILER) and PYTHON_H.exists()):
    pytest.skip(f"no compiler {COMPILER}, or no {PYTHON_H}", allow_module_level=True)

TESTS = Path(__file__).parent
PACKAGE = TESTS / "native"
DOCUMENT = TESTS.parent / "docs" / "native.md"
INSTALLED = Path(sg.__file__).parent.parent
IGNORED = -100


def build(folder, *changes):
    """Build the example in `folder`, where its text is changed by (pattern, text); the folder of its modules."""
    for path in PACKAGE.iterdir():
        if path.suffix in (".toml", ".py", ".pyx", ".c"):
            text = path.read_text(encoding="utf-8")
            for pattern, replacement in changes:
                text = text.replace(pattern, replacement)
            (folder / path.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "built"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "built"


def load(folder, name):
    (path,) = folder.glob(f"{name}.*")
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def in_cython(built):
    return load(built, "in_cython")


@pytest.fixture(scope="module")
def in_c(built):
    return load(built, "in_c")


def test_the_instruction_set_is_the_one_in_use(isa, in_c):
    assert in_c.isa() == _core.current_isa()


def test_the_number_of_threads_is_one(in_c, threads):
    threads(3)
    assert in_c.get_num_threads() == 3
    in_c.set_num_threads(5)
    assert sg.get_num_threads() == 5


def test_sum_in_two_parts(in_c):
    assert in_c.sum(np.array([1e100, 1.0, -1e100])) == (0.0, 1.0)


VIEWS = {
    "contiguous": np.s_[:, :],
    "stepped": np.s_[::2, 1::3],
    "backwards": np.s_[::-1, ::-1],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_softmax_in_cython(isa, dtype, view, order, in_cython, rng):
    x = np.asarray(rng.normal(0, 5, (40, 200)), dtype, order=order)[VIEWS[view]]
    out = np.zeros((40, 200), dtype, order=order)[VIEWS[view]]
    expected = sg.softmax(x.copy())
    in_cython.softmax(x, out)
    assert_same_bits(out, expected)
    in_cython.softmax(x, x)
    assert_same_bits(x, expected)


def test_without_rows_nothing_is_done(in_c, dtype):
    for shape in ((0, 3, 4), (2, 3, 0)):
        in_c.softmax(np.empty(shape, dtype), np.empty(shape, dtype))


@pytest.mark.parametrize("rows", [30, 3000], ids=ids("rows"))
@pytest.mark.parametrize("count", [1, 2], ids=ids("threads"))
def test_cross_entropy_in_cython(isa, dtype, rows, count, in_cython, rng, threads):
    threads(count)
    x = rng.normal(0, 5, (rows, 100)).astype(dtype)
    labels = rng.integers(0, 100, rows)
    labels[::7] = IGNORED
    grad = np.zeros_like(x)
    loss = in_cython.cross_entropy_value_and_grad(x, labels, grad)
    expected = sg.cross_entropy_value_and_grad(x, labels)
    assert_same_bits((dtype.type(loss), grad), expected)


@pytest.mark.parametrize("mode", MODES)
def test_any_rounding_mode(mode, dtype, in_cython, rng):
    x = rng.normal(0, 30, (30, 100)).astype(dtype)
    x[0, 0] = np.finfo(dtype).smallest_subnormal
    labels, grad = rng.integers(0, 100, 30), np.zeros_like(x)
    expected = sg.cross_entropy_value_and_grad(x, labels)
    with float_mode(mode) as state:
        before = state()
        loss = in_cython.cross_entropy_value_and_grad(x, labels, grad)
        assert state() == before
    assert_same_bits((dtype.type(loss), grad), expected)


def test_mean_over_no_row_is_nan(dtype, in_cython):
    x = np.ones((2, 3), dtype)
    grad = np.ones_like(x)
    assert np.isnan(in_cython.cross_entropy_value_and_grad(x, np.full(2, IGNORED), grad))
    assert not grad.any()


def test_bad_label_in_cython(dtype, in_cython):
    x = np.ones((2, 3), dtype)
    grad = np.full_like(x, 7)
    with pytest.raises(IndexError, match=r"labels\[1\] = 3"):
        in_cython.cross_entropy_value_and_grad(x, np.array([0, 3]), grad)
    assert (grad == 7).all()


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 2], ids=ids("threads"))
def test_softmax_in_c(isa, name, count, in_c, rng, threads):
    kind = pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else np.dtype(name)
    threads(count)
    for shape in ((3, 10, 4), (40, 300, 16)):
        x = rng.normal(0, 5, shape).astype(kind)
        expected = sg.softmax(x, axis=1)
        for a in (x, x[:, :, ::-1].copy()[:, :, ::-1], x.transpose(2, 1, 0).copy().T):
            out = np.empty_like(x)
            if name == "bfloat16":
                in_c.softmax(a.view(np.uint16), out.view(np.uint16))
            else:
                in_c.softmax(a, out)
            assert_same_bits(out, expected)


HEADERS = ("softgrad.h", "softgrad_python.h")
ONLY_C = ("*cythonize([in_cython]), ", "")


@pytest.mark.parametrize(
    ("pattern", "text", "complaint"),
    [
        (r"_C_API_1\b", "_C_API_99", r"expected softgrad\._core\._C_API_99.*another version"),
        (r"(SG_CAPSULE_MINOR) \d+", r"\1 99", r"minor version 99 or later and .*, got \d+ and"),
        (r"^} sg_call;", "double added; } sg_call;", r"calls of (\d+) bytes.* and (?!\1$)\d+$"),
    ],
    ids=["name", "minor", "call"],
)
def test_headers_of_another_version(tmp_path, pattern, text, complaint):
    include = tmp_path / "include"
    include.mkdir()
    for name in HEADERS:
        header = Path(sg.get_include(), name).read_text(encoding="utf-8")
        changed, count = re.subn(pattern, text, header, flags=re.MULTILINE)
        assert count > 0 or name != "softgrad.h"
        (include / name).write_text(changed, encoding="utf-8")
    folder = build(tmp_path, ONLY_C, ("softgrad.get_include()", repr(str(include))))
    with pytest.raises(ImportError, match=complaint):
        load(folder, "in_c")


def test_without_softgrad(built):
    code = "import sys; sys.modules['softgrad'] = None; import in_c"
    status, _, err = run_python(code, PYTHONPATH=str(built))
    assert status == 1
    assert re.search(r"^(Import|ModuleNotFound)Error: .*softgrad", err, re.MULTILINE)


def test_the_headers_are_cpp_too(tmp_path):
    if not shutil.which("c++"):
        pytest.skip("no compiler c++")
    shutil.copy(PACKAGE / "in_c.c", tmp_path / "in_c.cpp")
    assert load(build(tmp_path, ONLY_C, ("in_c.c", "in_c.cpp")), "in_c").get_num_threads() >= 1


def test_the_document_shows_the_example():
    files = [path.read_text(encoding="utf-8") for path in PACKAGE.iterdir() if path.is_file()]
    blocks = re.findall(
        r"^```(?:cython|c|python)\n(.*?)^```$",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert len(blocks) >= 3
    for block in blocks:
        assert any(block in text for text in files), block
