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
 * Central Dispatch refuses to run there. So a process is serial that was forked from one that had loaded this library; or,
 * in Linux, that was forked, and where another library had loaded the same OpenMP before. */
#if defined(_WIN32)
static bool sg_is_forked_child(void) { return false; }
#else
#include <pthread.h>
static _Atomic bool sg_forked;
static bool sg_is_forked_child(void) { return sg_forked; }

#if defined(__linux__) && defined(_OPENMP)
#include <link.h>
static bool sg_holds(const struct dl_phdr_info *object, const void *address) {
    const uintptr_t offset = (uintptr_t)address - object->dlpi_addr;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && offset - part->p_vaddr < part->p_memsz) return true;
    }
    return false;
}
static int sg_find_first(struct dl_phdr_info *object, size_t size, void *openmp_is_first) {
    (void)size;
    *(bool *)openmp_is_first = sg_holds(object, (const void *)(uintptr_t)&omp_get_max_threads);
    return *(bool *)openmp_is_first || sg_holds(object, &sg_forked); /* ends the search */
}
static bool sg_joined_openmp_in_child(void) {
    enum { PF_FORKNOEXEC = 0x40 }; /* of proc_pid_stat(5), forked without an exec since */
    bool openmp_is_first = false;
    dl_iterate_phdr(sg_find_first, &openmp_is_first); /* in the order of loading */
    if (!openmp_is_first) return false;
    char text[256] = "";
    unsigned long flags = 0;
    FILE *f = fopen("/proc/self/stat", "r"); /* of the first thread: all others have the flag */
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
    }
    const char *behind_name = strrchr(text, ')'); /* the name may hold anything */
    if (!behind_name || sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %lu", &flags) != 1) return false;
    return flags & PF_FORKNOEXEC;
}
#else
static bool sg_joined_openmp_in_child(void) { return false; }
#endif

static void sg_note_fork(void) { sg_forked = true; }
__attribute__((constructor)) static void sg_watch_forks(void) {
    sg_forked = sg_joined_openmp_in_child();
    pthread_atfork(NULL, NULL, sg_note_fork);
}
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
