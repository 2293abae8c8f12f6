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
    FN(view) rests; /* in lanes, of terms in two parts (SG_IN_PARTS): what their rounding took off */
    FN(weigher) *weigh; /* or NULL; with `weights`, which are its own */
    const void *weights;
    FN(stats) row;
} FN(look);

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

/* The logarithm of the sum of exponentials from that of sum / top. Of a far row, which alone has an offset, the maximum is 0. */
SG_BODY wide FN(lse_of)(const FN(stats) *row, wide log) {
    return FN(wide_add)(FN(wide_of)(vadd(row->offset, row->max)), log);
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
SG_BODY void FN(block_stats)(int layout, int keep, int mode, const FN(tile) *t, const FN(look) *look,
                             FN(view) x, FN(view) e, ptrdiff_t begin, ptrdiff_t n, FN(largest) m, real *next,
                             FN(stats) *block) {
    if (mode == SG_WITHOUT_MAX && look->weigh)
        look->weigh(t, look->weights, x, begin, n, m.max, &block->distance, &block->weight);
    const vreal zero = vset1(0);
    FN(plan) p = {FN(limits_of)(m.max),
                  m.max,
                  m.second,
                  vset1(HEADROOM),
                  {zero, zero},
                  x,
                  e.p ? e : x,
                  next ? next : x.p,
                  keep == SG_IN_PARTS ? look->rests : FN(nowhere)(),
                  x,
                  FN(nowhere)(),
                  zero,
                  zero};
    if (layout == LAYOUT_SHORT) {
        p.coming = FN(nowhere)();
        if (t->direct) {
            const FN(view) in = FN(place_of)(t, &t->call->x), out = FN(place_of)(t, &t->call->out);
            if (in.p) p.coming = FN(lines_of)(in, t->batch * VL);
            if (out.p) p.results = FN(lines_of)(out, 0);
        }
    } else if (layout == LAYOUT_LONG) {
        p.coming = FN(lines_of)(x, VL);
        p.results = FN(lines_of)(p.results, 0);
    } else {
        p.coming.p += (1 + SG_LOOKS_AHEAD) * (t->n <= BLOCK_N ? FN(to_next_tile)(t) : BLOCK_N);
    }
    if (keep && layout != LAYOUT_SHORT) p.results.p += FN(write_ahead) *FN(step_of)(layout, e);
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
        block->e_top = FN(mul_add)(scale, frac, scale);
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
        p.results.p = due->out.p + FN(write_ahead) *VL;
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
SG_BODY void FN(team_task)(int keep, int mode, FN(team_row) *a, int i) {
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
SG_BODY int FN(stats_of)(int layout, int keep, int mode, const FN(tile) *t, FN(look) *look,
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
SG_BODY void FN(short_stats)(int keep, int mode, const FN(tile) *t, int count, FN(look) *const looks[]) {
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
/* the same, in lanes, for Jacobians */
STATS_SHORT(jacobian_stats_short, SG_IN_PARTS, SG_WITHOUT_MAX)
#undef STATS
#undef STATS_ACROSS
#undef STATS_SHORT
#undef STATS_INSTANCE
