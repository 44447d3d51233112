/* A Messages request from our transcript. providers.md 8.1, protocol.md 6.6.
 *
 * Path: settings (model, limits, thinking), system, tools, then the walk over the transcript writes blocks;
 * blocks of one role share a message. The last block of a message stays open until it is known whether
 * a mark of the prompt cache goes into it. Thinking goes back unchanged, to the model that thought it. */
#include "gateway/model/anthropic_parts.h"

#include "base/mem.h"
#include "gateway/model/walk.h"

#include <ctype.h>
#include <string.h>

#define ANSWER_TOKENS  8192  /* when nobody says how long an answer may be */
#define ANSWER_USUAL   32000 /* of models that could do more */
#define ANSWER_LEAST   1024  /* left beside the thinking where both share a limit */
#define THINKING_LEAST 1024  /* of the API */
#define CALL_ID_MAX    64

struct writer {
    struct json_writer json;
    const struct model_request *request;
    struct buf text;
    const char *role; /* of the open message; NULL: none */
    bool images;
    bool open; /* a block waits for its end */
};

/* ---- settings ---- */

static int64_t answer_tokens(const struct model_provider *p, const struct model_request *request,
                             const struct model_facts *facts)
{
    int64_t told = catalog_max_tokens(p, request->model, request->max_tokens);

    if (told > 0)
        return told;
    if (facts->max_tokens == 0)
        return ANSWER_TOKENS;
    return facts->max_tokens < ANSWER_USUAL ? facts->max_tokens : ANSWER_USUAL;
}

static const char *thought_of(const struct json *message, const struct json *part,
                              const struct model_request *request)
{
    return walk_thought(message, part, "anthropic-messages", request->model);
}

static bool message_has_thought(const struct json *message, const struct model_request *request)
{
    const struct json *content = json_get(message, "content");

    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL)
        if (thought_of(message, part, request) != NULL)
            return true;
    return false;
}

/* In the middle of a round of tools the API wants the thinking that led to the calls: without it (another
 * model made them) this request does without thinking. */
static bool may_think(const struct model_request *request)
{
    const struct json *calling = NULL;
    struct walk walk;
    struct walk_step step;

    walk_init(&walk, request->messages);
    while (walk_next(&walk, &step))
        if (step.role != WALK_RESULT)
            calling = step.role == WALK_ASSISTANT ? step.message : NULL;
    return calling == NULL || message_has_thought(calling, request);
}

/* Budgets count against max_tokens. */
static void write_budget(struct json_writer *w, enum model_thinking level, int64_t answer,
                         int64_t limit)
{
    static const int64_t budgets[] = {
        [THINKING_OFF] = 0,        [THINKING_MINIMAL] = 1024, [THINKING_LOW] = 4096,
        [THINKING_MEDIUM] = 10240, [THINKING_HIGH] = 24576,   [THINKING_XHIGH] = 32768,
    };
    int64_t budget = budgets[level], total = answer + budget;
    int64_t room = answer < ANSWER_LEAST ? answer : ANSWER_LEAST;

    if (limit > 0 && total > limit)
        total = limit > answer ? limit : answer;
    if (budget > total - room)
        budget = total - room;
    jw_kint(w, "max_tokens", budget >= THINKING_LEAST ? total : answer);
    if (budget < THINKING_LEAST)
        return;
    jw_kobject(w, "thinking");
    jw_kstr(w, "type", "enabled");
    jw_kint(w, "budget_tokens", budget);
    jw_object_end(w);
}

/* Newer models weigh for themselves how long they think. */
static void write_effort(struct json_writer *w, enum model_thinking level)
{
    static const char *const efforts[] = {
        [THINKING_OFF] = NULL,        [THINKING_MINIMAL] = "low", [THINKING_LOW] = "low",
        [THINKING_MEDIUM] = "medium", [THINKING_HIGH] = "high",   [THINKING_XHIGH] = "high",
    };

    jw_kobject(w, "thinking");
    jw_kstr(w, "type", "adaptive");
    jw_kstr(w, "display", "summarized");
    jw_object_end(w);
    jw_kobject(w, "output_config");
    jw_kstr(w, "effort", efforts[level]);
    jw_object_end(w);
}

