/* The growing buffer and shared bytes. A buffer doubles until max; past it, it gives its memory back and
 * stays bad until cleared, so that a caller checks once, at the end. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define BUF_ROOM_FIRST 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    b->data = mem_free(b->data);
    b->length = b->room = 0;
}

void buf_clear(struct buf *b)
{
    b->length = 0;
    b->bad = false;
    if (b->data)
        b->data[0] = '\0';
}

static void buf_spoil(struct buf *b)
{
    buf_done(b);
    b->bad = true;
}

/* room counts usable bytes; one more is always there for the NUL. */
static char *buf_enlarge(struct buf *b, size_t length)
{
    if (b->bad)
        return NULL;
    if (length > b->max - b->length || b->length > b->max) {
        buf_spoil(b);
        return NULL;
    }
    size_t need = b->length + length;
    size_t room = b->room ? b->room : BUF_ROOM_FIRST;
    while (room < need)
        room = room > b->max / 2 ? need > room ? b->max : room : room * 2;
    if (room > b->max)
        room = b->max;
    b->data = mem_grow(b->data, room + 1, 1);
    b->room = room;
    b->data[b->length] = '\0';
    return b->data + b->length;
}

char *buf_reserve(struct buf *b, size_t length)
{
    if (b->data && length <= b->room - b->length)
        return b->data + b->length;
    return buf_enlarge(b, length);
}

void buf_add(struct buf *b, const void *data, size_t length)
{
    char *to = buf_reserve(b, length);

    if (!to || length == 0)
        return;
    memcpy(to, data, length);
    b->length += length;
    to[length] = '\0';
}

void buf_add_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vaddf(b, format, args);
    va_end(args);
}

void buf_vaddf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    char *to = buf_reserve(b, 0);

    if (!to)
        return;
    va_copy(again, args);
    size_t room = b->room - b->length + 1;
    int n = vsnprintf(to, room, format, args);
    require(n >= 0);
    if ((size_t)n >= room) {
        to = buf_reserve(b, (size_t)n);
        if (to)
            vsnprintf(to, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (to)
        b->length += (size_t)n;
}

void buf_drop(struct buf *b, size_t length)
{
    require(length <= b->length);
    if (length == 0)
        return;
    b->length -= length;
    memmove(b->data, b->data + length, b->length + 1);
}

char *buf_take(struct buf *b)
{
    if (b->bad)
        return NULL;
    char *text = b->data ? b->data : mem_slice("", 0);
    b->data = NULL;
    b->length = b->room = 0;
    return text;
}

struct bytes *bytes_new(const void *data, size_t length)
{
    require(length < UINT32_MAX);
    struct bytes *bytes = mem_grow(NULL, sizeof(struct bytes) + length + 1, 1);

    bytes->refs = 1;
    bytes->length = (uint32_t)length;
    if (length)
        memcpy(bytes->data, data, length);
    bytes->data[length] = '\0';
    return bytes;
}

struct bytes *bytes_from_buf(const struct buf *b)
{
    return b->bad ? NULL : bytes_new(b->data, b->length);
}

struct bytes *bytes_ref(struct bytes *bytes)
{
    require(bytes->refs > 0 && bytes->refs < UINT32_MAX);
    bytes->refs++;
    return bytes;
}

struct bytes *bytes_unref(struct bytes *bytes)
{
    if (!bytes)
        return NULL;
    require(bytes->refs > 0);
    if (--bytes->refs == 0)
        mem_free(bytes);
    return NULL;
}
