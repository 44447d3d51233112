/* The path of a byte down: channel -> pump_on_data -> send(), straight from the session's buffer; what the socket does
 * not take stays with the session (pump_on_data says how much was taken) until the socket is writable again. Up:
 * pump_read -> ssh_channel_write; what the channel does not take waits in rest and the socket is not read meanwhile.
 *
 * Ends: the far end's goes to the socket as shutdown, the socket's as ssh_channel_end; after both the channel's close is
 * awaited. Anything else (error, session lost) resets the socket, so that half an answer never looks whole.
 *
 * Owns the descriptor, the channel, rest. */
#include "tunnel/pump.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUMP_MAGIC   0x70756d70u
#define PUMP_READS   4 /* chunks read in one turn: others have theirs */
#define PUMP_REFUSAL "CULVERT/1 error "

struct pump {
    uint32_t magic;
    struct loop *loop;
    struct board *board;
    const struct pump_events *events;
    void *arg;

    int fd;
    struct watch *watch;
    int watched; /* POLLIN | POLLOUT */
    struct ssh_channel *channel;
    struct buf rest;          /* from the socket, not yet taken by the channel */
    struct buf answer;        /* what may be a refusal */
    char noise[128];          /* the last words of a command */
    struct timer linger;      /* ceilings of the waits for an end */
    struct defer finish;      /* ended() is never told from inside a call */
    struct fault why;         /* of the end */
    bool open, gated;         /* gated: no byte has come yet */
    bool in_ended, in_shut;   /* the far end sends no more; the socket knows */
    bool out_ended, out_shut; /* the socket sends no more; the channel knows */
    bool blocked;             /* the channel took less than given */
    bool moved;               /* bytes, since the linger timer began */
};

static void pump_fail(struct pump *pump, int code, const char *what);

struct pump *pump_new(struct loop *loop, int fd, struct board *board,
                      const struct pump_events *events, void *arg)
{
    struct pump *pump = NEW(struct pump);
    int on = 1;

    pump->magic = PUMP_MAGIC;
    pump->loop = loop;
    pump->fd = fd;
    pump->board = board;
    pump->events = events;
    pump->arg = arg;
    buf_init(&pump->rest, 2 * PUMP_CHUNK);
    buf_init(&pump->answer, PUMP_ANSWER_MAX);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a unix socket: no matter */
    return pump;
}

