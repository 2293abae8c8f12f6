/* stats.h - one look at a row: its maximum, the sum of the other exponentials, the exponentials
 * themselves if they are wanted. Every function of logits starts here. Included once per dtype, no
 * include guard.
 *
 * With M the integer of exp.h, all terms are e_i = exp(x_i) 2^-M. For logarithms and gradients the sum leaves out one
 * maximum k: `others` is the sum over i != k of e_i, `top` is e_k. Their sum has no cancellation, and
 * log(sum / top) = log1p(others / top) keeps the digits of a tiny `others`. Its sum is relative to the second largest
 * logit, so that it has all its digits however far below the maximum it is. Each block has an M of its own; merging
 * scales by powers of two, exactly. */

typedef struct {
    vreal max;    /* of the logits used: after `offset` was taken off */
    vreal M;      /* of the row */
    vreal offset; /* the maximum of a far row, otherwise 0: the logits used are x - offset */
    wide others, top;
    vreal e_top; /* top as it stands among the terms: not what top rounds to, which is rounded twice */
    wide distance, weight; /* with `weigh`: sum a_k (max - x_k), sum a_k */
} FN(stats);
_Static_assert(sizeof(FN(stats)) <= SG_STATS_BYTES, "a team has room for one of each block");

/* What a kernel sums up of its targets beside the sum of the exponentials: of classes [begin, begin + n), whose logits are x and
 * their largest one `max`. */
typedef void FN(weigher)(const FN(tile) *t, const void *weights, FN(view) x, ptrdiff_t begin, ptrdiff_t n,
                         vreal max, wide *distance, wide *weight);

/* A look at the rows of a tile: what it is given, and what it finds. Where a row is far, x becomes the view of the logits used, in `far_to`.
 * If x.p is NULL one row across is read block by block, and `far_to` holds a block. Where terms are kept they go to e, which may be x,
 * and the M of block b to Ms[b]; else e is where results will go, or nowhere. */
typedef struct {
    FN(view) x, e, far_to;
    vreal *Ms;
    FN(weigher) *weigh; /* or NULL; with `weights`, which are its own */
    const void *weights;
    FN(stats) row;
} FN(look);

