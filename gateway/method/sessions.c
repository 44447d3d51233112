/* The sessions group: its rows, and what changes sessions (lists are sessions_list.c, previews
 * sessions_preview.c, settings sessions_patch.c). A change is answered when it is on disk. Deleting and
 * resetting first stop what runs there and wait for its end. protocol.md 4.1, 4.3. */
#include "gateway/method/sessions.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/chat.h"
#include "gateway/method/method.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SETTLE_MS     15000 /* protocol.md 4.1 sessions.delete */
#define COMPACT_LINES 400
#define GET_DEFAULT   200
#define READ_MS       30000

/* ---- a change, answered when it is on disk ---- */

struct sessions_change *sessions_change_new(struct call *call, const char *key,
                                            void (*reply)(struct call *,
                                                          const struct sessions_change *))
{
    struct sessions_change *change = NEW(struct sessions_change);

    change->call = call;
    change->reply = reply;
    snprintf(change->key, sizeof(change->key), "%s", key);
    return change;
}

struct sessions_change *sessions_change_free(struct sessions_change *change)
{
    json_free(change->detail);
    return mem_free(change);
}

static void sessions_on_stored(struct op *op, int result)
{
    struct sessions_change *change = CONTAINER(op, struct sessions_change, op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(change->call, &op->fault);
    } else {
        change->reply(change->call, change);
    }
    sessions_change_free(change);
}

void sessions_commit(struct gateway *gw, struct sessions_change *change, struct store_batch *batch)
{
    op_init(&change->op, gw->loop, sessions_on_stored, 0);
    store_commit(batch, &change->op);
}

void sessions_reply_entry(struct call *call, const struct sessions_change *change)
{
    struct gateway *gw = call_gateway(call);
    struct session *session = session_find(gw, change->key);
    CLEAN(mem_free) char *path = row_store_path(gw);
    struct json_writer *w;

    if (!session) {
        call_fail(call, WIRE_UNAVAILABLE, "session %s was deleted meanwhile", change->key);
        return;
    }
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "path", path);
    jw_kstr(w, "key", change->key);
    jw_key(w, "entry");
    row_write_entry(session, w);
    jw_key(w, "resolved");
    row_write_resolved(gw, session, w);
    jw_object_end(w);
    call_send(call);
}

static const struct field changed_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("key", REQUIRED),
    R_ANY("entry", OPTIONAL),
    F_END,
};

/* ---- sessions.create ---- */

