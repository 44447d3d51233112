/* Inside of turns: shared by turn.c, answer.c and finish.c (life of one), lane.c (order and cap), stream.c (what is heard),
 * outcome.c (what is kept), waiter.c (who asked), recover.c (after a crash). */
#pragma once

#include "gateway/agent/agent.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/session/command.h"
#include "gateway/session/turn.h"

#define TURN_MAGIC 0x7475726eu
#define USAGE_DAY  11 /* bytes of "2026-03-09" */

/* ACCEPTING: its first batch is with the store. QUEUED: acknowledged, waits in its lane. RUNNING: it
 * answers. JOINED: another turn answers it too. ENDING: its last batch is with the store. ENDED: waits for its agent to let go. */
enum turn_state { TURN_ACCEPTING, TURN_QUEUED, TURN_RUNNING, TURN_JOINED, TURN_ENDING, TURN_ENDED };
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
    int64_t user_seq;             /* of the message to answer, the last of them */
    int64_t first_seq;            /* the first, where several were collected */
    char *text_in, *images_in;    /* the message, until it has its place (queue.c) */
    const char *queue_mode;       /* of this message alone; NULL: as the session has it */
    bool collects;                /* waits to be answered together with others */
    int64_t arrived_at, ready_at; /* loop_now(); it is held back until ready_at */
    struct turn *host;            /* the turn that answers it; NULL: itself */
    struct turn *riders;          /* those that this one answers too, by ->next */
    unsigned rider_count;
    const struct command *command; /* the message is one (command.h); NULL: it is for the agent */
    char *argument;                /* of the command; NULL: none */
    struct command_work *work;     /* of the command, under way; NULL: none */
    char *rest, *images; /* a message that is stored when the turn starts; NULL: it is stored */
    struct op renew;     /* the batch that does so */
    struct lane *lane;
    struct turn *next; /* in its lane */

    const struct agent_kind *kind;
    struct agent_run *run; /* NULL: the agent has let go */
    struct model_name model;
    int64_t timeout_ms;
    struct timer timeout;

    struct buf text, thought;    /* of the message that is being written */
    size_t sent, thought_sent;   /* bytes of them that deltas have carried */
    size_t whole, thought_whole; /* how long they were when they were last told whole */
    int64_t message_number;      /* of the run, the one being written */
    bool anew;        /* a message before this one ended: its first delta replaces what is shown */
    int64_t delta_at; /* loop_now() of the last delta; INT64_MIN: none */
    struct timer delta;
    int64_t seq; /* of its agent events; protocol.md 6.3 */

    struct json *client_tools; /* NULL: none */
    char *model_asked;         /* for this run; NULL: the session's */
    int64_t max_tokens;
    char *thinking; /* level asked with the message; NULL: as the session has it */

    const char *abort_reason; /* asked while ACCEPTING */
    enum turn_end end;
    const char *stop_reason; /* static text */
    char *error;
    const char *error_kind; /* protocol.md 6.2, NULL: none */
    struct model_usage usage;
    struct model_usage earlier;  /* of that, what messages on the way used */
    int64_t answers, tool_calls; /* messages and calls on the way */
    struct json *content;        /* parts of the last message; NULL: text is all there is */
    struct json *calls;          /* tool calls that wait for their results: [{id, name}] */
    char message_id[64];         /* "": nothing was stored */
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
    struct turn_hold *holds;
    size_t running;
    size_t started; /* since the last pass of deferred calls */
    struct defer next_starts;
    bool closing;
    struct waiter *waiters;
    size_t waiter_count;
    char trimmed[USAGE_DAY]; /* the day on which old usage was last dropped; "": not yet */
};

/* turn.c */
/* Its answer goes into turn->text. */
void turn_drop_work(struct turn *turn); /* a command that takes its time is not awaited */
void turn_command(struct turn *turn, struct session *session, struct store_batch *batch);
void turn_start(struct turn *turn);
void turn_stop(struct turn *turn, const char *reason);
void turn_leave(struct turn *turn); /* out of the table and its lane, freed */
struct turn *turn_find(struct gateway *gw, const char *run_id); /* NULL: none, or shutdown */
/* What recover.c needs to end it. */
void turn_put_row(const struct turn *turn, struct store_batch *batch);