SG_INLINE FN(largest) FN(larger)(int mode, FN(largest) a, FN(largest) b) {
    if (mode == SG_WITHOUT_MAX) a.second = vmax(vmax(a.second, b.second), vmin(a.max, b.max));
    a.max = vmax(a.max, b.max);
    return a;
}
SG_INLINE void FN(add_largest)(int mode, FN(largest) *m, vreal a) {
    if (mode == SG_WITHOUT_MAX) m->second = vmax(vmin(a, m->max), m->second);
    m->max = vmax(a, m->max);
}
SG_INLINE FN(largest) FN(largest_lanes)(int mode, FN(view) x, ptrdiff_t n) {
    const vreal none = vset1(-REAL_INF);
    FN(largest) m[4] = {{none, none}, {none, none}, {none, none}, {none, none}};
    SG_EACH(LAYOUT_SHORT, n, 4,
            { FN(add_largest)(mode, &m[full ? l : 0], FN(read)(LAYOUT_SHORT, full, x, v, n, 0)); });
    return FN(larger)(mode, FN(larger)(mode, m[0], m[1]), FN(larger)(mode, m[2], m[3]));
}
SG_INLINE FN(largest) FN(larger_lane)(int mode, FN(largest) m, int k) {
    return FN(larger)(mode, m, (FN(largest)){vxor(m.max, k), vxor(m.second, k)});
}
/* Across: of the lanes of one row. */
SG_INLINE FN(largest) FN(largest_in_lanes)(int chains, int mode, FN(view) x, ptrdiff_t n) {
    const vreal none = vset1(-REAL_INF);
    FN(largest) m[4] = {{none, none}, {none, none}, {none, none}, {none, none}};
    SG_EACH(LAYOUT_ACROSS, n, 4, {
        FN(add_largest)(mode, &m[full ? l % chains : 0], FN(read)(LAYOUT_ACROSS, full, x, v, n, -REAL_INF));
    });
    m[0] = FN(larger)(mode, m[0], m[1]);
    return chains == 2 ? m[0] : FN(larger)(mode, m[0], FN(larger)(mode, m[2], m[3]));
}
/* Of one row, in every lane. */
SG_INLINE FN(largest) FN(largest_of_lanes)(int mode, FN(largest) m) {
    if (VL == 16) m = FN(larger_lane)(mode, m, 8); /* a loop would not be unrolled, and k no literal */
    m = FN(larger_lane)(mode, m, 4);
    m = FN(larger_lane)(mode, m, 2);
    return FN(larger_lane)(mode, m, 1);
}
SG_INLINE FN(largest) FN(largest_across)(int mode, FN(view) x, ptrdiff_t n) {
    return FN(largest_of_lanes)(mode, FN(largest_in_lanes)(4, mode, x, n));
}
/* Of several rows, each in its lane (fold.h). */
SG_INLINE int FN(largest_step)(int k, int mode, FN(largest) m[], int count) {
    const vmask with = FN(lanes_with)(k);
    int i = 0;
    for (; 2 * i < count; i++) {
        const FN(largest) a = m[2 * i], b = m[2 * i + 1 < count ? 2 * i + 1 : 2 * i];
        FN(largest) own = a, other = b;
        FN(partners)(k, with, a.max, b.max, &own.max, &other.max);
        if (mode == SG_WITHOUT_MAX) FN(partners)(k, with, a.second, b.second, &own.second, &other.second);
        m[i] = FN(larger)(mode, own, other);
    }
    return i;
}
SG_INLINE FN(largest) FN(fold_largest)(int mode, FN(largest) m[], int rows) {
    rows = FN(largest_step)(1, mode, m, rows);
    rows = FN(largest_step)(2, mode, m, rows);
    rows = FN(largest_step)(4, mode, m, rows);
    if (VL == 16) FN(largest_step)(8, mode, m, rows);
    return m[0];
}
SG_INLINE FN(largest) FN(largest_of_rows)(int mode, const FN(tile) *t, int looked, FN(view) x, ptrdiff_t n) {
    if (looked && n <= SHORT_N) return t->looked->rows[0];
    FN(largest) m[VL];
    int r = 0, rows = t->rows;
    do m[r] = looked ? t->looked->rows[r] : FN(largest_in_lanes)(2, mode, FN(row_of)(x, r), n);
    while (++r < rows); /* a loop that gcc knows to begin */
    if (!looked && mode == SG_WITHOUT_MAX && n > SHORT_N) /* for exp_sum() */
        for (r = 0; r < rows; r++) t->looked->rows[r] = m[r];
    return FN(fold_largest)(mode, m, rows);
}
SG_INLINE FN(largest) FN(largest_of)(int layout, int mode, const FN(tile) *t, FN(view) x, ptrdiff_t n) {
    if (layout != LAYOUT_ACROSS) return FN(largest_lanes)(mode, x, n);
    const int looked = SG_LOOKS_AHEAD && t->looked->p == x.p && t->looked->row == t->row;
    if (t->rows > 1) return FN(largest_of_rows)(mode, t, looked, x, n);
    if (!looked) t->looked->rows[0] = FN(largest_in_lanes)(4, mode, x, n);
    return FN(largest_of_lanes)(mode, t->looked->rows[0]);
}
/* The maximum alone, of a tile with one row across. */
SG_NOINLINE vreal FN(max_across)(FN(view) x, ptrdiff_t n) {
    return FN(largest_across)(SG_WITH_ALL, x, n).max;
}
SG_INLINE vreal FN(max_of)(int layout, FN(view) x, ptrdiff_t n) {
    return layout == LAYOUT_ACROSS ? FN(max_across)(x, n) : FN(largest_lanes)(SG_WITH_ALL, x, n).max;
}

/* What the terms of a row, or of the rows in lanes, are computed with. */
typedef struct {
    FN(limits) limits;
    vreal max, second, anchor;
    FN(sum_less) less; /* what takes the maximum's term off, if it is the only one */
    ptrdiff_t ahead; /* where the logits that come next lie beside these: another tile's, another block's */
    real *next; /* logits to look at on the way; these if there are no others */
    FN(view) due, to; /* results to make on the way (results.h), if to.p is not NULL */
    vreal high, low;
} FN(plan);

/* Where the maximum's term is taken off a sum (layout.h). */
_Static_assert((int)SG_STAGED_N <= (int)SUM_GROUP && BLOCK_N / VL <= SUM_GROUP,
               "one sum a lane, where it is taken off");
_Static_assert((int)SHORT_N / VL <= (int)SUM_RUN, "one run a row of few classes across");

/* Terms are written this many vectors after their lines of the cache are asked for. Zen 4, us: what is not in the caches takes (300, 4096)
 * 590 for 700; what is, nothing. 32 and 128 are as good. */
enum { FN(write_ahead) = 64 };

/* The terms of u vectors, a literal: e = scale (1 + frac), rounded, to memory if they are wanted; and to the sum. The logits
 * that p->next has beside these are looked at, and results that are due are made: loads, maxima and stores find room beside the long chain
 * of an exponential, and leave most of the CPU idle alone. Zen 4, us: the look, softmax (300, 1000) 106 -> 97, with the gradient 125 -> 112, float64
 * 248 -> 233, (300, 4096) 395 -> 362; results.h has those of the other. In the middle they cost least: at the end of this function log_softmax (300,
 * 1000) takes 89 for 85, at its beginning 94. AVX2 has too few registers for the look: 1 to 10 % slower. */
