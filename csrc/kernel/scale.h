/* scale.h - the last step of every result that is a multiple of the terms e: one factor a row, applied with
 * one rounding. Included once per dtype, no include guard. */

/* The number pre (hi + lo), hi and lo normal and pre a power of two, for factors of any size. */
typedef struct {
    vreal pre, hi, lo;
    int plain; /* pre is 1 in every lane */
} FN(factor);

/* One lane of g 2^d, any exponent: |hi| into [1/REAL_FACTOR, REAL_FACTOR], what is left into pre. */
SG_NOINLINE void FN(factor_lane)(double g_hi, double g_lo, int d, real *pre, real *hi, real *lo) {
    const int e = sg_exponent(g_hi);
    *pre = 1;
    *hi = (real)g_hi;
    *lo = 0;
    if (e == 1024 || g_hi == 0) return;
    int want = e + d < -REAL_FACTOR_EXPONENT  ? -REAL_FACTOR_EXPONENT
               : e + d > REAL_FACTOR_EXPONENT ? REAL_FACTOR_EXPONENT
                                              : e + d;
    int rest = e + d - want, up = (want - e) / 2;
    double a = sg_power2(up), b = sg_power2(want - e - up);
    *hi = (real)(g_hi * a * b);
    *lo = (real)((g_hi * a * b - (double)*hi) + g_lo * a * b);
    *pre = rest < 1 - REAL_BIAS ? 0 : (real)sg_power2(rest < REAL_BIAS ? rest : REAL_BIAS);
}

/* g 2^d as a factor; d is an integer. */
SG_NOINLINE FN(factor) FN(factor_of_any)(wide g, vreal d) {
    double hi[VL], lo[VL];
    real shift[VL], p[VL], h[VL], l[VL];
    FN(wide_store)(g, hi, lo);
    vstore(shift, vmin(vset1(4096), vmax(vset1(-4096), d))); /* more than g can make up for */
    for (int i = 0; i < VL; i++) FN(factor_lane)(hi[i], lo[i], (int)shift[i], &p[i], &h[i], &l[i]);
    return (FN(factor)){vload(p), vload(h), vload(l), 0};
}
SG_BODY FN(factor) FN(factor_of)(wide g, vreal d) {
    const vreal most = vset1(1000); /* of wide_ldexp */
    const wide h = FN(wide_ldexp)(g, vmin(d, most));
    const vreal hi = FN(wide_round)(h), size = vmax(hi, vsub(vset1(0), hi));
    vmask good = mand(vlt(vset1(1 / REAL_FACTOR), size), vlt(size, vset1(REAL_FACTOR)));
    good = mand(good, vnlt(most, d));
    if (SG_UNLIKELY(many(mnot(good)))) return FN(factor_of_any)(g, d);
    return (FN(factor)){vset1(1), hi, FN(wide_rest)(h, hi), 1};
}

SG_INLINE vreal FN(times)(vreal e, FN(factor) f) { return FN(result)(1, e, f.hi, f.lo); }
SG_INLINE vreal FN(times_any)(vreal e, FN(factor) f) { return FN(times)(vmul(e, f.pre), f); }

/* The factors of the rows of a tile, and that of row r. */
typedef struct {
    FN(lanes) pre, hi, lo;
    int plain;
} FN(factors);

SG_INLINE FN(factors) FN(factors_of)(FN(factor) f) {
    return (FN(factors)){FN(lanes_of)(f.pre), FN(lanes_of)(f.hi), FN(lanes_of)(f.lo), f.plain};
}
SG_INLINE FN(factor) FN(spread_factor)(int layout, const FN(factors) *f, int r) {
    return (FN(factor)){FN(spread)(layout, &f->pre, r), FN(spread)(layout, &f->hi, r),
                        FN(spread)(layout, &f->lo, r), f->plain};
}

