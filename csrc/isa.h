/* isa.h - what every isa_*.c starts with: the headers that must stand outside target regions, and the
 * macro that makes the table. */
#ifndef SG_ISA_H
#define SG_ISA_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "softgrad.h"

#include "math/constants.h"
#include "simd/region.h"
/* after the headers above: included again inside the region, they must do nothing there */
#include "kernel/layout.h"

#if defined(__x86_64__)
#define SG_X86_64 1
#else
#define SG_X86_64 0
#endif
#if defined(__aarch64__)
#define SG_AARCH64 1
#else
#define SG_AARCH64 0
#endif

static inline bool sg_always(void) { return true; }

#define SG_KERNELS(t)                                                                      \
    {softmax_##t,          log_softmax_##t,          logsumexp_##t,   logsumexp_b_##t,     \
     softmax_jacobian_##t, log_softmax_jacobian_##t, softmax_vjp_##t, log_softmax_vjp_##t, \
     log_softmax_jvp_##t,  cross_entropy_##t,        log_loss_##t,    total_weight_##t}

#define SG_DEFINE_ISA(id, name, supported)                                          \
    static const sg_kernels kernels_f32 = SG_KERNELS(f32);                          \
    static const sg_kernels kernels_f64 = SG_KERNELS(f64);                          \
    static const sg_half half_f16 = {widen_f16, narrow_f16, false, &kernels_f32};   \
    static const sg_half half_bf16 = {widen_bf16, narrow_bf16, true, &kernels_f32}; \
    const sg_isa sg_isa_##id = {name,      supported,  &kernels_f32, &kernels_f64,  \
                                &half_f16, &half_bf16, sum_doubles,  find_bad_label};

extern const sg_isa sg_isa_portable, sg_isa_portable_fma, sg_isa_avx2, sg_isa_avx512, sg_isa_neon;

#endif
