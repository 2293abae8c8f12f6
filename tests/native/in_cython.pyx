# in_cython.pyx - softgrad's kernels from Cython: softmax of a matrix, cross-entropy of contiguous rows.
# cython: language_level=3
from cython cimport floating
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport softgrad

cdef const softgrad.sg_api *sg = softgrad.import_softgrad()


def softmax(const floating[:, :] x, floating[:, :] out):
    """out = softmax of the rows of x, of any strides; out may be x."""
    cdef softgrad.sg_call call = softgrad.sg_call_of(x.shape[0], x.shape[1], 1)
    cdef const softgrad.sg_kernels *kernels = sg.isa().f32 if floating is float else sg.isa().f64
    cdef int status
    if x.shape[1] == 0 or out.shape[0] != x.shape[0] or out.shape[1] != x.shape[1]:
        raise ValueError(f"softmax: expected x (N, C), C >= 1, and out of its shape, got {x.shape[0], x.shape[1]} "
                         f"and {out.shape[0], out.shape[1]}")
    if x.shape[0] == 0:
        return
    call.x = matrix(<void *> &x[0, 0], x.strides, sizeof(floating))
    call.out = matrix(&out[0, 0], out.strides, sizeof(floating))
    with nogil:
        status = sg.run(kernels.softmax, &call, sizeof(floating))
    if status != 0:
        raise MemoryError


def cross_entropy_value_and_grad(const floating[:, ::1] logits, const int64_t[::1] labels, floating[:, ::1] grad):
    """The mean loss; its gradient goes to grad. Rows of label -100 do not count."""
    cdef softgrad.sg_call call = softgrad.sg_call_of(logits.shape[0], logits.shape[1], 1)
    cdef const softgrad.sg_kernels *kernels = sg.isa().f32 if floating is float else sg.isa().f64
    cdef ptrdiff_t rows = logits.shape[0], bad
    cdef floating loss
    cdef int status
    if (rows == 0 or logits.shape[1] == 0 or labels.shape[0] != rows
            or grad.shape[0] != rows or grad.shape[1] != logits.shape[1]):
        raise ValueError("cross_entropy_value_and_grad: expected logits (N, C), N labels and a grad of (N, C), none empty")
    call.x = matrix(<void *> &logits[0, 0], logits.strides, sizeof(floating))
    call.out = matrix(&grad[0, 0], grad.strides, sizeof(floating))
    call.labels, call.ignore_index = &labels[0], -100
    bad = sg.find_bad_label(call.labels, rows, call.n, call.ignore_index)
    if bad >= 0:
        raise IndexError(f"cross_entropy_value_and_grad: labels[{bad}] = {labels[bad]} is no class")
    call.loss = <double *> malloc(rows * sizeof(double))
    if call.loss == NULL:
        raise MemoryError
    with nogil:
        sg.total_weight(kernels, &call, call.norm)
        status = sg.run(kernels.cross_entropy, &call, sizeof(floating))
        sg.reduce(call.loss, rows, call.norm, &loss, sizeof(floating))
    free(call.loss)
    if status != 0:
        raise MemoryError
    return loss


cdef softgrad.sg_array matrix(void *data, const Py_ssize_t *strides, ptrdiff_t itemsize) noexcept:
    """Rows and classes of a matrix; softgrad counts strides in elements."""
    return softgrad.sg_array(data, strides[0] // itemsize, strides[1] // itemsize, 0, NULL)
