"""Builds softgrad._core, the one extension: the Cython module and the C kernels behind it."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from itertools import chain
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildExt(build_ext):
    """The C files side by side, each instruction set taking most of a minute. On Windows one after the other, and clang
    in the place of cl.exe, which lacks the vectors of GCC and clang that csrc is written with."""

    def build_extensions(self):
        """Build, with the compiler changed where need be."""
        if self.compiler.compiler_type == "msvc":
            if not self.compiler.initialized:
                self.compiler.initialize(self.plat_name)
            visual_studio = Path(os.environ.get("VCINSTALLDIR", "."), "Tools", "Llvm", "x64", "bin")
            clang = shutil.which("clang-cl") or shutil.which("clang-cl", path=visual_studio)
            if clang is None:
                sys.exit(
                    "softgrad: expected clang-cl on the PATH, by LLVM or as a component of Visual Studio"
                )
            self.compiler.cc = clang
            machine = {"win-amd64": "x86_64", "win-arm64": "aarch64"}[self.plat_name]
            for extension in self.extensions:
                extension.extra_compile_args.append(f"--target={machine}-pc-windows-msvc")
        else:
            one_by_one = self.compiler.compile

            def compile_all(sources, **options):
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    objects = pool.map(lambda source: one_by_one([source], **options), sources)
                    return [*chain.from_iterable(objects)]

            self.compiler.compile = compile_all
        super().build_extensions()


if sys.platform == "win32":
    # Without OpenMP: clang's runtime aborts where a process has Intel's too, as PyTorch does.
    compile_args = ["/O2", "/clang:-std=c11", "/clang:-ffp-contract=off", "/clang:-fno-math-errno"]
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

setup(
    ext_modules=cythonize([core], build_dir="build/cython", include_path=["src"]),
    cmdclass={"build_ext": BuildExt},
)
