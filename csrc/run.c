/* run.c - running a kernel over the rows of a call, shared out among threads; the number of threads. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "softgrad.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "fpmode.h"
#include "half.h"
#include "kernel/layout.h"
#include "memory.h"
#include "parallel.h"

/* A further thread pays from about this many elements on (measured: 16 to 32 thousand). */
enum { ELEMENTS_PER_THREAD = 32768 };

/* Scratch never takes more than this for a class of a long row, team included. Sizes of rows of stride 0, which no memory
 * bounds, would wrap around otherwise. */
enum { MOST_BYTES_A_CLASS = 64 };

/* Two of them, so that whoever finds out the default does not undo what another thread sets meanwhile. 0: not yet. */
static _Atomic int threads_set, threads_by_default;

const char *sg_threading_layer(void) { return SG_THREADING_LAYER; }

void sg_set_num_threads(int n) { threads_set = n; }

static int default_threads(void) {
    const char *env = getenv("SOFTGRAD_NUM_THREADS");
    long n = env ? strtol(env, NULL, 10) : 0;
    if (n < 1) n = sg_cpu_count();
    return n < 1 ? 1 : n > INT_MAX ? INT_MAX : (int)n;
}

int sg_get_num_threads(void) {
    const int n = threads_set;
    if (n > 0) return n;
    if (threads_by_default == 0) threads_by_default = default_threads();
    return threads_by_default;
}

/* Threads for so many elements in so many pieces. */
static int threads_for(const sg_call *c, ptrdiff_t rows, ptrdiff_t row_work, ptrdiff_t pieces) {
    if (c->alone) return 1;
    ptrdiff_t work = rows > PTRDIFF_MAX / row_work ? PTRDIFF_MAX : rows * row_work;
    ptrdiff_t useful = work / ELEMENTS_PER_THREAD;
    if (useful > pieces) useful = pieces;
    if (useful < 2) return 1;
    int n = sg_get_num_threads();
    if (n > useful) n = (int)useful;
    if (n < 2 || sg_is_forked_child()) return 1;
    return n < sg_max_threads() ? n : sg_max_threads();
}

typedef struct {
    sg_kernel *kernel;
    const sg_call *call;
    char *scratch;
    size_t scratch_bytes;
    ptrdiff_t rows, share; /* rows a task */
    bool halves;
} shared_run;

static void run_share(void *context, int i) {
    const shared_run *s = context;
    ptrdiff_t begin = i * s->share;
    ptrdiff_t end = begin + s->share < s->rows ? begin + s->share : s->rows;
    sg_fpmode mode = sg_fpmode_enter();
    char *scratch = s->scratch ? s->scratch + (size_t)i * s->scratch_bytes : NULL;
    if (begin < end) {
        if (s->halves) sg_run_halves(s->kernel, s->call, begin, end, scratch);
        else s->kernel(s->call, begin, end, scratch);
    }
    sg_fpmode_leave(mode);
}

/* Whole rows are needed where an array is not contiguous along the classes, and for what looks at the logits twice
 * without a result of their size to keep them in; one block where nothing is kept of a row. */
static bool needs_rows(const sg_call *c) {
    const bool keeps = c->hess.data || (c->out.data && c->out.axis != 0);
    if (c->g.data && (c->g.axis != 1 || !keeps)) return true;
    if (!keeps) return c->label_smoothing != 0;
    if (sg_has_halves(c)) return true;
    return c->x.axis != 1 || c->out.axis != 1 || (c->hess.data && c->hess.axis != 1);
}

size_t sg_scratch_bytes(const sg_call *call, size_t itemsize) {
    if (call->n <= SG_SHORT_N) return 0;
    /* any kernel may put rows in lanes, 64 bytes a class, with a second result */
    const size_t lanes = sg_is_staged(call) ? 2 * 64 * (size_t)call->n : 0;
    const size_t rows = SG_ROW_BUFFERS * (size_t)sg_pitch(call->n) * itemsize;
    const size_t across = needs_rows(call) && rows > SG_BLOCK_BYTES ? rows : SG_BLOCK_BYTES;
    return sg_blocks_bytes(call->n) + (lanes > across ? lanes : across);
}

