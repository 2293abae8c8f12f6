/* isa_avx512.c - the kernels on AVX-512. */
#include "isa.h"

#if SG_X86_64
#include <immintrin.h>

SG_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c")
#include "simd/avx512.h"
#include "kernels.h"
SG_TARGET_END

SG_DEFINE_ISA(avx512, "avx512", sg_cpu_has_avx512)
#endif
