/* A stream over a descriptor: a unix socket that the child ssh forwards, or the two ends of a command's ssh. Same
 * calls and the same order of events as over libssh2. */
#include "tunnel/ssh/child_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fd_on_event(void *arg, int events);

static void fd_watch(struct ssh_channel *channel)
{
    int events = (channel->paused || channel->told_end || channel->arrival ? 0 : POLLIN) |
                 (channel->want_write ? POLLOUT : 0);

    if (channel->watch != NULL && events != channel->watched) {
        watch_change(channel->watch, events);
        channel->watched = events;
    }
}

static void fd_close(struct ssh_channel *channel)
{
    channel->watch = watch_free(channel->watch);
    if (channel->fd >= 0)
        (void)close(channel->fd);
    channel->fd = -1;
}

/* ---- opened ---- */

static void fd_on_opened(void *arg)
{
    struct ssh_channel *channel = arg;
    struct ssh *ssh = channel->ssh;

    ssh_hold(ssh);
    if (channel->why.code < 0) {
        fd_close(channel);
        ssh_channel_tell_opened(channel, channel->why.code, &channel->why);
    } else {
        ssh_channel_tell_opened(channel, 0, NULL);
        if (!channel->dropped && !ssh->closed)
            fd_watch(channel);
    }
    ssh_release(ssh);
}

void channel_fd_opened(struct ssh_channel *channel, int code, const char *text)
{
    if (code < 0)
        fault_set(&channel->why, code, "%s: %s", channel->ssh->host.hostname,
                  text[0] != '\0' ? text : err_text(code));
    defer_start(channel->ssh->loop, &channel->later, fd_on_opened, channel);
}

void ssh_channel_adopt_fd(struct ssh_channel *channel, int fd)
{
    channel->fd = fd;
    channel->watch = watch_new(channel->ssh->loop, fd, 0, fd_on_event, channel);
}

static void fd_on_proven(void *arg)
{
    struct ssh_channel *channel = arg;
    char c;
    ssize_t n = recv(channel->fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        channel_fd_opened(
            channel, -ERR_CONNECT,
            "it does not lead the stream on: nobody listens there, or its sshd_config forbids it");
        return;
    }
    channel_fd_opened(channel, 0, "");
}

/* ssh takes a stream before it knows whether the far end does. Of the first one to a destination we wait a moment for the
 * refusal; then it is known to work. */
void channel_fd_start(struct ssh_channel *channel, int fd)
{
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    ssh_channel_adopt_fd(channel, fd);
    if (channel->forward != NULL && !channel->forward->proven)
        timer_start(channel->ssh->loop, &channel->prove, CHILD_PROVE_MS, 0, fd_on_proven, channel);
    else
        channel_fd_opened(channel, 0, "");
}

/* ---- commands ---- */

static void fd_finish(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    bool killed = channel->kind == SSH_EXEC && channel->exit_status == 255 && channel->why.code < 0;

    if (!channel->told_end || channel->rest != NULL ||
        (channel->kind == SSH_EXEC && !channel->was_arrival && !channel->child_gone))
        return;
    fd_close(channel);
    ssh_channel_tell_closed(channel, channel->exit_status, killed ? &channel->why : NULL);
    ssh_turn_soon(ssh);
}

static void fd_on_noise(void *arg, const char *text, size_t length)
{
    struct ssh_channel *channel = arg;
    char line[1024];
    size_t n = length < sizeof line - 1 ? length : sizeof line - 1;

    if (channel->dropped || channel->events.noise == NULL)
        return;
    memcpy(line, text, n);
    line[n] = '\n';
    if (length > 0)
        fault_set(&channel->why, -ERR_CLOSED, "ssh: %.*s", (int)(n < 200 ? n : 200), text);
    channel->events.noise(channel->arg, line, n + 1);
}

static void fd_on_command_ended(void *arg, int status, int signal, int result)
{
    struct ssh_channel *channel = arg;
    struct ssh *ssh = channel->ssh;

    (void)result;
    channel->child = NULL;
    channel->child_gone = true;
    channel->exit_status = signal != 0 ? -1 : status;
    ssh_hold(ssh);
    if (!channel->dropped && channel->state == CHANNEL_OPEN)
        fd_finish(channel);
    ssh_release(ssh);
}

