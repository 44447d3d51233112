/* The built-in agent between a scripted model and scripted tools. The model takes the place of the back end
 * `echo`, the tools that of gateway/tools/session_read.c: the real supervisor, the real registry and the
 * real policy stand between them and the run. Requests are numbered in the order in which they came, tools in
 * the order in which they began. */
#pragma once

#include "gateway/model/ops.h"
#include "gateway/tools/ops.h"
#include "tests/rig/agent_rig.h"

#define ASKED_MAX 256

/* ---- the model ---- */

struct asked {
    struct model_run *run; /* NULL: over */
    struct json *messages, *tools;
    char *system, *name;
    enum model_thinking thinking;
};
static struct asked asked[ASKED_MAX];
static int asked_count;
/* Called when a request has come, so that a test may answer it at once; NULL: it waits for the test. */
static void (*on_asked)(int number);

struct script_state {
    int number;
};

static int script_init(struct model_run *run, const struct model_provider *provider,
                       const struct model_request *request, struct fault *reterr_fault)
{
    struct script_state *state = model_run_state(run);

    (void)reterr_fault;
    require(asked_count < ASKED_MAX);
    state->number = asked_count++;
    asked[state->number] = (struct asked){
        .messages = json_copy(request->messages),
        .tools = request->tools ? json_copy(request->tools) : json_new_array(),
        .system = mem_string(request->system),
        .name = mem_format("%s/%s", provider->id, request->model),
        .thinking = request->thinking,
    };
    return 0;
}

static void script_on_started(void *arg)
{
    struct script_state *state = model_run_state(arg);

    if (on_asked)
        on_asked(state->number);
}

static struct defer script_started[ASKED_MAX];

static void script_start(struct model_run *run)
{
    struct script_state *state = model_run_state(run);

    asked[state->number].run = run;
    defer_start(model_run_gateway(run)->loop, &script_started[state->number], script_on_started,
                run);
}

static void script_close(struct model_run *run)
{
    struct script_state *state = model_run_state(run);

    defer_stop(model_run_gateway(run)->loop, &script_started[state->number]);
    asked[state->number].run = NULL;
}

static void script_fini(struct model_run *run)
{
    struct script_state *state = model_run_state(run);

    defer_stop(model_run_gateway(run)->loop, &script_started[state->number]);
    asked[state->number].run = NULL;
}

const struct model_ops model_echo = {.name = "echo",
                                     .api = "echo",
                                     .size = sizeof(struct script_state),
                                     .init = script_init,
                                     .start = script_start,
                                     .close = script_close,
                                     .fini = script_fini};

static inline void say(int number, const char *text)
{
    t_ok(asked[number].run && model_run_text(asked[number].run, text, strlen(text)) == 0);
}

/* Single quotes stand for double ones. */
static inline void call_tool(int number, const char *id, const char *name, const char *arguments)
{
    CLEAN(mem_free) char *text = mem_string(arguments);

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    t_ok(asked[number].run != NULL);
    if (asked[number].run)
        t_eq(content_call(model_run_content(asked[number].run),
                          &(struct content_piece){.index = CONTENT_NO_INDEX,
                                                  .id = id,
                                                  .name = name,
                                                  .text = text,
                                                  .length = strlen(text),
                                                  .whole = true}),
             0);
}

static inline void done_with(int number, const char *stop_reason, int64_t input)
{
    struct model_outcome outcome = model_outcome_none();

    t_ok(asked[number].run != NULL);
    outcome.stop_reason = stop_reason;
    outcome.usage = (struct model_usage){input, 5, input > 0 ? 1 : -1, -1};
    if (asked[number].run)
        model_run_end(asked[number].run, &outcome);
}

static inline void done(int number)
{
    done_with(number, "stop", 10);
}

static inline void fail(int number, enum model_error_kind kind, const char *text)
{
    struct model_outcome outcome = model_outcome_none();

    t_ok(asked[number].run != NULL);
    outcome.error_kind = kind;
    outcome.retry = MODEL_RETRY_NEVER;
    fault_set(&outcome.fault, -ERR_IO, "%s", text);
    if (asked[number].run)
        model_run_end(asked[number].run, &outcome);
}

/* ---- the tools ---- */

#define BEGUN_MAX 512

struct begun {
    struct tool_call *call; /* NULL: over, or stopped */
    char id[64];
    bool stopped;
};
static struct begun begun[BEGUN_MAX];
static int begun_count;
static bool tools_answer; /* each tool at once, with its own text */

