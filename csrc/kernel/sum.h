/* sum.h - the order of summation. Included once per dtype, no include guard.
 *
 * Sums of exponentials have none: they are exact, in fixed point (math/wide_f32.h, wide_f64.h), so that any layout, any
 * number of rows at a time and any instruction set give the same bits. What they are relative to is fixed: the
 * largest term of a block. The classes of a row are cut into blocks of BLOCK_N, which are merged left to right (stats.h).
 *
 * Sums of products with what the caller gives keep an order: class i belongs to lane i mod L, L = VL, or 1 in rows of
 * n <= SHORT_N classes (LANES_N for the products with Jacobians and the weights of targets); each lane adds one term after
 * the other in two chains, class i to chain (i / L) mod 2 (in one: of the weights of targets, and of the products with softmax's
 * Jacobian, whose terms are pairs of classes, see products.h); the
 * chains fold first, then the lanes by halves: l with l + L/2, then L/4, ... Across, a lane of the vector is
 * such a lane, and folding is by lane swaps. With rows in the lanes, L = 1 is one running sum, L = VL is one
 * after the other. All give the same bits. The weights of targets are summed block by block, with the exponentials. So are the products with softmax's
 * Jacobian, the lanes of each block added to those of the blocks before, so that threads may share a row. */

SG_INLINE wide FN(zero)(void) { return FN(wide_set1)(0, 0); }

/* How many running sums a layout needs, and their sum. */
SG_INLINE int FN(phases)(int layout) { return layout == LAYOUT_LONG ? VL : 1; }

SG_BODY wide FN(fold)(int layout, wide total[]) {
    if (layout == LAYOUT_ACROSS) return FN(wide_fold_lanes)(total[0]);
    if (layout == LAYOUT_SHORT) return total[0];
    for (int half = VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) total[l] = FN(wide_add)(total[l], total[l + half]);
    return total[0];
}
/* Two chains: a product takes three cycles of AVX-512, an addition four; more than eight sums are more than AVX2 has registers
 * for. */
SG_INLINE int FN(chains)(int layout) { return 2 * FN(phases)(layout); }

/* Both chains; in lanes the whole sum, across the lanes are not folded yet. */
SG_INLINE wide FN(add_chains)(int layout, wide sum[]) {
    const int p = FN(phases)(layout);
    for (int l = 0; l < p; l++) sum[l] = FN(wide_add)(sum[l], sum[l + p]);
    return layout == LAYOUT_ACROSS ? sum[0] : FN(fold)(layout, sum);
}
SG_BODY wide FN(fold_chains)(int layout, wide sum[]) {
    const wide total = FN(add_chains)(layout, sum);
    return layout == LAYOUT_ACROSS ? FN(wide_fold_lanes)(total) : total;
}
SG_INLINE void FN(clear_chains)(int layout, wide sum[]) {
    for (int l = 0; l < FN(chains)(layout); l++) sum[l] = FN(zero)();
}
/* Vectors a round, and the chain of vector l of it. */
SG_INLINE int FN(round)(int layout) { return layout == LAYOUT_LONG ? 2 * VL : 4; }
SG_INLINE int FN(chain)(int layout, int l) { return l % FN(chains)(layout); }
