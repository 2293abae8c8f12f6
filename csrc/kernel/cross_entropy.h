/* cross_entropy.h - softmax cross-entropy of logits: loss, gradient, diagonal of the Hessian. Included once
 * per dtype, no include guard.
 *
 * A row with target weights a_k (labels, probabilities, class weights, smoothing and sample weight, all in one),
 * A = sum a_k, D = sum a_k (max - x_k), L = log1p(others / top), lse = max + L, and the coefficient z of z_loss:
 *
 *     loss    D + A L + z lse^2                        no term is negative: nothing cancels
 *     grad_i  ((A + 2 z lse) s_i - a_i) / T / norm     at the maximum as (A - a_i) s_i - a_i others / sum
 *     hess_i  ((A + 2 z lse) s_i (1 - s_i) + 2 z s_i^2) / T^2 / norm
 *
 * Labels without smoothing have one a_k, at the label t; their gradient is the softmax with another factor, and
 * one entry mended. Everything else goes the general way: A and D are summed block by block, beside the exponentials. */

/* What the options make of the rows of a tile: lane l belongs to row l. */
typedef struct {
    ptrdiff_t at[VL]; /* the label, 0 where there is none that counts */
    SG_ALIGN64 real counted[VL]; /* 0 where it is ignored, otherwise 1 */
    vreal label;                 /* rows in lanes of few classes: it as a real, -1 where it is ignored */
    int any, all, unweighted;
    vreal sample, own; /* sample_weight, weight[label]; or 1 */
} FN(targets);

/* Written lane by lane, so to be read as vectors some time later: a load that needs several stores waits for them. */
SG_INLINE void FN(read_labels)(const FN(tile) *t, FN(targets) *y) {
    const sg_call *c = t->call;
    const uint64_t n = (uint64_t)t->n;
    const real as_real[2] = {0, 1};
    int counting = 0;
    for (int l = 0; l < t->rows; l++) {
        /* read once: another thread may write labels after they were checked */
        const int64_t label = ((const volatile int64_t *)c->labels)[t->row + l];
        const int good = (label != c->ignore_index) & ((uint64_t)label < n);
        y->at[l] = (ptrdiff_t)(label & -(int64_t)good);
        y->counted[l] = as_real[good];
        counting += good;
    }
    for (int l = t->rows; l < VL; l++) {
        y->at[l] = y->at[t->rows - 1];
        y->counted[l] = y->counted[t->rows - 1];
    }
    y->any = counting > 0;
    y->all = counting == t->rows;
}
SG_INLINE vmask FN(counts)(const FN(targets) *y) { return veq(vload(y->counted), vset1(1)); }

/* The labels of rows of few classes as a vector: classes are then found by comparison, without any access by index. Labels
 * of more digits than a real has are no classes, whatever they become. */
SG_INLINE void FN(label_vector)(const FN(tile) *t, FN(targets) *y) {
    const sg_call *c = t->call;
    const int64_t *labels = c->labels + t->row;
    const vreal none = vset1(-1);
    int64_t few[VL];
    if (t->rows < VL) { /* the lanes behind them repeat the last */
        for (int l = 0; l < VL; l++) few[l] = labels[l < t->rows ? l : t->rows - 1];
        labels = few;
    }
    const vreal label = vof_int64(labels);
    vmask good = mand(vlt(none, label), vlt(label, vset1((real)t->n)));
    good = mand(good, mnot(veq(label, vset1((real)c->ignore_index))));
    y->label = vselect(good, label, none);
    y->any = many(good);
    y->all = !many(mnot(good));
    vstore(y->counted, vselect(good, vset1(1), vset1(0)));
}
SG_INLINE vreal FN(pick_labels)(FN(view) x, ptrdiff_t n, const FN(targets) *y) {
    vreal picked = vset1(0), at = vset1(0);
    for (ptrdiff_t i = 0; i < n; i++) {
        picked = vselect(veq(y->label, at), vload(x.p + i * x.step), picked);
        at = vadd(at, vset1(1));
    }
    return picked;
}
SG_INLINE void FN(put_label_vector)(FN(view) out, ptrdiff_t n, const FN(targets) *y, vreal entry) {
    vreal at = vset1(0);
    for (ptrdiff_t i = 0; i < n; i++) {
        real *p = out.p + i * out.step;
        vstore(p, vselect(veq(y->label, at), entry, vload(p)));
        at = vadd(at, vset1(1));
    }
}
/* out = e f, and `entry` at the labels. */
SG_INLINE void FN(scale_with_labels)(FN(view) e, FN(view) out, ptrdiff_t n, FN(factor) f,
                                     const FN(targets) *y, vreal entry) {
    const vreal label = y->label;
    vreal at = vset1(0);
    e = FN(opened)(LAYOUT_SHORT, e);
    SG_EACH(LAYOUT_SHORT, n, 4, {
        const vreal a = FN(times)(FN(read)(LAYOUT_SHORT, full, e, v, n, 0), f);
        FN(write)(LAYOUT_SHORT, full, out, v, n, vselect(veq(label, at), entry, a));
        at = vadd(at, vset1(1));
    });
}
/* With `by_vector` y->at is there only if there are class weights. */
SG_BODY void FN(targets_of)(int layout, int by_vector, const FN(tile) *t, FN(targets) *y) {
    const sg_call *c = t->call;
    if (by_vector && !c->weight) {
        FN(label_vector)(t, y);
    } else if (c->labels) {
        FN(read_labels)(t, y);
        if (by_vector) FN(label_vector)(t, y);
    } else {
        for (int l = 0; l < VL; l++) y->at[l] = 0;
        vstore(y->counted, vset1(1));
        y->any = y->all = 1;
    }
    y->sample = c->sample_weight ? FN(get_rows)(layout, t, c->sample_weight) : vset1(1);
    y->own = vset1(1);
    if (c->labels && c->weight) {
        real weight[VL];
        for (int l = 0; l < VL; l++) weight[l] = ((const real *)c->weight)[y->at[l]];
        y->own = vload(weight);
    }
    y->unweighted = !c->sample_weight && !(c->labels && c->weight);
}
/* sample_weight is a factor of the whole row, so that it rounds no a_k: A - a_k is exactly 0 where a_k is all. */
SG_INLINE wide FN(row_unit)(const FN(tile) *t, const FN(targets) *y) {
    if (!t->call->sample_weight) return t->unit;
    return FN(wide_div)(FN(wide_of)(y->sample), FN(divisor)(t->call));
}

