/* cpu.c - CPU features by cpuid and xgetbv, as the vendors' manuals describe (Intel SDM vol. 1, 14.3 and
 * 15.2): the operating system must save the registers too. */
#include "cpu.h"

#include <stdint.h>

#if defined(__x86_64__)

#include <cpuid.h>
static void cpuid(uint32_t leaf, uint32_t regs[4]) {
    if (!__get_cpuid_count(leaf, 0, &regs[0], &regs[1], &regs[2], &regs[3]))
        regs[0] = regs[1] = regs[2] = regs[3] = 0;
}
static uint64_t xcr0(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_AVX = 1 << 28,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512 = 1 << 16 | 1 << 17 | 1 << 30, /* F, DQ, BW */
    XCR0_AVX = 0x6,                                 /* xmm, ymm */
    XCR0_AVX512 = 0xe6                              /* and opmask, zmm */
};
#define LEAF7_EBX_AVX512VL 0x80000000U

bool sg_cpu_has_avx2(void) {
    const uint32_t need = LEAF1_ECX_FMA | LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_F16C;
    uint32_t one[4], seven[4];
    cpuid(1, one);
    cpuid(7, seven);
    return (one[2] & need) == need && (xcr0() & XCR0_AVX) == XCR0_AVX && (seven[1] & LEAF7_EBX_AVX2);
}

bool sg_cpu_has_fma(void) { return sg_cpu_has_avx2(); }

bool sg_cpu_has_avx512(void) {
#if defined(__APPLE__)
    return false; /* Darwin enables zmm lazily, and some versions lost the mask registers (Go issue 49233) */
#else
    const uint32_t need = LEAF7_EBX_AVX512 | LEAF7_EBX_AVX512VL;
    uint32_t seven[4];
    cpuid(7, seven);
    return sg_cpu_has_avx2() && (seven[1] & need) == need && (xcr0() & XCR0_AVX512) == XCR0_AVX512;
#endif
}

#else

bool sg_cpu_has_avx2(void) { return false; }
bool sg_cpu_has_avx512(void) { return false; }
bool sg_cpu_has_fma(void) {
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

#endif
