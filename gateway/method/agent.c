/* agent and agent.wait. `agent` answers twice: when the message is on disk, and when the run has ended;
 * a repeated key is answered from what is known, its text read back from the transcript.
 * protocol.md 6.1. */
#include "gateway/agent/agent.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/chat.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/session/attachment.h"
#include "gateway/session/command.h"
#include "gateway/session/level.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>

#define REPLAY_MS       30000
#define WAIT_DEFAULT_MS 30000
#define WAIT_MAX_MS     3600000

struct agent_params {
    const char *message, *agent_id, *session_key, *extra_system, *label, *spawned_by, *run_id,
        *session_id, *thinking;
    const struct json *attachments;
    int64_t timeout_s;
    bool deliver;
};
static const struct field agent_params_fields[] = {
    K_STR(agent_params, "message", message, REQUIRED | FIELD_NONEMPTY, MESSAGE_CAP),
    K_STR(agent_params, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(agent_params, "sessionKey", session_key, OPTIONAL, KEY_CAP),
    K_STR(agent_params, "extraSystemPrompt", extra_system, OPTIONAL, 100000),
    K_STR(agent_params, "thinking", thinking, OPTIONAL, 64),
    K_STR(agent_params, "label", label, FIELD_NONEMPTY, SESSION_LABEL_MAX),
    K_STR(agent_params, "spawnedBy", spawned_by, OPTIONAL, KEY_CAP),
    K_OBJECTS(agent_params, "attachments", attachments, attachment_rows, 1000),
    K_BOOL(agent_params, "deliver", deliver, false),
    K_STR(agent_params, "sessionId", session_id, FIELD_NONEMPTY, 128),
    K_INT(agent_params, "timeout", timeout_s, OPTIONAL, 0, 1e9, -1),
    K_STR(agent_params, "idempotencyKey", run_id, REQUIRED | FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    F_END,
};
static const struct field payload_rows[] = {R_STR("text", REQUIRED), R_ANY("mediaUrl", OPTIONAL),
                                            F_END};
static const struct field agent_meta_rows[] = {
    R_STR("sessionId", OPTIONAL),
    R_STR("provider", OPTIONAL),
    R_STR("model", OPTIONAL),
    R_ANY("usage", OPTIONAL),
    F_END,
};
static const struct field meta_rows[] = {
    R_INT("durationMs", REQUIRED),
    R_OBJECT("agentMeta", REQUIRED, agent_meta_rows),
    R_BOOL("aborted", OPTIONAL),
    R_STR("stopReason", OPTIONAL),
    F_END,
};
static const struct field result_rows[] = {
    R_OBJECTS("payloads", REQUIRED, payload_rows),
    R_OBJECT("meta", REQUIRED, meta_rows),
    F_END,
};
static const struct field agent_reply[] = {
    R_STR("runId", REQUIRED),
    R_STR("status", REQUIRED),
    R_INT("acceptedAt", OPTIONAL),
    R_STR("sessionKey", OPTIONAL),
    R_STR("agentId", OPTIONAL),
    R_STR("summary", OPTIONAL),
    R_STR("stopReason", OPTIONAL),
    R_OBJECT("result", OPTIONAL, result_rows),
    F_END,
};

/* ---- answers ---- */

/* {runId, status, acceptedAt, sessionKey, agentId}: the first answer and that of a running repeat. */
static struct json_writer *agent_write_status(struct call *call, const char *run_id,
                                              const char *status, const char *session_key,
                                              int64_t accepted_at)
{
    struct gateway *gw = call_gateway(call);
    struct key_rules rules = session_rules(gw);
    struct json_writer *w = call_reply(call);
    char agent[AGENT_ID_MAX + 1];

    jw_object(w);
    jw_kstr(w, "runId", run_id);
    jw_kstr(w, "status", status);
    if (accepted_at)
        jw_kint(w, "acceptedAt", accepted_at);
    if (call_version(call) >= 4) {
        key_agent(&rules, session_key, agent);
        jw_kstr(w, "sessionKey", session_key);
        jw_kstr(w, "agentId", agent);
    }
    jw_object_end(w);
    return w;
}

static void agent_write_result(const struct json *outcome, const char *text, struct json_writer *w)
{
    int64_t started = json_integer(json_get(outcome, "startedAt"), 0);
    int64_t ended = json_integer(json_get(outcome, "endedAt"), started);

    jw_kobject(w, "result");
    jw_karray(w, "payloads");
    if (text && *text) {
        jw_object(w);
        jw_kstr(w, "text", text);
        jw_knull(w, "mediaUrl"); /* protocol.md 6.1: the reference sends it */
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_kobject(w, "meta");
    jw_kint(w, "durationMs", started ? ended - started : 0);
    jw_kobject(w, "agentMeta");
    jw_ktree(w, "sessionId", json_get(outcome, "sessionId"));
    jw_ktree(w, "provider", json_get(outcome, "provider"));
    jw_ktree(w, "model", json_get(outcome, "model"));
    jw_ktree(w, "usage", json_get(outcome, "usage"));
    jw_object_end(w);
    if (strcmp(json_string(json_get(outcome, "status"), ""), "aborted") == 0)
        jw_kbool(w, "aborted", true);
    jw_ktree(w, "stopReason", json_get(outcome, "stopReason"));
    jw_object_end(w);
    jw_object_end(w);
}

static int agent_reply_outcome(struct call *call, const struct json *outcome, const char *text)
{
    const char *run_id = json_string(json_get(outcome, "runId"), "");
    const char *status = json_string(json_get(outcome, "status"), "error");
    bool aborted = strcmp(status, "aborted") == 0;
    struct json_writer *w;

    if (strcmp(status, "error") == 0)
        return chat_fail_run(call, run_id,
                             json_string(json_get(outcome, "error"), "the run failed"));
    w = call_reply(call);
    jw_object(w);
    jw_kstr(w, "runId", run_id);
    if (aborted && call_version(call) >= 4) { /* no result: the events told the rest (live) */
        jw_kstr(w, "status", "timeout");
        jw_kstr(w, "summary", "aborted");
        jw_ktree(w, "stopReason", json_get(outcome, "stopReason"));
    } else {
        jw_kstr(w, "status", "ok");
        jw_kstr(w, "summary", aborted ? "aborted" : "completed");
        agent_write_result(outcome, text, w);
    }
    jw_object_end(w);
    return call_send(call);
}

/* ---- a repeated key ---- */

struct agent_replay {
    struct store_page page;
    struct call *call;
    struct json *outcome;
};

static void agent_on_replay(struct op *op, int result)
{
    struct agent_replay *replay = CONTAINER(op, struct agent_replay, page.op);
    CLEAN(json_free) struct json *message = NULL;
    CLEAN(mem_free) char *text = NULL;

    if (result == 0 && replay->page.count > 0) {
        message =
            json_parse(replay->page.rows[0].message, strlen(replay->page.rows[0].message), NULL);
        text = transcript_text(message);
    }
    agent_reply_outcome(replay->call, replay->outcome,
                        text); /* a deleted transcript: without its text */
    json_free(replay->outcome);
    store_page_done(&replay->page);
    mem_free(replay);
}

/* Takes outcome. */
static int agent_replay(struct call *call, struct json *outcome)
{
    struct gateway *gw = call_gateway(call);
    const char *message_id = json_string(json_get(outcome, "messageId"), NULL);
    const char *session_id = json_string(json_get(outcome, "sessionId"), "");
    struct agent_replay *replay;

    if (!message_id) {
        agent_reply_outcome(call, outcome, json_string(json_get(outcome, "text"), NULL));
        json_free(outcome);
        return 0;
    }
    replay = NEW(struct agent_replay);
    replay->call = call;
    replay->outcome = outcome;
    op_init(&replay->page.op, gw->loop, agent_on_replay, REPLAY_MS);
    store_message_read(gw->store, &replay->page, session_id, message_id);
    return 0;
}

/* True when the call has been answered from what is known of the key, or will be when that is read. */
static bool agent_repeated(struct call *call, const char *run_id)
{
    struct gateway *gw = call_gateway(call);
    const char *running = turn_running_in(gw, run_id);
    CLEAN(mem_free) char *name = turn_outcome_key(TURN_AGENT, run_id);

    if (call_recall(call, name))
        return true;
    struct json *outcome = turn_known(gw, TURN_AGENT, run_id);
    bool started = strcmp(json_string(json_get(outcome, "status"), "started"), "started") == 0;

    if (running) {
        agent_write_status(call, run_id, call_version(call) >= 4 ? "in_flight" : "accepted",
                           running,
                           json_integer(json_get(outcome, "acceptedAt"), loop_wall(gw->loop)));
        json_free(outcome);
        call_send(call);
        return true;
    }
    if (started) {
        json_free(outcome);
        return false;
    }
    agent_replay(call, outcome);
    return true;
}

/* ---- a new run ---- */

static void agent_on_accepted(void *arg, int result, const struct fault *fault)
{
    struct call *call = arg;

    if (result < 0)
        call_fail_fault(call, fault);
    else
        call_send_first(call);
}

static void agent_on_ended(void *arg, const struct json *outcome, const char *text)
{
    agent_reply_outcome(arg, outcome, text);
}

/* Label and parent of the session the run goes to, as sessions.patch would set them. */
static int agent_mark(struct gateway *gw, const struct agent_params *p, const char *key,
                      struct fault *fault)
{
    struct session *other = p->label ? session_by_label(gw, p->label) : NULL;
    struct session *session;

    if (other && strcmp(other->key, key) != 0)
        return fault_set(fault, -ERR_INVALID, "label already in use: %s", p->label);
    if (!p->label && !p->spawned_by)
        return 0;
    session = session_ensure(gw, key, fault);
    if (!session)
        return fault->code;
    if (p->label) {
        mem_free(session->label);
        session->label = mem_string(p->label);
    }
    if (p->spawned_by && strncmp(key_rest(key), "subagent:", 9) == 0 &&
        !session_text(session, "spawnedBy", NULL))
        session_set_text(session, "spawnedBy", p->spawned_by);
    return 0;
}

static int agent_start(struct call *call, const struct agent_params *p, const char *key)
{
    static const struct turn_events events = {.accepted = agent_on_accepted,
                                              .ended = agent_on_ended};
    struct gateway *gw = call_gateway(call);
    const char *message = p->message, *thinking = level_spelled(LEVEL_THINKING, p->thinking);
    CLEAN(mem_free) char *images = NULL;
    struct fault fault = {0};

    command_thinks(&message, &thinking);
    if (attachments_parts(p->attachments, &images, &fault) < 0 ||
        agent_mark(gw, p, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    agent_write_status(call, p->run_id, "accepted", key, loop_wall(gw->loop));
    if (turn_submit(gw,
                    &(struct turn_request){
                        .method = TURN_AGENT,
                        .run_id = p->run_id,
                        .session_key = key,
                        .caller_key = p->session_key && *p->session_key ? p->session_key : key,
                        .message = message,
                        .images = images,
                        .thinking = thinking,
                        .extra_system = p->extra_system,
                        .timeout_ms = p->timeout_s < 0 ? -1 : p->timeout_s * 1000,
                    },
                    &events, call, &fault) < 0)
        return call_fail_fault(call, &fault);
    return 0;
}

static int agent_stop(struct call *call, const struct agent_params *p, const char *key)
{
    struct gateway *gw = call_gateway(call);
    size_t stopped = turn_abort(gw, key, NULL, "stop", NULL);
    const struct session *session = session_find(gw, key);
    CLEAN(json_free) struct json *outcome = json_new_object();

    json_put(outcome, "runId", json_new_string(p->run_id));
    json_put(outcome, "status", json_new_string("ok"));
    if (session)
        json_put(outcome, "sessionId", json_new_string(session->session_id));
    return agent_reply_outcome(call, outcome, stopped ? "Stopped." : "Nothing was running.");
}

/* Where the message goes: the key, else the session of that id, else a session kept for that id, else the
 * agent's main session. */
static int agent_key(struct gateway *gw, const struct agent_params *p,
                     char key[SESSION_KEY_MAX + 1], struct fault *fault)
{
    char explicit_key[160] = "main";

    if (p->session_key && *p->session_key)
        return session_canonical(gw, p->session_key, p->agent_id, key, fault);
    for (struct session *s = p->session_id ? session_newest(gw) : NULL; s; s = s->older) {
        if (strcmp(s->session_id, p->session_id) == 0)
            return session_canonical(gw, s->key, p->agent_id, key, fault);
    }
    if (p->session_id)
        snprintf(explicit_key, sizeof(explicit_key), "explicit:%s", p->session_id);
    return session_canonical(gw, explicit_key, p->agent_id, key, fault);
}

static int agent_run_call(struct call *call, const void *params)
{
    const struct agent_params *p = params;
    struct gateway *gw = call_gateway(call);
    const struct command *command = command_of(p->message, NULL);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};

    if (p->agent_id && !agent_exists(gw, p->agent_id))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "invalid agent params: unknown agent id \"%s\"", p->agent_id);
    if (agent_key(gw, p, key, &fault) < 0)
        return call_fail(call, WIRE_INVALID_REQUEST, "invalid agent params: %s", fault.text);
    if (command && command->resets && call_version(call) >= 4 && !call_require(call, SCOPE_ADMIN))
        return 0;
    if (agent_repeated(call, p->run_id))
        return 0;
    if (command_is_stop(p->message))
        return agent_stop(call, p, key);
    if (!chat_admit(call, key,
                    &(struct chat_wish){
                        .message = p->message, .thinking = p->thinking, .deliver = p->deliver}))
        return 0;
    return agent_start(call, p, key);
}

/* ---- agent.wait ---- */

struct agent_wait {
    const char *run_id;
    int64_t timeout_ms;
};
static const struct field agent_wait_fields[] = {
    K_STR(agent_wait, "runId", run_id, REQUIRED | FIELD_NONEMPTY, TURN_RUN_ID_MAX),
    K_INT(agent_wait, "timeoutMs", timeout_ms, OPTIONAL, 0, 1e12, WAIT_DEFAULT_MS),
    F_END,
};
static const struct field agent_wait_reply[] = {
    R_STR("runId", REQUIRED),
    R_STR("status", REQUIRED),
    R_INT("startedAt", OPTIONAL),
    R_INT("endedAt", OPTIONAL),
    R_STR("error", OPTIONAL),
    R_STR("stopReason", OPTIONAL),
    F_END,
};

struct agent_waiting {
    struct call *call;
    char *run_id;
    struct defer gone; /* its connection went away: the call ends outside that walk */
};

static int agent_wait_answer(struct call *call, const char *run_id, const struct json *outcome)
{
    const char *status = json_string(json_get(outcome, "status"), "timeout");
    bool aborted = strcmp(status, "aborted") == 0;
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kstr(w, "runId", run_id);
    jw_kstr(w, "status", aborted ? "error" : status);
    jw_ktree(w, "startedAt", json_get(outcome, "startedAt"));
    jw_ktree(w, "endedAt", json_get(outcome, "endedAt"));
    jw_kstr(w, "error", aborted ? "aborted" : json_string(json_get(outcome, "error"), NULL));
    jw_ktree(w, "stopReason", json_get(outcome, "stopReason"));
    jw_object_end(w);
    return call_send(call);
}

static void agent_waiting_free(struct agent_waiting *waiting)
{
    defer_stop(call_gateway(waiting->call)->loop, &waiting->gone);
    call_on_gone(waiting->call, NULL, NULL);
    mem_free(waiting->run_id);
    mem_free(waiting);
}

static void agent_on_waited(void *arg, int result, const struct json *outcome)
{
    struct agent_waiting *waiting = arg;
    struct call *call = waiting->call;
    CLEAN(mem_free) char *run_id = TAKE(waiting->run_id);

    agent_waiting_free(waiting);
    if (result == -ERR_INTERRUPTED)
        call_fail(call, WIRE_UNAVAILABLE, "the gateway is stopping; ask again when it is back");
    else
        agent_wait_answer(call, run_id, outcome);
}

static void agent_wait_forget(void *arg)
{
    struct agent_waiting *waiting = arg;
    struct call *call = waiting->call;

    turn_unwait(call_gateway(call), agent_on_waited, waiting);
    agent_waiting_free(waiting);
    call_fail(call, WIRE_UNAVAILABLE, "nobody waits any more");
}

static void agent_on_gone(void *arg)
{
    struct agent_waiting *waiting = arg;

    defer_start(call_gateway(waiting->call)->loop, &waiting->gone, agent_wait_forget, waiting);
}

/* The ended outcome of either method's run; NULL: not ended or not known. */
static struct json *agent_ended(struct gateway *gw, const char *run_id)
{
    for (int method = TURN_CHAT; method <= TURN_AGENT; method++) {
        struct json *outcome = turn_known(gw, (enum turn_method)method, run_id);

        if (outcome && strcmp(json_string(json_get(outcome, "status"), "started"), "started") != 0)
            return outcome;
        json_free(outcome);
    }
    return NULL;
}

static int agent_wait_run(struct call *call, const void *params)
{
    const struct agent_wait *p = params;
    struct gateway *gw = call_gateway(call);
    CLEAN(json_free) struct json *outcome = NULL;
    struct agent_waiting *waiting;

    for (int method = TURN_CHAT; method <= TURN_AGENT; method++) {
        CLEAN(mem_free) char *name = turn_outcome_key((enum turn_method)method, p->run_id);
        if (call_recall(call, name))
            return 0;
    }
    if (!turn_running_in(gw, p->run_id))
        outcome = agent_ended(gw, p->run_id);

    if (outcome)
        return agent_wait_answer(call, p->run_id, outcome);
    waiting = NEW(struct agent_waiting);
    waiting->call = call;
    waiting->run_id = mem_string(p->run_id);
    if (turn_wait(gw, p->run_id, p->timeout_ms < WAIT_MAX_MS ? p->timeout_ms : WAIT_MAX_MS,
                  agent_on_waited, waiting) == 0) {
        call_on_gone(call, agent_on_gone, waiting);
        return 0;
    }
    agent_waiting_free(waiting);
    return call_fail(call, WIRE_UNAVAILABLE, "%d callers already wait for runs; ask again later",
                     TURN_WAITERS_MAX);
}

const struct method methods_agent[] = {
    M("agent", OPERATOR, WRITE, WRITE, agent_params, agent_reply, agent_run_call),
    M("agent.wait", OPERATOR, WRITE, WRITE, agent_wait, agent_wait_reply, agent_wait_run),
    {0},
};
