/* Which peers are gateways. The path: status, then up to PROBES_MAX peers at a time: connect, ask for a WebSocket, read
 * its first frame; a gateway begins with the event connect.challenge (protocol.md 2.1). Each probe has 2 s. */
#include "tunnel/tailnet.h"

#include "base/mem.h"
#include "tunnel/tailnet/call.h"
#include "tunnel/tailnet/dial.h"
#include "tunnel/tailnet/request.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROBES_MAX   32
#define FRAME_MAX    1024
#define GATEWAY_PORT 18789

struct probe {
    struct discover *discover; /* NULL: idle */
    const struct tailnet_node *node;
    struct op step;
    struct timer limit;
    struct watch *watch;
    int fd;
    bool gateway;
    uint8_t frame[FRAME_MAX];
    size_t have;
};

struct discover {
    struct running running;
    struct tailnet *tailnet;
    struct op step, *op;
    struct tailnet_status status;
    struct tailnet_gateways *ret;
    struct probe probes[PROBES_MAX];
    size_t next, busy;
    int port;
};

void tailnet_gateways_done(struct tailnet_gateways *gateways)
{
    for (size_t i = 0; i < gateways->count; i++) {
        mem_free(gateways->list[i].name);
        mem_free(gateways->list[i].address);
        mem_free(gateways->list[i].url);
    }
    mem_free(gateways->list);
    *gateways = (struct tailnet_gateways){0};
}

/* ---- one peer ---- */

static void probe_next(struct discover *d);

static void probe_stop(struct probe *probe)
{
    op_drop(&probe->step);
    timer_stop(probe->discover->op->loop, &probe->limit);
    probe->watch = watch_free(probe->watch);
    if (probe->fd >= 0)
        close(probe->fd);
    probe->discover = NULL;
}

static void found(struct discover *d, const struct tailnet_node *node)
{
    struct tailnet_gateways *ret = d->ret;
    struct tailnet_gateway *gateway = &ret->list[ret->count++];
    /* Without MagicDNS the name is the machine's own word for itself: then the address is the way. */
    const char *address = node->address_count ? node->addresses[0] : "";
    const char *name = strchr(node->name, '.') || !*address ? node->name : address;
    bool six = strchr(name, ':') != NULL;

    gateway->name = mem_string(node->name);
    gateway->address = mem_string(address);
    gateway->port = d->port;
    gateway->url = d->port == GATEWAY_PORT
                       ? mem_format(six ? "ts://[%s]" : "ts://%s", name)
                       : mem_format(six ? "ts://[%s]:%d" : "ts://%s:%d", name, d->port);
}

static void probe_over(struct probe *probe, bool answered)
{
    struct discover *d = probe->discover;

    if (probe->gateway)
        found(d, probe->node);
    d->ret->silent += !answered;
    probe_stop(probe);
    d->busy--;
    probe_next(d);
}

static void on_probe_limit(void *arg)
{
    probe_over(arg, /* answered= */ false);
}

/* An unfragmented text frame (RFC 6455 5.2) that is whole: its payload. */
static bool read_frame(const uint8_t *data, size_t length, const char **ret_text,
                       size_t *ret_length)
{
    size_t head = 2, payload = length > 1 ? data[1] & 0x7fu : 0;

    if (length < 4 || data[0] != 0x81 || (data[1] & 0x80))
        return false;
    if (payload == 126) {
        payload = (size_t)data[2] << 8 | data[3];
        head = 4;
    }
    *ret_text = (const char *)data + head;
    *ret_length = payload;
    return payload < 127 * 256 && length >= head + payload;
}

static bool is_challenge(const uint8_t *data, size_t length)
{
    const char *text = NULL;
    size_t text_length = 0;

    if (!read_frame(data, length, &text, &text_length))
        return false;
    CLEAN(json_free) struct json *frame = json_parse(text, text_length, NULL);
    return strcmp(json_string(json_get(frame, "event"), ""), "connect.challenge") == 0;
}

static void on_frame(void *arg, int events)
{
    struct probe *probe = arg;
    ssize_t n = recv(probe->fd, probe->frame + probe->have, FRAME_MAX - probe->have, MSG_DONTWAIT);
    (void)events;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    probe->have += n > 0 ? (size_t)n : 0;
    probe->gateway = is_challenge(probe->frame, probe->have);
    if (probe->gateway || n <= 0 || probe->have == FRAME_MAX)
        probe_over(probe, /* answered= */ true);
}

static int take_socket(void *arg, struct request *request, int result)
{
    struct probe *probe = arg;

    if (result == 0)
        probe->fd = request_take_fd(request);
    return result == 0 && probe->fd < 0 ? -ERR_INVALID : result;
}

