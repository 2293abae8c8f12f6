/* isa_portable.c - the kernels in plain C for the baseline of the target. On AArch64 that has fused
 * multiply-add; on x86-64 it has not, and isa_portable_fma.c stands beside this file. */
#define SG_SMALL
#include "isa.h"

#if SG_AARCH64
#define SG_FUSED 1
#else
#define SG_FUSED 0
#endif
#include "simd/portable.h"
#include "kernels.h"

SG_DEFINE_ISA(portable, "portable", sg_always)
