/* softgrad.h - the contract of the C core: the call that every kernel takes, the kernel tables, the
 * instruction sets, the parallel run, and the table of functions for other native code (sg_api).
 * Knows nothing of Python.
 *
 * Nothing here checks its arguments. The caller sees to it that
 * - a call starts as sg_call_of() gives it, n >= 1; without rows (outer or inner 0) nothing is done;
 * - arrays are aligned to their elements and hold what the call's shape says; strides count elements, and may be zero or
 *   negative in what is read; no two entries of what is written share memory;
 * - what is written overlaps nothing that is read or written beside it, with one exception: `out` may be `x`, or `g` of the
 *   three products, itself, that is with the same data, strides and type, where their shapes agree (not in the Jacobians and logsumexp);
 * - labels were checked, by find_bad_label: others give a result without meaning, though no access out of bounds;
 * - options are within the ranges that stand beside them. */
#ifndef SOFTGRAD_H
#define SOFTGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How a 16-bit type is brought to float and back (to nearest, ties to even), n numbers one behind the other. */
typedef struct sg_half {
    void (*widen)(const uint16_t *from, ptrdiff_t n, float *to);
    void (*narrow)(const float *from, ptrdiff_t n, uint16_t *to);
    bool is_bfloat16;
    const struct sg_kernels *f32; /* the same instruction set's kernels */
} sg_half;

/* An array seen as (outer, n, inner); strides count elements, may be zero or negative. */
typedef struct sg_array {
    void *data; /* element (0, 0, 0); NULL: absent */
    ptrdiff_t outer, axis, inner;
    const sg_half *half; /* the type of its elements where that has 16 bits; NULL: the computing type */
} sg_array;

/* Threads that share out the blocks of a single long row, for the kernels that can: run(tasks, task, context) does
 * task(context, i) for each i < tasks. */
typedef struct sg_team {
    int tasks;
    void (*run)(int tasks, void (*task)(void *context, int i), void *context);
    void *memory; /* sg_team_bytes() of the row's length, aligned to 64 bytes */
} sg_team;

/* What is asked of a kernel: the arrays, their common shape, the options. Row r = o * inner + i is
 * the class vector x[o, :, i]; there are outer * inner rows. Unused members are as in sg_call_of().
 * `real` is the computing type, float or double, of the table that the kernel is taken from. Arrays of 16-bit types are
 * brought to it, and back, by sg_run (half.c); only the Jacobians narrow their results themselves. */
typedef struct sg_call {
    ptrdiff_t outer, n, inner; /* the shape of x; n is the number of classes, >= 1 */

    sg_array x;    /* real: logits; the products: y or log y; log_loss: probabilities */
    sg_array g;    /* real: g or v of the products, b of logsumexp, probability targets */
    sg_array out;  /* real: the result or the gradient, shape (outer, n, inner); may be x itself.
                      logsumexp: (outer, inner), and `axis` is 0.
                      Jacobians: J[o, i, b, j] of row (o, b); `axis` is the stride of i, and j has stride 1 */
    sg_array hess; /* real: diagonal of the Hessian, shape (outer, n, inner) */

    ptrdiff_t row_work; /* what a row writes, for sharing out: n * n in the Jacobians, else 0 for n */

    double temperature; /* T > 0 in the computing type: the logits are x / T, rounded; 1 for none */

    /* Losses. Targets are `labels` or, where that is NULL, the probabilities `g`. */
    const int64_t *labels;     /* (outer * inner), C-contiguous; checked or not, reads stay in bounds */
    int64_t ignore_index;      /* rows with this label give loss 0 and gradient 0, and are not read */
    const void *weight;        /* real (n), contiguous, or NULL */
    const void *sample_weight; /* real (outer * inner), contiguous, or NULL */
    double label_smoothing;    /* e in [0, 1], in the computing type */
    double z_loss;             /* a >= 0, in the computing type */
    double norm[2];            /* every gradient is divided by norm[0] + norm[1]; {1, 0} for none */
    double *loss;              /* (outer * inner), contiguous, or NULL: the loss of each row, undivided */

    bool alone; /* on the calling thread, however large */

    /* Set by sg_run. */
    const sg_team *team; /* NULL: none */
    bool stream;         /* the result is to go past the caches, if a kernel can do that */
} sg_call;

/* A call of that shape without arrays or options. */
static inline sg_call sg_call_of(ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner) {
    sg_call call;
    memset(&call, 0, sizeof call);
    call.outer = outer;
    call.n = n;
    call.inner = inner;
    call.temperature = call.norm[0] = 1;
    return call;
}

/* A kernel does rows [begin, end). It never allocates, never fails, and touches no other row.
 * `scratch` is at least sg_scratch_bytes() long and aligned to 64 bytes. */
typedef void sg_kernel(const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch);

