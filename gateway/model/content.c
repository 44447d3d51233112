/* Grows an answer's parts and judges its tool calls.
 *
 * Path: the supervisor adds text, thinking and pieces of calls as a back end tells them; content_take makes
 * the message's content, where a call whose arguments are cut fails the whole answer: half a command
 * is never run (providers.md 8.5). Owns: the parts. */
#include "gateway/model/content.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define CALL_ID_MAX   512
#define CALL_NAME_MAX 256

enum part_kind { PART_TEXT, PART_THINKING, PART_CALL };

struct content_part {
    enum part_kind kind;
    bool closed;          /* nothing is added any more */
    bool hidden;          /* thinking of which only the signature is told */
    struct buf text;      /* or the arguments */
    struct buf signature; /* of thinking */
    int64_t index;        /* of a call */
    char *id, *name;
};

void content_init(struct content *content, size_t max)
{
    *content = (struct content){.max = max};
}

void content_clear(struct content *content)
{
    for (size_t i = 0; i < content->count; i++) {
        struct content_part *part = &content->parts[i];

        buf_done(&part->text);
        buf_done(&part->signature);
        mem_free(part->id);
        mem_free(part->name);
    }
    content->count = 0;
    content->bytes = 0;
}

void content_done(struct content *content)
{
    content_clear(content);
    content->parts = mem_free(content->parts);
}

/* ---- growing ---- */

static struct content_part *part_last(struct content *content)
{
    return content->count > 0 ? &content->parts[content->count - 1] : NULL;
}

static struct content_part *part_add(struct content *content, enum part_kind kind)
{
    struct content_part *part;

    if (content->count >= CONTENT_PARTS_MAX)
        return NULL;
    content->parts = mem_grow(content->parts, content->count + 1, sizeof *content->parts);
    part = &content->parts[content->count++];
    *part = (struct content_part){.kind = kind, .index = CONTENT_NO_INDEX};
    buf_init(&part->text, content->max);
    buf_init(&part->signature, content->max);
    return part;
}

static int part_grow(struct content *content, struct buf *to, const char *text, size_t length)
{
    if (length > content->max - content->bytes)
        return -ERR_TOO_LARGE;
    content->bytes += length;
    buf_add(to, text, length);
    return 0;
}

/* The part of that kind that grows, or a new one. */
static int content_grow(struct content *content, enum part_kind kind, const char *text,
                        size_t length)
{
    struct content_part *part = part_last(content);

    if (part == NULL || part->kind != kind || part->closed)
        part = part_add(content, kind);
    return part != NULL ? part_grow(content, &part->text, text, length) : -ERR_TOO_LARGE;
}

int content_text(struct content *content, const char *text, size_t length)
{
    return content_grow(content, PART_TEXT, text, length);
}

int content_thinking(struct content *content, const char *text, size_t length)
{
    return content_grow(content, PART_THINKING, text, length);
}

void content_break(struct content *content)
{
    struct content_part *part = part_last(content);

    if (part != NULL && part->kind != PART_CALL)
        part->closed = true;
}

int content_signature(struct content *content, const char *text, size_t length, bool hidden)
{
    struct content_part *part = part_last(content);

    if (part == NULL || part->kind != PART_THINKING || part->closed || hidden)
        part = part_add(content, PART_THINKING);
    if (part == NULL)
        return -ERR_TOO_LARGE;
    part->hidden = hidden;
    part->closed = hidden;
    return part_grow(content, &part->signature, text, length);
}

/* ---- calls ---- */

static bool has_text(const char *text)
{
    return text != NULL && *text != '\0';
}

/* Servers number their calls, name them, or do neither; some give every call the number 0. */
static bool call_is(const struct content_part *part, const struct content_piece *piece)
{
    if (part->kind != PART_CALL)
        return false;
    if (piece->index != CONTENT_NO_INDEX && part->index != piece->index)
        return false;
    return !has_text(piece->id) || part->id == NULL || strcmp(part->id, piece->id) == 0;
}

static struct content_part *call_find(struct content *content, const struct content_piece *piece)
{
    for (size_t i = content->count; i > 0; i--)
        if (call_is(&content->parts[i - 1], piece))
            return &content->parts[i - 1];
    return NULL;
}