/* Large Jacobians and products are not read before they are written if they go past the caches; but not into memory that nobody has
 * used: the system brings that into them. Zen 4, AVX-512, into new memory, us: Jacobian of float64 (500, 100) 6100, 5000 since. Nor onto what was read. */
static bool is_streamed(const sg_call *c, size_t itemsize) {
    const ptrdiff_t rows = c->outer * c->inner;
    const char *out = c->out.data;
    if (!out || rows == 0 || c->out.half || out == c->x.data || out == c->g.data) return false;
    const bool jacobian = c->row_work > 0;
    const ptrdiff_t size = (jacobian ? SG_STREAM_JACOBIANS : SG_STREAM_PRODUCTS) / (ptrdiff_t)itemsize;
    if ((jacobian ? c->row_work : c->n) < size / rows) return false;
    return !sg_is_new(out + (c->outer / 2 * c->out.outer + c->n / 2 * c->out.axis) * (ptrdiff_t)itemsize);
}

/* One task of a team: in the floating-point mode of the kernels, as the rest of the kernel. */
typedef struct {
    sg_task *task;
    void *context;
} team_task;

static void run_team_task(void *context, int i) {
    const team_task *t = context;
    sg_fpmode mode = sg_fpmode_enter();
    t->task(t->context, i);
    sg_fpmode_leave(mode);
}
static void run_team(int tasks, sg_task *task, void *context) {
    team_task t = {task, context};
    sg_parallel(tasks, run_team_task, &t);
}

/* Threads for the blocks of a single row, if these lie in memory as the kernels read them. */
static int team_for(const sg_call *c, size_t itemsize) {
    const ptrdiff_t blocks = c->n / (SG_BLOCK_BYTES / (ptrdiff_t)itemsize);
    const bool as_they_stand = (c->x.half || c->x.axis == 1) && c->temperature == 1 &&
                               (!c->out.data || c->out.half || c->out.axis <= 1);
    if (c->outer * c->inner != 1 || blocks < 2 || !as_they_stand || c->row_work > 0) return 1;
    const int n = threads_for(c, 1, c->n, blocks);
    return n < SG_MOST_TASKS ? n : SG_MOST_TASKS;
}

int sg_run(sg_kernel *kernel, const sg_call *given, size_t itemsize) {
    sg_call own = *given;
    own.team = NULL;
    own.stream = is_streamed(given, itemsize);
    const sg_call *call = &own;
    const ptrdiff_t rows = call->outer * call->inner,
                    row_work = call->row_work > 0 ? call->row_work : call->n;
    const int tasks = threads_for(call, rows, row_work, rows);
    sg_team team = {team_for(call, itemsize), run_team, NULL};
    const size_t team_bytes = team.tasks > 1 ? sg_team_bytes(call->n) : 0;
    const bool halves = sg_has_halves(call);
    if ((size_t)call->n > SIZE_MAX / MOST_BYTES_A_CLASS) return -1;
    const size_t bytes = halves ? sg_halves_bytes(call) : sg_scratch_bytes(call, itemsize);
    shared_run s = {kernel, call, NULL, bytes, rows, (rows + tasks - 1) / tasks, halves};
    /* whole tiles where rows stand in lanes; the last task may get less */
    if (tasks > 1 && (call->n <= SG_SHORT_N || call->x.axis != 1)) s.share = (s.share + 15) / 16 * 16;
    void *memory = NULL;
    if (s.scratch_bytes + team_bytes > 0) {
        if (s.scratch_bytes > (SIZE_MAX - team_bytes - 64) / (size_t)tasks) return -1;
        memory = malloc((size_t)tasks * s.scratch_bytes + team_bytes + 64);
        if (!memory) return -1;
        s.scratch = (char *)(((uintptr_t)memory + 63) / 64 * 64);
    }
    if (team_bytes > 0) {
        team.memory = s.scratch + s.scratch_bytes;
        own.team = &team;
    }
    if (tasks > 1) sg_parallel(tasks, run_share, &s);
    else run_share(&s, 0);
    free(memory);
    return 0;
}
