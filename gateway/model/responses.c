/* OpenAI Responses, streaming, nothing stored there. providers.md 8.3.
 *
 * Path: responses_request.c writes the request; remote.c brings each event to responses_on_event, which
 * finds it in a table. Output items grow by deltas and are told whole when they are done; one of three
 * terminal events holds usage and verdict. A reasoning item goes back as it came with the next request,
 * as the signature of its thinking. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "gateway/model/remote.h"

#include <string.h>

static const char *text_of(const struct json *node, const char *name)
{
    return json_string(json_get(node, name), NULL);
}

static bool item_is(const struct json *item, const char *type)
{
    return strcmp(json_string(json_get(item, "type"), ""), type) == 0;
}

/* ---- items ---- */

static struct content_piece call_piece(const struct json *event, const struct json *item)
{
    return (struct content_piece){
        .index = json_integer(json_get(event, "output_index"), CONTENT_NO_INDEX),
        .id = text_of(item, "call_id"),
        .name = text_of(item, "name"),
    };
}

static int call_done(struct remote *s, struct content_piece piece, const char *arguments)
{
    if (arguments == NULL)
        return remote_call(s, &piece);
    piece.text = arguments;
    piece.length = strlen(arguments);
    piece.whole = true;
    return remote_call(s, &piece);
}

/* Without its encrypted content the next request could not show it. */
static int reasoning_done(struct remote *s, const struct json *item)
{
    CLEAN(mem_free) char *whole = NULL;
    int r = 0;

    if (text_of(item, "encrypted_content") != NULL) {
        whole = json_print(item, /* pretty= */ false);
        r = remote_signature(s, whole, /* hidden= */ false);
    }
    content_break(model_run_content(s->run));
    return r;
}

static int on_item_added(struct remote *s, const struct json *event)
{
    const struct json *item = json_get(event, "item");
    struct content_piece piece = call_piece(event, item);

    content_break(model_run_content(s->run));
    return item_is(item, "function_call") ? remote_call(s, &piece) : 0;
}

static int on_item_done(struct remote *s, const struct json *event)
{
    const struct json *item = json_get(event, "item");

    if (item_is(item, "function_call"))
        return call_done(s, call_piece(event, item), text_of(item, "arguments"));
    if (item_is(item, "reasoning"))
        return reasoning_done(s, item);
    content_break(model_run_content(s->run));
    return 0;
}

/* ---- deltas ---- */

static int on_text(struct remote *s, const struct json *event)
{
    return remote_text(s, text_of(event, "delta"));
}

static int on_thinking(struct remote *s, const struct json *event)
{
    return remote_thinking(s, text_of(event, "delta"));
}

/* A summary's parts are paragraphs. */
static int on_summary_part(struct remote *s, const struct json *event)
{
    return json_integer(json_get(event, "summary_index"), 0) > 0 ? remote_thinking(s, "\n\n") : 0;
}

static int on_arguments(struct remote *s, const struct json *event)
{
    struct content_piece piece = call_piece(event, NULL);
    const char *delta = text_of(event, "delta");

    piece.text = delta;
    piece.length = delta != NULL ? strlen(delta) : 0;
    return remote_call(s, &piece);
}

static int on_arguments_done(struct remote *s, const struct json *event)
{
    return call_done(s, call_piece(event, NULL), text_of(event, "arguments"));
}

/* ---- the end ---- */

static const struct openai_usage_names responses_usage = {"input_tokens", "output_tokens",
                                                          "input_tokens_details.cached_tokens"};

static int take_message(struct remote *s, const struct json *item)
{
    int r = 0;

    json_each (part, json_get(item, "content")) {
        if (r == 0)
            r = remote_text(s, text_of(part, item_is(part, "refusal") ? "refusal" : "text"));
    }
    return r;
}

/* The items of a whole response: of a server that told them only at its end, or does not stream. */
static int take_output(struct remote *s, const struct json *output)
{
    int64_t index = 0;
    int r = 0;

    json_each (item, output) {
        struct content_piece piece = call_piece(NULL, item);

        piece.index = index++;
        if (r == 0 && item_is(item, "message"))
            r = take_message(s, item);
        else if (r == 0 && item_is(item, "function_call"))
            r = call_done(s, piece, text_of(item, "arguments"));
        else if (r == 0 && item_is(item, "reasoning"))
            r = reasoning_done(s, item);
    }
    return r;
}

static int on_incomplete(struct remote *s, const struct json *response)
{
    const char *reason = json_string(json_path(response, "incomplete_details.reason"), "");

    if (strcmp(reason, "content_filter") == 0)
        return remote_fail(s, -ERR_DENIED, MODEL_ERROR_REFUSAL, MODEL_RETRY_NEVER,
                           "the provider's content filter stopped the answer");
    s->outcome.stop_reason = "length";
    return 0;
}

/* A whole response object, by its status. */
static int take_response(struct remote *s, const struct json *response)
{
    const char *status = json_string(json_get(response, "status"), "");
    int r;

    if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)
        return remote_error(s, response);
    openai_read_usage(json_get(response, "usage"), &responses_usage, &s->outcome.usage);
    if (model_run_content(s->run)->count == 0) {
        r = take_output(s, json_get(response, "output"));
        if (r < 0)
            return r;
    }
    if (strcmp(status, "incomplete") == 0)
        return on_incomplete(s, response);
    s->outcome.stop_reason = "stop";
    return 0;
}

static int on_terminal(struct remote *s, const struct json *event)
{
    int r = take_response(s, json_get(event, "response"));

    return r < 0 ? r : remote_over(s);
}

static int on_error(struct remote *s, const struct json *event)
{
    return remote_error(s, event);
}

static int responses_on_event(struct remote *s, const char *name, const struct json *event)
{
    static const struct {
        const char *type;
        int (*take)(struct remote *s, const struct json *event);
    } events[] = {
        {"response.output_text.delta", on_text},
        {"response.refusal.delta", on_text},
        {"response.function_call_arguments.delta", on_arguments},
        {"response.function_call_arguments.done", on_arguments_done},
        {"response.reasoning_summary_text.delta", on_thinking},
        {"response.reasoning_text.delta", on_thinking},
        {"response.reasoning_summary_part.added", on_summary_part},
        {"response.output_item.added", on_item_added},
        {"response.output_item.done", on_item_done},
        {"response.completed", on_terminal},
        {"response.incomplete", on_terminal},
        {"response.failed", on_terminal},
        {"error", on_error},
    };
    const char *type = json_string(json_get(event, "type"), name);

    for (size_t i = 0; i < COUNT(events); i++)
        if (strcmp(events[i].type, type) == 0)
            return events[i].take(s, event);
    return 0;
}

static int responses_on_document(struct remote *s, const struct json *answer)
{
    if (json_kind(json_get(answer, "error")) != JSON_NULL)
        return remote_error(s, answer);
    return json_kind(json_get(answer, "output")) == JSON_ARRAY ? take_response(s, answer) : 0;
}

static const struct remote_ops responses_remote = {
    .framing = REMOTE_EVENTS,
    .path = "/responses",
    .write = responses_write_request,
    .event = responses_on_event,
    .document = responses_on_document,
};

const struct model_ops model_responses =
    REMOTE_MODEL("responses", "openai-responses", struct remote, responses_remote);
