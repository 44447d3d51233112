/* JSON5 for configuration files: a translator from JSON5 to strict JSON, then the same scanner and tree
 * as everything else, so limits and verdicts on duplicate keys are one code. Each token remembers where
 * it came from, so that a fault names line and column of the file. */
#include "base/json5_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Every token takes a mark; a file has at most a few per value. */
#define MARKS_MAX (JSON_VALUES_MAX * 6)

/* ---- space and comments ---- */

/* Bytes of the white space at the front, 0 when there is none: ECMAScript's, in UTF-8. */
size_t j5_space(const struct json5 *p)
{
    static const char *const wide[] = {
        "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
        "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87",
        "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9",
        "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf"};

    if (*p->at != '\0' && strchr(" \t\n\v\f\r", *p->at))
        return 1;
    if ((unsigned char)*p->at < 0x80)
        return 0;
    for (size_t i = 0; i < COUNT(wide); i++)
        if (j5_starts(p, wide[i]))
            return strlen(wide[i]);
    return 0;
}

bool j5_is_line_end(const struct json5 *p)
{
    return *p->at == '\n' || *p->at == '\r' || j5_starts(p, "\xe2\x80\xa8") ||
           j5_starts(p, "\xe2\x80\xa9");
}

static bool j5_comment(struct json5 *p)
{
    if (j5_starts(p, "//")) {
        while (p->at < p->end && !j5_is_line_end(p))
            p->at++;
        return true;
    }
    const char *close = memmem(p->at + 2, j5_left(p) - 2, "*/", 2);
    if (!close)
        return j5_fail(p, "this comment is not closed");
    p->at = close + 2;
    return true;
}

static bool j5_skip(struct json5 *p)
{
    while (p->at < p->end) {
        size_t space = j5_space(p);
        p->at += space;
        if (space)
            continue;
        if (!j5_starts(p, "//") && !j5_starts(p, "/*"))
            break;
        if (!j5_comment(p))
            return false;
    }
    return true;
}

/* ---- output ---- */

static bool j5_mark(struct json5 *p)
{
    if (p->mark_count == MARKS_MAX)
        return j5_fail(p, "more than 100000 values");
    if (p->mark_count == p->mark_room) {
        p->mark_room = p->mark_room ? p->mark_room * 2 : 64;
        p->marks = mem_grow(p->marks, p->mark_room, sizeof(*p->marks));
    }
    p->marks[p->mark_count++] =
        (struct mark){.from = (size_t)(p->at - p->start), .to = p->out.length};
    return true;
}

/* Before a value or key: the comma that waited, and the mark. */
static bool j5_begin(struct json5 *p)
{
    if (p->comma)
        buf_add(&p->out, ",", 1);
    p->comma = false;
    return j5_mark(p);
}

/* ---- structure ---- */

static bool j5_in_object(const struct json5 *p)
{
    return p->depth > 0 && (p->objects >> (p->depth - 1) & 1);
}

static bool j5_open(struct json5 *p)
{
    if (p->depth == JSON_DEPTH_MAX)
        return j5_fail(p, "nested deeper than 64 levels");
    if (p->last == 'v')
        return j5_fail(p, "expected ,");
    uint64_t bit = 1ull << p->depth++;
    p->objects = *p->at == '{' ? p->objects | bit : p->objects & ~bit;
    p->last = *p->at;
    buf_add(&p->out, p->at++, 1);
    return true;
}

static bool j5_shut(struct json5 *p)
{
    bool object = *p->at == '}';

    if (p->depth == 0 || j5_in_object(p) != object)
        return j5_fail(p, "nothing to close here");
    if (p->last == ':')
        return j5_fail(p, "expected a value");
    p->comma = false; /* a trailing one is allowed and not written */
    p->depth--;
    p->last = 'v';
    if (!j5_mark(p))
        return false;
    buf_add(&p->out, p->at++, 1);
    return true;
}

static bool j5_comma(struct json5 *p)
{
    if (p->last != 'v' || p->depth == 0)
        return j5_fail(p, "unexpected ,");
    p->at++;
    p->comma = true;
    p->last = ',';
    return true;
}

static bool j5_colon(struct json5 *p)
{
    if (p->last != 'k')
        return j5_fail(p, "unexpected :");
    if (!j5_mark(p))
        return false;
    p->at++;
    p->last = ':';
    buf_add(&p->out, ":", 1);
    return true;
}

static bool j5_is_value_place(struct json5 *p)
{
    if (p->last == 'v')
        return j5_fail(p, p->depth ? "expected ," : "text after the value");
    return p->last == 'k' ? j5_fail(p, "expected : after a key") : true;
}

static bool j5_key(struct json5 *p)
{
    p->last = 'k';
    return *p->at == '"' || *p->at == '\'' ? j5_string(p) : j5_name(p);
}

static bool j5_scalar(struct json5 *p)
{
    p->last = 'v';
    if (*p->at == '"' || *p->at == '\'')
        return j5_string(p);
    if (*p->at != '\0' && strchr("+-.0123456789", *p->at))
        return j5_number(p);
    return j5_word(p);
}

static bool j5_token(struct json5 *p)
{
    switch (*p->at) {
    case '}':
    case ']': return j5_shut(p);
    case ',': return j5_comma(p);
    case ':': return j5_colon(p);
    default: break;
    }
    if (!j5_is_value_place(p) || !j5_begin(p))
        return false;
    if (j5_in_object(p) && p->last != ':')
        return j5_key(p);
    return *p->at == '{' || *p->at == '[' ? j5_open(p) : j5_scalar(p);
}

static bool j5_translate(struct json5 *p)
{
    while (j5_skip(p) && p->at < p->end)
        if (!j5_token(p))
            return false;
    return !p->error && j5_mark(p);
}

/* ---- faults ---- */

static int j5_fault_at(const struct json5 *p, const char *at, struct fault *fault, const char *what)
{
    size_t line = 1, column = 1;

    for (const char *c = p->start; c < at; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            column++;
        }
    }
    return fault_set(fault, -ERR_INVALID, "line %zu, column %zu: %s", line, column, what);
}

/* The token of the JSON5 text that became the byte at offset of the JSON text. */
static const char *j5_origin(const struct json5 *p, size_t offset)
{
    size_t low = 0, high = p->mark_count;

    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (p->marks[middle].to <= offset)
            low = middle;
        else
            high = middle;
    }
    return p->mark_count ? p->start + p->marks[low].from : p->start;
}

static struct json *j5_finish(struct json5 *p, struct fault *fault)
{
    struct fault scan;
    size_t at;

    if (json_scan_located(p->out.data, p->out.length, &at, &scan) < 0) {
        char *byte = strstr(scan.text, " (byte ");
        if (byte)
            *byte = '\0'; /* its offset is of the translated text */
        j5_fault_at(p, j5_origin(p, at), fault, scan.text);
        return NULL;
    }
    return json_parse(p->out.data, p->out.length, fault);
}

struct json *json5_parse(const char *text, size_t length, struct fault *reterr_fault)
{
    const char *start = text ? text : "";
    struct json5 p = {.start = start, .at = start, .end = start + length};
    struct json *result = NULL;

    /* An escape grows from 4 bytes to 6, a quote from 1 to 2, a name by its quotes. */
    buf_init(&p.out, length < SIZE_MAX / 4 ? length * 3 + 64 : SIZE_MAX);
    if (j5_translate(&p))
        result = j5_finish(&p, reterr_fault);
    else
        j5_fault_at(&p, p.error_at, reterr_fault, p.error);
    buf_done(&p.out);
    mem_free(p.marks);
    return result;
}
