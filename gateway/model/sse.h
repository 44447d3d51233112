/* Server-sent events: a pure parser. providers.md section 12. Bytes may be split anywhere. Any thread. */
#pragma once

#include "gateway/model/line_reader.h"

#define SSE_LINE_MAX LINE_MAX_BYTES /* bytes of one line, and of one event's joined data */

/* One event: name is "" for the default; data is NUL terminated, its lines joined with LF. A negative
 * return ends the parsing with it; sse must not be freed inside. */
typedef int sse_event_fn(void *arg, const char *name, const char *data, size_t length);

/* Embedded by its owner. */
struct sse {
    sse_event_fn *fn;
    void *arg;
    struct line_reader lines;
    struct buf data; /* of the event so far */
    char name[64];
    size_t idle;   /* bytes of comments and blank lines since the last event */
    bool has_data; /* a data line was seen, maybe an empty one */
};

void sse_init(struct sse *sse, sse_event_fn *fn, void *arg);
/* 0, fn's negative, or -ERR_TOO_LARGE (line or event over SSE_LINE_MAX). Not again after a failure. */
int sse_feed(struct sse *sse, const char *bytes, size_t length);
/* The stream has ended: an event whose blank line is missing is still told (some servers omit it). */
int sse_finish(struct sse *sse);
void sse_done(struct sse *sse);
