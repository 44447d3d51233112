/* Ports that the server listens on for us (tcpip-forward, RFC 4254 7.1). libssh2 asks for one at a time, matches
 * arrivals by the very host and port, confirms them with a window of its own and keeps them in the listener's queue.
 * It does not say where an arrival came from: origin_host is "". An arrival that nobody takes is dropped. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <string.h>

#define LISTEN_QUEUE  16 /* arrivals between two turns; more are refused by libssh2 */
#define LISTEN_MS     15000
#define LISTEN_WINDOW (2u << 20) /* what libssh2 grants */

struct ssh_listener {
    struct ssh_listener *next;
    struct ssh *ssh;
    struct op *op; /* NULL: answered, or nobody waits */
    char *host;
    int port;
    int *ret_port;
    LIBSSH2_LISTENER *lib;
};

static void listener_unlink(struct ssh *ssh, struct ssh_listener *gone)
{
    for (struct ssh_listener **at = &ssh->listens; *at != NULL; at = &(*at)->next) {
        if (*at == gone) {
            *at = gone->next;
            return;
        }
    }
}

static void listener_free(struct ssh_listener *listener)
{
    mem_free(listener->host);
    mem_free(listener);
}

/* The request is on its way: the answer is awaited, but for nobody. */
static void listener_on_cancel(struct op *op, void *worker)
{
    struct ssh_listener *listener = worker;

    (void)op;
    listener->op = NULL;
}

void ssh_listen(struct ssh *ssh, struct op *op, const char *bind_host, int port, int *ret_port)
{
    struct ssh_listener *listener;
    size_t count = 0;

    CHECK(ssh, SSH_MAGIC);
    for (const struct ssh_listener *at = ssh->listens; at != NULL; at = at->next)
        count++;
    if (ssh->phase != SSH_READY || ssh->doomed || count >= SSH_LISTENERS_MAX) {
        bool full = count >= SSH_LISTENERS_MAX;

        op_start(op, NULL, NULL);
        op->fault.code =
            fault_set(&op->fault, full ? -ERR_FULL : -ERR_CLOSED, "%s",
                      full ? "too many remote ports on one session" : "the session is not up");
        op_end(op, op->fault.code);
        return;
    }
    if (ssh->asked) {
        op_start(op, NULL, NULL);
        op->fault.code = fault_set(
            &op->fault, -ERR_BUSY,
            "this session cannot listen any more; a new one can (libssh2 mixes up answers)");
        op_end(op, -ERR_BUSY);
        return;
    }
    listener = NEW(struct ssh_listener);
    listener->ssh = ssh;
    listener->op = op;
    listener->host = mem_string(bind_host != NULL ? bind_host : "127.0.0.1");
    listener->port = port;
    listener->ret_port = ret_port;
    listener->next = ssh->listens;
    ssh->listens = listener;
    op_start(op, listener_on_cancel, listener);
    ssh->carrier->listen(ssh, listener);
}

void ssh_listen_library(struct ssh *ssh, struct ssh_listener *listener)
{
    (void)listener;
    ssh->listening++;
    ssh_turn_soon(ssh);
}

/* ---- the answer ---- */

static void listen_failed(struct ssh *ssh, struct ssh_listener *listener)
{
    struct op *op = TAKE(listener->op);
    int r = libssh2_session_last_errno(ssh->lib);

    listener_unlink(ssh, listener);
    if (r != LIBSSH2_ERROR_REQUEST_DENIED)
        (void)ssh_turn_fine(ssh, r, "listening on the far host");
    if (op != NULL) {
        if (listener->port > 0)
            fault_set(&op->fault, -ERR_DENIED,
                      "%s does not listen on %s port %d for us: the port is taken there, it is "
                      "below 1024, or "
                      "AllowTcpForwarding or PermitListen in its sshd_config forbid it",
                      ssh->host.hostname, listener->host, listener->port);
        else
            fault_set(&op->fault, -ERR_DENIED,
                      "%s does not listen on %s for us: AllowTcpForwarding or PermitListen in its "
                      "sshd_config forbid it",
                      ssh->host.hostname, listener->host);
        op_end(op, op->fault.code);
    }
    listener_free(listener);
}

/* libssh2 asks for one at a time: the oldest is the last of the list. */
static struct ssh_listener *listen_next(struct ssh *ssh)
{
    struct ssh_listener *next = NULL;

    for (struct ssh_listener *at = ssh->listens; at != NULL; at = at->next) {
        if (at->lib == NULL)
            next = at;
    }
    return next;
}