/* One element a row: the logit at the label. In place it must be taken before the terms are. */
SG_INLINE void FN(at_labels)(const FN(tile) *t, const FN(targets) *y, real lane[VL]) {
    const sg_array *a = &t->call->x;
    ptrdiff_t stride;
    if (a->half) { /* one row, of several blocks */
        FN(copy_row)(t, a, y->at[0], 1, lane);
        for (int l = 1; l < VL; l++) lane[l] = lane[0];
        return;
    }
    if (FN(rows_are_even)(t, a, &stride)) {
        const real *p = FN(row_start)(t, a, 0);
        for (int l = 0; l < t->rows; l++) lane[l] = p[l * stride + y->at[l] * a->axis];
    } else {
        for (int l = 0; l < t->rows; l++) lane[l] = FN(row_start)(t, a, l)[y->at[l] * a->axis];
    }
    for (int l = t->rows; l < VL; l++) lane[l] = lane[t->rows - 1];
}
/* The same divided by the temperature, and as far rows see it. */
SG_INLINE vreal FN(target_of)(int layout, const FN(tile) *t, const real lane[VL], vreal offset) {
    vreal x = vload(lane); /* in lanes it was picked from logits that were divided */
    if (layout != LAYOUT_SHORT && t->call->temperature != 1) x = vdiv(x, vset1((real)t->call->temperature));
    vreal d = vselect(veq(x, offset), vset1(0), vsub(x, offset));
    return vselect(FN(is_far)(offset), d, x);
}
SG_INLINE void FN(put_at_labels)(int layout, const FN(tile) *t, FN(view) x, const FN(targets) *y,
                                 vreal value) {
    const FN(lanes) lanes = FN(lanes_of)(value);
    for (int l = 0; l < t->rows; l++)
        x.p[layout == LAYOUT_ACROSS ? l * x.row + y->at[l] : y->at[l] * x.step + l] = lanes.lane[l];
}

/* Rows that do not count are exactly 0, whatever they hold. */
SG_NOINLINE void FN(clear_ignored)(int layout, const FN(tile) *t, const FN(targets) *y, FN(view) x) {
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(view) to = FN(row_of)(x, r);
        if (layout == LAYOUT_ACROSS && y->counted[r] != 0) continue;
        for (ptrdiff_t v = 0; v < FN(vectors)(layout, t->n); v++) {
            vreal a = layout == LAYOUT_ACROSS ? vset1(0) : FN(get)(layout, to, v, t->n, 0);
            FN(put)(layout, to, v, t->n, layout == LAYOUT_ACROSS ? a : vselect(FN(counts)(y), a, vset1(0)));
        }
    }
}
/* A gradient alone has no logarithm in it, but for that of z_loss. */
SG_INLINE int FN(needs_log)(const sg_call *c) { return c->loss || c->z_loss != 0; }
SG_INLINE void FN(put_loss)(const FN(tile) *t, const FN(targets) *y, wide loss) {
    if (!t->call->loss) return;
    if (!y->all) loss = FN(wide_select)(FN(counts)(y), loss, FN(zero)());
    FN(wide_store_rounded)(loss, t->call->loss + t->row, t->rows);
}

/* z lse^2 and 2 z lse, where 0 times an infinity is 0 again */
SG_INLINE wide FN(z_weight)(const sg_call *c, const FN(targets) *y) {
    const vreal weight = vselect(veq(y->sample, vset1(0)), y->sample, y->own);
    return FN(wide_mul)(FN(wide_set1)(c->z_loss, 0), FN(wide_of)(weight));
}
SG_NOINLINE wide FN(z_loss)(const sg_call *c, const FN(targets) *y, wide lse) {
    if (c->z_loss == 0) return FN(zero)();
    return FN(weigh)(FN(z_weight)(c, y), FN(wide_mul)(lse, lse));
}
SG_NOINLINE wide FN(z_slope)(const sg_call *c, const FN(targets) *y, wide lse) {
    if (c->z_loss == 0) return FN(zero)();
    return FN(weigh)(FN(wide_twice)(FN(z_weight)(c, y)), lse);
}
/* The label's entry of the gradient, (top / sum) unit. A unit above 1 goes first: what is subnormal before it may be a
 * number of many digits after it. */
SG_BODY wide FN(label_entry)(wide top, wide inverse, wide unit) {
    const vreal K = vset1(-HEADROOM);
    vmask large = vlt(vset1(1), FN(wide_round)(unit));
    wide first = FN(wide_select)(large, FN(wide_mul)(inverse, unit), inverse);
    wide entry = FN(wide_mul)(top, FN(wide_ldexp)(first, K));
    return FN(wide_select)(large, entry, FN(wide_mul)(entry, unit));
}

/* What the gradient and the diagonal of the Hessian are made with, row by row in the lanes. */
typedef struct {
    FN(factor) grad, s, hess;
    vreal top, hess_top;
    int simple; /* without a temperature, so that hess is grad; and all are plain */
} FN(both);

