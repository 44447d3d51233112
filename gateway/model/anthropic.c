/* Anthropic Messages, streaming. providers.md 8.1.
 *
 * Path: anthropic_request.c writes the request; remote.c brings each event to anthropic_on_event, which finds
 * it in a table. A content block begins, grows by deltas and stops; kinds that are not known (server
 * tools, whatever comes next) are skipped whole. message_delta tells the stop reason, message_stop the
 * end. Owns: which block is skipped. */
#include "gateway/model/anthropic_parts.h"

#include "base/mem.h"
#include "gateway/model/remote.h"

#include <string.h>

#define NO_BLOCK (-1)

struct anthropic {
    struct remote remote; /* first */
    int64_t skipped;      /* index of a block that is not for us */
};

static void anthropic_headers(struct remote *s, const struct model_provider *p)
{
    remote_header(s, mem_string("anthropic-version: 2023-06-01"));
    if (p->key == NULL)
        return;
    if (strncmp(p->key, "sk-ant-oat", 10) == 0) /* of a subscription, not an API key */
        remote_header(s, mem_string("anthropic-beta: oauth-2025-04-20"));
    if (p->auth_header || strncmp(p->key, "sk-ant-oat", 10) == 0)
        remote_header(s, mem_format("authorization: Bearer %s", p->key));
    else
        remote_header(s, mem_format("x-api-key: %s", p->key));
}

static void anthropic_begin(struct remote *s)
{
    CONTAINER(s, struct anthropic, remote)->skipped = NO_BLOCK;
}

/* ---- blocks ---- */

static int block_text(struct remote *s, int64_t index, const struct json *block)
{
    (void)index;
    return remote_text(s, json_string(json_get(block, "text"), NULL));
}

static int block_thinking(struct remote *s, int64_t index, const struct json *block)
{
    int r = remote_thinking(s, json_string(json_get(block, "thinking"), NULL));

    (void)index;
    return r < 0 ? r : remote_signature(s, json_string(json_get(block, "signature"), NULL), false);
}

static int block_hidden_thinking(struct remote *s, int64_t index, const struct json *block)
{
    (void)index;
    return remote_signature(s, json_string(json_get(block, "data"), NULL), true);
}

static int block_tool_use(struct remote *s, int64_t index, const struct json *block)
{
    const struct content_piece piece = {
        .index = index,
        .id = json_string(json_get(block, "id"), NULL),
        .name = json_string(json_get(block, "name"), NULL),
    };
    const struct json *input = json_get(block, "input"); /* {} when it comes in deltas */

    return remote_call_json(s, piece, json_count(input) > 0 ? input : NULL);
}

static int delta_arguments(struct remote *s, int64_t index, const struct json *delta)
{
    const char *text = json_string(json_get(delta, "partial_json"), "");

    return remote_call(
        s, &(struct content_piece){.index = index, .text = text, .length = strlen(text)});
}

/* Kinds of blocks and of their deltas; the members have the same names in both. */
static const struct {
    const char *type;
    int (*take)(struct remote *s, int64_t index, const struct json *part);
} anthropic_parts[] = {
    {"text", block_text},
    {"text_delta", block_text},
    {"thinking", block_thinking},
    {"thinking_delta", block_thinking},
    {"signature_delta", block_thinking},
    {"redacted_thinking", block_hidden_thinking},
    {"tool_use", block_tool_use},
    {"input_json_delta", delta_arguments},
};

/* 1: not a kind we know. */
static int anthropic_part(struct remote *s, int64_t index, const struct json *part)
{
    const char *type = json_string(json_get(part, "type"), "");

    for (size_t i = 0; i < COUNT(anthropic_parts); i++)
        if (strcmp(anthropic_parts[i].type, type) == 0)
            return anthropic_parts[i].take(s, index, part);
    return 1;
}

static int64_t index_of(const struct json *event)
{
    return json_integer(json_get(event, "index"), 0);
}

static int on_block_start(struct remote *s, const struct json *event)
{
    struct anthropic *a = CONTAINER(s, struct anthropic, remote);
    int r;

    a->skipped = NO_BLOCK;
    content_break(model_run_content(s->run));
    r = anthropic_part(s, index_of(event), json_get(event, "content_block"));
    if (r > 0)
        a->skipped = index_of(event);
    return r < 0 ? r : 0;
}

static int on_block_delta(struct remote *s, const struct json *event)
{
    int r;

    if (index_of(event) == CONTAINER(s, struct anthropic, remote)->skipped)
        return 0;
    r = anthropic_part(s, index_of(event), json_get(event, "delta"));
    return r < 0 ? r : 0; /* citations and other ornaments */
}

static int on_block_stop(struct remote *s, const struct json *event)
{
    (void)event;
    content_break(model_run_content(s->run));
    return 0;
}

