/* Ollama's own API: newline-delimited JSON from /api/chat. providers.md 8.4. Where it runs and which models
 * it has is found by discover.c.
 *
 * Path: ollama_write makes the request; remote.c brings each line to ollama_on_event; the line with done
 * is the last. Calls come whole and, from older servers, without ids. Owns: how many calls there were. */
#include "gateway/model/remote.h"

#include "base/mem.h"
#include "gateway/model/walk.h"

#include <string.h>

struct ollama {
    struct remote remote; /* first */
    int64_t calls;
};

/* ---- the request ---- */

static void write_images(struct json_writer *w, const struct json *content)
{
    jw_karray(w, "images");
    json_each (part, content)
        if (part_is(part, "image") && json_string(json_get(part, "data"), NULL) != NULL)
            jw_str(w, json_string(json_get(part, "data"), ""));
    jw_array_end(w);
}

static void write_calls(struct json_writer *w, const struct json *content)
{
    jw_karray(w, "tool_calls");
    json_each (part, content) {
        if (!part_is(part, "toolCall"))
            continue;
        jw_object(w);
        jw_kobject(w, "function");
        jw_kstr(w, "name", json_string(json_get(part, "name"), ""));
        if (json_kind(json_get(part, "arguments")) == JSON_OBJECT)
            jw_ktree(w, "arguments", json_get(part, "arguments"));
        else
            jw_kraw(w, "arguments", "{}");
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_message(struct json_writer *w, const struct walk_step *step, bool images,
                          struct buf *text)
{
    static const char *const roles[] = {
        [WALK_USER] = "user", [WALK_ASSISTANT] = "assistant", [WALK_RESULT] = "tool"};

    bool shown = step->role != WALK_ASSISTANT && content_count(step->content, "image") > 0;

    walk_result_text(step, text);
    if (shown && !images)
        buf_add_str(text, "\n" UNSEEN_IMAGE);
    jw_object(w);
    jw_kstr(w, "role", roles[step->role]);
    jw_kstr(w, "content", text->data != NULL ? text->data : "");
    if (shown && images)
        write_images(w, step->content);
    if (step->role == WALK_RESULT)
        jw_kstr(w, "tool_name", json_string(json_get(step->call, "name"), ""));
    if (step->role == WALK_ASSISTANT && content_count(step->content, "toolCall") > 0)
        write_calls(w, step->content);
    jw_object_end(w);
}

static void write_messages(struct json_writer *w, const struct model_request *request, bool images,
                           struct buf *text)
{
    struct walk walk;
    struct walk_step step;

    jw_karray(w, "messages");
    if (request->system != NULL && *request->system != '\0') {
        jw_object(w);
        jw_kstr(w, "role", "system");
        jw_kstr(w, "content", request->system);
        jw_object_end(w);
    }
    walk_init(&walk, request->messages);
    while (walk_next(&walk, &step))
        write_message(w, &step, images, text);
    jw_array_end(w);
}

static void write_tools(struct json_writer *w, const struct json *tools)
{
    if (json_count(tools) == 0)
        return;
    jw_karray(w, "tools");
    json_each (tool, tools) {
        jw_object(w);
        jw_kstr(w, "type", "function");
        jw_ktree(w, "function", tool);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* Levels are for the family that knows them; the others think or do not. */
static void write_think(struct json_writer *w, const struct model_request *request)
{
    static const char *const levels[] = {
        [THINKING_OFF] = "low",       [THINKING_MINIMAL] = "low", [THINKING_LOW] = "low",
        [THINKING_MEDIUM] = "medium", [THINKING_HIGH] = "high",   [THINKING_XHIGH] = "high",
    };

    if (strncmp(request->model, "gpt-oss", 7) == 0)
        jw_kstr(w, "think", levels[request->thinking]);
    else
        jw_kbool(w, "think", request->thinking != THINKING_OFF);
}

/* The server's own window is small and older messages would silently fall out of it: it is told ours. */
static void write_options(struct json_writer *w, int64_t context_window, int64_t max_tokens)
{
    jw_kobject(w, "options");
    if (context_window > 0)
        jw_kint(w, "num_ctx", context_window);
    if (max_tokens > 0)
        jw_kint(w, "num_predict", max_tokens);
    jw_object_end(w);
}

static void ollama_write(struct buf *out, const struct model_provider *provider,
                         const struct model_request *request)
{
    const struct model_facts facts = catalog_facts(provider, request->model);
    const struct model_entry *entry = catalog_entry(provider, request->model);
    CLEAN(buf_done) struct buf text;
    struct json_writer w;

    buf_init(&text, out->max);
    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "model", request->model);
    jw_kbool(&w, "stream", true);
    write_messages(&w, request, facts.images, &text);
    write_tools(&w, request->tools);
    if (facts.reasoning)
        write_think(&w, request);
    write_options(&w, entry != NULL && !entry->found ? facts.context_window : 0,
                  catalog_max_tokens(provider, request->model, request->max_tokens));
    jw_object_end(&w);
    out->bad |= text.bad;
}

/* ---- the answer ---- */

static void ollama_begin(struct remote *s)
{
    CONTAINER(s, struct ollama, remote)->calls = 0;
}

static int ollama_call(struct remote *s, const struct json *call)
{
    const struct json *function = json_get(call, "function");
    const struct content_piece piece = {
        .index = CONTAINER(s, struct ollama, remote)->calls++,
        .id = json_string(json_get(call, "id"), NULL),
        .name = json_string(json_get(function, "name"), NULL),
    };

    return remote_call_json(s, piece, json_get(function, "arguments"));
}

static int ollama_take(struct remote *s, const struct json *line)
{
    const struct json *message = json_get(line, "message");
    int r = remote_thinking(s, json_string(json_get(message, "thinking"), NULL));

    if (r == 0)
        r = remote_text(s, json_string(json_get(message, "content"), NULL));
    json_each (call, json_get(message, "tool_calls")) {
        if (r == 0)
            r = ollama_call(s, call);
    }
    return r;
}

static int ollama_on_event(struct remote *s, const char *name, const struct json *line)
{
    int r;

    (void)name;
    if (json_kind(json_get(line, "error")) != JSON_NULL)
        return remote_error(s, line);
    r = ollama_take(s, line);
    if (r < 0 || !json_boolean(json_get(line, "done"), false))
        return r;
    s->outcome.usage = (struct model_usage){
        .input = json_integer(json_get(line, "prompt_eval_count"), -1),
        .output = json_integer(json_get(line, "eval_count"), -1),
        .cache_read = -1,
        .cache_write = -1,
    };
    s->outcome.stop_reason =
        strcmp(json_string(json_get(line, "done_reason"), ""), "length") == 0 ? "length" : "stop";
    return remote_over(s);
}

static const struct remote_ops ollama_remote = {
    .framing = REMOTE_LINES,
    .path = "/api/chat",
    .write = ollama_write,
    .begin = ollama_begin,
    .event = ollama_on_event,
};

const struct model_ops model_ollama =
    REMOTE_MODEL("ollama", "ollama", struct ollama, ollama_remote);
