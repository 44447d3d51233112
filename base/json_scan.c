/* The scanner: strict JSON and every limit of design.md section 4, before anything is built. One pass,
 * recursive to JSON_DEPTH_MAX; memory only for the keys of big objects. The first trouble is kept in
 * error and unwinds as false. */
#include "base/json_internal.h"

#include "base/json_keys_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* cJSON copies a number into 64 bytes; longer ones are refused rather than torn. */
#define NUMBER_LENGTH_MAX 63
/* ±2^53: beyond it JavaScript and double silently change the value. */
#define INTEGER_MAX       9007199254740992ull

struct scan {
    const char *start, *at, *end;
    unsigned depth;
    size_t values;
    struct json_key_table keys;
    const char *const *wanted;
    struct json_slice *found;
    const char *error; /* what is wrong, at `at` */
    int code;          /* 0: it is no JSON; else why it was refused */
};

static bool scan_value(struct scan *s);

/* JSON by its grammar, but more than we take: told apart, because another parser would have answered. */
static const char *refused(struct scan *s, const char *error)
{
    s->code = -ERR_UNSUPPORTED;
    return error;
}

static bool scan_fail(struct scan *s, const char *error)
{
    if (!s->error)
        s->error = error;
    return false;
}

static void scan_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool scan_char(struct scan *s, char c, const char *error)
{
    if (s->at == s->end)
        return scan_fail(s, "the text ends too early");
    if (*s->at != c)
        return scan_fail(s, error);
    s->at++;
    return true;
}

/* The four digits of \uXXXX; -1 when they are not there. */
static int scan_unit(const char *at, const char *end)
{
    int unit = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool scan_unicode_escape(struct scan *s)
{
    int unit = scan_unit(s->at + 2, s->end);

    if (unit < 0)
        return scan_fail(s, "\\u needs four hexadecimal digits");
    if (unit == 0)
        return scan_fail(s, refused(s, "\\u0000 is not allowed in strings"));
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return scan_fail(s, refused(s, "lone surrogate in a string"));
    if (unit >= 0xd800 && unit <= 0xdbff) {
        const char *low = s->at + 6;
        if (s->end - low < 6 || low[0] != '\\' || low[1] != 'u')
            return scan_fail(s, refused(s, "lone surrogate in a string"));
        unit = scan_unit(low + 2, s->end);
        if (unit < 0xdc00 || unit > 0xdfff)
            return scan_fail(s, refused(s, "lone surrogate in a string"));
        s->at += 6;
    }
    s->at += 6;
    return true;
}

static bool scan_escape(struct scan *s)
{
    if (s->end - s->at < 2)
        return scan_fail(s, "the text ends inside a string");
    if (s->at[1] == 'u')
        return scan_unicode_escape(s);
    if (s->at[1] == '\0' || !strchr("\"\\/bfnrt", s->at[1]))
        return scan_fail(s, "unknown escape in a string");
    s->at += 2;
    return true;
}

/* At a byte of a string that is not plain ASCII. */
static bool scan_special(struct scan *s)
{
    unsigned char c = (unsigned char)*s->at;

    if (c == '\\')
        return scan_escape(s);
    if (c < 0x20)
        return scan_fail(s, "control character in a string");
    while (s->at < s->end && (unsigned char)*s->at >= 0x80) {
        unsigned size = json_utf8_sequence(s->at, (size_t)(s->end - s->at));
        if (size == 0)
            return scan_fail(s, "the text is not valid UTF-8");
        s->at += size;
    }
    return true;
}

/* At the opening quote. *ret is what stands between the quotes. */
static bool scan_string(struct scan *s, struct json_slice *ret, bool *ret_escaped)
{
    const char *first = ++s->at;
    bool escaped = false;

    for (;;) {
        s->at += json_plain_run(s->at, (size_t)(s->end - s->at));
        if (s->at == s->end)
            return scan_fail(s, "the text ends inside a string");
        if (*s->at == '"')
            break;
        escaped |= *s->at == '\\';
        if (!scan_special(s))
            return false;
    }
    *ret = (struct json_slice){first, (size_t)(s->at - first)};
    *ret_escaped = escaped;
    s->at++;
    return true;
}

static size_t scan_digits(struct scan *s)
{
    const char *first = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - first);
}

