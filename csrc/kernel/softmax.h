/* softmax.h - softmax, log_softmax and logsumexp. Included once per dtype, no include guard. */

/* s_i = e_i / sum e */
SG_INLINE int FN(softmax_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, buffer);
    FN(view) e = FN(open_terms)(layout, out, buffer), x = FN(open_logits)(layout, t, buffer, e);
    FN(stats) row;
    vreal *Ms = FN(block_M)(t);
    if (!FN(softmax_stats)(layout, t, &x, e, e, Ms, &row)) return 0;
    FN(scale_rows)(layout, t, e, out, Ms, row.M, FN(inverse)(row.others));
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(softmax, SG_ANY_ORDER)

/* log s_i = (x_i - max) - log1p(others / top), the maximum's own entry from the logarithm alone: with it as
 * the sum of two reals, (x_i - high) - low. */
SG_INLINE int FN(log_softmax_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, buffer);
    FN(view) spare = FN(open_terms)(layout, out, buffer), x = FN(open_logits)(layout, t, buffer, spare);
    FN(stats) row;
    if (!FN(log_stats)(layout, t, &x, spare, &row)) return 0;
    wide log = FN(log_ratio)(row.others, row.top);
    wide lse = FN(wide_add)(FN(wide_of)(row.max), log);
    vreal rounded = FN(wide_round)(lse);
    const FN(lanes) max_of = FN(lanes_of)(row.max), high_of = FN(lanes_of)(rounded),
                    low_of = FN(lanes_of)(FN(wide_rest)(lse, rounded)),
                    top_of = FN(lanes_of)(vsub(vset1(0), FN(wide_round)(log)));
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(view) xr = FN(row_of)(x, r), to = FN(row_of)(out, r);
        const vreal max = FN(spread)(layout, &max_of, r), top = FN(spread)(layout, &top_of, r),
                    high = FN(spread)(layout, &high_of, r), low = FN(spread)(layout, &low_of, r);
        SG_EACH(layout, t->n, 4, {
            vreal a = FN(read)(layout, full, xr, v, t->n, 0);
            FN(write)(layout, full, to, v, t->n, vselect(veq(a, max), top, vsub(vsub(a, high), low)));
        });
    }
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax, SG_ANY_ORDER)

/* max + log1p(others / top): Algorithm 4.1 of Blanchard, Higham & Higham (2021). */
SG_INLINE int FN(logsumexp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    const FN(view) to = {buffer, VL, 0};
    FN(view) x = FN(open_logits_once)(layout, t, to);
    FN(stats) row;
    if (!FN(log_stats)(layout, t, &x, to, &row)) return 0;
    wide log = FN(log_ratio)(row.others, row.top);
    wide lse = FN(wide_add)(FN(wide_of)(row.offset), FN(wide_add)(FN(wide_of)(row.max), log));
    vreal result = FN(wide_round)(lse);
    /* only -inf: nothing was summed, and nothing was NaN */
    vmask empty = mand(veq(row.max, vset1(-REAL_INF)), veq(FN(wide_round)(row.others), vset1(0)));
    FN(put_rows)(t, &t->call->out, vselect(empty, vset1(-REAL_INF), result));
    return 1;
}
BOTH_LAYOUTS(logsumexp, SG_ANY_ORDER)
