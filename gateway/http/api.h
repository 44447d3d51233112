/* A call of one of OpenAI's APIs on its way: body -> request (api_request.h) -> a turn of a session -> the answer
 * in the API's shape, whole or as a stream. What the two APIs share is here; a shape is what differs.
 * protocol.md 8.7. Loop thread only, except parse. */
#pragma once

#include "gateway/http/api_request.h"
#include "gateway/http/route.h"
#include "gateway/session/key.h"

#define API_SAID_MAX (4u << 20) /* bytes of all the messages of a run; past it the run is stopped */
#define API_OUT_MAX  (96u << 20) /* an answer with every byte escaped, some of it several times */
#define API_BEAT_MS  15000       /* a comment in a stream that has nothing else to say */

struct api_run;

/* Why a run has no answer. */
struct api_error {
    int status;
    const char *type, *message;
    bool again; /* the same request may go better later */
};

struct api_shape {
    const char *run_prefix; /* "chatcmpl_" */
    const char
        *session_name; /* "openai": agent:<id>:openai:<uuid>, agent:<id>:openai-user:<user> */
    /* Any thread. -ERR_x and a fault: 400 with that sentence. */
    int (*parse)(const struct json *body, struct api_request *ret, struct fault *reterr_fault);
    /* Not a stream: the whole answer, or the failure. */
    void (*whole)(struct api_run *run, struct json_writer *w);
    void (*whole_failed)(struct api_run *run, const struct api_error *error, struct json_writer *w);
    /* A stream: each adds its events by api_event. */
    void (*begin)(struct api_run *run);
    void (*words)(struct api_run *run, const char *text, size_t length);
    void (*finish)(struct api_run *run);
    void (*failed)(struct api_run *run, const struct api_error *error);
};

struct api_target {
    char agent_id[AGENT_ID_MAX + 1];
    char session_key[SESSION_KEY_MAX + 1];
    bool fresh;        /* a session for this request alone */
    const char *model; /* "provider/model" of x-openclaw-model, borrowed; NULL: none */
};

struct api_usage {
    int64_t input, cached, output, total; /* input with what was cached */
};

struct api_run {
    uint32_t magic;
    struct web_call *call;
    struct gateway *gw;
    const struct api_shape *shape;
    struct api_request request;
    struct api_target target;
    char run_id[64];
    int64_t created; /* wall, seconds */

    struct op op;                /* the body's reading, then what is known of the key */
    struct api_reading *reading; /* in the pool */
    struct api_replay *replay;
    bool followed;  /* previous_response_id has been looked up */
    bool submitted; /* the turn will say how it ended */

    struct buf said;         /* all words so far; messages are apart by an empty line */
    size_t told;             /* bytes of it that are in out, or were */
    bool gap;                /* the next words begin another message */
    bool holds;              /* tool_choice: words wait until the call is there */
    struct json *outcome;    /* once it has ended; turn.h */
    struct json *tool_calls; /* [{id, name, arguments: text}] of the answer; NULL: none */
    const char *finish;      /* "stop", "length", "tool_calls" */
    struct api_usage usage;

    struct buf out; /* of the stream, not yet taken by the door */
    size_t out_sent;
    bool begun, closing; /* the stream's head is out; nothing is added to out any more */
    struct timer beat;

    /* of the shape */
    int64_t sequence;
    char item_id[48];
};

/* api_run.c: takes the call. */
void api_start(struct web_call *call, const struct api_shape *shape);
/* The run is over, well or not; called once. outcome is copied; text: what it said where no words came. */
void api_ended(struct api_run *run, const struct json *outcome, const char *text);
void api_fail(struct api_run *run, const struct api_error *error);

/* api_stream.c */
/* An event into out: "event: <name>" (NULL: none) and its data, made by write. */
typedef void api_event_fn(struct api_run *run, struct json_writer *w, const void *arg);
void api_event(struct api_run *run, const char *name, api_event_fn *write, const void *arg);
void api_stream_begin(struct api_run *run);
void api_stream_words(struct api_run *run); /* what was said and not told yet, if there is room */
void api_stream_close(
    struct api_run *run); /* everything is in out: [DONE], and the call ends when it is taken */
void api_stream_pump(struct api_run *run);

/* api_target.c: 0, or a fault; *ret_status 400 or 403. */
int api_target(struct api_run *run, int *ret_status, struct fault *reterr_fault);

/* api_outcome.c: what an outcome means to the API. */
bool api_outcome_error(const struct json *outcome, struct api_error *ret);
void api_outcome_read(struct api_run *run); /* finish, tool_calls, usage from run->outcome */
