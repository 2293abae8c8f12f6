/* avx512.h - the vocabulary on AVX-512 (F, VL, DQ, BW): one register a vector. The words are
 * described in VOCABULARY.md. Included inside a target region, after immintrin.h. */
#ifndef SG_SIMD_AVX512_H
#define SG_SIMD_AVX512_H

/* Vectors that exponentials are computed for side by side: 32 registers of one vector. */
enum { SG_SIDE_BY_SIDE = 4 };
enum { SG_OVERLAPS = 0 };
enum { SG_STREAMS = 1 };
enum { SG_LOOKS_AHEAD = 1 };
enum { SG_POSTPONES = 1 };
/* softmax_vjp (300, 1000) on Zen 4, vector by vector: 60 us without, 73 with. */
enum { SG_TAKES_TURNS = 0 };
enum { SG_HAS_FMA = 1 };

typedef __m512 vf32;
typedef __m512d vf64;
typedef __mmask16 mf32;
typedef __mmask8 mf64;

/* Loads and stores. */
SG_INLINE mf32 mf32_below(int n) { return (mf32)((1U << n) - 1U); }
SG_INLINE mf64 mf64_below(int n) { return (mf64)((1U << n) - 1U); }

SG_INLINE vf32 vf32_set1(float a) { return _mm512_set1_ps(a); }
SG_INLINE vf64 vf64_set1(double a) { return _mm512_set1_pd(a); }
SG_INLINE vf32 vf32_iota(void) {
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
SG_INLINE vf64 vf64_iota(void) { return _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7); }
SG_INLINE vf32 vf32_load(const float *p) { return _mm512_loadu_ps(p); }
SG_INLINE vf64 vf64_load(const double *p) { return _mm512_loadu_pd(p); }
SG_INLINE void vf32_store(float *p, vf32 a) { _mm512_storeu_ps(p, a); }
SG_INLINE void vf64_store(double *p, vf64 a) { _mm512_storeu_pd(p, a); }
SG_INLINE void vf32_stream(float *p, vf32 a) { _mm512_stream_ps(p, a); }
SG_INLINE void vf64_stream(double *p, vf64 a) { _mm512_stream_pd(p, a); }
SG_INLINE vf32 vf32_load_n(const float *p, int n, float fill) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mf32_below(n), p);
}
SG_INLINE vf64 vf64_load_n(const double *p, int n, double fill) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), mf64_below(n), p);
}
SG_INLINE void vf32_store_n(float *p, vf32 a, int n) { _mm512_mask_storeu_ps(p, mf32_below(n), a); }
SG_INLINE void vf64_store_n(double *p, vf64 a, int n) { _mm512_mask_storeu_pd(p, mf64_below(n), a); }

/* Tiles of float: row 4g + q goes to 128-bit lane g of register q, so that a 4 x 4 transposition inside the
 * 128-bit lanes brings the rows out in order. Addresses go from four rows to the next four: gcc makes sixteen of sixteen products. */
SG_INLINE vf32 vf32_gather_rows(const float *p, ptrdiff_t four) {
    __m512 a = _mm512_castps128_ps512(_mm_loadu_ps(p));
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p + four), 1);
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 2 * four), 2);
    return _mm512_insertf32x4(a, _mm_loadu_ps(p + 3 * four), 3);
}
SG_INLINE void vf32_transpose(const vf32 a[4], vf32 v[4]) {
    __m512d lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(a[0], a[1]));
    __m512d hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(a[0], a[1]));
    __m512d lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(a[2], a[3]));
    __m512d hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(a[2], a[3]));
    v[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23));
    v[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23));
    v[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23));
    v[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23));
}
SG_INLINE void vf32_load_tile(const float *p, ptrdiff_t stride, vf32 v[4]) {
    vf32 a[4];
    SG_UNROLL(q, 4) a[q] = vf32_gather_rows(p + q * stride, 4 * stride);
    vf32_transpose(a, v);
}
SG_INLINE void vf32_store_four_rows(float *p, ptrdiff_t stride, __m128 a, __m128 b, __m128 c, __m128 d) {
    _mm_storeu_ps(p, a);
    _mm_storeu_ps(p + stride, b);
    _mm_storeu_ps(p + 2 * stride, c);
    _mm_storeu_ps(p + 3 * stride, d);
}
#define SG_STORE_FOUR_ROWS(g)                                                              \
    vf32_store_four_rows(p + 4 * g * stride, stride, _mm512_extractf32x4_ps(a[0], g),      \
                         _mm512_extractf32x4_ps(a[1], g), _mm512_extractf32x4_ps(a[2], g), \
                         _mm512_extractf32x4_ps(a[3], g))
