/* Timers by due time: a binary heap, earliest first, equal ones in the order they were started. Pure; the
 * loop owns the clock. */
#pragma once

#include "base/io/loop.h"

struct timer_heap {
    struct timer_entry *entries; /* 1-based: slot 0 is unused */
    uint32_t length, room;
    uint64_t order; /* the number the next timer gets */
};

struct timer_entry {
    int64_t due;
    uint64_t order;
    struct timer *timer;
};

void timer_heap_done(struct timer_heap *heap);
void timer_heap_add(struct timer_heap *heap, struct timer *t); /* t->due is set */
void timer_heap_remove(struct timer_heap *heap, struct timer *t);
const struct timer_entry *timer_heap_first(const struct timer_heap *heap); /* NULL: none */
