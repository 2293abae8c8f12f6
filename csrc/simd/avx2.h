/* avx2.h - the vocabulary on AVX2 with FMA: two registers a vector. The words are described in
 * VOCABULARY.md. Included inside a target region, after immintrin.h. */
#ifndef SG_SIMD_AVX2_H
#define SG_SIMD_AVX2_H

/* Vectors that exponentials are computed for side by side: 16 registers of half a vector. */
enum { SG_SIDE_BY_SIDE = 2 };
enum { SG_OVERLAPS = 1 };
enum { SG_STREAMS = 1 };
enum { SG_LOOKS_AHEAD = 0 };
enum { SG_POSTPONES = 1 };
enum { SG_TAKES_TURNS = 1 };
enum { SG_HAS_FMA = 1 };
enum { SG_JOINS = 2 };

typedef struct { __m256 lo, hi; } vf32;
typedef struct { __m256d lo, hi; } vf64;
typedef struct { __m256 lo, hi; } mf32; /* a lane is all ones or all zeros */
typedef struct { __m256d lo, hi; } mf64;

/* An operation on both halves, for one, two and three operands. */
#define SG_BOTH1(T, op, a) ((T){op((a).lo), op((a).hi)})
#define SG_BOTH2(T, op, a, b) ((T){op((a).lo, (b).lo), op((a).hi, (b).hi)})
#define SG_BOTH3(T, op, a, b, c) ((T){op((a).lo, (b).lo, (c).lo), op((a).hi, (b).hi, (c).hi)})

