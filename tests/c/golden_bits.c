/* golden_bits.c - prints a hash of the results of every kernel on fixed pseudo-random rows, one line a kernel, dtype
 * and row length; fails if the instruction sets of this machine do not agree, or the layouts. The lines are compared
 * with golden_bits.txt, so that a change of bits is always a deliberate commit: see run_golden_bits.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgrad.h"

enum { ROWS = 19 };
static const ptrdiff_t lengths[] = {1,   2,   3,   5,   10,   16,   17,   64,   65,
                                    100, 255, 256, 257, 1000, 2049, 4097, 10000};

/* xorshift64*; uniform numbers with 24 bits in [-1, 1), the same in every arithmetic. */
static uint64_t state;
static double uniform(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)(int64_t)(state * 0x2545f4914f6cdd1dULL >> 40) * 0x1p-23 - 1;
}

static uint64_t hash_of(uint64_t h, const void *p, size_t bytes) { /* FNV-1a */
    const unsigned char *c = p;
    for (size_t i = 0; i < bytes; i++) h = (h ^ c[i]) * 0x100000001b3ULL;
    return h;
}

typedef enum { FLOAT32, FLOAT64, FLOAT16, BFLOAT16, TYPES } type;
static const char *const type_names[TYPES] = {"float32", "float64", "float16", "bfloat16"};
static const size_t sizes[TYPES] = {4, 8, 2, 2};

static const sg_half *half_of(const sg_isa *isa, type kind) {
    return kind == FLOAT16 ? isa->f16 : kind == BFLOAT16 ? isa->bf16 : NULL;
}

typedef struct {
    type kind;
    size_t size; /* of an element */
    type computing; /* of weight and sample */
    const sg_half *half; /* of the instruction set in use */
    ptrdiff_t n;
    void *x, *g, *weight, *sample, *out, *hess;
    int64_t labels[ROWS];
    double loss[ROWS];
} problem;

static void put_as(const problem *p, type kind, void *array, ptrdiff_t i, double value) {
    const float rounded = (float)value;
    if (kind == FLOAT64) ((double *)array)[i] = value;
    else if (kind == FLOAT32) ((float *)array)[i] = rounded;
    else p->half->narrow(&rounded, 1, (uint16_t *)array + i);
}
static void put(const problem *p, void *array, ptrdiff_t i, double value) {
    put_as(p, p->kind, array, i, value);
}
static int is_nan(const problem *p, const void *array, size_t i) {
    float widened;
    if (p->kind == FLOAT64) return isnan(((const double *)array)[i]);
    if (p->kind == FLOAT32) return isnan(((const float *)array)[i]);
    p->half->widen((const uint16_t *)array + i, 1, &widened);
    return isnan(widened);
}
static void one_nan(const problem *p, void *array, size_t n) { /* any will do */
    for (size_t i = 0; i < n; i++)
        if (is_nan(p, array, i)) put(p, array, (ptrdiff_t)i, NAN);
}

/* Row r has scale 2^(r - 6): from nearly constant to far rows. Row 3 holds -inf, row 4 ties, row 5 one +inf. */
static void fill(problem *p) {
    for (ptrdiff_t r = 0; r < ROWS; r++) {
        for (ptrdiff_t i = 0; i < p->n; i++) {
            double v = uniform() * ldexp(1, (int)r - 6) * (r > 16 ? 64 : 1);
            if (r == 3 && i % 3 == 1) v = -INFINITY;
            if (r == 4) v = (double)(i % 4) * 0.25;
            if (r == 5 && i == p->n / 2) v = INFINITY;
            put(p, p->x, r * p->n + i, v);
            put(p, p->g, r * p->n + i, r % 2 ? uniform() : fabs(uniform()));
        }
        p->labels[r] = r % 7 == 6 ? -100 : (int64_t)(fabs(uniform()) * (double)p->n);
        put_as(p, p->computing, p->sample, r, fabs(uniform()));
    }
    for (ptrdiff_t i = 0; i < p->n; i++) put_as(p, p->computing, p->weight, i, fabs(uniform()));
}

