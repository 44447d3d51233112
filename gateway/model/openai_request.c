/* A Chat Completions request from our transcript: system prompt, then each message in the shape the
 * API knows. Thinking is left out; tool calls and their results keep their ids. Results are text alone, so
 * the images of a round of results follow it in a message of the user's. providers.md 8.2, protocol.md
 * 6.6. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "gateway/model/walk.h"

#include <string.h>

/* What the writing of messages carries along. */
struct writer {
    struct json_writer *json;
    bool images; /* the model takes them */
    struct buf text;
    struct buf held; /* images of results, as parts of the message to come */
    struct json_writer held_json;
};

static void write_text_part(struct json_writer *w, const char *text)
{
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_kstr(w, "text", text);
    jw_object_end(w);
}

char *openai_image_url(const struct json *part)
{
    const char *data = json_string(json_get(part, "data"), NULL);
    const char *type = json_string(json_get(part, "mimeType"), "image/png");

    return data != NULL ? mem_format("data:%s;base64,%s", type, data) : NULL;
}

static void write_image_part(struct json_writer *w, const struct json *part)
{
    CLEAN(mem_free) char *url = openai_image_url(part);

    if (url == NULL)
        return;
    jw_object(w);
    jw_kstr(w, "type", "image_url");
    jw_kobject(w, "image_url");
    jw_kstr(w, "url", url);
    jw_object_end(w);
    jw_object_end(w);
}

static void write_user(struct writer *writer, const struct json *content)
{
    struct json_writer *w = writer->json;
    size_t images = content_count(content, "image");

    jw_object(w);
    jw_kstr(w, "role", "user");
    if (writer->images && images > 0) {
        jw_karray(w, "content");
        json_each (part, content) {
            if (part_is(part, "text"))
                write_text_part(w, json_string(json_get(part, "text"), ""));
            else if (part_is(part, "image"))
                write_image_part(w, part);
        }
        jw_array_end(w);
    } else {
        content_text_of(content, &writer->text);
        if (images > 0)
            buf_add_str(&writer->text, "\n" UNSEEN_IMAGE);
        jw_kstr(w, "content", writer->text.data != NULL ? writer->text.data : "");
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

static void write_assistant(struct writer *writer, const struct json *content)
{
    struct json_writer *w = writer->json;

    content_text_of(content, &writer->text);
    jw_object(w);
    jw_kstr(w, "role", "assistant");
    if (writer->text.length > 0)
        jw_kstr(w, "content", writer->text.data);
    if (content_count(content, "toolCall") > 0)
        write_tool_calls(w, content);
    jw_object_end(w);
}

static void hold_images(struct writer *writer, const struct walk_step *step)
{
    json_each (part, json_kind(step->content) == JSON_ARRAY ? step->content : NULL) {
        if (!part_is(part, "image"))
            continue;
        if (writer->held.length == 0) {
            jw_init(&writer->held_json, &writer->held);
            jw_array(&writer->held_json);
            write_text_part(&writer->held_json, "(images of the results above)");
        }
        write_image_part(&writer->held_json, part);
    }
}

static void write_held_images(struct writer *writer)
{
    if (writer->held.length == 0)
        return;
    jw_array_end(&writer->held_json);
    jw_object(writer->json);
    jw_kstr(writer->json, "role", "user");
    jw_kraw(writer->json, "content", writer->held.data);
    jw_object_end(writer->json);
    buf_clear(&writer->held);
}

static void write_tool_result(struct writer *writer, const struct walk_step *step)
{
    struct json_writer *w = writer->json;

    walk_result_text(step, &writer->text);
    if (writer->images)
        hold_images(writer, step);
    else if (content_count(step->content, "image") > 0)
        buf_add_str(&writer->text, "\n" UNSEEN_IMAGE);
    jw_object(w);
    jw_kstr(w, "role", "tool");
    jw_kstr(w, "tool_call_id", json_string(json_get(step->call, "id"), ""));
    jw_kstr(w, "content", writer->text.data != NULL ? writer->text.data : "");
    jw_object_end(w);
}

static void write_system(struct json_writer *w, const char *system)
{
    if (system == NULL || *system == '\0')
        return;
    jw_object(w);
    jw_kstr(w, "role", "system");
    jw_kstr(w, "content", system);
    jw_object_end(w);
}

static void write_messages(struct writer *writer, const struct model_request *request)
{
    struct walk walk;
    struct walk_step step;

    jw_karray(writer->json, "messages");
    write_system(writer->json, request->system);
    walk_init(&walk, request->messages);
    while (walk_next(&walk, &step)) {
        if (step.role != WALK_RESULT)
            write_held_images(writer);
        if (step.role == WALK_USER)
            write_user(writer, step.content);
        else if (step.role == WALK_ASSISTANT)
            write_assistant(writer, step.content);
        else
            write_tool_result(writer, &step);
    }
    write_held_images(writer);
    jw_array_end(writer->json);
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

/* More than "high" only the newest models know. */
const char *openai_effort(const struct model_provider *provider,
                          const struct model_request *request)
{
    static const char *const efforts[] = {
        [THINKING_OFF] = NULL,        [THINKING_MINIMAL] = "minimal", [THINKING_LOW] = "low",
        [THINKING_MEDIUM] = "medium", [THINKING_HIGH] = "high",       [THINKING_XHIGH] = "high",
    };

    return catalog_facts(provider, request->model).reasoning ? efforts[request->thinking] : NULL;
}

/* The old name of the limit is what compatible servers know. */
static const char *max_tokens_name(const struct model_provider *provider)
{
    return strstr(provider->base_url, "//api.openai.com") != NULL ? "max_completion_tokens"
                                                                  : "max_tokens";
}

void openai_write_request(struct buf *out, const struct model_provider *provider,
                          const struct model_request *request)
{
    int64_t max_tokens = catalog_max_tokens(provider, request->model, request->max_tokens);
    struct json_writer w;
    struct writer writer = {.json = &w, .images = catalog_facts(provider, request->model).images};

    buf_init(&writer.text, out->max);
    buf_init(&writer.held, out->max);
    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "model", request->model);
    write_messages(&writer, request);
    write_tools(&w, request->tools);
    jw_kstr(&w, "reasoning_effort", openai_effort(provider, request));
    jw_kbool(&w, "stream", true);
    if (provider->usage_in_stream) {
        jw_kobject(&w, "stream_options");
        jw_kbool(&w, "include_usage", true);
        jw_object_end(&w);
    }
    if (max_tokens > 0)
        jw_kint(&w, max_tokens_name(provider), max_tokens);
    jw_object_end(&w);
    out->bad |= writer.text.bad || writer.held.bad;
    buf_done(&writer.text);
    buf_done(&writer.held);
}

void openai_read_usage(const struct json *usage, const struct openai_usage_names *names,
                       struct model_usage *ret)
{
    int64_t input, cached;

    if (json_kind(usage) != JSON_OBJECT)
        return;
    input = json_integer(json_get(usage, names->input), -1);
    cached = json_integer(json_path(usage, names->cached), 0);
    if (cached < 0 || cached > input)
        cached = 0;
    ret->input = input >= 0 ? input - cached : -1;
    ret->output = json_integer(json_get(usage, names->output), -1);
    ret->cache_read = input >= 0 ? cached : -1;
    ret->cache_write = input >= 0 ? 0 : -1;
}
