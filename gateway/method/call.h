/* One request on its way to its answer. Outlives its connection: an answer nobody waits for any more is
 * dropped quietly. Loop thread only. */
#pragma once

#include "base/json.h"
#include "gateway/conn/conn.h"

struct call;
struct conn;
struct gateway;

/* All open calls of the daemon: made at start, freed when every call has ended. */
struct calls;
struct calls *calls_new(void) MUSTCHECK;
struct calls *calls_free(struct calls *calls);
/* For conn.c: nobody will hear these calls' answers. */
void calls_conn_gone(struct gateway *gw, conn_id id);

struct gateway *call_gateway(const struct call *call);
struct conn *call_conn(const struct call *call); /* NULL: gone */
int call_version(const struct call *call);       /* 3 or 4 */
scope_set call_scopes(const struct call *call);
/* Runs when the call has been answered or its connection went away, whichever is first (NULL unsets).
 * fn must not answer the call inside: it cancels or defers. */
void call_on_gone(struct call *call, void (*fn)(void *arg), void *arg);

/* An outcome that store_idempotency_find must have in memory. True: it is being read; the handler returns 0
 * and is called again from the beginning with the same params, so it must not have done anything yet. */
bool call_recall(struct call *call, const char *key);

/* Open an ok payload: write exactly one value to the writer, then call_send. */
struct json_writer *call_reply(struct call *call);
int call_send(struct call *call); /* ends the call; returns 0 */
/* As call_send for the first of two answers (protocol.md 1.2): the call stays open. */
int call_send_first(struct call *call);
/* A payload that is ready: valid JSON text. Ends the call. */
int call_reply_text(struct call *call, const char *json, size_t length);
/* A payload that many calls get: made once, sent by reference. */
struct bytes *call_payload(const char *json, size_t length) MUSTCHECK;
int call_reply_shared(struct call *call, struct bytes *payload); /* ends the call */

/* Wire error codes, protocol.md 1.5. */
enum wire_error {
    WIRE_NOT_LINKED,
    WIRE_NOT_PAIRED,
    WIRE_AGENT_TIMEOUT,
    WIRE_INVALID_REQUEST,
    WIRE_UNAVAILABLE,
    WIRE_FORBIDDEN
};
const char *wire_error_name(enum wire_error code);

/* Ends the call with an error. Returns 0 so that a handler can `return call_fail(…)`. */
int call_fail(struct call *call, enum wire_error code, const char *format, ...) PRINTF(3, 4);
/* With details (valid JSON text, may be NULL) and, when retry_after_ms >= 0, the retry hints. payload
 * (JSON, may be NULL) stands beside the error: `agent` finals. */
struct call_error {
    enum wire_error code;
    const char *message, *details, *payload;
    bool retryable;
    int64_t retry_after_ms; /* < 0: not told */
};
int call_fail_with(struct call *call, const struct call_error *error);
/* From an internal result: the edge's one place that turns -ERR_x and a fault into a wire error. */
int call_fail_fault(struct call *call, const struct fault *fault);
/* True when the caller holds the scope; else the call has been ended with the version's missing-scope
 * error and the handler returns 0. */
bool call_require(struct call *call, scope_set needed);
