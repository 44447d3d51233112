/* A row's path: publish_ask -> bound, or a wait and publish_ask again. An arrival's: publish_arrived -> a connection to
 * the row's socket -> its first line -> the pump. Owns the arrivals and their pumps. */
#include "tunnel/publish.h"

#include "base/backoff.h"
#include "base/crypto.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PUBLISH_MAGIC  0x7075626cu
#define PUBLISH_ASK_MS 15000
#define PUBLISH_HOST   "127.0.0.1"

struct published {
    struct publish *publish;
    const struct tunnel_publish *row;
    struct op op;
    struct timer again;
    struct backoff backoff;
    int asked, bound; /* port: 0: none */
};

struct arrival {
    struct arrival *next, **link;
    struct publish *publish;
    struct pump *pump;
};

struct publish {
    uint32_t magic;
    struct publish_config config;
    struct ssh *control;
    struct published *rows;
    struct arrival *arrivals;
    size_t arrival_count;
};

static void publish_ask(void *arg);

struct publish *publish_new(const struct publish_config *config)
{
    struct publish *publish = NEW(struct publish);

    publish->magic = PUBLISH_MAGIC;
    publish->config = *config;
    publish->rows = mem_array(config->count + 1, sizeof *publish->rows);
    for (size_t i = 0; i < config->count; i++) {
        struct published *p = &publish->rows[i];
        p->publish = publish;
        p->row = &config->rows[i];
        backoff_init(&p->backoff, PUBLISH_FIRST_MS, PUBLISH_CAP_MS);
    }
    return publish;
}

static void arrival_free(struct arrival *arrival)
{
    struct publish *publish = arrival->publish;

    pump_free(arrival->pump, /* reset= */ true);
    *arrival->link = arrival->next;
    if (arrival->next)
        arrival->next->link = arrival->link;
    publish->arrival_count--;
    board_add(publish->config.board->streams, (uint32_t)-1);
    mem_free(arrival);
}

void publish_stop(struct publish *publish)
{
    publish->control = NULL;
    for (size_t i = 0; i < publish->config.count; i++) {
        op_drop(&publish->rows[i].op);
        timer_stop(publish->config.loop, &publish->rows[i].again);
        publish->rows[i].bound = 0;
    }
    while (publish->arrivals)
        arrival_free(publish->arrivals);
}

struct publish *publish_free(struct publish *publish)
{
    if (!publish)
        return NULL;
    publish_stop(publish);
    mem_free(publish->rows);
    return mem_free(publish);
}

/* ---- doors ---- */

void publish_start(struct publish *publish, struct ssh *control)
{
    publish_stop(publish);
    publish->control = control;
    for (size_t i = 0; i < publish->config.count; i++) {
        backoff_reset(&publish->rows[i].backoff);
        publish_ask(&publish->rows[i]);
    }
}

static const char *publish_host(const struct published *p)
{
    return p->row->bind_host ? p->row->bind_host : PUBLISH_HOST;
}

/* tcpip-forward is refused without a reason: name the usual ones. */
static void publish_fault(const struct published *p, int result, struct fault *ret)
{
    const char *host = publish_host(p);

    if (result == -ERR_TIMEOUT || result == -ERR_CLOSED)
        return; /* what the session said stands */
    if (p->row->port > 0 && p->row->port < 1024)
        fault_set(ret, result,
                  "the far host does not let %s:%d be published: ports below 1024 are root's, "
                  "choose one above",
                  host, p->row->port);
    else
        fault_set(ret, result,
                  "the far host does not let %s:%d be published yet: the port is taken there "
                  "(sshd may still hold it for a connection that died), or sshd_config says "
                  "AllowTcpForwarding no, PermitListen, or GatewayPorts no for an address that is "
                  "not its own loopback; it is tried again",
                  host, p->row->port);
}

static void publish_on_bound(struct op *op, int result)
{
    struct published *p = CONTAINER(op, struct published, op);
    struct publish *publish = p->publish;

    CHECK(publish, PUBLISH_MAGIC);
    if (result >= 0) {
        p->bound = p->asked;
        publish->config.changed(publish->config.arg);
        return;
    }
    publish_fault(p, result, &op->fault);
    publish->config.trouble(publish->config.arg, &op->fault);
    timer_start(publish->config.loop, &p->again,
                backoff_next(&p->backoff, (double)crypto_random_below(1u << 20) / (1u << 20)), 0,
                publish_ask, p);
}

