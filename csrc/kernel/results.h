/* results.h - results that are made of terms, or logits, and two numbers a row: in a pass of their own; or, of a tile across, beside the
 * exponentials of the next one (terms.h), where loads and stores cost little. Included once per dtype, no include guard. */

/* x (high + low), of terms; x - (high + low), of logits. */
SG_INLINE vreal FN(result)(int terms, vreal x, vreal high, vreal low) {
    return terms ? vfma(x, high, vmul(x, low)) : vsub(vsub(x, high), low);
}

/* One block of one row, or of the rows in lanes; out may be x. */
SG_BODY void FN(make_row)(int terms, int layout, FN(view) x, FN(view) out, ptrdiff_t n, vreal high,
                          vreal low) {
    x = FN(opened)(layout, x);
    SG_EACH(layout, n, 4, {
        const vreal a = FN(read)(layout, full, x, v, n, 0);
        FN(write)(layout, full, out, v, n, FN(result)(terms, a, high, low));
    });
}
/* The same of each row of a tile. */
SG_BODY void FN(make_rows)(int terms, int layout, int rows, FN(view) x, FN(view) out, ptrdiff_t n,
                           const FN(lanes) *high, const FN(lanes) *low) {
    if (layout != LAYOUT_ACROSS) {
        FN(make_row)(terms, layout, x, out, n, vload(high->lane), vload(low->lane));
        return;
    }
    if (n >= SG_ALIGNED_N) {
        for (int r = 0; r < rows; r++) {
            const vreal h = vset1(high->lane[r]), l = vset1(low->lane[r]);
            const FN(view) xr = FN(row_of)(x, r), to = FN(row_of)(out, r);
            EACH_PART(to.p, n, begin, end)
            FN(make_row)(terms, layout, FN(further)(xr, begin), FN(further)(to, begin), end - begin, h, l);
        }
        return;
    }
    /* The ends of rows that go together come last: a store of part of a vector keeps waiting the load of what lies behind it,
     * the next row. Softmax of (1000, 100) took 74 us, 68 since. */
    const ptrdiff_t whole = rows > 1 ? n / VL * VL : n;
    for (ptrdiff_t begin = 0, end = whole; begin < n; begin = end, end = n)
        for (int r = 0; r < rows; r++)
            FN(make_row)(terms, layout, FN(further)(FN(row_of)(x, r), begin),
                         FN(further)(FN(row_of)(out, r), begin), end - begin, vset1(high->lane[r]),
                         vset1(low->lane[r]));
}

/* The same of classes [begin, begin + n) of rows across, rounded to the 16-bit results of the call; terms times `pre` if it is not NULL. */
SG_INLINE void FN(make_half)(int terms, int bfloat, FN(view) x, uint16_t *to, ptrdiff_t n, vreal pre,
                             vreal high, vreal low) {
    SG_EACH(LAYOUT_ACROSS, n, 4, {
        const vreal a = FN(read)(LAYOUT_ACROSS, full, x, v, n, 0);
        FN(write_half)(bfloat, full, to, v, n, FN(result)(terms, terms ? vmul(a, pre) : a, high, low));
    });
}
SG_NOINLINE void FN(make_halves)(int terms, const FN(tile) *t, FN(view) x, ptrdiff_t begin, ptrdiff_t n,
                                 const FN(lanes) *pre, const FN(lanes) *high, const FN(lanes) *low) {
    const sg_array *out = &t->call->out;
    for (int r = 0; r < t->rows; r++) {
        const FN(view) row = FN(row_of)(x, r);
        uint16_t *to = FN(half_row)(t, out, r) + begin;
        const vreal p = vset1(pre ? pre->lane[r] : 1), h = vset1(high->lane[r]), l = vset1(low->lane[r]);
        if (!out->half->is_bfloat16) {
            if (terms) FN(make_half)(1, 0, row, to, n, p, h, l);
            else FN(make_half)(0, 0, row, to, n, p, h, l);
        } else if (terms) FN(make_half)(1, 1, row, to, n, p, h, l);
        else FN(make_half)(0, 1, row, to, n, p, h, l);
    }
}

/* Leaves the results of a tile to the next one, if that is across and has as many rows; returns whether. Those of one row of
 * several blocks go block by block (block_stats). A pass that does little but load and store takes 2.4 (terms, in place) to 3.7 cycles a vector, and waits
 * for what is done once a tile. Zen 4, us: AVX-512 (300, 1000) softmax 87 -> 82, log_softmax 100 -> 85, loss + gradient 96 -> 90, float64 log_softmax 242 ->
 * 205, (1000, 100) softmax 48 -> 43, (100, 32000) log_softmax 1214 -> 962; AVX2 110 -> 108, 128 -> 117, 125 -> 121, 312 -> 298, 59 -> 56, 1492 -> 1355;
 * but (20000, 64) softmax 697 -> 724. */
SG_BODY int FN(postpone)(int layout, const FN(tile) *t, const sg_array *to, FN(view) x, FN(view) out,
                         vreal high, vreal low) {
    if (!SG_POSTPONES || layout != LAYOUT_ACROSS || t->after < t->rows) return 0;
    if ((t->rows == 1 && t->n <= BLOCK_N) || !FN(is_direct)(layout, t, to)) return 0;
    FN(due) *due = &t->looked->due;
    due->x = x;
    due->out = out;
    due->high = FN(lanes_of)(high);
    due->low = FN(lanes_of)(low);
    due->n = t->n;
    due->rows = t->rows;
    due->mended = 0;
    return 1;
}
/* After that, where one entry of each row is another: at[r] from its first on. */
SG_INLINE void FN(postpone_entries)(const FN(tile) *t, const ptrdiff_t at[], vreal entry) {
    FN(due) *due = &t->looked->due;
    due->mended = 1;
    due->entry = FN(lanes_of)(entry);
    memcpy(due->at, at, sizeof due->at);
}
SG_INLINE void FN(mend)(const FN(due) *due, int r) {
    FN(row_of)(due->out, r).p[due->at[r]] = due->entry.lane[r];
}

SG_NOINLINE void FN(make_due)(int terms, FN(due) *due) {
    if (terms) FN(make_rows)(1, LAYOUT_ACROSS, due->rows, due->x, due->out, due->n, &due->high, &due->low);
    else FN(make_rows)(0, LAYOUT_ACROSS, due->rows, due->x, due->out, due->n, &due->high, &due->low);
    for (int r = 0; due->mended && r < due->rows; r++) FN(mend)(due, r);
    due->rows = 0;
}
/* Makes what is due, if these rows will not: they are fewer, as after a tile with a far one, or `unseen`, as none counts. */
SG_INLINE void FN(catch_up)(int terms, int layout, const FN(tile) *t, int unseen) {
    if (!SG_POSTPONES || layout != LAYOUT_ACROSS) return;
    FN(due) *due = &t->looked->due;
    if (due->rows > 0 && (unseen || due->rows != t->rows)) FN(make_due)(terms, due);
}