SG_INLINE void vf32_store_tile(float *p, ptrdiff_t stride, const vf32 v[4]) {
    vf32 a[4];
    vf32_transpose(v, a);
    SG_STORE_FOUR_ROWS(0);
    SG_STORE_FOUR_ROWS(1);
    SG_STORE_FOUR_ROWS(2);
    SG_STORE_FOUR_ROWS(3);
}
#undef SG_STORE_FOUR_ROWS
/* Of double: two rows a register, two apart. */
SG_INLINE vf64 vf64_two_rows(const double *p, ptrdiff_t stride) {
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(p)), _mm256_loadu_pd(p + 2 * stride), 1);
}
SG_INLINE void vf64_load_tile(const double *p, ptrdiff_t stride, vf64 v[4]) {
    const vf64 a = vf64_two_rows(p, stride), b = vf64_two_rows(p + stride, stride);
    p += 4 * stride;
    const vf64 c = vf64_two_rows(p, stride), d = vf64_two_rows(p + stride, stride);
    const vf64 ab_even = _mm512_unpacklo_pd(a, b), ab_odd = _mm512_unpackhi_pd(a, b);
    const vf64 cd_even = _mm512_unpacklo_pd(c, d), cd_odd = _mm512_unpackhi_pd(c, d);
    v[0] = _mm512_shuffle_f64x2(ab_even, cd_even, 0x88);
    v[1] = _mm512_shuffle_f64x2(ab_odd, cd_odd, 0x88);
    v[2] = _mm512_shuffle_f64x2(ab_even, cd_even, 0xdd);
    v[3] = _mm512_shuffle_f64x2(ab_odd, cd_odd, 0xdd);
}
SG_INLINE void vf64_store_four_rows(double *p, ptrdiff_t stride, vf64 a, vf64 b) {
    _mm256_storeu_pd(p, _mm512_castpd512_pd256(a));
    _mm256_storeu_pd(p + stride, _mm512_castpd512_pd256(b));
    _mm256_storeu_pd(p + 2 * stride, _mm512_extractf64x4_pd(a, 1));
    _mm256_storeu_pd(p + 3 * stride, _mm512_extractf64x4_pd(b, 1));
}
SG_INLINE void vf64_store_tile(double *p, ptrdiff_t stride, const vf64 v[4]) {
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
                  last = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    const vf64 even01 = _mm512_unpacklo_pd(v[0], v[1]), even23 = _mm512_unpacklo_pd(v[2], v[3]);
    const vf64 odd01 = _mm512_unpackhi_pd(v[0], v[1]), odd23 = _mm512_unpackhi_pd(v[2], v[3]);
    vf64_store_four_rows(p, stride, _mm512_permutex2var_pd(even01, first, even23),
                         _mm512_permutex2var_pd(odd01, first, odd23));
    vf64_store_four_rows(p + 4 * stride, stride, _mm512_permutex2var_pd(even01, last, even23),
                         _mm512_permutex2var_pd(odd01, last, odd23));
}

/* Packed rows of one to three elements. Of three vectors with rows of three the elements of a column are all in different lanes: two blends,
 * by the lane's remainder of 3, and a permutation, of lane l to 3 l + j, or back to (l - j) / 3 modulo the number of lanes. */
