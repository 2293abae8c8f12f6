# _kernels.pxd - csrc/softgrad.h as Cython sees it; what each name means is said there.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint16_t


cdef extern from "softgrad.h" nogil:
    ctypedef struct sg_half:
        void (*widen)(const uint16_t *values, ptrdiff_t n, float *to) noexcept nogil
        void (*narrow)(const float *values, ptrdiff_t n, uint16_t *to) noexcept nogil

    ctypedef struct sg_array:
        void *data
        ptrdiff_t outer, axis, inner
        const sg_half *half

    ctypedef struct sg_call:
        ptrdiff_t outer, n, inner
        sg_array x, g, out, hess
        ptrdiff_t row_work
        double temperature
        const int64_t *labels
        int64_t ignore_index
        const void *weight
        const void *sample_weight
        double label_smoothing, z_loss
        double norm[2]
        double *loss
        bint alone

    sg_call sg_call_of(ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)

    ctypedef void sg_kernel(
        const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch) noexcept nogil

    ctypedef struct sg_kernels:
        sg_kernel *softmax
        sg_kernel *log_softmax
        sg_kernel *logsumexp
        sg_kernel *logsumexp_b
        sg_kernel *softmax_jacobian
        sg_kernel *log_softmax_jacobian
        sg_kernel *softmax_vjp
        sg_kernel *log_softmax_vjp
        sg_kernel *log_softmax_jvp
        sg_kernel *cross_entropy
        sg_kernel *log_loss
        void (*total_weight)(const sg_call *call, double *total) noexcept nogil

    ctypedef struct sg_isa:
        const char *name
        bint (*supported)() noexcept nogil
        const sg_kernels *f32
        const sg_kernels *f64
        const sg_half *f16
        const sg_half *bf16
        void (*sum)(const double *values, ptrdiff_t n, double *total) noexcept nogil
        ptrdiff_t (*find_bad_label)(
            const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index) noexcept nogil

    const sg_isa *const *sg_isa_list()
    const sg_isa *sg_isa_best()
    const sg_isa *sg_isa_find(const char *name)
    bint sg_isa_portable_is_fused()

    int sg_run(sg_kernel *kernel, const sg_call *call, size_t itemsize)
    void sg_set_num_threads(int n)
    int sg_get_num_threads()
    const char *sg_threading_layer()

    const char *SG_CAPSULE
    int SG_CAPSULE_MINOR

    ctypedef struct sg_api:
        int minor
        size_t call_size
        const sg_isa *(*isa)() noexcept nogil
        int (*run)(sg_kernel *kernel, const sg_call *call, size_t itemsize) noexcept nogil
        ptrdiff_t (*find_bad_label)(
            const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index) noexcept nogil
        void (*sum)(const double *values, ptrdiff_t n, double *total) noexcept nogil
        void (*set_num_threads)(int n) noexcept nogil
        int (*get_num_threads)() noexcept nogil
        void (*total_weight)(
            const sg_kernels *kernels, const sg_call *call, double *total) noexcept nogil
        void (*reduce)(
            const double *loss, ptrdiff_t n, const double *norm, void *out, size_t itemsize) noexcept nogil
