/* logsumexp_b.h - log sum_i b_i exp(x_i), with signs. Row by row, for any strides. Included once per dtype, no
 * include guard.
 *
 * b_i = m_i 2^k_i, so that b_i exp(x_i) is m_i exp(x_i + k_i ln2): integers again, M is the largest of rint(x_i log2(e)) + k_i
 * over b_i != 0. The result is (M + j) ln2 + log(1 + f) for a sum 2^(M + j) (1 + f). Terms of b_i = 0 are
 * dropped, whatever x_i is. */

/* b = m 2^k, |m| near 1, for finite b != 0. */
SG_INLINE vreal FN(split_b)(vreal b, vreal *k) {
    vreal size = vmax(b, vsub(vset1(0), b));
    vmask subnormal = vlt(size, vset1(REAL_TINY)), large = vlt(vset1(1), size);
    /* a quarter of large ones, so that 2^-j is a normal number */
    vreal up = vselect(subnormal, vset1(REAL_UP), vselect(large, vset1((real)0.25), vset1(1)));
    vreal by = vselect(subnormal, vset1(REAL_UP_EXPONENT), vselect(large, vset1(-2), vset1(0)));
    vreal j = vselect(veq(size, vset1(REAL_INF)), vset1(0), vexponent(vmul(size, up)));
    *k = vsub(j, by);
    return vmul(vmul(b, up), vshift(vadd(vset1(REAL_MAGIC), vsub(vset1(REAL_BIAS), j))));
}

SG_NOINLINE void FN(logsumexp_b_row)(const FN(tile) *t) {
    const sg_call *c = t->call;
    const vreal none = vset1(-REAL_INF), zero = vset1(0), magic = vset1(REAL_MAGIC);
    FN(view) to = {FN(row_buffer)(t, 0), VL, 0};
    FN(view) b = FN(open)(LAYOUT_ACROSS, t, &c->g, FN(row_buffer)(t, 1));
    FN(view) x = FN(open_logits)(LAYOUT_ACROSS, t, to.p, to);
    /* classes of b = 0 become -inf */
    for (ptrdiff_t v = 0; v * VL < t->n; v++) {
        vmask drop = veq(FN(get)(LAYOUT_ACROSS, b, v, t->n, 0), zero);
        FN(put)(LAYOUT_ACROSS, to, v, t->n, vselect(drop, none, FN(get)(LAYOUT_ACROSS, x, v, t->n, 0)));
    }
    vreal max = FN(max_of)(LAYOUT_ACROSS, to, t->n), offset = zero;
    if (many(FN(is_far)(max))) {
        FN(shift_far)(LAYOUT_ACROSS, to, to, t->n, max);
        offset = max;
    }
    /* the largest n + k; arguments below -2 FAR have no term that could matter, and no n either */
    const vreal lowest = vset1(-2 * REAL_FAR);
    vreal top = none;
    for (ptrdiff_t v = 0; v * VL < t->n; v++) {
        vreal a = FN(get)(LAYOUT_ACROSS, to, v, t->n, -REAL_INF), k;
        FN(split_b)(FN(get)(LAYOUT_ACROSS, b, v, t->n, 1), &k);
        vreal n = vsub(vfma(vmax(lowest, a), vset1(EXP_LOG2E), magic), magic);
        top = vmax(vselect(veq(a, none), none, vadd(n, k)), top);
    }
    for (int k = VL / 2; k > 0; k /= 2) top = vmax(top, vxor(top, k));
    vmask empty = veq(top, none);
    vreal M = vsub(vselect(empty, zero, top), vset1(HEADROOM));
    wide sum[2];
    FN(clear_chains)(LAYOUT_ACROSS, sum);
    SG_EACH(LAYOUT_ACROSS, t->n, 4, {
        vreal a = FN(read)(LAYOUT_ACROSS, full, to, v, t->n, -REAL_INF), k, scale, frac;
        vreal m = FN(split_b)(FN(read)(LAYOUT_ACROSS, full, b, v, t->n, 1), &k);
        /* exp.h with M - k in the place of M, its lowest argument included */
        FN(limits) limits = {.M = vsub(M, k)};
        vreal E = vsub(vset1(REAL_BIAS), limits.M);
        limits.low = vmul(vsub(zero, E), vset1(EXP_LN2_HI));
        limits.magic = FN(exp_magic)(E);
        FN(exp_terms)(a, limits, &scale, &frac);
        m = vselect(veq(scale, zero), zero, m);
        sum[l % 2] = FN(wide_fma)(FN(wide_fma)(sum[l % 2], scale, m), vmul(scale, frac), m);
    });
    wide s = FN(without_c)(FN(fold_chains)(LAYOUT_ACROSS, sum));
    vreal j = vexponent(FN(wide_round)(s));
    wide f = FN(wide_sub)(FN(wide_ldexp)(s, vsub(zero, j)), FN(wide_set1)(1, 0));
    wide w = FN(wide_mul)(f, FN(wide_inverse)(FN(wide_add)(FN(wide_set1)(2, 0), f)));
    wide r = FN(wide_add)(FN(wide_of)(offset), FN(log_tail)(w, vadd(M, j)));
    vreal sign = FN(wide_round)(s);
    vreal result = vselect(vlt(zero, sign), FN(wide_round)(r), vset1((real)NAN));
    result = vselect(veq(sign, zero), none, result);
    result = vselect(veq(sign, vset1(REAL_INF)), sign, result);
    FN(put_rows)(t, &c->out, result);
}

static void FN(logsumexp_b)(const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch) {
    SG_ALIGN64 char small[SG_ROW_BUFFERS * SHORT_N * sizeof(real) + 64];
    FN(tile) t = {.call = call, .n = call->n, .rows = 1, .scratch = scratch};
    if (call->n <= SHORT_N) t.scratch = small;
    for (ptrdiff_t row = begin; row < end; row++) {
        FN(set_row)(&t, row);
        FN(logsumexp_b_row)(&t);
    }
}
