# _plain.pxi - the short way to a kernel for the common small call: plain arrays, no options. Each
# function returns None for any other arguments, wrong ones too, and the general path takes them.
# A raw Py_buffer costs 40 ns; a typed memoryview 200.
from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer)
from libc.stdlib cimport free, malloc

cdef object empty, float32, float64, ndarray  # C variables: no look-up in each call
from numpy import empty, float32, float64, ndarray
cdef object bfloat16 = None  # the dtype, once an array of it has been seen: what asks for it costs others 30 ns an array


# Buffers held for the time of a call.
cdef struct Held:
    int count
    Py_buffer view[4]


cdef void release(Held *held) noexcept:
    while held.count > 0:
        held.count -= 1
        PyBuffer_Release(&held.view[held.count])


cdef Py_buffer *hold(Held *held, object a) except? NULL:
    """The buffer of a plain array: exactly numpy.ndarray, of a native type of one letter, aligned,
    C-contiguous, with dimensions, not empty. NULL for anything else. format[0] is e, f, d, l or q, say; E for bfloat16."""
    global bfloat16
    cdef Py_buffer *view = &held.view[held.count]
    cdef bint no_name = False  # the buffer protocol has none for this type
    if type(a) is not ndarray:
        return NULL
    if bfloat16 is not None:
        no_name = a.dtype is bfloat16
    try:
        PyObject_GetBuffer(a.view(uint16) if no_name else a, view, PyBUF_RECORDS_RO)
        held.count += 1
    except ValueError:
        dtype = a.dtype
        if is_bfloat16(dtype) and dtype.isnative:
            bfloat16 = dtype  # from the next call on
        return NULL
    if no_name:
        view.format = b"E"  # NumPy does not look at it again
    if (view.ndim == 0 or view.len == 0 or view.format[0] == 0 or view.format[1] != 0
            or <size_t> view.buf % <size_t> view.itemsize != 0
            or not PyBuffer_IsContiguous(view, c"C")):
        return NULL
    return view


cdef bint is_real(const Py_buffer *a) noexcept:
    return is_half(a) or a.format[0] == c"f" or a.format[0] == c"d"


cdef bint is_half(const Py_buffer *a) noexcept:
    return a.format[0] == c"e" or a.format[0] == c"E"


cdef bint is_int64(const Py_buffer *a) noexcept:
    return a.itemsize == 8 and (a.format[0] == c"l" or a.format[0] == c"q")


cdef bint same_shape(const Py_buffer *a, const Py_buffer *b, int ndim) noexcept:
    cdef int d
    for d in range(ndim):
        if a.shape[d] != b.shape[d]:
            return False
    return True


