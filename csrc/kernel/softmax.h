/* softmax.h - softmax, log_softmax and logsumexp. Included once per dtype, no include guard. */

/* s_i = e_i / sum e */
typedef struct {
    FN(look) look;
    FN(view) out;
    wide inverse;
    FN(factor) factor; /* of rows of one block */
} FN(softmax_parts);

SG_BODY int FN(softmax_open)(int layout, const FN(tile) *t, real *buffer, real *second,
                             FN(softmax_parts) *p) {
    FN(look) *look = &p->look;
    FN(catch_up)(1, layout, t, 0);
    p->out = FN(open_result)(layout, t, buffer);
    look->e = FN(open_terms)(layout, p->out, buffer);
    look->Ms = FN(block_M)(t);
    look->x = FN(open_logits_in_blocks)(layout, t, buffer, look->e);
    look->far_to = look->x.p ? look->e : (FN(view)){second, VL, 0};
    return 1;
}
SG_INLINE void FN(softmax_rows)(int layout, const FN(tile) *t, FN(softmax_parts) *p) {
    (void)layout;
    p->inverse = FN(inverse)(p->look.row.others);
    if (t->n <= BLOCK_N) p->factor = FN(factor_of)(p->inverse, vset1(-HEADROOM));
}
SG_BODY void FN(softmax_results)(int layout, const FN(tile) *t, const FN(softmax_parts) *p) {
    if (t->n > BLOCK_N) {
        FN(scale_blocks)(layout, t, p->look.e, p->out, &t->call->out, p->look.Ms, p->look.row.M, p->inverse);
        return;
    }
    if (FN(rounds)(layout, &t->call->out)) {
        FN(scale_halves)(t, p->look.e, 0, t->n, p->factor);
        return;
    }
    if (p->factor.plain &&
        FN(postpone)(layout, t, &t->call->out, p->look.e, p->out, p->factor.hi, p->factor.lo))
        return;
    FN(scale_tile)(layout, t, p->look.e, p->out, t->n, p->factor);
    FN(close_out)(layout, t, &t->call->out, p->out);
}
IN_PARTS(softmax, softmax_stats, SG_ANY_ORDER)

/* log s_i = x_i - (max + L), L = log1p(others / top), as (x_i - high) - low. Where the maximum's own entry is above log(1/2) high is
 * max, so that this entry is L alone; elsewhere high + low is max + L, to all digits. A comparison and a selection in each vector for
 * that entry were half of the operations here. Zen 4, us: AVX2 (300, 1000) 131 -> 126, (300, 4096) 526 -> 500; AVX-512, which waits for its stores,
 * 1 %. */
typedef struct {
    FN(look) look;
    FN(view) out;
    vreal high, low;
} FN(log_softmax_parts);

SG_BODY int FN(log_softmax_open)(int layout, const FN(tile) *t, real *buffer, real *second,
                                 FN(log_softmax_parts) *p) {
    FN(look) *look = &p->look;
    FN(catch_up)(0, layout, t, 0);
    p->out = FN(open_result)(layout, t, buffer);
    const FN(view) spare = FN(open_terms)(layout, p->out, buffer);
    look->e = FN(is_direct)(layout, t, &t->call->out) ? p->out : FN(nowhere)();
    look->x = FN(open_logits_in_blocks)(layout, t, buffer, spare);
    look->far_to = look->x.p ? spare : (FN(view)){second, VL, 0};
    look->weigh = NULL;
    return 1;
}
SG_BODY void FN(log_softmax_rows)(int layout, const FN(tile) *t, FN(log_softmax_parts) *p) {
    (void)layout, (void)t;
    const FN(stats) *row = &p->look.row;
    const wide log = FN(log_ratio)(row->others, row->top);
    const wide lse = FN(wide_add_finite)(FN(wide_of)(row->max), log);
    const vreal L = FN(wide_round)(log), high = FN(wide_round)(lse);
    const vmask dominant = vlt(L, vset1((real)0.69314718));
    p->high = vselect(dominant, row->max, high);
    p->low = vselect(dominant, L, FN(wide_rest)(lse, high));
}
/* Of classes [begin, begin + n). */
SG_INLINE void FN(log_softmax_some)(int layout, const FN(tile) *t, const FN(log_softmax_parts) *p, FN(view) x,
                                    FN(view) out, ptrdiff_t begin, ptrdiff_t n) {
    const FN(lanes) high = FN(lanes_of)(p->high), low = FN(lanes_of)(p->low);
    if (FN(rounds)(layout, &t->call->out)) FN(make_halves)(0, t, x, begin, n, NULL, &high, &low);
    else FN(make_rows)(0, layout, t->rows, x, out, n, &high, &low);
}
/* One row of several blocks, which a team shares. */
typedef struct {
    const FN(tile) *t;
    const FN(log_softmax_parts) *p;
    ptrdiff_t share; /* classes a task */
} FN(team_log_softmax);

