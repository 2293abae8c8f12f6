/* walk.h - rows [begin, end) of a call cut into tiles; a kernel's instances on them. Included once per dtype, no include guard.
 *
 * A long tile is read where it stands: every array that the call has
 * must offer it, and no temperature. Several rows across go together where each array has them as they stand, and
 * they fit into a tile (block.h): then what is done once a row is done once for all of them.
 * Which tile a row is in, and in which layout, does not change its bits; only sums of products (sum.h) need
 * lanes for rows of few classes and rows across for others: `kind` says which kernels have them (layout.h). */

SG_INLINE int FN(can_be_long)(const sg_call *c) {
    return c->x.axis != 1 && c->x.inner == 1 && c->temperature == 1 && c->inner >= VL && !sg_has_halves(c) &&
           (!c->g.data || c->g.inner == 1) && (!c->out.data || c->out.inner == 1) &&
           (!c->hess.data || c->hess.inner == 1);
}
/* Whether a row may be done twice: nothing that is written is read. (Only x and g may be written to, as `out` and as they are: softgrad.h.) */
SG_INLINE int FN(can_be_repeated)(const sg_call *c) {
    return c->out.data != c->x.data && (!c->out.data || c->out.data != c->g.data);
}
SG_INLINE int FN(can_be_many)(const sg_call *c) {
    return c->x.axis == 1 && c->temperature == 1 && c->n <= BLOCK_N && (!c->g.data || c->g.axis == 1) &&
           (!c->out.data || c->out.axis == 1 || c->out.axis == 0) && (!c->hess.data || c->hess.axis == 1);
}
/* Whether few rows of few classes go across: a tile in lanes costs as much for one row as for VL. */
SG_INLINE int FN(are_few)(ptrdiff_t rows, ptrdiff_t n) { return rows * (n / VL + SG_ROW_COST) <= n; }

/* Of products with Jacobians a tile of neighbours in lanes may be of so many rows: a run (products.h). */
SG_INLINE ptrdiff_t FN(run_of)(ptrdiff_t n) {
    const ptrdiff_t most = SG_RUN_BYTES / sizeof(real), fit = SG_RUNS_BYTES / (n * (ptrdiff_t)sizeof(real));
    return n < SG_RUN_N || fit < 8 * VL ? VL : fit < most ? fit : most;
}
/* As many of `rows` as one takes. */
SG_INLINE int FN(vectors_of)(ptrdiff_t rows, ptrdiff_t run) {
    return (int)((rows < run ? rows : run) / VL * VL);
}
/* How many tiles in lanes are done together: as many as a buffer holds. */
SG_INLINE int FN(batch_of)(ptrdiff_t n) {
    const ptrdiff_t most = SHORT_N / n;
    return most > SG_BATCH ? SG_BATCH : most < 1 ? 1 : (int)most;
}

SG_NOINLINE void FN(row_by_row)(FN(tile) t, FN(tile_kernel) *across) {
    const ptrdiff_t end = t.row + t.rows;
    t.layout = LAYOUT_ACROSS;
    t.rows = 1;
    t.after = 0;
    t.looked->p = NULL; /* what was found may be of all rows */
    for (ptrdiff_t row = t.row; row < end; row++) {
        FN(set_row)(&t, row);
        across(&t, 1);
    }
}

/* What gradients are divided by, T norm; and what they are multiplied by instead. */
SG_BODY wide FN(divisor)(const sg_call *c) {
    return FN(wide_mul)(FN(wide_set1)(c->temperature, 0), FN(wide_set1)(c->norm[0], c->norm[1]));
}
SG_INLINE wide FN(unit_of)(const sg_call *c) {
    const wide one = FN(wide_set1)(1, 0);
    if (c->temperature == 1 && c->norm[0] == 1 && c->norm[1] == 0) return one;
    return FN(wide_div)(one, FN(divisor)(c));
}

/* Rows in lanes whose tiles are to begin where each of their classes begins a line of the cache: in the result or, without one, the logits. The
 * first such row of a matrix, or -1. NumPy's large arrays begin 16 bytes after a line: each vector would cross one, and the next tile ask for that line
 * once more. Zen 2, us: (8, 21, 160, 160) softmax 6380 -> 5450, loss + gradient 11360 -> 9150, vjp 5860 -> 4860, float64 11760 -> 9330; of more classes
 * (16, 1000, 28, 28) softmax 13600 -> 9400, loss + gradient 19300 -> 11400, vjp 22300 -> 16700. */
