/* tunnel.sock: accepting, and the first line of each connection, read exactly; what follows it stays in the socket. The
 * path: accept -> arrival -> bridge.c, or stream.c. What is wrong hears one line and the end. Owns arrivals and
 * bridges; tickets.c has the tickets, the WebSocket server the streams. */
#include "gateway/tunnel/tunnels.h"

#define LOG_SUBSYSTEM "tunnel"
#include "base/io/listen_socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/listen.h"
#include "gateway/pairing/pairing.h"
#include "gateway/tunnel/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 32
#define RETRY_MS         250
#define WORDS_MAX        10 /* lines of the log in a minute, of each kind */
#define WORDS_MS         60000

/* ---- the configuration changed ---- */

/* Who holds more than tunnel.trust gives by now comes again, for less or for nothing. */
static bool holds_too_much(struct gateway *gw, const struct conn *conn)
{
    const struct device *device = conn->device_id ? device_find(gw, conn->device_id) : NULL;
    struct device_carry carry;

    if (!device || conn->state != CONN_OPEN)
        return false;
    device_carries(gw, device, conn->identity, &carry);
    return !(carry.roles & (unsigned)conn->role) ||
           (conn->scopes & ~scope_effective(carry.scopes, 4)) != 0;
}

static void on_config(void *arg)
{
    struct gateway *gw = arg;

    if (!config_changed(gw->config, "tunnel.trust"))
        return;
    conn_each (conn, gw)
        if (holds_too_much(gw, conn))
            conn_close(conn, 1012, "what tunnel.trust gives has changed, connect again");
}

struct tunnels *tunnels_new(struct gateway *gw)
{
    struct tunnels *tunnels = NEW(struct tunnels);

    config_watch(gw->config, on_config, gw);

    tunnels->gw = gw;
    tunnels->fd = -1;
    tunnels->tickets = tickets_new();
    return tunnels;
}

const char *tunnels_path(const struct gateway *gw)
{
    return gw->tunnels->path;
}

/* ---- tickets and their streams ---- */

static bool has_ticket(const void *owner, const void *arg)
{
    const struct peer_identity *identity = owner;
    const uint64_t *id = arg;

    return identity->ticket == *id;
}

void tunnels_ticket_end(struct gateway *gw, uint64_t id)
{
    struct ws_server *server = listen_server(gw, DOOR_SOCKET);

    tickets_end(gw->tunnels->tickets, id);
    if (server)
        ws_server_drop(server, has_ticket, &id);
}

int tunnels_ticket(struct gateway *gw, const char *via, char out[TOKEN_TEXT], uint64_t *ret_id,
                   struct fault *reterr_fault)
{
    CLEAN(peer_identity_unref)
    struct peer_identity *identity = peer_identity_new(IDENTITY_PUBLISH);
    struct ticket *ticket;

    identity->via = mem_string(via);
    int r = tickets_issue(gw->tunnels->tickets, (uint32_t)geteuid(), (int32_t)getpid(), identity,
                          out, &ticket, reterr_fault);
    if (r == 0)
        *ret_id = ticket->id;
    return r;
}

void tunnels_released(void *arg, void *owner)
{
    struct gateway *gw = arg;
    struct peer_identity *identity = owner;
    struct ticket *ticket =
        gw->tunnels ? tickets_find(gw->tunnels->tickets, identity->ticket) : NULL;

    if (ticket)
        ticket->streams--;
    peer_identity_unref(identity);
}

/* ---- an arrival's life ---- */

