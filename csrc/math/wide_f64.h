/* wide_f64.h - numbers of more than float64 precision, one a lane: double-double, hi + lo with
 * hi = RN(hi + lo). What sums, logarithms and factors are held in until the one rounding to float64.
 * The algorithms are Dekker's (Numer. Math. 18, 1971) with the errors of Joldes, Muller & Popescu
 * (ACM TOMS 44(2), 2017): a few 2^-106. The float32 counterpart is wide_f32.h. */
#ifndef SG_WIDE_F64_H
#define SG_WIDE_F64_H

typedef struct { vf64 hi, lo; } wide_f64;

/* s + *e = a + b exactly; the second needs |a| >= |b|. */
SG_INLINE vf64 two_sum(vf64 a, vf64 b, vf64 *e) {
    vf64 s = vf64_add(a, b);
    vf64 z = vf64_sub(s, a);
    *e = vf64_add(vf64_sub(a, vf64_sub(s, z)), vf64_sub(b, z));
    return s;
}
SG_INLINE vf64 fast_two_sum(vf64 a, vf64 b, vf64 *e) {
    vf64 s = vf64_add(a, b);
    *e = vf64_sub(b, vf64_sub(s, a));
    return s;
}
SG_INLINE vf64 nan_to_zero(vf64 a) { return vf64_select(vf64_eq(a, a), a, vf64_set1(0)); }
/* s + e as hi + lo. Where s is infinite its error terms are NaN: they count as 0. */
SG_BODY wide_f64 wide_normal(vf64 s, vf64 e) {
    wide_f64 r;
    r.hi = fast_two_sum(s, nan_to_zero(e), &r.lo);
    r.lo = nan_to_zero(r.lo);
    return r;
}

SG_INLINE wide_f64 wide_set1_f64(double hi, double lo) { return (wide_f64){vf64_set1(hi), vf64_set1(lo)}; }
SG_INLINE wide_f64 wide_of_f64(vf64 a) { return (wide_f64){a, vf64_set1(0)}; }
SG_BODY wide_f64 wide_add_f64(wide_f64 x, wide_f64 y) {
    vf64 e;
    vf64 s = two_sum(x.hi, y.hi, &e);
    return wide_normal(s, vf64_add(e, vf64_add(x.lo, y.lo)));
}
SG_BODY wide_f64 wide_sub_f64(wide_f64 x, wide_f64 y) {
    vf64 zero = vf64_set1(0);
    return wide_add_f64(x, (wide_f64){vf64_sub(zero, y.hi), vf64_sub(zero, y.lo)});
}
SG_BODY wide_f64 wide_mul_f64(wide_f64 x, wide_f64 y) {
    vf64 p = vf64_mul(x.hi, y.hi);
    vf64 minus_e = vf64_fnma(x.hi, y.hi, p);
    return wide_normal(p, vf64_sub(vf64_fma(x.hi, y.lo, vf64_mul(x.lo, y.hi)), minus_e));
}
SG_BODY wide_f64 wide_div_f64(wide_f64 x, wide_f64 y) {
    vf64 q = vf64_div(x.hi, y.hi);
    vf64 r = vf64_add(vf64_fnma(q, y.hi, x.hi), vf64_fnma(q, y.lo, x.lo));
    return wide_normal(q, vf64_div(r, y.hi));
}
SG_BODY wide_f64 wide_select_f64(mf64 m, wide_f64 x, wide_f64 y) {
    return (wide_f64){vf64_select(m, x.hi, y.hi), vf64_select(m, x.lo, y.lo)};
}

/* A running sum of terms e + rest, rest below half an ulp of e: the sum, and its errors with the rests. */
typedef struct { vf64 hi, lo; } sum_f64;

SG_INLINE sum_f64 sum_zero_f64(void) { return (sum_f64){vf64_set1(0), vf64_set1(0)}; }
SG_INLINE void sum_add_f64(sum_f64 *s, vf64 e, vf64 rest) {
    vf64 error;
    s->hi = two_sum(s->hi, e, &error);
    s->lo = vf64_add(s->lo, vf64_add(error, rest));
}
SG_INLINE wide_f64 sum_total_f64(sum_f64 s) {
    vf64 error;
    vf64 hi = two_sum(s.hi, s.lo, &error);
    return wide_normal(hi, error);
}

/* x + p q, without normalisation: hi takes the terms, lo their errors. */
SG_BODY wide_f64 wide_fma_f64(wide_f64 x, vf64 p, vf64 q) {
    vf64 e;
    vf64 u = vf64_mul(p, q);
    vf64 minus_d = vf64_fnma(p, q, u);
    x.hi = two_sum(x.hi, u, &e);
    x.lo = vf64_add(x.lo, vf64_sub(e, minus_d));
    return x;
}

/* x + p (m - q) */
SG_BODY wide_f64 wide_fma_difference_f64(wide_f64 x, vf64 p, vf64 m, vf64 q) {
    vf64 e;
    vf64 d = two_sum(m, vf64_sub(vf64_set1(0), q), &e);
    x = wide_fma_f64(x, p, d);
    x.lo = vf64_fma(p, e, x.lo);
    return x;
}

/* x 2^d, d an integer in [-1022, 1000]; below, some number of less than 2^-1022 x's. */
SG_INLINE vf64 wide_power_f64(vf64 d) {
    return vf64_shift(vf64_add(vf64_set1(0x1.8p52 + 1023), vf64_max(vf64_set1(-1022), d)));
}
SG_BODY wide_f64 wide_ldexp_f64(wide_f64 x, vf64 d) {
    vf64 p = wide_power_f64(d);
    return (wide_f64){vf64_mul(x.hi, p), vf64_mul(x.lo, p)};
}
/* The same for d down to -2000, where nothing is left of a sum of terms. */
SG_BODY wide_f64 wide_lower_f64(wide_f64 x, vf64 d) {
    vf64 rest = vf64_add(d, vf64_set1(1000));
    rest = vf64_select(vf64_lt(rest, vf64_set1(0)), rest, vf64_set1(0));
    return wide_ldexp_f64(wide_ldexp_f64(x, vf64_max(vf64_set1(-1000), d)), vf64_max(vf64_set1(-1000), rest));
}

/* The nearest double, and what is left. */
SG_INLINE vf64 wide_round_f64(wide_f64 x) { return x.hi; }
SG_INLINE vf64 wide_rest_f64(wide_f64 x, vf64 hi) { return vf64_add(vf64_sub(x.hi, hi), x.lo); }

/* The sum of the lanes, in every lane: wide_add commutes to the last bit. */
SG_INLINE wide_f64 wide_swap_f64(wide_f64 x, int k) {
    return (wide_f64){vf64_xor(x.hi, k), vf64_xor(x.lo, k)};
}
SG_BODY wide_f64 wide_fold_lanes_f64(wide_f64 x) {
    x = wide_add_f64(x, wide_swap_f64(x, 4));
    x = wide_add_f64(x, wide_swap_f64(x, 2));
    return wide_add_f64(x, wide_swap_f64(x, 1));
}

SG_INLINE void wide_store_f64(wide_f64 x, double hi[8], double lo[8]) {
    vf64_store(hi, x.hi);
    vf64_store(lo, x.lo);
}

#endif
