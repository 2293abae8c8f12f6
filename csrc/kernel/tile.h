/* tile.h - tiles: cutting a call into them, reading arrays that are not vectors as they stand, writing
 * back. The only file that knows strides. Included once per dtype, no include guard. */

/* A run of vectors: see layout.h. */
typedef struct {
    real *p;
    ptrdiff_t step;
} FN(view);

/* The rows [row, row + rows) of a call; rows is 1 across, at most VL in lanes. */
typedef struct {
    const sg_call *call;
    ptrdiff_t n, row;
    int rows, layout;
    int direct;    /* lanes: the rows are neighbours in one (n, inner) matrix */
    char *scratch; /* across only */
} FN(tile);

/* A kernel on one tile; 0: not in this layout (LAYOUT_LONG only), and nothing is written. */
typedef int FN(tile_kernel)(const FN(tile) *t);

SG_INLINE real *FN(row_start)(const sg_call *c, const sg_array *a, ptrdiff_t row) {
    if (c->inner == 1) return (real *)a->data + row * a->outer;
    return (real *)a->data + row / c->inner * a->outer + row % c->inner * a->inner;
}

/* The scratch across: the M of each block, then rows. */
SG_INLINE vreal *FN(block_M)(const FN(tile) *t) { return (vreal *)(void *)t->scratch; }
SG_INLINE real *FN(row_buffer)(const FN(tile) *t, int which) {
    return (real *)(void *)(t->scratch + sg_blocks_bytes(t->n)) + which * sg_pitch(t->n);
}

/* Vector v of a block of n classes; lanes beyond the row get `fill`. */
SG_INLINE int FN(lanes_left)(ptrdiff_t v, ptrdiff_t n) {
    ptrdiff_t left = n - v * VL;
    return left >= VL ? VL : left > 0 ? (int)left : 0;
}
SG_BODY vreal FN(get)(int layout, FN(view) x, ptrdiff_t v, ptrdiff_t n, real fill) {
    if (layout != LAYOUT_ACROSS) return vload(x.p + v * x.step);
    int left = FN(lanes_left)(v, n);
    return left == VL ? vload(x.p + v * VL) : vload_n(x.p + v * VL, left, fill);
}
SG_BODY void FN(put)(int layout, FN(view) x, ptrdiff_t v, ptrdiff_t n, vreal a) {
    if (layout != LAYOUT_ACROSS) {
        vstore(x.p + v * x.step, a);
        return;
    }
    int left = FN(lanes_left)(v, n);
    if (left == VL) vstore(x.p + v * VL, a);
    else vstore_n(x.p + v * VL, a, left);
}
/* The same where `full` says that every lane belongs to the row. */
SG_INLINE vreal FN(read)(int layout, int full, FN(view) x, ptrdiff_t v, ptrdiff_t n, real fill) {
    return full ? vload(x.p + v * x.step) : FN(get)(layout, x, v, n, fill);
}
SG_INLINE void FN(write)(int layout, int full, FN(view) x, ptrdiff_t v, ptrdiff_t n, vreal a) {
    if (full) vstore(x.p + v * x.step, a);
    else FN(put)(layout, x, v, n, a);
}
SG_INLINE ptrdiff_t FN(vectors)(int layout, ptrdiff_t n) {
    return layout == LAYOUT_ACROSS ? (n + VL - 1) / VL : n;
}

/* Whether the rows of a tile are equally far apart in `a`, and how far. */
SG_INLINE int FN(rows_are_even)(const FN(tile) *t, const sg_array *a, ptrdiff_t *stride) {
    *stride = t->call->inner == 1 ? a->outer : a->inner;
    return t->call->inner == 1 || t->row % t->call->inner + t->rows <= t->call->inner;
}

/* Rows of fewer classes than a transposed tile is wide, one behind the other: through a buffer, where what the tile
 * reads or writes beyond a row is the next row's or nobody's. */
SG_INLINE void FN(unpack_rows)(const real *p, ptrdiff_t n, vreal v[VTILE]) {
    real packed[VL * VTILE];
    memcpy(packed, p, (size_t)(VL * n) * sizeof(real));
    for (ptrdiff_t i = VL * n; i < (VL - 1) * n + VTILE; i++) packed[i] = 0;
    vload_tile(packed, n, v);
}
SG_INLINE void FN(pack_rows)(real *p, ptrdiff_t n, const vreal v[VTILE]) {
    real packed[VL * VTILE];
    vstore_tile(packed, n,
                v); /* rows in ascending order: each overwrites what the one before wrote too much */
    memcpy(p, packed, (size_t)(VL * n) * sizeof(real));
}

