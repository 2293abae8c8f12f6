/* neon.h - the vocabulary on NEON (AArch64): four registers a vector. The words are described in
 * VOCABULARY.md. Included after arm_neon.h; AArch64 needs no target region. */
#ifndef SG_SIMD_NEON_H
#define SG_SIMD_NEON_H

/* Vectors that exponentials are computed for side by side: 32 registers of a quarter of a vector. */
enum { SG_SIDE_BY_SIDE = 2 };
enum { SG_OVERLAPS = 0 };
/* Not measured. */
enum { SG_STREAMS = 0 };
enum { SG_LOOKS_AHEAD = 0 };
enum { SG_POSTPONES = 0 };
enum { SG_TAKES_TURNS = 0 };
enum { SG_HAS_FMA = 1 };

typedef struct { float32x4_t a, b, c, d; } vf32;
typedef struct { float64x2_t a, b, c, d; } vf64;
typedef struct { uint32x4_t a, b, c, d; } mf32; /* a lane is all ones or all zeros */
typedef struct { uint64x2_t a, b, c, d; } mf64;

/* An operation on each quarter, for one, two and three operands. */
#define SG_EACH1(T, op, x) ((T){op((x).a), op((x).b), op((x).c), op((x).d)})
#define SG_EACH2(T, op, x, y) ((T){op((x).a, (y).a), op((x).b, (y).b), op((x).c, (y).c), op((x).d, (y).d)})
#define SG_EACH3(T, op, x, y, z) \
    ((T){op((x).a, (y).a, (z).a), op((x).b, (y).b, (z).b), op((x).c, (y).c, (z).c), op((x).d, (y).d, (z).d)})

