/* Streams of a session: the calls an owner makes (for every carrier), then how they move over libssh2.
 *
 * A channel is in ssh->channels from its birth until the sweep at the end of a turn that finds it gone. Reading: the
 * socket is read for all of them first, then each takes what is its own, beginning with another one each turn. An
 * owner that takes less than given is paused: the rest is kept here and libssh2 is not asked for more, so that its
 * window closes. Writing goes straight into libssh2; a chunk it could not send (it exchanges keys) is kept, because
 * it wants to be given the same again. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <string.h>

#define CHANNEL_READS_MAX 4 /* of SSH_READ_SIZE in one turn */

/* ---- for owners ---- */

struct ssh_channel *ssh_channel_new(struct ssh *ssh, const struct ssh_channel_events *events,
                                    void *arg)
{
    struct ssh_channel *channel = NEW(struct ssh_channel);

    channel->magic = SSH_CHANNEL_MAGIC;
    channel->ssh = ssh;
    channel->number = ++ssh->channels_ever;
    channel->fd = -1;
    channel->exit_status = -1;
    channel->arg = arg;
    if (events != NULL)
        channel->events = *events;
    if (ssh->channel_count == ssh->channel_room) {
        ssh->channel_room = ssh->channel_room > 0 ? ssh->channel_room * 2 : 16;
        ssh->channels = mem_grow(ssh->channels, ssh->channel_room, sizeof *ssh->channels);
    }
    ssh->channels[ssh->channel_count++] = channel;
    return channel;
}

/* A refusal also comes later, never from inside the call. */
static void channel_on_refused(void *arg)
{
    struct ssh_channel *channel = arg;
    struct ssh *ssh = channel->ssh;

    ssh_hold(ssh);
    ssh_channel_tell_opened(channel, channel->why.code, &channel->why);
    ssh_channels_sweep(ssh);
    ssh_release(ssh);
}

static void channel_refuse(struct ssh_channel *channel, int code, const char *text)
{
    fault_set(&channel->why, code, "%s", text);
    channel->state = CHANNEL_OPENING;
    defer_start(channel->ssh->loop, &channel->later, channel_on_refused, channel);
}

struct ssh_channel *ssh_channel_open(struct ssh *ssh, const struct ssh_channel_spec *spec,
                                     const struct ssh_channel_events *events, void *arg)
{
    bool full = ssh->channel_count >= SSH_CHANNELS_MAX;
    struct ssh_channel *channel = ssh_channel_new(ssh, events, arg);
    size_t path = spec->kind == SSH_STREAMLOCAL ? strlen(spec->path) : 1;

    CHECK(ssh, SSH_MAGIC);
    channel->kind = spec->kind;
    channel->host = mem_string(spec->kind == SSH_TCP ? spec->host : NULL);
    channel->port = spec->port;
    channel->text = mem_string(spec->kind == SSH_EXEC          ? spec->command
                               : spec->kind == SSH_STREAMLOCAL ? spec->path
                                                               : NULL);
    channel->window = spec->window > 0 ? spec->window : SSH_WINDOW_SMALL;
    if (ssh->phase != SSH_READY || ssh->doomed)
        channel_refuse(channel, -ERR_CLOSED, "the session is not up");
    else if (full)
        channel_refuse(channel, -ERR_BUSY, "too many streams on one session");
    else if (path < 1 || path > 4096)
        channel_refuse(channel, -ERR_INVALID, "a socket path has 1 to 4096 bytes");
    else
        ssh->carrier->open(channel);
    return channel;
}

void ssh_channel_take(struct ssh_channel *channel, const struct ssh_channel_events *events,
                      void *arg)
{
    CHECK(channel, SSH_CHANNEL_MAGIC);
    require(channel->arrival);
    channel->arrival = false;
    channel->events = *events;
    channel->arg = arg;
    channel->ssh->carrier->resume(channel);
}

size_t ssh_channel_write(struct ssh_channel *channel, const void *data, size_t length)
{
    size_t taken = 0;

    CHECK(channel, SSH_CHANNEL_MAGIC);
    if (channel->state == CHANNEL_OPEN && !channel->want_end && !channel->ssh->doomed)
        taken = channel->ssh->carrier->write(channel, data, length);
    channel->want_write = taken < length;
    return taken;
}

