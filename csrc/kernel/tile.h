/* tile.h - tiles: reading arrays that are not vectors as they stand, writing back. With walk.h, which cuts calls into them, the only
 * file that knows strides. Included once per dtype, no include guard. */

/* A run of vectors: see layout.h. Across, row r starts at p + r row. */
typedef struct {
    real *p;
    ptrdiff_t step, row;
} FN(view);

SG_INLINE FN(view) FN(nowhere)(void) { return (FN(view)){NULL, 0, 0}; }

typedef struct FN(tile_) FN(tile);

/* In every layout lane l of a vector of one value a row belongs to row l. Across, with one row, every lane holds its
 * value; otherwise lanes beyond the rows hold that of some row, or 0. */
typedef struct { SG_ALIGN64 real lane[VL]; } FN(lanes);
typedef struct { SG_ALIGN64 double hi[VL], lo[VL]; } FN(wide_lanes);

/* The largest value and the next one, which is the same in case of a tie. NaN is passed over, -inf if there is nothing else. */
typedef struct { vreal max, second; } FN(largest);
/* Where results go past the caches, line by line: the line of which a row's results were the beginning, `kept` numbers, and the next row's are the
 * end; 0: none. */
typedef struct {
    SG_ALIGN64 real begun[VL];
    real *at;
    int kept;
} FN(open_line);
/* The results of the tile before this one that this one is to make, of `rows` rows; 0: none (results.h; products.h, whose x is y). */
typedef struct {
    FN(view) x, g, out;
    FN(lanes) high, low, entry;
    ptrdiff_t at[VL], n; /* n classes of each row */
    int rows, mended;
    FN(open_line) line;
} FN(due);

/* Those of the logits from p on, which are of row `row` and the next, row by row, each of its lanes apart; of several rows of few classes
 * (SHORT_N) together, each row's in its lane of rows[0]. */
typedef struct {
    const real *p;
    ptrdiff_t row;
    FN(largest) rows[VL];
    FN(due) due;
} FN(looked_at);

/* The rows [row, row + rows) of a call, at most VL; the first is (o, i) of (outer, inner). */
struct FN(tile_) {
    const sg_call *call;
    ptrdiff_t n, row, o, i;
    int rows; /* VL at most, more in a run of products (walk.h) */
    int layout, batch; /* so many tiles in lanes are done together, at most */
    int direct; /* lanes: the rows are neighbours in one (n, inner) matrix */
    char *scratch; /* rows of more than SHORT_N classes only */
    wide unit; /* what gradients are multiplied by: 1 / (temperature norm) */
    ptrdiff_t after; /* across: the rows that come next in the walk, as far apart as these */
    FN(looked_at) *looked; /* the walk's memory, see largest.h and results.h */
};

/* A kernel on `count` tiles of one layout, several in LAYOUT_SHORT only; 0: not in this layout, and nothing is written:
 * the rows go one by one, across. */
typedef int FN(tile_kernel)(const FN(tile) *t, int count);

SG_INLINE void FN(set_row)(FN(tile) *t, ptrdiff_t row) {
    const ptrdiff_t inner = t->call->inner;
    t->row = row;
    t->o = inner == 1 ? row : row / inner;
    t->i = row - t->o * inner;
}
/* The row after the last of the tile's. (Without the second case gcc divides by 1.) */
SG_INLINE void FN(go_on)(FN(tile) *t) {
    const ptrdiff_t inner = t->call->inner;
    t->row += t->rows;
    t->i += t->rows;
    if (t->i < inner) return;
    if (inner == 1) {
        t->o += t->i;
        t->i = 0;
        return;
    }
    t->o += t->i / inner;
    t->i %= inner;
}
/* Row `row` + r. */
SG_INLINE ptrdiff_t FN(row_offset)(const FN(tile) *t, const sg_array *a, int r) {
    const ptrdiff_t inner = t->call->inner;
    ptrdiff_t o = t->o, i = t->i + r;
    if (inner == 1) o += r, i = 0;
    else
        while (i >= inner) o++, i -= inner;
    return o * a->outer + i * a->inner;
}
SG_INLINE real *FN(row_start)(const FN(tile) *t, const sg_array *a, int r) {
    return (real *)a->data + FN(row_offset)(t, a, r);
}
SG_INLINE uint16_t *FN(half_row)(const FN(tile) *t, const sg_array *a, int r) {
    return (uint16_t *)a->data + FN(row_offset)(t, a, r);
}

