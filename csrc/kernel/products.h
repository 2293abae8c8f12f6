/* products.h - products with the Jacobians of softmax and log_softmax. Included once per dtype, no include
 * guard. x of the call is y = softmax or ly = log_softmax, g the vector; out may be either. */

/* sum(g y) of each row. A product in double costs five operations, most of them conversions. So the products of two classes, i
 * of a lane's even ones and i + L (sum.h), are added in the dtype by a fused multiply-add; what the first product was
 * rounded by is summed beside (of 16-bit numbers it is 0), and the pairs are added as wide numbers. A pair errs by half an ulp of
 * its terms: with the two roundings of y (g - dot) the result stays within 3 ulp of the magnitudes of all terms. */
typedef struct {
    wide sum[VL];
    vreal first[VL], rest[VL];
} FN(pairs);

SG_INLINE void FN(begin_pairs)(int layout, FN(pairs) *s) {
    for (int l = 0; l < FN(phases)(layout); l++) s->sum[l] = FN(zero)(), s->first[l] = s->rest[l] = vset1(0);
}
/* The l-th vector of a round. */
SG_INLINE void FN(add_product)(int layout, int how, FN(pairs) *s, int l, vreal g, vreal y) {
    const int p = FN(phases)(layout), at = l % p;
    if (how == SG_ONE_BY_ONE) {
        s->sum[at] = FN(wide_fma)(s->sum[at], g, y);
    } else if (l / p % 2 == 0) {
        s->first[at] = vmul(g, y);
        if (how == SG_IN_PAIRS) s->rest[at] = vsub(s->rest[at], vfnma(g, y, s->first[at]));
    } else {
        s->sum[at] = FN(wide_add_real)(s->sum[at], vfma(g, y, s->first[at]));
    }
}
/* The last of an odd number of classes has no second one. */
SG_BODY void FN(close_pairs)(int layout, int how, FN(pairs) *s, ptrdiff_t n) {
    const int p = FN(phases)(layout), left = (int)(FN(vectors)(layout, n) % (2 * p));
    for (int l = 0; l < p && how != SG_ONE_BY_ONE; l++) {
        if (l < left && l + p >= left) s->sum[l] = FN(wide_add_real)(s->sum[l], s->first[l]);
        if (how == SG_IN_PAIRS) s->sum[l] = FN(wide_add_real)(s->sum[l], s->rest[l]);
    }
}
/* Sums of rows across, not folded yet, to those of each row in its lane. Zen 4, us, with each row folded by itself and so: softmax_vjp of
 * float64 (2000, 64) 75 -> 55, (2000, 128) 119 -> 98; bfloat16 (2000, 100) 126 -> 114; float32 (2000, 64) 26.7 -> 25.8. */
SG_INLINE wide FN(fold_rows)(const wide sums[], int rows) {
    return rows == 1 ? FN(wide_fold_lanes)(sums[0]) : FN(wide_fold_rows)(sums, rows);
}

/* What a dot product is subtracted as; y (g - dot), with one rounding less than of the difference and then of its product. */
typedef struct { vreal high, minus_low; } FN(dot_parts);

SG_INLINE FN(dot_parts) FN(parts_of)(wide dot) {
    const vreal high = FN(wide_round)(dot);
    return (FN(dot_parts)){high, vsub(vset1(0), FN(wide_rest)(dot, high))};
}
/* Short rows of unaligned memory are bound by loads. Zen 2, us, y loaded twice, and once: (20000, 64) 528 -> 501, (2000, 128) 84 -> 79. */
SG_INLINE vreal FN(times_difference)(vreal y, vreal g, vreal high, vreal minus_low) {
    y = vheld(y);
    return vfma(y, vsub(g, high), vmul(y, minus_low));
}

/* y (g - dot) of n classes. */
SG_BODY void FN(differences)(int layout, FN(view) y, FN(view) g, FN(view) to, ptrdiff_t n, vreal high,
                             vreal minus_low) {
    SG_EACH(layout, n, 4, {
        const vreal a = FN(read)(layout, full, g, v, n, 0), s = FN(read)(layout, full, y, v, n, 0);
        FN(ask_for_next)(layout, to, v);
        FN(write)(layout, full, to, v, n, FN(times_difference)(s, a, high, minus_low));
    });
}
/* The same of one row or block across. */
SG_INLINE void FN(differences_aligned)(FN(view) y, FN(view) g, FN(view) to, ptrdiff_t n, vreal high,
                                       vreal minus_low) {
    EACH_PART(to.p, n, begin, end)
    FN(differences)(LAYOUT_ACROSS, FN(further)(y, begin), FN(further)(g, begin), FN(further)(to, begin),
                    end - begin, high, minus_low);
}
/* The same of a row of any length, from its end back: what was read last is in the caches still. Zen 2, us: float64 (1, 1000000) 1430 -> 1320. */
SG_INLINE void FN(differences_back)(FN(view) y, FN(view) g, FN(view) to, ptrdiff_t n, vreal high,
                                    vreal minus_low) {
    enum { PART = 16 * BLOCK_N };
    for (ptrdiff_t b = (n - 1) / PART * PART; b >= 0; b -= PART)
        FN(differences_aligned)(FN(further)(y, b), FN(further)(g, b), FN(further)(to, b),
                                n - b < PART ? n - b : PART, high, minus_low);
}
/* The rows of a tile across whose dot products are known, row by row beside those of the next one, as long as there is one. */
SG_INLINE void FN(due_differences)(FN(view) y, FN(view) g, FN(view) out, ptrdiff_t n, const FN(due) *due,
                                   int r) {
    const vreal high = vset1(due->high.lane[r]), minus_low = vset1(due->low.lane[r]);
    if (n >= SG_ALIGNED_N)
        FN(differences_back)(FN(row_of)(y, r), FN(row_of)(g, r), FN(row_of)(out, r), n, high, minus_low);
    else
        FN(differences)(LAYOUT_ACROSS, FN(row_of)(y, r), FN(row_of)(g, r), FN(row_of)(out, r), n, high,
                        minus_low);
}

