/* golden_bits.c - prints a hash of the results of every kernel on fixed pseudo-random rows, one line a kernel, dtype
 * and row length; fails if the instruction sets of this machine do not agree, or the layouts. The lines are compared
 * with golden_bits.txt, so that a change of bits is always a deliberate commit: see run_golden_bits.sh. `golden_bits [N]`
 * leaves out rows of more than N classes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "every_kernel.h"
#include "half.h"

enum { ROWS = 19 };

/* How the rows are given to a kernel: all at once; transposed, the class axis strided; in parts, so that rows that take several at a time
 * are not in one tile with an infinite or a far one, which sends each row of it by itself. */
enum { WHOLE, STRIDED, IN_PARTS, WAYS };
static const char *const ways[] = {"", ", strided,", ", in parts,"};
static const ptrdiff_t parts[] = {0, 5, 6, 16, ROWS};
static const ptrdiff_t lengths[] = {1,   2,   3,   5,   10,   16,   17,   64,   65,
                                    100, 255, 256, 257, 1000, 2049, 4097, 10000};

typedef struct {
    type kind;
    size_t size; /* of an element */
    type computing; /* of weight and sample */
    const sg_half *half; /* of the instruction set in use */
    ptrdiff_t n;
    void *x, *g, *weight, *sample, *out, *hess;
    int64_t labels[ROWS];
    double loss[ROWS];
} problem;

static void put(const problem *p, void *array, ptrdiff_t i, double value) {
    put_as(p->kind, p->half, array, i, value);
}
static int is_nan(const problem *p, const void *array, size_t i) {
    float widened;
    if (p->kind == FLOAT64) return isnan(((const double *)array)[i]);
    if (p->kind == FLOAT32) return isnan(((const float *)array)[i]);
    p->half->widen((const uint16_t *)array + i, 1, &widened);
    return isnan(widened);
}
static void one_nan(const problem *p, void *array, size_t n) { /* any will do */
    for (size_t i = 0; i < n; i++)
        if (is_nan(p, array, i)) put(p, array, (ptrdiff_t)i, NAN);
}

/* Row r has scale 2^(r - 6): from nearly constant to far rows. Row 3 holds -inf, row 4 ties, row 5 one +inf. */
static void fill(problem *p) {
    for (ptrdiff_t r = 0; r < ROWS; r++) {
        for (ptrdiff_t i = 0; i < p->n; i++) {
            double v = uniform() * ldexp(1, (int)r - 6) * (r > 16 ? 64 : 1);
            if (r == 3 && i % 3 == 1) v = -INFINITY;
            if (r == 4) v = (double)(i % 4) * 0.25;
            if (r == 5 && i == p->n / 2) v = INFINITY;
            put(p, p->x, r * p->n + i, v);
            put(p, p->g, r * p->n + i, r % 2 ? uniform() : fabs(uniform()));
        }
        p->labels[r] = r % 7 == 6 ? -100 : (int64_t)(fabs(uniform()) * (double)p->n);
        put_as(p->computing, p->half, p->sample, r, fabs(uniform()));
    }
    for (ptrdiff_t i = 0; i < p->n; i++) put_as(p->computing, p->half, p->weight, i, fabs(uniform()));
}

/* Rows contiguous, or the transposed arrays, whose class axis is strided: the same rows, so the same bits. */
static sg_array array_of(const problem *p, void *data, int strided) {
    return (sg_array){data, strided ? 0 : p->n, strided ? ROWS : 1, strided ? 1 : 0, p->half};
}
static void transpose(const problem *p, const void *from, void *to, int back) {
    for (ptrdiff_t r = 0; r < ROWS; r++)
        for (ptrdiff_t i = 0; i < p->n; i++) {
            ptrdiff_t a = r * p->n + i, b = i * ROWS + r;
            memcpy((char *)to + (size_t)(back ? a : b) * p->size,
                   (const char *)from + (size_t)(back ? b : a) * p->size, p->size);
        }
}

static void run_in_parts(const problem *p, sg_kernel *kernel, const sg_call *c) {
    const size_t bytes = p->half ? sg_halves_bytes(c) : sg_scratch_bytes(c, p->size);
    void *scratch = aligned_alloc(64, (bytes + 64) / 64 * 64);
    sg_call past = *c; /* as if the result were large */
    past.stream = c->out.data != c->x.data && c->out.data != c->g.data && !c->out.half;
    c = &past;
    for (size_t k = 0; k + 1 < sizeof parts / sizeof parts[0]; k++) {
        if (p->half) sg_run_halves(kernel, c, parts[k], parts[k + 1], scratch);
        else kernel(c, parts[k], parts[k + 1], scratch);
    }
    free(scratch);
}