SG_INLINE void FN(add_terms)(int u, int layout, int full, int keep, int mode, FN(view) x, FN(view) e,
                             ptrdiff_t v, ptrdiff_t n, const FN(plan) *p, FN(sum) *total, FN(largest) *next) {
    vreal scale[SG_SIDE_BY_SIDE], frac[SG_SIDE_BY_SIDE], term[SG_SIDE_BY_SIDE], a[SG_SIDE_BY_SIDE];
    vmask others[SG_SIDE_BY_SIDE];
    SG_UNROLL(j, u) a[j] = FN(read)(layout, full, x, v + j, n, -REAL_INF);
    if (layout != LAYOUT_SHORT)
        SG_UNROLL(j, u) SG_PREFETCH(x.p + (v + j) * FN(step_of)(layout, x) + p->ahead);
    if (layout != LAYOUT_SHORT) SG_UNROLL(j, u)
    SG_PREFETCH_WRITE(e.p + (v + j + (keep ? FN(write_ahead) : 0)) * FN(step_of)(layout, e));
    const int way = sg_max_term(layout, keep, mode);
    if (way == SG_PASSED_OVER) SG_UNROLL(j, u) others[j] = vnlt(p->second, a[j]);
    if (way == SG_REPLACED) SG_UNROLL(j, u) a[j] = vmin(p->second, a[j]);
    FN(exp_vectors)(u, a, p->limits, scale, frac);
    if (SG_LOOKS_AHEAD && layout == LAYOUT_ACROSS) {
        const FN(view) beside = {p->next, VL, 0};
        SG_UNROLL(j, u) FN(add_largest)(mode, next, FN(read)(layout, full, beside, v + j, n, -REAL_INF));
    }
    if (SG_POSTPONES && layout == LAYOUT_ACROSS && p->to.p) SG_UNROLL(j, u) {
            const vreal b = FN(read)(layout, full, p->due, v + j, n, 0);
            FN(write)(layout, full, p->to, v + j, n, FN(result)(keep, b, p->high, p->low));
        }
    SG_UNROLL(j, u) term[j] = vfma(scale[j], frac[j], scale[j]);
    if (keep) SG_UNROLL(j, u) FN(write)(layout, full, e, v + j, n, term[j]);
    SG_UNROLL(j, u) {
        if (way == SG_PASSED_OVER) FN(sum_add_if)(total, others[j], scale[j], frac[j], term[j]);
        else if (mode == SG_WITH_ALL) FN(sum_add_to_run)(total, scale[j], frac[j], term[j]);
        else FN(sum_add)(total, scale[j], frac[j], term[j]);
    }
}

/* A sum without terms, of `count` to come in each lane; one of all terms is in runs. */
SG_INLINE FN(sum) FN(empty_sum)(int mode, const FN(plan) *p, ptrdiff_t count) {
    const int runs = mode == SG_WITH_ALL;
    return FN(sum_begin)(runs, runs ? vset1(HEADROOM) : p->anchor, (int)count);
}
/* The terms of vectors [v, end), at most SUM_GROUP of them, added to a sum without; its last run has not ended. */
SG_INLINE FN(sum) FN(sum_group)(int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t v,
                                ptrdiff_t end, ptrdiff_t n, const FN(plan) *p, FN(sum) s, FN(largest) *next) {
    /* Terms that are kept, with results that are due, take more than 32 registers four at a time. Zen 4, us, by two: (300, 1000) softmax 82.3 ->
     * 80.5, loss + gradient 89.8 -> 87.8, float64 213 -> 204, 231 -> 219; (20000, 64) 569 -> 549; logarithms 1 % slower, long tiles in lanes 11 %. */
    const int u = keep && layout != LAYOUT_LONG && SG_SIDE_BY_SIDE > 2 ? 2 : SG_SIDE_BY_SIDE;
    const ptrdiff_t full = layout == LAYOUT_ACROSS ? n / VL : n, stop = end < full ? end : full;
    if (mode == SG_WITH_ALL && (int)SUM_RUN < (int)SUM_GROUP)
        for (; end - v > SUM_RUN; FN(sum_end_run)(&s))
            for (const ptrdiff_t to = v + SUM_RUN; v < to; v += u)
                FN(add_terms)(u, layout, 1, keep, mode, x, e, v, n, p, &s, next);
    for (; v + u <= stop; v += u) FN(add_terms)(u, layout, 1, keep, mode, x, e, v, n, p, &s, next);
    for (; v < stop; v++) FN(add_terms)(1, layout, 1, keep, mode, x, e, v, n, p, &s, next);
    if (layout == LAYOUT_ACROSS && v < end) FN(add_terms)(1, layout, 0, keep, mode, x, e, v, n, p, &s, next);
    return s;
}