/* Where the hardware's prefetchers do not know what comes after a row: of few classes, so far ahead. Zen 2, AVX2, us: (20000, 64) 640 -> 530, not in
 * the caches 1000 -> 890, (10000, 128) 596 -> 500, in L2 (2000, 64) 43 -> 46. Of longer rows: (10000, 1000) 6500 -> 7200. */
enum { FN(dots_ahead) = 4096 / sizeof(real) };

/* The products of one row across, or of the rows in lanes. These are copied on the way unless g_copy is NULL, and asked for a tile or two ahead. Zen 2, us, (16, 3,
 * 224, 224) copied before, and so: 2150 -> 1970; (16, 1000, 14, 14) asked for: 5060 -> 4550. */
SG_BODY void FN(add_products)(int layout, int how, int asks, ptrdiff_t n, FN(view) y, FN(view) g,
                              real *y_copy, real *g_copy, FN(pairs) *s) {
    SG_EACH(layout, n, FN(round)(layout), {
        const vreal a = FN(read)(layout, full, g, v, n, 0), b = FN(read)(layout, full, y, v, n, 0);
        if (full && asks) {
            SG_PREFETCH(g.p + v * VL + FN(dots_ahead));
            SG_PREFETCH(y.p + v * VL + FN(dots_ahead));
        }
        if (g_copy) {
            vstore(g_copy + v * VL, a);
            vstore(y_copy + v * VL, b);
        }
        if (layout == LAYOUT_LONG || g_copy) {
            const int ahead = g_copy ? 2 * VL : VL;
            SG_PREFETCH(FN(lines_of)(g, ahead).p + v * g.step);
            SG_PREFETCH(FN(lines_of)(y, ahead).p + v * y.step);
        }
        FN(add_product)(layout, how, s, l, a, b);
    });
}
/* The sums of products of one row across, or of a block of it, lane by lane; `asks` for lines ahead. */
SG_INLINE wide FN(sums_across)(int how, int asks, ptrdiff_t n, FN(view) y, FN(view) g) {
    FN(pairs) s;
    FN(begin_pairs)(LAYOUT_ACROSS, &s);
    FN(add_products)(LAYOUT_ACROSS, how, asks, n, y, g, NULL, NULL, &s);
    FN(close_pairs)(LAYOUT_ACROSS, how, &s, n);
    return s.sum[0];
}
/* A function of its own, as a team calls it too. */
SG_NOINLINE wide FN(sums_of_block)(ptrdiff_t n, FN(view) y, FN(view) g) {
    return FN(sums_across)(SG_IN_PAIRS, 0, n, y, g);
}
/* Large results go past the caches, in whole lines of these: where a row ends within one, that line is left open for the next row. With parts of lines stored as
 * ever (20000, 256) took 4500 us, with all 3020, so 2730. Zen 2, us, in turns as below: (48, 151936) 4010 -> 3370, (10000, 1000) 5240 -> 4650,
 * two threads 2850 -> 2350, 3840 -> 2970. */
SG_INLINE int FN(goes_past)(const FN(tile) *t) {
    const sg_array *out = &t->call->out;
    return SG_TAKES_TURNS && t->call->stream && t->n >= SG_ALIGNED_N && t->call->inner == 1 &&
           out->outer == t->n && (uintptr_t)out->data % sizeof(real) == 0;
}
/* The first results of a row, in the line that is open; the row before may be another thread's. */
SG_INLINE void FN(end_line)(FN(view) y, FN(view) g, FN(view) to, int head, vreal high, vreal minus_low,
                            FN(open_line) *line) {
    const vreal first = FN(times_difference)(vload_n(y.p, head, 0), vload_n(g.p, head, 0), high, minus_low);
    if (line->kept == 0) {
        vstore_n(to.p, first, head);
        return;
    }
    vstore_n(line->begun + line->kept, first, head);
    vstream(line->at, vload(line->begun));
}
SG_INLINE void FN(close_line)(FN(open_line) *line) {
    if (line->kept > 0) memcpy(line->at, line->begun, (size_t)line->kept * sizeof(real));
    line->kept = 0;
}
/* The next n results of a row, up to a round of vectors. Those past the caches are stored when all of them are made, as a load waits for such a store that
 * has its address modulo 4096: Zen 2, us, results 16 to 64 bytes further than y in that sense, float64 (100, 32000) 4980 -> 3070, else as before. */
SG_INLINE void FN(due_turn)(int past, FN(view) y, FN(view) g, FN(view) to, ptrdiff_t n, vreal high,
                            vreal minus_low, FN(open_line) *line) {
    if (!past) {
        FN(differences)(LAYOUT_ACROSS, y, g, to, n, high, minus_low);
        return;
    }
    vreal d[4];
    SG_UNROLL(l, 4)
    d[l] = FN(times_difference)(FN(get)(LAYOUT_ACROSS, y, l, n, 0), FN(get)(LAYOUT_ACROSS, g, l, n, 0), high,
                                minus_low);
    SG_UNROLL(l, 4) {
        const int left = FN(lanes_left)(l, n);
        if (left == VL) vstream(to.p + l * VL, d[l]);
        else if (left > 0) vstore_n(line->begun, d[l], left);
    }
}
/* A row whose dot product is known: its results from class `at` on are due, those of the first, `head` of them, before a line of the cache, come last. */
typedef struct {
    FN(view) y, g, to;
    vreal high, minus_low;
    ptrdiff_t n, head, at;
    FN(open_line) *line;
} FN(due_row);