/* Row r's lane from a vector with the value in every lane; row 0 comes first and fills the others. (Whole vectors that
 * overlap would do, but most of them cross a line of the cache: softmax of (1000, 64) took 40.1 us, 36.0 since.) */
SG_INLINE void FN(set_wide_lane)(FN(wide_lanes) *to, int r, wide a) {
    if (r == 0) FN(wide_store)(a, to->hi, to->lo);
    else FN(wide_store_first)(a, to->hi + r, to->lo + r);
}

SG_INLINE int FN(passes)(int layout, const FN(tile) *t) { return layout == LAYOUT_ACROSS ? t->rows : 1; }
SG_INLINE FN(view) FN(row_of)(FN(view) x, int r) { return (FN(view)){x.p + r * x.row, x.step, x.row}; }
/* i elements further: across from class i on, a multiple of VL; in lanes the rows that are i further. */
SG_INLINE FN(view) FN(further)(FN(view) x, ptrdiff_t i) { return (FN(view)){x.p + i, x.step, x.row}; }
/* Across, row r's value in every lane; in lanes the values as they are. */
SG_INLINE FN(lanes) FN(lanes_of)(vreal a) {
    FN(lanes) lanes;
    vstore(lanes.lane, a);
    return lanes;
}
SG_INLINE vreal FN(spread)(int layout, const FN(lanes) *a, int r) {
    return layout == LAYOUT_ACROSS ? vset1(a->lane[r]) : vload(a->lane);
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
/* n results across, to p: long rows' from a line of the cache on, so that no vector crosses one, then those before; of classes [begin,
 * end). NumPy's large arrays begin 16 bytes after a line. Zen 4, us: softmax (300, 1000) 104 -> 97, (1, 1000000) 317 -> 293; vjp (300, 1000)
 * 64 -> 55, float64 132 -> 111. */
#define EACH_PART(p, n, begin, end) \
    for (ptrdiff_t begin = FN(to_line)(p, n), end = (n); end > 0; end = begin, begin = 0)
SG_INLINE ptrdiff_t FN(before_line)(const real *p) {
    return (ptrdiff_t)((64 - (uintptr_t)p % 64) % 64 / sizeof(real));
}
SG_INLINE ptrdiff_t FN(to_line)(const real *p, ptrdiff_t n) {
    return n < SG_ALIGNED_N ? 0 : FN(before_line)(p);
}

/* The same where `full` says that every lane belongs to the row. Across, the step is a literal: addresses take fewer registers. Zen 4, us:
 * softmax (20000, 64) 674 -> 612, (20000, 100) 1174 -> 1025, (300, 1000) 98 -> 95; AVX2 762 -> 721, 1415 -> 1323, 120 as before. */
SG_INLINE ptrdiff_t FN(step_of)(int layout, FN(view) x) { return layout == LAYOUT_ACROSS ? VL : x.step; }
SG_INLINE vreal FN(read)(int layout, int full, FN(view) x, ptrdiff_t v, ptrdiff_t n, real fill) {
    return full ? vload(x.p + v * FN(step_of)(layout, x)) : FN(get)(layout, x, v, n, fill);
}
SG_INLINE void FN(write)(int layout, int full, FN(view) x, ptrdiff_t v, ptrdiff_t n, vreal a) {
    if (full) vstore(x.p + v * FN(step_of)(layout, x), a);
    else FN(put)(layout, x, v, n, a);
}
SG_INLINE ptrdiff_t FN(vectors)(int layout, ptrdiff_t n) {
    return layout == LAYOUT_ACROSS ? (n + VL - 1) / VL : n;
}

/* Whether the rows of a tile are equally far apart in `a`, and how far. */
SG_INLINE int FN(rows_are_even)(const FN(tile) *t, const sg_array *a, ptrdiff_t *stride) {
    *stride = t->call->inner == 1 ? a->outer : a->inner;
    return t->call->inner == 1 || t->i + t->rows <= t->call->inner;
}

/* Rows of more classes in lanes. */
SG_INLINE real *FN(lane_buffer)(const FN(tile) *t, int which) {
    return (real *)(void *)(t->scratch + sg_blocks_bytes(t->n)) + which * t->n * VL;
}

/* Whether the rows of a tile in lanes are VL rows of a matrix that is transposed, `stride` elements apart. */
SG_INLINE int FN(is_matrix)(const FN(tile) *t, const sg_array *a, ptrdiff_t *stride) {
    return t->rows == VL && a->axis == 1 && FN(rows_are_even)(t, a, stride) &&
           (t->n >= VTILE || *stride == t->n);
}
SG_NOINLINE void FN(gather_any)(const FN(tile) *t, const sg_array *a, real *dst) {
    const ptrdiff_t n = t->n;
    const real *p = FN(row_start)(t, a, 0);
    ptrdiff_t stride;
    if (FN(rows_are_even)(t, a, &stride) && stride == 1) {
        for (ptrdiff_t i = 0; i < n; i++) vstore(dst + i * VL, vload_n(p + i * a->axis, t->rows, 0));
        return;
    }
    for (int l = 0; l < VL; l++) {
        if (l < t->rows) {
            p = FN(row_start)(t, a, l);
            for (ptrdiff_t i = 0; i < n; i++) dst[i * VL + l] = p[i * a->axis];
        } else {
            for (ptrdiff_t i = 0; i < n; i++) dst[i * VL + l] = 0;
        }
    }
}
SG_NOINLINE void FN(scatter_any)(const FN(tile) *t, const sg_array *a, const real *src) {
    const ptrdiff_t n = t->n;
    real *p = FN(row_start)(t, a, 0);
    ptrdiff_t stride;
    if (FN(rows_are_even)(t, a, &stride) && stride == 1) {
        for (ptrdiff_t i = 0; i < n; i++) vstore_n(p + i * a->axis, vload(src + i * VL), t->rows);
        return;
    }
    for (int l = 0; l < t->rows; l++) {
        p = FN(row_start)(t, a, l);
        for (ptrdiff_t i = 0; i < n; i++) p[i * a->axis] = src[i * VL + l];
    }
}
/* Rows in lanes: dst[i VL + l] = class i of row l. Lanes without a row hold zeros. */
SG_NOINLINE void FN(gather_lanes)(const FN(tile) *t, const sg_array *a, real *dst) {
    const ptrdiff_t n = t->n;
    ptrdiff_t stride;
    if (SG_UNLIKELY(!FN(is_matrix)(t, a, &stride))) {
        FN(gather_any)(t, a, dst);
        return;
    }
    const real *p = FN(row_start)(t, a, 0);
    if (n < VTILE) {
        vreal v[VTILE - 1];
        vload_packed(p, n, v);
        SG_UNROLL(k, VTILE - 1) if (k < n) vstore(dst + k * VL, v[k]);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += VTILE) {
        vreal v[VTILE];
        ptrdiff_t j = i < n - VTILE ? i : n - VTILE; /* the last tile overlaps its neighbour */
        vload_tile(p + j, stride, v);
        SG_UNROLL(k, VTILE) vstore(dst + (j + k) * VL, v[k]);
    }
}
/* VL rows of n vectors in lanes, n >= VTILE, to rows `stride` elements apart; and any rows of a tile to where `a` has them. */
SG_NOINLINE void FN(lanes_to_rows)(const real *src, ptrdiff_t n, real *p, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += VTILE) {
        vreal v[VTILE];
        ptrdiff_t j = i < n - VTILE ? i : n - VTILE;
        SG_UNROLL(k, VTILE) v[k] = vload(src + (j + k) * VL);
        vstore_tile(p + j, stride, v);
    }
}
SG_NOINLINE void FN(scatter_lanes)(const FN(tile) *t, const sg_array *a, const real *src) {
    const ptrdiff_t n = t->n;
    ptrdiff_t stride;
    if (SG_UNLIKELY(!FN(is_matrix)(t, a, &stride))) {
        FN(scatter_any)(t, a, src);
        return;
    }
    real *p = FN(row_start)(t, a, 0);
    if (n >= VTILE) {
        FN(lanes_to_rows)(src, n, p, stride);
        return;
    }
    vreal v[VTILE - 1];
    SG_UNROLL(k, VTILE - 1) v[k] = vload(src + (k < n ? k : 0) * VL);
    vstore_packed(p, n, v);
}