static bool integer_fits(const char *digits, size_t count)
{
    uint64_t value = 0;

    if (count < 16)
        return true;
    if (count > 16)
        return false;
    for (size_t i = 0; i < count; i++)
        value = value * 10 + (uint64_t)(digits[i] - '0');
    return value <= INTEGER_MAX;
}

static bool number_is_finite(const char *text, size_t length)
{
    char copy[NUMBER_LENGTH_MAX + 1];

    memcpy(copy, text, length);
    copy[length] = '\0';
    return isfinite(strtod(copy, NULL));
}

/* Moves over the point and the exponent that may follow the digits; returns what is wrong, or NULL. */
static const char *fraction_trouble(struct scan *s, bool *ret_point, bool *ret_exponent)
{
    *ret_point = s->at < s->end && *s->at == '.';
    if (*ret_point) {
        s->at++;
        if (scan_digits(s) == 0)
            return "a digit must follow the decimal point";
    }
    *ret_exponent = s->at < s->end && (*s->at | 0x20) == 'e';
    if (*ret_exponent) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (scan_digits(s) == 0)
            return "a digit must follow the exponent";
    }
    return NULL;
}

/* Moves over a number; returns what is wrong with it, or NULL. */
static const char *number_trouble(struct scan *s)
{
    const char *first = s->at;
    bool point, exponent;

    if (*s->at == '-')
        s->at++;
    const char *digits = s->at;
    size_t count = scan_digits(s);
    if (count == 0)
        return s->at == s->end ? "the text ends too early" : "expected a value";
    if (count > 1 && *digits == '0')
        return "a number must not start with 0";
    const char *trouble = fraction_trouble(s, &point, &exponent);
    if (trouble)
        return trouble;
    size_t length = (size_t)(s->at - first);
    if (!point && !exponent && !integer_fits(digits, count))
        return refused(s, "integer beyond 2^53 (send it as a string)");
    if (length > NUMBER_LENGTH_MAX)
        return refused(s, "number longer than 63 characters");
    return exponent && !number_is_finite(first, length) ? refused(s, "number out of range") : NULL;
}

static bool scan_number(struct scan *s)
{
    const char *first = s->at;
    const char *trouble = number_trouble(s);

    if (!trouble)
        return true;
    s->at = first;
    return scan_fail(s, trouble);
}

static bool scan_word(struct scan *s, const char *word, size_t length)
{
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return scan_fail(s, "expected a value");
    s->at += length;
    return true;
}

static bool scan_enter(struct scan *s)
{
    if (s->depth == JSON_DEPTH_MAX)
        return scan_fail(s, refused(s, "nested deeper than 64 levels"));
    s->depth++;
    s->at++;
    scan_space(s);
    return true;
}

static bool scan_leave(struct scan *s)
{
    s->at++;
    s->depth--;
    return true;
}

enum more { MORE, LAST, WRONG };

/* After a member: does another follow? */
static enum more scan_more(struct scan *s, char close)
{
    scan_space(s);
    if (s->at < s->end && *s->at == close) {
        scan_leave(s);
        return LAST;
    }
    if (!scan_char(s, ',', close == '}' ? "expected , or }" : "expected , or ]"))
        return WRONG;
    scan_space(s);
    return MORE;
}

static bool is_name(struct json_slice key, bool escaped, const char *name)
{
    if (escaped)
        return json_key_equal(key, (struct json_slice){name, strlen(name)});
    return key.length > 0 && key.at[0] == name[0] && strncmp(key.at, name, key.length) == 0 &&
           name[key.length] == '\0';
}

static void scan_keep_wanted(struct scan *s, struct json_slice key, bool escaped, const char *value)
{
    for (size_t i = 0; s->wanted[i]; i++)
        if (is_name(key, escaped, s->wanted[i])) {
            s->found[i] = (struct json_slice){value, (size_t)(s->at - value)};
            return;
        }
}

