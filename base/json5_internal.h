/* Between json5.c and json5_scalar.c: the translator under way. */
#pragma once

#include "base/json_internal.h"

#include <string.h>

struct mark {
    size_t from, to; /* offset in the JSON5 text, offset in the JSON text */
};

struct json5 {
    const char *start, *at, *end;
    struct buf out;
    struct mark *marks;
    size_t mark_count, mark_room;
    uint64_t objects; /* bit per open level: 1 object, 0 array */
    unsigned depth;
    char last;  /* kind of the last token: { [ , : or v(alue); 0 at the start */
    bool comma; /* one was read and is written when something follows */
    const char *error;
    const char *error_at;
};

static inline bool j5_fail(struct json5 *p, const char *error)
{
    p->error = error;
    p->error_at = p->at;
    return false;
}

static inline size_t j5_left(const struct json5 *p)
{
    return (size_t)(p->end - p->at);
}

static inline bool j5_starts(const struct json5 *p, const char *text)
{
    size_t length = strlen(text);

    return j5_left(p) >= length && memcmp(p->at, text, length) == 0;
}

/* json5.c: bytes of white space at p->at, 0: none; whether a line ends there. */
size_t j5_space(const struct json5 *p);
bool j5_is_line_end(const struct json5 *p);

/* json5_scalar.c: one scalar or key at p->at, written to p->out as strict JSON. False: p->error is set. */
bool j5_string(struct json5 *p);
bool j5_name(struct json5 *p);
bool j5_number(struct json5 *p);
bool j5_word(struct json5 *p);
