/* A gateway in memory and one agent run whose story is written down, without the turn layer in between: the
 * test is the run's owner. */
#pragma once

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/session/transcript.h"
#include "tests/rig/rig.h"

#include <stdio.h>
#include <time.h>

/* What may be done inside an event. */
enum agent_act { ACT_NOTHING, ACT_CANCEL, ACT_DROP };

struct agent_rig {
    struct rig *rig;
    struct session *session;
    const struct agent_kind *kind;
    struct agent_run *run; /* NULL: over */
    int64_t user_seq;

    struct buf text, thinking;
    struct json *messages; /* told by message(), in order */
    struct json *streams;  /* [{stream, data}] */
    int deltas, ends, result;
    char stop_reason[32], provider[64], model[64];
    struct json *content;
    struct model_usage usage;
    enum model_error_kind error_kind;
    struct fault fault;

    enum agent_act act;
    const char *act_at; /* "text", "message", or the name of a stream */
};

static inline void agent_rig_act(struct agent_rig *ar, const char *event)
{
    t_eq(ar->ends, 0);
    if (!ar->act_at || strcmp(ar->act_at, event) != 0 || !ar->run)
        return;
    ar->act_at = NULL;
    if (ar->act == ACT_CANCEL)
        ar->kind->cancel(ar->run);
    if (ar->act == ACT_DROP)
        ar->kind->drop(TAKE(ar->run));
}

static inline void agent_rig_on_text(void *arg, const char *delta, size_t length)
{
    struct agent_rig *ar = arg;

    t_ok(length > 0 && json_is_utf8(delta, length));
    buf_add(&ar->text, delta, length);
    ar->deltas++;
    agent_rig_act(ar, "text");
}

static inline void agent_rig_on_thinking(void *arg, const char *delta, size_t length)
{
    struct agent_rig *ar = arg;

    buf_add(&ar->thinking, delta, length);
}

static inline void agent_rig_on_stream(void *arg, const char *stream, const char *data)
{
    struct agent_rig *ar = arg;
    struct json *item = json_new_object(), *parsed = json_parse(data, strlen(data), NULL);

    t_ok(parsed != NULL);
    json_put(item, "stream", json_new_string(stream));
    json_put(item, "data", parsed ? parsed : json_new_object());
    json_append(ar->streams, item);
    agent_rig_act(ar, stream);
}

static inline void agent_rig_on_message(void *arg, const struct agent_message *message)
{
    struct agent_rig *ar = arg;
    struct json *parsed = json_parse(message->json, strlen(message->json), NULL);

    t_ok(parsed != NULL);
    t_str(json_string(json_get(parsed, "role"), ""), message->role);
    if (parsed)
        json_append(ar->messages, parsed);
    agent_rig_act(ar, "message");
}

static inline void agent_rig_on_end(void *arg, int result, const struct model_result *out)
{
    struct agent_rig *ar = arg;

    ar->ends++;
    ar->run = NULL;
    ar->result = result;
    ar->usage = out->usage;
    ar->error_kind = out->error_kind;
    ar->fault = out->fault ? *out->fault : (struct fault){0};
    ar->content = out->content ? json_copy(out->content) : NULL;
    (void)snprintf(ar->stop_reason, sizeof(ar->stop_reason), "%s",
                   out->stop_reason ? out->stop_reason : "");
    (void)snprintf(ar->provider, sizeof(ar->provider), "%s", out->provider ? out->provider : "");
    (void)snprintf(ar->model, sizeof(ar->model), "%s", out->model ? out->model : "");
}

static const struct agent_events agent_rig_events = {
    .text = agent_rig_on_text,
    .thinking = agent_rig_on_thinking,
    .stream = agent_rig_on_stream,
    .message = agent_rig_on_message,
    .end = agent_rig_on_end,
};

/* ---- life ---- */

static inline struct agent_rig *agent_rig_new_in(struct rig *rig, const char *session_key)
{
    struct agent_rig *ar = NEW(struct agent_rig);

    ar->rig = rig;
    ar->session = session_ensure(ar->rig->gw, session_key, NULL);
    ar->kind = agent_kind_of(ar->rig->gw, ar->session->agent_id);
    ar->messages = json_new_array();
    ar->streams = json_new_array();
    buf_init(&ar->text, 64u << 20);
    buf_init(&ar->thinking, 64u << 20);
    t_ok(ar->kind != NULL);
    return ar;
}

static inline struct agent_rig *agent_rig_new(const char *config, const char *session_key)
{
    return agent_rig_new_in(rig_new(config), session_key);
}

static inline void agent_rig_forget(struct agent_rig *ar)
{
    buf_clear(&ar->text);
    buf_clear(&ar->thinking);
    json_free(ar->messages);
    json_free(ar->streams);
    ar->messages = json_new_array();
    ar->streams = json_new_array();
    ar->content = json_free(ar->content);
    ar->deltas = ar->ends = 0;
    ar->result = 1;
}

