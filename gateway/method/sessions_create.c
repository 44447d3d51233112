/* sessions.create: a session, its settings and, when asked, its first message. protocol.md 4.3. */
#include "gateway/method/sessions.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/chat.h"
#include "gateway/session/attachment.h"
#include "gateway/session/level.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>

const struct field sessions_create_fields[] = {
    K_STR(sessions_create, "key", key, FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_create, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_create, "label", label, FIELD_NONEMPTY, SESSION_LABEL_MAX),
    K_STR(sessions_create, "displayName", display_name, FIELD_NONEMPTY, 500),
    K_STR(sessions_create, "category", category, FIELD_NONEMPTY, 512),
    K_STR(sessions_create, "model", model, FIELD_NONEMPTY, 512),
    K_STR(sessions_create, "thinkingLevel", thinking, FIELD_NONEMPTY, 64),
    K_STR(sessions_create, "parentSessionKey", parent, FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_create, "message", message, OPTIONAL, MESSAGE_CAP),
    K_STR(sessions_create, "task", task, OPTIONAL, MESSAGE_CAP),
    K_STR(sessions_create, "idempotencyKey", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    K_STR(sessions_create, "permissionMode", permission_mode, OPTIONAL, 64),
    K_STR(sessions_create, "execNode", exec_node, OPTIONAL, 256),
    K_OBJECTS(sessions_create, "attachments", attachments, attachment_rows, 1000),
    K_ANY(sessions_create, "toolOverrides", tool_overrides),
    K_BOOL(sessions_create, "incognito", incognito, false),
    F_END,
};
const struct field sessions_create_reply[] = {
    R_BOOL("ok", REQUIRED),      R_STR("key", REQUIRED),         R_STR("sessionId", REQUIRED),
    R_ANY("entry", REQUIRED),    R_BOOL("runStarted", REQUIRED), R_STR("runId", OPTIONAL),
    R_ANY("runError", OPTIONAL), R_ANY("resolved", OPTIONAL),    F_END,
};

struct create {
    struct call *call;
    char key[SESSION_KEY_MAX + 1], run_id[UUID_TEXT];
};

/* What the first message of the request is; "" when there is none. */
static const char *create_message(const struct sessions_create *p)
{
    const char *message = p->message && *p->message ? p->message : p->task;

    return message ? message : "";
}

static void create_reply(struct call *call, const char *key, const char *run_id,
                         const struct fault *fault)
{
    struct gateway *gw = call_gateway(call);
    struct session *session = session_find(gw, key);
    struct json_writer *w;

    if (!session) {
        call_fail(call, WIRE_UNAVAILABLE, "session %s was deleted meanwhile", key);
        return;
    }
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "key", key);
    jw_kstr(w, "sessionId", session->session_id);
    jw_key(w, "entry");
    row_write_entry(session, w);
    jw_kbool(w, "runStarted", run_id != NULL && !fault);
    jw_kstr(w, "runId", fault ? NULL : run_id);
    if (fault) {
        jw_kobject(w, "runError");
        jw_kstr(w, "code", wire_error_name(WIRE_UNAVAILABLE));
        jw_kstr(w, "message", fault->text);
        jw_object_end(w);
    }
    jw_key(w, "resolved");
    row_write_resolved(gw, session, w);
    jw_object_end(w);
    call_send(call);
}

static void create_on_stored(struct call *call, const struct sessions_change *change)
{
    create_reply(call, change->key, NULL, NULL);
}

static void create_on_accepted(void *arg, int result, const struct fault *fault)
{
    struct create *create = arg;

    create_reply(create->call, create->key, create->run_id, result < 0 ? fault : NULL);
    mem_free(create);
}

/* The session is there whatever becomes of its first message. */
static int create_with_message(struct call *call, const struct sessions_create *p, const char *key,
                               const char *run_id, const char *images)
{
    static const struct turn_events events = {.accepted = create_on_accepted};
    struct create *create = NEW(struct create);
    struct fault fault = {0};

    create->call = call;
    snprintf(create->key, sizeof(create->key), "%s", key);
    snprintf(create->run_id, sizeof(create->run_id), "%s", run_id);
    if (turn_submit(call_gateway(call),
                    &(struct turn_request){
                        .method = TURN_CHAT,
                        .run_id = create->run_id,
                        .session_key = key,
                        .caller_key = key,
                        .message = create_message(p),
                        .images = images,
                        .timeout_ms = -1,
                    },
                    &events, create, &fault) < 0) {
        mem_free(create);
        create_reply(call, key, NULL, &fault);
    }
    return 0;
}

static int create_set(struct gateway *gw, struct session *session, const struct sessions_create *p,
                      struct fault *fault)
{
    char parent[SESSION_KEY_MAX + 1];

