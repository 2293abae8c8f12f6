/* products.h - products with the Jacobians of softmax and log_softmax. Included once per dtype, no include
 * guard. x of the call is y = softmax or ly = log_softmax, g the vector; out may be either. */

SG_INLINE wide FN(add_product)(int layout, int full, wide sum, FN(view) g, FN(view) y, ptrdiff_t v,
                               ptrdiff_t n) {
    if (full) return FN(wide_fma_at)(sum, g.p + v * g.step, y.p + v * y.step);
    return FN(wide_fma)(sum, FN(read)(layout, full, g, v, n, 0), FN(read)(layout, full, y, v, n, 0));
}
/* The dot product of each row, in its lane. */
SG_INLINE wide FN(dot_rows)(int layout, const FN(tile) *t, FN(view) y, FN(view) g) {
    FN(wide_lanes) of_rows;
    wide dot = FN(zero)();
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(view) yr = FN(row_of)(y, r), gr = FN(row_of)(g, r);
        const ptrdiff_t next_y = t->rows * y.row, next_g = t->rows * g.row;
        wide sum[2 * VL];
        FN(clear_chains)(layout, sum);
        SG_EACH(layout, t->n, FN(round)(layout), {
            if (layout == LAYOUT_ACROSS) {
                SG_PREFETCH(yr.p + v * VL + next_y);
                SG_PREFETCH(gr.p + v * VL + next_g);
            }
            wide *s = &sum[FN(chain)(layout, l)];
            *s = FN(add_product)(layout, full, *s, gr, yr, v, t->n);
        });
        dot = FN(fold_chains)(layout, sum);
        if (layout == LAYOUT_ACROSS) FN(set_wide_lane)(&of_rows, r, dot);
    }
    return layout == LAYOUT_ACROSS ? FN(wide_load)(of_rows.hi, of_rows.lo) : dot;
}

/* One row of several blocks: y and g as they stand, or block by block in the buffers. */
SG_INLINE void FN(softmax_vjp_row)(const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    wide sum[2];
    FN(clear_chains)(LAYOUT_ACROSS, sum);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        const FN(view) y = FN(open_block)(t, &c->x, b, n, y_buffer),
                       g = FN(open_block)(t, &c->g, b, n, g_buffer);
        SG_EACH(LAYOUT_ACROSS, n, 4, {
            SG_PREFETCH(y.p + v * VL + BLOCK_N);
            SG_PREFETCH(g.p + v * VL + BLOCK_N);
            sum[l % 2] = FN(add_product)(LAYOUT_ACROSS, full, sum[l % 2], g, y, v, n);
        });
    }
    const wide dot = FN(fold_chains)(LAYOUT_ACROSS, sum);
    const vreal high = FN(wide_round)(dot), low = FN(wide_rest)(dot, high);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        const FN(view) y = FN(open_block)(t, &c->x, b, n, y_buffer),
                       g = FN(open_block)(t, &c->g, b, n, g_buffer);
        const FN(view) to = FN(open_out_block)(t, &c->out, b, y_buffer);
        SG_EACH(LAYOUT_ACROSS, n, 4, {
            vreal d = vsub(vsub(FN(read)(LAYOUT_ACROSS, full, g, v, n, 0), high), low);
            FN(write)(LAYOUT_ACROSS, full, to, v, n, vmul(d, FN(read)(LAYOUT_ACROSS, full, y, v, n, 0)));
        });
        FN(close_block)(t, &c->out, b, n, to);
    }
}

