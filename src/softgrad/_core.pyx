# _core.pyx - hands arrays to the C kernels. Arguments are checked in Python before they come here.
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, freethreading_compatible=True
import os

from numpy import uint16

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport NAN, fma, isfinite
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint16_t

from softgrad._kernels cimport (
    SG_CAPSULE, SG_CAPSULE_MINOR, sg_api, sg_array, sg_call, sg_call_of, sg_get_num_threads, sg_half,
    sg_isa, sg_isa_best, sg_isa_find, sg_isa_list, sg_isa_portable_is_fused, sg_kernel, sg_kernels, sg_run,
    sg_set_num_threads, sg_threading_layer)


cdef extern from "fpmode.h" nogil:
    ctypedef struct sg_fpmode:
        pass

    sg_fpmode sg_fpmode_enter()
    void sg_fpmode_leave(sg_fpmode saved)


cdef extern from "<fenv.h>" nogil:
    ctypedef struct fenv_t:
        pass

    int fegetenv(fenv_t *env)
    int fesetenv(const fenv_t *env)


# Arrays come as (outer, n, inner), any strides; row r is [r // inner, :, r % inner]; none is empty. They are float64, or
# of float32, float16 and bfloat16, which compute in float32.
ctypedef fused real:
    float
    double

cdef const sg_isa *isa = NULL
cdef const sg_kernels *f32 = NULL
cdef const sg_kernels *f64 = NULL


# ---- The instruction set -------------------------------------------------------------------------

def available_isas():
    """Names of the instruction sets that this CPU runs, worst first."""
    names = []
    cdef const sg_isa *const *entry = sg_isa_list()
    while entry[0] != NULL:
        if entry[0].supported():
            names.append(entry[0].name.decode())
        entry += 1
    return names


def current_isa():
    """Name of the instruction set in use."""
    return isa.name.decode()


def use_isa(str name not None):
    """Use the instruction set of that name from now on. For tests."""
    global isa, f32, f64
    cdef bytes encoded = name.encode()
    cdef const sg_isa *found = sg_isa_find(encoded) if name else sg_isa_best()
    if found == NULL:
        raise ValueError(f"{name!r} is not one of {', '.join(available_isas())}")
    isa, f32, f64 = found, found.f32, found.f64


try:
    use_isa(os.environ.get("SOFTGRAD_ISA", ""))
except ValueError as error:
    raise ImportError(f"SOFTGRAD_ISA: {error}") from None


# ---- The run time --------------------------------------------------------------------------------

def portable_is_fused():
    """Whether the portable instruction set has fused multiply-add on this CPU."""
    return sg_isa_portable_is_fused()


def threading_layer():
    """What shares rows out among threads: "openmp", "gcd" or "serial"."""
    return sg_threading_layer().decode()


def set_num_threads(int n):
    """Let a call use at most n >= 1 threads."""
    sg_set_num_threads(n)


def get_num_threads():
    """The number of threads that a call may use."""
    return sg_get_num_threads()


cdef class DefaultMode:
    """With it NumPy, too, rounds to nearest and flushes nothing to zero; then the mode of before, and its flags, are back."""
    cdef sg_fpmode mode
    cdef fenv_t env  # NumPy raises some flags by feraiseexcept, which on x86-64 does it in the x87 unit

    def __enter__(self):
        fegetenv(&self.env)
        self.mode = sg_fpmode_enter()

    def __exit__(self, *error):
        fesetenv(&self.env)
        sg_fpmode_leave(self.mode)


# ---- What every call needs -----------------------------------------------------------------------

cdef int run(sg_kernel *kernel, const sg_call *call, size_t itemsize) except -1:
    cdef int status
    with nogil:
        status = sg_run(kernel, call, itemsize)
    if status != 0:
        raise MemoryError("softgrad: no memory for the scratch of a worker")
    return 0


cdef void divisor(const sg_kernels *kernels, const sg_call *call, double *total) noexcept nogil:
    """What reduction="mean" divides by; nan where that is 0."""
    cdef sg_fpmode mode = sg_fpmode_enter()
    kernels.total_weight(call, total)
    if total[0] + total[1] == 0.0:
        total[0], total[1] = NAN, 0.0
    sg_fpmode_leave(mode)


