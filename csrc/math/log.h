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
    wide r = FN(wide_add_small)(FN(wide_twice)(w), small);
    return FN(wide_add_finite)(FN(wide_multiple)(j, SG_F64_LN2_HI, SG_F64_LN2_LO), r);
}

/* log(S / top), S = others + top, others >= 0 (or NaN), top > 0 a normal number. With P = 2^j beside the ratio,
 *
 *     w = (S - P top) / (S + P top)
 *
 * one division. Where P = 1 the numerator is `others`, of which no digit is lost; where it is more, the logarithm is at least
 * log(sqrt(2)), and the digits of S are enough. */
SG_BODY wide FN(log_ratio)(wide others, wide top) {
    const vreal one = vset1(1);
    const wide S = FN(wide_add_finite)(others, top);
    vreal s = FN(wide_round)(S), t = FN(wide_round)(top);
    vreal j = vsub(vexponent(s), vexponent(t));
    /* the ratio is within a factor of 2 of 2^j: put that right. Both sides are brought to normal numbers near s, t. */
    vreal by = FN(power_of)(vsub(vset1(0), j));
    vreal near = vmul(s, by);
    j = vselect(vlt(vmul(t, vset1((real)1.4142135)), near), vadd(j, one), j);
    j = vselect(vlt(near, vmul(t, vset1((real)0.70710678))), vsub(j, one), j);
    const wide P_top = FN(wide_ldexp)(top, j);
    wide above = FN(wide_select)(veq(j, vset1(0)), others, FN(wide_sub_finite)(S, P_top));
    return FN(log_tail)(FN(wide_ratio)(above, FN(wide_add_finite)(S, P_top)), j);
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
