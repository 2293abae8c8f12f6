/* portable.h - the vocabulary in C, with GCC's and clang's vectors of 16 bytes, which every target has: the
 * readable truth. The words are described in VOCABULARY.md. A vector is four quarters. SG_FUSED tells whether the target has fused multiply-add; without it fma is emulated
 * (nearly: see vf64_fma), and that build is outside the same-bits promise.
 * (Tried: plain arrays of 16, and vectors of 64 bytes. gcc 12 takes minutes to unroll the one, and moves the other
 * through memory by halves of 8 bytes.) Included inside a target region, after string.h. */
#ifndef SG_SIMD_PORTABLE_H
#define SG_SIMD_PORTABLE_H

/* Vectors that exponentials are computed for side by side: the words are calls. */
enum { SG_SIDE_BY_SIDE = 1 };
enum { SG_OVERLAPS = 0 };
enum { SG_STREAMS = 0 };
enum { SG_LOOKS_AHEAD = 0 };
enum { SG_POSTPONES = 0 };
enum { SG_TAKES_TURNS = 0 };
enum { SG_HAS_FMA = SG_FUSED };

typedef float qf32 __attribute__((vector_size(16)));
typedef int32_t if32 __attribute__((vector_size(16))); /* 0 or -1 in each lane of a mask */
typedef uint32_t uf32 __attribute__((vector_size(16)));
typedef struct { qf32 q[4]; } vf32;
typedef struct { if32 q[4]; } mf32;
typedef double qf64 __attribute__((vector_size(16)));
typedef int64_t if64 __attribute__((vector_size(16))); /* 0 or -1 in each lane of a mask */
typedef uint64_t uf64 __attribute__((vector_size(16)));
typedef struct { qf64 q[4]; } vf64;
typedef struct { if64 q[4]; } mf64;

