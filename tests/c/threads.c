/* threads.c - what threads share, for ThreadSanitizer: several threads run a kernel at once on the same inputs, each
 * call on threads of its own, while another one changes their number; the bits are those of one thread. `threads [STEP]`
 * takes every STEP-th of the kernels, types and shapes. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "every_kernel.h"

enum { CALLERS = 3, LONGEST = 70000, CELLS = 140000 };

/* Enough elements for two threads and more; rows behind one another, as neighbours, and a single one. */
static const ptrdiff_t shapes[][3] = {{200, 700, 1}, {20000, 7, 1}, {1, 70, 2000},
                                      {3, 20, 2000}, {5, 600, 41},  {1, LONGEST, 1}};
static const ptrdiff_t matrices[][3] = {{14, 100, 1}, {1, 7, 2000}};

static double x[CELLS], g[CELLS], weight[LONGEST], sample[CELLS];
static int64_t labels[CELLS];
static const sg_isa *isa;

/* The results of a call, as a hash. */
static uint64_t run(type kind, kernel_id which, const ptrdiff_t shape[3]) {
    sg_call c = sg_call_of(shape[0], shape[1], shape[2]);
    const ptrdiff_t rows = c.outer * c.inner, n = c.n;
    const sg_half *half = half_of(isa, kind);
    const size_t results = (size_t)(rows * n * (is_jacobian(which) ? n : 1));
    void *out = calloc(results, 8), *hess = calloc(results, 8);
    double *loss = calloc((size_t)rows, sizeof *loss);
    if (!out || !hess || !loss) exit(2);
    c.x = (sg_array){x, n * c.inner, c.inner, 1, half};
    c.out = (sg_array){out, n * c.inner, c.inner, 1, half};
    if (takes_g(which)) c.g = (sg_array){g, n * c.inner, c.inner, 1, half};
    if (has_options(which)) c.hess = (sg_array){hess, n * c.inner, c.inner, 1, half};
    if (is_reduced(which)) c.out = (sg_array){out, c.inner, 0, 1, NULL};
    if (is_jacobian(which)) {
        c.out = (sg_array){out, c.inner * n * n, n, n * n, half};
        c.row_work = n * n;
    }
    set_options(which, labels, weight, sample, loss, &c);
    if (sg_run(kernel_of(isa, kind, which), &c, sizes[computing(kind)]) != 0) exit(2);
    uint64_t h = hash_of(0xcbf29ce484222325ULL, out, results * 8);
    h = hash_of(h, hess, results * 8);
    h = hash_of(h, loss, (size_t)rows * sizeof *loss);
    free(out);
    free(hess);
    free(loss);
    return h;
}

typedef struct {
    type kind;
    kernel_id which;
    const ptrdiff_t *shape;
    uint64_t alone;
} work;

static void *call(void *context) {
    const work *w = context;
    return run(w->kind, w->which, w->shape) == w->alone ? NULL : context;
}

static atomic_bool done;
static void *flicker(void *context) {
    for (int n = 0; !done; n++) sg_set_num_threads(2 + n % 2 + sg_get_num_threads() % 2);
    return context;
}

/* Numbers in [0, 1) of every type: as logits, probabilities and weights. */
static void fill(type kind) {
    const sg_half *half = half_of(isa, kind);
    for (ptrdiff_t i = 0; i < CELLS; i++) {
        put_as(kind, half, x, i, uniform() / 2 + 0.5);
        put_as(kind, half, g, i, uniform() / 2 + 0.5);
        put_as(computing(kind), half, sample, i, uniform() / 2 + 0.5);
        labels[i] = i % 7;
    }
    for (ptrdiff_t i = 0; i < LONGEST; i++) put_as(computing(kind), half, weight, i, uniform() / 2 + 0.5);
}

static int failures, count;

static void check(type kind, kernel_id which, const ptrdiff_t *shape) {
    sg_set_num_threads(1);
    work w = {kind, which, shape, run(kind, which, shape)};
    pthread_t callers[CALLERS], other;
    done = false;
    if (pthread_create(&other, NULL, flicker, NULL) != 0) exit(2);
    for (int t = 0; t < CALLERS; t++)
        if (pthread_create(&callers[t], NULL, call, &w) != 0) exit(2);
    for (int t = 0; t < CALLERS; t++) {
        void *bad = NULL;
        pthread_join(callers[t], &bad);
        count++;
        if (!bad) continue;
        failures++;
        fprintf(stderr, "threads: other bits: %s %s of shape %td, %td, %td\n", names[which], type_names[kind],
                shape[0], shape[1], shape[2]);
    }
    done = true;
    pthread_join(other, NULL);
}

static void *first_use(void *context) {
    *(int *)context = sg_get_num_threads();
    return NULL;
}

int main(int argc, char **argv) {
    const int step = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t callers[CALLERS];
    int found[CALLERS], turn = 0;
    if (step < 1) return 2;
    for (int t = 0; t < CALLERS; t++) /* the default is read by several threads at once */
        if (pthread_create(&callers[t], NULL, first_use, &found[t]) != 0) return 2;
    for (int t = 0; t < CALLERS; t++) pthread_join(callers[t], NULL);
    if (strcmp(sg_threading_layer(), "openmp") != 0 || found[0] < 1) {
        fprintf(stderr, "threads: built without OpenMP\n");
        return 1;
    }
    isa = sg_isa_best();
    for (type kind = 0; kind < TYPES; kind++) {
        fill(kind);
        for (kernel_id which = 0; which < KERNELS; which++) {
            const size_t all = sizeof shapes / sizeof shapes[0],
                         square = sizeof matrices / sizeof matrices[0];
            for (size_t s = 0; s < (is_jacobian(which) ? square : all); s++)
                if (turn++ % step == 0) check(kind, which, is_jacobian(which) ? matrices[s] : shapes[s]);
        }
    }
    printf("threads: %d calls, %d failures\n", count, failures);
    return failures != 0;
}