void channel_fd_exec(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    const char *argv[CHILD_ARGS_MAX];
    size_t n = child_arguments(ssh, /* master= */ false, argv);
    int fd = -1;
    struct child_config config = {.argv = argv,
                                  .leash = true,
                                  .arg = channel,
                                  .noise = fd_on_noise,
                                  .ended = fd_on_command_ended,
                                  .ret_raw = &fd};
    struct fault why;

    fault_clear(&why);
    argv[n++] = "-oProxyCommand=false"; /* only by the master's connection, never one of its own */
    argv[n++] = "--";
    argv[n++] = ssh->target.host;
    argv[n++] = channel->text;
    argv[n] = NULL;
    if (child_start(ssh->loop, &config, &channel->child, &why) < 0)
        channel_fd_opened(channel, why.code, why.text);
    else
        channel_fd_start(channel, fd);
}

/* ---- bytes ---- */

static void fd_read(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    ssize_t n;

    if (ssh->read_buffer == NULL)
        ssh->read_buffer = mem_grow(NULL, SSH_READ_SIZE, 1);
    n = recv(channel->fd, ssh->read_buffer, SSH_READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        ssh->bytes_in += (uint64_t)n;
        if (channel->forward != NULL)
            channel->forward->proven = true;
        (void)ssh_channel_give(channel, ssh->read_buffer, (size_t)n);
        return;
    }
    channel->told_end = true;
    if (channel->events.ended != NULL)
        channel->events.ended(channel->arg);
    if (!channel->dropped && !ssh->closed)
        fd_finish(channel);
}

static void fd_on_event(void *arg, int events)
{
    struct ssh_channel *channel = arg;
    struct ssh *ssh = channel->ssh;

    if (channel->state != CHANNEL_OPEN)
        return;
    ssh_hold(ssh);
    if ((events & POLLIN) != 0 && !channel->paused && !channel->told_end)
        fd_read(channel);
    if ((events & POLLOUT) != 0 && !channel->dropped && !ssh->closed && channel->want_write) {
        channel->want_write = false;
        if (channel->events.writable != NULL)
            channel->events.writable(channel->arg);
    }
    if (!channel->dropped && !ssh->closed)
        fd_watch(channel);
    ssh_release(ssh);
}

size_t channel_fd_write(struct ssh_channel *channel, const void *data, size_t length)
{
    size_t taken = 0;

    while (taken < length) {
        ssize_t n = send(channel->fd, (const char *)data + taken, length - taken,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return length; /* broken: reading says so */
        if (n <= 0)
            break;
        taken += (size_t)n;
    }
    channel->ssh->bytes_out += taken;
    channel->want_write = taken < length;
    fd_watch(channel);
    return taken;
}

static void fd_on_resumed(void *arg)
{
    struct ssh_channel *channel = arg;
    struct ssh *ssh = channel->ssh;

    ssh_hold(ssh);
    if (ssh_channel_give_rest(channel) && !channel->dropped && !ssh->closed && channel->told_end)
        fd_finish(channel);
    if (!channel->dropped && !ssh->closed)
        fd_watch(channel);
    ssh_release(ssh);
}

void channel_fd_resume(struct ssh_channel *channel)
{
    if (channel->state == CHANNEL_OPEN && !channel->dropped)
        defer_start(channel->ssh->loop, &channel->later, fd_on_resumed, channel);
}

void channel_fd_end(struct ssh_channel *channel)
{
    if (channel->fd >= 0)
        (void)shutdown(channel->fd, SHUT_WR);
}

void channel_fd_drop(struct ssh_channel *channel)
{
    timer_stop(channel->ssh->loop, &channel->prove);
    child_drop(TAKE(channel->child), /* grace_ms= */ 0);
    fd_close(channel);
    if (channel->dropped)
        ssh_channel_close(channel);
}