struct look {
    const char *text;
};
static const struct field look_fields[] = {
    A_STR(look, "text", text, OPTIONAL, 100000, "What to look for."),
    F_END,
};

struct tool_state {
    int number;
};

static void tool_begin(struct tool_call *call, const void *params)
{
    struct tool_state *state = tool_call_state(call);
    const struct look *p = params;

    require(begun_count < BEGUN_MAX);
    state->number = begun_count++;
    begun[state->number] = (struct begun){.call = call};
    (void)snprintf(begun[state->number].id, sizeof(begun[0].id), "%s",
                   tool_call_request(call)->call_id);
    if (tools_answer)
        tool_end_text(call, p->text ? p->text : "ok", strlen(p->text ? p->text : "ok"), NULL);
}

static void tool_close_(struct tool_call *call)
{
    struct tool_state *state = tool_call_state(call);

    begun[state->number].stopped = begun[state->number].call != NULL;
    begun[state->number].call = NULL;
}

#define TEST_TOOL(name_, flags_)                                                                   \
    {                                                                                              \
        .name = (name_), .label = "Test", .summary = "For tests.", .description = "For tests.",    \
        .group = TOOL_GROUP_sessions, .profiles = TOOL_CODING, .params = look_fields,              \
        .params_size = sizeof(struct look), .flags = (flags_), .timeout_ms = 600000,               \
        .state_size = sizeof(struct tool_state), .start = tool_begin, .close = tool_close_,        \
    }

const struct tool tools_session_read[] = {
    TEST_TOOL("look", TOOL_PARALLEL),
    TEST_TOOL("change", 0),
    TEST_TOOL("forbidden", 0),
    {0},
};

static inline void answer_tool(int number, const char *text)
{
    struct tool_call *call = begun[number].call;

    t_ok(call != NULL);
    begun[number].call = NULL;
    if (call)
        tool_end_text(call, text, strlen(text), NULL);
}

static inline void fail_tool(int number, const char *text)
{
    struct tool_call *call = begun[number].call;
    struct fault fault = {0};

    t_ok(call != NULL);
    begun[number].call = NULL;
    fault_set(&fault, -ERR_IO, "%s", text);
    if (call)
        tool_end_fault(call, &fault);
}

/* ---- both ---- */

static inline void kit_reset(void)
{
    for (int i = 0; i < asked_count; i++) {
        json_free(asked[i].messages);
        json_free(asked[i].tools);
        mem_free(asked[i].system);
        mem_free(asked[i].name);
    }
    memset(asked, 0, sizeof(asked));
    asked_count = begun_count = 0;
    on_asked = NULL;
    tools_answer = false;
}

/* Only the test's tools, whatever else there is. */
#define KIT_TOOLS "allow:['look','change','forbidden']"

/* config NULL: the test's tools, else as the gateway comes. */
static inline struct agent_rig *kit_new(const char *config)
{
    kit_reset();
    return agent_rig_new(config ? config : "{tools:{" KIT_TOOLS "}}", "agent:main:main");
}

static inline void kit_free(struct agent_rig *ar)
{
    agent_rig_free(ar);
    kit_reset();
}

static bool kit_has_asked(void *arg)
{
    return asked_count > *(int *)arg && asked[*(int *)arg].run;
}

static bool kit_has_begun(void *arg)
{
    return begun_count > *(int *)arg;
}

static inline void until_asked(struct agent_rig *ar, int number)
{
    t_ok(rig_until(ar->rig, kit_has_asked, &number));
}

static inline void until_begun(struct agent_rig *ar, int number)
{
    t_ok(rig_until(ar->rig, kit_has_begun, &number));
}

static bool kit_has_ended(void *arg)
{
    return ((struct agent_rig *)arg)->ends > 0;
}

static inline void until_ended(struct agent_rig *ar)
{
    t_ok(rig_until(ar->rig, kit_has_ended, ar));
    agent_rig_settle(ar);
    t_eq(ar->ends, 1);
}

/* What that request was asked with, as text; borrowed until the next call. */
static inline const char *asked_messages(int number)
{
    return agent_rig_print(asked[number].messages);
}

/* The streams of that name, as a JSON array of their data. */
static inline const char *streams_of(struct agent_rig *ar, const char *stream)
{
    CLEAN(json_free) struct json *list = json_new_array();

    json_each (item, ar->streams) {
        if (strcmp(json_string(json_get(item, "stream"), ""), stream) == 0)
            json_append(list, json_copy(json_get(item, "data")));
    }
    return agent_rig_print(list);
}