struct sessions_create {
    const char *key, *agent_id, *label, *display_name, *category, *model, *thinking, *parent,
        *message, *task, *run_id, *permission_mode, *exec_node;
    const struct json *attachments, *tool_overrides;
    bool incognito;
};
static const struct field attachment_rows[] = {
    R_STR("mimeType", OPTIONAL),
    R_STR("fileName", OPTIONAL),
    R_ANY("content", OPTIONAL),
    F_END,
};
static const struct field sessions_create_fields[] = {
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
static const struct field sessions_create_reply[] = {
    R_BOOL("ok", REQUIRED),      R_STR("key", REQUIRED),         R_STR("sessionId", REQUIRED),
    R_ANY("entry", REQUIRED),    R_BOOL("runStarted", REQUIRED), R_STR("runId", OPTIONAL),
    R_ANY("runError", OPTIONAL), R_ANY("resolved", OPTIONAL),    F_END,
};

struct create {
    struct call *call;
    char key[SESSION_KEY_MAX + 1], run_id[UUID_TEXT];
};

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

/* The first message goes in with the session: one batch for both. */
static int create_with_message(struct call *call, const struct sessions_create *p, const char *key)
{
    static const struct turn_events events = {.accepted = create_on_accepted};
    struct create *create = NEW(struct create);
    struct fault fault = {0};

    create->call = call;
    snprintf(create->key, sizeof(create->key), "%s", key);
    crypto_uuid(create->run_id);
    if (turn_submit(call_gateway(call),
                    &(struct turn_request){
                        .method = TURN_CHAT,
                        .run_id = create->run_id,
                        .session_key = key,
                        .caller_key = key,
                        .message = p->message && *p->message ? p->message : p->task,
                        .timeout_ms = -1,
                    },
                    &events, create, &fault) < 0) {
        mem_free(create);
        return call_fail_fault(call, &fault);
    }
    return 0;
}

static int create_set(struct gateway *gw, struct session *session, const struct sessions_create *p,
                      struct fault *fault)
{
    char parent[SESSION_KEY_MAX + 1];

    if (p->model && sessions_set_model(session, p->model, fault) < 0)
        return -ERR_INVALID;
    if (p->label && sessions_set_label(gw, session, p->label, fault) < 0)
        return -ERR_INVALID;
    if (p->parent && session_canonical(gw, p->parent, NULL, parent, fault) < 0)
        return -ERR_INVALID;
    if (p->display_name)
        session_set_text(session, "displayName", p->display_name);
    if (p->category)
        session_set_text(session, "category", p->category);
    if (p->thinking)
        session_set_text(session, "thinkingLevel", p->thinking);
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

static int sessions_create_run(struct call *call, const void *params)
{
    const struct sessions_create *p = params;
    struct gateway *gw = call_gateway(call);
    bool admin = p->incognito || p->exec_node || p->tool_overrides ||
                 (p->permission_mode && strcmp(p->permission_mode, "full") == 0);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct store_batch *batch;
    bool known;

    if (admin && !call_require(call, SCOPE_ADMIN))
        return 0;
    if (p->incognito || p->tool_overrides)
        return call_fail(call, WIRE_INVALID_REQUEST, "%s is not supported by this gateway",
                         p->incognito ? "incognito" : "toolOverrides");
    if (p->agent_id && !agent_exists(gw, p->agent_id))
        return call_fail(call, WIRE_INVALID_REQUEST, "unknown agent id \"%s\"", p->agent_id);
    if (create_key(gw, p, key, &fault) < 0)
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
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "create", NULL, NULL);
    if ((p->message && *p->message) || (p->task && *p->task)) {
        store_commit(batch, NULL); /* commits end in order: the turn's batch is behind it */
        return create_with_message(call, p, key);
    }
    sessions_commit(gw, sessions_change_new(call, key, create_on_stored), batch);
    return 0;
}

/* ---- sessions.reset, sessions.delete: stop, wait, change ---- */

struct sessions_reset {
    const char *key, *agent_id, *reason;
};
static const struct field sessions_reset_fields[] = {
    K_STR(sessions_reset, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_reset, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_reset, "reason", reason, OPTIONAL, 64),
    F_END,
};

struct sessions_delete {
    const char *key, *agent_id, *session_id;
    bool transcript, archived_only;
};
static const struct field sessions_delete_fields[] = {
    K_STR(sessions_delete, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_delete, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_delete, "expectedSessionId", session_id, FIELD_NONEMPTY, 128),
    K_BOOL(sessions_delete, "deleteTranscript", transcript, true),
    K_BOOL(sessions_delete, "archivedOnly", archived_only, false),
    F_END,
};
static const struct field sessions_delete_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("key", REQUIRED),
    R_BOOL("deleted", REQUIRED),
    R_STRS("archived", REQUIRED),
    F_END,
};

/* Waiting for the lane to be empty; then `change` does the work. */
struct settling {
    struct call *call;
    char key[SESSION_KEY_MAX + 1];
    void (*change)(struct call *call, const char *key, const struct settling *settling);
    bool transcript;
};

static void sessions_on_settled(void *arg, int result, const struct json *outcome)
{
    struct settling *settling = arg;

    (void)outcome;
    if (result == 0)
        settling->change(settling->call, settling->key, settling);
    else
        call_fail(settling->call, WIRE_UNAVAILABLE,
                  "Session %s is still active; try again in a moment.", settling->key);
    mem_free(settling);
}