SG_INLINE FN(due_row) FN(begin_due_row)(int past, ptrdiff_t n, FN(due) *due, int r) {
    FN(due_row) d = {FN(row_of)(due->x, r),
                     FN(row_of)(due->g, r),
                     FN(row_of)(due->out, r),
                     vset1(due->high.lane[r]),
                     vset1(due->low.lane[r]),
                     n,
                     0,
                     0,
                     &due->line};
    d.head = d.at = FN(to_line)(d.to.p, n);
    if (past) FN(end_line)(d.y, d.g, d.to, (int)d.head, d.high, d.minus_low, d.line);
    return d;
}
SG_INLINE void FN(end_due_row)(int past, const FN(due_row) *d) {
    const ptrdiff_t rest = d->n - d->at;
    FN(due_turn)(past, FN(further)(d->y, d->at), FN(further)(d->g, d->at), FN(further)(d->to, d->at), rest,
                 d->high, d->minus_low, d->line);
    if (past) {
        d->line->kept = (int)(rest % VL);
        d->line->at = d->to.p + d->n - d->line->kept;
    } else {
        FN(differences)(LAYOUT_ACROSS, d->y, d->g, d->to, d->head, d->high, d->minus_low);
    }
}
/* The products of one block of a row, in turns with the results of a row that is due: so that loads and stores of memory go side by side. PyTorch has rows take turns, of
 * 4096 bytes and more that is too far apart. Zen 2, AVX2, us: (48, 151936) 5110 -> 4050, (10000, 1000) 6660 -> 5300, float64 (100, 32000) 4390 -> 3410, in cache
 * (300, 1000) 75 -> 75, float64 141 -> 138; turns of 256 to 1024 bytes 4050, 2 KiB 4500, 4 KiB 4980. */
enum { FN(turn) = 4 * VL, FN(turns_n) = 1024 / sizeof(real) };

SG_INLINE void FN(add_in_turns)(int how, int past, ptrdiff_t n, FN(view) y, FN(view) g, FN(due_row) *d,
                                FN(pairs) *s) {
    ptrdiff_t i = 0;
    for (; i + FN(turn) <= n && d->at + FN(turn) <= d->n; i += FN(turn), d->at += FN(turn)) {
        FN(add_products)(LAYOUT_ACROSS, how, 0, FN(turn), FN(further)(y, i), FN(further)(g, i), NULL, NULL,
                         s);
        FN(due_turn)(past, FN(further)(d->y, d->at), FN(further)(d->g, d->at), FN(further)(d->to, d->at),
                     FN(turn), d->high, d->minus_low, d->line);
    }
    FN(add_products)(LAYOUT_ACROSS, how, 0, n - i, FN(further)(y, i), FN(further)(g, i), NULL, NULL, s);
}
/* The sums of products of a row of one block, lane by lane, with the results of row r of what is due. */
SG_INLINE wide FN(sums_in_turns)(int how, int past, ptrdiff_t n, FN(view) y, FN(view) g, FN(due) *due,
                                 int r) {
    FN(pairs) s;
    FN(begin_pairs)(LAYOUT_ACROSS, &s);
    FN(due_row) d = FN(begin_due_row)(past, n, due, r);
    FN(add_in_turns)(how, past, n, y, g, &d, &s);
    FN(end_due_row)(past, &d);
    FN(close_pairs)(LAYOUT_ACROSS, how, &s, n);
    return s.sum[0];
}
/* The dot product of each row, in its lane. */
SG_INLINE wide FN(dots_across)(int how, const FN(tile) *t, FN(view) y, FN(view) g, FN(due) *due) {
    wide sums[VL];
    const ptrdiff_t n = t->n;
    const int makes = due && due->rows > 0, past = FN(goes_past)(t);
    int r = 0;
    if (SG_TAKES_TURNS && makes && n >= FN(turns_n)) {
        do { /* a loop of its own: in one with the other that is 3 % slower */
            sums[r] = past ? FN(sums_in_turns)(how, 1, n, FN(row_of)(y, r), FN(row_of)(g, r), due, r)
                           : FN(sums_in_turns)(how, 0, n, FN(row_of)(y, r), FN(row_of)(g, r), due, r);
        } while (++r < t->rows);
        return FN(fold_rows)(sums, t->rows);
    }
    const FN(view) due_y = makes ? due->x : y, due_g = makes ? due->g : g, due_out = makes ? due->out : y;
    do { /* a loop that gcc knows to begin */
        sums[r] = FN(sums_across)(how, n < SG_ALIGNED_N, n, FN(row_of)(y, r), FN(row_of)(g, r));
        if (makes) FN(due_differences)(due_y, due_g, due_out, n, due, r);
    } while (++r < t->rows);
    return FN(fold_rows)(sums, t->rows);
}
/* Sums of the first blocks of a row, lane by lane, and the next one's. */
SG_INLINE wide FN(with_block)(wide before, wide sum, ptrdiff_t begin) {
    return begin == 0 ? sum : FN(wide_add)(before, sum);
}
SG_BODY wide FN(dots_in_lanes)(int layout, int how, const FN(tile) *t, FN(view) y, FN(view) g, real *y_copy,
                               real *g_copy) {
    wide total[VL];
    ptrdiff_t b = 0;
    do {
        const ptrdiff_t n = layout == LAYOUT_LONG ? FN(block_size)(t->n, b) : t->n;
        FN(pairs) s;
        FN(begin_pairs)(layout, &s);
        FN(add_products)(layout, how, 0, n, FN(further)(y, b * y.step), FN(further)(g, b * g.step), y_copy,
                         g_copy, &s);
        FN(close_pairs)(layout, how, &s, n);
        for (int l = 0; l < FN(phases)(layout); l++) total[l] = FN(with_block)(total[l], s.sum[l], b);
        b += BLOCK_N;
    } while (layout == LAYOUT_LONG && b < t->n);
    return FN(fold)(layout, total);
}
/* The dot product of one row of several blocks: y and g as they stand, or block by block in the buffers. */
SG_INLINE wide FN(dot_by_block)(int how, const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    wide total = FN(zero)();
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        const FN(view) y = FN(open_block)(t, &c->x, b, n, y_buffer),
                       g = FN(open_block)(t, &c->g, b, n, g_buffer);
        total = FN(with_block)(
            total, how == SG_IN_PAIRS ? FN(sums_of_block)(n, y, g) : FN(sums_across)(how, 0, n, y, g), b);
    }
    return FN(wide_fold_lanes)(total);
}
/* The same of a row that stands as it is, in turns with the results of the row that is due. */
SG_INLINE wide FN(dot_in_turns)(int past, const FN(tile) *t, FN(view) y, FN(view) g, FN(due) *due) {
    wide total = FN(zero)();
    FN(due_row) d = FN(begin_due_row)(past, t->n, due, 0);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        FN(pairs) s;
        FN(begin_pairs)(LAYOUT_ACROSS, &s);
        FN(add_in_turns)(SG_IN_PAIRS, past, n, FN(further)(y, b), FN(further)(g, b), &d, &s);
        FN(close_pairs)(LAYOUT_ACROSS, SG_IN_PAIRS, &s, n);
        total = FN(with_block)(total, s.sum[0], b);
    }
    FN(end_due_row)(past, &d);
    return FN(wide_fold_lanes)(total);
}

