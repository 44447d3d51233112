/* chat.send, chat.abort, chat.inject, and the rows of the chat group (reading is chat_history.c).
 * chat.send: stop words act at once, a known idempotency key is answered from what is known, else a turn
 * is submitted and acknowledged when its message is on disk. protocol.md 6.2, 6.7. */
#include "gateway/method/chat.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/session/attachment.h"
#include "gateway/session/command.h"
#include "gateway/session/inject.h"
#include "gateway/session/level.h"
#include "gateway/session/policy.h"
#include "gateway/session/turn.h"

#include <string.h>

/* ---- chat.send ---- */

struct chat_send {
    const char *session_key, *agent_id, *message, *run_id, *thinking;
    const struct json *attachments;
    int64_t timeout_ms;
    int queue_mode;
    bool deliver, literal;
};
static const char *const chat_queue_modes[] = {"",        "steer",     "followup",
                                               "collect", "interrupt", NULL};
const struct field attachment_rows[] = {
    R_STR("type", OPTIONAL),
    R_STR("mimeType", OPTIONAL),
    R_STR("fileName", OPTIONAL),
    R_ANY("content", OPTIONAL),
    F_END,
};
static const struct field chat_send_fields[] = {
    K_STR(chat_send, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(chat_send, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(chat_send, "message", message, REQUIRED, MESSAGE_CAP),
    K_STR(chat_send, "thinking", thinking, OPTIONAL, 64),
    K_BOOL(chat_send, "deliver", deliver, false),
    K_OBJECTS(chat_send, "attachments", attachments, attachment_rows, 1000),
    K_ENUM(chat_send, "queueMode", queue_mode, chat_queue_modes, 0),
    K_BOOL(chat_send, "suppressCommandInterpretation", literal, false),
    K_INT(chat_send, "timeoutMs", timeout_ms, OPTIONAL, 0, 1e12, -1),
    K_STR(chat_send, "idempotencyKey", run_id, REQUIRED | FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    F_END,
};
const struct field chat_send_reply[] = {
    R_STR("runId", OPTIONAL),      R_STR("status", OPTIONAL),  R_BOOL("ok", OPTIONAL),
    R_BOOL("aborted", OPTIONAL),   R_STRS("runIds", OPTIONAL), R_STR("summary", OPTIONAL),
    R_STR("stopReason", OPTIONAL), R_INT("endedAt", OPTIONAL), F_END,
};

static int chat_reply_status(struct call *call, const char *run_id, const char *status)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kstr(w, "runId", run_id);
    jw_kstr(w, "status", status);
    jw_object_end(w);
    return call_send(call);
}

int chat_fail_run(struct call *call, const char *run_id, const char *error)
{
    CLEAN(json_free) struct json *payload = json_new_object();

    json_put(payload, "runId", json_new_string(run_id));
    json_put(payload, "status", json_new_string("error"));
    json_put(payload, "summary", json_new_string(error));
    CLEAN(mem_free) char *text = json_print(payload, false);
    return call_fail_with(call, &(struct call_error){.code = WIRE_UNAVAILABLE,
                                                     .message = error,
                                                     .payload = text,
                                                     .retry_after_ms = -1});
}

/* The run has ended, in this life of the gateway or an earlier one. */
static int chat_reply_known(struct call *call, const char *run_id, const struct json *outcome)
{
    const char *status = json_string(json_get(outcome, "status"), "error");
    struct json_writer *w;

    if (strcmp(status, "ok") == 0)
        return chat_reply_status(call, run_id, "ok");
    if (strcmp(status, "aborted") == 0) { /* the reference says so (live) */
        w = call_reply(call);
        jw_object(w);
        jw_kstr(w, "runId", run_id);
        jw_kstr(w, "status", "timeout");
        jw_kstr(w, "summary", "aborted");
        jw_kstr(w, "stopReason", json_string(json_get(outcome, "stopReason"), NULL));
        jw_ktree(w, "endedAt", json_get(outcome, "endedAt"));
        jw_object_end(w);
        return call_send(call);
    }
    return chat_fail_run(call, run_id, json_string(json_get(outcome, "error"), "the run failed"));
}

static int chat_stop(struct call *call, const char *session_key)
{
    struct gateway *gw = call_gateway(call);
    struct json_writer ids;
    struct buf b;
    struct json_writer *w;
    size_t stopped;

    buf_init(&b, 4 * 1024 * 1024);
    jw_init(&ids, &b);
    stopped = turn_abort(gw, session_key, NULL, "stop", &ids);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kbool(w, "aborted", stopped > 0);
    jw_kraw(w, "runIds", b.data);
    jw_object_end(w);
    buf_done(&b);
    return call_send(call);
}

static void chat_on_accepted(void *arg, int result, const struct fault *fault)
{
    struct call *call = arg;

    if (result < 0)
        call_fail_fault(call, fault);
    else
        call_send(call); /* the acknowledgement was written when the turn was submitted */
}

static int chat_start(struct call *call, const struct chat_message *m, const char *key)
{
    static const struct turn_events events = {.accepted = chat_on_accepted};
    struct gateway *gw = call_gateway(call);
    const char *message = m->message, *thinking = level_spelled(LEVEL_THINKING, m->thinking);
    CLEAN(mem_free) char *images = NULL;
    struct fault fault = {0};
    struct json_writer *w;

    if (!m->literal)
        command_thinks(&message, &thinking);

    if (attachments_parts(m->attachments, &images, &fault) < 0)
        return call_fail_fault(call, &fault);
    w = call_reply(call);
    jw_object(w);
    jw_kstr(w, "runId", m->run_id);
    jw_kstr(w, "status", "started");
    jw_object_end(w);
    if (turn_submit(gw,
                    &(struct turn_request){
                        .method = TURN_CHAT,
                        .run_id = m->run_id,
                        .session_key = key,
                        .caller_key = m->session_key,
                        .message = message,
                        .images = images,
                        .thinking = thinking,
                        .queue_mode = m->queue_mode,
                        .literal = m->literal,
                        .timeout_ms = m->timeout_ms,
                    },
                    &events, call, &fault) < 0)
        return call_fail_fault(call, &fault);
    return 0;
}

bool chat_admit(struct call *call, const char *key, const struct chat_wish *wish)
{
    struct gateway *gw = call_gateway(call);
    const char *rest;
    const struct command *command = wish->literal ? NULL : command_of(wish->message, &rest);
    struct fault fault = {0};

    if (wish->deliver) {
        call_fail(call, WIRE_INVALID_REQUEST,
                  "delivery channel is required: this gateway has no channel to deliver to; send "
                  "deliver:false and read the answer here");
        return false;
    }
    if (wish->thinking && *wish->thinking && !level_spelled(LEVEL_THINKING, wish->thinking)) {
        call_fail(call, WIRE_INVALID_REQUEST,
                  "invalid thinking \"%.40s\" (use off, minimal, low, medium, high or xhigh)",
                  wish->thinking);
        return false;
    }
    if (command && command->admin && *rest && call_version(call) >= 4 &&
        !call_require(call, SCOPE_ADMIN))
        return false;
    /* A command is for the gateway: it may open again what it closed. */
    if ((!command || command->resets) && !policy_allows(gw, key, session_find(gw, key))) {
        call_fail(call, WIRE_INVALID_REQUEST, "send blocked by session policy");
        return false;
    }
    if (session_check_agent(gw, key, &fault) < 0) {
        call_fail_fault(call, &fault);
        return false;
    }
    return true;
}

int chat_submit(struct call *call, const struct chat_message *m)
{
    struct gateway *gw = call_gateway(call);
    CLEAN(json_free) struct json *outcome = NULL;
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};

    if (session_canonical(gw, m->session_key, m->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (m->agent_id && !agent_exists(gw, m->agent_id))
        return call_fail(call, WIRE_INVALID_REQUEST, "Unknown agent id \"%s\"", m->agent_id);
    if (m->existing && !session_find(gw, key))
        return call_fail(call, WIRE_INVALID_REQUEST, "session not found: %s", m->session_key);
    if (strspn(m->message, " \t\r\n") == strlen(m->message) && json_count(m->attachments) == 0)
        return call_fail(call, WIRE_INVALID_REQUEST, "message or attachment required");
    if (!m->literal && command_is_stop(m->message))
        return chat_stop(call, key);

    if (turn_running_in(gw, m->run_id))
        return chat_reply_status(call, m->run_id, "in_flight");
    CLEAN(mem_free) char *name = turn_outcome_key(TURN_CHAT, m->run_id);
    if (call_recall(call, name))
        return 0;
    outcome = turn_known(gw, TURN_CHAT, m->run_id);
    if (outcome && strcmp(json_string(json_get(outcome, "status"), ""), "started") != 0)
        return chat_reply_known(call, m->run_id, outcome);

    if (!chat_admit(call, key,
                    &(struct chat_wish){
                        .message = m->message,
                        .thinking = m->thinking,
                        .deliver = m->deliver,
                        .literal = m->literal,
                    }))
        return 0;
    return chat_start(call, m, key);
}

static int chat_send_run(struct call *call, const void *params)
{
    const struct chat_send *p = params;

    return chat_submit(call, &(struct chat_message){
                                 .session_key = p->session_key,
                                 .agent_id = p->agent_id,
                                 .message = p->message,
                                 .run_id = p->run_id,
                                 .thinking = p->thinking,
                                 .deliver = p->deliver,
                                 .literal = p->literal,
                                 .queue_mode = chat_queue_modes[p->queue_mode],
                                 .attachments = p->attachments,
                                 .timeout_ms = p->timeout_ms,
                             });
}

/* ---- chat.abort ---- */

struct chat_abort {
    const char *session_key, *agent_id, *run_id;
};
static const struct field chat_abort_fields[] = {
    K_STR(chat_abort, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(chat_abort, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(chat_abort, "runId", run_id, FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    F_END,
};
static const struct field chat_abort_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_BOOL("aborted", REQUIRED),
    R_STRS("runIds", REQUIRED),
    F_END,
};

static int chat_abort_run(struct call *call, const void *params)
{
    const struct chat_abort *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    const char *runs_in;
    struct json_writer ids, *w;
    struct buf b;
    size_t stopped;

    if (session_canonical(gw, p->session_key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    runs_in = p->run_id ? turn_running_in(gw, p->run_id) : NULL;
    if (runs_in && strcmp(runs_in, key) != 0)
        return call_fail(call, WIRE_INVALID_REQUEST, "runId does not match sessionKey");

    buf_init(&b, 4 * 1024 * 1024);
    jw_init(&ids, &b);
    stopped = turn_abort(gw, key, p->run_id, "rpc", &ids);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kbool(w, "aborted", stopped > 0);
    jw_kraw(w, "runIds", b.data);
    jw_object_end(w);
    buf_done(&b);
    return call_send(call);
}

/* ---- chat.inject ---- */

struct chat_inject {
    const char *session_key, *agent_id, *message, *label;
};
static const struct field chat_inject_fields[] = {
    K_STR(chat_inject, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(chat_inject, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(chat_inject, "message", message, REQUIRED | FIELD_NONEMPTY, 1 << 20),
    K_STR(chat_inject, "label", label, OPTIONAL, 100),
    F_END,
};
static const struct field chat_inject_reply[] = {R_BOOL("ok", REQUIRED),
                                                 R_STR("messageId", REQUIRED), F_END};

static void chat_on_injected(void *arg, int result, const struct fault *fault,
                             const char *message_id)
{
    struct call *call = arg;
    struct json_writer *w;

    if (result < 0) {
        call_fail_fault(call, fault);
        return;
    }
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "messageId", message_id);
    jw_object_end(w);
    call_send(call);
}

static int chat_inject_run(struct call *call, const void *params)
{
    const struct chat_inject *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;

    if (session_canonical(gw, p->session_key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    session = session_find(gw, key);
    if (!session)
        return call_fail(call, WIRE_INVALID_REQUEST, "session not found");

    CLEAN(mem_free)
    char *text = p->label && *p->label ? mem_format("[%s]\n\n%s", p->label, p->message)
                                       : mem_string(p->message);
    inject_message(gw, session, text, chat_on_injected, call);
    return 0;
}

/* ---- rows ---- */

const struct method methods_chat[] = {
    M("chat.history", OPERATOR, READ, READ, chat_history, chat_history_reply, chat_history_run),
    M("chat.startup", OPERATOR, READ, READ, chat_history, chat_history_reply, chat_startup_run),
    M("chat.metadata", OPERATOR, READ, READ, chat_metadata, chat_metadata_reply, chat_metadata_run),
    M("chat.message.get", OPERATOR, READ, READ, chat_message_get, chat_message_get_reply,
      chat_message_get_run),
    M("chat.send", OPERATOR, WRITE, WRITE, chat_send, chat_send_reply, chat_send_run),
    M("chat.abort", OPERATOR, WRITE, WRITE, chat_abort, chat_abort_reply, chat_abort_run),
    M("chat.inject", OPERATOR, ADMIN, ADMIN, chat_inject, chat_inject_reply, chat_inject_run),
    {0},
};
