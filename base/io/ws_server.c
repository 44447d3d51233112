/* The server side. Lives here: accepting, the bounded set of connections that are not WebSockets yet
 * (half-open), and a server's end.
 *
 * The path: the listening socket is ours; an accepted descriptor is handed to lws with a ws_half
 * behind it; the head arrives or the deadline does; a plain request goes to ws_http.c, an upgrade
 * turns the half into a ws. When too many wait for their head the oldest of them makes room: a crowd
 * that says nothing never keeps out who speaks. */
#include "base/io/ws_internal.h"

#include "base/io/listen_socket.h"

#include "base/mem.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN  64
#define HALF_OPEN_DEFAULT 128
#define HEAD_DEFAULT_MS   15000
#define KEEP_ALIVE_MS     15000
#define REPLY_DEFAULT_MS  60000
#define BODY_DEFAULT      (1u << 20)
#define STREAM_DEFAULT    (256u << 10)
#define RETRY_MS          250

/* ---- half-open connections ---- */

static void set_accepting(struct ws_server *server)
{
    bool want = server->fd >= 0 && !timer_running(&server->retry);

    if (!server->watch || want == server->accepting)
        return;
    server->accepting = want;
    watch_change(server->watch, want ? POLLIN : 0);
}

static void on_half_deadline(void *arg)
{
    struct ws_half *half = arg;

    CHECK(half, HALF_MAGIC);
    ws_half_free(half);
}

static void half_waits(struct ws_half *half, int64_t limit_ms)
{
    half->server->half_open += !half->waiting;
    half->waiting = true;
    timer_start(half->server->loop, &half->deadline, limit_ms, 0, on_half_deadline, half);
}

void ws_half_waits(struct ws_half *half)
{
    half_waits(half, KEEP_ALIVE_MS + half->server->config.head_timeout_ms);
}

void ws_half_reads(struct ws_half *half, int64_t limit_ms)
{
    timer_start(half->server->loop, &half->deadline, limit_ms, 0, on_half_deadline, half);
}

void ws_half_must_move(struct ws_half *half)
{
    timer_start(half->server->loop, &half->deadline, half->server->config.reply_timeout_ms, 0,
                on_half_deadline, half);
}

void ws_half_has_head(struct ws_half *half)
{
    timer_stop(half->server->loop, &half->deadline);
    if (!half->waiting)
        return;
    half->waiting = false;
    half->server->half_open--;
}

void ws_half_free(struct ws_half *half)
{
    struct ws_server *server = half->server;

    ws_half_has_head(half);
    if (half->exchange)
        ws_http_orphan(TAKE(half->exchange));
    ws_server_release(server, &half->peer);
    *half->link = half->next;
    if (half->next)
        half->next->link = half->link;
    if (half->wsi)
        ws_lws_kill(server->door, TAKE(half->wsi));
    half->magic = 0;
    mem_free(half);
}

static struct ws_half *half_new(struct ws_server *server, int fd, void *owner)
{
    struct ws_half *half = NEW(struct ws_half);
    socklen_t length = sizeof(half->peer.remote);
    struct ucred who;
    socklen_t who_length = sizeof(who);

    half->magic = HALF_MAGIC;
    half->server = server;
    half->peer = (struct ws_peer){
        .fd = fd,
        .uid = UINT32_MAX,
        .tls = server->vhost != NULL && !owner,
        .door = owner ? 0 : server->config.door,
        .owner = owner,
    };
    getpeername(fd, (struct sockaddr *)&half->peer.remote, &length);
    length = sizeof(half->peer.local);
    getsockname(fd, (struct sockaddr *)&half->peer.local, &length);
    half->peer.transport = owner ? WS_TUNNEL : server->unix_path ? WS_UNIX : WS_TCP;
    /* On TCP the call "succeeds" with uid -1, so it is not even asked. */
    if (half->peer.transport != WS_TCP &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_length) == 0) {
        half->peer.uid = who.uid;
        half->peer.pid = who.pid;
    }
    half->next = server->halves;
    half->link = &server->halves;
    if (half->next)
        half->next->link = &half->next;
    server->halves = half;
    half_waits(half, server->config.head_timeout_ms);
    return half;
}

/* The newest stand first in the list. False: nobody waits for a head. */
static bool drop_oldest_waiting(struct ws_server *server)
{
    struct ws_half *oldest = NULL;

    for (struct ws_half *half = server->halves; half; half = half->next)
        if (half->waiting)
            oldest = half;
    if (oldest)
        ws_half_free(oldest);
    return oldest != NULL;
}

static bool make_room(struct ws_server *server)
{
    const struct ws_server_config *config = &server->config;

    return (config->make_room && config->make_room(config->arg)) || drop_oldest_waiting(server);
}

static int adopt(struct ws_server *server, int fd, void *owner)
{
    bool tls = server->vhost && !owner;

    int on = 1;
    if (!server->unix_path && !owner)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    lws_adopt_desc_t desc = {
        .vh = tls ? server->vhost : server->door->plain,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | (tls ? LWS_ADOPT_ALLOW_SSL : LWS_ADOPT_SOCKET),
        .fd = {.sockfd = fd},
    };
    struct ws_half *half = half_new(server, fd, owner);
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&desc); /* closes fd when it fails */
    if (!wsi) {
        ws_half_free(half);
        return -ERR_FULL;
    }
    half->wsi = wsi;
    lws_set_opaque_user_data(wsi, half);
    return 0;
}

