/* One round of tools: the calls of one answer, run and told. Tools that change nothing run side by side,
 * others alone, all begun in the order of the answer; results are told in that order, each as soon as
 * those before it are there. Loop thread only. */
#pragma once

#include "gateway/agent/guard.h"

struct gateway;
struct round;

#define ROUND_CALLS_MAX     32          /* of one answer; the rest is answered with a refusal */
#define ROUND_PARALLEL_MAX  8           /* that run at once */
#define ROUND_UPDATE_MS     250         /* at most one update of a call is told per so long */
#define ROUND_UPDATE_BYTES  (8 * 1024)  /* newest bytes of its output in an update */
#define ROUND_ARGUMENTS_MAX (64 * 1024) /* bytes of arguments told in an event; more are left out */

/* For whom; borrowed for the call. */
struct round_owner {
    const char *agent_id, *session_key, *session_id, *run_id;
    int64_t timeout_ms;  /* what the run has left */
    struct guard *guard; /* outlives the round; NULL: none */
};

/* All from the loop, never from inside round_start or round_skip. The owner may drop the round inside stream
 * and result. */
struct round_events {
    void (*stream)(void *arg, const char *data); /* of the "tool" stream, protocol.md 6.3 */
    /* One toolResult message, in the order of the calls. Taken by the owner. */
    void (*result)(void *arg, struct json *message);
    void (*end)(void *arg); /* once, last: every call has its result. The round is gone */
};

/* content: of the answer; its toolCall parts are run. Counts at least one. */
struct round *round_start(struct gateway *gw, const struct round_owner *owner,
                          const struct json *content, const struct round_events *events, void *arg)
    MUSTCHECK;
/* A message came that the model shall see first: what has not begun is answered as not run. */
void round_skip(struct round *round);
/* Stops every tool; nothing is told any more. NULL ok; returns NULL. */
struct round *round_drop(struct round *round);

/* How many calls an answer makes. */
size_t round_calls(const struct json *content);
