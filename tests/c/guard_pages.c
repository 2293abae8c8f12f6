/* guard_pages.c - every kernel on arrays that begin, or end, at a page that may not be touched, scratch and small arrays
 * too: `guard_pages [STEP]` takes every STEP-th number of classes from 1 to 300, and one more than each dtype's block, in
 * every layout. A stray access is a SIGSEGV, which is reported. What lies between the entries of a result stays as it was; all layouts and instruction
 * sets give the same bits. No classes at all: Python does not get as far as here, see tests/test_properties.py. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "every_kernel.h"
#include "half.h"

enum { FEW_N = 300, MOST_N = 4097, MOST_ROWS = 35, WIDEST_JACOBIAN = 40, CANARY = 0xa5 };

/* What is being run, for the report. */
static struct {
    const char *isa, *kernel, *type, *side;
    ptrdiff_t n, outer, inner;
    int x_layout, out_layout;
} now;

static void report(int signal) {
    (void)signal;
    fprintf(
        stderr,
        "guard_pages: access outside an array: %s %s %s n=%td outer=%td inner=%td, %s, layouts %d and %d\n",
        now.kernel, now.type, now.isa, now.n, now.outer, now.inner, now.side, now.x_layout, now.out_layout);
    _exit(1);
}

/* ---- Memory between two guard pages ------------------------------------------------------------ */

enum { X, G, OUT, HESS, WEIGHT, SAMPLE, LABELS, LOSS, SCRATCH, ARENAS };
enum { ARENA_BYTES = 1 << 23 };
static char *arenas[ARENAS];

static void open_arenas(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int a = 0; a < ARENAS; a++) {
        char *p = mmap(NULL, ARENA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + page, ARENA_BYTES, PROT_READ | PROT_WRITE) != 0) exit(2);
        arenas[a] = p + page;
    }
}
static void *place(int arena, size_t bytes, bool at_end) {
    if (bytes > ARENA_BYTES) exit(2);
    return arenas[arena] + (at_end ? ARENA_BYTES - bytes : 0);
}

/* An array in its arena: entries of `run` contiguous elements at (outer, n, inner). */
typedef struct {
    sg_array array;
    ptrdiff_t outer, n, inner;
    size_t size, entry; /* bytes of an element, of an entry */
    char *first;
    size_t bytes;
} placed;

static placed put_down(int arena, bool at_end, sg_array strides, ptrdiff_t outer, ptrdiff_t n,
                       ptrdiff_t inner, ptrdiff_t run, size_t size) {
    const ptrdiff_t step[3] = {strides.outer, strides.axis, strides.inner}, count[3] = {outer, n, inner};
    ptrdiff_t low = 0, high = run;
    for (int d = 0; d < 3; d++) *(step[d] < 0 ? &low : &high) += (count[d] - 1) * step[d];
    placed p = {strides, outer, n, inner, size, (size_t)run * size, NULL, (size_t)(high - low) * size};
    p.first = place(arena, p.bytes, at_end);
    p.array.data = p.first - low * (ptrdiff_t)size;
    memset(p.first, CANARY, p.bytes);
    return p;
}

/* Each entry in the order of (outer, inner, n), so that layouts can be compared. */
#define EACH_ENTRY(p, e, ...)                                                                      \
    for (ptrdiff_t o_ = 0; o_ < (p)->outer; o_++)                                                  \
        for (ptrdiff_t i_ = 0; i_ < (p)->inner; i_++)                                              \
            for (ptrdiff_t k_ = 0; k_ < (p)->n; k_++) {                                            \
                char *e = (char *)(p)->array.data +                                                \
                          (o_ * (p)->array.outer + k_ * (p)->array.axis + i_ * (p)->array.inner) * \
                              (ptrdiff_t)(p)->size;                                                \
                __VA_ARGS__                                                                        \
            }

/* One element, of 2, 4 or 8 bytes: by a size that the compiler knows, or this would take most of the time. */
static inline uint64_t load(const char *e, size_t size) {
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    if (size == 2) return memcpy(&two, e, 2), two;
    if (size == 4) return memcpy(&four, e, 4), four;
    return memcpy(&eight, e, 8), eight;
}
static inline void store(char *e, size_t size, uint64_t bits) {
    const uint16_t two = (uint16_t)bits;
    const uint32_t four = (uint32_t)bits;
    if (size == 2) memcpy(e, &two, 2);
    else if (size == 4) memcpy(e, &four, 4);
    else memcpy(e, &bits, 8);
}

