/* A request's path: connect, send, read the answer, end(). What comes in is looked at before it is taken from the
 * socket (MSG_PEEK), so that after an upgrade nothing that belongs to the new protocol is lost.
 *
 * Owns its descriptor and watch. An owner that drops the op inside data() finds the request out of its life at once;
 * its memory goes when the callback has returned. */
#include "tunnel/tailnet/request.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES 65536

struct request {
    struct op *op; /* NULL: ended */
    struct loop *loop;
    struct request_spec spec; /* strings are not kept */
    struct answer answer;
    struct buf out, body;
    struct fault fault;
    struct watch *watch;
    struct defer later;
    struct timer limit;
    int fd, connect_error, result;
    bool connected, reading;
};

struct op *request_op(const struct request *r)
{
    return r->op;
}

const struct answer_head *request_head(const struct request *r)
{
    return &r->answer.head;
}

const struct buf *request_body(const struct request *r)
{
    return &r->body;
}

int request_connect_error(const struct request *r)
{
    return r->connect_error;
}

int request_take_fd(struct request *r)
{
    int fd = answer_upgraded(&r->answer) ? r->fd : -1;

    if (fd >= 0)
        r->fd = -1;
    return fd;
}

static void free_later(void *arg)
{
    struct request *r = arg;

    answer_done(&r->answer);
    buf_done(&r->out);
    buf_done(&r->body);
    mem_free(r);
}

/* Nothing more is heard of it. */
static void detach(struct request *r)
{
    timer_stop(r->loop, &r->limit);
    r->watch = watch_free(r->watch);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    r->op = NULL;
    if (r->spec.release)
        r->spec.release(r->spec.arg);
    r->spec.release = NULL;
    r->spec.data = NULL;
    if (!r->reading) {
        defer_stop(r->loop, &r->later);
        free_later(r);
    }
}

static void on_cancel(struct op *op, void *worker)
{
    (void)op;
    detach(worker);
}

static void end(struct request *r, int result)
{
    struct op *op = r->op;

    r->watch = watch_free(r->watch);
    if (result < 0 && !op->fault.code)
        op->fault = r->fault;
    if (r->spec.end)
        result = r->spec.end(r->spec.arg, r, result);
    detach(r);
    op_end(op, result);
}

static void end_later(void *arg)
{
    struct request *r = arg;
    end(r, r->result);
}

static void on_limit(void *arg)
{
    struct request *r = arg;

    fault_set(&r->fault, -ERR_TIMEOUT, "no answer within %lld ms", (long long)r->spec.limit_ms);
    end(r, -ERR_TIMEOUT);
}

/* ---- reading ---- */

static int on_body(void *arg, const char *data, size_t length)
{
    struct request *r = arg;
    size_t max = r->spec.body_max ? r->spec.body_max : REQUEST_BODY_MAX;

    if (!r->op)
        return -ERR_CANCELLED;
    if (r->spec.data && r->answer.head.status == 200)
        return r->spec.data(r->spec.arg, data, length);
    if (length > max - r->body.length)
        return fault_set(&r->fault, -ERR_TOO_LARGE, "its answer is longer than %zu bytes", max);
    buf_add(&r->body, data, length);
    return 0;
}

/* Looks at what is there, feeds it, takes what was eaten. 1: over, 0: more is to come, negative: failed. */
static int read_some(struct request *r)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(r->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return fault_set(&r->fault, -ERR_CLOSED, "the connection broke: %s", strerror(errno));
    if (n == 0) {
        int closed = answer_finish(&r->answer, &r->fault);
        return closed < 0 ? closed : 1;
    }
    ssize_t eaten = answer_feed(&r->answer, bytes, (size_t)n, &r->fault);
    if (eaten < 0)
        return (int)eaten;
    if (r->fd >= 0 && recv(r->fd, bytes, (size_t)eaten, MSG_DONTWAIT) != eaten)
        return fault_set(&r->fault, -ERR_IO, "the socket gave other bytes than it had shown");
    return answer_over(&r->answer) ? 1 : 0;
}

/* ---- writing ---- */

static int connect_failed(struct request *r, int error)
{
    int code = error == ENOENT || error == ECONNREFUSED ? -ERR_NOT_FOUND
               : error == EACCES || error == EPERM      ? -ERR_DENIED
                                                        : -ERR_CONNECT;
    r->connect_error = error;
    return fault_set(&r->fault, code, "cannot connect: %s", strerror(error));
}

static int write_some(struct request *r)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (!r->connected) {
        getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            return connect_failed(r, error);
        r->connected = true;
    }
    ssize_t n =
        r->out.length ? send(r->fd, r->out.data, r->out.length, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        buf_clear(&r->out); /* it may have answered before it closed: that is read */
    if (n > 0)
        buf_drop(&r->out, (size_t)n);
    watch_change(r->watch, POLLIN | (r->out.length ? POLLOUT : 0));
    return 0;
}

static void on_socket(void *arg, int events)
{
    struct request *r = arg;
    int result = events & POLLOUT || !r->connected ? write_some(r) : 0;

    if (result == 0 && events & POLLIN) {
        r->reading = true;
        result = read_some(r);
        r->reading = false;
        if (!r->op) { /* dropped inside data() */
            free_later(r);
            return;
        }
    }
    if (result != 0)
        end(r, result < 0 ? result : 0);
}

/* ---- start ---- */

static int connect_unix(struct request *r, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return fault_set(&r->fault, -ERR_INVALID, "the socket path is longer than 107 bytes");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd < 0)
        return connect_failed(r, errno);
    if (connect(r->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return connect_failed(r, errno); /* EAGAIN: its backlog is full */
    return 0;
}

static void print_head(struct request *r, const struct request_spec *spec)
{
    buf_addf(&r->out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: culvert\r\n%s", spec->method,
             spec->path, spec->host, spec->headers ? spec->headers : "");
    if (!spec->upgrade)
        buf_add_str(&r->out, "Connection: close\r\n");
    if (spec->body || strcmp(spec->method, "POST") == 0)
        buf_addf(&r->out, "Content-Length: %zu\r\n", spec->body ? spec->body_length : 0);
    buf_add_str(&r->out, "\r\n");
    if (spec->body)
        buf_add(&r->out, spec->body, spec->body_length);
}

void request_start(struct op *op, const struct request_spec *spec)
{
    struct request *r = NEW(struct request);

    r->op = op;
    r->loop = op->loop;
    r->spec = *spec;
    r->fd = spec->unix_path ? -1 : spec->fd;
    answer_init(&r->answer, on_body, r);
    buf_init(&r->out, REQUEST_BODY_MAX + ANSWER_HEAD_MAX);
    buf_init(&r->body, spec->body_max ? spec->body_max : REQUEST_BODY_MAX);
    op_start(op, on_cancel, r);

    r->result = spec->unix_path ? connect_unix(r, spec->unix_path) : 0;
    print_head(r, spec);
    if (r->result == 0 && r->out.bad)
        r->result = fault_set(&r->fault, -ERR_TOO_LARGE, "the request is too long");
    if (spec->limit_ms)
        timer_start(r->loop, &r->limit, spec->limit_ms, 0, on_limit, r);
    if (r->result < 0)
        defer_start(r->loop, &r->later, end_later, r);
    else
        r->watch = watch_new(r->loop, r->fd, POLLOUT, on_socket, r);
}
