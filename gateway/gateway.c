/* The daemon's table of contents: start, shutdown, end. Each module is made after what it needs and
 * freed before it. */
#include "gateway/gateway.h"

#define LOG_SUBSYSTEM "gateway"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/agent/acp.h"
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/limit.h"
#include "gateway/credential.h"
#include "gateway/egress/egress.h"
#include "gateway/event/event.h"
#include "gateway/event/health.h"
#include "gateway/event/presence.h"
#include "gateway/event/system_queue.h"
#include "gateway/http/control_ui.h"
#include "gateway/http/http.h"
#include "gateway/identity.h"
#include "gateway/listen.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/model/model.h"
#include "gateway/pairing/approval.h"
#include "gateway/pairing/pairing.h"
#include "gateway/session/session.h"
#include "gateway/session/turn.h"
#include "gateway/state_dir.h"
#include "gateway/tailnet/tailscale.h"
#include "gateway/tls.h"
#include "gateway/tools/tool.h"
#include "gateway/tunnel/publish.h"
#include "gateway/tunnel/tunnels.h"

#include <string.h>
#include <unistd.h>

#define SHUTDOWN_DRAIN_MS 5000
#define SHUTDOWN_POLL_MS  20

static int start_state(struct gateway *gw, const struct gateway_options *options,
                       struct fault *reterr_fault)
{
    int r;

    gw->state_dir = state_dir_path(options->state_dir, reterr_fault);
    if (!gw->state_dir)
        return reterr_fault->code;
    if ((r = state_dir_prepare(gw->state_dir, reterr_fault)) < 0)
        return r;
    gw->lock = state_dir_lock(gw->state_dir, reterr_fault);
    return gw->lock < 0 ? gw->lock : 0;
}

/* The command line is held to the same rows as the file. */
static int check_options(const struct gateway_options *options, struct fault *reterr_fault)
{
    const struct {
        enum knob knob;
        const char *value;
    } given[] = {{KNOB_gateway_bind, options->bind}, {KNOB_auth_mode, options->auth}};

    for (size_t i = 0; i < COUNT(given); i++) {
        if (given[i].value && config_check(given[i].knob, given[i].value, reterr_fault) < 0)
            return reterr_fault->code;
    }
    return 0;
}

static int start_config(struct gateway *gw, const struct gateway_options *options,
                        struct fault *reterr_fault)
{
    CLEAN(mem_free) char *inside = mem_format("%s/culvert.json", gw->state_dir);
    int r = config_load(options->config_path ? options->config_path : inside, &gw->config,
                        reterr_fault);

    if (r < 0 || (r = check_options(options, reterr_fault)) < 0)
        return r;
    if (options->port >= 0) {
        CLEAN(mem_free) char *port = mem_format("%d", options->port);
        config_override(gw->config, KNOB_gateway_port, port);
    }
    if (options->bind)
        config_override(gw->config, KNOB_gateway_bind, options->bind);
    return credential_settle(gw, options, &gw->token_made, reterr_fault);
}

static int start_store(struct gateway *gw, const struct gateway_options *options,
                       struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = mem_format("%s/culvert.db", gw->state_dir);
    struct store_config config = options->store;

    config.path = options->memory_store ? ":memory:" : path;
    config.log_max_bytes = config_int(gw->config, KNOB_store_log_max_bytes);
    config.log_max_age_ms = config_int(gw->config, KNOB_store_log_max_age_ms);
    config.log_max_rows = config_int(gw->config, KNOB_store_log_max_rows);
    return store_open(gw->loop, &config, &gw->store, reterr_fault);
}

static int start_modules(struct gateway *gw, struct fault *reterr_fault)
{
    gw->http = http_client_new(gw->loop);
    gw->methods = methods_new();
    gw->calls = calls_new();
    gw->events = events_new(gw);
    gw->presence = presence_new(gw);
    gw->system_queue = system_queue_new();
    gw->limits = limits_new(gw);
    gw->conns = conns_new(gw);
    gw->tunnels = tunnels_new(gw);
    gw->models = models_new(gw);
    gw->egress = egress_new(gw);
    gw->tools = tools_new(gw);
    gw->approvals = approvals_new(gw);
    gw->acp = acp_new(gw);
    if (!(gw->pairing = pairing_new(gw, reterr_fault)) ||
        !(gw->sessions = sessions_new(gw, reterr_fault)) ||
        !(gw->turns = turns_new(gw, reterr_fault)))
        return reterr_fault->code;
    gw->health = health_new(gw);
    gw->control_ui = control_ui_new();
    gw->web_calls = web_calls_new(gw);
    gw->tailscale = tailscale_new(gw);
    return 0;
}

static int start_all(struct gateway *gw, const struct gateway_options *options,
                     struct fault *reterr_fault)
{
    int r;

    if ((r = start_state(gw, options, reterr_fault)) < 0 ||
        (r = start_config(gw, options, reterr_fault)) < 0 ||
        (r = start_store(gw, options, reterr_fault)) < 0 ||
        (r = identity_load(gw->state_dir, "gateway", &gw->identity, reterr_fault)) < 0 ||
        (r = start_modules(gw, reterr_fault)) < 0)
        return r;
    if (!options->no_listen) {
        if ((r = gateway_tls_start(gw, reterr_fault)) < 0 ||
            (r = listen_open(gw, reterr_fault)) < 0)
            return r;
        state_dir_announce(gw->lock, gw->port);
        gw->publishes = publishes_new(gw);
        tailscale_start(gw);
    }
    events_start(gw);
    return 0;
}

