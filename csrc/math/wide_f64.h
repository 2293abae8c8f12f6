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
/* The same where nothing is infinite. NaN stays NaN. */
SG_BODY wide_f64 wide_add_finite_f64(wide_f64 x, wide_f64 y) {
    vf64 e;
    wide_f64 r;
    vf64 s = two_sum(x.hi, y.hi, &e);
    r.hi = fast_two_sum(s, vf64_add(e, vf64_add(x.lo, y.lo)), &r.lo);
    return r;
}
SG_BODY wide_f64 wide_sub_finite_f64(wide_f64 x, wide_f64 y) {
    vf64 e;
    wide_f64 r;
    vf64 s = two_sum(x.hi, vf64_sub(vf64_set1(0), y.hi), &e);
    r.hi = fast_two_sum(s, vf64_add(e, vf64_sub(x.lo, y.lo)), &r.lo);
    return r;
}
SG_BODY wide_f64 wide_mul_finite_f64(wide_f64 x, wide_f64 y) {
    const vf64 p = vf64_mul(x.hi, y.hi), minus_e = vf64_fnma(x.hi, y.hi, p);
    wide_f64 r;
    r.hi = fast_two_sum(p, vf64_sub(vf64_fma(x.hi, y.lo, vf64_mul(x.lo, y.hi)), minus_e), &r.lo);
    return r;
}
/* x (hi + lo), rounded. */
SG_BODY vf64 wide_scaled_f64(wide_f64 x, vf64 hi, vf64 lo) {
    return vf64_fma(x.hi, hi, vf64_fma(x.hi, lo, vf64_mul(x.lo, hi)));
}
SG_INLINE wide_f64 wide_minus_f64(wide_f64 x) {
    return (wide_f64){vf64_sub(vf64_set1(0), x.hi), vf64_sub(vf64_set1(0), x.lo)};
}
/* a - b. Where that is infinite lo is NaN, which wide_add puts right. */
SG_BODY wide_f64 wide_difference_f64(vf64 a, vf64 b) {
    wide_f64 r;
    r.hi = two_sum(a, vf64_sub(vf64_set1(0), b), &r.lo);
    return r;
}
/* x / y of finite numbers, to 2^-103: one division, the remainder times the same inverse. */
SG_BODY wide_f64 wide_ratio_f64(wide_f64 x, wide_f64 y) {
    wide_f64 q;
    const vf64 inverse = vf64_div(vf64_set1(1), y.hi), first = vf64_mul(x.hi, inverse);
    const vf64 rest = vf64_add(vf64_fnma(first, y.hi, x.hi), vf64_fnma(first, y.lo, x.lo));
    q.hi = fast_two_sum(first, vf64_mul(rest, inverse), &q.lo);
    return q;
}
SG_INLINE wide_f64 wide_twice_f64(wide_f64 x) {
    return (wide_f64){vf64_add(x.hi, x.hi), vf64_add(x.lo, x.lo)};
}
/* x + a for |a| <= |x|, of finite numbers. */
SG_BODY wide_f64 wide_add_small_f64(wide_f64 x, vf64 a) {
    vf64 e;
    wide_f64 r;
    vf64 s = fast_two_sum(x.hi, a, &e);
    r.hi = fast_two_sum(s, vf64_add(e, x.lo), &r.lo);
    return r;
}
/* k (hi + lo) for an integer k of at most 11 bits. */
SG_BODY wide_f64 wide_multiple_f64(vf64 k, double hi, double lo) {
    const vf64 h = vf64_set1(hi), p = vf64_mul(k, h);
    return (wide_f64){p, vf64_fma(k, vf64_set1(lo), vf64_sub(vf64_set1(0), vf64_fnma(k, h, p)))};
}
SG_BODY wide_f64 wide_div_f64(wide_f64 x, wide_f64 y) {
    vf64 q = vf64_div(x.hi, y.hi);
    vf64 r = vf64_add(vf64_fnma(q, y.hi, x.hi), vf64_fnma(q, y.lo, x.lo));
    return wide_normal(q, vf64_div(r, y.hi));
}
SG_BODY wide_f64 wide_inverse_f64(wide_f64 x) { /* as wide_ratio */
    wide_f64 q;
    const vf64 one = vf64_set1(1), first = vf64_div(one, x.hi);
    const vf64 rest = vf64_sub(vf64_fnma(first, x.hi, one), vf64_mul(first, x.lo));
    q.hi = fast_two_sum(first, vf64_mul(rest, first), &q.lo);
    return q;
}
SG_BODY wide_f64 wide_select_f64(mf64 m, wide_f64 x, wide_f64 y) {
    return (wide_f64){vf64_select(m, x.hi, y.hi), vf64_select(m, x.lo, y.lo)};
}