#if REAL_IS_FLOAT
/* Rows whose pairs may have overflowed, or lost digits below the smallest normal number. (Of float64 nothing wider is at hand.) */
SG_INLINE vmask FN(needs_exact)(wide dot) {
    const vreal d = FN(wide_round)(dot), size = vmax(d, vsub(vset1(0), d));
    const vmask good = mand(vlt(vset1(1 / REAL_FACTOR), size), vlt(size, vset1(REAL_FACTOR)));
    return mnot(good);
}
SG_NOINLINE wide FN(exact_across)(const FN(tile) *t, FN(view) y, FN(view) g) {
    return FN(dots_across)(SG_ONE_BY_ONE, t, y, g, NULL);
}
SG_NOINLINE wide FN(exact_short)(const FN(tile) *t, FN(view) y, FN(view) g) {
    return FN(dots_in_lanes)(LAYOUT_SHORT, SG_ONE_BY_ONE, t, y, g, NULL, NULL);
}
SG_NOINLINE wide FN(exact_long)(const FN(tile) *t, FN(view) y, FN(view) g) {
    return FN(dots_in_lanes)(LAYOUT_LONG, SG_ONE_BY_ONE, t, y, g, NULL, NULL);
}
SG_NOINLINE wide FN(exact_by_block)(const FN(tile) *t, real *y_buffer, real *g_buffer) {
    return FN(dot_by_block)(SG_ONE_BY_ONE, t, y_buffer, g_buffer);
}
/* Lanes without a row do not count. */
#define IF_NEEDED(rows, dot, exact)                                                         \
    do {                                                                                    \
        const vmask bad_ = FN(needs_exact)(dot), rows_ = vlt(viota(), vset1((real)(rows))); \
        if (SG_UNLIKELY(many(mand(bad_, rows_)))) dot = FN(wide_select)(bad_, exact, dot);  \
    } while (0)
#else
#define IF_NEEDED(rows, dot, exact) ((void)0)
#endif

#if REAL_IS_FLOAT
/* Contiguous rows of 16-bit numbers, from memory to the vectors and back: no floats in between that are stored and loaded twice.
 * Zen 4, us, by a float copy of a block and so: softmax_vjp of bfloat16 (300, 1000) 99 and 89, (100, 32000) 2100 and 840; float16 89, 74; 2160, 660. */
SG_BODY void FN(add_halves)(int bfloat, int how, const FN(tile) *t, ptrdiff_t begin, ptrdiff_t n,
                            wide sums[]) {
    int r = 0;
    do {
        const uint16_t *y = FN(half_row)(t, &t->call->x, r) + begin,
                       *g = FN(half_row)(t, &t->call->g, r) + begin;
        FN(pairs) s;
        FN(begin_pairs)(LAYOUT_ACROSS, &s);
        SG_EACH(LAYOUT_ACROSS, n, 4, {
            FN(add_product)(LAYOUT_ACROSS, how, &s, l, FN(read_half)(bfloat, full, g, v, n),
                            FN(read_half)(bfloat, full, y, v, n));
        });
        FN(close_pairs)(LAYOUT_ACROSS, how, &s, n);
        sums[r] = s.sum[0];
    } while (++r < t->rows);
}
SG_BODY void FN(make_halves_of)(int bfloat, const FN(tile) *t, ptrdiff_t begin, ptrdiff_t n,
                                FN(dot_parts) d) {
    const FN(lanes) high_of = FN(lanes_of)(d.high), low_of = FN(lanes_of)(d.minus_low);
    for (int r = 0; r < t->rows; r++) {
        const uint16_t *y = FN(half_row)(t, &t->call->x, r) + begin,
                       *g = FN(half_row)(t, &t->call->g, r) + begin;
        uint16_t *to = FN(half_row)(t, &t->call->out, r) + begin;
        const vreal high = FN(spread)(LAYOUT_ACROSS, &high_of, r),
                    low = FN(spread)(LAYOUT_ACROSS, &low_of, r);
        SG_EACH(LAYOUT_ACROSS, n, 4, {
            const vreal a = FN(read_half)(bfloat, full, g, v, n), s = FN(read_half)(bfloat, full, y, v, n);
            FN(write_half)(bfloat, full, to, v, n, FN(times_difference)(s, a, high, low));
        });
    }
}
/* Of classes [begin, begin + n) of each row: the sums, lane by lane, and the results. */
SG_NOINLINE void FN(sums_of_halves)(int how, const FN(tile) *t, ptrdiff_t begin, ptrdiff_t n, wide sums[]) {
    const int bfloat = t->call->x.half->is_bfloat16;
    if (how == SG_ONE_BY_ONE) {
        if (bfloat) FN(add_halves)(1, SG_ONE_BY_ONE, t, begin, n, sums);
        else FN(add_halves)(0, SG_ONE_BY_ONE, t, begin, n, sums);
    } else if (bfloat) FN(add_halves)(1, SG_IN_PAIRS_OF_HALVES, t, begin, n, sums);
    else FN(add_halves)(0, SG_IN_PAIRS_OF_HALVES, t, begin, n, sums);
}
SG_NOINLINE void FN(half_differences)(const FN(tile) *t, ptrdiff_t begin, ptrdiff_t n, FN(dot_parts) d) {
    if (t->call->x.half->is_bfloat16) FN(make_halves_of)(1, t, begin, n, d);
    else FN(make_halves_of)(0, t, begin, n, d);
}
/* Several rows are of one block. */
SG_NOINLINE wide FN(dots_of_halves)(int how, const FN(tile) *t) {
    wide sums[VL], next;
    FN(sums_of_halves)(how, t, 0, FN(block_size)(t->n, 0), sums);
    for (ptrdiff_t b = BLOCK_N; b < t->n; b += BLOCK_N) {
        FN(sums_of_halves)(how, t, b, FN(block_size)(t->n, b), &next);
        sums[0] = FN(wide_add)(sums[0], next);
    }
    return FN(fold_rows)(sums, t->rows);
}
#endif

