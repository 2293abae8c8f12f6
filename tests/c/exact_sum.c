/* exact_sum.c - checks the sum of exponentials (sum_begin ... sum_close of csrc/math/wide_f32.h, wide_f64.h) for one
 * instruction set, as test_vocabulary.c does the words: every order of the terms, every way of cutting them into lanes
 * and groups gives the sum of the terms as the comments there round them, to the last bit, and that is as near to
 * the exact sum as they say; so does a term that is taken off again, however large. Run by
 * run_vocabulary.sh. Includes itself once for each type. */
#ifndef REAL

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
typedef __float128 quad;
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef long double quad; /* of 113 bits on Linux */
#endif

#include "simd/region.h"

#ifndef SG_FUSED
#define SG_FUSED 1
#endif

static int passed, failed;

static void count(const char *type, const char *what, bool ok) {
    if (ok) {
        passed++;
    } else {
        failed++;
        printf("FAILED %s: %s\n", type, what);
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
static int below(int n) { return (int)(random_bits() % (uint64_t)n); }
static double uniform(double low, double high) {
    return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

/* 2^k; the multiple of `unit`, a power of two, that is nearest to x, the even one of two. */
static quad power(int k) { return k < -500 ? (quad)ldexp(1, k + 500) * (quad)0x1p-500 : (quad)ldexp(1, k); }
static quad nearest_multiple(quad x, quad unit) {
    const quad magic = (quad)0x1.8p60 * (quad)0x1p52;
    return (x / unit + magic - magic) * unit;
}

/* What the terms of a test look like; `TIES` are terms half-way between two numbers that they are rounded to, `LARGEST`
 * fill the integers, `SMALLEST` go down to subnormal ones. */
enum { ORDINARY, EQUAL, TIES, DOMINATED, LARGEST, SMALLEST, KINDS };
static const char *const kind_names[KINDS] = {"ordinary",           "equal",         "ties",
                                              "one that dominates", "largest terms", "smallest anchor"};

#ifdef SG_TEST_TARGET
SG_TARGET_BEGIN(SG_TEST_TARGET)
#endif
#include SG_TEST_ISA_HEADER

#include "math/wide.h"

/* The units of the two parts are 2^(a - UPPER) and 2^(a - LOWER); a term is off by half of the second, and by
 * less than 2^-EXTRA of that for the rounding of what is left of it. */
#define REAL float
#define TYPE "float32"
#define VEC vf32
#define MASK mf32
#define V(word) vf32_##word
#define FN(name) name##_f32
#define N 16
#define GROUP SUM_GROUP_F32
#define RUN (SUM_RUN_F32 + 1)
#define BLOCK 4096
#define EPSILON FLT_EPSILON
#define UPPER 22
#define LOWER 40
#define EXTRA 4 /* 6 but for runs */
#define HIGHEST_ANCHOR 65
#define LOWEST_ANCHOR (-80)
#define LOWEST_SCALE (-126)
#define FRAC 0.0452 /* its largest, see math/exp.h */
#include "exact_sum.c"

#define REAL double
#define TYPE "float64"
#define VEC vf64
#define MASK mf64
#define V(word) vf64_##word
#define FN(name) name##_f64
#define N 8
#define GROUP SUM_GROUP_F64
#define RUN SUM_RUN_F64
#define BLOCK 2048
#define EPSILON DBL_EPSILON
#define UPPER 41
#define LOWER 83
#define EXTRA 9
#define HIGHEST_ANCHOR 513
#define LOWEST_ANCHOR (-900)
#define LOWEST_SCALE (-1022)
#define FRAC 0.1894
#include "exact_sum.c"
#ifdef SG_TEST_TARGET
SG_TARGET_END
#endif

int main(void) {
    test_type_f32();
    test_type_f64();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#else /* the tests of one type */

/* Term i is scale[i] (1 + frac[i]); taken[i] tells whether it counts. Term `top`, if it is not negative, is added and taken off
 * again. In `runs` what is left of a term is rounded with no tie. */
typedef struct {
    REAL scale[BLOCK], frac[BLOCK], taken[BLOCK];
    int n, anchor, top;
    bool runs;
} FN(terms);

static REAL FN(power_of_two)(int k) { return (REAL)ldexp(1, k); }

static void FN(make_term)(FN(terms) *t, int i, int kind) {
    const int a = t->anchor;
    int lower_by = below(4) ? below(8) : below(2 * LOWER);
    REAL frac = (REAL)uniform(-FRAC, FRAC);
    if (kind == EQUAL || kind == LARGEST) lower_by = 0;
    if (kind == EQUAL) frac = (REAL)0.0345678901234;
    if (kind == LARGEST) frac = (REAL)FRAC;
    if (kind == DOMINATED) lower_by = i == t->n / 2 ? 0 : LOWER - 8 + below(16);
    if (kind == SMALLEST) lower_by = below(2) ? below(8) : a - LOWEST_SCALE - below(8);
    if (kind == TIES) {
        /* of the upper part, of the lower, of both; from above and from below, and on either side of a power of two */
        const REAL upper = FN(power_of_two)(-UPPER - 1), lower = FN(power_of_two)(-LOWER - 1);
        const REAL odd = (REAL)(1 + 2 * below(4)), last = upper * EPSILON / 2; /* of upper - lower */
        const REAL some[] = {odd * upper,
                             odd * lower,
                             odd * upper + lower,
                             odd * upper - lower,
                             lower - odd * upper,
                             -upper - lower,
                             -upper + lower,
                             odd * lower - upper,
                             -upper + lower + last,
                             -upper + lower - last,
                             -upper + odd * lower + last,
                             upper};
        frac = some[below(sizeof some / sizeof *some)];
        lower_by = below(8) ? 0 : below(4);
    }
    t->scale[i] = below(50) || kind == EQUAL ? FN(power_of_two)(a - lower_by) : 0;
    if (a - lower_by < LOWEST_SCALE) t->scale[i] = 0;
    /* below 1.42 2^a in all */
    const double largest = lower_by ? 1.999 : 1.4199 / (1 + FRAC);
    if (kind != TIES && kind != EQUAL) t->scale[i] *= (REAL)(kind == LARGEST ? largest : uniform(1, largest));
    t->frac[i] = frac;
    t->taken[i] = (REAL)(below(8) != 0);
}

/* One of the terms is to be taken off: of any size from the others' on. */
static void FN(make_top)(FN(terms) *t) {
    const int up = below(HIGHEST_ANCHOR - t->anchor + 1);
    t->top = below(t->n);
    t->scale[t->top] = FN(power_of_two)(t->anchor + up) * (REAL)uniform(1, 1.4199 / (1 + FRAC));
    t->frac[t->top] = (REAL)uniform(-FRAC, FRAC);
}

/* The terms as they are rounded, and as they are: both sums are exact to far less than what is asked of them. */
static quad FN(rounded_sum)(const FN(terms) *t, const int *order, int n, bool some, quad *exact) {
    const quad upper_unit = power(t->anchor - UPPER), lower_unit = power(t->anchor - LOWER);
    quad sum = 0;
    *exact = 0;
    for (int i = 0; i < n; i++) {
        const int k = order[i];
        if ((some && t->taken[k] == 0) || k == t->top) continue;
        const quad term = (quad)t->scale[k] + (quad)t->scale[k] * (quad)t->frac[k];
        const quad upper = nearest_multiple((quad)(REAL)term, upper_unit);
        const REAL difference = (REAL)((quad)t->scale[k] - upper);
        const REAL rest = (REAL)((quad)difference + (quad)t->scale[k] * (quad)t->frac[k]);
        sum += upper + nearest_multiple((quad)rest * (1 + (t->runs ? (quad)EPSILON : 0)), lower_unit);
        *exact += term;
    }
    return sum;
}

/* order[i] is the term in lane i mod N of vector i / N; the vectors in groups of any size. */
static void FN(sum_of)(const FN(terms) *t, const int *order, int vectors, bool across, bool some,
                       double hi[N], double lo[N]) {
    FN(wide) total = FN(wide_set1)(0, 0);
    /* kernels join sums of few runs only: float32 has shorter ones */
    const bool joint = across && !some && (!t->runs || RUN == GROUP) && below(2);
    const int group = joint ? GROUP / SG_JOINS : GROUP;
    const bool early = below(2); /* runs may end at any term */
    for (int v = 0; v < vectors;) {
        const int left = vectors - v, most = left < group ? left : group,
                  terms = below(4) ? 1 + below(most) : most;
        FN(sum) s = FN(sum_begin)(t->runs, V(set1)((REAL)t->anchor), terms);
        if (joint) FN(sum_join_lanes)(&s);
        REAL has_top[N] = {0};
        for (int k = 0; k < terms; k++, v++) {
            REAL scale[N], frac[N], taken[N];
            for (int l = 0; l < N; l++) {
                scale[l] = t->scale[order[v * N + l]];
                frac[l] = t->frac[order[v * N + l]];
                taken[l] = t->taken[order[v * N + l]];
                if (order[v * N + l] == t->top) has_top[l] = 1;
            }
            const VEC a = V(load)(scale), b = V(load)(frac), e = FN(mul_add)(a, b, a);
            if (some) FN(sum_add_if)(&s, V(eq)(V(load)(taken), V(set1)(1)), a, b, e);
            else if (t->runs) FN(sum_add_to_run)(joint, &s, a, b, e);
            else FN(sum_add)(joint, &s, a, b, e);
            if (t->runs && (k % RUN == RUN - 1 || k == terms - 1 || (early && below(20) == 0)))
                FN(sum_end_run)(&s);
        }
        if (t->top >= 0) { /* in some lanes, either by one argument or by the other */
            const VEC a = V(set1)(t->scale[t->top]), b = V(set1)(t->frac[t->top]), one = V(set1)(1);
            const MASK top = V(eq)(V(load)(has_top), one), all = V(eq)(one, one), none = V(lt)(one, one),
                       not_top = V(lt)(V(load)(has_top), one);
            const bool first = below(2);
            FN(sum_take_off)(joint, &s, first ? top : all,
                             FN(sum_less_of)(&s, first ? none : not_top, a, b, FN(mul_add)(a, b, a)));
        }
        total = FN(sum_join)(total, FN(sum_total)(&s));
    }
    FN(wide_store)(FN(sum_close)(across, total), hi, lo);
}

static void FN(shuffle)(int *order, int n) {
    for (int i = n - 1; i > 0; i--) {
        const int k = below(i + 1), other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
}

/* One sum, hi + lo, against what is wanted. */
static bool FN(is_right)(double hi, double lo, quad want, quad exact, int n, int anchor) {
    const quad got = (quad)hi + (quad)lo, error = got - exact;
    const quad bound = (quad)n * power(anchor - LOWER - 1) * (1 + power(-EXTRA) + (quad)0x1p-20);
    if ((SG_FUSED ? got == want : true) && (double)got == hi && error <= bound && -error <= bound)
        return true;
    printf("anchor %d, %d terms: %a + %a, off the rounded terms by %a, off the sum by %a, bound %a\n", anchor,
           n, hi, lo, (double)(got - want), (double)error, (double)bound);
    return false;
}

/* All terms in one row, in many orders; without hardware FMA the first order's bits are what is wanted of the others. */
static bool FN(test_across)(FN(terms) *t, int kind, bool some, bool top) {
    static int order[BLOCK];
    const int sizes[] = {N, 3 * N, 17 * N, BLOCK - N, BLOCK};
    t->n = sizes[below(5)];
    for (int i = 0; i < t->n; i++) {
        FN(make_term)(t, i, kind);
        order[i] = i;
    }
    if (top) FN(make_top)(t);
    double first_hi = 0, first_lo = 0;
    for (int k = 0; k < 8; k++) {
        double hi[N], lo[N];
        quad exact, want = FN(rounded_sum)(t, order, t->n, some, &exact);
        FN(sum_of)(t, order, t->n / N, true, some, hi, lo);
        if (k == 0) first_hi = hi[0], first_lo = lo[0];
        for (int l = 0; l < N; l++) {
            if (!FN(is_right)(hi[l], lo[l], want, exact, t->n, t->anchor)) return false;
            if (hi[l] != first_hi || lo[l] != first_lo) return false;
        }
        FN(shuffle)(order, t->n);
    }
    return true;
}

/* A row in each lane; in many orders the rows' terms. */
static bool FN(test_lanes)(FN(terms) *t, int kind, bool some, bool top) {
    static int order[BLOCK * N], row[BLOCK];
    double first_hi[N] = {0}, first_lo[N] = {0};
    t->n = BLOCK;
    for (int i = 0; i < t->n; i++) FN(make_term)(t, i, kind);
    if (top) FN(make_top)(t);
    const int sizes[] = {1, 2, 100, GROUP, GROUP + 1, BLOCK};
    const int n = sizes[below(6)];
    for (int k = 0; k < 2; k++) {
        double hi[N], lo[N];
        quad want[N], exact[N];
        for (int l = 0; l < N; l++) { /* lane l takes the terms from l BLOCK / N on, round about */
            for (int i = 0; i < n; i++) row[i] = (l * (BLOCK / N) + i) % BLOCK;
            FN(shuffle)(row, n);
            for (int i = 0; i < n; i++) order[i * N + l] = row[i];
            want[l] = FN(rounded_sum)(t, row, n, some, &exact[l]);
        }
        FN(sum_of)(t, order, n, false, some, hi, lo);
        for (int l = 0; l < N; l++) {
            if (k == 0) first_hi[l] = hi[l], first_lo[l] = lo[l];
            if (!FN(is_right)(hi[l], lo[l], want[l], exact[l], n, t->anchor)) return false;
            if (hi[l] != first_hi[l] || lo[l] != first_lo[l]) return false;
        }
    }
    return true;
}

/* NaN stays in its lane, and is in every lane of a sum across. */
static bool FN(test_nan)(FN(terms) *t) {
    static int order[BLOCK];
    const int vectors = 1 + below(BLOCK / N);
    t->n = vectors * N;
    t->anchor = 0;
    t->top = -1;
    for (int i = 0; i < t->n; i++) {
        FN(make_term)(t, i, ORDINARY);
        t->taken[i] = 1;
        order[i] = i;
    }
    const int at = below(t->n);
    t->frac[at] = (REAL)NAN;
    for (int k = 0; k < 6; k++) {
        double hi[N], lo[N];
        t->runs = k >> 1 == 2;
        FN(sum_of)(t, order, vectors, k & 1, k >> 1 == 1, hi, lo);
        for (int l = 0; l < N; l++)
            if (!isnan(hi[l]) == ((k & 1) || l == at % N)) return false;
    }
    return true;
}

static void FN(test_type)(void) {
    static FN(terms) t;
    char name[64];
    bool ok = true;
    /* words that are not needed here; portable.h has them not inline */
    (void)V(load_n), (void)V(store_n), (void)V(load_tile), (void)V(store_tile), (void)V(load_packed),
        (void)V(store_packed), (void)V(xor), (void)V(partners);
    for (int kind = 0; kind < KINDS; kind++)
        for (int k = 0; k < 8; k++) {
            const bool some = k / 2 == 1, top = k / 2 == 2;
            t.runs = k / 2 == 3;
            ok = true;
            for (int repeat = 0; repeat < 3 && ok; repeat++) {
                t.anchor = LOWEST_ANCHOR + below(HIGHEST_ANCHOR - LOWEST_ANCHOR + 1);
                if (kind == LARGEST) t.anchor = HIGHEST_ANCHOR;
                if (kind == SMALLEST) t.anchor = LOWEST_ANCHOR;
                t.top = -1;
                ok = k & 1 ? FN(test_across)(&t, kind, some, top) : FN(test_lanes)(&t, kind, some, top);
            }
            snprintf(name, sizeof name, "%s, %s%s", kind_names[kind], k & 1 ? "across" : "lanes",
                     some     ? ", if"
                     : top    ? ", one taken off"
                     : t.runs ? ", runs"
                              : "");
            count(TYPE, name, ok);
        }
    ok = true;
    for (int k = 0; k < 50 && ok; k++) ok = FN(test_nan)(&t);
    count(TYPE, "NaN", ok);
}

#undef REAL
#undef TYPE
#undef VEC
#undef MASK
#undef V
#undef FN
#undef N
#undef GROUP
#undef RUN
#undef BLOCK
#undef EPSILON
#undef UPPER
#undef LOWER
#undef EXTRA
#undef HIGHEST_ANCHOR
#undef LOWEST_ANCHOR
#undef LOWEST_SCALE
#undef FRAC
#endif
