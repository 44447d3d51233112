/* Replies in parts, clients that leave or stand still, and requests that two readers could read in two
 * ways. */
#include "tests/wire/base/io/ws_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct web {
    struct rig *g;
    struct http_exchange *x; /* the owner's; NULL: ended */
    size_t heads, requests, gones, drains;
    bool at_head;    /* keep it at the head: no body wanted */
    size_t body_max; /* what the head agrees to */
    bool end_when_gone;
    size_t body_length;
};
static struct web web;

static void on_gone(void *arg)
{
    struct http_exchange *x = web.x;
    (void)arg;

    web.gones++;
    t_eq(http_write(x, "x", 1), -ERR_CLOSED);
    if (web.end_when_gone) {
        web.x = NULL;
        http_end(x);
    }
}

static void on_drained(void *arg)
{
    (void)arg;
    web.drains++;
}

static const struct http_events events = {.gone = on_gone, .drained = on_drained};

static bool on_head(void *arg, struct http_exchange *x, size_t *body_max)
{
    (void)arg;
    web.heads++;
    web.x = x;
    http_watch(x, &events, &web);
    if (web.body_max)
        *body_max = web.body_max;
    return !web.at_head;
}

static void on_http(void *arg, struct http_exchange *x)
{
    (void)arg;
    t_ok(x == web.x && http_watcher(x) == &web);
    web.requests++;
    http_body(x, &web.body_length);
}

static int connect_raw(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ws_server_port(web.g->server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    t_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* 1 more came, 0 nothing, -1 the end. */
static int read_raw(int fd, struct buf *in)
{
    char part[65536];
    ssize_t n = recv(fd, part, sizeof(part), 0);
    if (n > 0)
        buf_add(in, part, (size_t)n);
    return n > 0 ? 1 : n == 0 || errno != EAGAIN ? -1 : 0;
}

static void start_with(int64_t reply_timeout_ms)
{
    web = (struct web){.g = rig_new(), .end_when_gone = true};
    web.g->config.http_head = on_head;
    web.g->config.http = on_http;
    web.g->config.http_body_max = 5000;
    web.g->config.stream_max = 64 << 10;
    web.g->config.reply_timeout_ms = reply_timeout_ms;
    rig_listen(web.g);
}

static void start(void)
{
    start_with(0);
}

static void stop(void)
{
    rig_free(web.g);
}

static int say(const char *text)
{
    int fd = connect_raw();
    t_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (long)strlen(text));
    return fd;
}

static bool has(const struct buf *in, const char *part)
{
    return in->data && memmem(in->data, in->length, part, strlen(part));
}

static void end(void)
{
    struct http_exchange *x = TAKE(web.x);
    http_end(x);
}

#define GET_LINES "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

T(a_reply_in_parts_arrives_as_it_is_written)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/event-stream", "x-own: 1\r\n");
    rig_until(web.g, (read_raw(fd, &in), has(&in, "\r\n\r\n")));
    t_has(in.data, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
    t_has(in.data, "transfer-encoding: chunked\r\nx-own: 1\r\n");
    for (int i = 0; i < 3; i++) {
        buf_clear(&in);
        t_eq(http_write(web.x, "data: part\n\n", 12), 0);
        rig_until(web.g, (read_raw(fd, &in), has(&in, "\r\n")));
        t_has(in.data, "c\r\ndata: part\n\n\r\n");
    }
    buf_clear(&in);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));

    /* and the connection goes on */
    t_ok(send(fd, GET_LINES, strlen(GET_LINES), MSG_NOSIGNAL) > 0);
    rig_until(web.g, web.requests == 2);
    buf_clear(&in);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "1\r\na\r\n0\r\n\r\n")));
    t_eq(web.gones, 0);
    buf_done(&in);
    close(fd);
    stop();
}

T(an_old_client_gets_no_chunks)
{
    start();
    int fd = say("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "hello", 5), 0);
    end();
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, "connection: close\r\n");
    t_has(in.data, "\r\n\r\nhello");
    t_ok(!has(&in, "chunked"));
    buf_done(&in);
    close(fd);
    stop();
}

T(the_owner_hears_at_once_that_the_client_left)
{
    start();
    int fd = say(GET_LINES);
    rig_until(web.g, web.requests == 1);
    close(fd);
    rig_until(web.g, web.gones == 1); /* before the reply began */

    web.end_when_gone = false;
    fd = say(GET_LINES);
    rig_until(web.g, web.requests == 2);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    for (int i = 0; i < 10; i++)
        loop_turn(web.g->loop, false);
    close(fd);
    rig_until(web.g, web.gones == 2); /* in the middle of it */
    t_eq(http_write(web.x, "b", 1), -ERR_CLOSED);
    end(); /* later: harmless */

    fd = say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    rig_until(web.g, web.heads == 3);
    web.end_when_gone = true;
    close(fd);
    rig_until(web.g, web.gones == 3); /* in the middle of the body */
    t_eq(web.requests, 2);
    stop();
}