/* A block of n <= BLOCK_N classes: the sum of its terms. */
SG_INLINE wide FN(sum_terms)(int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t n,
                             const FN(plan) *p, FN(largest) *next) {
    const ptrdiff_t vectors = FN(vectors)(layout, n);
    const int groups = layout == LAYOUT_LONG; /* others have one: the assertion above */
    FN(largest) largest = {vset1(-REAL_INF), vset1(-REAL_INF)};
    wide total = FN(zero)();
    for (ptrdiff_t v = 0; v < (groups ? vectors : 1); v += SUM_GROUP) {
        const ptrdiff_t end = groups && v + SUM_GROUP < vectors ? v + SUM_GROUP : vectors;
        const FN(sum) empty = FN(empty_sum)(mode, p, end - v);
        FN(sum) s = FN(sum_group)(layout, keep, mode, x, e, v, end, n, p, empty, &largest);
        if (sg_max_term(layout, keep, mode) == SG_TAKEN_OFF)
            FN(sum_take_off)(&s, veq(layout == LAYOUT_ACROSS ? next->max : p->max, p->max), p->less);
        if (mode == SG_WITH_ALL) FN(sum_end_run)(&s);
        const wide group = FN(sum_total)(&s);
        total = groups ? FN(sum_join)(total, group) : group;
    }
    if (SG_LOOKS_AHEAD && layout == LAYOUT_ACROSS) *next = largest;
    return FN(sum_close)(layout == LAYOUT_ACROSS, total);
}
SG_INLINE wide FN(exp_sum)(int layout, int keep, int mode, const FN(tile) *t, FN(view) x, FN(view) e,
                           ptrdiff_t n, const FN(plan) *p) {
    FN(largest) *const next = t->looked->rows;
    if (layout != LAYOUT_ACROSS || t->rows == 1) return FN(sum_terms)(layout, keep, mode, x, e, n, p, next);
    /* rows that go together have one group of terms; their sums are closed together, or in a loop of its own, in which rows overlap */
    const ptrdiff_t vectors = FN(vectors)(layout, n);
    const int narrow = n <= SHORT_N;
    const FN(lanes) low = FN(lanes_of)(p->limits.low), magic = FN(lanes_of)(p->limits.magic),
                    max = FN(lanes_of)(p->max), less_ints = FN(lanes_of)(p->less.ints),
                    less_rests = FN(lanes_of)(p->less.rests);
    const FN(sum) empty = FN(empty_sum)(mode, p, vectors);
    const FN(sum_lanes) begun = FN(sum_lanes_of)(&empty);
    FN(sum) sums[VL];
    FN(row_sums) few;
    FN(due) *const due = &t->looked->due;
    const int makes = SG_POSTPONES && due->rows > 0; /* of as many rows as these */
    const vreal zero = vset1(0);
    int r = 0;
    do {
        real *own = x.p + r * x.row, *below = r < t->after ? p->next + r * x.row : own;
        FN(largest) largest = {vset1(-REAL_INF), vset1(-REAL_INF)};
        const FN(plan) one = {{FN(spread)(layout, &low, r), FN(spread)(layout, &magic, r), p->limits.M},
                              p->max,
                              p->second,
                              p->anchor,
                              p->less,
                              p->ahead,
                              below,
                              makes ? FN(row_of)(due->x, r) : x,
                              makes ? FN(row_of)(due->out, r) : FN(nowhere)(),
                              makes ? vset1(due->high.lane[r]) : zero,
                              makes ? vset1(due->low.lane[r]) : zero};
        const FN(sum) start = mode == SG_WITH_ALL ? empty : FN(spread_sum)(&begun, r);
        FN(sum) s = FN(sum_group)(layout, keep, mode, FN(row_of)(x, r), FN(row_of)(e, r), 0, vectors, n, &one,
                                  start, &largest);
        if (sg_max_term(layout, keep, mode) == SG_TAKEN_OFF && !narrow) {
            const FN(sum_less) less = {FN(spread)(layout, &less_ints, r), FN(spread)(layout, &less_rests, r)};
            FN(sum_take_off)(&s, veq(next[r].max, FN(spread)(layout, &max, r)), less);
        }
        if (SG_LOOKS_AHEAD) next[r] = largest;
        if (makes && due->mended) FN(mend)(due, r);
        if (!narrow && mode == SG_WITH_ALL) FN(sum_end_run)(&s);
        if (narrow) FN(set_sum)(mode == SG_WITH_ALL, &few, r, &s);
        else sums[r] = s;
    } while (++r < t->rows);
    if (makes) due->rows = 0;
    /* Here nothing waits for it yet, and the maxima are not copied. Zen 4, us: softmax (20000, 64) 591 -> 563, log_softmax 718 -> 673. */
    if (SG_LOOKS_AHEAD && narrow && t->after > 1) FN(fold_largest)(mode, next, t->rows);
    if (narrow && mode == SG_WITH_ALL) {
        const FN(sum) runs = FN(sum_begin)(0, vset1(HEADROOM), VL); /* what they began with */
        return FN(total_of_rows)(&few, t->rows, &empty, (FN(sum_less)){vset1(0), runs.rests});
    }
    if (narrow) return FN(total_of_rows)(&few, t->rows, &empty, p->less);
    FN(wide_lanes) closed;
    for (r = 0; r < t->rows; r++) FN(set_wide_lane)(&closed, r, FN(sum_close)(1, FN(sum_total)(&sums[r])));
    return FN(wide_load)(closed.hi, closed.lo);
}

