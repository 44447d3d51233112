/* What a program tells, line by line: whatever it is, the transcript stays in order. Every message is JSON, a
 * result comes behind the call it belongs to, and in the end each call has exactly one. */
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "gateway/agent/acp.h"
#include "gateway/gateway.h"

#include <string.h>

#define CALLS_MAX (ACP_TOOL_CALLS_MAX + 1)

static struct {
    char *called[CALLS_MAX];
    bool ended[CALLS_MAX];
    size_t count;
} story;

static void story_call(const struct json *part)
{
    if (strcmp(json_string(json_get(part, "type"), ""), "toolCall") != 0)
        return;
    require(story.count < CALLS_MAX);
    require(json_kind(json_get(part, "arguments")) == JSON_OBJECT);
    story.called[story.count++] = mem_string(json_string(json_get(part, "id"), ""));
}

/* Of something that was called, and has none yet. */
static void story_result(const char *id)
{
    size_t i = 0;

    while (i < story.count && (story.ended[i] || strcmp(story.called[i], id) != 0))
        i++;
    require(i < story.count);
    story.ended[i] = true;
}

static void on_message(void *arg, const struct agent_message *message)
{
    CLEAN(json_free)
    struct json *tree = json_parse(message->json, strlen(message->json), NULL);

    (void)arg;
    require(tree != NULL);
    if (strcmp(message->role, "toolResult") == 0) {
        story_result(json_string(json_get(tree, "toolCallId"), ""));
        return;
    }
    require(strcmp(message->role, "assistant") == 0);
    json_each (part, json_get(tree, "content"))
        story_call(part);
}

static void on_words(void *arg, const char *text, size_t length)
{
    (void)arg;
    require(length > 0 && json_is_utf8(text, length));
}

static void on_stream(void *arg, const char *stream, const char *data)
{
    CLEAN(json_free) struct json *tree = json_parse(data, strlen(data), NULL);

    (void)arg;
    require(*stream && json_kind(tree) == JSON_OBJECT);
}

static void on_notification(void *arg, const char *method, const struct json *params)
{
    (void)method;
    acp_update(arg, json_get(params, "update"));
}

static void on_request(void *arg, const char *id, const char *method, const struct json *params)
{
    struct agent_run *run = arg;

    require(*id && *method);
    (void)acp_update_asked(run, json_get(params, "toolCall"));
    acp_update_approval(run, "requested", "pending", "a", json_get(params, "toolCall"));
}

static void on_garbage(void *arg, const char *why)
{
    (void)arg;
    require(*why);
}

static int on_write(void *arg, const char *line, size_t length)
{
    (void)arg;
    (void)line;
    (void)length;
    return 0;
}

static void feed(struct rpc *rpc, const char *text, size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;

        rpc_line(rpc, text, length);
        length += end ? 1 : 0;
        text += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_events events = {
        .text = on_words, .thinking = on_words, .stream = on_stream, .message = on_message};
    struct gateway gw = {.loop = loop_new(LOOP_VIRTUAL)};
    char name[] = "fuzz";
    /* One that is being stopped already: too many calls end nothing further. */
    struct acp_child child = {
        .magic = ACP_CHILD_MAGIC, .state = ACP_STOPPING, .program = {.name = name}};
    struct agent_run run = {.magic = ACP_RUN_MAGIC, .gw = &gw, .events = &events, .child = &child};
    const struct rpc_owner owner = {on_write, on_request, on_notification, on_garbage, &run};
    struct json *content = NULL;
    struct rpc rpc;

    story.count = 0;
    memset(story.ended, 0, sizeof(story.ended));
    acp_update_init(&run);
    rpc_init(&rpc, gw.loop, &owner);
    feed(&rpc, (const char *)data, size);
    acp_update_finish(&run, &content);
    require(json_kind(content) == JSON_ARRAY);
    for (size_t i = 0; i < story.count; i++) {
        require(story.ended[i]);
        mem_free(story.called[i]);
    }
    json_free(content);
    acp_update_done(&run);
    rpc_close(&rpc, -ERR_CANCELLED);
    loop_free(gw.loop);
    return 0;
}
