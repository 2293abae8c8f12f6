/* totals.c - what csrc/kernel/total.h has, and total_weight, on every instruction set against a scalar loop: labels at the ends of int64 and where
 * doubles cannot tell integers apart, at every position of rows of every number to 40; sums to the last bit, and exact where a tail cancels. */
#include <math.h>
#include <stdio.h>

#include "every_kernel.h"

enum { MOST = 40 };

static long calls, failures;

static void count(const char *isa, const char *what, bool ok) {
    calls++;
    if (ok) return;
    failures++;
    printf("FAILED %s: %s\n", isa, what);
}

static bool is_good(int64_t label, int64_t n) { return label >= 0 && label < n; }

static ptrdiff_t first_bad(const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignored) {
    for (ptrdiff_t r = 0; r < rows; r++)
        if (!is_good(labels[r], n) && labels[r] != ignored) return r;
    return -1;
}

static void check_labels(const sg_isa *isa) {
    const int64_t far = (int64_t)1 << 60, ns[] = {1, 5, 1000, ((int64_t)1 << 53) + 3, far, INT64_MAX};
    const int64_t odd[] = {-1,      -100,    INT64_MIN, INT64_MAX, far,
                           far + 1, far - 1, 0,         3,         ((int64_t)1 << 53) + 2};
    for (size_t a = 0; a < sizeof ns / sizeof *ns; a++)
        for (size_t b = 0; b < sizeof odd / sizeof *odd; b++)
            for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
                for (ptrdiff_t rows = 1; rows <= MOST; rows++)
                    for (ptrdiff_t at = 0; at < rows; at++) {
                        int64_t labels[MOST];
                        for (ptrdiff_t r = 0; r < rows; r++) labels[r] = r % (ns[a] < 1000 ? ns[a] : 1000);
                        labels[at] = odd[b];
                        count(isa->name, "a bad label",
                              isa->find_bad_label(labels, rows, ns[a], odd[i]) ==
                                  first_bad(labels, rows, ns[a], odd[i]));
                    }
}

/* Weights are small integers, so that every sum of them is exact. */
static void check_weights(const sg_isa *isa) {
    enum { N = 7 };
    float weight[N], sample[MOST];
    double weight_f64[N], sample_f64[MOST];
    int64_t labels[MOST];
    for (int i = 0; i < N; i++) weight_f64[i] = weight[i] = (float)(i * i);
    for (ptrdiff_t rows = 1; rows <= MOST; rows++)
        for (int ignored = -100; ignored <= 3; ignored += 103)
            for (int options = 0; options < 8; options++) {
                double expected = 0, total[2];
                for (ptrdiff_t r = 0; r < rows; r++) {
                    labels[r] = r % 5 == 4 ? ignored : r % N;
                    sample_f64[r] = sample[r] = (float)(r % 3);
                    const bool counts = !(options & 1) || (labels[r] != ignored && is_good(labels[r], N));
                    const double of_class = (options & 3) == 3 && counts ? weight[labels[r]] : 1;
                    if (counts) expected += of_class * (options & 4 ? sample[r] : 1);
                }
                sg_call c = sg_call_of(rows, N, 1);
                c.ignore_index = ignored;
                if (options & 1) c.labels = labels;
                c.weight = options & 2 ? weight : NULL;
                c.sample_weight = options & 4 ? sample : NULL;
                isa->f32->total_weight(&c, total);
                count(isa->name, "a total weight", total[0] + total[1] == expected);
                c.weight = options & 2 ? weight_f64 : NULL;
                c.sample_weight = options & 4 ? sample_f64 : NULL;
                isa->f64->total_weight(&c, total);
                count(isa->name, "a total weight", total[0] + total[1] == expected);
            }
}

/* Eight sums with their errors, term by term. */
static void sum_one_by_one(const double *values, ptrdiff_t n, double total[2]) {
    double sum[8] = {0}, error[8] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        const double a = sum[i % 8], b = values[i], s = a + b, z = s - a;
        sum[i % 8] = s;
        error[i % 8] += (a - (s - z)) + (b - z);
    }
    total[0] = sum[0];
    total[1] = error[0];
    for (int l = 1; l < 8; l++) {
        const double a = total[0], b = sum[l], s = a + b, z = s - a;
        total[0] = s;
        total[1] += ((a - (s - z)) + (b - z)) + error[l];
    }
}
static void check_sums(const sg_isa *isa) {
    double values[3 * MOST], expected[2], total[2];
    for (ptrdiff_t n = 0; n <= 3 * MOST; n++) {
        for (ptrdiff_t i = 0; i < n; i++) values[i] = ldexp(uniform(), (int)(i * 37 % 80) - 40);
        sum_one_by_one(values, n, expected);
        isa->sum(values, n, total);
        count(isa->name, "a sum", total[0] == expected[0] && total[1] == expected[1]);
        /* 2^60, then n - 2 ones, then -2^60: what is left is exact */
        if (n < 2) continue;
        for (ptrdiff_t i = 0; i < n; i++) values[i] = i == 0 ? 0x1p60 : i == n - 1 ? -0x1p60 : 1;
        isa->sum(values, n, total);
        count(isa->name, "a sum that cancels", total[0] + total[1] == (double)(n - 2));
    }
    const double infinite[] = {1, (double)INFINITY, 2};
    isa->sum(infinite, 3, total);
    count(isa->name, "an infinite sum", total[0] == (double)INFINITY && total[1] == 0);
}

int main(void) {
    for (const sg_isa *const *isa = sg_isa_list(); *isa; isa++) {
        if (!(*isa)->supported()) continue;
        check_labels(*isa);
        check_weights(*isa);
        check_sums(*isa);
    }
    printf("totals: %ld calls, %ld failures\n", calls, failures);
    return failures != 0;
}
