/* What a connection still has to be told: its event counter and the state and delta slots that are
 * merged while it is slow. Embedded in struct conn; filled by event.c only. */
#pragma once

#include "base/buf.h"

#define OUTLET_DELTAS_MAX 64 /* runs with a delta held back per connection; one more drops the oldest */

struct outlet_delta; /* event.c */

struct outlet {
    int64_t seq;                 /* last number given; protocol.md 5.1, per connection, from 1 */
    struct bytes *states[8];     /* newest unsent value per state event (enum event_state_slot) */
    uint32_t states_pending;     /* bits */
    struct outlet_delta *deltas; /* newest unsent chat delta per run */
    bool congested;              /* something waits for drained() */
};
