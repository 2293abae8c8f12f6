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
/* 1 / x for |x| in [2^-120, 2^120], to 2^-46: a division in float and one step of Newton's. (A division in double takes
 * two instructions a vector, of twice the time each.) */
SG_BODY wide_f32 wide_inverse_f32(wide_f32 x) {
    const vf64 one = vf64_set1(1);
    const vf32 y = vf32_div(vf32_set1(1), vf32_narrow(x.a, x.b));
    const vf64 a = vf32_low(y), b = vf32_high(y);
    return (wide_f32){vf64_fma(a, vf64_fnma(a, x.a, one), a), vf64_fma(b, vf64_fnma(b, x.b, one), b)};
}
/* What wide_f64.h has cheaper ways for. */
SG_INLINE wide_f32 wide_add_finite_f32(wide_f32 x, wide_f32 y) { return wide_add_f32(x, y); }
SG_INLINE wide_f32 wide_sub_finite_f32(wide_f32 x, wide_f32 y) { return wide_sub_f32(x, y); }
SG_INLINE wide_f32 wide_mul_finite_f32(wide_f32 x, wide_f32 y) { return wide_mul_f32(x, y); }
SG_INLINE wide_f32 wide_minus_f32(wide_f32 x) { return wide_sub_f32(wide_set1_f32(0, 0), x); }
SG_INLINE wide_f32 wide_difference_f32(vf32 a, vf32 b) {
    return wide_sub_f32(wide_of_f32(a), wide_of_f32(b));
}
SG_INLINE wide_f32 wide_ratio_f32(wide_f32 x, wide_f32 y) { return wide_mul_f32(x, wide_inverse_f32(y)); }
SG_INLINE wide_f32 wide_twice_f32(wide_f32 x) { return wide_add_f32(x, x); }
SG_INLINE wide_f32 wide_add_small_f32(wide_f32 x, vf32 a) { return wide_add_f32(x, wide_of_f32(a)); }
SG_INLINE wide_f32 wide_multiple_f32(vf32 k, double hi, double lo) {
    return wide_mul_f32(wide_of_f32(k), wide_set1_f32(hi, lo));
}
SG_BODY wide_f32 wide_select_f32(mf32 m, wide_f32 x, wide_f32 y) {
    return (wide_f32){vf64_select(mf32_low(m), x.a, y.a), vf64_select(mf32_high(m), x.b, y.b)};
}

/* The sum of the lanes, in every lane. */
SG_BODY wide_f32 wide_fold_lanes_f32(wide_f32 x) {
    vf64 s = vf64_add(x.a, x.b);
    s = vf64_add(s, vf64_xor(s, 4));
    s = vf64_add(s, vf64_xor(s, 2));
    s = vf64_add(s, vf64_xor(s, 1));
    return (wide_f32){s, s};
}

/* The same of each of `count` rows, 16 at most, in its lane: as wide_fold_rows_f64. */
SG_INLINE void wide_fold_step_f32(int k, vf64 v[]) {
    SG_UNROLL(i, k) {
        vf64 lower, upper;
        vf64_partners(k, v[i], v[i + k], &lower, &upper);
        v[i] = vf64_add(lower, upper);
    }
}
SG_INLINE vf64 wide_fold_eight_f32(const wide_f32 rows[], int count) {
    vf64 v[8];
    SG_UNROLL(i, 8) {
        const wide_f32 row = rows[i < count ? i : 0];
        v[i] = vf64_add(row.a, row.b);
    }
    wide_fold_step_f32(4, v);
    wide_fold_step_f32(2, v);
    wide_fold_step_f32(1, v);
    return v[0];
}
SG_BODY wide_f32 wide_fold_rows_f32(const wide_f32 rows[], int count) {
    const vf64 low = wide_fold_eight_f32(rows, count);
    return (wide_f32){low, count > 8 ? wide_fold_eight_f32(rows + 8, count - 8) : low};
}

/* An exact running sum of terms e = scale (1 + frac), 0 <= e < 1.42 2^a, at most SUM_GROUP_F32 of them a lane: a fixed-point
 * number, so that no order of addition changes a bit (kernel/sum.h says what that is good for). Two constants cut a term
 * in two, and the bits of what they give are added as integers:
 *
 *     big + e      big = 2^(a+1):           e rounded to a multiple of 2^(a-22), `ints` of them
 *     middle + r   middle = 1.5 2^(a-17):   r, what is left of e, to a multiple of 2^(a-40), `rests` of them
 *
 * |r| <= 1.5 2^(a-23), so that neither leaves its binade, nor does a run of SUM_RUN_F32 r, or one more, that begins with `middle` (21 would do). The second
 * rounding is the one error: 2^-40.5 of the largest term, which is at least 0.7 2^a, for each term.
 * Integers know no NaN: `poison` does. */