/* Loads and stores. */
SG_INLINE vf32 vf32_set1(float x) {
    float32x4_t q = vdupq_n_f32(x);
    return (vf32){q, q, q, q};
}
SG_INLINE vf64 vf64_set1(double x) {
    float64x2_t q = vdupq_n_f64(x);
    return (vf64){q, q, q, q};
}
SG_INLINE vf32 vf32_load(const float *p) {
    return (vf32){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
SG_INLINE vf64 vf64_load(const double *p) {
    return (vf64){vld1q_f64(p), vld1q_f64(p + 2), vld1q_f64(p + 4), vld1q_f64(p + 6)};
}
SG_INLINE vf32 vf32_iota(void) {
    const float lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vf32_load(lane);
}
SG_INLINE vf64 vf64_iota(void) {
    const double lane[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    return vf64_load(lane);
}
SG_INLINE void vf32_store(float *p, vf32 x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
SG_INLINE void vf64_store(double *p, vf64 x) {
    vst1q_f64(p, x.a);
    vst1q_f64(p + 2, x.b);
    vst1q_f64(p + 4, x.c);
    vst1q_f64(p + 6, x.d);
}

/* Tails: n / 4 (n / 2) whole quarters, then the first n % 4 (n % 2) lanes of the next. */
SG_INLINE float32x4_t q32_load_n(const float *p, int n, float32x4_t fill) {
    if (n & 2) {
        fill = vcombine_f32(vld1_f32(p), vget_high_f32(fill));
        return n & 1 ? vld1q_lane_f32(p + 2, fill, 2) : fill;
    }
    return n & 1 ? vld1q_lane_f32(p, fill, 0) : fill;
}
SG_INLINE float64x2_t q64_load_n(const double *p, int n, float64x2_t fill) {
    return n & 1 ? vld1q_lane_f64(p, fill, 0) : fill;
}
SG_INLINE void q32_store_n(float *p, float32x4_t x, int n) {
    if (n & 2) {
        vst1_f32(p, vget_low_f32(x));
        if (n & 1) vst1q_lane_f32(p + 2, x, 2);
    } else if (n & 1) {
        vst1q_lane_f32(p, x, 0);
    }
}
SG_INLINE void q64_store_n(double *p, float64x2_t x, int n) {
    if (n & 1) vst1q_lane_f64(p, x, 0);
}
SG_INLINE void vf32_stream(float *p, vf32 a) { vf32_store(p, a); }
SG_INLINE void vf64_stream(double *p, vf64 a) { vf64_store(p, a); }
SG_INLINE vf32 vf32_load_n(const float *p, int n, float fill) {
    float32x4_t f = vdupq_n_f32(fill), part = q32_load_n(p + (n & ~3), n & 3, f);
    switch (n / 4) {
        case 0: return (vf32){part, f, f, f};
        case 1: return (vf32){vld1q_f32(p), part, f, f};
        case 2: return (vf32){vld1q_f32(p), vld1q_f32(p + 4), part, f};
        case 3: return (vf32){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), part};
        default: return vf32_load(p);
    }
}
SG_INLINE vf64 vf64_load_n(const double *p, int n, double fill) {
    float64x2_t f = vdupq_n_f64(fill), part = q64_load_n(p + (n & ~1), n & 1, f);
    switch (n / 2) {
        case 0: return (vf64){part, f, f, f};
        case 1: return (vf64){vld1q_f64(p), part, f, f};
        case 2: return (vf64){vld1q_f64(p), vld1q_f64(p + 2), part, f};
        case 3: return (vf64){vld1q_f64(p), vld1q_f64(p + 2), vld1q_f64(p + 4), part};
        default: return vf64_load(p);
    }
}
SG_INLINE void vf32_store_n(float *p, vf32 x, int n) {
    float32x4_t part = x.a;
    if (n >= 4) vst1q_f32(p, x.a), part = x.b;
    if (n >= 8) vst1q_f32(p + 4, x.b), part = x.c;
    if (n >= 12) vst1q_f32(p + 8, x.c), part = x.d;
    if (n >= 16) vst1q_f32(p + 12, x.d);
    q32_store_n(p + (n & ~3), part, n & 3);
}
SG_INLINE void vf64_store_n(double *p, vf64 x, int n) {
    float64x2_t part = x.a;
    if (n >= 2) vst1q_f64(p, x.a), part = x.b;
    if (n >= 4) vst1q_f64(p + 2, x.b), part = x.c;
    if (n >= 6) vst1q_f64(p + 4, x.c), part = x.d;
    if (n >= 8) vst1q_f64(p + 6, x.d);
    q64_store_n(p + (n & ~1), part, n & 1);
}

/* Tiles, by quarters: 4 x 4 (2 x 2) transpositions. */
SG_INLINE void q32_transpose(float32x4_t q[4]) {
    float64x2_t even01 = vreinterpretq_f64_f32(vtrn1q_f32(q[0], q[1]));
    float64x2_t odd01 = vreinterpretq_f64_f32(vtrn2q_f32(q[0], q[1]));
    float64x2_t even23 = vreinterpretq_f64_f32(vtrn1q_f32(q[2], q[3]));
    float64x2_t odd23 = vreinterpretq_f64_f32(vtrn2q_f32(q[2], q[3]));
    q[0] = vreinterpretq_f32_f64(vtrn1q_f64(even01, even23));
    q[1] = vreinterpretq_f32_f64(vtrn1q_f64(odd01, odd23));
    q[2] = vreinterpretq_f32_f64(vtrn2q_f64(even01, even23));
    q[3] = vreinterpretq_f32_f64(vtrn2q_f64(odd01, odd23));
}
SG_INLINE void q32_load_tile(const float *p, ptrdiff_t stride, float32x4_t q[4]) {
    for (int i = 0; i < 4; i++) q[i] = vld1q_f32(p + i * stride);
    q32_transpose(q);
}
SG_INLINE void q32_store_tile(float *p, ptrdiff_t stride, float32x4_t q[4]) {
    q32_transpose(q);
    for (int i = 0; i < 4; i++) vst1q_f32(p + i * stride, q[i]);
}
SG_INLINE void q64_load_tile(const double *p, ptrdiff_t stride, float64x2_t q[2]) {
    float64x2_t x = vld1q_f64(p), y = vld1q_f64(p + stride);
    q[0] = vtrn1q_f64(x, y);
    q[1] = vtrn2q_f64(x, y);
}
SG_INLINE void q64_store_rows(double *p, ptrdiff_t stride, float64x2_t x, float64x2_t y, float64x2_t z,
                              float64x2_t w) {
    vst1q_f64(p, vtrn1q_f64(x, y));
    vst1q_f64(p + 2, vtrn1q_f64(z, w));
    vst1q_f64(p + stride, vtrn2q_f64(x, y));
    vst1q_f64(p + stride + 2, vtrn2q_f64(z, w));
}
SG_INLINE void vf32_load_tile(const float *p, ptrdiff_t stride, vf32 v[4]) {
    float32x4_t a[4], b[4], c[4], d[4];
    q32_load_tile(p, stride, a);
    q32_load_tile(p + 4 * stride, stride, b);
    q32_load_tile(p + 8 * stride, stride, c);
    q32_load_tile(p + 12 * stride, stride, d);
    for (int j = 0; j < 4; j++) v[j] = (vf32){a[j], b[j], c[j], d[j]};
}
SG_INLINE void vf64_load_tile(const double *p, ptrdiff_t stride, vf64 v[4]) {
    for (int j = 0; j < 4; j += 2) {
        float64x2_t a[2], b[2], c[2], d[2];
        q64_load_tile(p + j, stride, a);
        q64_load_tile(p + j + 2 * stride, stride, b);
        q64_load_tile(p + j + 4 * stride, stride, c);
        q64_load_tile(p + j + 6 * stride, stride, d);
        for (int i = 0; i < 2; i++) v[j + i] = (vf64){a[i], b[i], c[i], d[i]};
    }
}
SG_INLINE void vf32_store_tile(float *p, ptrdiff_t stride, const vf32 v[4]) {
    float32x4_t a[4], b[4], c[4], d[4];
    for (int j = 0; j < 4; j++) a[j] = v[j].a, b[j] = v[j].b, c[j] = v[j].c, d[j] = v[j].d;
    q32_store_tile(p, stride, a);
    q32_store_tile(p + 4 * stride, stride, b);
    q32_store_tile(p + 8 * stride, stride, c);
    q32_store_tile(p + 12 * stride, stride, d);
}
SG_INLINE void vf64_store_tile(double *p, ptrdiff_t stride, const vf64 v[4]) {
    q64_store_rows(p, stride, v[0].a, v[1].a, v[2].a, v[3].a);
    q64_store_rows(p + 2 * stride, stride, v[0].b, v[1].b, v[2].b, v[3].b);
    q64_store_rows(p + 4 * stride, stride, v[0].c, v[1].c, v[2].c, v[3].c);
    q64_store_rows(p + 6 * stride, stride, v[0].d, v[1].d, v[2].d, v[3].d);
}

/* Packed rows of one to three elements: instructions of NEON's own. */
SG_INLINE void q32_load_packed(const float *p, ptrdiff_t n, float32x4_t q[3]) {
    q[0] = q[1] = q[2] = vld1q_f32(p);
    if (n == 1) return;
    if (n == 2) {
        const float32x4x2_t a = vld2q_f32(p);
        q[0] = a.val[0], q[1] = a.val[1];
    } else {
        const float32x4x3_t a = vld3q_f32(p);
        q[0] = a.val[0], q[1] = a.val[1], q[2] = a.val[2];
    }
}
SG_INLINE void q64_load_packed(const double *p, ptrdiff_t n, float64x2_t q[3]) {
    q[0] = q[1] = q[2] = vld1q_f64(p);
    if (n == 1) return;
    if (n == 2) {
        const float64x2x2_t a = vld2q_f64(p);
        q[0] = a.val[0], q[1] = a.val[1];
    } else {
        const float64x2x3_t a = vld3q_f64(p);
        q[0] = a.val[0], q[1] = a.val[1], q[2] = a.val[2];
    }
}
SG_INLINE void q32_store_packed(float *p, ptrdiff_t n, const float32x4_t q[3]) {
    if (n == 1) vst1q_f32(p, q[0]);
    else if (n == 2) vst2q_f32(p, ((float32x4x2_t){{q[0], q[1]}}));
    else vst3q_f32(p, ((float32x4x3_t){{q[0], q[1], q[2]}}));
}
SG_INLINE void q64_store_packed(double *p, ptrdiff_t n, const float64x2_t q[3]) {
    if (n == 1) vst1q_f64(p, q[0]);
    else if (n == 2) vst2q_f64(p, ((float64x2x2_t){{q[0], q[1]}}));
    else vst3q_f64(p, ((float64x2x3_t){{q[0], q[1], q[2]}}));
}
SG_INLINE void vf32_load_packed(const float *p, ptrdiff_t n, vf32 v[3]) {
    float32x4_t a[3], b[3], c[3], d[3];
    q32_load_packed(p, n, a);
    q32_load_packed(p + 4 * n, n, b);
    q32_load_packed(p + 8 * n, n, c);
    q32_load_packed(p + 12 * n, n, d);
    for (int j = 0; j < 3; j++) v[j] = (vf32){a[j], b[j], c[j], d[j]};
}
SG_INLINE void vf64_load_packed(const double *p, ptrdiff_t n, vf64 v[3]) {
    float64x2_t a[3], b[3], c[3], d[3];
    q64_load_packed(p, n, a);
    q64_load_packed(p + 2 * n, n, b);
    q64_load_packed(p + 4 * n, n, c);
    q64_load_packed(p + 6 * n, n, d);
    for (int j = 0; j < 3; j++) v[j] = (vf64){a[j], b[j], c[j], d[j]};
}
SG_INLINE void vf32_store_packed(float *p, ptrdiff_t n, const vf32 v[3]) {
    float32x4_t a[3], b[3], c[3], d[3];
    for (int j = 0; j < 3; j++) a[j] = v[j].a, b[j] = v[j].b, c[j] = v[j].c, d[j] = v[j].d;
    q32_store_packed(p, n, a);
    q32_store_packed(p + 4 * n, n, b);
    q32_store_packed(p + 8 * n, n, c);
    q32_store_packed(p + 12 * n, n, d);
}
SG_INLINE void vf64_store_packed(double *p, ptrdiff_t n, const vf64 v[3]) {
    float64x2_t a[3], b[3], c[3], d[3];
    for (int j = 0; j < 3; j++) a[j] = v[j].a, b[j] = v[j].b, c[j] = v[j].c, d[j] = v[j].d;
    q64_store_packed(p, n, a);
    q64_store_packed(p + 2 * n, n, b);
    q64_store_packed(p + 4 * n, n, c);
    q64_store_packed(p + 6 * n, n, d);
}

/* Arithmetic. vfma has the addend first; NEON's own maximum returns NaN where either is. */
SG_INLINE float32x4_t q32_fma(float32x4_t x, float32x4_t y, float32x4_t z) { return vfmaq_f32(z, x, y); }
SG_INLINE float64x2_t q64_fma(float64x2_t x, float64x2_t y, float64x2_t z) { return vfmaq_f64(z, x, y); }
SG_INLINE float32x4_t q32_fnma(float32x4_t x, float32x4_t y, float32x4_t z) { return vfmsq_f32(z, x, y); }
SG_INLINE float64x2_t q64_fnma(float64x2_t x, float64x2_t y, float64x2_t z) { return vfmsq_f64(z, x, y); }
SG_INLINE float32x4_t q32_max(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
SG_INLINE float64x2_t q64_max(float64x2_t x, float64x2_t y) { return vbslq_f64(vcgtq_f64(x, y), x, y); }
SG_INLINE vf32 vf32_add(vf32 x, vf32 y) { return SG_EACH2(vf32, vaddq_f32, x, y); }
SG_INLINE vf64 vf64_add(vf64 x, vf64 y) { return SG_EACH2(vf64, vaddq_f64, x, y); }
SG_INLINE vf32 vf32_sub(vf32 x, vf32 y) { return SG_EACH2(vf32, vsubq_f32, x, y); }
SG_INLINE vf64 vf64_sub(vf64 x, vf64 y) { return SG_EACH2(vf64, vsubq_f64, x, y); }
SG_INLINE vf32 vf32_mul(vf32 x, vf32 y) { return SG_EACH2(vf32, vmulq_f32, x, y); }
SG_INLINE vf64 vf64_mul(vf64 x, vf64 y) { return SG_EACH2(vf64, vmulq_f64, x, y); }
SG_INLINE vf32 vf32_div(vf32 x, vf32 y) { return SG_EACH2(vf32, vdivq_f32, x, y); }
SG_INLINE vf64 vf64_div(vf64 x, vf64 y) { return SG_EACH2(vf64, vdivq_f64, x, y); }
SG_INLINE vf32 vf32_fma(vf32 x, vf32 y, vf32 z) { return SG_EACH3(vf32, q32_fma, x, y, z); }
SG_INLINE vf64 vf64_fma(vf64 x, vf64 y, vf64 z) { return SG_EACH3(vf64, q64_fma, x, y, z); }
SG_INLINE vf32 vf32_fnma(vf32 x, vf32 y, vf32 z) { return SG_EACH3(vf32, q32_fnma, x, y, z); }
SG_INLINE vf64 vf64_fnma(vf64 x, vf64 y, vf64 z) { return SG_EACH3(vf64, q64_fnma, x, y, z); }
SG_INLINE float32x4_t q32_min(float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }
SG_INLINE float64x2_t q64_min(float64x2_t x, float64x2_t y) { return vbslq_f64(vcltq_f64(x, y), x, y); }
SG_INLINE vf32 vf32_min(vf32 x, vf32 y) { return SG_EACH2(vf32, q32_min, x, y); }
SG_INLINE vf64 vf64_min(vf64 x, vf64 y) { return SG_EACH2(vf64, q64_min, x, y); }
SG_INLINE vf32 vf32_max(vf32 x, vf32 y) { return SG_EACH2(vf32, q32_max, x, y); }
SG_INLINE vf64 vf64_max(vf64 x, vf64 y) { return SG_EACH2(vf64, q64_max, x, y); }

/* Bits, first of one register. */
SG_INLINE float32x4_t q32_shift(float32x4_t x) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(x), 23));
}
SG_INLINE float64x2_t q64_shift(float64x2_t x) {
    return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(x), 52));
}
/* The table is 32 bytes: those of entry k are 4 k, 4 k + 1, ... */
SG_INLINE float32x4_t q32_scale(float32x4_t x, uint8x16x2_t table) {
    const uint32x4_t b = vreinterpretq_u32_f32(x), k = vandq_u32(b, vdupq_n_u32(7));
    const uint32x4_t bytes = vmlaq_n_u32(vdupq_n_u32(0x03020100), k, 0x04040404);
    const float32x4_t entry = vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(bytes)));
    return vmulq_f32(vreinterpretq_f32_u32(vshlq_n_u32(b, 20)), entry);
}
SG_INLINE float64x2_t q64_scale(float64x2_t x, const double table[2]) {
    const uint64x2_t b = vreinterpretq_u64_f64(x), odd = vtstq_u64(b, vdupq_n_u64(1));
    const float64x2_t entry = vbslq_f64(odd, vdupq_n_f64(table[1]), vdupq_n_f64(table[0]));
    return vmulq_f64(vreinterpretq_f64_u64(vshlq_n_u64(b, 51)), entry);
}
SG_INLINE float32x4_t q32_addbits(float32x4_t x, float32x4_t y) {
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
SG_INLINE float64x2_t q64_addbits(float64x2_t x, float64x2_t y) {
    return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(x), vreinterpretq_u64_f64(y)));
}
SG_INLINE float32x4_t q32_subbits(float32x4_t x, float32x4_t y) {
    return vreinterpretq_f32_u32(vsubq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
SG_INLINE float64x2_t q64_subbits(float64x2_t x, float64x2_t y) {
    return vreinterpretq_f64_u64(vsubq_u64(vreinterpretq_u64_f64(x), vreinterpretq_u64_f64(y)));
}
SG_INLINE float32x4_t q32_exponent(float32x4_t x) {
    int32x4_t b = vsubq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x3f3504f3));
    return vcvtq_f32_s32(vshrq_n_s32(b, 23));
}
SG_INLINE float64x2_t q64_exponent(float64x2_t x) {
    int64x2_t b = vsubq_s64(vreinterpretq_s64_f64(x), vdupq_n_s64(0x3fe6a09e667f3bcd));
    return vcvtq_f64_s64(vshrq_n_s64(b, 52));
}
SG_INLINE float32x4_t q32_xor2(float32x4_t x) { return vextq_f32(x, x, 2); }
SG_INLINE float64x2_t q64_xor1(float64x2_t x) { return vextq_f64(x, x, 1); }
SG_INLINE vf32 vf32_shift(vf32 x) { return SG_EACH1(vf32, q32_shift, x); }
SG_INLINE vf64 vf64_shift(vf64 x) { return SG_EACH1(vf64, q64_shift, x); }
SG_INLINE vf32 vf32_scale(vf32 x, const float table[8]) {
    const uint8x16x2_t t = {
        {vreinterpretq_u8_f32(vld1q_f32(table)), vreinterpretq_u8_f32(vld1q_f32(table + 4))}};
    return (vf32){q32_scale(x.a, t), q32_scale(x.b, t), q32_scale(x.c, t), q32_scale(x.d, t)};
}
SG_INLINE vf64 vf64_scale(vf64 x, const double table[2]) {
    return (vf64){q64_scale(x.a, table), q64_scale(x.b, table), q64_scale(x.c, table), q64_scale(x.d, table)};
}
SG_INLINE vf32 vf32_addbits(vf32 x, vf32 y) { return SG_EACH2(vf32, q32_addbits, x, y); }
SG_INLINE vf64 vf64_addbits(vf64 x, vf64 y) { return SG_EACH2(vf64, q64_addbits, x, y); }
SG_INLINE vf32 vf32_subbits(vf32 x, vf32 y) { return SG_EACH2(vf32, q32_subbits, x, y); }
SG_INLINE vf64 vf64_subbits(vf64 x, vf64 y) { return SG_EACH2(vf64, q64_subbits, x, y); }
SG_INLINE vf32 vf32_held(vf32 a) { return a; }
SG_INLINE vf64 vf64_held(vf64 a) { return a; }
SG_INLINE vf32 vf32_exponent(vf32 x) { return SG_EACH1(vf32, q32_exponent, x); }
SG_INLINE vf64 vf64_exponent(vf64 x) { return SG_EACH1(vf64, q64_exponent, x); }
SG_INLINE vf32 vf32_xor(vf32 x, int k) {
    switch (k) {
        case 1: return SG_EACH1(vf32, vrev64q_f32, x);
        case 2: return SG_EACH1(vf32, q32_xor2, x);
        case 4: return (vf32){x.b, x.a, x.d, x.c};
        default: return (vf32){x.c, x.d, x.a, x.b};
    }
}
SG_INLINE vf64 vf64_xor(vf64 x, int k) {
    switch (k) {
        case 1: return SG_EACH1(vf64, q64_xor1, x);
        case 2: return (vf64){x.b, x.a, x.d, x.c};
        default: return (vf64){x.c, x.d, x.a, x.b};
    }
}
SG_INLINE float32x4_t q32_firsts(float32x4_t a, float32x4_t b) {
    return vcombine_f32(vget_low_f32(a), vget_low_f32(b));
}
SG_INLINE float32x4_t q32_lasts(float32x4_t a, float32x4_t b) {
    return vcombine_f32(vget_high_f32(a), vget_high_f32(b));
}
SG_INLINE void vf32_partners(int k, vf32 a, vf32 b, vf32 *x, vf32 *y) {
    switch (k) {
        case 1:
            *x = SG_EACH2(vf32, vtrn1q_f32, a, b);
            *y = SG_EACH2(vf32, vtrn2q_f32, a, b);
            break;
        case 2:
            *x = SG_EACH2(vf32, q32_firsts, a, b);
            *y = SG_EACH2(vf32, q32_lasts, a, b);
            break;
        case 4: *x = (vf32){a.a, b.a, a.c, b.c}, *y = (vf32){a.b, b.b, a.d, b.d}; break;
        default: *x = (vf32){a.a, a.b, b.a, b.b}, *y = (vf32){a.c, a.d, b.c, b.d};
    }
}
SG_INLINE void vf64_partners(int k, vf64 a, vf64 b, vf64 *x, vf64 *y) {
    switch (k) {
        case 1:
            *x = SG_EACH2(vf64, vtrn1q_f64, a, b);
            *y = SG_EACH2(vf64, vtrn2q_f64, a, b);
            break;
        case 2: *x = (vf64){a.a, b.a, a.c, b.c}, *y = (vf64){a.b, b.b, a.d, b.d}; break;
        default: *x = (vf64){a.a, a.b, b.a, b.b}, *y = (vf64){a.c, a.d, b.c, b.d};
    }
}

