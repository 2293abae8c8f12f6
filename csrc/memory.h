/* memory.h - whether memory is in use already. */
#ifndef SG_MEMORY_H
#define SG_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>

/* Whether nobody has touched the page of `p` yet. The system will zero it at the first store, which brings its lines into the cache. */
static inline bool sg_is_new(const void *p) {
    const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 1;
    return mincore((void *)((uintptr_t)p / size * size), size, (void *)&resident) == 0 && !(resident & 1);
}
#else
static inline bool sg_is_new(const void *p) {
    (void)p;
    return false;
}
#endif

#endif