/* Loads and stores. */
SG_INLINE vf32 vf32_set1(float a) { return (vf32){_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
SG_INLINE vf64 vf64_set1(double a) { return (vf64){_mm256_set1_pd(a), _mm256_set1_pd(a)}; }
SG_INLINE vf32 vf32_iota(void) {
    return (vf32){_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_ps(8, 9, 10, 11, 12, 13, 14, 15)};
}
SG_INLINE vf64 vf64_iota(void) { return (vf64){_mm256_setr_pd(0, 1, 2, 3), _mm256_setr_pd(4, 5, 6, 7)}; }
SG_INLINE vf32 vf32_load(const float *p) { return (vf32){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SG_INLINE vf64 vf64_load(const double *p) { return (vf64){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
SG_INLINE void vf32_store(float *p, vf32 a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
SG_INLINE void vf64_store(double *p, vf64 a) {
    _mm256_storeu_pd(p, a.lo);
    _mm256_storeu_pd(p + 4, a.hi);
}

/* Lanes first, first + 1, ... that are below n, of a half. */
SG_INLINE __m256i h32_below(int n, int first) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}
SG_INLINE __m256i h64_below(int n, int first) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n - first), _mm256_setr_epi64x(0, 1, 2, 3));
}
SG_INLINE void vf32_stream(float *p, vf32 a) {
    _mm256_stream_ps(p, a.lo);
    _mm256_stream_ps(p + 8, a.hi);
}
SG_INLINE void vf64_stream(double *p, vf64 a) {
    _mm256_stream_pd(p, a.lo);
    _mm256_stream_pd(p + 4, a.hi);
}
SG_INLINE vf32 vf32_load_n(const float *p, int n, float fill) {
    __m256i lo = h32_below(n, 0), hi = h32_below(n, 8);
    __m256 f = _mm256_set1_ps(fill);
    return (vf32){_mm256_blendv_ps(f, _mm256_maskload_ps(p, lo), _mm256_castsi256_ps(lo)),
                  _mm256_blendv_ps(f, _mm256_maskload_ps(p + 8, hi), _mm256_castsi256_ps(hi))};
}
SG_INLINE vf64 vf64_load_n(const double *p, int n, double fill) {
    __m256i lo = h64_below(n, 0), hi = h64_below(n, 4);
    __m256d f = _mm256_set1_pd(fill);
    return (vf64){_mm256_blendv_pd(f, _mm256_maskload_pd(p, lo), _mm256_castsi256_pd(lo)),
                  _mm256_blendv_pd(f, _mm256_maskload_pd(p + 4, hi), _mm256_castsi256_pd(hi))};
}
/* The stores by parts, since maskstore is microcode on AMD (6 ns a row on Zen 4, against 1). These store
 * the first n < 8 (4) lanes of a half. */
SG_INLINE void h32_store_n(float *p, __m256 a, int n) {
    __m128 part = _mm256_castps256_ps128(a);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_epi64((__m128i *)(void *)p, _mm_castps_si128(part));
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}
SG_INLINE void h64_store_n(double *p, __m256d a, int n) {
    __m128d part = _mm256_castpd256_pd128(a);
    if (n & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd(a, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, part);
}
SG_INLINE void vf32_store_n(float *p, vf32 a, int n) {
    __m256 part = a.lo;
    if (n >= 8) _mm256_storeu_ps(p, a.lo), part = a.hi;
    if (n >= 16) _mm256_storeu_ps(p + 8, a.hi);
    h32_store_n(p + (n & -8), part, n & 7);
}
SG_INLINE void vf64_store_n(double *p, vf64 a, int n) {
    __m256d part = a.lo;
    if (n >= 4) _mm256_storeu_pd(p, a.lo), part = a.hi;
    if (n >= 8) _mm256_storeu_pd(p + 4, a.hi);
    h64_store_n(p + (n & -4), part, n & 3);
}

/* Tiles, by halves of 8 (4) rows. Of float rows q and 4 + q share register q, so that a transposition inside the 128-bit lanes brings the
 * rows out in order. */
SG_INLINE __m256 h32_two_rows(const float *p, ptrdiff_t stride) {
    __m256 a = _mm256_castps128_ps256(_mm_loadu_ps(p));
    return _mm256_insertf128_ps(a, _mm_loadu_ps(p + 4 * stride), 1);
}
SG_INLINE void h64_transpose(__m256d a[4]) {
    __m256d even01 = _mm256_unpacklo_pd(a[0], a[1]), odd01 = _mm256_unpackhi_pd(a[0], a[1]);
    __m256d even23 = _mm256_unpacklo_pd(a[2], a[3]), odd23 = _mm256_unpackhi_pd(a[2], a[3]);
    a[0] = _mm256_permute2f128_pd(even01, even23, 0x20);
    a[1] = _mm256_permute2f128_pd(odd01, odd23, 0x20);
    a[2] = _mm256_permute2f128_pd(even01, even23, 0x31);
    a[3] = _mm256_permute2f128_pd(odd01, odd23, 0x31);
}
SG_INLINE void h32_transpose(__m256 a[4]) {
    __m256d lo01 = _mm256_castps_pd(_mm256_unpacklo_ps(a[0], a[1]));
    __m256d hi01 = _mm256_castps_pd(_mm256_unpackhi_ps(a[0], a[1]));
    __m256d lo23 = _mm256_castps_pd(_mm256_unpacklo_ps(a[2], a[3]));
    __m256d hi23 = _mm256_castps_pd(_mm256_unpackhi_ps(a[2], a[3]));
    a[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo01, lo23));
    a[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo01, lo23));
    a[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(hi01, hi23));
    a[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(hi01, hi23));
}
SG_INLINE void vf32_load_tile(const float *p, ptrdiff_t stride, vf32 v[4]) {
    __m256 lo[4], hi[4];
    SG_UNROLL(q, 4) lo[q] = h32_two_rows(p + q * stride, stride);
    SG_UNROLL(q, 4) hi[q] = h32_two_rows(p + (8 + q) * stride, stride);
    h32_transpose(lo);
    h32_transpose(hi);
    for (int j = 0; j < 4; j++) v[j] = (vf32){lo[j], hi[j]};
}
SG_INLINE void vf64_load_tile(const double *p, ptrdiff_t stride, vf64 v[4]) {
    __m256d lo[4], hi[4];
    SG_UNROLL(q, 4) lo[q] = _mm256_loadu_pd(p + q * stride);
    SG_UNROLL(q, 4) hi[q] = _mm256_loadu_pd(p + (4 + q) * stride);
    h64_transpose(lo);
    h64_transpose(hi);
    SG_UNROLL(j, 4) v[j] = (vf64){lo[j], hi[j]};
}
SG_INLINE void vf32_store_tile(float *p, ptrdiff_t stride, const vf32 v[4]) {
    __m256 lo[4] = {v[0].lo, v[1].lo, v[2].lo, v[3].lo};
    __m256 hi[4] = {v[0].hi, v[1].hi, v[2].hi, v[3].hi};
    h32_transpose(lo);
    h32_transpose(hi);
    SG_UNROLL(q, 4) _mm_storeu_ps(p + q * stride, _mm256_castps256_ps128(lo[q]));
    SG_UNROLL(q, 4) _mm_storeu_ps(p + (4 + q) * stride, _mm256_extractf128_ps(lo[q], 1));
    SG_UNROLL(q, 4) _mm_storeu_ps(p + (8 + q) * stride, _mm256_castps256_ps128(hi[q]));
    SG_UNROLL(q, 4) _mm_storeu_ps(p + (12 + q) * stride, _mm256_extractf128_ps(hi[q], 1));
}
SG_INLINE void vf64_store_tile(double *p, ptrdiff_t stride, const vf64 v[4]) {
    __m256d lo[4] = {v[0].lo, v[1].lo, v[2].lo, v[3].lo};
    __m256d hi[4] = {v[0].hi, v[1].hi, v[2].hi, v[3].hi};
    h64_transpose(lo);
    h64_transpose(hi);
    SG_UNROLL(q, 4) _mm256_storeu_pd(p + q * stride, lo[q]);
    SG_UNROLL(q, 4) _mm256_storeu_pd(p + (4 + q) * stride, hi[q]);
}

/* Packed rows of one to three elements, by halves, as in avx512.h. */
SG_INLINE __m256 h32_by_three(__m256 a, __m256 b, __m256 c) {
    return _mm256_blend_ps(_mm256_blend_ps(a, b, 0x92), c, 0x24);
}
SG_INLINE __m256d h64_by_three(__m256d a, __m256d b, __m256d c) {
    return _mm256_blend_pd(_mm256_blend_pd(a, b, 0x2), c, 0x4);
}
SG_INLINE __m256
h32_lanes(__m256 a, int plus) { /* lane 3 l + plus modulo 8, the inverse of which is lane 3 (l - plus) */
    const __m256i times3 = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    return _mm256_permutevar8x32_ps(a, _mm256_add_epi32(times3, _mm256_set1_epi32(plus)));
}
SG_INLINE __m256 h32_swap_middle(__m256 a) { /* its quarters */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), 0xd8));
}
SG_INLINE __m256d h64_swap_middle(__m256d a) { return _mm256_permute4x64_pd(a, 0xd8); }
SG_INLINE void h32_load_packed(const float *p, ptrdiff_t n, __m256 v[3]) {
    const __m256 a = _mm256_loadu_ps(p);
    v[0] = v[1] = v[2] = a;
    if (n == 1) return;
    const __m256 b = _mm256_loadu_ps(p + 8);
    if (n == 2) {
        v[0] = h32_swap_middle(_mm256_shuffle_ps(a, b, 0x88));
        v[1] = h32_swap_middle(_mm256_shuffle_ps(a, b, 0xdd));
    } else {
        const __m256 c = _mm256_loadu_ps(p + 16);
        v[0] = h32_lanes(h32_by_three(a, b, c), 0);
        v[1] = h32_lanes(h32_by_three(c, a, b), 1);
        v[2] = h32_lanes(h32_by_three(b, c, a), 2);
    }
}
SG_INLINE void h64_load_packed(const double *p, ptrdiff_t n, __m256d v[3]) {
    const __m256d a = _mm256_loadu_pd(p);
    v[0] = v[1] = v[2] = a;
    if (n == 1) return;
    const __m256d b = _mm256_loadu_pd(p + 4);
    if (n == 2) {
        v[0] = h64_swap_middle(_mm256_unpacklo_pd(a, b));
        v[1] = h64_swap_middle(_mm256_unpackhi_pd(a, b));
    } else {
        const __m256d c = _mm256_loadu_pd(p + 8);
        v[0] = _mm256_permute4x64_pd(h64_by_three(a, c, b), 0x6c); /* lanes 0, 3, 2, 1 */
        v[1] = _mm256_permute4x64_pd(h64_by_three(b, a, c), 0xb1); /* 1, 0, 3, 2 */
        v[2] = _mm256_permute4x64_pd(h64_by_three(c, b, a), 0xc6); /* 2, 1, 0, 3 */
    }
}
SG_INLINE void h32_store_packed(float *p, ptrdiff_t n, const __m256 v[3]) {
    if (n == 1) {
        _mm256_storeu_ps(p, v[0]);
    } else if (n == 2) {
        const __m256 a = h32_swap_middle(v[0]), b = h32_swap_middle(v[1]);
        _mm256_storeu_ps(p, _mm256_unpacklo_ps(a, b));
        _mm256_storeu_ps(p + 8, _mm256_unpackhi_ps(a, b));
    } else {
        const __m256 a = h32_lanes(v[0], 0), b = h32_lanes(v[1], -3), c = h32_lanes(v[2], -6);
        _mm256_storeu_ps(p, h32_by_three(a, b, c));
        _mm256_storeu_ps(p + 8, h32_by_three(c, a, b));
        _mm256_storeu_ps(p + 16, h32_by_three(b, c, a));
    }
}
SG_INLINE void h64_store_packed(double *p, ptrdiff_t n, const __m256d v[3]) {
    if (n == 1) {
        _mm256_storeu_pd(p, v[0]);
    } else if (n == 2) {
        const __m256d a = h64_swap_middle(v[0]), b = h64_swap_middle(v[1]);
        _mm256_storeu_pd(p, _mm256_unpacklo_pd(a, b));
        _mm256_storeu_pd(p + 4, _mm256_unpackhi_pd(a, b));
    } else { /* each of the three permutations is its own inverse */
        const __m256d a = _mm256_permute4x64_pd(v[0], 0x6c), b = _mm256_permute4x64_pd(v[1], 0xb1),
                      c = _mm256_permute4x64_pd(v[2], 0xc6);
        _mm256_storeu_pd(p, h64_by_three(a, b, c));
        _mm256_storeu_pd(p + 4, h64_by_three(b, c, a));
        _mm256_storeu_pd(p + 8, h64_by_three(c, a, b));
    }
}
SG_INLINE void vf32_load_packed(const float *p, ptrdiff_t n, vf32 v[3]) {
    __m256 lo[3], hi[3];
    h32_load_packed(p, n, lo);
    h32_load_packed(p + 8 * n, n, hi);
    SG_UNROLL(j, 3) v[j] = (vf32){lo[j], hi[j]};
}
SG_INLINE void vf64_load_packed(const double *p, ptrdiff_t n, vf64 v[3]) {
    __m256d lo[3], hi[3];
    h64_load_packed(p, n, lo);
    h64_load_packed(p + 4 * n, n, hi);
    SG_UNROLL(j, 3) v[j] = (vf64){lo[j], hi[j]};
}
SG_INLINE void vf32_store_packed(float *p, ptrdiff_t n, const vf32 v[3]) {
    __m256 lo[3], hi[3];
    SG_UNROLL(j, 3) lo[j] = v[j].lo, hi[j] = v[j].hi;
    h32_store_packed(p, n, lo);
    h32_store_packed(p + 8 * n, n, hi);
}
SG_INLINE void vf64_store_packed(double *p, ptrdiff_t n, const vf64 v[3]) {
    __m256d lo[3], hi[3];
    SG_UNROLL(j, 3) lo[j] = v[j].lo, hi[j] = v[j].hi;
    h64_store_packed(p, n, lo);
    h64_store_packed(p + 4 * n, n, hi);
}

