/* log.h - the one logarithm, of a wide number, to a few thousandths of an ulp of the dtype.
 * Included once per dtype, no include guard. Constants: tools/fit_log.py.
 *
 *     a = 2^j (1 + f), 1 + f in [sqrt(1/2), sqrt(2));  w = f / (2 + f)
 *     log(1 + f) = 2 atanh(w) = 2 w + w^3 P(w^2)
 *
 * 2 w is wide; w^3 P is below 1 % of it, so that the dtype's own arithmetic is enough there. */

/* 2^j, j an integer, as a normal number */
SG_INLINE vreal FN(power_of)(vreal j) { return vshift(vadd(vset1(REAL_MAGIC), vadd(vset1(REAL_BIAS), j))); }

/* j ln2 + log((1 + w) / (1 - w)) */
SG_BODY wide FN(log_tail)(wide w, vreal j) {
    vreal u = FN(wide_round)(w);
    vreal v = vmul(u, u);
    vreal small = vmul(vmul(u, v), FN(log_p)(v));
    wide r = FN(wide_add)(FN(wide_add)(w, w), FN(wide_of)(small));
    wide ln2 = FN(wide_mul)(FN(wide_of)(j), FN(wide_set1)(SG_F64_LN2_HI, SG_F64_LN2_LO));
    return FN(wide_add)(ln2, r);
}

/* log((others + top) / top), others >= 0 (or NaN), top > 0 a normal number. With P = 2^j beside the ratio,
 *
 *     w = (others + top - P top) / (others + top + P top) = (others - (P - 1) top) / (others + (P + 1) top)
 *
 * one division; where P = 1 no digit of a small `others` is lost. */
SG_BODY wide FN(log_ratio)(wide others, wide top) {
    const vreal one = vset1(1);
    vreal s = FN(wide_round)(FN(wide_add)(others, top)), t = FN(wide_round)(top);
    vreal j = vsub(vexponent(s), vexponent(t));
    /* the ratio is within a factor of 2 of 2^j: put that right. Both sides are brought to normal numbers near s, t. */
    vreal by = FN(power_of)(vsub(vset1(0), j));
    vreal near = vmul(s, by);
    j = vselect(vlt(vmul(t, vset1((real)1.4142135)), near), vadd(j, one), j);
    j = vselect(vlt(near, vmul(t, vset1((real)0.70710678))), vsub(j, one), j);
    wide P = FN(wide_of)(FN(power_of)(j)), unit = FN(wide_set1)(1, 0);
    wide down = FN(wide_mul)(FN(wide_sub)(P, unit), top), up = FN(wide_mul)(FN(wide_add)(P, unit), top);
    wide w = FN(wide_mul)(FN(wide_sub)(others, down), FN(wide_inverse)(FN(wide_add)(others, up)));
    return FN(log_tail)(w, j);
}

/* log(a): -inf at 0, NaN below, inf at inf. */
SG_NOINLINE wide FN(log)(vreal a) {
    const vreal zero = vset1(0);
    vmask subnormal = vlt(a, vset1(REAL_TINY)), large = vlt(vset1(1), a);
    /* a quarter of large ones, so that 2^-j is a normal number */
    vreal b = vmul(a, vselect(subnormal, vset1(REAL_UP), vselect(large, vset1((real)0.25), vset1(1))));
    vreal up = vselect(subnormal, vset1(REAL_UP_EXPONENT), vselect(large, vset1(-2), zero));
    vreal j = vexponent(b);
    vreal m = vmul(b, FN(power_of)(vsub(zero, j)));
    wide f = FN(wide_of)(vsub(m, vset1(1)));
    wide w = FN(wide_mul)(f, FN(wide_inverse)(FN(wide_add)(FN(wide_set1)(2, 0), f)));
    wide r = FN(log_tail)(w, vsub(j, up));
    r = FN(wide_select)(vlt(zero, a), r, FN(wide_set1)((double)NAN, 0));
    r = FN(wide_select)(veq(a, zero), FN(wide_set1)(-(double)INFINITY, 0), r);
    return FN(wide_select)(veq(a, vset1(REAL_INF)), FN(wide_set1)((double)INFINITY, 0), r);
}
