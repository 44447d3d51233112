/* A gateway with real sockets in this process and clients that speak raw HTTP to it. */
#pragma once

#include "base/mem.h"
#include "gateway/gateway.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIT_TOKEN "kit-token"
#define KIT_MS    10000
#define BEARER    "Authorization: Bearer " KIT_TOKEN "\r\n"

struct kit_answer {
    int status; /* 0: closed without one */
    struct buf raw;
    char *head, *body; /* body: chunks joined */
    size_t length;
};

static inline int64_t kit_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void kit_tick(void *arg)
{
    (void)arg;
}

/* Turns the loop until the condition holds; fails the case after 10 s. */
#define kit_until(gw, condition)                                                                   \
    do {                                                                                           \
        struct timer tick_ = {0};                                                                  \
        int64_t end_ = kit_ms() + KIT_MS;                                                          \
        timer_start((gw)->loop, &tick_, 10, 10, kit_tick, NULL);                                   \
        while (!(condition) && kit_ms() < end_)                                                    \
            loop_turn((gw)->loop, true);                                                           \
        timer_stop((gw)->loop, &tick_);                                                            \
        if (!(condition))                                                                          \
            t_fail(__FILE__, __LINE__, "never happened: %s", #condition);                          \
    } while (0)

/* config: JSON5 text of culvert.json, NULL: none. auth: NULL: as configured. */
static inline struct gateway *kit_gateway_with(const char *config, const char *auth)
{
    static int count;
    CLEAN(mem_free) char *dir = mem_format("%s/kit%d", t_tmpdir(), count++);
    CLEAN(mem_free) char *path = mem_format("%s/culvert.json", dir);
    struct gateway_options options = {
        .state_dir = dir, .port = 0, .token = KIT_TOKEN, .auth = auth, .memory_store = true};
    struct gateway *gw = NULL;
    struct fault fault = {0};

    require(mkdir(dir, 0700) == 0);
    if (config) {
        FILE *file = fopen(path, "w");
        require(file && fputs(config, file) >= 0 && fclose(file) == 0);
    }
    if (gateway_start(&options, &gw, &fault) < 0)
        t_fail(__FILE__, __LINE__, "the gateway does not start: %s", fault.text);
    return gw;
}

static inline struct gateway *kit_gateway(const char *config)
{
    return kit_gateway_with(config, NULL);
}

static inline int kit_connect(struct gateway *gw)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)gw->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* 1 more came, 0 nothing, -1 the end. */
static inline int kit_read(int fd, struct buf *in)
{
    char part[65536];
    ssize_t n = recv(fd, part, sizeof(part), 0);
    if (n > 0)
        buf_add(in, part, (size_t)n);
    return n > 0 ? 1 : n == 0 || errno != EAGAIN ? -1 : 0;
}

static inline void kit_send(struct gateway *gw, int fd, const char *text, size_t length)
{
    int64_t end = kit_ms() + KIT_MS;
    while (length > 0 && kit_ms() < end) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* closed: the answer tells */
        if (n > 0)
            text += n, length -= (size_t)n;
        loop_turn(gw->loop, false);
    }
}

/* "POST /path", header lines (P stands for the port where they say "127.0.0.1:P"), a body or NULL. */
static inline int kit_ask(struct gateway *gw, const char *line, const char *headers,
                          const char *body)
{
    struct buf text;
    int fd = kit_connect(gw);

    buf_init(&text, 64u << 20);
    buf_addf(&text, "%s HTTP/1.1\r\n", line);
    if (!headers || !strstr(headers, "Host:"))
        buf_addf(&text, "Host: 127.0.0.1:%d\r\n", gw->port);
    for (const char *h = headers ? headers : ""; *h; h++)
        if (h[0] == 'P' && h[-1] == ':')
            buf_addf(&text, "%d", gw->port);
        else
            buf_add_char(&text, *h);
    if (body)
        buf_addf(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_add_str(&text, "\r\n");
    if (body)
        buf_add_str(&text, body);
    kit_send(gw, fd, text.data, text.length);
    buf_done(&text);
    return fd;
}

static inline void kit_join_chunks(struct kit_answer *a)
{
    char *from = a->body, *to = a->body;

    for (;;) {
        char *rest;
        size_t n = strtoul(from, &rest, 16);
        if (rest == from || strncmp(rest, "\r\n", 2) != 0 || n == 0)
            break;
        memmove(to, rest + 2, n);
        to += n;
        from = rest + 2 + n + 2;
    }
    *to = '\0';
    a->length = (size_t)(to - a->body);
}

/* Is the answer whole? */
static inline bool kit_whole(const struct buf *in, bool head_only)
{
    const char *end = in->data ? strstr(in->data, "\r\n\r\n") : NULL;
    const char *length = end ? strcasestr(in->data, "content-length: ") : NULL;

    if (!end)
        return false;
    if (head_only)
        return true;
    if (length && length < end)
        return in->length - (size_t)(end + 4 - in->data) >= strtoul(length + 16, NULL, 10);
    return in->length >= 5 && memcmp(in->data + in->length - 5, "0\r\n\r\n", 5) == 0;
}

/* Reads the whole answer and closes. The caller kit_dones. */
static inline struct kit_answer kit_answer(struct gateway *gw, int fd, bool head_only)
{
    struct kit_answer a = {0};
    int r = 0;

    buf_init(&a.raw, 64u << 20);
    kit_until(gw, (r = kit_read(fd, &a.raw)) < 0 || kit_whole(&a.raw, head_only));
    close(fd);
    if (!a.raw.data)
        buf_add_str(&a.raw, "\r\n\r\n");
    a.head = a.raw.data;
    char *end = strstr(a.head, "\r\n\r\n");
    a.body = end ? end + 4 : a.head + a.raw.length;
    if (end)
        end[2] = '\0';
    a.length = strlen(a.body);
    a.status = strncmp(a.head, "HTTP/1.1 ", 9) == 0 ? atoi(a.head + 9) : 0;
    if (strcasestr(a.head, "transfer-encoding: chunked"))
        kit_join_chunks(&a);
    return a;
}

static inline struct kit_answer kit_call(struct gateway *gw, const char *line, const char *headers,
                                         const char *body)
{
    return kit_answer(gw, kit_ask(gw, line, headers, body), strncmp(line, "HEAD", 4) == 0);
}

static inline void kit_done(struct kit_answer *a)
{
    buf_done(&a->raw);
}

/* One call, its status, and parts of head and body that must be there (NULL: not looked at). */
static inline void kit_expect_(const char *file, int at, struct gateway *gw, const char *line,
                               const char *headers, const char *body, int status,
                               const char *head_part, const char *body_part)
{
    struct kit_answer a = kit_call(gw, line, headers, body);

    if (a.status != status)
        t_fail(file, at, "%s: status %d, expected %d: %s", line, a.status, status, a.body);
    if (head_part && !strcasestr(a.head, head_part))
        t_fail(file, at, "%s: no %s in %s", line, head_part, a.head);
    if (body_part && !strstr(a.body, body_part))
        t_fail(file, at, "%s: no %s in %s", line, body_part, a.body);
    kit_done(&a);
}
#define kit_expect(...) kit_expect_(__FILE__, __LINE__, __VA_ARGS__)
