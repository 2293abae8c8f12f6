/* polynomials.h - what exp.h and log.h do in each type's own way: the scale and q of the one, P of the other, by Horner's rule:
 * no other scheme needs fewer operations, and with a few vectors side by side (see exp.h) the latency of the chain is hidden.
 * Included once. */
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
SG_INLINE void exp_q_f64(int u, const vf64 r[], vf64 q[]) {
    SG_UNROLL(j, u) q[j] = mul_add_f64(vf64_set1(SG_F64_EXP_Q7), r[j], vf64_set1(SG_F64_EXP_Q6));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q5));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q4));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q3));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q2));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q1));
    SG_UNROLL(j, u) q[j] = mul_add_f64(q[j], r[j], vf64_set1(SG_F64_EXP_Q0));
}

SG_INLINE vf32 log_p_f32(vf32 v) {
    vf32 p = vf32_set1(SG_F32_LOG_P3);
    p = mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P2));
    p = mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P1));
    return mul_add_f32(p, v, vf32_set1(SG_F32_LOG_P0));
}
SG_INLINE vf64 log_p_f64(vf64 v) {
    vf64 p = vf64_set1(SG_F64_LOG_P7);
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P6));
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P5));
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P4));
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P3));
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P2));
    p = mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P1));
    return mul_add_f64(p, v, vf64_set1(SG_F64_LOG_P0));
}

#endif
