/* JSON5 for configuration files: a translator from JSON5 to strict JSON, then the same scanner and tree
 * as everything else, so limits and verdicts on duplicate keys are one code. Each token remembers where
 * it came from, so that a fault names line and column of the file. */
#include "base/json_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Every token takes a mark; a file has at most a few per value. */
#define MARKS_MAX (JSON_VALUES_MAX * 6)

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

static bool j5_fail(struct json5 *p, const char *error)
{
    p->error = error;
    p->error_at = p->at;
    return false;
}

static size_t j5_left(const struct json5 *p)
{
    return (size_t)(p->end - p->at);
}

static bool j5_starts(const struct json5 *p, const char *text)
{
    size_t length = strlen(text);

    return j5_left(p) >= length && memcmp(p->at, text, length) == 0;
}

/* ---- space and comments ---- */

/* Bytes of the white space at the front, 0 when there is none: ECMAScript's, in UTF-8. */
static size_t j5_space(const struct json5 *p)
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

static bool j5_is_line_end(const struct json5 *p)
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

/* ---- strings and names ---- */

static bool j5_hex(const struct json5 *p, size_t digits)
{
    if (j5_left(p) < digits)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (p->at[i] == '\0' || !strchr("0123456789abcdefABCDEF", p->at[i]))
            return false;
    return true;
}

/* \uXXXX passes through: the scanner judges surrogates and NUL. */
static bool j5_unicode_escape(struct json5 *p)
{
    p->at += 2;
    if (!j5_hex(p, 4))
        return j5_fail(p, "\\u needs four hexadecimal digits");
    buf_add(&p->out, p->at - 2, 6);
    p->at += 4;
    return true;
}

static bool j5_hex_escape(struct json5 *p)
{
    p->at += 2;
    if (!j5_hex(p, 2))
        return j5_fail(p, "\\x needs two hexadecimal digits");
    buf_add(&p->out, "\\u00", 4);
    buf_add(&p->out, p->at, 2);
    p->at += 2;
    return true;
}

/* A line end after a backslash continues the string; \r\n is one. */
static bool j5_continuation(struct json5 *p)
{
    p->at++;
    p->at += j5_starts(p, "\r\n") ? 2 : (unsigned char)*p->at >= 0x80 ? 3 : 1;
    return true;
}

static bool j5_escape(struct json5 *p)
{
    char c = j5_left(p) > 1 ? p->at[1] : '\0';

    if (j5_left(p) < 2)
        return j5_fail(p, "this string is not closed");
    if (c == 'u')
        return j5_unicode_escape(p);
    if (c == 'x')
        return j5_hex_escape(p);
    p->at++;
    bool continues = j5_is_line_end(p);
    p->at--;
    if (continues)
        return j5_continuation(p);
    if (c >= '0' && c <= '9')
        return j5_fail(p, "a digit after \\ is not allowed in strings");
    p->at += 2;
    if (c == 'v')
        buf_add(&p->out, "\\u000b", 6);
    else if (c != '\0' && strchr("\"\\/bfnrt", c))
        buf_add(&p->out, p->at - 2, 2);
    else
        buf_add(&p->out, p->at - 1, 1); /* any other character stands for itself */
    return true;
}

static bool j5_string(struct json5 *p)
{
    const char *open = p->at++;

    buf_add(&p->out, "\"", 1);
    while (p->at < p->end && *p->at != *open) {
        if (*p->at == '\\') {
            if (!j5_escape(p))
                return false;
        } else if (*p->at == '\n' || *p->at == '\r') {
            break;
        } else {
            if (*p->at == '"')
                buf_add(&p->out, "\\", 1);
            buf_add(&p->out, p->at++, 1);
        }
    }
    if (p->at == p->end || *p->at != *open) {
        p->at = open;
        return j5_fail(p, "this string is not closed");
    }
    p->at++;
    buf_add(&p->out, "\"", 1);
    return true;
}

static bool j5_is_name_char(const struct json5 *p, bool first)
{
    char c = *p->at;

    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$')
        return true;
    if (c >= '0' && c <= '9')
        return !first;
    return (unsigned char)c >= 0x80 && j5_space(p) == 0;
}

static bool j5_name(struct json5 *p)
{
    const char *first = p->at;

    buf_add(&p->out, "\"", 1);
    while (p->at < p->end) {
        if (j5_starts(p, "\\u")) {
            if (!j5_unicode_escape(p))
                return false;
        } else if (j5_is_name_char(p, p->at == first)) {
            buf_add(&p->out, p->at++, 1);
        } else {
            break;
        }
    }
    if (p->at == first)
        return j5_fail(p, "expected a key");
    buf_add(&p->out, "\"", 1);
    return true;
}

/* ---- numbers and words ---- */

static bool j5_hex_number(struct json5 *p)
{
    uint64_t value = 0;
    const char *first = p->at;
    struct json_writer w;

    while (j5_hex(p, 1)) {
        char c = *p->at++;
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        value = value << 4 | digit;
        if (value > 9007199254740992u)
            return j5_fail(p, "integer beyond 2^53");
    }
    if (p->at == first)
        return j5_fail(p, "0x needs hexadecimal digits");
    jw_init(&w, &p->out);
    jw_int(&w, (int64_t)value);
    return true;
}

static size_t j5_digits(struct json5 *p)
{
    const char *first = p->at;

    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        buf_add(&p->out, p->at++, 1);
    return (size_t)(p->at - first);
}

/* Digits with a point that may stand first or last; the exponent is passed on as it is. */
static bool j5_decimal(struct json5 *p)
{
    size_t digits = j5_digits(p);

    if (p->at < p->end && *p->at == '.') {
        p->at++;
        buf_add(&p->out, digits ? "." : "0.", digits ? 1 : 2);
        size_t fraction = j5_digits(p);
        if (!fraction)
            buf_add(&p->out, "0", 1);
        digits += fraction;
    }
    if (!digits)
        return j5_fail(p, "expected a value");
    if (p->at < p->end && (*p->at | 0x20) == 'e') {
        buf_add(&p->out, p->at++, 1);
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            buf_add(&p->out, p->at++, 1);
        j5_digits(p);
    }
    return true;
}

static bool j5_number(struct json5 *p)
{
    if (*p->at == '-')
        buf_add(&p->out, "-", 1);
    if (*p->at == '-' || *p->at == '+')
        p->at++;
    if (j5_starts(p, "Infinity") || j5_starts(p, "NaN"))
        return j5_fail(p, "Infinity and NaN are not allowed");
    if (j5_starts(p, "0x") || j5_starts(p, "0X")) {
        p->at += 2;
        return j5_hex_number(p);
    }
    return j5_decimal(p);
}

static bool j5_word(struct json5 *p)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < COUNT(words); i++)
        if (j5_starts(p, words[i])) {
            buf_add_str(&p->out, words[i]);
            p->at += strlen(words[i]);
            return true;
        }
    if (j5_starts(p, "Infinity") || j5_starts(p, "NaN"))
        return j5_fail(p, "Infinity and NaN are not allowed");
    return j5_fail(p, "expected a value");
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