/* Arithmetic. maxps returns its second operand where the two are unordered or equal. */
SG_INLINE vf32 vf32_add(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_add_ps, a, b); }
SG_INLINE vf64 vf64_add(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_add_pd, a, b); }
SG_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_sub_ps, a, b); }
SG_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_sub_pd, a, b); }
SG_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_mul_ps, a, b); }
SG_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_mul_pd, a, b); }
SG_INLINE vf32 vf32_div(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_div_ps, a, b); }
SG_INLINE vf64 vf64_div(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_div_pd, a, b); }
SG_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return SG_BOTH3(vf32, _mm256_fmadd_ps, a, b, c); }
SG_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return SG_BOTH3(vf64, _mm256_fmadd_pd, a, b, c); }
SG_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return SG_BOTH3(vf32, _mm256_fnmadd_ps, a, b, c); }
SG_INLINE vf64 vf64_fnma(vf64 a, vf64 b, vf64 c) { return SG_BOTH3(vf64, _mm256_fnmadd_pd, a, b, c); }
SG_INLINE vf32 vf32_max(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_max_ps, a, b); }
SG_INLINE vf64 vf64_max(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_max_pd, a, b); }

SG_INLINE vf32 vf32_min(vf32 a, vf32 b) { return SG_BOTH2(vf32, _mm256_min_ps, a, b); }
SG_INLINE vf64 vf64_min(vf64 a, vf64 b) { return SG_BOTH2(vf64, _mm256_min_pd, a, b); }

