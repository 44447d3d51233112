/* A run of an acp agent: one prompt of an open session, from the user's message to the program's stop reason.
 *
 * Path: run_start -> run_on_page (the message) -> acp_child_get -> acp_run_ready (session/prompt) ->
 * acp_update… -> run_on_prompted -> run_end. Cancelled: session/cancel, and what the program says until its
 * answer is still read. Lost: the program ended, and the sentence says how. */
#include "gateway/agent/acp.h"

#define LOG_SUBSYSTEM "acp"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"

#include <string.h>

#define READ_MS 30000

static void run_on_page(struct op *op, int result);
static void run_on_prompted(void *arg, int result, const struct json *answer);
static void run_on_patience(void *arg);
static void run_on_deadline(void *arg);

/* ---- the end ---- */

static void run_free(struct agent_run *run)
{
    if (run->held > 0) {
        run->gone = true;
        run->events = NULL;
        timer_stop(run->gw->loop, &run->timer);
        timer_stop(run->gw->loop, &run->news);
        return;
    }
    op_drop(&run->page.op);
    store_page_done(&run->page);
    timer_stop(run->gw->loop, &run->timer);
    defer_stop(run->gw->loop, &run->end);
    acp_update_done(run);
    mem_free(run->session_key);
    mem_free(run->session_id);
    mem_free(run->agent_id);
    mem_free(run->run_id);
    mem_free(run->extra_system);
    mem_free(run->history);
    json_free(run->message);
    mem_free(run->model);
    run->magic = 0;
    mem_free(run);
}

void acp_run_hold(struct agent_run *run)
{
    run->held++;
}

bool acp_run_let_go(struct agent_run *run)
{
    if (--run->held > 0 || !run->gone)
        return !run->gone;
    run_free(run);
    return false;
}

/* The program is free for the next run before the owner hears of the end. */
static void run_end(struct agent_run *run, int result, const struct model_result *out)
{
    CLEAN(json_free) struct json *content = NULL;
    const struct agent_events *events;
    struct model_result told = *out;
    void *arg = run->arg;

    acp_run_hold(run);
    acp_update_finish(run, result == 0 ? &content : NULL);
    if (!acp_run_let_go(run))
        return; /* dropped by what it told */
    if (run->child)
        acp_child_release(run->child);
    CLEAN(mem_free) char *model = TAKE(run->model);
    events = run->events;
    told.content = content;
    told.usage = run->usage;
    told.provider = "acp";
    told.model = model;
    run_free(run);
    if (events)
        events->end(arg, result, &told);
}

static void run_fail(struct agent_run *run, int result, enum model_error_kind kind,
                     const char *sentence)
{
    struct fault fault = {0};

    fault_set(&fault, result, "%s", sentence);
    run_end(run, result, &(struct model_result){.error_kind = kind, .fault = &fault});
}

/* The end of a run that was stopped, by its owner or its clock. */
static void run_fail_stopped(struct agent_run *run)
{
    struct fault fault = run->fault;
    bool late = run->end_result == -ERR_TIMEOUT;

    run_fail(run, run->end_result, late ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN,
             late            ? "the agent did not answer in the time a turn may take"
             : fault.text[0] ? fault.text
                             : err_text(run->end_result));
}

static void run_on_end(void *arg)
{
    struct agent_run *run = arg;

    CHECK(run, ACP_RUN_MAGIC);
    run_fail_stopped(run);
}

/* On a later turn, with run->fault's sentence. */
static void run_end_later(struct agent_run *run, int result)
{
    run->end_result = result;
    defer_start(run->gw->loop, &run->end, run_on_end, run);
}

/* ---- 1. the message to answer ---- */

static struct agent_run *acp_start(struct gateway *gw, const struct agent_request *request,
                                   const struct agent_events *events, void *arg)
{
    struct agent_run *run = NEW(struct agent_run);

    run->magic = ACP_RUN_MAGIC;
    run->gw = gw;
    run->events = events;
    run->arg = arg;
    run->session_key = mem_string(request->session_key);
    run->session_id = mem_string(request->session_id);
    run->agent_id = mem_string(request->agent_id);
    run->run_id = mem_string(request->run_id);
    run->extra_system = mem_string(request->extra_system);
    run->user_seq = request->user_seq;
    acp_update_init(run);
    timer_start(gw->loop, &run->timer, request->timeout_ms, 0, run_on_deadline, run);
    if (request->client_tools) {
        run_end_later(run, fault_set(&run->fault, -ERR_UNSUPPORTED,
                                     "agent %s has tools of its own and cannot be given others: "
                                     "send the request without tools, or to another agent",
                                     run->agent_id));
        return run;
    }
    op_init(&run->page.op, gw->loop, run_on_page, READ_MS);
    store_messages_read(gw->store, &run->page, run->session_id, run->user_seq, ACP_HISTORY_MESSAGES,
                        ACP_HISTORY_READ);
    return run;
}

