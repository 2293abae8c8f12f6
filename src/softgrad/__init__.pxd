# __init__.pxd - `cimport softgrad`: the C interface for other Cython modules. docs/native.md shows its use, softgrad.h says
# what each name means; the module is compiled with softgrad.get_include() among its include_dirs.
from softgrad._kernels cimport (
    sg_api, sg_array, sg_call, sg_call_of, sg_half, sg_isa, sg_kernel, sg_kernels)


cdef extern from "softgrad_python.h":
    const sg_api *import_softgrad() except NULL
