/* partners.h - which lanes are added when several vectors are folded together (kernel/fold.h; wide_fold_rows). Included once per dtype, no
 * include guard. */

/* The lanes l with l & k, k a power of two: (l + 1/2) / 2k is above its nearest integer where the bit is 0. */
SG_INLINE vmask FN(lanes_with)(int k) {
    const vreal magic = vset1(REAL_MAGIC),
                u = vmul(vadd(viota(), vset1((real)0.5)), vset1((real)0.5 / (real)k));
    return vlt(u, vsub(vadd(u, magic), magic));
}
/* From rows a (lanes without k) and b (lanes with it), or what is left of them: each lane, and its partner k away. */
SG_INLINE void FN(partners)(int k, vmask with, vreal a, vreal b, vreal *own, vreal *other) {
    *own = vselect(with, b, a);
    *other = vxor(vselect(with, a, b), k);
}
/* Where row i of eight comes in, for steps of k = 4, 2, 1 to leave it in lane i: the bits of i reversed. */
SG_INLINE int FN(reversed)(int i) { return (i & 1) << 2 | (i & 2) | i >> 2; }
