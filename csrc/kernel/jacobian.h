/* jacobian.h - the Jacobians, one C x C matrix a row. Included once per dtype, no include guard.
 *
 * With p_i = e_i UP 2^-HEADROOM, normal wherever s_i is not 0, s_i = p_i / sum p. Of each term what its rounding took off is kept (in
 * lanes), or computed once more, so that its two parts have no rounding. Off the diagonal -s_i s_j: float32 -q_i q_j, q_i = s_i rounded once; float64, whose exponentials are less exact,
 * -p_j (p_i / sum^2), both factors in two parts. On it s_i (others_i / sum), others_i the sum without p_i: for the
 * maximum it was summed that way, elsewhere 1 - s_i loses nothing, as s_i <= 1/2. All is divided by the temperature, q_i by its root. */

/* One matrix of the result. Rows of a 16-bit type are made in `line`, then rounded. Those of a large result are made in `block`, a few
 * at a time, and go past the caches in whole lines of these: block[0] stands for to[0], where a line begins. */
typedef struct {
    void *data;
    ptrdiff_t stride;
    const sg_half *half;
    real *line, *block, *to;
    ptrdiff_t first, used; /* the block holds elements [first, used) */
} FN(matrix);
enum { FN(ENOUGH_IN_BLOCK) = SG_JACOBIAN_BYTES / sizeof(real), FN(MOST_IN_BLOCK) = 8 * FN(ENOUGH_IN_BLOCK) };

SG_INLINE void FN(use_block)(FN(matrix) *m, real *block) {
    m->block = block;
    m->first = m->used = (ptrdiff_t)((uintptr_t)m->data % 64 / sizeof(real));
    m->to = (real *)m->data - m->first;
}
SG_INLINE void FN(empty_block)(FN(matrix) *m, int at_end) {
    const ptrdiff_t whole = m->used / VL * VL, rest = m->used - whole;
    ptrdiff_t v = 0;
    if (m->first > 0) { /* the line begins with what is not this matrix's, which is at least a line long */
        memcpy(m->to + m->first, m->block + m->first, (size_t)(VL - m->first) * sizeof(real));
        v = VL;
    }
    for (; v < whole; v += VL) vstream(m->to + v, vload(m->block + v));
    if (at_end) memcpy(m->to + whole, m->block + whole, (size_t)rest * sizeof(real));
    else vstore(m->block, vload(m->block + whole));
    m->to += whole;
    m->first = 0;
    m->used = rest;
}

/* Where the first row is made. */
SG_INLINE real *FN(first_line)(const FN(matrix) *m) {
    return m->half ? m->line : m->block ? m->block + m->used : m->data;
}
/* Row i is made, at `line`: where the next one is. */
SG_INLINE real *FN(next_line)(FN(matrix) *m, real *line, ptrdiff_t i, ptrdiff_t n) {
    if (m->half) {
        m->half->narrow((const float *)(const void *)line, n, (uint16_t *)m->data + i * m->stride);
        return line;
    }
    if (!m->block) return line + m->stride;
    m->used += n;
    if (m->used >= FN(ENOUGH_IN_BLOCK) || i == n - 1) FN(empty_block)(m, i == n - 1);
    return m->block + m->used;
}
/* How many rows, of n % VL classes at their end, may end with a whole vector: the next rows, which come later, overwrite what is too much. */
SG_INLINE ptrdiff_t FN(whole_ends)(const FN(matrix) *m, ptrdiff_t n) {
    if (n % VL == 0) return 0;
    if (m->half || m->block) return n;
    return m->stride == n ? n - (VL - n % VL + n - 1) / n : 0;
}

/* What row i's entries are multiplied by off the diagonal: p_i h, h = -1 / sum^2 as hi + lo, what p lacks in `rest`; of rounded terms,
 * which are larger by UP each, q_i and -UP^-2. Where that would be subnormal it is kept larger by UP^2, which `down` takes off after the product. */
typedef struct {
    vreal hi, lo, down;
    int small; /* down is not 1 in every lane */
} FN(line_factor);

