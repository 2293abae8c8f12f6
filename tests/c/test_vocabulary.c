/* test_vocabulary.c - checks every word of csrc/simd/VOCABULARY.md against scalar C, for one instruction
 * set: SG_TEST_ISA_HEADER is its header, SG_TEST_TARGET its target features ("" for none). Run by
 * run_vocabulary.sh. Includes itself once for each type, with REAL and its companions defined. */
#ifndef REAL

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "simd/region.h"

/* Whether fma must round once: everywhere but in the portable build without hardware FMA. */
#ifndef SG_FUSED
#define SG_FUSED 1
#endif

static int passed, failed;

static void count(const char *word, bool ok) {
    if (ok) {
        passed++;
    } else {
        failed++;
        printf("FAILED %s\n", word);
    }
}

/* splitmix64 (Steele, Lea & Flood, OOPSLA 2014). */
static uint64_t random_bits(void) {
    static uint64_t state;
    uint64_t z = state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* Memory between two pages that may not be touched (where the system can); size in bytes. */
#define GUARDED_SIZE ((size_t)64 * 1024)
static char *guarded;

static void make_guarded(void) {
#if defined(__unix__) || defined(__APPLE__)
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, GUARDED_SIZE + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) ||
        mprotect(p + page + GUARDED_SIZE, page, PROT_NONE)) {
        perror("mmap");
        exit(1);
    }
    guarded = p + page;
#else
    guarded = malloc(GUARDED_SIZE);
    if (!guarded) exit(1);
#endif
}

/* The references of fma, out of the reach of the target region. */
SG_NOINLINE float fma_of_f32(float a, float b, float c) { return fmaf(a, b, c); }
SG_NOINLINE double fma_of_f64(double a, double b, double c) { return fma(a, b, c); }

/* Operands: special values, random bits, and random values of similar magnitude. The first N are
 * repeated at the end, so that N consecutive ones can be loaded at any of COUNT places. */
#define COUNT 96
static float value_f32[COUNT + 16];
static double value_f64[COUNT + 8];
enum { K = 4 }; /* columns of a tile */

#ifdef SG_TEST_TARGET
SG_TARGET_BEGIN(SG_TEST_TARGET)
#endif
#include SG_TEST_ISA_HEADER

#define REAL float
#define UINT uint32_t
#define TYPE "f32"
#define VEC vf32
#define MASK mf32
#define V(word) vf32_##word
#define M(word) mf32_##word
#define FN(name) name##_f32
#define N 16
#define FRACTION 23
#define SCALE_SHIFT 20
#define SCALES 8
#define MAX_FIELD 254
#define SQRT_HALF 0x3f3504f3
#define IS(name) FLT_##name
#include "test_vocabulary.c"

#define REAL double
#define UINT uint64_t
#define TYPE "f64"
#define VEC vf64
#define MASK mf64
#define V(word) vf64_##word
#define M(word) mf64_##word
#define FN(name) name##_f64
#define N 8
#define FRACTION 52
#define SCALE_SHIFT 51
#define SCALES 2
#define MAX_FIELD 2046
#define SQRT_HALF 0x3fe6a09e667f3bcd
#define IS(name) DBL_##name
#include "test_vocabulary.c"