/* In place: a copy of these takes as long as what makes them. `grad` is the factor of g. */
SG_INLINE void FN(both_of)(const FN(tile) *t, const FN(stats) *row, wide g, FN(factor) grad, wide inverse,
                           FN(both) *k) {
    const vreal K = vset1(-HEADROOM);
    const int same = t->call->temperature == 1;
    const FN(factor) s = FN(factor_of)(inverse, K);
    k->top = row->e_top;
    k->grad = grad;
    k->s = s;
    k->simple = same && grad.plain && s.plain;
    /* h s_top others / sum, the last factor last: what it makes subnormal is rounded once */
    const wide top = FN(wide_ldexp)(row->top, K);
    if (k->simple) {
        const wide s_top = FN(wide_mul_finite)(FN(wide_mul_finite)(g, top), row->others);
        k->hess_top = FN(wide_scaled)(s_top, s.hi, s.lo);
        return;
    }
    const wide h = same ? g : FN(wide_div)(g, FN(wide_set1)(t->call->temperature, 0));
    const wide s_top = FN(wide_mul)(FN(wide_mul)(h, top), row->others);
    k->hess_top = FN(wide_round)(FN(wide_mul)(s_top, FN(wide_ldexp)(inverse, K)));
    k->hess = FN(factor_of)(h, K);
}

/* grad = e f, hess = h e (1 - s) for one row, or the rows in lanes: the diagonal of the Hessian without z_loss. At the
 * maximum, whose term is `top`, 1 - s would cancel: hess_top is its own. `simple`, a literal, takes 7 operations for 12. In
 * lanes of few classes the gradient at the labels is `entry`. */
SG_BODY void FN(scale_both)(int layout, int simple, FN(view) e, FN(view) grad, FN(view) hess, ptrdiff_t n,
                            const FN(both) *k, const FN(targets) *y, vreal entry) {
    vreal at = vset1(0);
    e = FN(opened)(layout, e);
    SG_EACH(layout, n, 4, {
        const vreal a = FN(read)(layout, full, e, v, n, 0), b = simple ? a : vmul(a, k->s.pre);
        const vreal rest = vfnma(b, k->s.lo, vfnma(b, k->s.hi, vset1(1)));
        const vreal g = simple ? FN(times)(a, k->grad) : FN(times_any)(a, k->grad),
                    h = simple ? g : FN(times_any)(a, k->hess);
        FN(write)(layout, full, grad, v, n,
                  layout == LAYOUT_SHORT ? vselect(veq(y->label, at), entry, g) : g);
        FN(ask_for_next)(layout, hess, v);
        FN(write)(layout, full, hess, v, n, vselect(veq(a, k->top), k->hess_top, vmul(h, rest)));
        at = vadd(at, vset1(1));
    });
}
SG_BODY void FN(scale_rows_both)(int layout, int simple, const FN(tile) *t, FN(view) e, FN(view) grad,
                                 FN(view) hess, const FN(both) *k, const FN(targets) *y, vreal entry) {
    if (layout != LAYOUT_ACROSS) {
        FN(scale_both)(layout, simple, e, grad, hess, t->n, k, y, entry);
        return;
    }
    const FN(factors) f = FN(factors_of)(k->grad), s = FN(factors_of)(k->s), h = FN(factors_of)(k->hess);
    const FN(lanes) top = FN(lanes_of)(k->top), hess_top = FN(lanes_of)(k->hess_top);
    for (int r = 0; r < t->rows; r++) {
        const FN(both) one = {FN(spread_factor)(layout, &f, r), FN(spread_factor)(layout, &s, r),
                              FN(spread_factor)(layout, &h, r), FN(spread)(layout, &top, r),
                              FN(spread)(layout, &hess_top, r), simple};
        FN(scale_both)(layout, simple, FN(row_of)(e, r), FN(row_of)(grad, r), FN(row_of)(hess, r), t->n, &one,
                       y, entry);
    }
}

/* Labels without smoothing; with `hess` no z_loss, and rows of one block. With `grad`, the terms go to the gradient, which
 * is then scaled in place. */
typedef struct {
    FN(look) look;
    FN(targets) y;
    FN(view) to, curvature;
    SG_ALIGN64 real target[VL];
    vreal entry;
    wide inverse, slope;
    FN(factor) factor; /* of rows of one block, without `hess` */
    FN(both) both;     /* with it */
    int empty;         /* no row counts; never in lanes */
} FN(label_parts);