SG_INLINE FN(line_factor) FN(line_factor_of)(vreal p, vreal rest, vreal hi, vreal lo) {
    const real up = REAL_UP * REAL_UP;
    FN(line_factor) f;
    const vmask small = vlt(p, vset1(REAL_UP / REAL_FACTOR));
    f.down = vset1(1);
    f.small = many(small);
    if (SG_UNLIKELY(f.small)) {
        const vreal by = vselect(small, vset1(up), f.down);
        p = vmul(p, by);
        rest = vmul(rest, by);
        f.down = vselect(small, vset1(1 / up), f.down);
    }
    f.hi = vmul(p, hi);
    f.lo = vsub(vfma(rest, hi, vmul(p, lo)), vfnma(p, hi, f.hi));
    return f;
}
SG_INLINE vreal FN(in_parts)(vreal p, vreal rest, vreal hi, vreal lo) {
    return vfma(p, hi, vfma(rest, hi, vmul(p, lo)));
}
SG_INLINE vreal FN(times_line)(vreal p, vreal rest, vreal hi, vreal lo) {
    return ROUNDED_JACOBIANS ? vmul(p, hi) : FN(in_parts)(p, rest, hi, lo);
}

/* Row i of out, softmax; then the diagonal. The vector at the end of rows is read once for all of them. */
SG_NOINLINE void FN(write_softmax_jacobian)(real *p, const real *p_rest, const real *diagonal, ptrdiff_t n,
                                            real hi, real lo, FN(matrix) *out) {
    const FN(view) x = {p, VL, 0}, x_rest = {(real *)p_rest, VL, 0};
    const ptrdiff_t whole = n / VL, whole_ends = FN(whole_ends)(out, n);
    const int rest = (int)(n % VL);
    const vreal end = FN(get)(LAYOUT_ACROSS, x, whole, n, 0),
                end_rest = FN(get)(LAYOUT_ACROSS, x_rest, whole, n, 0);
    real *line = FN(first_line)(out);
    for (ptrdiff_t begin = 0; begin < n; begin += VL) {
        const FN(line_factor) f =
            FN(line_factor_of)(FN(get)(LAYOUT_ACROSS, x, begin / VL, n, 1),
                               FN(get)(LAYOUT_ACROSS, x_rest, begin / VL, n, 0), vset1(hi), vset1(lo));
        const FN(lanes) his = FN(lanes_of)(f.hi), los = FN(lanes_of)(f.lo), downs = FN(lanes_of)(f.down);
        for (ptrdiff_t r = 0; r < VL && begin + r < n; r++) {
            const ptrdiff_t i = begin + r;
            const vreal fh = vset1(his.lane[r]), fl = vset1(los.lane[r]), down = vset1(downs.lane[r]);
            vreal a = FN(times_line)(end, end_rest, fh, fl);
            if (SG_UNLIKELY(f.small)) {
                for (ptrdiff_t v = 0; v < whole; v++)
                    vstore(line + v * VL,
                           vmul(FN(times_line)(vload(p + v * VL), vload(p_rest + v * VL), fh, fl), down));
                a = vmul(a, down);
            } else {
                for (ptrdiff_t v = 0; v < whole; v++)
                    vstore(line + v * VL, FN(times_line)(vload(p + v * VL), vload(p_rest + v * VL), fh, fl));
            }
            if (i < whole_ends) vstore(line + whole * VL, a);
            else if (rest) vstore_n(line + whole * VL, a, rest);
            line[i] = diagonal[i];
            line = FN(next_line)(out, line, i, n);
        }
    }
}
/* Row i of out, log_softmax: -s_j, the same for every i, which stands in q; then the diagonal 1 - s_i. */
SG_NOINLINE void FN(write_log_softmax_jacobian)(real *q, const real *diagonal, ptrdiff_t n, FN(matrix) *out) {
    const FN(view) x = {q, VL, 0};
    const ptrdiff_t whole = n / VL, whole_ends = FN(whole_ends)(out, n);
    const int rest = (int)(n % VL);
    const vreal end = FN(get)(LAYOUT_ACROSS, x, whole, n, 0);
    real *line = FN(first_line)(out);
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t v = 0; v < whole; v++) vstore(line + v * VL, vload(q + v * VL));
        if (i < whole_ends) vstore(line + whole * VL, end);
        else if (rest) vstore_n(line + whole * VL, end, rest);
        line[i] = diagonal[i];
        line = FN(next_line)(out, line, i, n);
    }
}

