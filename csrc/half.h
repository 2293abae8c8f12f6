/* half.h - calls with arrays of 16-bit types, see half.c. */
#ifndef SG_HALF_H
#define SG_HALF_H

#include "softgrad.h"

static inline bool sg_has_halves(const sg_call *c) {
    return c->x.half || c->g.half || c->out.half || c->hess.half;
}

/* Rows that softmax_vjp takes as they are, where they are long enough to go across. */
static inline bool sg_has_rows_of_halves(const sg_call *c) {
    return c->x.half && c->g.half == c->x.half && c->out.half == c->x.half && c->x.axis == 1 &&
           c->g.axis == 1 && c->out.axis == 1;
}

/* `n` numbers with the step `step` to floats without one, and back. */
void sg_widen(const sg_half *half, const uint16_t *from, ptrdiff_t step, ptrdiff_t n, float *to);
void sg_narrow(const sg_half *half, const float *from, ptrdiff_t n, uint16_t *to, ptrdiff_t step);

/* As a kernel's scratch, but for sg_run_halves. */
size_t sg_halves_bytes(const sg_call *call);

/* Rows [begin, end) of `call` by `kernel`, one of a float table. */
void sg_run_halves(sg_kernel *kernel, const sg_call *call, ptrdiff_t begin, ptrdiff_t end, char *scratch);

#endif
