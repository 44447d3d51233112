/* Probes for whoever keeps the gateway running: is it alive, does it serve, has it started
 * (protocol.md 8.2).
 *
 * Ready means that somebody could sign in now: a WebSocket handshake through our own socket ends with hello-ok,
 * and the store takes writes. One handshake serves all who ask meanwhile, and its result for a few
 * seconds after. What is wrong is told to callers on this host and to those who show a credential. */
#include "base/crypto.h"
#include "base/frame.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/auth.h"
#include "gateway/event/health.h"
#include "gateway/gateway.h"
#include "gateway/http/internal.h"
#include "gateway/http/route.h"
#include "gateway/listen.h"
#include "store/store.h"

#include <string.h>

#define PROBE_MS       3000 /* for one handshake */
#define PROBE_FRESH_MS 5000 /* a result stands */
#define PROBE_OUTPUT   65536
#define PROBE_INPUT    (4u << 20) /* hello-ok holds the whole snapshot */

struct probe {
    struct gateway *gw;
    struct op connecting;
    struct timer deadline;
    struct ws *ws; /* NULL: no handshake runs */
    bool ok;
    int64_t at;               /* loop_now() of the last result; INT64_MIN: none */
    struct web_call *waiting; /* by state */
};

static const struct ws_events deaf = {0};

static struct probe *probe_of(struct gateway *gw)
{
    struct probe **slot = web_probe(gw);

    if (!*slot) {
        *slot = NEW(struct probe);
        (*slot)->gw = gw;
        (*slot)->at = INT64_MIN;
    }
    return *slot;
}

static void hang_up(struct probe *probe)
{
    struct ws *ws = TAKE(probe->ws);

    timer_stop(probe->gw->loop, &probe->deadline);
    if (op_running(&probe->connecting)) {
        op_drop(&probe->connecting); /* the door owns what is not open */
        return;
    }
    if (!ws)
        return;
    ws_set_events(ws, &deaf, NULL);
    ws_close(ws, 1000, "");
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    hang_up(probe);
    return mem_free(probe);
}

/* ---- the handshake ---- */

static void answer_ready(struct web_call *call, bool handshake_ok);

static void probe_ended(struct probe *probe, bool ok)
{
    hang_up(probe);
    probe->ok = ok;
    probe->at = loop_now(probe->gw->loop);
    while (probe->waiting) {
        struct web_call *call = probe->waiting;
        probe->waiting = call->state;
        call->state = NULL;
        answer_ready(call, ok);
    }
}

static void on_late(void *arg)
{
    probe_ended(arg, false);
}

static void send_connect(struct probe *probe)
{
    struct auth_policy policy;
    struct json_writer w;
    struct buf b;

    auth_policy_read(probe->gw->config, &policy);
    buf_init(&b, 16384);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "req");
    jw_kstr(&w, "id", "probe");
    jw_kstr(&w, "method", "connect");
    jw_kobject(&w, "params");
    jw_kint(&w, "minProtocol", 4);
    jw_kint(&w, "maxProtocol", 4);
    jw_kobject(&w, "client");
    jw_kstr(&w, "id", "openclaw-probe");
    jw_kstr(&w, "version", CULVERT_VERSION);
    jw_kstr(&w, "platform", "linux");
    jw_kstr(&w, "mode", "probe");
    jw_object_end(&w);
    jw_kstr(&w, "role", "operator");
    jw_karray(&w, "scopes");
    jw_array_end(&w);
    jw_kobject(&w, "auth");
    jw_kstr(&w, "token", policy.token);
    jw_kstr(&w, "password", policy.password);
    jw_object_end(&w);
    jw_object_end(&w);
    jw_object_end(&w);
    if (!b.bad)
        ws_send(probe->ws, b.data, b.length, NULL);
    if (b.data)
        crypto_wipe(b.data, b.length);
    buf_done(&b);
}

/* Behind a trusted proxy nobody signs in without one: there a refusal in due form is as far as it goes. */
static bool is_success(struct probe *probe, const struct frame *frame)
{
    struct auth_policy policy;

    auth_policy_read(probe->gw->config, &policy);
    return frame->kind == FRAME_RESPONSE && (frame->ok || policy.mode == AUTH_TRUSTED_PROXY);
}

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct probe *probe = arg;
    struct frame frame = {0};

    (void)ws;
    if (frame_parse(text, length, &frame, NULL) < 0)
        probe_ended(probe, false);
    else if (frame.kind == FRAME_EVENT && frame_is(&frame, "connect.challenge"))
        send_connect(probe);
    else if (frame.kind == FRAME_RESPONSE)
        probe_ended(probe, is_success(probe, &frame));
}

