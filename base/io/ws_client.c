/* The client side: resolve, connect, TLS, upgrade. The path: ws_connect starts the op; the name is
 * resolved in the pool (never on the loop); try_next connects to one address after the other by lws;
 * the upgrade ends the op, and reading begins when the op's done has run.
 *
 * A failure that lws only calls "Unable to connect" is looked at again with a socket of our own, to
 * say why. A ws that never opened has no events; it is freed right after its op's done. */
#include "base/io/ws_client_internal.h"

#include "base/io/tls_certificate.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define CONNECT_DEFAULT_MS 30000
#define PROBE_MS           1000

static void connect_free(struct ws_connect *c)
{
    struct loop *loop = c->ws->loop;

    timer_stop(loop, &c->deadline);
    timer_stop(loop, &c->probe_deadline);
    defer_stop(loop, &c->later);
    if (c->probe) {
        c->probe = watch_free(c->probe);
        close(c->probe_fd);
    }
    if (c->resolve) {
        c->resolve->connect = NULL;
        uv_cancel((uv_req_t *)&c->resolve->request);
    }
    if (c->addresses)
        uv_freeaddrinfo(c->addresses);
    c->ws->connect = NULL;
    mem_free(c->host);
    mem_free(c->unix_path);
    mem_free(c->path);
    mem_free(c->origin);
    mem_free(c->pin);
    mem_free(c);
}

/* The end without a connection. The op (if it is still there) has its fault. */
static void give_up(struct ws_connect *c, int code)
{
    struct ws *ws = c->ws;
    struct op *op = TAKE(c->op);

    connect_free(c);
    ws->events = NULL; /* it never opened: nothing is told */
    if (op)
        op_end(op, code);
    ws_end(ws, 1006, NULL); /* freed by a deferred call that runs after the op's */
}

static void where(const struct ws_connect *c, char *out, size_t size)
{
    if (c->unix_path)
        snprintf(out, size, "%s", c->unix_path);
    else if (c->address[0] && strcmp(c->address, c->host) != 0)
        snprintf(out, size, "%s port %d (%s)", c->host, c->port, c->address);
    else
        snprintf(out, size, "%s port %d", c->host, c->port);
}

static void fail_with(struct ws_connect *c, int code, const char *why)
{
    char place[FAULT_TEXT_MAX / 2];

    where(c, place, sizeof(place));
    if (c->op && !c->op->fault.code)
        fault_set(&c->op->fault, code, "cannot connect to %s: %s", place, why);
    give_up(c, code);
}

/* ---- why it did not connect ---- */

static const char *errno_reason(int error)
{
    switch (error) {
    case ECONNREFUSED: return "connection refused: nothing listens there";
    case ENOENT: return "no such socket: the gateway is not running there";
    case EACCES:
    case EPERM: return "permission denied";
    case EHOSTUNREACH:
    case ENETUNREACH: return "no route to that host";
    case ETIMEDOUT: return "no answer";
    case 0:
        return "it takes connections but closed this one before the upgrade; if it speaks TLS, use "
               "wss://";
    default: return strerror(error);
    }
}

static void probe_ends(struct ws_connect *c, int error)
{
    fail_with(c, -ERR_CONNECT, errno_reason(error));
}

static void on_probe(void *arg, int events)
{
    struct ws_connect *c = arg;
    int error = 0;
    socklen_t length = sizeof(error);
    (void)events;

    getsockopt(c->probe_fd, SOL_SOCKET, SO_ERROR, &error, &length);
    probe_ends(c, error);
}

static void on_probe_deadline(void *arg)
{
    probe_ends(arg, ETIMEDOUT);
}

/* last: the address lws tried last; NULL: the path. */
static void probe(struct ws_connect *c, const struct addrinfo *last)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    const struct sockaddr *to = last ? last->ai_addr : (const struct sockaddr *)&path;
    socklen_t length = last ? last->ai_addrlen : (socklen_t)sizeof(path);

    if (!last)
        snprintf(path.sun_path, sizeof(path.sun_path), "%s", c->unix_path);
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : connect(fd, to, length) == 0 ? 0 : errno;
    if (error != EINPROGRESS) {
        if (fd >= 0)
            close(fd);
        probe_ends(c, error);
        return;
    }
    c->probe_fd = fd;
    c->probe = watch_new(c->ws->loop, fd, POLLOUT, on_probe, c);
    timer_start(c->ws->loop, &c->probe_deadline, PROBE_MS, 0, on_probe_deadline, c);
}

/* ---- connecting ---- */

/* When connect() itself fails, lws 4.1 closes the descriptor and forgets its uv_poll_t, which then keeps
 * the loop from ever closing. So what a connect adds to the loop is remembered, and closed if it is
 * still there when lws has given up. */
struct find {
    uv_handle_t *after, *wanted, *found;
};

static void on_handle_last(uv_handle_t *handle, void *arg)
{
    *(uv_handle_t **)arg = handle; /* new ones are appended */
}

