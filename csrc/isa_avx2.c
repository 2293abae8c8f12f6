/* isa_avx2.c - the kernels on AVX2 with FMA. */
#include "isa.h"

#if SG_X86_64
#include <immintrin.h>

SG_TARGET_BEGIN("avx2,fma,f16c")
#include "simd/avx2.h"
#include "kernels.h"
SG_TARGET_END

SG_DEFINE_ISA(avx2, "avx2", sg_cpu_has_avx2)
#endif