static void write_settings(struct json_writer *w, const struct model_provider *p,
                           const struct model_request *request)
{
    const struct model_facts facts = catalog_facts(p, request->model);
    enum model_thinking level =
        facts.reasoning && request->thinking != THINKING_OFF && may_think(request)
            ? request->thinking
            : THINKING_OFF;
    int64_t answer = answer_tokens(p, request, &facts);

    jw_kstr(w, "model", request->model);
    jw_kbool(w, "stream", true);
    if (level != THINKING_OFF && facts.style == THINKING_BY_BUDGET) {
        write_budget(w, level, answer, facts.max_tokens);
        return;
    }
    jw_kint(w, "max_tokens", answer);
    if (level != THINKING_OFF)
        write_effort(w, level);
}

/* ---- system and tools ---- */

static void write_cache_mark(struct json_writer *w)
{
    jw_kobject(w, "cache_control");
    jw_kstr(w, "type", "ephemeral");
    jw_object_end(w);
}

static void write_system(struct json_writer *w, const char *system)
{
    if (system == NULL || *system == '\0')
        return;
    jw_karray(w, "system");
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_kstr(w, "text", system);
    write_cache_mark(w);
    jw_object_end(w);
    jw_array_end(w);
}

static void write_tools(struct json_writer *w, const struct json *tools)
{
    static const char any[] = "{\"type\":\"object\",\"properties\":{}}";

    if (json_count(tools) == 0)
        return;
    jw_karray(w, "tools");
    json_each (tool, tools) {
        const struct json *parameters = json_get(tool, "parameters");

        jw_object(w);
        jw_kstr(w, "name", json_string(json_get(tool, "name"), ""));
        jw_kstr(w, "description", json_string(json_get(tool, "description"), NULL));
        if (json_kind(parameters) == JSON_OBJECT)
            jw_ktree(w, "input_schema", parameters);
        else
            jw_kraw(w, "input_schema", any);
        if (json_next(tool) == NULL)
            write_cache_mark(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* ---- messages ---- */

static void block_end(struct writer *w)
{
    if (w->open)
        jw_object_end(&w->json);
    w->open = false;
}

static void message_end(struct writer *w)
{
    block_end(w);
    if (w->role == NULL)
        return;
    jw_array_end(&w->json);
    jw_object_end(&w->json);
    w->role = NULL;
}

/* The first member of a block of that role; what follows goes into it. */
static void block_begin(struct writer *w, const char *role, const char *type)
{
    if (w->role != NULL && strcmp(w->role, role) != 0)
        message_end(w);
    block_end(w);
    if (w->role == NULL) {
        jw_object(&w->json);
        jw_kstr(&w->json, "role", role);
        jw_karray(&w->json, "content");
        w->role = role;
    }
    jw_object(&w->json);
    jw_kstr(&w->json, "type", type);
    w->open = true;
}

/* The API refuses empty texts. */
static void write_text(struct writer *w, const char *role, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    block_begin(w, role, "text");
    jw_kstr(&w->json, "text", text);
}

static void write_source(struct json_writer *w, const struct json *part)
{
    jw_kobject(w, "source");
    jw_kstr(w, "type", "base64");
    jw_kstr(w, "media_type", json_string(json_get(part, "mimeType"), "image/png"));
    jw_kstr(w, "data", json_string(json_get(part, "data"), ""));
    jw_object_end(w);
}

static bool is_image(const struct json *part)
{
    return part_is(part, "image") && json_string(json_get(part, "data"), NULL) != NULL;
}

static void write_user(struct writer *w, const struct json *content)
{
    if (json_kind(content) == JSON_STRING)
        write_text(w, "user", json_string(content, ""));
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL) {
        if (part_is(part, "text"))
            write_text(w, "user", json_string(json_get(part, "text"), ""));
        else if (is_image(part) && w->images) {
            block_begin(w, "user", "image");
            write_source(&w->json, part);
        } else if (is_image(part)) {
            write_text(w, "user", UNSEEN_IMAGE);
        }
    }
}

/* The API takes letters, digits, "_" and "-" only; other models' ids may hold more. */
static void write_call_id(struct writer *w, const char *key, const struct json *call)
{
    const char *id = json_string(json_get(call, "id"), "");
    char safe[CALL_ID_MAX + 1];
    size_t length = 0;

    for (; *id != '\0' && length < CALL_ID_MAX; id++)
        safe[length++] =
            (char)(isalnum((unsigned char)*id) || *id == '-' || *id == '_' ? *id : '_');
    safe[length] = '\0';
    jw_kstr(&w->json, key, length > 0 ? safe : "none");
}

static void write_call(struct writer *w, const struct json *call)
{
    const struct json *arguments = json_get(call, "arguments");

    block_begin(w, "assistant", "tool_use");
    write_call_id(w, "id", call);
    jw_kstr(&w->json, "name", json_string(json_get(call, "name"), ""));
    if (json_kind(arguments) == JSON_OBJECT)
        jw_ktree(&w->json, "input", arguments);
    else
        jw_kraw(&w->json, "input", "{}");
}

static void write_thought(struct writer *w, const struct json *part, const char *signature)
{
    if (json_boolean(json_get(part, "redacted"), false)) {
        block_begin(w, "assistant", "redacted_thinking");
        jw_kstr(&w->json, "data", signature);
        return;
    }
    block_begin(w, "assistant", "thinking");
    jw_kstr(&w->json, "thinking", json_string(json_get(part, "thinking"), ""));
    jw_kstr(&w->json, "signature", signature);
}

static void write_assistant(struct writer *w, const struct walk_step *step)
{
    if (w->role == NULL) /* a conversation whose beginning was left out */
        write_text(w, "user", "(earlier messages were left out)");
    if (json_kind(step->content) == JSON_STRING)
        write_text(w, "assistant", json_string(step->content, ""));
    json_each (part, json_kind(step->content) == JSON_ARRAY ? step->content : NULL) {
        if (part_is(part, "text"))
            write_text(w, "assistant", json_string(json_get(part, "text"), ""));
        else if (part_is(part, "toolCall"))
            write_call(w, part);
        else if (thought_of(step->message, part, w->request) != NULL)
            write_thought(w, part, thought_of(step->message, part, w->request));
    }
}

static void write_result(struct writer *w, const struct walk_step *step)
{
    walk_result_text(step, &w->text);
    block_begin(w, "user", "tool_result");
    write_call_id(w, "tool_use_id", step->call);
    jw_karray(&w->json, "content");
    if (w->text.length > 0) {
        jw_object(&w->json);
        jw_kstr(&w->json, "type", "text");
        jw_kstr(&w->json, "text", w->text.data);
        jw_object_end(&w->json);
    }
    json_each (part, json_kind(step->content) == JSON_ARRAY && w->images ? step->content : NULL) {
        if (!is_image(part))
            continue;
        jw_object(&w->json);
        jw_kstr(&w->json, "type", "image");
        write_source(&w->json, part);
        jw_object_end(&w->json);
    }
    jw_array_end(&w->json);
    if (step->is_error)
        jw_kbool(&w->json, "is_error", true);
}

static void write_messages(struct writer *w)
{
    struct walk walk;
    struct walk_step step;

    jw_karray(&w->json, "messages");
    walk_init(&walk, w->request->messages);
    while (walk_next(&walk, &step)) {
        if (step.role == WALK_USER)
            write_user(w, step.content);
        else if (step.role == WALK_ASSISTANT)
            write_assistant(w, &step);
        else
            write_result(w, &step);
    }
    if (w->open && strcmp(w->role, "user") == 0)
        write_cache_mark(&w->json);
    message_end(w);
    jw_array_end(&w->json);
}

void anthropic_write_request(struct buf *out, const struct model_provider *provider,
                             const struct model_request *request)
{
    struct writer w = {.request = request,
                       .images = catalog_facts(provider, request->model).images};

    buf_init(&w.text, out->max);
    jw_init(&w.json, out);
    jw_object(&w.json);
    write_settings(&w.json, provider, request);
    write_system(&w.json, request->system);
    write_tools(&w.json, request->tools);
    write_messages(&w);
    jw_object_end(&w.json);
    out->bad |= w.text.bad;
    buf_done(&w.text);
}