/* float -> double and back. The doubles are halfway cases, their neighbours, and those of the table. */
static bool test_low(void) {
    for (int i = 0; i < COUNT; i++) {
        double want[16];
        for (int l = 0; l < 16; l++) want[l] = (double)value_f32[i + l];
        vf32 a = vf32_load(value_f32 + i);
        if (!expect_f64("vf32_low", vf32_low(a), want, SAME, NULL, NULL, NULL)) return false;
        if (!expect_f64("vf32_high", vf32_high(a), want + 8, SAME, NULL, NULL, NULL)) return false;
    }
    return true;
}
static bool test_narrow(void) {
    for (int t = 0; t < 20000; t++) {
        double a[16];
        float want[16];
        for (int l = 0; l < 16; l++) {
            float f = value_f32[random_bits() % COUNT];
            uint32_t bits = to_bits_f32(f) + 1;
            double middle = ((double)f + (double)from_bits_f32(bits)) / 2;
            switch (random_bits() % 5) {
                case 0: a[l] = middle; break;
                case 1: a[l] = from_bits_f64(to_bits_f64(middle) + 1); break;
                case 2: a[l] = from_bits_f64(to_bits_f64(middle) - 1); break;
                case 3: a[l] = (double)f; break;
                default: a[l] = value_f64[random_bits() % COUNT];
            }
            want[l] = (float)a[l];
        }
        vf32 got = vf32_narrow(vf64_load(a), vf64_load(a + 8));
        if (!expect_f32("vf32_narrow", got, want, SAME, NULL, NULL, NULL)) return false;
    }
    return true;
}
static bool test_int_low(void) {
    for (int i = 0; i < COUNT; i++) {
        double want[16];
        for (int l = 0; l < 16; l++) {
            int64_t bits = to_bits_f32(value_f32[i + l]);
            want[l] = (double)(bits < (int64_t)1 << 31 ? bits : bits - ((int64_t)1 << 32));
        }
        vf32 a = vf32_load(value_f32 + i);
        if (!expect_f64("vf32_int_low", vf32_int_low(a), want, BITS, NULL, NULL, NULL)) return false;
        if (!expect_f64("vf32_int_high", vf32_int_high(a), want + 8, BITS, NULL, NULL, NULL)) return false;
    }
    return true;
}
static bool test_mask_low(void) {
    for (unsigned m = 0; m < 1U << 16; m++) {
        mf32 mask = mask_of_f32(m);
        if (bits_of_f64(mf32_low(mask)) != (m & 255) || bits_of_f64(mf32_high(mask)) != m >> 8) {
            printf("mf32_low, mf32_high: mask %04x\n", m);
            return false;
        }
    }
    return true;
}
/* The number with the bits h of a type with `digits` bits of fraction and the exponent bias `bias`. */
static double value_of_half(unsigned h, int digits, int bias) {
    const int field = (int)((h & 0x7fff) >> digits), fields = 0x7fff >> digits;
    const double fraction = (double)(h & ((1U << digits) - 1)) / (double)(1U << digits);
    double size = field == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, field - bias);
    if (field == fields) size = fraction == 0 ? (double)INFINITY : (double)NAN;
    return h >> 15 ? -size : size;
}
/* All halves; and of each number that lies between two of them, or at either, the nearest. */
static bool test_half(const char *word, int digits, int bias, vf32 (*load)(const uint16_t *),
                      void (*store)(uint16_t *, vf32)) {
    const unsigned infinite = 0x7fffU >> digits << digits;
    for (unsigned h = 0; h < 1U << 16; h += 16) {
        uint16_t given[16];
        float want[16];
        for (unsigned l = 0; l < 16; l++) {
            given[l] = (uint16_t)(h + l);
            want[l] = (float)value_of_half(h + l, digits, bias);
        }
        if (!expect_f32(word, load(given), want, SAME, NULL, NULL, NULL)) return false;
    }
    for (unsigned h = 0; h < infinite; h++) {
        /* infinity stands where the next number would */
        const double low = value_of_half(h, digits, bias),
                     high = h + 1 < infinite ? value_of_half(h + 1, digits, bias)
                                             : 2 * low - value_of_half(h - 1, digits, bias);
        const float middle = (float)((low + high) / 2), above = nextafterf(middle, INFINITY);
        const unsigned nearest[4] = {h, h, h + (h & 1), h + 1};
        const float at[4] = {(float)low, nextafterf(middle, 0), middle, above};
        float a[16];
        uint16_t got[16];
        for (int l = 0; l < 16; l++) a[l] = l / 4 % 2 ? -at[l % 4] : at[l % 4];
        store(got, vf32_load(a));
        for (unsigned l = 0; l < 16; l++)
            if (got[l] != (nearest[l % 4] | (l / 4 % 2 ? 0x8000 : 0))) {
                printf("%s: %a gives %04x\n", word, (double)a[l], got[l]);
                return false;
            }
    }
    const float a[16] = {INFINITY,
                         -INFINITY,
                         FLT_MAX,
                         -FLT_MAX,
                         FLT_TRUE_MIN,
                         -FLT_TRUE_MIN,
                         NAN,
                         -NAN,
                         from_bits_f32(0x7f800001),
                         from_bits_f32(0xffffffff),
                         0,
                         -0.0F};
    const unsigned want[6] = {infinite, 0x8000 | infinite, infinite, 0x8000 | infinite, 0, 0x8000};
    uint16_t got[16];
    store(got, vf32_load(a));
    for (int l = 0; l < 6; l++)
        if (got[l] != want[l]) return false;
    for (int l = 6; l < 10; l++)
        if (!isnan(value_of_half(got[l], digits, bias))) return false;
    return got[10] == 0 && got[11] == 0x8000;
}
static vf32 load_f16(const uint16_t *p) { return vf32_load_f16(p); }
static vf32 load_bf16(const uint16_t *p) { return vf32_load_bf16(p); }
static void store_f16(uint16_t *p, vf32 a) { vf32_store_f16(p, a); }
static void store_bf16(uint16_t *p, vf32 a) { vf32_store_bf16(p, a); }

/* A mask that was widened counts as any other. */
static bool test_mask_low_any(void) {
    for (int i = 0; i < 16; i++) {
        mf32 mask = mask_of_f32(1U << i);
        mf64 half = i < 8 ? mf32_low(mask) : mf32_high(mask);
        mf64 rest = i < 8 ? mf32_high(mask) : mf32_low(mask);
        if (bits_of_f64(half) != 1U << i % 8 || !mf64_any(half) || mf64_any(rest)) return false;
        if (mf64_any(mf64_and(half, mf64_not(half)))) return false;
    }
    return true;
}
static void test_between_types(void) {
    count("vf32_low, vf32_high", test_low());
    count("vf32_narrow", test_narrow());
    count("vf32_int_low, vf32_int_high", test_int_low());
    count("vf32_load_f16, vf32_store_f16", test_half("f16", 10, 15, load_f16, store_f16));
    count("vf32_load_bf16, vf32_store_bf16", test_half("bf16", 7, 127, load_bf16, store_bf16));
    count("mf32_low, mf32_high", test_mask_low());
    count("mf64_any of mf32_low, mf32_high", test_mask_low_any());
}
#ifdef SG_TEST_TARGET
SG_TARGET_END
#endif