static void publish_ask(void *arg)
{
    struct published *p = arg;

    op_init(&p->op, p->publish->config.loop, publish_on_bound, PUBLISH_ASK_MS);
    p->asked = p->row->port;
    ssh_listen(p->publish->control, &p->op, publish_host(p), p->row->port, &p->asked);
}

size_t publish_endpoints(const struct publish *publish, struct tunnel_endpoint *ret, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < publish->config.count && count < max; i++) {
        const struct published *p = &publish->rows[i];
        if (p->bound == 0)
            continue;
        snprintf(ret[count].address, sizeof ret[count].address, "%.100s:%d", publish_host(p),
                 p->bound);
        ret[count].service = p->row->service;
        ret[count++].published = true;
    }
    return count;
}

/* ---- arrivals ---- */

static void arrival_on_opened(void *arg, int result, const struct fault *why)
{
    (void)arg;
    (void)result;
    (void)why; /* it is taken, not opened */
}

static void arrival_on_ended(void *arg, const struct fault *why)
{
    struct arrival *arrival = arg;

    (void)why;
    arrival->pump = NULL;
    arrival_free(arrival);
}

static const struct pump_events arrival_events = {arrival_on_opened, arrival_on_ended};

/* A connection to the row's socket that has been told who comes. -1 with a fault. */
static int publish_connect(const struct tunnel_publish *row, const struct ssh_arrival *arrival,
                           struct fault *reterr_fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char from[64];
    struct buf line;

    if (strlen(row->unix_path) >= sizeof address.sun_path) {
        fault_set(reterr_fault, -ERR_INVALID, "the socket path %s is too long", row->unix_path);
        return -1;
    }
    memcpy(address.sun_path, row->unix_path, strlen(row->unix_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fault_set(reterr_fault, -ERR_CONNECT, "cannot pass on a published connection to %s: %s",
                  row->unix_path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    snprintf(from, sizeof from, "%.60s", arrival->origin_host ? arrival->origin_host : "");
    buf_init(&line, BRIDGE_LINE_MAX);
    bridge_write_stream(&line, row->ticket, row->service, from[0] ? from : NULL);
    /* The first bytes into a new socket always fit. */
    ssize_t n = send(fd, line.data, line.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    bool whole = n == (ssize_t)line.length;
    buf_done(&line);
    if (!whole) {
        fault_set(reterr_fault, -ERR_IO, "%s does not take a connection", row->unix_path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

void publish_arrived(struct publish *publish, struct ssh_channel *channel,
                     const struct ssh_arrival *from)
{
    const struct publish_config *config = &publish->config;
    struct published *p = NULL;
    struct fault why;

    for (size_t i = 0; i < config->count && !p; i++)
        if (publish->rows[i].bound == from->bound_port && from->bound_port != 0 &&
            strcmp(publish_host(&publish->rows[i]), from->bound_host) == 0)
            p = &publish->rows[i];
    if (!p) {
        ssh_channel_drop(channel);
        return;
    }
    fault_clear(&why);
    int fd = -1;
    if (publish->arrival_count >= PUBLISH_STREAMS_MAX)
        fault_set(&why, -ERR_FULL, "refused a published connection: %d are open",
                  PUBLISH_STREAMS_MAX);
    else
        fd = publish_connect(p->row, from, &why);
    if (fd < 0) {
        ssh_channel_drop(channel);
        config->trouble(config->arg, &why);
        return;
    }
    struct arrival *arrival = NEW(struct arrival);
    arrival->publish = publish;
    arrival->next = publish->arrivals;
    arrival->link = &publish->arrivals;
    if (arrival->next)
        arrival->next->link = &arrival->next;
    publish->arrivals = arrival;
    publish->arrival_count++;
    board_add(config->board->streams, 1u);
    board_add(config->board->streams_total, 1u);
    arrival->pump = pump_new(config->loop, fd, config->board, &arrival_events, arrival);
    pump_take(arrival->pump, channel);
}
