/* A connection's path: accepted -> its head is read until it is known what it is (stream_on_head) -> held while there is
 * no route -> opening -> the pump has it (pump.c) -> the end.
 *
 * Owns the listening sockets, the streams, and with them their pumps. */
#include "tunnel/forward.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FORWARD_ACCEPTS 32  /* of one turn */
#define FORWARD_PAUSE   100 /* ms without accepting, when descriptors have run out */

enum stream_place { STREAM_HEAD, STREAM_HELD, STREAM_OPENING, STREAM_OPEN };

struct stream {
    struct stream *next, **link;
    struct forward *forward;
    enum stream_place place;
    enum bridge_service service;
    bool control; /* a WebSocket */
    unsigned tries;
    int fd; /* until the pump has it */
    struct watch *watch;
    struct timer wait; /* the head's, then the hold's */
    struct buf head;
    const struct ssh *ssh; /* that carries it */
    struct pump *pump;
};

struct door {
    struct forward *forward;
    struct forward_door door;
    struct watch *watch; /* NULL: closed */
};

struct forward {
    struct forward_config config;
    struct door *doors;
    size_t door_count;
    struct stream *streams, **tail; /* oldest first */
    size_t count, held;
    struct timer pause;
    bool full;
};

static void forward_listen(struct forward *forward, bool listening);
static void stream_go(struct stream *stream);

/* ---- streams: life ---- */

static void stream_count(struct forward *forward, int streams, int held)
{
    forward->count = (size_t)((int64_t)forward->count + streams);
    forward->held = (size_t)((int64_t)forward->held + held);
    board_add(forward->config.board->streams, (uint32_t)(streams - held));
    board_add(forward->config.board->held, (uint32_t)held);
}

static void stream_on_head(void *arg, int events);
static void stream_on_silence(void *arg);

static void stream_new(struct door *door, int fd)
{
    struct forward *forward = door->forward;
    struct stream *stream = NEW(struct stream);

    stream->forward = forward;
    stream->service = door->door.service;
    stream->fd = fd;
    buf_init(&stream->head, FORWARD_HEAD_MAX + 1);
    stream->link = forward->tail;
    *forward->tail = stream;
    forward->tail = &stream->next;
    stream_count(forward, 1, 0);
    board_add(forward->config.board->streams_total, 1);
    stream->watch = watch_new(forward->config.loop, fd, POLLIN, stream_on_head, stream);
    timer_start(forward->config.loop, &stream->wait, FORWARD_HEAD_MS, 0, stream_on_silence, stream);
}

static void stream_leave_held(struct stream *stream)
{
    if (stream->place == STREAM_HELD)
        stream_count(stream->forward, 0, -1);
    stream->watch = watch_free(stream->watch);
    timer_stop(stream->forward->config.loop, &stream->wait);
}

static void stream_free(struct stream *stream, bool reset)
{
    struct forward *forward = stream->forward;

    stream_leave_held(stream);
    pump_free(stream->pump, reset);
    if (stream->fd >= 0 && reset)
        pump_reset_socket(stream->fd);
    else if (stream->fd >= 0)
        (void)close(stream->fd);
    buf_done(&stream->head);
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    else
        forward->tail = stream->link;
    mem_free(stream);
    stream_count(forward, -1, 0);
    if (forward->full)
        forward_listen(forward, true);
}

static void stream_refuse(struct stream *stream, const struct fault *why)
{
    const struct forward_config *config = &stream->forward->config;

    stream_free(stream, /* reset= */ true);
    config->refused(config->arg, why);
}

/* ---- the head ---- */

int forward_is_websocket(const char *head, size_t length)
{
    static const char get[] = "GET ", field[] = "\r\nupgrade:", value[] = "websocket";
    size_t n = length < sizeof get - 1 ? length : sizeof get - 1;

    if (memcmp(head, get, n) != 0)
        return 0;
    const char *end = memmem(head, length, "\r\n\r\n", 4);
    size_t lines = end ? (size_t)(end - head) + 2 : length;

    for (size_t i = 0; i + sizeof field - 1 < lines; i++) {
        if (strncasecmp(head + i, field, sizeof field - 1) != 0)
            continue;
        size_t at = i + sizeof field - 1;
        while (at < lines && (head[at] == ' ' || head[at] == '\t'))
            at++;
        if (at + sizeof value - 1 <= lines && strncasecmp(head + at, value, sizeof value - 1) == 0)
            return 1;
    }
    return end || length >= FORWARD_HEAD_MAX ? 0 : -1;
}