static void on_handle_after(uv_handle_t *handle, void *arg)
{
    struct find *find = arg;

    if (!find->after && handle->type == UV_POLL)
        find->found = handle;
    if (find->after == handle)
        find->after = NULL;
}

static uv_handle_t *watcher_after(uv_loop_t *loop, uv_handle_t *last)
{
    struct find find = {.after = last};
    uv_walk(loop, on_handle_after, &find);
    return find.found;
}

static void on_handle_wanted(uv_handle_t *handle, void *arg)
{
    struct find *find = arg;
    if (handle == find->wanted)
        find->found = handle;
}

static void on_watcher_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void sweep_watcher(struct ws_connect *c)
{
    struct find find = {.wanted = c->watcher};

    c->watcher = NULL;
    uv_walk(loop_uv(c->ws->loop), on_handle_wanted, &find);
    if (find.found && !uv_is_closing(find.found))
        uv_close(find.found, on_watcher_closed);
}

static void try_next(struct ws_connect *c);

static void connect_start(struct ws_connect *c, const char *address)
{
    struct ws *ws = c->ws;
    char host[300];
    int tls = !c->tls  ? 0
              : c->pin ? LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK
                       : LCCSCF_USE_SSL;
    bool six = c->host && strchr(c->host, ':');

    /* TLS takes the name for SNI from here and cuts it at a colon. */
    if (c->unix_path)
        snprintf(host, sizeof(host), "localhost");
    else
        snprintf(host, sizeof(host), six ? "[%s]:%d" : "%s:%d", c->host, c->port);
    struct lws_client_connect_info info = {
        .context = ws->door->context,
        .vhost =
            c->tls ? ws_door_client_tls(ws->door, c->pin != NULL, &c->op->fault) : ws->door->plain,
        .address = address,
        .port = c->unix_path ? 0 : c->port,
        .ssl_connection = tls | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .path = c->path,
        .host = host,
        .origin = c->origin,
        .ietf_version_or_minus_one = -1,
        .alpn = "http/1.1",
    };
    if (!info.vhost) {
        give_up(c, -ERR_IO);
        return;
    }
    uv_handle_t *last = NULL;
    c->starting = true;
    uv_walk(loop_uv(ws->loop), on_handle_last, &last);
    ws->wsi = lws_client_connect_via_info(&info);
    c->starting = false;
    c->watcher = watcher_after(loop_uv(ws->loop), last);
    if (ws->wsi)
        lws_set_opaque_user_data(ws->wsi, ws);
    else
        ws_connect_failed(ws, "Unable to connect");
}

