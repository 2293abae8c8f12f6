/* block.h - the sizes that the kernels and the run agree on. A change of SG_SHORT_N or SG_LANES_N changes the order of sums
 * of products, one of SG_BLOCK_BYTES where rows are cut: both change bits (sum.h). The others only cost or save time. */
#ifndef SG_BLOCK_H
#define SG_BLOCK_H

#include <stddef.h>

enum {
    /* Rows of up to so many classes stand in lanes, VL at a time, where the order of a sum or the strides ask for it. */
    SG_SHORT_N = 256,
    /* Contiguous rows of more go across all the same where no order forbids it, and for the products with Jacobians.
     * Measured, softmax of 20,000 rows of float32: 48 classes 801 us in lanes, 858 across; 64 1166 and 740. */
    SG_LANES_N = 56,
    /* Rows of more that are not contiguous, and of which no VL are neighbours, go into lanes through the scratch up to so many
     * classes, where no order forbids it: 32 KiB. (2, 300, 77) took 31 us row by row, 22 in lanes; with 1000 classes lanes lose. */
    SG_STAGED_N = 512,
    SG_ALIGNED_N = 256, /* rows across of so many are written from a line of the cache on */
    SG_ROW_COST = 6, /* of a row across, beside its vectors, in vectors */
    SG_BATCH = 8, /* tiles in lanes that are done together, at most */
    /* Of rows across that go together, at most VL. What is done once a tile is a chain of 150 to 400 cycles in which the CPU idles; the
     * second-level cache keeps up with the arithmetic. Zen 4, AVX-512, us, 16 KiB and 64: (300, 1000) softmax 91 -> 87, logsumexp 84 -> 78, loss +
     * gradient 105 -> 96, (3000, 2000) 2495 -> 2230; AVX2 as much. With 128 KiB 2 % more or less. */
    SG_TILE_BYTES = 65536,
    /* The same of products, which read two arrays and do little more: both stay in L1 from pass to pass, and arrive as streams that the
     * hardware prefetches. Zen 4, us, 64 KiB and 8: vjp (300, 1000) 69 and 61, (10000, 1000) 8400 and 5600. Those of 16-bit arrays go in
     * tiles as other kernels do: 68 for 76. */
    SG_PRODUCT_BYTES = 8192,
    /* A run of such rows (products.h): a page of each class, of fewer rows where that is so much in all; fewer classes than SG_RUN_N go in tiles, and so many that of each less than 512 bytes would fit. Zen 2, us: (8, 21, 160,
     * 160) 2 KiB of a class 3630, 4 KiB 3020, 8 KiB 3150; (16, 50, 64, 64) 96 KiB in all 2430, 192 2210; (16, 3, 224, 224) 2460, in tiles 1820, (64, 10, 64, 64)
     * the same. */
    SG_RUN_BYTES = 4096,
    SG_RUNS_BYTES = 196608,
    SG_RUN_N = 9,
    SG_BLOCK_BYTES = 16384, /* a block of a row: half of a small L1 */
    SG_SMALLEST_BLOCK_N = SG_BLOCK_BYTES / 8,
    /* Jacobians of at least so much go past the caches, brought to memory each time that SG_JACOBIAN_BYTES are made. Zen 4, AVX-512, us: float64 (500, 100) 3190, 1690
     * since; float32 (16, 1000) 3120 and 2350, (1000, 100) 2300 and 1950 (2400 with twice as much at a time); what fits into a
     * third-level cache of 32 MB loses: float32 (500, 100) 785 and 880. */
    SG_STREAM_JACOBIANS = 1 << 25,
    SG_JACOBIAN_BYTES = 2048,
    SG_JACOBIAN_N = 16, /* those of so few classes are made in lanes */
    /* Products of so much, and twice that is read, do too. */
    SG_STREAM_PRODUCTS = 1 << 24,
    SG_ROW_BUFFERS = 4 /* scratch across: a vector a block, then rows of sg_pitch(n) reals */
};

static inline size_t sg_blocks_bytes(ptrdiff_t n) { return ((size_t)n / SG_SMALLEST_BLOCK_N + 1) * 64; }
enum {
    SG_STATS_BYTES = 768
}; /* at least the size of the statistics of a block, see stats.h, or of its sums of products */
/* What those of the blocks of a row take. */
static inline size_t sg_team_bytes(ptrdiff_t n) {
    return ((size_t)n / SG_SMALLEST_BLOCK_N + 1) * SG_STATS_BYTES;
}
static inline ptrdiff_t sg_pitch(ptrdiff_t n) { return (n + 15) / 16 * 16; }

#endif
