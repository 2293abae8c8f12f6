/* stats.h - one look at a row: its maximum, the sum of the other exponentials, the exponentials
 * themselves if they are wanted. Every function of logits starts here. Included once per dtype, no
 * include guard.
 *
 * With M the integer of exp.h, all terms are e_i = exp(x_i) 2^-M. The sum leaves out the first maximum k: `others` is
 * the sum over i != k of e_i, `top` is e_k. Their sum has no cancellation, and log(sum / top) = log1p(others / top)
 * keeps the digits of a tiny `others`. Each block has an M of its own; merging scales by powers of two, exactly. */

typedef struct {
    vreal max;    /* of the logits used: after `offset` was taken off */
    vreal M;      /* of the row */
    vreal offset; /* the maximum of a far row, otherwise 0: the logits used are x - offset */
    wide others, top;
} FN(stats);

/* The maximum of a row across the lanes, in every lane; NaN is passed over, -inf if there is nothing else. */
SG_NOINLINE vreal FN(max_across)(FN(view) x, ptrdiff_t n) {
    const vreal none = vset1(-REAL_INF);
    vreal m[4] = {none, none, none, none};
    SG_EACH(LAYOUT_ACROSS, n, 4, { m[l] = vmax(FN(read)(LAYOUT_ACROSS, full, x, v, n, -REAL_INF), m[l]); });
    m[0] = vmax(vmax(m[0], m[1]), vmax(m[2], m[3]));
    for (int k = VL / 2; k > 0; k /= 2) m[0] = vmax(m[0], vxor(m[0], k));
    return m[0];
}
/* The same of rows in lanes; the second also finds the class of the first maximum, -1 for none. */
SG_NOINLINE vreal FN(max_lanes)(FN(view) x, ptrdiff_t n) {
    vreal m = vset1(-REAL_INF);
    for (ptrdiff_t i = 0; i < n; i++) m = vmax(vload(x.p + i * x.step), m);
    return m;
}
SG_NOINLINE vreal FN(max_lanes_first)(FN(view) x, ptrdiff_t n, vreal *first) {
    vreal m = vset1(-REAL_INF), at = vset1(-1), index = vset1(0);
    for (ptrdiff_t i = 0; i < n; i++) {
        vreal a = vload(x.p + i * x.step);
        at = vselect(vlt(m, a), index, at);
        m = vmax(a, m);
        index = vadd(index, vset1(1));
    }
    *first = at;
    return m;
}
SG_INLINE vreal FN(max_of)(int layout, FN(view) x, ptrdiff_t n) {
    return layout == LAYOUT_ACROSS ? FN(max_across)(x, n) : FN(max_lanes)(x, n);
}

/* Across: the first class of value `max`, or -1. */
SG_NOINLINE ptrdiff_t FN(find)(FN(view) x, ptrdiff_t n, vreal max) {
    for (ptrdiff_t v = 0; v * VL < n; v++) {
        vmask hit = veq(FN(get)(LAYOUT_ACROSS, x, v, n, -REAL_INF), max);
        if (many(hit)) {
            ptrdiff_t k = v * VL + mfirst(hit);
            return k < n ? k : -1;
        }
    }
    return -1;
}

/* The term of one vector: e = scale (1 + frac), rounded, to memory if it is wanted; e and its rounding error to the
 * sum, but for the lanes of `skip`. */
SG_BODY void FN(add_term)(int layout, int full, int keep, FN(view) x, FN(view) e, ptrdiff_t v, ptrdiff_t n,
                          FN(limits) k, int with_skip, vreal skip, FN(sum) *total) {
    vreal scale, frac;
    FN(exp_terms)(FN(read)(layout, full, x, v, n, -REAL_INF), k, &scale, &frac);
    vreal term = vfma(scale, frac, scale);
    vreal rest = vfma(scale, frac, vsub(scale, term));
    if (keep) FN(write)(layout, full, e, v, n, term);
    if (with_skip) {
        vreal here = vset1((real)(layout == LAYOUT_ACROSS ? v * VL : v));
        if (layout == LAYOUT_ACROSS) here = vadd(here, viota());
        vmask out = veq(here, skip);
        term = vselect(out, vset1(0), term);
        rest = vselect(out, vset1(0), rest);
    }
    FN(sum_add)(total, term, rest);
}