void pump_reset_socket(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

struct pump *pump_free(struct pump *pump, bool reset)
{
    if (!pump)
        return NULL;
    CHECK(pump, PUMP_MAGIC);
    ssh_channel_drop(pump->channel);
    watch_free(pump->watch);
    if (reset)
        pump_reset_socket(pump->fd);
    else
        (void)close(pump->fd);
    timer_stop(pump->loop, &pump->linger);
    defer_stop(pump->loop, &pump->finish);
    buf_done(&pump->rest);
    buf_done(&pump->answer);
    pump->magic = 0;
    return mem_free(pump);
}

/* ---- the end ---- */

static void pump_finish(void *arg)
{
    struct pump *pump = arg;
    const struct pump_events *events = pump->events;
    void *owner = pump->arg;
    struct fault why = pump->why;

    pump_free(pump, why.code != 0);
    events->ended(owner, why.code ? &why : NULL);
}

/* why is set or empty; what is still in the channel or the socket is not awaited. */
static void pump_end(struct pump *pump)
{
    pump->open = false;
    pump->channel = ssh_channel_drop(pump->channel);
    pump->watch = watch_free(pump->watch);
    timer_stop(pump->loop, &pump->linger);
    defer_start(pump->loop, &pump->finish, pump_finish, pump);
}

static void pump_fail(struct pump *pump, int code, const char *what)
{
    if (!pump->why.code)
        fault_set(&pump->why, code, "%s", what);
    pump_end(pump);
}

static void pump_on_linger(void *arg)
{
    struct pump *pump = arg;

    if (pump->moved) {
        pump->moved = false;
        timer_start(pump->loop, &pump->linger, PUMP_HALF_MS, 0, pump_on_linger, pump);
    } else if (pump->in_shut && pump->out_shut)
        pump_end(pump);
    else
        pump_fail(pump, -ERR_TIMEOUT, "a connection closed on one side was silent for an hour");
}

/* What the socket is watched for follows from the state, and so do the ends that can now be passed on. */
static void pump_settle(struct pump *pump)
{
    int wanted = 0;

    if (!pump->out_ended && !pump->blocked)
        wanted |= POLLIN;
    if (pump->watched & POLLOUT)
        wanted |= POLLOUT;
    if (wanted != pump->watched) {
        pump->watched = wanted;
        watch_change(pump->watch, wanted);
    }
    if (pump->out_ended && !pump->out_shut && pump->rest.length == 0) {
        pump->out_shut = true;
        ssh_channel_end(pump->channel);
    }
    if (pump->in_ended && !pump->in_shut) {
        pump->in_shut = true;
        (void)shutdown(pump->fd, SHUT_WR);
    }
    if (pump->in_shut && pump->out_shut)
        timer_start(pump->loop, &pump->linger, PUMP_LINGER_MS, 0, pump_on_linger, pump);
    else if (pump->in_shut || pump->out_shut)
        timer_start(pump->loop, &pump->linger, PUMP_HALF_MS, 0, pump_on_linger, pump);
}

/* ---- up: socket to channel ---- */

/* False: it took less than given. */
static bool pump_give(struct pump *pump, const char *data, size_t length)
{
    size_t taken = ssh_channel_write(pump->channel, data, length);

    pump->moved = true;
    board_add(pump->board->bytes_out, taken);
    if (taken < length) {
        pump->blocked = true;
        buf_add(&pump->rest, data + taken, length - taken);
    }
    return taken == length;
}

static void pump_read(struct pump *pump)
{
    char LATER chunk[PUMP_CHUNK];

    for (int i = 0; i < PUMP_READS && !pump->blocked; i++) {
        ssize_t n = recv(pump->fd, chunk, sizeof chunk, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            pump_fail(pump, -ERR_CLOSED, "the local connection was reset");
            return;
        }
        if (n == 0) {
            pump->out_ended = true;
            pump_settle(pump);
            return;
        }
        if (!pump_give(pump, chunk, (size_t)n)) {
            pump_settle(pump);
            return;
        }
        if ((size_t)n < sizeof chunk)
            return;
    }
}

static void pump_on_writable(void *arg)
{
    struct pump *pump = arg;

    CHECK(pump, PUMP_MAGIC);
    if (pump->rest.length > 0) {
        size_t taken = ssh_channel_write(pump->channel, pump->rest.data, pump->rest.length);
        board_add(pump->board->bytes_out, taken);
        buf_drop(&pump->rest, taken);
    }
    if (pump->rest.length > 0)
        return;
    pump->blocked = false;
    pump_settle(pump);
}

/* ---- down: channel to socket ---- */

/* It is an answer after all. So few bytes always fit into a socket nobody has written to. */
static void pump_ungate(struct pump *pump)
{
    pump->gated = false;
    if (pump->answer.length > 0)
        (void)send(pump->fd, pump->answer.data, pump->answer.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    board_add(pump->board->bytes_in, pump->answer.length);
}

/* The gateway's refusal is one line instead of an answer (bridge.h). Returns how many bytes were kept for that. */
static size_t pump_judge(struct pump *pump, const char *data, size_t length)
{
    static const char refusal[] = PUMP_REFUSAL;
    size_t kept = 0;

    while (kept < length && pump->answer.length < PUMP_ANSWER_MAX) {
        size_t at = pump->answer.length;

        if (at < sizeof refusal - 1 && data[kept] != refusal[at])
            break;
        if (data[kept] == '\n') {
            fault_set(&pump->why, -ERR_DENIED, "the gateway refused the stream: %s",
                      pump->answer.data + sizeof refusal - 1);
            pump_end(pump);
            return length;
        }
        buf_add_char(&pump->answer, data[kept++]);
    }
    if (kept == length && pump->answer.length < PUMP_ANSWER_MAX)
        return kept;
    pump_ungate(pump);
    return kept;
}

static size_t pump_on_data(void *arg, const void *data, size_t length)
{
    struct pump *pump = arg;
    size_t kept = 0;

    CHECK(pump, PUMP_MAGIC);
    if (pump->gated) {
        kept = pump_judge(pump, data, length);
        if (kept == length)
            return length;
    }
    ssize_t n =
        send(pump->fd, (const char *)data + kept, length - kept, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        pump_fail(pump, -ERR_CLOSED, "the local connection is gone");
        return length;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    pump->moved = true;
    board_add(pump->board->bytes_in, taken);
    if (kept + taken < length && !(pump->watched & POLLOUT)) {
        pump->watched |= POLLOUT;
        watch_change(pump->watch, pump->watched);
    }
    return kept + taken;
}

static void pump_on_noise(void *arg, const char *text, size_t length)
{
    struct pump *pump = arg;
    size_t n = length < sizeof pump->noise - 1 ? length : sizeof pump->noise - 1, at = 0;

    /* The last words are the telling ones; what a far command prints is shown without its control characters. */
    for (const char *c = text + (length - n); c < text + length; c++)
        if ((unsigned char)*c >= ' ' && *c != 0x7f)
            pump->noise[at++] = *c;
    if (at > 0)
        pump->noise[at] = '\0';
}

static void pump_on_ended(void *arg)
{
    struct pump *pump = arg;

    CHECK(pump, PUMP_MAGIC);
    pump->in_ended = true;
    if (pump->open && pump->gated)
        pump_ungate(pump);
    if (pump->open)
        pump_settle(pump);
}

static void pump_on_closed(void *arg, int exit_status, const struct fault *why)
{
    struct pump *pump = arg;

    CHECK(pump, PUMP_MAGIC);
    if (why)
        pump->why = *why;
    else if (exit_status > 0)
        fault_set(&pump->why, -ERR_IO, "the command there ended with status %d%s%s", exit_status,
                  pump->noise[0] ? ": " : "", pump->noise);
    pump_end(pump);
}

static void pump_on_watch(void *arg, int events)
{
    struct pump *pump = arg;

    CHECK(pump, PUMP_MAGIC);
    if (events & POLLOUT) {
        pump->watched &= ~POLLOUT;
        watch_change(pump->watch, pump->watched);
        ssh_channel_resume(pump->channel);
    }
    if (events & POLLIN)
        pump_read(pump);
}

/* ---- begin ---- */

static void pump_start(struct pump *pump)
{
    pump->open = true;
    pump->watched = POLLIN;
    pump->watch = watch_new(pump->loop, pump->fd, POLLIN, pump_on_watch, pump);
}

static void pump_on_opened(void *arg, int result, const struct fault *why)
{
    struct pump *pump = arg;
    const struct pump_events *events = pump->events;
    void *owner = pump->arg;

    CHECK(pump, PUMP_MAGIC);
    if (result < 0) {
        pump->channel = ssh_channel_drop(pump->channel);
    } else {
        pump_start(pump);
        if (pump->rest.length > 0) {
            pump->blocked = true;
            pump_on_writable(pump);
        }
        pump_settle(pump);
    }
    events->opened(owner, result, why);
}

static const struct ssh_channel_events pump_channel_events = {
    .opened = pump_on_opened,
    .data = pump_on_data,
    .noise = pump_on_noise,
    .writable = pump_on_writable,
    .ended = pump_on_ended,
    .closed = pump_on_closed,
};

void pump_open(struct pump *pump, struct ssh *ssh, const struct ssh_channel_spec *spec,
               const void *first, size_t length, bool gated)
{
    require(!pump->channel && !pump->open);
    buf_clear(&pump->rest);
    buf_clear(&pump->answer);
    buf_add(&pump->rest, first, length);
    pump->gated = gated;
    pump->noise[0] = '\0';
    pump->channel = ssh_channel_open(ssh, spec, &pump_channel_events, pump);
}

void pump_retract(struct pump *pump)
{
    require(!pump->open);
    pump->channel = ssh_channel_drop(pump->channel);
}

void pump_take(struct pump *pump, struct ssh_channel *channel)
{
    require(!pump->channel && !pump->open);
    pump->channel = channel;
    ssh_channel_take(channel, &pump_channel_events, pump);
    pump_start(pump);
}
