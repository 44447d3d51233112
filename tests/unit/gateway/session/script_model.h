/* A scripted model: takes the place of the back end `echo` (this program's model_echo is linked instead of
 * the library's), so that the real supervisor and the real vtable are between it and the turn. The test
 * says each word; runs are numbered in the order in which they began. */
#pragma once

#include "base/mem.h"
#include "gateway/model/ops.h"
#include "tests/rig/rig.h"

#include <stdio.h>

#define SCRIPT_RUNS_MAX 128

struct script_run {
    struct model_run *run;   /* NULL: over */
    char *messages, *system; /* what it was asked, as JSON; NULL after it is over */
};
static struct script_run script_runs[SCRIPT_RUNS_MAX];
static int script_count;

struct script_state {
    int number;
};

static int script_init(struct model_run *run, const struct model_provider *provider,
                       const struct model_request *request, struct fault *reterr_fault)
{
    struct script_state *state = model_run_state(run);

    (void)provider;
    (void)reterr_fault;
    require(script_count < SCRIPT_RUNS_MAX);
    state->number = script_count++;
    script_runs[state->number] = (struct script_run){
        .messages = json_print(request->messages, false), .system = mem_string(request->system)};
    return 0;
}

static void script_start(struct model_run *run)
{
    struct script_state *state = model_run_state(run);

    script_runs[state->number].run = run;
}

static void script_close(struct model_run *run)
{
    struct script_state *state = model_run_state(run);

    script_runs[state->number].run = NULL;
}

static void script_fini(struct model_run *run)
{
    struct script_state *state = model_run_state(run);
    struct script_run *script = &script_runs[state->number];

    script->run = NULL;
    script->messages = mem_free(script->messages);
    script->system = mem_free(script->system);
}

const struct model_ops model_echo = {.name = "echo",
                                     .api = "echo",
                                     .size = sizeof(struct script_state),
                                     .init = script_init,
                                     .start = script_start,
                                     .close = script_close,
                                     .fini = script_fini};

static inline void script_reset(void)
{
    script_count = 0;
}

static bool script_begun(void *arg)
{
    int number = *(int *)arg;

    return number < script_count && script_runs[number].run;
}

/* Waits until that run has been asked. */
static inline bool script_wait(struct rig *rig, int number)
{
    return rig_until(rig, script_begun, &number);
}

static inline void script_say(int number, const char *text)
{
    t_ok(script_runs[number].run != NULL);
    if (script_runs[number].run && model_run_text(script_runs[number].run, text, strlen(text)) < 0)
        t_fail(__FILE__, __LINE__, "the supervisor does not take the text");
}

static inline void script_end(int number)
{
    struct model_outcome outcome = model_outcome_none();

    t_ok(script_runs[number].run != NULL);
    outcome.stop_reason = "stop";
    outcome.usage =
        (struct model_usage){.input = 10, .output = 5, .cache_read = 0, .cache_write = 0};
    if (script_runs[number].run)
        model_run_end(script_runs[number].run, &outcome);
}

static inline void script_fail(int number, enum model_error_kind kind, const char *text)
{
    struct model_outcome outcome = model_outcome_none();

    t_ok(script_runs[number].run != NULL);
    outcome.error_kind = kind;
    outcome.retry = MODEL_RETRY_NEVER;
    fault_set(&outcome.fault, -ERR_IO, "%s", text);
    if (script_runs[number].run)
        model_run_end(script_runs[number].run, &outcome);
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

static inline const char *chat_send(struct peer *peer, const char *key, const char *message,
                                    const char *run_id)
{
    CLEAN(mem_free)
    char *params = mem_format("{'sessionKey':'%s','message':'%s','idempotencyKey':'%s'}", key,
                              message, run_id);

    return peer_call(peer, "chat.send", params);
}

#define SCOPES "operator.admin operator.read operator.write"