/* A block of n <= BLOCK_N classes: the sum of its terms; SG_WITHOUT_MAX: without class `skip` of each
 * lane's row (across: of the one row, also given as an integer; -1: none). */
SG_INLINE wide FN(exp_sum)(int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t n, FN(limits) k,
                           vreal skip, ptrdiff_t skip_across) {
    const int phases = FN(phases)(layout);
    const ptrdiff_t lanes = layout == LAYOUT_ACROSS ? VL : 1; /* classes a vector */
    const int skipping = mode == SG_WITHOUT_MAX;
    wide total[VL];
    for (int l = 0; l < phases; l++) {
        FN(sum) running = FN(sum_zero)();
        ptrdiff_t v = l;
        for (; (v + 3 * phases + 1) * lanes <= n; v += 4 * phases) {
            if (skipping && (layout != LAYOUT_ACROSS || (size_t)(skip_across - v * lanes) < 4 * VL))
                for (int j = 0; j < 4; j++)
                    FN(add_term)(layout, 1, keep, x, e, v + j * phases, n, k, 1, skip, &running);
            else
                for (int j = 0; j < 4; j++)
                    FN(add_term)(layout, 1, keep, x, e, v + j * phases, n, k, 0, skip, &running);
        }
        for (; v * lanes < n; v += phases)
            FN(add_term)(layout, 0, keep, x, e, v, n, k, skipping, skip, &running);
        total[l] = FN(sum_total)(running);
    }
    return FN(fold)(layout, total);
}

/* The term of one number a lane, wide. */
SG_NOINLINE wide FN(wide_term)(vreal x, FN(limits) k) {
    vreal scale, frac;
    FN(sum) one = FN(sum_zero)();
    FN(exp_terms)(x, k, &scale, &frac);
    vreal term = vfma(scale, frac, scale);
    FN(sum_add)(&one, term, vfma(scale, frac, vsub(scale, term)));
    return FN(sum_total)(one);
}

/* Two blocks, or the row so far and its next block. */
SG_NOINLINE void FN(merge)(FN(stats) *a, const FN(stats) *b) {
    vmask newer = vlt(a->max, b->max);
    vreal M = vmax(a->M, b->M);
    vreal da = vsub(a->M, M), db = vsub(b->M, M);
    wide a_top = FN(wide_lower)(a->top, da), b_top = FN(wide_lower)(b->top, db);
    wide others = FN(wide_add)(FN(wide_lower)(a->others, da), FN(wide_lower)(b->others, db));
    a->others = FN(wide_add)(others, FN(wide_select)(newer, a_top, b_top));
    a->top = FN(wide_select)(newer, b_top, a_top);
    a->max = vmax(b->max, a->max);
    a->M = M;
}

/* A row is far if its maximum is so large that x log2(e) has too few digits after the point; +inf too. */
SG_INLINE vmask FN(is_far)(vreal max) {
    return mor(vlt(vset1(REAL_FAR), max), mand(vlt(max, vset1(-REAL_FAR)), vlt(vset1(-REAL_INF), max)));
}

/* Far rows become x - max, exact where the exponential is not 0; their maxima 0, infinite ones too. */
SG_INLINE void FN(shift_far)(int layout, FN(view) x, FN(view) to, ptrdiff_t n, vreal max) {
    vmask far = FN(is_far)(max);
    for (ptrdiff_t v = 0; v < FN(vectors)(layout, n); v++) {
        vreal a = FN(get)(layout, x, v, n, 0);
        vreal d = vselect(veq(a, max), vset1(0), vsub(a, max));
        FN(put)(layout, to, v, n, vselect(far, d, a));
    }
}

/* Across, for what keeps nothing of a row: its logits block by block, as they stand, or in a buffer of one block.
 * `offset` is the maximum of a far row, otherwise 0. */
