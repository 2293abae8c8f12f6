/* isa_neon.c - the kernels on AArch64's Advanced SIMD, part of its baseline. */
#include "isa.h"

#if SG_AARCH64
#include <arm_neon.h>

#include "simd/neon.h"
#include "kernels.h"

SG_DEFINE_ISA(neon, "neon", sg_cpu_has_fma)
#endif
