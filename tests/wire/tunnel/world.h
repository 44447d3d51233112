/* A tunnel, a real sshd and a gateway's stand-in on one loop, and clients that block no longer than a test may. */
#pragma once

#include "base/buf.h"
#include "base/crypto.h"
#include "tests/rig/sshd_rig.h"
#include "tunnel/tunnel.h"

#include <sys/un.h>
#include <time.h>

#define WORLD_WAIT_MS  15000
#define WORLD_PEER_MAX 1200
#define WORLD_TICKET   "0123456789abcdef0123456789abcdef0123456789a"

/* The stand-in: gives back what it gets, on a port and on a socket that wants a ticket line first. At the end of what
 * it gets it ends too. */
struct peer {
    struct world *world;
    struct watch *watch;
    struct buf out;
    int fd;
    bool ticket, ended;
};
struct world {
    struct loop *loop;
    struct timer beat; /* so that a wait for the loop ends */
    struct sshd_rig *rig;
    struct tunnel *tunnel;
    struct tunnel_status status;
    size_t changes, notices;
    char notice[512];
    char socket[120], bridge[120];
    int echo_port, echo_fd, ticket_fd;
    struct watch *echo_watch, *ticket_watch;
    struct peer peers[WORLD_PEER_MAX];
    size_t peer_count;
    char line[256]; /* the last ticket line */
};

/* ---- the stand-in ---- */

static inline void peer_end(struct peer *peer)
{
    peer->watch = watch_free(peer->watch);
    if (peer->fd >= 0)
        (void)close(peer->fd);
    peer->fd = -1;
    buf_done(&peer->out);
}

static inline void peer_flush(struct peer *peer)
{
    while (peer->out.length > 0) {
        ssize_t n = send(peer->fd, peer->out.data, peer->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        buf_drop(&peer->out, (size_t)n);
    }
    if (peer->out.length == 0 && peer->ended)
        peer_end(peer);
    else
        watch_change(peer->watch, (peer->ended || peer->out.length > 4u << 20 ? 0 : POLLIN) |
                                      (peer->out.length > 0 ? POLLOUT : 0));
}

static inline void peer_take_line(struct peer *peer)
{
    char *end = peer->out.data ? memchr(peer->out.data, '\n', peer->out.length) : NULL;

    if (!end)
        return;
    *end = '\0';
    (void)snprintf(peer->world->line, sizeof peer->world->line, "%s", peer->out.data);
    buf_drop(&peer->out, (size_t)(end - peer->out.data) + 1);
    peer->ticket = false;
    if (!strstr(peer->world->line, WORLD_TICKET)) {
        static const char refusal[] = "CULVERT/1 error this ticket is not known here\n";
        (void)send(peer->fd, refusal, sizeof refusal - 1, MSG_NOSIGNAL);
        peer_end(peer);
    }
}

static inline void peer_on_ready(void *arg, int events)
{
    struct peer *peer = arg;
    static char chunk[65536];

    if (events & POLLIN) {
        ssize_t n = recv(peer->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) {
            peer_end(peer);
            return;
        }
        peer->ended = peer->ended || n == 0;
        buf_add(&peer->out, chunk, n > 0 ? (size_t)n : 0);
        if (peer->ticket)
            peer_take_line(peer);
    }
    if (peer->fd >= 0 && !peer->ticket)
        peer_flush(peer);
    else if (peer->ended && peer->fd >= 0)
        peer_end(peer);
}

static inline void peer_accept(struct world *w, int door, bool ticket)
{
    int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    require(w->peer_count < WORLD_PEER_MAX);
    struct peer *peer = &w->peers[w->peer_count++];
    *peer = (struct peer){.world = w, .fd = fd, .ticket = ticket};
    buf_init(&peer->out, 64u << 20);
    peer->watch = watch_new(w->loop, fd, POLLIN, peer_on_ready, peer);
}
static inline void world_on_echo(void *arg, int events)
{
    (void)events;
    peer_accept(arg, ((struct world *)arg)->echo_fd, false);
}
static inline void world_on_ticket(void *arg, int events)
{
    (void)events;
    peer_accept(arg, ((struct world *)arg)->ticket_fd, true);
}

static inline int world_listen_tcp(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    require(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 200) == 0);
    require(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static inline int world_listen_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(at.sun_path, sizeof at.sun_path, "%.100s", path);
    (void)unlink(path);
    require(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 200) == 0);
    return fd;
}