cdef double ratio(const double *a, const double *b) noexcept nogil:
    """(a[0] + a[1]) / (b[0] + b[1]), correct to half a unit and a bit: one Newton step, its remainder
    exact by the fused multiply-add."""
    cdef double high = a[0] + a[1]
    cdef double low = a[1] - (high - a[0])
    cdef double by = b[0] + b[1]
    cdef double quotient = high / by
    if not isfinite(quotient) or quotient == 0.0 or not isfinite(by):
        return quotient
    low += fma(-quotient, by, high) - quotient * (b[1] - (by - b[0]))
    return quotient + low / by


# Rounding goes from memory to memory, that of arrays: the compiler does not move that out of the floating-point mode.

cdef void narrow_into(const double *values, ptrdiff_t n, void *out, size_t itemsize) noexcept nogil:
    """`values` rounded to float32 or float64."""
    cdef sg_fpmode mode = sg_fpmode_enter()
    cdef ptrdiff_t i
    for i in range(n):
        if itemsize == sizeof(float):
            (<float *> out)[i] = <float> values[i]
        else:
            (<double *> out)[i] = values[i]
    sg_fpmode_leave(mode)


cdef void reduce_into(
    const double *loss, ptrdiff_t n, const double *norm, void *out, size_t itemsize,
) noexcept nogil:
    """sum(loss) / sum(norm), the sum in the fixed order, rounded to float32 or float64."""
    cdef double total[2]
    cdef sg_fpmode mode = sg_fpmode_enter()
    isa.sum(loss, n, total)
    if itemsize == sizeof(float):
        (<float *> out)[0] = <float> ratio(total, norm)
    else:
        (<double *> out)[0] = ratio(total, norm)
    sg_fpmode_leave(mode)


# ---- From a memoryview to a kernel ---------------------------------------------------------------

def is_bfloat16(dtype):
    """Whether that is the bfloat16 of ml_dtypes, which is not imported here."""
    kind = dtype.type
    return kind.__name__ == "bfloat16" and kind.__module__ == "ml_dtypes"


cdef bint is_double(object a) except -1:
    return a.dtype.char == "d"


cdef const sg_kernels *kernels_of(object x) except NULL:
    """The kernels of what `x` computes in."""
    return f64 if is_double(x) else f32


cdef size_t itemsize_of(object x) except 0:
    """The size of what `x` computes in."""
    return sizeof(double) if is_double(x) else sizeof(float)


cdef sg_array enter(void *data, const Py_ssize_t *strides, ptrdiff_t itemsize, const sg_half *half) noexcept:
    cdef sg_array result
    result.data, result.half = data, half
    result.outer = strides[0] // itemsize
    result.axis, result.inner = strides[1] // itemsize, strides[2] // itemsize
    return result


cdef sg_array array(object a) except *:
    """`a` for the kernels. The caller holds it, and with it its memory."""
    cdef const double[:, :, :] doubles
    cdef const float[:, :, :] floats
    cdef const uint16_t[:, :, :] halves
    cdef str kind = a.dtype.char
    if kind == "d":
        doubles = a
        return enter(<void *> &doubles[0, 0, 0], doubles.strides, sizeof(double), NULL)
    if kind == "f":
        floats = a
        return enter(<void *> &floats[0, 0, 0], floats.strides, sizeof(float), NULL)
    halves = a.view(uint16)  # Cython has no name for the one type, the buffer protocol none for the other
    return enter(<void *> &halves[0, 0, 0], halves.strides, sizeof(uint16_t), isa.f16 if kind == "e" else isa.bf16)


cdef sg_call describe(object x) except *:
    cdef ptrdiff_t outer, n, inner
    outer, n, inner = x.shape
    cdef sg_call call = sg_call_of(outer, n, inner)
    call.x = array(x)
    return call