/* One row of several blocks, which a team shares: what the products of each block sum up to, then results. */
_Static_assert(sizeof(wide) <= SG_STATS_BYTES, "a team has room for one of each block");
typedef struct {
    const FN(tile) *t;
    wide *sums;
    ptrdiff_t share; /* classes a task, whole blocks */
    FN(dot_parts) dot;
} FN(team_products);

SG_INLINE ptrdiff_t FN(end_of_share)(const FN(team_products) *a, int i) {
    return (i + 1) * a->share < a->t->n ? (i + 1) * a->share : a->t->n;
}
static void FN(team_sums)(void *context, int i) {
    const FN(team_products) *a = context;
    const FN(tile) *t = a->t;
    const sg_call *c = t->call;
    for (ptrdiff_t b = i * a->share; b < FN(end_of_share)(a, i); b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        wide *sum = &a->sums[b / BLOCK_N];
#if REAL_IS_FLOAT
        if (c->x.half) {
            FN(sums_of_halves)(SG_IN_PAIRS_OF_HALVES, t, b, n, sum);
            continue;
        }
#endif
        *sum = FN(sums_of_block)(n, FN(further)(FN(stand)(LAYOUT_ACROSS, t, &c->x), b),
                                 FN(further)(FN(stand)(LAYOUT_ACROSS, t, &c->g), b));
    }
}
static void FN(team_differences)(void *context, int i) {
    const FN(team_products) *a = context;
    const FN(tile) *t = a->t;
    const sg_call *c = t->call;
    const ptrdiff_t begin = i * a->share, n = FN(end_of_share)(a, i) - begin;
    if (n <= 0) return;
#if REAL_IS_FLOAT
    if (c->x.half) {
        FN(half_differences)(t, begin, n, a->dot);
        return;
    }
#endif
    FN(differences_back)(FN(further)(FN(stand)(LAYOUT_ACROSS, t, &c->x), begin),
                         FN(further)(FN(stand)(LAYOUT_ACROSS, t, &c->g), begin),
                         FN(further)(FN(stand)(LAYOUT_ACROSS, t, &c->out), begin), n, a->dot.high,
                         a->dot.minus_low);
}
SG_NOINLINE void FN(softmax_vjp_team)(const FN(tile) *t) {
    const sg_team *team = t->call->team;
    const ptrdiff_t blocks = (t->n + BLOCK_N - 1) / BLOCK_N;
    FN(team_products) a = {.t = t, .sums = team->memory};
    a.share = (blocks + team->tasks - 1) / team->tasks * BLOCK_N;
    team->run(team->tasks, FN(team_sums), &a);
    wide dot = a.sums[0];
    for (ptrdiff_t b = 1; b < blocks; b++) dot = FN(wide_add)(dot, a.sums[b]);
    dot = FN(wide_fold_lanes)(dot);
#if REAL_IS_FLOAT
    IF_NEEDED(1, dot,
              t->call->x.half ? FN(dots_of_halves)(SG_ONE_BY_ONE, t) : FN(exact_by_block)(t, NULL, NULL));
#endif
    a.dot = FN(parts_of)(dot);
    team->run(team->tasks, FN(team_differences), &a);
}

#if REAL_IS_FLOAT
SG_INLINE void FN(softmax_vjp_halves)(const FN(tile) *t) {
    wide dot = FN(dots_of_halves)(SG_IN_PAIRS_OF_HALVES, t);
    IF_NEEDED(t->rows, dot, FN(dots_of_halves)(SG_ONE_BY_ONE, t));
    FN(half_differences)(t, 0, t->n, FN(parts_of)(dot));
}
#endif

/* A run: many neighbours in lanes, class after class, as the hardware's prefetchers follow it; the sums of all rows stand in the nearest caches meanwhile. In tiles of one
 * vector a class (8, 21, 160, 160) took 4330 us, as of 63 lines each is far from the others; it takes 3020, float64 8460 -> 5950, (16, 50, 64, 64) 3620 -> 2210,
 * in cache (32, 21, 28, 28) 198 -> 170 (Zen 2). */
enum { FN(run_vectors) = SG_RUN_BYTES / 64 };