/* Masks. */
SG_INLINE uint64x2_t q64_not(uint64x2_t m) {
    return vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(m)));
}
SG_INLINE mf32 vf32_lt(vf32 x, vf32 y) { return SG_EACH2(mf32, vcltq_f32, x, y); }
SG_INLINE mf64 vf64_lt(vf64 x, vf64 y) { return SG_EACH2(mf64, vcltq_f64, x, y); }
SG_INLINE uint32x4_t q32_nlt(float32x4_t x, float32x4_t y) { return vmvnq_u32(vcltq_f32(x, y)); }
SG_INLINE uint64x2_t q64_nlt(float64x2_t x, float64x2_t y) {
    return vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(vcltq_f64(x, y))));
}
SG_INLINE mf32 vf32_nlt(vf32 x, vf32 y) { return SG_EACH2(mf32, q32_nlt, x, y); }
SG_INLINE mf64 vf64_nlt(vf64 x, vf64 y) { return SG_EACH2(mf64, q64_nlt, x, y); }
/* x + (y or 0): the same bits but for x = -0, which VOCABULARY.md excludes */
SG_INLINE float32x4_t q32_add_if(uint32x4_t m, float32x4_t x, float32x4_t y) {
    return vaddq_f32(x, vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(y))));
}
SG_INLINE float64x2_t q64_add_if(uint64x2_t m, float64x2_t x, float64x2_t y) {
    return vaddq_f64(x, vreinterpretq_f64_u64(vandq_u64(m, vreinterpretq_u64_f64(y))));
}
SG_INLINE vf32 vf32_add_if(mf32 m, vf32 x, vf32 y) { return SG_EACH3(vf32, q32_add_if, m, x, y); }
SG_INLINE vf64 vf64_add_if(mf64 m, vf64 x, vf64 y) { return SG_EACH3(vf64, q64_add_if, m, x, y); }
SG_INLINE mf32 vf32_eq(vf32 x, vf32 y) { return SG_EACH2(mf32, vceqq_f32, x, y); }
SG_INLINE mf64 vf64_eq(vf64 x, vf64 y) { return SG_EACH2(mf64, vceqq_f64, x, y); }
SG_INLINE vf32 vf32_select(mf32 m, vf32 x, vf32 y) { return SG_EACH3(vf32, vbslq_f32, m, x, y); }
SG_INLINE vf64 vf64_select(mf64 m, vf64 x, vf64 y) { return SG_EACH3(vf64, vbslq_f64, m, x, y); }
SG_INLINE mf32 mf32_and(mf32 x, mf32 y) { return SG_EACH2(mf32, vandq_u32, x, y); }
SG_INLINE mf64 mf64_and(mf64 x, mf64 y) { return SG_EACH2(mf64, vandq_u64, x, y); }
SG_INLINE mf32 mf32_or(mf32 x, mf32 y) { return SG_EACH2(mf32, vorrq_u32, x, y); }
SG_INLINE mf64 mf64_or(mf64 x, mf64 y) { return SG_EACH2(mf64, vorrq_u64, x, y); }
SG_INLINE mf32 mf32_not(mf32 x) { return SG_EACH1(mf32, vmvnq_u32, x); }
SG_INLINE mf64 mf64_not(mf64 x) { return SG_EACH1(mf64, q64_not, x); }
SG_INLINE int mf32_any(mf32 m) {
    return vmaxvq_u32(vorrq_u32(vorrq_u32(m.a, m.b), vorrq_u32(m.c, m.d))) != 0;
}
SG_INLINE int mf64_any(mf64 m) {
    uint64x2_t any = vorrq_u64(vorrq_u64(m.a, m.b), vorrq_u64(m.c, m.d));
    return vmaxvq_u32(vreinterpretq_u32_u64(any)) != 0;
}