int main(void) {
    make_guarded();
    make_values_f32();
    make_values_f64();
    test_type_f32();
    test_type_f64();
    test_between_types();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#else /* the tests of one type */

static UINT FN(to_bits)(REAL a) {
    UINT b;
    memcpy(&b, &a, sizeof b);
    return b;
}
static REAL FN(from_bits)(UINT b) {
    REAL a;
    memcpy(&a, &b, sizeof a);
    return a;
}

static void FN(make_values)(void) {
    const REAL nan = (REAL)NAN, inf = (REAL)INFINITY;
    const UINT quiet = (UINT)1 << (FRACTION - 1);
    const REAL special[] = {0,
                            1,
                            2,
                            3,
                            (REAL)0.5,
                            (REAL)1.5,
                            (REAL)1 / 3,
                            inf,
                            nan,
                            IS(MAX),
                            IS(MIN),
                            IS(TRUE_MIN),
                            1 + IS(EPSILON),
                            1 - IS(EPSILON) / 2,
                            IS(MIN) - IS(TRUE_MIN), /* the largest subnormal */
                            (REAL)1.5 / IS(EPSILON),
                            (REAL)2 / IS(EPSILON),
                            FN(from_bits)(SQRT_HALF),
                            FN(from_bits)(SQRT_HALF - 1),
                            IS(TRUE_MIN) * 3,
                            IS(MAX) / 2,
                            FN(from_bits)(FN(to_bits)(inf) + 1), /* a signalling NaN */
                            FN(from_bits)(FN(to_bits)(inf) | quiet | 5)};
    const int specials = (int)(sizeof special / sizeof *special);
    for (int i = 0; i < COUNT; i++) {
        UINT r = (UINT)random_bits();
        UINT sign = r >> (sizeof r * 8 - 1) << (sizeof r * 8 - 1);
        if (i < 2 * specials) {
            FN(value)[i] = i % 2 ? -special[i / 2] : special[i / 2];
        } else if (i % 3 == 0) {
            FN(value)[i] = FN(from_bits)(r);
        } else { /* of a magnitude from 1/2 to 8 */
            UINT field = (UINT)(MAX_FIELD / 2 - 1 + (int)(random_bits() % 4));
            FN(value)[i] = FN(from_bits)(sign | field << FRACTION | (r & (((UINT)1 << FRACTION) - 1)));
        }
    }
    for (int i = 0; i < N; i++) FN(value)[COUNT + i] = FN(value)[i];
}

/* How a result has to agree with what is wanted: in all bits; in all bits, but any NaN is as good as
 * another; or to one unit in the last place, and but for the sign of zero. */
#ifndef SAME
#define BITS 0
#define SAME 1
#define NEAR 2
#endif

static bool FN(agree)(REAL got, REAL want, int how) {
    UINT g = FN(to_bits)(got), w = FN(to_bits)(want);
    if (g == w) return true;
    if (how == BITS) return false;
    if (isnan(want)) return isnan(got);
    return how == NEAR && (got == want || g - w == 1 || w - g == 1);
}

static bool FN(expect)(const char *word, VEC got, const REAL *want, int how, const REAL *a, const REAL *b,
                       const REAL *c) {
    REAL lane[N];
    V(store)(lane, got);
    for (int i = 0; i < N; i++) {
        if (FN(agree)(lane[i], want[i], how)) continue;
        printf("%s: lane %d is %a (%" PRIx64 "), expected %a (%" PRIx64 ")", word, i, (double)lane[i],
               (uint64_t)FN(to_bits)(lane[i]), (double)want[i], (uint64_t)FN(to_bits)(want[i]));
        const REAL *operand[3] = {a, b, c};
        for (int k = 0; k < 3 && operand[k]; k++) printf(", %c = %a", "abc"[k], (double)operand[k][i]);
        printf("\n");
        return false;
    }
    return true;
}

static MASK FN(mask_of)(unsigned bits) {
    REAL lane[N];
    for (int i = 0; i < N; i++) lane[i] = (REAL)(bits >> i & 1);
    return V(eq)(V(load)(lane), V(set1)(1));
}
static unsigned FN(bits_of)(MASK m) {
    REAL lane[N];
    unsigned bits = 0;
    V(store)(lane, V(select)(m, V(set1)(1), V(set1)(0)));
    for (int i = 0; i < N; i++) bits |= lane[i] == 0 ? 0U : 1U << i;
    return bits;
}

/* Loads and stores. */
static bool FN(test_set1)(void) {
    REAL want[N];
    for (int i = 0; i < COUNT; i++) {
        for (int l = 0; l < N; l++) want[l] = FN(value)[i];
        if (!FN(expect)("set1", V(set1)(FN(value)[i]), want, BITS, NULL, NULL, NULL)) return false;
    }
    return true;
}
static bool FN(test_of_int64)(void) {
    for (int i = 0; i < 1000; i++) {
        int64_t given[N];
        REAL want[N];
        for (int l = 0; l < N; l++) {
            const int64_t special[4] = {INT64_MIN, INT64_MAX, -100, ((int64_t)1 << 53) + 1};
            const uint64_t r = random_bits();
            given[l] = r % 5 == 0 ? special[r / 5 % 4] : (int64_t)r >> r % 64;
            want[l] = (REAL)(double)given[l];
        }
        if (!FN(expect)("of_int64", V(of_int64)(given), want, BITS, NULL, NULL, NULL)) return false;
    }
    return true;
}
static bool FN(test_iota)(void) {
    REAL want[N];
    for (int l = 0; l < N; l++) want[l] = (REAL)l;
    return FN(expect)("iota", V(iota)(), want, BITS, NULL, NULL, NULL);
}
static bool FN(test_load)(void) {
    REAL *end = (REAL *)(void *)(guarded + GUARDED_SIZE);
    for (int i = 0; i < COUNT; i++) {
        const REAL *want = FN(value) + i;
        if (!FN(expect)("load", V(load)(want), want, BITS, NULL, NULL, NULL)) return false;
    }
    memcpy(end - N, FN(value), N * sizeof(REAL));
    return FN(expect)("load", V(load)(end - N), FN(value), BITS, NULL, NULL, NULL);
}

/* One store of any kind, of n lanes (N where it has no choice), against the same done by hand on a copy. */
typedef void FN(storing)(REAL *p, VEC a, int n);
static void FN(store_all)(REAL *p, VEC a, int n) {
    (void)n;
    V(store)(p, a);
}
static void FN(stream_all)(REAL *p, VEC a, int n) {
    (void)n;
    V(stream)(p, a);
    SG_FENCE();
}
static void FN(store_first)(REAL *p, VEC a, int n) { V(store_n)(p, a, n); }

static bool FN(store_is_right)(const char *word, FN(storing) *store, ptrdiff_t at, int n, const REAL *a) {
    static REAL before[GUARDED_SIZE / sizeof(REAL)];
    REAL *p = (REAL *)(void *)guarded;
    for (size_t i = 0; i < GUARDED_SIZE / sizeof(REAL); i++) p[i] = before[i] = (REAL)i;
    store(p + at, V(load)(a), n);
    memcpy(before + at, a, (size_t)n * sizeof(REAL));
    if (memcmp(p, before, GUARDED_SIZE) == 0) return true;
    printf("%s: wrong memory after a store of n = %d at %td\n", word, n, at);
    return false;
}
static bool FN(test_store)(void) {
    ptrdiff_t last = GUARDED_SIZE / sizeof(REAL) - N;
    bool ok = FN(store_is_right)("store", FN(store_all), last, N, FN(value));
    for (int at = 0; at < 2 * N; at++)
        ok = FN(store_is_right)("store", FN(store_all), at, N, FN(value) + at) && ok;
    for (ptrdiff_t at = 0; at <= last; at += N) /* guarded begins at a page */
        ok = FN(store_is_right)("stream", FN(stream_all), at, N, FN(value)) && ok;
    return ok;
}
static bool FN(test_load_n)(void) {
    const REAL fill[] = {0, 3, (REAL)NAN, -(REAL)INFINITY};
    REAL *start = (REAL *)(void *)guarded, *end = (REAL *)(void *)(guarded + GUARDED_SIZE);
    for (int t = 0; t < COUNT; t++) {
        for (int n = 0; n <= N; n++) {
            REAL want[N];
            for (int l = 0; l < N; l++) want[l] = l < n ? FN(value)[t + l] : fill[t % 4];
            memcpy(start, FN(value) + t, N * sizeof(REAL));
            VEC low = V(load_n)(start, n, fill[t % 4]);
            memcpy(end - n, want, (size_t)n * sizeof(REAL));
            VEC high = V(load_n)(end - n, n, fill[t % 4]);
            if (!FN(expect)("load_n", low, want, BITS, NULL, NULL, NULL)) return false;
            if (!FN(expect)("load_n", high, want, BITS, NULL, NULL, NULL)) return false;
        }
    }
    return true;
}
static bool FN(test_store_n)(void) {
    bool ok = true;
    for (int n = 0; n <= N; n++) {
        ptrdiff_t last = (ptrdiff_t)(GUARDED_SIZE / sizeof(REAL)) - n;
        ok = FN(store_is_right)("store_n", FN(store_first), last, n, FN(value) + n) && ok;
        for (int at = 0; at < 3; at++)
            ok = FN(store_is_right)("store_n", FN(store_first), at, n, FN(value) + n) && ok;
    }
    return ok;
}

/* Tiles, that end (and begin) at a forbidden page. Rows may overlap: the later one wins. */
#ifndef TILE_STRIDES
#define TILE_STRIDES {0, 1, 2, 3, 4, 5, 7, 8, 16, 37, 64, -1, -2, -3, -4, -5, -37}
#endif
/* The place of row 0, so that the tile starts at the start, or ends at the end, of the memory. */
static ptrdiff_t FN(tile_place)(ptrdiff_t stride, bool at_end) {
    ptrdiff_t low = stride < 0 ? (N - 1) * stride : 0, high = K + (stride > 0 ? (N - 1) * stride : 0);
    return at_end ? (ptrdiff_t)(GUARDED_SIZE / sizeof(REAL)) - high : -low;
}
static bool FN(test_load_tile)(void) {
    const ptrdiff_t strides[] = TILE_STRIDES;
    REAL *start = (REAL *)(void *)guarded;
    for (size_t i = 0; i < GUARDED_SIZE / sizeof(REAL); i++) start[i] = FN(from_bits)((UINT)random_bits());
    for (size_t s = 0; s < 2 * sizeof strides / sizeof *strides; s++) {
        ptrdiff_t stride = strides[s / 2];
        const REAL *p = start + FN(tile_place)(stride, s % 2);
        VEC v[K];
        V(load_tile)(p, stride, v);
        for (int j = 0; j < K; j++) {
            REAL want[N];
            for (int r = 0; r < N; r++) want[r] = p[r * stride + j];
            if (!FN(expect)("load_tile", v[j], want, BITS, NULL, NULL, NULL)) return false;
        }
    }
    return true;
}
static bool FN(test_store_tile)(void) {
    static REAL copy[GUARDED_SIZE / sizeof(REAL)];
    const ptrdiff_t strides[] = TILE_STRIDES;
    REAL *start = (REAL *)(void *)guarded;
    for (size_t s = 0; s < 2 * sizeof strides / sizeof *strides; s++) {
        ptrdiff_t stride = strides[s / 2], place = FN(tile_place)(stride, s % 2);
        VEC v[K];
        for (size_t i = 0; i < GUARDED_SIZE / sizeof(REAL); i++) start[i] = copy[i] = (REAL)i;
        for (int j = 0; j < K; j++) v[j] = V(load)(FN(value) + 9 * j);
        V(store_tile)(start + place, stride, v);
        for (int r = 0; r < N; r++)
            for (int j = 0; j < K; j++) copy[place + r * stride + j] = FN(value)[9 * j + r];
        if (memcmp(start, copy, GUARDED_SIZE) != 0) {
            printf("store_tile: wrong memory, stride %td\n", stride);
            return false;
        }
    }
    return true;
}
/* Packed rows, the same, at any alignment. */
static bool FN(test_load_packed)(void) {
    REAL *start = (REAL *)(void *)guarded;
    for (size_t i = 0; i < GUARDED_SIZE / sizeof(REAL); i++) start[i] = FN(from_bits)((UINT)random_bits());
    for (int s = 0; s < 3 * (N + 1); s++) {
        const int n = s % 3 + 1, at = s / 3;
        const REAL *p = start + (at < N ? at : (ptrdiff_t)(GUARDED_SIZE / sizeof(REAL)) - n * N);
        VEC v[3];
        V(load_packed)(p, n, v);
        for (int j = 0; j < n; j++) {
            REAL want[N];
            for (int r = 0; r < N; r++) want[r] = p[r * n + j];
            if (!FN(expect)("load_packed", v[j], want, BITS, NULL, NULL, NULL)) return false;
        }
    }
    return true;
}
static bool FN(test_store_packed)(void) {
    static REAL copy[GUARDED_SIZE / sizeof(REAL)];
    REAL *start = (REAL *)(void *)guarded;
    for (int s = 0; s < 3 * (N + 1); s++) {
        const int n = s % 3 + 1, at = s / 3;
        const ptrdiff_t place = at < N ? at : (ptrdiff_t)(GUARDED_SIZE / sizeof(REAL)) - n * N;
        VEC v[3];
        for (size_t i = 0; i < GUARDED_SIZE / sizeof(REAL); i++) start[i] = copy[i] = (REAL)i;
        for (int j = 0; j < 3; j++) v[j] = V(load)(FN(value) + 9 * j);
        V(store_packed)(start + place, n, v);
        for (int r = 0; r < N; r++)
            for (int j = 0; j < n; j++) copy[place + r * n + j] = FN(value)[9 * j + r];
        if (memcmp(start, copy, GUARDED_SIZE) != 0) {
            printf("store_packed: wrong memory, %d elements a row\n", n);
            return false;
        }
    }
    return true;
}

/* Words of two operands: all pairs of values; `expression` is the meaning, of x and y. */
#undef TEST_PAIRS
#define TEST_PAIRS(word, how, result, expression)                                    \
    static bool FN(test_##word)(void) {                                              \
        for (int i = 0; i < COUNT; i++) {                                            \
            for (int j = 0; j < COUNT; j++) {                                        \
                const REAL *p = FN(value) + i, *q = FN(value) + j;                   \
                VEC a = V(load)(p), b = V(load)(q);                                  \
                REAL want[N];                                                        \
                for (int l = 0; l < N; l++) {                                        \
                    REAL x = p[l], y = q[l];                                         \
                    want[l] = expression;                                            \
                }                                                                    \
                if (!FN(expect)(#word, result, want, how, p, q, NULL)) return false; \
            }                                                                        \
        }                                                                            \
        return true;                                                                 \
    }
TEST_PAIRS(add, SAME, V(add)(a, b), x + y)
TEST_PAIRS(sub, SAME, V(sub)(a, b), x - y)
TEST_PAIRS(mul, SAME, V(mul)(a, b), (x * y))
TEST_PAIRS(div, SAME, V(div)(a, b), x / y)
TEST_PAIRS(max, SAME, V(max)(a, b), x > y ? x : y)
TEST_PAIRS(min, SAME, V(min)(a, b), x < y ? x : y)
TEST_PAIRS(addbits, BITS, V(addbits)(a, b), FN(from_bits)((UINT)(FN(to_bits)(x) + FN(to_bits)(y))))
TEST_PAIRS(subbits, BITS, V(subbits)(a, b), FN(from_bits)((UINT)(FN(to_bits)(x) - FN(to_bits)(y))))
TEST_PAIRS(held, BITS, V(addbits)(V(held)(a), b), FN(from_bits)((UINT)(FN(to_bits)(x) + FN(to_bits)(y))))
TEST_PAIRS(lt, BITS, V(select)(V(lt)(a, b), V(set1)(1), V(set1)(0)), x < y ? 1 : 0)
TEST_PAIRS(eq, BITS, V(select)(V(eq)(a, b), V(set1)(1), V(set1)(0)), x == y ? 1 : 0)
TEST_PAIRS(nlt, BITS, V(select)(V(nlt)(a, b), V(set1)(1), V(set1)(0)), x < y ? 0 : 1)

/* The lanes of a added to the first ones of s. */
static bool FN(test_joins)(const char *word, int how) {
    REAL b[N];
    for (int l = 0; l < N; l++) b[l] = (REAL)(l + 3) / 4;
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            const REAL *s = FN(value) + i, *a = FN(value) + j;
            REAL want[N];
            for (int l = 0; l < N; l++) {
                want[l] = s[l];
                for (int k = l; l < N / SG_JOINS && k < N; k += N / SG_JOINS)
                    want[l] = how == 0   ? want[l] + a[k]
                              : how == 1 ? FN(from_bits)((UINT)(FN(to_bits)(want[l]) + FN(to_bits)(a[k])))
                                         : FN(fma_of)(a[k], b[k], want[l]);
            }
            const VEC vs = V(load)(s), va = V(load)(a);
            const VEC got = how == 0   ? V(join)(vs, va)
                            : how == 1 ? V(joinbits)(vs, va)
                                       : V(joinfma)(va, V(load)(b), vs);
            if (!FN(expect)(word, got, want, how == 1 ? BITS : SAME, s, a, NULL)) return false;
        }
    }
    return true;
}

/* fma and fnma of all pairs, with an addend from the table, and with one that cancels the product but
 * for its rounding error. Without hardware FMA: to one unit, away from overflow and underflow. */
static REAL FN(addend)(const REAL *p, const REAL *q, int i, int j, int l, int kind) {
    REAL product = p[l] * q[l];
    UINT bits = FN(to_bits)(product);
    switch (kind) {
        case 0: return FN(value)[(i * 31 + j * 17 + l * 5) % COUNT];
        case 1: return -product;
        case 2: return product;
        default: return -FN(from_bits)(bits + 1);
    }
}
static bool FN(is_ordinary)(REAL a) {
    return a == 0 ||
           (fabs((double)a) > sqrt(sqrt((double)IS(MIN))) && fabs((double)a) < sqrt(sqrt((double)IS(MAX))));
}
static bool FN(test_fused)(const char *word, bool negative) {
    for (int t = 0; t < COUNT * COUNT * 4; t++) {
        int i = t / 4 / COUNT, j = t / 4 % COUNT;
        const REAL *p = FN(value) + i, *q = FN(value) + j;
        REAL x[N], c[N], want[N];
        for (int l = 0; l < N; l++) {
            x[l] = p[l];
            c[l] = FN(addend)(p, q, i, j, l, t % 4);
            if (!SG_FUSED && !(FN(is_ordinary)(p[l]) && FN(is_ordinary)(q[l]) && FN(is_ordinary)(c[l]))) {
                x[l] = c[l] = 1;
            }
            want[l] = FN(fma_of)(negative ? -x[l] : x[l], q[l], c[l]);
        }
        VEC a = V(load)(x), b = V(load)(q), d = V(load)(c);
        VEC got = negative ? V(fnma)(a, b, d) : V(fma)(a, b, d);
        if (!FN(expect)(word, got, want, SG_FUSED ? SAME : NEAR, x, q, c)) return false;
    }
    return true;
}

/* Bits. */
static bool FN(test_shift)(void) {
    for (int i = 0; i < COUNT; i++) {
        const REAL *p = FN(value) + i;
        REAL want[N];
        for (int l = 0; l < N; l++) want[l] = FN(from_bits)((UINT)(FN(to_bits)(p[l]) << FRACTION));
        if (!FN(expect)("shift", V(shift)(V(load)(p)), want, BITS, p, NULL, NULL)) return false;
    }
    return true;
}
/* Every entry of the table, the exponents that shifts make, 0 and subnormal numbers among them. */
static bool FN(test_scale)(void) {
    const REAL table[8] = {(REAL)1.1, 1 + IS(EPSILON), (REAL)0.7, 2 - IS(EPSILON), (REAL)0.5,
                           3,         (REAL)0.9,       1};
    for (int t = 0; t < 20000; t++) {
        REAL a[N], want[N];
        for (int l = 0; l < N; l++) {
            const UINT bits = (UINT)(random_bits() % 5 ? random_bits() : random_bits() % 64);
            a[l] = FN(from_bits)(bits);
            want[l] = FN(from_bits)((UINT)(bits << SCALE_SHIFT)) * table[bits % SCALES];
        }
        if (!FN(expect)("scale", V(scale)(V(load)(a), table), want, SAME, a, NULL, NULL)) return false;
    }
    return true;
}
/* Every exponent field, with fractions at the limits, around that of sqrt(1/2), and random ones. */
static bool FN(test_exponent)(void) {
    const UINT ones = ((UINT)1 << FRACTION) - 1, limit = (UINT)SQRT_HALF & ones;
    for (UINT field = 1; field <= MAX_FIELD; field++) {
        REAL a[N], want[N];
        for (int l = 0; l < N; l++) {
            const UINT fraction[] = {0, 1, limit - 1, limit, limit + 1, ones};
            UINT b = field << FRACTION | (l < 6 ? fraction[l] : (UINT)random_bits() & ones);
            int64_t e = (int64_t)field - (int64_t)((UINT)SQRT_HALF >> FRACTION) - ((b & ones) < limit);
            a[l] = FN(from_bits)(b);
            want[l] = (REAL)e;
        }
        if (!FN(expect)("exponent", V(exponent)(V(load)(a)), want, BITS, a, NULL, NULL)) return false;
    }
    for (int i = 0; i < COUNT; i++) { /* no trap */
        REAL lane[N];
        V(store)(lane, V(exponent)(V(load)(FN(value) + i)));
    }
    return true;
}
static bool FN(test_xor)(void) {
    for (int i = 0; i < COUNT; i++) {
        const REAL *p = FN(value) + i;
        VEC a = V(load)(p);
        for (int k = 1; k < N; k *= 2) {
            REAL want[N];
            for (int l = 0; l < N; l++) want[l] = p[l ^ k];
            VEC got;
            switch (k) {
                case 1: got = V(xor)(a, 1); break;
                case 2: got = V(xor)(a, 2); break;
                case 4: got = V(xor)(a, 4); break;
                default: got = V(xor)(a, N / 2);
            }
            if (!FN(expect)("xor", got, want, BITS, p, NULL, NULL)) return false;
        }
    }
    return true;
}

static bool FN(test_partners)(void) {
    for (int i = 0; i + N < COUNT; i++) {
        const REAL *p = FN(value) + i, *q = FN(value) + random_bits() % COUNT;
        VEC a = V(load)(p), b = V(load)(q), lower, upper;
        for (int k = 1; k < N; k *= 2) {
            REAL low[N], high[N];
            for (int l = 0; l < N; l++) {
                const REAL *row = l & k ? q : p;
                low[l] = row[l & ~k];
                high[l] = row[l | k];
            }
            switch (k) {
                case 1: V(partners)(1, a, b, &lower, &upper); break;
                case 2: V(partners)(2, a, b, &lower, &upper); break;
                case 4: V(partners)(4, a, b, &lower, &upper); break;
                default: V(partners)(N / 2, a, b, &lower, &upper);
            }
            if (!FN(expect)("partners", lower, low, BITS, p, q, NULL)) return false;
            if (!FN(expect)("partners", upper, high, BITS, p, q, NULL)) return false;
        }
    }
    return true;
}

/* Masks: every one of them for select, not, any; random pairs for and, or. */
static bool FN(test_select)(void) {
    for (unsigned m = 0; m < 1U << N; m++) {
        const REAL *p = FN(value) + random_bits() % COUNT, *q = FN(value) + random_bits() % COUNT;
        REAL want[N];
        for (int l = 0; l < N; l++) want[l] = m >> l & 1 ? p[l] : q[l];
        VEC got = V(select)(FN(mask_of)(m), V(load)(p), V(load)(q));
        if (!FN(expect)("select", got, want, BITS, p, q, NULL)) return false;
    }
    return true;
}
/* All pairs, a random mask each; a is not -0. */
static bool FN(test_add_if)(void) {
    for (int t = 0; t < COUNT * COUNT; t++) {
        const REAL *q = FN(value) + t % COUNT;
        unsigned m = (unsigned)random_bits() & ((1U << N) - 1);
        REAL p[N], want[N];
        for (int l = 0; l < N; l++) {
            p[l] = FN(value)[t / COUNT + l];
            if (p[l] == 0) p[l] = 0;
            want[l] = m >> l & 1 ? p[l] + q[l] : p[l];
        }
        VEC got = V(add_if)(FN(mask_of)(m), V(load)(p), V(load)(q));
        if (!FN(expect)("add_if", got, want, SAME, p, q, NULL)) return false;
    }
    return true;
}
static bool FN(test_not)(void) {
    for (unsigned m = 0; m < 1U << N; m++) {
        unsigned got = FN(bits_of)(M(not)(FN(mask_of)(m)));
        if (got == (~m & ((1U << N) - 1))) continue;
        printf("not: mask %x, got %x\n", m, got);
        return false;
    }
    return true;
}
static bool FN(test_and_or)(bool is_and) {
    for (int t = 0; t < 20000; t++) {
        unsigned m = (unsigned)random_bits() & ((1U << N) - 1), k = (unsigned)random_bits() & ((1U << N) - 1);
        MASK a = FN(mask_of)(m), b = FN(mask_of)(k);
        unsigned got = FN(bits_of)(is_and ? M(and)(a, b) : M(or)(a, b));
        if (got == (is_and ? (m & k) : (m | k))) continue;
        printf("%s: masks %x and %x, got %x\n", is_and ? "and" : "or", m, k, got);
        return false;
    }
    return true;
}
/* The mask of vT_nlt, too: where NaN makes it true it is like any other. */
static bool FN(test_nlt_mask)(void) {
    for (unsigned m = 0; m < 1U << N; m++) {
        REAL lane[N];
        for (int i = 0; i < N; i++) lane[i] = m >> i & 1 ? (REAL)NAN : 0;
        MASK mask = V(nlt)(V(load)(lane), V(set1)(1));
        if (FN(bits_of)(mask) == m && !M(any)(mask) == (m == 0) &&
            FN(bits_of)(M(not)(mask)) == (~m & ((1U << N) - 1)))
            continue;
        printf("nlt: mask %x\n", m);
        return false;
    }
    return true;
}
/* The complement of a mask, too: a representation may have more bits than lanes. */
static bool FN(test_any)(void) {
    for (unsigned m = 0; m < 1U << N; m++) {
        MASK mask = FN(mask_of)(m);
        bool whole = m == (1U << N) - 1;
        if (!M(any)(mask) == (m == 0) && !M(any)(M(not)(mask)) == whole) continue;
        printf("any: mask %x\n", m);
        return false;
    }
    return true;
}

#undef RUN
#undef RUN_MASK
#define RUN_MASK(word) count("m" TYPE "_" #word, FN(test_##word)())
#define RUN(word) count("v" TYPE "_" #word, FN(test_##word)())

static void FN(test_type)(void) {
    RUN(set1);
    RUN(iota);
    RUN(of_int64);
    RUN(load);
    RUN(store);
    RUN(load_n);
    RUN(store_n);
    RUN(load_tile);
    RUN(store_tile);
    RUN(load_packed);
    RUN(store_packed);
    RUN(add);
    RUN(sub);
    RUN(mul);
    RUN(div);
    count("v" TYPE "_fma", FN(test_fused)("fma", false));
    count("v" TYPE "_fnma", FN(test_fused)("fnma", true));
    RUN(max);
    RUN(min);
    RUN(shift);
    RUN(scale);
    RUN(addbits);
    RUN(subbits);
    count("v" TYPE "_join", FN(test_joins)("join", 0));
    count("v" TYPE "_joinbits", FN(test_joins)("joinbits", 1));
    if (SG_FUSED) count("v" TYPE "_joinfma", FN(test_joins)("joinfma", 2)); /* else nearly, as fma is */
    RUN(held);
    RUN(exponent);
    RUN(xor);
    RUN(partners);
    RUN(lt);
    RUN(eq);
    RUN(nlt);
    RUN(nlt_mask);
    RUN(add_if);
    RUN(select);
    count("m" TYPE "_and", FN(test_and_or)(true));
    count("m" TYPE "_or", FN(test_and_or)(false));
    RUN_MASK(not);
    RUN_MASK(any);
}

#undef REAL
#undef UINT
#undef TYPE
#undef VEC
#undef MASK
#undef V
#undef M
#undef FN
#undef N
#undef FRACTION
#undef SCALE_SHIFT
#undef SCALES
#undef MAX_FIELD
#undef SQRT_HALF
#undef IS
#endif
