# _core.pyx - hands arrays to the C kernels. Arguments are checked in Python before they come here.
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, freethreading_compatible=True
import os

from libc.math cimport NAN, fma, isfinite
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memset

from softgrad._kernels cimport (
    sg_array, sg_call, sg_find_bad_label, sg_fpmode, sg_fpmode_enter, sg_fpmode_leave,
    sg_get_num_threads, sg_isa, sg_isa_best, sg_isa_find, sg_isa_list, sg_isa_portable_is_fused,
    sg_kernel, sg_kernels, sg_run, sg_set_num_threads, sg_sum, sg_threading_layer)

# float32 and float64 are the computing types. Arrays come as (outer, n, inner), any strides; row r is
# [r // inner, :, r % inner]; none is empty.
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


# ---- What every call needs -----------------------------------------------------------------------

cdef sg_call blank() noexcept nogil:
    cdef sg_call call
    memset(&call, 0, sizeof(call))
    call.temperature = call.norm[0] = 1.0
    return call


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


# Rounding goes from memory to memory: the compiler does not move that out of the floating-point mode.

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
    sg_sum(loss, n, total)
    if itemsize == sizeof(float):
        (<float *> out)[0] = <float> ratio(total, norm)
    else:
        (<double *> out)[0] = ratio(total, norm)
    sg_fpmode_leave(mode)


# ---- From a memoryview to a kernel ---------------------------------------------------------------

cdef sg_array array(const real[:, :, :] a) noexcept nogil:
    cdef sg_array result
    result.data = <void *> &a[0, 0, 0]
    result.outer = a.strides[0] // <ptrdiff_t> sizeof(real)
    result.axis = a.strides[1] // <ptrdiff_t> sizeof(real)
    result.inner = a.strides[2] // <ptrdiff_t> sizeof(real)
    return result


cdef sg_call describe(const real[:, :, :] x) noexcept nogil:
    cdef sg_call call = blank()
    call.outer, call.n, call.inner = x.shape[0], x.shape[1], x.shape[2]
    call.x = array(x)
    return call


cdef sg_call describe_jacobian(
    const real[:, :, :] x, real[:, :, :, :] out, double temperature,
) noexcept nogil:
    """`out` is (outer, inner, n, n), its last stride 1."""
    cdef sg_call call = describe(x)
    call.out.data = &out[0, 0, 0, 0]
    call.out.outer = out.strides[0] // <ptrdiff_t> sizeof(real)
    call.out.inner = out.strides[1] // <ptrdiff_t> sizeof(real)
    call.out.axis = out.strides[2] // <ptrdiff_t> sizeof(real)
    call.row_work = call.n * call.n
    call.temperature = temperature
    return call


def softmax(const real[:, :, :] x, real[:, :, :] out, double temperature):
    cdef sg_call call = describe(x)
    call.out, call.temperature = array(out), temperature
    run((f32 if real is float else f64).softmax, &call, sizeof(real))


def log_softmax(const real[:, :, :] x, real[:, :, :] out, double temperature):
    cdef sg_call call = describe(x)
    call.out, call.temperature = array(out), temperature
    run((f32 if real is float else f64).log_softmax, &call, sizeof(real))


def logsumexp(const real[:, :, :] x, const real[:, :, :] b, real[:, :, :] out):
    """`b` may be None; `out` is (outer, 1, inner)."""
    cdef const sg_kernels *kernels = f32 if real is float else f64
    cdef sg_call call = describe(x)
    call.out = array(out)
    call.out.axis = 0
    if b is not None:
        call.g = array(b)
    run(kernels.logsumexp if b is None else kernels.logsumexp_b, &call, sizeof(real))


def softmax_jacobian(const real[:, :, :] x, real[:, :, :, :] out, double temperature):
    cdef sg_call call = describe_jacobian(x, out, temperature)
    run((f32 if real is float else f64).softmax_jacobian, &call, sizeof(real))


def log_softmax_jacobian(const real[:, :, :] x, real[:, :, :, :] out, double temperature):
    cdef sg_call call = describe_jacobian(x, out, temperature)
    run((f32 if real is float else f64).log_softmax_jacobian, &call, sizeof(real))


def softmax_vjp(const real[:, :, :] y, const real[:, :, :] g, real[:, :, :] out):
    cdef sg_call call = describe(y)
    call.g, call.out = array(g), array(out)
    run((f32 if real is float else f64).softmax_vjp, &call, sizeof(real))