/* Loads and stores. */
SG_INLINE qf32 qf32_load(const float *p) {
    qf32 a;
    memcpy(&a, p, sizeof a);
    return a;
}
SG_INLINE qf64 qf64_load(const double *p) {
    qf64 a;
    memcpy(&a, p, sizeof a);
    return a;
}
SG_INLINE vf32 vf32_load(const float *p) {
    return (vf32){{qf32_load(p), qf32_load(p + 4), qf32_load(p + 2 * 4), qf32_load(p + 3 * 4)}};
}
SG_INLINE void vf32_store(float *p, vf32 a) {
    memcpy(p, &a.q[0], 16);
    memcpy(p + 4, &a.q[1], 16);
    memcpy(p + 2 * 4, &a.q[2], 16);
    memcpy(p + 3 * 4, &a.q[3], 16);
}
SG_INLINE vf64 vf64_load(const double *p) {
    return (vf64){{qf64_load(p), qf64_load(p + 2), qf64_load(p + 2 * 2), qf64_load(p + 3 * 2)}};
}
SG_INLINE void vf64_store(double *p, vf64 a) {
    memcpy(p, &a.q[0], 16);
    memcpy(p + 2, &a.q[1], 16);
    memcpy(p + 2 * 2, &a.q[2], 16);
    memcpy(p + 3 * 2, &a.q[3], 16);
}
SG_INLINE vf32 vf32_set1(float a) {
    const qf32 q = {a, a, a, a};
    return (vf32){{q, q, q, q}};
}
SG_INLINE vf64 vf64_set1(double a) {
    const qf64 q = {a, a};
    return (vf64){{q, q, q, q}};
}
SG_INLINE vf32 vf32_iota(void) {
    return (vf32){{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15}}};
}
SG_INLINE vf64 vf64_iota(void) { return (vf64){{{0, 1}, {2, 3}, {4, 5}, {6, 7}}}; }
SG_INLINE void vf32_stream(float *p, vf32 a) { vf32_store(p, a); }
SG_INLINE void vf64_stream(double *p, vf64 a) { vf64_store(p, a); }
SG_NOINLINE vf32 vf32_load_n(const float *p, int n, float fill) {
    float lane[16];
    for (int i = 0; i < 16; i++) lane[i] = i < n ? p[i] : fill;
    return vf32_load(lane);
}
SG_NOINLINE void vf32_store_n(float *p, vf32 a, int n) {
    float lane[16];
    vf32_store(lane, a);
    for (int i = 0; i < n; i++) p[i] = lane[i];
}
/* `n` columns of rows `stride` elements apart: tiles, and packed rows. */
SG_NOINLINE void vf32_load_columns(const float *p, ptrdiff_t stride, ptrdiff_t n, vf32 v[]) {
    float lane[16];
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < 16; i++) lane[i] = p[i * stride + j];
        v[j] = vf32_load(lane);
    }
}
SG_NOINLINE void vf32_store_columns(float *p, ptrdiff_t stride, ptrdiff_t n, const vf32 v[]) {
    float lane[4][16];
    for (int j = 0; j < n; j++) vf32_store(lane[j], v[j]);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < n; j++) p[i * stride + j] = lane[j][i];
}
SG_INLINE void vf32_load_tile(const float *p, ptrdiff_t stride, vf32 v[4]) {
    vf32_load_columns(p, stride, 4, v);
}
SG_INLINE void vf32_store_tile(float *p, ptrdiff_t stride, const vf32 v[4]) {
    vf32_store_columns(p, stride, 4, v);
}
SG_INLINE void vf32_load_packed(const float *p, ptrdiff_t n, vf32 v[3]) { vf32_load_columns(p, n, n, v); }
SG_INLINE void vf32_store_packed(float *p, ptrdiff_t n, const vf32 v[3]) { vf32_store_columns(p, n, n, v); }
SG_NOINLINE vf64 vf64_load_n(const double *p, int n, double fill) {
    double lane[8];
    for (int i = 0; i < 8; i++) lane[i] = i < n ? p[i] : fill;
    return vf64_load(lane);
}
SG_NOINLINE void vf64_store_n(double *p, vf64 a, int n) {
    double lane[8];
    vf64_store(lane, a);
    for (int i = 0; i < n; i++) p[i] = lane[i];
}
/* `n` columns of rows `stride` elements apart: tiles, and packed rows. */
SG_NOINLINE void vf64_load_columns(const double *p, ptrdiff_t stride, ptrdiff_t n, vf64 v[]) {
    double lane[8];
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < 8; i++) lane[i] = p[i * stride + j];
        v[j] = vf64_load(lane);
    }
}
SG_NOINLINE void vf64_store_columns(double *p, ptrdiff_t stride, ptrdiff_t n, const vf64 v[]) {
    double lane[4][8];
    for (int j = 0; j < n; j++) vf64_store(lane[j], v[j]);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < n; j++) p[i * stride + j] = lane[j][i];
}
SG_INLINE void vf64_load_tile(const double *p, ptrdiff_t stride, vf64 v[4]) {
    vf64_load_columns(p, stride, 4, v);
}
SG_INLINE void vf64_store_tile(double *p, ptrdiff_t stride, const vf64 v[4]) {
    vf64_store_columns(p, stride, 4, v);
}
SG_INLINE void vf64_load_packed(const double *p, ptrdiff_t n, vf64 v[3]) { vf64_load_columns(p, n, n, v); }
SG_INLINE void vf64_store_packed(double *p, ptrdiff_t n, const vf64 v[3]) { vf64_store_columns(p, n, n, v); }