/* An exact running sum of terms e = scale (1 + frac), 0 <= e < 1.42 2^a, at most SUM_GROUP_F64 of them a lane: fixed point
 * in two parts, as in wide_f32.h. `big` = 2^(a+11) cuts: e is rounded to a multiple of 2^(a-41). What is left, at most
 * 2^(a-42) (and half an ulp of e), is rounded to a multiple of 2^(a-83) with the help of `middle` = 1.5 2^(a-31). That is
 * the one error: 2^-83.5 of the largest term, as there, for each term. The bits of both are added as integers, those of `big` and
 * `middle` taken off beforehand; the sums, added to those again, stay inside their binades, and so do runs of what is left.
 * (Tried: a run of the upper part too. Which way a tie goes then depends on the terms before it, and with it, for crafted terms, how what is
 * left of it is rounded; without ties it is a product more, of which float64 has too many.) */
enum { SUM_GROUP_F64 = 512, SUM_RUN_F64 = 512 };

/* `count` terms will be added in each lane, in runs or without; as many `big`s and `middle`s are taken off beforehand, modulo 2^64. */
SG_INLINE sum_f64 sum_begin_f64(int runs, vf64 a, int count) {
    const vf64 magic = vf64_set1(0x1.8p52), n = vf64_set1(count);
    const vf64 big = vf64_add(a, vf64_set1(1023 + 11)), middle = vf64_add(a, vf64_set1(1023 - 31));
    const uint64_t halves = (uint64_t)count << 51; /* of the 1.5 in `middle` */
    double bits;
    memcpy(&bits, &halves, sizeof bits);
    sum_f64 s;
    s.big = vf64_shift(vf64_add(magic, big));
    s.middle = vf64_mul(vf64_shift(vf64_add(magic, middle)), vf64_set1(1.5));
    s.ints = vf64_shift(vf64_fnma(big, n, magic));
    s.rests = s.poison = vf64_set1(0);
    if (!runs) s.rests = vf64_subbits(vf64_shift(vf64_fnma(middle, n, magic)), vf64_set1(bits));
    s.run = s.middle;
    return s;
}
SG_BODY wide_f64 sum_total_f64(const sum_f64 *s) {
    const vf64 rests = vf64_sub(vf64_addbits(s->rests, s->middle), s->middle),
               nan = vf64_sub(s->poison, s->poison);
    return (wide_f64){vf64_sub(vf64_addbits(s->ints, s->big), s->big), vf64_add(rests, nan)};
}
/* Totals, of one a, added exactly, part by part: 53 bits hold 2^11 terms. At the end the lanes of one row are folded, and
 * only then the two parts are brought into the form hi + lo with hi = RN(hi + lo). */
SG_INLINE wide_f64 sum_join_f64(wide_f64 x, wide_f64 y) {
    return (wide_f64){vf64_add(x.hi, y.hi), vf64_add(x.lo, y.lo)};
}
SG_INLINE vf64 fold_lanes_f64(vf64 a) {
    a = vf64_add(a, vf64_xor(a, 4));
    a = vf64_add(a, vf64_xor(a, 2));
    return vf64_add(a, vf64_xor(a, 1));
}
SG_BODY wide_f64 sum_close_f64(int across, wide_f64 x) {
    vf64 error;
    if (across) x = (wide_f64){fold_lanes_f64(x.hi), fold_lanes_f64(x.lo)};
    x.hi = two_sum(x.hi, x.lo, &error);
    return wide_normal(x.hi, error);
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

/* x + a, as wide_fma(x, a, 1) */
SG_BODY wide_f64 wide_add_real_f64(wide_f64 x, vf64 a) {
    vf64 e;
    x.hi = two_sum(x.hi, a, &e);
    x.lo = vf64_add(x.lo, e);
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

/* The same of each of `count` rows, 8 at most, in its lane: 7 additions in the place of 3 a row. Lanes beyond hold that of some row. */
SG_INLINE void wide_fold_step_f64(int k, wide_f64 v[]) {
    SG_UNROLL(i, k) {
        wide_f64 lower, upper;
        vf64_partners(k, v[i].hi, v[i + k].hi, &lower.hi, &upper.hi);
        vf64_partners(k, v[i].lo, v[i + k].lo, &lower.lo, &upper.lo);
        v[i] = wide_add_f64(lower, upper);
    }
}
SG_BODY wide_f64 wide_fold_rows_f64(const wide_f64 rows[], int count) {
    wide_f64 v[8];
    SG_UNROLL(i, 8) v[i] = rows[i < count ? i : 0];
    wide_fold_step_f64(4, v);
    wide_fold_step_f64(2, v);
    wide_fold_step_f64(1, v);
    return v[0];
}

SG_INLINE void wide_store_f64(wide_f64 x, double hi[8], double lo[8]) {
    vf64_store(hi, x.hi);
    vf64_store(lo, x.lo);
}
/* The first lane. */
SG_INLINE void wide_store_first_f64(wide_f64 x, double *hi, double *lo) {
    memcpy(hi, &x.hi, sizeof *hi);
    memcpy(lo, &x.lo, sizeof *lo);
}
SG_INLINE wide_f64 wide_load_f64(const double hi[8], const double lo[8]) {
    return (wide_f64){vf64_load(hi), vf64_load(lo)};
}
SG_INLINE void wide_store_rounded_f64(wide_f64 x, double *p, int n) { vf64_store_n(p, x.hi, n); }

#endif
