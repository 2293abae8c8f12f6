/* largest.h - the largest logit of a row and, for logarithms and gradients, the next one. Included once per dtype, no include guard. */

SG_INLINE FN(largest) FN(larger)(int mode, FN(largest) a, FN(largest) b) {
    if (mode == SG_WITHOUT_MAX) a.second = vmax(vmax(a.second, b.second), vmin(a.max, b.max));
    a.max = vmax(a.max, b.max);
    return a;
}
SG_INLINE void FN(add_largest)(int mode, FN(largest) *m, vreal a) {
    if (mode == SG_WITHOUT_MAX) m->second = vmax(vmin(a, m->max), m->second);
    m->max = vmax(a, m->max);
}
SG_BODY FN(largest) FN(largest_lanes)(int mode, FN(view) x, ptrdiff_t n) {
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
SG_BODY FN(largest) FN(largest_in_lanes)(int chains, int mode, FN(view) x, ptrdiff_t n) {
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
SG_BODY int FN(largest_step)(int k, int mode, FN(largest) m[], int count) {
    int i = 0;
    for (; i < k && i < count; i++) {
        const FN(largest) a = m[i], b = m[i + k < count ? i + k : i];
        FN(largest) lower = a, upper = b;
        vpartners(k, a.max, b.max, &lower.max, &upper.max);
        if (mode == SG_WITHOUT_MAX) vpartners(k, a.second, b.second, &lower.second, &upper.second);
        m[i] = FN(larger)(mode, lower, upper);
    }
    return i;
}
SG_BODY FN(largest) FN(fold_largest)(int mode, FN(largest) m[], int rows) {
    if (VL == 16) rows = FN(largest_step)(8, mode, m, rows);
    rows = FN(largest_step)(4, mode, m, rows);
    rows = FN(largest_step)(2, mode, m, rows);
    FN(largest_step)(1, mode, m, rows);
    return m[0];
}
SG_BODY FN(largest) FN(largest_of_rows)(int mode, const FN(tile) *t, int looked, FN(view) x, ptrdiff_t n) {
    if (looked && n <= SHORT_N) return t->looked->rows[0];
    FN(largest) m[VL];
    int r = 0, rows = t->rows;
    do m[r] = looked ? t->looked->rows[r] : FN(largest_in_lanes)(2, mode, FN(row_of)(x, r), n);
    while (++r < rows); /* a loop that gcc knows to begin */
    if (!looked && mode == SG_WITHOUT_MAX && n > SHORT_N) /* for exp_sum() */
        for (r = 0; r < rows; r++) t->looked->rows[r] = m[r];
    return FN(fold_largest)(mode, m, rows);
}
SG_BODY FN(largest) FN(largest_of)(int layout, int mode, const FN(tile) *t, FN(view) x, ptrdiff_t n) {
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
