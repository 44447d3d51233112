/* The only door to the heap. Running out of memory is fatal (require): a daemon with ceilings on
 * every queue does not meet it, and half of a recovery path is worse than a restart. */
#pragma once

#include "base/own.h"

/* All return zeroed (new, array) or copied memory, never NULL. Free with mem_free. Any thread. */
void *mem_new(size_t size) MUSTCHECK;
void *mem_array(size_t count, size_t size) MUSTCHECK;
void *mem_grow(void *old, size_t count, size_t size) MUSTCHECK; /* new part is not zeroed */
char *mem_string(const char *text) MUSTCHECK;                   /* NULL in, NULL out */
char *mem_slice(const char *text, size_t length) MUSTCHECK;     /* NUL terminated copy */
char *mem_format(const char *format, ...) PRINTF(1, 2) MUSTCHECK;
void *mem_copy(const void *data, size_t length) MUSTCHECK;

/* Frees (NULL allowed) and returns NULL. */
void *mem_free(void *p);

/* Overwrites length bytes with zeros before freeing: for secrets. */
void *mem_wipe_free(void *p, size_t length);

static inline void mem_freep(void *p)
{
    void **slot = (void **)p;
    *slot = mem_free(*slot);
}

#define NEW(type) ((type *)mem_new(sizeof(type)))
