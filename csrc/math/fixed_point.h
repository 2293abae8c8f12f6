/* fixed_point.h - a running sum in fixed point, one a lane: terms added, and taken off again. How it begins, what it is in the end and
 * why it is exact: wide_f32.h, wide_f64.h. Included once per dtype, no include guard. */

typedef struct { vreal big, middle, ints, rests, poison, run; } FN(sum);

/* e is fl(scale (1 + frac)), `cut` is big + e. scale - (cut - big) is exact, both being multiples of the smaller of their units, or nearly
 * (docs/numerics.md). */
SG_INLINE vreal FN(sum_rest)(const FN(sum) *s, vreal scale, vreal frac, vreal cut) {
    return vfma(scale, frac, vsub(scale, vsub(cut, s->big)));
}
/* The lanes of one row joined (vT_join), as their sum is all that matters: before any term, of a sum that was begun with the terms of a lane as if it were not
 * joined. A lane that is used then has SG_JOINS times as many, SUM_GROUP all the same at most; the others have none, and no run. And again when a term was taken off in any
 * lane. */
SG_INLINE void FN(sum_join_lanes)(FN(sum) *s) {
    s->ints = vjoinbits(vset1(0), s->ints);
    s->rests = vjoinbits(vset1(0), s->rests);
}
/* `joint`: the sum was joined. */
SG_INLINE void FN(sum_add)(int joint, FN(sum) *s, vreal scale, vreal frac, vreal e) {
    const vreal cut = vadd(s->big, e), rest = FN(sum_rest)(s, scale, frac, cut), r = vadd(s->middle, rest);
    s->ints = SG_JOINS > 1 && joint ? vjoinbits(s->ints, cut) : vaddbits(s->ints, cut);
    s->rests = SG_JOINS > 1 && joint ? vjoinbits(s->rests, r) : vaddbits(s->rests, r);
    s->poison = SG_JOINS > 1 && joint ? vjoin(s->poison, rest) : vadd(s->poison, rest);
}
/* The same of a sum that nothing is taken off, by two operations less: `run` is a sum of rests that begins with `middle`. After SUM_RUN terms, or
 * one more, and after the last, what it has become more than that goes to `rests`. No rest times NO_TIE is half-way between two numbers near
 * `middle`, so that the rests before it in the run decide nothing (docs/numerics.md). Zen 4, us, AVX-512 and AVX2: softmax (1, 1000000)
 * 282 -> 273, 375 -> 364; float64 777 -> 735, 1089 -> 997. */
SG_INLINE void FN(sum_add_to_run)(int joint, FN(sum) *s, vreal scale, vreal frac, vreal e) {
    const vreal cut = vadd(s->big, e), rest = FN(sum_rest)(s, scale, frac, cut);
    s->ints = SG_JOINS > 1 && joint ? vjoinbits(s->ints, cut) : vaddbits(s->ints, cut);
    s->run =
        SG_JOINS > 1 && joint ? vjoinfma(rest, vset1(NO_TIE), s->run) : vfma(rest, vset1(NO_TIE), s->run);
}
SG_INLINE void FN(sum_end_run)(FN(sum) *s) {
    s->rests = vaddbits(s->rests, vsubbits(s->run, s->middle));
    s->poison = vadd(s->poison, s->run);
    s->run = s->middle;
}
/* The same where `m`; elsewhere nothing is added, which counts as a term. */
SG_INLINE void FN(sum_add_if)(FN(sum) *s, vmask m, vreal scale, vreal frac, vreal e) {
    const vreal cut = vadd_if(m, s->big, e), rest = FN(sum_rest)(s, scale, frac, cut);
    s->ints = vaddbits(s->ints, cut);
    s->rests = vaddbits(s->rests, vadd_if(m, s->middle, rest));
    s->poison = vadd(s->poison, rest);
}

/* A term that was added, taken off again, exactly, however large it was: integers wrap around. What is to be added to a sum for
 * that, 0 where `none`; and that, in the lanes `m`. The sum keeps a term without value. */
typedef struct { vreal ints, rests; } FN(sum_less);

SG_INLINE FN(sum_less) FN(sum_less_of)(const FN(sum) *s, vmask none, vreal scale, vreal frac, vreal e) {
    const vreal zero = vset1(0), cut = vadd(s->big, e), rest = FN(sum_rest)(s, scale, frac, cut);
    return (FN(sum_less)){vselect(none, zero, vsubbits(s->big, cut)),
                          vselect(none, zero, vsubbits(s->middle, vadd(s->middle, rest)))};
}
SG_INLINE void FN(sum_take_off)(int joint, FN(sum) *s, vmask m, FN(sum_less) less) {
    s->ints = vaddbits(s->ints, vselect(m, less.ints, vset1(0)));
    s->rests = vaddbits(s->rests, vselect(m, less.rests, vset1(0)));
    if (SG_JOINS > 1 && joint) FN(sum_join_lanes)(s);
}
