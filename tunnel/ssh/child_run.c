/* What the master ssh is asked for: forwards to destinations, ports over there, a sign of life. Each question is a
 * short-lived ssh that talks to the control socket and ends with 0 or its reason on stderr. */
#include "tunnel/ssh/child_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- helpers ---- */

static void helper_on_line(void *arg, const char *text, size_t length)
{
    struct child_helper *helper = arg;

    if (helper->line[0] == '\0')
        (void)snprintf(helper->line, sizeof helper->line, "%.*s", (int)(length < 60 ? length : 60),
                       text);
}

static void helper_on_noise(void *arg, const char *text, size_t length)
{
    struct child_helper *helper = arg;

    child_take_noise(helper->noise, sizeof helper->noise, text, length);
}

static void helper_free(struct child_helper *helper)
{
    struct child_helper **at = &helper->ssh->child->helpers;

    while (*at != helper)
        at = &(*at)->next;
    *at = helper->next;
    timer_stop(helper->ssh->loop, &helper->deadline);
    mem_free(helper);
}

static void helper_on_ended(void *arg, int status, int signal, int result)
{
    struct child_helper *helper = arg;
    struct ssh *ssh = helper->ssh;

    helper->child = NULL;
    ssh_hold(ssh);
    helper->done(ssh, helper, status == 0 && signal == 0 && result == 0);
    helper_free(helper);
    ssh_turn_soon(ssh);
    ssh_release(ssh);
}

static void helper_on_late(void *arg)
{
    struct child_helper *helper = arg;

    child_stop(helper->child, /* grace_ms= */ 0);
}

struct child_helper *child_help(struct ssh *ssh, const char *const *extra,
                                void (*done)(struct ssh *, struct child_helper *, bool), void *arg,
                                struct fault *why)
{
    struct child_helper *helper = NEW(struct child_helper);
    const char *argv[CHILD_ARGS_MAX];
    size_t n = child_arguments(ssh, /* master= */ false, argv);
    struct child_config config = {.argv = argv,
                                  .leash = true,
                                  .line_max = 4096,
                                  .arg = helper,
                                  .line = helper_on_line,
                                  .noise = helper_on_noise,
                                  .ended = helper_on_ended};

    while (*extra != NULL)
        argv[n++] = *extra++;
    argv[n] = NULL;
    helper->ssh = ssh;
    helper->done = done;
    helper->arg = arg;
    if (child_start(ssh->loop, &config, &helper->child, why) < 0)
        return mem_free(helper);
    child_close_input(helper->child);
    helper->next = ssh->child->helpers;
    ssh->child->helpers = helper;
    timer_start(ssh->loop, &helper->deadline, CHILD_HELPER_MS, 0, helper_on_late, helper);
    return helper;
}

void child_helpers_drop(struct ssh *ssh)
{
    while (ssh->child->helpers != NULL) {
        child_drop(ssh->child->helpers->child, /* grace_ms= */ 0);
        helper_free(ssh->child->helpers);
    }
}

/* ---- a unix socket in our folder ---- */

static void socket_name(struct ssh_child *c, char out[128])
{
    (void)snprintf(out, 128, "%s/%u", c->folder, ++c->names);
}

static void socket_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret->sun_path, sizeof ret->sun_path, "%.107s", path);
}

/* ---- streams: a forward for each destination, then a connect for each stream ---- */

static void forward_connect(struct ssh_channel *channel, struct child_forward *forward)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    socket_address(forward->path, &address);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        channel->forward = forward;
        channel_fd_start(channel, fd);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    channel_fd_opened(channel, -ERR_CONNECT, "ssh does not take the stream");
}

static void forward_on_done(struct ssh *ssh, struct child_helper *helper, bool fine)
{
    struct child_forward *forward = helper->arg;

    forward->ready = fine;
    for (size_t i = 0; i < ssh->channel_count; i++) {
        struct ssh_channel *channel = ssh->channels[i];

        if (channel->forward != forward || channel->fd >= 0 || channel->dropped)
            continue;
        if (fine) {
            forward_connect(channel, forward);
        } else {
            channel->forward = NULL;
            channel_fd_opened(channel, -ERR_DENIED, helper->noise);
        }
    }
    if (fine)
        return;
    for (struct child_forward **at = &ssh->child->forwards; *at != NULL; at = &(*at)->next) {
        if (*at == forward) {
            *at = forward->next;
            mem_free(forward->to);
            mem_free(forward);
            return;
        }
    }
}

static struct child_forward *forward_find(struct ssh_child *c, const char *to, size_t *ret_count)
{
    size_t count = 0;

    for (struct child_forward *at = c->forwards; at != NULL; at = at->next, count++) {
        if (strcmp(at->to, to) == 0)
            return at;
    }
    *ret_count = count;
    return NULL;
}

/* ssh replaces "%h" and "${NAME}" in a forward's path, and parts it at ":". The path is the far end's word: it must not read our
 * environment, where secrets are. */
