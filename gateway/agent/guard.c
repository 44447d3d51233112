/* Calls and results are compared by hash: a table of the run's latest different calls. */
#include "gateway/agent/guard.h"

#include "base/mem.h"

#include <stdio.h>

static uint64_t guard_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (hash ^ 0xff) * 1099511628211u; /* an end that no text has */
}

static uint64_t guard_hash_json(uint64_t hash, const struct json *value)
{
    CLEAN(mem_free) char *text = value ? json_print(value, false) : NULL;

    return guard_hash(hash, text ? text : "");
}

static struct guard_slot *guard_slot_of(struct guard *guard, uint64_t call)
{
    struct guard_slot *oldest = &guard->slots[0];

    for (size_t i = 0; i < GUARD_SLOTS; i++) {
        if (guard->slots[i].call == call)
            return &guard->slots[i];
        if (guard->slots[i].seen < oldest->seen)
            oldest = &guard->slots[i];
    }
    *oldest = (struct guard_slot){.call = call};
    return oldest;
}

void guard_next(struct guard *guard)
{
    guard->answer++;
}

unsigned guard_note(struct guard *guard, const char *name, const struct json *arguments,
                    const struct json *content)
{
    uint64_t call = guard_hash_json(guard_hash(14695981039346656037u, name), arguments);
    uint64_t result = guard_hash_json(14695981039346656037u, content);
    struct guard_slot *slot = guard_slot_of(guard, call);

    slot->seen = ++guard->clock;
    if (slot->times == 0 || slot->result != result)
        slot->times = 1;
    else if (slot->answer != guard->answer)
        slot->times++;
    slot->result = result;
    slot->answer = guard->answer;
    if (slot->times >= GUARD_END)
        (void)snprintf(guard->name, sizeof(guard->name), "%s", name);
    return slot->times;
}
