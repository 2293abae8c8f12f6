/* block.h - the sizes that the kernels and the run agree on: they fix the summation order (sum.h), so a
 * change changes bits. */
#ifndef SG_BLOCK_H
#define SG_BLOCK_H

#include <stddef.h>

enum {
    SG_SHORT_N = 64,            /* rows up to here are summed by one lane */
    SG_BLOCK_BYTES = 16384,     /* a block of a row: half of a small L1 */
    SG_SMALLEST_BLOCK_N = SG_BLOCK_BYTES / 8,
    SG_ROW_BUFFERS = 3          /* scratch across: a vector a block, then rows of sg_pitch(n) reals */
};

static inline size_t sg_blocks_bytes(ptrdiff_t n) { return ((size_t)n / SG_SMALLEST_BLOCK_N + 1) * 64; }
static inline ptrdiff_t sg_pitch(ptrdiff_t n) { return (n + 15) / 16 * 16; }

#endif
