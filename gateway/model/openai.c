/* Chat Completions, streaming: OpenAI and every server that speaks it. providers.md 8.2.
 *
 * Path: openai_request.c writes the request; remote.c brings each chunk to openai_on_event, which takes
 * thinking, text, calls and the finish reason from it. Compatible servers omit [DONE], usage, or send
 * whole calls in one chunk; a finish_reason or [DONE] makes an answer whole. */
#include "gateway/model/openai_parts.h"

#include "gateway/model/remote.h"

#include <string.h>

/* ---- what a chunk holds ---- */

static int openai_say(struct remote *s, const struct json *content)
{
    int r = remote_text(s, json_string(content, NULL));

    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL) {
        if (r == 0)
            r = openai_say(s, json_get(part, "text"));
    }
    return r;
}

/* Not in the API; what the servers that show it call it. */
static int openai_think(struct remote *s, const struct json *part)
{
    const char *text = json_string(json_get(part, "reasoning_content"), NULL);

    return remote_thinking(s, text != NULL ? text : json_string(json_get(part, "reasoning"), NULL));
}

static int openai_call(struct remote *s, const struct json *call, const struct json *function)
{
    const struct content_piece piece = {
        .index = json_integer(json_get(call, "index"), CONTENT_NO_INDEX),
        .id = json_string(json_get(call, "id"), NULL),
        .name = json_string(json_get(function, "name"), NULL),
    };

    return remote_call_json(s, piece, json_get(function, "arguments"));
}

static int openai_calls(struct remote *s, const struct json *part)
{
    const struct json *old = json_get(part, "function_call"); /* before there were tools */
    int r = json_kind(old) == JSON_OBJECT ? openai_call(s, NULL, old) : 0;

    json_each (call, json_get(part, "tool_calls")) {
        if (r == 0)
            r = openai_call(s, call, json_get(call, "function"));
    }
    return r;
}

/* "tool_calls" and what newer servers invent are good ends too. */
static int openai_on_reason(struct remote *s, const char *reason)
{
    if (strcmp(reason, "content_filter") == 0)
        return remote_fail(s, -ERR_DENIED, MODEL_ERROR_REFUSAL, MODEL_RETRY_NEVER,
                           "the provider's content filter stopped the answer");
    s->outcome.stop_reason = strcmp(reason, "length") == 0 ? "length" : "stop";
    return 0;
}

static const struct openai_usage_names openai_usage = {"prompt_tokens", "completion_tokens",
                                                       "prompt_tokens_details.cached_tokens"};

/* A chunk of a stream (delta) or a whole answer (message): the same members otherwise. */
static int openai_take(struct remote *s, const struct json *chunk, const char *member)
{
    const struct json *choice = json_at(json_get(chunk, "choices"), 0);
    const struct json *part = json_get(choice, member);
    const char *reason = json_string(json_get(choice, "finish_reason"), NULL);
    int r;

    if (json_kind(json_get(chunk, "error")) != JSON_NULL)
        return remote_error(s, chunk);
    openai_read_usage(json_get(chunk, "usage"), &openai_usage, &s->outcome.usage);
    s->answered |= choice != NULL;
    r = openai_think(s, part);
    if (r == 0)
        r = openai_say(s, json_get(part, "content"));
    if (r == 0)
        r = openai_say(s, json_get(part, "refusal"));
    if (r == 0)
        r = openai_calls(s, part);
    return r == 0 && reason != NULL ? openai_on_reason(s, reason) : r;
}

static int openai_on_event(struct remote *s, const char *name, const struct json *chunk)
{
    (void)name;
    return openai_take(s, chunk, "delta");
}

static int openai_on_document(struct remote *s, const struct json *answer)
{
    int r = openai_take(s, answer, "message");

    s->over = true; /* without a finish_reason as whole as with one */
    return r;
}

static const struct remote_ops openai_remote = {
    .framing = REMOTE_EVENTS,
    .path = "/chat/completions",
    .write = openai_write_request,
    .event = openai_on_event,
    .document = openai_on_document,
};

const struct model_ops model_openai =
    REMOTE_MODEL("openai", "openai-completions", struct remote, openai_remote);
