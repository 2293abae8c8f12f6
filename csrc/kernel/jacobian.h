/* jacobian.h - the Jacobians, one C x C matrix a row. Included once per dtype, no include guard.
 *
 * With p_i = e_i UP 2^-HEADROOM, normal wherever s_i is not 0, s_i = p_i / sum p. Off the diagonal -s_i s_j = -p_j (p_i / sum^2), both
 * factors in two parts, as the two roundings of the terms would be half of the error; one final rounding. On it s_i (others_i / sum), others_i the sum without p_i: for the
 * maximum it was summed that way, elsewhere 1 - s_i loses nothing, as s_i <= 1/2. All is divided by the temperature. */

/* One matrix of the result. Rows of a 16-bit type are made in `line`, then rounded. */
typedef struct {
    void *data;
    ptrdiff_t stride;
    const sg_half *half;
    real *line;
} FN(matrix);

SG_INLINE FN(view) FN(open_line)(FN(matrix) m, ptrdiff_t i) {
    return (FN(view)){m.half ? m.line : (real *)m.data + i * m.stride, VL, 0};
}
SG_INLINE void FN(close_line)(FN(matrix) m, ptrdiff_t i, ptrdiff_t n) {
    if (m.half) m.half->narrow((const float *)(const void *)m.line, n, (uint16_t *)m.data + i * m.stride);
}

/* Row i of out: -p_j (p_i h), h = 1 / sum^2 as hi + lo, what p lacks in p_rest; then the diagonal. Where p_i h would be subnormal it is kept
 * larger by UP^2 until after the product. */
SG_NOINLINE void FN(write_softmax_jacobian)(const real *p, const real *p_rest, const real *diagonal,
                                            ptrdiff_t n, real hi, real lo, FN(matrix) out) {
    const FN(view) x = {(real *)p, VL, 0}, x_rest = {(real *)p_rest, VL, 0};
    const real down = 1 / (REAL_UP * REAL_UP);
    for (ptrdiff_t i = 0; i < n; i++) {
        const FN(view) to = FN(open_line)(out, i);
        const int small = p[i] < REAL_UP / REAL_FACTOR;
        const vreal pi = vset1(small ? -p[i] / down : -p[i]),
                    rest = vset1(small ? -p_rest[i] / down : -p_rest[i]);
        const vreal fh = vmul(pi, vset1(hi)), below = vsub(vset1(0), vfnma(pi, vset1(hi), fh));
        const vreal fl = vfma(rest, vset1(hi), vfma(pi, vset1(lo), below));
        if (small)
            SG_EACH(LAYOUT_ACROSS, n, 4, {
                vreal a = FN(read)(LAYOUT_ACROSS, full, x, v, n, 0),
                      b = FN(read)(LAYOUT_ACROSS, full, x_rest, v, n, 0);
                FN(write)(LAYOUT_ACROSS, full, to, v, n,
                          vmul(vfma(a, fh, vfma(b, fh, vmul(a, fl))), vset1(down)));
            });
        else
            SG_EACH(LAYOUT_ACROSS, n, 4, {
                vreal a = FN(read)(LAYOUT_ACROSS, full, x, v, n, 0),
                      b = FN(read)(LAYOUT_ACROSS, full, x_rest, v, n, 0);
                FN(write)(LAYOUT_ACROSS, full, to, v, n, vfma(a, fh, vfma(b, fh, vmul(a, fl))));
            });
        to.p[i] = diagonal[i];
        FN(close_line)(out, i, n);
    }
}
/* row i of out: -s_j; then the diagonal 1 - s_i */
SG_NOINLINE void FN(write_log_softmax_jacobian)(const real *p, const real *p_rest, const real *diagonal,
                                                ptrdiff_t n, real hi, real lo, FN(matrix) out) {
    const FN(view) x = {(real *)p, VL, 0}, x_rest = {(real *)p_rest, VL, 0};
    const vreal h = vset1(-hi), l_ = vset1(-lo);
    for (ptrdiff_t i = 0; i < n; i++) {
        const FN(view) to = FN(open_line)(out, i);
        SG_EACH(LAYOUT_ACROSS, n, 4, {
            vreal a = FN(read)(LAYOUT_ACROSS, full, x, v, n, 0),
                  b = FN(read)(LAYOUT_ACROSS, full, x_rest, v, n, 0);
            FN(write)(LAYOUT_ACROSS, full, to, v, n, vfma(a, h, vfma(b, h, vmul(a, l_))));
        });
        to.p[i] = diagonal[i];
        FN(close_line)(out, i, n);
    }
}