/* ---- the message around them ---- */

/* Every count is the sum so far: the last one told stands. */
static void take_count(const struct json *usage, const char *name, int64_t *ret)
{
    *ret = json_integer(json_get(usage, name), *ret);
}

static void anthropic_usage(struct remote *s, const struct json *usage)
{
    struct model_usage *out = &s->outcome.usage;

    take_count(usage, "input_tokens", &out->input);
    take_count(usage, "output_tokens", &out->output);
    take_count(usage, "cache_read_input_tokens", &out->cache_read);
    take_count(usage, "cache_creation_input_tokens", &out->cache_write);
}

/* The window is full: an answer that was begun is cut, a conversation that left no room is too long. */
static int window_exceeded(struct remote *s)
{
    if (model_run_content(s->run)->count > 0) {
        s->outcome.stop_reason = "length";
        return 0;
    }
    return remote_fail(s, -ERR_TOO_LARGE, MODEL_ERROR_CONTEXT, MODEL_RETRY_NEVER,
                       "the conversation fills the model's context window; start a new session");
}

static int refused(struct remote *s)
{
    return remote_fail(s, -ERR_DENIED, MODEL_ERROR_REFUSAL, MODEL_RETRY_NEVER,
                       "the model refused to answer this");
}

/* pause_turn: a server tool runs on; we offer none, so what came is a part of an answer. */
static const struct {
    const char *told, *ours;
    int (*special)(struct remote *s);
} anthropic_reasons[] = {
    {"end_turn", "stop", NULL},     {"stop_sequence", "stop", NULL},
    {"tool_use", "stop", NULL},     {"max_tokens", "length", NULL},
    {"pause_turn", "length", NULL}, {"model_context_window_exceeded", NULL, window_exceeded},
    {"refusal", NULL, refused},
};

static int anthropic_reason(struct remote *s, const char *reason)
{
    for (size_t i = 0; reason != NULL && i < COUNT(anthropic_reasons); i++) {
        if (strcmp(anthropic_reasons[i].told, reason) != 0)
            continue;
        if (anthropic_reasons[i].special != NULL)
            return anthropic_reasons[i].special(s);
        s->outcome.stop_reason = anthropic_reasons[i].ours;
        return 0;
    }
    if (reason != NULL)
        s->outcome.stop_reason = "stop";
    return 0;
}

static int on_message_start(struct remote *s, const struct json *event)
{
    anthropic_usage(s, json_path(event, "message.usage"));
    return 0;
}

static int on_message_delta(struct remote *s, const struct json *event)
{
    anthropic_usage(s, json_get(event, "usage"));
    return anthropic_reason(s, json_string(json_path(event, "delta.stop_reason"), NULL));
}

static int on_message_stop(struct remote *s, const struct json *event)
{
    (void)event;
    s->answered = true;
    return remote_over(s);
}

static int on_error(struct remote *s, const struct json *event)
{
    return remote_error(s, event);
}

/* ping, and events that are newer than this, are nothing to us. */
static int anthropic_on_event(struct remote *s, const char *name, const struct json *event)
{
    static const struct {
        const char *type;
        int (*take)(struct remote *s, const struct json *event);
    } events[] = {
        {"message_start", on_message_start},
        {"content_block_start", on_block_start},
        {"content_block_delta", on_block_delta},
        {"content_block_stop", on_block_stop},
        {"message_delta", on_message_delta},
        {"message_stop", on_message_stop},
        {"error", on_error},
    };
    const char *type = json_string(json_get(event, "type"), name);

    for (size_t i = 0; i < COUNT(events); i++)
        if (strcmp(events[i].type, type) == 0)
            return events[i].take(s, event);
    return 0;
}

static int anthropic_on_document(struct remote *s, const struct json *answer)
{
    int64_t index = 0;
    int r = 0;

    if (strcmp(json_string(json_get(answer, "type"), ""), "error") == 0)
        return remote_error(s, answer);
    anthropic_usage(s, json_get(answer, "usage"));
    json_each (block, json_get(answer, "content")) {
        if (r >= 0)
            r = anthropic_part(s, index++, block);
        content_break(model_run_content(s->run));
    }
    return r < 0 ? r : anthropic_reason(s, json_string(json_get(answer, "stop_reason"), NULL));
}

static const struct remote_ops anthropic_remote = {
    .framing = REMOTE_EVENTS,
    .path = "/v1/messages",
    .headers = anthropic_headers,
    .write = anthropic_write_request,
    .begin = anthropic_begin,
    .event = anthropic_on_event,
    .document = anthropic_on_document,
};

const struct model_ops model_anthropic =
    REMOTE_MODEL("anthropic", "anthropic-messages", struct anthropic, anthropic_remote);