/* ---- 2. the prompt ---- */

static void run_on_page(struct op *op, int result)
{
    struct agent_run *run = CONTAINER(op, struct agent_run, page.op);
    struct fault fault = {0};

    CHECK(run, ACP_RUN_MAGIC);
    if (result < 0) {
        CLEAN(mem_free)
        char *why = mem_string(op->fault.text[0] ? op->fault.text : err_text(result));
        run_fail(run, result, result == -ERR_TIMEOUT ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN,
                 why);
        return;
    }
    result = acp_prompt_read(run, &fault);
    store_page_done(&run->page);
    if (result < 0) {
        run_fail(run, result, MODEL_ERROR_UNKNOWN, fault.text);
        return;
    }
    run->state = ACP_RUN_OPENING;
    run->child = acp_child_get(run, &fault);
    if (run->child)
        run->model = mem_string(run->child->program.name);
    else
        run_fail(run, fault.code, MODEL_ERROR_UNKNOWN, fault.text);
}

/* ---- 3. the turn of the program ---- */

void acp_run_ready(struct agent_run *run)
{
    struct acp_child *child = run->child;
    struct json_writer w;
    struct buf b;
    int r;

    CHECK(run, ACP_RUN_MAGIC);
    if (run->has_image && !child->can_image) {
        CLEAN(mem_free)
        char *why = mem_format("the agent's program %s takes no images: describe what is in it, or "
                               "ask another agent",
                               child->program.name);
        run_fail(run, -ERR_UNSUPPORTED, MODEL_ERROR_UNKNOWN, why);
        return;
    }
    buf_init(&b, ACP_PROMPT_MAX + 65536);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "sessionId", child->acp_session);
    jw_karray(&w, "prompt");
    acp_prompt_write(run, child->fresh && !child->program.oneshot, &w);
    jw_array_end(&w);
    jw_object_end(&w);
    child->fresh = false;
    run->state = ACP_RUN_PROMPTING;
    r = b.bad ? -ERR_TOO_LARGE
              : rpc_request(&child->rpc, "session/prompt", b.data, /* deadline_ms= */ 0,
                            run_on_prompted, child);
    buf_done(&b);
    if (r < 0)
        acp_child_fail(child, r, "the agent's program %s cannot be reached: %s",
                       child->program.name, err_text(r));
}

static int64_t usage_of(const struct json *usage, const char *name)
{
    return json_integer(json_get(usage, name), -1);
}

static void run_take_usage(struct agent_run *run, const struct json *usage)
{
    if (json_kind(usage) != JSON_OBJECT)
        return;
    run->usage = (struct model_usage){
        .input = usage_of(usage, "inputTokens"),
        .output = usage_of(usage, "outputTokens"),
        .cache_read = usage_of(usage, "cachedReadTokens"),
        .cache_write = usage_of(usage, "cachedWriteTokens"),
    };
}

static void run_take_stop(struct agent_run *run, const char *reason)
{
    static const struct {
        const char *reason, *stop; /* stop NULL: it is a failure */
        int result;
        enum model_error_kind kind;
        const char *sentence;
    } stops[] = {
        {"end_turn", "stop", 0, MODEL_ERROR_NONE, NULL},
        {"max_tokens", "length", 0, MODEL_ERROR_NONE, NULL},
        {"max_turn_requests", NULL, -ERR_FULL, MODEL_ERROR_UNKNOWN,
         "the agent stopped: it has asked its model as often as one turn may; say \"go on\""},
        {"refusal", NULL, -ERR_DENIED, MODEL_ERROR_REFUSAL, "the agent refused to go on"},
        {"cancelled", NULL, -ERR_CANCELLED, MODEL_ERROR_UNKNOWN, "the agent broke its turn off"},
    };

    for (size_t i = 0; i < COUNT(stops); i++) {
        if (strcmp(stops[i].reason, reason) != 0)
            continue;
        if (stops[i].stop)
            run_end(run, 0, &(struct model_result){.stop_reason = stops[i].stop});
        else
            run_fail(run, stops[i].result, stops[i].kind, stops[i].sentence);
        return;
    }
    run_fail(run, -ERR_CORRUPT, MODEL_ERROR_UNKNOWN,
             "the agent ended its turn for a reason this gateway does not know");
}