static inline void world_gateway(struct world *w, const char *folder)
{
    char script[1024];

    (void)snprintf(w->socket, sizeof w->socket, "%.90s/tunnel.sock", folder);
    (void)snprintf(w->bridge, sizeof w->bridge, "%.90s/bridge", folder);
    /* As culvert bridge: an offer, then nothing until its input ends; --stdio gives back what it gets. */
    (void)snprintf(
        script, sizeof script,
        "#!/bin/sh\nif [ \"$1\" = --stdio ]; then exec cat; fi\n"
        "echo $$ >> %s.pids\n"
        "echo '{\"culvert\":1,\"version\":\"0\",\"socket\":\"%s\",\"ticket\":\"" WORLD_TICKET
        "\",\"gateway\":\"g\",\"services\":[\"gateway\",\"canvas\"]}'\nexec cat\n",
        w->bridge, w->socket);
    int fd = open(w->bridge, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    t_ok(write(fd, script, strlen(script)) > 0);
    (void)close(fd);
    w->echo_fd = world_listen_tcp(&w->echo_port);
    w->ticket_fd = world_listen_unix(w->socket);
    w->echo_watch = watch_new(w->loop, w->echo_fd, POLLIN, world_on_echo, w);
    w->ticket_watch = watch_new(w->loop, w->ticket_fd, POLLIN, world_on_ticket, w);
}

/* ---- the world ---- */

static inline void world_on_beat(void *arg)
{
    (void)arg;
}
static inline void world_on_changed(void *arg)
{
    struct world *w = arg;
    w->changes++;
    tunnel_status(w->tunnel, &w->status);
}
static inline void world_on_notice(void *arg, const char *text)
{
    struct world *w = arg;
    w->notices++;
    (void)snprintf(w->notice, sizeof w->notice, "%s", text);
}

/* NULL: skipped. */
static inline struct world *world_new(const char *sshd_config)
{
    struct loop *loop = loop_new(LOOP_REAL);
    struct sshd_rig *rig = sshd_rig_new(loop, sshd_config);

    struct world *w = NEW(struct world);
    w->loop = loop;
    w->rig = rig;
    timer_start(loop, &w->beat, 5, 5, world_on_beat, w);
    world_gateway(w, rig->folder);
    return w;
}

static inline struct world *world_free(struct world *w)
{
    w->tunnel = tunnel_stop(w->tunnel);
    for (size_t i = 0; i < w->peer_count; i++)
        peer_end(&w->peers[i]);
    watch_free(w->echo_watch);
    watch_free(w->ticket_watch);
    (void)close(w->echo_fd);
    (void)close(w->ticket_fd);
    sshd_rig_free(w->rig);
    timer_stop(w->loop, &w->beat);
    loop_free(w->loop);
    return mem_free(w);
}

/* One listener on a free port, the stand-in's bridge; more is for the caller to set before. */
static inline int world_start(struct world *w, struct tunnel_options options)
{
    static const struct tunnel_listen any = {.host = "127.0.0.1"};
    struct fault fault;

    fault_clear(&fault);
    options.target = w->rig->address;
    options.config_file = w->rig->config;
    if (!options.bridge_command)
        options.bridge_command = w->bridge;
    options.gateway_port = w->echo_port;
    if (!options.listen && !options.no_gateway) {
        options.listen = &any;
        options.listen_count = 1;
    }
    options.arg = w;
    options.changed = world_on_changed;
    options.notice = world_on_notice;
    int r = tunnel_start(w->loop, &options, &w->tunnel, &fault);
    if (r < 0)
        t_fail(__FILE__, __LINE__, "tunnel_start: %s", fault.text);
    else
        tunnel_status(w->tunnel, &w->status);
    return r;
}

static inline int64_t world_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Turns the loop until x holds; fails after WORLD_WAIT_MS. */
#define world_until(w, x)                                                                          \
    do {                                                                                           \
        int64_t end_ = world_ms() + WORLD_WAIT_MS;                                                 \
        while (!(x) && world_ms() < end_)                                                          \
            (void)loop_turn((w)->loop, true);                                                      \
        if (!(x))                                                                                  \
            t_fail(__FILE__, __LINE__, "waited in vain for %s (state %s, last error: %s)", #x,     \
                   tunnel_state_name((w)->status.state), (w)->status.last_error);                  \
    } while (0)

static inline void world_pass(struct world *w, int64_t ms)
{
    int64_t end = world_ms() + ms;
    while (world_ms() < end)
        (void)loop_turn(w->loop, true);
}

static inline void world_up(struct world *w)
{
    world_until(w, w->status.state == TUNNEL_UP);
}

/* ---- clients ---- */

static inline int world_port(const struct world *w, size_t endpoint)
{
    const char *colon = strrchr(w->status.endpoints[endpoint].address, ':');
    return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

static inline int world_dial_port(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    t_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}
static inline int world_dial(struct world *w)
{
    return world_dial_port(world_port(w, 0));
}

/* What came until the end, an error (-errno into *ret_end) or `length` bytes; turns the loop meanwhile. */
static inline size_t world_hear(struct world *w, int fd, char *out, size_t length, int *ret_end)
{
    int64_t until = world_ms() + WORLD_WAIT_MS;
    size_t got = 0;

    *ret_end = 1; /* neither */
    while (got < length && world_ms() < until) {
        ssize_t n = recv(fd, out + got, length - got, MSG_DONTWAIT);
        if (n > 0) {
            got += (size_t)n;
        } else if (n == 0 || errno != EAGAIN) {
            *ret_end = n == 0 ? 0 : -errno;
            break;
        } else {
            (void)loop_turn(w->loop, true);
        }
    }
    return got;
}

/* Says it and hears it back, byte for byte. */
static inline bool world_echo(struct world *w, int fd, const char *data, size_t length)
{
    char *heard = mem_new(length + 1);
    int64_t until = world_ms() + WORLD_WAIT_MS;
    size_t said = 0, got = 0;

    while (got < length && world_ms() < until) {
        ssize_t out =
            said < length ? send(fd, data + said, length - said, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        ssize_t in = recv(fd, heard + got, length - got, MSG_DONTWAIT);
        if (in == 0 || (in < 0 && errno != EAGAIN) || (out < 0 && errno != EAGAIN))
            break;
        said += out > 0 ? (size_t)out : 0;
        got += in > 0 ? (size_t)in : 0;
        (void)loop_turn(w->loop, in < 0);
    }
    bool same = got == length && memcmp(heard, data, length) == 0;
    mem_free(heard);
    return same;
}
static inline bool world_echo_text(struct world *w, int fd, const char *text)
{
    return world_echo(w, fd, text, strlen(text));
}