static void FN(log_softmax_task)(void *context, int i) {
    const FN(team_log_softmax) *a = context;
    const FN(tile) *t = a->t;
    const sg_array *out = &t->call->out;
    SG_ALIGN64 real buffer[BLOCK_N];
    const ptrdiff_t begin = i * a->share, end = begin + a->share < t->n ? begin + a->share : t->n;
    for (ptrdiff_t b = begin; b < end; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(end, b);
        const FN(view) block = {buffer, VL, 0};
        const FN(look) *look = &a->p->look;
        const FN(view) x = look->x.p ? FN(from_block)(look->x, b / BLOCK_N)
                                     : FN(logits_block)(t, block, b, n, look->row.offset);
        const FN(view) to = FN(open_out_block)(t, out, b, buffer);
        FN(log_softmax_some)(LAYOUT_ACROSS, t, a->p, x, to, b, n);
        if (!FN(rounds)(LAYOUT_ACROSS, out)) FN(close_block)(t, out, b, n, to);
    }
}
SG_BODY void FN(log_softmax_results)(int layout, const FN(tile) *t, const FN(log_softmax_parts) *p) {
    if (FN(in_blocks)(layout, t)) {
        const sg_team *team = SG_HAS_TEAM(t) ? t->call->team : NULL;
        const int stands = p->look.x.p && p->look.x.p == FN(row_start)(t, &t->call->x, 0);
        if (stands && !team && FN(postpone)(layout, t, &t->call->out, p->look.x, p->out, p->high, p->low))
            return;
        const ptrdiff_t blocks = (t->n + BLOCK_N - 1) / BLOCK_N, tasks = team ? team->tasks : 1;
        FN(team_log_softmax) a = {t, p, (blocks + tasks - 1) / tasks * BLOCK_N};
        if (team) team->run(team->tasks, FN(log_softmax_task), &a);
        else FN(log_softmax_task)(&a, 0);
        return;
    }
    if (FN(postpone)(layout, t, &t->call->out, p->look.x, p->out, p->high, p->low)) return;
    FN(log_softmax_some)(layout, t, p, p->look.x, p->out, 0, t->n);
    if (!FN(rounds)(layout, &t->call->out)) FN(close_out)(layout, t, &t->call->out, p->out);
}
IN_PARTS(log_softmax, log_stats, SG_ANY_ORDER)

/* max + log1p(others / top): Algorithm 4.1 of Blanchard, Higham & Higham (2021). */
typedef struct { FN(look) look; } FN(logsumexp_parts);

SG_BODY int FN(logsumexp_open)(int layout, const FN(tile) *t, real *buffer, real *second,
                               FN(logsumexp_parts) *p) {
    (void)second;
    FN(look) *look = &p->look;
    look->e = FN(nowhere)();
    look->far_to = (FN(view)){buffer, VL, 0};
    look->x = FN(open_logits_once)(layout, t, look->far_to);
    look->weigh = NULL;
    return 1;
}
SG_BODY void FN(logsumexp_rows)(int layout, const FN(tile) *t, FN(logsumexp_parts) *p) {
    (void)layout;
    const FN(stats) *row = &p->look.row;
    const wide log = FN(log_ratio)(row->others, row->top);
    const wide lse = FN(lse_of)(row, log);
    /* only -inf: nothing was summed, and nothing was NaN */
    vmask empty = mand(veq(row->max, vset1(-REAL_INF)), veq(FN(wide_round)(row->others), vset1(0)));
    FN(put_rows)(t, &t->call->out, vselect(empty, vset1(-REAL_INF), FN(wide_round)(lse)));
}
SG_INLINE void FN(logsumexp_results)(int layout, const FN(tile) *t, const FN(logsumexp_parts) *p) {
    (void)layout, (void)t, (void)p;
}
IN_PARTS(logsumexp, log_stats, SG_ANY_ORDER)