SG_INLINE __m512i z32_lanes(int times, int plus) {
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32(times)), _mm512_set1_epi32(plus));
}
SG_INLINE __m512i z64_lanes(int times, int plus) {
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi64(_mm512_mullo_epi64(lane, _mm512_set1_epi64(times)), _mm512_set1_epi64(plus));
}
SG_INLINE vf32 vf32_by_three(vf32 a, vf32 b, vf32 c) {
    return _mm512_mask_blend_ps(0x4924, _mm512_mask_blend_ps(0x2492, a, b), c);
}
SG_INLINE vf64 vf64_by_three(vf64 a, vf64 b, vf64 c) {
    return _mm512_mask_blend_pd(0x24, _mm512_mask_blend_pd(0x92, a, b), c);
}
SG_INLINE void vf32_load_packed(const float *p, ptrdiff_t n, vf32 v[3]) {
    const vf32 a = vf32_load(p);
    if (n == 1) {
        v[0] = a;
        return;
    }
    const vf32 b = vf32_load(p + 16);
    if (n == 2) {
        v[0] = _mm512_permutex2var_ps(a, z32_lanes(2, 0), b);
        v[1] = _mm512_permutex2var_ps(a, z32_lanes(2, 1), b);
        return;
    }
    const vf32 c = vf32_load(p + 32);
    v[0] = _mm512_permutexvar_ps(z32_lanes(3, 0), vf32_by_three(a, c, b));
    v[1] = _mm512_permutexvar_ps(z32_lanes(3, 1), vf32_by_three(b, a, c));
    v[2] = _mm512_permutexvar_ps(z32_lanes(3, 2), vf32_by_three(c, b, a));
}
SG_INLINE void vf64_load_packed(const double *p, ptrdiff_t n, vf64 v[3]) {
    const vf64 a = vf64_load(p);
    if (n == 1) {
        v[0] = a;
        return;
    }
    const vf64 b = vf64_load(p + 8);
    if (n == 2) {
        v[0] = _mm512_permutex2var_pd(a, z64_lanes(2, 0), b);
        v[1] = _mm512_permutex2var_pd(a, z64_lanes(2, 1), b);
        return;
    }
    const vf64 c = vf64_load(p + 16);
    v[0] = _mm512_permutexvar_pd(z64_lanes(3, 0), vf64_by_three(a, b, c));
    v[1] = _mm512_permutexvar_pd(z64_lanes(3, 1), vf64_by_three(c, a, b));
    v[2] = _mm512_permutexvar_pd(z64_lanes(3, 2), vf64_by_three(b, c, a));
}
SG_INLINE void vf32_store_packed(float *p, ptrdiff_t n, const vf32 v[3]) {
    if (n == 1) {
        vf32_store(p, v[0]);
    } else if (n == 2) {
        const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        vf32_store(p, _mm512_permutex2var_ps(v[0], low, v[1]));
        vf32_store(p + 16, _mm512_permutex2var_ps(v[0], _mm512_add_epi32(low, _mm512_set1_epi32(8)), v[1]));
    } else { /* 3 * 11 is 1 modulo 16 */
        const vf32 a = _mm512_permutexvar_ps(z32_lanes(11, 0), v[0]),
                   b = _mm512_permutexvar_ps(z32_lanes(11, -11), v[1]),
                   c = _mm512_permutexvar_ps(z32_lanes(11, -22), v[2]);
        vf32_store(p, vf32_by_three(a, b, c));
        vf32_store(p + 16, vf32_by_three(b, c, a));
        vf32_store(p + 32, vf32_by_three(c, a, b));
    }
}
SG_INLINE void vf64_store_packed(double *p, ptrdiff_t n, const vf64 v[3]) {
    if (n == 1) {
        vf64_store(p, v[0]);
    } else if (n == 2) {
        const __m512i low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
        vf64_store(p, _mm512_permutex2var_pd(v[0], low, v[1]));
        vf64_store(p + 8, _mm512_permutex2var_pd(v[0], _mm512_add_epi64(low, _mm512_set1_epi64(4)), v[1]));
    } else { /* 3 * 3 is 1 modulo 8 */
        const vf64 a = _mm512_permutexvar_pd(z64_lanes(3, 0), v[0]),
                   b = _mm512_permutexvar_pd(z64_lanes(3, -3), v[1]),
                   c = _mm512_permutexvar_pd(z64_lanes(3, -6), v[2]);
        vf64_store(p, vf64_by_three(a, b, c));
        vf64_store(p + 8, vf64_by_three(c, a, b));
        vf64_store(p + 16, vf64_by_three(b, c, a));
    }
}

/* Arithmetic. maxps returns its second operand where the two are unordered or equal. */
SG_INLINE vf32 vf32_add(vf32 a, vf32 b) { return _mm512_add_ps(a, b); }
SG_INLINE vf64 vf64_add(vf64 a, vf64 b) { return _mm512_add_pd(a, b); }
SG_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return _mm512_sub_ps(a, b); }
SG_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return _mm512_sub_pd(a, b); }
SG_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return _mm512_mul_ps(a, b); }
SG_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return _mm512_mul_pd(a, b); }
SG_INLINE vf32 vf32_div(vf32 a, vf32 b) { return _mm512_div_ps(a, b); }
SG_INLINE vf64 vf64_div(vf64 a, vf64 b) { return _mm512_div_pd(a, b); }
SG_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return _mm512_fmadd_ps(a, b, c); }
SG_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return _mm512_fmadd_pd(a, b, c); }
SG_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return _mm512_fnmadd_ps(a, b, c); }
SG_INLINE vf64 vf64_fnma(vf64 a, vf64 b, vf64 c) { return _mm512_fnmadd_pd(a, b, c); }
SG_INLINE vf32 vf32_max(vf32 a, vf32 b) { return _mm512_max_ps(a, b); }
SG_INLINE vf64 vf64_max(vf64 a, vf64 b) { return _mm512_max_pd(a, b); }