cdef sg_call describe_jacobian(object x, object out, double temperature) except *:
    """`out` is (outer, inner, n, n), its last stride 1."""
    cdef sg_call call = describe(x)
    call.out = array(out[..., 0])  # one class less: (outer, inner, n)
    call.out.axis, call.out.inner = call.out.inner, call.out.axis
    call.row_work = call.n * call.n
    call.temperature = temperature
    return call


def widen(a, float[:, ::1] out):
    """out = a, a matrix of float16 or bfloat16 whose rows are contiguous. NumPy takes 10 ns a number."""
    cdef const uint16_t[:, :] halves = a.view(uint16)
    cdef const sg_half *half = isa.f16 if a.dtype.char == "e" else isa.bf16
    cdef sg_fpmode mode
    cdef ptrdiff_t i
    with nogil:
        mode = sg_fpmode_enter()
        for i in range(halves.shape[0]):
            half.widen(&halves[i, 0], halves.shape[1], &out[i, 0])
        sg_fpmode_leave(mode)


def narrow_half(const float[:, ::1] a, out):
    """out = a, rounded, a matrix of float16 or bfloat16 whose rows are contiguous."""
    cdef uint16_t[:, :] halves = out.view(uint16)
    cdef const sg_half *half = isa.f16 if out.dtype.char == "e" else isa.bf16
    cdef sg_fpmode mode
    cdef ptrdiff_t i
    with nogil:
        mode = sg_fpmode_enter()
        for i in range(halves.shape[0]):
            half.narrow(&a[i, 0], halves.shape[1], &halves[i, 0])
        sg_fpmode_leave(mode)


def softmax(x, out, double temperature):
    cdef sg_call call = describe(x)
    call.out, call.temperature = array(out), temperature
    run(kernels_of(x).softmax, &call, itemsize_of(x))


def log_softmax(x, out, double temperature):
    cdef sg_call call = describe(x)
    call.out, call.temperature = array(out), temperature
    run(kernels_of(x).log_softmax, &call, itemsize_of(x))


def logsumexp(x, b, out):
    """`b` may be None; `out` is (outer, 1, inner), of the computing type."""
    cdef const sg_kernels *kernels = kernels_of(x)
    cdef sg_call call = describe(x)
    call.out = array(out)
    call.out.axis = 0
    if b is not None:
        call.g = array(b)
    run(kernels.logsumexp if b is None else kernels.logsumexp_b, &call, itemsize_of(x))


def softmax_jacobian(x, out, double temperature):
    cdef sg_call call = describe_jacobian(x, out, temperature)
    run(kernels_of(x).softmax_jacobian, &call, itemsize_of(x))


def log_softmax_jacobian(x, out, double temperature):
    cdef sg_call call = describe_jacobian(x, out, temperature)
    run(kernels_of(x).log_softmax_jacobian, &call, itemsize_of(x))


def softmax_vjp(y, g, out):
    cdef sg_call call = describe(y)
    call.g, call.out = array(g), array(out)
    run(kernels_of(y).softmax_vjp, &call, itemsize_of(y))


def log_softmax_vjp(ly, g, out):
    cdef sg_call call = describe(ly)
    call.g, call.out = array(g), array(out)
    run(kernels_of(ly).log_softmax_vjp, &call, itemsize_of(ly))


def log_softmax_jvp(ly, v, out):
    cdef sg_call call = describe(ly)
    call.g, call.out = array(v), array(out)
    run(kernels_of(ly).log_softmax_jvp, &call, itemsize_of(ly))


# ---- Losses --------------------------------------------------------------------------------------
# `labels` (rows) or else `probs`, of the shape of x, are the targets; `weight` (n) and `sample_weight` (rows), of the
# computing type, may be None. `loss` (rows), `out` and `hess` are written where they are given.

cdef const void *vector(object a) except *:
    """A contiguous vector of either computing type; NULL for None and for an empty one."""
    cdef const double[::1] doubles
    cdef const float[::1] floats
    if a is None or a.size == 0:
        return NULL
    if is_double(a):
        doubles = a
        return &doubles[0]
    floats = a
    return &floats[0]