/* Whether the vectors of the tile stand in `a` as they are. */
SG_INLINE int FN(is_direct)(int layout, const FN(tile) *t, const sg_array *a) {
    if (layout == LAYOUT_ACROSS) return a->axis == 1 && !a->half;
    return layout == LAYOUT_LONG || (t->direct && a->inner == 1);
}

SG_INLINE FN(view) FN(stand)(int layout, const FN(tile) *t, const sg_array *a) {
    const ptrdiff_t row = t->call->inner == 1 ? a->outer : a->inner;
    return (FN(view)){FN(row_start)(t, a, 0), layout == LAYOUT_ACROSS ? VL : a->axis, row};
}
/* Classes [begin, begin + n) of one row, and back. */
SG_NOINLINE void FN(copy_row)(const FN(tile) *t, const sg_array *a, ptrdiff_t begin, ptrdiff_t n, real *to) {
    const ptrdiff_t at = FN(row_offset)(t, a, 0) + begin * a->axis;
    if (a->half) {
        sg_widen(a->half, (const uint16_t *)a->data + at, a->axis, n, (float *)(void *)to);
        return;
    }
    const real *p = (const real *)a->data + at;
    for (ptrdiff_t i = 0; i < n; i++) to[i] = p[i * a->axis];
}
SG_NOINLINE void FN(write_row)(const FN(tile) *t, const sg_array *a, ptrdiff_t begin, ptrdiff_t n,
                               const real *from) {
    const ptrdiff_t at = FN(row_offset)(t, a, 0) + begin * a->axis;
    if (a->half) {
        sg_narrow(a->half, (const float *)(const void *)from, n, (uint16_t *)a->data + at, a->axis);
        return;
    }
    real *p = (real *)a->data + at;
    for (ptrdiff_t i = 0; i < n; i++) p[i * a->axis] = from[i];
}
/* One row across, block by block: classes [begin, begin + n) of `a`, as they stand or in `buffer`; and back from there. */
SG_INLINE FN(view) FN(open_out_block)(const FN(tile) *t, const sg_array *a, ptrdiff_t begin, real *buffer) {
    if (FN(is_direct)(LAYOUT_ACROSS, t, a)) return (FN(view)){FN(row_start)(t, a, 0) + begin, VL, 0};
    return (FN(view)){buffer, VL, 0};
}
SG_INLINE FN(view)
    FN(open_block)(const FN(tile) *t, const sg_array *a, ptrdiff_t begin, ptrdiff_t n, real *buffer) {
    if (!FN(is_direct)(LAYOUT_ACROSS, t, a)) FN(copy_row)(t, a, begin, n, buffer);
    return FN(open_out_block)(t, a, begin, buffer);
}
SG_INLINE void FN(close_block)(const FN(tile) *t, const sg_array *a, ptrdiff_t begin, ptrdiff_t n,
                               FN(view) x) {
    if (!FN(is_direct)(LAYOUT_ACROSS, t, a)) FN(write_row)(t, a, begin, n, x.p);
}
/* A row of several blocks. */
SG_INLINE int FN(in_blocks)(int layout, const FN(tile) *t) {
    return layout == LAYOUT_ACROSS && t->n > BLOCK_N;
}
SG_INLINE ptrdiff_t FN(block_size)(ptrdiff_t n, ptrdiff_t begin) {
    return n - begin < BLOCK_N ? n - begin : BLOCK_N;
}
/* Where an array of rows in lanes stands, if its vectors stand as they are. */
SG_INLINE FN(view) FN(place_of)(const FN(tile) *t, const sg_array *a) {
    if (!a->data || a->axis == 0 || !FN(is_direct)(LAYOUT_SHORT, t, a)) return FN(nowhere)();
    return FN(stand)(LAYOUT_SHORT, t, a);
}
/* Lines of the cache that rows in lanes are asked for by: the last of each vector, `rows` further. The first one's, where a vector crosses a line, is that of
 * the tile before. Zen 2, us: (16, 1000, 14, 14), classes 784 bytes apart, softmax 3670 -> 2650, loss + gradient 4480 -> 3110, float64 8060 -> 6760, 10200 ->
 * 7970. */