T(a_slow_client_holds_the_writer_back)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    char *part = mem_array(8192, 1);
    size_t written = 0;
    int r;
    buf_init(&in, 64u << 20);
    memset(part, 'z', 8192);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    for (int i = 0; i < 5000; i++) {
        while ((r = http_write(web.x, part, 8192)) == 0)
            written += 8192;
        t_eq(r, -ERR_FULL);
        t_ok(http_queued(web.x) < (64u << 10) + 8192 + 100);
        loop_turn(web.g->loop, false);
    }
    size_t drains = web.drains;
    rig_until(web.g, (read_raw(fd, &in), web.drains > drains));
    end();
    rig_until(web.g, (read_raw(fd, &in),
                      in.length > 5 && memcmp(in.data + in.length - 5, "0\r\n\r\n", 5) == 0));
    t_ok(in.length > written);
    mem_free(part);
    buf_done(&in);
    close(fd);
    stop();
}

/* Nothing to send is no standstill; something to send and nobody who takes it is one. */
T(a_stream_may_pause_and_may_not_stand_still)
{
    start_with(300);
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    int64_t began = real_ms();
    rig_until(web.g, real_ms() - began > 900);
    t_eq(web.gones, 0);

    char *part = mem_array(60000, 1);
    while (web.gones == 0 && real_ms() - began < 9000) {
        if (web.x)
            http_write(web.x, part, 60000);
        loop_turn(web.g->loop, false);
    }
    t_eq(web.gones, 1);
    mem_free(part);
    buf_done(&in);
    close(fd);
    stop();
}

T(an_answer_that_never_begins_is_a_503_and_the_owner_hears_it)
{
    start_with(200);
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, " 503 ");
    t_eq(web.gones, 1);
    buf_clear(&in);
    close(fd);

    fd = say(GET_LINES);
    rig_until(web.g, web.requests == 2);
    http_patience(web.x, 0);
    int64_t began = real_ms();
    rig_until(web.g, real_ms() - began > 600);
    t_eq(web.gones, 1);
    http_begin(web.x, 200, "text/plain", NULL);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));
    buf_done(&in);
    close(fd);
    stop();
}

T(the_head_decides_before_the_body_is_read)
{
    start();
    web.at_head = true;
    char *body = mem_array(400001, 1);
    memset(body, 'b', 400000);
    CLEAN(mem_free)
    char *text = mem_format("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n%s", body);
    struct buf in;
    buf_init(&in, 1 << 20);
    int fd = connect_raw();
    size_t sent = 0, length = strlen(text);
    bool replied = false;
    for (int64_t began = real_ms(); real_ms() - began < 9000 && sent < length;) {
        ssize_t n =
            send(fd, text + sent, length - sent > 4096 ? 4096 : length - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(web.g->loop, false);
        if (web.heads && !replied) {
            CLEAN(bytes_unref) struct bytes *no = bytes_new("no", 2);
            http_reply(TAKE(web.x), 401, "text/plain", NULL, no);
            replied = true;
        }
    }
    t_eq(sent, length); /* what nobody wants is taken and thrown away: no reset eats the answer */
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, " 401 ");
    t_has(in.data, "connection: close\r\n");
    t_has(in.data, "\r\n\r\nno");
    t_eq(web.requests, 0);
    mem_free(body);
    buf_done(&in);
    close(fd);
    stop();
}

T(the_head_may_agree_to_more)
{
    start();
    web.body_max = 100000;
    char *body = mem_array(90001, 1);
    memset(body, 'b', 90000);
    CLEAN(mem_free)
    char *text = mem_format(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 90000\r\n\r\n");
    int fd = say(text);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, (read_raw(fd, &in), has(&in, "HTTP/1.1 100 Continue\r\n\r\n")));
    fcntl(fd, F_SETFL, 0);
    t_eq(send(fd, body, 90000, MSG_NOSIGNAL), 90000);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    rig_until(web.g, web.requests == 1);
    t_eq(web.body_length, 90000);
    buf_clear(&in);
    http_begin(web.x, 200, "text/plain", NULL);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));
    close(fd);

    buf_clear(&in);
    fd = say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n");
    rig_until(web.g, (read_raw(fd, &in), has(&in, " 413 ")));
    t_eq(web.gones, 1);
    mem_free(body);
    buf_done(&in);
    close(fd);
    stop();
}

T(a_cut_reply_looks_cut)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "half", 4), 0);
    rig_until(web.g, (read_raw(fd, &in), has(&in, "half")));
    http_cut(TAKE(web.x));
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_ok(!has(&in, "0\r\n\r\n"));
    t_eq(web.gones, 0);
    buf_done(&in);
    close(fd);
    stop();
}

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