/* Bits, first of one register. */
SG_INLINE __m256 h32_shift(__m256 a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
SG_INLINE __m256d h64_shift(__m256d a) {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a), 52));
}
SG_INLINE __m256 h32_scale(__m256 a, const float table[8]) {
    const __m256i b = _mm256_castps_si256(a);
    const __m256 entry = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), b);
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(b, 20)), entry);
}
SG_INLINE __m256d h64_scale(__m256d a, const double table[2]) { /* vpermilpd takes bit 1 */
    const __m256i b = _mm256_castpd_si256(a);
    const __m256d both = _mm256_broadcast_pd((const __m128d *)(const void *)table);
    const __m256d entry = _mm256_permutevar_pd(both, _mm256_slli_epi64(b, 1));
    return _mm256_mul_pd(_mm256_castsi256_pd(_mm256_slli_epi64(b, 51)), entry);
}
SG_INLINE __m256 h32_addbits(__m256 a, __m256 b) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
SG_INLINE __m256d h64_addbits(__m256d a, __m256d b) {
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
}
SG_INLINE __m256 h32_subbits(__m256 a, __m256 b) {
    return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
SG_INLINE __m256d h64_subbits(__m256d a, __m256d b) {
    return _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
}
SG_INLINE __m256 h32_exponent(__m256 a) {
    __m256i b = _mm256_sub_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(0x3f3504f3));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(b, 23));
}
/* No arithmetic shift and no conversion of 64-bit integers: 1024 is added so that the integer is
 * positive, and it becomes the low bits of the double 2^52 + 1024 + exponent. */
