/* terms.h - the exponentials of a row, and their sum: the loop that most of the time goes into. Included once per dtype, no include guard. */

/* What the terms of a row, or of the rows in lanes, are computed with. */
typedef struct {
    FN(limits) limits;
    vreal max, second, anchor;
    FN(sum_less) less; /* what takes the maximum's term off, if it is the only one */
    /* Lines of the cache to be asked for: beside the logits, those of the ones that come next, another tile's or block's; beside the terms, those that
     * will be written to. In lanes of few classes `coming` is nowhere if these do not stand in vectors. */
    FN(view) coming, results;
    real *next; /* logits to look at on the way; these if there are no others */
    FN(view) rests; /* beside terms in two parts */
    FN(view) due, to; /* results to make on the way (results.h), if to.p is not NULL */
    vreal high, low;
} FN(plan);

/* Where the maximum's term is taken off a sum (layout.h). */
_Static_assert((int)SG_STAGED_N <= (int)SUM_GROUP && BLOCK_N / VL * SG_JOINS <= SUM_GROUP,
               "one sum a lane, where it is taken off");
_Static_assert((int)SHORT_N / VL <= (int)SUM_RUN, "one run a row of few classes across");

/* Terms are written this many vectors after their lines of the cache are asked for. Zen 4, us: what is not in the caches takes (300, 4096)
 * 590 for 700; what is, nothing. 32 and 128 are as good. */
enum { FN(write_ahead) = 64 };

/* u vectors, a literal, of terms e = scale (1 + frac): as far as r of exp.h, and whether each is to be summed. */
typedef struct {
    vreal scale[SG_SIDE_BY_SIDE], r[SG_SIDE_BY_SIDE];
    vmask others[SG_SIDE_BY_SIDE];
} FN(begun);

SG_INLINE FN(begun) FN(begin_terms)(int u, int layout, int full, int keep, int mode, int beside, FN(view) x,
                                    ptrdiff_t v, ptrdiff_t n, const FN(plan) *p) {
    FN(begun) b;
    vreal a[SG_SIDE_BY_SIDE];
    SG_UNROLL(j, u) a[j] = FN(read)(layout, full, x, v + j, n, -REAL_INF);
    if (beside) {
        const FN(view) coming = p->coming, results = p->results;
        SG_UNROLL(j, u) SG_PREFETCH(coming.p + (v + j) * FN(step_of)(layout, coming));
        SG_UNROLL(j, u) SG_PREFETCH_WRITE(results.p + (v + j) * FN(step_of)(layout, results));
    }
    const int way = sg_max_term(layout, keep, mode);
    if (way == SG_PASSED_OVER) SG_UNROLL(j, u) b.others[j] = vnlt(p->second, a[j]);
    if (way == SG_REPLACED) SG_UNROLL(j, u) a[j] = vmin(p->second, a[j]);
    FN(exp_reduce)(u, a, p->limits, b.scale, b.r);
    return b;
}
/* The terms themselves, rounded, to memory if they are wanted; and to the sum. The logits that p->next has beside these are looked at, and with
 * SG_MAKES results that are due are made: loads, maxima and stores find room beside the long chain of an exponential, and leave most of
 * the CPU idle alone. Zen 4, us: the look, softmax (300, 1000) 106 -> 97, with the gradient 125 -> 112, float64 248 -> 233, (300, 4096) 395 -> 362; results.h
 * has those of the other. In the middle they cost least: at the end of this function log_softmax (300, 1000) takes 89 for 85, at its beginning 94.
 * AVX2 has too few registers for the look: 1 to 10 % slower. */
