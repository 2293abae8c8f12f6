/* exp.h - the one exponential: C exp(x) 2^-M as scale * (1 + frac).
 * Included once per dtype, no include guard. Constants: tools/fit_exp.py.
 *
 *     n = rint(S x log2(e)),  r = x - n ln2 / S,  C exp(x) = C 2^(n / S) (1 + frac),  frac = r + r^2 q(r)
 *
 * S is 8 (float32) or 2, and scale = C 2^(n / S - M) one of S numbers times a power of two, C such that all of them are nearly numbers of
 * the type. A factor that all terms have is not seen in their ratios; what needs exp(x) itself divides by C.
 * x - n LN2_HI / S is exact. So r is rounded once, and frac once (docs/numerics.md), but without FMA,
 * where they and n are rounded once more (FN(mul_add)). The maximum of the row enters as the integer M
 * only: scaling by 2^-M is exact.
 *
 * S x log2(e) is no integer and a half (the constant has too many bits for that, x being below FAR), so that n does not depend on
 * the parity of the integer that is added to round it. */

/* What a maximum fixes for the terms beside it. */
typedef struct {
    /* arguments are raised to it; there n / S - M is -BIAS and the scale exactly 0; an octave above, subnormal */
    vreal low;
    /* REAL_MAGIC + S (BIAS - M): added to a number it rounds that to n, and leaves n + S (BIAS - M) in the last bits */
    vreal magic;
    vreal M; /* rint(max log2(e)) - HEADROOM */
} FN(limits);

SG_INLINE vreal FN(exp_magic)(vreal bias_less_M) {
    return vfma(vset1(EXP_STEPS), bias_less_M, vset1(REAL_MAGIC));
}
SG_BODY FN(limits) FN(limits_of)(vreal max) {
    const vreal magic = vset1(REAL_MAGIC), none = vset1(-REAL_INF);
    vmask empty = veq(max, none);
    /* below -FAR the argument has too few digits; a maximum there is of a block that does not matter */
    vreal m = vselect(empty, vset1(0), vmax(vset1(-REAL_FAR), max));
    vreal n = vsub(vfma(m, vset1(EXP_LOG2E), magic), magic);
    FN(limits) k;
    k.M = vsub(n, vset1(HEADROOM));
    k.magic = FN(exp_magic)(vsub(vset1(REAL_BIAS), k.M));
    k.low = vmul(vsub(k.M, vset1(REAL_BIAS)), vset1(EXP_LN2_HI));
    /* without a finite term the scale is 0 whatever M is: let it lose against every other block's */
    k.M = vselect(empty, vset1(-4 * REAL_FAR), k.M);
    return k;
}

/* In two parts, of u vectors side by side, a literal: x <= max, NaN, or -inf; a NaN comes out as frac. */
SG_INLINE void FN(exp_reduce)(int u, const vreal x[], FN(limits) k, vreal scale[], vreal r[]) {
    vreal a[SG_SIDE_BY_SIDE], n[SG_SIDE_BY_SIDE], t[SG_SIDE_BY_SIDE];
    SG_UNROLL(j, u) a[j] = vmax(k.low, x[j]);
    SG_UNROLL(j, u) t[j] = FN(mul_add)(a[j], vset1(EXP_STEPS * EXP_LOG2E), k.magic);
    SG_UNROLL(j, u) n[j] = vsub(t[j], k.magic);
    SG_UNROLL(j, u) scale[j] = FN(exp_scale)(t[j]);
    SG_UNROLL(j, u) a[j] = vfnma(n[j], vset1(EXP_LN2_HI / EXP_STEPS), a[j]);
    SG_UNROLL(j, u) r[j] = FN(less_mul)(n[j], vset1(EXP_LN2_LO / EXP_STEPS), a[j]);
}
SG_INLINE void FN(exp_frac)(int u, const vreal r[], vreal frac[]) {
    vreal q[SG_SIDE_BY_SIDE];
    FN(exp_q)(u, r, q);
    SG_UNROLL(j, u) frac[j] = vmul(r[j], r[j]);
    SG_UNROLL(j, u) frac[j] = FN(mul_add)(frac[j], q[j], r[j]);
}
SG_BODY void FN(exp_terms)(vreal x, FN(limits) k, vreal *scale, vreal *frac) {
    vreal r;
    FN(exp_reduce)(1, &x, k, scale, &r);
    FN(exp_frac)(1, &r, frac);
}

/* What the term e, rounded, lacks. */
SG_INLINE vreal FN(term_rest)(vreal scale, vreal frac, vreal e) { return vfma(scale, frac, vsub(scale, e)); }

/* w / C: of a sum of terms that is to be one of exponentials. */
SG_INLINE wide FN(without_c)(wide w) { return FN(wide_mul)(w, FN(wide_set1)(EXP_PER_C_HI, EXP_PER_C_LO)); }

/* The exponent of the largest of terms that are relative to k.M, whose arguments are at most `max`: what a sum of them
 * is begun with (sum.h). */
SG_BODY vreal FN(anchor_of)(vreal max, FN(limits) k) {
    const vreal magic = vset1(REAL_MAGIC);
    vreal n = vsub(vfma(vmax(vset1(-REAL_FAR), max), vset1(EXP_LOG2E), magic), magic);
    return vmin(vset1(HEADROOM), vmax(vset1(LOWEST_ANCHOR), vsub(n, k.M)));
}
