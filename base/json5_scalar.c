/* The scalars of JSON5 that strict JSON writes otherwise: quotes and escapes, bare names, hexadecimal and
 * signed numbers, words. */
#include "base/json5_internal.h"

#include <stdlib.h>

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

bool j5_string(struct json5 *p)
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

bool j5_name(struct json5 *p)
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

bool j5_number(struct json5 *p)
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

bool j5_word(struct json5 *p)
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
