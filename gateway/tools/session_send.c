/* sessions_send: a message to another session, which runs a turn there; the sender may wait for the answer.
 * The turn is the other session's own: when the sender stops waiting it goes on.
 *
 * Messages between sessions can go in circles, each answer a new message. A run that was begun by such a message
 * carries how many stood before it (hops); past SEND_HOPS_MAX nothing more is sent. */
#include "gateway/tools/ops.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/session/turn.h"
#include "gateway/tools/call.h"
#include "gateway/tools/visibility.h"

#include <inttypes.h>
#include <string.h>

#define WAIT_DEFAULT 30    /* s */
#define WAIT_MAX     3600  /* s */
#define MESSAGE_MAX  65536 /* characters */

struct sessions_send {
    const char *session_key, *label, *agent_id, *message;
    int64_t timeout_s;
};
static const struct field sessions_send_fields[] = {
    A_STR(sessions_send, "sessionKey", session_key, OPTIONAL, SESSION_KEY_MAX,
          "The session's key, as sessions_list tells it."),
    A_STR(sessions_send, "label", label, OPTIONAL, SESSION_LABEL_MAX,
          "Instead of a key: the session's label."),
    A_STR(sessions_send, "agentId", agent_id, OPTIONAL, AGENT_ID_MAX,
          "Instead of both: this agent's main session."),
    A_STR(sessions_send, "message", message, REQUIRED | FIELD_NONEMPTY, MESSAGE_MAX,
          "What to say there."),
    A_INT(sessions_send, "timeoutSeconds", timeout_s, OPTIONAL, 0, WAIT_MAX, WAIT_DEFAULT,
          "How long to wait for the answer; 0: do not wait."),
    F_END,
};

/* What the turn tells; lives until the turn has ended, whoever still waits. */
struct sent {
    struct tool_call *call; /* NULL: nobody waits any more */
    char run_id[UUID_TEXT];
};

struct send_state {
    struct sent *sent; /* the turn's */
    struct timer wait;
    int64_t timeout_ms;
    char key[SESSION_KEY_MAX + 1];
};

static void send_close(struct tool_call *call)
{
    struct send_state *state = tool_call_state(call);

    timer_stop(tool_call_gateway(call)->loop, &state->wait);
    if (state->sent)
        state->sent->call = NULL;
    state->sent = NULL;
}

/* ---- hops ---- */

static int hops_of(const struct tools *tools, const char *run_id)
{
    for (size_t i = 0; run_id && i < COUNT(tools->hops); i++) {
        if (strcmp(tools->hops[i].run_id, run_id) == 0)
            return tools->hops[i].count;
    }
    return 0;
}

static void hops_note(struct tools *tools, const char *run_id, int count)
{
    struct send_hop *hop = &tools->hops[tools->hops_next++ % COUNT(tools->hops)];

    memcpy(hop->run_id, run_id, sizeof(hop->run_id));
    hop->count = count;
}

/* ---- the end ---- */

static void send_end(struct tool_call *call, const char *status, const char *reply,
                     const char *error)
{
    struct send_state *state = tool_call_state(call);
    struct json *details = json_new_object();
    char run_id[UUID_TEXT];

    memcpy(run_id, state->sent->run_id, sizeof(run_id));
    json_put(details, "status", json_new_string(status));
    json_put(details, "runId", json_new_string(run_id));
    json_put(details, "sessionKey", json_new_string(state->key));
    if (reply)
        json_put(details, "reply", json_new_string(reply));
    if (error)
        json_put(details, "error", json_new_string(error));
    if (!error) {
        tool_end_json(call, details);
        return;
    }
    CLEAN(mem_free) char *text = json_print(details, /* pretty= */ true);
    tool_end_failed(call, text, strlen(text), details);
}

static void sent_on_ended(void *arg, const struct json *outcome, const char *text)
{
    struct sent *sent = arg;
    struct tool_call *call = sent->call;
    const char *status = json_string(json_get(outcome, "status"), "error");
    bool ok = strcmp(status, "ok") == 0;

    if (call) {
        struct send_state *state = tool_call_state(call);

        send_end(call, status, ok && text && *text ? text : NULL,
                 ok ? NULL : json_string(json_get(outcome, "error"), status));
        state->sent = NULL;
    }
    mem_free(sent);
}

static void send_on_wait(void *arg)
{
    send_end(arg, "timeout", NULL, NULL);
}

