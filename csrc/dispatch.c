/* dispatch.c - the compiled instruction sets, the best of them, and choice by name. */
#include "isa.h"

#if SG_X86_64
static const sg_isa *const fused[] = {&sg_isa_portable_fma, &sg_isa_avx2, &sg_isa_avx512, NULL};
static const sg_isa *const plain[] = {&sg_isa_portable, NULL};

bool sg_isa_portable_is_fused(void) { return sg_cpu_has_fma(); }
const sg_isa *const *sg_isa_list(void) { return sg_cpu_has_fma() ? fused : plain; }
#elif SG_AARCH64
static const sg_isa *const all[] = {&sg_isa_portable, &sg_isa_neon, NULL};

bool sg_isa_portable_is_fused(void) { return true; }
const sg_isa *const *sg_isa_list(void) { return all; }
#else
static const sg_isa *const all[] = {&sg_isa_portable, NULL};

bool sg_isa_portable_is_fused(void) { return false; }
const sg_isa *const *sg_isa_list(void) { return all; }
#endif

const sg_isa *sg_isa_best(void) {
    const sg_isa *best = NULL;
    for (const sg_isa *const *p = sg_isa_list(); *p; p++)
        if ((*p)->supported()) best = *p;
    return best;
}

const sg_isa *sg_isa_find(const char *name) {
    for (const sg_isa *const *p = sg_isa_list(); *p; p++)
        if ((*p)->supported() && strcmp((*p)->name, name) == 0) return *p;
    return NULL;
}
