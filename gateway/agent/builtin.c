/* The agent that comes with the gateway. A run, top to bottom: gather the transcript and the workspace's
 * files; make prompt, system prompt and tools; ask the model; run the tools its answer calls, and ask
 * again with their results; an answer that calls none is the end. In front of each request: messages that
 * came meanwhile (steer), the run's limits, room in the model's window.
 *
 * Owns everything of a run until end() or drop(). Nothing is told from inside start, cancel or drop. */
#include "gateway/agent/builtin.h"

#include "base/mem.h"
#include "gateway/agent/message.h"
#include "gateway/agent/summary.h"
#include "gateway/config/config.h"
#include "gateway/session/transcript.h"

#include <stdio.h>
#include <string.h>

static void builtin_on_gathered(void *arg, int result, struct gathered *out,
                                const struct fault *fault);
static void builtin_on_text(void *arg, const char *delta, size_t length);
static void builtin_on_thinking(void *arg, const char *delta, size_t length);
static void builtin_on_answer(void *arg, int result, const struct model_result *out);
static void builtin_on_ending(void *arg);

/* ---- the end ---- */

/* What runs for the run stops, and tells nothing more. */
static void builtin_halt(struct agent_run *run)
{
    run->gather = gather_drop(run->gather);
    model_drop(TAKE(run->asking));
    op_drop(&run->kept);
    run->round = round_drop(run->round);
    run->compaction = compaction_drop(run->compaction);
    defer_stop(run->gw->loop, &run->ending);
}

static void builtin_free(struct agent_run *run)
{
    builtin_halt(run);
    prompt_done(&run->prompt);
    json_free(run->tools);
    json_free(run->client_tools);
    json_free(run->own);
    json_free(run->rest);
    for (size_t i = 0; i < run->steer_count; i++)
        json_free(run->steers[i]);
    mem_free(run->system);
    mem_free(run->session_key);
    mem_free(run->session_id);
    mem_free(run->agent_id);
    mem_free(run->run_id);
    mem_free(run->extra_system);
    mem_free(run->workspace);
    if (run->gone)
        *run->gone = true;
    run->magic = 0;
    mem_free(run);
}

/* The run is freed before its owner is told. */
void builtin_end(struct agent_run *run, int result, const struct model_result *out)
{
    const struct agent_events *events = run->events;
    struct model_result told = *out;
    void *arg = run->arg;

    told.usage = run->usage;
    builtin_free(run);
    if (events)
        events->end(arg, result, &told);
}

void builtin_fail(struct agent_run *run, int result, enum model_error_kind kind,
                  const struct fault *fault)
{
    struct model_name model = run->model;
    struct fault why = *fault;

    builtin_end(
        run, result,
        &(struct model_result){
            .provider = model.provider, .model = model.model, .error_kind = kind, .fault = &why});
}

static void builtin_on_ending(void *arg)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    builtin_fail(run, run->fault.code, MODEL_ERROR_UNKNOWN, &run->fault);
}

static void builtin_cancel(struct agent_run *run)
{
    CHECK(run, BUILTIN_MAGIC);
    if (run->cancelled)
        return;
    run->cancelled = true;
    builtin_halt(run);
    fault_set(&run->fault, -ERR_CANCELLED, "the run was stopped");
    defer_start(run->gw->loop, &run->ending, builtin_on_ending, run);
}

static void builtin_drop(struct agent_run *run)
{
    CHECK(run, BUILTIN_MAGIC);
    builtin_free(run);
}

/* ---- telling ---- */

bool builtin_tell_stream(struct agent_run *run, const char *stream, const char *data)
{
    bool gone = false;

    run->gone = &gone;
    run->events->stream(run->arg, stream, data);
    if (gone)
        return false;
    run->gone = NULL;
    return !run->cancelled;
}

bool builtin_tell_message(struct agent_run *run, const char *role, const struct json *message)
{
    CLEAN(mem_free) char *text = message_words(json_get(message, "content"));
    CLEAN(mem_free) char *json = json_print(message, false);
    bool assistant = strcmp(role, "assistant") == 0;
    bool gone = false;

    run->gone = &gone;
    run->events->message(
        run->arg,
        &(struct agent_message){.role = role, .text = assistant ? text : NULL, .json = json});
    if (gone)
        return false;
    run->gone = NULL;
    return !run->cancelled;
}

int64_t builtin_left(const struct agent_run *run)
{
    int64_t left = run->until - loop_now(run->gw->loop);

    return left > 1 ? left : 1;
}

/* ---- 1. gather ---- */

