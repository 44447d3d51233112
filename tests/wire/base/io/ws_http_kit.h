/* A server whose exchanges the test owns, and clients that speak raw HTTP to it. */
#pragma once

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

static inline void on_gone(void *arg)
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

static inline void on_drained(void *arg)
{
    (void)arg;
    web.drains++;
}

static const struct http_events events = {.gone = on_gone, .drained = on_drained};

static inline bool on_head(void *arg, struct http_exchange *x, size_t *body_max)
{
    (void)arg;
    web.heads++;
    web.x = x;
    http_watch(x, &events, &web);
    if (web.body_max)
        *body_max = web.body_max;
    return !web.at_head;
}

static inline void on_http(void *arg, struct http_exchange *x)
{
    (void)arg;
    t_ok(x == web.x && http_watcher(x) == &web);
    web.requests++;
    http_body(x, &web.body_length);
}

static inline int connect_raw(void)
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
static inline int read_raw(int fd, struct buf *in)
{
    char part[65536];
    ssize_t n = recv(fd, part, sizeof(part), 0);
    if (n > 0)
        buf_add(in, part, (size_t)n);
    return n > 0 ? 1 : n == 0 || errno != EAGAIN ? -1 : 0;
}

static inline void start_with(int64_t reply_timeout_ms)
{
    web = (struct web){.g = rig_new(), .end_when_gone = true};
    web.g->config.http_head = on_head;
    web.g->config.http = on_http;
    web.g->config.http_body_max = 5000;
    web.g->config.stream_max = 64 << 10;
    web.g->config.reply_timeout_ms = reply_timeout_ms;
    rig_listen(web.g);
}

static inline void start(void)
{
    start_with(0);
}

static inline void stop(void)
{
    rig_free(web.g);
}

static inline int say(const char *text)
{
    int fd = connect_raw();
    t_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (long)strlen(text));
    return fd;
}

static inline bool has(const struct buf *in, const char *part)
{
    return in->data && memmem(in->data, in->length, part, strlen(part));
}

static inline void end(void)
{
    struct http_exchange *x = TAKE(web.x);
    http_end(x);
}

#define GET_LINES "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