void ssh_channel_resume(struct ssh_channel *channel)
{
    CHECK(channel, SSH_CHANNEL_MAGIC);
    if (!channel->paused)
        return;
    channel->paused = false;
    channel->ssh->carrier->resume(channel);
}

void ssh_channel_end(struct ssh_channel *channel)
{
    CHECK(channel, SSH_CHANNEL_MAGIC);
    if (channel->want_end || channel->state != CHANNEL_OPEN)
        return;
    channel->want_end = true;
    channel->ssh->carrier->end(channel);
}

struct ssh_channel *ssh_channel_drop(struct ssh_channel *channel)
{
    if (channel == NULL)
        return NULL;
    CHECK(channel, SSH_CHANNEL_MAGIC);
    channel->dropped = true;
    defer_stop(channel->ssh->loop, &channel->later);
    channel->ssh->carrier->drop(channel);
    return NULL;
}

/* ---- what is told ---- */

void ssh_channel_tell_opened(struct ssh_channel *channel, int result, const struct fault *why)
{
    bool tell = !channel->dropped && !channel->ssh->closed && channel->events.opened != NULL;

    if (result == 0) {
        channel->state = CHANNEL_OPEN;
        if (tell)
            channel->events.opened(channel->arg, 0, NULL);
        return;
    }
    channel->dropped = true; /* nothing else comes */
    ssh_channel_close(channel);
    if (tell)
        channel->events.opened(channel->arg, result, why);
}

void ssh_channel_tell_closed(struct ssh_channel *channel, int exit_status, const struct fault *why)
{
    bool tell = !channel->dropped && !channel->ssh->closed && channel->events.closed != NULL;

    channel->dropped = true;
    ssh_channel_close(channel);
    if (tell)
        channel->events.closed(channel->arg, exit_status, why);
}

void ssh_channel_close(struct ssh_channel *channel)
{
    channel->dropped = true;
    channel->paused = false;
    channel->drop_at = loop_now(channel->ssh->loop);
    if (channel->state != CHANNEL_GONE)
        channel->state = channel->lib != NULL || channel->ssh->opening == channel ? CHANNEL_CLOSING
                                                                                  : CHANNEL_GONE;
    ssh_turn_soon(channel->ssh);
}

/* ---- reading, over libssh2 ---- */

bool ssh_channel_give(struct ssh_channel *channel, const char *data, size_t length)
{
    size_t taken = length;

    if (channel->events.data != NULL)
        taken = channel->events.data(channel->arg, data, length);
    if (channel->dropped || channel->ssh->closed)
        return false;
    if (taken >= length)
        return true;
    channel->rest = mem_copy(data + taken, length - taken);
    channel->rest_at = 0;
    channel->rest_length = length - taken;
    channel->paused = true;
    return false;
}

bool ssh_channel_give_rest(struct ssh_channel *channel)
{
    size_t length = channel->rest_length - channel->rest_at;
    size_t taken;

    if (channel->rest == NULL)
        return true;
    taken = channel->events.data(channel->arg, channel->rest + channel->rest_at, length);
    if (channel->dropped || channel->ssh->closed)
        return false;
    channel->rest_at += taken < length ? taken : length;
    if (channel->rest_at < channel->rest_length) {
        channel->paused = true;
        return false;
    }
    channel->rest = mem_free(channel->rest);
    return true;
}

static void channel_read_noise(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    ssize_t n = libssh2_channel_read_stderr(channel->lib, ssh->read_buffer, 8192);

    if (n > 0 && channel->events.noise != NULL)
        channel->events.noise(channel->arg, ssh->read_buffer, (size_t)n);
    if (n == 8192)
        ssh_turn_soon(ssh);
}

static void channel_closed_by_peer(struct ssh_channel *channel)
{
    struct fault why;
    char *signal = NULL;
    int status = channel->kind == SSH_EXEC && !channel->was_arrival
                     ? libssh2_channel_get_exit_status(channel->lib)
                     : -1;

    fault_clear(&why);
    (void)libssh2_channel_get_exit_signal(channel->lib, &signal, NULL, NULL, NULL, NULL, NULL);
    if (signal != NULL) {
        fault_set(&why, -ERR_INTERRUPTED, "the command was ended by signal %.20s", signal);
        libssh2_free(channel->ssh->lib, signal);
        status = -1;
    }
    ssh_channel_tell_closed(channel, status, why.code != 0 ? &why : NULL);
}

