/* every_kernel.h - the kernels and types that golden_bits.c, guard_pages.c and threads.c go through, as calls: which
 * arrays and options each kernel is given. No test by itself. */
#ifndef SG_EVERY_KERNEL_H
#define SG_EVERY_KERNEL_H

#include "softgrad.h"

typedef enum { FLOAT32, FLOAT64, FLOAT16, BFLOAT16, TYPES } type;
static const char *const type_names[TYPES] = {"float32", "float64", "float16", "bfloat16"};
static const size_t sizes[TYPES] = {4, 8, 2, 2};

static inline type computing(type kind) { return kind == FLOAT64 ? FLOAT64 : FLOAT32; }
static inline const sg_half *half_of(const sg_isa *isa, type kind) {
    return kind == FLOAT16 ? isa->f16 : kind == BFLOAT16 ? isa->bf16 : NULL;
}

typedef enum {
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
} kernel_id;
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

static inline sg_kernel *kernel_of(const sg_isa *isa, type kind, kernel_id which) {
    const sg_kernels *k = computing(kind) == FLOAT64 ? isa->f64 : isa->f32;
    sg_kernel *const all[KERNELS] = {k->softmax,       k->log_softmax,      k->logsumexp,
                                     k->logsumexp_b,   k->softmax_jacobian, k->log_softmax_jacobian,
                                     k->softmax_vjp,   k->log_softmax_vjp,  k->log_softmax_jvp,
                                     k->cross_entropy, k->cross_entropy,    k->cross_entropy,
                                     k->log_loss,      k->log_loss};
    return all[which];
}

static inline bool is_jacobian(kernel_id which) { return which == JACOBIAN || which == LOG_JACOBIAN; }
static inline bool is_reduced(kernel_id which) { return which == LOGSUMEXP || which == LOGSUMEXP_B; }
static inline bool is_loss(kernel_id which) { return which >= CE_LABELS; }
static inline bool has_options(kernel_id which) { return which == CE_ALL || which == CE_PROBABILITIES; }
static inline bool takes_labels(kernel_id which) {
    return which == CE_LABELS || which == CE_ALL || which == LOSS_LABELS;
}
static inline bool takes_probabilities(kernel_id which) { /* as x */
    return which == LOSS_LABELS || which == LOSS_PROBABILITIES;
}
static inline bool takes_g(kernel_id which) {
    return which == LOGSUMEXP_B || which == VJP || which == LOG_VJP || which == LOG_JVP ||
           which == CE_PROBABILITIES || which == LOSS_PROBABILITIES;
}

/* The options that a kernel is given beside its arrays. */
static inline void set_options(kernel_id which, const int64_t *labels, const void *weight, const void *sample,
                               double *loss, sg_call *call) {
    if (is_loss(which)) {
        call->loss = loss;
        call->ignore_index = -100;
    }
    if (takes_labels(which)) call->labels = labels;
    if (!has_options(which)) return;
    call->weight = weight;
    call->sample_weight = sample;
    call->label_smoothing = 0.125;
    call->z_loss = 0.0625;
    call->temperature = 1.25;
    call->norm[0] = 19;
}

/* xorshift64*; uniform numbers with 24 bits in [-1, 1), the same in every arithmetic. */
static uint64_t state = 0x9e3779b97f4a7c15ULL;
static inline double uniform(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)(int64_t)(state * 0x2545f4914f6cdd1dULL >> 40) * 0x1p-23 - 1;
}

static inline uint64_t hash_of(uint64_t h, const void *p, size_t bytes) { /* FNV-1a */
    const unsigned char *c = p;
    for (size_t i = 0; i < bytes; i++) h = (h ^ c[i]) * 0x100000001b3ULL;
    return h;
}

/* array[i] = value, rounded. */
static inline void put_as(type kind, const sg_half *half, void *array, ptrdiff_t i, double value) {
    const float rounded = (float)value;
    if (kind == FLOAT64) ((double *)array)[i] = value;
    else if (kind == FLOAT32) ((float *)array)[i] = rounded;
    else half->narrow(&rounded, 1, (uint16_t *)array + i);
}

#endif
