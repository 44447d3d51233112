/* POST /v1/responses: the answers, as a response object and as the events that build one. protocol.md 8.7.
 *
 * The order of a stream: created, in_progress, the message item with its text when there are words, one item
 * per call, then completed (or incomplete, failed). */
#include "gateway/http/responses.h"

#include "base/crypto.h"
#include "gateway/http/api.h"

#include <stdio.h>
#include <string.h>

static const char *model_of(const struct api_run *run)
{
    return run->request.model ? run->request.model : "openclaw";
}

static const char *status_of(const struct api_run *run)
{
    return strcmp(run->finish ? run->finish : "", "length") == 0 ? "incomplete" : "completed";
}

static void name_item(struct api_run *run)
{
    char id[UUID_TEXT];

    if (run->item_id[0])
        return;
    crypto_uuid(id);
    snprintf(run->item_id, sizeof(run->item_id), "msg_%s", id);
}

/* ---- the object ---- */

static void write_text_part(struct json_writer *w, const char *text, size_t length)
{
    jw_object(w);
    jw_kstr(w, "type", "output_text");
    jw_key(w, "text");
    jw_strn(w, text ? text : "", length);
    jw_karray(w, "annotations");
    jw_array_end(w);
    jw_karray(w, "logprobs");
    jw_array_end(w);
    jw_object_end(w);
}

/* status NULL: it has just begun. */
static void write_message(const struct api_run *run, const char *status, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "type", "message");
    jw_kstr(w, "id", run->item_id);
    jw_kstr(w, "role", "assistant");
    jw_karray(w, "content");
    if (status)
        write_text_part(w, run->said.data, run->said.length);
    jw_array_end(w);
    if (status)
        jw_kstr(w, "phase", run->tool_calls ? "commentary" : "final_answer");
    jw_kstr(w, "status", status ? status : "in_progress");
    jw_object_end(w);
}

/* arguments NULL: as the call has them. */
static void write_call(const struct json *call, const char *arguments, const char *status,
                       struct json_writer *w)
{
    const char *id = json_string(json_get(call, "id"), "");
    char item_id[128];

    snprintf(item_id, sizeof(item_id), "fc_%.100s", id);
    jw_object(w);
    jw_kstr(w, "type", "function_call");
    jw_kstr(w, "id", item_id);
    jw_kstr(w, "call_id", id);
    jw_ktree(w, "name", json_get(call, "name"));
    jw_kstr(w, "arguments", arguments ? arguments : json_string(json_get(call, "arguments"), "{}"));
    jw_kstr(w, "status", status);
    jw_object_end(w);
}

/* Words come first; an answer of calls alone has no message. */
static bool has_message(const struct api_run *run)
{
    return run->said.length > 0 || !run->tool_calls;
}

static void write_output(const struct api_run *run, struct json_writer *w)
{
    jw_karray(w, "output");
    if (has_message(run))
        write_message(run, status_of(run), w);
    json_each (call, run->tool_calls)
        write_call(call, NULL, "completed", w);
    jw_array_end(w);
}

static void write_usage(const struct api_run *run, struct json_writer *w)
{
    const struct api_usage *usage = &run->usage;

    jw_kobject(w, "usage");
    jw_kint(w, "input_tokens", usage->input);
    jw_kobject(w, "input_tokens_details");
    jw_kint(w, "cached_tokens", usage->cached);
    jw_object_end(w);
    jw_kint(w, "output_tokens", usage->output);
    jw_kobject(w, "output_tokens_details");
    jw_kint(w, "reasoning_tokens", 0);
    jw_object_end(w);
    jw_kint(w, "total_tokens", usage->total);
    jw_object_end(w);
}

