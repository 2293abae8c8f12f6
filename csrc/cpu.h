/* cpu.h - which instruction sets this CPU and its operating system run. */
#ifndef SG_CPU_H
#define SG_CPU_H

#include <stdbool.h>

bool sg_cpu_has_fma(void);    /* FMA3 with AVX2, or AArch64, whose baseline has it */
bool sg_cpu_has_avx2(void);   /* AVX2, FMA, F16C */
bool sg_cpu_has_avx512(void); /* F, DQ, BW, VL beside AVX2 */

#endif
