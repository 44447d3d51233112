/* The sessions group: its rows, subscriptions, and how a change is answered when it is on disk.
 * The others: sessions_list.c, _preview.c, _patch.c, _create.c, _end.c (reset, delete), _chat.c (send,
 * abort, get), _compact.c. protocol.md 4.1, 4.3. */
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

/* What an archived transcript is called, as v3 names its files. */
char *sessions_archive_name(struct gateway *gw, const char *session_id, const char *how)
{
    time_t seconds = (time_t)(loop_wall(gw->loop) / 1000);
    struct tm utc;
    char when[32];

    gmtime_r(&seconds, &utc);
    strftime(when, sizeof(when), "%Y-%m-%dT%H-%M-%SZ", &utc);
    return mem_format("%s.%s.%s", session_id, how, when);
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
    M("sessions.send", OPERATOR, WRITE, WRITE, sessions_send, chat_send_reply, sessions_send_run),
    M("sessions.abort", OPERATOR, WRITE, WRITE, sessions_abort, sessions_abort_reply,
      sessions_abort_run),
    M("sessions.patch", OPERATOR, ADMIN, WRITE, sessions_patch, sessions_patch_reply,
      sessions_patch_run),
    M("sessions.reset", OPERATOR, ADMIN, ADMIN, sessions_reset, sessions_reset_reply,
      sessions_reset_run),
    M("sessions.delete", OPERATOR, ADMIN, WRITE, sessions_delete, sessions_delete_reply,
      sessions_delete_run),
    M("sessions.compact", OPERATOR, ADMIN, ADMIN, sessions_compact, sessions_compact_reply,
      sessions_compact_run),
    {0},
};
