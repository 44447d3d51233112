/* Walks a transcript for the writers of requests. A call without a result gets one (a turn that was cut),
 * results stand in the order of the calls whatever came in between, and nothing refers to what is not
 * there: the APIs refuse a whole conversation for any of it. */
#include "gateway/model/walk.h"

#include "base/mem.h"

#include <string.h>

/* ---- contents ---- */

bool part_is(const struct json *part, const char *type)
{
    return strcmp(json_string(json_get(part, "type"), ""), type) == 0;
}

size_t content_count(const struct json *content, const char *type)
{
    size_t count = 0;

    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL)
        count += part_is(part, type);
    return count;
}

void content_text_of(const struct json *content, struct buf *out)
{
    buf_clear(out);
    if (json_kind(content) == JSON_STRING)
        buf_add_str(out, json_string(content, ""));
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL)
        if (part_is(part, "text"))
            buf_add_str(out, json_string(json_get(part, "text"), ""));
}

void walk_result_text(const struct walk_step *step, struct buf *out)
{
    content_text_of(step->content, out);
    if (step->message == NULL)
        buf_add_str(out, WALK_NO_RESULT);
}

/* A message of the run that is still going on does not tell its API: the shapes of the signatures do. */
const char *walk_thought(const struct json *message, const struct json *part, const char *api,
                         const char *model)
{
    const char *signature = json_string(json_get(part, "thinkingSignature"), "");
    bool is_item = *signature == '{';

    if (!part_is(part, "thinking") || *signature == '\0' ||
        is_item != (strcmp(api, "openai-responses") == 0) ||
        strcmp(json_string(json_get(message, "api"), api), api) != 0 ||
        strcmp(json_string(json_get(message, "model"), model), model) != 0)
        return NULL;
    return signature;
}

char *call_arguments_text(const struct json *call)
{
    const struct json *arguments = json_get(call, "arguments");

    if (arguments == NULL)
        return mem_string("{}");
    return json_kind(arguments) == JSON_STRING ? mem_string(json_string(arguments, ""))
                                               : json_print(arguments, /* pretty= */ false);
}

/* ---- the walk ---- */

static const struct json *call_from(const struct json *part)
{
    while (part != NULL && !part_is(part, "toolCall"))
        part = json_next(part);
    return part;
}

static bool message_is(const struct json *message, const char *role)
{
    return strcmp(json_string(json_get(message, "role"), ""), role) == 0;
}

/* Before the assistant speaks again, or it is no answer to this call: some servers use an id twice. */
static const struct json *result_of(const struct json *calling, const char *id)
{
    const struct json *message = json_next(calling);

    for (; message != NULL && !message_is(message, "assistant"); message = json_next(message))
        if (message_is(message, "toolResult") &&
            strcmp(json_string(json_get(message, "toolCallId"), ""), id) == 0)
            return message;
    return NULL;
}

static void walk_result(struct walk *walk, struct walk_step *ret)
{
    const char *id = json_string(json_get(walk->call, "id"), "");
    const struct json *result = result_of(walk->calling, id);

    *ret = (struct walk_step){
        .role = WALK_RESULT,
        .message = result,
        .content = json_get(result, "content"),
        .call = walk->call,
        .is_error = result == NULL || json_boolean(json_get(result, "isError"), false),
    };
    walk->call = call_from(json_next(walk->call));
}

static bool says_something(const struct json *content)
{
    if (json_kind(content) == JSON_STRING)
        return *json_string(content, "") != '\0';
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL)
        if (part_is(part, "toolCall") ||
            (part_is(part, "text") && *json_string(json_get(part, "text"), "") != '\0'))
            return true;
    return false;
}

/* False: the message is nothing for a model. */
static bool walk_message(struct walk *walk, const struct json *message, struct walk_step *ret)
{
    const struct json *content = json_get(message, "content");

    *ret = (struct walk_step){.message = message, .content = content};
    if (message_is(message, "user")) {
        ret->role = WALK_USER;
        return true;
    }
    if (!message_is(message, "assistant") || !says_something(content))
        return false;
    ret->role = WALK_ASSISTANT;
    walk->calling = message;
    walk->call = json_kind(content) == JSON_ARRAY ? call_from(json_first(content)) : NULL;
    return true;
}

void walk_init(struct walk *walk, const struct json *messages)
{
    *walk = (struct walk){.at = json_kind(messages) == JSON_ARRAY ? json_first(messages) : NULL};
}

bool walk_next(struct walk *walk, struct walk_step *ret)
{
    if (walk->call != NULL) {
        walk_result(walk, ret);
        return true;
    }
    while (walk->at != NULL) {
        const struct json *message = walk->at;

        walk->at = json_next(message);
        if (walk_message(walk, message, ret))
            return true;
    }
    return false;
}