static int sessions_settle(struct call *call, const char *key, bool transcript,
                           void (*change)(struct call *, const char *, const struct settling *))
{
    struct settling *settling = NEW(struct settling);

    settling->call = call;
    settling->change = change;
    settling->transcript = transcript;
    snprintf(settling->key, sizeof(settling->key), "%s", key);
    if (turn_settle(call_gateway(call), key, "restart", SETTLE_MS, sessions_on_settled, settling) ==
        0)
        return 0;
    mem_free(settling);
    return call_fail(call, WIRE_UNAVAILABLE,
                     "too many callers wait for sessions; try again in a moment");
}

static void reset_now(struct call *call, const char *key, const struct settling *settling)
{
    struct gateway *gw = call_gateway(call);
    struct fault fault = {0};
    struct session *session = session_ensure(gw, key, &fault);
    struct store_batch *batch;

    (void)settling;
    if (!session) {
        call_fail_fault(call, &fault);
        return;
    }
    batch = store_batch(gw->store);
    store_messages_drop(batch, session->session_id, INT64_MAX, true, loop_wall(gw->loop));
    session_renew(gw, session);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "reset", NULL, NULL);
    sessions_commit(gw, sessions_change_new(call, key, sessions_reply_entry), batch);
}

static int sessions_reset_run(struct call *call, const void *params)
{
    const struct sessions_reset *p = params;
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};

    if (session_canonical(call_gateway(call), p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    return sessions_settle(call, key, true, reset_now);
}

static void delete_reply(struct call *call, const struct sessions_change *change)
{
    const char *archived = json_string(change->detail, NULL);
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "key", change->key);
    jw_kbool(w, "deleted", change->detail != NULL);
    jw_karray(w, "archived");
    if (archived && *archived)
        jw_str(w, archived);
    jw_array_end(w);
    jw_object_end(w);
    call_send(call);
}

/* What an archived transcript is called, as v3 names its files. */
static char *sessions_archive_name(struct gateway *gw, const char *session_id, const char *how)
{
    time_t seconds = (time_t)(loop_wall(gw->loop) / 1000);
    struct tm utc;
    char when[32];

    gmtime_r(&seconds, &utc);
    strftime(when, sizeof(when), "%Y-%m-%dT%H-%M-%SZ", &utc);
    return mem_format("%s.%s.%s", session_id, how, when);
}

static void delete_now(struct call *call, const char *key, const struct settling *settling)
{
    struct gateway *gw = call_gateway(call);
    struct session *session = session_find(gw, key);
    struct sessions_change *change = sessions_change_new(call, key, delete_reply);
    struct store_batch *batch;

    if (!session) {
        delete_reply(call, change);
        sessions_change_free(change);
        return;
    }
    CLEAN(mem_free) char *agent = mem_string(session->agent_id);
    CLEAN(mem_free) char *name = sessions_archive_name(gw, session->session_id, "deleted");
    batch = store_batch(gw->store);
    if (settling->transcript)
        store_messages_drop(batch, session->session_id, INT64_MAX, true, loop_wall(gw->loop));
    change->detail = json_new_string(settling->transcript && session->message_count ? name : "");
    session_remove(gw, session, batch);
    row_emit_removed(gw, batch, key, agent);
    sessions_commit(gw, change, batch);
}

static int sessions_delete_run(struct call *call, const void *params)
{
    const struct sessions_delete *p = params;
    struct gateway *gw = call_gateway(call);
    struct key_rules rules = session_rules(gw);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;

    if (!p->archived_only && !call_require(call, SCOPE_ADMIN))
        return 0;
    if (session_canonical(gw, p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (key_is_main(&rules, key))
        return call_fail(call, WIRE_INVALID_REQUEST, "Cannot delete the main session (%s).", key);
    session = session_find(gw, key);
    if (p->archived_only && session && !session_flag(session, "archived"))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "Session %s is not archived; archive it first.", key);
    if (p->session_id && session && strcmp(p->session_id, session->session_id) != 0)
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "session changed since it was read; reload it and try again");
    return sessions_settle(call, key, p->transcript, delete_now);
}

