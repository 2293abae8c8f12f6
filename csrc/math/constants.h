/* constants.h - the constants of exp.h and log.h; printed by the scripts named, never edited by hand.
 * The errors are those of the polynomials with these coefficients, evaluated exactly. */
#ifndef SG_CONSTANTS_H
#define SG_CONSTANTS_H

/* tools/fit_exp.py: e^r = 1 + r + r^2 q(r), |r| <= ln2/16 * 1.05, q = Q0 + Q1 r + ...,
 * relative error 2.18e-10 (3.14e-8 of degree 1, 1.33e-12 of degree 3). */
#define SG_F32_LOG2E 0x1.715476p+0f
#define SG_F32_LN2_HI 0x1.62e43p-1f
#define SG_F32_LN2_LO -0x1.05c61p-29f
#define SG_F32_EXP_Q0 0x1p-1f
#define SG_F32_EXP_Q1 0x1.555d28p-3f
#define SG_F32_EXP_Q2 0x1.55567ep-5f
/* C 2^(k/8) / (1 + k/8): with (1 + k/8) again, rounded, it is off by 0.046 units of rounding at most. */
#define SG_F32_EXP_STEPS 8
#define SG_F32_EXP_TABLE                                            \
    {0x1.feb052p-1f, 0x1.ef07f8p-1f, 0x1.e5da0cp-1f, 0x1.e1a8cp-1f, \
     0x1.e17b62p-1f, 0x1.e4abacp-1f, 0x1.eac8cep-1f, 0x1.f3861ep-1f}
#define SG_F32_EXP_PER_C_HI 0x1.00a8454ac0c76p+0
#define SG_F32_EXP_PER_C_LO -0x1.c6de5ccdc66cfp-55

/* tools/fit_exp.py: e^r = 1 + r + r^2 q(r), |r| <= ln2/4 * 1.001, q = Q0 + Q1 r + ...,
 * relative error 1.56e-17 (2.27e-15 of degree 6, 1.53e-19 of degree 8). */
#define SG_F64_LOG2E 0x1.71547652b82fep+0
#define SG_F64_LN2_HI 0x1.62e42fefa39efp-1
#define SG_F64_LN2_LO 0x1.abc9e3b39803fp-56
#define SG_F64_EXP_Q0 0x1.ffffffffffefap-2
#define SG_F64_EXP_Q1 0x1.55555555558a3p-3
#define SG_F64_EXP_Q2 0x1.55555556011b6p-5
#define SG_F64_EXP_Q3 0x1.1111110f0943cp-7
#define SG_F64_EXP_Q4 0x1.6c16b8d42cce1p-10
#define SG_F64_EXP_Q5 0x1.a01a18523ab9ep-13
#define SG_F64_EXP_Q6 0x1.a070138237922p-16
#define SG_F64_EXP_Q7 0x1.71a977b23cb5fp-19
/* C 2^(k/2) / (1 + k/2): with (1 + k/2) again, rounded, it is off by 0.00063 units of rounding at most. */
#define SG_F64_EXP_STEPS 2
#define SG_F64_EXP_TABLE {0x1.ffe228p-1, 0x1.e29bbad04cdcdp-1}
#define SG_F64_EXP_PER_C_HI 0x1.000eecdeb68b5p+0
#define SG_F64_EXP_PER_C_LO -0x1.0608ce0f17ecfp-54

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
