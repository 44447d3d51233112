/* Exponential backoff with jitter: arithmetic only. */
#include "base/backoff.h"

void backoff_init(struct backoff *b, int64_t first_ms, int64_t cap_ms)
{
    require(first_ms > 0 && cap_ms >= first_ms);
    *b = (struct backoff){.first_ms = first_ms, .cap_ms = cap_ms};
}

int64_t backoff_next(struct backoff *b, double random_unit)
{
    int64_t wait = b->first_ms;

    /* Stops doubling at the cap, so a year of failures neither overflows nor loops long. */
    for (unsigned i = 0; i < b->attempt && wait < b->cap_ms; i++)
        wait = wait > b->cap_ms / 2 ? b->cap_ms : wait * 2;
    if (b->attempt < 64)
        b->attempt++;
    int64_t jittered = (int64_t)((double)wait * (0.5 + random_unit / 2.0));
    return jittered > 0 ? jittered : 1;
}

void backoff_reset(struct backoff *b)
{
    b->attempt = 0;
}