SG_INLINE FN(view) FN(lines_of)(FN(view) x, ptrdiff_t rows) { return FN(further)(x, rows + VL - 1); }
/* Rows in lanes into `buffer`. The tile after the next one is asked for meanwhile: the hardware's prefetchers do not follow as many streams as there
 * are classes. */
SG_INLINE void FN(bring)(FN(view) x, ptrdiff_t n, real *buffer) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *p = x.p + i * x.step;
        vstore(buffer + i * VL, vload(p));
        SG_PREFETCH(p + 3 * VL - 1);
    }
}
/* Beside vector v of a result of rows in lanes: the line that the next tile's goes to is asked for. */
SG_INLINE void FN(ask_for_next)(int layout, FN(view) to, ptrdiff_t v) {
    if (layout != LAYOUT_ACROSS) SG_PREFETCH_WRITE(to.p + v * to.step + 2 * VL - 1);
}
/* `a` as vectors: as it stands, or brought into `buffer`. Rows in lanes always are: where classes are a multiple of 4096
 * bytes apart their lines share a set of the L1 cache, and would not stay there from pass to pass: (8, 21, 160, 160)
 * took 3500 us, (8, 21, 160, 161) 2640. */
SG_BODY FN(view) FN(open)(int layout, const FN(tile) *t, const sg_array *a, real *buffer) {
    if (layout != LAYOUT_SHORT && FN(is_direct)(layout, t, a)) return FN(stand)(layout, t, a);
    if (layout != LAYOUT_SHORT) {
        FN(copy_row)(t, a, 0, t->n, buffer);
    } else if (FN(is_direct)(layout, t, a)) {
        FN(bring)(FN(stand)(layout, t, a), t->n, buffer);
    } else {
        FN(gather_lanes)(t, a, buffer);
    }
    return (FN(view)){buffer, VL, 0};
}
/* Whether a kernel of rows across rounds results of `a` to 16 bits itself, vector by vector. */
SG_INLINE int FN(rounds)(int layout, const sg_array *a) {
    return REAL_IS_FLOAT && layout == LAYOUT_ACROSS && a->half && a->axis == 1;
}
/* Where to write the vectors of `a` at last: there, or in `buffer` until it is closed. */
SG_INLINE FN(view) FN(open_out)(int layout, const FN(tile) *t, const sg_array *a, real *buffer) {
    if (FN(is_direct)(layout, t, a)) return FN(stand)(layout, t, a);
    return (FN(view)){buffer, VL, 0}; /* of one row: several rows across stand as they are */
}
/* The same of the results of a kernel that rounds them: made, where x is a float copy, in its place. */
SG_INLINE FN(view) FN(open_result)(int layout, const FN(tile) *t, real *buffer) {
    const sg_call *c = t->call;
    if (FN(rounds)(layout, &c->out) && !c->x.half) return FN(stand)(layout, t, &c->x);
    return FN(open_out)(layout, t, &c->out, buffer);
}
/* Where to keep terms until then: rows in lanes stay in the buffer. */
SG_INLINE FN(view) FN(open_terms)(int layout, FN(view) out, real *buffer) {
    return layout == LAYOUT_SHORT ? (FN(view)){buffer, VL, 0} : out;
}
/* Logits or terms: as they are, but with a step that the compiler knows, where rows in lanes are in a buffer. */
SG_INLINE FN(view) FN(opened)(int layout, FN(view) x) {
    return layout == LAYOUT_SHORT ? (FN(view)){x.p, VL, 0} : x;
}
SG_INLINE void FN(close_out)(int layout, const FN(tile) *t, const sg_array *a, FN(view) x) {
    if (FN(is_direct)(layout, t, a)) return;
    if (layout == LAYOUT_SHORT) FN(scatter_lanes)(t, a, x.p);
    else FN(write_row)(t, a, 0, t->n, x.p); /* several rows across stand as they are */
}