/* Rows in lanes: dst[i VL + l] = class i of row l. Lanes without a row hold zeros. */
SG_NOINLINE void FN(gather_lanes)(const FN(tile) *t, const sg_array *a, real *dst) {
    ptrdiff_t stride = 0, n = t->n;
    const int even = t->rows == VL && a->axis == 1 && FN(rows_are_even)(t, a, &stride);
    const real *p = FN(row_start)(t->call, a, t->row);
    if (even && n < VTILE && stride == n) {
        vreal v[VTILE];
        FN(unpack_rows)(p, n, v);
        for (int k = 0; k < n; k++) vstore(dst + k * VL, v[k]);
        return;
    }
    if (even && n >= VTILE) {
        for (ptrdiff_t i = 0; i < n; i += VTILE) {
            vreal v[VTILE];
            ptrdiff_t j = i < n - VTILE ? i : n - VTILE; /* the last tile overlaps its neighbour */
            vload_tile(p + j, stride, v);
            for (int k = 0; k < VTILE; k++) vstore(dst + (j + k) * VL, v[k]);
        }
        return;
    }
    for (int l = 0; l < VL; l++) {
        if (l < t->rows) {
            p = FN(row_start)(t->call, a, t->row + l);
            for (ptrdiff_t i = 0; i < n; i++) dst[i * VL + l] = p[i * a->axis];
        } else {
            for (ptrdiff_t i = 0; i < n; i++) dst[i * VL + l] = 0;
        }
    }
}
/* Its inverse. */
SG_NOINLINE void FN(scatter_lanes)(const FN(tile) *t, const sg_array *a, const real *src) {
    ptrdiff_t stride = 0, n = t->n;
    const int even = t->rows == VL && a->axis == 1 && FN(rows_are_even)(t, a, &stride);
    real *p = FN(row_start)(t->call, a, t->row);
    if (even && n < VTILE && stride == n) {
        vreal v[VTILE];
        for (int k = 0; k < VTILE; k++) v[k] = vload(src + (k < n ? k : 0) * VL);
        FN(pack_rows)(p, n, v);
        return;
    }
    if (even && n >= VTILE) {
        for (ptrdiff_t i = 0; i < n; i += VTILE) {
            vreal v[VTILE];
            ptrdiff_t j = i < n - VTILE ? i : n - VTILE;
            for (int k = 0; k < VTILE; k++) v[k] = vload(src + (j + k) * VL);
            vstore_tile(p + j, stride, v);
        }
        return;
    }
    for (int l = 0; l < t->rows; l++) {
        p = FN(row_start)(t->call, a, t->row + l);
        for (ptrdiff_t i = 0; i < n; i++) p[i * a->axis] = src[i * VL + l];
    }
}

/* Whether the vectors of the tile stand in `a` as they are. */
SG_INLINE int FN(is_direct)(int layout, const FN(tile) *t, const sg_array *a) {
    if (layout == LAYOUT_ACROSS) return a->axis == 1;
    return layout == LAYOUT_LONG || (t->direct && a->inner == 1);
}

/* `a` as vectors: as it stands, or brought into `buffer`. */
SG_NOINLINE FN(view) FN(open)(int layout, const FN(tile) *t, const sg_array *a, real *buffer) {
    if (FN(is_direct)(layout, t, a))
        return (FN(view)){FN(row_start)(t->call, a, t->row), layout == LAYOUT_ACROSS ? VL : a->axis};
    if (layout == LAYOUT_SHORT) {
        FN(gather_lanes)(t, a, buffer);
    } else {
        const real *p = FN(row_start)(t->call, a, t->row);
        for (ptrdiff_t i = 0; i < t->n; i++) buffer[i] = p[i * a->axis];
    }
    return (FN(view)){buffer, VL};
}
/* Where to write the vectors of `a`: there, or in `buffer` until it is closed. */
SG_NOINLINE FN(view) FN(open_out)(int layout, const FN(tile) *t, const sg_array *a, real *buffer) {
    if (FN(is_direct)(layout, t, a))
        return (FN(view)){FN(row_start)(t->call, a, t->row), layout == LAYOUT_ACROSS ? VL : a->axis};
    return (FN(view)){buffer, VL};
}
SG_NOINLINE void FN(close_out)(int layout, const FN(tile) *t, const sg_array *a, FN(view) x) {
    if (FN(is_direct)(layout, t, a)) return;
    if (layout == LAYOUT_SHORT) {
        FN(scatter_lanes)(t, a, x.p);
    } else {
        real *p = FN(row_start)(t->call, a, t->row);
        for (ptrdiff_t i = 0; i < t->n; i++) p[i * a->axis] = x.p[i];
    }
}

