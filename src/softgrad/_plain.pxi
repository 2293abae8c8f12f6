# _plain.pxi - the short way to a kernel for the common small call: plain arrays, numbers of Python's. Each
# function returns None for any other arguments, wrong ones too, and the general path takes them.
# A raw Py_buffer costs 40 ns; a typed memoryview 200.
from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer)
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport strchr

cdef object empty, float16, float32, float64, int64, ndarray  # C variables: no look-up in each call
from numpy import empty, float16, float32, float64, int64, ndarray
cdef object bfloat16 = None  # the dtype, once an array of it has been seen: what asks for it costs others 30 ns an array


# Buffers held for the time of a call.
cdef struct Held:
    int count
    Py_buffer view[8]


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


cdef bint is_small_int(const Py_buffer *a) noexcept:
    """Of less than 64 bits: int64 holds each."""
    return a.itemsize < 8 and strchr(b"bBhHiIlL", a.format[0]) != NULL


cdef bint in_double(const Py_buffer *x) noexcept:
    """Whether x computes in double."""
    return x.format[0] == c"d"


cdef bint computes_in(const Py_buffer *a, const Py_buffer *x) noexcept:
    """Whether `a` is of what x computes in."""
    return a.format[0] == (c"d" if in_double(x) else c"f")


cdef bint same_shape(const Py_buffer *a, const Py_buffer *b, int ndim) noexcept:
    cdef int d
    for d in range(ndim):
        if a.shape[d] != b.shape[d]:
            return False
    return True


cdef bint has_rows_of(const Py_buffer *a, const Py_buffer *x, int axis) noexcept:
    """Whether the shape of `a` is that of x without the axis."""
    cdef int d
    if a.ndim != x.ndim - 1:
        return False
    for d in range(a.ndim):
        if a.shape[d] != x.shape[d if d < axis else d + 1]:
            return False
    return True