/* The term of one number a lane, wide; and as a sum sees it. */
SG_BODY wide FN(wide_term)(vreal x, FN(limits) k) {
    vreal scale, frac;
    FN(exp_terms)(x, k, &scale, &frac);
    return FN(wide_fma)(FN(wide_of)(scale), scale, frac);
}
SG_BODY wide FN(summed_term)(vreal x, const FN(plan) *p) {
    vreal scale, frac;
    FN(sum) one = FN(sum_begin)(0, p->anchor, 1);
    FN(exp_terms)(x, p->limits, &scale, &frac);
    FN(sum_add)(&one, scale, frac, vfma(scale, frac, scale));
    return FN(sum_close)(0, FN(sum_total)(&one));
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
    a->e_top = vselect(newer, b->e_top, a->e_top); /* whose M is that of the row */
    a->max = vmax(b->max, a->max);
    a->M = M;
}

/* coefficient * a, where 0 times an infinity is 0 */
SG_BODY wide FN(weigh)(wide coefficient, wide a) {
    const vreal r = FN(wide_round)(a), size = vmax(r, vsub(vset1(0), r));
    vmask nothing = mand(veq(FN(wide_round)(coefficient), vset1(0)), veq(size, vset1(REAL_INF)));
    return FN(wide_select)(nothing, FN(zero)(), FN(wide_mul)(coefficient, a));
}
/* What distances are from: no infinity, as a block of classes without weight may have no finite logit. */
SG_INLINE vreal FN(reference)(vreal max) { return vmax(vset1(-REAL_MAX), max); }
/* The same two, before they are merged: a distance from the larger maximum is that from the own, and the way between
 * them. */
SG_NOINLINE void FN(merge_weights)(FN(stats) *a, const FN(stats) *b) {
    const wide max = FN(wide_of)(FN(reference)(vmax(b->max, a->max)));
    const wide a_way = FN(wide_sub)(max, FN(wide_of)(FN(reference)(a->max))),
               b_way = FN(wide_sub)(max, FN(wide_of)(FN(reference)(b->max)));
    a->distance = FN(wide_add)(FN(wide_add)(a->distance, FN(weigh)(a->weight, a_way)),
                               FN(wide_add)(b->distance, FN(weigh)(b->weight, b_way)));
    a->weight = FN(wide_add)(a->weight, b->weight);
}

/* A row is far if its maximum is so large that x log2(e) has too few digits after the point; +inf too. */
SG_INLINE vmask FN(is_far)(vreal max) {
    return mor(vlt(vset1(REAL_FAR), max), mand(vlt(max, vset1(-REAL_FAR)), vlt(vset1(-REAL_INF), max)));
}

/* Far rows become x - max, exact where the exponential is not 0; their maxima 0, infinite ones too. */
SG_NOINLINE void FN(shift_far)(int layout, FN(view) x, FN(view) to, ptrdiff_t n, vreal max) {
    vmask far = FN(is_far)(max);
    for (ptrdiff_t v = 0; v < FN(vectors)(layout, n); v++) {
        vreal a = FN(get)(layout, x, v, n, 0);
        vreal d = vselect(veq(a, max), vset1(0), vsub(a, max));
        FN(put)(layout, to, v, n, vselect(far, d, a));
    }
}

/* One row across, for what keeps nothing of it: its logits block by block, as they stand, or in a buffer of one block.
 * `offset` is the maximum of a far row, otherwise 0. */
SG_NOINLINE FN(view)
    FN(logits_block)(const FN(tile) *t, FN(view) buffer, ptrdiff_t b, ptrdiff_t n, vreal offset) {
    const int far = many(FN(is_far)(offset));
    if (t->call->temperature == 1 && !far) return FN(open_block)(t, &t->call->x, b, n, buffer.p);
    FN(copy_row)(t, &t->call->x, b, n, buffer.p);
    if (t->call->temperature != 1) FN(divide)(LAYOUT_ACROSS, buffer, buffer, n, (real)t->call->temperature);
    if (far) FN(shift_far)(LAYOUT_ACROSS, buffer, buffer, n, offset);
    return buffer;
}
SG_NOINLINE vreal FN(max_by_block)(const FN(tile) *t, FN(view) buffer) {
    vreal max = vset1(-REAL_INF);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = t->n - b < BLOCK_N ? t->n - b : BLOCK_N;
        max = vmax(FN(max_across)(FN(logits_block)(t, buffer, b, n, vset1(0)), n), max);
    }
    return max;
}