/* Arithmetic. */
SG_INLINE vf32 vf32_add(vf32 a, vf32 b) {
    return (vf32){{a.q[0] + b.q[0], a.q[1] + b.q[1], a.q[2] + b.q[2], a.q[3] + b.q[3]}};
}
SG_INLINE vf64 vf64_add(vf64 a, vf64 b) {
    return (vf64){{a.q[0] + b.q[0], a.q[1] + b.q[1], a.q[2] + b.q[2], a.q[3] + b.q[3]}};
}
SG_INLINE vf32 vf32_sub(vf32 a, vf32 b) {
    return (vf32){{a.q[0] - b.q[0], a.q[1] - b.q[1], a.q[2] - b.q[2], a.q[3] - b.q[3]}};
}
SG_INLINE vf64 vf64_sub(vf64 a, vf64 b) {
    return (vf64){{a.q[0] - b.q[0], a.q[1] - b.q[1], a.q[2] - b.q[2], a.q[3] - b.q[3]}};
}
SG_INLINE vf32 vf32_mul(vf32 a, vf32 b) {
    return (vf32){{a.q[0] * b.q[0], a.q[1] * b.q[1], a.q[2] * b.q[2], a.q[3] * b.q[3]}};
}
SG_INLINE vf64 vf64_mul(vf64 a, vf64 b) {
    return (vf64){{a.q[0] * b.q[0], a.q[1] * b.q[1], a.q[2] * b.q[2], a.q[3] * b.q[3]}};
}
SG_INLINE vf32 vf32_div(vf32 a, vf32 b) {
    return (vf32){{a.q[0] / b.q[0], a.q[1] / b.q[1], a.q[2] / b.q[2], a.q[3] / b.q[3]}};
}
SG_INLINE vf64 vf64_div(vf64 a, vf64 b) {
    return (vf64){{a.q[0] / b.q[0], a.q[1] / b.q[1], a.q[2] / b.q[2], a.q[3] / b.q[3]}};
}
#if SG_FUSED
SG_INLINE qf32 qf32_fma(qf32 a, qf32 b, qf32 c) {
    return (qf32){__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
                  __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
}
SG_INLINE qf64 qf64_fma(qf64 a, qf64 b, qf64 c) {
    return (qf64){__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}
#else
/* a b is exact in double; the sum is rounded twice. */
SG_INLINE qf32 qf32_fma(qf32 a, qf32 b, qf32 c) {
    for (int i = 0; i < 4; i++) c[i] = (float)((double)a[i] * (double)b[i] + (double)c[i]);
    return c;
}
/* a b + c by Dekker's product and Knuth's sum (Dekker 1971; Knuth, TAOCP 2, 4.2.2): the exact product p + e, of halves that
 * are rounded as integers; the exact sum s + d of p and c; then s + (d + e): two roundings, the second of a tiny term. Where
 * that is not finite, as something overflowed, or 0, whose sign would be lost, s alone. */
SG_INLINE qf64 upper_half(qf64 a) { return (qf64)(((uf64)a + 0x4000000) & ~(uint64_t)0x7ffffff); }
SG_NOINLINE qf64 qf64_fma(qf64 a, qf64 b, qf64 c) {
    qf64 p = a * b, s = p + c, z = s - p;
    qf64 ah = upper_half(a), al = a - ah, bh = upper_half(b), bl = b - bh;
    qf64 e = al * bl - (((p - ah * bh) - al * bh) - ah * bl);
    qf64 d = (p - (s - z)) + (c - z);
    qf64 r = s + (d + e);
    if64 good = (r != 0) & (r - r == 0);
    return (qf64)((good & (if64)r) | (~good & (if64)s));
}
#endif
SG_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) {
    return (vf32){{qf32_fma(a.q[0], b.q[0], c.q[0]), qf32_fma(a.q[1], b.q[1], c.q[1]),
                   qf32_fma(a.q[2], b.q[2], c.q[2]), qf32_fma(a.q[3], b.q[3], c.q[3])}};
}
SG_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) {
    return (vf64){{qf64_fma(a.q[0], b.q[0], c.q[0]), qf64_fma(a.q[1], b.q[1], c.q[1]),
                   qf64_fma(a.q[2], b.q[2], c.q[2]), qf64_fma(a.q[3], b.q[3], c.q[3])}};
}
SG_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) {
    return (vf32){{qf32_fma(-a.q[0], b.q[0], c.q[0]), qf32_fma(-a.q[1], b.q[1], c.q[1]),
                   qf32_fma(-a.q[2], b.q[2], c.q[2]), qf32_fma(-a.q[3], b.q[3], c.q[3])}};
}
SG_INLINE vf64 vf64_fnma(vf64 a, vf64 b, vf64 c) {
    return (vf64){{qf64_fma(-a.q[0], b.q[0], c.q[0]), qf64_fma(-a.q[1], b.q[1], c.q[1]),
                   qf64_fma(-a.q[2], b.q[2], c.q[2]), qf64_fma(-a.q[3], b.q[3], c.q[3])}};
}

