/* Memory that is given back all at once: a batch's copied strings, a page's rows. One thread at a
 * time; never NULL (base/mem.h). */
#pragma once

#include "base/own.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk;
    size_t taken; /* bytes asked for so far: what ceilings count */
};

void *arena_take(struct arena *arena, size_t size);                     /* zeroed, aligned to 8 */
char *arena_copy(struct arena *arena, const char *text, size_t length); /* NUL terminated */
void arena_done(struct arena *arena);                                   /* frees everything */
