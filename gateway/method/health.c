/* health, status, last-heartbeat. protocol.md 4.1 "Health, logs, status". */
#include "gateway/event/health.h"

#include "gateway/config/config.h"
#include "gateway/event/system_queue.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/session/row.h"
#include "gateway/tailnet/tailscale.h"
#include "gateway/tls.h"
#include "gateway/tunnel/publish.h"

#define STATUS_RECENT 10

struct health_get {
    bool probe;
};
static const struct field health_get_fields[] = {F_BOOL(health_get, probe, OPTIONAL, false), F_END};

static const struct field session_recent[] = {
    R_STR("key", REQUIRED),
    R_INT("updatedAt", REQUIRED | FIELD_NULLABLE),
    R_INT("age", REQUIRED | FIELD_NULLABLE),
    F_END,
};
static const struct field health_sessions[] = {
    R_STR("path", REQUIRED),
    R_INT("count", REQUIRED),
    R_OBJECTS("recent", REQUIRED, session_recent),
    F_END,
};
static const struct field health_agent[] = {
    R_STR("agentId", REQUIRED),
    R_BOOL("isDefault", REQUIRED),
    R_ANY("heartbeat", REQUIRED),
    R_OBJECT("sessions", REQUIRED, health_sessions),
    F_END,
};
static const struct field health_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_INT("ts", REQUIRED),
    R_INT("durationMs", REQUIRED),
    R_MAP("channels", REQUIRED, NULL),
    R_STRS("channelOrder", REQUIRED),
    R_MAP("channelLabels", REQUIRED, NULL),
    R_INT("heartbeatSeconds", REQUIRED),
    R_STR("defaultAgentId", REQUIRED),
    R_OBJECTS("agents", REQUIRED, health_agent),
    R_OBJECT("sessions", REQUIRED, health_sessions),
    R_ANY("eventLoop", OPTIONAL),
    R_ANY("store", OPTIONAL),
    R_ANY("published", OPTIONAL),
    R_ANY("tailscale", OPTIONAL),
    F_END,
};

static int health_run(struct call *call, const void *params)
{
    const struct health_get *p = params;

    return call_reply_shared(call, health_payload(call_gateway(call), p->probe));
}

static const struct field status_tls[] = {
    R_STR("sha256", REQUIRED), /* fingerprint of the leaf */
    R_STR("subject", REQUIRED), R_INT("notAfter", REQUIRED), R_STR("path", REQUIRED), F_END,
};
static const struct field status_reply[] = {
    R_ANY("heartbeat", REQUIRED),
    R_STRS("channelSummary", REQUIRED),
    R_STRS("queuedSystemEvents", REQUIRED),
    R_ANY("sessions", REQUIRED),
    R_STR("runtimeVersion", REQUIRED),
    R_OBJECT("tls", OPTIONAL, status_tls),
    R_ANY("published", OPTIONAL),
    R_ANY("tailscale", OPTIONAL),
    F_END,
};

static void write_heartbeats(struct gateway *gw, struct json_writer *w)
{
    jw_kobject(w, "heartbeat");
    jw_kstr(w, "defaultAgentId", session_default_agent(gw));
    jw_karray(w, "agents");
    for (size_t i = 0; session_agent_at(gw, i); i++) {
        jw_object(w);
        jw_kstr(w, "agentId", session_agent_at(gw, i));
        jw_kbool(w, "enabled", false);
        jw_kstr(w, "every", "disabled");
        jw_knull(w, "everyMs");
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void write_by_agent(struct gateway *gw, struct json_writer *w)
{
    jw_karray(w, "byAgent");
    for (size_t i = 0; session_agent_at(gw, i); i++) {
        const char *agent_id = session_agent_at(gw, i);
        jw_object(w);
        jw_kstr(w, "agentId", agent_id);
        jw_kstr(w, "path", gw->state_dir);
        jw_kint(w, "count", (int64_t)session_count_of(gw, agent_id));
        jw_key(w, "recent");
        session_write_status(gw, agent_id, STATUS_RECENT, w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_sessions(struct gateway *gw, struct json_writer *w)
{
    jw_kobject(w, "sessions");
    jw_karray(w, "paths");
    jw_str(w, gw->state_dir);
    jw_array_end(w);
    jw_kint(w, "count", (int64_t)session_count(gw));
    jw_key(w, "defaults");
    row_write_defaults(gw, 3, w); /* contextTokens is number or null for all: protocol.md 4.1 */
    jw_key(w, "recent");
    session_write_status(gw, NULL, STATUS_RECENT, w);
    write_by_agent(gw, w);
    jw_object_end(w);
}

static void write_tls(struct gateway *gw, struct json_writer *w)
{
    if (!gw->tls)
        return;
    jw_kobject(w, "tls");
    jw_kstr(w, "sha256", gw->tls->leaf.sha256);
    jw_kstr(w, "subject", gw->tls->leaf.subject);
    jw_kint(w, "notAfter", gw->tls->leaf.not_after);
    jw_kstr(w, "path", gw->tls->certificate);
    jw_object_end(w);
}

static int status_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kstr(w, "runtimeVersion", CULVERT_VERSION);
    write_heartbeats(gw, w);
    jw_karray(w, "channelSummary");
    jw_array_end(w);
    jw_key(w, "queuedSystemEvents");
    system_queue_write(gw, w);
    write_sessions(gw, w);
    write_tls(gw, w);
    if (publishes_count(gw)) {
        jw_key(w, "published");
        publishes_write(gw, w);
    }
    tailscale_write(gw, w);
    jw_object_end(w);
    return call_send(call);
}

/* No heartbeat has run: null is the documented answer (protocol.md 4.1 `last-heartbeat`). */
static int last_heartbeat_run(struct call *call, const void *params)
{
    (void)params;
    return call_reply_text(call, "null", 4);
}

#define HEARTBEAT_OR_NULL                                                                          \
    {                                                                                              \
        .kind = FIELD_OBJECT, .fields = no_params_fields, .nullable = true                         \
    }

/* health needs no scope in v4 (protocol.md 3.1). */
const struct method methods_health[] = {
    M("health", OPERATOR, READ, NONE, health_get, health_reply, health_run),
    M("status", OPERATOR, READ, READ, no_params, status_reply, status_run),
    M_SHAPE("last-heartbeat", OPERATOR, READ, READ, no_params, HEARTBEAT_OR_NULL,
            last_heartbeat_run),
    {0},
};
