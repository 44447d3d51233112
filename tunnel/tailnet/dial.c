/* A TCP connection to a node. The path: status tells the node (tailnet_dial); where the kernel's way to its address
 * starts at an address of our own node, a plain connect goes there (straight); else, with userspace networking or from
 * inside a container, tailscaled connects and hands its socket over (POST dial, dial_daemon).
 *
 * Through tailscaled half of a connection cannot be closed: it ends both ways when either side is done. */
#include "tunnel/tailnet/dial.h"

#include "base/mem.h"
#include "tunnel/tailnet/call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIAL_MS 15000 /* a first handshake through a far relay takes seconds */

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static socklen_t address_of(const char *text, int port, union address *ret)
{
    *ret = (union address){0};
    if (inet_pton(AF_INET, text, &ret->four.sin_addr) == 1) {
        ret->four.sin_family = AF_INET;
        ret->four.sin_port = htons((uint16_t)port);
        return sizeof(ret->four);
    }
    if (inet_pton(AF_INET6, text, &ret->six.sin6_addr) == 1) {
        ret->six.sin6_family = AF_INET6;
        ret->six.sin6_port = htons((uint16_t)port);
        return sizeof(ret->six);
    }
    return 0;
}

/* A step that has ended leaves its descriptor to nobody when its starter goes. */
static void close_unclaimed(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- by tailscaled ---- */

struct daemon {
    struct running running;
    struct tailnet *tailnet;
    struct op step, *op;
    char *host;
    int port, *ret_fd;
    char dial_self[128];
};

static void daemon_free(struct daemon *d)
{
    running_remove(&d->running);
    mem_free(d->host);
    mem_free(d);
}

static void on_daemon_cancel(struct op *op, void *worker)
{
    struct daemon *d = worker;
    (void)op;

    op_drop(&d->step);
    close_unclaimed(d->ret_fd);
    daemon_free(d);
}

static void on_daemon(struct op *step, int result)
{
    struct daemon *d = CONTAINER(step, struct daemon, step);
    struct op *op = d->op;

    op->fault = step->fault;
    if (result == 0 && d->dial_self[0])
        result = fault_set(&op->fault, -ERR_NOT_FOUND, "%s (%s) is not on the tailnet", d->host,
                           d->dial_self);
    else if (result == -ERR_IO)
        result = fault_set(&op->fault, -ERR_CONNECT, "%s port %d: %s", d->host, d->port,
                           step->fault.text);
    daemon_free(d);
    op_end(op, result);
}

void dial_daemon(struct tailnet *tailnet, struct op *op, const char *host, int port,
                 int64_t limit_ms, int *ret_fd)
{
    struct daemon *d = NEW(struct daemon);
    CLEAN(mem_free) char *clean = mem_string(host);

    for (char *c = clean; *c; c++)
        if (*c <= ' ' || *c >= 127)
            *c = '?';
    d->tailnet = tailnet;
    d->op = op;
    d->host = mem_string(clean);
    d->port = port;
    d->ret_fd = ret_fd;
    *ret_fd = -1;
    running_add(tailnet, &d->running, op);
    op_start(op, on_daemon_cancel, d);
    CLEAN(mem_free)
    char *headers = mem_format("Connection: upgrade\r\nUpgrade: ts-dial\r\n"
                               "Dial-Host: %s\r\nDial-Port: %d\r\nDial-Network: tcp\r\n",
                               clean, port);
    op_init(&d->step, op->loop, on_daemon, 0);
    call_start(tailnet, &d->step,
               &(struct call_spec){.method = "POST",
                                   .path = "dial",
                                   .what = "a connection",
                                   .headers = headers,
                                   .limit_ms = limit_ms,
                                   .upgrade = true,
                                   .ret_fd = ret_fd,
                                   .ret_dial_self = d->dial_self,
                                   .ret_dial_self_size = sizeof(d->dial_self)});
}

/* ---- by the kernel ---- */

struct straight {
    struct running running;
    struct op *op;
    struct loop *loop;
    union address to[TAILNET_ADDRESSES];
    socklen_t length[TAILNET_ADDRESSES];
    size_t count, next;
    char *name;
    int port, fd, error, *ret_fd;
    struct watch *watch;
    struct timer limit;
    struct defer start;
};

/* Would the kernel send from our node's own address? */
static bool kernel_has_way(const struct tailnet_status *status, const union address *to,
                           socklen_t length)
{
    union address from, mine;
    socklen_t size = sizeof(from);
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    bool way =
        fd >= 0 && connect(fd, &to->any, length) == 0 && getsockname(fd, &from.any, &size) == 0;
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; way && i < status->self.address_count; i++) {
        if (!address_of(status->self.addresses[i], 0, &mine) ||
            mine.any.sa_family != from.any.sa_family)
            continue;
        if (from.any.sa_family == AF_INET
                ? mine.four.sin_addr.s_addr == from.four.sin_addr.s_addr
                : memcmp(&mine.six.sin6_addr, &from.six.sin6_addr, sizeof(struct in6_addr)) == 0)
            return true;
    }
    return false;
}

static void straight_free(struct straight *s)
{
    running_remove(&s->running);
    timer_stop(s->loop, &s->limit);
    defer_stop(s->loop, &s->start);
    watch_free(s->watch);
    if (s->fd >= 0)
        close(s->fd);
    mem_free(s->name);
    mem_free(s);
}

static void on_straight_cancel(struct op *op, void *worker)
{
    (void)op;
    straight_free(worker);
}

static void straight_end(struct straight *s, int result)
{
    struct op *op = s->op;

    if (result == 0)
        *s->ret_fd = s->fd, s->fd = -1;
    else
        fault_set(&op->fault, result, "cannot connect to %s port %d over the tailnet: %s", s->name,
                  s->port, result == -ERR_TIMEOUT ? "no answer in time" : strerror(s->error));
    straight_free(s);
    op_end(op, result);
}

