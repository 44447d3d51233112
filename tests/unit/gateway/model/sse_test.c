/* The parser of server-sent events: every rule, every split point. */
#include "gateway/model/sse.h"

#include "base/mem.h"
#include "tests/t.h"

#include <string.h>

struct log {
    struct buf text;
    int stop_at, count;
};

static int on_event(void *arg, const char *name, const char *data, size_t length)
{
    struct log *log = arg;

    t_eq(strlen(data) <= length, 1);
    buf_addf(&log->text, "[%s|", name);
    buf_add(&log->text, data, length);
    buf_add_str(&log->text, "]");
    return ++log->count == log->stop_at ? -ERR_DENIED : 0;
}

/* Feeds the text cut at every place in two, and byte by byte; each time the same events must come. */
static void same_for_every_split(const char *text, size_t length, const char *expected)
{
    for (size_t cut = 0; cut <= length + 1; cut++) {
        struct log log = {0};
        struct sse sse;

        buf_init(&log.text, 1u << 20);
        sse_init(&sse, on_event, &log);
        if (cut <= length) {
            t_eq(sse_feed(&sse, text, cut), 0);
            t_eq(sse_feed(&sse, text + cut, length - cut), 0);
        } else {
            for (size_t i = 0; i < length; i++)
                t_eq(sse_feed(&sse, text + i, 1), 0);
        }
        t_eq(sse_finish(&sse), 0);
        t_str(log.text.data != NULL ? log.text.data : "", expected);
        sse_done(&sse);
        buf_done(&log.text);
    }
}

T(rules_at_every_split)
{
    static const struct {
        const char *text, *events;
    } rows[] = {
        {"data: a\n\n", "[|a]"},
        {"data: a\r\n\r\n", "[|a]"},
        {"data: a\r\r", "[|a]"},
        {"data: a\n\r\ndata: b\r\n\n", "[|a][|b]"},
        {"data:a\n\n", "[|a]"},
        {"data:  a\n\n", "[| a]"},
        {"data: a\ndata: b\ndata:\ndata: c\n\n", "[|a\nb\n\nc]"},
        {"event: x\ndata: a\n\ndata: b\n\n", "[x|a][|b]"},
        {": comment\n\n:\n\ndata: a\n\n", "[|a]"},
        {"event: x\n\ndata: a\n\n", "[|a]"}, /* no data: no event, and the name is forgotten */
        {"data\n\n", "[|]"},
        {"id: 1\nretry: 5\nother: x\nnocolon\ndata: a\n\n", "[|a]"},
        {"data: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n\n",
         "[|caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80]"},
        {"\xef\xbb\xbf"
         "data: a\n\n",
         "[|a]"},
        {"data: a\n\n\xef\xbb\xbf"
         "data: b\n\n",
         "[|a]"}, /* a mark anywhere else belongs to a name nobody knows */
        {"data: a\n\ndata: last", "[|a][|last]"},
        {"data: a", "[|a]"},
        {"\n\n\r\r\r\n\r\n", ""},
        {"", ""},
        {"data: {\"a\":1}\n\ndata: [DONE]\n\n", "[|{\"a\":1}][|[DONE]]"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        same_for_every_split(rows[i].text, strlen(rows[i].text), rows[i].events);
}

T(the_callback_can_stop)
{
    struct log log = {.stop_at = 2};
    struct sse sse;

    buf_init(&log.text, 1000);
    sse_init(&sse, on_event, &log);
    t_eq(sse_feed(&sse, "data: a\n\ndata: b\n\ndata: c\n\n", 27), -ERR_DENIED);
    t_str(log.text.data, "[|a][|b]");
    sse_done(&sse);
    buf_done(&log.text);
}

T(line_ceiling)
{
    size_t length = SSE_LINE_MAX;
    char *big = mem_new(length + 100);
    struct log log = {0};
    struct sse sse;
    int r = 0;

    memset(big, 'x', length + 100);
    memcpy(big, "data: ", 6);
    buf_init(&log.text, 1000);
    sse_init(&sse, on_event, &log);
    for (size_t at = 0; r == 0 && at < length + 100; at += 65536) /* in pieces, without an end */
        r = sse_feed(&sse, big + at, at + 65536 <= length + 100 ? 65536 : length + 100 - at);
    t_eq(r, -ERR_TOO_LARGE);
    sse_done(&sse);

    sse_init(&sse, on_event, &log); /* whole in one chunk */
    big[length + 98] = big[length + 99] = '\n';
    t_eq(sse_feed(&sse, big, length + 100), -ERR_TOO_LARGE);
    sse_done(&sse);

    sse_init(&sse, on_event, &log); /* many data lines of one event */
    for (r = 0; r == 0;)
        r = sse_feed(&sse, "data: 0123456789012345678901234567890123456789\n", 47);
    t_eq(r, -ERR_TOO_LARGE);
    t_eq(log.count, 0);
    sse_done(&sse);
    buf_done(&log.text);
    mem_free(big);
}

T(comments_and_blank_lines_are_counted)
{
    struct log log = {0};
    struct sse sse;

    buf_init(&log.text, 1000);
    sse_init(&sse, on_event, &log);
    t_eq(sse_feed(&sse, ": ping\n\n", 8), 0);
    t_eq(sse.idle, 8);
    t_eq(sse_feed(&sse, "data: a\n\n", 9), 0);
    t_eq(sse.idle, 0);
    sse_done(&sse);
    buf_done(&log.text);
}
