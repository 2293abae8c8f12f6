/* real_f64.h - the generic names for float64. Included by kernels.h before the kernels, real_end.h
 * takes the names away again; more than once: no include guard. */
#define real double
#define vreal vf64
#define vmask mf64
#define FN(name) name##_f64

#define VL 8                 /* lanes */
#define REAL_IS_FLOAT 0
#define SHORT_N SG_SHORT_N
#define BLOCK_N (SG_BLOCK_BYTES / (ptrdiff_t)sizeof(real))
#define REAL_BIAS 1023       /* of the exponent field */
#define LOWEST_ANCHOR (-900) /* of a sum (sum.h): its smallest unit, 2^-83 of that, stays normal */
#define HEADROOM 513         /* K of docs/numerics.md */
#define REAL_TO_ONE 0x1p-513 /* 2^-HEADROOM */
#define REAL_MAGIC 0x1.8p52  /* adding and subtracting it rounds to an integer */
#define REAL_FAR 0x1p40     /* rows whose maximum is larger in magnitude are shifted first */
#define REAL_INF ((double)INFINITY)
#define REAL_TINY 0x1p-1022 /* the smallest normal number */
#define REAL_MAX 0x1.fffffffffffffp1023
#define REAL_UP 0x1p54     /* brings subnormal numbers up to normal ones */
#define REAL_UP_EXPONENT 54
#define REAL_FACTOR 0x1p800 /* factors stay between its inverse and it */
#define REAL_FACTOR_EXPONENT 800
#define NO_TIE (1 + 0x1p-52) /* fixed_point.h */
#define ROUNDED_JACOBIANS 0 /* entries are products of rounded terms (jacobian.h) */
#define EXP_STEPS SG_F64_EXP_STEPS /* S of exp.h */
#define EXP_PER_C_HI SG_F64_EXP_PER_C_HI
#define EXP_PER_C_LO SG_F64_EXP_PER_C_LO
#define EXP_LOG2E SG_F64_LOG2E
#define EXP_LN2_HI SG_F64_LN2_HI
#define EXP_LN2_LO SG_F64_LN2_LO

#define vset1 vf64_set1
#define viota vf64_iota
#define vload vf64_load
#define vstore vf64_store
#define vload_n vf64_load_n
#define vstream vf64_stream
#define vstore_n vf64_store_n
#define vload_tile vf64_load_tile
#define vstore_tile vf64_store_tile
#define vload_packed vf64_load_packed
#define vstore_packed vf64_store_packed
#define vof_int64 vf64_of_int64
#define vadd vf64_add
#define vsub vf64_sub
#define vmul vf64_mul
#define vdiv vf64_div
#define vfma vf64_fma
#define vfnma vf64_fnma
#define vmax vf64_max
#define vmin vf64_min
#define vshift vf64_shift
#define vaddbits vf64_addbits
#define vsubbits vf64_subbits
#define vjoin vf64_join
#define vjoinbits vf64_joinbits
#define vjoinfma vf64_joinfma
#define vheld vf64_held
#define vexponent vf64_exponent
#define vxor vf64_xor
#define vpartners vf64_partners
#define vlt vf64_lt
#define veq vf64_eq
#define vnlt vf64_nlt
#define vadd_if vf64_add_if
#define vselect vf64_select
#define mand mf64_and
#define mor mf64_or
#define mnot mf64_not
#define many mf64_any
#define wide wide_f64
#define SUM_GROUP SUM_GROUP_F64
#define SUM_RUN SUM_RUN_F64