SG_INLINE void FN(end_terms)(int u, int joint, int layout, int full, int keep, int mode, int beside,
                             const FN(begun) *b, const vreal frac[], FN(view) e, ptrdiff_t v, ptrdiff_t n,
                             const FN(plan) *p, FN(sum) *total, FN(largest) *next) {
    const vreal *scale = b->scale;
    vreal term[SG_SIDE_BY_SIDE];
    if (SG_LOOKS_AHEAD && layout == LAYOUT_ACROSS) {
        const FN(view) looked = {p->next, VL, 0};
        SG_UNROLL(j, u) FN(add_largest)(mode, next, FN(read)(layout, full, looked, v + j, n, -REAL_INF));
    }
    if (beside == SG_MAKES) SG_UNROLL(j, u) {
            const vreal a = FN(read)(layout, full, p->due, v + j, n, 0);
            FN(write)(layout, full, p->to, v + j, n, FN(result)(keep, a, p->high, p->low));
        }
    SG_UNROLL(j, u) term[j] = FN(mul_add)(scale[j], frac[j], scale[j]);
    if (keep) SG_UNROLL(j, u) FN(write)(layout, full, e, v + j, n, term[j]);
    if (keep == SG_IN_PARTS) SG_UNROLL(j, u)
    FN(write)(layout, full, p->rests, v + j, n, FN(term_rest)(scale[j], frac[j], term[j]));
    SG_UNROLL(j, u) {
        if (sg_max_term(layout, keep, mode) == SG_PASSED_OVER)
            FN(sum_add_if)(total, b->others[j], scale[j], frac[j], term[j]);
        else if (mode == SG_WITH_ALL) FN(sum_add_to_run)(joint, total, scale[j], frac[j], term[j]);
        else FN(sum_add)(joint, total, scale[j], frac[j], term[j]);
    }
}
SG_INLINE void FN(add_terms)(int u, int joint, int layout, int full, int keep, int mode, int beside,
                             FN(view) x, FN(view) e, ptrdiff_t v, ptrdiff_t n, const FN(plan) *p,
                             FN(sum) *total, FN(largest) *next) {
    vreal frac[SG_SIDE_BY_SIDE];
    const FN(begun) b = FN(begin_terms)(u, layout, full, keep, mode, beside, x, v, n, p);
    FN(exp_frac)(u, b.r, frac);
    FN(end_terms)(u, joint, layout, full, keep, mode, beside, &b, frac, e, v, n, p, total, next);
}

/* A sum without terms, of `count` to come in each lane; one of all terms is in runs. */
SG_INLINE FN(sum) FN(empty_sum)(int mode, const FN(plan) *p, ptrdiff_t count) {
    const int runs = mode == SG_WITH_ALL;
    return FN(sum_begin)(runs, runs ? vset1(HEADROOM) : p->anchor, (int)count);
}
/* Whether such a run ends before the sum does. */
SG_INLINE int FN(has_runs)(int mode) { return mode == SG_WITH_ALL && (int)SUM_RUN < (int)SUM_GROUP; }

/* Vectors [v, last], all full: each is begun while the one before it is ended. An exponential and its sum are a chain of 65 cycles, and a CPU whose
 * scheduler holds fewer operations than the chains of two vectors waits for it. Zen 2 (36 of them), us: (300, 1000) softmax 171 -> 159, log_softmax 189 -> 172,
 * logsumexp 182 -> 162, loss + gradient 197 -> 182, float64 logsumexp 494 -> 440, (1, 1000000) softmax 603 -> 553; long tiles in lanes 5 to 20 % slower. A
 * run may have one term more. */
SG_INLINE void FN(overlap_terms)(int layout, int keep, int mode, int beside, FN(view) x, FN(view) e,
                                 ptrdiff_t v, ptrdiff_t last, ptrdiff_t n, const FN(plan) *p, FN(sum) *total,
                                 FN(largest) *next) {
    vreal frac;
    FN(begun) b = FN(begin_terms)(1, layout, 1, keep, mode, beside, x, v, n, p);
    for (;; FN(sum_end_run)(total)) {
        const int whole = FN(has_runs)(mode) && last - v >= SUM_RUN;
        const ptrdiff_t to = whole ? v + SUM_RUN : last;
        for (; v < to; v++) {
            const FN(begun) one = b;
            FN(exp_frac)(1, one.r, &frac);
            b = FN(begin_terms)(1, layout, 1, keep, mode, beside, x, v + 1, n, p);
            FN(end_terms)(1, 0, layout, 1, keep, mode, beside, &one, &frac, e, v, n, p, total, next);
        }
        if (!whole) break;
    }
    FN(exp_frac)(1, b.r, &frac);
    FN(end_terms)(1, 0, layout, 1, keep, mode, beside, &b, &frac, e, v, n, p, total, next);
}

/* Whether the sum of one row across is joined. Not in runs: softmax of float32 gains nothing. */
SG_INLINE int FN(joins)(int layout, int mode) {
    return SG_JOINS > 1 && layout == LAYOUT_ACROSS && !FN(has_runs)(mode);
}
/* In how many stages vectors go, each beside another one of its neighbours: three where a sum is joined, which leaves the registers that this takes, and of
 * float64 in lanes; of float32 there nothing is gained. */
