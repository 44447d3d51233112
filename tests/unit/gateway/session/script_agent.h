/* A scripted agent: takes the place of the kind `builtin` (this program's agent_kind_builtin is linked
 * instead of the library's). The test tells every event itself; runs are numbered in the order in which
 * they began. */
#pragma once

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "tests/rig/rig.h"

#include <stdio.h>

#define ACTOR_RUNS_MAX 128

struct agent_run {
    struct gateway *gw;
    const struct agent_events *events;
    void *arg;
    int number;
    struct defer cancelled;
};

struct actor {
    struct agent_run *run; /* NULL: over */
    char session_key[256], run_id[256], provider[64], model[64];
    int64_t user_seq;
    enum model_thinking thinking;
    bool model_chosen, cancelled;
    struct json *client_tools;
    char *steered; /* texts joined by '|'; NULL: none */
};
static struct actor actors[ACTOR_RUNS_MAX];
static int actor_count;
static bool actor_steers = true; /* false: too late, each time */

static void actor_over(struct agent_run *run)
{
    actors[run->number].run = NULL;
    defer_stop(run->gw->loop, &run->cancelled);
    mem_free(run);
}

static struct agent_run *actor_start(struct gateway *gw, const struct agent_request *request,
                                     const struct agent_events *events, void *arg)
{
    struct agent_run *run = NEW(struct agent_run);
    struct actor *actor = &actors[actor_count];

    require(actor_count < ACTOR_RUNS_MAX);
    run->gw = gw;
    run->events = events;
    run->arg = arg;
    run->number = actor_count++;
    *actor = (struct actor){.run = run,
                            .user_seq = request->user_seq,
                            .thinking = request->thinking,
                            .model_chosen = request->model_chosen};
    snprintf(actor->session_key, sizeof(actor->session_key), "%s", request->session_key);
    snprintf(actor->run_id, sizeof(actor->run_id), "%s", request->run_id);
    snprintf(actor->provider, sizeof(actor->provider), "%s", request->provider);
    snprintf(actor->model, sizeof(actor->model), "%s", request->model);
    if (request->client_tools)
        actor->client_tools = json_copy(request->client_tools);
    return run;
}

static void actor_on_cancelled(void *arg)
{
    struct agent_run *run = arg;
    const struct agent_events *events = run->events;
    void *owner = run->arg;

    actor_over(run);
    events->end(owner, -ERR_CANCELLED, &(struct model_result){.usage = {-1, -1, -1, -1}});
}

static void actor_cancel(struct agent_run *run)
{
    actors[run->number].cancelled = true;
    defer_start(run->gw->loop, &run->cancelled, actor_on_cancelled, run);
}

static void actor_drop(struct agent_run *run)
{
    actor_over(run);
}

static bool actor_steer(struct agent_run *run, int64_t user_seq, const char *text,
                        const char *images)
{
    struct actor *actor = &actors[run->number];
    char *joined;

    (void)user_seq;
    (void)images;
    if (!actor_steers || actor->cancelled)
        return false;
    joined = actor->steered ? mem_format("%s|%s", actor->steered, text) : mem_string(text);
    mem_free(actor->steered);
    actor->steered = joined;
    return true;
}

const struct agent_kind agent_kind_builtin = {.name = "builtin",
                                              .start = actor_start,
                                              .cancel = actor_cancel,
                                              .drop = actor_drop,
                                              .steer = actor_steer};

static inline void actor_reset(void)
{
    for (int i = 0; i < actor_count; i++) {
        actors[i].steered = mem_free(actors[i].steered);
        actors[i].client_tools = json_free(actors[i].client_tools);
    }
    actor_count = 0;
    actor_steers = true;
}

static bool actor_begun(void *arg)
{
    return *(int *)arg < actor_count;
}

static inline bool actor_wait(struct rig *rig, int number)
{
    return rig_until(rig, actor_begun, &number);
}

static inline void actor_say(int number, const char *text)
{
    struct agent_run *run = actors[number].run;

    t_ok(run != NULL);
    if (run)
        run->events->text(run->arg, text, strlen(text));
}