/* Rows contiguous, or the transposed arrays, whose class axis is strided: the same rows, so the same bits. */
static sg_array array_of(const problem *p, void *data, int strided) {
    return (sg_array){data, strided ? 0 : p->n, strided ? ROWS : 1, strided ? 1 : 0, p->half};
}
static void transpose(const problem *p, const void *from, void *to, int back) {
    for (ptrdiff_t r = 0; r < ROWS; r++)
        for (ptrdiff_t i = 0; i < p->n; i++) {
            ptrdiff_t a = r * p->n + i, b = i * ROWS + r;
            memcpy((char *)to + (size_t)(back ? a : b) * p->size,
                   (const char *)from + (size_t)(back ? b : a) * p->size, p->size);
        }
}

enum {
    SOFTMAX,
    LOG_SOFTMAX,
    LOGSUMEXP,
    LOGSUMEXP_B,
    JACOBIAN,
    LOG_JACOBIAN,
    VJP,
    LOG_VJP,
    LOG_JVP,
    CE_LABELS,
    CE_ALL,
    CE_PROBABILITIES,
    LOSS_LABELS,
    LOSS_PROBABILITIES,
    KERNELS
};
static const char *const names[KERNELS] = {"softmax",
                                           "log_softmax",
                                           "logsumexp",
                                           "logsumexp_b",
                                           "softmax_jacobian",
                                           "log_softmax_jacobian",
                                           "softmax_vjp",
                                           "log_softmax_vjp",
                                           "log_softmax_jvp",
                                           "cross_entropy[labels]",
                                           "cross_entropy[labels,options]",
                                           "cross_entropy[probabilities,options]",
                                           "log_loss[labels]",
                                           "log_loss[probabilities]"};

static sg_kernel *kernel_of(const sg_kernels *k, int which) {
    sg_kernel *const all[KERNELS] = {k->softmax,       k->log_softmax,      k->logsumexp,
                                     k->logsumexp_b,   k->softmax_jacobian, k->log_softmax_jacobian,
                                     k->softmax_vjp,   k->log_softmax_vjp,  k->log_softmax_jvp,
                                     k->cross_entropy, k->cross_entropy,    k->cross_entropy,
                                     k->log_loss,      k->log_loss};
    return all[which];
}