static uint64_t run(const problem *p, const sg_isa *isa, kernel_id which, int way) {
    const int strided = way == STRIDED;
    const size_t cells = (size_t)ROWS * (size_t)p->n;
    const bool matrix = is_jacobian(which), reduced = is_reduced(which);
    const size_t results = matrix ? cells * (size_t)p->n : reduced ? ROWS : cells;
    char *out = calloc(results, 8), *hess = calloc(cells, p->size), *x = malloc(cells * p->size);
    char *g = malloc(cells * p->size), *back = malloc(cells * p->size);
    double loss[ROWS] = {0};
    uint64_t h = 0xcbf29ce484222325ULL;
    memcpy(x, p->x, cells * p->size);
    memcpy(g, p->g, cells * p->size);
    if (takes_probabilities(which)) /* probabilities of any sum */
        for (size_t i = 0; i < cells; i++) put(p, x, (ptrdiff_t)i, ((double)(i % 97) + 0.5) / 97);
    if (strided) {
        transpose(p, x, back, 0);
        memcpy(x, back, cells * p->size);
        transpose(p, g, back, 0);
        memcpy(g, back, cells * p->size);
    }
    sg_call c = sg_call_of(strided ? 1 : ROWS, p->n, strided ? ROWS : 1);
    c.x = array_of(p, x, strided);
    c.out = array_of(p, out, strided);
    if (takes_g(which)) c.g = array_of(p, g, strided);
    if (reduced) c.out = (sg_array){out, 1, 0, 1, NULL}; /* of the computing type */
    if (matrix) {
        ptrdiff_t square = p->n * p->n;
        c.out = (sg_array){out, strided ? 0 : square, p->n, strided ? square : 0, p->half};
        c.row_work = square;
    }
    if (has_options(which)) c.hess = array_of(p, hess, strided);
    set_options(which, p->labels, p->weight, p->sample, loss, &c);
    if (way == IN_PARTS) run_in_parts(p, kernel_of(isa, p->kind, which), &c);
    else if (sg_run(kernel_of(isa, p->kind, which), &c, sizes[p->computing]) != 0) abort();
    problem of_out = *p;
    if (reduced) of_out.kind = p->computing;
    one_nan(&of_out, out, results);
    for (int r = 0; r < ROWS; r++)
        if (isnan(loss[r])) loss[r] = NAN;
    if (strided && results == cells) {
        transpose(p, out, back, 1);
        h = hash_of(h, back, cells * p->size);
    } else {
        h = hash_of(h, out, results * sizes[of_out.kind]);
    }
    if (c.hess.data) {
        one_nan(p, hess, cells);
        if (strided) {
            transpose(p, hess, back, 1);
            memcpy(hess, back, cells * p->size);
        }
        h = hash_of(h, hess, cells * p->size);
    }
    h = hash_of(h, loss, sizeof loss);
    free(out);
    free(hess);
    free(x);
    free(g);
    free(back);
    return h;
}

int main(int argc, char **argv) {
    const ptrdiff_t longest = argc > 1 ? atoi(argv[1]) : 10000;
    int failures = 0;
    sg_set_num_threads(1);
    for (type kind = 0; kind < TYPES; kind++)
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            problem p = {.kind = kind,
                         .size = sizes[kind],
                         .computing = computing(kind),
                         .half = half_of(sg_isa_list()[0], kind),
                         .n = lengths[k]};
            if (p.n > longest || (p.half && k % 3 != 2)) continue; /* 3, 16, 65, 256, 2049 */
            const size_t cells = (size_t)ROWS * (size_t)p.n;
            p.x = malloc(cells * p.size);
            p.g = malloc(cells * p.size);
            p.weight = malloc((size_t)p.n * sizes[p.computing]);
            p.sample = malloc(ROWS * sizes[p.computing]);
            state = 0x9e3779b97f4a7c15ULL + (uint64_t)k;
            fill(&p);
            for (kernel_id which = 0; which < KERNELS; which++) {
                if (is_jacobian(which) && p.n > 1000) continue;
                uint64_t first = 0;
                for (const sg_isa *const *isa = sg_isa_list(); *isa; isa++)
                    for (int way = 0; way < WAYS; way++) {
                        if (!(*isa)->supported()) continue;
                        p.half = half_of(*isa, kind);
                        uint64_t h = run(&p, *isa, which, way);
                        if (isa == sg_isa_list() && way == WHOLE) first = h;
                        if (h == first) continue;
                        failures++;
                        fprintf(stderr, "%s %s n=%td: %s%s differs\n", names[which], type_names[kind], p.n,
                                (*isa)->name, ways[way]);
                    }
                printf("%s %s %td %016llx\n", names[which], type_names[kind], p.n, (unsigned long long)first);
            }
            free(p.x);
            free(p.g);
            free(p.weight);
            free(p.sample);
        }
    return failures != 0;
}