/* n <= 0 of a read: the end, or nothing for now. */
static void channel_read_over(struct ssh_channel *channel, ssize_t n)
{
    int r;

    if (n < 0) {
        (void)ssh_turn_fine(channel->ssh, n, NULL);
        return;
    }
    if (!channel->told_end) {
        channel->told_end = true;
        if (channel->events.ended != NULL)
            channel->events.ended(channel->arg);
    }
    if (channel->dropped || channel->ssh->closed)
        return;
    r = libssh2_channel_wait_closed(channel->lib);
    if (r == 0 || r == LIBSSH2_ERROR_INVAL) /* data after the close took its end back */
        channel_closed_by_peer(channel);
}

static void channel_read(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;

    if (!ssh_channel_give_rest(channel))
        return;
    if (channel->kind == SSH_EXEC && !channel->was_arrival)
        channel_read_noise(channel);
    for (int i = 0; i < CHANNEL_READS_MAX && !channel->dropped && !ssh->closed; i++) {
        ssize_t n = libssh2_channel_read(channel->lib, ssh->read_buffer, SSH_READ_SIZE);

        if (n <= 0) {
            channel_read_over(channel, n);
            return;
        }
        if (!ssh_channel_give(channel, ssh->read_buffer, (size_t)n))
            return;
    }
    ssh_turn_soon(ssh);
}

/* Any channel can read the socket for all; reading nothing itself leaves its own window as it is. */
bool ssh_channels_read_socket(struct ssh *ssh)
{
    for (size_t i = 0; i < ssh->channel_count; i++) {
        struct ssh_channel *channel = ssh->channels[i];

        if (channel->lib != NULL && channel->state != CHANNEL_GONE) {
            (void)ssh_turn_fine(ssh, libssh2_channel_read(channel->lib, ssh->read_buffer, 0), NULL);
            return true;
        }
    }
    return false;
}

/* ---- writing, over libssh2 ---- */

/* Gives libssh2 one chunk. Returns what it took or kept; 0: no window. */
static size_t channel_write_chunk(struct ssh_channel *channel, const char *data, size_t length)
{
    ssize_t n = libssh2_channel_write(channel->lib, data, length);

    if (n > 0)
        return (size_t)n;
    if (n == 0 && libssh2_channel_window_write(channel->lib) > 0)
        ssh_fail(channel->ssh, -ERR_CORRUPT, "the server takes packets of 0 bytes: it is broken");
    if (n != LIBSSH2_ERROR_EAGAIN) {
        if (n != LIBSSH2_ERROR_CHANNEL_CLOSED && n != LIBSSH2_ERROR_CHANNEL_EOF_SENT)
            (void)ssh_turn_fine(channel->ssh, n, NULL);
        return 0;
    }
    if (libssh2_channel_window_write(channel->lib) == 0)
        return 0;
    channel->chunk_length =
        length < SSH_CHUNK_MAX ? length : SSH_CHUNK_MAX; /* keys are being exchanged */
    channel->chunk = mem_copy(data, channel->chunk_length);
    return channel->chunk_length;
}

/* true: nothing is kept any more. */
static bool channel_write_kept(struct ssh_channel *channel)
{
    while (channel->chunk != NULL) {
        ssize_t n = libssh2_channel_write(channel->lib, channel->chunk, channel->chunk_length);

        if (n == LIBSSH2_ERROR_EAGAIN || !ssh_turn_fine(channel->ssh, n, NULL))
            return false;
        if (n == 0)
            return false;
        memmove(channel->chunk, channel->chunk + n, channel->chunk_length - (size_t)n);
        channel->chunk_length -= (size_t)n;
        if (channel->chunk_length == 0)
            channel->chunk = mem_free(channel->chunk);
    }
    return true;
}

static size_t channel_library_write(struct ssh_channel *channel, const void *data, size_t length)
{
    const char *at = data;
    size_t taken = 0;

    while (taken < length && channel->chunk == NULL &&
           output_waiting(channel->ssh) < SSH_OUTPUT_HIGH) {
        size_t n = channel_write_chunk(channel, at + taken, length - taken);

        if (n == 0)
            break;
        taken += n;
    }
    return taken;
}

