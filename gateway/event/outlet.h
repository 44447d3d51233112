/* What a connection still has to be told: its event counter and what is held back while it is slow.
 * Embedded in struct conn; event/deliver.c fills and empties it. */
#pragma once

#include "base/buf.h"

/* Held-back values per connection: one per state event, one per run and delta event. One more drops the
 * oldest delta (its run's final event carries the whole text). */
#define OUTLET_HELD_MAX 64

struct held; /* deliver.c */

struct outlet {
    int64_t seq;       /* last number given; protocol.md 5.1: per connection, from 1 */
    struct held *held; /* oldest first */
    unsigned held_count;
};
