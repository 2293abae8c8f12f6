/* polynomials.h - what exp.h and log.h do in each type's own way: the scale and q of the one, P of the other, by Horner's rule,
 * or, of degree 7, by two of them, in the square, for the even and the odd powers: as many operations in the exponential, which needs
 * r^2 anyway, one more in the logarithm, and a chain that is 12 cycles shorter, of which a few vectors side by side do not hide all. Zen 2,
 * us, float64: (300, 1000) softmax 447 -> 410, log_softmax 464 -> 430, (7777, 10) loss 300 -> 288, loss + gradient 414 -> 392; in
 * Estrin's way, one operation more, 429, 447, 284, 390. Included once. */
#ifndef SG_POLYNOMIALS_H
#define SG_POLYNOMIALS_H

/* t ends in n + S (BIAS - M): those bits, shifted, are 2^(n div S - M) (1 + k/S), k = n mod S, which the table makes C 2^(n/S - M).
 * S is as large as one instruction of AVX2 looks up. */
static const float exp_table_f32[SG_F32_EXP_STEPS] = SG_F32_EXP_TABLE;
static const double exp_table_f64[SG_F64_EXP_STEPS] = SG_F64_EXP_TABLE;
SG_INLINE vf32 exp_scale_f32(vf32 t) { return vf32_scale(t, exp_table_f32); }
SG_INLINE vf64 exp_scale_f64(vf64 t) { return vf64_scale(t, exp_table_f64); }

SG_INLINE void exp_q_f32(int u, const vf32 r[], vf32 q[]) {
    SG_UNROLL(j, u) q[j] = mul_add_f32(vf32_set1(SG_F32_EXP_Q2), r[j], vf32_set1(SG_F32_EXP_Q1));
    SG_UNROLL(j, u) q[j] = mul_add_f32(q[j], r[j], vf32_set1(SG_F32_EXP_Q0));
}

/* c_0 + c_1 x + ... + c_7 x^7, s = x^2. */
SG_INLINE void polynomial_f64(int u, const vf64 x[], const vf64 s[], const double c[8], vf64 p[]) {
    vf64 odd[SG_SIDE_BY_SIDE];
    SG_UNROLL(j, u) odd[j] = mul_add_f64(vf64_set1(c[7]), s[j], vf64_set1(c[5]));
    SG_UNROLL(j, u) p[j] = mul_add_f64(vf64_set1(c[6]), s[j], vf64_set1(c[4]));
    SG_UNROLL(j, u) odd[j] = mul_add_f64(odd[j], s[j], vf64_set1(c[3]));
    SG_UNROLL(j, u) p[j] = mul_add_f64(p[j], s[j], vf64_set1(c[2]));
    SG_UNROLL(j, u) odd[j] = mul_add_f64(odd[j], s[j], vf64_set1(c[1]));
    SG_UNROLL(j, u) p[j] = mul_add_f64(p[j], s[j], vf64_set1(c[0]));
    SG_UNROLL(j, u) p[j] = mul_add_f64(odd[j], x[j], p[j]);
}
SG_INLINE void exp_q_f64(int u, const vf64 r[], vf64 q[]) {
    static const double c[] = {SG_F64_EXP_Q0, SG_F64_EXP_Q1, SG_F64_EXP_Q2, SG_F64_EXP_Q3,
                               SG_F64_EXP_Q4, SG_F64_EXP_Q5, SG_F64_EXP_Q6, SG_F64_EXP_Q7};
    vf64 s[SG_SIDE_BY_SIDE];
    SG_UNROLL(j, u) s[j] = vf64_mul(r[j], r[j]);
    polynomial_f64(u, r, s, c, q);
}

SG_INLINE vf32 log_p_f32(vf32 v) {
    vf32 p = vf32_set1(SG_F32_LOG_P3);
    p = mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P2));
    p = mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P1));
    return mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P0));
}
SG_INLINE vf64 log_p_f64(vf64 v) {
    static const double c[] = {SG_F64_LOG_P0, SG_F64_LOG_P1, SG_F64_LOG_P2, SG_F64_LOG_P3,
                               SG_F64_LOG_P4, SG_F64_LOG_P5, SG_F64_LOG_P6, SG_F64_LOG_P7};
    const vf64 s = vf64_mul(v, v);
    vf64 p;
    polynomial_f64(1, &v, &s, c, &p);
    return p;
}

#endif