/* `count` classes, at most 4 so that rows' sums are loaded and stored once for these; those of the first are begun. */
SG_INLINE void FN(add_classes)(int count, int begin, ptrdiff_t rows, FN(view) y, FN(view) g, wide *sums,
                               vreal *rests) {
    for (ptrdiff_t k = 0; k < rows / VL; k++) {
        const ptrdiff_t v = k * VL;
        FN(pairs) s;
        FN(begin_pairs)(LAYOUT_SHORT, &s);
        if (!begin) s.sum[0] = sums[k], s.rest[0] = rests[k];
        SG_UNROLL(l, count)
        FN(add_product)(LAYOUT_SHORT, SG_IN_PAIRS, &s, l, vload(g.p + l * g.step + v),
                        vload(y.p + l * y.step + v));
        if (count % 2 != 0) s.sum[0] = FN(wide_add_real)(s.sum[0], s.first[0]);
        sums[k] = s.sum[0];
        rests[k] = s.rest[0];
    }
}
/* Every `lanes`-th class of n from `first` on. */
SG_INLINE void FN(add_run)(ptrdiff_t first, ptrdiff_t lanes, ptrdiff_t n, ptrdiff_t rows, FN(view) y,
                           FN(view) g, wide *sums) {
    vreal rests[FN(run_vectors)];
    const ptrdiff_t count = (n - first + lanes - 1) / lanes;
    ptrdiff_t i = 0;
#define ADD_SOME(some)                                                                        \
    for (; i + (some) <= count; i += (some)) {                                                \
        const ptrdiff_t at = first + i * lanes;                                               \
        FN(add_classes)(some, i == 0, rows, (FN(view)){y.p + at * y.step, lanes * y.step, 0}, \
                        (FN(view)){g.p + at * g.step, lanes * g.step, 0}, sums, rests);       \
    }
    ADD_SOME(4)
    ADD_SOME(2)
    ADD_SOME(1)
#undef ADD_SOME
    for (ptrdiff_t k = 0; k < rows / VL; k++) sums[k] = FN(wide_add_real)(sums[k], rests[k]);
}
SG_NOINLINE void FN(softmax_vjp_run)(const FN(tile) *t) {
    /* VL <= 16 lanes, folded by halves as soon as two are there: l and l + VL / 2 first (sum.h) */
    enum { LEVELS = 5 };
    wide sums[LEVELS][FN(run_vectors)], (*top)[FN(run_vectors)] = sums;
    FN(dot_parts) parts[FN(run_vectors)];
    const sg_call *c = t->call;
    const ptrdiff_t n = t->n, rows = t->rows;
    const FN(view) y = FN(stand)(LAYOUT_SHORT, t, &c->x), g = FN(stand)(LAYOUT_SHORT, t, &c->g),
                   out = FN(stand)(LAYOUT_SHORT, t, &c->out);
    const int lanes = n <= SG_LANES_N ? 1 : VL;
    for (int k = 0; k < lanes; k++, top++) {
        int lane = 0;
        for (int bit = 1; bit < lanes; bit *= 2) lane += k & bit ? lanes / 2 / bit : 0;
        FN(add_run)(lane, lanes, n, rows, y, g, *top);
        for (int bit = 1; k & bit; bit *= 2, top--)
            for (ptrdiff_t v = 0; v < rows / VL; v++) top[-1][v] = FN(wide_add)(top[-1][v], top[0][v]);
    }
    for (ptrdiff_t v = 0; v < rows / VL; v++) {
        wide dot = sums[0][v];
        IF_NEEDED(VL, dot,
                  lanes == 1 ? FN(exact_short)(t, FN(further)(y, v * VL), FN(further)(g, v * VL))
                             : FN(exact_long)(t, FN(further)(y, v * VL), FN(further)(g, v * VL)));
        parts[v] = FN(parts_of)(dot);
    }
    /* Where every class begins at a line large results go past the caches, a few at a time as in due_turn(). Zen 2, us: (8, 21, 160, 160) 3050 -> 2500, two threads 1580 -> 1060; float64 6000 -> 4830. */
    const int past = SG_TAKES_TURNS && c->stream && out.step % VL == 0 && (uintptr_t)out.p % 64 == 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const FN(view) yi = FN(further)(y, i * y.step), gi = FN(further)(g, i * g.step);
        real *to = out.p + i * out.step;
        ptrdiff_t v = 0;
        for (; v + 4 <= rows / VL; v += 4) {
            vreal d[4];
            SG_UNROLL(l, 4)
            d[l] = FN(times_difference)(vload(yi.p + (v + l) * VL), vload(gi.p + (v + l) * VL),
                                        parts[v + l].high, parts[v + l].minus_low);
            SG_UNROLL(l, 4) {
                if (past) vstream(to + (v + l) * VL, d[l]);
                else vstore(to + (v + l) * VL, d[l]);
            }
        }
        for (; v < rows / VL; v++)
            vstore(to + v * VL, FN(times_difference)(vload(yi.p + v * VL), vload(gi.p + v * VL),
                                                     parts[v].high, parts[v].minus_low));
    }
    if (past) SG_FENCE();
}

/* Whether the rows of a call stand as they are, across, in every array. */
SG_INLINE int FN(stand_across)(const FN(tile) *t) {
    const sg_call *c = t->call;
    return FN(is_direct)(LAYOUT_ACROSS, t, &c->x) && FN(is_direct)(LAYOUT_ACROSS, t, &c->g) &&
           FN(is_direct)(LAYOUT_ACROSS, t, &c->out);
}
/* Rows across. Their results are left to the next tile if there is one, which is as large: of short rows row by row, so that reads and writes take turns (of
 * others see add_in_turns). Zen 2, us, caches cold: (20000, 64) 870 -> 770, (10000, 128) 920 -> 785, float64 (10000, 100) 1490 -> 1240. Without finer turns
 * (300, 1000), of which a tile has two rows, 73 -> 81. */
