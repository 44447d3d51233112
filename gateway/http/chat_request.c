/* The body of POST /v1/chat/completions becomes a request. Pure. protocol.md 8.7. */
#include "gateway/http/chat.h"

#include "base/field.h"
#include "base/mem.h"

#include <string.h>

#define MESSAGES_MAX 100000
#define STOP_MAX     4

struct chat_params {
    const char *model, *user, *reasoning_effort;
    bool stream;
    const struct json *stream_options, *messages, *tools, *tool_choice, *response_format, *stop;
    int64_t max_tokens, max_completion_tokens, n;
    double temperature, top_p, frequency_penalty, presence_penalty;
    int64_t seed;
};

/* clang-format off */
static const struct field chat_fields[] = {
    F_STR(chat_params, model, FIELD_NULLABLE, 512),
    F_STR(chat_params, user, FIELD_NULLABLE, API_USER_MAX),
    F_STR(chat_params, reasoning_effort, FIELD_NULLABLE, 32),
    F_BOOL(chat_params, stream, FIELD_NULLABLE, false),
    F_ANY(chat_params, stream_options, OPTIONAL),
    F_ARRAY(chat_params, messages, REQUIRED, MESSAGES_MAX),
    F_ANY(chat_params, tools, OPTIONAL),
    F_ANY(chat_params, tool_choice, OPTIONAL),
    F_ANY(chat_params, response_format, OPTIONAL),
    F_ANY(chat_params, stop, OPTIONAL),
    F_INT(chat_params, max_tokens, FIELD_NULLABLE, 1, 1e9, 0),
    F_INT(chat_params, max_completion_tokens, FIELD_NULLABLE, 1, 1e9, 0),
    F_INT(chat_params, n, FIELD_NULLABLE, 1, 1, 1),
    F_NUM(chat_params, temperature, FIELD_NULLABLE, 0, 2, 1),
    F_NUM(chat_params, top_p, FIELD_NULLABLE, 0, 1, 1),
    F_NUM(chat_params, frequency_penalty, FIELD_NULLABLE, -2, 2, 0),
    F_NUM(chat_params, presence_penalty, FIELD_NULLABLE, -2, 2, 0),
    F_INT(chat_params, seed, FIELD_NULLABLE, -9e15, 9e15, 0),
    F_END,
};
/* clang-format on */

/* One message as it is read. */
struct chat_message {
    size_t index;
    const struct json *node;
    const char *role;
    bool current; /* the one to answer: its images and files count */
};

static int bad(const struct chat_message *message, struct fault *fault, const char *what)
{
    return fault_set(fault, -ERR_INVALID, "messages[%zu]%s", message->index, what);
}

/* ---- content ---- */

static int read_part(const struct chat_message *message, const struct json *part, struct buf *text,
                     struct json *images, struct api_prompt *prompt, struct fault *fault)
{
    const char *type = json_string(json_get(part, "type"), "");
    const struct json *media;

    if (strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0 ||
        strcmp(type, "refusal") == 0) {
        const char *key = strcmp(type, "refusal") == 0 ? "refusal" : "text";
        const char *said = json_string(json_get(part, key), NULL);
        if (!said)
            return bad(message, fault, ".content: a text part has no text");
        if (text->length)
            buf_add_char(text, '\n');
        buf_add_str(text, said);
        return 0;
    }
    if (strcmp(type, "image_url") == 0) {
        media = json_get(part, "image_url");
        const struct json *url = json_kind(media) == JSON_OBJECT ? json_get(media, "url") : media;
        return message->current ? api_image(images, json_string(url, NULL), fault) : 0;
    }
    if (strcmp(type, "file") == 0) {
        media = json_get(part, "file");
        return message->current
                   ? api_file(prompt, json_string(json_get(media, "filename"), NULL), NULL,
                              json_string(json_get(media, "file_data"), NULL), fault)
                   : 0;
    }
    return bad(message, fault, ".content: parts are text, image_url and file");
}

/* text: what it says, "" when nothing. */
static int read_content(const struct chat_message *message, struct buf *text, struct json *images,
                        struct api_prompt *prompt, struct fault *fault)
{
    const struct json *content = json_get(message->node, "content");