static void channel_write_on(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;

    if (!channel_write_kept(channel))
        return;
    if (channel->want_end && !channel->end_sent) {
        int r = libssh2_channel_send_eof(channel->lib);

        channel->end_sent = r == 0;
        (void)ssh_turn_fine(ssh, r, NULL);
    } else if (channel->want_write && output_waiting(ssh) < SSH_OUTPUT_LOW &&
               libssh2_channel_window_write(channel->lib) > 0) {
        channel->want_write = false;
        if (channel->events.writable != NULL)
            channel->events.writable(channel->arg);
    }
}

/* ---- a turn ---- */

void ssh_channels_advance(struct ssh *ssh)
{
    size_t count = ssh->channel_count; /* those that come to be inside wait for the next turn */
    size_t first = count > 0 ? ssh->next_read++ % count : 0;

    for (size_t i = 0; i < count && !ssh->doomed && !ssh->closed; i++) {
        struct ssh_channel *channel = ssh->channels[(first + i) % count];

        if (channel->state == CHANNEL_OPEN && !channel->paused && !channel->dropped &&
            !channel->arrival)
            channel_read(channel);
        if (channel->state == CHANNEL_OPEN && !channel->dropped && !ssh->doomed && !ssh->closed)
            channel_write_on(channel);
    }
}

static void channel_free(struct ssh_channel *channel)
{
    if (channel->ssh->opening == channel)
        channel->ssh->opening = NULL;
    if (channel->ssh->ping == channel)
        channel->ssh->ping = NULL;
    channel->ssh->windows -= channel->window_taken;
    defer_stop(channel->ssh->loop, &channel->later);
    timer_stop(channel->ssh->loop, &channel->prove);
    buf_done(&channel->message);
    mem_free(channel->text);
    mem_free(channel->host);
    mem_free(channel->rest);
    mem_free(channel->chunk);
    channel->magic = 0;
    mem_free(channel);
}

/* Says goodbye to the closing ones and frees what is gone. */
void ssh_channels_sweep(struct ssh *ssh)
{
    for (size_t i = 0; i < ssh->channel_count;) {
        struct ssh_channel *channel = ssh->channels[i];

        if (channel->state == CHANNEL_CLOSING && channel->lib != NULL && ssh->lib != NULL &&
            !ssh->lent && libssh2_channel_free(channel->lib) != LIBSSH2_ERROR_EAGAIN) {
            channel->lib = NULL;
            channel->state = CHANNEL_GONE;
        }
        if (channel->state != CHANNEL_GONE) {
            i++;
            continue;
        }
        ssh->channels[i] = ssh->channels[--ssh->channel_count];
        channel_free(channel);
    }
}

void ssh_channels_end(struct ssh *ssh, const struct fault *why)
{
    for (size_t i = 0; i < ssh->channel_count && (why == NULL || !ssh->closed); i++) {
        struct ssh_channel *channel = ssh->channels[i];
        enum channel_state state = channel->state;

        defer_stop(ssh->loop, &channel->later);
        if (why == NULL || channel->dropped || channel->arrival || channel->ping)
            channel->dropped = true;
        else if (state == CHANNEL_OPEN)
            ssh_channel_tell_closed(channel, -1, why);
        else if (state != CHANNEL_CLOSING && state != CHANNEL_GONE)
            ssh_channel_tell_opened(channel, -ERR_CLOSED, why);
    }
}

void ssh_channels_free(struct ssh *ssh)
{
    for (size_t i = 0; i < ssh->channel_count; i++)
        channel_free(ssh->channels[i]);
    ssh->channel_count = 0;
}

/* ---- the carrier ---- */

static void channel_library_resume(struct ssh_channel *channel)
{
    ssh_turn_soon(channel->ssh);
}

static void library_probe(struct ssh *ssh)
{
    ssh_alive_ping(ssh);
}

static void library_close(struct ssh *ssh)
{
    (void)ssh;
}

const struct ssh_carrier ssh_carrier_library = {
    .open = ssh_channel_library_open,
    .write = channel_library_write,
    .resume = channel_library_resume,
    .end = channel_library_resume,
    .drop = ssh_channel_close,
    .listen = ssh_listen_library,
    .probe = library_probe,
    .close = library_close,
};