/* Masks. */
SG_INLINE qf32 qf32_select(if32 m, qf32 a, qf32 b) { return (qf32)((m & (if32)a) | (~m & (if32)b)); }
SG_INLINE qf64 qf64_select(if64 m, qf64 a, qf64 b) { return (qf64)((m & (if64)a) | (~m & (if64)b)); }
SG_INLINE mf32 vf32_lt(vf32 a, vf32 b) {
    return (mf32){{a.q[0] < b.q[0], a.q[1] < b.q[1], a.q[2] < b.q[2], a.q[3] < b.q[3]}};
}
SG_INLINE mf64 vf64_lt(vf64 a, vf64 b) {
    return (mf64){{a.q[0] < b.q[0], a.q[1] < b.q[1], a.q[2] < b.q[2], a.q[3] < b.q[3]}};
}
SG_INLINE mf32 vf32_eq(vf32 a, vf32 b) {
    return (mf32){{a.q[0] == b.q[0], a.q[1] == b.q[1], a.q[2] == b.q[2], a.q[3] == b.q[3]}};
}
SG_INLINE mf64 vf64_eq(vf64 a, vf64 b) {
    return (mf64){{a.q[0] == b.q[0], a.q[1] == b.q[1], a.q[2] == b.q[2], a.q[3] == b.q[3]}};
}
SG_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) {
    return (vf32){{qf32_select(m.q[0], a.q[0], b.q[0]), qf32_select(m.q[1], a.q[1], b.q[1]),
                   qf32_select(m.q[2], a.q[2], b.q[2]), qf32_select(m.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) {
    return (vf64){{qf64_select(m.q[0], a.q[0], b.q[0]), qf64_select(m.q[1], a.q[1], b.q[1]),
                   qf64_select(m.q[2], a.q[2], b.q[2]), qf64_select(m.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf32 vf32_max(vf32 a, vf32 b) {
    return (vf32){{qf32_select(a.q[0] > b.q[0], a.q[0], b.q[0]), qf32_select(a.q[1] > b.q[1], a.q[1], b.q[1]),
                   qf32_select(a.q[2] > b.q[2], a.q[2], b.q[2]),
                   qf32_select(a.q[3] > b.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf64 vf64_max(vf64 a, vf64 b) {
    return (vf64){{qf64_select(a.q[0] > b.q[0], a.q[0], b.q[0]), qf64_select(a.q[1] > b.q[1], a.q[1], b.q[1]),
                   qf64_select(a.q[2] > b.q[2], a.q[2], b.q[2]),
                   qf64_select(a.q[3] > b.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf32 vf32_min(vf32 a, vf32 b) {
    return (vf32){{qf32_select(a.q[0] < b.q[0], a.q[0], b.q[0]), qf32_select(a.q[1] < b.q[1], a.q[1], b.q[1]),
                   qf32_select(a.q[2] < b.q[2], a.q[2], b.q[2]),
                   qf32_select(a.q[3] < b.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf64 vf64_min(vf64 a, vf64 b) {
    return (vf64){{qf64_select(a.q[0] < b.q[0], a.q[0], b.q[0]), qf64_select(a.q[1] < b.q[1], a.q[1], b.q[1]),
                   qf64_select(a.q[2] < b.q[2], a.q[2], b.q[2]),
                   qf64_select(a.q[3] < b.q[3], a.q[3], b.q[3])}};
}
SG_INLINE mf32 vf32_nlt(vf32 a, vf32 b) {
    return (mf32){{~(a.q[0] < b.q[0]), ~(a.q[1] < b.q[1]), ~(a.q[2] < b.q[2]), ~(a.q[3] < b.q[3])}};
}
SG_INLINE mf64 vf64_nlt(vf64 a, vf64 b) {
    return (mf64){{~(a.q[0] < b.q[0]), ~(a.q[1] < b.q[1]), ~(a.q[2] < b.q[2]), ~(a.q[3] < b.q[3])}};
}
/* a + (b or 0): the same bits but for a = -0, which VOCABULARY.md excludes */
SG_INLINE qf32 qf32_add_if(if32 m, qf32 a, qf32 b) { return a + (qf32)(m & (if32)b); }
SG_INLINE qf64 qf64_add_if(if64 m, qf64 a, qf64 b) { return a + (qf64)(m & (if64)b); }
SG_INLINE vf32 vf32_add_if(mf32 m, vf32 a, vf32 b) {
    return (vf32){{qf32_add_if(m.q[0], a.q[0], b.q[0]), qf32_add_if(m.q[1], a.q[1], b.q[1]),
                   qf32_add_if(m.q[2], a.q[2], b.q[2]), qf32_add_if(m.q[3], a.q[3], b.q[3])}};
}
SG_INLINE vf64 vf64_add_if(mf64 m, vf64 a, vf64 b) {
    return (vf64){{qf64_add_if(m.q[0], a.q[0], b.q[0]), qf64_add_if(m.q[1], a.q[1], b.q[1]),
                   qf64_add_if(m.q[2], a.q[2], b.q[2]), qf64_add_if(m.q[3], a.q[3], b.q[3])}};
}
SG_INLINE mf32 mf32_and(mf32 a, mf32 b) {
    return (mf32){{a.q[0] & b.q[0], a.q[1] & b.q[1], a.q[2] & b.q[2], a.q[3] & b.q[3]}};
}
SG_INLINE mf64 mf64_and(mf64 a, mf64 b) {
    return (mf64){{a.q[0] & b.q[0], a.q[1] & b.q[1], a.q[2] & b.q[2], a.q[3] & b.q[3]}};
}
SG_INLINE mf32 mf32_or(mf32 a, mf32 b) {
    return (mf32){{a.q[0] | b.q[0], a.q[1] | b.q[1], a.q[2] | b.q[2], a.q[3] | b.q[3]}};
}
SG_INLINE mf64 mf64_or(mf64 a, mf64 b) {
    return (mf64){{a.q[0] | b.q[0], a.q[1] | b.q[1], a.q[2] | b.q[2], a.q[3] | b.q[3]}};
}
SG_INLINE mf32 mf32_not(mf32 a) { return (mf32){{~a.q[0], ~a.q[1], ~a.q[2], ~a.q[3]}}; }
SG_INLINE mf64 mf64_not(mf64 a) { return (mf64){{~a.q[0], ~a.q[1], ~a.q[2], ~a.q[3]}}; }
SG_INLINE int mf32_any(mf32 m) {
    if32 any = m.q[0] | m.q[1] | m.q[2] | m.q[3];
    uint64_t word[2];
    memcpy(word, &any, sizeof any);
    return (word[0] | word[1]) != 0;
}
SG_INLINE int mf64_any(mf64 m) {
    if64 any = m.q[0] | m.q[1] | m.q[2] | m.q[3];
    uint64_t word[2];
    memcpy(word, &any, sizeof any);
    return (word[0] | word[1]) != 0;
}

/* Bits. */
SG_INLINE vf32 vf32_shift(vf32 a) {
    return (vf32){{(qf32)((uf32)a.q[0] << 23), (qf32)((uf32)a.q[1] << 23), (qf32)((uf32)a.q[2] << 23),
                   (qf32)((uf32)a.q[3] << 23)}};
}
SG_INLINE vf64 vf64_shift(vf64 a) {
    return (vf64){{(qf64)((uf64)a.q[0] << 52), (qf64)((uf64)a.q[1] << 52), (qf64)((uf64)a.q[2] << 52),
                   (qf64)((uf64)a.q[3] << 52)}};
}
SG_INLINE qf32 qf32_scale(qf32 a, const float table[8]) {
    const uf32 b = (uf32)a, k = b & 7;
    return (qf32)(b << 20) * (qf32){table[k[0]], table[k[1]], table[k[2]], table[k[3]]};
}
SG_INLINE vf32 vf32_scale(vf32 a, const float table[8]) {
    return (vf32){{qf32_scale(a.q[0], table), qf32_scale(a.q[1], table), qf32_scale(a.q[2], table),
                   qf32_scale(a.q[3], table)}};
}
SG_INLINE qf64 qf64_scale(qf64 a, const double table[2]) {
    const uf64 b = (uf64)a, k = b & 1;
    return (qf64)(b << 51) * (qf64){table[k[0]], table[k[1]]};
}
SG_INLINE vf64 vf64_scale(vf64 a, const double table[2]) {
    return (vf64){{qf64_scale(a.q[0], table), qf64_scale(a.q[1], table), qf64_scale(a.q[2], table),
                   qf64_scale(a.q[3], table)}};
}
SG_INLINE vf32 vf32_addbits(vf32 a, vf32 b) {
    return (vf32){{(qf32)((uf32)a.q[0] + (uf32)b.q[0]), (qf32)((uf32)a.q[1] + (uf32)b.q[1]),
                   (qf32)((uf32)a.q[2] + (uf32)b.q[2]), (qf32)((uf32)a.q[3] + (uf32)b.q[3])}};
}
SG_INLINE vf64 vf64_addbits(vf64 a, vf64 b) {
    return (vf64){{(qf64)((uf64)a.q[0] + (uf64)b.q[0]), (qf64)((uf64)a.q[1] + (uf64)b.q[1]),
                   (qf64)((uf64)a.q[2] + (uf64)b.q[2]), (qf64)((uf64)a.q[3] + (uf64)b.q[3])}};
}
SG_INLINE vf32 vf32_subbits(vf32 a, vf32 b) {
    return (vf32){{(qf32)((uf32)a.q[0] - (uf32)b.q[0]), (qf32)((uf32)a.q[1] - (uf32)b.q[1]),
                   (qf32)((uf32)a.q[2] - (uf32)b.q[2]), (qf32)((uf32)a.q[3] - (uf32)b.q[3])}};
}
SG_INLINE vf64 vf64_subbits(vf64 a, vf64 b) {
    return (vf64){{(qf64)((uf64)a.q[0] - (uf64)b.q[0]), (qf64)((uf64)a.q[1] - (uf64)b.q[1]),
                   (qf64)((uf64)a.q[2] - (uf64)b.q[2]), (qf64)((uf64)a.q[3] - (uf64)b.q[3])}};
}
SG_INLINE vf32 vf32_held(vf32 a) { return a; }
SG_INLINE vf64 vf64_held(vf64 a) { return a; }
/* a bias keeps the difference positive: C leaves the right shift of a negative one open */
SG_INLINE qf32 qf32_exponent(qf32 a) {
    uf32 b = ((uf32)a - 0x3f3504f3U + ((uint32_t)1 << 30)) >> 23;
    return __builtin_convertvector((if32)b, qf32) - 128;
}
/* a bias keeps the difference positive: C leaves the right shift of a negative one open */
SG_INLINE qf64 qf64_exponent(qf64 a) {
    uf64 b = ((uf64)a - 0x3fe6a09e667f3bcdU + ((uint64_t)1 << 62)) >> 52;
    return __builtin_convertvector((if64)b, qf64) - 1024;
}
SG_INLINE vf32 vf32_exponent(vf32 a) {
    return (vf32){
        {qf32_exponent(a.q[0]), qf32_exponent(a.q[1]), qf32_exponent(a.q[2]), qf32_exponent(a.q[3])}};
}
SG_INLINE vf64 vf64_exponent(vf64 a) {
    return (vf64){
        {qf64_exponent(a.q[0]), qf64_exponent(a.q[1]), qf64_exponent(a.q[2]), qf64_exponent(a.q[3])}};
}
/* by memory: this is once a row or less */
SG_NOINLINE vf32 vf32_xor(vf32 a, int k) {
    float lane[16], other[16];
    vf32_store(lane, a);
    for (int i = 0; i < 16; i++) other[i] = lane[i ^ k];
    return vf32_load(other);
}
SG_NOINLINE vf64 vf64_xor(vf64 a, int k) {
    double lane[8], other[8];
    vf64_store(lane, a);
    for (int i = 0; i < 8; i++) other[i] = lane[i ^ k];
    return vf64_load(other);
}
SG_NOINLINE void vf32_partners(int k, vf32 a, vf32 b, vf32 *x, vf32 *y) {
    float lane[2][16], lower[16], upper[16];
    vf32_store(lane[0], a);
    vf32_store(lane[1], b);
    for (int i = 0; i < 16; i++) {
        const float *row = lane[(i & k) != 0];
        lower[i] = row[i & ~k];
        upper[i] = row[i | k];
    }
    *x = vf32_load(lower);
    *y = vf32_load(upper);
}
SG_NOINLINE void vf64_partners(int k, vf64 a, vf64 b, vf64 *x, vf64 *y) {
    double lane[2][8], lower[8], upper[8];
    vf64_store(lane[0], a);
    vf64_store(lane[1], b);
    for (int i = 0; i < 8; i++) {
        const double *row = lane[(i & k) != 0];
        lower[i] = row[i & ~k];
        upper[i] = row[i | k];
    }
    *x = vf64_load(lower);
    *y = vf64_load(upper);
}

/* Between the two types. */
SG_INLINE qf64 lower_two(qf32 a) { return (qf64){(double)a[0], (double)a[1]}; }
SG_INLINE qf64 upper_two(qf32 a) { return (qf64){(double)a[2], (double)a[3]}; }
SG_INLINE vf64 vf32_low(vf32 a) {
    return (vf64){{lower_two(a.q[0]), upper_two(a.q[0]), lower_two(a.q[1]), upper_two(a.q[1])}};
}
SG_INLINE vf64 vf32_high(vf32 a) {
    return (vf64){{lower_two(a.q[2]), upper_two(a.q[2]), lower_two(a.q[3]), upper_two(a.q[3])}};
}
SG_INLINE qf32 qf32_narrow(qf64 a, qf64 b) {
    return (qf32){(float)a[0], (float)a[1], (float)b[0], (float)b[1]};
}
SG_INLINE vf32 vf32_narrow(vf64 low, vf64 high) {
    return (vf32){{qf32_narrow(low.q[0], low.q[1]), qf32_narrow(low.q[2], low.q[3]),
                   qf32_narrow(high.q[0], high.q[1]), qf32_narrow(high.q[2], high.q[3])}};
}
SG_INLINE qf64 lower_ints(if32 a) { return (qf64){(double)a[0], (double)a[1]}; }
SG_INLINE qf64 upper_ints(if32 a) { return (qf64){(double)a[2], (double)a[3]}; }
SG_INLINE vf64 vf32_int_low(vf32 a) {
    return (vf64){{lower_ints((if32)a.q[0]), upper_ints((if32)a.q[0]), lower_ints((if32)a.q[1]),
                   upper_ints((if32)a.q[1])}};
}
SG_INLINE vf64 vf32_int_high(vf32 a) {
    return (vf64){{lower_ints((if32)a.q[2]), upper_ints((if32)a.q[2]), lower_ints((if32)a.q[3]),
                   upper_ints((if32)a.q[3])}};
}
SG_INLINE qf64 q64_of_int64(const int64_t *p) { return (qf64){(double)p[0], (double)p[1]}; }
SG_INLINE vf64 vf64_of_int64(const int64_t *p) {
    return (vf64){{q64_of_int64(p), q64_of_int64(p + 2), q64_of_int64(p + 4), q64_of_int64(p + 6)}};
}
SG_INLINE vf32 vf32_of_int64(const int64_t *p) { return vf32_narrow(vf64_of_int64(p), vf64_of_int64(p + 8)); }
SG_INLINE if64 lower_mask(if32 m) { return (if64){m[0], m[1]}; }
SG_INLINE if64 upper_mask(if32 m) { return (if64){m[2], m[3]}; }
SG_INLINE mf64 mf32_low(mf32 m) {
    return (mf64){{lower_mask(m.q[0]), upper_mask(m.q[0]), lower_mask(m.q[1]), upper_mask(m.q[1])}};
}
SG_INLINE mf64 mf32_high(mf32 m) {
    return (mf64){{lower_mask(m.q[2]), upper_mask(m.q[2]), lower_mask(m.q[3]), upper_mask(m.q[3])}};
}

/* Half precision. */
typedef uint16_t u16 __attribute__((vector_size(8)));
SG_INLINE uf32 q32_load_half(const uint16_t *p) {
    u16 h;
    memcpy(&h, p, sizeof h);
    return __builtin_convertvector(h, uf32);
}
SG_INLINE void q32_store_half(uint16_t *p, uf32 b) {
    u16 h = __builtin_convertvector(b, u16);
    memcpy(p, &h, sizeof h);
}
/* The digits as a float of the same exponent field are 2^-112 of the number, subnormal ones too; an exponent field of
 * ones has to stay one. */
SG_INLINE qf32 q32_load_f16(const uint16_t *p) {
    uf32 h = q32_load_half(p);
    uf32 size = (uf32)((qf32)((h & 0x7fff) << 13) * 0x1p112F);
    uf32 ones = (uf32)((h & 0x7c00) == 0x7c00) & 0x7f800000;
    return (qf32)(size | ones | (h & 0x8000) << 16);
}
/* Rounding to nearest even: of normal numbers by adding just below half a unit, of others by the float addition of
 * 1/2, whose unit is theirs. */
SG_INLINE void q32_store_f16(uint16_t *p, qf32 a) {
    uf32 b = (uf32)a, size = b & 0x7fffffff;
    uf32 normal = (size - ((127 - 15) << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    uf32 small = (uf32)((qf32)size + 0.5F) - 0x3f000000;
    uf32 is_small = (uf32)(size < 0x38800000), is_large = (uf32)(size >= 0x47800000);
    uf32 large = 0x7c00 | ((uf32)(size > 0x7f800000) & 0x0200);
    uf32 h = (is_small & small) | (is_large & large) | (~is_small & ~is_large & normal);
    q32_store_half(p, h | (b >> 16 & 0x8000));
}
SG_INLINE qf32 q32_load_bf16(const uint16_t *p) { return (qf32)(q32_load_half(p) << 16); }
SG_INLINE void q32_store_bf16(uint16_t *p, qf32 a) {
    uf32 b = (uf32)a, is_nan = (uf32)((b & 0x7fffffff) > 0x7f800000);
    uf32 h = (b + 0x7fff + (b >> 16 & 1)) >> 16;
    q32_store_half(p, (is_nan & (b >> 16 | 0x40)) | (~is_nan & h));
}
SG_INLINE vf32 vf32_load_f16(const uint16_t *p) {
    return (vf32){{q32_load_f16(p), q32_load_f16(p + 4), q32_load_f16(p + 8), q32_load_f16(p + 12)}};
}
SG_INLINE void vf32_store_f16(uint16_t *p, vf32 a) {
    for (int i = 0; i < 4; i++) q32_store_f16(p + 4 * i, a.q[i]);
}
SG_INLINE vf32 vf32_load_bf16(const uint16_t *p) {
    return (vf32){{q32_load_bf16(p), q32_load_bf16(p + 4), q32_load_bf16(p + 8), q32_load_bf16(p + 12)}};
}
SG_INLINE void vf32_store_bf16(uint16_t *p, vf32 a) {
    for (int i = 0; i < 4; i++) q32_store_bf16(p + 4 * i, a.q[i]);
}

#include "one_register.h"

#endif