SG_NOINLINE void FN(divide)(int layout, FN(view) x, FN(view) to, ptrdiff_t n, real by) {
    for (ptrdiff_t v = 0; v < FN(vectors)(layout, n); v++)
        FN(put)(layout, to, v, n, vdiv(FN(get)(layout, x, v, n, 0), vset1(by)));
}

/* The logits of a tile: x, divided by the temperature into `to` where there is one (then one row across). */
SG_INLINE FN(view) FN(open_logits)(int layout, const FN(tile) *t, real *buffer, FN(view) to) {
    FN(view) x = FN(open)(layout, t, &t->call->x, buffer);
    if (t->call->temperature == 1) return x;
    FN(divide)(layout, x, to, t->n, (real)t->call->temperature);
    return to;
}
/* The same, where a row of several blocks that does not stand in vectors is read block by block: no view, see stats.h. */
SG_INLINE FN(view) FN(open_logits_in_blocks)(int layout, const FN(tile) *t, real *buffer, FN(view) to) {
    if (FN(in_blocks)(layout, t) && !FN(is_direct)(layout, t, &t->call->x)) return (FN(view)){NULL, VL, 0};
    return FN(open_logits)(layout, t, buffer, to);
}
/* For what keeps nothing of a row: one row across is read block by block, and there is no view, see stats.h. */
SG_INLINE FN(view) FN(open_logits_once)(int layout, const FN(tile) *t, FN(view) buffer) {
    if (layout == LAYOUT_ACROSS && t->rows == 1) return (FN(view)){NULL, VL, 0};
    return FN(open_logits)(layout, t, buffer.p, buffer);
}

