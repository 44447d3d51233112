/* sessions.send, sessions.abort, sessions.get: the chat methods by session. protocol.md 4.3. */
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

#define GET_DEFAULT 200
#define READ_MS     30000

const struct field sessions_send_fields[] = {
    K_STR(sessions_send, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_send, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_send, "message", message, REQUIRED, MESSAGE_CAP),
    K_STR(sessions_send, "idempotencyKey", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    K_STR(sessions_send, "thinking", thinking, OPTIONAL, 64),
    K_OBJECTS(sessions_send, "attachments", attachments, attachment_rows, 1000),
    K_INT(sessions_send, "timeoutMs", timeout_ms, OPTIONAL, 0, 1e12, -1),
    F_END,
};

int sessions_send_run(struct call *call, const void *params)
{
    const struct sessions_send *p = params;
    char fresh[UUID_TEXT];

    crypto_uuid(fresh);
    return chat_submit(call, &(struct chat_message){
                                 .session_key = p->key,
                                 .agent_id = p->agent_id,
                                 .message = p->message,
                                 .run_id = p->run_id ? p->run_id : fresh,
                                 .thinking = p->thinking,
                                 .attachments = p->attachments,
                                 .timeout_ms = p->timeout_ms,
                                 .existing = true,
                             });
}

const struct field sessions_abort_fields[] = {
    K_STR(sessions_abort, "key", key, FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_abort, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_abort, "runId", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    F_END,
};
const struct field sessions_abort_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("abortedRunId", FIELD_NULLABLE),
    R_STR("status", REQUIRED),
    F_END,
};

int sessions_abort_run(struct call *call, const void *params)
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

const struct field sessions_get_fields[] = {
    K_STR(sessions_get, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_get, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_INT(sessions_get, "limit", limit, OPTIONAL, 1, 1000, GET_DEFAULT),
    F_END,
};
const struct field sessions_get_reply[] = {R_ARRAY("messages", REQUIRED), F_END};

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

int sessions_get_run(struct call *call, const void *params)
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