/* The API's own way is to say what is absent. */
static void write_why(const char *status, const struct api_error *error, struct json_writer *w)
{
    if (error) {
        jw_kobject(w, "error");
        jw_kstr(w, "code", error->type);
        jw_kstr(w, "message", error->message);
        jw_object_end(w);
    } else
        jw_knull(w, "error");
    if (strcmp(status, "incomplete") == 0) {
        jw_kobject(w, "incomplete_details");
        jw_kstr(w, "reason", "max_output_tokens");
        jw_object_end(w);
    } else
        jw_knull(w, "incomplete_details");
}

static void write_tools(const struct api_run *run, struct json_writer *w)
{
    jw_karray(w, "tools");
    json_each (tool, run->request.tools) {
        jw_object(w);
        jw_kstr(w, "type", "function");
        json_each (member, tool)
            jw_ktree(w, json_key(member), member);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_response(const struct api_run *run, const char *status,
                           const struct api_error *error, struct json_writer *w)
{
    bool ended = strcmp(status, "in_progress") != 0;

    jw_object(w);
    jw_kstr(w, "id", run->run_id);
    jw_kstr(w, "object", "response");
    jw_kint(w, "created_at", run->created);
    jw_kstr(w, "status", status);
    jw_kstr(w, "model", model_of(run));
    if (ended && !error)
        write_output(run, w);
    else {
        jw_karray(w, "output");
        jw_array_end(w);
    }
    write_why(status, error, w);
    if (run->request.previous)
        jw_kstr(w, "previous_response_id", run->request.previous);
    else
        jw_knull(w, "previous_response_id");
    jw_kbool(w, "parallel_tool_calls", true);
    jw_kstr(w, "tool_choice", "auto");
    write_tools(run, w);
    jw_kobject(w, "metadata");
    jw_object_end(w);
    if (ended)
        write_usage(run, w);
    else
        jw_knull(w, "usage");
    jw_object_end(w);
}

/* ---- whole ---- */

static void responses_whole(struct api_run *run, struct json_writer *w)
{
    name_item(run);
    write_response(run, status_of(run), NULL, w);
}

/* A run that failed is a response that failed; before there was one it is a plain error. */
static void responses_whole_failed(struct api_run *run, const struct api_error *error,
                                   struct json_writer *w)
{
    if (run->outcome) {
        write_response(run, "failed", error, w);
        return;
    }
    jw_object(w);
    jw_kobject(w, "error");
    jw_kstr(w, "message", error->message);
    jw_kstr(w, "type", error->type);
    jw_object_end(w);
    jw_object_end(w);
}

/* ---- as a stream ---- */

struct sse_event {
    const char *type;
    const struct api_error *error; /* of the response */
    const char *status;
    const char *text; /* a delta */
    size_t length;
    const struct json *call;
    size_t output_index;
};

static void begin_event(struct api_run *run, struct json_writer *w, const struct sse_event *event)
{
    jw_object(w);
    jw_kstr(w, "type", event->type);
    jw_kint(w, "sequence_number", run->sequence++);
}

static void emit(struct api_run *run, api_event_fn *write, const struct sse_event *event)
{
    api_event(run, event->type, write, event);
}

static void write_response_event(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct sse_event *event = arg;

    begin_event(run, w, event);
    jw_key(w, "response");
    write_response(run, event->status, event->error, w);
    jw_object_end(w);
}

/* response.output_item.added and .done, of the message or of a call. */
static void write_item_event(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct sse_event *event = arg;

    begin_event(run, w, event);
    jw_kint(w, "output_index", (int64_t)event->output_index);
    jw_key(w, "item");
    if (event->call)
        write_call(event->call, event->status ? NULL : "",
                   event->status ? event->status : "in_progress", w);
    else
        write_message(run, event->status, w);
    jw_object_end(w);
}

static void begin_part_event(struct api_run *run, struct json_writer *w,
                             const struct sse_event *event)
{
    begin_event(run, w, event);
    jw_kstr(w, "item_id", run->item_id);
    jw_kint(w, "output_index", 0);
    jw_kint(w, "content_index", 0);
}

static void write_part_event(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct sse_event *event = arg;

    begin_part_event(run, w, event);
    jw_key(w, "part");
    write_text_part(w, event->text, event->length);
    jw_object_end(w);
}

static void write_text_event(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct sse_event *event = arg;
    bool delta = strcmp(event->type, "response.output_text.delta") == 0;

    begin_part_event(run, w, event);
    jw_key(w, delta ? "delta" : "text");
    jw_strn(w, event->text ? event->text : "", event->length);
    jw_karray(w, "logprobs");
    jw_array_end(w);
    jw_object_end(w);
}

static void write_arguments_event(struct api_run *run, struct json_writer *w, const void *arg)
{
    const struct sse_event *event = arg;
    bool delta = strcmp(event->type, "response.function_call_arguments.delta") == 0;
    char item_id[128];

    begin_event(run, w, event);
    snprintf(item_id, sizeof(item_id), "fc_%.100s", json_string(json_get(event->call, "id"), ""));
    jw_kstr(w, "item_id", item_id);
    jw_kint(w, "output_index", (int64_t)event->output_index);
    jw_kstr(w, delta ? "delta" : "arguments",
            json_string(json_get(event->call, "arguments"), "{}"));
    if (!delta)
        jw_ktree(w, "name", json_get(event->call, "name"));
    jw_object_end(w);
}

static void responses_begin(struct api_run *run)
{
    emit(run, write_response_event,
         &(struct sse_event){.type = "response.created", .status = "in_progress"});
    emit(run, write_response_event,
         &(struct sse_event){.type = "response.in_progress", .status = "in_progress"});
}

static void open_message(struct api_run *run)
{
    if (run->item_id[0])
        return;
    name_item(run);
    emit(run, write_item_event, &(struct sse_event){.type = "response.output_item.added"});
    emit(run, write_part_event, &(struct sse_event){.type = "response.content_part.added"});
}

static void responses_words(struct api_run *run, const char *text, size_t length)
{
    open_message(run);
    emit(run, write_text_event,
         &(struct sse_event){.type = "response.output_text.delta", .text = text, .length = length});
}

static void close_message(struct api_run *run)
{
    struct sse_event event = {.text = run->said.data, .length = run->said.length};

    event.type = "response.output_text.done";
    emit(run, write_text_event, &event);
    event.type = "response.content_part.done";
    emit(run, write_part_event, &event);
    event.type = "response.output_item.done";
    event.status = status_of(run);
    emit(run, write_item_event, &event);
}

static void send_call(struct api_run *run, const struct json *call, size_t output_index)
{
    struct sse_event event = {.call = call, .output_index = output_index};

    event.type = "response.output_item.added";
    emit(run, write_item_event, &event);
    event.type = "response.function_call_arguments.delta";
    emit(run, write_arguments_event, &event);
    event.type = "response.function_call_arguments.done";
    emit(run, write_arguments_event, &event);
    event.type = "response.output_item.done";
    event.status = "completed";
    emit(run, write_item_event, &event);
}

static void responses_finish(struct api_run *run)
{
    const char *status = status_of(run);
    size_t output_index = 0;

    if (has_message(run)) {
        open_message(run);
        close_message(run);
        output_index++;
    }
    json_each (call, run->tool_calls)
        send_call(run, call, output_index++);
    emit(run, write_response_event,
         &(struct sse_event){.type = strcmp(status, "incomplete") == 0 ? "response.incomplete"
                                                                       : "response.completed",
                             .status = status});
}

static void responses_failed(struct api_run *run, const struct api_error *error)
{
    emit(run, write_response_event,
         &(struct sse_event){.type = "response.failed", .status = "failed", .error = error});
}

void route_responses(struct web_call *call)
{
    static const struct api_shape shape = {
        .run_prefix = "resp_",
        .session_name = "openresponses",
        .parse = responses_request,
        .whole = responses_whole,
        .whole_failed = responses_whole_failed,
        .begin = responses_begin,
        .words = responses_words,
        .finish = responses_finish,
        .failed = responses_failed,
    };

    api_start(call, &shape);
}