static void on_upgraded(struct op *step, int result)
{
    struct probe *probe = CONTAINER(step, struct probe, step);

    if (result < 0)
        probe_over(probe, /* answered= */ true);
    else
        probe->watch = watch_new(step->loop, probe->fd, POLLIN, on_frame, probe);
}

static void on_connected(struct op *step, int result)
{
    struct probe *probe = CONTAINER(step, struct probe, step);
    struct discover *d = probe->discover;
    const char *address = probe->node->address_count ? probe->node->addresses[0] : "";
    char host[128];

    if (result < 0) {
        probe_over(probe, /* answered= */ false);
        return;
    }
    int fd = probe->fd;
    probe->fd = -1;
    snprintf(host, sizeof(host), strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, d->port);
    op_init(&probe->step, step->loop, on_upgraded, 0);
    request_start(&probe->step, &(struct request_spec){
                                    .fd = fd,
                                    .method = "GET",
                                    .path = "/",
                                    .host = host,
                                    .headers = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                               "Sec-WebSocket-Version: 13\r\n"
                                               "Sec-WebSocket-Key: Y3VsdmVydCBpcyBoZXJlIQ==\r\n",
                                    .body_max = 65536,
                                    .upgrade = true,
                                    .arg = probe,
                                    .end = take_socket});
}

static void probe_start(struct discover *d, struct probe *probe, const struct tailnet_node *node)
{
    *probe = (struct probe){.discover = d, .node = node, .fd = -1};
    d->busy++;
    d->ret->asked++;
    timer_start(d->op->loop, &probe->limit, TAILNET_DISCOVER_PEER_MS, 0, on_probe_limit, probe);
    op_init(&probe->step, d->op->loop, on_connected, 0);
    dial_node(d->tailnet, &probe->step, &d->status, node, d->port, TAILNET_DISCOVER_PEER_MS,
              &probe->fd);
}

/* ---- all of them ---- */

static void discover_free(struct discover *d)
{
    running_remove(&d->running);
    op_drop(&d->step);
    for (size_t i = 0; i < PROBES_MAX; i++)
        if (d->probes[i].discover)
            probe_stop(&d->probes[i]);
    tailnet_status_done(&d->status);
    mem_free(d);
}

static void on_cancel(struct op *op, void *worker)
{
    struct discover *d = worker;
    (void)op;

    tailnet_gateways_done(d->ret);
    discover_free(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tailnet_gateway *)a)->name,
                  ((const struct tailnet_gateway *)b)->name);
}

static void discover_end(struct discover *d, int result)
{
    struct op *op = d->op;

    if (d->ret->count > 1)
        qsort(d->ret->list, d->ret->count, sizeof(*d->ret->list), by_name);
    discover_free(d);
    op_end(op, result);
}

/* Exit nodes of a VPN company may stand in the list by the hundred. */
static bool is_foreign(const struct tailnet_node *node)
{
    for (size_t i = 0; node->tags && node->tags[i]; i++)
        if (strcmp(node->tags[i], "tag:mullvad-exit-node") == 0)
            return true;
    return false;
}

static void probe_next(struct discover *d)
{
    for (size_t i = 0; i < PROBES_MAX; i++) {
        while (d->next < d->status.peer_count &&
               (!d->status.peers[d->next].online || is_foreign(&d->status.peers[d->next])))
            d->ret->offline += !d->status.peers[d->next++].online;
        if (d->next < d->status.peer_count && !d->probes[i].discover)
            probe_start(d, &d->probes[i], &d->status.peers[d->next++]);
    }
    if (d->busy == 0)
        discover_end(d, 0);
}

static void on_status(struct op *step, int result)
{
    struct discover *d = CONTAINER(step, struct discover, step);
    struct fault *fault = &d->op->fault;

    *fault = step->fault;
    if (result == 0 && strcmp(d->status.state, "Running") != 0)
        result = fault_set(fault, -ERR_CONNECT,
                           "the tailnet is not up on this machine (%s): run 'tailscale up'",
                           d->status.state);
    if (result < 0) {
        discover_end(d, result);
        return;
    }
    d->ret->list = mem_array(d->status.peer_count + 1, sizeof(*d->ret->list));
    probe_next(d);
}

void tailnet_discover(struct tailnet *tailnet, struct op *op, int port,
                      struct tailnet_gateways *ret)
{
    struct discover *d = NEW(struct discover);

    *ret = (struct tailnet_gateways){0};
    d->tailnet = tailnet;
    d->op = op;
    d->ret = ret;
    d->port = port;
    running_add(tailnet, &d->running, op);
    op_start(op, on_cancel, d);
    op_init(&d->step, op->loop, on_status, 0);
    tailnet_status_get(tailnet, &d->step, /* peers= */ true, &d->status);
}
