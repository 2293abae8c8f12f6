/* total.h - what is summed or looked through before and after the kernels: losses, weights, labels. Included once. */

/* Eight running sums with their errors (Knuth's two-sum), term i in lane i % 8; folded in order. */
typedef struct { vf64 sum, error; } compensated;

SG_INLINE void compensated_add(compensated *t, vf64 b) {
    const vf64 a = t->sum, s = vf64_add(a, b), z = vf64_sub(s, a);
    t->sum = s;
    t->error = vf64_add(t->error, vf64_add(vf64_sub(a, vf64_sub(s, z)), vf64_sub(b, z)));
}
static void compensated_close(const compensated *t, double of[2]) {
    double sum[8], error[8];
    vf64_store(sum, t->sum);
    vf64_store(error, t->error);
    of[0] = sum[0];
    of[1] = error[0];
    for (int l = 1; l < 8; l++) {
        const double a = of[0], b = sum[l], s = a + b, z = s - a;
        of[0] = s;
        of[1] += ((a - (s - z)) + (b - z)) + error[l];
    }
    if (!(of[0] - of[0] == 0)) of[1] = 0; /* an infinite sum has NaN errors */
}
static void sum_doubles(const double *values, ptrdiff_t n, double of[2]) {
    compensated t = {vf64_set1(0), vf64_set1(0)};
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) compensated_add(&t, vf64_load(values + i));
    if (i < n) compensated_add(&t, vf64_load_n(values + i, (int)(n - i), 0));
    compensated_close(&t, of);
}

/* Whether eight labels are all in [0, n). Rounded to double they are in order still, so that a doubtful one is not. */
SG_INLINE int are_classes(const int64_t *labels, int64_t n) {
    const vf64 label = vf64_of_int64(labels);
    return !mf64_any(mf64_or(vf64_lt(label, vf64_set1(0)), vf64_nlt(label, vf64_set1((double)n))));
}
SG_INLINE int is_class(int64_t label, int64_t n) { return (uint64_t)label < (uint64_t)n; }

static ptrdiff_t find_bad_label(const int64_t *labels, ptrdiff_t rows, int64_t n, int64_t ignore_index) {
    ptrdiff_t r = 0;
    while (r < rows) {
        if (r + 8 <= rows && are_classes(labels + r, n)) {
            r += 8;
            continue;
        }
        for (const ptrdiff_t end = r + 8 < rows ? r + 8 : rows; r < end; r++)
            if (!is_class(labels[r], n) && labels[r] != ignore_index) return r;
    }
    return -1;
}
