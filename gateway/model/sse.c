/* The parser of server-sent events: lines end with LF, CRLF or CR; ":" lines are comments; several
 * data lines join with LF; one blank after the colon is dropped; a blank line ends the event.
 *
 * Path: sse_feed cuts lines (without copying those that lie whole in one chunk), sse_line takes one,
 * sse_dispatch tells the event. Owns: the unfinished line and the data so far. */
#include "gateway/model/sse.h"

#include <string.h>

void sse_init(struct sse *sse, sse_event_fn *fn, void *arg)
{
    *sse = (struct sse){.fn = fn, .arg = arg};
    buf_init(&sse->line, SSE_LINE_MAX);
    buf_init(&sse->data, SSE_LINE_MAX);
}

void sse_done(struct sse *sse)
{
    buf_done(&sse->line);
    buf_done(&sse->data);
}

static int sse_dispatch(struct sse *sse)
{
    int r = 0;

    if (sse->has_data) {
        sse->idle = 0;
        r = sse->fn(sse->arg, sse->name, sse->data.data != NULL ? sse->data.data : "",
                    sse->data.length);
    }
    buf_clear(&sse->data);
    sse->name[0] = '\0';
    sse->has_data = false;
    return r;
}

static int sse_field(struct sse *sse, const char *name, size_t name_length, const char *value,
                     size_t length)
{
    if (name_length == 4 && memcmp(name, "data", 4) == 0) {
        if (sse->has_data)
            buf_add_char(&sse->data, '\n');
        buf_add(&sse->data, value, length);
        sse->has_data = true;
        return sse->data.bad ? -ERR_TOO_LARGE : 0;
    }
    if (name_length == 5 && memcmp(name, "event", 5) == 0) {
        if (length >= sizeof sse->name)
            length = sizeof sse->name - 1;
        memcpy(sse->name, value, length);
        sse->name[length] = '\0';
    }
    return 0; /* id and retry are for readers that reconnect; the rest is unknown */
}

static int sse_line(struct sse *sse, const char *line, size_t length)
{
    const char *colon, *value;

    if (!sse->begun && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3, length -= 3;
    sse->begun = true;
    if (length == 0 || *line == ':')
        sse->idle += length + 1;
    if (length == 0)
        return sse_dispatch(sse);
    if (*line == ':')
        return 0;
    colon = memchr(line, ':', length);
    if (colon == NULL)
        return sse_field(sse, line, length, "", 0);
    value = colon + 1;
    if (value < line + length && *value == ' ')
        value++;
    return sse_field(sse, line, (size_t)(colon - line), value, (size_t)(line + length - value));
}

/* The first CR or LF of a piece, or NULL. */
static const char *line_end(const char *bytes, size_t length)
{
    const char *lf = memchr(bytes, '\n', length);
    const char *cr = memchr(bytes, '\r', lf != NULL ? (size_t)(lf - bytes) : length);

    return cr != NULL ? cr : lf;
}

int sse_feed(struct sse *sse, const char *bytes, size_t length)
{
    const char *end, *stop = bytes + length;
    int r = 0;

    while (bytes < stop && r == 0) {
        if (sse->after_cr && *bytes == '\n') {
            sse->after_cr = false;
            bytes++;
            continue;
        }
        sse->after_cr = false;
        end = line_end(bytes, (size_t)(stop - bytes));
        if (end == NULL) {
            buf_add(&sse->line, bytes, (size_t)(stop - bytes));
            return sse->line.bad ? -ERR_TOO_LARGE : 0;
        }
        if (sse->line.length == 0) {
            r = sse_line(sse, bytes, (size_t)(end - bytes));
        } else {
            buf_add(&sse->line, bytes, (size_t)(end - bytes));
            if (sse->line.bad)
                return -ERR_TOO_LARGE;
            r = sse_line(sse, sse->line.data, sse->line.length);
            buf_clear(&sse->line);
        }
        sse->after_cr = *end == '\r';
        bytes = end + 1;
    }
    return r;
}

int sse_finish(struct sse *sse)
{
    int r = 0;

    if (sse->line.length > 0) {
        r = sse_line(sse, sse->line.data, sse->line.length);
        buf_clear(&sse->line);
    }
    return r == 0 ? sse_dispatch(sse) : r;
}
