/* fail_malloc.c - malloc of which one call fails, chosen by number; preloaded by tests/test_out_of_memory.py. Calls for
 * less than SMALLEST bytes are the interpreter's own, and neither counted nor failed. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *block);

enum { SMALLEST = 4096 };

/* Set to k, the k-th call from now on fails; it is 0 or less when that has happened. */
atomic_long calls_to_failure = 0;
/* Blocks of that size in use. */
atomic_long blocks_in_use = 0;

static int fails(size_t size) {
    return size >= SMALLEST && atomic_load(&calls_to_failure) > 0 &&
           atomic_fetch_sub(&calls_to_failure, 1) == 1;
}

static void *counted(void *block) {
    if (block && malloc_usable_size(block) >= SMALLEST) atomic_fetch_add(&blocks_in_use, 1);
    return block;
}

static void *failure(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) { return fails(size) ? failure() : counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) {
    return fails(count * size) ? failure() : counted(__libc_calloc(count, size));
}

void free(void *block) {
    if (block && malloc_usable_size(block) >= SMALLEST) atomic_fetch_sub(&blocks_in_use, 1);
    __libc_free(block);
}

void *realloc(void *old, size_t size) {
    if (fails(size)) return failure();
    const int was = old && malloc_usable_size(old) >= SMALLEST;
    void *block = __libc_realloc(old, size);
    if (was && (block || size == 0)) atomic_fetch_sub(&blocks_in_use, 1);
    return counted(block);
}
