/* A list of chunks, newest first; each next one twice as large, so a big batch takes few of them. */
#include "store/arena.h"

#include "base/mem.h"

#include <string.h>

#define ARENA_FIRST   976 /* with its header one KiB */
#define ARENA_LARGEST (1024 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, room;
    _Alignas(8) char data[];
};

static struct arena_chunk *arena_grow(struct arena *arena, size_t size)
{
    size_t room = arena->chunk ? arena->chunk->room * 2 : ARENA_FIRST;

    if (room > ARENA_LARGEST)
        room = ARENA_LARGEST;
    if (room < size)
        room = size;

    struct arena_chunk *chunk = mem_new(sizeof(*chunk) + room);
    chunk->room = room;
    chunk->next = arena->chunk;
    arena->chunk = chunk;
    return chunk;
}

void *arena_take(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->chunk;

    size = (size + 7) & ~(size_t)7;
    if (!chunk || chunk->room - chunk->used < size)
        chunk = arena_grow(arena, size);

    void *at = chunk->data + chunk->used;
    chunk->used += size;
    arena->taken += size;
    return at;
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_take(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

void arena_done(struct arena *arena)
{
    struct arena_chunk *chunk = TAKE(arena->chunk);

    while (chunk) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
    arena->taken = 0;
}