static void stream_known(struct stream *stream, bool websocket)
{
    stream->control = websocket;
    stream->watch = watch_free(stream->watch);
    timer_stop(stream->forward->config.loop, &stream->wait);
    stream_go(stream);
}

static void stream_on_silence(void *arg)
{
    stream_known(arg, false); /* not a request, or a slow one */
}

static void stream_on_head(void *arg, int events)
{
    struct stream *stream = arg;
    char LATER chunk[FORWARD_HEAD_MAX];

    (void)events;
    ssize_t n = recv(stream->fd, chunk, sizeof chunk - stream->head.length, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && stream->head.length == 0)) {
        stream_free(stream, false); /* came and went */
        return;
    }
    buf_add(&stream->head, chunk, (size_t)n);
    int is = n == 0 ? 0 : forward_is_websocket(stream->head.data, stream->head.length);
    if (is >= 0)
        stream_known(stream, is);
}

/* ---- held ---- */

static void stream_on_held_long(void *arg)
{
    struct stream *stream = arg;
    struct fault why;

    fault_set(&why, -ERR_TIMEOUT, "refused a connection that had waited %d s for the path",
              TUNNEL_HOLD_MS / 1000);
    stream_refuse(stream, &why);
}

/* Somebody who ends while nobody answers has given up. */
static void stream_on_held_watch(void *arg, int events)
{
    struct stream *stream = arg;
    char LATER chunk[FORWARD_HEAD_MAX];
    size_t room = FORWARD_HEAD_MAX - stream->head.length;

    (void)events;
    ssize_t n = recv(stream->fd, chunk, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        stream_free(stream, false);
        return;
    }
    buf_add(&stream->head, chunk, (size_t)n);
    if (stream->head.length == FORWARD_HEAD_MAX)
        stream->watch = watch_free(stream->watch); /* the rest stays in the socket */
}

static void stream_hold(struct stream *stream)
{
    struct forward *forward = stream->forward;
    struct fault why;

    if (stream->place == STREAM_HELD)
        return;
    if (forward->held >= TUNNEL_HELD_MAX) {
        fault_set(&why, -ERR_FULL, "refused a connection: %d wait for the path already",
                  TUNNEL_HELD_MAX);
        stream_refuse(stream, &why);
        return;
    }
    stream->place = STREAM_HELD;
    stream_count(forward, 0, 1);
    timer_start(forward->config.loop, &stream->wait, TUNNEL_HOLD_MS, 0, stream_on_held_long,
                stream);
    if (stream->fd >= 0 && stream->head.length < FORWARD_HEAD_MAX)
        stream->watch =
            watch_new(forward->config.loop, stream->fd, POLLIN, stream_on_held_watch, stream);
}

/* ---- opening, open ---- */

static void stream_on_opened(void *arg, int result, const struct fault *why)
{
    struct stream *stream = arg;
    struct forward *forward = stream->forward;

    if (result >= 0) {
        stream->place = STREAM_OPEN;
        buf_done(&stream->head);
        return;
    }
    stream->ssh = NULL;
    bool session_gone = result == -ERR_CLOSED;
    if (result == -ERR_BUSY && stream->tries == 1) { /* all channels taken: the other session */
        stream->control = !stream->control;
        stream_go(stream);
    } else if (stream->tries < FORWARD_TRIES_MAX &&
               (session_gone || forward->config.failed(forward->config.arg, why))) {
        stream_hold(stream);
    } else {
        stream_refuse(stream, why);
    }
}

static void stream_on_ended(void *arg, const struct fault *why)
{
    struct stream *stream = arg;
    const struct forward_config *config = &stream->forward->config;
    /* A refusal of the gateway puts the ticket in doubt; a reset is an ordinary end. */
    bool doubt = why && why->code == -ERR_DENIED;

    stream->pump = NULL;
    stream_free(stream, false);
    if (why && why->code != -ERR_CLOSED)
        config->refused(config->arg, why);
    if (doubt)
        (void)config->failed(config->arg, why);
}

static const struct pump_events stream_pump_events = {stream_on_opened, stream_on_ended};