cdef sg_call describe_loss(
    object x, const int64_t[::1] labels, long long ignore_index, object probs, object weight,
    object sample_weight, tuple norm, double[::1] loss, object out,
) except *:
    cdef sg_call call = describe(x)
    call.ignore_index = ignore_index
    if labels is not None:
        call.labels = &labels[0]
    else:
        call.g = array(probs)
    call.weight, call.sample_weight = vector(weight), vector(sample_weight)
    call.norm[0], call.norm[1] = norm
    if loss is not None:
        call.loss = &loss[0]
    if out is not None:
        call.out = array(out)
    return call


def cross_entropy(
    x, const int64_t[::1] labels, long long ignore_index, probs, weight, sample_weight,
    double label_smoothing, double temperature, double z_loss, tuple norm, double[::1] loss, out, hess,
    bint alone=False,
):
    cdef sg_call call = describe_loss(
        x, labels, ignore_index, probs, weight, sample_weight, norm, loss, out)
    call.label_smoothing, call.temperature, call.z_loss = label_smoothing, temperature, z_loss
    call.alone = alone
    if hess is not None:
        call.hess = array(hess)
    run(kernels_of(x).cross_entropy, &call, itemsize_of(x))


def log_loss(
    x, const int64_t[::1] labels, long long ignore_index, probs, weight, sample_weight,
    tuple norm, double[::1] loss, out,
):
    cdef sg_call call = describe_loss(
        x, labels, ignore_index, probs, weight, sample_weight, norm, loss, out)
    run(kernels_of(x).log_loss, &call, itemsize_of(x))


def total_weight(
    like, ptrdiff_t rows, const int64_t[::1] labels, long long ignore_index, weight, sample_weight,
):
    """What reduction="mean" divides by, as two floats to add: nan where that is 0. `like` gives
    the computing type and n; `labels` may be None."""
    cdef sg_call call = sg_call_of(rows, like.shape[1], 1)
    cdef double total[2]
    call.ignore_index = ignore_index
    if labels is not None:
        call.labels = &labels[0]
    call.weight, call.sample_weight = vector(weight), vector(sample_weight)
    divisor(kernels_of(like), &call, total)
    return total[0], total[1]


def find_bad_label(const int64_t[::1] labels, long long n, long long ignore_index):
    """Position of the first label outside [0, n) that is not `ignore_index`, or -1."""
    if labels.shape[0] == 0:
        return -1
    return isa.find_bad_label(&labels[0], labels.shape[0], n, ignore_index)


def reduce(const double[::1] loss, tuple norm, real[::1] out):
    """out[0] = sum(loss) / sum(norm), the sum in the fixed order."""
    cdef double divide_by[2]
    divide_by[0], divide_by[1] = norm
    reduce_into(&loss[0] if loss.shape[0] else NULL, loss.shape[0], divide_by, &out[0], sizeof(real))


def narrow(const double[::1] values, real[::1] out):
    """out = values, rounded. NumPy would warn of an overflow, and round in the caller's mode."""
    if values.shape[0] > 0:
        narrow_into(&values[0], values.shape[0], &out[0], sizeof(real))


# ---- For other native code -----------------------------------------------------------------------

cdef const sg_isa *isa_in_use() noexcept nogil:
    return isa


cdef ptrdiff_t bad_label(
    const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index,
) noexcept nogil:
    return isa.find_bad_label(labels, rows, n, ignore_index)


cdef void sum_of(const double *values, ptrdiff_t n, double *total) noexcept nogil:
    cdef sg_fpmode mode = sg_fpmode_enter()
    isa.sum(values, n, total)
    sg_fpmode_leave(mode)


cdef sg_api api
api.minor, api.call_size = SG_CAPSULE_MINOR, sizeof(sg_call)
api.isa = isa_in_use
api.run, api.find_bad_label, api.sum = sg_run, bad_label, sum_of
api.set_num_threads, api.get_num_threads = sg_set_num_threads, sg_get_num_threads
api.total_weight, api.reduce = divisor, reduce_into
_C_API_1 = PyCapsule_New(&api, SG_CAPSULE, NULL)  # the last part of SG_CAPSULE


include "_plain.pxi"
