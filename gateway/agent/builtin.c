/* The agent that comes with the gateway: it reads the session's transcript, makes the prompt and lets a
 * model answer. A run owns its page of the transcript, then its model run; it is gone with end() or drop(). */
#include "gateway/agent/agent.h"

#include "base/mem.h"
#include "gateway/gateway.h"

#include <string.h>
#include <time.h>

#define PROMPT_MESSAGES_MAX 400
#define PROMPT_BYTES_MAX    (1024 * 1024)
#define PROMPT_SYSTEM_MAX   (256 * 1024)
#define BUILTIN_MAGIC       0x6275696cu

struct agent_run {
    uint32_t magic;
    struct gateway *gw;
    const struct agent_events *events; /* NULL: dropped */
    void *arg;
    struct store_page page;
    struct model_run *model; /* NULL: not begun */
    struct model_name ref;
    char *session_id, *agent_id, *extra_system;
    int64_t user_seq, timeout_ms;
};

static void builtin_on_page(struct op *op, int result);
static void builtin_on_text(void *arg, const char *delta, size_t length);
static void builtin_on_end(void *arg, int result, const struct model_result *out);

/* The end: the run is freed before the owner is told. */
static void builtin_end(struct agent_run *run, int result, const struct model_result *out)
{
    const struct agent_events *events = run->events;
    void *arg = run->arg;

    op_drop(&run->page.op);
    store_page_done(&run->page);
    mem_free(run->session_id);
    mem_free(run->agent_id);
    mem_free(run->extra_system);
    run->magic = 0;
    mem_free(run);
    if (events)
        events->end(arg, result, out);
}

static void builtin_fail(struct agent_run *run, int result, const char *text)
{
    struct fault fault = {0};

    fault_set(&fault, result, "%s", text);
    builtin_end(run, result,
                &(struct model_result){
                    .usage = {-1, -1, -1, -1}, .error_kind = MODEL_ERROR_UNKNOWN, .fault = &fault});
}

/* ---- 1. the transcript ---- */

static struct agent_run *builtin_start(struct gateway *gw, const struct agent_request *request,
                                       const struct agent_events *events, void *arg)
{
    struct agent_run *run = NEW(struct agent_run);

    run->magic = BUILTIN_MAGIC;
    run->gw = gw;
    run->events = events;
    run->arg = arg;
    run->session_id = mem_string(request->session_id);
    run->agent_id = mem_string(request->agent_id);
    run->extra_system = mem_string(request->extra_system);
    run->user_seq = request->user_seq;
    run->timeout_ms = request->timeout_ms;
    memcpy(run->ref.provider, request->provider, strlen(request->provider) + 1);
    memcpy(run->ref.model, request->model, strlen(request->model) + 1);
    op_init(&run->page.op, gw->loop, builtin_on_page, request->timeout_ms);
    store_messages_read(gw->store, &run->page, run->session_id, 0, PROMPT_MESSAGES_MAX,
                        PROMPT_BYTES_MAX);
    return run;
}

/* ---- 2. the prompt ---- */

/* A message that says nothing (an answer that was cut before its first word) is left out, and so is what
 * came after the one to answer and belongs to no earlier run: its turn comes later. */
static bool prompt_has(const struct agent_run *run, const struct store_row *row,
                       const struct json *message)
{
    const char *role = json_string(json_get(message, "role"), "");
    const struct json *content = json_get(message, "content");

    if (row->seq > run->user_seq && (!row->run_id || strcmp(role, "user") == 0))
        return false;
    if (strcmp(role, "user") == 0)
        return true;
    if (strcmp(role, "assistant") != 0 && strcmp(role, "toolResult") != 0)
        return false;
    return json_kind(content) == JSON_STRING ? *json_string(content, "") != '\0'
                                             : json_count(content) > 0;
}

static bool prompt_same_run(const struct store_row *a, const struct store_row *b)
{
    return a->run_id && b->run_id && strcmp(a->run_id, b->run_id) == 0;
}

/* The transcript is in the order of arrival: messages sent while an answer was being written stand before
 * it. The model reads each answer behind its question. */
static struct json *prompt_messages(const struct agent_run *run)
{
    const struct store_page *page = &run->page;
    struct json *messages = json_new_array();
    bool *done = mem_array(page->count + 1, sizeof(bool));

    for (size_t i = 0; i < page->count; i++) {
        for (size_t j = i; j < page->count; j++) {
            const struct store_row *row = &page->rows[j];
            struct json *message;

            if (done[j] || (j > i && !prompt_same_run(&page->rows[i], row)))
                continue;
            done[j] = true;
            message = json_parse(row->message, strlen(row->message), NULL);
            if (prompt_has(run, row, message))
                json_append(messages, message);
            else
                json_free(message);
        }
    }
    mem_free(done);
    return messages;
}

static char *prompt_system(const struct agent_run *run)
{
    const char *name = agent_name(run->gw, run->agent_id);
    time_t now = (time_t)(loop_wall(run->gw->loop) / 1000);
    struct tm utc;
    struct buf b;
    char when[32];

    gmtime_r(&now, &utc);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &utc);
    buf_init(&b, PROMPT_SYSTEM_MAX);
    buf_addf(&b,
             "You are %s, a personal assistant reached through a Culvert gateway.\nNow: %s UTC.\n",
             name ? name : "Assistant", when);
    if (run->extra_system && strlen(run->extra_system) < PROMPT_SYSTEM_MAX / 2)
        buf_addf(&b, "\n%s\n", run->extra_system);
    return buf_take(&b);
}

static void builtin_on_page(struct op *op, int result)
{
    static const struct model_events events = {.text = builtin_on_text, .end = builtin_on_end};
    struct agent_run *run = CONTAINER(op, struct agent_run, page.op);

    CHECK(run, BUILTIN_MAGIC);
    if (result < 0) {
        CLEAN(mem_free)
        char *why = mem_string(op->fault.text[0] ? op->fault.text : err_text(result));
        builtin_fail(run, result, why);
        return;
    }
    CLEAN(json_free) struct json *messages = prompt_messages(run);
    CLEAN(mem_free) char *system = prompt_system(run);
    store_page_done(&run->page);
    run->model = model_start(run->gw,
                             &(struct model_request){
                                 .provider = run->ref.provider,
                                 .model = run->ref.model,
                                 .system = system,
                                 .messages = messages,
                                 .timeout_ms = run->timeout_ms,
                             },
                             &events, run);
}

/* ---- 3. the model's answer ---- */

static void builtin_on_text(void *arg, const char *delta, size_t length)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    if (run->events)
        run->events->text(run->arg, delta, length);
}

static void builtin_on_end(void *arg, int result, const struct model_result *out)
{
    struct agent_run *run = arg;

    CHECK(run, BUILTIN_MAGIC);
    run->model = NULL;
    builtin_end(run, result, out);
}

/* ---- stopping ---- */

static void builtin_cancel(struct agent_run *run)
{
    if (run->model)
        model_cancel(run->model);
    else
        op_cancel(&run->page.op); /* done comes with -ERR_CANCELLED */
}

static void builtin_drop(struct agent_run *run)
{
    run->events = NULL;
    model_drop(run->model);
    builtin_end(run, -ERR_CANCELLED, NULL);
}

const struct agent_kind agent_kind_builtin = {
    .name = "builtin",
    .start = builtin_start,
    .cancel = builtin_cancel,
    .drop = builtin_drop,
};