int content_call(struct content *content, const struct content_piece *piece)
{
    struct content_part *part = call_find(content, piece);

    if (part == NULL) {
        part = part_add(content, PART_CALL);
        if (part == NULL)
            return -ERR_TOO_LARGE;
        part->index = piece->index;
    }
    if (part->id == NULL && has_text(piece->id) && strlen(piece->id) <= CALL_ID_MAX)
        part->id = mem_string(piece->id);
    if (part->name == NULL && has_text(piece->name) && strlen(piece->name) <= CALL_NAME_MAX)
        part->name = mem_string(piece->name);
    if (piece->whole) {
        content->bytes -= part->text.length;
        buf_clear(&part->text);
    }
    return piece->length > 0 ? part_grow(content, &part->text, piece->text, piece->length) : 0;
}

bool content_has_calls(const struct content *content)
{
    for (size_t i = 0; i < content->count; i++)
        if (content->parts[i].kind == PART_CALL)
            return true;
    return false;
}

/* ---- taking ---- */

static const char *part_text(const struct buf *text)
{
    return text->data != NULL ? text->data : "";
}

static bool call_id_taken(const struct content *content, const struct content_part *until)
{
    for (const struct content_part *part = content->parts; part < until; part++)
        if (part->id != NULL && strcmp(part->id, until->id) == 0)
            return true;
    return false;
}

static void call_name_it(const struct content *content, struct content_part *part)
{
    if (part->id != NULL && !call_id_taken(content, part))
        return;
    mem_free(part->id);
    part->id = mem_format("call_%016" PRIx64, crypto_random_below(UINT64_MAX));
}

/* The arguments as an object; none at all are {}. */
static struct json *call_arguments(const struct content_part *part, struct fault *reterr_fault)
{
    struct json *arguments;
    struct fault why = {0};

    if (part->text.length == 0)
        return json_new_object();
    arguments = json_parse(part->text.data, part->text.length, &why);
    if (arguments != NULL && json_kind(arguments) == JSON_OBJECT)
        return arguments;
    fault_set(reterr_fault, -ERR_INVALID,
              "the model called the tool \"%.80s\" with arguments that are %s: nothing was run",
              part->name, arguments != NULL ? "not an object" : "cut or not JSON");
    json_free(arguments);
    return NULL;
}

static struct json *call_take(const struct content *content, struct content_part *part,
                              struct fault *reterr_fault)
{
    struct json *call, *arguments;

    if (part->name == NULL) {
        fault_set(reterr_fault, -ERR_INVALID,
                  "the model called a tool without saying which: nothing was run");
        return NULL;
    }
    arguments = call_arguments(part, reterr_fault);
    if (arguments == NULL)
        return NULL;
    call_name_it(content, part);
    call = json_new_object();
    json_put(call, "type", json_new_string("toolCall"));
    json_put(call, "id", json_new_string(part->id));
    json_put(call, "name", json_new_string(part->name));
    json_put(call, "arguments", arguments);
    return call;
}

static struct json *words_take(const struct content_part *part)
{
    const char *member = part->kind == PART_TEXT ? "text" : "thinking";
    struct json *words = json_new_object();

    json_put(words, "type", json_new_string(member));
    json_put(words, member, json_new_string(part_text(&part->text)));
    if (part->signature.length > 0)
        json_put(words, "thinkingSignature", json_new_string(part_text(&part->signature)));
    if (part->hidden)
        json_put(words, "redacted", json_new_boolean(true));
    return words;
}

struct json *content_take(struct content *content, bool reached_limit, struct fault *reterr_fault)
{
    CLEAN(json_free) struct json *parts = json_new_array();

    if (reached_limit && content_has_calls(content)) {
        fault_set(reterr_fault, -ERR_INVALID,
                  "the answer reached its length limit while the model was calling a tool: nothing "
                  "was run; allow longer answers (maxTokens) or ask for less at once");
        return NULL;
    }
    for (size_t i = 0; i < content->count; i++) {
        struct content_part *part = &content->parts[i];
        struct json *taken;

        if (part->kind != PART_CALL && part->text.length == 0 && part->signature.length == 0)
            continue;
        taken = part->kind == PART_CALL ? call_take(content, part, reterr_fault) : words_take(part);
        if (taken == NULL)
            return NULL;
        json_append(parts, taken);
    }
    return TAKE(parts);
}
