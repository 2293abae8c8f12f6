/* exp_log.c - the errors of csrc/math/exp.h and log.h, in units of u = 2^-24 or 2^-53, against long double with
 * the argument reduced in more: every STRIDE-th float32 argument (1: all), as many random float64 ones. Exit code
 * 1 if one is above the bound that docs/numerics.md proves. */
#include "isa.h"

#include <float.h>
#include <immintrin.h>
#include <quadmath.h>
#include <stdio.h>

SG_TARGET_BEGIN("avx2,fma,f16c")
#include "simd/avx2.h"

#include "math/wide.h"

#include "math/polynomials.h"

#include "real_f32.h"
#include "math/exp.h"
#include "math/log.h"
#include "real_end.h"

#include "real_f64.h"
#include "math/exp.h"
#include "math/log.h"
#include "real_end.h"

/* Of x as its own maximum: scale (1 + frac) / C, unrounded; e / C, which is rounded; and the n that both are without: exp(x) 2^-n. */
static void exp_f32(const float x[16], double y[16], double e[16], double n[16]) {
    float scale[16], frac[16], term[16], M[16];
    vf32 s, f, v = vf32_load(x);
    limits_f32 k = limits_of_f32(v);
    exp_terms_f32(v, k, &s, &f);
    vf32_store(scale, s);
    vf32_store(frac, f);
    vf32_store(term, vf32_fma(s, f, s));
    vf32_store(M, k.M);
    for (int i = 0; i < 16; i++) {
        y[i] = (double)scale[i] * 0x1p-65 * (1 + (double)frac[i]) * SG_F32_EXP_PER_C_HI;
        e[i] = (double)term[i] * 0x1p-65 * SG_F32_EXP_PER_C_HI;
        n[i] = (double)M[i] + 65;
    }
}
static void exp_f64(const double x[8], long double y[8], long double e[8], double n[8]) {
    const long double per_c = (long double)SG_F64_EXP_PER_C_HI + SG_F64_EXP_PER_C_LO;
    double scale[8], frac[8], term[8], M[8];
    vf64 s, f, v = vf64_load(x);
    limits_f64 k = limits_of_f64(v);
    exp_terms_f64(v, k, &s, &f);
    vf64_store(scale, s);
    vf64_store(frac, f);
    vf64_store(term, vf64_fma(s, f, s));
    vf64_store(M, k.M);
    for (int i = 0; i < 8; i++) {
        y[i] = (long double)scale[i] * 0x1p-513L * (1 + (long double)frac[i]) * per_c;
        e[i] = (long double)term[i] * 0x1p-513L * per_c;
        n[i] = M[i] + 513;
    }
}
static void log_f32_of(const float a[16], double y[16]) {
    double lo[16];
    wide_store_f32(log_f32(vf32_load(a)), y, lo);
}
static void log_ratio_f32_of(const float others[16], const float top[16], double y[16]) {
    double lo[16];
    wide_store_f32(log_ratio_f32(wide_of_f32(vf32_load(others)), wide_of_f32(vf32_load(top))), y, lo);
}
static void log_f64_of(const double a[8], long double y[8]) {
    double hi[8], lo[8];
    wide_store_f64(log_f64(vf64_load(a)), hi, lo);
    for (int i = 0; i < 8; i++) y[i] = (long double)hi[i] + lo[i];
}
static void log_ratio_f64_of(const double others[8], const double top[8], long double y[8]) {
    double hi[8], lo[8];
    wide_store_f64(log_ratio_f64(wide_of_f64(vf64_load(others)), wide_of_f64(vf64_load(top))), hi, lo);
    for (int i = 0; i < 8; i++) y[i] = (long double)hi[i] + lo[i];
}
SG_TARGET_END

/* exp(x - n ln2). For a float x - n HI is exact: n has 18 bits, HI the first 40 of ln2. */
static long double mantissa_f32(float x, double n) {
    const long double HI = 0x1.62e42fefa2p-1L, LO = (long double)(M_LN2q - (__float128)0x1.62e42fefa2p-1L);
    return expl(((long double)x - n * HI) - n * LO);
}
static long double mantissa_f64(double x, double n) {
    return expl((long double)((__float128)x - (__float128)n * M_LN2q));
}

static uint64_t state = 0x9e3779b97f4a7c15ULL;
static uint64_t random64(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dULL;
}
static double random_between_powers(int low, int high) {
    return ldexp((double)(random64() >> 11) * 0x1p-53 + 1, low + (int)(random64() % (uint64_t)(high - low)));
}

enum { EXP, TERM, LOG, LOG1P, RATIO, RESULTS };
typedef struct {
    const char *name;
    double bound; /* docs/numerics.md, in u */
    long double low, high;
    double low_at, high_at;
} result;
static result of_f32[RESULTS] = {{.name = "exp", .bound = 0.12},
                                 {.name = "exp, rounded", .bound = 1.12},
                                 {.name = "log", .bound = 0.05},
                                 {.name = "log_ratio(q, 1)", .bound = 0.05},
                                 {.name = "log_ratio", .bound = 0.05}};
static result of_f64[RESULTS] = {{.name = "exp", .bound = 0.46},
                                 {.name = "exp, rounded", .bound = 1.46},
                                 {.name = "log", .bound = 0.05},
                                 {.name = "log_ratio(q, 1)", .bound = 0.05},
                                 {.name = "log_ratio", .bound = 0.05}};

