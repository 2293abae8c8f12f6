/* region.h - target regions: SG_TARGET_BEGIN("avx2,fma") ... SG_TARGET_END compiles the functions
 * between them for that target, whatever the flags of the file. Only functions may stand inside, no
 * system header, no data. What else GCC and clang (on Windows clang-cl, see setup.py) say differently is here too. */
#ifndef SG_REGION_H
#define SG_REGION_H

#define SG_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define SG_TARGET_BEGIN(features) \
    SG_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SG_TARGET_END SG_PRAGMA(clang attribute pop)
#elif defined(__GNUC__)
#define SG_TARGET_BEGIN(features) SG_PRAGMA(GCC push_options) SG_PRAGMA(GCC target(features))
#define SG_TARGET_END SG_PRAGMA(GCC pop_options)
#else
#error "softgrad: expected GCC or clang, whose vector extensions csrc is written with"
#endif

#define SG_INLINE static inline __attribute__((always_inline))
#define SG_NOINLINE static __attribute__((noinline))
#define SG_ALIGN64 __attribute__((aligned(64)))
#define SG_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Asks for the cache line at p, which need not exist, to be brought into the second-level cache; to be written soon. */
#define SG_PREFETCH(p) __builtin_prefetch(p, 0, 2)
#define SG_PREFETCH_WRITE(p) __builtin_prefetch(p, 1, 2)

/* Streamed stores (vT_stream) are seen by other threads after it. */
#if defined(__x86_64__)
#define SG_FENCE() __builtin_ia32_sfence()
#else
#define SG_FENCE() ((void)0)
#endif

/* SG_UNROLL: the statement for j = 0, ..., u - 1, written out; u is a literal. SG_BODY: a function that is inlined for speed
 * alone, most of them with a literal `layout` or another one, so that each instance has what it needs. An instruction set whose words are many instructions each
 * (isa_portable.c) asks for small code instead: these arguments are variables there, and the size is a third (docs/performance.md). */
#if defined(SG_SMALL)
#define SG_BODY SG_NOINLINE
#define SG_UNROLL(j, u) for (int j = 0; j < (u); j++)
#elif defined(__clang__)
#define SG_BODY SG_INLINE
#define SG_UNROLL(j, u) _Pragma("clang loop unroll(full)") for (int j = 0; j < (u); j++)
#else
#define SG_BODY SG_INLINE
#define SG_UNROLL(j, u) _Pragma("GCC unroll 8") for (int j = 0; j < (u); j++)
#endif

#endif
