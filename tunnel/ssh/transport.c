/* A descriptor that leads to the server: TCP (all addresses of the name, the next one after 250 ms without an
 * answer), a ProxyCommand's two pipes, or a channel of a jump host (jump.c). Ends by ssh_connect_on_descriptor or
 * ssh_fail. Owns what runs until then, and the ProxyCommand's process for as long as the session. */
#include "tunnel/ssh/session_internal.h"

#include "base/io/child.h"
#include "base/io/work.h"
#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRANSPORT_ADDRESSES_MAX 16
#define TRANSPORT_NEXT_MS       250
#define TRANSPORT_LINGER_MS     1000
#define TRANSPORT_USER_TIMEOUT                                                                     \
    15000 /* ms; the verdict of alive.c comes sooner, this is for the kernel's queue */

struct attempt {
    int fd;
    struct watch *watch;
    struct ssh_transport *transport;
    size_t address;
};

struct ssh_transport {
    struct ssh *ssh;
    struct op resolve;
    struct lookup *lookup; /* the job's; to be read when it ends well */
    struct sockaddr_storage addresses[TRANSPORT_ADDRESSES_MAX];
    socklen_t lengths[TRANSPORT_ADDRESSES_MAX];
    size_t count, next, running;
    struct attempt attempts[TRANSPORT_ADDRESSES_MAX];
    struct timer stagger, deadline;
    struct fault last; /* of the address that failed last */
    struct child *child;
};

/* ---- name ---- */

struct lookup {
    char host[256], port[16];
    int family;
    struct sockaddr_storage addresses[TRANSPORT_ADDRESSES_MAX];
    socklen_t lengths[TRANSPORT_ADDRESSES_MAX];
    size_t count;
};