static bool scan_member(struct scan *s, struct json_keys *keys)
{
    struct json_slice key;
    bool escaped;

    if (s->at == s->end)
        return scan_fail(s, "the text ends too early");
    if (*s->at != '"')
        return scan_fail(s, "expected a key in double quotes");
    const char *key_at = s->at;
    if (!scan_string(s, &key, &escaped))
        return false;
    if (!json_keys_add(keys, &s->keys, key, escaped)) {
        s->at = key_at;
        return scan_fail(s, refused(s, "the same key twice in one object"));
    }
    scan_space(s);
    if (!scan_char(s, ':', "expected : after a key"))
        return false;
    scan_space(s);
    const char *value = s->at;
    if (!scan_value(s))
        return false;
    if (s->wanted && s->depth == 1)
        scan_keep_wanted(s, key, escaped, value);
    return true;
}

static bool scan_object(struct scan *s)
{
    LATER struct json_keys keys;
    enum more more = MORE;

    json_keys_init(&keys);
    if (!scan_enter(s))
        return false;
    if (s->at < s->end && *s->at == '}')
        return scan_leave(s);
    while (more == MORE)
        more = scan_member(s, &keys) ? scan_more(s, '}') : WRONG;
    return more == LAST;
}

static bool scan_array(struct scan *s)
{
    enum more more = MORE;

    if (!scan_enter(s))
        return false;
    if (s->at < s->end && *s->at == ']')
        return scan_leave(s);
    while (more == MORE)
        more = scan_value(s) ? scan_more(s, ']') : WRONG;
    return more == LAST;
}

static bool scan_value(struct scan *s)
{
    struct json_slice text;
    bool escaped;

    if (s->at == s->end)
        return scan_fail(s, "the text ends too early");
    if (++s->values > JSON_VALUES_MAX)
        return scan_fail(s, refused(s, "more than 100000 values"));
    switch (*s->at) {
    case '{': return scan_object(s);
    case '[': return scan_array(s);
    case '"': return scan_string(s, &text, &escaped);
    case 't': return scan_word(s, "true", 4);
    case 'f': return scan_word(s, "false", 5);
    case 'n': return scan_word(s, "null", 4);
    default: return scan_number(s);
    }
}

static int scan_run(struct scan *s, size_t *reterr_at, struct fault *fault)
{
    scan_space(s);
    if (s->wanted && (s->at == s->end || *s->at != '{'))
        scan_fail(s, "expected an object");
    else if (scan_value(s)) {
        scan_space(s);
        if (s->at != s->end)
            scan_fail(s, "text after the value");
    }
    json_key_table_done(&s->keys);
    if (!s->error)
        return 0;
    *reterr_at = (size_t)(s->at - s->start);
    return fault_set(fault, s->code ? s->code : -ERR_INVALID, "%s (byte %zu)", s->error,
                     *reterr_at);
}

static struct scan scan_start(const char *text, size_t length)
{
    const char *start = text ? text : ""; /* an empty buffer has no data */

    return (struct scan){.start = start, .at = start, .end = start + length};
}

int json_scan_located(const char *text, size_t length, size_t *reterr_at,
                      struct fault *reterr_fault)
{
    struct scan s = scan_start(text, length);

    return scan_run(&s, reterr_at, reterr_fault);
}

int json_scan(const char *text, size_t length, struct fault *reterr_fault)
{
    size_t at;

    return json_scan_located(text, length, &at, reterr_fault);
}

int json_scan_members(const char *text, size_t length, const char *const *wanted,
                      struct json_slice *ret_values, struct fault *reterr_fault)
{
    struct scan s = scan_start(text, length);
    size_t at;

    s.wanted = wanted;
    s.found = ret_values;
    for (size_t i = 0; wanted[i]; i++)
        ret_values[i] = (struct json_slice){NULL, 0};
    return scan_run(&s, &at, reterr_fault);
}