void arrival_free(struct arrival *arrival)
{
    struct tunnels *tunnels = arrival->tunnels;
    struct loop *loop = tunnels->gw->loop;
    uint64_t ticket = arrival->ticket;

    timer_stop(loop, &arrival->deadline);
    op_drop(&arrival->op);
    watch_free(arrival->watch);
    if (arrival->fd >= 0)
        close(arrival->fd);
    tunnels->waiting -= arrival->waiting;
    tunnels->looks -= arrival->looking;
    *arrival->link = arrival->next;
    if (arrival->next)
        arrival->next->link = arrival->link;
    if (arrival->line.data)
        crypto_wipe(arrival->line.data, arrival->line.length); /* a ticket */
    buf_done(&arrival->line);
    json_free(arrival->tree);
    arrival->magic = 0;
    mem_free(arrival);
    if (ticket)
        tunnels_ticket_end(tunnels->gw, ticket);
}

bool tunnels_may_say(struct tunnels *tunnels, struct words *words, const char *what)
{
    int64_t now = loop_now(tunnels->gw->loop);

    if (!words->said || now - words->since > WORDS_MS) {
        if (words->unsaid)
            log_info("tunnel.sock: %u more %s", words->unsaid, what);
        *words = (struct words){.since = now};
    }
    if (words->said == WORDS_MAX) {
        words->unsaid++;
        return false;
    }
    words->said++;
    return true;
}

/* Never with the ticket. */
static void complain(struct tunnels *tunnels, const struct arrival *arrival, const char *why)
{
    if (tunnels_may_say(tunnels, &tunnels->complaints, "refused"))
        log_warn("tunnel.sock: refused a connection of uid %u: %s", arrival->uid, why);
}

void arrival_say(struct arrival *arrival, const struct buf *line)
{
    /* A line on a fresh socket always fits. */
    ssize_t n = send(arrival->fd, line->data, line->length, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)n;
}

void arrival_refuse(struct arrival *arrival, const char *why)
{
    CLEAN(buf_done) struct buf line;

    complain(arrival->tunnels, arrival, why);
    buf_init(&line, BRIDGE_LINE_MAX);
    bridge_write_error(&line, why);
    arrival_say(arrival, &line);
    arrival_free(arrival);
}

/* ---- the first line ---- */

static void on_silence(void *arg)
{
    struct arrival *arrival = arg;

    CHECK(arrival, ARRIVAL_MAGIC);
    arrival_refuse(arrival, "nothing was said in time");
}

/* Takes what belongs to the line and leaves the rest in the socket. 1: the line is whole; 0: more is to come;
 * negative: the end, or too long. */