static uint64_t run(const problem *p, const sg_kernels *kernels, int which, int strided) {
    const size_t cells = (size_t)ROWS * (size_t)p->n;
    const int matrix = which == JACOBIAN || which == LOG_JACOBIAN;
    const size_t results = matrix                                       ? cells * (size_t)p->n
                           : which == LOGSUMEXP || which == LOGSUMEXP_B ? ROWS
                                                                        : cells;
    char *out = calloc(results, 8), *hess = calloc(cells, p->size), *x = malloc(cells * p->size);
    char *g = malloc(cells * p->size), *back = malloc(cells * p->size);
    double loss[ROWS] = {0};
    uint64_t h = 0xcbf29ce484222325ULL;
    memcpy(x, p->x, cells * p->size);
    memcpy(g, p->g, cells * p->size);
    if (which == LOSS_LABELS || which == LOSS_PROBABILITIES) /* probabilities of any sum */
        for (size_t i = 0; i < cells; i++) put(p, x, (ptrdiff_t)i, ((double)(i % 97) + 0.5) / 97);
    if (strided) {
        transpose(p, x, back, 0);
        memcpy(x, back, cells * p->size);
        transpose(p, g, back, 0);
        memcpy(g, back, cells * p->size);
    }
    sg_call c = {.outer = strided ? 1 : ROWS,
                 .n = p->n,
                 .inner = strided ? ROWS : 1,
                 .temperature = 1,
                 .norm = {1, 0}};
    c.x = array_of(p, x, strided);
    c.out = array_of(p, out, strided);
    if (which == LOGSUMEXP_B || which == VJP || which == LOG_VJP || which == LOG_JVP ||
        which == CE_PROBABILITIES || which == LOSS_PROBABILITIES)
        c.g = array_of(p, g, strided);
    const int reduced = which == LOGSUMEXP || which == LOGSUMEXP_B; /* to the computing type */
    if (reduced) c.out = (sg_array){out, 1, 0, 1, NULL};
    if (matrix) {
        ptrdiff_t square = p->n * p->n;
        c.out = (sg_array){out, strided ? 0 : square, p->n, strided ? square : 0, p->half};
        c.row_work = square;
    }
    if (which >= CE_LABELS) {
        c.loss = loss;
        c.ignore_index = -100;
        if (!c.g.data) c.labels = p->labels;
    }
    if (which == CE_ALL || which == CE_PROBABILITIES) {
        c.hess = array_of(p, hess, strided);
        c.weight = p->weight;
        c.sample_weight = p->sample;
        c.label_smoothing = 0.125;
        c.z_loss = 0.0625;
        c.temperature = 1.25;
        c.norm[0] = 19;
    }
    if (sg_run(kernel_of(kernels, which), &c, sizes[p->computing]) != 0) abort();
    problem of_out = *p;
    if (reduced) of_out.kind = p->computing;
    one_nan(&of_out, out, results);
    for (int r = 0; r < ROWS; r++)
        if (isnan(loss[r])) loss[r] = NAN;
    if (strided && results == cells) {
        transpose(p, out, back, 1);
        h = hash_of(h, back, cells * p->size);
    } else {
        h = hash_of(h, out, results * sizes[of_out.kind]);
    }
    if (c.hess.data) {
        one_nan(p, hess, cells);
        if (strided) {
            transpose(p, hess, back, 1);
            memcpy(hess, back, cells * p->size);
        }
        h = hash_of(h, hess, cells * p->size);
    }
    h = hash_of(h, loss, sizeof loss);
    free(out);
    free(hess);
    free(x);
    free(g);
    free(back);
    return h;
}

int main(void) {
    int failures = 0;
    sg_set_num_threads(1);
    for (type kind = 0; kind < TYPES; kind++)
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            const type computing = kind == FLOAT64 ? FLOAT64 : FLOAT32;
            problem p = {.kind = kind,
                         .size = sizes[kind],
                         .computing = computing,
                         .half = half_of(sg_isa_list()[0], kind),
                         .n = lengths[k]};
            if (p.half && k % 3 != 2) continue; /* 3, 16, 65, 256, 2049 */
            const size_t cells = (size_t)ROWS * (size_t)p.n;
            p.x = malloc(cells * p.size);
            p.g = malloc(cells * p.size);
            p.weight = malloc((size_t)p.n * sizes[computing]);
            p.sample = malloc(ROWS * sizes[computing]);
            state = 0x9e3779b97f4a7c15ULL + (uint64_t)k;
            fill(&p);
            for (int which = 0; which < KERNELS; which++) {
                if ((which == JACOBIAN || which == LOG_JACOBIAN) && p.n > 1000) continue;
                uint64_t first = 0;
                for (const sg_isa *const *isa = sg_isa_list(); *isa; isa++)
                    for (int strided = 0; strided < 2; strided++) {
                        if (!(*isa)->supported()) continue;
                        p.half = half_of(*isa, kind);
                        uint64_t h =
                            run(&p, computing == FLOAT64 ? (*isa)->f64 : (*isa)->f32, which, strided);
                        if (isa == sg_isa_list() && !strided) first = h;
                        if (h == first) continue;
                        failures++;
                        fprintf(stderr, "%s %s n=%td: %s%s differs\n", names[which], type_names[kind], p.n,
                                (*isa)->name, strided ? ", strided," : "");
                    }
                printf("%s %s %td %016llx\n", names[which], type_names[kind], p.n, (unsigned long long)first);
            }
            free(p.x);
            free(p.g);
            free(p.weight);
            free(p.sample);
        }
    return failures != 0;
}