static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct probe *probe = arg;

    (void)ws, (void)code, (void)reason;
    probe->ws = NULL;
    probe_ended(probe, false);
}

static const struct ws_events probe_events = {.message = on_message, .closed = on_closed};

static void on_connected(struct op *op, int result)
{
    struct probe *probe = CONTAINER(op, struct probe, connecting);

    if (result < 0) {
        probe->ws = NULL;
        probe_ended(probe, false);
    }
}

/* Through gateway.sock where a secret signs in; else as a part of this process, which counts as local. */
static void start_handshake(struct probe *probe)
{
    struct gateway *gw = probe->gw;
    struct auth_policy policy;

    auth_policy_read(gw->config, &policy);
    timer_start(gw->loop, &probe->deadline, PROBE_MS, 0, on_late, probe);
    if (!listen_has(gw, DOOR_SOCKET) ||
        (policy.mode != AUTH_TOKEN && policy.mode != AUTH_PASSWORD)) {
        probe->ws = gateway_attach(gw);
        ws_set_events(probe->ws, &probe_events, probe);
        return;
    }
    CLEAN(mem_free) char *path = mem_format("%s/gateway.sock", gw->state_dir);
    struct ws_target target = {
        .unix_path = path, .path = "/", .message_max = PROBE_INPUT, .output_max = PROBE_OUTPUT};
    op_init(&probe->connecting, gw->loop, on_connected, PROBE_MS);
    ws_connect(&probe->connecting, &target, &probe_events, probe, &probe->ws);
}

/* ---- answers ---- */

/* Not a secret, but nobody else's business. */
static bool may_know(const struct web_call *call)
{
    return call->auth_method || ingress_is_here(&call->ingress);
}

static void write_uptime(struct web_call *call, struct json_writer *w)
{
    jw_kint(w, "uptimeMs", loop_now(call->gw->loop) - call->gw->started_mono);
}

static void write_details(struct web_call *call, bool handshake_ok, struct json_writer *w)
{
    struct gateway *gw = call->gw;
    const struct bytes *health = health_summary(gw, false);
    CLEAN(json_free)
    struct json *tree = health ? json_parse(health->data, health->length, NULL) : NULL;

    jw_karray(w, "failing");
    if (gw->stopping)
        jw_str(w, "draining");
    if (!handshake_ok)
        jw_str(w, "websocket");
    if (store_state(gw->store) != STORE_OK)
        jw_str(w, "store");
    jw_array_end(w);
    if (store_state(gw->store) != STORE_OK)
        jw_kstr(w, "storeDetail", store_state_text(gw->store));
    write_uptime(call, w);
    jw_ktree(w, "eventLoop", json_get(tree, "eventLoop"));
}

static void answer_ready(struct web_call *call, bool handshake_ok)
{
    struct gateway *gw = call->gw;
    bool ready = handshake_ok && !gw->stopping && store_state(gw->store) == STORE_OK;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 65536);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kbool(&w, "ready", ready);
    if (may_know(call))
        write_details(call, handshake_ok, &w);
    jw_object_end(&w);
    web_json(call, ready ? 200 : 503, &b);
    buf_done(&b);
}

static void forget(struct web_call *call)
{
    struct probe *probe = probe_of(call->gw);
    struct web_call **at = &probe->waiting;

    while (*at && *at != call)
        at = (struct web_call **)(void *)&(*at)->state;
    if (*at)
        *at = call->state;
    call->state = NULL;
}

void route_ready(struct web_call *call)
{
    struct probe *probe = probe_of(call->gw);
    int64_t now = loop_now(call->gw->loop);

    if (probe->at != INT64_MIN && now - probe->at < PROBE_FRESH_MS) {
        answer_ready(call, probe->ok);
        return;
    }
    call->state = probe->waiting;
    call->release = forget;
    probe->waiting = call;
    if (!probe->ws && !op_running(&probe->connecting))
        start_handshake(probe);
}

void route_live(struct web_call *call)
{
    static const char json[] = "{\"ok\":true,\"status\":\"live\"}";
    CLEAN(bytes_unref) struct bytes *body = bytes_new(json, sizeof(json) - 1);

    web_reply(call, 200, "application/json; charset=utf-8", NULL, body);
}

void route_startup(struct web_call *call)
{
    bool stopping = call->gw->stopping;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 4096);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kbool(&w, "ok", !stopping);
    jw_kstr(&w, "status", stopping ? "draining" : "started");
    if (may_know(call)) {
        jw_kstr(&w, "version", CULVERT_VERSION);
        write_uptime(call, &w);
    }
    jw_object_end(&w);
    web_json(call, stopping ? 503 : 200, &b);
    buf_done(&b);
}