SG_INLINE ptrdiff_t FN(first_at_line)(const sg_call *c) {
    const sg_array *a = c->out.data && c->out.axis != 0 ? &c->out : &c->x;
    const int even = a->inner == 1 && a->axis % VL == 0 && a->outer % VL == 0;
    return even && !a->half && c->inner >= 8 * VL ? FN(before_line)(a->data) : -1;
}
_Static_assert(VL * sizeof(real) == 64, "a vector is as long as a line");

static void FN(for_tiles)(const sg_call *c, ptrdiff_t begin, ptrdiff_t end, void *scratch, int kind,
                          FN(tile_kernel) *across, FN(tile_kernel) *lanes) {
    FN(tile) tiles[SG_BATCH];
    FN(looked_at) looked;
    looked.p = NULL; /* and nothing more: it is large */
    looked.due.rows = looked.due.line.kept = 0;
    FN(tile) t = {.call = c,
                  .n = c->n,
                  .batch = FN(batch_of)(c->n),
                  .scratch = scratch,
                  .unit = FN(unit_of)(c),
                  .looked = &looked};
    const int any_long = FN(can_be_long)(c), any_again = FN(can_be_repeated)(c),
              any_many = kind != SG_FIXED_ORDER && FN(can_be_many)(c);
    const int products = kind == SG_PRODUCTS || kind == SG_LOG_PRODUCTS;
    const ptrdiff_t short_n = products ? SG_LANES_N : SHORT_N;
    const int any_staged = kind == SG_ANY_ORDER && sg_is_staged(c);
    const ptrdiff_t tile_bytes = products && !c->x.half ? SG_PRODUCT_BYTES : SG_TILE_BYTES;
    const ptrdiff_t run = kind == SG_PRODUCTS && any_long ? FN(run_of)(c->n) : VL;
    const ptrdiff_t most_across = any_many ? tile_bytes / (c->n * (ptrdiff_t)sizeof(real)) : 1;
    int begun = 0; /* tiles that hold what all have in common */
    const ptrdiff_t at_line = FN(first_at_line)(c);
    FN(set_row)(&t, begin);
    while (t.row < end) {
        ptrdiff_t left = end - t.row, neighbours = c->inner == 1 ? left : c->inner - t.i;
        const ptrdiff_t even = neighbours < left ? neighbours : left;
        /* The last rows of a matrix, fewer than VL, in a tile with rows that were done before: one by one, 4 of 196 rows took a fifth of the time. Zen 2,
         * us: (16, 1000, 14, 14) softmax 4540 -> 3980, loss + gradient 5770 -> 5600, vjp 5530 -> 5280. */
        const ptrdiff_t missing = even < VL ? VL - even : 0;
        const int is_long =
                      any_long && (missing == 0 || (any_again && t.i >= missing && t.row - missing >= begin)),
                  staged = any_staged && !is_long;
        const int may_be_across = any_many && (kind == SG_ANY_ORDER || kind == SG_TARGETS) &&
                                  (c->n > SG_LANES_N || (kind == SG_ANY_ORDER && FN(are_few)(left, c->n)));
        int done;
        if ((c->n <= short_n || staged) && !may_be_across) {
            int count = 0;
            for (; count < t.batch && t.row < end; count++) {
                left = end - t.row;
                neighbours = c->inner < VL ? left : c->inner - t.i;
                ptrdiff_t most = neighbours < left ? neighbours : left;
                if (at_line >= 0 && !staged) {
                    const ptrdiff_t to_line = (VL + at_line - t.i % VL) % VL;
                    if (to_line > 0 && to_line < most) most = to_line;
                }
                t.rows = most < VL ? (int)most : FN(vectors_of)(most, run);
                if (count == begun) tiles[begun++] = t;
                /* a copy of the whole would wait for these to be stored */
                FN(tile) *one = &tiles[count];
                one->row = t.row;
                one->o = t.o;
                one->i = t.i;
                one->rows = t.rows;
                one->layout = LAYOUT_SHORT;
                one->direct = t.rows >= VL && c->inner >= VL;
                FN(go_on)(&t);
            }
            if (SG_UNLIKELY(!lanes(tiles, count)))
                for (int k = 0; k < count; k++) FN(row_by_row)(tiles[k], across);
            continue;
        }
        if (is_long) {
            FN(set_row)(&t, t.row - missing);
            t.layout = LAYOUT_LONG;
            t.rows = missing > 0 ? VL : FN(vectors_of)(even, run);
            done = lanes(&t, 1);
        } else {
            const ptrdiff_t most = most_across < 1 ? 1 : even < most_across ? even : most_across;
            t.layout = LAYOUT_ACROSS;
            t.rows = most < VL ? (int)most : VL;
            t.after = even - t.rows;
            done = across(&t, 1);
        }
        if (SG_UNLIKELY(!done)) FN(row_by_row)(t, across);
        FN(go_on)(&t);
        /* back to the last line, once a matrix: from there on tiles begin at one */
        const ptrdiff_t past = is_long && any_again && at_line >= 0 ? (VL + t.i - at_line) % VL : 0;
        if (past > 0 && t.i > 0 && t.i < c->inner && t.row < end) FN(set_row)(&t, t.row - past);
    }
}