cdef bint alike(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two plain arrays agree in type and shape."""
    return a.format[0] == b.format[0] and a.ndim == b.ndim and same_shape(a, b, a.ndim)


cdef bint apart(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two plain arrays share no byte."""
    return (<size_t> a.buf + <size_t> a.len <= <size_t> b.buf
            or <size_t> b.buf + <size_t> b.len <= <size_t> a.buf)


cdef Py_buffer *hold_out(Held *held, object out, const Py_buffer *x) except? NULL:
    """As hold(), of a result for x: alike, writeable, x itself or apart from it."""
    cdef Py_buffer *view = hold(held, out)
    if (view == NULL or view.readonly or not alike(view, x)
            or not (view.buf == x.buf or apart(view, x))):
        return NULL
    return view


cdef object new(const Py_buffer *x, object a, tuple shape):
    """A new array of the type of x, which is the buffer of `a`."""
    return empty(shape, float32 if x.format[0] == c"f" else float64 if x.format[0] == c"d" else a.dtype)


cdef object new_wide(const Py_buffer *x, tuple shape):
    """A new array of what x computes in."""
    return empty(shape, float64 if x.format[0] == c"d" else float32)


cdef size_t computing_size(const Py_buffer *x) noexcept:
    return sizeof(double) if x.format[0] == c"d" else sizeof(float)


cdef bint is_last(object axis, int ndim) except -1:
    return type(axis) is int and (axis == -1 or axis == ndim - 1)


cdef bint is_float(object value, double wanted) except -1:
    return type(value) is float and <double> value == wanted


cdef sg_array rows_of(const Py_buffer *a) noexcept:
    cdef sg_array result
    result.data, result.outer, result.axis, result.inner = a.buf, a.shape[a.ndim - 1], 1, 0
    result.half = isa.f16 if a.format[0] == c"e" else isa.bf16 if a.format[0] == c"E" else NULL
    return result


cdef sg_call describe_rows(const Py_buffer *x) noexcept:
    cdef ptrdiff_t n = x.shape[x.ndim - 1]
    cdef sg_call call = sg_call_of(x.len // x.itemsize // n, n, 1)
    call.x = rows_of(x)
    return call


# ---- Functions and products ----------------------------------------------------------------------

def plain_softmax(x, axis, temperature, where, out):
    if where is not None or not is_float(temperature, 1.0):
        return None
    return map_rows(f32.softmax, f64.softmax, x, None, axis, out)


def plain_log_softmax(x, axis, temperature, where, out):
    if where is not None or not is_float(temperature, 1.0):
        return None
    return map_rows(f32.log_softmax, f64.log_softmax, x, None, axis, out)


def plain_softmax_vjp(y, g, axis, out):
    return None if g is None else map_rows(f32.softmax_vjp, f64.softmax_vjp, y, g, axis, out)


def plain_log_softmax_vjp(ly, g, axis, out):
    return None if g is None else map_rows(f32.log_softmax_vjp, f64.log_softmax_vjp, ly, g, axis, out)


def plain_log_softmax_jvp(ly, v, axis, out):
    return None if v is None else map_rows(f32.log_softmax_jvp, f64.log_softmax_jvp, ly, v, axis, out)


cdef object map_rows(sg_kernel *single, sg_kernel *double_, object x, object g, object axis, object out):
    """out = kernel(x) or kernel(x, g), rows being the last axis."""
    cdef Held held
    cdef sg_call call
    cdef Py_buffer *xv
    cdef Py_buffer *gv
    cdef Py_buffer *ov
    held.count = 0
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not is_last(axis, xv.ndim):
            return None
        if out is None:
            out = new(xv, x, x.shape)
        ov = xv if out is x else hold_out(&held, out, xv)
        if ov == NULL or ov.readonly:
            return None
        call = describe_rows(xv)
        call.out = rows_of(ov)
        if g is not None:
            gv = hold(&held, g)
            if gv == NULL or not alike(gv, xv) or not (gv.buf == ov.buf or apart(gv, ov)):
                return None
            call.g = rows_of(gv)
        run(double_ if xv.format[0] == c"d" else single, &call, computing_size(xv))
        return out
    finally:
        release(&held)


def plain_softmax_jacobian(x, axis, temperature, out):
    return matrices(f32.softmax_jacobian, f64.softmax_jacobian, x, axis, temperature, out)


def plain_log_softmax_jacobian(x, axis, temperature, out):
    return matrices(f32.log_softmax_jacobian, f64.log_softmax_jacobian, x, axis, temperature, out)


cdef object matrices(sg_kernel *single, sg_kernel *double_, object x, object axis, object temperature, object out):
    """out = kernel(x), a matrix for each row; rows being the last axis."""
    cdef Held held
    cdef sg_call call
    cdef Py_buffer *xv
    cdef Py_buffer *ov
    cdef bint given = out is not None
    held.count = 0
    if not is_float(temperature, 1.0):
        return None
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not is_last(axis, xv.ndim):
            return None
        call = describe_rows(xv)
        if not given:
            out = new(xv, x, x.shape + (call.n,))
        ov = hold(&held, out)
        if ov == NULL or given and (
                ov.readonly or ov.format[0] != xv.format[0] or ov.ndim != xv.ndim + 1
                or not same_shape(ov, xv, xv.ndim) or ov.shape[xv.ndim] != call.n or not apart(ov, xv)):
            return None
        call.out = rows_of(ov)
        call.out.axis, call.out.outer, call.row_work = call.n, call.n * call.n, call.n * call.n
        run(double_ if xv.format[0] == c"d" else single, &call, computing_size(xv))
        return out
    finally:
        release(&held)


def plain_logsumexp(x, axis, b, keepdims, where, out):
    cdef Held held
    cdef sg_call call
    cdef Py_buffer *xv
    cdef Py_buffer *ov
    held.count = 0
    if b is not None or where is not None or keepdims is not False:
        return None
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not is_last(axis, xv.ndim):
            return None
        given = out is not None
        if not given:
            out = new_wide(xv, x.shape[:xv.ndim - 1] if xv.ndim > 1 else (1,))
        ov = hold(&held, out)
        if given and (
                ov == NULL or ov.readonly or ov.format[0] != (c"d" if xv.format[0] == c"d" else c"f") or ov.ndim != xv.ndim - 1
                or not same_shape(ov, xv, ov.ndim) or not apart(ov, xv)):
            return None
        call = describe_rows(xv)
        call.out.data, call.out.outer = ov.buf, 1
        run(f64.logsumexp if xv.format[0] == c"d" else f32.logsumexp, &call, computing_size(xv))
        return out if given or xv.ndim > 1 else out[0]
    finally:
        release(&held)


# ---- Cross-entropy -------------------------------------------------------------------------------

cdef enum Wanted:
    LOSS, LOSS_GRAD, GRAD, GRAD_HESS


def plain_cross_entropy(logits, targets, axis, tuple options):
    return losses_of_rows(LOSS, logits, targets, axis, options, None, None)


def plain_cross_entropy_value_and_grad(logits, targets, axis, tuple options, out):
    return losses_of_rows(LOSS_GRAD, logits, targets, axis, options, out, None)


def plain_cross_entropy_grad(logits, targets, axis, tuple options, out):
    return losses_of_rows(GRAD, logits, targets, axis, options, out, None)


def plain_cross_entropy_grad_hess(logits, targets, axis, tuple options, out):
    if out is None:
        return losses_of_rows(GRAD_HESS, logits, targets, axis, options, None, None)
    if type(out) is not tuple or len(<tuple> out) != 2:
        return None
    return losses_of_rows(GRAD_HESS, logits, targets, axis, options, (<tuple> out)[0], (<tuple> out)[1])


cdef bint no_options(tuple options) except -1:
    """Whether `options`, in the order of _losses.Options, are the defaults, or another reduction to
    a scalar."""
    weight, sample_weight, ignore_index, reduction, label_smoothing, temperature, z_loss = options
    return (
        weight is None and sample_weight is None
        and type(ignore_index) is int and ignore_index == -100
        and is_float(label_smoothing, 0.0) and is_float(temperature, 1.0) and is_float(z_loss, 0.0)
        and type(reduction) is str and (reduction == "mean" or reduction == "sum"))


cdef bint take_targets(Held *held, sg_call *call, object targets, const Py_buffer *x) except -1:
    """Enter good labels or probabilities into the call; False if they are not such."""
    cdef Py_buffer *view = hold(held, targets)
    if view == NULL:
        return False
    if is_int64(view) and view.ndim == x.ndim - 1 and same_shape(view, x, view.ndim):
        call.labels, call.ignore_index = <const int64_t *> view.buf, -100
        return isa.find_bad_label(call.labels, call.outer, call.n, -100) < 0
    call.g = rows_of(view)
    return alike(view, x)


cdef object losses_of_rows(
    Wanted wanted, object logits, object targets, object axis, tuple options, object out, object hess,
):
    cdef Held held
    cdef sg_call call
    cdef const sg_kernels *kernels
    cdef Py_buffer *x
    cdef Py_buffer *result
    cdef Py_buffer *curvature
    held.count = 0
    call.loss = NULL
    if not no_options(options):
        return None
    try:
        x = hold(&held, logits)
        if x == NULL or not is_real(x) or not is_last(axis, x.ndim):
            return None
        call = describe_rows(x)
        if not take_targets(&held, &call, targets, x):
            return None
        kernels = f64 if x.format[0] == c"d" else f32
        if wanted != LOSS:
            if out is None:
                out = new(x, logits, logits.shape)
            result = x if out is logits else hold_out(&held, out, x)
            if result == NULL or result.readonly or not apart(result, &held.view[1]):
                return None
            call.out = rows_of(result)
        if wanted == GRAD_HESS:
            if hess is None:
                hess = new(x, logits, logits.shape)
            curvature = hold_out(&held, hess, x)
            if (curvature == NULL or curvature.buf == x.buf or not apart(curvature, &held.view[1])
                    or not apart(curvature, result)):
                return None
            call.hess = rows_of(curvature)
        if options[3] == "mean":
            divisor(kernels, &call, call.norm)
        if wanted == LOSS or wanted == LOSS_GRAD:
            call.loss = <double *> malloc(call.outer * sizeof(double))
            if call.loss == NULL:
                raise MemoryError
        run(kernels.cross_entropy, &call, computing_size(x))
        if wanted == GRAD:
            return out
        if wanted == GRAD_HESS:
            return out, hess
        loss = new_wide(x, (1,))
        reduce_into(call.loss, call.outer, call.norm, hold(&held, loss).buf, computing_size(x))
        return (loss[0], out) if wanted == LOSS_GRAD else loss[0]
    finally:
        free(call.loss)
        release(&held)
