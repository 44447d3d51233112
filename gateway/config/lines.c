/* A second pass over a JSON5 text that only follows one path: skip what is not on it, count newlines.
 * The text is known to be well formed, so the scanner is small; where it is wrong all the same it
 * stops at the end of the text and finds nothing. */
#include "gateway/config/lines.h"

#include <stdio.h>
#include <string.h>

struct scan {
    const char *at, *end;
    int line;
};

static char scan_peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : '\0';
}

static void scan_step(struct scan *s)
{
    if (s->at >= s->end)
        return;
    if (*s->at == '\n')
        s->line++;
    s->at++;
}

static bool scan_starts(const struct scan *s, const char *text)
{
    size_t length = strlen(text);

    return (size_t)(s->end - s->at) >= length && memcmp(s->at, text, length) == 0;
}

static void scan_until(struct scan *s, const char *text)
{
    while (s->at < s->end && !scan_starts(s, text))
        scan_step(s);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xef' || c == '\xbb' || c == '\xbf' ||
           c == '\xc2' || c == '\xa0' || c == '\xe2' || c == '\x80' || c == '\xa8' || c == '\xa9';
}

/* Space, comments. Byte order mark and the Unicode spaces count byte by byte: none of these bytes can
 * begin a value, and a key that begins with one of them is quoted in practice. */
static void scan_space(struct scan *s)
{
    while (s->at < s->end) {
        if (is_blank(*s->at)) {
            scan_step(s);
        } else if (scan_starts(s, "//")) {
            scan_until(s, "\n");
        } else if (scan_starts(s, "/*")) {
            scan_until(s, "*/");
            scan_step(s);
            scan_step(s);
        } else {
            return;
        }
    }
}

/* A string with its quotes; the inside goes to ret. */
static void scan_string(struct scan *s, struct json_slice *ret)
{
    char quote = scan_peek(s);

    scan_step(s);
    const char *from = s->at;
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\')
            scan_step(s);
        scan_step(s);
    }
    *ret = (struct json_slice){from, (size_t)(s->at - from)};
    scan_step(s);
}

/* A bare key, number or word. */
static void scan_word(struct scan *s, struct json_slice *ret)
{
    const char *from = s->at;

    while (s->at < s->end && !strchr(",:[]{}/\"'", *s->at) && !(*s->at > 0 && is_blank(*s->at)))
        scan_step(s);
    if (s->at == from)
        scan_step(s); /* never stand still */
    *ret = (struct json_slice){from, (size_t)(s->at - from)};
}

static void scan_token(struct scan *s, struct json_slice *ret)
{
    char c = scan_peek(s);

    if (c == '"' || c == '\'')
        scan_string(s, ret);
    else
        scan_word(s, ret);
}

static void scan_skip(struct scan *s)
{
    struct json_slice ignored;
    size_t depth = 0;

    do {
        scan_space(s);
        char c = scan_peek(s);
        if (c == '{' || c == '[') {
            depth++;
            scan_step(s);
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
            scan_step(s);
        } else if (c == ',' || c == ':') {
            scan_step(s);
        } else {
            scan_token(s, &ignored);
        }
    } while (depth > 0 && s->at < s->end);
}

/* Moves into the container to the wanted member; its line, or 0. */
static int scan_member(struct scan *s, const struct step *step)
{
    bool object = scan_peek(s) == '{';

    if (object != (step->key != NULL) || (!object && scan_peek(s) != '['))
        return 0;
    scan_step(s);
    for (size_t index = 0; s->at < s->end; index++) {
        scan_space(s);
        if (scan_peek(s) == '}' || scan_peek(s) == ']')
            return 0;
        int line = s->line;
        bool found = !object && index == step->index;
        if (object) {
            struct json_slice key;
            scan_token(s, &key);
            found = key.length == strlen(step->key) && !memcmp(key.at, step->key, key.length);
            scan_space(s);
            scan_step(s); /* the colon */
            scan_space(s);
        }
        if (found)
            return line;
        scan_skip(s);
        scan_space(s);
        if (scan_peek(s) == ',')
            scan_step(s);
    }
    return 0;
}

int lines_find(const char *text, size_t length, const struct step *const *steps, size_t count)
{
    struct scan s = {text, text + length, 1};
    scan_space(&s);
    int line = s.line;

    for (size_t i = 0; i < count && line; i++)
        line = scan_member(&s, steps[i]);
    return line;
}