SG_INLINE vf32 vf32_min(vf32 a, vf32 b) { return _mm512_min_ps(a, b); }
SG_INLINE vf64 vf64_min(vf64 a, vf64 b) { return _mm512_min_pd(a, b); }

/* Bits. */
SG_INLINE vf32 vf32_shift(vf32 a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
}
SG_INLINE vf64 vf64_shift(vf64 a) {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a), 52));
}
SG_INLINE vf32 vf32_scale(vf32 a, const float table[8]) {
    const __m512i b = _mm512_castps_si512(a);
    const __m512 entry = _mm512_permutexvar_ps(b, _mm512_broadcast_f32x8(_mm256_loadu_ps(table)));
    return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(b, 20)), entry);
}
SG_INLINE vf64 vf64_scale(vf64 a, const double table[2]) { /* vpermilpd takes bit 1 */
    const __m512i b = _mm512_castpd_si512(a);
    const __m512d entry =
        _mm512_permutevar_pd(_mm512_broadcast_f64x2(_mm_loadu_pd(table)), _mm512_slli_epi64(b, 1));
    return _mm512_mul_pd(_mm512_castsi512_pd(_mm512_slli_epi64(b, 51)), entry);
}
SG_INLINE vf32 vf32_addbits(vf32 a, vf32 b) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
SG_INLINE vf64 vf64_addbits(vf64 a, vf64 b) {
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
}
SG_INLINE vf32 vf32_subbits(vf32 a, vf32 b) {
    return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
SG_INLINE vf64 vf64_subbits(vf64 a, vf64 b) {
    return _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
}
SG_INLINE vf32 vf32_held(vf32 a) { return a; }
SG_INLINE vf64 vf64_held(vf64 a) { return a; }
SG_INLINE vf32 vf32_exponent(vf32 a) {
    __m512i b = _mm512_sub_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x3f3504f3));
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(b, 23));
}
SG_INLINE vf64 vf64_exponent(vf64 a) {
    __m512i b = _mm512_sub_epi64(_mm512_castpd_si512(a), _mm512_set1_epi64(0x3fe6a09e667f3bcd));
    return _mm512_cvtepi64_pd(_mm512_srai_epi64(b, 52));
}
SG_INLINE vf32 vf32_xor(vf32 a, int k) {
    switch (k) {
        case 1: return _mm512_permute_ps(a, 0xB1);
        case 2: return _mm512_permute_ps(a, 0x4E);
        case 4: return _mm512_shuffle_f32x4(a, a, 0xB1);
        default: return _mm512_shuffle_f32x4(a, a, 0x4E);
    }
}
SG_INLINE vf64 vf64_xor(vf64 a, int k) {
    switch (k) {
        case 1: return _mm512_permute_pd(a, 0x55);
        case 2: return _mm512_shuffle_f64x2(a, a, 0xB1);
        default: return _mm512_shuffle_f64x2(a, a, 0x4E);
    }
}
SG_INLINE void vf32_partners(int k, vf32 a, vf32 b, vf32 *x, vf32 *y) {
    switch (k) {
        case 1:
            *x = _mm512_mask_moveldup_ps(a, 0xAAAA, b);
            *y = _mm512_mask_movehdup_ps(b, 0x5555, a);
            break;
        case 2:
            *x = _mm512_shuffle_ps(a, b, 0x44);
            *y = _mm512_shuffle_ps(a, b, 0xEE);
            break;
        case 4:
            *x = _mm512_mask_shuffle_f32x4(a, 0xF0F0, b, b, 0xA0);
            *y = _mm512_mask_shuffle_f32x4(b, 0x0F0F, a, a, 0xF5);
            break;
        default: *x = _mm512_shuffle_f32x4(a, b, 0x44), *y = _mm512_shuffle_f32x4(a, b, 0xEE);
    }
}
SG_INLINE void vf64_partners(int k, vf64 a, vf64 b, vf64 *x, vf64 *y) {
    switch (k) {
        case 1:
            *x = _mm512_unpacklo_pd(a, b);
            *y = _mm512_unpackhi_pd(a, b);
            break;
        case 2:
            *x = _mm512_mask_shuffle_f64x2(a, 0xCC, b, b, 0xA0);
            *y = _mm512_mask_shuffle_f64x2(b, 0x33, a, a, 0xF5);
            break;
        default: *x = _mm512_shuffle_f64x2(a, b, 0x44), *y = _mm512_shuffle_f64x2(a, b, 0xEE);
    }
}

