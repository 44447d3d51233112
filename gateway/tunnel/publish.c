/* The tunnels that tunnel.publish asks for: started once, they come back by themselves (tunnel/tunnel.h); here their news is
 * told. Owns each tunnel and its ticket. */
#include "gateway/tunnel/publish.h"

#define LOG_SUBSYSTEM "publish"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/tunnel/tunnels.h"
#include "tunnel/tunnel.h"

#include <string.h>

#define PUBLISHES_MAX 8

struct publish {
    struct gateway *gw;
    char *target;
    struct tunnel *tunnel; /* NULL: could not be started */
    uint64_t ticket;
    int64_t since; /* wall ms of the failure to start */
    enum tunnel_state told;
    bool told_address; /* since it is up */
    char *trouble;     /* why it was not started */
};

struct publishes {
    struct publish rows[PUBLISHES_MAX];
    size_t count;
};

/* ---- news ---- */

static const char *address_of(const struct tunnel_status *status)
{
    for (size_t i = 0; i < status->endpoint_count; i++)
        if (status->endpoints[i].published)
            return status->endpoints[i].address;
    return NULL;
}

static void on_changed(void *arg)
{
    struct publish *publish = arg;
    struct tunnel_status *status = NEW(struct tunnel_status);

    tunnel_status(publish->tunnel, status);
    const char *address = status->state == TUNNEL_UP ? address_of(status) : NULL;
    if (address && !publish->told_address)
        log_info("published on %s as %s", publish->target, address);
    else if (status->state != publish->told && status->last_error[0] && !address)
        log_warn("%s: %s: %s", publish->target, tunnel_state_name(status->state),
                 status->last_error);
    else if (status->state != publish->told && !address)
        log_info("%s: %s", publish->target, tunnel_state_name(status->state));
    publish->told = status->state;
    publish->told_address = address != NULL;
    mem_free(status);
}

static void on_notice(void *arg, const char *text)
{
    const struct publish *publish = arg;

    log_info("%s: %s", publish->target, text);
}

/* ---- start and end ---- */

static int start(struct publish *publish, const struct json *row, struct fault *fault)
{
    struct gateway *gw = publish->gw;
    char ticket[TOKEN_TEXT];
    enum bridge_service service = BRIDGE_GATEWAY;
    int r = tunnels_ticket(gw, publish->target, ticket, &publish->ticket, fault);

    if (r < 0)
        return r;
    bridge_service_parse(json_string(json_get(row, "service"), "gateway"), &service);
    struct tunnel_publish what = {
        .bind_host = json_string(json_get(row, "bindHost"), NULL),
        .port = (int)json_integer(json_get(row, "remotePort"), gw->port),
        .unix_path = tunnels_path(gw),
        .ticket = ticket,
        .service = service,
    };
    struct tunnel_options options = {
        .target = publish->target,
        .identity = json_string(json_get(row, "identity"), NULL),
        .accept_new = json_boolean(json_get(row, "acceptNew"), false),
        .allow_child = true,
        .publish = &what,
        .publish_count = 1,
        .no_gateway = true,
        .arg = publish,
        .changed = on_changed,
        .notice = on_notice,
    };
    r = tunnel_start(gw->loop, &options, &publish->tunnel, fault);
    crypto_wipe(ticket, sizeof(ticket));
    return r;
}

struct publishes *publishes_new(struct gateway *gw)
{
    struct publishes *publishes = NEW(struct publishes);

    json_each (row, config_node(gw->config, "tunnel.publish")) {
        if (publishes->count == PUBLISHES_MAX)
            break;
        struct publish *publish = &publishes->rows[publishes->count++];
        struct fault fault = {0};
        publish->gw = gw;
        publish->target = mem_string(json_string(json_get(row, "target"), ""));
        publish->told = TUNNEL_CONNECTING;
        publish->since = loop_wall(gw->loop);
        if (start(publish, row, &fault) < 0) {
            publish->trouble = mem_string(fault.text);
            log_error("not published on %s: %s", publish->target, fault.text);
        }
    }
    return publishes;
}

struct publishes *publishes_free(struct publishes *publishes)
{
    if (!publishes)
        return NULL;
    for (size_t i = 0; i < publishes->count; i++) {
        struct publish *publish = &publishes->rows[i];
        publish->tunnel = tunnel_stop(publish->tunnel);
        if (publish->ticket)
            tunnels_ticket_end(publish->gw, publish->ticket);
        mem_free(publish->target);
        mem_free(publish->trouble);
    }
    return mem_free(publishes);
}

/* ---- how they are ---- */

static void write_row(const struct publish *publish, struct json_writer *w)
{
    struct tunnel_status *status = NEW(struct tunnel_status);

    if (publish->tunnel)
        tunnel_status(publish->tunnel, status);
    jw_object(w);
    jw_kstr(w, "target", publish->target);
    jw_kstr(w, "state", publish->tunnel ? tunnel_state_name(status->state) : "failed");
    jw_kint(w, "since", publish->tunnel ? status->since : publish->since);
    jw_kstr(w, "address", address_of(status));
    jw_kstr(w, "lastError",
            publish->trouble        ? publish->trouble
            : status->last_error[0] ? status->last_error
                                    : NULL);
    jw_object_end(w);
    mem_free(status);
}

void publishes_write(const struct gateway *gw, struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; i < publishes_count(gw); i++)
        write_row(&gw->publishes->rows[i], w);
    jw_array_end(w);
}

size_t publishes_count(const struct gateway *gw)
{
    return gw->publishes ? gw->publishes->count : 0;
}

bool publishes_well(const struct gateway *gw)
{
    struct tunnel_status *status = NEW(struct tunnel_status);
    bool well = true;

    for (size_t i = 0; i < publishes_count(gw); i++) {
        const struct publish *publish = &gw->publishes->rows[i];
        if (publish->tunnel)
            tunnel_status(publish->tunnel, status);
        well = well && publish->tunnel && status->state == TUNNEL_UP && address_of(status);
    }
    mem_free(status);
    return well;
}
