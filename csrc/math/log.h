/* log.h - the one logarithm, of a wide number, to a few thousandths of an ulp of the dtype.
 * Included once per dtype, no include guard. Constants: tools/fit_log.py.
 *
 *     a = 2^j (1 + f), 1 + f in [sqrt(1/2), sqrt(2));  w = f / (2 + f)
 *     log(1 + f) = 2 atanh(w) = 2 w + w^3 P(w^2)
 *
 * 2 w is wide; w^3 P is below 1 % of it, so that the dtype's own arithmetic is enough there. */

SG_NOINLINE wide FN(log_tail)(wide f, vreal j) {
    wide w = FN(wide_div)(f, FN(wide_add)(FN(wide_set1)(2, 0), f));
    vreal u = FN(wide_round)(w);
    vreal v = vmul(u, u);
    vreal small = vmul(vmul(u, v), FN(log_p)(v));
    wide r = FN(wide_add)(FN(wide_add)(w, w), FN(wide_of)(small));
    wide ln2 = FN(wide_mul)(FN(wide_of)(j), FN(wide_set1)(SG_F64_LN2_HI, SG_F64_LN2_LO));
    return FN(wide_add)(ln2, r);
}

/* log(1 + q), q >= 0 (or NaN). With j = 0 f is q itself: no digit of a small q is lost. */
SG_NOINLINE wide FN(log1p)(wide q) {
    const wide one = FN(wide_set1)(1, 0);
    vreal j = vexponent(FN(wide_round)(FN(wide_add)(q, one)));
    vreal minus_j = vsub(vset1(0), j);
    wide f = FN(wide_add)(FN(wide_ldexp)(q, minus_j), FN(wide_sub)(FN(wide_ldexp)(one, minus_j), one));
    return FN(log_tail)(f, j);
}

/* log(a): -inf at 0, NaN below, inf at inf. */
SG_NOINLINE wide FN(log)(vreal a) {
    const vreal zero = vset1(0);
    vmask subnormal = vlt(a, vset1(REAL_TINY)), large = vlt(vset1(1), a);
    /* a quarter of large ones, so that 2^-j is a normal number */
    vreal b = vmul(a, vselect(subnormal, vset1(REAL_UP), vselect(large, vset1((real)0.25), vset1(1))));
    vreal up = vselect(subnormal, vset1(REAL_UP_EXPONENT), vselect(large, vset1(-2), zero));
    vreal j = vexponent(b);
    vreal m = vmul(b, vshift(vadd(vset1(REAL_MAGIC), vsub(vset1(REAL_BIAS), j))));
    wide r = FN(log_tail)(FN(wide_of)(vsub(m, vset1(1))), vsub(j, up));
    r = FN(wide_select)(vlt(zero, a), r, FN(wide_set1)((double)NAN, 0));
    r = FN(wide_select)(veq(a, zero), FN(wide_set1)(-(double)INFINITY, 0), r);
    return FN(wide_select)(veq(a, vset1(REAL_INF)), FN(wide_set1)((double)INFINITY, 0), r);
}
