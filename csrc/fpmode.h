/* fpmode.h - the floating-point mode: a caller may have set flush-to-zero or another rounding. Kernels run
 * in the default mode; the caller's mode and exception flags come back afterwards. */
#ifndef SG_FPMODE_H
#define SG_FPMODE_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned int sg_fpmode;
static inline sg_fpmode sg_fpmode_enter(void) {
    sg_fpmode saved = _mm_getcsr();
    _mm_setcsr(0x1f80); /* all exceptions masked, to nearest, no flushing */
    return saved;
}
static inline void sg_fpmode_leave(sg_fpmode saved) { _mm_setcsr(saved); }
#elif defined(__aarch64__)
typedef struct { uint64_t control, status; } sg_fpmode;
static inline sg_fpmode sg_fpmode_enter(void) {
    sg_fpmode saved;
    const uint64_t zero = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved.control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(saved.status));
    __asm__ volatile("msr fpcr, %0" : : "r"(zero));
    return saved;
}
static inline void sg_fpmode_leave(sg_fpmode saved) {
    __asm__ volatile("msr fpsr, %0" : : "r"(saved.status));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved.control));
}
#else
#include <fenv.h>
typedef fenv_t sg_fpmode;
static inline sg_fpmode sg_fpmode_enter(void) {
    sg_fpmode saved;
    fegetenv(&saved);
    fesetenv(FE_DFL_ENV);
    return saved;
}
static inline void sg_fpmode_leave(sg_fpmode saved) { fesetenv(&saved); }
#endif

#endif
