/* A jump host: a session of its own to it (with its own configuration, host key and authentication; its jumps
 * first), one channel from there to where we want to be, and a pair of sockets so that the inner session sees a
 * descriptor like any other. The bytes between the two are moved here, each way as far as the other side takes
 * them.
 *
 * "a,b" means by a to b and on: the last one is ours to reach, the rest is its way. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define JUMP_WINDOW                                                                                \
    (4u << 20) /* the round trip is not known yet; see engine_window for what a larger one costs */
#define JUMP_CHUNK (64u << 10)

struct ssh_jump {
    struct ssh *ssh; /* whose way this is */
    struct ssh *hop;
    struct op op;
    char *via; /* what comes before the hop; NULL: as configured for it */
    struct ssh_channel *channel;
    int fd; /* our end of the pair */
    struct watch *watch;
    bool shut; /* the channel has ended */
    char *chunk;
    size_t chunk_at, chunk_length; /* read from fd, not taken by the channel */
};

/* ---- bytes ---- */

static void jump_watch(struct ssh_jump *jump, bool read, bool write)
{
    if (jump->watch != NULL)
        watch_change(jump->watch, (read ? POLLIN : 0) | (write ? POLLOUT : 0));
}

static void jump_lost(struct ssh_jump *jump, const struct fault *why)
{
    struct fault told = *why;

    fault_prefix(&told, "by way of %s", jump->hop->target.host);
    ssh_fail_with(jump->ssh, &told);
}

static void jump_to_channel(struct ssh_jump *jump)
{
    for (;;) {
        size_t left = jump->chunk_length - jump->chunk_at;
        ssize_t n;

        if (left > 0) {
            jump->chunk_at += ssh_channel_write(jump->channel, jump->chunk + jump->chunk_at, left);
            if (jump->chunk_at < jump->chunk_length) {
                jump_watch(jump, /* read= */ false, /* write= */ false);
                return;
            }
        }
        n = recv(jump->fd, jump->chunk, JUMP_CHUNK, MSG_DONTWAIT);
        jump->chunk_at = 0;
        jump->chunk_length = n > 0 ? (size_t)n : 0;
        if (n == 0)
            ssh_channel_end(jump->channel);
        if (n <= 0) {
            jump_watch(jump, /* read= */ n < 0, /* write= */ false);
            return;
        }
    }
}

static void jump_on_descriptor(void *arg, int events)
{
    struct ssh_jump *jump = arg;

    if (jump->channel == NULL)
        return;
    if ((events & POLLOUT) != 0) {
        jump_watch(jump, /* read= */ true, /* write= */ false);
        ssh_channel_resume(jump->channel);
    }
    if ((events & POLLIN) != 0)
        jump_to_channel(jump);
}

static size_t jump_on_data(void *arg, const void *data, size_t length)
{
    struct ssh_jump *jump = arg;
    ssize_t n = send(jump->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return length; /* the inner session went: it says so itself */
    if (n < 0)
        n = 0;
    if ((size_t)n < length)
        jump_watch(jump, jump->chunk_at == jump->chunk_length, /* write= */ true);
    return (size_t)n;
}

static void jump_on_writable(void *arg)
{
    jump_to_channel(arg);
}

static void jump_on_ended(void *arg)
{
    struct ssh_jump *jump = arg;

    (void)shutdown(jump->fd, SHUT_WR);
}

static void jump_on_closed(void *arg, int exit_status, const struct fault *why)
{
    struct ssh_jump *jump = arg;

    (void)exit_status;
    jump->channel = NULL;
    jump->watch = watch_free(jump->watch);
    if (why != NULL)
        jump_lost(jump, why);
    else
        (void)shutdown(jump->fd, SHUT_RDWR);
}

/* ---- the way ---- */

static void jump_on_opened(void *arg, int result, const struct fault *why)
{
    struct ssh_jump *jump = arg;
    int pair[2];

    if (result < 0) {
        jump->channel = NULL;
        jump_lost(jump, why);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        ssh_fail(jump->ssh, -ERR_IO, "no descriptor for the way by %s: %s", jump->hop->target.host,
                 strerror(errno));
        return;
    }
    jump->fd = pair[0];
    jump->chunk = mem_grow(NULL, JUMP_CHUNK, 1);
    jump->watch = watch_new(jump->ssh->loop, jump->fd, POLLIN, jump_on_descriptor, jump);
    ssh_connect_on_descriptor(jump->ssh, pair[1], "");
}

static const struct ssh_channel_events jump_channel_events = {.opened = jump_on_opened,
                                                              .data = jump_on_data,
                                                              .writable = jump_on_writable,
                                                              .ended = jump_on_ended,
                                                              .closed = jump_on_closed};

static void jump_on_lost(void *arg, const struct fault *why)
{
    struct ssh_jump *jump = arg;

    jump_lost(jump, why);
}

static void jump_on_hop(struct op *op, int result)
{
    struct ssh_jump *jump = CONTAINER(op, struct ssh_jump, op);
    struct ssh *ssh = jump->ssh;
    struct ssh_channel_spec to = {
        .kind = SSH_TCP, .host = ssh->host.hostname, .port = ssh->host.port, .window = JUMP_WINDOW};

    if (result < 0) {
        jump_lost(jump, &op->fault);
        return;
    }
    ssh_step_enter(ssh, SSH_STEP_CONNECT, "from %s", jump->hop->host.hostname);
    jump->channel = ssh_channel_open(jump->hop, &to, &jump_channel_events, jump);
}

void ssh_jump_start(struct ssh *ssh)
{
    static const struct ssh_events events = {.lost = jump_on_lost};
    const char *way = ssh->via != NULL ? ssh->via : ssh->host.proxy_jump;
    const char *last = strrchr(way, ',');
    struct ssh_jump *jump = NEW(struct ssh_jump);
    struct fault why;
    char *target;

    fault_clear(&why);
    jump->ssh = ssh;
    jump->fd = -1;
    ssh->jump = jump;
    if (last != NULL)
        jump->via = mem_slice(way, (size_t)(last - way));
    last = last != NULL ? last + 1 : way;
    target = strncmp(last, "ssh://", 6) == 0 ? mem_string(last) : mem_format("ssh://%s", last);
    ssh_step_enter(ssh, SSH_STEP_CONNECT, "by way of %s", last);
    op_init(&jump->op, ssh->loop, jump_on_hop, /* deadline_ms= */ 0);
    if (ssh_open_hop(&jump->op, target, jump->via, ssh, &jump->hop, &why) < 0) {
        fault_prefix(&why, "ProxyJump %s", way);
        ssh_fail_with(ssh, &why);
    } else {
        jump->hop->events = events;
        jump->hop->arg = jump;
    }
    mem_free(target);
}

void ssh_jump_stop(struct ssh *ssh)
{
    struct ssh_jump *jump = TAKE(ssh->jump);

    if (jump == NULL)
        return;
    op_drop(&jump->op);
    jump->watch = watch_free(jump->watch);
    jump->channel = ssh_channel_drop(jump->channel);
    jump->hop = ssh_close(jump->hop);
    if (jump->fd >= 0)
        (void)close(jump->fd);
    mem_free(jump->via);
    mem_free(jump->chunk);
    mem_free(jump);
}
