/* Building the messages of a run. */
#include "gateway/agent/message.h"

#include "base/mem.h"

#include <string.h>

#define META_MAX 160 /* bytes */

static void message_put_text(struct json *object, const char *key, const char *text)
{
    if (text)
        json_put(object, key, json_new_string(text));
}

static int64_t told(int64_t tokens)
{
    return tokens < 0 ? 0 : tokens;
}

static struct json *message_usage(const struct model_usage *usage)
{
    struct json *object = json_new_object();
    int64_t total = told(usage->input) + told(usage->output) + told(usage->cache_read) +
                    told(usage->cache_write);

    json_put(object, "input", json_new_number((double)told(usage->input)));
    json_put(object, "output", json_new_number((double)told(usage->output)));
    json_put(object, "cacheRead", json_new_number((double)told(usage->cache_read)));
    json_put(object, "cacheWrite", json_new_number((double)told(usage->cache_write)));
    json_put(object, "totalTokens", json_new_number((double)total));
    return object;
}

struct json *message_answer(const struct message_answer *answer)
{
    struct json *message = json_new_object();

    json_put(message, "role", json_new_string("assistant"));
    json_put(message, "content", json_copy(answer->content));
    message_put_text(message, "api", answer->api);
    message_put_text(message, "provider", answer->provider);
    message_put_text(message, "model", answer->model);
    json_put(message, "usage", message_usage(&answer->usage));
    json_put(message, "stopReason", json_new_string(answer->stop_reason));
    json_put(message, "timestamp", json_new_number((double)answer->at));
    return message;
}

struct json *message_result(const struct message_result *result)
{
    struct json *message = json_new_object();

    json_put(message, "role", json_new_string("toolResult"));
    message_put_text(message, "toolCallId", result->call_id);
    message_put_text(message, "toolName", result->name);
    json_put(message, "content", result->content ? json_copy(result->content) : json_new_array());
    if (result->details)
        json_put(message, "details", json_copy(result->details));
    json_put(message, "isError", json_new_boolean(result->is_error));
    json_put(message, "timestamp", json_new_number((double)result->at));
    return message;
}

struct json *message_text(const char *text)
{
    struct json *content = json_new_array(), *part = json_new_object();

    json_put(part, "type", json_new_string("text"));
    json_put(part, "text", json_new_string(text));
    json_append(content, part);
    return content;
}

char *message_words(const struct json *content)
{
    struct buf b;

    if (json_kind(content) == JSON_STRING)
        return mem_string(json_string(content, ""));
    buf_init(&b, MODEL_TEXT_MAX * 2);
    json_each (part, content) {
        if (strcmp(json_string(json_get(part, "type"), ""), "text") == 0)
            buf_add_str(&b, json_string(json_get(part, "text"), ""));
    }
    char *text = buf_take(&b);
    return text ? text : mem_string("");
}

char *message_meta(const struct json *arguments)
{
    static const char *const names[] = {"command",    "path", "url",    "query",
                                        "sessionKey", "to",   "action", "name"};

    for (size_t i = 0; i < COUNT(names); i++) {
        const char *text = json_string(json_get(arguments, names[i]), NULL);
        size_t length = text ? strcspn(text, "\r\n") : 0, end = META_MAX;

        if (length == 0)
            continue;
        if (length <= META_MAX)
            return mem_slice(text, length);
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--;
        return mem_format("%.*s…", (int)end, text);
    }
    return NULL;
}
