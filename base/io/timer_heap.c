/* Each timer knows its slot, so that removing one needs no search. */
#include "base/io/timer_heap.h"

#include "base/mem.h"

#define ROOM_FIRST 64

static bool heap_before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void heap_place(struct timer_heap *heap, uint32_t slot, struct timer_entry entry)
{
    heap->entries[slot] = entry;
    entry.timer->slot = slot;
}

static void heap_up(struct timer_heap *heap, uint32_t slot)
{
    struct timer_entry entry = heap->entries[slot];

    while (slot > 1 && heap_before(&entry, &heap->entries[slot / 2])) {
        heap_place(heap, slot, heap->entries[slot / 2]);
        slot /= 2;
    }
    heap_place(heap, slot, entry);
}

static void heap_down(struct timer_heap *heap, uint32_t slot)
{
    struct timer_entry entry = heap->entries[slot];

    for (;;) {
        uint32_t child = slot * 2;
        if (child > heap->length)
            break;
        if (child < heap->length && heap_before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (!heap_before(&heap->entries[child], &entry))
            break;
        heap_place(heap, slot, heap->entries[child]);
        slot = child;
    }
    heap_place(heap, slot, entry);
}

void timer_heap_add(struct timer_heap *heap, struct timer *t)
{
    if (heap->length + 1 >= heap->room) {
        heap->room = heap->room ? heap->room * 2 : ROOM_FIRST;
        heap->entries = mem_grow(heap->entries, heap->room, sizeof(*heap->entries));
    }
    uint32_t slot = ++heap->length;
    heap_place(heap, slot, (struct timer_entry){t->due, heap->order++, t});
    heap_up(heap, slot);
}

void timer_heap_remove(struct timer_heap *heap, struct timer *t)
{
    uint32_t slot = t->slot;

    t->slot = 0;
    struct timer_entry last = heap->entries[heap->length--];
    if (last.timer == t)
        return;
    heap_place(heap, slot, last);
    heap_up(heap, slot);
    heap_down(heap, last.timer->slot);
}

const struct timer_entry *timer_heap_first(const struct timer_heap *heap)
{
    return heap->length > 0 ? &heap->entries[1] : NULL;
}

void timer_heap_done(struct timer_heap *heap)
{
    heap->entries = mem_free(heap->entries);
}
