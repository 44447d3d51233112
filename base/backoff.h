/* Exponential backoff with jitter: pure arithmetic, the caller owns clock and timer. */
#pragma once

#include "base/own.h"

struct backoff {
    int64_t first_ms, cap_ms;
    unsigned attempt; /* failures so far */
};

void backoff_init(struct backoff *b, int64_t first_ms, int64_t cap_ms);
/* The wait before the next try: first × 2^attempt capped, times 0.5 to 1.0 by random_unit in [0,1). */
int64_t backoff_next(struct backoff *b, double random_unit);
void backoff_reset(struct backoff *b);