/* out = e f of a tile; out may be e. */
SG_BODY void FN(scale_tile)(int layout, const FN(tile) *t, FN(view) e, FN(view) out, ptrdiff_t n,
                            FN(factor) f) {
    const FN(factors) rows = FN(factors_of)(f);
    if (!SG_UNLIKELY(!f.plain)) {
        FN(make_rows)(1, layout, t->rows, e, out, n, &rows.hi, &rows.lo);
        return;
    }
    for (int r = 0; r < FN(passes)(layout, t); r++) {
        const FN(factor) one = FN(spread_factor)(layout, &rows, r);
        const FN(view) er = FN(row_of)(e, r), to = FN(row_of)(out, r);
        for (ptrdiff_t v = 0; v < FN(vectors)(layout, n); v++)
            FN(put)(layout, to, v, n, FN(times_any)(FN(get)(layout, er, v, n, 0), one));
    }
}

/* The same of classes [begin, begin + n), rounded to the 16-bit results of the call. */
SG_INLINE void FN(scale_halves)(const FN(tile) *t, FN(view) e, ptrdiff_t begin, ptrdiff_t n, FN(factor) f) {
    const FN(factors) rows = FN(factors_of)(f);
    FN(make_halves)(1, t, e, begin, n, f.plain ? NULL : &rows.pre, &rows.hi, &rows.lo);
}

/* out = e g 2^-HEADROOM over blocks [begin, end) of rows: e is relative to the M of its block in Ms, g to row_M. With `to`
 * each block of out is brought there, if it does not stand there. */
SG_BODY void FN(scale_some)(int layout, const FN(tile) *t, FN(view) e, FN(view) out, const sg_array *to,
                            const vreal *Ms, vreal row_M, wide g, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t b = begin; b < end; b++) {
        const ptrdiff_t v = layout == LAYOUT_ACROSS ? b * BLOCK_N / VL : b * BLOCK_N;
        const FN(view) eb = {e.p + v * e.step, e.step, e.row}, ob = {out.p + v * out.step, out.step, out.row};
        const ptrdiff_t n = FN(block_size)(t->n, b * BLOCK_N);
        const FN(factor) f = FN(factor_of)(g, vsub(vsub(Ms[b], row_M), vset1(HEADROOM)));
        if (to && FN(rounds)(layout, to)) {
            FN(scale_halves)(t, eb, b * BLOCK_N, n, f);
            continue;
        }
        FN(scale_tile)(layout, t, eb, ob, n, f);
        if (layout == LAYOUT_ACROSS && to) FN(close_block)(t, to, b * BLOCK_N, n, ob);
    }
}
typedef struct {
    const FN(tile) *t;
    FN(view) e, out;
    const sg_array *to;
    const vreal *Ms;
    vreal row_M;
    wide g;
    ptrdiff_t count, share;
} FN(team_scale);

static void FN(scale_task)(void *context, int i) {
    const FN(team_scale) *a = context;
    const ptrdiff_t begin = i * a->share, end = begin + a->share < a->count ? begin + a->share : a->count;
    FN(scale_some)(LAYOUT_ACROSS, a->t, a->e, a->out, a->to, a->Ms, a->row_M, a->g, begin, end);
}
/* All blocks. */
SG_BODY void FN(scale_blocks)(int layout, const FN(tile) *t, FN(view) e, FN(view) out, const sg_array *to,
                              const vreal *Ms, vreal row_M, wide g) {
    const ptrdiff_t count = (t->n + BLOCK_N - 1) / BLOCK_N;
    if (layout == LAYOUT_ACROSS && SG_HAS_TEAM(t)) {
        const sg_team *team = t->call->team;
        FN(team_scale) a = {t, e, out, to, Ms, row_M, g, count, (count + team->tasks - 1) / team->tasks};
        team->run(team->tasks, FN(scale_task), &a);
        return;
    }
    FN(scale_some)(layout, t, e, out, to, Ms, row_M, g, 0, count);
}
/* The same of rows of any length. */
SG_INLINE void FN(scale_rows)(int layout, const FN(tile) *t, FN(view) e, FN(view) out, const vreal *Ms,
                              vreal row_M, wide g) {
    if (t->n > BLOCK_N) FN(scale_blocks)(layout, t, e, out, NULL, Ms, row_M, g);
    else FN(scale_tile)(layout, t, e, out, t->n, FN(factor_of)(g, vset1(-HEADROOM)));
}

/* 2^HEADROOM / sum, near 1: the sum of the terms without their scale. */
SG_BODY wide FN(inverse)(wide sum) { return FN(wide_inverse)(FN(wide_ldexp)(sum, vset1(-HEADROOM))); }