def log_softmax_vjp(const real[:, :, :] ly, const real[:, :, :] g, real[:, :, :] out):
    cdef sg_call call = describe(ly)
    call.g, call.out = array(g), array(out)
    run((f32 if real is float else f64).log_softmax_vjp, &call, sizeof(real))


def log_softmax_jvp(const real[:, :, :] ly, const real[:, :, :] v, real[:, :, :] out):
    cdef sg_call call = describe(ly)
    call.g, call.out = array(v), array(out)
    run((f32 if real is float else f64).log_softmax_jvp, &call, sizeof(real))


# ---- Losses --------------------------------------------------------------------------------------
# `labels` (rows) or else `probs`, of the shape of x, are the targets; `weight` (n) and
# `sample_weight` (rows) may be None. `loss` (rows) is written, and `out`, `hess` where they are given.

cdef void fill(
    sg_call *call, const int64_t[::1] labels, long long ignore_index, const real[:, :, :] probs,
    const real[::1] weight, const real[::1] sample_weight,
) noexcept nogil:
    call.ignore_index = ignore_index
    if labels is not None:
        call.labels = &labels[0]
    else:
        call.g = array(probs)
    if weight is not None:
        call.weight = &weight[0]
    if sample_weight is not None:
        call.sample_weight = &sample_weight[0]


def cross_entropy(
    const real[:, :, :] x, const int64_t[::1] labels, long long ignore_index,
    const real[:, :, :] probs, const real[::1] weight, const real[::1] sample_weight,
    double label_smoothing, double temperature, double z_loss, tuple norm, double[::1] loss,
    real[:, :, :] out, real[:, :, :] hess,
):
    cdef sg_call call = describe(x)
    fill(&call, labels, ignore_index, probs, weight, sample_weight)
    call.label_smoothing, call.temperature, call.z_loss = label_smoothing, temperature, z_loss
    call.norm[0], call.norm[1] = norm
    call.loss = &loss[0]
    if out is not None:
        call.out = array(out)
    if hess is not None:
        call.hess = array(hess)
    run((f32 if real is float else f64).cross_entropy, &call, sizeof(real))


def log_loss(
    const real[:, :, :] x, const int64_t[::1] labels, long long ignore_index,
    const real[:, :, :] probs, const real[::1] weight, const real[::1] sample_weight,
    tuple norm, double[::1] loss, real[:, :, :] out,
):
    cdef sg_call call = describe(x)
    fill(&call, labels, ignore_index, probs, weight, sample_weight)
    call.norm[0], call.norm[1] = norm
    call.loss = &loss[0]
    if out is not None:
        call.out = array(out)
    run((f32 if real is float else f64).log_loss, &call, sizeof(real))


def total_weight(
    const real[:, :, :] like, ptrdiff_t rows, const int64_t[::1] labels, long long ignore_index,
    const real[::1] weight, const real[::1] sample_weight,
):
    """What reduction="mean" divides by, as two floats to add: nan where that is 0. `like` gives
    the computing type and n; `labels` may be None."""
    cdef sg_call call = blank()
    cdef double total[2]
    call.outer, call.n, call.inner = rows, like.shape[1], 1
    call.ignore_index = ignore_index
    if labels is not None:
        call.labels = &labels[0]
    if weight is not None:
        call.weight = &weight[0]
    if sample_weight is not None:
        call.sample_weight = &sample_weight[0]
    divisor((f32 if real is float else f64), &call, total)
    return total[0], total[1]


def find_bad_label(const int64_t[::1] labels, long long n, long long ignore_index):
    """Position of the first label outside [0, n) that is not `ignore_index`, or -1."""
    if labels.shape[0] == 0:
        return -1
    return sg_find_bad_label(&labels[0], labels.shape[0], n, ignore_index)


def reduce(const double[::1] loss, tuple norm, real[::1] out):
    """out[0] = sum(loss) / sum(norm), the sum in the fixed order."""
    cdef double divide_by[2]
    divide_by[0], divide_by[1] = norm
    reduce_into(&loss[0] if loss.shape[0] else NULL, loss.shape[0], divide_by, &out[0], sizeof(real))


def narrow(const double[::1] values, real[::1] out):
    """out = values, rounded. NumPy would warn of an overflow, and round in the caller's mode."""
    if values.shape[0] > 0:
        narrow_into(&values[0], values.shape[0], &out[0], sizeof(real))


include "_plain.pxi"
