/* block.h - the sizes that the kernels and the run agree on: they fix the summation order (sum.h), so a
 * change changes bits. */
#ifndef SG_BLOCK_H
#define SG_BLOCK_H

#include <stddef.h>

enum {
    /* Rows up to here are summed by one lane, VL rows at a time. Measured, 1000 rows of float32, against one row across
     * the lanes: loss and gradient 75 us for 330 at n = 65, 101 for 346 at 100, 256 for 423 at 256; even near 500. */
    SG_SHORT_N = 256,
    SG_LANES_N = 56, /* rows of more classes go across all the same where that gives the same bits */
    SG_ROW_COST = 6, /* of a row across, beside its vectors, in vectors */
    SG_TILE_BYTES = 16384, /* of rows across that go together */
    SG_BLOCK_BYTES = 16384, /* a block of a row: half of a small L1 */
    SG_SMALLEST_BLOCK_N = SG_BLOCK_BYTES / 8,
    SG_ROW_BUFFERS = 3 /* scratch across: a vector a block, then rows of sg_pitch(n) reals */
};

static inline size_t sg_blocks_bytes(ptrdiff_t n) { return ((size_t)n / SG_SMALLEST_BLOCK_N + 1) * 64; }
static inline ptrdiff_t sg_pitch(ptrdiff_t n) { return (n + 15) / 16 * 16; }

#endif
