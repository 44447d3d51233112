/* Cuts bytes into lines for SSE and newline-delimited JSON: LF, CRLF or CR end one, a byte order mark at the
 * very beginning is dropped. Bytes may be split anywhere. Pure; any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define LINE_MAX_BYTES (16u << 20) /* of one line */

/* One line without its end, not NUL-terminated when it lies in the caller's bytes. A negative return
 * ends the reading with it; the reader must not be freed inside. */
typedef int line_fn(void *arg, const char *line, size_t length);

/* Embedded by its owner. */
struct line_reader {
    line_fn *fn;
    void *arg;
    struct buf line; /* an unfinished one */
    bool after_cr;   /* an LF right now belongs to the CR before */
    bool begun;      /* the byte order mark can no longer come */
};

void line_reader_init(struct line_reader *reader, line_fn *fn, void *arg);
/* 0, fn's negative, or -ERR_TOO_LARGE. Not again after a failure. */
int line_reader_feed(struct line_reader *reader, const char *bytes, size_t length);
/* The input has ended: what stands without a line's end is told. */
int line_reader_finish(struct line_reader *reader);
void line_reader_done(struct line_reader *reader);
