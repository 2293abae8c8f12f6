/* isa_portable.c - the kernels in plain C for the baseline of the target. On AArch64 that has fused
 * multiply-add; on x86-64 it has not, and isa_portable_fma.c stands beside this file. */
#define SG_BODY SG_NOINLINE
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* for CPUs of before 2013: loops that are not written out take 110 KB less of a wheel */
#pragma GCC optimize("Os")
#define SG_UNROLL(j, u) for (int j = 0; j < (u); j++)
#endif
#include "isa.h"

#if SG_AARCH64
#define SG_FUSED 1
#else
#define SG_FUSED 0
#endif
#include "simd/portable.h"
#include "kernels.h"

SG_DEFINE_ISA(portable, "portable", sg_always)