SG_INLINE int FN(jacobian_tile)(int layout, int of_log, const FN(tile) *t) {
    if (layout == LAYOUT_LONG) return 0; /* matrices are written row by row */
    const sg_call *c = t->call;
    TILE_BUFFER(p_buffer, 0);
    TILE_BUFFER(x_buffer, 1);
    TILE_BUFFER(d_buffer, 2);
    TILE_BUFFER(line, 3);
    FN(view) p = {p_buffer, VL, 0}, staged = {x_buffer, VL, 0}, diagonal = {d_buffer, VL, 0};
    FN(view) x = FN(open_logits)(layout, t, x_buffer, staged);
    FN(stats) row;
    vreal *Ms = FN(block_M)(t);
    FN(grad_stats)(layout, t, &x, p, staged, Ms, &row);
    FN(scale_rows)(layout, t, p, p, Ms, row.M, FN(wide_set1)(REAL_UP, 0));
    wide sum = FN(wide_add)(row.others, row.top);
    const wide inverse = FN(wide_ldexp)(FN(inverse)(sum), vset1(-REAL_UP_EXPONENT)),
               T = FN(wide_set1)(c->temperature, 0), by_T = FN(wide_div)(inverse, T);
    const vreal hi = FN(wide_round)(inverse), lo = FN(wide_rest)(inverse, hi), unit = FN(wide_round)(T);
    const vreal T_hi = FN(wide_round)(by_T), T_lo = FN(wide_rest)(by_T, T_hi);
    /* the maximum's own diagonal, whole: what is subnormal before the division by T may not be after it */
    const wide s_others = of_log ? row.others : FN(wide_mul)(FN(wide_div)(row.top, sum), row.others);
    const vreal top = FN(wide_round)(FN(wide_div)(s_others, FN(wide_mul)(sum, T)));
    /* the diagonal; and in the place of a staged logit what its p lacks, once more from the exponential */
    const FN(limits) limits = FN(limits_of)(row.max);
    const vreal down = vset1((real)sg_power2(REAL_UP_EXPONENT - HEADROOM));
    SG_EACH(layout, t->n, 4, {
        vreal a = FN(read)(layout, full, p, v, t->n, 0), b = FN(read)(layout, full, x, v, t->n, 0), scale,
              frac;
        FN(exp_terms)(vselect(vlt(row.max, b), row.max, b), limits, &scale, &frac);
        vreal a_rest = vmul(vfma(scale, frac, vsub(scale, vfma(scale, frac, scale))), down);
        vreal rest = vsub(vfnma(a, hi, vset1(1)), vfma(a_rest, hi, vmul(a, lo)));
        vreal s = vfma(a, T_hi, vfma(a_rest, T_hi, vmul(a, T_lo)));
        vreal d = of_log ? vdiv(rest, unit) : vmul(s, rest);
        FN(write)(layout, full, diagonal, v, t->n, vselect(veq(b, row.max), top, d));
        FN(write)(layout, full, staged, v, t->n, a_rest);
    });
    const wide factor = of_log ? by_T : FN(wide_mul)(inverse, by_T);
    real hi_of[VL], lo_of[VL];
    vstore(hi_of, FN(wide_round)(factor));
    vstore(lo_of, FN(wide_rest)(factor, FN(wide_round)(factor)));
    for (int r = 0; r < t->rows; r++) {
        real p_row[SHORT_N], rest_row[SHORT_N], d_row[SHORT_N];
        if (layout == LAYOUT_SHORT)
            for (ptrdiff_t i = 0; i < t->n; i++) {
                p_row[i] = p.p[i * VL + r];
                rest_row[i] = staged.p[i * VL + r];
                d_row[i] = diagonal.p[i * VL + r];
            }
        const ptrdiff_t at = FN(row_offset)(t, &c->out, r);
        const FN(matrix) out = {c->out.half ? (void *)((uint16_t *)c->out.data + at)
                                            : (real *)c->out.data + at,
                                c->out.axis, c->out.half, line};
        (of_log ? FN(write_log_softmax_jacobian)
                : FN(write_softmax_jacobian))(layout == LAYOUT_SHORT ? p_row : p.p,
                                              layout == LAYOUT_SHORT ? rest_row : staged.p,
                                              layout == LAYOUT_SHORT ? d_row : diagonal.p, t->n, hi_of[r],
                                              lo_of[r], out);
    }
    return 1;
}

SG_INLINE int FN(softmax_jacobian_tile)(int layout, const FN(tile) *t) {
    return FN(jacobian_tile)(layout, 0, t);
}
SG_INLINE int FN(log_softmax_jacobian_tile)(int layout, const FN(tile) *t) {
    return FN(jacobian_tile)(layout, 1, t);
}
BOTH_LAYOUTS(softmax_jacobian, SG_FIXED_ORDER)
BOTH_LAYOUTS(log_softmax_jacobian, SG_FIXED_ORDER)
