/* Tools of the built-in agent: which the model is told of, and what an answer calls. Our own run in a
 * round (round.c); the client's end the run, so that the client runs them. */
#include "gateway/agent/builtin.h"

#include "base/mem.h"
#include "gateway/agent/message.h"
#include "gateway/config/config.h"
#include "gateway/tools/tool.h"

#include <string.h>

static void builtin_on_kept(struct op *op, int result);
static void builtin_on_stream(void *arg, const char *data);
static void builtin_on_result(void *arg, struct json *message);
static void builtin_on_round(void *arg);

/* ---- what there is ---- */

static bool is_client_tool(const struct agent_run *run, const char *name)
{
    json_each (tool, run->client_tools) {
        if (strcmp(json_string(json_get(tool, "name"), ""), name) == 0)
            return true;
    }
    return false;
}

/* The client's come first: a name that both have is the client's. */
void builtin_define_tools(struct agent_run *run)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, BUILTIN_TOOLS_MAX);
    jw_init(&w, &b);
    tools_write_definitions(run->gw, run->agent_id, run->session_key, &w);
    CLEAN(mem_free) char *text = buf_take(&b);
    CLEAN(json_free) struct json *own = text ? json_parse(text, strlen(text), NULL) : NULL;

    run->tools = json_new_array();
    json_each (tool, run->client_tools)
        json_append(run->tools, json_copy(tool));
    json_each (tool, own) {
        if (!is_client_tool(run, json_string(json_get(tool, "name"), "")))
            json_append(run->tools, json_copy(tool));
    }
}

/* ---- what an answer calls ---- */

bool builtin_keep_answer(struct agent_run *run, const struct model_result *out,
                         const struct json *content)
{
    struct json *message = message_answer(&(struct message_answer){
        .content = content,
        .api = model_api(run->gw, out->provider ? out->provider : run->model.provider),
        .provider = out->provider,
        .model = out->model,
        .usage = out->usage,
        .stop_reason = round_calls(content) > 0 ? "toolUse" : "stop",
        .at = loop_wall(run->gw->loop),
    });

    prompt_add(&run->prompt, message, 0);
    return builtin_tell_message(run, "assistant", message);
}

/* The parts of an answer that are (client: or are not) calls of the client's tools. */
static struct json *calls_of(const struct agent_run *run, const struct json *content, bool client)
{
    struct json *parts = json_new_array();

    json_each (part, content) {
        bool call = strcmp(json_string(json_get(part, "type"), ""), "toolCall") == 0;

        if ((call && is_client_tool(run, json_string(json_get(part, "name"), ""))) == client)
            json_append(parts, json_copy(part));
    }
    return parts;
}

/* The client's calls are its own business: the run ends with them. */
static void builtin_end_calls(struct agent_run *run, const struct model_result *out,
                              const struct json *content)
{
    CLEAN(json_free) struct json *kept = json_copy(content);
    struct model_name model = run->model;

    builtin_end(run, 0,
                &(struct model_result){
                    .stop_reason = "toolUse",
                    .content = kept,
                    .provider = out && out->provider ? out->provider : model.provider,
                    .model = out && out->model ? out->model : model.model,
                });
}

void builtin_call_tools(struct agent_run *run, const struct model_result *out)
{
    CLEAN(json_free) struct json *client = calls_of(run, out->content, true);
    CLEAN(json_free) struct json *own = calls_of(run, out->content, false);

    if (round_calls(own) == 0) {
        builtin_end_calls(run, out, out->content);
        return;
    }
    if (!builtin_keep_answer(run, out, own))
        return;
    if (json_count(client) > 0)
        run->rest = TAKE(client);
    run->calls += (unsigned)round_calls(own);
    run->own = TAKE(own);
    /* Batches commit in the order given: when this empty one is through, the call is on disk. */
    op_init(&run->kept, run->gw->loop, builtin_on_kept, 0);
    store_commit(store_batch(run->gw->store), &run->kept);
}

/* No tool begins before the transcript says that it was called, also after a power cut. */
static void builtin_on_kept(struct op *op, int result)
{
    static const struct round_events events = {
        .stream = builtin_on_stream, .result = builtin_on_result, .end = builtin_on_round};
    struct agent_run *run = CONTAINER(op, struct agent_run, kept);
    CLEAN(json_free) struct json *own = TAKE(run->own);
    bool guarded = config_bool(run->gw->config, KNOB_loop_detection);

    CHECK(run, BUILTIN_MAGIC);
    if (result < 0) {
        fault_set(&run->fault, result, "the call of a tool could not be stored: %s",
                  op->fault.text[0] ? op->fault.text : err_text(result));
        builtin_fail(run, result, MODEL_ERROR_UNKNOWN, &run->fault);
        return;
    }
    run->round = round_start(run->gw,
                             &(struct round_owner){
                                 .agent_id = run->agent_id,
                                 .session_key = run->session_key,
                                 .session_id = run->session_id,
                                 .run_id = run->run_id,
                                 .timeout_ms = builtin_left(run),
                                 .guard = guarded ? &run->guard : NULL,
                             },
                             own, &events, run);
    if (run->steer_count > 0)
        round_skip(run->round);
}

/* ---- what came of it ---- */

static void builtin_on_stream(void *arg, const char *data)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    (void)builtin_tell_stream(run, "tool", data);
}

static void builtin_on_result(void *arg, struct json *message)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    prompt_add(&run->prompt, message, 0);
    (void)builtin_tell_message(run, "toolResult", message);
}

static void builtin_on_round(void *arg)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    run->round = NULL;
    if (run->rest)
        builtin_end_calls(run, NULL, run->rest);
    else
        builtin_next(run);
}
