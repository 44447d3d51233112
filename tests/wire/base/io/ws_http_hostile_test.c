/* Requests that two readers could read in two ways, heads without end, clients that do not wait. */
#include "tests/wire/base/io/ws_http_kit.h"

/* Nobody may read in one request what another reader takes for two. */
T(requests_with_two_readings_are_refused)
{
    static const struct {
        const char *text, *answer;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
         " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
         " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nabc", " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nabc", " 400 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         " 411 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
         "3\r\n\r\n0\r\n\r\n",
         " 411 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", " 411 "},
        {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", " 411 "},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nGET /second HTTP/1.1\r\nHost: "
         "h\r\n\r\n",
         " 400 "},
        {"DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", " 400 "},
        {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", " 411 "},
        {"GET / HTTP/1.1\r\n\r\n", " 400 "},
    };

    start();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf in;
        buf_init(&in, 1 << 20);
        int fd = say(cases[i].text);
        rig_until(web.g, read_raw(fd, &in) < 0);
        if (!has(&in, cases[i].answer))
            t_fail(__FILE__, __LINE__, "%s\nanswered: %s", cases[i].text, in.data ? in.data : "");
        if (in.length > 12 && memmem(in.data + 12, in.length - 12, "HTTP/1.1 ", 9))
            t_fail(__FILE__, __LINE__, "two answers to %s: %s", cases[i].text, in.data);
        close(fd);
        buf_done(&in);
    }
    t_eq(web.heads, 0);
    stop();
}

T(heads_have_a_ceiling)
{
    start();
    char *header = mem_array(40001, 1);
    memset(header, 'h', 40000);
    CLEAN(mem_free)
    char *big = mem_format("GET / HTTP/1.1\r\nHost: h\r\nX-Big: %s\r\n\r\n", header);
    struct buf in, many;
    buf_init(&in, 1 << 20);
    buf_init(&many, 1 << 20);
    int fd = say(big);
    rig_until(web.g, read_raw(fd, &in) < 0);
    close(fd);
    buf_add_str(&many, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 5000; i++)
        buf_addf(&many, "X-%d: %d\r\n", i, i);
    buf_add_str(&many, "\r\n");
    fd = connect_raw();
    ssize_t sent = send(fd, many.data, many.length, MSG_NOSIGNAL);
    t_ok(sent > 0);
    rig_until(web.g, read_raw(fd, &in) < 0);
    close(fd);
    t_eq(web.heads, 0);
    mem_free(header);
    buf_done(&in);
    buf_done(&many);
    stop();
}

/* Asked before the first answer is out: answered one after the other. */
T(requests_in_a_row_are_answered_in_order)
{
    start();
    int fd = say("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    struct buf in;
    buf_init(&in, 1 << 20);
    for (size_t i = 1; i <= 2; i++) {
        rig_until(web.g, web.requests == i);
        for (int n = 0; n < 10; n++)
            loop_turn(web.g->loop, false);
        t_eq(web.requests, i);
        CLEAN(bytes_unref) struct bytes *path = bytes_new(http_request(web.x)->path, 2);
        http_reply(TAKE(web.x), 200, "text/plain", NULL, path);
    }
    rig_until(web.g, (read_raw(fd, &in), has(&in, "\r\n\r\n/b")));
    t_has(in.data, "\r\n\r\n/aHTTP/1.1 200 OK");
    buf_done(&in);
    close(fd);
    stop();
}

static size_t turns_in(int64_t ms)
{
    size_t turns = 0;
    int64_t began = real_ms();
    struct timer tick = {0};

    timer_start(web.g->loop, &tick, 10, 10, rig_tick, NULL);
    for (; real_ms() - began < ms; turns++)
        loop_turn(web.g->loop, true);
    timer_stop(web.g->loop, &tick);
    return turns;
}

/* What a client sends before its answer is out waits, and the loop sleeps meanwhile. */
static void impatient(const char *first, const char *then, bool answered)
{
    start();
    int fd = say(first);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    if (answered) {
        http_begin(web.x, 200, "text/plain", NULL);
        t_eq(http_write(web.x, "a", 1), 0);
    }
    t_ok(send(fd, then, strlen(then), MSG_NOSIGNAL) == (ssize_t)strlen(then));
    turns_in(500);
    size_t turns = turns_in(500);
    if (turns > 500)
        t_fail(__FILE__, __LINE__, "%zu turns of the loop for nothing: %zu and %zu bytes%s", turns,
               strlen(first), strlen(then), answered ? ", answered" : "");
    if (web.x) { /* it was not sent away: the second request is answered too */
        if (!answered)
            http_begin(web.x, 200, "text/plain", NULL);
        end();
        rig_until(web.g, web.requests == 2);
    }
    close(fd);
    rig_until(web.g, web.gones == 1);
    buf_done(&in);
    stop();
}

T(an_impatient_client_does_not_spin_the_loop)
{
    impatient(GET_LINES, GET_LINES, false);
    impatient(GET_LINES, GET_LINES, true);
    impatient(GET_LINES GET_LINES, "", false);
    impatient(GET_LINES GET_LINES, "", true);
    impatient(GET_LINES GET_LINES, GET_LINES, true);
}
