/* A growing byte buffer with a ceiling given at birth, and immutable shared bytes made from it. */
#pragma once

#include "base/own.h"

#include <stdarg.h>

/* After an append that would pass max the buffer is empty and bad: check once, at the end. */
struct buf {
    char *data; /* owned; NUL terminated when not NULL */
    size_t length;
    size_t room;
    size_t max;
    bool bad;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees the contents; the struct may be used again after init */
void buf_clear(struct buf *b); /* length 0, memory kept, bad forgotten */
void buf_add(struct buf *b, const void *data, size_t length);
void buf_add_str(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_vaddf(struct buf *b, const char *format, va_list args) PRINTF(2, 0);
/* Makes room for length more bytes and returns where to write them (then add to ->length), or NULL
 * when that would pass max (the buffer is then bad). */
char *buf_reserve(struct buf *b, size_t length);
/* Drops the first length bytes. */
void buf_drop(struct buf *b, size_t length);
/* The contents as a string the caller owns (mem_free), "" when empty; NULL when bad. */
char *buf_take(struct buf *b) MUSTCHECK;

/* Immutable bytes shared by reference. Loop thread only (counts are not atomic). */
/* data is NUL terminated (the NUL is not counted in length). */
struct bytes {
    uint32_t refs;
    uint32_t length;
    char data[];
};

/* One reference, owned by the caller. */
struct bytes *bytes_new(const void *data, size_t length) MUSTCHECK;
/* As bytes_new with the buffer's contents; NULL when the buffer is bad. The buffer is untouched. */
struct bytes *bytes_from_buf(const struct buf *b) MUSTCHECK;
struct bytes *bytes_ref(struct bytes *bytes);
struct bytes *bytes_unref(struct bytes *bytes); /* NULL allowed; returns NULL */

static inline void buf_donep(struct buf *b)
{
    buf_done(b);
}
DEFINE_CLEAN(struct bytes *, bytes_unref)
