/* The body of POST /v1/responses becomes a request: items as OpenAI spells them, and as OpenResponses does
 * (source: {type, media_type, data}). Pure. protocol.md 8.7. */
#include "gateway/http/responses.h"

#include "base/field.h"
#include "base/mem.h"

#include <string.h>

#define ITEMS_MAX 100000

struct responses_params {
    const char *model, *instructions, *user, *previous;
    bool stream, background;
    const struct json *input, *tools, *tool_choice, *text, *reasoning;
    int64_t max_output_tokens;
    double temperature, top_p;
};

/* clang-format off */
static const struct field responses_fields[] = {
    F_STR(responses_params, model, FIELD_NULLABLE, 512),
    F_ANY(responses_params, input, REQUIRED),
    F_STR(responses_params, instructions, FIELD_NULLABLE, 4e6),
    F_STR(responses_params, user, FIELD_NULLABLE, API_USER_MAX),
    F_STR_K(responses_params, "previous_response_id", previous, FIELD_NULLABLE, 256),
    F_BOOL(responses_params, stream, FIELD_NULLABLE, false),
    F_BOOL(responses_params, background, FIELD_NULLABLE, false),
    F_ANY(responses_params, tools, OPTIONAL),
    F_ANY(responses_params, tool_choice, OPTIONAL),
    F_ANY(responses_params, text, OPTIONAL),
    F_ANY(responses_params, reasoning, OPTIONAL),
    F_INT(responses_params, max_output_tokens, FIELD_NULLABLE, 1, 1e9, 0),
    F_NUM(responses_params, temperature, FIELD_NULLABLE, 0, 2, 1),
    F_NUM(responses_params, top_p, FIELD_NULLABLE, 0, 1, 1),
    F_END,
};
/* clang-format on */

/* One item as it is read, and where its parts go. */
struct reading {
    size_t index;
    const struct json *item;
    bool current; /* the message to answer: its images and files count */
    struct json *images;
    struct api_prompt *prompt;
    struct fault *fault;
};

