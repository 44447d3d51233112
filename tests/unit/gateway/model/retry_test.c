/* The retry policy of providers.md 8.5, with a pretend clock. */
#include "gateway/model/retry.h"

#include "tests/t.h"

static struct model_outcome failure(enum model_retry retry, int64_t retry_after_ms)
{
    struct model_outcome outcome = model_outcome_none();

    outcome.retry = retry;
    outcome.retry_after_ms = retry_after_ms;
    fault_set(&outcome.fault, -ERR_BUSY, "no");
    return outcome;
}

T(never)
{
    struct retry retry = {0};
    struct model_outcome outcome = failure(MODEL_RETRY_NEVER, 1);

    t_eq(retry_wait(&retry, &outcome, false, 0, 0), -1);
}

T(ten_attempts_at_a_rate_limit)
{
    struct retry retry = {0};
    struct model_outcome outcome = failure(MODEL_RETRY_RATE, -1);
    int64_t before = 0;

    for (int i = 0; i < 9; i++) {
        int64_t wait = retry_wait(&retry, &outcome, true, i * 100000, 0.999999);

        t_ok(wait >= before && wait <= 30000);
        before = wait;
    }
    t_ok(before > 29900);
    t_eq(retry_wait(&retry, &outcome, true, 0, 0), -1);
}

T(eight_retries_of_other_trouble_within_90_s)
{
    struct retry retry = {0};
    struct model_outcome outcome = failure(MODEL_RETRY_TRANSIENT, -1);

    for (int i = 0; i < 8; i++)
        t_ok(retry_wait(&retry, &outcome, false, 5, 0) > 0);
    t_eq(retry_wait(&retry, &outcome, false, 5, 0), -1);

    retry = (struct retry){0};
    t_ok(retry_wait(&retry, &outcome, false, 1000, 0) > 0);
    t_ok(retry_wait(&retry, &outcome, false, 91000, 0) > 0);
    t_eq(retry_wait(&retry, &outcome, false, 91001, 0), -1);
}

/* The server's word is a minimum; beyond a minute another model answers instead, where there is one. */
T(demanded_waits)
{
    struct retry retry = {0};
    struct model_outcome outcome = failure(MODEL_RETRY_RATE, 45000);

    t_eq(retry_wait(&retry, &outcome, true, 0, 0), 45000);
    outcome.retry_after_ms = 60001;
    t_eq(retry_wait(&retry, &outcome, false, 0, 0), 60001);
    t_eq(retry_wait(&retry, &outcome, true, 0, 0), -1);
}

T(another_model_is_not_asked_what_one_refused)
{
    struct model_outcome outcome = failure(MODEL_RETRY_NEVER, -1);

    for (int kind = MODEL_ERROR_NONE; kind <= MODEL_ERROR_UNKNOWN; kind++) {
        outcome.error_kind = (enum model_error_kind)kind;
        t_eq(retry_may_fall_back(&outcome),
             kind != MODEL_ERROR_REFUSAL && kind != MODEL_ERROR_CONTEXT);
    }
}