/* ---- sessions.compact ---- */

struct sessions_compact {
    const char *key, *agent_id;
    int64_t lines;
};
static const struct field sessions_compact_fields[] = {
    K_STR(sessions_compact, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_compact, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_INT(sessions_compact, "maxLines", lines, OPTIONAL, 1, 1e12, COMPACT_LINES),
    F_END,
};
static const struct field sessions_compact_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("key", REQUIRED),
    R_BOOL("compacted", REQUIRED),
    R_STR("reason", OPTIONAL),
    R_STR("archived", OPTIONAL),
    R_INT("kept", OPTIONAL),
    F_END,
};

static void compact_reply(struct call *call, const struct sessions_change *change)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "key", change->key);
    json_each (member, change->detail)
        jw_ktree(w, json_key(member), member);
    jw_object_end(w);
    call_send(call);
}

static int compact_nothing(struct call *call, struct sessions_change *change, const char *reason,
                           int64_t kept)
{
    json_put(change->detail, "compacted", json_new_boolean(false));
    if (reason)
        json_put(change->detail, "reason", json_new_string(reason));
    else
        json_put(change->detail, "kept", json_new_number((double)kept));
    compact_reply(call, change);
    sessions_change_free(change);
    return 0;
}

static int sessions_compact_run(struct call *call, const void *params)
{
    static const char *const counts[] = {"inputTokens", "outputTokens", "totalTokens"};
    const struct sessions_compact *p = params;
    struct gateway *gw = call_gateway(call);
    struct sessions_change *change;
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct store_batch *batch;
    int64_t first, have;

    if (session_canonical(gw, p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (turn_active(gw, key))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "Session %s has an active run; retry after it finishes.", p->key);
    change = sessions_change_new(call, key, compact_reply);
    change->detail = json_new_object();
    session = session_find(gw, key);
    if (!session)
        return compact_nothing(call, change, "no sessionId", 0);
    first = session_number(session, "firstSeq", 1);
    have = session->message_count - first + 1;
    if (have < 1)
        return compact_nothing(call, change, "no transcript", 0);
    if (have <= p->lines)
        return compact_nothing(call, change, NULL, have);

    CLEAN(mem_free) char *name = sessions_archive_name(gw, session->session_id, "bak");
    json_put(change->detail, "compacted", json_new_boolean(true));
    json_put(change->detail, "archived", json_new_string(name));
    json_put(change->detail, "kept", json_new_number((double)p->lines));
    batch = store_batch(gw->store);
    store_messages_drop(batch, session->session_id, session->message_count - p->lines, true,
                        loop_wall(gw->loop));
    session_set_number(session, "firstSeq", session->message_count - p->lines + 1);
    session_set_number(session, "compactionCount",
                       session_number(session, "compactionCount", 0) + 1);
    for (size_t i = 0; i < COUNT(counts); i++)
        json_remove(session->entry, counts[i]);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "compact", NULL, NULL);
    sessions_commit(gw, change, batch);
    return 0;
}

/* ---- subscriptions ---- */

struct sessions_messages {
    const char *key, *agent_id;
};
static const struct field sessions_messages_fields[] = {
    K_STR(sessions_messages, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_messages, "agentId", agent_id, FIELD_NONEMPTY, 128),
    F_END,
};
static const struct field subscribed_reply[] = {R_BOOL("subscribed", REQUIRED),
                                                R_STR("key", OPTIONAL), F_END};

static int sessions_reply_subscribed(struct call *call, bool on, const char *key)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "subscribed", on);
    jw_kstr(w, "key", key);
    jw_object_end(w);
    return call_send(call);
}

static int sessions_subscribe_run(struct call *call, const void *params)
{
    (void)params;
    event_subscribe_sessions(call_conn(call), true);
    return sessions_reply_subscribed(call, true, NULL);
}