/* answer.c, finish.c */
void turn_run(struct turn *turn);
/* Works once per turn: later ends are not heard. stop_reason is static text. */
void turn_finish(struct turn *turn, enum turn_end end, const char *stop_reason, const char *error);

/* Outcome and end of the turn's row. */
void turn_put_outcome(struct turn *turn, struct store_batch *batch);
void turn_tell_ended(struct turn *turn, const char *text); /* who waits, who asked */

/* join.c */
bool turn_has_room(const struct turn *host, const struct turn *rider);
void turn_join(struct turn *rider, struct turn *host); /* out of its lane; host waits or runs */
void turn_unjoin(struct turn *turn);                   /* it is being freed */
void riders_end(struct turn *host, struct store_batch *batch);
void riders_unstored(struct turn *host);
void riders_tell(struct turn *host); /* and frees them */

/* record.c: what a run leaves in the transcript. Into the batch; the session's row is the caller's. */
void record_message(struct turn *turn, const struct agent_message *message);
void record_answer(struct turn *turn, struct session *session, struct store_batch *batch);
/* A result for every call of the array that has none; error says why. */
void record_open_calls(struct turn *turn, struct session *session, struct store_batch *batch,
                       const char *error);

/* usage.c */
void usage_day(int64_t wall_ms, char out[USAGE_DAY]); /* of UTC */
void usage_take_message(struct turn *turn, const struct json *message);
struct model_usage usage_last(const struct turn *turn); /* of the last message alone */
void usage_put(struct turn *turn, struct session *session, struct store_batch *batch);

/* lane.c */
struct lane *lane_find(struct turns *turns, const char *session_key); /* NULL: nothing there */
int lane_join(struct turns *turns, struct turn *turn, struct fault *reterr_fault);
void lane_leave(struct turns *turns, struct turn *turn);
/* The turn's state changed: put its lane on the ready list if its first turn may start. */
void lane_check(struct turns *turns, struct lane *lane);
void lanes_pump(struct turns *turns);      /* starts what the cap allows */
bool lane_resets(const struct lane *lane); /* a turn that resets the session waits there */
struct turn *lane_first(const struct lane *lane);
/* Stops who holds the lane; false: nobody does. NULL ok. */
bool lane_stop_hold(struct lane *lane, const char *reason);

/* stream_agent.c: the `agent` events; each counts the turn's seq as protocol.md 6.3 says. */
void stream_started(struct turn *turn, struct store_batch *batch);
/* Text from sent on, thought from thought_sent on (v4 clients only); whole: with all of it so far. What is not
 * whole is for v4 clients, who take increments. */
void stream_assistant(struct turn *turn, bool whole);
void stream_thinking(struct turn *turn, bool whole);
void stream_other(struct turn *turn, const char *stream, const char *data);
void stream_lifecycle_ended(struct turn *turn, struct store_batch *batch); /* NULL: not stored */

/* stream.c: the `chat` events, with the seq of the agent event before them. */
#define STREAM_MAX (16 * TURN_TEXT_MAX) /* bytes of a payload: twice the text, every byte escaped */
struct bytes *stream_take(struct buf *b) MUSTCHECK;
/* Is a second copy needed: another key, and somebody who would hear it. */
bool stream_two_keys(const struct turn *turn);
void stream_chat_delta(struct turn *turn, bool whole);
/* All of a text so far, for who missed a delta of it: of the chat events, of the agent's streams. */
enum stream_text { STREAM_CHAT = 1, STREAM_ANSWER, STREAM_THOUGHT };
struct event_late *stream_late(struct turn *turn, enum stream_text what) MUSTCHECK;
void stream_late_unref(struct event_late *late);
struct bytes *stream_chat_whole(struct turn *turn, const struct buf *text, bool v3);
struct bytes *stream_text_whole(struct turn *turn, enum stream_text what, const struct buf *text,
                                bool v3);
void stream_ended(struct turn *turn, struct store_batch *batch);
/* The chat event alone; batch NULL: outside the log. */
void stream_chat_ended(struct turn *turn, struct store_batch *batch);
/* The end could not be stored: told all the same, outside the log. */
void stream_unstored(struct turn *turn);
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
