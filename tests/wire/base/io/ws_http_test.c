/* Plain HTTP on the port of the WebSockets. */
#include "tests/wire/base/io/ws_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct web {
    struct rig *g;
    struct http_exchange *waiting; /* not replied yet */
    bool later;
    size_t requests;
    char method[16], path[128], body[256];
    size_t body_length;
    struct bytes *answer;
};

static struct web web;

static void on_http(void *arg, struct http_exchange *x)
{
    const struct ws_request *request = http_request(x);
    size_t length;
    const char *body = http_body(x, &length);
    (void)arg;

    web.requests++;
    snprintf(web.method, sizeof(web.method), "%s", request->method);
    snprintf(web.path, sizeof(web.path), "%s?%s", request->path, request->query);
    size_t kept = length < sizeof(web.body) - 1 ? length : sizeof(web.body) - 1;
    memcpy(web.body, body, kept);
    web.body[kept] = '\0';
    web.body_length = length;
    if (web.later)
        web.waiting = x;
    else
        http_reply(x, 200, "text/plain", "x-own: 1\r\n", web.answer);
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

static void start(void)
{
    web = (struct web){.g = rig_new()};
    web.g->config.http = on_http;
    web.g->config.http_body_max = 5000;
    web.answer = bytes_new("hello", 5);
    rig_listen(web.g);
}

static void stop(void)
{
    bytes_unref(web.answer);
    rig_free(web.g);
}

/* Sends and reads until `part` has come or the server closed. The caller buf_dones. */
static struct buf ask(int fd, const char *request, const char *part)
{
    struct buf in;
    int r = 0;
    buf_init(&in, 64u << 20);
    t_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (long)strlen(request));
    rig_until(web.g, (r = read_raw(fd, &in)) < 0 ||
                         (in.data && memmem(in.data, in.length, part, strlen(part))));
    t_has(in.data ? in.data : "", part);
    return in;
}

