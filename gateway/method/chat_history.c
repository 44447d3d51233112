/* Reading transcripts: chat.history, chat.startup, chat.message.get, chat.metadata. A read holds its call
 * and a page of the store's reader; it is gone when the page came. Offsets count messages back from the
 * newest; they are kept in transcript seq, so a page never repeats or leaves out a message, also while
 * new ones arrive behind it. protocol.md 4.3, 6.6. */
#include "gateway/method/chat.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/agent/list.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/session/command.h"
#include "gateway/session/level.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <string.h>

#define HISTORY_DEFAULT 200
#define HISTORY_MAX     1000
#define READ_MS         30000

const struct field chat_history_fields[] = {
    K_STR(chat_history, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(chat_history, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_INT(chat_history, "limit", limit, OPTIONAL, 1, HISTORY_MAX, HISTORY_DEFAULT),
    K_INT(chat_history, "offset", offset, OPTIONAL, 0, 1e15, 0),
    K_INT(chat_history, "maxChars", max_chars, OPTIONAL, 1, 500000, 0),
    K_INT(chat_history, "maxBytes", max_bytes, OPTIONAL, 1, 1e12, TRANSCRIPT_HISTORY_BYTES),
    F_END,
};
static const struct field pending_inputs_rows[] = {R_ARRAY("items", REQUIRED),
                                                   R_INT("total", REQUIRED), F_END};
static const struct field metadata_rows[] = {R_ARRAY("models", REQUIRED),
                                             R_ARRAY("commands", REQUIRED), F_END};
const struct field chat_history_reply[] = {
    R_STR("sessionKey", REQUIRED),
    R_STR("sessionId", OPTIONAL),
    R_ARRAY("messages", REQUIRED),
    R_STR("thinkingLevel", OPTIONAL),
    R_OBJECT("pendingInputs", OPTIONAL, pending_inputs_rows),
    R_INT("offset", OPTIONAL),
    R_INT("nextOffset", OPTIONAL),
    R_BOOL("hasMore", OPTIONAL),
    R_INT("totalMessages", OPTIONAL),
    R_ANY("defaults", OPTIONAL),
    R_ANY("sessionInfo", OPTIONAL),
    R_ANY("inFlightRun", OPTIONAL),
    R_ANY("agentsList", OPTIONAL),
    R_OBJECT("metadata", OPTIONAL, metadata_rows),
    F_END,
};

struct history_read {
    struct store_page page;
    struct call *call;
    char key[SESSION_KEY_MAX + 1], session_id[SESSION_ID_MAX + 1];
    const struct chat_history *params; /* live as long as the call */
    bool startup;
};

/* ---- metadata ---- */

static void metadata_write(struct gateway *gw, struct json_writer *w)
{
    jw_object(w);
    jw_key(w, "models");
    models_write(gw, w);
    jw_key(w, "commands");
    commands_write(w);
    jw_object_end(w);
}

/* ---- chat.history, chat.startup ---- */

static bool history_has_more(const struct history_read *read, const struct session *session)
{
    return read->page.count > 0 && read->page.rows[0].seq > session_number(session, "firstSeq", 1);
}

static void history_write_v4(struct history_read *read, const struct session *session,
                             struct json_writer *w)
{
    struct row_options options = {.version = 4, .title = true, .last = true};
    struct gateway *gw = call_gateway(read->call);
    bool more = session && history_has_more(read, session);

    jw_kobject(w, "pendingInputs");
    jw_karray(w, "items");
    jw_array_end(w);
    jw_kint(w, "total", 0);
    jw_object_end(w);
    if (read->params->offset > 0)
        jw_kint(w, "offset", read->params->offset);
    if (more)
        jw_kint(w, "nextOffset", session->message_count - read->page.rows[0].seq + 1);
    jw_kbool(w, "hasMore", more);
    jw_kint(w, "totalMessages", read->page.total);
    jw_key(w, "defaults");
    row_write_defaults(gw, 4, w);
    jw_key(w, "sessionInfo");
    row_write(gw, read->key, session, &options, w);
    turn_write_in_flight(gw, read->key, w);
}

static int history_reply(struct history_read *read)
{
    struct gateway *gw = call_gateway(read->call);
    struct session *session = session_find(gw, read->key);
    int version = call_version(read->call);
    struct key_rules rules = session_rules(gw);
    struct json_writer *w = call_reply(read->call);
    char agent[AGENT_ID_MAX + 1];

    jw_object(w);
    jw_kstr(w, "sessionKey", read->params->session_key);
    jw_kstr(w, "sessionId", read->session_id[0] ? read->session_id : NULL);
    jw_karray(w, "messages");
    for (size_t i = 0; i < read->page.count; i++)
        transcript_write_row(&read->page.rows[i], version, read->params->max_chars, w);
    jw_array_end(w);
    key_agent(&rules, read->key, agent);
    jw_kstr(w, "thinkingLevel", level_of(gw, session, agent, LEVEL_THINKING));
    if (version >= 4)
        history_write_v4(read, session, w);
    if (read->startup) {
        jw_key(w, "agentsList");
        agent_list_write(gw, version, w);
        jw_key(w, "metadata");
        metadata_write(gw, w);
    }
    jw_object_end(w);
    return call_send(read->call);
}

static void history_on_page(struct op *op, int result)
{
    struct history_read *read = CONTAINER(op, struct history_read, page.op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(read->call, &op->fault);
    } else {
        history_reply(read);
    }
    store_page_done(&read->page);
    mem_free(read);
}

static int history_start(struct call *call, const struct chat_history *params, bool startup)
{
    struct gateway *gw = call_gateway(call);
    struct history_read *read = NEW(struct history_read);
    struct fault fault = {0};
    struct session *session;
    int64_t through;

    if (session_canonical(gw, params->session_key, params->agent_id, read->key, &fault) < 0) {
        mem_free(read);
        return call_fail_fault(call, &fault);
    }
    read->call = call;
    read->params = params;
    read->startup = startup;
    session = session_find(gw, read->key);
    through = session ? session->message_count - params->offset : 0;
    if (session)
        memcpy(read->session_id, session->session_id, sizeof(read->session_id));
    if (!session || through < 1) {
        read->page.total = session ? session->message_count : 0;
        history_reply(read);
        mem_free(read);
        return 0;
    }
    op_init(&read->page.op, gw->loop, history_on_page, READ_MS);
    store_messages_read(gw->store, &read->page, read->session_id, through, (int)params->limit,
                        params->max_bytes < TRANSCRIPT_HISTORY_BYTES
                            ? (size_t)params->max_bytes
                            : (size_t)TRANSCRIPT_HISTORY_BYTES);
    return 0;
}

int chat_history_run(struct call *call, const void *params)
{
    return history_start(call, params, false);
}

int chat_startup_run(struct call *call, const void *params)
{
    return history_start(call, params, true);
}

/* ---- chat.message.get ---- */

const struct field chat_message_get_fields[] = {
    K_STR(chat_message_get, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(chat_message_get, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(chat_message_get, "messageId", message_id, REQUIRED | FIELD_NONEMPTY, 128),
    K_INT(chat_message_get, "maxChars", max_chars, OPTIONAL, 1, 2000000, 0),
    F_END,
};
const struct field chat_message_get_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_ANY("message", OPTIONAL),
    R_STR("unavailableReason", OPTIONAL),
    F_END,
};

struct message_read {
    struct store_page page;
    struct call *call;
    const struct chat_message_get *params;
};

static int message_reply(struct message_read *read)
{
    struct json_writer *w = call_reply(read->call);

    jw_object(w);
    jw_kbool(w, "ok", read->page.count > 0);
    if (read->page.count > 0) {
        jw_key(w, "message");
        transcript_write_row(&read->page.rows[0], call_version(read->call), read->params->max_chars,
                             w);
    } else {
        jw_kstr(w, "unavailableReason", "not_found");
    }
    jw_object_end(w);
    return call_send(read->call);
}

static void message_on_page(struct op *op, int result)
{
    struct message_read *read = CONTAINER(op, struct message_read, page.op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(read->call, &op->fault);
    } else {
        message_reply(read);
    }
    store_page_done(&read->page);
    mem_free(read);
}

int chat_message_get_run(struct call *call, const void *params)
{
    const struct chat_message_get *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct message_read *read;

    if (session_canonical(gw, p->session_key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    session = session_find(gw, key);
    read = NEW(struct message_read);
    read->call = call;
    read->params = p;
    if (!session) {
        message_reply(read);
        mem_free(read);
        return 0;
    }
    op_init(&read->page.op, gw->loop, message_on_page, READ_MS);
    store_message_read(gw->store, &read->page, session->session_id, p->message_id);
    return 0;
}

/* ---- chat.metadata ---- */

const struct field chat_metadata_fields[] = {
    K_STR(chat_metadata, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(chat_metadata, "sessionKey", session_key, FIELD_NONEMPTY, KEY_CAP),
    F_END,
};
const struct field chat_metadata_reply[] = {R_ARRAY("models", REQUIRED),
                                            R_ARRAY("commands", REQUIRED), F_END};

int chat_metadata_run(struct call *call, const void *params)
{
    (void)params;
    metadata_write(call_gateway(call), call_reply(call));
    return call_send(call);
}