/* The buffer for staged vectors: on the stack for short rows, a row of the scratch for others. */
#define TILE_BUFFER(name, which)                \
    SG_ALIGN64 real name##_short[SHORT_N * VL]; \
    real *name = t->n <= SHORT_N ? name##_short : FN(row_buffer)(t, which)

/* A kernel is its body on a tile, written for any layout; its instances across and in lanes; the walk. */
#define SG_WALK(kernel, kind)                                                                    \
    static void FN(kernel)(const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch) { \
        FN(for_tiles)(call, begin, end, scratch, kind, FN(kernel##_across), FN(kernel##_lanes)); \
    }
#define BOTH_LAYOUTS(kernel, kind)                                                     \
    SG_NOINLINE int FN(kernel##_across)(const FN(tile) *t, int count) {                \
        (void)count;                                                                   \
        return FN(kernel##_tile)(LAYOUT_ACROSS, t);                                    \
    }                                                                                  \
    SG_NOINLINE int FN(kernel##_lanes)(const FN(tile) *t, int count) {                 \
        if (t->layout == LAYOUT_LONG) return FN(kernel##_tile)(LAYOUT_LONG, t);        \
        int done = 1; /* in lanes all tiles are done, or none */                       \
        for (int k = 0; k < count; k++) done = FN(kernel##_tile)(LAYOUT_SHORT, t + k); \
        return done;                                                                   \
    }                                                                                  \
    SG_WALK(kernel, kind)

/* The same in four parts: the logits as vectors; the look at them (stats.h), if there is something to look for; what is done once a row, for
 * all rows of a tile at once; the results. Several tiles of short rows take each part together, as most are chains of operations each of
 * which waits for the one before: float32 softmax of (7777, 10) took 76 us one by one, 68 together; float64 log_softmax 287 and 217. */
#define IN_PARTS(kernel, stats, kind)                                                                       \
    SG_BODY int FN(kernel##_one)(int layout, const FN(tile) *t) {                                           \
        TILE_BUFFER(buffer, 0);                                                                             \
        TILE_BUFFER(second, 1);                                                                             \
        FN(kernel##_parts) p;                                                                               \
        FN(look) *const look = &p.look;                                                                     \
        if (FN(kernel##_open)(layout, t, buffer, second, &p) && !FN(stats)(layout, t, 1, &look)) return 0;  \
        FN(kernel##_rows)(layout, t, &p);                                                                   \
        FN(kernel##_results)(layout, t, &p);                                                                \
        return 1;                                                                                           \
    }                                                                                                       \
    SG_NOINLINE int FN(kernel##_across)(const FN(tile) *t, int count) {                                     \
        (void)count;                                                                                        \
        return FN(kernel##_one)(LAYOUT_ACROSS, t);                                                          \
    }                                                                                                       \
    SG_NOINLINE int FN(kernel##_short)(const FN(tile) *t, int count) {                                      \
        SG_ALIGN64 real first_short[SHORT_N * VL], second_short[SHORT_N * VL];                              \
        real *buffer = t->n <= SHORT_N ? first_short : FN(lane_buffer)(t, 0);                               \
        real *second = t->n <= SHORT_N ? second_short : FN(lane_buffer)(t, 1);                              \
        FN(kernel##_parts) p[SG_BATCH];                                                                     \
        FN(look) *looks[SG_BATCH] = {NULL};                                                                 \
        for (int k = 0; k < count; k++) {                                                                   \
            FN(kernel##_open)(LAYOUT_SHORT, t + k, buffer + k * t->n * VL, second + k * t->n * VL, p + k);  \
            looks[k] = &p[k].look;                                                                          \
        }                                                                                                   \
        FN(stats)(LAYOUT_SHORT, t, count, looks);                                                           \
        for (int k = 0; k < count; k++) FN(kernel##_rows)(LAYOUT_SHORT, t + k, p + k);                      \
        for (int k = 0; k < count; k++) FN(kernel##_results)(LAYOUT_SHORT, t + k, p + k);                   \
        return 1;                                                                                           \
    }                                                                                                       \
    SG_NOINLINE int FN(kernel##_lanes)(const FN(tile) *t, int count) {                                      \
        return t->layout == LAYOUT_SHORT ? FN(kernel##_short)(t, count) : FN(kernel##_one)(LAYOUT_LONG, t); \
    }                                                                                                       \
    SG_WALK(kernel, kind)