T(get_with_keep_alive)
{
    start();
    int fd = connect_raw();
    for (size_t i = 1; i <= 3; i++) {
        struct buf in = ask(fd, "GET /a%20b/c?x=1&y=2 HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
        t_has(in.data, "HTTP/1.1 200 OK\r\n");
        t_has(in.data, "content-type: text/plain\r\n");
        t_has(in.data, "content-length: 5\r\n");
        t_has(in.data, "x-own: 1\r\n");
        t_str(web.path, "/a b/c?x=1&y=2");
        t_eq(web.requests, i);
        buf_done(&in);
    }
    close(fd);
    stop();
}

T(head_has_no_body)
{
    start();
    int fd = connect_raw();
    struct buf in = ask(fd, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
    t_str(web.method, "HEAD");
    t_has(in.data, "content-length: 5\r\n");
    t_ok(!strstr(in.data, "hello"));
    buf_done(&in);
    close(fd);
    stop();
}

T(post_brings_its_body_whole)
{
    start();
    int fd = connect_raw();
    struct buf in =
        ask(fd, "POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world", "hello");
    t_str(web.method, "POST");
    t_str(web.body, "hello world");
    buf_done(&in);
    in = ask(fd, "POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "hello");
    t_eq(web.body_length, 0);
    t_eq(web.requests, 2);
    buf_done(&in);
    close(fd);
    stop();
}

T(bodies_have_a_ceiling_and_a_length)
{
    start();
    int fd = connect_raw();
    struct buf in = ask(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5001\r\n\r\n", " 413 ");
    buf_done(&in);
    close(fd);
    fd = connect_raw();
    in = ask(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", " 411 ");
    buf_done(&in);
    close(fd);
    t_eq(web.requests, 0);
    stop();
}

T(a_reply_may_come_later_and_be_large)
{
    start();
    web.later = true;
    bytes_unref(web.answer);
    char *text = mem_array(3u << 20, 1);
    memset(text, 'z', 3u << 20);
    web.answer = bytes_new(text, 3u << 20);
    mem_free(text);
    int fd = connect_raw();
    struct buf in;
    buf_init(&in, 64u << 20);
    const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    t_ok(send(fd, request, sizeof(request) - 1, 0) > 0);
    rig_until(web.g, web.waiting);
    http_reply(web.waiting, 200, "text/plain", NULL, web.answer);
    rig_until(web.g, read_raw(fd, &in) < 0 || in.length > (3u << 20));
    char *body = strstr(in.data, "\r\n\r\n") + 4;
    rig_until(web.g, read_raw(fd, &in) < 0 || in.length >= (3u << 20) + (size_t)(body - in.data));
    t_eq(in.length - (size_t)(strstr(in.data, "\r\n\r\n") + 4 - in.data), 3u << 20);
    buf_done(&in);
    close(fd);
    stop();
}

/* Ask and never read: the reply that stands still goes, and its connection with it. */
T(a_reply_that_nobody_reads_is_given_up)
{
    start();
    web.g->config.reply_timeout_ms = 300;
    web.g->server = ws_server_free(web.g->server);
    rig_listen(web.g);
    bytes_unref(web.answer);
    char *text = mem_array(16u << 20, 1);
    web.answer = bytes_new(text, 16u << 20);
    mem_free(text);
    int fd = connect_raw();
    const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    int64_t began = real_ms();
    t_ok(send(fd, request, sizeof(request) - 1, 0) > 0);
    rig_until(web.g, web.answer->refs > 1);
    rig_until(web.g, web.answer->refs == 1);
    t_ok(real_ms() - began < 5000);
    close(fd);
    stop();
}

/* Bodies that never end are a crowd like heads that never end: the oldest makes room. */
T(bodies_that_never_end_are_bounded)
{
    start();
    web.g->config.half_open_max = 3;
    web.g->server = ws_server_free(web.g->server);
    rig_listen(web.g);
    const char part[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\nx";
    int slow[6];
    struct buf in;
    buf_init(&in, 1000);
    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i] = connect_raw();
        t_ok(send(slow[i], part, sizeof(part) - 1, 0) > 0);
        for (int n = 0; n < 10; n++)
            loop_turn(web.g->loop, false);
    }
    for (size_t i = 0; i < 3; i++)
        rig_until(web.g, read_raw(slow[i], &in) < 0);
    t_eq(read_raw(slow[5], &in), 0);
    char rest[4000];
    memset(rest, 'x', sizeof(rest));
    rest[sizeof(rest) - 1] = '\0';
    struct buf whole = ask(slow[5], rest, "hello");
    t_eq(web.body_length, 4000);
    buf_done(&whole);
    for (size_t i = 0; i < COUNT(slow); i++)
        close(slow[i]);
    buf_done(&in);
    stop();
}

T(a_reply_to_nobody_is_harmless)
{
    start();
    web.later = true;
    int fd = connect_raw();
    const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    t_ok(send(fd, request, sizeof(request) - 1, 0) > 0);
    rig_until(web.g, web.waiting);
    close(fd);
    for (int i = 0; i < 20; i++)
        loop_turn(web.g->loop, false);
    http_reply(web.waiting, 200, "text/plain", NULL, web.answer);

    web.waiting = NULL;
    fd = connect_raw();
    t_ok(send(fd, request, sizeof(request) - 1, 0) > 0);
    rig_until(web.g, web.waiting);
    web.g->server = ws_server_free(web.g->server);
    http_reply(web.waiting, 200, "text/plain", NULL, web.answer);
    close(fd);
    stop();
}

T(without_an_http_callback_it_is_404)
{
    start();
    web.g->server = ws_server_free(web.g->server);
    web.g->config.http = NULL;
    rig_listen(web.g);
    int fd = connect_raw();
    struct buf in = ask(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "Not Found");
    t_has(in.data, " 404 ");
    buf_done(&in);
    close(fd);
    stop();
}