/* The kernels of one computing type; sg_run calls them. */
typedef struct sg_kernels {
    sg_kernel *softmax;     /* out = exp(x) / sum exp(x) */
    sg_kernel *log_softmax; /* out = x - log sum exp(x) */
    sg_kernel *logsumexp;   /* out[o, i] = log sum exp(x) */
    sg_kernel *logsumexp_b; /* out[o, i] = log sum g exp(x) */

    sg_kernel *softmax_jacobian;     /* out[i, j] = s_i (delta_ij - s_j) */
    sg_kernel *log_softmax_jacobian; /* out[i, j] = delta_ij - s_j */

    sg_kernel *softmax_vjp;     /* out = x (g - sum(g x)), x = softmax */
    sg_kernel *log_softmax_vjp; /* out = g - exp(x) sum(g), x = log_softmax */
    sg_kernel *log_softmax_jvp; /* out = g - sum(exp(x) g), x = log_softmax */

    sg_kernel *cross_entropy; /* loss; out = gradient and hess where they have data */
    sg_kernel *log_loss;      /* loss of probabilities x; out = gradient in x where it has data */

    /* total[0] + total[1] = what reduction="mean" divides by, in a fixed order: the sum over the rows
     * that count of sample_weight * (labels: weight[label]). */
    void (*total_weight)(const sg_call *call, double total[2]);
} sg_kernels;

/* An instruction set: a name, whether this CPU runs it, its kernels. */
typedef struct sg_isa {
    const char *name; /* "portable", "avx2", "avx512", "neon" */
    bool (*supported)(void);
    const sg_kernels *f32, *f64;
    const sg_half *f16, *bf16;

    /* total[0] + total[1] = the sum of n doubles in a fixed order, error-compensated. */
    void (*sum)(const double *values, ptrdiff_t n, double total[2]);
    /* Position of the first label outside [0, n) other than ignore_index, or -1. */
    ptrdiff_t (*find_bad_label)(const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index);
} sg_isa;

/* The compiled instruction sets, worst first, ended by NULL. "portable" is always the first and
 * always supported; it stands once in the list, with fused multiply-add where the CPU has it. */
const sg_isa *const *sg_isa_list(void);
const sg_isa *sg_isa_best(void);                  /* the last supported one */
const sg_isa *sg_isa_find(const char *name);      /* NULL: unknown, or not supported by this CPU */
bool sg_isa_portable_is_fused(void);              /* whether "portable" has fused multiply-add here */

/* Scratch that one worker needs for `call`; `itemsize` is that of the computing type. */
size_t sg_scratch_bytes(const sg_call *call, size_t itemsize);

/* Run `kernel` over all rows of `call`, shared out among threads where that pays; the bits do not
 * depend on it. Returns 0, or -1 without having written anything if scratch cannot be allocated. */
int sg_run(sg_kernel *kernel, const sg_call *call, size_t itemsize);

/* Threads that sg_run may use. The default, read at the first use: SOFTGRAD_NUM_THREADS, else the
 * CPUs of this process (affinity mask and cgroup quota). n >= 1. */
void sg_set_num_threads(int n);
int sg_get_num_threads(void);
const char *sg_threading_layer(void); /* "openmp", "gcd" or "serial" */

/* The functions above belong to code that csrc/ is linked with. Other native code has those of the loaded softgrad from the
 * Python capsule of this name: softgrad_python.h gets it. They need no GIL, and several threads may call them at once; results
 * have the bits of the Python functions, whatever the caller's rounding mode.
 * The name changes with the layout or meaning of what is here. SG_CAPSULE_MINOR counts what is added at the end of sg_api,
 * sg_isa, sg_kernels and sg_half, which callers only point to; sg_array and sg_call, which are theirs, stay as they are. */
#define SG_CAPSULE "softgrad._core._C_API_1"
#define SG_CAPSULE_MINOR 0

typedef struct sg_api {
    int minor; /* SG_CAPSULE_MINOR of the loaded softgrad */
    size_t call_size; /* its sizeof(sg_call) */

    const sg_isa *(*isa)(void); /* the instruction set in use */

    /* sg_run and so on; what the instruction set in use has. */
    int (*run)(sg_kernel *kernel, const sg_call *call, size_t itemsize);
    ptrdiff_t (*find_bad_label)(const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index);
    void (*sum)(const double *values, ptrdiff_t n, double total[2]);
    void (*set_num_threads)(int n);
    int (*get_num_threads)(void);

    /* What reduction="mean" divides by, for `norm`; NaN where that is 0. `kernels` are those of the computing type; of the call
     * it reads the shape, labels, ignore_index and weights. */
    void (*total_weight)(const sg_kernels *kernels, const sg_call *call, double total[2]);
    /* The reduced loss: *out = (the sum of n losses) / (norm[0] + norm[1]), a float or a double, as `itemsize` says. */
    void (*reduce)(const double *loss, ptrdiff_t n, const double norm[2], void *out, size_t itemsize);
} sg_api;

#endif