/* y (g - sum(g y)): subtract first, then multiply. The same to the right by symmetry. */
SG_INLINE int FN(softmax_vjp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    if (FN(in_blocks)(layout, t)) {
        FN(softmax_vjp_row)(t, y_buffer, g_buffer);
        return 1;
    }
    FN(view) y = FN(open)(layout, t, &t->call->x, y_buffer);
    FN(view) g = FN(open)(layout, t, &t->call->g, g_buffer);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, y_buffer);
    wide dot = FN(dot_rows)(layout, t, y, g);
    vreal rounded = FN(wide_round)(dot);
    const FN(lanes) high_of = FN(lanes_of)(rounded), low_of = FN(lanes_of)(FN(wide_rest)(dot, rounded));
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(view) yr = FN(row_of)(y, r), gr = FN(row_of)(g, r), to = FN(row_of)(out, r);
        const vreal high = FN(spread)(layout, &high_of, r), low = FN(spread)(layout, &low_of, r);
        SG_EACH(layout, t->n, 4, {
            vreal d = vsub(vsub(FN(read)(layout, full, gr, v, t->n, 0), high), low);
            FN(write)(layout, full, to, v, t->n, vmul(d, FN(read)(layout, full, yr, v, t->n, 0)));
        });
    }
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(softmax_vjp, SG_PRODUCTS)

/* What exp(ly) is taken relative to. Larger than FAR is no logarithm of a probability; exp.h needs a bound. */
SG_INLINE FN(limits) FN(log_limits)(int layout, FN(view) ly, ptrdiff_t n) {
    vreal max = FN(max_of)(layout, ly, n);
    return FN(limits_of)(vselect(vlt(vset1(REAL_FAR), max), vset1(REAL_FAR), max));
}

/* g - exp(ly) sum(g); where ly is -inf, g. */
SG_INLINE int FN(log_softmax_vjp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    FN(view) y = FN(open)(layout, t, &t->call->x, y_buffer);
    FN(view) g = FN(open)(layout, t, &t->call->g, g_buffer);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, y_buffer);
    FN(limits) limits = FN(log_limits)(layout, y, t->n);
    wide sum[2 * VL];
    FN(clear_chains)(layout, sum);
    SG_EACH(layout, t->n, FN(round)(layout), {
        wide *s = &sum[FN(chain)(layout, l)];
        *s = FN(wide_add_real)(*s, FN(read)(layout, full, g, v, t->n, 0));
    });
    FN(factor) f = FN(factor_of)(FN(fold_chains)(layout, sum), limits.M);
    SG_EACH(layout, t->n, 4, {
        vreal a = FN(read)(layout, full, g, v, t->n, 0), scale, frac;
        FN(exp_terms)(FN(read)(layout, full, y, v, t->n, 0), limits, &scale, &frac);
        vreal e = vmul(vfma(scale, frac, scale), f.pre);
        vreal r = vfnma(e, f.hi, vfnma(e, f.lo, a));
        FN(write)(layout, full, out, v, t->n, vselect(veq(e, vset1(0)), a, r));
    });
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax_vjp, SG_FIXED_ORDER)

/* g - sum(exp(ly) g) */
SG_INLINE int FN(log_softmax_jvp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    FN(view) y = FN(open)(layout, t, &t->call->x, y_buffer);
    FN(view) g = FN(open)(layout, t, &t->call->g, g_buffer);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, y_buffer);
    FN(limits) limits = FN(log_limits)(layout, y, t->n);
    wide sum[2 * VL];
    FN(clear_chains)(layout, sum);
    SG_EACH(layout, t->n, FN(round)(layout), {
        wide *s = &sum[FN(chain)(layout, l)];
        vreal a = FN(read)(layout, full, g, v, t->n, 0), scale, frac;
        FN(exp_terms)(FN(read)(layout, full, y, v, t->n, -REAL_INF), limits, &scale, &frac);
        a = vselect(veq(scale, vset1(0)), vset1(0), a);
        *s = FN(wide_fma)(FN(wide_fma)(*s, scale, a), vmul(scale, frac), a);
    });
    wide dot = FN(wide_lower)(FN(fold_chains)(layout, sum), limits.M);
    vreal high = FN(wide_round)(dot), low = FN(wide_rest)(dot, high);
    SG_EACH(layout, t->n, 4, {
        vreal d = vsub(vsub(FN(read)(layout, full, g, v, t->n, 0), high), low);
        FN(write)(layout, full, out, v, t->n, d);
    });
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax_jvp, SG_FIXED_ORDER)
