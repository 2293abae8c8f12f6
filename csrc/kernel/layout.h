/* layout.h - how rows lie in vectors. Included once.
 *
 * A tile is a run of vectors at p, p + step, p + 2 step, ...:
 *   LAYOUT_ACROSS  a row lies across the lanes: vector v holds classes v VL .. v VL + VL - 1; one row or several
 *   LAYOUT_SHORT   VL rows of n <= SHORT_N classes stand in the lanes: vector i holds class i of each
 *   LAYOUT_LONG    the same with more classes, straight from an array whose rows are neighbours
 * The kernels' loops are written once; `layout` is a literal in each of their instances, but with SG_SMALL (region.h). */
#ifndef SG_LAYOUT_H
#define SG_LAYOUT_H

#include <string.h>

#include "block.h"
#include "../half.h"
#include "softgrad.h"

/* Tasks of a team, at most. */
enum { SG_MOST_TASKS = 64 };

enum { LAYOUT_ACROSS, LAYOUT_SHORT, LAYOUT_LONG };

enum {
    VTILE = 4
}; /* columns of a tile of rows that is transposed into lanes at a time; fewer are packed rows */

/* Which sum of a row is wanted: of all terms, or without the first maximum, which is apart (stats.h). */
enum { SG_WITH_ALL, SG_WITHOUT_MAX };

/* How a sum without the maximum leaves its term out. It is added as others are, and taken off again, across where a lane's largest logit is
 * it. Long rows in lanes have several sums, of which one has that term: there it is passed over, where it is the one maximum, if terms
 * are kept; else it counts as if it were the second largest, whose term is taken off in the end: one operation a vector for three.
 * Zen 4, us, passed over everywhere and so: loss + gradient (300, 1000) 112 -> 105, AVX2 151 -> 135, float64 412 -> 345. */
enum { SG_TAKEN_OFF, SG_PASSED_OVER, SG_REPLACED, SG_LEFT_IN };

static inline int sg_max_term(int layout, int keep, int mode) {
    if (mode == SG_WITH_ALL) return SG_LEFT_IN;
    return layout != LAYOUT_LONG ? SG_TAKEN_OFF : keep ? SG_PASSED_OVER : SG_REPLACED;
}

/* `keep`: 0, or 1 where terms are wanted, or this: in two parts, of rows in lanes. */
enum { SG_IN_PARTS = 2 };

/* What is done beside the exponentials (terms.h), each in loops of its own: nothing; lines of the cache are asked for; that, and results are made. */
enum { SG_NOTHING, SG_ASKS, SG_MAKES };

/* How products are summed (products.h). */
enum { SG_ONE_BY_ONE, SG_IN_PAIRS, SG_IN_PAIRS_OF_HALVES };

/* Kinds of kernels: whose sums have no order, so that rows may lie in any layout; whose sums of products have one (sum.h);
 * and of those the products with Jacobians (softmax's along another axis in runs too, products.h) and the losses of any targets, which take several rows across and stand in lanes for
 * fewer classes, the latter for more where no several rows can go across. */
enum { SG_ANY_ORDER, SG_FIXED_ORDER, SG_PRODUCTS, SG_LOG_PRODUCTS, SG_TARGETS };

/* All vectors of a tile of n classes: the statement for v = 0, 1, ..., `round` of them at a time, l = v mod round.
 * `full`, a literal, says that every lane of the vector belongs to the row. */
#define SG_EACH(layout, n, round, ...)                                              \
    do {                                                                            \
        const ptrdiff_t lanes_ = (layout) == LAYOUT_ACROSS ? VL : 1;                \
        ptrdiff_t v_ = 0;                                                           \
        for (; (v_ + (round)) * lanes_ <= (n); v_ += (round)) SG_UNROLL(l, round) { \
                enum { full = 1 };                                                  \
                const ptrdiff_t v = v_ + l;                                         \
                __VA_ARGS__                                                         \
            }                                                                       \
        for (int l = 0; l < (round) && (v_ + l) * lanes_ < (n); l++) {              \
            enum { full = 0 };                                                      \
            const ptrdiff_t v = v_ + l;                                             \
            __VA_ARGS__                                                             \
        }                                                                           \
    } while (0)

static inline bool sg_is_staged(const sg_call *c) { return c->x.axis != 1 && c->n <= SG_STAGED_N; }

/* 2^k, k in [-1022, 1023]. */
static inline double sg_power2(int k) {
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double p;
    memcpy(&p, &bits, sizeof p);
    return p;
}
/* The exponent of |a|, -1023 where it is subnormal, 1024 where it is not finite. */
static inline int sg_exponent(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return (int)(bits >> 52 & 0x7ff) - 1023;
}

#endif