/* Between the two types. */
SG_INLINE float64x2_t q32_low(float32x4_t x) { return vcvt_f64_f32(vget_low_f32(x)); }
SG_INLINE uint64x2_t q32_mask_low(uint32x4_t m) {
    return vreinterpretq_u64_s64(vmovl_s32(vget_low_s32(vreinterpretq_s32_u32(m))));
}
SG_INLINE uint64x2_t q32_mask_high(uint32x4_t m) {
    return vreinterpretq_u64_s64(vmovl_high_s32(vreinterpretq_s32_u32(m)));
}
SG_INLINE float32x4_t q32_narrow(float64x2_t x, float64x2_t y) {
    return vcvt_high_f32_f64(vcvt_f32_f64(x), y);
}
SG_INLINE vf64 vf32_low(vf32 x) {
    return (vf64){q32_low(x.a), vcvt_high_f64_f32(x.a), q32_low(x.b), vcvt_high_f64_f32(x.b)};
}
SG_INLINE vf64 vf32_high(vf32 x) {
    return (vf64){q32_low(x.c), vcvt_high_f64_f32(x.c), q32_low(x.d), vcvt_high_f64_f32(x.d)};
}
SG_INLINE vf32 vf32_narrow(vf64 low, vf64 high) {
    return (vf32){q32_narrow(low.a, low.b), q32_narrow(low.c, low.d), q32_narrow(high.a, high.b),
                  q32_narrow(high.c, high.d)};
}
SG_INLINE float64x2_t q32_int_lower(float32x4_t x) {
    return vcvtq_f64_s64(vmovl_s32(vget_low_s32(vreinterpretq_s32_f32(x))));
}
SG_INLINE float64x2_t q32_int_upper(float32x4_t x) {
    return vcvtq_f64_s64(vmovl_s32(vget_high_s32(vreinterpretq_s32_f32(x))));
}
SG_INLINE vf64 vf32_int_low(vf32 x) {
    return (vf64){q32_int_lower(x.a), q32_int_upper(x.a), q32_int_lower(x.b), q32_int_upper(x.b)};
}
SG_INLINE vf64 vf32_int_high(vf32 x) {
    return (vf64){q32_int_lower(x.c), q32_int_upper(x.c), q32_int_lower(x.d), q32_int_upper(x.d)};
}
SG_INLINE float64x2_t q64_of_int64(const int64_t *p) { return vcvtq_f64_s64(vld1q_s64(p)); }
SG_INLINE vf64 vf64_of_int64(const int64_t *p) {
    return (vf64){q64_of_int64(p), q64_of_int64(p + 2), q64_of_int64(p + 4), q64_of_int64(p + 6)};
}
SG_INLINE vf32 vf32_of_int64(const int64_t *p) { return vf32_narrow(vf64_of_int64(p), vf64_of_int64(p + 8)); }
SG_INLINE mf64 mf32_low(mf32 m) {
    return (mf64){q32_mask_low(m.a), q32_mask_high(m.a), q32_mask_low(m.b), q32_mask_high(m.b)};
}
SG_INLINE mf64 mf32_high(mf32 m) {
    return (mf64){q32_mask_low(m.c), q32_mask_high(m.c), q32_mask_low(m.d), q32_mask_high(m.d)};
}