enum { SUM_GROUP_F32 = 512, SUM_RUN_F32 = 16 };

/* `count` terms will be added in each lane, in runs or without; the bits of the constants, as often, are taken off beforehand, modulo
 * 2^32. */
SG_INLINE sum_f32 sum_begin_f32(int runs, vf32 a, int count) {
    const vf32 magic = vf32_set1(0x1.8p23F), n = vf32_set1((float)count);
    const vf32 big = vf32_add(a, vf32_set1(127 + 1)), middle = vf32_add(a, vf32_set1(127 - 17));
    const uint32_t halves = (uint32_t)count << 22; /* of the 1.5 in `middle` */
    float bits;
    memcpy(&bits, &halves, sizeof bits);
    sum_f32 s;
    s.big = vf32_shift(vf32_add(magic, big));
    s.middle = vf32_mul(vf32_shift(vf32_add(magic, middle)), vf32_set1(1.5F));
    s.ints = vf32_shift(vf32_fnma(big, n, magic));
    s.rests = s.poison = vf32_set1(0);
    if (!runs) s.rests = vf32_subbits(vf32_shift(vf32_fnma(middle, n, magic)), vf32_set1(bits));
    s.run = s.middle;
    return s;
}
/* `ints` is not negative, and below 2^32: converted as a number with a sign, 2^31 less. */
SG_BODY wide_f32 sum_total_f32(const sum_f32 *s) {
    const vf32 ints = vf32_addbits(s->ints, vf32_set1(-0.0F));
    const vf32 unit = vf32_mul(s->big, vf32_set1(0x1p-23F)), nan = vf32_sub(s->poison, s->poison);
    const vf64 small = vf64_set1(0x1p-18), start = vf64_set1(0x1p49);
    const vf64 low = vf64_fma(vf64_add(vf32_int_low(s->rests), start), small, vf32_int_low(ints));
    const vf64 high = vf64_fma(vf64_add(vf32_int_high(s->rests), start), small, vf32_int_high(ints));
    return (wide_f32){vf64_fma(low, vf32_low(unit), vf32_low(nan)),
                      vf64_fma(high, vf32_high(unit), vf32_high(nan))};
}
/* Totals, of one a, added exactly: 53 bits hold 2^12 terms. At the end the lanes of one row are folded. */
SG_INLINE wide_f32 sum_join_f32(wide_f32 x, wide_f32 y) { return wide_add_f32(x, y); }
SG_INLINE wide_f32 sum_close_f32(int across, wide_f32 x) { return across ? wide_fold_lanes_f32(x) : x; }

/* x + p q; the product of two floats is exact in double. */
SG_BODY wide_f32 wide_fma_f32(wide_f32 x, vf32 p, vf32 q) {
    x.a = vf64_fma(vf32_low(p), vf32_low(q), x.a);
    x.b = vf64_fma(vf32_high(p), vf32_high(q), x.b);
    return x;
}

/* x + a, as wide_fma(x, a, 1) */
SG_INLINE wide_f32 wide_add_real_f32(wide_f32 x, vf32 a) { return wide_add_f32(x, wide_of_f32(a)); }

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
/* x (hi + lo), rounded. */
SG_BODY vf32 wide_scaled_f32(wide_f32 x, vf32 hi, vf32 lo) {
    return wide_round_f32(wide_mul_f32(x, wide_add_f32(wide_of_f32(hi), wide_of_f32(lo))));
}

SG_INLINE void wide_store_f32(wide_f32 x, double hi[16], double lo[16]) {
    vf64_store(hi, x.a);
    vf64_store(hi + 8, x.b);
    vf64_store(lo, vf64_set1(0));
    vf64_store(lo + 8, vf64_set1(0));
}
/* The first lane. */
SG_INLINE void wide_store_first_f32(wide_f32 x, double *hi, double *lo) {
    memcpy(hi, &x.a, sizeof *hi);
    *lo = 0;
}
SG_INLINE wide_f32 wide_load_f32(const double hi[16], const double lo[16]) {
    (void)lo;
    return (wide_f32){vf64_load(hi), vf64_load(hi + 8)};
}
SG_INLINE void wide_store_rounded_f32(wide_f32 x, double *p, int n) {
    if (n >= 8) vf64_store(p, x.a);
    else vf64_store_n(p, x.a, n);
    if (n > 8) vf64_store_n(p + 8, x.b, n - 8);
}

#endif
