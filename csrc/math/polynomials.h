/* polynomials.h - q of exp.h and P of log.h, by Horner's rule: with four vectors in flight the latency of
 * the chain is hidden, and no other scheme needs fewer operations. Included once. */
#ifndef SG_POLYNOMIALS_H
#define SG_POLYNOMIALS_H

SG_INLINE vf32 exp_q_f32(vf32 r) {
    vf32 q = vf32_set1(SG_F32_EXP_Q4);
    q = vf32_fma(q, r, vf32_set1(SG_F32_EXP_Q3));
    q = vf32_fma(q, r, vf32_set1(SG_F32_EXP_Q2));
    q = vf32_fma(q, r, vf32_set1(SG_F32_EXP_Q1));
    return vf32_fma(q, r, vf32_set1(SG_F32_EXP_Q0));
}
SG_INLINE vf64 exp_q_f64(vf64 r) {
    vf64 q = vf64_set1(SG_F64_EXP_Q9);
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q8));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q7));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q6));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q5));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q4));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q3));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q2));
    q = vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q1));
    return vf64_fma(q, r, vf64_set1(SG_F64_EXP_Q0));
}

SG_INLINE vf32 log_p_f32(vf32 v) {
    vf32 p = vf32_set1(SG_F32_LOG_P3);
    p = vf32_fma(p, v, vf32_set1(SG_F32_LOG_P2));
    p = vf32_fma(p, v, vf32_set1(SG_F32_LOG_P1));
    return vf32_fma(p, v, vf32_set1(SG_F32_LOG_P0));
}
SG_INLINE vf64 log_p_f64(vf64 v) {
    vf64 p = vf64_set1(SG_F64_LOG_P7);
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P6));
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P5));
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P4));
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P3));
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P2));
    p = vf64_fma(p, v, vf64_set1(SG_F64_LOG_P1));
    return vf64_fma(p, v, vf64_set1(SG_F64_LOG_P0));
}

#endif
