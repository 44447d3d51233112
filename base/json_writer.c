/* The writer: values straight into a buffer. Strings leave in runs of plain bytes, integers without
 * printf; the only state is whether a comma is due. */
#include "base/json_internal.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

void jw_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* Room for the comma that is due and length bytes; returns where they go. */
static char *jw_begin(struct json_writer *w, size_t length)
{
    char *to = buf_reserve(w->out, length + w->comma);

    if (to && w->comma) {
        *to++ = ',';
        w->out->length++;
    }
    w->comma = true;
    return to;
}

static void jw_end(struct json_writer *w, size_t length)
{
    w->out->length += length;
    w->out->data[w->out->length] = '\0';
}

static void jw_bytes(struct json_writer *w, const char *text, size_t length)
{
    char *to = jw_begin(w, length);

    if (!to)
        return;
    memcpy(to, text, length);
    jw_end(w, length);
}

static void jw_open(struct json_writer *w, char c)
{
    jw_bytes(w, &c, 1);
    w->comma = false;
    w->depth++;
}

static void jw_close(struct json_writer *w, char c)
{
    require(w->depth > 0);
    w->depth--;
    w->comma = false;
    jw_bytes(w, &c, 1);
}

void jw_object(struct json_writer *w)
{
    jw_open(w, '{');
}

void jw_object_end(struct json_writer *w)
{
    jw_close(w, '}');
}

void jw_array(struct json_writer *w)
{
    jw_open(w, '[');
}

void jw_array_end(struct json_writer *w)
{
    jw_close(w, ']');
}