SG_INLINE void FN(make_or_leave)(const FN(tile) *t, FN(view) y, FN(view) g, FN(view) out, wide dot) {
    enum { LEAST = SG_TAKES_TURNS ? 1 : 4 };
    const FN(dot_parts) d = FN(parts_of)(dot);
    FN(due) *const due = &t->looked->due;
    due->x = y;
    due->g = g;
    due->out = out;
    due->high = FN(lanes_of)(d.high);
    due->low = FN(lanes_of)(d.minus_low);
    due->rows = t->rows;
    if (t->rows >= LEAST && t->after >= t->rows && FN(stand_across)(t)) return;
    FN(close_line)(&due->line);
    if (FN(goes_past)(t)) SG_FENCE();
    for (int r = 0; r < t->rows; r++) FN(due_differences)(y, g, out, t->n, due, r);
    due->rows = 0;
}
SG_INLINE void FN(softmax_vjp_rows)(const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    const FN(view) y = FN(open)(LAYOUT_ACROSS, t, &c->x, y_buffer),
                   g = FN(open)(LAYOUT_ACROSS, t, &c->g, g_buffer),
                   out = FN(open_out)(LAYOUT_ACROSS, t, &c->out, y_buffer);
    wide dot = FN(dots_across)(SG_IN_PAIRS, t, y, g, &t->looked->due);
    IF_NEEDED(t->rows, dot, FN(exact_across)(t, y, g));
    FN(make_or_leave)(t, y, g, out, dot);
    FN(close_out)(LAYOUT_ACROSS, t, &c->out, out);
}
/* The same of one row of several blocks. */
SG_INLINE void FN(softmax_vjp_row)(const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    const int stands = FN(stand_across)(t);
    const FN(view) all_y = FN(stand)(LAYOUT_ACROSS, t, &c->x), all_g = FN(stand)(LAYOUT_ACROSS, t, &c->g);
    FN(due) *const due = &t->looked->due;
    wide dot;
    if (!SG_TAKES_TURNS || due->rows == 0) dot = FN(dot_by_block)(SG_IN_PAIRS, t, y_buffer, g_buffer);
    else if (FN(goes_past)(t)) dot = FN(dot_in_turns)(1, t, all_y, all_g, due);
    else dot = FN(dot_in_turns)(0, t, all_y, all_g, due);
    IF_NEEDED(t->rows, dot, FN(exact_by_block)(t, y_buffer, g_buffer));
    if (stands) {
        FN(make_or_leave)(t, all_y, all_g, FN(stand)(LAYOUT_ACROSS, t, &c->out), dot);
        return;
    }
    const FN(dot_parts) d = FN(parts_of)(dot);
    for (ptrdiff_t b = 0; b < t->n; b += BLOCK_N) {
        const ptrdiff_t n = FN(block_size)(t->n, b);
        const FN(view) y = FN(open_block)(t, &c->x, b, n, y_buffer),
                       g = FN(open_block)(t, &c->g, b, n, g_buffer);
        const FN(view) to = FN(open_out_block)(t, &c->out, b, y_buffer);
        FN(differences_aligned)(y, g, to, n, d.high, d.minus_low);
        FN(close_block)(t, &c->out, b, n, to);
    }
}
/* Rows in lanes. */
SG_BODY void FN(softmax_vjp_vectors)(int layout, const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    FN(view) y = FN(nowhere)(), g = y;
    if (layout == LAYOUT_SHORT) y = FN(place_of)(t, &c->x), g = FN(place_of)(t, &c->g);
    wide dot;
    if (y.p && g.p) {
        dot = FN(dots_in_lanes)(layout, SG_IN_PAIRS, t, y, g, y_buffer, g_buffer);
        y = (FN(view)){y_buffer, VL, 0};
        g = (FN(view)){g_buffer, VL, 0};
    } else {
        y = FN(open)(layout, t, &c->x, y_buffer);
        g = FN(open)(layout, t, &c->g, g_buffer);
        dot = FN(dots_in_lanes)(layout, SG_IN_PAIRS, t, y, g, NULL, NULL);
    }
    IF_NEEDED(t->rows, dot, layout == LAYOUT_SHORT ? FN(exact_short)(t, y, g) : FN(exact_long)(t, y, g));
    const FN(dot_parts) d = FN(parts_of)(dot);
    const FN(view) out = FN(open_out)(layout, t, &c->out, y_buffer);
    FN(differences)(layout, y, g, out, t->n, d.high, d.minus_low);
    FN(close_out)(layout, t, &c->out, out);
}

/* y (g - sum(g y)). The same to the right by symmetry. */
SG_BODY int FN(softmax_vjp_tile)(int layout, const FN(tile) *t) {
    const int halves = layout == LAYOUT_ACROSS && sg_has_rows_of_halves(t->call);
    if (layout == LAYOUT_ACROSS && SG_HAS_TEAM(t) && (halves || FN(stand_across)(t))) {
        FN(softmax_vjp_team)(t);
        return 1;
    }
#if REAL_IS_FLOAT
    if (halves) {
        FN(softmax_vjp_halves)(t);
        return 1;
    }
#endif
    if (layout != LAYOUT_ACROSS && t->rows > VL) {
        FN(softmax_vjp_run)(t);
        return 1;
    }
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    if (FN(in_blocks)(layout, t)) FN(softmax_vjp_row)(t, y_buffer, g_buffer);
    else if (layout == LAYOUT_ACROSS) FN(softmax_vjp_rows)(t, y_buffer, g_buffer);
    else FN(softmax_vjp_vectors)(layout, t, y_buffer, g_buffer);
    return 1;
}
BOTH_LAYOUTS(softmax_vjp, SG_PRODUCTS)
#undef IF_NEEDED

/* What exp(ly) is taken relative to. Larger than FAR is no logarithm of a probability; exp.h needs a bound. */
SG_INLINE FN(limits) FN(log_limits)(int layout, const FN(tile) *t, FN(view) ly) {
    const int many_rows = layout == LAYOUT_ACROSS && t->rows > 1;
    const vreal max =
        many_rows ? FN(largest_of_rows)(SG_WITH_ALL, t, 0, ly, t->n).max : FN(max_of)(layout, ly, t->n);
    return FN(limits_of)(vselect(vlt(vset1(REAL_FAR), max), vset1(REAL_FAR), max));
}
/* What both products read and write, and the limits of each row. */
typedef struct {
    FN(view) y, g, out;
    vreal M;
    FN(lanes) low, magic;
} FN(log_product);

