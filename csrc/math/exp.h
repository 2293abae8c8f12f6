/* exp.h - the one exponential: exp(x) 2^-M as scale * (1 + frac), scale a power of two.
 * Included once per dtype, no include guard. Constants: tools/fit_exp.py.
 *
 *     n = rint(x log2(e)),  r = x - n ln2,  exp(x) = 2^n (1 + frac),  frac = r + r^2 q(r)
 *
 * high = x - n LN2_HI is exact: both are multiples of half an ulp of 1/2, and the difference is below 1/2. The
 * rest of r, -n LN2_LO, is added to r^2 q first, so that of frac only the last addition rounds (docs/numerics.md). The
 * maximum of the row enters as the integer M only: scaling by 2^(n - M) is exact. */

/* What a maximum fixes for the terms beside it. */
typedef struct {
    vreal low;  /* arguments are raised to it; there n - M is -BIAS and the scale exactly 0 */
    vreal bits; /* (BIAS - M) in the exponent field */
    vreal M;    /* rint(max log2(e)) - HEADROOM */
} FN(limits);

SG_BODY FN(limits) FN(limits_of)(vreal max) {
    const vreal magic = vset1(REAL_MAGIC), none = vset1(-REAL_INF);
    vmask empty = veq(max, none);
    /* below -FAR the argument has too few digits; a maximum there is of a block that does not matter */
    vreal m = vselect(empty, vset1(0), vmax(vset1(-REAL_FAR), max));
    vreal n = vsub(vfma(m, vset1(EXP_LOG2E), magic), magic);
    FN(limits) k;
    k.M = vsub(n, vset1(HEADROOM));
    k.bits = vshift(vadd(magic, vsub(vset1(REAL_BIAS), k.M)));
    k.low = vmul(vsub(k.M, vset1(REAL_BIAS)), vset1(EXP_LN2_HI));
    /* without a finite term the scale is 0 whatever M is: let it lose against every other block's */
    k.M = vselect(empty, vset1(-4 * REAL_FAR), k.M);
    return k;
}

/* x <= max, NaN, or -inf. A NaN comes out as frac. */
SG_BODY void FN(exp_terms)(vreal x, FN(limits) k, vreal *scale, vreal *frac) {
    x = vmax(k.low, x);
    vreal t = vfma(x, vset1(EXP_LOG2E), vset1(REAL_MAGIC));
    vreal n = vsub(t, vset1(REAL_MAGIC));
    vreal high = vfnma(n, vset1(EXP_LN2_HI), x), low = vmul(n, vset1(EXP_LN2_LO));
    vreal r = vsub(high, low);
    *scale = vaddbits(vshift(t), k.bits);
    *frac = vadd(high, vfnma(n, vset1(EXP_LN2_LO), vmul(vmul(r, r), FN(exp_q)(r))));
}