int ws_server_adopt(struct ws_server *server, int fd, void *owner)
{
    require(owner != NULL);
    if (server->fd < 0) { /* stopped */
        close(fd);
        if (server->config.released)
            server->config.released(server->config.arg, owner);
        return -ERR_CLOSED;
    }
    if (server->half_open >= server->config.half_open_max)
        drop_oldest_waiting(server);
    return adopt(server, fd, owner);
}

void ws_server_release(struct ws_server *server, struct ws_peer *peer)
{
    void *owner = TAKE(peer->owner);

    if (owner && server->config.released)
        server->config.released(server->config.arg, owner);
}

typedef bool owner_is_fn(const void *owner, const void *arg);

static struct ws_half *half_of(struct ws_server *server, owner_is_fn *is, const void *arg)
{
    for (struct ws_half *half = server->halves; half; half = half->next)
        if (half->peer.owner && is(half->peer.owner, arg))
            return half;
    return NULL;
}

void ws_server_drop(struct ws_server *server, owner_is_fn *is, const void *arg)
{
    struct ws_half *half;

    while ((half = half_of(server, is, arg)))
        ws_half_free(half);
    for (struct ws *ws = server->open; ws; ws = ws->next)
        if (ws->peer.owner && is(ws->peer.owner, arg))
            ws_abort(ws);
}

static void on_retry(void *arg)
{
    set_accepting(arg);
}

static void on_acceptable(void *arg, int events)
{
    struct ws_server *server = arg;
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_TURN && server->accepting; i++) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            /* Out of descriptors: an idler's will do; else do not spin on the backlog. */
            if (errno != EAGAIN && !make_room(server))
                timer_start(server->loop, &server->retry, RETRY_MS, 0, on_retry, server);
            break;
        }
        if (server->half_open >= server->config.half_open_max)
            drop_oldest_waiting(server);
        adopt(server, fd, NULL);
    }
    set_accepting(server);
}

/* ---- an upgrade is done ---- */

void ws_half_open(struct ws_half *half)
{
    struct ws_server *server = half->server;
    const struct ws_server_config *config = &server->config;
    struct ws *ws = ws_new(server->loop, config->output_max, config->message_max);

    ws->door = server->door;
    ws->door->refs++;
    ws->server = server;
    ws->peer = half->peer;
    half->peer.owner = NULL; /* it goes on in the ws */
    ws->wsi = TAKE(half->wsi);
    ws->next = server->open;
    ws->link = &server->open;
    if (ws->next)
        ws->next->link = &ws->next;
    server->open = ws;
    lws_set_opaque_user_data(ws->wsi, ws);
    ws_half_free(half);

    struct ws_head head;
    ws_head_init(&head, ws->wsi, &ws->peer);
    config->open(config->arg, ws, &head.request, &ws->events, &ws->arg);
    ws_head_done(&head);
}

/* ---- a server's life ---- */

static void set_defaults(struct ws_server_config *config)
{
    if (config->half_open_max <= 0)
        config->half_open_max = HALF_OPEN_DEFAULT;
    if (config->head_timeout_ms <= 0)
        config->head_timeout_ms = HEAD_DEFAULT_MS;
    if (config->reply_timeout_ms <= 0)
        config->reply_timeout_ms = REPLY_DEFAULT_MS;
    if (config->http_body_max == 0)
        config->http_body_max = BODY_DEFAULT;
    if (config->stream_max == 0)
        config->stream_max = STREAM_DEFAULT;
    if (config->unix_path && config->unix_mode == 0)
        config->unix_mode = 0600;
}

int ws_listen(struct loop *loop, const struct ws_server_config *config, struct ws_server **ret,
              struct fault *reterr_fault)
{
    struct ws_server_config settled = *config;
    set_defaults(&settled);
    struct listen_socket spec = {.host = config->host,
                                 .port = config->port,
                                 .unix_path = config->unix_path,
                                 .unix_mode = settled.unix_mode,
                                 .host_option = "--bind",
                                 .port_option = "--port"};
    int port, fd = listen_socket(&spec, &port, reterr_fault);
    if (fd < 0)
        return fd;

    struct ws_server *server = NEW(struct ws_server);
    bool tls = config->tls_certificate != NULL;
    server->loop = loop;
    server->fd = fd;
    server->port = port;
    server->config = settled;
    server->unix_path = mem_string(config->unix_path);
    server->door = ws_door_ref(loop, tls, reterr_fault);
    if (server->door && tls)
        server->vhost = ws_door_server_tls(server->door, config->tls_certificate, config->tls_key,
                                           reterr_fault);
    if (!server->door || (tls && !server->vhost)) {
        ws_server_free(server);
        return -ERR_IO;
    }
    server->watch = watch_new(loop, fd, POLLIN, on_acceptable, server);
    server->accepting = true;
    *ret = server;
    return 0;
}

int ws_server_port(const struct ws_server *server)
{
    return server->port;
}

void ws_server_stop(struct ws_server *server)
{
    if (server->fd < 0)
        return;
    timer_stop(server->loop, &server->retry);
    server->watch = watch_free(server->watch);
    close(server->fd);
    server->fd = -1;
    server->accepting = false;
    if (server->unix_path)
        unlink(server->unix_path);
}

struct ws_server *ws_server_free(struct ws_server *server)
{
    if (!server)
        return NULL;
    ws_server_stop(server);
    while (server->halves)
        ws_half_free(server->halves);
    timer_stop(server->loop, &server->look);
    while (server->open)
        ws_end_now(server->open, 1001, "going away");
    if (server->vhost)
        ws_door_drop_vhost(server->vhost);
    if (server->door)
        ws_door_unref(server->door);
    mem_free(server->unix_path);
    return mem_free(server);
}