SG_NOINLINE FN(view) FN(logits_block)(const FN(tile) *t, ptrdiff_t b, ptrdiff_t n, vreal offset) {
    const sg_array *a = &t->call->x;
    const real *p = FN(row_start)(t->call, a, t->row) + b * a->axis;
    const int far = many(FN(is_far)(offset));
    if (a->axis == 1 && t->call->temperature == 1 && !far) return (FN(view)){(real *)p, VL};
    const FN(view) block = {FN(row_buffer)(t, 0), VL};
    for (ptrdiff_t i = 0; i < n; i++) block.p[i] = p[i * a->axis];
    if (t->call->temperature != 1) FN(divide)(LAYOUT_ACROSS, block, block, n, (real)t->call->temperature);
    if (far) FN(shift_far)(LAYOUT_ACROSS, block, block, n, offset);
    return block;
}
SG_NOINLINE vreal FN(max_by_block)(const FN(tile) *t) {
    vreal max = vset1(-REAL_INF);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = t->n - b < BLOCK_N ? t->n - b : BLOCK_N;
        max = vmax(FN(max_across)(FN(logits_block)(t, b, n, vset1(0)), n), max);
    }
    return max;
}

/* Replace x by its view of the logits used, in `to`. */
SG_NOINLINE void FN(use_shifted)(int layout, FN(view) *x, FN(view) to, ptrdiff_t n, vreal max,
                                 FN(stats) *row) {
    FN(shift_far)(layout, *x, to, n, max);
    row->offset = vselect(FN(is_far)(max), max, vset1(0));
    *x = to;
}

/* One block's statistics, and its terms to e. */
SG_INLINE void FN(block_stats)(int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t n, vreal max,
                               vreal first, FN(stats) *block) {
    ptrdiff_t k = -1;
    if (layout == LAYOUT_ACROSS && mode == SG_WITHOUT_MAX) {
        k = FN(find)(x, n, max);
        first = vset1((real)k);
    }
    FN(limits) limits = FN(limits_of)(max);
    block->max = max;
    block->M = limits.M;
    block->others = FN(exp_sum)(layout, keep, mode, x, e, n, limits, first, k);
    block->top = FN(zero)();
    if (mode == SG_WITHOUT_MAX) block->top = FN(wide_term)(max, limits);
}

/* The statistics of a tile. Where a row is far, x becomes the view of the logits used, in `far_to`; across and with
 * nothing kept that may be absent: then x is not used, and the row is read block by block. With `keep` the terms go to
 * e, which may be x, and the M of block b to Ms[b]. The row's maximum alone decides whether it is far: a block that
 * shows it starts the row again. Not for far rows in the long layout: then returns 0, x is as it was. */
SG_INLINE int FN(stats_inline)(int layout, int keep, int mode, const FN(tile) *t, FN(view) *x, FN(view) e,
                               FN(view) far_to, vreal *Ms, FN(stats) *row) {
    const ptrdiff_t n = t->n;
    const int by_block = layout == LAYOUT_ACROSS && !keep && !far_to.p;
    vreal first = vset1(-1);
    row->offset = vset1(0);
    if (n > BLOCK_N && keep && e.p == x->p) {
        /* in place the terms of a block replace its logits: no starting again, so look first */
        vreal max = FN(max_of)(layout, *x, n);
        if (SG_UNLIKELY(many(FN(is_far)(max)))) {
            if (layout == LAYOUT_LONG) return 0;
            FN(use_shifted)(layout, x, far_to, n, max, row);
        }
    }
    for (ptrdiff_t b = 0; b < n; b += BLOCK_N) {
        const ptrdiff_t m = n - b < BLOCK_N ? n - b : BLOCK_N;
        const ptrdiff_t v = layout == LAYOUT_ACROSS ? b / VL : b;
        FN(view) xb = {x->p, x->step}, eb = {e.p, e.step};
        if (by_block) xb = FN(logits_block)(t, b, m, row->offset);
        else xb.p += v * x->step;
        if (keep) eb.p += v * e.step;
        FN(stats) block;
        vreal max = layout != LAYOUT_ACROSS && mode == SG_WITHOUT_MAX ? FN(max_lanes_first)(xb, m, &first)
                                                                      : FN(max_of)(layout, xb, m);
        vmask far = vlt(vset1(REAL_FAR), max);
        if (b + m == n) far = mor(far, FN(is_far)(b == 0 ? max : vmax(max, row->max)));
        if (SG_UNLIKELY(many(far))) {
            if (layout == LAYOUT_LONG) return 0;
            if (by_block) row->offset = FN(max_by_block)(t);
            else FN(use_shifted)(layout, x, far_to, n, FN(max_of)(layout, *x, n), row);
            b = -BLOCK_N;
            continue;
        }
        FN(block_stats)(layout, keep, mode, xb, eb, m, max, first, &block);
        if (keep && n > BLOCK_N) Ms[b / BLOCK_N] = block.M;
        if (b == 0) {
            row->max = block.max;
            row->M = block.M;
            row->others = block.others;
            row->top = block.top;
        } else {
            FN(merge)(row, &block);
        }
    }
    return 1;
}