static void run_on_prompted(void *arg, int result, const struct json *answer)
{
    struct acp_child *child = arg;
    struct agent_run *run = child->run;
    char raw[256], text[256];

    CHECK(child, ACP_CHILD_MAGIC);
    if (!run || result == -ERR_CLOSED)
        return; /* let go, or lost: that has its own end */
    CHECK(run, ACP_RUN_MAGIC);
    acp_permissions_cancel(child); /* it does not wait for these any more */
    run_take_usage(run, json_get(result == 0 ? answer : NULL, "usage"));
    if (run->state == ACP_RUN_CANCELLING) {
        run_fail_stopped(run);
    } else if (result == 0) {
        run_take_stop(run, json_string(json_get(answer, "stopReason"), ""));
    } else {
        acp_error_text(result, answer, raw, sizeof(raw));
        acp_text_clean(&child->program, raw, strlen(raw), text, sizeof(text));
        CLEAN(mem_free)
        char *why = mem_format("the agent's program %s failed: %s", child->program.name, text);
        run_fail(run, result, MODEL_ERROR_UNKNOWN, why);
    }
}

void acp_run_lost(struct agent_run *run, int result, const struct fault *fault)
{
    CHECK(run, ACP_RUN_MAGIC);
    run->child = NULL;
    if (run->state == ACP_RUN_CANCELLING)
        run_fail_stopped(run);
    else
        run_fail(run, result, MODEL_ERROR_UNKNOWN, fault->text);
}

/* ---- stopping ---- */

static void run_send_cancel(struct agent_run *run)
{
    struct acp_child *child = run->child;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 8192);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "sessionId", child->acp_session);
    jw_object_end(&w);
    acp_permissions_cancel(child);
    (void)rpc_notify(&child->rpc, "session/cancel", b.data); /* it has ended: so will the run */
    buf_done(&b);
}

/* The program goes on starting: the next turn will need it. */
static void run_leave_child(struct agent_run *run)
{
    struct acp_child *child = TAKE(run->child);

    if (child)
        child->run = NULL;
}

static void run_stop(struct agent_run *run, int why)
{
    switch (run->state) {
    case ACP_RUN_READING:
        op_drop(&run->page.op);
        run_end_later(run, why);
        break;
    case ACP_RUN_OPENING:
        run_leave_child(run);
        run_end_later(run, why);
        break;
    case ACP_RUN_PROMPTING:
        run->state = ACP_RUN_CANCELLING;
        run->end_result = why;
        timer_start(run->gw->loop, &run->timer, ACP_CANCEL_MS, 0, run_on_patience, run);
        run_send_cancel(run);
        break;
    case ACP_RUN_CANCELLING: break;
    }
}

static void acp_cancel(struct agent_run *run)
{
    CHECK(run, ACP_RUN_MAGIC);
    run_stop(run, -ERR_CANCELLED);
}

static void run_on_deadline(void *arg)
{
    struct agent_run *run = arg;

    CHECK(run, ACP_RUN_MAGIC);
    run_stop(run, -ERR_TIMEOUT);
}

static void run_on_patience(void *arg)
{
    struct agent_run *run = arg;
    struct acp_child *child = run->child;

    CHECK(run, ACP_RUN_MAGIC);
    log_warn("%s for %s was cancelled and did not stop: it is stopped now", child->program.name,
             run->session_key);
    run->child = NULL;
    acp_child_stop(child, ACP_STOP_MS);
    run_fail_stopped(run);
}

static void acp_drop(struct agent_run *run)
{
    struct acp_child *child = run->child;
    bool prompted = run->state == ACP_RUN_PROMPTING || run->state == ACP_RUN_CANCELLING;

    CHECK(run, ACP_RUN_MAGIC);
    run->events = NULL;
    run_leave_child(run);
    if (child && prompted) /* it works on something nobody waits for */
        acp_child_stop(child, ACP_STOP_MS);
    run_free(run);
}

const struct agent_kind agent_kind_acp = {
    .name = "acp",
    .start = acp_start,
    .cancel = acp_cancel,
    .drop = acp_drop,
    .model = acp_program_model,
};
