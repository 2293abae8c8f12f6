/* real_f32.h - the generic names for float32. Included by kernels.h before the kernels, real_end.h
 * takes the names away again; more than once: no include guard. */
#define real float
#define vreal vf32
#define vmask mf32
#define FN(name) name##_f32

#define VL 16                /* lanes */
#define REAL_IS_FLOAT 1      /* what only one of the two has: 16-bit arrays, wider sums of products */
#define SHORT_N SG_SHORT_N
#define BLOCK_N (SG_BLOCK_BYTES / (ptrdiff_t)sizeof(real))
#define REAL_BIAS 127        /* of the exponent field */
#define LOWEST_ANCHOR (-80)  /* of a sum (sum.h): its smallest unit, 2^-39 of that, stays normal */
#define HEADROOM 65          /* K of docs/numerics.md */
#define REAL_TO_ONE 0x1p-65F /* 2^-HEADROOM */
#define REAL_MAGIC 0x1.8p23F /* adding and subtracting it rounds to an integer */
#define REAL_FAR 0x1p17F     /* rows whose maximum is larger in magnitude are shifted first */
#define REAL_INF ((float)INFINITY)
#define REAL_TINY 0x1p-126F /* the smallest normal number */
#define REAL_MAX 0x1.fffffep127F
#define REAL_UP 0x1p24F     /* brings subnormal numbers up to normal ones */
#define REAL_UP_EXPONENT 24
#define REAL_FACTOR 0x1p90F /* factors stay between its inverse and it */
#define REAL_FACTOR_EXPONENT 90
#define NO_TIE (1 + 0x1p-23F) /* fixed_point.h */
#define ROUNDED_JACOBIANS 1 /* entries are products of rounded terms (jacobian.h) */
#define EXP_STEPS SG_F32_EXP_STEPS /* S of exp.h */
#define EXP_PER_C_HI SG_F32_EXP_PER_C_HI
#define EXP_PER_C_LO SG_F32_EXP_PER_C_LO
#define EXP_LOG2E SG_F32_LOG2E
#define EXP_LN2_HI SG_F32_LN2_HI
#define EXP_LN2_LO SG_F32_LN2_LO

#define vset1 vf32_set1
#define viota vf32_iota
#define vload vf32_load
#define vstore vf32_store
#define vload_n vf32_load_n
#define vstream vf32_stream
#define vstore_n vf32_store_n
#define vload_tile vf32_load_tile
#define vstore_tile vf32_store_tile
#define vload_packed vf32_load_packed
#define vstore_packed vf32_store_packed
#define vof_int64 vf32_of_int64
#define vadd vf32_add
#define vsub vf32_sub
#define vmul vf32_mul
#define vdiv vf32_div
#define vfma vf32_fma
#define vfnma vf32_fnma
#define vmax vf32_max
#define vmin vf32_min
#define vshift vf32_shift
#define vaddbits vf32_addbits
#define vsubbits vf32_subbits
#define vjoin vf32_join
#define vjoinbits vf32_joinbits
#define vjoinfma vf32_joinfma
#define vheld vf32_held
#define vexponent vf32_exponent
#define vxor vf32_xor
#define vpartners vf32_partners
#define vlt vf32_lt
#define veq vf32_eq
#define vnlt vf32_nlt
#define vadd_if vf32_add_if
#define vselect vf32_select
#define mand mf32_and
#define mor mf32_or
#define mnot mf32_not
#define many mf32_any
#define wide wide_f32
#define SUM_GROUP SUM_GROUP_F32
#define SUM_RUN SUM_RUN_F32