/* The instances: what is kept, and which sum; each once, whatever kernel asks. */
#define STATS_PARAMETERS \
    const FN(tile) *t, FN(view) *x, FN(view) e, FN(view) far_to, vreal *Ms, FN(stats) *row
#define STATS_INSTANCE(name, layout, keep, mode)                               \
    SG_NOINLINE int FN(name)(STATS_PARAMETERS) {                               \
        return FN(stats_inline)(layout, keep, mode, t, x, e, far_to, Ms, row); \
    }
STATS_INSTANCE(softmax_stats_across, LAYOUT_ACROSS, 1, SG_WITH_ALL)
STATS_INSTANCE(softmax_stats_short, LAYOUT_SHORT, 1, SG_WITH_ALL)
STATS_INSTANCE(softmax_stats_long, LAYOUT_LONG, 1, SG_WITH_ALL)
STATS_INSTANCE(log_stats_across, LAYOUT_ACROSS, 0, SG_WITHOUT_MAX)
STATS_INSTANCE(log_stats_short, LAYOUT_SHORT, 0, SG_WITHOUT_MAX)
STATS_INSTANCE(log_stats_long, LAYOUT_LONG, 0, SG_WITHOUT_MAX)
STATS_INSTANCE(grad_stats_across, LAYOUT_ACROSS, 1, SG_WITHOUT_MAX)
STATS_INSTANCE(grad_stats_short, LAYOUT_SHORT, 1, SG_WITHOUT_MAX)
STATS_INSTANCE(grad_stats_long, LAYOUT_LONG, 1, SG_WITHOUT_MAX)

/* For softmax: the terms to e, the sum of them all. */
SG_INLINE int FN(softmax_stats)(int layout, STATS_PARAMETERS) {
    return (layout == LAYOUT_ACROSS  ? FN(softmax_stats_across)
            : layout == LAYOUT_SHORT ? FN(softmax_stats_short)
                                     : FN(softmax_stats_long))(t, x, e, far_to, Ms, row);
}
/* For what needs a logarithm only: no terms are kept, the maximum apart. */
SG_INLINE int FN(log_stats)(int layout, const FN(tile) *t, FN(view) *x, FN(view) far_to, FN(stats) *row) {
    return (layout == LAYOUT_ACROSS  ? FN(log_stats_across)
            : layout == LAYOUT_SHORT ? FN(log_stats_short)
                                     : FN(log_stats_long))(t, x, far_to, far_to, NULL, row);
}
/* For what needs both. */
SG_INLINE int FN(grad_stats)(int layout, STATS_PARAMETERS) {
    return (layout == LAYOUT_ACROSS  ? FN(grad_stats_across)
            : layout == LAYOUT_SHORT ? FN(grad_stats_short)
                                     : FN(grad_stats_long))(t, x, e, far_to, Ms, row);
}
#undef STATS_PARAMETERS
#undef STATS_INSTANCE