SG_INLINE int FN(stages)(int joint, int layout, int mode) {
    if (!SG_OVERLAPS || layout == LAYOUT_LONG) return 1;
    return joint || (layout == LAYOUT_SHORT && !REAL_IS_FLOAT && !FN(has_runs)(mode)) ? 3 : 2;
}
/* Three of them, of two vectors at least: float32's chains are of 19, 16 and 22 cycles, where those above are of 19 and 37. Zen 2, us: (1, 151936) logsumexp 87.5 -> 78,
 * log_softmax 106 -> 98.5, (300, 1000) 180 -> 164, 192 -> 188; float64 (300, 4096) softmax 2170 -> 1960, loss + gradient 2440 -> 2150, (7777, 10) log_softmax 294 -> 283, loss
 * 283 -> 273. */
SG_INLINE void FN(staged_terms)(int joint, int layout, int keep, int mode, int beside, FN(view) x, FN(view) e,
                                ptrdiff_t v, ptrdiff_t last, ptrdiff_t n, const FN(plan) *p, FN(sum) *total,
                                FN(largest) *next) {
    vreal frac;
    FN(begun) second = FN(begin_terms)(1, layout, 1, keep, mode, beside, x, v, n, p);
    FN(exp_frac)(1, second.r, &frac);
    FN(begun) first = FN(begin_terms)(1, layout, 1, keep, mode, beside, x, v + 1, n, p);
    for (; v + 1 < last; v++) {
        const FN(begun) third = second;
        const vreal third_frac = frac;
        second = first;
        first = FN(begin_terms)(1, layout, 1, keep, mode, beside, x, v + 2, n, p);
        FN(exp_frac)(1, second.r, &frac);
        FN(end_terms)(1, joint, layout, 1, keep, mode, beside, &third, &third_frac, e, v, n, p, total, next);
    }
    FN(end_terms)(1, joint, layout, 1, keep, mode, beside, &second, &frac, e, v, n, p, total, next);
    FN(exp_frac)(1, first.r, &frac);
    FN(end_terms)(1, joint, layout, 1, keep, mode, beside, &first, &frac, e, v + 1, n, p, total, next);
}

/* The terms of vectors [v, end), at most SUM_GROUP a lane, added to a sum without; its last run has not ended. */
SG_BODY FN(sum) FN(sum_vectors)(int joint, int layout, int keep, int mode, int beside, FN(view) x, FN(view) e,
                                ptrdiff_t v, ptrdiff_t end, ptrdiff_t n, const FN(plan) *p, FN(sum) s,
                                FN(largest) *next) {
    /* Terms that are kept, with results that are due, take more than 32 registers four at a time. Zen 4, us, by two: (300, 1000) softmax 82.3 ->
     * 80.5, loss + gradient 89.8 -> 87.8, float64 213 -> 204, 231 -> 219; (20000, 64) 569 -> 549; logarithms 1 % slower, long tiles in lanes 11 %. */
    const int u = keep && layout != LAYOUT_LONG && SG_SIDE_BY_SIDE > 2 ? 2 : SG_SIDE_BY_SIDE;
    const ptrdiff_t full = layout == LAYOUT_ACROSS ? n / VL : n, stop = end < full ? end : full;
    const int stages = FN(stages)(joint, layout, mode);
    if (SG_JOINS > 1 && joint) FN(sum_join_lanes)(&s);
    if (stages == 3 && stop - v >= 2) {
        FN(staged_terms)(joint, layout, keep, mode, beside, x, e, v, stop - 1, n, p, &s, next);
        v = stop;
    } else if (stages == 2 && v < stop) {
        FN(overlap_terms)(layout, keep, mode, beside, x, e, v, stop - 1, n, p, &s, next);
        v = stop;
    } else if (stages == 1) {
        if (FN(has_runs)(mode))
            for (; end - v > SUM_RUN; FN(sum_end_run)(&s))
                for (const ptrdiff_t to = v + SUM_RUN; v < to; v += u)
                    FN(add_terms)(u, joint, layout, 1, keep, mode, beside, x, e, v, n, p, &s, next);
        for (; v + u <= stop; v += u)
            FN(add_terms)(u, joint, layout, 1, keep, mode, beside, x, e, v, n, p, &s, next);
    }
    for (; v < stop; v++) FN(add_terms)(1, joint, layout, 1, keep, mode, beside, x, e, v, n, p, &s, next);
    if (layout == LAYOUT_ACROSS && v < end)
        FN(add_terms)(1, joint, layout, 0, keep, mode, beside, x, e, v, n, p, &s, next);
    return s;
}

