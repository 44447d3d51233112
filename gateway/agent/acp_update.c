/* What a program tells of its turn: session/update becomes words, thoughts, `tool` and `plan` streams, and
 * messages for the transcript. A call and the words before it are one assistant message, told as soon as
 * anything else follows; its result is the next one; so the transcript is in the order of the work.
 *
 * Owns: the words since the last message, the calls of the run. */
#include "gateway/agent/acp.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define TELL_MS       150 /* a call's news are told at most so often */
#define MESSAGE_MAX   (32u << 20)
#define TOOL_NAME_MAX 64
#define TITLE_MAX     2048
#define INPUT_MAX     (1u << 20) /* bytes of a call's arguments; larger ones are not kept */
#define NO_RESULT     "no result: interrupted"

struct acp_tool {
    struct acp_tool *next;
    char *id, *name, *title; /* title NULL: none */
    struct json *input;      /* an object; NULL: not told */
    char *text;              /* its output so far; NULL: none */
    int64_t told_at;         /* loop_now() of the last update event */
    bool in_message, ended;
};

void acp_update_init(struct agent_run *run)
{
    buf_init(&run->text, MESSAGE_MAX);
    buf_init(&run->thinking, MESSAGE_MAX);
    run->tools_tail = &run->tools;
    run->usage = (struct model_usage){-1, -1, -1, -1};
    run->plan.told_at = run->context.told_at = INT64_MIN / 2;
}

void acp_update_done(struct agent_run *run)
{
    while (run->tools) {
        struct acp_tool *tool = run->tools;

        run->tools = tool->next;
        mem_free(tool->id);
        mem_free(tool->name);
        mem_free(tool->title);
        mem_free(tool->text);
        json_free(tool->input);
        mem_free(tool);
    }
    timer_stop(run->gw->loop, &run->news);
    mem_free(run->plan.text);
    mem_free(run->context.text);
    buf_done(&run->text);
    buf_done(&run->thinking);
}

/* ---- messages ---- */

static void message_tell(struct agent_run *run, const char *role, const char *text,
                         const struct buf *json)
{
    if (run->events && run->events->message && !json->bad)
        run->events->message(
            run->arg, &(struct agent_message){.role = role, .text = text, .json = json->data});
}

static void write_text_part(struct json_writer *w, const char *type, const char *member,
                            const char *text, size_t length)
{
    if (length == 0)
        return;
    jw_object(w);
    jw_kstr(w, "type", type);
    jw_key(w, member);
    jw_strn(w, text, length);
    jw_object_end(w);
}

static void write_input(struct json_writer *w, const char *key, const struct acp_tool *tool)
{
    if (tool->input) {
        jw_ktree(w, key, tool->input);
        return;
    }
    jw_kobject(w, key);
    jw_kstr(w, "title", tool->title); /* all that is known of what it does */
    jw_object_end(w);
}

static void write_content(struct agent_run *run, struct json_writer *w)
{
    jw_array(w);
    write_text_part(w, "thinking", "thinking", run->thinking.data, run->thinking.length);
    write_text_part(w, "text", "text", run->text.data, run->text.length);
    for (struct acp_tool *tool = run->tools; tool; tool = tool->next) {
        if (tool->in_message)
            continue;
        tool->in_message = true;
        jw_object(w);
        jw_kstr(w, "type", "toolCall");
        jw_kstr(w, "id", tool->id);
        jw_kstr(w, "name", tool->name);
        write_input(w, "arguments", tool);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* What was said and called goes into a message, if something was called. */
static void settle(struct agent_run *run)
{
    const struct model_usage none = {-1, -1, -1, -1};
    CLEAN(mem_free) char *text = NULL;
    struct json_writer w;
    struct buf b;

    if (run->untold == 0)
        return;
    run->untold = 0;
    text = run->text.length ? mem_slice(run->text.data, run->text.length) : NULL;
    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "assistant");
    jw_key(&w, "content");
    write_content(run, &w);
    jw_kstr(&w, "api", "acp");
    jw_kstr(&w, "provider", "acp");
    jw_kstr(&w, "model", run->model);
    jw_key(&w, "usage");
    transcript_write_usage(&none, &w);
    jw_kstr(&w, "stopReason", "toolUse");
    jw_kint(&w, "timestamp", loop_wall(run->gw->loop));
    jw_object_end(&w);
    buf_clear(&run->text);
    buf_clear(&run->thinking);
    message_tell(run, "assistant", text, &b);
    buf_done(&b);
}

/* ---- calls ---- */

static void write_result(struct json_writer *w, const char *text)
{
    jw_karray(w, "content");
    write_text_part(w, "text", "text", text, text ? strlen(text) : 0);
    jw_array_end(w);
}

/* One event of the `tool` stream; protocol.md 6.3. member: what it carries beside name and id. */
static void tool_tell(struct agent_run *run, const struct acp_tool *tool, const char *phase,
                      bool failed)
{
    bool result = strcmp(phase, "result") == 0;
    struct json_writer w;
    struct buf b;

    if (!run->events || !run->events->stream)
        return;
    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "phase", phase);
    jw_kstr(&w, "name", tool->name);
    jw_kstr(&w, "toolCallId", tool->id);
    jw_kstr(&w, result ? "meta" : "title", tool->title);
    if (strcmp(phase, "start") == 0) {
        write_input(&w, "args", tool);
    } else {
        if (result)
            jw_kbool(&w, "isError", failed);
        jw_kobject(&w, result ? "result" : "partialResult");
        write_result(&w, tool->text);
        jw_object_end(&w);
    }
    jw_object_end(&w);
    if (!b.bad)
        run->events->stream(run->arg, "tool", b.data);
    buf_done(&b);
}

