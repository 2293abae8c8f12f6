/* half.c - calls with float16 or bfloat16 arrays. A chunk of rows is brought to float in the scratch, where it stays in
 * the cache; the float kernel runs on it; its results are rounded back, softmax's and log_softmax's by the kernel, vector by vector. So there is no
 * kernel for 16-bit types, and no float copy of an array: softmax of (300, 1000) takes 1.4 times as long as in float (float16, AVX-512, Zen 4), 114 us
 * beside 81. Rows of more than a block the kernels bring to float themselves, block by block where they can (kernel/tile.h), softmax_vjp
 * vector by vector. */
#include "half.h"

#include "kernel/block.h"

/* How a chunk lies in the scratch: `lines` lines, `pitch` floats apart. A line is a row, or one class of all rows where
 * these are neighbours in memory and the classes are not. */
typedef struct {
    ptrdiff_t rows; /* at most */
    ptrdiff_t pitch;
    bool by_class;
    bool in_place; /* the result may take the place of x */
    bool as_given; /* the kernel takes the rows as they are */
} chunk;

enum {
    MOST_BY_CLASS = 65536, /* classes; rows of more go one by one */
    PIECE = 256 /* numbers that are gathered at a time */
};

static ptrdiff_t row_step(const sg_call *c, const sg_array *a) { return c->inner == 1 ? a->outer : a->inner; }

static ptrdiff_t at_least(ptrdiff_t a, ptrdiff_t least) { return a > least ? a : least; }

/* A chunk is of several tiles, so that the kernel looks ahead from one to the next: of two where it is read once more, for 16-bit results. Zen 4, AVX-512, float16, us, for chunks of 16 KiB (64 without results): (300, 1000) softmax 119 -> 113,
 * log_softmax 136 -> 123, logsumexp 115 -> 97; (8, 21, 160, 160) 4430 -> 4110, loss + gradient 6230 -> 5420. */
static chunk chunk_of(const sg_call *c) {
    const int tiles = c->out.data && c->out.half ? 2 : 4;
    const ptrdiff_t n = c->n, whole = tiles * SG_TILE_BYTES / (ptrdiff_t)sizeof(float) / n;
    const bool in_place = n * (ptrdiff_t)sizeof(float) <= SG_BLOCK_BYTES;
    if (row_step(c, &c->x) != 1 || c->x.axis == 1 || n > MOST_BY_CLASS || c->outer * c->inner == 1) {
        const ptrdiff_t rows = whole < 16 ? at_least(whole, 1) : whole / 16 * 16;
        return (chunk){rows, n, false, in_place, !in_place && c->row_work == 0};
    }
    /* a line of the cache holds 32 numbers */
    const ptrdiff_t rows = at_least(whole / 16 * 16, n <= 2048 ? 32 : 16);
    return (chunk){rows, rows, true, in_place, false};
}

/* The Jacobians' kernels round their results themselves: a float copy would be of C floats for each of the results. */
static bool is_copied(const sg_call *c, const sg_array *a) {
    return a->half && a->data && !(a == &c->out && c->row_work > 0);
}

/* The floats that an array needs in the scratch. */
static ptrdiff_t copy_size(const sg_call *c, const sg_array *a, chunk k) {
    if (!is_copied(c, a) || (a == &c->out && k.in_place && is_copied(c, &c->x))) return 0;
    return (k.by_class ? c->n : k.rows) * k.pitch;
}
static ptrdiff_t copies_size(const sg_call *c, chunk k) {
    return copy_size(c, &c->x, k) + copy_size(c, &c->g, k) + copy_size(c, &c->out, k) +
           copy_size(c, &c->hess, k);
}

static sg_array as_it_stands(const sg_call *c, const sg_array *a, chunk k, ptrdiff_t o, ptrdiff_t i) {
    const ptrdiff_t size = a->half ? (ptrdiff_t)sizeof(uint16_t) : (ptrdiff_t)sizeof(float);
    char *start = (char *)a->data + (o * a->outer + i * a->inner) * size;
    const ptrdiff_t step = row_step(c, a);
    return k.by_class ? (sg_array){start, 0, a->axis, step, a->half}
                      : (sg_array){start, step, a->axis, 0, a->half};
}
/* `a` from row (o, i) on as the float kernel sees it: as it stands, or its copy, `at` floats from `copies`. */
static sg_array seen(const sg_call *c, const sg_array *a, chunk k, ptrdiff_t o, ptrdiff_t i, float *copies,
                     ptrdiff_t at) {
    if (!a->data) return *a;
    if (is_copied(c, a)) {
        void *p = copies ? (void *)(copies + at) : a->data;
        return k.by_class ? (sg_array){p, 0, k.pitch, 1, NULL} : (sg_array){p, k.pitch, 1, 0, NULL};
    }
    return as_it_stands(c, a, k, o, i);
}

/* The rows [row, row + rows), in one (n, inner) matrix of `c`, as a call of the float kernel; without `copies` its shape. */
static sg_call seen_call(const sg_call *c, chunk k, ptrdiff_t row, ptrdiff_t rows, float *copies) {
    const ptrdiff_t o = row / c->inner, i = row % c->inner;
    sg_call s = *c;
    s.stream = false; /* what is written may be a copy */
    s.outer = k.by_class ? 1 : rows;
    s.inner = k.by_class ? rows : 1;
    s.x = seen(c, &c->x, k, o, i, copies, 0);
    ptrdiff_t at = copy_size(c, &c->x, k);
    s.g = seen(c, &c->g, k, o, i, copies, at);
    at += copy_size(c, &c->g, k);
    s.hess = seen(c, &c->hess, k, o, i, copies, at);
    at += copy_size(c, &c->hess, k);
    s.out = seen(c, &c->out, k, o, i, copies, copy_size(c, &c->out, k) > 0 ? at : 0);
    if (c->labels) s.labels = c->labels + row;
    if (c->sample_weight) s.sample_weight = (const float *)c->sample_weight + row;
    if (c->loss) s.loss = c->loss + row;
    return s;
}

