/* instructions.c - runs one kernel once on fixed numbers, for instructions.py to count. No benchmark by itself. */
#define _DEFAULT_SOURCE /* fork, ptrace */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "softgrad.h"

/* What is counted: valgrind --toggle-collect=counted. */
__attribute__((noinline)) void counted(sg_kernel *kernel, const sg_call *call, void *scratch);

void counted(sg_kernel *kernel, const sg_call *call, void *scratch) {
    kernel(call, 0, call->outer * call->inner, scratch);
}

/* The same, counted without valgrind: in a process that is stopped after each instruction. */
static long steps(sg_kernel *kernel, const sg_call *call, void *scratch) {
    const pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        counted(kernel, call, scratch);
        raise(SIGSTOP);
        _exit(0);
    }
    int status;
    long count = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    for (;; count++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
            return -1;
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) break;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return count;
}

static void *memory(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (p == NULL) exit(2);
    return p;
}

/* `count` numbers in [-scale, scale], or in (0, scale] if `positive`, the same in every run. */
static void *numbers(size_t count, size_t itemsize, double scale, bool positive) {
    void *p = memory(count * itemsize);
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes */
        const double u = (double)((state >> 8) + 1) / 16777217.0;
        const double value = scale * (positive ? u : 2 * u - 1);
        if (itemsize == sizeof(float)) ((float *)p)[i] = (float)value;
        else ((double *)p)[i] = value;
    }
    return p;
}

/* ./instructions ISA DTYPE KERNEL ROWS N [steps]; KERNEL is softmax, logsumexp, vjp, jacobian, gradient or hessian (with
 * the gradient, without the loss). With "steps" it prints their number. */
int main(int argc, char **argv) {
    if (argc < 6 || argc > 7) return 2;
    const sg_isa *isa = sg_isa_find(argv[1]);
    if (isa == NULL) {
        fprintf(stderr, "this CPU has no %s\n", argv[1]);
        return 2;
    }
    const bool wide = strcmp(argv[2], "float64") == 0;
    const sg_kernels *table = wide ? isa->f64 : isa->f32;
    const char *name = argv[3];
    const ptrdiff_t rows = atoi(argv[4]), n = atoi(argv[5]);
    const size_t size = wide ? sizeof(double) : sizeof(float), count = (size_t)(rows * n);
    const bool products = strcmp(name, "vjp") == 0, jacobian = strcmp(name, "jacobian") == 0;
    const bool reduces = strcmp(name, "logsumexp") == 0, hessian = strcmp(name, "hessian") == 0,
               gradient = hessian || strcmp(name, "gradient") == 0;

    sg_call call = {
        .outer = rows, .n = n, .inner = 1, .temperature = 1, .norm = {(double)rows, 0}, .ignore_index = -100};
    call.x = (sg_array){numbers(count, size, products ? 2.0 / (double)n : 10.0, products), n, 1, 1, NULL};
    call.g = (sg_array){products ? numbers(count, size, 1, false) : NULL, n, 1, 1, NULL};
    void *out = memory(count * size * (jacobian ? (size_t)n : 1));
    call.out = jacobian  ? (sg_array){out, n * n, n, n, NULL}
               : reduces ? (sg_array){out, 1, 0, 1, NULL}
                         : (sg_array){out, n, 1, 1, NULL};
    sg_kernel *kernel = products   ? table->softmax_vjp
                        : jacobian ? table->softmax_jacobian
                        : reduces  ? table->logsumexp
                        : gradient ? table->cross_entropy
                                   : table->softmax;
    if (gradient) {
        int64_t *labels = memory((size_t)rows * sizeof(int64_t));
        for (ptrdiff_t r = 0; r < rows; r++) labels[r] = r * 7 % n;
        call.labels = labels;
        if (hessian) call.hess = (sg_array){memory(count * size), n, 1, 1, NULL};
        else call.loss = memory((size_t)rows * sizeof(double));
    }
    void *scratch = memory(sg_scratch_bytes(&call, size));
    if (argc == 6) {
        counted(kernel, &call, scratch);
        return 0;
    }
    const long count_of_steps = steps(kernel, &call, scratch);
    printf("%ld\n", count_of_steps);
    return count_of_steps < 0;
}
