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

char *tool_text_cap(const char *text, size_t length, size_t max)
{
    size_t half = (max - CUT_ROOM) / 2, head, tail;

    if (length <= max)
        return mem_slice(text, length);
    head = character_start(text, half);
    tail = character_start(text, length - half);
    return mem_format("%.*s\n[… %zu bytes were cut out here: the result was too long …]\n%.*s",
                      (int)head, text, tail - head, (int)(length - tail), text + tail);
}

/* One text part. Control and broken bytes are made valid by way of the writer. */
static struct json *text_part(const char *text, size_t length)
{
    struct buf b;
    struct json_writer w;
    struct json *part;

    buf_init(&b, 16u * TOOL_RESULT_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "text");
    jw_key(&w, "text");
    jw_strn(&w, text, length);
    jw_object_end(&w);
    part = json_parse(b.data, b.length, NULL);
    buf_done(&b);
    return part;
}

static void take_content(struct tool_call *call, const char *text, size_t length)
{
    CLEAN(mem_free) char *capped = tool_text_cap(text, length, TOOL_RESULT_MAX);

    call->content = json_new_array();
    json_append(call->content, text_part(capped, strlen(capped)));
}

/* ---- a NUL in the text would end it early: it is shown as what it is, a broken byte ---- */

static char *without_nul(const char *text, size_t length)
{
    char *copy = mem_slice(text ? text : "", text ? length : 0);

    for (size_t i = 0; i < length; i++) {
        if (copy[i] == '\0')
            copy[i] = '\x1a'; /* SUBSTITUTE */
    }
    return copy;
}

static void end_text(struct tool_call *call, const char *text, size_t length, struct json *details,
                     bool is_error)
{
    if (fails(!call->finished)) {
        json_free(details);
        return;
    }
    CLEAN(mem_free) char *clean = without_nul(text, length);
    take_content(call, clean, length);
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
