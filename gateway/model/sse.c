/* The parser of server-sent events: ":" lines are comments; several data lines join with LF; one blank
 * after the colon is dropped; a blank line ends the event.
 *
 * Path: sse_feed lets line_reader cut lines, sse_line takes one, sse_dispatch tells the event. Owns: the
 * data so far. */
#include "gateway/model/sse.h"

#include <string.h>

static int sse_line(void *arg, const char *line, size_t length);

void sse_init(struct sse *sse, sse_event_fn *fn, void *arg)
{
    *sse = (struct sse){.fn = fn, .arg = arg};
    line_reader_init(&sse->lines, sse_line, sse);
    buf_init(&sse->data, SSE_LINE_MAX);
}

void sse_done(struct sse *sse)
{
    line_reader_done(&sse->lines);
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

static int sse_line(void *arg, const char *line, size_t length)
{
    struct sse *sse = arg;
    const char *colon, *value;

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

int sse_feed(struct sse *sse, const char *bytes, size_t length)
{
    return line_reader_feed(&sse->lines, bytes, length);
}

int sse_finish(struct sse *sse)
{
    int r = line_reader_finish(&sse->lines);

    return r == 0 ? sse_dispatch(sse) : r;
}