/* Rows of one value each, given by the caller. */
SG_INLINE vreal FN(get_rows)(int layout, const FN(tile) *t, const real *values) {
    if (layout == LAYOUT_ACROSS && t->rows == 1) return vset1(values[t->row]);
    return vload_n(values + t->row, t->rows, 0);
}
SG_INLINE void FN(put_rows)(const FN(tile) *t, const sg_array *a, vreal value) {
    ptrdiff_t stride;
    if (FN(rows_are_even)(t, a, &stride) && stride == 1) {
        vstore_n(FN(row_start)(t, a, 0), value, t->rows);
        return;
    }
    FN(lanes) lanes = FN(lanes_of)(value);
    for (int r = 0; r < t->rows; r++) *FN(row_start)(t, a, r) = lanes.lane[r];
}

#if REAL_IS_FLOAT
/* Vectors of contiguous rows of 16-bit numbers, without floats in between that are stored and loaded once more. */
SG_INLINE vreal FN(read_half)(int bfloat, int full, const uint16_t *p, ptrdiff_t v, ptrdiff_t n) {
    uint16_t rest[VL] = {0};
    const int left = full ? VL : FN(lanes_left)(v, n);
    p += v * VL;
    if (left < VL) p = memcpy(rest, p, (size_t)left * sizeof *rest);
    return bfloat ? vf32_load_bf16(p) : vf32_load_f16(p);
}
SG_INLINE void FN(write_half)(int bfloat, int full, uint16_t *p, ptrdiff_t v, ptrdiff_t n, vreal a) {
    uint16_t rest[VL];
    const int left = full ? VL : FN(lanes_left)(v, n);
    uint16_t *to = left < VL ? rest : p + v * VL;
    if (bfloat) vf32_store_bf16(to, a);
    else vf32_store_f16(to, a);
    if (left < VL) memcpy(p + v * VL, rest, (size_t)left * sizeof *rest);
}
#else
/* not called: see rounds() */
SG_INLINE void FN(write_half)(int bfloat, int full, uint16_t *p, ptrdiff_t v, ptrdiff_t n, vreal a) {
    (void)bfloat, (void)full, (void)p, (void)v, (void)n, (void)a;
}
#endif