SG_INLINE __m256d h64_exponent(__m256d a) {
    __m256i b =
        _mm256_add_epi64(_mm256_castpd_si256(a), _mm256_set1_epi64x((1LL << 62) - 0x3fe6a09e667f3bcdLL));
    __m256d e = _mm256_castsi256_pd(_mm256_srli_epi64(b, 52));
    return _mm256_sub_pd(_mm256_or_pd(e, _mm256_set1_pd(0x1p52)), _mm256_set1_pd(0x1p52 + 1024));
}
SG_INLINE vf32 vf32_shift(vf32 a) { return SG_BOTH1(vf32, h32_shift, a); }
SG_INLINE vf64 vf64_shift(vf64 a) { return SG_BOTH1(vf64, h64_shift, a); }
SG_INLINE vf32 vf32_scale(vf32 a, const float table[8]) {
    return (vf32){h32_scale(a.lo, table), h32_scale(a.hi, table)};
}
SG_INLINE vf64 vf64_scale(vf64 a, const double table[2]) {
    return (vf64){h64_scale(a.lo, table), h64_scale(a.hi, table)};
}
SG_INLINE vf32 vf32_addbits(vf32 a, vf32 b) { return SG_BOTH2(vf32, h32_addbits, a, b); }
SG_INLINE vf64 vf64_addbits(vf64 a, vf64 b) { return SG_BOTH2(vf64, h64_addbits, a, b); }
SG_INLINE vf32 vf32_subbits(vf32 a, vf32 b) { return SG_BOTH2(vf32, h32_subbits, a, b); }
SG_INLINE vf64 vf64_subbits(vf64 a, vf64 b) { return SG_BOTH2(vf64, h64_subbits, a, b); }
/* No instruction, but the compiler takes a for changed here. */
SG_INLINE vf32 vf32_held(vf32 a) {
    __asm__("" : "+x"(a.lo), "+x"(a.hi));
    return a;
}
SG_INLINE vf64 vf64_held(vf64 a) {
    __asm__("" : "+x"(a.lo), "+x"(a.hi));
    return a;
}
SG_INLINE vf32 vf32_exponent(vf32 a) { return SG_BOTH1(vf32, h32_exponent, a); }
SG_INLINE vf64 vf64_exponent(vf64 a) { return SG_BOTH1(vf64, h64_exponent, a); }
SG_INLINE vf32 vf32_xor(vf32 a, int k) {
    switch (k) {
        case 1: return (vf32){_mm256_permute_ps(a.lo, 0xB1), _mm256_permute_ps(a.hi, 0xB1)};
        case 2: return (vf32){_mm256_permute_ps(a.lo, 0x4E), _mm256_permute_ps(a.hi, 0x4E)};
        case 4: return (vf32){_mm256_permute2f128_ps(a.lo, a.lo, 1), _mm256_permute2f128_ps(a.hi, a.hi, 1)};
        default: return (vf32){a.hi, a.lo};
    }
}
SG_INLINE vf64 vf64_xor(vf64 a, int k) {
    switch (k) {
        case 1: return (vf64){_mm256_permute_pd(a.lo, 5), _mm256_permute_pd(a.hi, 5)};
        case 2: return (vf64){_mm256_permute2f128_pd(a.lo, a.lo, 1), _mm256_permute2f128_pd(a.hi, a.hi, 1)};
        default: return (vf64){a.hi, a.lo};
    }
}
SG_INLINE void vf32_partners(int k, vf32 a, vf32 b, vf32 *x, vf32 *y) {
    switch (k) {
        case 1:
            x->lo = _mm256_blend_ps(a.lo, _mm256_moveldup_ps(b.lo), 0xAA);
            x->hi = _mm256_blend_ps(a.hi, _mm256_moveldup_ps(b.hi), 0xAA);
            y->lo = _mm256_blend_ps(_mm256_movehdup_ps(a.lo), b.lo, 0xAA);
            y->hi = _mm256_blend_ps(_mm256_movehdup_ps(a.hi), b.hi, 0xAA);
            break;
        case 2:
            *x = (vf32){_mm256_shuffle_ps(a.lo, b.lo, 0x44), _mm256_shuffle_ps(a.hi, b.hi, 0x44)};
            *y = (vf32){_mm256_shuffle_ps(a.lo, b.lo, 0xEE), _mm256_shuffle_ps(a.hi, b.hi, 0xEE)};
            break;
        case 4:
            x->lo = _mm256_permute2f128_ps(a.lo, b.lo, 0x20);
            x->hi = _mm256_permute2f128_ps(a.hi, b.hi, 0x20);
            y->lo = _mm256_permute2f128_ps(a.lo, b.lo, 0x31);
            y->hi = _mm256_permute2f128_ps(a.hi, b.hi, 0x31);
            break;
        default: *x = (vf32){a.lo, b.lo}, *y = (vf32){a.hi, b.hi};
    }
}
SG_INLINE void vf64_partners(int k, vf64 a, vf64 b, vf64 *x, vf64 *y) {
    switch (k) {
        case 1:
            *x = (vf64){_mm256_unpacklo_pd(a.lo, b.lo), _mm256_unpacklo_pd(a.hi, b.hi)};
            *y = (vf64){_mm256_unpackhi_pd(a.lo, b.lo), _mm256_unpackhi_pd(a.hi, b.hi)};
            break;
        case 2:
            x->lo = _mm256_permute2f128_pd(a.lo, b.lo, 0x20);
            x->hi = _mm256_permute2f128_pd(a.hi, b.hi, 0x20);
            y->lo = _mm256_permute2f128_pd(a.lo, b.lo, 0x31);
            y->hi = _mm256_permute2f128_pd(a.hi, b.hi, 0x31);
            break;
        default: *x = (vf64){a.lo, b.lo}, *y = (vf64){a.hi, b.hi};
    }
}

