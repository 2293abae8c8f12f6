/* log_loss.h - cross-entropy of probabilities: loss -sum y_k log p_k, gradient -y_k / p_k. Nothing is clipped:
 * probability 0 at the label gives inf. Included once per dtype, no include guard. */

/* Single numbers of an array of any type. */
SG_INLINE real FN(element)(const FN(tile) *t, const sg_array *a, int r, ptrdiff_t i) {
    const ptrdiff_t at = FN(row_offset)(t, a, r) + i * a->axis;
    float wide_enough;
    if (!a->half) return ((const real *)a->data)[at];
    a->half->widen((const uint16_t *)a->data + at, 1, &wide_enough);
    return (real)wide_enough;
}
SG_INLINE void FN(set_element)(const FN(tile) *t, const sg_array *a, int r, ptrdiff_t i, real value) {
    const ptrdiff_t at = FN(row_offset)(t, a, r) + i * a->axis;
    const float as_float = (float)value;
    if (a->half) a->half->narrow(&as_float, 1, (uint16_t *)a->data + at);
    else ((real *)a->data)[at] = value;
}
SG_INLINE void FN(fill_row)(const FN(tile) *t, const sg_array *a, int r, real value) {
    const size_t size = a->half ? sizeof(uint16_t) : sizeof(real);
    if (a->axis == 1 && value == 0)
        memset((char *)a->data + FN(row_offset)(t, a, r) * (ptrdiff_t)size, 0, (size_t)t->n * size);
    else
        for (ptrdiff_t i = 0; i < t->n; i++) FN(set_element)(t, a, r, i, value);
}

/* A gradient that nothing adds to: 0, or NaN, which the norm is in the place of 0. */
SG_INLINE real FN(nothing)(const sg_call *c) { return isnan(c->norm[0]) ? (real)NAN : 0; }

/* Labels: one class of each row is read; VL rows at a time. */
SG_INLINE void FN(log_loss_labels)(const sg_call *c, int grad, ptrdiff_t begin, ptrdiff_t end) {
    FN(tile) t = {.call = c, .n = c->n};
    for (ptrdiff_t row = begin; row < end; row += t.rows) {
        FN(set_row)(&t, row);
        t.rows = end - row < VL ? (int)(end - row) : VL;
        FN(targets) y;
        FN(targets_of)(LAYOUT_SHORT, 0, &t, &y);
        real p[VL];
        for (int l = 0; l < VL; l++) p[l] = FN(element)(&t, &c->x, l < t.rows ? l : 0, y.at[l]);
        const wide weight = FN(wide_mul)(FN(wide_of)(y.sample), FN(wide_of)(y.own));
        wide loss = FN(wide_sub)(FN(zero)(), FN(log)(vload(p)));
        FN(put_loss)(&t, &y, FN(weigh)(weight, loss));
        if (!grad) continue;
        wide g = FN(wide_div)(FN(wide_sub)(FN(zero)(), weight),
                              FN(wide_mul)(FN(divisor)(c), FN(wide_of)(vload(p))));
        g = FN(wide_select)(veq(FN(wide_round)(weight), vset1(0)), FN(wide_of)(vset1(FN(nothing)(c))), g);
        real entry[VL];
        vstore(entry, vselect(FN(counts)(&y), FN(wide_round)(g), vset1(0)));
        for (int l = 0; l < t.rows; l++) {
            const real rest = y.counted[l] != 0 ? FN(nothing)(c) : 0;
            FN(fill_row)(&t, &c->out, l, rest);
            FN(set_element)(&t, &c->out, l, y.at[l], entry[l]);
        }
    }
}

/* Probability targets, a_k = sample_weight w_k y_k. */
SG_BODY int FN(log_loss_general_tile)(int layout, int grad, const FN(tile) *t) {
    const sg_call *c = t->call;
    FN(targets) y;
    FN(targets_of)(layout, 0, t, &y);
    TILE_BUFFER(buffer, 0);
    TILE_BUFFER(y_buffer, 1);
    const vreal zero = vset1(0);
    FN(view) p = FN(open)(layout, t, &c->x, buffer);
    FN(weights) weights = FN(weights_of)(layout, t, y_buffer);
    wide sum[2 * VL];
    FN(clear_chains)(layout, sum);
    SG_EACH(layout, t->n, FN(round)(layout), {
        wide *s = &sum[FN(chain)(layout, l)];
        vreal a = FN(weight_at)(layout, full, 0, &weights, v, t->n);
        vreal b = vselect(veq(a, zero), vset1(1), FN(read)(layout, full, p, v, t->n, 1));
        *s = FN(wide_add)(*s, FN(wide_mul)(FN(wide_of)(vsub(zero, a)), FN(log)(b)));
    });
    FN(put_loss)(t, &y, FN(weigh)(FN(wide_of)(y.sample), FN(fold_chains)(layout, sum)));
    if (!grad) return 1;
    FN(view) to = FN(open_out)(layout, t, &c->out, buffer);
    const wide unit = FN(wide_div)(FN(wide_sub)(FN(zero)(), FN(wide_of)(y.sample)), FN(divisor)(c));
    const vreal nothing = vset1(FN(nothing)(c));
    SG_EACH(layout, t->n, 4, {
        vreal a = FN(weight_at)(layout, full, 0, &weights, v, t->n),
              b = FN(read)(layout, full, p, v, t->n, 1);
        wide g = FN(wide_div)(FN(wide_mul)(unit, FN(wide_of)(a)), FN(wide_of)(b));
        vmask none = mor(veq(a, zero), veq(y.sample, zero));
        FN(write)(layout, full, to, v, t->n, vselect(none, nothing, FN(wide_round)(g)));
    });
    FN(close_out)(layout, t, &c->out, to);
    return 1;
}
SG_INLINE int FN(ll_general_tile)(int layout, const FN(tile) *t) {
    return FN(log_loss_general_tile)(layout, t->call->out.data != NULL, t);
}
BOTH_LAYOUTS(ll_general, SG_FIXED_ORDER)

static void FN(log_loss)(const sg_call *c, ptrdiff_t begin, ptrdiff_t end, void *scratch) {
    if (c->labels) FN(log_loss_labels)(c, c->out.data != NULL, begin, end);
    else FN(ll_general)(c, begin, end, scratch);
}
