/* fold.h - one number a row from rows that lie across, several together: lane r of the result is what the lanes of row r's vector
 * fold to. Half of the lanes of one row and half of another's make a vector (vT_partners), so that a row costs three operations in the
 * place of two for each of the log2(VL) steps, and no lane is stored and loaded by itself. Halves of a vector come first: on AVX2 they are
 * registers. Included once per dtype, no include guard. */

SG_INLINE int FN(fold_sums_step)(int k, int bits, vreal v[], int count) {
    int i = 0;
    for (; i < k && i < count; i++) {
        vreal lower, upper;
        vpartners(k, v[i], v[i + k < count ? i + k : i], &lower, &upper);
        v[i] = bits ? vaddbits(lower, upper) : vadd(lower, upper);
    }
    return i;
}
/* Sums of reals that are exact in any order, or with `bits` of integers. v, of `rows` rows, is overwritten. */
SG_INLINE vreal FN(fold_sums)(int bits, vreal v[], int rows) {
    if (VL == 16) rows = FN(fold_sums_step)(8, bits, v, rows);
    rows = FN(fold_sums_step)(4, bits, v, rows);
    rows = FN(fold_sums_step)(2, bits, v, rows);
    FN(fold_sums_step)(1, bits, v, rows);
    return v[0];
}

/* Sums (sum.h) of several rows: `empty` is one of each row without terms, in its lane, for the terms in each lane of a row
 * across. That of row r to begin with; what it has become; the total of each row in its lane, with `less` added, of no more
 * terms than a lane may have. */
typedef struct { FN(lanes) big, middle, ints, rests; } FN(sum_lanes);
typedef struct { vreal ints[VL], rests[VL], poison[VL]; } FN(row_sums);

SG_INLINE FN(sum_lanes) FN(sum_lanes_of)(const FN(sum) *empty) {
    return (FN(sum_lanes)){FN(lanes_of)(empty->big), FN(lanes_of)(empty->middle), FN(lanes_of)(empty->ints),
                           FN(lanes_of)(empty->rests)};
}
SG_INLINE FN(sum) FN(spread_sum)(const FN(sum_lanes) *s, int r) {
    const vreal middle = FN(spread)(LAYOUT_ACROSS, &s->middle, r);
    return (FN(sum)){
        FN(spread)(LAYOUT_ACROSS, &s->big, r),   middle,   FN(spread)(LAYOUT_ACROSS, &s->ints, r),
        FN(spread)(LAYOUT_ACROSS, &s->rests, r), vset1(0), middle};
}
/* With `runs` it is one run, which has not ended: it knows NaN itself. */
SG_INLINE void FN(set_sum)(int runs, FN(row_sums) *to, int r, const FN(sum) *s) {
    to->ints[r] = s->ints;
    to->rests[r] = runs ? s->run : s->rests;
    to->poison[r] = runs ? s->run : s->poison;
}
SG_INLINE wide FN(total_of_rows)(FN(row_sums) *s, int rows, const FN(sum) *empty, FN(sum_less) less) {
    FN(sum) all = *empty;
    all.ints = vaddbits(FN(fold_sums)(1, s->ints, rows), less.ints);
    all.rests = vaddbits(FN(fold_sums)(1, s->rests, rows), less.rests);
    vreal poison = s->poison[0];
    for (int r = 1; r < rows; r++) poison = vadd(poison, s->poison[r]);
    all.poison = vset1(0);
    if (SG_UNLIKELY(many(mnot(veq(poison, poison))))) all.poison = FN(fold_sums)(0, s->poison, rows);
    return FN(sum_close)(0, FN(sum_total)(&all));
}