/* Masks. */
SG_INLINE __m256 h32_lt(__m256 a, __m256 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
SG_INLINE __m256d h64_lt(__m256d a, __m256d b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
SG_INLINE __m256 h32_eq(__m256 a, __m256 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
SG_INLINE __m256d h64_eq(__m256d a, __m256d b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
SG_INLINE mf32 vf32_lt(vf32 a, vf32 b) { return SG_BOTH2(mf32, h32_lt, a, b); }
SG_INLINE mf64 vf64_lt(vf64 a, vf64 b) { return SG_BOTH2(mf64, h64_lt, a, b); }
SG_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return SG_BOTH2(mf32, h32_eq, a, b); }
SG_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return SG_BOTH2(mf64, h64_eq, a, b); }
SG_INLINE __m256 h32_nlt(__m256 a, __m256 b) { return _mm256_cmp_ps(a, b, _CMP_NLT_UQ); }
SG_INLINE __m256d h64_nlt(__m256d a, __m256d b) { return _mm256_cmp_pd(a, b, _CMP_NLT_UQ); }
SG_INLINE mf32 vf32_nlt(vf32 a, vf32 b) { return SG_BOTH2(mf32, h32_nlt, a, b); }
SG_INLINE mf64 vf64_nlt(vf64 a, vf64 b) { return SG_BOTH2(mf64, h64_nlt, a, b); }
/* a + (b or 0): the same bits but for a = -0, which VOCABULARY.md excludes */
SG_INLINE __m256 h32_add_if(__m256 m, __m256 a, __m256 b) { return _mm256_add_ps(a, _mm256_and_ps(m, b)); }
SG_INLINE __m256d h64_add_if(__m256d m, __m256d a, __m256d b) {
    return _mm256_add_pd(a, _mm256_and_pd(m, b));
}
SG_INLINE vf32 vf32_add_if(mf32 m, vf32 a, vf32 b) { return SG_BOTH3(vf32, h32_add_if, m, a, b); }
SG_INLINE vf64 vf64_add_if(mf64 m, vf64 a, vf64 b) { return SG_BOTH3(vf64, h64_add_if, m, a, b); }
SG_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return SG_BOTH3(vf32, _mm256_blendv_ps, b, a, m); }
SG_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return SG_BOTH3(vf64, _mm256_blendv_pd, b, a, m); }
SG_INLINE mf32 mf32_and(mf32 a, mf32 b) { return SG_BOTH2(mf32, _mm256_and_ps, a, b); }
SG_INLINE mf64 mf64_and(mf64 a, mf64 b) { return SG_BOTH2(mf64, _mm256_and_pd, a, b); }
SG_INLINE mf32 mf32_or(mf32 a, mf32 b) { return SG_BOTH2(mf32, _mm256_or_ps, a, b); }
SG_INLINE mf64 mf64_or(mf64 a, mf64 b) { return SG_BOTH2(mf64, _mm256_or_pd, a, b); }
SG_INLINE mf32 mf32_not(mf32 a) {
    __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    return (mf32){_mm256_xor_ps(a.lo, ones), _mm256_xor_ps(a.hi, ones)};
}
SG_INLINE mf64 mf64_not(mf64 a) {
    __m256d ones = _mm256_castsi256_pd(_mm256_set1_epi32(-1));
    return (mf64){_mm256_xor_pd(a.lo, ones), _mm256_xor_pd(a.hi, ones)};
}
SG_INLINE int mf32_any(mf32 m) { return _mm256_movemask_ps(_mm256_or_ps(m.lo, m.hi)); }
SG_INLINE int mf64_any(mf64 m) { return _mm256_movemask_pd(_mm256_or_pd(m.lo, m.hi)); }

