"""Two extension modules, one in Cython and one in C, compiled with the headers of the installed softgrad."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import softgrad

include_dirs = [softgrad.get_include()]
in_cython = Extension("in_cython", ["in_cython.pyx"], include_dirs=include_dirs)
in_c = Extension("in_c", ["in_c.c"], include_dirs=include_dirs)

setup(ext_modules=[*cythonize([in_cython]), in_c])