SG_NOINLINE void FN(divide)(int layout, FN(view) x, FN(view) to, ptrdiff_t n, real by) {
    for (ptrdiff_t v = 0; v < FN(vectors)(layout, n); v++)
        FN(put)(layout, to, v, n, vdiv(FN(get)(layout, x, v, n, 0), vset1(by)));
}

/* The logits of a tile: x, divided by the temperature into `to` where there is one. */
SG_NOINLINE FN(view) FN(open_logits)(int layout, const FN(tile) *t, real *buffer, FN(view) to) {
    FN(view) x = FN(open)(layout, t, &t->call->x, buffer);
    if (t->call->temperature == 1) return x;
    FN(divide)(layout, x, to, t->n, (real)t->call->temperature);
    return to;
}
/* For what keeps nothing of a row: across there is no view, see stats.h. */
SG_INLINE FN(view) FN(open_logits_once)(int layout, const FN(tile) *t, FN(view) buffer) {
    if (layout == LAYOUT_ACROSS) return (FN(view)){NULL, VL};
    return FN(open_logits)(layout, t, buffer.p, buffer);
}

/* Rows of one value each: lane l belongs to row l; across, every lane holds the row's. */
SG_NOINLINE vreal FN(get_rows)(int layout, const FN(tile) *t, const real *values) {
    if (layout == LAYOUT_ACROSS) return vset1(values[t->row]);
    return vload_n(values + t->row, t->rows, 0);
}
SG_NOINLINE void FN(put_rows)(int layout, const FN(tile) *t, const sg_array *a, vreal value) {
    real lane[VL];
    vstore(lane, value);
    for (int l = 0; l < (layout == LAYOUT_ACROSS ? 1 : t->rows); l++)
        *FN(row_start)(t->call, a, t->row + l) = lane[l];
}

/* Cut rows [begin, end) into tiles. A long tile is read where it stands: every array that the call has
 * must offer it, and no temperature. Which tile a row is in does not change its bits. */
SG_INLINE int FN(can_be_long)(const sg_call *c) {
    return c->x.axis != 1 && c->x.inner == 1 && c->temperature == 1 && c->inner >= VL &&
           (!c->g.data || c->g.inner == 1) && (!c->out.data || c->out.inner == 1) &&
           (!c->hess.data || c->hess.inner == 1);
}
/* A long tile that needs what only the other layout has goes row by row. */
SG_NOINLINE void FN(for_tiles)(const sg_call *c, ptrdiff_t begin, ptrdiff_t end, void *scratch,
                               FN(tile_kernel) *across, FN(tile_kernel) *lanes) {
    FN(tile) t = {.call = c, .n = c->n, .scratch = scratch};
    const int any_long = FN(can_be_long)(c);
    for (t.row = begin; t.row < end; t.row += t.rows) {
        const ptrdiff_t left = end - t.row;
        const ptrdiff_t neighbours = c->inner == 1 ? 1 : c->inner - t.row % c->inner;
        if (c->n <= SHORT_N) {
            const ptrdiff_t most = c->inner >= VL && neighbours < left ? neighbours : left;
            t.layout = LAYOUT_SHORT;
            t.rows = most < VL ? (int)most : VL;
            t.direct = t.rows == VL && c->inner >= VL;
            lanes(&t);
            continue;
        }
        t.layout = LAYOUT_LONG;
        t.rows = VL;
        if (any_long && neighbours >= VL && left >= VL && lanes(&t)) continue;
        FN(tile) one = t;
        one.layout = LAYOUT_ACROSS;
        one.rows = 1;
        if (!any_long || neighbours < VL || left < VL) t.rows = 1;
        for (int l = 0; l < t.rows; l++, one.row++) across(&one);
    }
}

/* The buffer for staged vectors: on the stack for short tiles, a row of the scratch across. */
#define TILE_BUFFER(name, which)                \
    SG_ALIGN64 real name##_short[SHORT_N * VL]; \
    real *name = layout == LAYOUT_SHORT ? name##_short : FN(row_buffer)(t, which)

/* A kernel is its body on a tile, written for any layout; its instances across and in lanes; the walk. */
#define BOTH_LAYOUTS(kernel)                                                                               \
    SG_NOINLINE int FN(kernel##_across)(const FN(tile) *t) { return FN(kernel##_tile)(LAYOUT_ACROSS, t); } \
    SG_NOINLINE int FN(kernel##_lanes)(const FN(tile) *t) {                                                \
        return FN(kernel##_tile)(t->layout == LAYOUT_SHORT ? LAYOUT_SHORT : LAYOUT_LONG, t);               \
    }                                                                                                      \
    static void FN(kernel)(const sg_call *call, ptrdiff_t begin, ptrdiff_t end, void *scratch) {           \
        FN(for_tiles)(call, begin, end, scratch, FN(kernel##_across), FN(kernel##_lanes));                 \
    }