/* Between the two types. */
SG_INLINE vf64 h32_widen(__m256 a) {
    return (vf64){_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
SG_INLINE mf64 h32_widen_mask(__m256 m) {
    __m256i a = _mm256_castps_si256(m);
    return (mf64){_mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(a))),
                  _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1)))};
}
SG_INLINE __m256 h32_narrow(vf64 a) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a.lo)), _mm256_cvtpd_ps(a.hi), 1);
}
SG_INLINE vf64 vf32_low(vf32 a) { return h32_widen(a.lo); }
SG_INLINE vf64 vf32_high(vf32 a) { return h32_widen(a.hi); }
SG_INLINE vf32 vf32_narrow(vf64 low, vf64 high) { return (vf32){h32_narrow(low), h32_narrow(high)}; }
SG_INLINE vf64 h32_widen_int(__m256 a) {
    __m256i i = _mm256_castps_si256(a);
    return (vf64){_mm256_cvtepi32_pd(_mm256_castsi256_si128(i)),
                  _mm256_cvtepi32_pd(_mm256_extracti128_si256(i, 1))};
}
SG_INLINE vf64 vf32_int_low(vf32 a) { return h32_widen_int(a.lo); }
SG_INLINE vf64 vf32_int_high(vf32 a) { return h32_widen_int(a.hi); }
SG_INLINE vf64 vf64_of_int64(const int64_t *p) {
    return (vf64){_mm256_setr_pd((double)p[0], (double)p[1], (double)p[2], (double)p[3]),
                  _mm256_setr_pd((double)p[4], (double)p[5], (double)p[6], (double)p[7])};
}
SG_INLINE vf32 vf32_of_int64(const int64_t *p) { return vf32_narrow(vf64_of_int64(p), vf64_of_int64(p + 8)); }
SG_INLINE mf64 mf32_low(mf32 m) { return h32_widen_mask(m.lo); }
SG_INLINE mf64 mf32_high(mf32 m) { return h32_widen_mask(m.hi); }