/* Replace x by its view of the logits used, in `to`, which may be x: what was looked at is no more. */
SG_NOINLINE void FN(use_shifted)(int layout, const FN(tile) *t, FN(view) *x, FN(view) to, ptrdiff_t n,
                                 vreal max, FN(stats) *row) {
    FN(shift_far)(layout, *x, to, n, max);
    t->looked->p = NULL;
    row->offset = vselect(FN(is_far)(max), max, vset1(0));
    *x = to;
}

/* How far the logits of the next tile across are from this one's. */
SG_INLINE ptrdiff_t FN(to_next_tile)(const FN(tile) *t) {
    return t->rows * FN(stand)(LAYOUT_ACROSS, t, &t->call->x).row;
}
/* The logits of the next block, as many as those of this one from `begin` on, or NULL: of the rows that come next, or of the same
 * row. They must stand one as the other, not in a buffer; a division may have been in place. */
SG_INLINE real *FN(next_block)(const FN(tile) *t, FN(view) x, ptrdiff_t begin) {
    const sg_array *a = &t->call->x;
    if (!SG_LOOKS_AHEAD || t->call->temperature != 1 || !FN(is_direct)(LAYOUT_ACROSS, t, a)) return NULL;
    if (x.p != FN(row_start)(t, a, 0) + begin) return NULL;
    if (t->n <= BLOCK_N) return t->after > 0 ? x.p + FN(to_next_tile)(t) : NULL;
    return begin + 2 * BLOCK_N <= t->n ? x.p + BLOCK_N : NULL;
}

/* The statistics of the block of classes [begin, begin + n), its terms to e as stats_of() says; `next` is next_block() or NULL. */
SG_INLINE void FN(block_stats)(int layout, int keep, int mode, const FN(tile) *t, const FN(look) *look,
                               FN(view) x, FN(view) e, ptrdiff_t begin, ptrdiff_t n, FN(largest) m,
                               real *next, FN(stats) *block) {
    if (mode == SG_WITHOUT_MAX && look->weigh)
        look->weigh(t, look->weights, x, begin, n, m.max, &block->distance, &block->weight);
    const vreal zero = vset1(0);
    FN(plan) p = {FN(limits_of)(m.max),
                  m.max,
                  m.second,
                  vset1(HEADROOM),
                  {zero, zero},
                  layout != LAYOUT_ACROSS
                      ? VL
                      : (1 + SG_LOOKS_AHEAD) * (t->n <= BLOCK_N ? FN(to_next_tile)(t) : BLOCK_N),
                  next ? next : x.p,
                  x,
                  FN(nowhere)(),
                  zero,
                  zero};
    if (SG_LOOKS_AHEAD && layout == LAYOUT_ACROSS) {
        t->looked->p = next;
        t->looked->row = t->n <= BLOCK_N ? t->row + t->rows : t->row;
    }
    block->max = m.max;
    block->M = p.limits.M;
    block->top = FN(zero)();
    block->e_top = zero;
    const vmask tie = mnot(vlt(m.second, m.max));
    const int way = sg_max_term(layout, keep, mode);
    if (mode == SG_WITHOUT_MAX) {
        vreal scale, frac;
        FN(exp_terms)(m.max, p.limits, &scale, &frac);
        block->e_top = vfma(scale, frac, scale);
        block->top = FN(wide_fma)(FN(wide_of)(scale), scale, frac);
        p.anchor = FN(anchor_of)(m.second, p.limits);
        if (way == SG_TAKEN_OFF) {
            const FN(sum) one = FN(sum_begin)(0, p.anchor, 1);
            p.less = FN(sum_less_of)(&one, tie, scale, frac, block->e_top);
        }
    }
    FN(due) *const due = &t->looked->due;
    const int makes = SG_POSTPONES && !keep && FN(in_blocks)(layout, t) && due->rows > 0;
    if (makes) { /* the same block of the row before; its lines are asked for in the place of these results' */
        p.due = due->x;
        p.to = due->out;
        p.high = vset1(due->high.lane[0]);
        p.low = vset1(due->low.lane[0]);
        e.p = due->out.p + FN(write_ahead) *VL;
    }
    block->others = FN(exp_sum)(layout, keep, mode, t, x, e.p ? e : x, n, &p);
    if (makes) {
        due->x.p += n;
        due->out.p += n;
        due->n -= n;
        due->rows = due->n > 0;
    }
    if (mode != SG_WITHOUT_MAX) return;
    /* the second largest in the place of the maximum, or one of two equal maxima */
    if (way == SG_REPLACED || SG_UNLIKELY(many(tie))) {
        const wide less = FN(wide_sub)(block->others, FN(summed_term)(m.second, &p));
        block->others = way == SG_REPLACED ? less : FN(wide_select)(tie, less, block->others);
    }
}