SG_BODY int FN(label_open)(int layout, int grad, int hess, const FN(tile) *t, real *buffer, real *hess_buffer,
                           FN(label_parts) *p) {
    const sg_call *c = t->call;
    FN(look) *look = &p->look;
    FN(targets_of)(layout, layout == LAYOUT_SHORT, t, &p->y);
    p->empty = layout == LAYOUT_ACROSS && !p->y.any;
    if (grad && !hess) FN(catch_up)(1, layout, t, p->empty);
    p->to = (FN(view)){buffer, VL, 0};
    if (grad) p->to = FN(open_out)(layout, t, &c->out, buffer);
    if (hess) p->curvature = FN(open_out)(layout, t, &c->hess, hess_buffer);
    if (p->empty) return 0;
    if (layout != LAYOUT_SHORT) FN(at_labels)(t, &p->y, p->target);
    const FN(view) terms = FN(open_terms)(layout, p->to, buffer);
    look->x =
        grad ? FN(open_logits_in_blocks)(layout, t, buffer, terms) : FN(open_logits_once)(layout, t, terms);
    look->e = grad ? terms : FN(nowhere)();
    look->far_to = look->x.p || !grad ? terms : (FN(view)){hess_buffer, VL, 0};
    look->Ms = grad ? FN(block_M)(t) : NULL;
    look->weigh = NULL;
    if (layout == LAYOUT_SHORT) vstore(p->target, FN(pick_labels)(look->x, t->n, &p->y));
    return 1;
}
SG_BODY void FN(label_rows)(int layout, int grad, int hess, const FN(tile) *t, FN(label_parts) *p) {
    const sg_call *c = t->call;
    const FN(targets) *y = &p->y;
    if (p->empty) {
        FN(put_loss)(t, y, FN(zero)());
        return;
    }
    const FN(stats) *row = &p->look.row;
    const vreal target = FN(target_of)(layout, t, p->target, row->offset);
    const wide own = FN(wide_of)(y->own);
    wide lse = FN(zero)();
    if (!grad || FN(needs_log)(c)) {
        wide log = FN(log_ratio)(row->others, row->top);
        wide loss = FN(wide_add)(FN(wide_difference)(row->max, target), log);
        if (!y->unweighted) loss = FN(weigh)(own, loss);
        if (c->z_loss != 0) {
            lse = FN(lse_of)(row, log);
            loss = FN(wide_add)(loss, FN(z_loss)(c, y, lse));
        }
        if (c->sample_weight) loss = FN(weigh)(FN(wide_of)(y->sample), loss);
        FN(put_loss)(t, y, loss);
    }
    if (!grad) return;

    const wide sum = FN(wide_add_finite)(row->others, row->top), inverse = FN(inverse)(sum),
               unit = FN(row_unit)(t, y);
    /* at the label: (2 z lse e_t - a others_t) / sum; others_t is the sum without e_t */
    wide e = FN(wide_term)(target, FN(limits_of)(row->max));
    wide rest = FN(wide_select)(veq(target, row->max), row->others, FN(wide_sub_finite)(sum, e));
    wide slope = own, top = FN(wide_minus)(y->unweighted ? rest : FN(wide_mul)(own, rest));
    if (c->z_loss != 0) {
        const wide z = FN(z_slope)(c, y, lse);
        slope = FN(wide_add)(slope, z);
        top = FN(wide_add)(top, FN(wide_mul)(z, e));
    }
    const int plain = y->unweighted && c->z_loss == 0;
    p->inverse = inverse;
    p->slope = plain ? unit : FN(wide_mul)(slope, unit);
    const wide g = FN(wide_mul_finite)(p->slope, inverse); /* an infinite one makes no plain factor */
    const FN(factor) f = FN(factor_of)(g, vset1(-HEADROOM));
    if (plain && f.plain) p->entry = FN(wide_scaled)(top, f.hi, f.lo);
    else p->entry = FN(wide_round)(FN(label_entry)(top, inverse, unit));
    if (hess) FN(both_of)(t, row, g, f, inverse, &p->both);
    else p->factor = f;
}
SG_BODY void FN(label_results)(int layout, int grad, int hess, const FN(tile) *t, const FN(label_parts) *p) {
    const sg_call *c = t->call;
    if (!grad) return;
    if (FN(in_blocks)(layout, t) && !p->empty) {
        FN(scale_blocks)(layout, t, p->look.e, p->to, &c->out, p->look.Ms, p->look.row.M,
                         FN(wide_mul)(p->slope, p->inverse));
        real entry[VL];
        vstore(entry, p->entry);
        FN(write_row)(t, &c->out, p->y.at[0], 1, entry);
        return;
    }
    if (!hess && !p->empty && p->y.all && t->n <= BLOCK_N && p->factor.plain &&
        FN(postpone)(layout, t, &c->out, p->look.e, p->to, p->factor.hi, p->factor.lo)) {
        FN(postpone_entries)(t, p->y.at, p->entry);
        return;
    }
    const int done = layout == LAYOUT_SHORT && !hess && p->factor.plain;
    if (done) FN(scale_with_labels)(p->look.e, p->to, t->n, p->factor, &p->y, p->entry);
    if (!p->empty && !done) {
        if (hess && p->both.simple)
            FN(scale_rows_both)(layout, 1, t, p->look.e, p->to, p->curvature, &p->both, &p->y, p->entry);
        else if (hess)
            FN(scale_rows_both)(layout, 0, t, p->look.e, p->to, p->curvature, &p->both, &p->y, p->entry);
        else if (t->n <= BLOCK_N) FN(scale_tile)(layout, t, p->look.e, p->to, t->n, p->factor);
        else
            FN(scale_blocks)(layout, t, p->look.e, p->to, NULL, p->look.Ms, p->look.row.M,
                             FN(wide_mul)(p->slope, p->inverse));
        if (layout != LAYOUT_SHORT) FN(put_at_labels)(layout, t, p->to, &p->y, p->entry);
        else if (!hess) FN(put_label_vector)(p->to, t->n, &p->y, p->entry);
    }
    if (!p->y.all) FN(clear_ignored)(layout, t, &p->y, p->to);
    FN(close_out)(layout, t, &c->out, p->to);
    if (!hess) return;
    if (!p->y.all) FN(clear_ignored)(layout, t, &p->y, p->curvature);
    FN(close_out)(layout, t, &c->hess, p->curvature);
}
#define LABELS(kernel, grad, hess, stats)                                                           \
    typedef FN(label_parts) FN(kernel##_parts);                                                     \
    SG_INLINE int FN(kernel##_open)(int layout, const FN(tile) *t, real *buffer, real *hess_buffer, \
                                    FN(label_parts) *p) {                                           \
        return FN(label_open)(layout, grad, hess, t, buffer, hess_buffer, p);                       \
    }                                                                                               \
    SG_INLINE void FN(kernel##_rows)(int layout, const FN(tile) *t, FN(label_parts) *p) {           \
        FN(label_rows)(layout, grad, hess, t, p);                                                   \
    }                                                                                               \
    SG_INLINE void FN(kernel##_results)(int layout, const FN(tile) *t, const FN(label_parts) *p) {  \
        FN(label_results)(layout, grad, hess, t, p);                                                \
    }                                                                                               \
    IN_PARTS(kernel, stats, SG_ANY_ORDER)
LABELS(label_loss, 0, 0, log_stats)
LABELS(label_grad, 1, 0, grad_stats)
LABELS(label_hess, 1, 1, grad_stats)
#undef LABELS

/* The target weights of vector v but for the sample weight and the label: w (p y + q) with smoothing e:
 * p = 1 - e, q = e / C. */
typedef struct {
    FN(view) y;         /* probabilities; p NULL: there are none */
    const real *weight; /* or NULL */
    vreal p, q;
    int plain; /* they are the probabilities, as they are */
    ptrdiff_t ahead; /* across: where those that come after the next ones lie beside these */
} FN(weights);

SG_NOINLINE FN(weights) FN(weights_of)(int layout, const FN(tile) *t, real *buffer) {
    const sg_call *c = t->call;
    FN(weights) w = {{NULL, 0, 0}, c->weight, vset1(1), vset1(0), 0, 0};
    if (!c->labels) w.y = FN(open)(layout, t, &c->g, buffer);
    if (!c->labels && layout == LAYOUT_ACROSS && FN(is_direct)(layout, t, &c->g))
        w.ahead = 2 * (t->n <= BLOCK_N ? t->rows * w.y.row : BLOCK_N);
    if (c->label_smoothing != 0) {
        w.p = vset1((real)(1 - c->label_smoothing));
        w.q = vset1((real)c->label_smoothing / (real)t->n);
    }
    w.plain = !c->labels && !c->weight && c->label_smoothing == 0;
    return w;
}
/* Those of row r of a tile from class `begin` on. */
SG_INLINE FN(weights) FN(weights_from)(int layout, const FN(weights) *w, int r, ptrdiff_t begin) {
    FN(weights) some = *w;
    if (w->y.p && layout == LAYOUT_ACROSS) some.y = FN(further)(FN(row_of)(w->y, r), begin);
    else if (w->y.p) some.y.p += begin * w->y.step;
    if (w->weight) some.weight += begin;
    return some;
}
SG_BODY vreal FN(weight_at)(int layout, int full, int plain, const FN(weights) *w, ptrdiff_t v, ptrdiff_t n) {
    if (plain) return FN(read)(layout, full, w->y, v, n, 0);
    vreal a = w->q;
    if (w->y.p) a = vfma(w->p, FN(read)(layout, full, w->y, v, n, 0), w->q);
    if (w->weight) {
        const FN(view) weight = {(real *)w->weight, VL, 0};
        a = vmul(a, layout == LAYOUT_ACROSS ? FN(read)(layout, full, weight, v, n, 0) : vset1(w->weight[v]));
    }
    if (layout == LAYOUT_ACROSS && !full)
        a = vselect(vlt(viota(), vset1((real)FN(lanes_left)(v, n))), a, vset1(0));
    return a;
}

/* One vector of the sums sum_k a_k (max - x_k) and sum_k a_k. One chain of each is enough: a vector takes longer than an
 * addition. */
SG_INLINE void FN(weigh_vector)(vreal a, vreal x, vreal max, wide *far, wide *total) {
    x = vselect(veq(a, vset1(0)), max, x); /* what does not count has no distance: 0 inf = 0 */
    *far = FN(wide_fma_difference)(*far, a, max, x);
    *total = FN(wide_add_real)(*total, a);
}
/* Targets to come are asked for, as logits are (terms.h). Zen 4, us, what is not in the caches: loss + gradient (20000, 64) 2500 -> 2080,
 * (300, 1000) 356 -> 292, (100, 32000) 3310 -> 2910; what is in the third-level cache takes up to 4 % longer. */
SG_INLINE void FN(weigh_row)(int plain, const FN(weights) *w, FN(view) x, ptrdiff_t n, vreal max, wide *far,
                             wide *total) {
    *far = *total = FN(zero)();
    SG_EACH(LAYOUT_ACROSS, n, 2, {
        if (plain || w->y.p) SG_PREFETCH(w->y.p + v * VL + w->ahead);
        FN(weigh_vector)(FN(weight_at)(LAYOUT_ACROSS, full, plain, w, v, n),
                         FN(read)(LAYOUT_ACROSS, full, x, v, n, 0), max, far, total);
    });
    *far = FN(fold)(LAYOUT_ACROSS, far);
    *total = FN(fold)(LAYOUT_ACROSS, total);
}
SG_NOINLINE void FN(weigh_across)(const FN(tile) *t, const void *weights_of_all, FN(view) x, ptrdiff_t begin,
                                  ptrdiff_t n, vreal max, wide *distance, wide *weight) {
    const FN(lanes) max_of = FN(lanes_of)(FN(reference)(max));
    FN(wide_lanes) distances, weights;
    for (int r = 0; r < t->rows; r++) {
        const FN(weights) w = FN(weights_from)(LAYOUT_ACROSS, weights_of_all, r, begin);
        const vreal from = FN(spread)(LAYOUT_ACROSS, &max_of, r);
        wide far, total;
        if (w.plain) FN(weigh_row)(1, &w, FN(row_of)(x, r), n, from, &far, &total);
        else FN(weigh_row)(0, &w, FN(row_of)(x, r), n, from, &far, &total);
        FN(set_wide_lane)(&distances, r, far);
        FN(set_wide_lane)(&weights, r, total);
    }
    *distance = FN(wide_load)(distances.hi, distances.lo);
    *weight = FN(wide_load)(weights.hi, weights.lo);
}
/* In lanes the lanes of a row across, if rows of so many classes go across, stand one beside the other (sum.h). */
SG_BODY void FN(weigh_rows)(int layout, int plain, const FN(weights) *w, FN(view) x, ptrdiff_t n, vreal max,
                            wide *distance, wide *weight) {
    wide far[VL], total[VL];
    for (int l = 0; l < FN(phases)(layout); l++) far[l] = total[l] = FN(zero)();
    for (ptrdiff_t v = 0; v < n; v++) {
        const ptrdiff_t l = layout == LAYOUT_SHORT ? 0 : v & (VL - 1);
        FN(weigh_vector)(FN(weight_at)(LAYOUT_SHORT, 1, plain, w, v, n), vload(x.p + v * x.step), max,
                         &far[l], &total[l]);
    }
    *distance = FN(fold)(layout, far);
    *weight = FN(fold)(layout, total);
}
SG_NOINLINE void FN(weigh_lanes)(const FN(tile) *t, const void *weights_of_all, FN(view) x, ptrdiff_t begin,
                                 ptrdiff_t n, vreal max, wide *distance, wide *weight) {
    const FN(weights) w = FN(weights_from)(LAYOUT_SHORT, weights_of_all, 0, begin);
    const vreal from = FN(reference)(max);
    if (t->n > SG_LANES_N) FN(weigh_rows)(LAYOUT_LONG, 0, &w, x, n, from, distance, weight);
    else if (w.plain) FN(weigh_rows)(LAYOUT_SHORT, 1, &w, x, n, from, distance, weight);
    else FN(weigh_rows)(LAYOUT_SHORT, 0, &w, x, n, from, distance, weight);
}

/* What the results of a row are made with, row by row in the lanes. */
typedef struct {
    FN(factors) grad, unit; /* grad_i = e grad - a unit, */
    FN(factors) top;        /* at the maximum (A - a) e top - a rest */
    FN(lanes) e_top, A_hi, A_lo, rest_hi, rest_lo;
    int plain; /* grad.pre and unit.pre are 1 */
    FN(factors) s, hess; /* with a Hessian */
    FN(lanes) hess_top, z2;
} FN(slopes);

/* Any targets, any options. */
typedef struct {
    FN(look) look;
    FN(targets) y;
    FN(weights) weights;
    FN(view) to, curvature;
    SG_ALIGN64 real target[VL];
    wide A, slope, inverse, unit;
    vreal entry;
    FN(slopes) slopes; /* of rows of one block */
    int empty;         /* no row counts; never in lanes */
} FN(general_parts);

SG_BODY int FN(general_open)(int layout, const FN(tile) *t, real *buffer, real *second,
                             FN(general_parts) *p) {
    const sg_call *c = t->call;
    FN(look) *look = &p->look;
    const int grad = c->out.data != NULL;
    FN(targets_of)(layout, 0, t, &p->y);
    p->empty = layout == LAYOUT_ACROSS && !p->y.any;
    p->to = (FN(view)){buffer, VL, 0};
    if (grad) p->to = FN(open_out)(layout, t, &c->out, buffer);
    /* each of its vectors takes the place of weights that are not read again; without it, a view that is not used */
    p->curvature = c->hess.data ? FN(open_out)(layout, t, &c->hess, second) : p->to;
    if (p->empty) return 0;
    FN(at_labels)(t, &p->y, p->target);
    const FN(view) terms = FN(open_terms)(layout, p->to, buffer);
    p->weights = FN(weights_of)(layout, t, second);
    look->x =
        grad ? FN(open_logits_in_blocks)(layout, t, buffer, terms) : FN(open_logits_once)(layout, t, terms);
    look->e = grad ? terms : FN(nowhere)();
    look->far_to = look->x.p || !grad ? terms : (FN(view)){FN(row_buffer)(t, 2), VL, 0};
    look->Ms = grad ? FN(block_M)(t) : NULL;
    look->weigh = layout == LAYOUT_ACROSS ? FN(weigh_across) : FN(weigh_lanes);
    look->weights = &p->weights;
    return 1;
}
SG_INLINE int FN(general_stats)(int layout, const FN(tile) *t, int count, FN(look) *const looks[]) {
    return t->call->out.data ? FN(grad_stats)(layout, t, count, looks)
                             : FN(log_stats)(layout, t, count, looks);
}
/* Of a block whose terms are relative to M + `down`, M that of the row. */
SG_NOINLINE void FN(slopes_of)(const FN(tile) *t, const FN(general_parts) *p, vreal down, FN(slopes) *k) {
    const sg_call *c = t->call;
    const FN(stats) *row = &p->look.row;
    const vreal K = vset1(-HEADROOM), d = vadd(K, down);
    const wide rest = FN(wide_mul)(FN(wide_mul)(row->others, FN(wide_ldexp)(p->inverse, K)), p->unit);
    const FN(factor) grad = FN(factor_of)(FN(wide_mul)(p->slope, p->inverse), d);
    const FN(factor) unit = FN(factor_of)(p->unit, vset1(0));
    k->plain = grad.plain && unit.plain;
    k->grad = FN(factors_of)(grad);
    k->unit = FN(factors_of)(unit);
    /* of e 2^-HEADROOM: the other factor, A - a, may be as large as a real can be */
    k->top = FN(factors_of)(FN(factor_of)(FN(wide_mul)(p->unit, p->inverse), down));
    /* infinite, so that it is no term, in a block far below */
    const vreal up = vmin(vsub(vset1(0), down), vset1(1000));
    k->e_top = FN(lanes_of)(FN(wide_round)(FN(wide_ldexp)(FN(wide_of)(row->e_top), up)));
    const vreal A_hi = FN(wide_round)(p->A), rest_hi = FN(wide_round)(rest);
    k->A_hi = FN(lanes_of)(A_hi);
    k->A_lo = FN(lanes_of)(FN(wide_rest)(p->A, A_hi));
    k->rest_hi = FN(lanes_of)(rest_hi);
    k->rest_lo = FN(lanes_of)(FN(wide_rest)(rest, rest_hi));
    if (!c->hess.data) return;
    const wide T = FN(wide_set1)(c->temperature, 0), sum = FN(wide_add)(row->others, row->top);
    k->s = FN(factors_of)(FN(factor_of)(p->inverse, d));
    k->hess = FN(factors_of)(FN(factor_of)(FN(wide_div)(FN(wide_mul)(p->slope, p->inverse), T), d));
    const wide z2 = FN(wide_div)(FN(wide_mul)(FN(wide_twice)(FN(z_weight)(c, &p->y)), p->unit), T);
    k->z2 = FN(lanes_of)(FN(wide_round)(z2));
    /* the maximum's own curvature, whole: slope s (others / sum) / T + 2 z s^2 */
    const wide s_top = FN(wide_div)(row->top, sum);
    const wide own =
        FN(wide_div)(FN(wide_mul)(FN(wide_mul)(FN(wide_div)(p->slope, T), s_top), row->others), sum);
    const wide own_z = c->z_loss == 0 ? FN(zero)() : FN(wide_mul)(z2, FN(wide_mul)(s_top, s_top));
    k->hess_top = FN(lanes_of)(FN(wide_round)(FN(wide_add)(own, own_z)));
}
SG_BODY void FN(general_rows)(int layout, const FN(tile) *t, FN(general_parts) *p) {
    (void)layout;
    const sg_call *c = t->call;
    const FN(targets) *y = &p->y;
    if (p->empty) {
        FN(put_loss)(t, y, FN(zero)());
        return;
    }
    const FN(stats) *row = &p->look.row;
    const vreal target = FN(target_of)(LAYOUT_ACROSS, t, p->target, row->offset);
    const wide log = FN(needs_log)(c) ? FN(log_ratio)(row->others, row->top) : FN(zero)(),
               lse = FN(lse_of)(row, log);
    wide loss = FN(wide_add)(row->distance, FN(wide_mul)(row->weight, log)), label = FN(zero)();
    if (c->labels) {
        label = FN(wide_mul)(FN(wide_of)(p->weights.p), FN(wide_of)(y->own));
        wide d = FN(wide_add)(FN(wide_difference)(row->max, target), log);
        loss = FN(wide_add)(loss, FN(weigh)(label, d));
    }
    if (c->z_loss != 0) loss = FN(wide_add)(loss, FN(z_loss)(c, y, lse));
    FN(put_loss)(t, y, FN(weigh)(FN(wide_of)(y->sample), loss));
    if (!c->out.data) return;

    const wide sum = FN(wide_add)(row->others, row->top), z = FN(z_slope)(c, y, lse);
    p->inverse = FN(inverse)(sum);
    p->unit = FN(row_unit)(t, y);
    p->A = FN(wide_add)(FN(wide_add)(row->weight, label), z);
    p->slope = FN(wide_mul)(p->A, p->unit);
    if (t->n <= BLOCK_N) FN(slopes_of)(t, p, vset1(0), &p->slopes);
    if (!c->labels) return;
    /* the label's entry, whole: (A - a_t) e_t - a_t others_t, a_t = label + smooth, A - a_t = weight - smooth + 2 z lse */
    wide e = FN(wide_term)(target, FN(limits_of)(row->max));
    wide others = FN(wide_select)(veq(target, row->max), row->others, FN(wide_sub)(sum, e));
    wide smooth = FN(wide_of)(vmul(p->weights.q, y->own));
    wide a = FN(wide_add)(label, smooth), left = FN(wide_add)(FN(wide_sub)(row->weight, smooth), z);
    wide entry_top = FN(wide_sub)(FN(wide_mul)(left, e), FN(wide_mul)(a, others));
    p->entry = FN(wide_round)(FN(label_entry)(entry_top, p->inverse, p->unit));
}

/* The gradient at the maximum, of a term e with the weight a. */
SG_INLINE vreal FN(grad_top)(int layout, const FN(slopes) *k, int r, vreal e, vreal a) {
    const vreal A_hi = FN(spread)(layout, &k->A_hi, r), A_lo = FN(spread)(layout, &k->A_lo, r);
    const vreal left = vmul(vmul(e, vset1(REAL_TO_ONE)), vadd(vsub(A_hi, a), A_lo));
    const vreal s = FN(times_any)(left, FN(spread_factor)(layout, &k->top, r));
    return vfnma(a, FN(spread)(layout, &k->rest_hi, r), vfnma(a, FN(spread)(layout, &k->rest_lo, r), s));
}
/* The results of n classes of row r, or of the rows in lanes. With labels the one entry that cancels is the label's. */
SG_BODY void FN(general_some)(int layout, int plain, int probs, int hess, const sg_call *c,
                              const FN(slopes) *k, int r, const FN(weights) *w, FN(view) terms, FN(view) to,
                              FN(view) curvature, ptrdiff_t n) {
    const FN(factor) grad = FN(spread_factor)(layout, &k->grad, r),
                     unit = FN(spread_factor)(layout, &k->unit, r);
    const vreal e_top = FN(spread)(layout, &k->e_top, r);
    SG_EACH(layout, n, 4, {
        const vreal a = FN(weight_at)(layout, full, probs, w, v, n),
                    e = FN(read)(layout, full, terms, v, n, 0);
        const vreal s = plain ? e : vmul(e, grad.pre), au = plain ? a : vmul(a, unit.pre);
        vreal g = vfma(s, grad.hi, vfnma(au, unit.hi, vmul(s, grad.lo)));
        const vmask at_top = veq(e, e_top);
        /* few vectors of a row across hold a maximum */
        if ((probs || !c->labels) && (layout == LAYOUT_SHORT || many(at_top)))
            g = vselect(at_top, FN(grad_top)(layout, k, r, e, a), g);
        FN(write)(layout, full, to, v, n, g);
        if (hess) {
            const FN(factor) of_s = FN(spread_factor)(layout, &k->s, r);
            const vreal es = vmul(e, of_s.pre), others = vfnma(es, of_s.lo, vfnma(es, of_s.hi, vset1(1)));
            vreal h = vmul(FN(times_any)(e, FN(spread_factor)(layout, &k->hess, r)), others);
            if (c->z_loss != 0) {
                const vreal p = FN(times)(es, of_s);
                h = vfma(vmul(p, p), FN(spread)(layout, &k->z2, r), h);
            }
            FN(ask_for_next)(layout, curvature, v);
            FN(write)(layout, full, curvature, v, n, vselect(at_top, FN(spread)(layout, &k->hess_top, r), h));
        }
    });
}
#define SOME_PARAMETERS                                                                              \
    const sg_call *c, const FN(slopes) *k, int r, const FN(weights) *w, FN(view) terms, FN(view) to, \
        FN(view) curvature, ptrdiff_t n
SG_NOINLINE void FN(general_any_across)(SOME_PARAMETERS) {
    if (c->hess.data) FN(general_some)(LAYOUT_ACROSS, 0, 0, 1, c, k, r, w, terms, to, curvature, n);
    else FN(general_some)(LAYOUT_ACROSS, 0, 0, 0, c, k, r, w, terms, to, curvature, n);
}
SG_NOINLINE void FN(general_any_lanes)(SOME_PARAMETERS) {
    if (c->hess.data) FN(general_some)(LAYOUT_SHORT, 0, 0, 1, c, k, r, w, terms, to, curvature, n);
    else FN(general_some)(LAYOUT_SHORT, 0, 0, 0, c, k, r, w, terms, to, curvature, n);
}
#undef SOME_PARAMETERS
SG_BODY void FN(general_block)(int layout, const FN(tile) *t, const FN(general_parts) *p, const FN(slopes) *k,
                               ptrdiff_t begin, ptrdiff_t n) {
    const sg_call *c = t->call;
    const FN(view) views[3] = {p->look.e, p->to, p->curvature};
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(weights) w = FN(weights_from)(layout, &p->weights, r, begin);
        FN(view) of[3];
        for (int i = 0; i < 3; i++) {
            of[i] = FN(row_of)(views[i], r);
            of[i].p += layout == LAYOUT_ACROSS ? begin : begin * of[i].step;
        }
        if (k->plain && w.plain && !c->hess.data)
            FN(general_some)(layout, 1, 1, 0, c, k, r, &w, of[0], of[1], of[2], n);
        else if (layout == LAYOUT_ACROSS) FN(general_any_across)(c, k, r, &w, of[0], of[1], of[2], n);
        else FN(general_any_lanes)(c, k, r, &w, of[0], of[1], of[2], n);
    }
}
SG_BODY void FN(general_results)(int layout, const FN(tile) *t, const FN(general_parts) *p) {
    const sg_call *c = t->call;
    if (!c->out.data) return;
    if (!p->empty && t->n <= BLOCK_N) FN(general_block)(layout, t, p, &p->slopes, 0, t->n);
    if (!p->empty && t->n > BLOCK_N)
        for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
            FN(slopes) k;
            FN(slopes_of)(t, p, vsub(p->look.Ms[b / BLOCK_N], p->look.row.M), &k);
            FN(general_block)(layout, t, p, &k, b, FN(block_size)(t->n, b));
        }
    if (!p->empty && c->labels) FN(put_at_labels)(layout, t, p->to, &p->y, p->entry);
    if (!p->y.all) FN(clear_ignored)(layout, t, &p->y, p->to);
    FN(close_out)(layout, t, &c->out, p->to);
    if (!c->hess.data) return;
    if (!p->y.all) FN(clear_ignored)(layout, t, &p->y, p->curvature);
    FN(close_out)(layout, t, &c->hess, p->curvature);
}
IN_PARTS(general, general_stats, SG_TARGETS)