#undef SG_BOTH1
#undef SG_BOTH2
#undef SG_BOTH3

/* Half precision. */
SG_INLINE __m256 h32_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
SG_INLINE __m128i h32_to_f16(__m256 a) {
    return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
SG_INLINE __m256 h32_load_bf16(const uint16_t *p) {
    __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
}
SG_INLINE __m256i h32_round_bf16(__m256 a) {
    __m256i b = _mm256_castps_si256(a), high = _mm256_srli_epi32(b, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    b = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(b, odd), _mm256_set1_epi32(0x7fff)), 16);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(b, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
}
SG_INLINE vf32 vf32_load_f16(const uint16_t *p) { return (vf32){h32_load_f16(p), h32_load_f16(p + 8)}; }
SG_INLINE void vf32_store_f16(uint16_t *p, vf32 a) {
    _mm_storeu_si128((__m128i *)(void *)p, h32_to_f16(a.lo));
    _mm_storeu_si128((__m128i *)(void *)(p + 8), h32_to_f16(a.hi));
}
SG_INLINE vf32 vf32_load_bf16(const uint16_t *p) { return (vf32){h32_load_bf16(p), h32_load_bf16(p + 8)}; }
SG_INLINE void vf32_store_bf16(uint16_t *p, vf32 a) {
    /* packing works on halves of 128 bits: low of lo, low of hi, high of lo, high of hi */
    __m256i both = _mm256_packus_epi32(h32_round_bf16(a.lo), h32_round_bf16(a.hi));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(both, 0xD8));
}

/* Both registers to the first: sums take half as many. */
SG_INLINE vf32 vf32_join(vf32 s, vf32 a) {
    return (vf32){_mm256_add_ps(_mm256_add_ps(s.lo, a.lo), a.hi), s.hi};
}
SG_INLINE vf64 vf64_join(vf64 s, vf64 a) {
    return (vf64){_mm256_add_pd(_mm256_add_pd(s.lo, a.lo), a.hi), s.hi};
}
SG_INLINE vf32 vf32_joinbits(vf32 s, vf32 a) {
    return (vf32){h32_addbits(h32_addbits(s.lo, a.lo), a.hi), s.hi};
}
SG_INLINE vf64 vf64_joinbits(vf64 s, vf64 a) {
    return (vf64){h64_addbits(h64_addbits(s.lo, a.lo), a.hi), s.hi};
}
SG_INLINE vf32 vf32_joinfma(vf32 a, vf32 b, vf32 s) {
    return (vf32){_mm256_fmadd_ps(a.hi, b.hi, _mm256_fmadd_ps(a.lo, b.lo, s.lo)), s.hi};
}
SG_INLINE vf64 vf64_joinfma(vf64 a, vf64 b, vf64 s) {
    return (vf64){_mm256_fmadd_pd(a.hi, b.hi, _mm256_fmadd_pd(a.lo, b.lo, s.lo)), s.hi};
}

#endif