size_t sg_halves_bytes(const sg_call *c) {
    const chunk k = chunk_of(c);
    if (k.as_given) return sg_scratch_bytes(c, sizeof(float));
    const sg_call s = seen_call(c, k, 0, k.rows, NULL);
    const size_t copies = (size_t)copies_size(c, k) * sizeof(float);
    return (copies + 63) / 64 * 64 + sg_scratch_bytes(&s, sizeof(float));
}

void sg_widen(const sg_half *half, const uint16_t *from, ptrdiff_t step, ptrdiff_t n, float *to) {
    if (step == 1) {
        half->widen(from, n, to);
        return;
    }
    for (ptrdiff_t done = 0; done < n; done += PIECE) {
        uint16_t piece[PIECE];
        const ptrdiff_t m = n - done < PIECE ? n - done : PIECE;
        for (ptrdiff_t j = 0; j < m; j++) piece[j] = from[(done + j) * step];
        half->widen(piece, m, to + done);
    }
}
void sg_narrow(const sg_half *half, const float *from, ptrdiff_t n, uint16_t *to, ptrdiff_t step) {
    if (step == 1) {
        half->narrow(from, n, to);
        return;
    }
    for (ptrdiff_t done = 0; done < n; done += PIECE) {
        uint16_t piece[PIECE];
        const ptrdiff_t m = n - done < PIECE ? n - done : PIECE;
        half->narrow(from + done, m, piece);
        for (ptrdiff_t j = 0; j < m; j++) to[(done + j) * step] = piece[j];
    }
}

/* `lines` runs of `length` numbers: from `a`, where they are `line` apart and have the step `step`, to floats, or back. */
static void copy_lines(const sg_half *half, bool back, uint16_t *a, ptrdiff_t line, ptrdiff_t step,
                       ptrdiff_t lines, ptrdiff_t length, float *copy, ptrdiff_t pitch) {
    if (step == 1 && line == length && pitch == length) length *= lines, lines = 1;
    for (ptrdiff_t l = 0; l < lines; l++) {
        if (back) sg_narrow(half, copy + l * pitch, length, a + l * line, step);
        else sg_widen(half, a + l * line, step, length, copy + l * pitch);
    }
}

static void copy_rows(const sg_call *c, const sg_array *a, bool back, chunk k, ptrdiff_t row, ptrdiff_t rows,
                      const sg_array *to) {
    if (!is_copied(c, a)) return;
    uint16_t *p = (uint16_t *)a->data + row / c->inner * a->outer + row % c->inner * a->inner;
    const ptrdiff_t step = row_step(c, a);
    if (k.by_class) copy_lines(a->half, back, p, a->axis, step, c->n, rows, to->data, k.pitch);
    else copy_lines(a->half, back, p, step, a->axis, rows, c->n, to->data, k.pitch);
}

/* Whether the kernel reads and writes 16-bit numbers itself. */
static bool takes_halves(sg_kernel *kernel, const sg_call *c) {
    return c->n > SG_LANES_N && sg_has_rows_of_halves(c) && kernel == c->x.half->f32->softmax_vjp;
}
/* Whether it writes them: rows that go across. */
static bool gives_halves(sg_kernel *kernel, const sg_call *c, chunk k) {
    const sg_kernels *f32 = c->x.half ? c->x.half->f32 : NULL;
    return f32 && (kernel == f32->softmax || kernel == f32->log_softmax) && c->n > SG_LANES_N &&
           c->out.half && c->out.axis == 1 && c->temperature == 1 && !k.by_class;
}

void sg_run_halves(sg_kernel *kernel, const sg_call *c, ptrdiff_t begin, ptrdiff_t end, char *scratch) {
    const chunk k = chunk_of(c);
    if (k.as_given || takes_halves(kernel, c)) {
        kernel(c, begin, end, scratch);
        return;
    }
    const bool given = gives_halves(kernel, c, k);
    float *copies = (float *)(void *)scratch;
    char *rest = scratch + ((size_t)copies_size(c, k) * sizeof(float) + 63) / 64 * 64;
    for (ptrdiff_t row = begin, rows; row < end; row += rows) {
        const ptrdiff_t left = end - row, matrix = c->inner == 1 ? left : c->inner - row % c->inner;
        rows = matrix < left ? matrix : left;
        if (rows > k.rows) rows = k.rows;
        sg_call s = seen_call(c, k, row, rows, copies);
        if (given) s.out = as_it_stands(c, &c->out, k, row / c->inner, row % c->inner);
        copy_rows(c, &c->x, false, k, row, rows, &s.x);
        copy_rows(c, &c->g, false, k, row, rows, &s.g);
        kernel(&s, 0, rows, rest);
        if (!given) copy_rows(c, &c->out, true, k, row, rows, &s.out);
        copy_rows(c, &c->hess, true, k, row, rows, &s.hess);
    }
}
