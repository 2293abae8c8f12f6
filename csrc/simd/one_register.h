/* one_register.h - the words that join the lanes of a row (VOCABULARY.md), where a vector is not cut in two for that: included by an instruction set's header. No include guard. */
enum { SG_JOINS = 1 };
SG_INLINE vf32 vf32_join(vf32 s, vf32 a) { return vf32_add(s, a); }
SG_INLINE vf32 vf32_joinbits(vf32 s, vf32 a) { return vf32_addbits(s, a); }
SG_INLINE vf32 vf32_joinfma(vf32 a, vf32 b, vf32 s) { return vf32_fma(a, b, s); }
SG_INLINE vf64 vf64_join(vf64 s, vf64 a) { return vf64_add(s, a); }
SG_INLINE vf64 vf64_joinbits(vf64 s, vf64 a) { return vf64_addbits(s, a); }
SG_INLINE vf64 vf64_joinfma(vf64 a, vf64 b, vf64 s) { return vf64_fma(a, b, s); }