static void sent_on_accepted(void *arg, int result, const struct fault *fault)
{
    struct sent *sent = arg;
    struct tool_call *call = sent->call;
    struct send_state *state = call ? tool_call_state(call) : NULL;

    if (result < 0) { /* ended() does not come */
        if (call) {
            state->sent = NULL;
            tool_end_fault(call, fault);
        }
        mem_free(sent);
        return;
    }
    if (!call)
        return;
    if (state->timeout_ms == 0)
        send_end(call, "accepted", NULL, NULL);
    else
        timer_start(tool_call_gateway(call)->loop, &state->wait, state->timeout_ms,
                    /* every_ms= */ 0, send_on_wait, call);
}

/* ---- the message ---- */

static int find_target(struct tool_call *call, const struct sessions_send *p, struct fault *fault)
{
    struct gateway *gw = tool_call_gateway(call);
    const struct tool_request *request = tool_call_request(call);
    struct send_state *state = tool_call_state(call);
    char main_key[SESSION_KEY_MAX + 1], agent_id[AGENT_ID_MAX + 1];
    const char *name = p->session_key && *p->session_key ? p->session_key : p->label;
    struct session *session;
    int r;

    if ((!name || !*name) && p->agent_id && *p->agent_id) {
        key_agent_id(p->agent_id, strlen(p->agent_id), agent_id);
        session_main_key(gw, agent_id, main_key);
        name = main_key;
    }
    if (!name || !*name)
        return fault_set(fault, -ERR_INVALID, "sessionKey, label or agentId is needed");
    if ((r = visibility_find(gw, request, name, state->key, &session, fault)) < 0 ||
        (r = session_check_agent(gw, state->key, fault)) < 0)
        return r;
    if (request->session_key && strcmp(state->key, request->session_key) == 0)
        return fault_set(fault, -ERR_INVALID, "this is the session itself: just say it");
    if (!session && name != main_key)
        return fault_set(fault, -ERR_NOT_FOUND,
                         "there is no session \"%.80s\": take a key from sessions_list", name);
    return 0;
}

static void send_start(struct tool_call *call, const void *params)
{
    static const struct turn_events events = {.accepted = sent_on_accepted, .ended = sent_on_ended};
    const struct sessions_send *p = params;
    struct gateway *gw = tool_call_gateway(call);
    const struct tool_request *request = tool_call_request(call);
    struct send_state *state = tool_call_state(call);
    int hops = hops_of(gw->tools, request->run_id) + 1, r;
    struct fault fault = {0};
    struct sent *sent;

    state->timeout_ms = p->timeout_s * 1000;
    r = hops > SEND_HOPS_MAX ? fault_set(&fault, -ERR_DENIED,
                                         "messages between sessions have gone on for %d turns: no "
                                         "more are sent until a person says "
                                         "something",
                                         SEND_HOPS_MAX)
                             : find_target(call, p, &fault);
    if (r < 0) {
        tool_end_fault(call, &fault);
        return;
    }
    CLEAN(mem_free)
    char *message = mem_format(
        "[Message from another session, %s of agent %s, not from a person]\n%s",
        request->session_key ? request->session_key : "HTTP", request->agent_id, p->message);
    sent = NEW(struct sent);
    sent->call = call;
    crypto_uuid(sent->run_id);
    state->sent = sent;
    r = turn_submit(gw,
                    &(struct turn_request){.method = TURN_AGENT,
                                           .run_id = sent->run_id,
                                           .session_key = state->key,
                                           .caller_key = state->key,
                                           .message = message,
                                           .timeout_ms = -1},
                    &events, sent, &fault);
    if (r < 0) {
        state->sent = mem_free(sent);
        tool_end_fault(call, &fault);
        return;
    }
    hops_note(gw->tools, sent->run_id, hops);
}

const struct tool tools_session_send[] = {
    {
        .name = "sessions_send",
        .label = "Session Send",
        .summary = "Say something in another session",
        .description = "Send a message to another session; it runs a turn there. The answer comes "
                       "back when it is there "
                       "in time.",
        .group = TOOL_GROUP_sessions,
        .profiles = TOOL_CODING | TOOL_MESSAGING,
        .params = sessions_send_fields,
        .params_size = sizeof(struct sessions_send),
        .flags = TOOL_DENIED_HTTP,
        .timeout_ms = (WAIT_MAX + 60) * (int64_t)1000,
        .state_size = sizeof(struct send_state),
        .start = send_start,
        .close = send_close,
    },
    {0},
};