/* The blocks of one row across as the tasks of a team take them: each the same number, one behind the other. */
typedef struct {
    const FN(tile) *t;
    const FN(look) *look;
    FN(stats) *blocks;
    ptrdiff_t count, share;
    vmask is_far[SG_MOST_TASKS];
} FN(team_row);

SG_INLINE FN(view) FN(from_block)(FN(view) a, ptrdiff_t b) {
    a.p += b * BLOCK_N;
    return a;
}
SG_INLINE void FN(team_task)(int keep, int mode, FN(team_row) *a, int i) {
    const ptrdiff_t begin = i * a->share, end = begin + a->share < a->count ? begin + a->share : a->count;
    SG_ALIGN64 real buffer[BLOCK_N];
    FN(looked_at) looked;
    looked.p = NULL;
    looked.due.rows = 0;
    FN(tile) own = *a->t;
    own.looked = &looked;
    const FN(tile) *t = &own;
    a->is_far[i] = vlt(vset1(1), vset1(0));
    for (ptrdiff_t b = begin; b < end; b++) {
        const ptrdiff_t m = FN(block_size)(t->n, b * BLOCK_N);
        const FN(view) all = a->look->x, to = a->look->e,
                       x = all.p ? FN(from_block)(all, b)
                                 : FN(logits_block)(t, (FN(view)){buffer, VL, 0}, b * BLOCK_N, m, vset1(0)),
                       e = to.p ? FN(from_block)(to, b) : to;
        const FN(largest) most = FN(largest_of)(LAYOUT_ACROSS, mode, t, x, m);
        a->is_far[i] = mor(a->is_far[i], vlt(vset1(REAL_FAR), most.max));
        if (many(a->is_far[i])) return;
        real *next = b + 1 < end ? FN(next_block)(t, x, b * BLOCK_N) : NULL; /* or another task's */
        FN(block_stats)(LAYOUT_ACROSS, keep, mode, t, a->look, x, e, b * BLOCK_N, m, most, next,
                        &a->blocks[b]);
        if (keep) a->look->Ms[b] = a->blocks[b].M;
    }
}
/* The statistics of one row of several blocks, its blocks shared out: merged in the order of stats_of. 0 if the row may be
 * far: then the blocks must go in turn. */
SG_INLINE int FN(team_stats)(const FN(tile) *t, FN(look) *look, void (*task)(void *, int)) {
    const sg_team *team = t->call->team;
    FN(stats) *row = &look->row;
    FN(team_row) a = {.t = t, .look = look, .blocks = team->memory};
    a.count = (t->n + BLOCK_N - 1) / BLOCK_N;
    a.share = (a.count + team->tasks - 1) / team->tasks;
    team->run(team->tasks, task, &a);
    for (int i = 0; i < team->tasks; i++)
        if (many(a.is_far[i])) return 0;
    const vreal offset = row->offset;
    *row = a.blocks[0];
    row->offset = offset;
    for (ptrdiff_t b = 1; b < a.count; b++) {
        if (look->weigh) FN(merge_weights)(row, &a.blocks[b]);
        FN(merge)(row, &a.blocks[b]);
    }
    return !many(FN(is_far)(row->max));
}
#define SG_HAS_TEAM(t) ((t)->call->team && (t)->rows == 1 && (t)->n > BLOCK_N)

/* The statistics of a tile. The row's maximum alone decides whether it is far: a block that shows it starts the row again. Not for far rows of a
 * tile that the other rows cannot leave (several across, or long): then returns 0, nothing is written. */
SG_INLINE int FN(stats_of)(int layout, int keep, int mode, const FN(tile) *t, FN(look) *look,
                           void (*task)(void *, int)) {
    const ptrdiff_t n = t->n;
    FN(view) *x = &look->x;
    const FN(view) e = look->e, far_to = look->far_to;
    FN(stats) *row = &look->row;
    const int by_block = layout == LAYOUT_ACROSS && !x->p;
    const int fixed = layout == LAYOUT_LONG || (layout == LAYOUT_ACROSS && t->rows > 1);
    row->offset = vset1(0);
    if (n > BLOCK_N && keep && e.p == x->p) {
        /* in place the terms of a block replace its logits: no starting again, so look first */
        vreal max = FN(max_of)(layout, *x, n);
        if (SG_UNLIKELY(many(FN(is_far)(max)))) {
            if (fixed) return 0;
            FN(use_shifted)(layout, t, x, far_to, n, max, row);
        }
    }
    if (layout == LAYOUT_ACROSS && SG_HAS_TEAM(t) && FN(team_stats)(t, look, task)) return 1;
    for (ptrdiff_t b = 0; b < n; b += BLOCK_N) {
        const ptrdiff_t m = FN(block_size)(n, b);
        const ptrdiff_t v = layout == LAYOUT_ACROSS ? b / VL : b;
        FN(view) xb = *x, eb = e;
        if (by_block) xb = FN(logits_block)(t, far_to, b, m, row->offset);
        else xb.p += v * x->step;
        if (e.p) eb.p += v * e.step;
        FN(stats) next_one, *block = b == 0 ? row : &next_one;
        FN(largest) most = FN(largest_of)(layout, mode, t, xb, m);
        vmask far = vlt(vset1(REAL_FAR), most.max);
        if (b + m == n) far = mor(far, FN(is_far)(b == 0 ? most.max : vmax(most.max, row->max)));
        if (SG_UNLIKELY(many(far))) {
            if (fixed) return 0;
            if (SG_POSTPONES && !keep && t->looked->due.rows > 0) FN(make_due)(0, &t->looked->due);
            if (by_block) row->offset = FN(max_by_block)(t, far_to);
            else FN(use_shifted)(layout, t, x, far_to, n, FN(max_of)(layout, *x, n), row);
            b = -BLOCK_N;
            continue;
        }
        real *next = layout == LAYOUT_ACROSS ? FN(next_block)(t, xb, b) : NULL;
        FN(block_stats)(layout, keep, mode, t, look, xb, eb, b, m, most, next, block);
        if (keep && n > BLOCK_N) look->Ms[b / BLOCK_N] = block->M;
        if (b == 0) continue;
        if (mode == SG_WITHOUT_MAX && look->weigh) FN(merge_weights)(row, block);
        FN(merge)(row, block);
    }
    return 1;
}

