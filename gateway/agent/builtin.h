/* Inside of the built-in agent: builtin.c (the flow), builtin_tools.c (what an answer calls), builtin_room.c
 * (what fits into the model's window). */
#pragma once

#include "gateway/agent/agent.h"
#include "gateway/agent/budget.h"
#include "gateway/agent/compaction.h"
#include "gateway/agent/gather.h"
#include "gateway/agent/round.h"
#include "gateway/gateway.h"

#define BUILTIN_MAGIC 0x6275696cu

#define BUILTIN_ROUNDS_MAX 64  /* requests to the model in one run */
#define BUILTIN_CALLS_MAX  256 /* tools in one run */
#define BUILTIN_STEERS_MAX 16  /* messages that wait to join; one more becomes a turn of its own */
#define BUILTIN_TOOLS_MAX  (1024u * 1024) /* bytes of all tool definitions */

struct agent_run {
    uint32_t magic;
    struct gateway *gw;
    const struct agent_events *events; /* NULL: dropped */
    void *arg;
    bool *gone; /* set when the run is freed inside an event; see builtin_tell_* */

    /* what was asked */
    char *session_key, *session_id, *agent_id, *run_id, *extra_system, *workspace;
    struct model_name model;
    bool model_chosen;
    enum model_thinking thinking;
    int64_t max_tokens;                 /* 0: the model's own */
    struct json *client_tools;          /* NULL: none */
    int64_t user_seq, first_seq, until; /* until: loop_now() */

    /* what the model is asked with */
    struct prompt prompt;
    char *system;
    struct json *tools;
    size_t fixed; /* tokens of system and tools, estimate */
    struct budget budget;
    struct json
        *steers[BUILTIN_STEERS_MAX]; /* messages of the user that join before the next request */
    int64_t steer_seqs[BUILTIN_STEERS_MAX];
    size_t steer_count;

    /* what runs: at most one of them */
    struct gather *gather;
    struct model_run *asking;
    struct op kept; /* the answer that calls tools is going to disk */
    struct round *round;
    struct compaction *compaction;
    struct defer ending; /* cancelled, or refused at the start */

    unsigned rounds, calls;
    struct guard guard;
    struct model_usage usage;
    bool cancelled;
    bool made_room;    /* before this request: a second time would not help */
    bool overflowed;   /* the model refused the request as too long */
    struct json *own;  /* calls of our tools, until they run */
    struct json *rest; /* calls of the client's tools, told with the end once our own have run */
    struct fault fault;
};

/* builtin.c */
/* Before the next request to the model: messages that came, limits, room; then asks. */
void builtin_next(struct agent_run *run);
/* Ends with an error that the fault's sentence explains. The run is gone. */
void builtin_fail(struct agent_run *run, int result, enum model_error_kind kind,
                  const struct fault *fault);
void builtin_end(struct agent_run *run, int result, const struct model_result *out);
/* False: the run was dropped or cancelled inside; return at once. */
bool builtin_tell_stream(struct agent_run *run, const char *stream, const char *data);
bool builtin_tell_message(struct agent_run *run, const char *role, const struct json *message);
int64_t builtin_left(const struct agent_run *run); /* ms, at least 1 */

/* builtin_tools.c */
void builtin_define_tools(struct agent_run *run);
/* An answer that calls tools: kept, then its tools run. */
void builtin_call_tools(struct agent_run *run, const struct model_result *out);
/* The answer as a message, into transcript and prompt. False: return at once. */
bool builtin_keep_answer(struct agent_run *run, const struct model_result *out,
                         const struct json *content);

/* builtin_room.c */
/* True: something was begun that ends in builtin_next, or the run has ended. False: ask now. */
bool builtin_make_room(struct agent_run *run);
/* Is there something older that a request could do without? */
bool builtin_can_shrink(const struct agent_run *run);
