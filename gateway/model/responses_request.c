/* A Responses request from our transcript: every message, call, result and reasoning is an input item of its
 * own. Nothing is stored at the server, so all of them go along each time. providers.md 8.3. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "gateway/model/walk.h"

#include <string.h>

#define CALL_ID_MAX 64

static void write_part(struct json_writer *w, const char *type, const char *member,
                       const char *value)
{
    jw_object(w);
    jw_kstr(w, "type", type);
    jw_kstr(w, member, value);
    jw_object_end(w);
}

static void message_begin(struct json_writer *w, const char *role)
{
    jw_object(w);
    jw_kstr(w, "type", "message");
    jw_kstr(w, "role", role);
    jw_karray(w, "content");
}

static void message_end(struct json_writer *w)
{
    jw_array_end(w);
    jw_object_end(w);
}

static void write_images(struct json_writer *w, const struct json *content, bool images)
{
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL) {
        CLEAN(mem_free) char *url = part_is(part, "image") ? openai_image_url(part) : NULL;

        if (url != NULL && images)
            write_part(w, "input_image", "image_url", url);
        else if (url != NULL)
            write_part(w, "input_text", "text", UNSEEN_IMAGE);
    }
}

static void write_user(struct json_writer *w, const struct json *content, bool images,
                       struct buf *text)
{
    content_text_of(content, text);
    message_begin(w, "user");
    if (text->length > 0)
        write_part(w, "input_text", "text", text->data);
    write_images(w, content, images);
    message_end(w);
}

static void write_call_id(struct json_writer *w, const struct json *call)
{
    const char *id = json_string(json_get(call, "id"), "");
    size_t length = strlen(id);

    jw_key(w, "call_id");
    jw_strn(w, id, length < CALL_ID_MAX ? length : CALL_ID_MAX);
}

static void write_call(struct json_writer *w, const struct json *call)
{
    CLEAN(mem_free) char *arguments = call_arguments_text(call);

    jw_object(w);
    jw_kstr(w, "type", "function_call");
    write_call_id(w, call);
    jw_kstr(w, "name", json_string(json_get(call, "name"), ""));
    jw_kstr(w, "arguments", arguments);
    jw_object_end(w);
}

static void write_said(struct json_writer *w, const char *text)
{
    if (*text == '\0')
        return;
    message_begin(w, "assistant");
    write_part(w, "output_text", "text", text);
    message_end(w);
}

static void write_assistant(struct json_writer *w, const struct walk_step *step, const char *model)
{
    if (json_kind(step->content) == JSON_STRING)
        write_said(w, json_string(step->content, ""));
    json_each (part, json_kind(step->content) == JSON_ARRAY ? step->content : NULL) {
        const char *reasoning = walk_thought(step->message, part, "openai-responses", model);

        if (part_is(part, "text"))
            write_said(w, json_string(json_get(part, "text"), ""));
        else if (part_is(part, "toolCall"))
            write_call(w, part);
        else if (reasoning != NULL && json_scan(reasoning, strlen(reasoning), NULL) == 0)
            jw_raw(w, reasoning, strlen(reasoning));
    }
}

static void write_result(struct json_writer *w, const struct walk_step *step, bool images,
                         struct buf *text)
{
    walk_result_text(step, text);
    jw_object(w);
    jw_kstr(w, "type", "function_call_output");
    write_call_id(w, step->call);
    if (content_count(step->content, "image") == 0) {
        jw_kstr(w, "output", text->data != NULL ? text->data : "");
    } else {
        jw_karray(w, "output");
        if (text->length > 0)
            write_part(w, "input_text", "text", text->data);
        write_images(w, step->content, images);
        jw_array_end(w);
    }
    jw_object_end(w);
}

static void write_input(struct json_writer *w, const struct model_request *request, bool images,
                        struct buf *text)
{
    struct walk walk;
    struct walk_step step;

    jw_karray(w, "input");
    walk_init(&walk, request->messages);
    while (walk_next(&walk, &step)) {
        if (step.role == WALK_USER)
            write_user(w, step.content, images, text);
        else if (step.role == WALK_ASSISTANT)
            write_assistant(w, &step, request->model);
        else
            write_result(w, &step, images, text);
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
        jw_kstr(w, "name", json_string(json_get(tool, "name"), ""));
        jw_kstr(w, "description", json_string(json_get(tool, "description"), NULL));
        jw_ktree(w, "parameters", json_get(tool, "parameters"));
        jw_kbool(w, "strict", false);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* A model that reasons gives its reasoning along, sealed, for the next request. */
static void write_reasoning(struct json_writer *w, const struct model_provider *provider,
                            const struct model_request *request)
{
    const char *effort = openai_effort(provider, request);

    if (!catalog_facts(provider, request->model).reasoning)
        return;
    if (effort != NULL) {
        jw_kobject(w, "reasoning");
        jw_kstr(w, "effort", effort);
        jw_kstr(w, "summary", "auto");
        jw_object_end(w);
    }
    jw_karray(w, "include");
    jw_str(w, "reasoning.encrypted_content");
    jw_array_end(w);
}

void responses_write_request(struct buf *out, const struct model_provider *provider,
                             const struct model_request *request)
{
    int64_t max_tokens = catalog_max_tokens(provider, request->model, request->max_tokens);
    CLEAN(buf_done) struct buf text;
    struct json_writer w;

    buf_init(&text, out->max);
    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "model", request->model);
    if (request->system != NULL && *request->system != '\0')
        jw_kstr(&w, "instructions", request->system);
    write_input(&w, request, catalog_facts(provider, request->model).images, &text);
    write_tools(&w, request->tools);
    write_reasoning(&w, provider, request);
    jw_kbool(&w, "stream", true);
    jw_kbool(&w, "store", false);
    if (max_tokens > 0)
        jw_kint(&w, "max_output_tokens", max_tokens);
    jw_object_end(&w);
    out->bad |= text.bad;
}
