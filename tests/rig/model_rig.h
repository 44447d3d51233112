/* A gateway with nothing but a loop under the test's clock, a configuration, an HTTP client and models;
 * and one run whose story is written down. */
#pragma once

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/model.h"
#include "tests/rig/script_server.h"
#include "tests/t.h"

#include <stdio.h>

struct model_rig {
    struct gateway gw;
    struct script_server *server; /* NULL: none */
    /* the run: */
    struct model_run *run;
    struct buf text;
    int deltas, ends, result;
    char stop_reason[32];
    struct model_result out; /* its texts and trees are not valid after the end: see below */
    struct fault fault;
    struct buf thought;
    struct json *content;
    char answered_by[2 * MODEL_NAME_MAX]; /* "provider/model" */
    /* of the request, beside name and messages: */
    struct model_request more;
    int cancel_at, drop_at; /* delta number; 0: never */
};

static inline void model_rig_on_text(void *arg, const char *delta, size_t length)
{
    struct model_rig *rig = arg;

    t_ok(length > 0 && json_is_utf8(delta, length));
    t_eq(rig->ends, 0);
    buf_add(&rig->text, delta, length);
    rig->deltas++;
    if (rig->deltas == rig->cancel_at)
        model_cancel(rig->run);
    if (rig->deltas == rig->drop_at)
        model_drop(TAKE(rig->run));
}

static inline void model_rig_on_thinking(void *arg, const char *delta, size_t length)
{
    struct model_rig *rig = arg;

    t_ok(length > 0 && json_is_utf8(delta, length));
    t_eq(rig->ends, 0);
    buf_add(&rig->thought, delta, length);
}

static inline void model_rig_on_end(void *arg, int result, const struct model_result *out)
{
    struct model_rig *rig = arg;

    rig->ends++;
    rig->run = NULL;
    rig->result = result;
    rig->out = *out;
    rig->fault = out->fault != NULL ? *out->fault : (struct fault){0};
    rig->content = out->content != NULL ? json_copy(out->content) : NULL;
    (void)snprintf(rig->answered_by, sizeof rig->answered_by, "%s/%s", out->provider, out->model);
    (void)snprintf(rig->stop_reason, sizeof rig->stop_reason, "%s",
                   out->stop_reason != NULL ? out->stop_reason : "");
}

static inline void model_rig_config(struct model_rig *rig, const char *json5)
{
    char *path = mem_format("%s/culvert.json", t_tmpdir());
    struct fault fault = {0};
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    (void)fputs(json5, file);
    (void)fclose(file);
    if (config_load(path, &rig->gw.config, &fault) < 0)
        t_fail(__FILE__, __LINE__, "configuration: %s", fault.text);
    mem_free(path);
}

/* config: a printf format whose one %d is the server's port. */
static inline struct model_rig *model_rig_new(const char *config, const char *const *scripts)
{
    struct model_rig *rig = NEW(struct model_rig);
    char *text;

    rig->gw.magic = GATEWAY_MAGIC;
    rig->gw.loop = loop_new(LOOP_VIRTUAL);
    if (scripts != NULL)
        rig->server = script_server_new(rig->gw.loop, scripts);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text = mem_format(config, rig->server != NULL ? rig->server->port : 0);
#pragma GCC diagnostic pop
    model_rig_config(rig, text);
    mem_free(text);
    rig->gw.http = http_client_new(rig->gw.loop);
    rig->gw.models = models_new(&rig->gw);
    buf_init(&rig->text, 64u << 20);
    buf_init(&rig->thought, 64u << 20);
    return rig;
}

static inline void model_rig_free(struct model_rig *rig)
{
    models_free(rig->gw.models);
    http_client_free(rig->gw.http);
    if (rig->server != NULL)
        script_server_free(rig->server);
    config_free(rig->gw.config);
    loop_free(rig->gw.loop); /* dies when a timer, a deferred call or a handle is left */
    buf_done(&rig->text);
    buf_done(&rig->thought);
    json_free(rig->content);
    mem_free(rig);
}

static inline void model_rig_start_messages(struct model_rig *rig, const char *name,
                                            const char *messages, int64_t timeout_ms)
{
    static const struct model_events events = {
        .text = model_rig_on_text, .thinking = model_rig_on_thinking, .end = model_rig_on_end};
    struct json *list = json_parse(messages, strlen(messages), NULL);
    struct model_request request = rig->more;

    t_ok(list != NULL);
    buf_clear(&rig->text);
    buf_clear(&rig->thought);
    rig->content = json_free(rig->content);
    rig->deltas = rig->ends = 0;
    request.model = name;
    request.system = "Be brief.";
    request.messages = list;
    request.timeout_ms = timeout_ms;
    rig->run = model_start(&rig->gw, &request, &events, rig);
    json_free(list); /* borrowed for the call only */
    t_ok(rig->run != NULL);
    t_eq(rig->ends + rig->deltas, 0);
}

static inline void model_rig_start(struct model_rig *rig, const char *name)
{
    model_rig_start_messages(rig, name, "[{\"role\":\"user\",\"content\":\"say something nice\"}]",
                             0);
}

/* Until nothing has moved for 10 ms of real time; the test's clock goes on about as fast. */
static inline void model_rig_settle(struct model_rig *rig)
{
    for (int quiet = 0; quiet < 10; quiet++) {
        while (loop_turn(rig->gw.loop, false))
            quiet = 0;
        loop_advance(rig->gw.loop, 1);
        (void)poll(NULL, 0, 1);
    }
}

/* Until the server has seen so many requests, or the run has ended. */
static inline void model_rig_requests(struct model_rig *rig, int count)
{
    while (rig->server->requests < count && rig->ends == 0)
        model_rig_settle(rig);
}

/* Settles and moves the clock by step until the end. */
static inline void model_rig_end(struct model_rig *rig, int64_t step_ms)
{
    for (int i = 0; i < 2000 && rig->ends == 0; i++) {
        model_rig_settle(rig);
        if (rig->ends == 0)
            loop_advance(rig->gw.loop, step_ms);
    }
    t_eq(rig->ends, 1);
    model_rig_settle(rig);
    t_eq(rig->ends, 1);
}
