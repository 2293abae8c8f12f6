/* constants.h - the constants of exp.h and log.h; printed by the scripts named, never edited by hand.
 * The errors are those of the polynomials with these coefficients, evaluated exactly. */
#ifndef SG_CONSTANTS_H
#define SG_CONSTANTS_H

/* tools/fit_exp.py: e^r = 1 + r + r^2 q(r), |r| <= ln2/2 * 1.001, q = Q0 + Q1 r + ...,
 * relative error 3.14e-9 (1.05e-7 of degree 3, 9.91e-11 of degree 5). */
#define SG_F32_LOG2E 0x1.715476p+0f
#define SG_F32_LN2_HI 0x1.62e43p-1f
#define SG_F32_LN2_LO -0x1.05c61p-29f
#define SG_F32_EXP_Q0 0x1.fffffcp-2f
#define SG_F32_EXP_Q1 0x1.555492p-3f
#define SG_F32_EXP_Q2 0x1.5558b4p-5f
#define SG_F32_EXP_Q3 0x1.12399ap-7f
#define SG_F32_EXP_Q4 0x1.6a48ccp-10f

/* tools/fit_exp.py: e^r = 1 + r + r^2 q(r), |r| <= ln2/2 * 1.001, q = Q0 + Q1 r + ...,
 * relative error 3.71e-18 (2.92e-16 of degree 8, 6.21e-20 of degree 10). */
#define SG_F64_LOG2E 0x1.71547652b82fep+0
#define SG_F64_LN2_HI 0x1.62e42fefa39efp-1
#define SG_F64_LN2_LO 0x1.abc9e3b39803fp-56
#define SG_F64_EXP_Q0 0x1.000000000000ap-1
#define SG_F64_EXP_Q1 0x1.5555555555508p-3
#define SG_F64_EXP_Q2 0x1.555555555074dp-5
#define SG_F64_EXP_Q3 0x1.11111111253dfp-7
#define SG_F64_EXP_Q4 0x1.6c16c184538aep-10
#define SG_F64_EXP_Q5 0x1.a01a0134943a1p-13
#define SG_F64_EXP_Q6 0x1.a01999b6d75acp-16
#define SG_F64_EXP_Q7 0x1.71df131497f16p-19
#define SG_F64_EXP_Q8 0x1.28adb7bd212adp-22
#define SG_F64_EXP_Q9 0x1.ad977dead7991p-26

/* tools/fit_log.py: log1p(f) = 2 w + w^3 P(w^2), w = f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2),
 * P = P0 + P1 v + ..., relative error 2.5e-11. */
#define SG_F32_LOG_P0 0x1.555554p-1f
#define SG_F32_LOG_P1 0x1.999c28p-2f
#define SG_F32_LOG_P2 0x1.23d312p-2f
#define SG_F32_LOG_P3 0x1.f161d2p-3f

/* tools/fit_log.py: log1p(f) = 2 w + w^3 P(w^2), w = f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2),
 * P = P0 + P1 v + ..., relative error 8.93e-21. */
#define SG_F64_LOG_P0 0x1.5555555555555p-1
#define SG_F64_LOG_P1 0x1.9999999999d1p-2
#define SG_F64_LOG_P2 0x1.24924924399bep-2
#define SG_F64_LOG_P3 0x1.c71c724b411dbp-3
#define SG_F64_LOG_P4 0x1.745ce1d5333d7p-3
#define SG_F64_LOG_P5 0x1.3b20225832436p-3
#define SG_F64_LOG_P6 0x1.0f6774e19cfc7p-3
#define SG_F64_LOG_P7 0x1.0f0c1c32e396cp-3

#endif