static struct agent_run *builtin_new(struct gateway *gw, const struct agent_request *request,
                                     const struct agent_events *events, void *arg)
{
    struct agent_run *run = NEW(struct agent_run);

    run->magic = BUILTIN_MAGIC;
    run->gw = gw;
    run->events = events;
    run->arg = arg;
    run->session_key = mem_string(request->session_key);
    run->session_id = mem_string(request->session_id);
    run->agent_id = mem_string(request->agent_id);
    run->run_id = mem_string(request->run_id);
    run->extra_system = mem_string(request->extra_system);
    run->model_chosen = request->model_chosen;
    run->thinking = request->thinking;
    run->max_tokens = request->max_tokens;
    run->client_tools = request->client_tools ? json_copy(request->client_tools) : NULL;
    run->user_seq = request->user_seq;
    run->first_seq = request->first_seq;
    run->until = loop_now(gw->loop) + request->timeout_ms;
    run->usage = (struct model_usage){-1, -1, -1, -1};
    (void)snprintf(run->model.provider, sizeof(run->model.provider), "%s", request->provider);
    (void)snprintf(run->model.model, sizeof(run->model.model), "%s", request->model);
    prompt_init(&run->prompt);
    return run;
}

static struct agent_run *builtin_start(struct gateway *gw, const struct agent_request *request,
                                       const struct agent_events *events, void *arg)
{
    struct agent_run *run = builtin_new(gw, request, events, arg);

    run->workspace = agent_workspace(gw, run->agent_id, &run->fault);
    if (!run->workspace) {
        defer_start(gw->loop, &run->ending, builtin_on_ending, run);
        return run;
    }
    run->gather =
        gather_start(gw,
                     &(struct gather_request){
                         .session_id = run->session_id,
                         .user_seq = run->user_seq,
                         .workspace = run->workspace,
                         .reader = context_reader_of(run->session_key),
                         .file_bytes = (size_t)config_int(gw->config, KNOB_bootstrap_max),
                         .all_bytes = (size_t)config_int(gw->config, KNOB_bootstrap_total_max),
                         .timeout_ms = request->timeout_ms,
                     },
                     builtin_on_gathered, run);
    return run;
}

/* ---- 2. prompt, system prompt, tools ---- */

static void builtin_write_system(struct agent_run *run, const char *files)
{
    CLEAN(mem_free)
    char *model = mem_format("%s/%s", run->model.provider, run->model.model);

    run->system = context_system(&(struct context_facts){
        .name = agent_name(run->gw, run->agent_id),
        .workspace = run->workspace,
        .model = model,
        .files = files,
        .extra = run->extra_system,
        .now = loop_wall(run->gw->loop),
        .tools = json_count(run->tools) > 0,
    });
}

static void builtin_on_gathered(void *arg, int result, struct gathered *out,
                                const struct fault *fault)
{
    struct agent_run *run = arg;
    int64_t window;

    CHECK(run, BUILTIN_MAGIC);
    run->gather = NULL;
    if (result < 0) {
        builtin_fail(run, result,
                     result == -ERR_TIMEOUT ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN, fault);
        return;
    }
    prompt_done(&run->prompt);
    run->prompt = out->prompt;
    out->prompt = (struct prompt){0};
    if (run->first_seq > 0 && run->first_seq < run->user_seq)
        run->prompt.question_first = run->first_seq;
    builtin_define_tools(run);
    builtin_write_system(run, out->files);
    gathered_done(out);
    run->fixed = budget_text(run->system, strlen(run->system)) + budget_json(run->tools);
    window = model_context_window(run->gw, run->model.provider, run->model.model);
    budget_init(&run->budget,
                window > 0 ? window : config_int(run->gw->config, KNOB_context_tokens));
    builtin_next(run);
}

/* ---- 3. the model ---- */

static bool builtin_steer(struct agent_run *run, int64_t user_seq, const char *text,
                          const char *images)
{
    CLEAN(mem_free) char *message = NULL;

    CHECK(run, BUILTIN_MAGIC);
    if (run->cancelled || run->ending.queued || run->rest || run->steer_count == BUILTIN_STEERS_MAX)
        return false;
    message = transcript_user(text, images, NULL, loop_wall(run->gw->loop));
    run->steer_seqs[run->steer_count] = user_seq;
    run->steers[run->steer_count++] = json_parse(message, strlen(message), NULL);
    if (run->round)
        round_skip(run->round);
    return true;
}