static void try_next(struct ws_connect *c)
{
    if (c->unix_path) {
        char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
        snprintf(address, sizeof(address), "+%s", c->unix_path);
        connect_start(c, address);
        return;
    }

    struct addrinfo *a = c->next;
    const void *in = a->ai_family == AF_INET6
                         ? (const void *)&((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr
                         : (const void *)&((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr;
    c->next = a->ai_next;
    inet_ntop(a->ai_family, in, c->address, sizeof(c->address));
    connect_start(c, c->address);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    struct resolve *resolve = request->data;
    struct ws_connect *c = resolve->connect;

    mem_free(resolve);
    if (!c) {
        if (result)
            uv_freeaddrinfo(result);
        return;
    }
    c->resolve = NULL;
    c->addresses = c->next = result;
    if (status < 0 || !result) {
        if (c->op)
            fault_set(&c->op->fault, -ERR_CONNECT, "cannot find the address of %s: %s", c->host,
                      status < 0 ? uv_strerror(status) : "it has none");
        give_up(c, -ERR_CONNECT);
        return;
    }
    try_next(c);
}

static void resolve_start(struct ws_connect *c)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[16];

    c->resolve = NEW(struct resolve);
    c->resolve->connect = c;
    c->resolve->request.data = c->resolve;
    snprintf(port, sizeof(port), "%d", c->port);
    int r = uv_getaddrinfo(loop_uv(c->ws->loop), &c->resolve->request, on_resolved, c->host, port,
                           &hints);
    if (r == 0)
        return;
    c->resolve = mem_free(c->resolve);
    fail_with(c, -ERR_CONNECT, uv_strerror(r));
}

/* ---- what lws tells (through ws_lws.c) ---- */

static void on_opened_later(void *arg)
{
    struct ws_connect *c = arg;
    struct ws *ws = c->ws;

    connect_free(c);
    if (ws->state != WS_ENDED && !ws->paused) /* the owner may have paused it in done */
        ws_lws_pause(ws, false);
}

void ws_connect_opened(struct ws *ws)
{
    struct ws_connect *c = ws->connect;
    struct op *op = TAKE(c->op);
    socklen_t length = sizeof(ws->peer.remote);

    ws->state = WS_OPEN;
    ws->last_read = loop_now(ws->loop);
    ws->peer.fd = lws_get_socket_fd(ws->wsi);
    getpeername(ws->peer.fd, (struct sockaddr *)&ws->peer.remote, &length);
    length = sizeof(ws->peer.local);
    getsockname(ws->peer.fd, (struct sockaddr *)&ws->peer.local, &length);
    timer_stop(ws->loop, &c->deadline);
    ws_lws_pause(ws, true); /* no event before the op's done */
    op_end(op, 0);
    defer_start(ws->loop, &c->later, on_opened_later, c);
}

/* What lws could say about it; "" when it did not even connect (its words for that vary). */
static void describe_refusal(const struct ws *ws, const char *what, char *out, size_t size)
{
    if (ws->connect->tls_reason[0])
        snprintf(out, size, "TLS: %s", ws->connect->tls_reason);
    else if (ws->status && ws->status != 101)
        snprintf(out, size, "the server refused the upgrade with HTTP status %d", ws->status);
    else if (strncmp(what, "connect SSL", 11) == 0 || strncmp(what, "connect SYSCALL", 15) == 0)
        snprintf(out, size, "TLS failed: the other end does not speak it, or gave up (%s)", what);
    else if (strncmp(what, "HS: ", 4) == 0)
        snprintf(out, size, "the server does not do the WebSocket handshake (%s)", what + 4);
    else
        out[0] = '\0';
}

/* Not from inside lws: the next address, or the reason. */
static void on_failed_later(void *arg)
{
    struct ws_connect *c = arg;
    struct addrinfo *last = c->addresses;

    sweep_watcher(c);
    if (c->why[0]) {
        int status = c->ws->status;
        fail_with(c, status == 401 || status == 403 ? -ERR_DENIED : -ERR_CONNECT, c->why);
    } else if (!c->unix_path && c->next) {
        try_next(c);
    } else {
        while (last && last->ai_next)
            last = last->ai_next;
        probe(c, last);
    }
}

void ws_connect_failed(struct ws *ws, const char *what)
{
    struct ws_connect *c = ws->connect;

    if (!c || c->starting)
        return;
    ws->wsi = NULL;
    describe_refusal(ws, what, c->why, sizeof(c->why));
    defer_start(ws->loop, &c->later, on_failed_later, c);
}

/* ---- start and end ---- */

void ws_connect_drop(struct ws *ws)
{
    struct ws_connect *c = ws->connect;

    if (c && c->op)
        fault_set(&c->op->fault, -ERR_CANCELLED, "the connection was given up");
    if (c)
        give_up(c, -ERR_CANCELLED);
}

void ws_connect_forget(struct ws *ws)
{
    if (ws->connect)
        connect_free(ws->connect);
}

static void on_cancel(struct op *op, void *worker)
{
    struct ws_connect *c = worker;
    (void)op;

    c->op = NULL;
    give_up(c, -ERR_CANCELLED);
}

static void on_deadline(void *arg)
{
    struct ws_connect *c = arg;

    fail_with(c, -ERR_TIMEOUT, "no answer in time");
}

static void on_unix_start(void *arg)
{
    try_next(arg);
}

void ws_connect(struct op *op, const struct ws_target *target, const struct ws_events *events,
                void *arg, struct ws **ret_ws)
{
    struct ws *ws = ws_new(op->loop, target->output_max, target->message_max);
    struct ws_connect *c = NEW(struct ws_connect);
    char pin[TLS_SHA256];

    ws->state = WS_CONNECTING;
    ws->client = true;
    ws->events = events;
    ws->arg = arg;
    ws->connect = c;
    ws->peer.transport = target->unix_path ? WS_UNIX : WS_TCP;
    ws->peer.tls = target->tls;
    c->ws = ws;
    c->op = op;
    c->host = mem_string(target->host);
    c->port = target->port;
    c->unix_path = mem_string(target->unix_path);
    c->path = mem_string(target->path ? target->path : "/");
    c->origin = mem_string(target->origin);
    c->tls = target->tls;
    c->pin = target->pin && tls_fingerprint_parse(target->pin, pin) ? mem_string(pin) : NULL;
    *ret_ws = ws;
    op_start(op, on_cancel, c);
    timer_start(ws->loop, &c->deadline, CONNECT_DEFAULT_MS, 0, on_deadline, c);

    ws->door = ws_door_ref(ws->loop, target->tls, &op->fault);
    if (!ws->door)
        give_up(c, -ERR_IO);
    else if (target->pin && !c->pin)
        fail_with(c, -ERR_INVALID, "the pin is not a SHA-256 fingerprint of 64 hex digits");
    else if (c->unix_path && strlen(c->unix_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        fail_with(c, -ERR_INVALID, "the socket path is longer than 107 bytes");
    else if (c->unix_path)
        defer_start(ws->loop, &c->later, on_unix_start, c);
    else if (!c->host || !*c->host || c->port <= 0 || c->port > 65535)
        fail_with(c, -ERR_INVALID, "the address has no host or no valid port");
    else
        resolve_start(c);
}
