/* The reader of an HTTP/1.1 answer (RFC 9112). The path: status line, header lines, then the body; steps[] says what
 * comes in now, on_line rows are whole lines without their CRLF, the others take bytes as they are. */
#include "tunnel/tailnet/answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STATUS_LINE, HEADER, BY_LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, UNTIL_CLOSE, OVER };

static int on_status_line(struct answer *a, const char *text, size_t length, struct fault *fault);
static int on_header(struct answer *a, const char *text, size_t length, struct fault *fault);
static int on_chunk_size(struct answer *a, const char *text, size_t length, struct fault *fault);
static int on_chunk_end(struct answer *a, const char *text, size_t length, struct fault *fault);
static int on_trailer(struct answer *a, const char *text, size_t length, struct fault *fault);

static const struct step {
    int (*on_line)(struct answer *a, const char *text, size_t length, struct fault *fault);
    int after; /* bytes: the step when left is 0; UNTIL_CLOSE counts nothing */
} steps[] = {
    [STATUS_LINE] = {.on_line = on_status_line},
    [HEADER] = {.on_line = on_header},
    [BY_LENGTH] = {.after = OVER},
    [CHUNK_SIZE] = {.on_line = on_chunk_size},
    [CHUNK] = {.after = CHUNK_END},
    [CHUNK_END] = {.on_line = on_chunk_end},
    [TRAILER] = {.on_line = on_trailer},
    [UNTIL_CLOSE] = {.after = UNTIL_CLOSE},
};

/* The headers that are kept. */
static const struct kept {
    const char *name;
    size_t at, size;
} kept[] = {
#define KEPT(name, member)                                                                         \
    {                                                                                              \
        name, offsetof(struct answer_head, member), sizeof(((struct answer_head *)0)->member)      \
    }
    KEPT("content-type", type), KEPT("etag", etag),           KEPT("tailscale-version", version),
    KEPT("upgrade", upgrade),   KEPT("dial-self", dial_self), KEPT("dial-addr", dial_address),
#undef KEPT
};

static int refuse(struct fault *fault, const char *what)
{
    return fault_set(fault, -ERR_CORRUPT, "it does not answer in HTTP/1.1 (%s)", what);
}

void answer_init(struct answer *a, answer_body_fn *body, void *arg)
{
    *a = (struct answer){.body = body, .arg = arg, .head.length = -1};
    buf_init(&a->line, ANSWER_HEAD_MAX);
}

void answer_done(struct answer *a)
{
    buf_done(&a->line);
}

bool answer_over(const struct answer *a)
{
    return a->step == OVER;
}

bool answer_upgraded(const struct answer *a)
{
    return a->has_head && a->head.status == 101;
}

/* ---- head ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int on_status_line(struct answer *a, const char *text, size_t length, struct fault *fault)
{
    bool fits = length >= 12 && memcmp(text, "HTTP/1.", 7) == 0 &&
                (text[7] == '1' || text[7] == '0') && text[8] == ' ' && text[9] >= '1' &&
                text[9] <= '5' && is_digit(text[10]) && is_digit(text[11]) &&
                (length == 12 || text[12] == ' ');
    if (!fits)
        return refuse(fault, "no status line");
    int interim = a->interim;
    size_t bytes = a->head_bytes;
    a->head = (struct answer_head){.length = -1};
    a->interim = interim;
    a->head_bytes = bytes;
    a->head.status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + text[11] - '0';
    a->step = HEADER;
    return 0;
}

/* The head is whole: how long is the body? */
static int on_head(struct answer *a, struct fault *fault)
{
    struct answer_head *head = &a->head;
    bool bodiless = head->status < 200 || head->status == 204 || head->status == 304;

    if (head->status < 200 && head->status != 101) {
        if (++a->interim > ANSWER_INTERIM_MAX)
            return refuse(fault, "too many interim answers");
        a->step = STATUS_LINE;
        a->head_bytes = 0;
        return 0;
    }
    if (head->chunked && head->length >= 0)
        return refuse(fault, "two lengths");
    a->has_head = true;
    a->left = head->length > 0 ? (uint64_t)head->length : 0;
    if (bodiless || head->length == 0)
        a->step = OVER;
    else
        a->step = head->chunked ? CHUNK_SIZE : head->length > 0 ? BY_LENGTH : UNTIL_CLOSE;
    a->head_bytes = 0;
    return 0;
}

static int set_length(struct answer *a, const char *value, size_t length, struct fault *fault)
{
    int64_t number = 0;

    if (length == 0 || length > 15 || a->head.length >= 0)
        return refuse(fault, "a wrong Content-Length");
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(value[i]))
            return refuse(fault, "a wrong Content-Length");
        number = number * 10 + (value[i] - '0');
    }
    a->head.length = number;
    return 0;
}

static bool same(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && strncasecmp(text, name, length) == 0;
}

