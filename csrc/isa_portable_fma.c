/* isa_portable_fma.c - the portable kernels for x86-64 with FMA: the same bits as the other instruction sets.
 * Named "portable" too; dispatch.c lists it in the place of the other where the CPU allows. */
#define SG_SMALL
#include "isa.h"

#if SG_X86_64
#define SG_FUSED 1
SG_TARGET_BEGIN("avx2,fma")
#include "simd/portable.h"
#include "kernels.h"
SG_TARGET_END

SG_DEFINE_ISA(portable_fma, "portable", sg_cpu_has_fma)
#endif