    switch (json_kind(content)) {
    case JSON_NULL: return 0;
    case JSON_STRING: buf_add_str(text, json_string(content, "")); return 0;
    case JSON_ARRAY: break;
    case JSON_BOOL:
    case JSON_NUMBER:
    case JSON_OBJECT: return bad(message, fault, ".content must be a string or an array of parts");
    }
    json_each (part, content) {
        int r = json_kind(part) == JSON_OBJECT
                    ? read_part(message, part, text, images, prompt, fault)
                    : bad(message, fault, ".content: a part must be an object");
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- messages ---- */

static int add_calls(const struct chat_message *message, struct buf *text, struct fault *fault)
{
    json_each (call, json_get(message->node, "tool_calls")) {
        const struct json *function = json_get(call, "function");
        const char *name = json_string(json_get(function, "name"), NULL);
        const char *id = json_string(json_get(call, "id"), NULL);
        if (!name || !id)
            return bad(message, fault, ".tool_calls: a call needs its id and function.name");
        CLEAN(mem_free)
        char *line = api_prompt_call(id, name, json_string(json_get(function, "arguments"), ""));
        if (text->length)
            buf_add_char(text, '\n');
        buf_add_str(text, line);
    }
    return 0;
}

static int add_message(const struct chat_message *message, const struct buf *text, bool has_media,
                       struct api_prompt *prompt, struct fault *fault)
{
    const char *said = text->length ? text->data : "", *role = message->role;

    if (text->bad)
        return bad(message, fault, " is too long");
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        api_prompt_system(prompt, said);
    else if (strcmp(role, "user") == 0) {
        if (*said || has_media)
            api_prompt_add(prompt, API_USER, NULL, *said ? said : "(an attachment without words)");
    } else if (strcmp(role, "assistant") == 0) {
        if (*said)
            api_prompt_add(prompt, API_ASSISTANT, NULL, said);
    } else if (strcmp(role, "tool") == 0 || strcmp(role, "function") == 0) {
        const char *key = role[0] == 't' ? "tool_call_id" : "name";
        const char *id = json_string(json_get(message->node, key), NULL);
        if (!id || !*id)
            return bad(message, fault, ": a result needs the id of its call (tool_call_id)");
        api_prompt_add(prompt, API_TOOL, id, said);
    } else
        return bad(message, fault,
                   ".role must be system, developer, user, assistant, tool or function");
    return 0;
}

static int read_message(const struct chat_message *message, struct json *images,
                        struct api_prompt *prompt, struct fault *fault)
{
    CLEAN(buf_done) struct buf text = {0};
    size_t images_before = json_count(images), system_before = prompt->system.length;

    buf_init(&text, API_PROMPT_MAX);
    int r = read_content(message, &text, images, prompt, fault);
    if (r == 0 && strcmp(message->role, "assistant") == 0)
        r = add_calls(message, &text, fault);
    if (r < 0)
        return r;
    bool has_media = json_count(images) > images_before || prompt->system.length > system_before;
    return add_message(message, &text, has_media, prompt, fault);
}

/* The last message that is not the assistant's; SIZE_MAX: none. */
static size_t current_index(const struct json *messages)
{
    size_t i = 0, current = SIZE_MAX;

    json_each (node, messages) {
        const char *role = json_string(json_get(node, "role"), "");
        if (strcmp(role, "user") == 0 || strcmp(role, "tool") == 0 || strcmp(role, "function") == 0)
            current = i;
        i++;
    }
    return current;
}

static int read_messages(const struct json *messages, struct json *images,
                         struct api_prompt *prompt, struct fault *fault)
{
    size_t current = current_index(messages), i = 0;

    json_each (node, messages) {
        struct chat_message message = {
            .index = i,
            .node = node,
            .role = json_string(json_get(node, "role"), ""),
            .current = i == current && strcmp(json_string(json_get(node, "role"), ""), "user") == 0,
        };
        i++;
        int r = json_kind(node) == JSON_OBJECT ? read_message(&message, images, prompt, fault)
                                               : bad(&message, fault, " must be an object");
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the whole ---- */

/* Taken for what it is and not passed on: providers differ in how they spell it. */
static int check_stop(const struct json *stop, struct fault *fault)
{
    size_t count = json_kind(stop) == JSON_ARRAY ? json_count(stop) : 0;
    bool fits = json_kind(stop) == JSON_NULL || json_kind(stop) == JSON_STRING ||
                json_kind(stop) == JSON_ARRAY;

    if (!fits || count > STOP_MAX)
        return fault_set(fault, -ERR_INVALID, "stop must be a string or at most %d strings",
                         STOP_MAX);
    if (count > 0)
        json_each (item, stop)
            if (!*json_string(item, ""))
                return fault_set(fault, -ERR_INVALID,
                                 "stop: each must be a string that is not empty");
    return 0;
}

static int read_all(const struct chat_params *p, struct json *images, struct api_prompt *prompt,
                    struct api_request *ret, struct fault *fault)
{
    int r;

    if ((r = check_stop(p->stop, fault)) < 0 ||
        (r = read_messages(p->messages, images, prompt, fault)) < 0 ||
        (r = api_tools(p->tools, ret, fault)) < 0 ||
        (r = api_tool_choice(p->tool_choice, ret, prompt, fault)) < 0 ||
        (r = api_format(p->response_format, prompt, fault)) < 0 ||
        (r = api_images_take(images, ret, fault)) < 0)
        return r;
    return api_prompt_take(prompt, ret, fault);
}

int chat_request(const struct json *body, struct api_request *ret, struct fault *reterr_fault)
{
    struct chat_params p;
    struct api_prompt prompt;
    int r = field_decode(chat_fields, body, &p, sizeof(p), reterr_fault);

    if (r < 0)
        return r;
    CLEAN(json_free) struct json *images = json_new_array();
    ret->model = mem_string(p.model);
    ret->user = mem_string(p.user);
    ret->thinking = mem_string(p.reasoning_effort);
    ret->stream = p.stream;
    ret->include_usage = json_boolean(json_get(p.stream_options, "include_usage"), false);
    ret->max_tokens = p.max_completion_tokens ? p.max_completion_tokens : p.max_tokens;
    api_prompt_init(&prompt);
    r = read_all(&p, images, &prompt, ret, reterr_fault);
    api_prompt_done(&prompt);
    return r;
}