static int read_line(struct arrival *arrival)
{
    char part[BRIDGE_LINE_MAX];
    ssize_t n = recv(arrival->fd, part, sizeof(part), MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -ERR_CLOSED;
    const char *end = memchr(part, '\n', (size_t)n);
    size_t mine = end ? (size_t)(end - part) + 1 : (size_t)n;
    if (arrival->line.length + mine > BRIDGE_LINE_MAX)
        return -ERR_TOO_LARGE;
    n = recv(arrival->fd, part, mine, MSG_DONTWAIT);
    if (fails(n == (ssize_t)mine))
        return -ERR_CLOSED;
    buf_add(&arrival->line, part, mine);
    crypto_wipe(part, mine);
    return end != NULL;
}

static void on_arrival(void *arg, int events)
{
    struct arrival *arrival = arg;

    CHECK(arrival, ARRIVAL_MAGIC);
    (void)events;
    if (!arrival->waiting) {
        arrival_bridge_readable(arrival);
        return;
    }
    int r = read_line(arrival);
    if (r == 0)
        return;
    if (r == -ERR_CLOSED) {
        arrival_free(arrival);
        return;
    }
    if (r < 0) {
        arrival_refuse(arrival, "the first line is too long");
        return;
    }
    timer_stop(arrival->tunnels->gw->loop, &arrival->deadline);
    arrival->waiting = false;
    arrival->tunnels->waiting--;
    if (bridge_is_register(arrival->line.data, arrival->line.length))
        arrival_bridge(arrival);
    else
        arrival_stream(arrival);
}

/* ---- accepting ---- */

/* The newest stand first. uid UINT32_MAX: anybody's. */
static size_t count_waiting(struct tunnels *tunnels, uint32_t uid, struct arrival **ret_oldest)
{
    size_t count = 0;

    for (struct arrival *a = tunnels->arrivals; a; a = a->next)
        if (a->waiting && (uid == UINT32_MAX || a->uid == uid)) {
            *ret_oldest = a;
            count++;
        }
    return count;
}

/* A crowd that says nothing keeps nobody out, and one user's crowd no other user. */
static void make_room(struct tunnels *tunnels, uint32_t uid)
{
    struct arrival *oldest = NULL;

    if (count_waiting(tunnels, uid, &oldest) >= TUNNEL_ARRIVALS_USER_MAX ||
        count_waiting(tunnels, UINT32_MAX, &oldest) >= TUNNEL_ARRIVALS_MAX)
        arrival_refuse(oldest, "too many connections wait to say who they are");
}

static void arrive(struct tunnels *tunnels, int fd)
{
    struct ucred who = {.uid = UINT32_MAX};
    socklen_t length = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0 || who.uid == UINT32_MAX) {
        close(fd);
        return;
    }
    make_room(tunnels, who.uid);
    struct arrival *arrival = NEW(struct arrival);
    arrival->magic = ARRIVAL_MAGIC;
    arrival->tunnels = tunnels;
    arrival->fd = fd;
    arrival->uid = who.uid;
    arrival->pid = who.pid;
    buf_init(&arrival->line, BRIDGE_LINE_MAX);
    arrival->next = tunnels->arrivals;
    arrival->link = &tunnels->arrivals;
    if (arrival->next)
        arrival->next->link = &arrival->next;
    tunnels->arrivals = arrival;
    arrival->waiting = true;
    tunnels->waiting++;
    timer_start(tunnels->gw->loop, &arrival->deadline, TUNNEL_LINE_MS, 0, on_silence, arrival);
    arrival->watch = watch_new(tunnels->gw->loop, fd, POLLIN, on_arrival, arrival);
}

static void on_retry(void *arg)
{
    struct tunnels *tunnels = arg;

    if (tunnels->watch)
        watch_change(tunnels->watch, POLLIN);
}

static void on_acceptable(void *arg, int events)
{
    struct tunnels *tunnels = arg;

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(tunnels->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            arrive(tunnels, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN) { /* out of descriptors: do not spin on the backlog */
            watch_change(tunnels->watch, 0);
            timer_start(tunnels->gw->loop, &tunnels->retry, RETRY_MS, 0, on_retry, tunnels);
        }
        return;
    }
}

int tunnels_open(struct gateway *gw, struct fault *reterr_fault)
{
    struct tunnels *tunnels = gw->tunnels;
    CLEAN(mem_free) char *path = listen_path(gw, "tunnel.sock");
    int port, fd;

    fd = listen_socket(&(struct listen_socket){.unix_path = path, .unix_mode = listen_mode(gw)},
                       &port, reterr_fault);
    if (fd < 0)
        return fd;
    tunnels->path = TAKE(path);
    tunnels->fd = fd;
    tunnels->watch = watch_new(gw->loop, fd, POLLIN, on_acceptable, tunnels);
    return 0;
}

void tunnels_stop(struct gateway *gw)
{
    struct tunnels *tunnels = gw->tunnels;

    if (!tunnels || tunnels->fd < 0)
        return;
    timer_stop(gw->loop, &tunnels->retry);
    tunnels->watch = watch_free(tunnels->watch);
    close(tunnels->fd);
    tunnels->fd = -1;
    unlink(tunnels->path);
}

struct tunnels *tunnels_free(struct tunnels *tunnels)
{
    if (!tunnels)
        return NULL;
    config_unwatch(tunnels->gw->config, on_config, tunnels->gw);
    tunnels_stop(tunnels->gw);
    while (tunnels->arrivals)
        arrival_free(tunnels->arrivals);
    tickets_free(tunnels->tickets);
    mem_free(tunnels->path);
    return mem_free(tunnels);
}
