/* A tiny HTTP server in the test's own loop that plays scripts byte by byte: what a real server never
 * does on purpose. Loopback, any free port, one script per connection in the order they come (the last
 * one repeats). Every connection serves one request.
 *
 * A script is a text of steps: "|" separates them.
 *   anything else   is sent as it stands
 *   @close          orderly end          @reset   RST
 *   @wait           until script_go()    @fill xN  N times the byte x
 * When the steps are over the connection is closed. */
#pragma once

#include "base/buf.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRIPT_CONNS 64

struct script_server;

struct script_conn {
    struct script_server *server;
    int fd;
    struct watch *watch;
    struct buf in, out;
    const char *next; /* the rest of the script; NULL: over */
    bool answering, waiting, reset;
};

struct script_server {
    struct loop *loop;
    int fd, port;
    struct watch *watch;
    const char *const *scripts; /* NULL-terminated */
    size_t taken;
    struct script_conn *conns[SCRIPT_CONNS];
    int requests, gone; /* whole requests seen; connections the client ended first */
    bool drip;          /* one byte at a time */
    struct buf request; /* the last whole request */
};

static inline void script_conn_free(struct script_conn *c)
{
    struct linger linger = {1, 0};

    for (size_t i = 0; i < SCRIPT_CONNS; i++)
        if (c->server->conns[i] == c)
            c->server->conns[i] = NULL;
    watch_free(c->watch);
    if (c->reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(c->fd);
    buf_done(&c->in);
    buf_done(&c->out);
    mem_free(c);
}

/* Runs steps until something must wait. False: the connection is gone. */
static inline bool script_step(struct script_conn *c)
{
    while (c->out.length == 0 && c->next != NULL && !c->waiting) {
        const char *bar = strchr(c->next, '|');
        size_t length = bar != NULL ? (size_t)(bar - c->next) : strlen(c->next);
        const char *step = c->next;

        c->next = bar != NULL ? bar + 1 : NULL;
        if (strncmp(step, "@close", 6) == 0 || strncmp(step, "@reset", 6) == 0) {
            c->reset = step[1] == 'r';
            script_conn_free(c);
            return false;
        }
        if (strncmp(step, "@wait", 5) == 0) {
            c->waiting = true;
        } else if (strncmp(step, "@fill ", 6) == 0) {
            size_t count = (size_t)strtoul(step + 7, NULL, 10);

            memset(buf_reserve(&c->out, count), step[6], count);
            c->out.length += count;
        } else {
            buf_add(&c->out, step, length);
        }
    }
    if (c->out.length == 0 && c->next == NULL && !c->waiting) {
        script_conn_free(c);
        return false;
    }
    return true;
}

static inline bool script_request_whole(struct script_conn *c)
{
    const char *end = c->in.data != NULL ? strstr(c->in.data, "\r\n\r\n") : NULL, *length;

    if (end == NULL)
        return false;
    length = strcasestr(c->in.data, "content-length:");
    return c->in.length >=
           (size_t)(end + 4 - c->in.data) +
               (length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0);
}

static inline void script_pump(struct script_conn *c)
{
    for (;;) {
        ssize_t n;

        if (!script_step(c))
            return;
        if (c->out.length == 0)
            break;
        n = send(c->fd, c->out.data, c->server->drip ? 1 : c->out.length,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) {
            c->server->gone++;
            script_conn_free(c);
            return;
        }
        if (n < 0)
            break;
        buf_drop(&c->out, (size_t)n);
        if (c->server->drip && c->out.length > 0)
            break;
    }
    watch_change(c->watch, POLLIN | (c->out.length > 0 ? POLLOUT : 0));
}

static inline void script_on_conn(void *arg, int events)
{
    struct script_conn *c = arg;
    struct script_server *server = c->server;
    char chunk[65536];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        server->gone++;
        script_conn_free(c);
        return;
    }
    if (n > 0)
        buf_add(&c->in, chunk, (size_t)n);
    if (!c->answering && script_request_whole(c)) {
        c->answering = true;
        server->requests++;
        buf_clear(&server->request);
        buf_add(&server->request, c->in.data, c->in.length);
    }
    if (c->answering)
        script_pump(c);
}

static inline void script_on_listen(void *arg, int events)
{
    struct script_server *server = arg;
    int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct script_conn *c;

    (void)events;
    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c = NEW(struct script_conn);
    c->server = server;
    c->fd = fd;
    buf_init(&c->in, 64u << 20);
    buf_init(&c->out, 64u << 20);
    c->next = server->scripts[server->taken];
    if (server->scripts[server->taken + 1] != NULL)
        server->taken++;
    for (size_t i = 0; i < SCRIPT_CONNS; i++)
        if (server->conns[i] == NULL) {
            server->conns[i] = c;
            break;
        }
    c->watch = watch_new(server->loop, fd, POLLIN, script_on_conn, c);
}

static inline struct script_server *script_server_new(struct loop *loop, const char *const *scripts)
{
    struct script_server *server = NEW(struct script_server);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;

    server->loop = loop;
    server->scripts = scripts;
    buf_init(&server->request, 64u << 20);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t_eq(bind(server->fd, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(listen(server->fd, 64), 0);
    t_eq(getsockname(server->fd, (struct sockaddr *)&at, &length), 0);
    server->port = ntohs(at.sin_port);
    server->watch = watch_new(loop, server->fd, POLLIN, script_on_listen, server);
    return server;
}

/* Lets every connection that stands at @wait go on. */
static inline void script_go(struct script_server *server)
{
    for (size_t i = 0; i < SCRIPT_CONNS; i++)
        if (server->conns[i] != NULL && server->conns[i]->waiting) {
            server->conns[i]->waiting = false;
            script_pump(server->conns[i]);
        }
}

static inline void script_server_free(struct script_server *server)
{
    for (size_t i = 0; i < SCRIPT_CONNS; i++)
        if (server->conns[i] != NULL)
            script_conn_free(server->conns[i]);
    watch_free(server->watch);
    (void)close(server->fd);
    buf_done(&server->request);
    mem_free(server);
}