int gateway_start(const struct gateway_options *options, struct gateway **ret,
                  struct fault *reterr_fault)
{
    struct fault local = {0};
    struct gateway *gw = NEW(struct gateway);
    struct fault *fault = reterr_fault ? reterr_fault : &local;
    int r = crypto_init();

    require(r == 0);
    gw->magic = GATEWAY_MAGIC;
    gw->lock = -1;
    gw->loop = loop_new(options->virtual_clock ? LOOP_VIRTUAL : LOOP_REAL);
    gw->started_at = loop_wall(gw->loop);
    gw->started_mono = loop_now(gw->loop);
    crypto_uuid(gw->boot_id);

    r = start_all(gw, options, fault);
    if (r < 0) {
        gateway_free(gw);
        return r;
    }
    *ret = gw;
    return 0;
}

/* ---- shutdown: tell, close, wait for the queues, stop ---- */

static void on_drain(void *arg)
{
    struct gateway *gw = arg;

    if ((conn_count(gw) > 0 || tailscale_busy(gw)) && loop_now(gw->loop) < gw->drain_until) {
        timer_start(gw->loop, &gw->drain, SHUTDOWN_POLL_MS, 0, on_drain, gw);
        return;
    }
    loop_stop(gw->loop);
}

/* protocol.md 5.2 "shutdown": the field is left out when no restart is expected. */
static void tell_shutdown(struct gateway *gw, const char *reason, int64_t restart_expected_ms)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 1024);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "reason", reason);
    if (restart_expected_ms >= 0)
        jw_kint(&w, "restartExpectedMs", restart_expected_ms);
    jw_object_end(&w);
    CLEAN(bytes_unref) struct bytes *payload = bytes_from_buf(&b);
    buf_done(&b);
    event_emit_now(gw, &(struct event){.id = EVENT_shutdown, .payload = payload});
}

static void close_all(void *arg)
{
    struct gateway *gw = arg;

    conn_each (conn, gw)
        conn_close(conn, 1012, "service restart");
    gw->drain_until = loop_now(gw->loop) + SHUTDOWN_DRAIN_MS;
    timer_start(gw->loop, &gw->drain, 0, 0, on_drain, gw);
}

void gateway_shutdown(struct gateway *gw, const char *reason, int64_t restart_expected_ms)
{
    if (gw->stopping)
        return;
    gw->stopping = true;
    log_info("shutting down: %s", reason);
    listen_stop(gw);
    tailscale_stop(gw);
    tell_shutdown(gw, reason, restart_expected_ms);
    /* What else is on its way to many connections takes a few turns; the close frames go behind it. */
    timer_start(gw->loop, &gw->drain, SHUTDOWN_POLL_MS, 0, close_all, gw);
}

struct gateway *gateway_free(struct gateway *gw)
{
    if (!gw)
        return NULL;

    timer_stop(gw->loop, &gw->drain);
    gw->publishes = publishes_free(gw->publishes);
    gw->tunnels = tunnels_free(gw->tunnels);
    gw->tailscale = tailscale_free(gw->tailscale);
    listen_close(gw);
    gw->turns = turns_free(gw->turns);
    gw->web_calls = web_calls_free(gw->web_calls); /* they own calls of tools */
    gw->control_ui = control_ui_free(gw->control_ui);
    gw->tools = tools_free(gw->tools);
    gw->egress = egress_free(gw->egress);
    gw->models = models_free(gw->models);
    gw->acp = acp_free(gw->acp);
    gw->approvals = approvals_free(gw->approvals);
    gw->health = health_free(gw->health);
    gw->sessions = sessions_free(gw->sessions);
    gw->conns = conns_free(gw->conns);
    gw->pairing = pairing_free(gw->pairing);
    gw->limits = limits_free(gw->limits);
    gw->presence = presence_free(gw->presence);
    gw->system_queue = system_queue_free(gw->system_queue);
    /* Last commits reach their owners before these go. */
    gw->store = store_close(gw->store);
    gw->events = events_free(gw->events);
    gw->calls = calls_free(gw->calls);
    gw->methods = methods_free(gw->methods);
    gw->http = http_client_free(gw->http);
    gw->identity = identity_free(gw->identity);
    gw->tls = gateway_tls_free(gw->tls);
    gw->config = config_free(gw->config);
    gw->loop = loop_free(gw->loop);
    if (gw->lock >= 0)
        close(gw->lock);
    mem_free(gw->state_dir);
    return mem_free(gw);
}

struct ws *gateway_attach(struct gateway *gw)
{
    struct ws *ours, *theirs;
    const struct ws_events *events = NULL;
    void *arg = NULL;

    ws_pair(gw->loop, CONN_OUTPUT_MAX, &ours, &theirs);
    struct ws_request request = {.peer = ws_peer(ours), .method = "GET", .path = "/", .query = ""};
    conns_open(gw, ours, &request, &events, &arg);
    ws_set_events(ours, events, arg);
    return theirs;
}