static void tool_end(struct agent_run *run, struct acp_tool *tool, bool failed)
{
    struct json_writer w;
    struct buf b;

    if (tool->ended)
        return;
    tool->ended = true;
    settle(run);
    tool_tell(run, tool, "result", failed);
    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "toolResult");
    jw_kstr(&w, "toolCallId", tool->id);
    jw_kstr(&w, "toolName", tool->name);
    write_result(&w, tool->text);
    jw_kbool(&w, "isError", failed);
    jw_kint(&w, "timestamp", loop_wall(run->gw->loop));
    jw_object_end(&w);
    message_tell(run, "toolResult", NULL, &b);
    buf_done(&b);
    tool->text = mem_free(tool->text); /* nobody asks for it again */
}

static void renew(char **slot, const char *text, size_t max)
{
    if (!text)
        return;
    mem_free(*slot);
    *slot = mem_slice(text, strlen(text) < max ? strlen(text) : max);
    for (size_t end = strlen(*slot); end > 0 && !json_is_utf8(*slot, end); end--)
        (*slot)[end - 1] = '\0';
}

/* NULL: the run has been ended, there were too many. */
static struct acp_tool *tool_get(struct agent_run *run, const struct json *update)
{
    const char *id = json_string(json_get(update, "toolCallId"), "");
    struct acp_tool *tool = run->tools;

    while (tool && strcmp(tool->id, id) != 0)
        tool = tool->next;
    if (tool)
        return tool;
    if (run->tool_count == ACP_TOOL_CALLS_MAX) {
        acp_child_fail(run->child, -ERR_FULL,
                       "the agent's program %s called more than %d tools in one turn; it was "
                       "stopped",
                       run->child->program.name, ACP_TOOL_CALLS_MAX);
        return NULL;
    }
    tool = NEW(struct acp_tool);
    tool->id = mem_string(id);
    tool->name = mem_string("tool");
    run->tool_count++;
    run->untold++;
    *run->tools_tail = tool;
    run->tools_tail = &tool->next;
    return tool;
}

static void tool_take(struct acp_tool *tool, const struct json *update)
{
    const struct json *input = json_get(update, "rawInput");
    char *text = acp_text_output(update);

    renew(&tool->title, json_string(json_get(update, "title"), NULL), TITLE_MAX);
    renew(&tool->name, json_string(json_get(update, "kind"), NULL), TOOL_NAME_MAX);
    renew(&tool->name, json_string(json_get(update, "name"), NULL), TOOL_NAME_MAX);
    if (text) {
        mem_free(tool->text);
        tool->text = text;
    }
    if (json_kind(input) != JSON_OBJECT || json_count(input) == 0)
        return;
    CLEAN(mem_free) char *printed = json_print(input, false);
    if (strlen(printed) > INPUT_MAX)
        return;
    json_free(tool->input);
    tool->input = json_copy(input);
}

static void update_tool(struct agent_run *run, const struct json *update)
{
    const char *status = json_string(json_get(update, "status"), "");
    int64_t now = loop_now(run->gw->loop);
    size_t known = run->tool_count;
    struct acp_tool *tool = tool_get(run, update);

    if (!tool || tool->ended)
        return;
    tool_take(tool, update);
    if (run->tool_count > known)
        tool_tell(run, tool, "start", false);
    if (strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0) {
        tool_end(run, tool, strcmp(status, "failed") == 0);
    } else if (tool->text && run->tool_count == known && now - tool->told_at >= TELL_MS) {
        tool->told_at = now;
        tool_tell(run, tool, "update", false);
    }
}

/* ---- words ---- */

/* Blocks of other kinds are named, so that nobody misses them unknowingly. */
static char *chunk_text(const struct json *update)
{
    const struct json *content = json_get(update, "content");
    const char *type = json_string(json_get(content, "type"), "");
    const char *text = json_string(json_get(content, "text"), NULL);

    if (strcmp(type, "text") == 0)
        return text ? mem_string(text) : NULL;
    if (strcmp(type, "resource_link") == 0)
        return mem_format("[%s](%s)", json_string(json_get(content, "name"), "link"),
                          json_string(json_get(content, "uri"), ""));
    return *type ? mem_format("[%s]", type) : NULL;
}