/* Rows in lanes of few classes ask for lines beside the exponentials too: all tiles that are done together are brought in one go, in which so many
 * requests would queue. Zen 2, us: (8, 21, 160, 160) softmax 5450 -> 4030, log_softmax 6360 -> 5000, loss + gradient 9070 -> 7920. */
SG_INLINE FN(sum)
    FN(sum_group)(int joint, int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t v,
                  ptrdiff_t end, ptrdiff_t n, const FN(plan) *p, FN(sum) s, FN(largest) *next) {
    if (SG_POSTPONES && layout == LAYOUT_ACROSS && p->to.p)
        return FN(sum_vectors)(joint, layout, keep, mode, SG_MAKES, x, e, v, end, n, p, s, next);
    if (layout != LAYOUT_SHORT || (keep != SG_IN_PARTS && p->coming.p))
        return FN(sum_vectors)(joint, layout, keep, mode, SG_ASKS, x, e, v, end, n, p, s, next);
    return FN(sum_vectors)(joint, layout, keep, mode, SG_NOTHING, x, e, v, end, n, p, s, next);
}

/* A block of n <= BLOCK_N classes: the sum of its terms. */
SG_BODY wide FN(sum_terms)(int layout, int keep, int mode, FN(view) x, FN(view) e, ptrdiff_t n,
                           const FN(plan) *p, FN(largest) *next) {
    const ptrdiff_t vectors = FN(vectors)(layout, n);
    const int joint = FN(joins)(layout, mode);
    const int groups = layout == LAYOUT_LONG; /* others have one: the assertion above */
    FN(largest) largest = {vset1(-REAL_INF), vset1(-REAL_INF)};
    wide total = FN(zero)();
    for (ptrdiff_t v = 0; v < (groups ? vectors : 1); v += SUM_GROUP) {
        const ptrdiff_t end = groups && v + SUM_GROUP < vectors ? v + SUM_GROUP : vectors;
        const FN(sum) empty = FN(empty_sum)(mode, p, end - v);
        FN(sum) s = FN(sum_group)(joint, layout, keep, mode, x, e, v, end, n, p, empty, &largest);
        if (sg_max_term(layout, keep, mode) == SG_TAKEN_OFF)
            FN(sum_take_off)(joint, &s, veq(layout == LAYOUT_ACROSS ? next->max : p->max, p->max), p->less);
        if (mode == SG_WITH_ALL) FN(sum_end_run)(&s);
        const wide group = FN(sum_total)(&s);
        total = groups ? FN(sum_join)(total, group) : group;
    }
    if (SG_LOOKS_AHEAD && layout == LAYOUT_ACROSS) *next = largest;
    return FN(sum_close)(layout == LAYOUT_ACROSS, total);
}
SG_BODY wide FN(exp_sum)(int layout, int keep, int mode, const FN(tile) *t, FN(view) x, FN(view) e,
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
                              FN(row_of)(p->coming, r),
                              FN(row_of)(p->results, r),
                              below,
                              FN(nowhere)(),
                              makes ? FN(row_of)(due->x, r) : x,
                              makes ? FN(row_of)(due->out, r) : FN(nowhere)(),
                              makes ? vset1(due->high.lane[r]) : zero,
                              makes ? vset1(due->low.lane[r]) : zero};
        const FN(sum) start = mode == SG_WITH_ALL ? empty : FN(spread_sum)(&begun, r);
        const FN(view) xr = FN(row_of)(x, r), er = FN(row_of)(e, r);
        FN(sum) s = FN(joins)(layout, mode) && !narrow
                        ? FN(sum_group)(1, layout, keep, mode, xr, er, 0, vectors, n, &one, start, &largest)
                        : FN(sum_group)(0, layout, keep, mode, xr, er, 0, vectors, n, &one, start, &largest);
        if (sg_max_term(layout, keep, mode) == SG_TAKEN_OFF && !narrow) {
            const FN(sum_less) less = {FN(spread)(layout, &less_ints, r), FN(spread)(layout, &less_rests, r)};
            FN(sum_take_off)(FN(joins)(layout, mode), &s, veq(next[r].max, FN(spread)(layout, &max, r)),
                             less);
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
    FN(sum_add)(0, &one, scale, frac, FN(mul_add)(scale, frac, scale));
    return FN(sum_close)(0, FN(sum_total)(&one));
}