static void see(result *r, long double got, long double exact, double u, double at) {
    if (exact == 0 && got == 0) return;
    long double error = (got - exact) / (exact * u);
    if (!(error >= r->low)) {
        r->low = error;
        r->low_at = at;
    }
    if (!(error <= r->high)) {
        r->high = error;
        r->high_at = at;
    }
}

static void every_f32(uint64_t stride) {
    const float one[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double u = 0x1p-24;
    float x[16];
    double y[16], e[16], n[16];
    int filled = 0;
    for (uint64_t bits = 0; bits <= 0xffffffffU; bits += stride) {
        uint32_t b = (uint32_t)bits;
        memcpy(&x[filled], &b, 4);
        if (!(fabsf(x[filled]) <= FLT_MAX)) continue;
        if (++filled < 16) continue;
        filled = 0;
        if (fabsf(x[0]) < 0x1p17F && fabsf(x[15]) < 0x1p17F) {
            exp_f32(x, y, e, n);
            for (int i = 0; i < 16; i++) {
                const long double exact = mantissa_f32(x[i], n[i]);
                see(&of_f32[EXP], y[i], exact, u, x[i]);
                see(&of_f32[TERM], e[i], exact, u, x[i]);
            }
        }
        if (x[0] > 0 && x[15] > 0) {
            log_f32_of(x, y);
            for (int i = 0; i < 16; i++) see(&of_f32[LOG], y[i], logl(x[i]), u, x[i]);
            if (x[15] < 0x1p40F) {
                log_ratio_f32_of(x, one, y);
                for (int i = 0; i < 16; i++) see(&of_f32[LOG1P], y[i], log1pl(x[i]), u, x[i]);
            }
        }
    }
}
/* others / top from 2^-60 to 2^40, others also next to a multiple of top, where P changes; top near 2^HEADROOM */
static void ratios(uint64_t count) {
    for (uint64_t k = 0; k < count; k++) {
        float o[16], t[16];
        double others[8], top[8], y[16];
        long double z[8];
        for (int i = 0; i < 16; i++) {
            t[i] = (float)random_between_powers(63, 65);
            o[i] = (float)(random_between_powers(-60, 40) * (double)t[i]);
            if (i < 4)
                o[i] = (float)((random_between_powers(0, 20) * (1 + (double)(i % 2) * 0x1p-20) - 1) *
                               (double)t[i]);
        }
        log_ratio_f32_of(o, t, y);
        for (int i = 0; i < 16; i++)
            see(&of_f32[RATIO], y[i], log1pl((long double)o[i] / t[i]), 0x1p-24, (double)o[i] / (double)t[i]);
        for (int i = 0; i < 8; i++) {
            top[i] = random_between_powers(511, 513);
            others[i] = random_between_powers(-60, 40) * top[i];
            if (i < 2) others[i] = (random_between_powers(0, 20) - 1) * top[i];
        }
        log_ratio_f64_of(others, top, z);
        for (int i = 0; i < 8; i++)
            see(&of_f64[RATIO], z[i], log1pl((long double)others[i] / top[i]), 0x1p-53, others[i] / top[i]);
    }
}
static void sample_f64(uint64_t count) {
    const double one[8] = {1, 1, 1, 1, 1, 1, 1, 1}, u = 0x1p-53;
    for (uint64_t k = 0; k < count; k++) {
        double a[8], q[8], m[8];
        long double z[8], e[8];
        for (int i = 0; i < 8; i++) {
            /* arguments of every magnitude from 2^-60 to 2^40, of both signs; positive ones of all */
            a[i] = random_between_powers(-60, 40);
            if (i == 0) a[i] = random_between_powers(-2, 10);
            if (random64() & 1) a[i] = -a[i];
            q[i] = random_between_powers(-1000, 1000);
            if (i < 4) q[i] = 1 + (double)(int64_t)random64() * 0x1p-65; /* around 1 */
        }
        exp_f64(a, z, e, m);
        for (int i = 0; i < 8; i++) {
            const long double exact = mantissa_f64(a[i], m[i]);
            see(&of_f64[EXP], z[i], exact, u, a[i]);
            see(&of_f64[TERM], e[i], exact, u, a[i]);
        }
        log_f64_of(q, z);
        for (int i = 0; i < 8; i++) see(&of_f64[LOG], z[i], logl(q[i]), u, q[i]);
        for (int i = 0; i < 8; i++) q[i] = fmin(q[i], 0x1p40);
        log_ratio_f64_of(q, one, z);
        for (int i = 0; i < 8; i++) see(&of_f64[LOG1P], z[i], log1pl(q[i]), u, q[i]);
    }
}

static int report(const char *dtype, const result *r) {
    const int bad = !(r->low >= -r->bound && r->high <= r->bound);
    printf("%s %-15s %+.4Lf u at %a, %+.4Lf u at %a, bound %.2f%s\n", dtype, r->name, r->low, r->low_at,
           r->high, r->high_at, r->bound, bad ? "  ABOVE IT" : "");
    return bad;
}

int main(int argc, char **argv) {
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int failed = 0;
    every_f32(stride);
    ratios(0x400000U / stride);
    sample_f64(0x1000000U / stride);
    for (int i = 0; i < RESULTS; i++) failed += report("float32", &of_f32[i]);
    for (int i = 0; i < RESULTS; i++) failed += report("float64", &of_f64[i]);
    printf("%d passed, %d failed\n", 2 * RESULTS - failed, failed);
    return failed != 0;
}