/* Which results are wanted is in the call: no array, no result. */
static void FN(cross_entropy)(const sg_call *c, ptrdiff_t begin, ptrdiff_t end, void *scratch) {
    const int labels =
        c->labels && c->label_smoothing == 0 && (!c->hess.data || (c->z_loss == 0 && c->n <= BLOCK_N));
    (!labels        ? FN(general)
     : c->hess.data ? FN(label_hess)
     : c->out.data  ? FN(label_grad)
                    : FN(label_loss))(c, begin, end, scratch);
}

/* What reduction="mean" divides by: the sum over the rows that count of sample_weight * weight[label]. */
static void FN(total_weight)(const sg_call *c, double of[2]) {
    const real *w = c->labels ? c->weight : NULL, *sample = c->sample_weight;
    const ptrdiff_t rows = c->outer * c->inner;
    const int weighted = w || sample, ignores_a_class = is_class(c->ignore_index, c->n);
    ptrdiff_t whole = 0; /* rows of weight 1, eight at a time */
    compensated t = {vf64_set1(0), vf64_set1(0)};
    for (ptrdiff_t r = 0; r < rows; r += 8) {
        const ptrdiff_t left = rows - r < 8 ? rows - r : 8;
        if (!weighted && left == 8 &&
            (!c->labels || (!ignores_a_class && are_classes(c->labels + r, c->n)))) {
            whole += 8;
            continue;
        }
        double weights[8] = {0};
        for (ptrdiff_t l = 0; l < left; l++) {
            const int64_t label = c->labels ? c->labels[r + l] : 0;
            if (c->labels && (label == c->ignore_index || !is_class(label, c->n))) continue;
            weights[l] = (w ? (double)w[label] : 1.0) * (sample ? (double)sample[r + l] : 1.0);
        }
        compensated_add(&t, vf64_load(weights));
    }
    compensated_close(&t, of);
    of[0] += (double)whole;
}