    if (p->model && session_set_model(gw, session, p->model, fault) < 0)
        return -ERR_INVALID;
    if (p->label && sessions_set_label(gw, session, p->label, fault) < 0)
        return -ERR_INVALID;
    if (p->parent && session_canonical(gw, p->parent, NULL, parent, fault) < 0)
        return -ERR_INVALID;
    if (p->thinking && !level_thinking_spelled(p->thinking))
        return fault_set(fault, -ERR_INVALID,
                         "invalid thinkingLevel (use off, minimal, low, medium, high or xhigh)");
    if (p->display_name)
        session_set_text(session, "displayName", p->display_name);
    if (p->category)
        session_set_text(session, "category", p->category);
    if (p->thinking)
        session_set_text(session, "thinkingLevel", level_thinking_spelled(p->thinking));
    if (p->parent)
        session_set_text(session, "parentSessionKey", parent);
    if (p->permission_mode)
        session_set_text(session, "permissionMode", p->permission_mode);
    if (p->exec_node)
        session_set_text(session, "execNode", p->exec_node);
    session_set_text(session, "createdVia", "operator");
    return 0;
}

/* The key asked for, else a fresh dashboard session of the agent. */
static int create_key(struct gateway *gw, const struct sessions_create *p,
                      char key[SESSION_KEY_MAX + 1], struct fault *fault)
{
    char uuid[UUID_TEXT], fresh[64];

    crypto_uuid(uuid);
    snprintf(fresh, sizeof(fresh), "dashboard:%s", uuid);
    return session_canonical(gw, p->key ? p->key : fresh, p->agent_id, key, fault);
}

/* ---- a repeated idempotencyKey makes no second session ---- */

static char *create_outcome_key(const struct sessions_create *p)
{
    return mem_format("create:%s", p->run_id);
}

static void create_on_repeated(struct call *call, const struct sessions_change *change)
{
    create_reply(call, change->key, json_string(json_get(change->detail, "runId"), NULL), NULL);
}

static bool create_repeated(struct call *call, const struct sessions_create *p)
{
    struct gateway *gw = call_gateway(call);
    CLEAN(mem_free) char *name = p->run_id ? create_outcome_key(p) : NULL;
    struct sessions_change *change;
    const char *text;

    if (name && call_recall(call, name))
        return true;
    if (!name || store_idempotency_find(gw->store, name, &text) != STORE_KNOWN)
        return false;
    change = sessions_change_new(call, "", create_on_repeated);
    change->detail = json_parse(text, strlen(text), NULL);
    snprintf(change->key, sizeof(change->key), "%s",
             json_string(json_get(change->detail, "key"), ""));
    sessions_commit(gw, change, store_batch(gw->store)); /* behind the batch that made it */
    return true;
}

static void create_put_outcome(struct gateway *gw, const struct sessions_create *p, const char *key,
                               const char *run_id, struct store_batch *batch)
{
    CLEAN(json_free) struct json *outcome = json_new_object();

    if (!p->run_id)
        return;
    json_put(outcome, "key", json_new_string(key));
    if (run_id)
        json_put(outcome, "runId", json_new_string(run_id));
    CLEAN(mem_free) char *name = create_outcome_key(p);
    CLEAN(mem_free) char *text = json_print(outcome, false);
    store_idempotency_put(batch, name, text, loop_wall(gw->loop));
}

/* Everything is checked before anything is made. */
static int create_check(struct call *call, const struct sessions_create *p,
                        char key[SESSION_KEY_MAX + 1], char **ret_images, struct fault *fault)
{
    struct gateway *gw = call_gateway(call);

    if (p->incognito || p->tool_overrides)
        return fault_set(fault, -ERR_INVALID, "%s is not supported by this gateway",
                         p->incognito ? "incognito" : "toolOverrides");
    if (p->agent_id && !agent_exists(gw, p->agent_id))
        return fault_set(fault, -ERR_INVALID, "Unknown agent id \"%s\"", p->agent_id);
    if (create_key(gw, p, key, fault) < 0 || session_check_agent(gw, key, fault) < 0)
        return fault->code;
    return attachments_parts(p->attachments, ret_images, fault);
}

int sessions_create_run(struct call *call, const void *params)
{
    const struct sessions_create *p = params;
    struct gateway *gw = call_gateway(call);
    bool admin = p->incognito || p->exec_node || p->tool_overrides ||
                 (p->permission_mode && strcmp(p->permission_mode, "full") == 0);
    CLEAN(mem_free) char *images = NULL;
    char key[SESSION_KEY_MAX + 1], run_id[UUID_TEXT];
    struct fault fault = {0};
    struct session *session;
    struct store_batch *batch;
    bool known, runs = *create_message(p) || json_count(p->attachments) > 0;

    if (admin && !call_require(call, SCOPE_ADMIN))
        return 0;
    if (create_repeated(call, p))
        return 0;
    if (create_check(call, p, key, &images, &fault) < 0)
        return call_fail_fault(call, &fault);
    known = session_find(gw, key) != NULL;
    session = session_ensure(gw, key, &fault);
    if (!session)
        return call_fail_fault(call, &fault);

    batch = store_batch(gw->store);
    if (create_set(gw, session, p, &fault) < 0) {
        if (!known)
            session_remove(gw, session, batch);
        store_batch_free(batch);
        return call_fail_fault(call, &fault);
    }
    crypto_uuid(run_id);
    create_put_outcome(gw, p, key, runs ? run_id : NULL, batch);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "create", NULL, NULL);
    if (runs) {
        store_commit(batch, NULL); /* commits end in order: the turn's batch is behind it */
        return create_with_message(call, p, key, run_id, images);
    }
    sessions_commit(gw, sessions_change_new(call, key, create_on_stored), batch);
    return 0;
}