static void stream_go(struct stream *stream)
{
    struct forward *forward = stream->forward;
    struct buf first;
    struct fault why;
    struct forward_route route = {.first = &first};

    fault_clear(&why);
    buf_init(&first, BRIDGE_LINE_MAX + FORWARD_HEAD_MAX);
    int r =
        forward->config.route(forward->config.arg, stream->service, stream->control, &route, &why);
    if (r == -ERR_BUSY) {
        stream_hold(stream);
    } else if (r < 0) {
        stream_refuse(stream, &why);
    } else {
        stream_leave_held(stream);
        stream->place = STREAM_OPENING;
        stream->tries++;
        stream->ssh = route.ssh;
        if (!stream->pump) {
            stream->pump = pump_new(forward->config.loop, stream->fd, forward->config.board,
                                    &stream_pump_events, stream);
            stream->fd = -1;
        }
        buf_add(&first, stream->head.data, stream->head.length);
        pump_open(stream->pump, route.ssh, &route.spec, first.data, first.length, route.gated);
    }
    buf_done(&first);
}

void forward_flow(struct forward *forward)
{
    struct stream *next;

    for (struct stream *stream = forward->streams; stream; stream = next) {
        next = stream->next;
        if (stream->place == STREAM_HELD)
            stream_go(stream);
    }
}

void forward_cut(struct forward *forward, const struct ssh *ssh)
{
    struct stream *next;

    for (struct stream *stream = forward->streams; stream; stream = next) {
        next = stream->next;
        if (!stream->ssh || (ssh && stream->ssh != ssh))
            continue;
        if (stream->place == STREAM_OPEN) {
            stream_free(stream, /* reset= */ true);
        } else { /* no byte has passed: it may wait */
            pump_retract(stream->pump);
            stream->ssh = NULL;
            stream_hold(stream);
        }
    }
}

void forward_refuse(struct forward *forward, const struct fault *why)
{
    struct stream *next;

    for (struct stream *stream = forward->streams; stream; stream = next) {
        next = stream->next;
        if (stream->place == STREAM_HELD)
            stream_refuse(stream, why);
    }
}

/* ---- doors ---- */

static void forward_on_pause(void *arg)
{
    forward_listen(arg, true);
}

/* SO_PEERCRED: a connection of this very process. */
static bool door_lets_in(const struct door *door, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    if (!door->door.own_process)
        return true;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid == getpid();
}

static void door_on_ready(void *arg, int events)
{
    struct door *door = arg;
    struct forward *forward = door->forward;

    (void)events;
    for (int i = 0; i < FORWARD_ACCEPTS && door->watch; i++) {
        if (forward->count >= TUNNEL_STREAMS_MAX) {
            forward_listen(forward, false);
            return;
        }
        int fd = accept4(door->door.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                forward_listen(forward, false);
                timer_start(forward->config.loop, &forward->pause, FORWARD_PAUSE, 0,
                            forward_on_pause, forward);
            }
            return;
        }
        if (!door_lets_in(door, fd)) {
            (void)close(fd);
            continue;
        }
        stream_new(door, fd);
    }
}

static void forward_listen(struct forward *forward, bool listening)
{
    forward->full = !listening;
    for (size_t i = 0; i < forward->door_count; i++)
        if (forward->doors[i].watch)
            watch_change(forward->doors[i].watch, listening ? POLLIN : 0);
}

struct forward *forward_new(const struct forward_config *config, const struct forward_door *doors,
                            size_t count)
{
    struct forward *forward = NEW(struct forward);

    forward->config = *config;
    forward->tail = &forward->streams;
    forward->doors = mem_array(count, sizeof *forward->doors);
    forward->door_count = count;
    for (size_t i = 0; i < count; i++) {
        struct door *door = &forward->doors[i];
        *door = (struct door){.forward = forward, .door = doors[i]};
        door->watch = watch_new(config->loop, door->door.fd, POLLIN, door_on_ready, door);
    }
    return forward;
}

void forward_close(struct forward *forward)
{
    for (size_t i = 0; i < forward->door_count; i++) {
        struct door *door = &forward->doors[i];
        if (!door->watch)
            continue;
        door->watch = watch_free(door->watch);
        (void)close(door->door.fd);
    }
    timer_stop(forward->config.loop, &forward->pause);
}

struct forward *forward_free(struct forward *forward)
{
    if (!forward)
        return NULL;
    forward->full = false;
    forward_close(forward);
    while (forward->streams)
        stream_free(forward->streams, /* reset= */ true);
    mem_free(forward->doors);
    return mem_free(forward);
}
