/* exp_log.c - the largest errors of csrc/math/exp.h and log.h, in units of u = 2^-24 or 2^-53, against long double with
 * the argument reduced in 113 bits: every STRIDE-th float32 argument (1: all), as many random float64 ones. Exit code
 * 1 if one is above the bound that docs/numerics.md proves. */
#include "isa.h"

#include <float.h>
#include <immintrin.h>
#include <quadmath.h>
#include <stdio.h>

SG_TARGET_BEGIN("avx2,fma,f16c")
#include "simd/avx2.h"

#include "math/wide_f32.h"
#include "math/wide_f64.h"

#include "math/polynomials.h"

#include "real_f32.h"
#include "math/exp.h"
#include "math/log.h"
#include "real_end.h"

#include "real_f64.h"
#include "math/exp.h"
#include "math/log.h"
#include "real_end.h"

/* The 1 + t of x as its own maximum, unrounded, and n: exp(x) = 2^n (1 + t). */
static void exp_f32(const float x[16], double y[16], double n[16]) {
    float scale[16], frac[16], M[16];
    vf32 s, f, v = vf32_load(x);
    limits_f32 k = limits_of_f32(v);
    exp_terms_f32(v, k, &s, &f);
    vf32_store(scale, s);
    vf32_store(frac, f);
    vf32_store(M, k.M);
    for (int i = 0; i < 16; i++) {
        y[i] = (double)scale[i] * 0x1p-64 * (1 + (double)frac[i]);
        n[i] = (double)M[i] + 64;
    }
}
static void exp_f64(const double x[8], long double y[8], double n[8]) {
    double scale[8], frac[8], M[8];
    vf64 s, f, v = vf64_load(x);
    limits_f64 k = limits_of_f64(v);
    exp_terms_f64(v, k, &s, &f);
    vf64_store(scale, s);
    vf64_store(frac, f);
    vf64_store(M, k.M);
    for (int i = 0; i < 8; i++) {
        y[i] = (long double)scale[i] * 0x1p-512L * (1 + (long double)frac[i]);
        n[i] = M[i] + 512;
    }
}
static void log_f32_of(const float a[16], double y[16]) {
    double lo[16];
    wide_store_f32(log_f32(vf32_load(a)), y, lo);
}
static void log1p_f32_of(const float a[16], double y[16]) {
    double lo[16];
    wide_store_f32(log1p_f32(wide_of_f32(vf32_load(a))), y, lo);
}
static void log_f64_of(const double a[8], long double y[8]) {
    double hi[8], lo[8];
    wide_store_f64(log_f64(vf64_load(a)), hi, lo);
    for (int i = 0; i < 8; i++) y[i] = (long double)hi[i] + lo[i];
}
static void log1p_f64_of(const double a[8], long double y[8]) {
    double hi[8], lo[8];
    wide_store_f64(log1p_f64(wide_of_f64(vf64_load(a))), hi, lo);
    for (int i = 0; i < 8; i++) y[i] = (long double)hi[i] + lo[i];
}
SG_TARGET_END

static long double mantissa(double x, double n) {
    return expl((long double)((__float128)x - (__float128)n * M_LN2q));
}

static uint64_t state = 0x9e3779b97f4a7c15ULL;
static uint64_t random64(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dULL;
}

typedef struct {
    const char *name;
    double bound; /* docs/numerics.md, in u */
    long double worst;
    double at;
} result;

static void see(result *r, long double got, long double exact, double u, double at) {
    if (exact == 0 && got == 0) return;
    long double error = fabsl((got - exact) / exact) / u;
    if (!(error <= r->worst)) {
        r->worst = error;
        r->at = at;
    }
}

int main(int argc, char **argv) {
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    result e32 = {"exp float32", 0.70, 0, 0}, l32 = {"log float32", 0.05, 0, 0},
           p32 = {"log1p float32", 0.05, 0, 0};
    result e64 = {"exp float64", 0.70, 0, 0}, l64 = {"log float64", 0.05, 0, 0},
           p64 = {"log1p float64", 0.05, 0, 0};
    float x[16];
    double y[16], n[16];
    int filled = 0;
    for (uint64_t bits = 0; bits <= 0xffffffffU; bits += stride) {
        uint32_t b = (uint32_t)bits;
        memcpy(&x[filled], &b, 4);
        if (!(fabsf(x[filled]) <= FLT_MAX)) continue;
        if (++filled < 16) continue;
        filled = 0;
        if (fabsf(x[0]) < 0x1p17F && fabsf(x[15]) < 0x1p17F) {
            exp_f32(x, y, n);
            for (int i = 0; i < 16; i++) see(&e32, y[i], mantissa(x[i], n[i]), 0x1p-24, x[i]);
        }
        if (x[0] > 0 && x[15] > 0) {
            log_f32_of(x, y);
            for (int i = 0; i < 16; i++) see(&l32, y[i], logl(x[i]), 0x1p-24, x[i]);
            if (x[15] < 0x1p40F) {
                log1p_f32_of(x, y);
                for (int i = 0; i < 16; i++) see(&p32, y[i], log1pl(x[i]), 0x1p-24, x[i]);
            }
        }
    }
    for (uint64_t k = 0; k < 0x10000000U / stride; k++) {
        double a[8], q[8], m[8];
        long double z[8];
        for (int i = 0; i < 8; i++) {
            /* arguments of every magnitude from 2^-60 to 2^40, of both signs; positive ones of all */
            a[i] = ldexp((double)(random64() >> 11) * 0x1p-53 + 1, (int)(random64() % 100) - 60);
            if (random64() & 1) a[i] = -a[i];
            q[i] = ldexp((double)(random64() >> 11) * 0x1p-53 + 1, (int)(random64() % 2000) - 1000);
            if (i < 4) q[i] = 1 + (double)(int64_t)random64() * 0x1p-65; /* around 1 */
        }
        exp_f64(a, z, m);
        for (int i = 0; i < 8; i++) see(&e64, z[i], mantissa(a[i], m[i]), 0x1p-53, a[i]);
        log_f64_of(q, z);
        for (int i = 0; i < 8; i++) see(&l64, z[i], logl(q[i]), 0x1p-53, q[i]);
        for (int i = 0; i < 8; i++) q[i] = fmin(q[i], 0x1p40);
        log1p_f64_of(q, z);
        for (int i = 0; i < 8; i++) see(&p64, z[i], log1pl(q[i]), 0x1p-53, q[i]);
    }
    const result *all[] = {&e32, &l32, &p32, &e64, &l64, &p64};
    int failed = 0;
    for (int i = 0; i < 6; i++) {
        const int bad = !(all[i]->worst <= all[i]->bound);
        printf("%-14s %.4Lf u at %a%s\n", all[i]->name, all[i]->worst, all[i]->at,
               bad ? "  ABOVE ITS BOUND" : "");
        failed += bad;
    }
    printf("%d passed, %d failed\n", 6 - failed, failed);
    return failed != 0;
}
