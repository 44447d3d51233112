/* When a failed attempt at a model is tried again, and when another model takes over: the policy of
 * providers.md 8.5, apart from clocks and I/O. Pure. */
#pragma once

#include "gateway/model/ops.h"

/* Failures so far of one model in one run; zeroed: none. */
struct retry {
    int attempts, transients;
    int64_t window_began; /* of transient failures */
};

/* Counts the failure. The wait in ms before the next attempt, or -1: this model is not asked again.
 * has_fallback: another model stands ready, so a long demanded wait is not waited for. random_unit in
 * [0,1). */
int64_t retry_wait(struct retry *retry, const struct model_outcome *outcome, bool has_fallback,
                   int64_t now, double random_unit);

/* May another model answer instead? Not a refusal (asking around until somebody says yes is not ours to do)
 * and not a conversation that is too long (it is to be compacted). */
bool retry_may_fall_back(const struct model_outcome *outcome);
