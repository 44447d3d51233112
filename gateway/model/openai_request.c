/* A Chat Completions request from our transcript: system prompt, then each message in the shape the
 * API knows. Thinking is left out; tool calls and their results keep their ids. providers.md 8.2,
 * protocol.md 6.6. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "gateway/model/walk.h"

#include <string.h>

static void write_text_part(struct json_writer *w, const char *text)
{
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_kstr(w, "text", text);
    jw_object_end(w);
}

static void write_image_part(struct json_writer *w, const struct json *part)
{
    const char *data = json_string(json_get(part, "data"), NULL);
    const char *type = json_string(json_get(part, "mimeType"), "image/png");
    char *url;

    if (data == NULL)
        return;
    url = mem_format("data:%s;base64,%s", type, data);
    jw_object(w);
    jw_kstr(w, "type", "image_url");
    jw_kobject(w, "image_url");
    jw_kstr(w, "url", url);
    jw_object_end(w);
    jw_object_end(w);
    mem_free(url);
}

static void write_user(struct json_writer *w, const struct json *content, bool images,
                       struct buf *text)
{
    jw_object(w);
    jw_kstr(w, "role", "user");
    if (images && content_count(content, "image") > 0) {
        jw_karray(w, "content");
        json_each (part, content) {
            if (part_is(part, "text"))
                write_text_part(w, json_string(json_get(part, "text"), ""));
            else if (part_is(part, "image"))
                write_image_part(w, part);
        }
        jw_array_end(w);
    } else {
        content_text_of(content, text);
        jw_kstr(w, "content", text->data != NULL ? text->data : "");
    }
    jw_object_end(w);
}

static void write_tool_calls(struct json_writer *w, const struct json *content)
{
    jw_karray(w, "tool_calls");
    json_each (part, content) {
        CLEAN(mem_free) char *arguments = NULL;

        if (!part_is(part, "toolCall"))
            continue;
        arguments = call_arguments_text(part);
        jw_object(w);
        jw_kstr(w, "id", json_string(json_get(part, "id"), ""));
        jw_kstr(w, "type", "function");
        jw_kobject(w, "function");
        jw_kstr(w, "name", json_string(json_get(part, "name"), ""));
        jw_kstr(w, "arguments", arguments);
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_assistant(struct json_writer *w, const struct json *content, struct buf *text)
{
    bool tools = content_count(content, "toolCall") > 0;

    content_text_of(content, text);
    jw_object(w);
    jw_kstr(w, "role", "assistant");
    if (text->length > 0)
        jw_kstr(w, "content", text->data);
    if (tools)
        write_tool_calls(w, content);
    jw_object_end(w);
}

static void write_tool_result(struct json_writer *w, const struct walk_step *step, struct buf *text)
{
    walk_result_text(step, text);
    jw_object(w);
    jw_kstr(w, "role", "tool");
    jw_kstr(w, "tool_call_id", json_string(json_get(step->call, "id"), ""));
    jw_kstr(w, "content", text->data != NULL ? text->data : "");
    jw_object_end(w);
}

static void write_messages(struct json_writer *w, const struct model_request *request, bool images,
                           struct buf *text)
{
    struct walk walk;
    struct walk_step step;

    jw_karray(w, "messages");
    if (request->system != NULL && *request->system != '\0') {
        jw_object(w);
        jw_kstr(w, "role", "system");
        jw_kstr(w, "content", request->system);
        jw_object_end(w);
    }
    walk_init(&walk, request->messages);
    while (walk_next(&walk, &step)) {
        if (step.role == WALK_USER)
            write_user(w, step.content, images, text);
        else if (step.role == WALK_ASSISTANT)
            write_assistant(w, step.content, text);
        else
            write_tool_result(w, &step, text);
    }
    jw_array_end(w);
}

static void write_tools(struct json_writer *w, const struct json *tools)
{
    if (json_count(tools) == 0)
        return;
    jw_karray(w, "tools");
    json_each (tool, tools) {
        jw_object(w);
        jw_kstr(w, "type", "function");
        jw_kobject(w, "function");
        jw_kstr(w, "name", json_string(json_get(tool, "name"), ""));
        jw_kstr(w, "description", json_string(json_get(tool, "description"), NULL));
        jw_ktree(w, "parameters", json_get(tool, "parameters"));
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* The API knows "minimal" to "high" everywhere; more is for the newest models only. */
static const char *const openai_efforts[] = {
    [THINKING_OFF] = NULL,        [THINKING_MINIMAL] = "minimal", [THINKING_LOW] = "low",
    [THINKING_MEDIUM] = "medium", [THINKING_HIGH] = "high",       [THINKING_XHIGH] = "high",
};

int openai_write_request(struct buf *out, const struct model_provider *provider,
                         const struct model_request *request, struct fault *reterr_fault)
{
    const struct model_entry *entry = catalog_entry(provider, request->model);
    int64_t max_tokens = request->max_tokens > 0                  ? request->max_tokens
                         : entry != NULL && entry->max_tokens > 0 ? entry->max_tokens
                                                                  : provider->max_tokens;
    CLEAN(buf_done) struct buf text;
    struct json_writer w;

    buf_init(&text, out->max);
    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "model", request->model);
    write_messages(&w, request, entry == NULL || entry->images, &text);
    write_tools(&w, request->tools);
    if (entry != NULL && entry->reasoning)
        jw_kstr(&w, "reasoning_effort", openai_efforts[request->thinking]);
    jw_kbool(&w, "stream", true);
    if (provider->usage_in_stream) {
        jw_kobject(&w, "stream_options");
        jw_kbool(&w, "include_usage", true);
        jw_object_end(&w);
    }
    if (max_tokens > 0) /* the old name is what compatible servers know */
        jw_kint(&w,
                strstr(provider->base_url, "//api.openai.com") ? "max_completion_tokens"
                                                               : "max_tokens",
                max_tokens);
    jw_object_end(&w);
    if (out->bad || text.bad)
        return fault_set(
            reterr_fault, -ERR_TOO_LARGE,
            "the conversation is too large to be sent to the model: start a new session "
            "or compact this one");
    return 0;
}