/* The byte that is not plain at the front of text; returns how many bytes it took. */
static size_t jw_escape(struct buf *out, const char *text, size_t length)
{
    /* What stands after the backslash for each control character; 0: \u00XX. */
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char digits[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*text;

    if (c >= 0x80) {
        unsigned size = json_utf8_sequence(text, length);
        buf_add(out, size ? text : REPLACEMENT, size ? size : 3);
        return size ? size : 1;
    }
    if (c == '\0') {
        buf_add(out, REPLACEMENT, 3); /* NUL is in no string of ours, also not as \u0000 */
    } else if (c >= 0x20 || letters[c]) {
        char pair[2] = {'\\', c >= 0x20 ? (char)c : letters[c]};
        buf_add(out, pair, 2);
    } else {
        char unit[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        buf_add(out, unit, 6);
    }
    return 1;
}

static void jw_string_escaped(struct json_writer *w, const char *text, size_t length)
{
    struct buf *out = w->out;
    size_t at = 0;

    jw_bytes(w, "\"", 1);
    while (at < length) {
        size_t run = json_plain_run(text + at, length - at);
        buf_add(out, text + at, run);
        at += run;
        if (at < length)
            at += jw_escape(out, text + at, length - at);
    }
    buf_add(out, "\"", 1);
}

void jw_strn(struct json_writer *w, const char *text, size_t length)
{
    if (json_plain_run(text, length) < length) {
        jw_string_escaped(w, text, length);
        return;
    }
    char *to = jw_begin(w, length + 2);
    if (!to)
        return;
    to[0] = '"';
    if (length)
        memcpy(to + 1, text, length);
    to[length + 1] = '"';
    jw_end(w, length + 2);
}

void jw_str(struct json_writer *w, const char *text)
{
    if (text)
        jw_strn(w, text, strlen(text));
    else
        jw_null(w);
}

void jw_key(struct json_writer *w, const char *key)
{
    size_t length = strlen(key);
    char *to = json_plain_run(key, length) == length ? jw_begin(w, length + 3) : NULL;

    if (to) {
        to[0] = '"';
        memcpy(to + 1, key, length);
        to[length + 1] = '"';
        to[length + 2] = ':';
        jw_end(w, length + 3);
    } else {
        jw_strn(w, key, length);
        buf_add(w->out, ":", 1);
    }
    w->comma = false;
}

void jw_int(struct json_writer *w, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *--at = '-';
    jw_bytes(w, at, (size_t)(digits + sizeof(digits) - at));
}

void jw_num(struct json_writer *w, double value)
{
    char text[32];

    if (!isfinite(value)) {
        jw_null(w);
        return;
    }
    if (value == floor(value) && fabs(value) <= 9007199254740992.0) {
        jw_int(w, (int64_t)value);
        return;
    }
    /* 15 digits are enough for most and print no noise; below the normal doubles even fewer. */
    int n = 0;
    for (int precision = fabs(value) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        n = snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char *comma = strchr(text, ','); /* a locale's decimal comma */
    if (comma)
        *comma = '.';
    jw_bytes(w, text, (size_t)n);
    if (!strpbrk(text, ".e"))
        buf_add(w->out, ".0", 2); /* beyond 2^53: no integer literal, the scanner would refuse it */
}

void jw_bool(struct json_writer *w, bool value)
{
    jw_bytes(w, value ? "true" : "false", value ? 4 : 5);
}

void jw_null(struct json_writer *w)
{
    jw_bytes(w, "null", 4);
}

void jw_raw(struct json_writer *w, const char *json, size_t length)
{
    if (json && length)
        jw_bytes(w, json, length);
    else
        jw_null(w);
}

void jw_tree(struct json_writer *w, const struct json *j)
{
    switch (json_kind(j)) {
    case JSON_NULL: jw_null(w); break;
    case JSON_BOOL: jw_bool(w, json_boolean(j, false)); break;
    case JSON_NUMBER: jw_num(w, json_number(j, 0)); break;
    case JSON_STRING: jw_str(w, json_string(j, "")); break;
    case JSON_ARRAY:
        jw_array(w);
        json_each (item, j)
            jw_tree(w, item);
        jw_array_end(w);
        break;
    case JSON_OBJECT:
        jw_object(w);
        json_each (member, j) {
            jw_key(w, json_key(member));
            jw_tree(w, member);
        }
        jw_object_end(w);
        break;
    }
}

void jw_kobject(struct json_writer *w, const char *key)
{
    jw_key(w, key);
    jw_object(w);
}

void jw_karray(struct json_writer *w, const char *key)
{
    jw_key(w, key);
    jw_array(w);
}

void jw_kstr(struct json_writer *w, const char *key, const char *text)
{
    if (!text)
        return;
    jw_key(w, key);
    jw_str(w, text);
}

void jw_kint(struct json_writer *w, const char *key, int64_t value)
{
    jw_key(w, key);
    jw_int(w, value);
}

void jw_knum(struct json_writer *w, const char *key, double value)
{
    jw_key(w, key);
    jw_num(w, value);
}

void jw_kbool(struct json_writer *w, const char *key, bool value)
{
    jw_key(w, key);
    jw_bool(w, value);
}

void jw_knull(struct json_writer *w, const char *key)
{
    jw_key(w, key);
    jw_null(w);
}

void jw_kraw(struct json_writer *w, const char *key, const char *json)
{
    if (!json)
        return;
    jw_key(w, key);
    jw_raw(w, json, strlen(json));
}

void jw_ktree(struct json_writer *w, const char *key, const struct json *j)
{
    if (!j)
        return;
    jw_key(w, key);
    jw_tree(w, j);
}

/* ---- whole texts ---- */

static void indent_line(struct buf *out, unsigned depth)
{
    buf_add(out, "\n", 1);
    for (unsigned i = 0; i < depth; i++)
        buf_add(out, "  ", 2);
}

/* Length of the string literal at its opening quote. */
static size_t literal_length(const char *at)
{
    const char *end = at + 1;

    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    return (size_t)(end + 1 - at);
}

/* Compact JSON (our own) with lines and two spaces per level. */
static void indent_text(struct buf *out, const char *text)
{
    unsigned depth = 0;

    for (const char *at = text; *at;) {
        bool opens = *at == '{' || *at == '[';
        bool empty = opens && (at[1] == '}' || at[1] == ']');
        size_t length = *at == '"' ? literal_length(at) : empty ? 2 : 1;
        if (*at == '}' || *at == ']')
            indent_line(out, --depth);
        buf_add(out, at, length);
        if (opens && !empty)
            indent_line(out, ++depth);
        else if (*at == ',')
            indent_line(out, depth);
        else if (*at == ':')
            buf_add(out, " ", 1);
        at += length;
    }
}

char *json_print(const struct json *j, bool pretty)
{
    struct buf out, indented;
    struct json_writer w;

    buf_init(&out, SIZE_MAX / 4);
    jw_init(&w, &out);
    jw_tree(&w, j);
    if (!pretty)
        return buf_take(&out);
    buf_init(&indented, SIZE_MAX / 4);
    indent_text(&indented, out.data);
    buf_done(&out);
    return buf_take(&indented);
}