cdef bint alike(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two plain arrays agree in type and shape."""
    return a.format[0] == b.format[0] and a.ndim == b.ndim and same_shape(a, b, a.ndim)


cdef bint apart(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two plain arrays share no byte."""
    return (<size_t> a.buf + <size_t> a.len <= <size_t> b.buf
            or <size_t> b.buf + <size_t> b.len <= <size_t> a.buf)


cdef bint apart_from(const Held *held, int first, const Py_buffer *a) noexcept:
    """Whether what is held from `first` on, but for `a` itself, shares no byte with it."""
    cdef int i
    for i in range(first, held.count):
        if &held.view[i] != a and not apart(&held.view[i], a):
            return False
    return True


cdef Py_buffer *hold_out(Held *held, object out, const Py_buffer *x) except? NULL:
    """As hold(), of a result for x: alike, writeable, x itself or apart from it."""
    cdef Py_buffer *view = hold(held, out)
    if (view == NULL or view.readonly or not alike(view, x)
            or not (view.buf == x.buf or apart(view, x))):
        return NULL
    return view


# Shapes come from what is held: an array's own may be another by now, as whatever allocates may run code of the caller's.

cdef tuple shape_of(const Py_buffer *x):
    return tuple([x.shape[d] for d in range(x.ndim)])


cdef object new(const Py_buffer *x, tuple shape):
    """A new array of the type of x."""
    return empty(shape, float32 if x.format[0] == c"f" else float64 if x.format[0] == c"d"
                 else float16 if x.format[0] == c"e" else bfloat16)


cdef object new_wide(const Py_buffer *x, tuple shape):
    """A new array of what x computes in."""
    return empty(shape, float64 if in_double(x) else float32)


cdef object new_of_rows(const Py_buffer *x, int axis):
    """The same, a number for each row of x; of shape (1,) for the one of a vector."""
    return new_wide(x, tuple([x.shape[d] for d in range(x.ndim) if d != axis]) or (1,))


cdef size_t computing_size(const Py_buffer *x) noexcept:
    return sizeof(double) if in_double(x) else sizeof(float)


cdef bint take_int(object value, long long *number) except -1:
    cdef int overflow = 0
    if type(value) is not int:
        return False
    number[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    return overflow == 0


cdef bint take_axis(object axis, const Py_buffer *x, int *index) except -1:
    """Find the axis as an index from 0; False if x has it not."""
    cdef long long given
    if not take_int(axis, &given) or not -x.ndim <= given < x.ndim:
        return False
    index[0] = <int> (given if given >= 0 else given + x.ndim)
    return True


cdef float to_float(double value) noexcept:
    """The nearest one. What is not volatile here the compiler moves out of the mode."""
    cdef volatile double given = value
    cdef volatile float nearest
    cdef sg_fpmode mode = sg_fpmode_enter()
    nearest = <float> given
    sg_fpmode_leave(mode)
    return nearest


cdef bint take_number(object value, const Py_buffer *x, double least, double most, double *number) except -1:
    """Round `value` to what x computes in; False unless that is a number from `least` to `most`."""
    cdef double given
    cdef long long whole
    if type(value) is float:
        given = value
    elif take_int(value, &whole) and -0x20000000000000 <= whole <= 0x20000000000000:  # 2^53: exact in every rounding mode
        given = whole
    else:
        return False
    if not in_double(x) and given != 0.0 and given != 1.0:
        given = to_float(given)
    number[0] = given
    return least <= given <= most


cdef bint take_temperature(object value, const Py_buffer *x, double *number) except -1:
    return take_number(value, x, 0.0, DBL_MAX if in_double(x) else FLT_MAX, number) and number[0] > 0.0


cdef sg_array array_of(const Py_buffer *a, int axis) noexcept:
    cdef sg_array result
    cdef int d
    result.data, result.inner = a.buf, 1
    result.axis = 1
    for d in range(axis + 1, a.ndim):
        result.axis *= a.shape[d]
    result.outer = a.shape[axis] * result.axis
    result.half = isa.f16 if a.format[0] == c"e" else isa.bf16 if a.format[0] == c"E" else NULL
    return result


cdef sg_call describe_plain(const Py_buffer *x, int axis) noexcept:
    cdef sg_array rows = array_of(x, axis)
    cdef sg_call call = sg_call_of(x.len // x.itemsize // rows.outer, x.shape[axis], rows.axis)
    call.x = rows
    return call


cdef int run_plain(sg_kernel *single, sg_kernel *double_, const sg_call *call, const Py_buffer *x) except -1:
    """Run the one of two kernels that is for what x computes in."""
    return run(double_ if in_double(x) else single, call, computing_size(x))


# ---- Functions and products ----------------------------------------------------------------------

def plain_softmax(x, axis, temperature, where, out):
    return None if where is not None else map_rows(f32.softmax, f64.softmax, x, None, axis, temperature, out)


def plain_log_softmax(x, axis, temperature, where, out):
    return None if where is not None else map_rows(f32.log_softmax, f64.log_softmax, x, None, axis, temperature, out)


def plain_softmax_vjp(y, g, axis, out):
    return None if g is None else map_rows(f32.softmax_vjp, f64.softmax_vjp, y, g, axis, 1.0, out)


def plain_log_softmax_vjp(ly, g, axis, out):
    return None if g is None else map_rows(f32.log_softmax_vjp, f64.log_softmax_vjp, ly, g, axis, 1.0, out)


def plain_log_softmax_jvp(ly, v, axis, out):
    return None if v is None else map_rows(f32.log_softmax_jvp, f64.log_softmax_jvp, ly, v, axis, 1.0, out)


cdef object map_rows(
    sg_kernel *single, sg_kernel *double_, object x, object g, object axis, object temperature, object out,
):
    """out = kernel(x) or kernel(x, g)."""
    cdef Held held
    cdef sg_call call
    cdef int index
    cdef Py_buffer *xv
    cdef Py_buffer *gv
    cdef Py_buffer *ov
    held.count = 0
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not take_axis(axis, xv, &index):
            return None
        call = describe_plain(xv, index)
        if not take_temperature(temperature, xv, &call.temperature):
            return None
        if out is None:
            out = new(xv, shape_of(xv))
        ov = xv if out is x else hold_out(&held, out, xv)
        if ov == NULL or ov.readonly:
            return None
        call.out = array_of(ov, index)
        if g is not None:
            gv = hold(&held, g)
            if gv == NULL or not alike(gv, xv) or not (gv.buf == ov.buf or apart(gv, ov)):
                return None
            call.g = array_of(gv, index)
        run_plain(single, double_, &call, xv)
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
    cdef int index
    cdef Py_buffer *xv
    cdef Py_buffer *ov
    cdef bint given = out is not None
    held.count = 0
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not take_axis(axis, xv, &index) or index != xv.ndim - 1:
            return None
        call = describe_plain(xv, index)
        if not take_temperature(temperature, xv, &call.temperature):
            return None
        if not given:
            out = new(xv, shape_of(xv) + (call.n,))
        ov = hold(&held, out)
        if ov == NULL or given and (
                ov.readonly or ov.format[0] != xv.format[0] or ov.ndim != xv.ndim + 1
                or not same_shape(ov, xv, xv.ndim) or ov.shape[xv.ndim] != call.n or not apart(ov, xv)):
            return None
        call.out = array_of(ov, index)  # J[row, i, j]: `axis` is the stride of i
        call.out.outer, call.row_work = call.n * call.n, call.n * call.n
        run_plain(single, double_, &call, xv)
        return out
    finally:
        release(&held)


def plain_logsumexp(x, axis, b, keepdims, where, out):
    cdef Held held
    cdef sg_call call
    cdef int index
    cdef Py_buffer *xv
    cdef Py_buffer *ov
    held.count = 0
    if b is not None or where is not None or keepdims is not False:
        return None
    try:
        xv = hold(&held, x)
        if xv == NULL or not is_real(xv) or not take_axis(axis, xv, &index):
            return None
        call = describe_plain(xv, index)
        given = out is not None
        if not given:
            out = new_of_rows(xv, index)
        ov = hold(&held, out)
        if given and (
                ov == NULL or ov.readonly or not computes_in(ov, xv) or not has_rows_of(ov, xv, index) or not apart(ov, xv)):
            return None
        call.out.data, call.out.outer, call.out.inner = ov.buf, call.inner, 1
        run_plain(f32.logsumexp, f64.logsumexp, &call, xv)
        return out if given or xv.ndim > 1 else out[0]
    finally:
        release(&held)


# ---- Losses ------------------------------------------------------------------------------------------
# `options` stand in the order of _losses.Options.

cdef enum Wanted:
    LOSS, LOSS_GRAD, GRAD, GRAD_HESS


def plain_cross_entropy(logits, targets, axis, tuple options):
    return losses_of_rows(f32.cross_entropy, f64.cross_entropy, LOSS, logits, targets, axis, options, None, None)


def plain_cross_entropy_value_and_grad(logits, targets, axis, tuple options, out):
    return losses_of_rows(f32.cross_entropy, f64.cross_entropy, LOSS_GRAD, logits, targets, axis, options, out, None)


def plain_cross_entropy_grad(logits, targets, axis, tuple options, out):
    return losses_of_rows(f32.cross_entropy, f64.cross_entropy, GRAD, logits, targets, axis, options, out, None)


def plain_cross_entropy_grad_hess(logits, targets, axis, tuple options, out):
    grad = hess = None
    if out is not None:
        if type(out) is not tuple or len(<tuple> out) != 2:
            return None
        grad, hess = out
    return losses_of_rows(f32.cross_entropy, f64.cross_entropy, GRAD_HESS, logits, targets, axis, options, grad, hess)


def plain_log_loss(probs, targets, axis, tuple options):
    return losses_of_rows(f32.log_loss, f64.log_loss, LOSS, probs, targets, axis, options, None, None)


def plain_log_loss_value_and_grad(probs, targets, axis, tuple options, out):
    return losses_of_rows(f32.log_loss, f64.log_loss, LOSS_GRAD, probs, targets, axis, options, out, None)


cdef bint take_numbers(sg_call *call, tuple options, const Py_buffer *x) except -1:
    """Enter good numbers among the options into the call; False if there are others."""
    _, _, ignore_index, _, label_smoothing, temperature, z_loss = options
    cdef long long ignored
    if not take_int(ignore_index, &ignored):
        return False
    call.ignore_index = ignored
    return (
        take_number(label_smoothing, x, 0.0, 1.0, &call.label_smoothing)
        and take_temperature(temperature, x, &call.temperature)
        and take_number(z_loss, x, 0.0, INFINITY, &call.z_loss))


cdef bint take_targets(Held *held, sg_call *call, object targets, const Py_buffer *x, int axis) except -1:
    """Enter good labels or probabilities into the call; False if they are not such."""
    cdef Py_buffer *view = hold(held, targets)
    if view == NULL:
        return False
    if has_rows_of(view, x, axis):
        if is_small_int(view):
            view = hold(held, targets.astype(int64))
        if view == NULL or not is_int64(view) or not has_rows_of(view, x, axis):
            return False
        call.labels = <const int64_t *> view.buf
        return isa.find_bad_label(call.labels, call.outer * call.inner, call.n, call.ignore_index) < 0
    if not alike(view, x) or call.ignore_index != -100:
        return False
    call.g = array_of(view, axis)
    return True


cdef bint take_weights(Held *held, sg_call *call, tuple options, const Py_buffer *x, int axis) except -1:
    """Enter good weights of classes and rows into the call; False if they are not such."""
    weight, sample_weight, _, _, _, _, _ = options
    cdef Py_buffer *view
    if weight is not None:
        view = hold(held, weight)
        if view == NULL or not computes_in(view, x) or view.ndim != 1 or view.shape[0] != call.n:
            return False
        call.weight = view.buf
    if sample_weight is not None:
        view = hold(held, sample_weight)
        if view == NULL or not computes_in(view, x) or not has_rows_of(view, x, axis):
            return False
        call.sample_weight = view.buf
    return True


cdef object losses_of_rows(
    sg_kernel *single, sg_kernel *double_, Wanted wanted, object inputs, object targets, object axis, tuple options,
    object out, object hess,
):
    cdef Held held
    cdef sg_call call
    cdef int index
    cdef ptrdiff_t rows
    cdef Py_buffer *x
    cdef Py_buffer *result
    cdef Py_buffer *curvature
    cdef Py_buffer *losses
    held.count = 0
    call.loss = NULL
    reduction, loss = options[3], None
    if type(reduction) is not str or not (reduction == "mean" or reduction == "sum" or reduction == "none"):
        return None
    try:
        x = hold(&held, inputs)
        if x == NULL or not is_real(x) or not take_axis(axis, x, &index):
            return None
        call = describe_plain(x, index)
        rows = call.outer * call.inner
        if (not take_numbers(&call, options, x) or not take_targets(&held, &call, targets, x, index)
                or not take_weights(&held, &call, options, x, index)):
            return None
        if wanted != LOSS:
            if out is None:
                out = new(x, shape_of(x))
            result = x if out is inputs else hold_out(&held, out, x)
            if result == NULL or result.readonly or not apart_from(&held, 1, result):
                return None
            call.out = array_of(result, index)
        if wanted == GRAD_HESS:
            if hess is None:
                hess = new(x, shape_of(x))
            curvature = hold_out(&held, hess, x)
            if curvature == NULL or not apart_from(&held, 0, curvature):
                return None
            call.hess = array_of(curvature, index)
        if wanted == LOSS or wanted == LOSS_GRAD:  # memory before work
            loss = new_of_rows(x, index) if reduction == "none" else new_wide(x, (1,))
            losses = hold(&held, loss)
            call.loss = <double *> malloc(rows * sizeof(double))
            if call.loss == NULL:
                raise MemoryError
        if reduction == "mean":
            divisor(f64 if in_double(x) else f32, &call, call.norm)
        run_plain(single, double_, &call, x)
        if wanted == GRAD:
            return out
        if wanted == GRAD_HESS:
            return out, hess
        if reduction == "none":
            narrow_into(call.loss, rows, losses.buf, computing_size(x))
        else:
            reduce_into(call.loss, rows, call.norm, losses.buf, computing_size(x))
        if reduction != "none" or x.ndim == 1:
            loss = loss[0]
        return (loss, out) if wanted == LOSS_GRAD else loss
    finally:
        free(call.loss)
        release(&held)
