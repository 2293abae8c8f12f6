/* softmax.h - softmax, log_softmax and logsumexp. Included once per dtype, no include guard. */

/* s_i = e_i / sum e */
SG_INLINE int FN(softmax_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, buffer);
    FN(view) x = FN(open_logits)(layout, t, buffer, out);
    FN(stats) row;
    vreal *Ms = FN(block_M)(t);
    if (!FN(softmax_stats)(layout, t, &x, out, out, Ms, &row)) return 0;
    FN(scale_row)(layout, out, t->n, Ms, row.M, FN(inverse)(row.others));
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(softmax)

/* log s_i = (x_i - max) - log1p(others / top), the maximum's own entry from the logarithm alone: with it as
 * the sum of two reals, (x_i - high) - low. */
SG_INLINE int FN(log_softmax_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    FN(view) out = FN(open_out)(layout, t, &t->call->out, buffer);
    FN(view) x = FN(open_logits)(layout, t, buffer, out);
    FN(stats) row;
    if (!FN(log_stats)(layout, t, &x, out, &row)) return 0;
    wide log = FN(log1p)(FN(wide_div)(row.others, row.top));
    wide lse = FN(wide_add)(FN(wide_of)(row.max), log);
    vreal high = FN(wide_round)(lse), low = FN(wide_rest)(lse, high);
    vreal top = vsub(vset1(0), FN(wide_round)(log));
    for (ptrdiff_t v = 0; v < FN(vectors)(layout, t->n); v++) {
        vreal a = FN(get)(layout, x, v, t->n, 0);
        FN(put)(layout, out, v, t->n, vselect(veq(a, row.max), top, vsub(vsub(a, high), low)));
    }
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax)

/* max + log1p(others / top): Algorithm 4.1 of Blanchard, Higham & Higham (2021). */
SG_INLINE int FN(logsumexp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(buffer, 0);
    FN(view) to = {layout == LAYOUT_ACROSS ? NULL : buffer, VL};
    FN(view) x = FN(open_logits_once)(layout, t, to);
    FN(stats) row;
    if (!FN(log_stats)(layout, t, &x, to, &row)) return 0;
    wide log = FN(log1p)(FN(wide_div)(row.others, row.top));
    wide lse = FN(wide_add)(FN(wide_of)(row.offset), FN(wide_add)(FN(wide_of)(row.max), log));
    vreal result = FN(wide_round)(lse);
    /* only -inf: nothing was summed, and nothing was NaN */
    vmask empty = mand(veq(row.max, vset1(-REAL_INF)), veq(FN(wide_round)(row.others), vset1(0)));
    FN(put_rows)(layout, t, &t->call->out, vselect(empty, vset1(-REAL_INF), result));
    return 1;
}
BOTH_LAYOUTS(logsumexp)