static const char *text_of(const struct json *object, const char *key)
{
    return json_string(json_get(object, key), NULL);
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static int bad(const struct reading *r, const char *what)
{
    return fault_set(r->fault, -ERR_INVALID, "input[%zu]%s", r->index, what);
}

/* "message" may be left out where a role stands. */
static const char *type_of(const struct json *item)
{
    const char *type = text_of(item, "type");
    return type ? type : json_get(item, "role") ? "message" : "";
}

/* ---- parts ---- */

static int read_image(const struct reading *r, const struct json *part)
{
    const struct json *source = json_get(part, "source"), *url = json_get(part, "image_url");
    const char *data = text_of(source, "data");

    if (!r->current)
        return 0;
    if (is(text_of(source, "type"), "base64") && data) {
        const char *type = text_of(source, "media_type");
        CLEAN(mem_free)
        char *made = mem_format("data:%s;base64,%s", type ? type : "image/png", data);
        return api_image(r->images, made, r->fault);
    }
    if (json_get(part, "file_id"))
        return bad(r, ".content: this gateway keeps no files; send the image as a data: URL");
    return api_image(r->images, source ? text_of(source, "url") : json_string(url, NULL), r->fault);
}

static int read_file(const struct reading *r, const struct json *part)
{
    const struct json *source = json_get(part, "source");
    const char *data = source ? text_of(source, "data") : text_of(part, "file_data");

    if (!r->current)
        return 0;
    if (!data && (json_get(part, "file_id") || json_get(part, "file_url") || source))
        return bad(r, ".content: files are taken as base64 only (file_data, or source.data); this "
                      "gateway fetches none");
    return api_file(r->prompt, text_of(source ? source : part, "filename"),
                    text_of(source, "media_type"), data, r->fault);
}

static int read_part(const struct reading *r, const struct json *part, struct buf *text)
{
    const char *type = text_of(part, "type");

    if (is(type, "input_text") || is(type, "output_text") || is(type, "text") ||
        is(type, "refusal")) {
        const char *said = text_of(part, is(type, "refusal") ? "refusal" : "text");
        if (!said)
            return bad(r, ".content: a text part has no text");
        if (text->length)
            buf_add_char(text, '\n');
        buf_add_str(text, said);
        return 0;
    }
    if (is(type, "input_image"))
        return read_image(r, part);
    if (is(type, "input_file"))
        return read_file(r, part);
    return bad(r, ".content: parts are input_text, output_text, input_image and input_file");
}

static int read_content(const struct reading *r, const struct json *content, struct buf *text)
{
    if (json_kind(content) == JSON_STRING) {
        buf_add_str(text, json_string(content, ""));
        return 0;
    }
    if (json_kind(content) != JSON_ARRAY)
        return bad(r, ": content must be a string or an array of parts");
    json_each (part, content) {
        int result = json_kind(part) == JSON_OBJECT ? read_part(r, part, text)
                                                    : bad(r, ".content: a part must be an object");
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- items ---- */

static int read_message(const struct reading *r)
{
    const char *role = text_of(r->item, "role");
    size_t images = json_count(r->images), system = r->prompt->system.length;
    CLEAN(buf_done) struct buf text = {0};

    buf_init(&text, API_PROMPT_MAX);
    int result = read_content(r, json_get(r->item, "content"), &text);
    if (result < 0)
        return result;
    const char *said = text.length ? text.data : "";
    bool has_media = json_count(r->images) > images || r->prompt->system.length > system;
    if (text.bad)
        return bad(r, " is too long");
    if (is(role, "system") || is(role, "developer"))
        api_prompt_system(r->prompt, said);
    else if (is(role, "assistant")) {
        if (*said)
            api_prompt_add(r->prompt, API_ASSISTANT, NULL, said);
    } else if (is(role, "user")) {
        if (*said || has_media)
            api_prompt_add(r->prompt, API_USER, NULL,
                           *said ? said : "(an attachment without words)");
    } else
        return bad(r, ".role must be system, developer, user or assistant");
    return 0;
}

static int read_call(const struct reading *r)
{
    const char *id = text_of(r->item, "call_id"), *name = text_of(r->item, "name");

    if (!id)
        id = text_of(r->item, "id");
    if (!id || !name)
        return bad(r, ": a function_call needs its call_id and name");
    const char *arguments = text_of(r->item, "arguments");
    CLEAN(mem_free) char *line = api_prompt_call(id, name, arguments ? arguments : "");
    api_prompt_add(r->prompt, API_ASSISTANT, NULL, line);
    return 0;
}

static int read_output(const struct reading *r)
{
    const char *id = text_of(r->item, "call_id");
    struct reading plain = *r;
    CLEAN(buf_done) struct buf text = {0};

    if (!id || !*id)
        return bad(r, ": a function_call_output needs its call_id");
    plain.current = false;
    buf_init(&text, API_PROMPT_MAX);
    int result = read_content(&plain, json_get(r->item, "output"), &text);
    if (result == 0)
        api_prompt_add(r->prompt, API_TOOL, id, text.length ? text.data : "");
    return result;
}

static int read_nothing(const struct reading *r)
{
    (void)r;
    return 0;
}

static const struct {
    const char *type;
    int (*read)(const struct reading *r);
} item_rows[] = {
    {"message", read_message},
    {"function_call", read_call},
    {"function_call_output", read_output},
    {"reasoning", read_nothing}, /* what a model thought is no one else's to say */
    {"item_reference", read_nothing},
};

static int read_item(const struct reading *r)
{
    const char *type = type_of(r->item);

    if (json_kind(r->item) != JSON_OBJECT)
        return bad(r, " must be an object");
    for (size_t i = 0; i < COUNT(item_rows); i++)
        if (strcmp(item_rows[i].type, type) == 0)
            return item_rows[i].read(r);
    return bad(r, ".type must be message, function_call, function_call_output, reasoning or "
                  "item_reference");
}

/* The user's message that is to be answered; SIZE_MAX: a tool's result is. */
static size_t current_index(const struct json *input)
{
    size_t i = 0, current = SIZE_MAX;

    json_each (item, input) {
        const char *type = type_of(item);
        if (is(type, "message") && is(text_of(item, "role"), "user"))
            current = i;
        else if (is(type, "function_call_output"))
            current = SIZE_MAX;
        i++;
    }
    return current;
}

static int read_input(const struct json *input, struct json *images, struct api_prompt *prompt,
                      struct fault *fault)
{
    size_t i = 0, current = current_index(input);

    if (json_kind(input) == JSON_STRING) {
        if (*json_string(input, ""))
            api_prompt_add(prompt, API_USER, NULL, json_string(input, ""));
        return 0;
    }
    if (json_kind(input) != JSON_ARRAY || json_count(input) > ITEMS_MAX)
        return fault_set(fault, -ERR_INVALID, "input must be a string or an array of items");
    json_each (item, input) {
        struct reading reading = {i, item, i == current, images, prompt, fault};
        int result = read_item(&reading);
        if (result < 0)
            return result;
        i++;
    }
    return 0;
}

/* ---- the whole ---- */

static int read_all(const struct responses_params *p, struct json *images,
                    struct api_prompt *prompt, struct api_request *ret, struct fault *fault)
{
    int r;

    if (p->background)
        return fault_set(fault, -ERR_UNSUPPORTED, "background is not supported here");
    api_prompt_system(prompt, p->instructions);
    if ((r = read_input(p->input, images, prompt, fault)) < 0 ||
        (r = api_tools(p->tools, ret, fault)) < 0 ||
        (r = api_tool_choice(p->tool_choice, ret, prompt, fault)) < 0 ||
        (r = api_format(json_get(p->text, "format"), prompt, fault)) < 0 ||
        (r = api_images_take(images, ret, fault)) < 0)
        return r;
    return api_prompt_take(prompt, ret, fault);
}

int responses_request(const struct json *body, struct api_request *ret, struct fault *reterr_fault)
{
    struct responses_params p;
    struct api_prompt prompt;
    int r = field_decode(responses_fields, body, &p, sizeof(p), reterr_fault);

    if (r < 0)
        return r;
    CLEAN(json_free) struct json *images = json_new_array();
    ret->model = mem_string(p.model);
    ret->user = mem_string(p.user);
    ret->previous = mem_string(p.previous);
    ret->thinking = mem_string(text_of(p.reasoning, "effort"));
    ret->stream = p.stream;
    ret->max_tokens = p.max_output_tokens;
    api_prompt_init(&prompt);
    r = read_all(&p, images, &prompt, ret, reterr_fault);
    api_prompt_done(&prompt);
    return r;
}