static void update_text(struct agent_run *run, const struct json *update)
{
    CLEAN(mem_free) char *text = chunk_text(update);

    if (!text || !*text)
        return;
    settle(run);
    buf_add_str(&run->text, text);
    if (run->events && run->events->text)
        run->events->text(run->arg, text, strlen(text));
}

static void update_thought(struct agent_run *run, const struct json *update)
{
    CLEAN(mem_free) char *text = chunk_text(update);

    if (!text || !*text)
        return;
    settle(run);
    buf_add_str(&run->thinking, text);
    if (run->events && run->events->thinking)
        run->events->thinking(run->arg, text, strlen(text));
}

/* ---- plans and the context: the newest value counts, told every TELL_MS at most ---- */

static void news_tell(struct agent_run *run)
{
    const struct {
        struct acp_news *news;
        const char *stream;
    } all[] = {{&run->plan, "plan"}, {&run->context, "usage"}};

    timer_stop(run->gw->loop, &run->news);
    for (size_t i = 0; i < COUNT(all); i++) {
        CLEAN(mem_free) char *text = TAKE(all[i].news->text);

        all[i].news->told_at = text ? loop_now(run->gw->loop) : all[i].news->told_at;
        if (text && run->events && run->events->stream)
            run->events->stream(run->arg, all[i].stream, text);
    }
}

static void news_on_time(void *arg)
{
    struct agent_run *run = arg;

    CHECK(run, ACP_RUN_MAGIC);
    acp_run_hold(run);
    news_tell(run);
    (void)acp_run_let_go(run);
}

static void news_add(struct agent_run *run, struct acp_news *news, struct buf *text)
{
    int64_t wait = news->told_at + TELL_MS - loop_now(run->gw->loop);

    mem_free(news->text);
    news->text = buf_take(text);
    if (wait <= 0)
        news_tell(run);
    else if (!timer_running(&run->news))
        timer_start(run->gw->loop, &run->news, wait, 0, news_on_time, run);
}

static void update_plan(struct agent_run *run, const struct json *update)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "phase", "update");
    jw_kstr(&w, "title", "Plan updated");
    jw_kstr(&w, "source", "acp");
    jw_karray(&w, "steps");
    json_each (entry, json_get(update, "entries")) {
        jw_object(&w);
        jw_ktree(&w, "step", json_get(entry, "content"));
        jw_ktree(&w, "status", json_get(entry, "status"));
        jw_ktree(&w, "priority", json_get(entry, "priority"));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    news_add(run, &run->plan, &b);
}

static void update_usage(struct agent_run *run, const struct json *update)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, 65536);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kint(&w, "contextTokens", json_integer(json_get(update, "used"), 0));
    jw_kint(&w, "contextWindow", json_integer(json_get(update, "size"), 0));
    jw_object_end(&w);
    news_add(run, &run->context, &b);
}

void acp_update(struct agent_run *run, const struct json *update)
{
    static const struct {
        const char *kind;
        void (*take)(struct agent_run *run, const struct json *update);
    } kinds[] = {
        {"agent_message_chunk", update_text},
        {"agent_thought_chunk", update_thought},
        {"tool_call", update_tool},
        {"tool_call_update", update_tool},
        {"plan", update_plan},
        {"usage_update", update_usage},
    };
    const char *kind = json_string(json_get(update, "sessionUpdate"), "");

    acp_run_hold(run);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(kinds[i].kind, kind) == 0)
            kinds[i].take(run, update);
    }
    (void)acp_run_let_go(run);
}

/* ---- what is asked ---- */

bool acp_update_asked(struct agent_run *run, const struct json *call)
{
    acp_run_hold(run);
    update_tool(run, call);
    settle(run);
    return acp_run_let_go(run);
}

void acp_update_approval(struct agent_run *run, const char *phase, const char *status,
                         const char *approval_id, const struct json *call)
{
    struct json_writer w;
    struct buf b;

    if (!run->events || !run->events->stream)
        return;
    buf_init(&b, 65536);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "phase", phase);
    jw_kstr(&w, "kind", "exec");
    jw_kstr(&w, "status", status);
    jw_kstr(&w, "title",
            strcmp(phase, "requested") == 0 ? "Approval requested" : "Approval resolved");
    jw_kstr(&w, "approvalId", approval_id);
    jw_ktree(&w, "toolCallId", json_get(call, "toolCallId"));
    jw_ktree(&w, "message", json_get(call, "title"));
    jw_object_end(&w);
    if (!b.bad)
        run->events->stream(run->arg, "approval", b.data);
    buf_done(&b);
}

void acp_update_finish(struct agent_run *run, struct json **ret_content)
{
    struct json_writer w;
    struct buf b;

    settle(run);
    news_tell(run);
    for (struct acp_tool *tool = run->tools; tool; tool = tool->next) {
        if (tool->ended)
            continue;
        renew(&tool->text, NO_RESULT, sizeof(NO_RESULT));
        tool_end(run, tool, /* failed= */ true);
    }
    if (!ret_content)
        return;
    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    write_content(run, &w);
    *ret_content = b.bad ? NULL : json_parse(b.data, b.length, NULL);
    buf_done(&b);
}