/* Masks. */
SG_INLINE mf32 vf32_lt(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SG_INLINE mf64 vf64_lt(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
SG_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SG_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
SG_INLINE mf32 vf32_nlt(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ); }
SG_INLINE mf64 vf64_nlt(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ); }
SG_INLINE vf32 vf32_add_if(mf32 m, vf32 a, vf32 b) { return _mm512_mask_add_ps(a, m, a, b); }
SG_INLINE vf64 vf64_add_if(mf64 m, vf64 a, vf64 b) { return _mm512_mask_add_pd(a, m, a, b); }
SG_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return _mm512_mask_blend_ps(m, b, a); }
SG_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return _mm512_mask_blend_pd(m, b, a); }
SG_INLINE mf32 mf32_and(mf32 a, mf32 b) { return (mf32)(a & b); }
SG_INLINE mf64 mf64_and(mf64 a, mf64 b) { return (mf64)(a & b); }
SG_INLINE mf32 mf32_or(mf32 a, mf32 b) { return (mf32)(a | b); }
SG_INLINE mf64 mf64_or(mf64 a, mf64 b) { return (mf64)(a | b); }
SG_INLINE mf32 mf32_not(mf32 a) { return (mf32)~a; }
SG_INLINE mf64 mf64_not(mf64 a) { return (mf64)~a; }
SG_INLINE int mf32_any(mf32 m) { return m != 0; }
SG_INLINE int mf64_any(mf64 m) { return m != 0; }

/* Between the two types. */
SG_INLINE vf64 vf32_low(vf32 a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
SG_INLINE vf64 vf32_high(vf32 a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
SG_INLINE vf32 vf32_narrow(vf64 low, vf64 high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}
SG_INLINE vf64 vf32_int_low(vf32 a) {
    return _mm512_cvtepi32_pd(_mm512_castsi512_si256(_mm512_castps_si512(a)));
}
SG_INLINE vf64 vf32_int_high(vf32 a) {
    return _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), 1));
}
SG_INLINE vf64 vf64_of_int64(const int64_t *p) { return _mm512_cvtepi64_pd(_mm512_loadu_si512(p)); }
SG_INLINE vf32 vf32_of_int64(const int64_t *p) { return vf32_narrow(vf64_of_int64(p), vf64_of_int64(p + 8)); }
SG_INLINE mf64 mf32_low(mf32 m) { return (mf64)m; }
SG_INLINE mf64 mf32_high(mf32 m) { return (mf64)(m >> 8); }

/* Half precision. (The instruction for bfloat16 of AVX512_BF16 takes subnormal numbers for 0.) */
SG_INLINE vf32 vf32_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* with a mask of ones: the form without is a macro at -O0, in which GCC 12 converts -1 to a mask, with a warning */
SG_INLINE void vf32_store_f16(uint16_t *p, vf32 a) {
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_maskz_cvtps_ph(0xffff, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* To the upper halves of floats by one shuffle, which leaves zeros below. */
SG_INLINE vf32 vf32_load_bf16(const uint16_t *p) {
    const __m512i twice = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7, 0, 6, 0,
                                           5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);
    const __m512i b = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, twice, b));
}
/* Half an ulp is added, or just less where the last bit that stays is 0. NaN, which that may have made an infinity or a zero, is put back,
 * quiet. (At -O0 _mm512_fixupimm_ps is a macro, in which GCC 12 converts its own mask of ones, with a warning.) */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
SG_INLINE void vf32_store_bf16(uint16_t *p, vf32 a) {
    const __m512i high_halves = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29, 27,
                                                 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i b = _mm512_castps_si512(a), quiet_nan = _mm512_set1_epi32(0x22);
    const __mmask16 odd = _mm512_test_epi32_mask(b, _mm512_set1_epi32(0x10000));
    __m512i sum = _mm512_add_epi32(b, _mm512_set1_epi32(0x7fff));
    sum = _mm512_mask_sub_epi32(sum, odd, sum, _mm512_set1_epi32(-1));
    sum = _mm512_castps_si512(_mm512_fixupimm_ps(_mm512_castsi512_ps(sum), a, quiet_nan, 0));
    sum = _mm512_permutexvar_epi16(high_halves, sum);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_castsi512_si256(sum));
}
#pragma GCC diagnostic pop

#include "one_register.h"

#endif