static void on_limit(void *arg)
{
    straight_end(arg, -ERR_TIMEOUT);
}

static void try_next(void *arg);

static void on_connected(void *arg, int events)
{
    struct straight *s = arg;
    socklen_t size = sizeof(s->error);
    (void)events;

    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &s->error, &size);
    s->watch = watch_free(s->watch);
    if (s->error == 0) {
        straight_end(s, 0);
        return;
    }
    close(s->fd);
    s->fd = -1;
    try_next(s);
}

static void try_next(void *arg)
{
    struct straight *s = arg;

    while (s->next < s->count) {
        size_t at = s->next++;
        s->fd = socket(s->to[at].any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd >= 0 &&
            (connect(s->fd, &s->to[at].any, s->length[at]) == 0 || errno == EINPROGRESS)) {
            s->watch = watch_new(s->loop, s->fd, POLLOUT, on_connected, s);
            return;
        }
        s->error = errno;
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
    }
    straight_end(s, -ERR_CONNECT);
}

/* False: the kernel has no way to any of its addresses. */
static bool straight_start(struct tailnet *tailnet, struct op *op,
                           const struct tailnet_status *status, const struct tailnet_node *node,
                           int port, int64_t limit_ms, int *ret_fd)
{
    struct straight *s = NEW(struct straight);

    for (size_t i = 0; status->tun && i < node->address_count; i++) {
        union address *to = &s->to[s->count];
        socklen_t length = address_of(node->addresses[i], port, to);
        if (length && kernel_has_way(status, to, length))
            s->length[s->count++] = length;
    }
    if (s->count == 0) {
        mem_free(s);
        return false;
    }
    s->op = op;
    s->loop = op->loop;
    s->name = mem_string(node->name);
    s->port = port;
    s->fd = -1;
    s->ret_fd = ret_fd;
    *ret_fd = -1;
    running_add(tailnet, &s->running, op);
    op_start(op, on_straight_cancel, s);
    timer_start(s->loop, &s->limit, limit_ms, 0, on_limit, s);
    defer_start(s->loop, &s->start, try_next, s);
    return true;
}

void dial_node(struct tailnet *tailnet, struct op *op, const struct tailnet_status *status,
               const struct tailnet_node *node, int port, int64_t limit_ms, int *ret_fd)
{
    if (!straight_start(tailnet, op, status, node, port, limit_ms, ret_fd))
        dial_daemon(tailnet, op, node->address_count ? node->addresses[0] : node->name, port,
                    limit_ms, ret_fd);
}

/* ---- by name ---- */

struct dial {
    struct running running;
    struct tailnet *tailnet;
    struct op step, *op;
    struct tailnet_status status;
    char *host;
    int port, *ret_fd;
    bool offline;
};

static void dial_free(struct dial *d)
{
    running_remove(&d->running);
    tailnet_status_done(&d->status);
    mem_free(d->host);
    mem_free(d);
}

static void on_dial_cancel(struct op *op, void *worker)
{
    struct dial *d = worker;
    (void)op;

    op_drop(&d->step);
    close_unclaimed(d->ret_fd);
    dial_free(d);
}

static void on_dialled(struct op *step, int result)
{
    struct dial *d = CONTAINER(step, struct dial, step);
    struct op *op = d->op;

    op->fault = step->fault;
    if (result < 0 && d->offline)
        fault_prefix(&op->fault, "%s is offline, says tailscaled", d->host);
    dial_free(d);
    op_end(op, result);
}

static void refuse(struct dial *d, int code)
{
    struct op *op = d->op;

    dial_free(d);
    op_end(op, code);
}

static void on_status(struct op *step, int result)
{
    struct dial *d = CONTAINER(step, struct dial, step);
    struct fault *fault = &d->op->fault;
    bool too_many = result == -ERR_UNSUPPORTED || result == -ERR_TOO_LARGE;
    union address literal;

    *fault = step->fault;
    if (result < 0 && !too_many) {
        refuse(d, result);
        return;
    }
    if (result == 0 && strcmp(d->status.state, "Running") != 0) {
        refuse(d, fault_set(fault, -ERR_CONNECT,
                            "the tailnet is not up on this machine (%s): run 'tailscale up'",
                            d->status.state));
        return;
    }
    const struct tailnet_node *node = result == 0 ? tailnet_find(&d->status, d->host, fault) : NULL;
    /* A tailnet too large to be read, or an address behind one of its routers: tailscaled knows. */
    bool let_it_find = too_many || address_of(d->host, 0, &literal);
    if (!node && !let_it_find) {
        refuse(d, fault->code);
        return;
    }
    fault_clear(fault);
    op_init(&d->step, d->op->loop, on_dialled, 0);
    d->offline = node && !node->online;
    if (node)
        dial_node(d->tailnet, &d->step, &d->status, node, d->port, DIAL_MS, d->ret_fd);
    else
        dial_daemon(d->tailnet, &d->step, d->host, d->port, DIAL_MS, d->ret_fd);
}

void tailnet_dial(struct tailnet *tailnet, struct op *op, const char *host, int port, int *ret_fd)
{
    struct dial *d = NEW(struct dial);

    d->tailnet = tailnet;
    d->op = op;
    d->host = mem_string(host);
    d->port = port;
    d->ret_fd = ret_fd;
    *ret_fd = -1;
    running_add(tailnet, &d->running, op);
    op_start(op, on_dial_cancel, d);
    op_init(&d->step, op->loop, on_status, 0);
    tailnet_status_get(tailnet, &d->step, /* peers= */ true, &d->status);
}
