/* Inside of turns: shared by turn.c, answer.c and finish.c (life of one), lane.c (order and cap), stream.c (what is heard),
 * outcome.c (what is kept), waiter.c (who asked), recover.c (after a crash). */
#pragma once

#include "gateway/agent/agent.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/session/command.h"
#include "gateway/session/turn.h"

#define TURN_MAGIC 0x7475726eu

/* ACCEPTING: its first batch is with the store. QUEUED: acknowledged, waits in its lane. RUNNING: it
 * answers. ENDING: its last batch is with the store. ENDED: waits for its agent to let go. */
enum turn_state { TURN_ACCEPTING, TURN_QUEUED, TURN_RUNNING, TURN_ENDING, TURN_ENDED };
enum turn_end { TURN_OK, TURN_ERROR, TURN_ABORTED };

struct lane;

struct turn {
    uint32_t magic;
    struct index_node node; /* by run_id */
    struct gateway *gw;
    enum turn_method method;
    enum turn_state state;
    char *run_id, *session_key, *caller_key, *agent_id, *extra_system;
    char session_id[SESSION_ID_MAX + 1];
    int64_t user_seq;
    const struct command *command; /* the message is one (command.h); NULL: it is for the agent */
    char *rest, *images; /* a message that is stored when the turn starts; NULL: it is stored */
    struct op renew;     /* the batch that does so */
    struct lane *lane;
    struct turn *next; /* in its lane */

    const struct agent_kind *kind;
    struct agent_run *run; /* NULL: the agent has let go */
    struct model_name model;
    int64_t timeout_ms;
    struct timer timeout;

    struct buf text;  /* the answer so far */
    size_t sent;      /* bytes of it that deltas have carried */
    int64_t delta_at; /* loop_now() of the last delta; INT64_MIN: none */
    struct timer delta;
    int64_t seq; /* of its agent events; protocol.md 6.3 */

    const char *abort_reason; /* asked while ACCEPTING */
    enum turn_end end;
    const char *stop_reason; /* static text */
    char *error;
    const char *error_kind; /* protocol.md 6.2, NULL: none */
    struct model_usage usage;
    char message_id[64];                       /* "": nothing was stored */
    int64_t accepted_at, started_at, ended_at; /* wall; 0: not yet */
    struct json *outcome;

    struct op commit;
    struct turn_events events;
    void *arg;
};

struct turns {
    struct gateway *gw;
    struct index by_run;
    struct index lanes;
    struct lane *ready, **ready_tail; /* lanes whose first turn may start */
    size_t running;
    bool closing;
    struct waiter *waiters;
    size_t waiter_count;
};

/* turn.c */
void turn_start(struct turn *turn);
void turn_stop(struct turn *turn, const char *reason);
void turn_leave(struct turn *turn); /* out of the table and its lane, freed */

/* answer.c, finish.c */
void turn_run(struct turn *turn);
/* Works once per turn: later ends are not heard. stop_reason is static text. */
void turn_finish(struct turn *turn, enum turn_end end, const char *stop_reason, const char *error);

/* lane.c */
struct lane *lane_find(struct turns *turns, const char *session_key); /* NULL: nothing there */
int lane_join(struct turns *turns, struct turn *turn, struct fault *reterr_fault);
void lane_leave(struct turns *turns, struct turn *turn);
/* The turn's state changed: put its lane on the ready list if its first turn may start. */
void lane_check(struct turns *turns, struct lane *lane);
void lanes_pump(struct turns *turns);      /* starts what the cap allows */
bool lane_resets(const struct lane *lane); /* a turn that resets the session waits there */
struct turn *lane_first(const struct lane *lane);

/* stream.c: each counts the turn's seq as protocol.md 6.3 says. */
void stream_started(struct turn *turn, struct store_batch *batch);
void stream_delta(struct turn *turn);
void stream_ended(struct turn *turn, struct store_batch *batch);
/* The end could not be stored: told all the same, outside the log. */
void stream_unstored(struct turn *turn, const char *error);
/* The chat event of a message that no run made (chat.inject). */
void stream_injected(struct gateway *gw, struct store_batch *batch, const struct session *session,
                     const char *message_id, const char *message);

/* outcome.c */
char *outcome_started(const struct turn *turn) MUSTCHECK;
char *outcome_ended(const struct turn *turn) MUSTCHECK;

/* waiter.c */
void waiters_run_ended(struct turns *turns, const char *run_id, const struct json *outcome);
void waiters_lane_empty(struct turns *turns, const char *session_key);
void waiters_interrupt(struct turns *turns);

/* recover.c */
int turns_recover(struct gateway *gw, struct fault *reterr_fault);