static void builtin_take_steers(struct agent_run *run)
{
    for (size_t i = 0; i < run->steer_count; i++)
        prompt_add(&run->prompt, run->steers[i], run->steer_seqs[i]);
    run->steer_count = 0;
}

/* 0, or the limit that the run has come to. */
static int builtin_check_limits(struct agent_run *run)
{
    if (run->until <= loop_now(run->gw->loop))
        return fault_set(&run->fault, -ERR_TIMEOUT,
                         "the time for this run is over; ask again to go on from here, or raise "
                         "agents.defaults.timeoutSeconds");
    if (run->rounds >= BUILTIN_ROUNDS_MAX)
        return fault_set(&run->fault, -ERR_FULL,
                         "stopped after %d requests to the model in one run, which is the limit; "
                         "what was done is kept: ask again to go on",
                         BUILTIN_ROUNDS_MAX);
    if (run->calls > BUILTIN_CALLS_MAX)
        return fault_set(&run->fault, -ERR_FULL,
                         "stopped after %u tool calls in one run, where %d are the limit; what was "
                         "done is kept: ask again to go on",
                         run->calls, BUILTIN_CALLS_MAX);
    if (run->guard.name[0])
        return fault_set(&run->fault, -ERR_FULL,
                         "stopped: the agent called %s %d times with the same arguments and got "
                         "the same result each time; say what it shall do differently",
                         run->guard.name, GUARD_END);
    return 0;
}

static void builtin_ask(struct agent_run *run)
{
    static const struct model_events events = {
        .text = builtin_on_text, .thinking = builtin_on_thinking, .end = builtin_on_answer};
    const char *fallbacks[AGENT_FALLBACKS_MAX + 1] = {0};

    if (!run->model_chosen)
        agent_fallbacks(run->gw, run->agent_id, fallbacks);
    run->rounds++;
    run->asking = model_start(run->gw,
                              &(struct model_request){
                                  .provider = run->model.provider,
                                  .model = run->model.model,
                                  .fallbacks = fallbacks,
                                  .system = run->system,
                                  .messages = run->prompt.messages,
                                  .tools = run->tools,
                                  .thinking = run->thinking,
                                  .max_tokens = run->max_tokens,
                                  .timeout_ms = builtin_left(run),
                              },
                              &events, run);
}

void builtin_next(struct agent_run *run)
{
    builtin_take_steers(run);
    if (builtin_check_limits(run) < 0) {
        enum model_error_kind kind =
            run->fault.code == -ERR_TIMEOUT ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN;

        builtin_fail(run, run->fault.code, kind, &run->fault);
        return;
    }
    if (!builtin_make_room(run))
        builtin_ask(run);
}

static void builtin_on_text(void *arg, const char *delta, size_t length)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    run->events->text(run->arg, delta, length);
}

static void builtin_on_thinking(void *arg, const char *delta, size_t length)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    if (run->events->thinking)
        run->events->thinking(run->arg, delta, length);
}

/* ---- 4. its answer ---- */

/* What the request took, and what the run has taken so far. */
static void builtin_count(struct agent_run *run, const struct model_usage *usage)
{
    struct model_usage request = {-1, -1, -1, -1};

    summary_add_usage(&run->usage, usage);
    request = *usage;
    request.output = -1;
    budget_learn(&run->budget, run->fixed + run->prompt.tokens,
                 (request.input > 0 ? request.input : 0) +
                     (request.cache_read > 0 ? request.cache_read : 0) +
                     (request.cache_write > 0 ? request.cache_write : 0));
}

static void builtin_on_answer(void *arg, int result, const struct model_result *out)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    run->asking = NULL;
    builtin_count(run, &out->usage);
    if (result < 0 && out->error_kind == MODEL_ERROR_CONTEXT && !run->overflowed &&
        builtin_can_shrink(run)) {
        run->overflowed = true;
        run->made_room = false;
        builtin_next(run);
        return;
    }
    if (result < 0) {
        builtin_end(run, result, out);
        return;
    }
    run->made_room = run->overflowed = false;
    if (round_calls(out->content) > 0) {
        builtin_call_tools(run, out);
    } else if (run->steer_count > 0) { /* somebody spoke meanwhile: that is answered next */
        if (json_count(out->content) == 0 || builtin_keep_answer(run, out, out->content))
            builtin_next(run);
    } else {
        builtin_end(run, 0, out);
    }
}

const struct agent_kind agent_kind_builtin = {
    .name = "builtin",
    .start = builtin_start,
    .cancel = builtin_cancel,
    .drop = builtin_drop,
    .steer = builtin_steer,
};
