/* A gateway in memory and one call of a tool whose story is written down. */
#pragma once

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/tools/ops.h"
#include "tests/rig/rig.h"

#include <stdio.h>

struct tool_rig {
    struct rig *rig;
    struct tool_call *call;
    struct buf updates;
    int ends, result;
    bool is_error;
    char *text;           /* of the first content part */
    struct json *content; /* copies */
    struct json *details;
};

static inline void tool_rig_on_update(void *arg, const char *text, size_t length)
{
    struct tool_rig *t = arg;

    t_eq(t->ends, 0);
    buf_add(&t->updates, text, length);
}

static inline void tool_rig_clear(struct tool_rig *t)
{
    mem_free(t->text);
    json_free(t->content);
    json_free(t->details);
    t->text = NULL;
    t->content = t->details = NULL;
    t->ends = t->result = 0;
    t->is_error = false;
    buf_clear(&t->updates);
}

static inline void tool_rig_on_end(void *arg, int result, const struct tool_result *out)
{
    struct tool_rig *t = arg;

    t->ends++;
    t->call = NULL;
    t->result = result;
    t->is_error = out->is_error;
    t->content = json_copy(out->content);
    t->details = out->details ? json_copy(out->details) : NULL;
    t->text = mem_string(json_string(json_get(json_first(t->content), "text"), ""));
}

static inline struct tool_rig *tool_rig_new(const char *config)
{
    struct tool_rig *t = NEW(struct tool_rig);

    t->rig = rig_new(config);
    buf_init(&t->updates, 16u << 20);
    return t;
}

static inline void tool_rig_free(struct tool_rig *t)
{
    tool_rig_clear(t);
    rig_free(t->rig);
    buf_done(&t->updates);
    mem_free(t);
}

static inline bool tool_rig_ended(void *arg)
{
    const struct tool_rig *t = arg;
    return t->ends > 0;
}

/* Single quotes in arguments stand for double ones. */
static inline void tool_rig_start(struct tool_rig *t, struct tool_request request,
                                  const char *arguments)
{
    static const struct tool_events events = {tool_rig_on_update, tool_rig_on_end};
    char *text = mem_string(arguments ? arguments : "{}");
    struct fault fault = {0};
    struct json *tree;

    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    tree = json_parse(text, strlen(text), &fault);
    if (!tree)
        t_fail(__FILE__, __LINE__, "arguments: %s", fault.text);
    tool_rig_clear(t);
    request.agent_id = request.agent_id ? request.agent_id : "main";
    request.session_key = request.session_key ? request.session_key : "agent:main:main";
    request.arguments = tree;
    t->call = tool_start(t->rig->gw, &request, &events, t);
    json_free(tree); /* borrowed for the call only */
    mem_free(text);
    t_ok(t->call != NULL);
    t_eq(t->ends, 0); /* never from inside */
}

static inline void tool_rig_wait(struct tool_rig *t)
{
    t_ok(rig_until(t->rig, tool_rig_ended, t));
    t_eq(t->ends, 1);
}

/* Starts and waits for the end; the text of the result. */
static inline const char *tool_rig_run(struct tool_rig *t, const char *name, const char *arguments)
{
    tool_rig_start(t, (struct tool_request){.name = name}, arguments);
    tool_rig_wait(t);
    return t->text;
}
