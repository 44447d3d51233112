/* hello-ok in both shapes: one function per part, each a few lines. protocol.md 2.6. */
#include "gateway/config/config.h"
#include "gateway/conn/internal.h"
#include "gateway/event/event.h"
#include "gateway/event/health.h"
#include "gateway/event/presence.h"
#include "gateway/http/pages.h"
#include "gateway/method/method.h"
#include "gateway/session/attachment.h"
#include "gateway/session/session.h"

#include <string.h>

#define HELLO_MAX (8u << 20)

static void write_server(struct conn *conn, struct json_writer *w)
{
    jw_kobject(w, "server");
    jw_kstr(w, "version", CULVERT_VERSION);
    if (conn->version >= 4)
        jw_kstr(w, "bootId", conn->gw->boot_id);
    jw_kstr(w, "connId", conn->uuid);
    if (conn->version >= 4 && pages_has_folder(conn->gw)) /* its version is its own affair */
        jw_kstr(w, "controlUiBuildSource", "configured");
    jw_object_end(w);
}

/* models.list is there, so the catalogue is said to be published (the v4 CLI asks). */
static void write_features(struct conn *conn, struct json_writer *w)
{
    jw_kobject(w, "features");
    jw_key(w, "methods");
    methods_write_names(conn->gw->methods, w);
    jw_key(w, "events");
    events_write_names(w);
    if (conn->version >= 4) {
        jw_karray(w, "capabilities");
        jw_str(w, "published-model-catalog");
        jw_array_end(w);
    }
    jw_object_end(w);
}

static void write_session_defaults(struct conn *conn, struct json_writer *w)
{
    struct gateway *gw = conn->gw;
    const char *agent = session_default_agent(gw);
    char key[SESSION_KEY_MAX + 1];

    session_main_key(gw, agent, key);
    jw_kobject(w, "sessionDefaults");
    jw_kstr(w, "defaultAgentId", agent);
    jw_kstr(w, "mainKey", config_str(gw->config, KNOB_session_main_key));
    jw_kstr(w, "mainSessionKey", key);
    jw_kstr(w, "scope", config_str(gw->config, KNOB_session_scope));
    jw_object_end(w);
}

/* Where the files are is for the one who administers them. */
static void write_paths(struct conn *conn, struct json_writer *w)
{
    struct auth_policy policy;

    if (conn->version >= 4) {
        auth_policy_read(conn->gw->config, &policy);
        jw_kstr(w, "authMode", auth_mode_name(policy.mode));
    }
    if (!scope_allows(conn->scopes, SCOPE_ADMIN, conn->version))
        return;
    jw_kstr(w, "configPath", config_path(conn->gw->config));
    jw_kstr(w, "stateDir", conn->gw->state_dir);
}

/* Who is here and how the gateway feels; a node or a client without the scope sees an empty room. */
static void write_snapshot(struct conn *conn, struct json_writer *w)
{
    struct gateway *gw = conn->gw;
    const struct bytes *health = health_summary(gw, false);
    bool may_see = conn->version < 4 || scope_allows(conn->scopes, SCOPE_READ, conn->version);

    jw_kobject(w, "snapshot");
    jw_key(w, "presence");
    if (may_see) {
        presence_write(gw, w);
    } else {
        jw_array(w);
        jw_array_end(w);
    }
    jw_key(w, "health");
    if (health)
        jw_raw(w, health->data, health->length);
    else
        jw_raw(w, "{}", 2);
    jw_kobject(w, "stateVersion");
    jw_kint(w, "presence", presence_version(gw));
    jw_kint(w, "health", health_version(gw));
    jw_object_end(w);
    jw_kint(w, "uptimeMs", loop_now(gw->loop) - gw->started_mono);
    write_paths(conn, w);
    write_session_defaults(conn, w);
    jw_object_end(w);
}

/* The token the client keeps: the fresh one, or the one it has just shown. */
static const char *token_to_keep(const struct conn_handshake *h)
{
    if (h->device_token[0])
        return h->device_token;
    return h->by_device_token ? handshake_shown_token(h) : NULL;
}

/* The published schema allows nothing else here; `method`, which the reference adds, is not in it. */
static void write_auth(struct conn *conn, const struct conn_handshake *h, struct json_writer *w)
{
    const char *token = token_to_keep(h);

    if (conn->version < 4 && !token)
        return;
    jw_kobject(w, "auth");
    jw_kstr(w, "deviceToken", token);
    jw_kstr(w, "role", conn->role == ROLE_NODE ? "node" : "operator");
    jw_key(w, "scopes");
    scope_write(conn->scopes, w);
    if (token)
        jw_kint(w, "issuedAtMs", h->issued_at);
    jw_object_end(w);
}

static void write_policy(struct conn *conn, struct json_writer *w)
{
    bool v3 = conn->version < 4;

    jw_kobject(w, "policy");
    jw_kint(w, "maxPayload", v3 ? CONN_MESSAGE_MAX_V3 : CONN_MESSAGE_MAX);
    jw_kint(w, "maxBufferedBytes", v3 ? CONN_OUTPUT_MAX_V3 : CONN_OUTPUT_MAX);
    jw_kint(w, "tickIntervalMs", CONN_TICK_MS);
    if (!v3) {
        jw_kobject(w, "attachments");
        jw_kint(w, "maxBytes", ATTACHMENT_TEXT_MAX);
        jw_kint(w, "maxImageBytes", ATTACHMENT_IMAGE_MAX);
        jw_object_end(w);
    }
    jw_object_end(w);
}

void hello_send(struct conn *conn, const struct conn_handshake *h)
{
    CLEAN(buf_done) struct buf b;
    struct json_writer w;

    buf_init(&b, HELLO_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "res");
    jw_key(&w, "id");
    jw_raw(&w, h->request_id, strlen(h->request_id));
    jw_kbool(&w, "ok", true);
    jw_kobject(&w, "payload");
    jw_kstr(&w, "type", "hello-ok");
    jw_kint(&w, "protocol", conn->version);
    write_server(conn, &w);
    write_features(conn, &w);
    write_snapshot(conn, &w);
    write_auth(conn, h, &w);
    write_policy(conn, &w);
    jw_object_end(&w);
    jw_object_end(&w);
    if (b.bad) {
        conn_close(conn, 1011, "the answer to connect is too large");
        return;
    }
    conn_send(conn, b.data, b.length, NULL);
    crypto_wipe(b.data, b.length);
}