/* The same of tiles in lanes of few classes, which have one block: first all maxima, then all sums. */
SG_INLINE void FN(short_stats)(int keep, int mode, const FN(tile) *t, int count, FN(look) *const looks[]) {
    const ptrdiff_t n = t->n;
    FN(largest) most[SG_BATCH];
    for (int k = 0; k < count; k++) {
        FN(look) *look = looks[k];
        look->row.offset = vset1(0);
        most[k] = FN(largest_lanes)(mode, FN(opened)(LAYOUT_SHORT, look->x), n);
        if (SG_UNLIKELY(many(FN(is_far)(most[k].max)))) {
            FN(use_shifted)(LAYOUT_SHORT, t + k, &look->x, look->far_to, n, most[k].max, &look->row);
            most[k] = FN(largest_lanes)(mode, FN(opened)(LAYOUT_SHORT, look->x), n);
        }
    }
    for (int k = 0; k < count; k++) {
        FN(look) *look = looks[k];
        FN(block_stats)(LAYOUT_SHORT, keep, mode, t + k, look, FN(opened)(LAYOUT_SHORT, look->x),
                        FN(opened)(LAYOUT_SHORT, look->e), 0, n, most[k], NULL, &look->row);
    }
}

/* The instances: what is kept, and which sum; each once, whatever kernel asks. */
#define STATS_INSTANCE(name, layout, keep, mode)                           \
    SG_NOINLINE int FN(name)(const FN(tile) *t, FN(look) *const looks[]) { \
        return FN(stats_of)(layout, keep, mode, t, looks[0], NULL);        \
    }
#define STATS_SHORT(name, keep, mode)                                                 \
    SG_NOINLINE int FN(name)(const FN(tile) *t, int count, FN(look) *const looks[]) { \
        FN(short_stats)(keep, mode, t, count, looks);                                 \
        return 1;                                                                     \
    }
#define STATS_ACROSS(name, keep, mode)                                                   \
    static void FN(name##_task)(void *row, int i) { FN(team_task)(keep, mode, row, i); } \
    SG_NOINLINE int FN(name)(const FN(tile) *t, FN(look) *const looks[]) {               \
        return FN(stats_of)(LAYOUT_ACROSS, keep, mode, t, looks[0], FN(name##_task));    \
    }
#define STATS(name, keep, mode)                                                                 \
    STATS_ACROSS(name##_across, keep, mode)                                                     \
    STATS_SHORT(name##_short, keep, mode)                                                       \
    STATS_INSTANCE(name##_long, LAYOUT_LONG, keep, mode)                                        \
    SG_INLINE int FN(name)(int layout, const FN(tile) *t, int count, FN(look) *const looks[]) { \
        return layout == LAYOUT_ACROSS  ? FN(name##_across)(t, looks)                           \
               : layout == LAYOUT_SHORT ? FN(name##_short)(t, count, looks)                     \
                                        : FN(name##_long)(t, looks);                            \
    }
/* for softmax: the terms, the sum of them all */
STATS(softmax_stats, 1, SG_WITH_ALL)
/* for what needs a logarithm only: no terms are kept, the maximum apart. Lines of the cache of results (e), rows as they stand, are asked for
 * meanwhile. Zen 4, us: log_softmax (100, 32000) 1440 -> 1150; those of a row's first block alone were before. */
STATS(log_stats, 0, SG_WITHOUT_MAX)
/* for what needs both */
STATS(grad_stats, 1, SG_WITHOUT_MAX)
#undef STATS
#undef STATS_ACROSS
#undef STATS_SHORT
#undef STATS_INSTANCE