/* The matrices of VL rows of few classes, `stride` elements apart, made in lanes: none is a part of a vector, and VTILE entries at a time are transposed as
 * rows of so many classes are. */
typedef struct {
    SG_ALIGN64 real hi[SG_JACOBIAN_N * VL], lo[SG_JACOBIAN_N * VL], down[SG_JACOBIAN_N * VL];
} FN(line_factors);

SG_INLINE void FN(make_small_jacobians)(int of_log, int small, ptrdiff_t n, const real *p, const real *rest,
                                        const real *diagonal, const FN(line_factors) *f, real *out,
                                        ptrdiff_t stride) {
    for (ptrdiff_t m = 0, i = 0, j = 0; m < n * n; m += VTILE) {
        vreal v[VTILE];
        if (m > n * n - VTILE) { /* the last tile overlaps its neighbour */
            m = n * n - VTILE;
            i = m / n;
            j = m % n;
        }
        SG_UNROLL(k, VTILE) {
            v[k] = vload(p + j * VL);
            if (i == j) v[k] = vload(diagonal + i * VL);
            else if (!of_log) {
                v[k] =
                    FN(times_line)(v[k], vload(rest + j * VL), vload(f->hi + i * VL), vload(f->lo + i * VL));
                if (small) v[k] = vmul(v[k], vload(f->down + i * VL));
            }
            if (++j == n) j = 0, i++;
        }
        vstore_tile(out + m, stride, v);
    }
}
SG_NOINLINE void FN(make_tiny_jacobians)(ptrdiff_t n, const real *p, const real *rest, const real *diagonal,
                                         const FN(line_factors) *f, real *out, ptrdiff_t stride) {
    FN(make_small_jacobians)(0, 1, n, p, rest, diagonal, f, out, stride);
}
/* Whether a tile in lanes is made so: VL rows, and their matrices equally far apart, each without gaps. */
SG_INLINE int FN(are_small_jacobians)(const FN(tile) *t, ptrdiff_t *stride) {
    const sg_array *out = &t->call->out;
    return t->rows == VL && t->n > 1 && t->n <= SG_JACOBIAN_N && !out->half && out->axis == t->n &&
           FN(rows_are_even)(t, out, stride);
}
SG_BODY void FN(write_small_jacobians)(int of_log, ptrdiff_t n, const real *p, const real *rest,
                                       const real *diagonal, vreal hi, vreal lo, real *out,
                                       ptrdiff_t stride) {
    FN(line_factors) factors;
    int small = 0;
    for (ptrdiff_t i = 0; i < n && !of_log; i++) {
        const FN(line_factor) f = FN(line_factor_of)(vload(p + i * VL), vload(rest + i * VL), hi, lo);
        vstore(factors.hi + i * VL, f.hi);
        vstore(factors.lo + i * VL, f.lo);
        vstore(factors.down + i * VL, f.down);
        small |= f.small;
    }
    if (SG_UNLIKELY(small)) FN(make_tiny_jacobians)(n, p, rest, diagonal, &factors, out, stride);
    else FN(make_small_jacobians)(of_log, 0, n, p, rest, diagonal, &factors, out, stride);
}

/* Whether the matrices are large, and lie one behind the other. */
SG_INLINE int FN(is_streamed_jacobian)(const sg_call *c) {
    return c->stream && !c->out.half && (uintptr_t)c->out.data % sizeof(real) == 0 && c->out.axis == c->n &&
           c->n >= VL && c->n <= FN(MOST_IN_BLOCK) - FN(ENOUGH_IN_BLOCK);
}