static int sessions_unsubscribe_run(struct call *call, const void *params)
{
    (void)params;
    event_subscribe_sessions(call_conn(call), false);
    return sessions_reply_subscribed(call, false, NULL);
}

static int sessions_messages_set(struct call *call, const struct sessions_messages *p, bool on)
{
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};

    if (session_canonical(call_gateway(call), p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (event_subscribe_messages(call_conn(call), key, on) < 0)
        return call_fail(call, WIRE_UNAVAILABLE,
                         "this connection already follows as many sessions as it may; unsubscribe "
                         "from one first");
    return sessions_reply_subscribed(call, on, key);
}

static int sessions_messages_subscribe_run(struct call *call, const void *params)
{
    return sessions_messages_set(call, params, true);
}

static int sessions_messages_unsubscribe_run(struct call *call, const void *params)
{
    return sessions_messages_set(call, params, false);
}

/* ---- sessions.send, sessions.abort, sessions.get: the chat methods by session ---- */

struct sessions_send {
    const char *key, *agent_id, *message, *run_id;
    const struct json *attachments;
    int64_t timeout_ms;
};
static const struct field sessions_send_fields[] = {
    K_STR(sessions_send, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_send, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_send, "message", message, REQUIRED, MESSAGE_CAP),
    K_STR(sessions_send, "idempotencyKey", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    K_OBJECTS(sessions_send, "attachments", attachments, attachment_rows, 1000),
    K_INT(sessions_send, "timeoutMs", timeout_ms, OPTIONAL, 0, 1e12, -1),
    F_END,
};
static const struct field sessions_send_reply[] = {
    R_STR("runId", OPTIONAL),
    R_STR("status", OPTIONAL),
    R_BOOL("ok", OPTIONAL),
    R_BOOL("aborted", OPTIONAL),
    F_END,
};

static int sessions_send_run(struct call *call, const void *params)
{
    const struct sessions_send *p = params;
    char fresh[UUID_TEXT];

    crypto_uuid(fresh);
    return chat_submit(call, &(struct chat_message){
                                 .session_key = p->key,
                                 .agent_id = p->agent_id,
                                 .message = p->message,
                                 .run_id = p->run_id ? p->run_id : fresh,
                                 .attachments = p->attachments,
                                 .timeout_ms = p->timeout_ms,
                             });
}

struct sessions_abort {
    const char *key, *agent_id, *run_id;
};
static const struct field sessions_abort_fields[] = {
    K_STR(sessions_abort, "key", key, FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_abort, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_abort, "runId", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    F_END,
};
static const struct field sessions_abort_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("abortedRunId", FIELD_NULLABLE),
    R_STR("status", REQUIRED),
    F_END,
};

static int sessions_abort_run(struct call *call, const void *params)
{
    const struct sessions_abort *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct json_writer ids, *w;
    const char *runs_in;
    struct buf b;

    if (!p->key && !p->run_id)
        return call_fail(call, WIRE_INVALID_REQUEST, "key or runId is required");
    runs_in = p->run_id ? turn_running_in(gw, p->run_id) : NULL;
    if (p->key ? session_canonical(gw, p->key, p->agent_id, key, &fault) < 0
               : snprintf(key, sizeof(key), "%s", runs_in ? runs_in : "") < 0)
        return call_fail_fault(call, &fault);

    buf_init(&b, 4 * 1024 * 1024);
    jw_init(&ids, &b);
    turn_abort(gw, key, p->run_id, "rpc", &ids);
    CLEAN(json_free) struct json *stopped = json_parse(b.data, b.length, NULL);
    const char *first = json_string(json_first(stopped), NULL);
    buf_done(&b);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    if (first)
        jw_kstr(w, "abortedRunId", first);
    else
        jw_knull(w, "abortedRunId"); /* the reference sends null (live) */
    jw_kstr(w, "status", first ? "aborted" : "no-active-run");
    jw_object_end(w);
    return call_send(call);
}

struct sessions_get {
    const char *key, *agent_id;
    int64_t limit;
};
static const struct field sessions_get_fields[] = {
    K_STR(sessions_get, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_get, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_INT(sessions_get, "limit", limit, OPTIONAL, 1, 1000, GET_DEFAULT),
    F_END,
};
static const struct field sessions_get_reply[] = {R_ARRAY("messages", REQUIRED), F_END};

struct get_read {
    struct store_page page;
    struct call *call;
};

static int get_reply(struct get_read *read)
{
    struct json_writer *w = call_reply(read->call);

    jw_object(w);
    jw_karray(w, "messages");
    for (size_t i = 0; i < read->page.count; i++)
        transcript_write_row(&read->page.rows[i], call_version(read->call), 0, w);
    jw_array_end(w);
    jw_object_end(w);
    return call_send(read->call);
}

static void get_on_page(struct op *op, int result)
{
    struct get_read *read = CONTAINER(op, struct get_read, page.op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(read->call, &op->fault);
    } else {
        get_reply(read);
    }
    store_page_done(&read->page);
    mem_free(read);
}

static int sessions_get_run(struct call *call, const void *params)
{
    const struct sessions_get *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct get_read *read;

    if (session_canonical(gw, p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    session = session_find(gw, key);
    read = NEW(struct get_read);
    read->call = call;
    if (!session) {
        get_reply(read);
        mem_free(read);
        return 0;
    }
    op_init(&read->page.op, gw->loop, get_on_page, READ_MS);
    store_messages_read(gw->store, &read->page, session->session_id, 0, (int)p->limit,
                        TRANSCRIPT_HISTORY_BYTES);
    return 0;
}

/* ---- rows ---- */

const struct method methods_sessions[] = {
    M("sessions.list", OPERATOR, READ, READ, sessions_list, sessions_list_reply, sessions_list_run),
    M("sessions.preview", OPERATOR, READ, READ, sessions_preview, sessions_preview_reply,
      sessions_preview_run),
    M("sessions.resolve", OPERATOR, ADMIN, READ, sessions_resolve, sessions_resolve_reply,
      sessions_resolve_run),
    M("sessions.describe", OPERATOR, READ, READ, sessions_describe, sessions_describe_reply,
      sessions_describe_run),
    M("sessions.get", OPERATOR, READ, READ, sessions_get, sessions_get_reply, sessions_get_run),
    M("sessions.subscribe", OPERATOR, READ, READ, no_params, subscribed_reply,
      sessions_subscribe_run),
    M("sessions.unsubscribe", OPERATOR, READ, READ, no_params, subscribed_reply,
      sessions_unsubscribe_run),
    M("sessions.messages.subscribe", OPERATOR, READ, READ, sessions_messages, subscribed_reply,
      sessions_messages_subscribe_run),
    M("sessions.messages.unsubscribe", OPERATOR, READ, READ, sessions_messages, subscribed_reply,
      sessions_messages_unsubscribe_run),
    M("sessions.create", OPERATOR, WRITE, WRITE, sessions_create, sessions_create_reply,
      sessions_create_run),
    M("sessions.send", OPERATOR, WRITE, WRITE, sessions_send, sessions_send_reply,
      sessions_send_run),
    M("sessions.abort", OPERATOR, WRITE, WRITE, sessions_abort, sessions_abort_reply,
      sessions_abort_run),
    M("sessions.patch", OPERATOR, ADMIN, WRITE, sessions_patch, sessions_patch_reply,
      sessions_patch_run),
    M("sessions.reset", OPERATOR, ADMIN, ADMIN, sessions_reset, changed_reply, sessions_reset_run),
    M("sessions.delete", OPERATOR, ADMIN, WRITE, sessions_delete, sessions_delete_reply,
      sessions_delete_run),
    M("sessions.compact", OPERATOR, ADMIN, ADMIN, sessions_compact, sessions_compact_reply,
      sessions_compact_run),
    {0},
};
