/* one_isa.c - stands for csrc/dispatch.c in builds that are slow to make: the instruction set ISA alone. */
#include "isa.h"

#define PASTE(a, b) a##b
#define OF(id) PASTE(sg_isa_, id)

static const sg_isa *const one[] = {&OF(ISA), NULL};

bool sg_isa_portable_is_fused(void) { return sg_cpu_has_fma(); }
const sg_isa *const *sg_isa_list(void) { return one; }
const sg_isa *sg_isa_best(void) { return one[0]; }
const sg_isa *sg_isa_find(const char *name) { return strcmp(one[0]->name, name) == 0 ? one[0] : NULL; }
