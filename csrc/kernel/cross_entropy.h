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
 * one entry mended. Everything else goes the general way; rows of more than a block, and far rows, compute their
 * exponentials twice there. */

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
    vreal at = vset1(0);
    for (ptrdiff_t i = 0; i < n; i++) {
        vreal a = FN(times)(vload(e.p + i * e.step), f);
        vstore(out.p + i * out.step, vselect(veq(y->label, at), entry, a));
        at = vadd(at, vset1(1));
    }
}
/* With `by_vector` y->at is there only if there are class weights. */
SG_INLINE void FN(targets_of)(int layout, int by_vector, const FN(tile) *t, FN(targets) *y) {
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

/* coefficient * a, where 0 times an infinity is 0 */
SG_BODY wide FN(weigh)(wide coefficient, wide a) {
    const vreal r = FN(wide_round)(a), size = vmax(r, vsub(vset1(0), r));
    vmask nothing = mand(veq(FN(wide_round)(coefficient), vset1(0)), veq(size, vset1(REAL_INF)));
    return FN(wide_select)(nothing, FN(zero)(), FN(wide_mul)(coefficient, a));
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
SG_BODY wide FN(lse_of)(const FN(stats) *row, wide log) {
    return FN(wide_add)(FN(wide_of)(row->offset), FN(wide_add)(FN(wide_of)(row->max), log));
}

/* What the gradient and the diagonal of the Hessian are made with, row by row in the lanes. */
typedef struct {
    FN(factor) grad, s, hess;
    vreal top, hess_top;
    int simple; /* without a temperature, so that hess is grad; and all are plain */
} FN(both);

/* In place: a copy of these takes as long as what makes them. */
SG_INLINE void FN(both_of)(const FN(tile) *t, const FN(stats) *row, wide slope, wide inverse, FN(both) *k) {
    const vreal K = vset1(-HEADROOM);
    const wide T = FN(wide_set1)(t->call->temperature, 0);
    const int same = t->call->temperature == 1;
    const wide g = FN(wide_mul)(slope, inverse), h = same ? g : FN(wide_div)(g, T);
    /* h s_top others / sum, the last factor last: what it makes subnormal is rounded once */
    const wide s_top = FN(wide_mul)(FN(wide_mul)(h, FN(wide_ldexp)(row->top, K)), row->others);
    const wide hess_top = FN(wide_mul)(s_top, FN(wide_ldexp)(inverse, K));
    k->top = FN(wide_round)(row->top);
    k->hess_top = FN(wide_round)(hess_top);
    k->grad = FN(factor_of)(g, K);
    k->s = FN(factor_of)(inverse, K);
    k->simple = same && k->grad.plain && k->s.plain;
    if (!k->simple) k->hess = FN(factor_of)(h, K);
}

/* grad = e f, hess = h e (1 - s) for one row, or the rows in lanes: the diagonal of the Hessian without z_loss. At the
 * maximum, whose term is `top`, 1 - s would cancel: hess_top is its own. `simple`, a literal, takes 7 operations for 12. In
 * lanes of few classes the gradient at the labels is `entry`. */
SG_INLINE void FN(scale_both)(int layout, int simple, FN(view) e, FN(view) grad, FN(view) hess, ptrdiff_t n,
                              const FN(both) *k, const FN(targets) *y, vreal entry) {
    vreal at = vset1(0);
    SG_EACH(layout, n, 4, {
        const vreal a = FN(read)(layout, full, e, v, n, 0), b = simple ? a : vmul(a, k->s.pre);
        const vreal rest = vfnma(b, k->s.lo, vfnma(b, k->s.hi, vset1(1)));
        const vreal g = simple ? FN(times)(a, k->grad) : FN(times_any)(a, k->grad),
                    h = simple ? g : FN(times_any)(a, k->hess);
        FN(write)(layout, full, grad, v, n,
                  layout == LAYOUT_SHORT ? vselect(veq(y->label, at), entry, g) : g);
        FN(write)(layout, full, hess, v, n, vselect(veq(a, k->top), k->hess_top, vmul(h, rest)));
        at = vadd(at, vset1(1));
    });
}
SG_INLINE void FN(scale_rows_both)(int layout, int simple, const FN(tile) *t, FN(view) e, FN(view) grad,
                                   FN(view) hess, const FN(both) *k, const FN(targets) *y, vreal entry) {
    if (layout != LAYOUT_ACROSS) {
        FN(scale_both)(layout, simple, e, grad, hess, t->n, k, y, entry);
        return;
    }
    const FN(factor) f = k->grad, s = k->s, h = k->hess;
    const FN(lanes) f_pre = FN(lanes_of)(f.pre), f_hi = FN(lanes_of)(f.hi), f_lo = FN(lanes_of)(f.lo),
                    s_pre = FN(lanes_of)(s.pre), s_hi = FN(lanes_of)(s.hi), s_lo = FN(lanes_of)(s.lo),
                    h_pre = FN(lanes_of)(h.pre), h_hi = FN(lanes_of)(h.hi), h_lo = FN(lanes_of)(h.lo),
                    top = FN(lanes_of)(k->top), hess_top = FN(lanes_of)(k->hess_top);
    for (int r = 0; r < t->rows; r++) {
        const FN(both) one = {
            {FN(spread)(layout, &f_pre, r), FN(spread)(layout, &f_hi, r), FN(spread)(layout, &f_lo, r), 0},
            {FN(spread)(layout, &s_pre, r), FN(spread)(layout, &s_hi, r), FN(spread)(layout, &s_lo, r), 0},
            {FN(spread)(layout, &h_pre, r), FN(spread)(layout, &h_hi, r), FN(spread)(layout, &h_lo, r), 0},
            FN(spread)(layout, &top, r),
            FN(spread)(layout, &hess_top, r),
            simple};
        FN(scale_both)(layout, simple, FN(row_of)(e, r), FN(row_of)(grad, r), FN(row_of)(hess, r), t->n, &one,
                       y, entry);
    }
}

/* Labels without smoothing; with `hess` no z_loss, and rows of one block. With `grad`, the terms go to the gradient, which
 * is then scaled in place. */
typedef struct {
    FN(targets) y;
    FN(view) to, curvature, terms;
    FN(stats) row;
    vreal *Ms;
    SG_ALIGN64 real target[VL];
    vreal entry;
    wide inverse, slope;
    FN(factor) factor; /* of rows of one block, without `hess` */
    FN(both) both;     /* with it */
    int empty;         /* no row counts; never in lanes */
} FN(label_parts);

SG_INLINE int FN(label_terms)(int layout, int grad, int hess, const FN(tile) *t, real *buffer,
                              real *hess_buffer, FN(label_parts) *p) {
    const sg_call *c = t->call;
    FN(targets_of)(layout, layout == LAYOUT_SHORT, t, &p->y);
    p->empty = layout == LAYOUT_ACROSS && !p->y.any;
    p->to = (FN(view)){buffer, VL, 0};
    if (grad) p->to = FN(open_out)(layout, t, &c->out, buffer);
    if (hess) p->curvature = FN(open_out)(layout, t, &c->hess, hess_buffer);
    if (p->empty) return 1;
    if (layout != LAYOUT_SHORT) FN(at_labels)(t, &p->y, p->target);
    p->terms = FN(open_terms)(layout, p->to, buffer);
    FN(view)
    x = grad ? FN(open_logits_in_blocks)(layout, t, buffer, p->terms)
             : FN(open_logits_once)(layout, t, p->terms);
    const FN(view) far_to = x.p || !grad ? p->terms : (FN(view)){hess_buffer, VL, 0};
    if (layout == LAYOUT_SHORT) vstore(p->target, FN(pick_labels)(x, t->n, &p->y));
    p->Ms = grad ? FN(block_M)(t) : NULL;
    return grad ? FN(grad_stats)(layout, t, &x, p->terms, far_to, p->Ms, &p->row)
                : FN(log_stats)(layout, t, &x, p->terms, &p->row);
}
SG_INLINE void FN(label_rows)(int layout, int grad, int hess, const FN(tile) *t, FN(label_parts) *p) {
    const sg_call *c = t->call;
    const FN(targets) *y = &p->y;
    if (p->empty) {
        FN(put_loss)(t, y, FN(zero)());
        return;
    }
    const FN(stats) *row = &p->row;
    const vreal target = FN(target_of)(layout, t, p->target, row->offset);
    const wide own = FN(wide_of)(y->own);
    wide lse = FN(zero)();
    if (!grad || FN(needs_log)(c)) {
        wide log = FN(log_ratio)(row->others, row->top);
        wide loss = FN(wide_add)(FN(wide_sub)(FN(wide_of)(row->max), FN(wide_of)(target)), log);
        if (!y->unweighted) loss = FN(weigh)(own, loss);
        if (c->z_loss != 0) {
            lse = FN(lse_of)(row, log);
            loss = FN(wide_add)(loss, FN(z_loss)(c, y, lse));
        }
        if (c->sample_weight) loss = FN(weigh)(FN(wide_of)(y->sample), loss);
        FN(put_loss)(t, y, loss);
    }
    if (!grad) return;

    const wide sum = FN(wide_add)(row->others, row->top), inverse = FN(inverse)(sum),
               unit = FN(row_unit)(t, y);
    /* at the label: (2 z lse e_t - a others_t) / sum; others_t is the sum without e_t */
    wide e = FN(wide_term)(target, FN(limits_of)(row->max));
    wide rest = FN(wide_select)(veq(target, row->max), row->others, FN(wide_sub)(sum, e));
    wide slope = own, top = FN(wide_sub)(FN(zero)(), y->unweighted ? rest : FN(wide_mul)(own, rest));
    if (c->z_loss != 0) {
        const wide z = FN(z_slope)(c, y, lse);
        slope = FN(wide_add)(slope, z);
        top = FN(wide_add)(top, FN(wide_mul)(z, e));
    }
    p->inverse = inverse;
    p->slope = y->unweighted && c->z_loss == 0 ? unit : FN(wide_mul)(slope, unit);
    p->entry = FN(wide_round)(FN(label_entry)(top, inverse, unit));
    if (hess) FN(both_of)(t, row, p->slope, inverse, &p->both);
    else if (t->n <= BLOCK_N) p->factor = FN(factor_of)(FN(wide_mul)(p->slope, inverse), vset1(-HEADROOM));
}
SG_INLINE void FN(label_results)(int layout, int grad, int hess, const FN(tile) *t,
                                 const FN(label_parts) *p) {
    const sg_call *c = t->call;
    if (!grad) return;
    if (FN(in_blocks)(layout, t) && !p->empty) {
        FN(scale_blocks)(layout, t, p->terms, p->to, &c->out, p->Ms, p->row.M,
                         FN(wide_mul)(p->slope, p->inverse));
        real entry[VL];
        vstore(entry, p->entry);
        FN(write_row)(t, &c->out, p->y.at[0], 1, entry);
        return;
    }
    const int done = layout == LAYOUT_SHORT && !hess && p->factor.plain;
    if (done) FN(scale_with_labels)(p->terms, p->to, t->n, p->factor, &p->y, p->entry);
    if (!p->empty && !done) {
        if (hess && p->both.simple)
            FN(scale_rows_both)(layout, 1, t, p->terms, p->to, p->curvature, &p->both, &p->y, p->entry);
        else if (hess)
            FN(scale_rows_both)(layout, 0, t, p->terms, p->to, p->curvature, &p->both, &p->y, p->entry);
        else if (t->n <= BLOCK_N) FN(scale_tile)(layout, t, p->terms, p->to, t->n, p->factor);
        else
            FN(scale_blocks)(layout, t, p->terms, p->to, NULL, p->Ms, p->row.M,
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
#define LABELS(kernel, grad, hess)                                                                   \
    typedef FN(label_parts) FN(kernel##_parts);                                                      \
    SG_INLINE int FN(kernel##_terms)(int layout, const FN(tile) *t, real *buffer, real *hess_buffer, \
                                     FN(label_parts) *p) {                                           \
        return FN(label_terms)(layout, grad, hess, t, buffer, hess_buffer, p);                       \
    }                                                                                                \
    SG_INLINE void FN(kernel##_rows)(int layout, const FN(tile) *t, FN(label_parts) *p) {            \
        FN(label_rows)(layout, grad, hess, t, p);                                                    \
    }                                                                                                \
    SG_INLINE void FN(kernel##_results)(int layout, const FN(tile) *t, const FN(label_parts) *p) {   \
        FN(label_results)(layout, grad, hess, t, p);                                                 \
    }                                                                                                \
    IN_PARTS(kernel, SG_ANY_ORDER)
LABELS(label_loss, 0, 0)
LABELS(label_grad, 1, 0)
LABELS(label_hess, 1, 1)
#undef LABELS

/* The target weights of vector v but for the sample weight and the label: w (p y + q) with smoothing e:
 * p = 1 - e, q = e / C. */
typedef struct {
    FN(view) y;         /* probabilities; p NULL: there are none */
    const real *weight; /* or NULL */
    vreal p, q;
} FN(weights);

SG_NOINLINE FN(weights) FN(weights_of)(int layout, const FN(tile) *t, real *buffer) {
    const sg_call *c = t->call;
    FN(weights) w = {{NULL, 0, 0}, c->weight, vset1(1), vset1(0)};
    if (!c->labels) w.y = FN(open)(layout, t, &c->g, buffer);
    if (c->label_smoothing != 0) {
        w.p = vset1((real)(1 - c->label_smoothing));
        w.q = vset1((real)c->label_smoothing / (real)t->n);
    }
    return w;
}
SG_BODY vreal FN(weight_at)(int layout, int full, const FN(weights) *w, ptrdiff_t v, ptrdiff_t n) {
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

/* distance = sum_k a_k (max - x_k) and weight = sum_k a_k, but for the sample weight. */
SG_INLINE void FN(weigh_row)(int layout, const FN(tile) *t, const FN(weights) *weights, FN(view) x, vreal max,
                             wide *distance, wide *weight) {
    wide far[4 * VL], total[4 * VL];
    FN(clear_chains)(layout, far);
    FN(clear_chains)(layout, total);
    SG_EACH(layout, t->n, FN(chains)(layout), {
        vreal a = FN(weight_at)(layout, full, weights, v, t->n), b = FN(read)(layout, full, x, v, t->n, 0);
        b = vselect(veq(a, vset1(0)), max, b); /* what does not count has no distance: 0 inf = 0 */
        far[l] = FN(wide_fma_difference)(far[l], a, max, b);
        total[l] = FN(wide_fma)(total[l], a, vset1(1));
    });
    *distance = FN(fold_chains)(layout, far);
    *weight = FN(fold_chains)(layout, total);
}

/* The general way: any targets, any options; with `grad`, and with `hess` of it. */
SG_INLINE int FN(general_tile_of)(int layout, int grad, int hess, const FN(tile) *t) {
    const sg_call *c = t->call;
    FN(targets) y;
    FN(targets_of)(layout, 0, t, &y);
    TILE_BUFFER(buffer, 0);
    TILE_BUFFER(y_buffer, 1);
    TILE_BUFFER(hess_buffer, 2);
    FN(view) to = {buffer, VL, 0}, curvature = {hess_buffer, VL, 0};
    if (grad) to = FN(open_out)(layout, t, &c->out, buffer);
    if (hess) curvature = FN(open_out)(layout, t, &c->hess, hess_buffer);
    if (layout == LAYOUT_ACROSS && !y.any) {
        FN(put_loss)(t, &y, FN(zero)());
        SG_EACH(layout, t->n, 4, {
            if (grad) FN(write)(layout, full, to, v, t->n, vset1(0));
            if (hess) FN(write)(layout, full, curvature, v, t->n, vset1(0));
        });
        if (grad) FN(close_out)(layout, t, &c->out, to);
        if (hess) FN(close_out)(layout, t, &c->hess, curvature);
        return 1;
    }
    SG_ALIGN64 real at_label[VL];
    FN(at_labels)(t, &y, at_label);
    const FN(view) spare = FN(open_terms)(layout, to, buffer);
    FN(view) x = FN(open_logits)(layout, t, buffer, spare);
    FN(weights) weights = FN(weights_of)(layout, t, y_buffer);
    FN(stats) row;
    wide distance = FN(zero)(), weight = FN(zero)();
    /* Rows of one block keep their terms where the gradient is to be; what needs the logits comes before. Rows that are
     * longer or far compute them twice, to the same bits. */
    vreal max = grad && t->n <= BLOCK_N ? FN(max_of)(layout, x, t->n) : vset1(REAL_INF);
    const int keep = !many(FN(is_far)(max));
    if (keep) {
        FN(weigh_row)(layout, t, &weights, x, max, &distance, &weight);
        if (!FN(grad_stats)(layout, t, &x, spare, spare, NULL, &row)) return 0;
    } else {
        if (!FN(log_stats)(layout, t, &x, spare, &row)) return 0;
        FN(weigh_row)(layout, t, &weights, x, row.max, &distance, &weight);
    }
    const vreal target = FN(target_of)(LAYOUT_ACROSS, t, at_label, row.offset);
    const wide log = FN(needs_log)(c) ? FN(log_ratio)(row.others, row.top) : FN(zero)(),
               lse = FN(lse_of)(&row, log);
    wide loss = FN(wide_add)(distance, FN(wide_mul)(weight, log)), label = FN(zero)();
    if (c->labels) {
        label = FN(wide_mul)(FN(wide_of)(weights.p), FN(wide_of)(y.own));
        wide d = FN(wide_add)(FN(wide_sub)(FN(wide_of)(row.max), FN(wide_of)(target)), log);
        loss = FN(wide_add)(loss, FN(weigh)(label, d));
    }
    loss = FN(wide_add)(loss, FN(z_loss)(c, &y, lse));
    FN(put_loss)(t, &y, FN(weigh)(FN(wide_of)(y.sample), loss));
    if (!grad) return 1;

    const wide sum = FN(wide_add)(row.others, row.top), inverse = FN(inverse)(sum);
    const wide unit = FN(row_unit)(t, &y);
    const wide z = FN(z_slope)(c, &y, lse), A = FN(wide_add)(FN(wide_add)(weight, label), z);
    const wide slope = FN(wide_mul)(A, unit), T = FN(wide_set1)(c->temperature, 0);
    const wide rest_unit = FN(wide_mul)(FN(wide_div)(row.others, sum), unit);
    const vreal K = vset1(-HEADROOM), to_one = vset1(REAL_TO_ONE), zero = vset1(0);
    const vreal A_hi = FN(wide_round)(A), A_lo = FN(wide_rest)(A, A_hi);
    const vreal rest_hi = FN(wide_round)(rest_unit), rest_lo = FN(wide_rest)(rest_unit, rest_hi);
    const FN(limits) limits = FN(limits_of)(row.max);
    const vreal e_top = FN(wide_round)(row.top);
    const FN(factor) to_grad = FN(factor_of)(FN(wide_mul)(slope, inverse), K);
    const FN(factor) to_s = FN(factor_of)(inverse, K), per_unit = FN(factor_of)(unit, zero);
    /* at the maximum, of e 2^-HEADROOM: the other factor, A - a, may be as large as a real can be */
    const FN(factor) to_top = FN(factor_of)(FN(wide_mul)(unit, inverse), zero);
    const FN(factor) to_hess = FN(factor_of)(FN(wide_div)(FN(wide_mul)(slope, inverse), T), K);
    const wide z2_wide = FN(wide_div)(FN(wide_mul)(FN(wide_twice)(FN(z_weight)(c, &y)), unit), T);
    const vreal z2 = FN(wide_round)(z2_wide);
    /* the maximum's own curvature, whole: slope s (others / sum) / T + 2 z s^2 */
    const wide s_top = FN(wide_div)(row.top, sum);
    const vreal hess_top = FN(wide_round)(
        FN(wide_add)(FN(wide_div)(FN(wide_mul)(FN(wide_mul)(FN(wide_div)(slope, T), s_top), row.others), sum),
                     c->z_loss == 0 ? FN(zero)() : FN(wide_mul)(z2_wide, FN(wide_mul)(s_top, s_top))));
    SG_EACH(layout, t->n, 4, {
        vreal a = FN(weight_at)(layout, full, &weights, v, t->n), e;
        if (keep) {
            e = FN(read)(layout, full, spare, v, t->n, 0);
        } else {
            vreal b = FN(read)(layout, full, x, v, t->n, 0), scale, frac;
            FN(exp_terms)(vselect(vlt(row.max, b), row.max, b), limits, &scale, &frac);
            e = vfma(scale, frac, scale);
        }
        vmask at_top = veq(e, e_top);
        vreal eg = vmul(e, to_grad.pre), left = vmul(vmul(e, to_one), vadd(vsub(A_hi, a), A_lo));
        vreal minus_a = vsub(zero, vmul(vmul(a, per_unit.pre), per_unit.hi));
        vreal plain = vfma(eg, to_grad.hi, vfma(eg, to_grad.lo, minus_a));
        vreal top = vfnma(a, rest_hi, vfnma(a, rest_lo, FN(times_any)(left, to_top)));
        /* with labels the one entry that cancels is the label's, below */
        FN(write)(layout, full, to, v, t->n, c->labels ? plain : vselect(at_top, top, plain));
        if (hess) {
            vreal es = vmul(e, to_s.pre);
            vreal others = vfnma(es, to_s.lo, vfnma(es, to_s.hi, vset1(1)));
            vreal r = vmul(FN(times_any)(e, to_hess), others);
            if (c->z_loss != 0) {
                vreal s = FN(times)(es, to_s);
                r = vfma(vmul(s, s), z2, r);
            }
            FN(write)(layout, full, curvature, v, t->n, vselect(at_top, hess_top, r));
        }
    });
    if (c->labels) {
        /* the label's entry, whole: (A - a_t) e_t - a_t others_t, a_t = label + smooth, A - a_t = weight - smooth + 2 z lse */
        wide e = FN(wide_term)(target, limits);
        wide others = FN(wide_select)(veq(target, row.max), row.others, FN(wide_sub)(sum, e));
        wide smooth = FN(wide_of)(vmul(weights.q, y.own));
        wide a = FN(wide_add)(label, smooth), left = FN(wide_add)(FN(wide_sub)(weight, smooth), z);
        wide entry_top = FN(wide_sub)(FN(wide_mul)(left, e), FN(wide_mul)(a, others));
        wide entry = FN(label_entry)(entry_top, inverse, unit);
        FN(put_at_labels)(layout, t, to, &y, FN(wide_round)(entry));
    }
    if (!y.all) FN(clear_ignored)(layout, t, &y, to);
    FN(close_out)(layout, t, &c->out, to);
    if (hess) {
        if (!y.all) FN(clear_ignored)(layout, t, &y, curvature);
        FN(close_out)(layout, t, &c->hess, curvature);
    }
    return 1;
}

SG_INLINE int FN(general_tile)(int layout, const FN(tile) *t) {
    const sg_call *c = t->call;
    return FN(general_tile_of)(layout, c->out.data != NULL, c->hess.data != NULL, t);
}
BOTH_LAYOUTS(general, SG_FIXED_ORDER)

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
static void FN(total_weight)(const sg_call *c, double total[2]) {
    const real *w = c->labels ? c->weight : NULL, *sample = c->sample_weight;
    double sum = 0, error = 0;
    for (ptrdiff_t r = 0; r < c->outer * c->inner; r++) {
        int64_t label = c->labels ? c->labels[r] : 0;
        if (c->labels && (label == c->ignore_index || (uint64_t)label >= (uint64_t)c->n)) continue;
        double b = (w ? (double)w[label] : 1.0) * (sample ? (double)sample[r] : 1.0);
        double s = sum + b, z = s - sum;
        error += (sum - (s - z)) + (b - z);
        sum = s;
    }
    total[0] = sum;
    total[1] = sum - sum == 0 ? error : 0;
}
