/* mul_add.h - a b + c and c - a b where a b may be rounded too: one operation, or two where the fused one would be emulated (portable.h). Included once per dtype, no
 * include guard. */
SG_INLINE vreal FN(mul_add)(vreal a, vreal b, vreal c) {
    return SG_HAS_FMA ? vfma(a, b, c) : vadd(vmul(a, b), c);
}
SG_INLINE vreal FN(less_mul)(vreal a, vreal b, vreal c) {
    return SG_HAS_FMA ? vfnma(a, b, c) : vsub(c, vmul(a, b));
}
