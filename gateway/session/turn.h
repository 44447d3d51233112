/* Turns: a session key names a lane, turns in a lane are serial, lanes run side by side under a global
 * cap. A turn streams, ends exactly once (also after a crash: interrupted), and a repeated idempotency
 * key never runs twice. design.md section 8, protocol.md section 6. */
#pragma once

#include "gateway/session/session.h"

struct turns;

#define TURN_QUEUE_MAX      64        /* waiting turns per lane; one more is UNAVAILABLE */
#define TURNS_MAX           4096      /* turns in all lanes; one more is UNAVAILABLE */
#define TURN_TEXT_MAX       (1 << 20) /* bytes of one answer; past it the turn ends with an error */
#define TURN_TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)
#define TURN_DELTA_MS       150 /* at most one chat delta per run and so long; protocol.md 6.2 */
#define TURN_WHOLE_MAX      (16 * 1024) /* bytes of text that every delta repeats */
#define TURN_WAITERS_MAX    1024
#define TURN_RUN_ID_MAX     256

struct turns *turns_new(struct gateway *gw, struct fault *reterr_fault)
    MUSTCHECK; /* ends interrupted turns */
/* Ends every turn as interrupted (shutdown), then frees. Before models_free and calls_free. */
struct turns *turns_free(struct turns *turns);
size_t turn_count(const struct gateway *gw);   /* running now */
size_t turn_waiting(const struct gateway *gw); /* for their lane or for a place */

/* ---- for gateway/session and the method groups ---- */

enum turn_method { TURN_CHAT, TURN_AGENT }; /* whose idempotency keys: "chat:<k>", "agent:<k>" */

/* All borrowed for the call. */
struct turn_request {
    enum turn_method method;
    const char *run_id;      /* the idempotency key */
    const char *session_key; /* canonical */
    const char *caller_key;  /* as the caller wrote it: v3 events carry that */
    const char *message;
    const char *images;       /* JSON array of image and text parts; NULL: none */
    const char *queue_mode;   /* for this message alone (queue.h); NULL: as the session has it */
    bool literal;             /* never a slash command */
    const char *extra_system; /* NULL: none */
    const char *thinking;     /* level for this message alone; NULL: as the session has it */
    const struct json *client_tools; /* agent.h; not kept over a restart; NULL: none */
    const char *model;               /* "provider/model" for this run alone; NULL: the session's */
    int64_t max_tokens;              /* of each answer of the model; 0: the model's own */
    int64_t timeout_ms;              /* < 0: as configured; 0: the longest there is */
};

/* An outcome is a JSON object, the same live and from the store:
 * {runId, status: started|ok|error|aborted, sessionKey, agentId, sessionId, messageId?, error?, errorKind?,
 *  stopReason?, startedAt?, endedAt?, provider?, model?, usage?, text?, content?}. text only for command
 * replies; content (the last message's parts, protocol.md 6.6) only live and for stopReason "toolUse". */
struct turn_events {
    /* Once. 0: the message and its idempotency key are on disk, acknowledge now. Negative: the store
     * refused, nothing happened and ended() does not come. */
    void (*accepted)(void *arg, int result, const struct fault *fault);
    /* What the agent says, as it comes; deltas of events are throttled, this is not. The caller may stop the
     * turn inside. Optional. */
    void (*text)(void *arg, const char *delta, size_t length);
    /* A message that is not the run's last is complete: what text() says next begins another. Optional. */
    void (*message)(void *arg);
    /* Once, after the end is on disk (or could not be). text is the answer. Optional. */
    void (*ended)(void *arg, const struct json *outcome, const char *text);
};
/* 0: taken, accepted() comes on a later turn of the loop. Negative with a fault: no turn was made
 * (-ERR_BUSY: queue full). The run id must be unknown: ask turn_known first. */
int turn_submit(struct gateway *gw, const struct turn_request *request,
                const struct turn_events *events, void *arg, struct fault *reterr_fault);

/* A run of either method with that id has not ended. Its canonical session key, else NULL. */
const char *turn_running_in(struct gateway *gw, const char *run_id);
/* The stored outcome of an earlier request with that key (status "started" only while it runs); NULL: never
 * seen. It must be in memory: call_recall(call, turn_outcome_key(…)) first. Caller owns (json_free). */
char *turn_outcome_key(enum turn_method method, const char *run_id) MUSTCHECK; /* caller owns */
struct json *turn_known(struct gateway *gw, enum turn_method method, const char *run_id) MUSTCHECK;

bool turn_active(struct gateway *gw, const char *session_key); /* something runs or waits there */
void turn_write_run_ids(struct gateway *gw, const char *session_key,
                        struct json_writer *w); /* array */
/* inFlightRun {runId, text, startedAt, sessionAbortable}: the answer being written there, with the text that
 * deltas have told so far, so that what comes next fits behind it. Nothing when none is. */
void turn_write_in_flight(struct gateway *gw, const char *session_key, struct json_writer *w);
/* Stops the run (NULL: all) of that session; writes the ids it stopped as an array. reason: "rpc",
 * "stop". Returns how many. */
size_t turn_abort(struct gateway *gw, const char *session_key, const char *run_id,
                  const char *reason, struct json_writer *w);

/* Result 0 and the outcome, or -ERR_TIMEOUT, or -ERR_INTERRUPTED at shutdown. Once. */
typedef void turn_wait_fn(void *arg, int result, const struct json *outcome);
/* Waits for the end of a run that may not have begun. -ERR_FULL past TURN_WAITERS_MAX. */
int turn_wait(struct gateway *gw, const char *run_id, int64_t timeout_ms, turn_wait_fn *fn,
              void *arg);
/* The waiter of turn_wait with that fn and arg is gone; fn is not called. */
void turn_unwait(struct gateway *gw, turn_wait_fn *fn, void *arg);
/* Stops what runs in the session and calls fn (outcome NULL) when its lane is empty: at once if it is. */
int turn_settle(struct gateway *gw, const char *session_key, const char *reason, int64_t timeout_ms,
                turn_wait_fn *fn, void *arg);

/* Keeps a session's lane to its holder for work that must not run beside a turn (a summary of it): turns
 * that come meanwhile wait. Embedded by the holder, who must release it. stop: somebody stops what runs there
 * (abort, reset, delete, the gateway's end); the holder gives up and releases inside. */
struct turn_hold {
    void (*stop)(void *arg, const char *reason);
    void *arg;
    struct turns *turns;
    struct lane *lane; /* NULL: not held */
    struct turn_hold *next;
};
/* -ERR_BUSY with a fault: something runs or waits there, or it is held already. */
int turn_hold(struct gateway *gw, const char *session_key, struct turn_hold *hold,
              struct fault *reterr_fault);
void turn_release(struct turn_hold *hold); /* not held: nothing */