static inline void actor_think(int number, const char *text)
{
    struct agent_run *run = actors[number].run;

    t_ok(run != NULL);
    if (run)
        run->events->thinking(run->arg, text, strlen(text));
}

/* Single quotes stand for double ones. */
static inline char *actor_json(const char *text)
{
    char *json = mem_string(text);

    for (char *c = json; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return json;
}

static inline void actor_stream(int number, const char *stream, const char *data)
{
    struct agent_run *run = actors[number].run;
    CLEAN(mem_free) char *json = actor_json(data);

    t_ok(run != NULL);
    if (run)
        run->events->stream(run->arg, stream, json);
}

static inline void actor_message(int number, const char *role, const char *text,
                                 const char *message)
{
    struct agent_run *run = actors[number].run;
    CLEAN(mem_free) char *json = actor_json(message);

    t_ok(run != NULL);
    if (run)
        run->events->message(run->arg,
                             &(struct agent_message){.role = role, .text = text, .json = json});
}

static inline void actor_end_by(int number, const char *stop_reason, const char *content,
                                const char *provider, const char *model, struct model_usage usage)
{
    struct agent_run *run = actors[number].run;
    CLEAN(mem_free) char *text = content ? actor_json(content) : NULL;
    CLEAN(json_free) struct json *parts = text ? json_parse(text, strlen(text), NULL) : NULL;

    t_ok(run != NULL);
    if (!run)
        return;
    const struct agent_events *events = run->events;
    void *owner = run->arg;

    actor_over(run);
    events->end(owner, 0,
                &(struct model_result){.stop_reason = stop_reason,
                                       .content = parts,
                                       .usage = usage,
                                       .provider = provider,
                                       .model = model});
}

/* content NULL: what was said is all. */
static inline void actor_end_with(int number, const char *stop_reason, const char *content,
                                  struct model_usage usage)
{
    actor_end_by(number, stop_reason, content, "echo", "second", usage);
}

static inline void actor_end_as(int number, const char *provider, const char *model,
                                struct model_usage usage)
{
    actor_end_by(number, "stop", NULL, provider, model, usage);
}

static inline void actor_end(int number)
{
    actor_end_with(number, "stop", NULL, (struct model_usage){10, 5, 0, 0});
}

/* ---- what a peer heard ---- */

/* The next `chat` event in that state, "" when none comes. */
static inline const char *chat_next(struct peer *peer, const char *state)
{
    CLEAN(mem_free) char *part = mem_format("\"state\":\"%s\"", state);
    const char *text;

    do
        text = peer_event(peer, "chat");
    while (text[0] && !strstr(text, part));
    return text;
}

/* The next `agent` event of that stream. */
static inline const char *agent_next(struct peer *peer, const char *stream)
{
    CLEAN(mem_free) char *part = mem_format("\"stream\":\"%s\"", stream);
    const char *text;

    do
        text = peer_event(peer, "agent");
    while (text[0] && !strstr(text, part));
    return text;
}

static inline const char *chat_send(struct peer *peer, const char *key, const char *message,
                                    const char *run_id)
{
    CLEAN(mem_free)
    char *params = mem_format("{'sessionKey':'%s','message':'%s','idempotencyKey':'%s'}", key,
                              message, run_id);

    return peer_call(peer, "chat.send", params);
}

/* A v4 operator that declared caps. */
static inline struct peer *peer_with_caps(struct rig *rig, const char *caps)
{
    struct peer *peer = peer_new(rig);

    t_has(peer_event(peer, "connect.challenge"), "nonce");
    peer_send(peer,
              "{'type':'req','id':'hello','method':'connect','params':{'minProtocol':4,"
              "'maxProtocol':4,'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'},"
              "'role':'operator','scopes':['operator.admin','operator.read','operator.write'],"
              "'caps':[%s],'auth':{'token':'" RIG_TOKEN "'}}}",
              caps);
    t_has(peer_response(peer, "hello"), "hello-ok");
    return peer;
}

#define SCOPES "operator.admin operator.read operator.write"
