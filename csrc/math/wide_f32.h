/* wide_f32.h - numbers of more than float32 precision, one a lane: double. What sums, logarithms and
 * factors are held in until the one rounding to float32. The float64 counterpart is wide_f64.h; both
 * define the same words. */
#ifndef SG_WIDE_F32_H
#define SG_WIDE_F32_H

typedef struct { vf64 a, b; /* lanes 0..7, 8..15 */ } wide_f32;

SG_INLINE wide_f32 wide_set1_f32(double hi, double lo) {
    return (wide_f32){vf64_set1(hi + lo), vf64_set1(hi + lo)};
}
SG_INLINE wide_f32 wide_of_f32(vf32 a) { return (wide_f32){vf32_low(a), vf32_high(a)}; }
SG_BODY wide_f32 wide_add_f32(wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_add(x.a, y.a), vf64_add(x.b, y.b)};
}
SG_BODY wide_f32 wide_sub_f32(wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_sub(x.a, y.a), vf64_sub(x.b, y.b)};
}
SG_BODY wide_f32 wide_mul_f32(wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_mul(x.a, y.a), vf64_mul(x.b, y.b)};
}
SG_BODY wide_f32 wide_div_f32(wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_div(x.a, y.a), vf64_div(x.b, y.b)};
}
SG_BODY wide_f32 wide_select_f32(mf32 m, wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_select(mf32_low(m), x.a, y.a), vf64_select(mf32_high(m), x.b, y.b)};
}

/* A running sum of terms e + rest, rest below half an ulp of e: of the first in double, of the second in float, where
 * its errors are below 2^-40 of the sum. */
typedef struct {
    vf64 a, b;
    vf32 rest;
} sum_f32;

SG_INLINE sum_f32 sum_zero_f32(void) { return (sum_f32){vf64_set1(0), vf64_set1(0), vf32_set1(0)}; }
SG_INLINE void sum_add_f32(sum_f32 *s, vf32 e, vf32 rest) {
    s->a = vf64_add(s->a, vf32_low(e));
    s->b = vf64_add(s->b, vf32_high(e));
    s->rest = vf32_add(s->rest, rest);
}
SG_INLINE wide_f32 sum_total_f32(sum_f32 s) {
    return (wide_f32){vf64_add(s.a, vf32_low(s.rest)), vf64_add(s.b, vf32_high(s.rest))};
}
/* x + p q; the product of two floats is exact in double. */
SG_BODY wide_f32 wide_fma_f32(wide_f32 x, vf32 p, vf32 q) {
    x.a = vf64_fma(vf32_low(p), vf32_low(q), x.a);
    x.b = vf64_fma(vf32_high(p), vf32_high(q), x.b);
    return x;
}

/* x + p (m - q) */
SG_BODY wide_f32 wide_fma_difference_f32(wide_f32 x, vf32 p, vf32 m, vf32 q) {
    x.a = vf64_fma(vf32_low(p), vf64_sub(vf32_low(m), vf32_low(q)), x.a);
    x.b = vf64_fma(vf32_high(p), vf64_sub(vf32_high(m), vf32_high(q)), x.b);
    return x;
}

/* x 2^d, d an integer in (-2^21, 1000]; below -1000 as -1000, where nothing is left of a float. */
SG_INLINE vf64 wide_power_f32(vf64 d) {
    return vf64_shift(vf64_add(vf64_set1(0x1.8p52 + 1023), vf64_max(vf64_set1(-1000), d)));
}
SG_BODY wide_f32 wide_ldexp_f32(wide_f32 x, vf32 d) {
    return (wide_f32){vf64_mul(x.a, wide_power_f32(vf32_low(d))),
                      vf64_mul(x.b, wide_power_f32(vf32_high(d)))};
}

SG_INLINE wide_f32 wide_lower_f32(wide_f32 x, vf32 d) { return wide_ldexp_f32(x, d); }

/* The nearest float, and what is left: x = hi + lo to 48 bits. */
SG_INLINE vf32 wide_round_f32(wide_f32 x) { return vf32_narrow(x.a, x.b); }
SG_BODY vf32 wide_rest_f32(wide_f32 x, vf32 hi) {
    return vf32_narrow(vf64_sub(x.a, vf32_low(hi)), vf64_sub(x.b, vf32_high(hi)));
}

/* The sum of the lanes, in every lane. */
SG_BODY wide_f32 wide_fold_lanes_f32(wide_f32 x) {
    vf64 s = vf64_add(x.a, x.b);
    s = vf64_add(s, vf64_xor(s, 4));
    s = vf64_add(s, vf64_xor(s, 2));
    s = vf64_add(s, vf64_xor(s, 1));
    return (wide_f32){s, s};
}

SG_INLINE void wide_store_f32(wide_f32 x, double hi[16], double lo[16]) {
    vf64_store(hi, x.a);
    vf64_store(hi + 8, x.b);
    for (int i = 0; i < 16; i++) lo[i] = 0;
}

#endif
