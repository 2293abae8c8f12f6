/* half.h - runs of float16 and bfloat16 to float and back. Included once. */

/* The last numbers of a run, fewer than a vector holds, go through a buffer. */
#define HALF_RUNS(type)                                                              \
    static void widen_##type(const uint16_t *from, ptrdiff_t n, float *to) {         \
        ptrdiff_t i = 0;                                                             \
        for (; i + 16 <= n; i += 16) vf32_store(to + i, vf32_load_##type(from + i)); \
        if (i == n) return;                                                          \
        uint16_t rest[16] = {0};                                                     \
        memcpy(rest, from + i, (size_t)(n - i) * sizeof *rest);                      \
        vf32_store_n(to + i, vf32_load_##type(rest), (int)(n - i));                  \
    }                                                                                \
    static void narrow_##type(const float *from, ptrdiff_t n, uint16_t *to) {        \
        ptrdiff_t i = 0;                                                             \
        for (; i + 16 <= n; i += 16) vf32_store_##type(to + i, vf32_load(from + i)); \
        if (i == n) return;                                                          \
        uint16_t rest[16];                                                           \
        vf32_store_##type(rest, vf32_load_n(from + i, (int)(n - i), 0));             \
        memcpy(to + i, rest, (size_t)(n - i) * sizeof *rest);                        \
    }

HALF_RUNS(f16)
HALF_RUNS(bf16)
#undef HALF_RUNS