static bool listen_advance(struct ssh *ssh)
{
    struct ssh_listener *listener = listen_next(ssh);
    int bound = 0;

    if (listener == NULL)
        return false;
    listener->lib = libssh2_channel_forward_listen_ex(ssh->lib, listener->host, listener->port,
                                                      &bound, LISTEN_QUEUE);
    if (listener->lib == NULL && libssh2_session_last_errno(ssh->lib) == LIBSSH2_ERROR_EAGAIN)
        return false;
    ssh->listening--;
    if (listener->lib == NULL) {
        listen_failed(ssh, listener);
        return true;
    }
    listener->port = bound;
    if (listener->op != NULL) {
        *listener->ret_port = bound;
        op_end(TAKE(listener->op), 0);
        return true;
    }
    (void)libssh2_channel_forward_cancel(listener->lib); /* nobody wants it any more */
    listener_unlink(ssh, listener);
    listener_free(listener);
    return true;
}

/* ---- for a carrier that is not libssh2 ---- */

void ssh_listen_wanted(const struct ssh_listener *listener, char **ret_host, int *ret_port)
{
    *ret_host = mem_string(listener->host);
    *ret_port = listener->port;
}

void ssh_listen_answered(struct ssh *ssh, struct ssh_listener *listener, int port, const char *why)
{
    struct op *op = TAKE(listener->op);

    if (port > 0) {
        listener->port = port;
        if (op != NULL)
            *listener->ret_port = port;
        if (op != NULL)
            op_end(op, 0);
        return;
    }
    listener_unlink(ssh, listener);
    if (op != NULL) {
        fault_set(&op->fault, -ERR_DENIED, "%s does not listen on %s port %d for us: %s",
                  ssh->host.hostname, listener->host, listener->port, why);
        op_end(op, -ERR_DENIED);
    }
    listener_free(listener);
}

/* ---- arrivals ---- */

static struct ssh_channel *arrival_new(struct ssh *ssh)
{
    struct ssh_channel *channel = ssh_channel_new(ssh, NULL, NULL);

    channel->kind = SSH_TCP;
    channel->arrival = channel->was_arrival = true;
    channel->state = CHANNEL_OPEN;
    return channel;
}

void ssh_listen_arrived_fd(struct ssh *ssh, const char *host, int port, int fd)
{
    struct ssh_arrival arrival = {.bound_host = host, .bound_port = port, .origin_host = ""};
    struct ssh_channel *channel = arrival_new(ssh);

    ssh_channel_adopt_fd(channel, fd);
    if (ssh->events.arrived == NULL || ssh->channel_count > SSH_CHANNELS_MAX)
        (void)ssh_channel_drop(channel);
    else
        ssh->events.arrived(ssh->arg, channel, &arrival);
}

static void listen_arrived(struct ssh *ssh, const struct ssh_listener *listener,
                           LIBSSH2_CHANNEL *lib)
{
    struct ssh_arrival arrival = {
        .bound_host = listener->host, .bound_port = listener->port, .origin_host = ""};
    struct ssh_channel *channel = arrival_new(ssh);

    channel->lib = lib;
    channel->window_taken = LISTEN_WINDOW;
    ssh->windows += LISTEN_WINDOW;
    if (ssh->events.arrived == NULL || ssh->channel_count > SSH_CHANNELS_MAX) {
        ssh_channel_close(channel);
        return;
    }
    ssh->events.arrived(ssh->arg, channel, &arrival);
}

static void listen_accept(struct ssh *ssh, struct ssh_listener *listener)
{
    for (int i = 0; i < LISTEN_QUEUE && !ssh->closed && !ssh->doomed; i++) {
        LIBSSH2_CHANNEL *lib = libssh2_channel_forward_accept(listener->lib);

        if (lib == NULL)
            return;
        listen_arrived(ssh, listener, lib);
    }
    ssh_turn_soon(ssh);
}

void ssh_listens_advance(struct ssh *ssh)
{
    while (ssh->listening > 0 && !ssh->doomed && listen_advance(ssh))
        ;
    for (struct ssh_listener *at = ssh->listens; at != NULL && !ssh->closed && !ssh->doomed;
         at = at->next) {
        if (at->lib != NULL)
            listen_accept(ssh, at);
    }
}

bool ssh_listens_read_socket(struct ssh *ssh)
{
    for (const struct ssh_listener *at = ssh->listens; at != NULL; at = at->next) {
        if (at->lib != NULL)
            return true; /* accepting reads */
    }
    return false;
}

void ssh_listens_end(struct ssh *ssh, const struct fault *why)
{
    while (ssh->listens != NULL) {
        struct ssh_listener *listener = ssh->listens;
        struct op *op = TAKE(listener->op);

        ssh->listens = listener->next;
        if (op != NULL && why != NULL)
            op->fault = *why;
        if (op != NULL)
            op_end(op, why != NULL ? -ERR_CLOSED : -ERR_CANCELLED);
        listener_free(listener); /* libssh2's goes with its session */
    }
    ssh->listening = 0;
}