static int lookup_run(void *arg, struct fault *fault)
{
    struct lookup *lookup = arg;
    struct addrinfo hints = {
        .ai_family = lookup->family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(lookup->host, lookup->port, &hints, &list);

    if (r == EAI_NONAME || r == EAI_ADDRFAMILY || r == EAI_NODATA) {
        hints.ai_flags = 0; /* only loopback is up: AI_ADDRCONFIG hides even that */
        r = getaddrinfo(lookup->host, lookup->port, &hints, &list);
    }
    if (r != 0)
        return fault_set(fault, -ERR_CONNECT,
                         "the name %s is not known here (%s); check its spelling, HostName in "
                         "~/.ssh/config and the network",
                         lookup->host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (struct addrinfo *at = list; at != NULL && lookup->count < TRANSPORT_ADDRESSES_MAX;
         at = at->ai_next) {
        if (at->ai_addrlen > sizeof lookup->addresses[0])
            continue;
        memcpy(&lookup->addresses[lookup->count], at->ai_addr, at->ai_addrlen);
        lookup->lengths[lookup->count++] = at->ai_addrlen;
    }
    freeaddrinfo(list);
    return lookup->count > 0 ? 0
                             : fault_set(fault, -ERR_CONNECT, "%s has no address", lookup->host);
}

static void lookup_free(void *arg)
{
    mem_free(arg);
}

/* ---- TCP ---- */

static void transport_next(struct ssh_transport *t);

static void attempt_done(struct attempt *attempt)
{
    if (attempt->fd < 0)
        return;
    attempt->watch = watch_free(attempt->watch);
    (void)close(attempt->fd);
    attempt->fd = -1;
    attempt->transport->running--;
}

static const char *address_text(const struct sockaddr_storage *address, socklen_t length,
                                char out[64])
{
    char host[48] = "?";

    (void)getnameinfo((const struct sockaddr *)(const void *)address, length, host, sizeof host,
                      NULL, 0, NI_NUMERICHOST);
    (void)snprintf(out, 64, "%s", host);
    return out;
}

static void socket_tune(int fd, const struct ssh_host *host)
{
    static const int on = 1, idle = 15, interval = 5, count = 3;
    static const unsigned user_timeout = TRANSPORT_USER_TIMEOUT;
    static const int unsent = 256 << 10; /* what waits is in our output, where it can be counted */

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (host->tcp_keepalive) {
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

/* The first that connects wins; the others are closed. */
static void transport_won(struct ssh_transport *t, struct attempt *attempt)
{
    struct ssh *ssh = t->ssh;
    char address[64];
    int fd = attempt->fd;

    attempt->watch = watch_free(attempt->watch);
    attempt->fd = -1;
    address_text(&t->addresses[attempt->address], t->lengths[attempt->address], address);
    t->running--;
    ssh_transport_stop(ssh);
    ssh_connect_on_descriptor(ssh, fd, address);
}

static void transport_lost(struct ssh_transport *t, size_t address, int error)
{
    char text[64];

    fault_set(&t->last, -ERR_CONNECT, "%s port %d: %s",
              address_text(&t->addresses[address], t->lengths[address], text), t->ssh->host.port,
              strerror(error));
}

static void attempt_on_event(void *arg, int events)
{
    struct attempt *attempt = arg;
    struct ssh_transport *t = attempt->transport;
    int error = 0;
    socklen_t length = sizeof error;

    (void)events;
    if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error == 0) {
        transport_won(t, attempt);
        return;
    }
    transport_lost(t, attempt->address, error);
    attempt_done(attempt);
    transport_next(t);
}

static int transport_bind(const struct ssh_host *host, int fd, int family)
{
    struct addrinfo hints = {
        .ai_family = family, .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int r;

    if (host->bind_address == NULL)
        return 0;
    if (getaddrinfo(host->bind_address, NULL, &hints, &list) != 0)
        return EADDRNOTAVAIL;
    r = bind(fd, list->ai_addr, list->ai_addrlen) < 0 ? errno : 0;
    freeaddrinfo(list);
    return r;
}

/* 0: under way. */
static int attempt_start(struct ssh_transport *t, size_t address)
{
    struct attempt *attempt = &t->attempts[address];
    int family = t->addresses[address].ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return errno;
    socket_tune(fd, &t->ssh->host);
    error = transport_bind(&t->ssh->host, fd, family);
    if (error == 0 &&
        connect(fd, (const struct sockaddr *)&t->addresses[address], t->lengths[address]) < 0 &&
        errno != EINPROGRESS)
        error = errno;
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    *attempt = (struct attempt){.fd = fd, .transport = t, .address = address};
    attempt->watch = watch_new(t->ssh->loop, fd, POLLOUT, attempt_on_event, attempt);
    t->running++;
    return 0;
}

static void transport_on_stagger(void *arg)
{
    transport_next(arg);
}

static void transport_next(struct ssh_transport *t)
{
    char where[300];

    while (t->next < t->count) {
        size_t address = t->next++;
        int error = attempt_start(t, address);

        if (error == 0) {
            if (t->next < t->count)
                timer_start(t->ssh->loop, &t->stagger, TRANSPORT_NEXT_MS, 0, transport_on_stagger,
                            t);
            return;
        }
        transport_lost(t, address, error);
    }
    if (t->running > 0)
        return;
    fault_prefix(&t->last, "%s cannot be reached", ssh_where(t->ssh, where));
    ssh_fail_with(t->ssh, &t->last);
}

static void transport_on_late(void *arg)
{
    struct ssh_transport *t = arg;
    char where[300];

    ssh_fail(t->ssh, -ERR_TIMEOUT,
             "%s did not answer in %lld s: is the host up, the port right, and does a firewall let "
             "it through?",
             ssh_where(t->ssh, where), (long long)(t->deadline.every / 1000));
}

static void transport_on_addresses(struct op *op, int result)
{
    struct ssh_transport *t = CONTAINER(op, struct ssh_transport, resolve);
    struct ssh *ssh = t->ssh;
    const struct ssh_host *host = &ssh->host;
    int64_t limit = host->connect_timeout_ms > 0 ? host->connect_timeout_ms : SSH_CONNECT_MS;

    if (result < 0) {
        ssh_fail_with(ssh, &op->fault);
        return;
    }
    t->count = t->lookup->count;
    memcpy(t->addresses, t->lookup->addresses, sizeof t->addresses);
    memcpy(t->lengths, t->lookup->lengths, sizeof t->lengths);
    ssh_step_enter(ssh, SSH_STEP_CONNECT, "%zu address%s of %s", t->count,
                   t->count == 1 ? "" : "es", host->hostname);
    timer_start(ssh->loop, &t->deadline, limit, limit, transport_on_late, t);
    transport_next(t);
}

static void transport_resolve(struct ssh_transport *t)
{
    struct lookup *lookup = NEW(struct lookup);
    const struct ssh_host *host = &t->ssh->host;

    (void)snprintf(lookup->host, sizeof lookup->host, "%s", host->hostname);
    (void)snprintf(lookup->port, sizeof lookup->port, "%d", host->port);
    lookup->family = host->address_family;
    t->lookup = lookup;
    ssh_step_enter(t->ssh, SSH_STEP_RESOLVE, "%s", host->hostname);
    op_init(&t->resolve, t->ssh->loop, transport_on_addresses, SSH_CONNECT_MS);
    work_run(&t->resolve, lookup_run, lookup, lookup_free);
}

/* ---- ProxyCommand ---- */

static void transport_on_proxy_noise(void *arg, const char *text, size_t length)
{
    struct ssh_transport *t = arg;

    if (length > 0) /* its last words are the reason, should it end */
        fault_set(&t->last, -ERR_CONNECT, "%.*s", (int)(length < 200 ? length : 200), text);
}

static void transport_on_proxy_ended(void *arg, int status, int signal, int result)
{
    struct ssh_transport *t = arg;
    bool silent = t->last.code == 0;

    (void)result;
    t->child = NULL;
    if (silent && signal != 0)
        fault_set(&t->last, -ERR_CONNECT, "it was ended by signal %d", signal);
    else if (silent)
        fault_set(&t->last, -ERR_CONNECT, "it ended with status %d", status);
    fault_prefix(&t->last, "ProxyCommand");
    if (t->ssh->doomed && !silent) /* by the end of its output: these words tell more */
        t->ssh->doom = t->last;
    ssh_fail_with(t->ssh, &t->last);
}

/* The end of a ProxyCommand's output comes before its last words and its status: these are waited for. */
static void transport_on_linger(void *arg)
{
    struct ssh_transport *t = arg;

    child_drop(TAKE(t->child), /* grace_ms= */ 0);
    ssh_turn_soon(t->ssh);
}

bool ssh_transport_lingers(struct ssh *ssh)
{
    struct ssh_transport *t = ssh->transport;

    if (t == NULL || t->child == NULL || !ssh->socket_ended)
        return false;
    if (!timer_running(&t->deadline))
        timer_start(ssh->loop, &t->deadline, TRANSPORT_LINGER_MS, 0, transport_on_linger, t);
    return true;
}

static void transport_proxy(struct ssh_transport *t)
{
    struct ssh *ssh = t->ssh;
    char *command = mem_format("exec %s", ssh->host.proxy_command);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    int fd = -1;
    struct child_config config = {.argv = argv,
                                  .leash = true,
                                  .arg = t,
                                  .noise = transport_on_proxy_noise,
                                  .ended = transport_on_proxy_ended,
                                  .ret_raw = &fd};
    struct fault why;

    fault_clear(&why);
    ssh_step_enter(ssh, SSH_STEP_CONNECT, "by ProxyCommand");
    if (child_start(ssh->loop, &config, &t->child, &why) < 0)
        ssh_fail_with(ssh, &why);
    else
        ssh_connect_on_descriptor(ssh, fd, "");
    mem_free(command);
}

/* ---- start and stop ---- */

void ssh_transport_start(struct ssh *ssh)
{
    struct ssh_transport *t = NEW(struct ssh_transport);

    t->ssh = ssh;
    for (size_t i = 0; i < COUNT(t->attempts); i++)
        t->attempts[i].fd = -1;
    ssh->transport = t;
    if (ssh->via != NULL || ssh->host.proxy_jump != NULL)
        ssh_jump_start(ssh);
    else if (ssh->host.proxy_command != NULL)
        transport_proxy(t);
    else
        transport_resolve(t);
}

void ssh_transport_stop(struct ssh *ssh)
{
    struct ssh_transport *t = TAKE(ssh->transport);

    if (t == NULL)
        return;
    op_drop(&t->resolve);
    timer_stop(ssh->loop, &t->stagger);
    timer_stop(ssh->loop, &t->deadline);
    for (size_t i = 0; i < COUNT(t->attempts); i++)
        attempt_done(&t->attempts[i]);
    child_drop(t->child, /* grace_ms= */ 0);
    mem_free(t);
}