SG_BODY int FN(jacobian_tile)(int layout, int of_log, const FN(tile) *t) {
    if (layout == LAYOUT_LONG) return 0; /* matrices are written row by row */
    const sg_call *c = t->call;
    TILE_BUFFER(p_buffer, 0);
    TILE_BUFFER(x_buffer, 1);
    TILE_BUFFER(d_buffer, 2);
    TILE_BUFFER(line, 3);
    FN(view) p = {p_buffer, VL, 0}, staged = {x_buffer, VL, 0}, diagonal = {d_buffer, VL, 0};
    FN(look) seen; /* not cleared: it is large */
    seen.x = FN(open_logits)(layout, t, x_buffer, staged);
    seen.e = p;
    seen.far_to = staged;
    seen.Ms = FN(block_M)(t);
    seen.weigh = NULL;
    seen.rests = diagonal;
    FN(look) *const look = &seen;
    if (layout == LAYOUT_SHORT) FN(jacobian_stats_short)(t, 1, &look);
    else FN(grad_stats_across)(t, &look);
    const FN(stats) *row = &seen.row;
    const FN(view) x = seen.x;
    FN(scale_rows)(layout, t, p, p, seen.Ms, row->M, FN(wide_set1)(REAL_UP, 0));
    const wide sum = FN(wide_add)(row->others, row->top);
    const wide inverse = FN(wide_ldexp)(FN(inverse)(sum), vset1(-REAL_UP_EXPONENT)),
               T = FN(wide_set1)(c->temperature, 0);
    const int plain = c->temperature == 1;
    const vreal hi = FN(wide_round)(inverse), lo = FN(wide_rest)(inverse, hi), unit = FN(wide_round)(T);
    /* 1 / (sum T), larger by UP^2 where it may be subnormal */
    const int up = c->temperature > 1 ? 2 * REAL_UP_EXPONENT : 0;
    const wide by_T = plain ? inverse : FN(wide_div)(FN(wide_ldexp)(inverse, vset1((real)up)), T);
    const vreal T_hi = FN(wide_round)(by_T), T_lo = FN(wide_rest)(by_T, T_hi),
                T_down = vset1((real)sg_power2(-up)), minus = vset1(-1), minus_T_hi = vmul(T_hi, minus),
                minus_T_lo = vmul(T_lo, minus);
    /* the maximum's own diagonal, whole: what is subnormal before the division by T may not be after it, and with it sum T may overflow */
    const vreal to_one = vset1(REAL_UP_EXPONENT - HEADROOM);
    const wide s_top = FN(wide_ldexp)(FN(wide_mul)(row->top, inverse), to_one),
               s_others = of_log ? row->others : FN(wide_mul)(s_top, row->others);
    const vreal top = FN(wide_round)(plain ? FN(wide_ldexp)(FN(wide_mul)(s_others, inverse), to_one)
                                     : c->temperature > 1 ? FN(wide_div)(FN(wide_div)(s_others, sum), T)
                                                          : FN(wide_div)(s_others, FN(wide_mul)(sum, T)));
    /* what the entries are made of: of log_softmax -s_j / T, which no row's factor follows; rounded terms q; terms in two parts, with half of
     * T's exponent, so that the rest of T leaves factors as they are */
    const double half = ROUNDED_JACOBIANS ? 1 : sg_power2(-sg_exponent(c->temperature) / 2);
    const wide root =
                   FN(wide_set1)(ROUNDED_JACOBIANS ? sqrt(c->temperature) : c->temperature * half * half, 0),
               by_root = plain ? inverse : FN(wide_div)(inverse, root);
    const wide q_factor = FN(wide_ldexp)(by_root, vset1(REAL_UP_EXPONENT));
    const vreal q_hi = FN(wide_round)(q_factor), q_lo = FN(wide_rest)(q_factor, q_hi),
                p_down = vset1((real)half);
    /* the diagonal; and in the place of a staged logit what its p lacks: kept in lanes, across once more from the exponential */
    const FN(limits) limits = FN(limits_of)(row->max);
    const vreal down = vset1((real)sg_power2(REAL_UP_EXPONENT - HEADROOM));
    SG_EACH(layout, t->n, 4, {
        vreal a = FN(read)(layout, full, p, v, t->n, 0), b = FN(read)(layout, full, x, v, t->n, 0), a_rest;
        if (layout == LAYOUT_SHORT) {
            a_rest = vload(diagonal.p + v * VL);
        } else {
            vreal scale, frac;
            FN(exp_terms)(vselect(vlt(row->max, b), row->max, b), limits, &scale, &frac);
            a_rest = FN(term_rest)(scale, frac, FN(mul_add)(scale, frac, scale));
        }
        a_rest = vmul(a_rest, down);
        vreal rest = vsub(vfnma(a, hi, vset1(1)), vfma(a_rest, hi, vmul(a, lo)));
        vreal s = vmul(FN(in_parts)(a, a_rest, T_hi, T_lo), T_down);
        vreal d = of_log ? vdiv(rest, unit) : vmul(s, rest);
        vreal entry = of_log              ? vmul(FN(in_parts)(a, a_rest, minus_T_hi, minus_T_lo), T_down)
                      : ROUNDED_JACOBIANS ? FN(in_parts)(a, a_rest, q_hi, q_lo)
                                          : vmul(a, p_down);
        FN(write)(layout, full, diagonal, v, t->n, vselect(veq(b, row->max), top, d));
        FN(write)(layout, full, p, v, t->n, entry);
        FN(write)(layout, full, staged, v, t->n, vmul(a_rest, p_down));
    });
    const wide factor = FN(wide_minus)(ROUNDED_JACOBIANS ? FN(wide_set1)(1 / (REAL_UP * REAL_UP), 0)
                                                         : FN(wide_mul)(inverse, by_root));
    const vreal factor_hi = FN(wide_round)(factor), factor_lo = FN(wide_rest)(factor, factor_hi);
    ptrdiff_t between;
    if (layout == LAYOUT_SHORT && FN(are_small_jacobians)(t, &between)) {
        FN(write_small_jacobians)(of_log, t->n, p.p, staged.p, diagonal.p, factor_hi, factor_lo,
                                  FN(row_start)(t, &c->out, 0), between);
        return 1;
    }
    const FN(lanes) hi_of = FN(lanes_of)(factor_hi), lo_of = FN(lanes_of)(factor_lo);
    ptrdiff_t stride = 0;
    if (layout ==
        LAYOUT_SHORT) { /* one row behind the other, each kind into the buffer that the last one left */
        const ptrdiff_t columns = t->n < VTILE ? VTILE : t->n;
        stride = (t->n + VL - 1) / VL * VL;
        FN(lanes_to_rows)(p.p, columns, line, stride);
        FN(lanes_to_rows)(staged.p, columns, p.p, stride);
        FN(lanes_to_rows)(diagonal.p, columns, staged.p, stride);
        real *freed = diagonal.p;
        diagonal.p = staged.p, staged.p = p.p, p.p = line, line = freed;
    }
    SG_ALIGN64 real block[FN(MOST_IN_BLOCK) + VL]; /* the end of a row is written as a whole vector */
    const int in_blocks = SG_STREAMS && FN(is_streamed_jacobian)(c);
    for (int r = 0; r < t->rows; r++) {
        const ptrdiff_t at = FN(row_offset)(t, &c->out, r);
        FN(matrix) out = {.stride = c->out.axis, .half = c->out.half, .line = line};
        out.data = c->out.half ? (void *)((uint16_t *)c->out.data + at) : (real *)c->out.data + at;
        if (in_blocks) FN(use_block)(&out, block);
        const ptrdiff_t from = r * stride;
        if (of_log) FN(write_log_softmax_jacobian)(p.p + from, diagonal.p + from, t->n, &out);
        else
            FN(write_softmax_jacobian)(p.p + from, staged.p + from, diagonal.p + from, t->n, hi_of.lane[r],
                                       lo_of.lane[r], &out);
    }
    if (in_blocks) SG_FENCE();
    return 1;
}

SG_INLINE int FN(softmax_jacobian_tile)(int layout, const FN(tile) *t) {
    return FN(jacobian_tile)(layout, 0, t);
}
SG_INLINE int FN(log_softmax_jacobian_tile)(int layout, const FN(tile) *t) {
    return FN(jacobian_tile)(layout, 1, t);
}
BOTH_LAYOUTS(softmax_jacobian, SG_FIXED_ORDER)
BOTH_LAYOUTS(log_softmax_jacobian, SG_FIXED_ORDER)
