/* parallel.h - the only file that knows threads: OpenMP, Grand Central Dispatch on macOS, or none.
 * Included by run.c alone. */
#ifndef SG_PARALLEL_H
#define SG_PARALLEL_H

/* Task `i` of `tasks`, each run once, on some thread. */
typedef void sg_task(void *context, int i);

#if defined(_OPENMP)
#include <omp.h>
#define SG_THREADING_LAYER "openmp"
static int sg_max_threads(void) { return omp_get_max_threads(); }
static void sg_parallel(int tasks, sg_task *task, void *context) {
#pragma omp parallel for schedule(static, 1) num_threads(tasks)
    for (int i = 0; i < tasks; i++) task(context, i);
}
#elif defined(__APPLE__)
#include <dispatch/dispatch.h>
#define SG_THREADING_LAYER "gcd"
typedef struct {
    sg_task *task;
    void *context;
} sg_apply_context;
static int sg_max_threads(void) { return INT_MAX; }
static void sg_apply(void *p, size_t i) {
    const sg_apply_context *a = p;
    a->task(a->context, (int)i);
}
static void sg_parallel(int tasks, sg_task *task, void *context) {
    sg_apply_context a = {task, context};
    dispatch_apply_f((size_t)tasks, DISPATCH_APPLY_AUTO, &a, sg_apply);
}
#else
#define SG_THREADING_LAYER "serial"
static int sg_max_threads(void) { return 1; }
static void sg_parallel(int tasks, sg_task *task, void *context) {
    for (int i = 0; i < tasks; i++) task(context, i);
}
#endif

/* GNU OpenMP hangs in a child that was forked after its threads had started, by whatever library (GCC bug 58378), Grand
 * Central Dispatch refuses to run there: a process that is not the one that loaded this library is serial. */
#if defined(_WIN32)
static int sg_is_forked_child(void) { return 0; }
#else
static pid_t sg_home;
__attribute__((constructor)) static void sg_remember_process(void) { sg_home = getpid(); }
static int sg_is_forked_child(void) { return getpid() != sg_home; }
#endif

/* CPUs that this process may use: the affinity mask, and the quota of its control group. */
#if defined(__linux__)
#include <sched.h>
static long sg_cgroup_quota(void) { /* in CPUs, rounded up; 0: none */
    double quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f) {
        if (fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0; /* "max 100000" */
        fclose(f);
    } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) != NULL) {
        if (fscanf(f, "%lf", &quota) != 1) quota = 0;
        fclose(f);
        if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) != NULL) {
            if (fscanf(f, "%lf", &period) != 1) period = 0;
            fclose(f);
        }
    }
    return quota > 0 && period > 0 ? (long)((quota + period - 1) / period) : 0;
}
static long sg_cpu_count(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    long quota = sg_cgroup_quota();
    return quota > 0 && quota < n ? quota : n;
}
#elif defined(_WIN32)
static long sg_cpu_count(void) {
    const char *n = getenv("NUMBER_OF_PROCESSORS");
    return n ? atol(n) : 1;
}
#else
static long sg_cpu_count(void) { return sysconf(_SC_NPROCESSORS_ONLN); }
#endif

#endif
