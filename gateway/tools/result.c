/* The ends of a call: content parts within their ceilings. The middle of a long text goes, because its
 * beginning says what it is and its end how it ended. */
#include "gateway/tools/call.h"

#include "base/mem.h"

#include <string.h>

#define CUT_ROOM 96 /* for the sentence that says it was cut */

/* No cut inside a UTF-8 character: the start of the one that holds byte `at`. */
static size_t character_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* The text, its middle cut out when it is longer than TOOL_RESULT_MAX; bytes may be any. Appended to out. */
static void cap_text(const char *text, size_t length, struct buf *out)
{
    size_t half = (TOOL_RESULT_MAX - CUT_ROOM) / 2, head, tail;

    if (length <= TOOL_RESULT_MAX) {
        buf_add(out, text, length);
        return;
    }
    head = character_start(text, half);
    tail = character_start(text, length - half);
    buf_add(out, text, head);
    buf_addf(out, "\n[… %zu bytes were cut out here: the result was too long …]\n", tail - head);
    buf_add(out, text + tail, length - tail);
}

/* Valid UTF-8 without NUL: what is not becomes U+FFFD, by way of the writer. Caller owns. */
static char *valid_text(const char *text, size_t length)
{
    struct json_writer w;
    struct json *string;
    struct buf b;
    char *copy;

    if (json_is_utf8(text, length))
        return mem_slice(text, length);
    buf_init(&b, 6 * length + 16);
    jw_init(&w, &b);
    jw_strn(&w, text, length);
    string = json_parse(b.data, b.length, NULL);
    buf_done(&b);
    require(string != NULL);
    copy = mem_string(json_string(string, ""));
    json_free(string);
    return copy;
}

/* Mending makes a text longer, so it is capped once more afterwards. */
static struct json *text_part(const char *text, size_t length)
{
    struct json *part = json_new_object();
    struct buf raw, capped;

    buf_init(&raw, 2 * TOOL_RESULT_MAX);
    buf_init(&capped, 2 * TOOL_RESULT_MAX);
    cap_text(text, length, &raw);
    CLEAN(mem_free) char *valid = valid_text(raw.data ? raw.data : "", raw.length);
    cap_text(valid, strlen(valid), &capped);
    json_put(part, "type", json_new_string("text"));
    json_put(part, "text", json_new_string(capped.data ? capped.data : ""));
    buf_done(&raw);
    buf_done(&capped);
    return part;
}

static void end_text(struct tool_call *call, const char *text, size_t length, struct json *details,
                     bool is_error)
{
    if (fails(!call->finished)) {
        json_free(details);
        return;
    }
    call->content = json_new_array();
    json_append(call->content, text_part(text ? text : "", text ? length : 0));
    call->details = details;
    call->is_error = is_error;
}

/* ---- for handlers ---- */

void tool_end_text(struct tool_call *call, const char *text, size_t length, struct json *details)
{
    end_text(call, text, length, details, false);
    tool_finish(call, 0);
}

void tool_end_failed(struct tool_call *call, const char *text, size_t length, struct json *details)
{
    end_text(call, text, length, details, true);
    tool_finish(call, 0);
}

void tool_end_json(struct tool_call *call, struct json *details)
{
    CLEAN(mem_free) char *text = json_print(details, /* pretty= */ true);

    end_text(call, text, strlen(text), details, false);
    tool_finish(call, 0);
}

void tool_end_fault(struct tool_call *call, const struct fault *fault)
{
    const char *text = fault->text[0] ? fault->text : err_text(fault->code);

    end_text(call, text, strlen(text), NULL, true);
    tool_finish(call, 0);
}

void tool_end_refused(struct tool_call *call, int result, const struct fault *fault)
{
    const char *text = fault->text[0] ? fault->text : err_text(result);

    end_text(call, text, strlen(text), NULL, true);
    tool_finish(call, result);
}

void tool_end_image(struct tool_call *call, const char *text, const char *data,
                    const char *mime_type)
{
    struct json *part = json_new_object();

    end_text(call, text, strlen(text), NULL, false);
    json_put(part, "type", json_new_string("image"));
    json_put(part, "data", json_new_string(data));
    json_put(part, "mimeType", json_new_string(mime_type));
    json_append(call->content, part);
    tool_finish(call, 0);
}
