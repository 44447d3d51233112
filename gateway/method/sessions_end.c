/* sessions.reset and sessions.delete: stop what runs there, wait for its end, then change. protocol.md 4.1. */
#include "gateway/method/sessions.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/chat.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>

#define SETTLE_MS 15000 /* protocol.md 4.1 sessions.delete */

const struct field sessions_reset_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("key", REQUIRED),
    R_ANY("entry", OPTIONAL),
    F_END,
};
const struct field sessions_reset_fields[] = {
    K_STR(sessions_reset, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_reset, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_reset, "reason", reason, OPTIONAL, 64),
    F_END,
};

const struct field sessions_delete_fields[] = {
    K_STR(sessions_delete, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_delete, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_delete, "expectedSessionId", session_id, FIELD_NONEMPTY, 128),
    K_BOOL(sessions_delete, "deleteTranscript", transcript, true),
    K_BOOL(sessions_delete, "archivedOnly", archived_only, false),
    F_END,
};
const struct field sessions_delete_reply[] = {
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
    session_restart(gw, session, batch);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "reset", NULL, NULL);
    sessions_commit(gw, sessions_change_new(call, key, sessions_reply_entry), batch);
}

int sessions_reset_run(struct call *call, const void *params)
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

int sessions_delete_run(struct call *call, const void *params)
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