static int keep(struct answer *a, const char *name, size_t name_length, const char *value,
                size_t length, struct fault *fault)
{
    for (size_t i = 0; i < COUNT(kept); i++) {
        if (!same(name, name_length, kept[i].name))
            continue;
        char *to = (char *)&a->head + kept[i].at;
        if (length >= kept[i].size || *to)
            return refuse(fault, "a header that is too long, or there twice");
        memcpy(to, value, length);
        to[length] = '\0';
    }
    return 0;
}

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] >= 127 || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
            return false;
    return length > 0;
}

static bool is_value(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127)
            return false;
    return true;
}

static int on_header(struct answer *a, const char *text, size_t length, struct fault *fault)
{
    if (length == 0)
        return on_head(a, fault);

    const char *colon = memchr(text, ':', length);
    if (!colon || !is_token(text, (size_t)(colon - text)))
        return refuse(fault, "a broken header");
    size_t name_length = (size_t)(colon - text);
    const char *value = colon + 1;
    size_t left = length - name_length - 1;
    while (left > 0 && (*value == ' ' || *value == '\t'))
        value++, left--;
    while (left > 0 && (value[left - 1] == ' ' || value[left - 1] == '\t'))
        left--;
    if (!is_value(value, left))
        return refuse(fault, "a broken header");
    if (same(text, name_length, "content-length"))
        return set_length(a, value, left, fault);
    if (same(text, name_length, "transfer-encoding")) {
        if (a->head.chunked || !same(value, left, "chunked"))
            return refuse(fault, "a transfer encoding other than chunked");
        a->head.chunked = true;
        return 0;
    }
    return keep(a, text, name_length, value, left, fault);
}

/* ---- chunks ---- */

static int on_chunk_size(struct answer *a, const char *text, size_t length, struct fault *fault)
{
    const char *end = memchr(text, ';', length); /* extensions mean nothing to us */
    size_t digits = end ? (size_t)(end - text) : length;
    uint64_t size = 0;

    while (digits > 0 && (text[digits - 1] == ' ' || text[digits - 1] == '\t'))
        digits--;
    if (digits == 0 || digits > 12)
        return refuse(fault, "a wrong chunk length");
    for (size_t i = 0; i < digits; i++) {
        const char *hex = "0123456789abcdef";
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 'a' - 'A') : text[i];
        const char *found = c ? strchr(hex, c) : NULL;
        if (!found)
            return refuse(fault, "a wrong chunk length");
        size = size * 16 + (uint64_t)(found - hex);
    }
    a->left = size;
    a->head_bytes = 0;
    a->step = size ? CHUNK : TRAILER;
    return 0;
}

static int on_chunk_end(struct answer *a, const char *text, size_t length, struct fault *fault)
{
    (void)text;
    if (length > 0)
        return refuse(fault, "a chunk of another length than told");
    a->step = CHUNK_SIZE;
    return 0;
}

static int on_trailer(struct answer *a, const char *text, size_t length, struct fault *fault)
{
    (void)text, (void)fault;
    if (length == 0)
        a->step = OVER;
    return 0;
}

/* ---- bytes in ---- */

/* Collects a line; when it is whole its step runs. */
static ssize_t take_line(struct answer *a, const char *data, size_t length, struct fault *fault)
{
    const char *end = memchr(data, '\n', length);
    size_t taken = end ? (size_t)(end - data) + 1 : length;

    a->head_bytes += taken;
    if (a->head_bytes > ANSWER_HEAD_MAX)
        return refuse(fault, "a head without an end");
    buf_add(&a->line, data, taken);
    if (!end)
        return (ssize_t)taken;
    if (a->line.length < 2 || a->line.data[a->line.length - 2] != '\r')
        return refuse(fault, "a line without CR");
    a->line.data[a->line.length -= 2] = '\0';
    int r = strlen(a->line.data) != a->line.length
                ? refuse(fault, "a zero byte")
                : steps[a->step].on_line(a, a->line.data, a->line.length, fault);
    buf_clear(&a->line);
    return r < 0 ? r : (ssize_t)taken;
}

static ssize_t take_bytes(struct answer *a, const char *data, size_t length)
{
    const struct step *step = &steps[a->step];

    if (step->after != UNTIL_CLOSE) {
        if (length > a->left)
            length = (size_t)a->left;
        a->left -= length;
        if (a->left == 0)
            a->step = step->after;
    }
    int r = a->body(a->arg, data, length);
    return r < 0 ? r : (ssize_t)length;
}

ssize_t answer_feed(struct answer *a, const char *data, size_t length, struct fault *fault)
{
    size_t taken = 0;

    while (taken < length && a->step != OVER) {
        ssize_t n = steps[a->step].on_line ? take_line(a, data + taken, length - taken, fault)
                                           : take_bytes(a, data + taken, length - taken);
        if (n < 0)
            return n;
        taken += (size_t)n;
    }
    return (ssize_t)taken;
}

int answer_finish(struct answer *a, struct fault *fault)
{
    if (a->step == UNTIL_CLOSE)
        a->step = OVER;
    if (a->step == OVER)
        return 0;
    return fault_set(fault, -ERR_CLOSED, "it closed the connection %s",
                     a->has_head ? "in the middle of its answer" : "without an answer");
}