static void copy_in(const placed *p, const char *from) {
    EACH_ENTRY(p, e, {
        store(e, p->size, load(from, p->size));
        from += p->size;
    })
}
/* The hash of the entries; false in `clean` if anything between them was written. */
static uint64_t take_out(const placed *p, uint64_t h, bool *clean) {
    EACH_ENTRY(p, e, {
        for (size_t at = 0; at < p->entry; at += p->size) {
            h = (h ^ load(e + at, p->size)) * 0x100000001b3ULL; /* as FNV-1a, by elements */
            h ^= h >> 32;
            store(e + at, p->size, CANARY * 0x0101010101010101ULL);
        }
    })
    if ((unsigned char)p->first[0] != CANARY || memcmp(p->first, p->first + 1, p->bytes - 1) != 0)
        *clean = false;
    return h;
}

/* ---- Layouts: strides of (outer, n, inner) ----------------------------------------------------- */

enum { LAYOUTS = 7 };
static sg_array layout(int which, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, const sg_half *half) {
    const ptrdiff_t rows = outer * inner;
    switch (which) {
        case 0: return (sg_array){NULL, inner * n, 1, n, half}; /* rows */
        case 1: return (sg_array){NULL, n * inner, inner, 1, half}; /* as the shape says */
        case 2: return (sg_array){NULL, inner * (n + 3), 1, n + 3, half}; /* rows apart */
        case 3: return (sg_array){NULL, inner * 2 * n, 2, 2 * n, half}; /* every other element */
        case 4: return (sg_array){NULL, inner, rows, 1, half}; /* classes first */
        case 5: return (sg_array){NULL, 2 * inner, 2 * rows + 1, 2, half}; /* and apart */
        default: return (sg_array){NULL, -inner * n, -1, -n, half}; /* backwards */
    }
}
static sg_array reduced_layout(int which, ptrdiff_t outer, ptrdiff_t inner) {
    switch (which % 3) {
        case 0: return (sg_array){NULL, inner, 0, 1, NULL};
        case 1: return (sg_array){NULL, 1, 0, outer, NULL};
        default: return (sg_array){NULL, -3 * inner, 0, -3, NULL};
    }
}
static sg_array jacobian_layout(int which, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
                                const sg_half *half) {
    switch (which % 3) {
        case 0: return (sg_array){NULL, inner * n * n, n, n * n, half};
        case 1: return (sg_array){NULL, inner * n * (n + 2), n + 2, n * (n + 2), half};
        default: return (sg_array){NULL, inner * n, outer * inner * n, n, half};
    }
}

/* ---- One call ---------------------------------------------------------------------------------- */

/* The values of every array, one behind the other: of x, of g, and of the small ones. */
static struct {
    char x[MOST_ROWS * MOST_N * 8], g[MOST_ROWS * MOST_N * 8], weight[MOST_N * 8], sample[MOST_ROWS * 8];
    int64_t labels[MOST_ROWS];
} values;

static void fill(type kind, kernel_id which, ptrdiff_t n, const sg_half *half) {
    state = 0x9e3779b97f4a7c15ULL + (uint64_t)n;
    const bool positive = takes_probabilities(which) || which == VJP,
               negative = which == LOG_VJP || which == LOG_JVP;
    for (ptrdiff_t i = 0; i < MOST_ROWS * n; i++) {
        const double v = 4 * uniform(), size = fabs(v) / 4 + 0x1p-10;
        put_as(kind, half, values.x, i, positive ? size : negative ? -fabs(v) : v);
        put_as(kind, half, values.g, i, uniform());
    }
    for (ptrdiff_t i = 0; i < n; i++) put_as(computing(kind), half, values.weight, i, fabs(uniform()));
    for (ptrdiff_t r = 0; r < MOST_ROWS; r++) {
        put_as(computing(kind), half, values.sample, r, fabs(uniform()));
        values.labels[r] = r % 7 == 6 ? -100 : (int64_t)(fabs(uniform()) * (double)n);
    }
}

static const void *small(int arena, bool at_end, const void *from, size_t bytes) {
    return memcpy(place(arena, bytes, at_end), from, bytes);
}