static bool forward_may_name(const char *path)
{
    return path[0] == '/' && strpbrk(path, "%$:\\\"") == NULL;
}

void child_forward_open(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    struct ssh_child *c = ssh->child;

    if (channel->kind != SSH_TCP && !forward_may_name(channel->text)) {
        channel_fd_opened(channel, -ERR_UNSUPPORTED,
                          "the socket's path over there has a character that ssh would replace");
        return;
    }
    char *to = channel->kind == SSH_TCP ? mem_format("[%s]:%d", channel->host, channel->port)
                                        : mem_string(channel->text);
    size_t count = 0;
    struct child_forward *forward = forward_find(c, to, &count);
    struct fault why;
    char *spec;

    fault_clear(&why);
    if (forward == NULL && count >= CHILD_FORWARDS_MAX) {
        mem_free(to);
        channel_fd_opened(channel, -ERR_FULL, "too many destinations on one session");
        return;
    }
    channel->forward = forward;
    if (forward != NULL) {
        mem_free(to);
        if (forward->ready)
            forward_connect(channel, forward);
        return;
    }
    forward = NEW(struct child_forward);
    forward->to = to;
    socket_name(c, forward->path);
    spec = mem_format("%s:%s", forward->path, to);
    channel->forward = forward;
    if (child_help(ssh,
                   (const char *const[]){"-O", "forward", "-L", spec, "--", ssh->target.host, NULL},
                   forward_on_done, forward, &why) == NULL) {
        channel->forward = NULL;
        mem_free(forward->to);
        mem_free(forward);
        channel_fd_opened(channel, why.code, why.text);
    } else {
        forward->next = c->forwards;
        c->forwards = forward;
    }
    mem_free(spec);
}

/* ---- ports over there ---- */

static void door_close(struct child_door *door)
{
    door->watch = watch_free(door->watch);
    if (door->fd >= 0)
        (void)close(door->fd);
    mem_free(door->host);
    mem_free(door);
}

void child_doors_close(struct ssh *ssh)
{
    while (ssh->child->doors != NULL) {
        struct child_door *door = ssh->child->doors;

        ssh->child->doors = door->next;
        door_close(door);
    }
}

static void door_on_arrival(void *arg, int events)
{
    struct child_door *door = arg;
    struct ssh *ssh = door->ssh;
    int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    ssh_hold(ssh);
    if (!ssh->closed && !ssh->doomed)
        ssh_listen_arrived_fd(ssh, door->host, door->port, fd);
    else
        (void)close(fd);
    ssh_turn_soon(ssh);
    ssh_release(ssh);
}

static void door_on_done(struct ssh *ssh, struct child_helper *helper, bool fine)
{
    struct child_door *door = helper->arg;

    if (fine && door->port == 0)
        door->port = (int)strtol(helper->line, NULL, 10);
    ssh_listen_answered(ssh, door->listener, fine ? door->port : 0, helper->noise);
    door->listener = NULL;
}

void child_listen(struct ssh *ssh, struct ssh_listener *listener)
{
    struct ssh_child *c = ssh->child;
    struct child_door *door = NEW(struct child_door);
    struct sockaddr_un address;
    struct fault why;
    char *spec;

    fault_clear(&why);
    door->ssh = ssh;
    door->listener = listener;
    ssh_listen_wanted(listener, &door->host, &door->port);
    socket_name(c, door->path);
    socket_address(door->path, &address);
    door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    door->next = c->doors;
    c->doors = door;
    spec = mem_format("%s:%d:%s", door->host, door->port, door->path);
    if (door->fd < 0 || bind(door->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(door->fd, 64) < 0)
        ssh_listen_answered(ssh, listener, 0, strerror(errno));
    else if (child_help(
                 ssh,
                 (const char *const[]){"-O", "forward", "-R", spec, "--", ssh->target.host, NULL},
                 door_on_done, door, &why) == NULL)
        ssh_listen_answered(ssh, listener, 0, why.text);
    else
        door->watch = watch_new(ssh->loop, door->fd, POLLIN, door_on_arrival, door);
    mem_free(spec);
}

/* ---- a sign of life: a command that does nothing ---- */

static void probe_on_done(struct ssh *ssh, struct child_helper *helper, bool fine)
{
    struct op *op = TAKE(ssh->probe);

    if (op == NULL)
        return;
    if (!fine)
        fault_set(&op->fault, -ERR_TIMEOUT, "ssh got no answer: %s", helper->noise);
    op_end(op, fine ? 0 : -ERR_TIMEOUT);
}

void child_probe(struct ssh *ssh)
{
    struct fault why;

    fault_clear(&why);
    if (child_help(
            ssh,
            (const char *const[]){"-oProxyCommand=false", "--", ssh->target.host, "true", NULL},
            probe_on_done, NULL, &why) != NULL)
        return;
    ssh->probe->fault = why;
    op_end(TAKE(ssh->probe), why.code);
}
