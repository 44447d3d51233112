/* The retry policy of providers.md 8.5 as arithmetic. */
#include "gateway/model/retry.h"

#include "base/backoff.h"

#define RATE_ATTEMPTS_MAX     10
#define TRANSIENT_RETRIES_MAX 8
#define TRANSIENT_WINDOW_MS   90000
#define BACKOFF_FIRST_MS      1000
#define BACKOFF_CAP_MS        30000
#define DEMANDED_MAX_MS       60000

static bool retry_spent(struct retry *retry, enum model_retry kind, int64_t now)
{
    if (kind == MODEL_RETRY_NEVER)
        return true;
    if (kind == MODEL_RETRY_RATE)
        return retry->attempts >= RATE_ATTEMPTS_MAX;
    if (retry->transients == 0)
        retry->window_began = now;
    return retry->transients++ >= TRANSIENT_RETRIES_MAX ||
           now - retry->window_began > TRANSIENT_WINDOW_MS;
}

int64_t retry_wait(struct retry *retry, const struct model_outcome *outcome, bool has_fallback,
                   int64_t now, double random_unit)
{
    struct backoff backoff;
    int64_t wait;

    retry->attempts++;
    if (retry_spent(retry, outcome->retry, now))
        return -1;
    if (has_fallback && outcome->retry_after_ms > DEMANDED_MAX_MS)
        return -1;
    backoff_init(&backoff, BACKOFF_FIRST_MS, BACKOFF_CAP_MS);
    backoff.attempt = (unsigned)(outcome->retry == MODEL_RETRY_RATE ? retry->attempts - 1
                                                                    : retry->transients - 1);
    wait = backoff_next(&backoff, random_unit);
    return outcome->retry_after_ms > wait ? outcome->retry_after_ms : wait;
}

bool retry_may_fall_back(const struct model_outcome *outcome)
{
    return outcome->error_kind != MODEL_ERROR_REFUSAL && outcome->error_kind != MODEL_ERROR_CONTEXT;
}