static uint64_t run(const sg_isa *isa, type kind, kernel_id which, const sg_call *shape, bool with_out,
                    int x_layout, int out_layout, bool at_end, bool *clean) {
    const ptrdiff_t outer = shape->outer, n = shape->n, inner = shape->inner, rows = outer * inner;
    const sg_half *half = half_of(isa, kind);
    const size_t size = sizes[kind], wide = sizes[computing(kind)];
    const bool in_place = x_layout == out_layout && with_out && !is_jacobian(which) && !is_reduced(which);
    sg_call c = *shape;
    placed hess = {0};
    placed x = put_down(X, at_end, layout(x_layout, outer, n, inner, half), outer, n, inner, 1, size),
           out = x;
    copy_in(&x, values.x);
    if (is_jacobian(which)) {
        out = put_down(OUT, at_end, jacobian_layout(out_layout, outer, n, inner, half), outer, n, inner, n,
                       size);
        c.row_work = n * n;
    } else if (is_reduced(which)) {
        out = put_down(OUT, at_end, reduced_layout(out_layout, outer, inner), outer, 1, inner, 1, wide);
    } else if (!in_place) {
        out = put_down(OUT, at_end, layout(out_layout, outer, n, inner, half), outer, n, inner, 1, size);
    }
    c.x = x.array;
    if (with_out) c.out = out.array;
    if (takes_g(which)) {
        placed g = put_down(G, at_end, layout(x_layout, outer, n, inner, half), outer, n, inner, 1, size);
        copy_in(&g, values.g);
        c.g = g.array;
    }
    if (has_options(which) && with_out) {
        hess = put_down(HESS, at_end, layout(out_layout, outer, n, inner, half), outer, n, inner, 1, size);
        c.hess = hess.array;
    }
    double *loss = place(LOSS, (size_t)rows * sizeof *loss, at_end);
    set_options(which, small(LABELS, at_end, values.labels, (size_t)rows * sizeof(int64_t)),
                small(WEIGHT, at_end, values.weight, (size_t)n * wide),
                small(SAMPLE, at_end, values.sample, (size_t)rows * wide), loss, &c);

    const size_t bytes = half ? sg_halves_bytes(&c) : sg_scratch_bytes(&c, wide);
    void *scratch = bytes > 0 ? place(SCRATCH, (bytes + 63) / 64 * 64, true) : NULL;
    if (half) sg_run_halves(kernel_of(isa, kind, which), &c, 0, rows, scratch);
    else kernel_of(isa, kind, which)(&c, 0, rows, scratch);

    uint64_t h = 0xcbf29ce484222325ULL;
    if (with_out) h = take_out(&out, h, clean);
    if (c.hess.data) h = take_out(&hess, h, clean);
    if (has_options(which)) {
        double total[2];
        (kind == FLOAT64 ? isa->f64 : isa->f32)->total_weight(&c, total);
        h = hash_of(h, total, sizeof total);
    }
    return is_loss(which) ? hash_of(h, loss, (size_t)rows * sizeof *loss) : h;
}

/* ---- All of them ------------------------------------------------------------------------------- */

static long calls, failures;

/* Every instruction set, side and layout of a shape: the same bits. */
static void run_shape(type kind, kernel_id which, const sg_call *shape, bool with_out) {
    uint64_t first = 0;
    bool any = false;
    for (const sg_isa *const *isa = sg_isa_list(); *isa; isa++) {
        if (!(*isa)->supported()) continue;
        for (int l = 0; l < 2 * LAYOUTS; l++) {
            const int x_layout = l / 2, out_layout = (int)(((ptrdiff_t)x_layout + shape->n) % LAYOUTS);
            bool clean = true;
            now.isa = (*isa)->name, now.kernel = names[which], now.type = type_names[kind];
            now.side = l % 2 ? "at the end" : "at the start";
            now.n = shape->n, now.outer = shape->outer, now.inner = shape->inner;
            now.x_layout = x_layout, now.out_layout = out_layout;
            const uint64_t h = run(*isa, kind, which, shape, with_out, x_layout, out_layout, l % 2, &clean);
            if (!any) first = h;
            any = true;
            calls++;
            if (h == first && clean) continue;
            failures++;
            fprintf(stderr, "guard_pages: %s: %s %s %s n=%td outer=%td inner=%td, %s, layouts %d and %d\n",
                    clean ? "other bits" : "written between the entries", now.kernel, now.type, now.isa,
                    now.n, now.outer, now.inner, now.side, x_layout, out_layout);
        }
    }
}

static void run_classes(ptrdiff_t n) {
    /* one row, and the edges of a tile of 8 or 16 rows, one behind the other and as neighbours */
    static const ptrdiff_t shapes[][2] = {{1, 1}, {3, 1},  {8, 1},  {17, 1}, {33, 1},
                                          {1, 2}, {1, 16}, {1, 35}, {2, 17}, {5, 3}};
    for (type kind = 0; kind < TYPES; kind++)
        for (kernel_id which = 0; which < KERNELS; which++) {
            fill(kind, which, n, half_of(sg_isa_list()[0], kind));
            for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
                const sg_call shape = sg_call_of(shapes[s][0], n, shapes[s][1]);
                const bool few_rows = shape.outer * shape.inner <= 3;
                if (is_jacobian(which) ? n > FEW_N || (n > WIDEST_JACOBIAN && !few_rows)
                                       : n > FEW_N && !few_rows)
                    continue;
                for (int with_out = !is_loss(which); with_out < 2; with_out++)
                    run_shape(kind, which, &shape, with_out);
            }
        }
}

int main(int argc, char **argv) {
    const int step = argc > 1 ? atoi(argv[1]) : 1;
    if (step < 1) return 2;
    open_arenas();
    signal(SIGSEGV, report);
    signal(SIGBUS, report);
    for (ptrdiff_t n = 1; n <= FEW_N; n += step) run_classes(n);
    run_classes(2049);
    run_classes(MOST_N);
    printf("guard_pages: %ld calls, %ld failures\n", calls, failures);
    return failures != 0;
}
