/* What a program is asked: the user's message as content blocks, and before it, where the program cannot
 * remember, what was said so far. Owns nothing. */
#include "gateway/agent/acp.h"

#include "base/mem.h"
#include "gateway/session/transcript.h"

#include <string.h>

/* ---- reading the transcript ---- */

/* "User: …" or "You: …"; NULL: it is nothing that was said. */
static char *line_of(const struct store_row *row)
{
    CLEAN(json_free) struct json *message = json_parse(row->message, strlen(row->message), NULL);
    const char *role = json_string(json_get(message, "role"), "");
    CLEAN(mem_free) char *text = transcript_text(message);

    if (!*text || (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0))
        return NULL;
    return mem_format("%s: %s\n\n", strcmp(role, "user") == 0 ? "User" : "You", text);
}

/* The newest that fit, oldest first. */
static char *history_of(const struct store_page *page, size_t count)
{
    CLEAN(mem_free) char **lines = mem_array(count + 1, sizeof(*lines));
    size_t first = count, length = 0;
    struct buf b;

    while (first > 0) {
        char *line = line_of(&page->rows[first - 1]);

        if (line && length + strlen(line) > ACP_HISTORY_MAX) {
            mem_free(line);
            break;
        }
        length += line ? strlen(line) : 0;
        lines[--first] = line;
    }
    buf_init(&b, ACP_HISTORY_MAX + 1024);
    for (size_t i = first; i < count; i++) {
        if (lines[i])
            buf_add_str(&b, lines[i]);
        mem_free(lines[i]);
    }
    return b.length > 0 ? buf_take(&b) : NULL;
}

int acp_prompt_read(struct agent_run *run, struct fault *reterr_fault)
{
    const struct store_page *page = &run->page;
    const struct store_row *last = page->count > 0 ? &page->rows[page->count - 1] : NULL;

    if (last && last->seq == run->user_seq)
        run->message = json_parse(last->message, strlen(last->message), NULL);
    if (!run->message)
        return fault_set(reterr_fault, -ERR_NOT_FOUND,
                         "the message to answer is not in the transcript any more");
    json_each (part, json_get(run->message, "content")) {
        if (strcmp(json_string(json_get(part, "type"), ""), "image") == 0)
            run->has_image = true;
    }
    run->history = history_of(page, page->count - 1);
    return 0;
}

/* ---- writing blocks ---- */

static void write_text(struct json_writer *w, const char *text)
{
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_kstr(w, "text", text);
    jw_object_end(w);
}

/* The transcript's parts are the protocol's content blocks, but for members it does not know. */
static void write_part(struct json_writer *w, const struct json *part)
{
    const char *type = json_string(json_get(part, "type"), "");

    if (strcmp(type, "text") == 0) {
        write_text(w, json_string(json_get(part, "text"), ""));
    } else if (strcmp(type, "image") == 0) {
        jw_object(w);
        jw_kstr(w, "type", "image");
        jw_ktree(w, "mimeType", json_get(part, "mimeType"));
        jw_ktree(w, "data", json_get(part, "data"));
        jw_object_end(w);
    }
}

void acp_prompt_write(const struct agent_run *run, bool with_history, struct json_writer *w)
{
    const struct json *content = json_get(run->message, "content");

    if (with_history && run->history) {
        CLEAN(mem_free)
        char *told = mem_format("You were started in the middle of a conversation. What was said "
                                "in it so far:\n\n%s(Here it goes on.)",
                                run->history);
        write_text(w, told);
    }
    if (run->extra_system && *run->extra_system)
        write_text(w, run->extra_system);
    if (json_kind(content) == JSON_STRING)
        write_text(w, json_string(content, ""));
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL)
        write_part(w, part);
}