static inline void agent_rig_free(struct agent_rig *ar)
{
    if (ar->run)
        ar->kind->drop(ar->run);
    rig_free(ar->rig);
    buf_done(&ar->text);
    buf_done(&ar->thinking);
    json_free(ar->messages);
    json_free(ar->streams);
    json_free(ar->content);
    mem_free(ar);
}

static void agent_rig_on_put(void *arg, int result)
{
    bool *stored = arg;

    t_eq(result, 0);
    *stored = true;
}

static bool agent_rig_stored(void *arg)
{
    return *(bool *)arg;
}

/* Into the transcript, and on disk; single quotes stand for double ones. Its seq. */
static inline int64_t agent_rig_put(struct agent_rig *ar, const char *role, const char *run_id,
                                    const char *message)
{
    struct store_batch *batch = store_batch(ar->rig->gw->store);
    CLEAN(mem_free) char *text = mem_string(message);
    char id[UUID_TEXT];
    bool stored = false;
    int64_t seq;

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    seq = transcript_append(
        ar->rig->gw, ar->session, batch,
        &(struct transcript_message){.role = role, .run_id = run_id, .text = "x", .message = text},
        id);
    store_on_commit(batch, agent_rig_on_put, &stored);
    store_commit(batch, NULL);
    t_ok(rig_until(ar->rig, agent_rig_stored, &stored));
    return seq;
}

static inline int64_t agent_rig_say(struct agent_rig *ar, const char *run_id, const char *text)
{
    CLEAN(mem_free) char *message = transcript_user(text, NULL, run_id, 1);

    return agent_rig_put(ar, "user", run_id, message);
}

static inline struct agent_request agent_rig_request(struct agent_rig *ar, const char *message)
{
    static struct model_name model;

    agent_rig_forget(ar);
    agent_model(ar->rig->gw, ar->session, ar->session->agent_id, &model);
    ar->user_seq = agent_rig_say(ar, "run", message);
    return (struct agent_request){
        .session_key = ar->session->key,
        .session_id = ar->session->session_id,
        .agent_id = ar->session->agent_id,
        .run_id = "run",
        .user_seq = ar->user_seq,
        .provider = model.provider,
        .model = model.model,
        .timeout_ms = 600000,
    };
}

static inline void agent_rig_start_as(struct agent_rig *ar, const struct agent_request *request)
{
    ar->run = ar->kind->start(ar->rig->gw, request, &agent_rig_events, ar);
    t_ok(ar->run != NULL);
    t_eq(ar->ends + ar->deltas, 0);
}

static inline void agent_rig_start(struct agent_rig *ar, const char *message)
{
    struct agent_request request = agent_rig_request(ar, message);

    agent_rig_start_as(ar, &request);
}

/* ---- waiting ---- */

/* Until nothing has moved for a while of real time (store and pool have threads of their own). */
static inline void agent_rig_settle(struct agent_rig *ar)
{
    struct timespec moment = {.tv_nsec = 500000};

    for (int quiet = 0; quiet < 12; quiet++) {
        while (loop_turn(ar->rig->gw->loop, false))
            quiet = 0;
        nanosleep(&moment, NULL);
    }
}

static bool agent_rig_has_acted(void *arg)
{
    return ((struct agent_rig *)arg)->act_at == NULL;
}

/* Until the event came in which something was to be done, and what that led to. */
static inline void agent_rig_acted(struct agent_rig *ar)
{
    t_ok(rig_until(ar->rig, agent_rig_has_acted, ar));
    agent_rig_settle(ar);
}

/* Settles and moves the clock by step until the end. */
static inline void agent_rig_end(struct agent_rig *ar, int64_t step_ms)
{
    for (int i = 0; i < 1000 && ar->ends == 0; i++) {
        agent_rig_settle(ar);
        if (ar->ends == 0)
            loop_advance(ar->rig->gw->loop, step_ms);
    }
    t_eq(ar->ends, 1);
    agent_rig_settle(ar);
    t_eq(ar->ends, 1);
}

/* Moves the clock in small steps until the first words (or the end). */
static inline void agent_rig_words(struct agent_rig *ar)
{
    for (int i = 0; i < 2000 && ar->deltas == 0 && ar->ends == 0; i++) {
        agent_rig_settle(ar);
        if (ar->deltas == 0)
            loop_advance(ar->rig->gw->loop, 1);
    }
    t_ok(ar->deltas > 0);
}

/* The story so far as JSON, for t_json. Borrowed until the next call. */
static inline const char *agent_rig_print(const struct json *value)
{
    static char *text;

    mem_free(text);
    return text = value ? json_print(value, false) : mem_string("null");
}