SG_BODY FN(log_product) FN(open_log_product)(int layout, const FN(tile) *t, real *y_buffer, real *g_buffer) {
    const sg_call *c = t->call;
    FN(log_product) p;
    p.y = FN(open)(layout, t, &c->x, y_buffer);
    p.g = FN(open)(layout, t, &c->g, g_buffer);
    p.out = FN(open_out)(layout, t, &c->out, y_buffer);
    const FN(limits) k = FN(log_limits)(layout, t, p.y);
    p.M = k.M;
    p.low = FN(lanes_of)(k.low);
    p.magic = FN(lanes_of)(k.magic);
    return p;
}
SG_INLINE FN(limits) FN(spread_limits)(int layout, const FN(log_product) *p, int r) {
    return (FN(limits)){FN(spread)(layout, &p->low, r), FN(spread)(layout, &p->magic, r), p->M};
}
/* Each row's sum in its lane: of rows across, whose chains are added, or of the rows in lanes. */
SG_INLINE wide FN(total_of)(int layout, const FN(tile) *t, wide sums[]) {
    return layout == LAYOUT_ACROSS ? FN(fold_rows)(sums, t->rows) : sums[0];
}

/* g - exp(ly) sum(g); where ly is -inf, g, whatever the sum. */
SG_BODY int FN(log_softmax_vjp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    const FN(log_product) p = FN(open_log_product)(layout, t, y_buffer, g_buffer);
    const FN(view) y = p.y, g = p.g, out = p.out;
    wide sums[VL];
    int r = 0;
    do {
        const FN(view) gr = FN(row_of)(g, r);
        wide sum[2 * VL];
        FN(clear_chains)(layout, sum);
        SG_EACH(layout, t->n, FN(round)(layout), {
            wide *s = &sum[FN(chain)(layout, l)];
            *s = FN(wide_add_real)(*s, FN(read)(layout, full, gr, v, t->n, 0));
        });
        sums[r] = FN(add_chains)(layout, sum);
    } while (++r < FN(passes)(layout, t));
    const FN(factors) factors =
        FN(factors_of)(FN(factor_of)(FN(without_c)(FN(total_of)(layout, t, sums)), p.M));
    r = 0;
    do {
        const FN(view) yr = FN(row_of)(y, r), gr = FN(row_of)(g, r), to = FN(row_of)(out, r);
        const FN(limits) k = FN(spread_limits)(layout, &p, r);
        const FN(factor) f = FN(spread_factor)(layout, &factors, r);
        SG_EACH(layout, t->n, 4, {
            const vreal a = FN(read)(layout, full, gr, v, t->n, 0),
                        ly = FN(read)(layout, full, yr, v, t->n, 0);
            vreal scale, frac;
            FN(exp_terms)(ly, k, &scale, &frac);
            const vreal e = vmul(FN(mul_add)(scale, frac, scale), f.pre),
                        d = vfnma(e, f.hi, vfnma(e, f.lo, a));
            FN(ask_for_next)(layout, to, v);
            FN(write)(layout, full, to, v, t->n, vselect(veq(ly, vset1(-REAL_INF)), a, d));
        });
    } while (++r < FN(passes)(layout, t));
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax_vjp, SG_LOG_PRODUCTS)

/* g - sum(exp(ly) g); where ly is -inf, whatever g. */
SG_BODY int FN(log_softmax_jvp_tile)(int layout, const FN(tile) *t) {
    TILE_BUFFER(y_buffer, 0);
    TILE_BUFFER(g_buffer, 1);
    const FN(log_product) p = FN(open_log_product)(layout, t, y_buffer, g_buffer);
    const FN(view) y = p.y, g = p.g, out = p.out;
    wide sums[VL];
    int r = 0;
    do {
        const FN(view) yr = FN(row_of)(y, r), gr = FN(row_of)(g, r);
        const FN(limits) k = FN(spread_limits)(layout, &p, r);
        wide sum[2 * VL];
        FN(clear_chains)(layout, sum);
        SG_EACH(layout, t->n, FN(round)(layout), {
            wide *s = &sum[FN(chain)(layout, l)];
            vreal a = FN(read)(layout, full, gr, v, t->n, 0), scale, frac;
            const vreal ly = FN(read)(layout, full, yr, v, t->n, -REAL_INF);
            FN(exp_terms)(ly, k, &scale, &frac);
            a = vselect(veq(ly, vset1(-REAL_INF)), vset1(0), a);
            *s = FN(wide_fma)(FN(wide_fma)(*s, scale, a), vmul(scale, frac), a);
        });
        sums[r] = FN(add_chains)(layout, sum);
    } while (++r < FN(passes)(layout, t));
    const wide dot = FN(wide_lower)(FN(without_c)(FN(total_of)(layout, t, sums)), p.M);
    const vreal high = FN(wide_round)(dot), low = FN(wide_rest)(dot, high);
    const FN(lanes) highs = FN(lanes_of)(high), lows = FN(lanes_of)(low);
    if (layout == LAYOUT_ACROSS) {
        FN(make_rows)(0, layout, t->rows, g, out, t->n, &highs, &lows);
    } else {
        SG_EACH(layout, t->n, 4, {
            const vreal d = FN(result)(0, FN(read)(layout, full, g, v, t->n, 0), high, low);
            FN(ask_for_next)(layout, out, v);
            FN(write)(layout, full, out, v, t->n, d);
        });
    }
    FN(close_out)(layout, t, &t->call->out, out);
    return 1;
}
BOTH_LAYOUTS(log_softmax_jvp, SG_LOG_PRODUCTS)
