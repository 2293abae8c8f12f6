/* softgrad.h - the contract of the C core: the call that every kernel takes, the kernel tables, the
 * instruction sets and the parallel run. Knows nothing of Python. */
#ifndef SOFTGRAD_H
#define SOFTGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a 16-bit type is brought to float and back (to nearest, ties to even), n numbers one behind the other. */
typedef struct sg_half {
    void (*widen)(const uint16_t *from, ptrdiff_t n, float *to);
    void (*narrow)(const float *from, ptrdiff_t n, uint16_t *to);
} sg_half;

/* An array seen as (outer, n, inner); strides count elements, may be zero or negative. */
typedef struct sg_array {
    void *data; /* element (0, 0, 0); NULL: absent */
    ptrdiff_t outer, axis, inner;
    const sg_half
        *half; /* the array's own type, 16 bits wide, where the computing type is float; NULL: that */
} sg_array;

/* Threads that share out the blocks of a single long row, for the kernels that can: run(tasks, task, context) does
 * task(context, i) for each i < tasks. */
typedef struct sg_team {
    int tasks;
    void (*run)(int tasks, void (*task)(void *context, int i), void *context);
    void *memory; /* sg_team_bytes() of the row's length, aligned to 64 bytes */
} sg_team;

/* What is asked of a kernel: the arrays, their common shape, the options. Row r = o * inner + i is
 * the class vector x[o, :, i]; there are outer * inner rows. Unused members are zero.
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

    ptrdiff_t row_work; /* elements that a row reads or writes, for sharing out; 0: n */

    double temperature; /* T > 0 in the computing type: the logits are x / T, rounded; 1 for none */

    /* Losses. Targets are `labels` or, where that is NULL, the probabilities `g`. */
    const int64_t *labels;     /* (outer * inner), C-contiguous; checked or not, reads stay in bounds */
    int64_t ignore_index;      /* rows with this label give loss 0 and gradient 0, and are not read */
    const void *weight;        /* real (n), contiguous, or NULL */
    const void *sample_weight; /* real (outer * inner), contiguous, or NULL */
    double label_smoothing;    /* e in [0, 1], in the computing type */
    double z_loss;             /* a >= 0, in the computing type */
    double norm[2];            /* every gradient is divided by norm[0] + norm[1]; {1, 0} for none */
    double *loss;              /* (outer * inner), contiguous: the loss of each row, not divided by norm */

    const sg_team *team; /* set by sg_run; NULL for none */
} sg_call;

/* A kernel does rows [begin, end). It never allocates, never fails, and touches no other row.
 * `scratch` is at least sg_scratch_bytes() long and aligned to 64 bytes. */
typedef void sg_kernel(const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch);

/* The kernels of one computing type. */
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
} sg_isa;

/* The compiled instruction sets, worst first, ended by NULL. "portable" is always the first and
 * always supported; it stands once in the list, with fused multiply-add where the CPU has it. */
const sg_isa *const *sg_isa_list(void);
const sg_isa *sg_isa_best(void);                  /* the last supported one */
const sg_isa *sg_isa_find(const char *name);      /* NULL: unknown, or not supported by this CPU */
bool sg_isa_portable_is_fused(void);              /* whether "portable" has fused multiply-add here */

/* Position of the first label outside [0, n) other than ignore_index, or -1. */
ptrdiff_t sg_find_bad_label(const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index);

/* Sum of `n` doubles in a fixed order, error-compensated: total[0] + total[1]. */
void sg_sum(const double *values, ptrdiff_t n, double total[2]);

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

#endif
