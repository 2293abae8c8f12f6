"""Builds softgrad._core, the one extension: the Cython module and the C kernels behind it."""

import shutil
import sys
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

if sys.platform == "win32":
    compile_args = ["/O2", "/std:c11", "/fp:precise", "/openmp"]
    link_args = []
else:
    openmp = [] if sys.platform == "darwin" else ["-fopenmp"]
    # Bits must not depend on the compiler: no contraction, and no errno to keep up to date.
    compile_args = [
        "-O2", "-g0", "-std=c11", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", *openmp,
    ]  # fmt: skip
    link_args = openmp

# The header for users lives with the kernels; the package carries a copy, in a checkout too.
include = Path("src/softgrad/include")
include.mkdir(exist_ok=True)
shutil.copyfile("csrc/softgrad.h", include / "softgrad.h")

core = Extension(
    "softgrad._core",
    sources=["src/softgrad/_core.pyx", *sorted(glob("csrc/*.c"))],
    include_dirs=["csrc"],
    depends=sorted(glob("csrc/**/*.h", recursive=True)),
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)

setup(ext_modules=cythonize([core], build_dir="build/cython", include_path=["src"]))
