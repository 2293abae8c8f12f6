/* half.h - calls with arrays of 16-bit types, see half.c. */
#ifndef SG_HALF_H
#define SG_HALF_H

#include "softgrad.h"

bool sg_has_halves(const sg_call *call);

/* As a kernel's scratch, but for sg_run_halves. */
size_t sg_halves_bytes(const sg_call *call);

/* Rows [begin, end) of `call` by `kernel`, one of a float table. */
void sg_run_halves(sg_kernel *kernel, const sg_call *call, ptrdiff_t begin, ptrdiff_t end, char *scratch);

#endif