#undef SG_EACH1
#undef SG_EACH2
#undef SG_EACH3

/* Half precision. */
SG_INLINE float32x4_t q32_load_f16(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
SG_INLINE void q32_store_f16(uint16_t *p, float32x4_t x) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
SG_INLINE float32x4_t q32_load_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
SG_INLINE void q32_store_bf16(uint16_t *p, float32x4_t x) {
    uint32x4_t b = vreinterpretq_u32_f32(x), high = vshrq_n_u32(b, 16);
    uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    b = vshrq_n_u32(vaddq_u32(vaddq_u32(b, odd), vdupq_n_u32(0x7fff)), 16);
    vst1_u16(p, vmovn_u32(vbslq_u32(vceqq_f32(x, x), b, vorrq_u32(high, vdupq_n_u32(0x40)))));
}
SG_INLINE vf32 vf32_load_f16(const uint16_t *p) {
    return (vf32){q32_load_f16(p), q32_load_f16(p + 4), q32_load_f16(p + 8), q32_load_f16(p + 12)};
}
SG_INLINE void vf32_store_f16(uint16_t *p, vf32 x) {
    q32_store_f16(p, x.a);
    q32_store_f16(p + 4, x.b);
    q32_store_f16(p + 8, x.c);
    q32_store_f16(p + 12, x.d);
}
SG_INLINE vf32 vf32_load_bf16(const uint16_t *p) {
    return (vf32){q32_load_bf16(p), q32_load_bf16(p + 4), q32_load_bf16(p + 8), q32_load_bf16(p + 12)};
}
SG_INLINE void vf32_store_bf16(uint16_t *p, vf32 x) {
    q32_store_bf16(p, x.a);
    q32_store_bf16(p + 4, x.b);
    q32_store_bf16(p + 8, x.c);
    q32_store_bf16(p + 12, x.d);
}

#include "one_register.h"

#endif
