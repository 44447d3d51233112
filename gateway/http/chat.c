/* POST /v1/chat/completions: the answers, whole and as chat.completion.chunk events. protocol.md 8.7. */
#include "gateway/http/chat.h"

#include "gateway/http/api.h"

#include <string.h>

#define ARGUMENTS_PART 4096 /* of a call's arguments in one event */

static const char *model_of(const struct api_run *run)
{
    return run->request.model ? run->request.model : "openclaw";
}

static void write_usage(const struct api_run *run, struct json_writer *w)
{
    const struct api_usage *usage = &run->usage;

    jw_kobject(w, "usage");
    jw_kint(w, "prompt_tokens", usage->input);
    jw_kint(w, "completion_tokens", usage->output);
    jw_kint(w, "total_tokens", usage->total);
    jw_kobject(w, "prompt_tokens_details");
    jw_kint(w, "cached_tokens", usage->cached);
    jw_object_end(w);
    jw_object_end(w);
}

static void write_head(const struct api_run *run, const char *object, struct json_writer *w)
{
    jw_kstr(w, "id", run->run_id);
    jw_kstr(w, "object", object);
    jw_kint(w, "created", run->created);
    jw_kstr(w, "model", model_of(run));
}

static void write_error(const struct api_error *error, struct json_writer *w)
{
    jw_object(w);
    jw_kobject(w, "error");
    jw_kstr(w, "message", error->message);
    jw_kstr(w, "type", error->type);
    jw_object_end(w);
    jw_object_end(w);
}

/* ---- whole ---- */

static void write_calls(const struct api_run *run, struct json_writer *w)
{
    jw_karray(w, "tool_calls");
    json_each (call, run->tool_calls) {
        jw_object(w);
        jw_ktree(w, "id", json_get(call, "id"));
        jw_kstr(w, "type", "function");
        jw_kobject(w, "function");
        jw_ktree(w, "name", json_get(call, "name"));
        jw_ktree(w, "arguments", json_get(call, "arguments"));
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void chat_whole(struct api_run *run, struct json_writer *w)
{
    jw_object(w);
    write_head(run, "chat.completion", w);
    jw_karray(w, "choices");
    jw_object(w);
    jw_kint(w, "index", 0);
    jw_kobject(w, "message");
    jw_kstr(w, "role", "assistant");
    if (run->tool_calls && run->said.length == 0)
        jw_knull(w, "content"); /* the API's own way to say that there are no words */
    else {
        jw_key(w, "content");
        jw_strn(w, run->said.length ? run->said.data : "", run->said.length);
    }
    if (run->tool_calls)
        write_calls(run, w);
    jw_object_end(w);
    jw_knull(w, "logprobs");
    jw_kstr(w, "finish_reason", run->finish);
    jw_object_end(w);
    jw_array_end(w);
    write_usage(run, w);
    jw_object_end(w);
}

static void chat_whole_failed(struct api_run *run, const struct api_error *error,
                              struct json_writer *w)
{
    (void)run;
    write_error(error, w);
}

/* ---- as a stream ---- */

/* What one event says. */
struct chat_delta {
    const char *role;
    const char *text; /* NULL: none */
    size_t length;
    const struct json *call; /* with the index of it */
    size_t call_index;
    bool call_begins;
    const char *finish;
};

static void write_call_delta(const struct chat_delta *delta, struct json_writer *w)
{
    jw_karray(w, "tool_calls");
    jw_object(w);
    jw_kint(w, "index", (int64_t)delta->call_index);
    if (delta->call_begins) {
        jw_ktree(w, "id", json_get(delta->call, "id"));
        jw_kstr(w, "type", "function");
    }
    jw_kobject(w, "function");
    if (delta->call_begins)
        jw_ktree(w, "name", json_get(delta->call, "name"));
    jw_key(w, "arguments");
    jw_strn(w, delta->text, delta->length);
    jw_object_end(w);
    jw_object_end(w);
    jw_array_end(w);
}

static void write_delta(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct chat_delta *delta = arg;

    jw_object(w);
    write_head(run, "chat.completion.chunk", w);
    jw_karray(w, "choices");
    jw_object(w);
    jw_kint(w, "index", 0);
    jw_kobject(w, "delta");
    jw_kstr(w, "role", delta->role);
    if (delta->role)
        jw_kstr(w, "content", "");
    else if (delta->call)
        write_call_delta(delta, w);
    else if (delta->text) {
        jw_key(w, "content");
        jw_strn(w, delta->text, delta->length);
    }
    jw_object_end(w);
    if (delta->finish)
        jw_kstr(w, "finish_reason", delta->finish);
    else
        jw_knull(w, "finish_reason");
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
}

static void write_last(struct api_run *run, struct json_writer *w, const void *arg)
{
    (void)arg;
    jw_object(w);
    write_head(run, "chat.completion.chunk", w);
    jw_karray(w, "choices");
    jw_array_end(w);
    write_usage(run, w);
    jw_object_end(w);
}

static void write_failed(struct api_run *run, struct json_writer *w, const void *arg)
{
    (void)run;
    write_error(arg, w);
}

static void chat_begin(struct api_run *run)
{
    api_event(run, NULL, write_delta, &(struct chat_delta){.role = "assistant"});
}

static void chat_words(struct api_run *run, const char *text, size_t length)
{
    api_event(run, NULL, write_delta, &(struct chat_delta){.text = text, .length = length});
}

/* The end of a part of at most ARGUMENTS_PART bytes that cuts no character. */
static size_t part_end(const char *text, size_t at, size_t length)
{
    size_t end = length - at < ARGUMENTS_PART ? length : at + ARGUMENTS_PART;

    while (end < length && end > at && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return end;
}

static void send_call(struct api_run *run, const struct json *call, size_t index)
{
    const char *text = json_string(json_get(call, "arguments"), "");
    size_t length = strlen(text), at = 0;
    struct chat_delta delta = {
        .call = call, .call_index = index, .call_begins = true, .text = "", .length = 0};

    api_event(run, NULL, write_delta, &delta);
    delta.call_begins = false;
    while (at < length) {
        size_t end = part_end(text, at, length);
        delta.text = text + at;
        delta.length = end - at;
        api_event(run, NULL, write_delta, &delta);
        at = end;
    }
}

static void chat_finish(struct api_run *run)
{
    size_t index = 0;

    json_each (call, run->tool_calls)
        send_call(run, call, index++);
    api_event(run, NULL, write_delta, &(struct chat_delta){.finish = run->finish});
    if (run->request.include_usage)
        api_event(run, NULL, write_last, NULL);
}

static void chat_failed(struct api_run *run, const struct api_error *error)
{
    api_event(run, NULL, write_failed, error);
}

void route_chat(struct web_call *call)
{
    static const struct api_shape shape = {
        .run_prefix = "chatcmpl_",
        .session_name = "openai",
        .parse = chat_request,
        .whole = chat_whole,
        .whole_failed = chat_whole_failed,
        .begin = chat_begin,
        .words = chat_words,
        .finish = chat_finish,
        .failed = chat_failed,
    };

    api_start(call, &shape);
}
