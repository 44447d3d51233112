/* exec.approval.*: asking somebody, answering, looking. A request answers when it has ended; with twoPhase
 * a first time when it is pending. protocol.md 4.1 "Exec approvals", 4.3. */
#include "gateway/pairing/approval.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"

#include <string.h>

#define TEXT_CAP      APPROVAL_COMMAND_MAX
#define ARGV_MAX      1024
#define NO_ROUTE      "no-route"
#define RESERVED      "plugin:" /* ids of another kind of approval */
#define PREFIX_NEEDED "ambiguous approval id prefix; use the full id"

struct approval_ask_params {
    const char *id, *command, *cwd, *host, *security, *ask, *agent_id, *resolved_path, *session_key,
        *session_id, *run_id, *tool_call_id, *warning, *node_id;
    const struct json *argv, *plan, *unavailable;
    int64_t timeout_ms;
    bool two_phase, require_route;
};
#define ASK_TEXT(key, member)                                                                      \
    K_STR(approval_ask_params, key, member, OPTIONAL | FIELD_NULLABLE, TEXT_CAP)
static const struct field approval_ask_params_fields[] = {
    K_STR(approval_ask_params, "id", id, FIELD_NONEMPTY, APPROVAL_ID_MAX),
    K_STR(approval_ask_params, "command", command, FIELD_NONEMPTY, TEXT_CAP),
    K_STRS(approval_ask_params, "commandArgv", argv, OPTIONAL, ARGV_MAX),
    ASK_TEXT("cwd", cwd),
    ASK_TEXT("host", host),
    ASK_TEXT("nodeId", node_id),
    ASK_TEXT("security", security),
    ASK_TEXT("ask", ask),
    ASK_TEXT("agentId", agent_id),
    ASK_TEXT("resolvedPath", resolved_path),
    ASK_TEXT("sessionKey", session_key),
    ASK_TEXT("sessionId", session_id),
    ASK_TEXT("runId", run_id),
    ASK_TEXT("toolCallId", tool_call_id),
    ASK_TEXT("warningText", warning),
    K_ANY(approval_ask_params, "systemRunPlan", plan),
    K_STRS(approval_ask_params, "unavailableDecisions", unavailable, OPTIONAL, 1),
    K_INT(approval_ask_params, "timeoutMs", timeout_ms, OPTIONAL, 1, 1e15, APPROVAL_TIMEOUT_MS),
    K_BOOL(approval_ask_params, "twoPhase", two_phase, false),
    K_BOOL(approval_ask_params, "requireDeliveryRoute", require_route, true),
    F_END,
};
struct approval_id_params {
    const char *id;
};
static const struct field approval_id_params_fields[] = {
    F_STR(approval_id_params, id, REQUIRED | FIELD_NONEMPTY, APPROVAL_ID_MAX), F_END};

struct approval_resolve_params {
    const char *id, *decision;
};
static const struct field approval_resolve_params_fields[] = {
    F_STR(approval_resolve_params, id, REQUIRED | FIELD_NONEMPTY, APPROVAL_ID_MAX),
    F_STR(approval_resolve_params, decision, REQUIRED | FIELD_NONEMPTY, 64), F_END};

static const struct field ask_reply[] = {
    R_STR("id", REQUIRED),
    R_STR("status", OPTIONAL),
    R_STR("deliveryRoute", OPTIONAL),
    R_STR("decision", OPTIONAL | FIELD_NULLABLE),
    R_INT("createdAtMs", REQUIRED),
    R_INT("expiresAtMs", REQUIRED),
    R_STR("terminalReason", OPTIONAL),
    F_END,
};
static const struct field detail_reply[] = {
    R_STR("id", REQUIRED),
    R_STR("commandText", REQUIRED),
    R_STR("commandPreview", OPTIONAL | FIELD_NULLABLE),
    R_STRS("allowedDecisions", REQUIRED),
    R_STR("host", OPTIONAL | FIELD_NULLABLE),
    R_STR("nodeId", OPTIONAL | FIELD_NULLABLE),
    R_STR("agentId", OPTIONAL | FIELD_NULLABLE),
    R_INT("expiresAtMs", REQUIRED),
    F_END,
};
static const struct field ok_reply[] = {R_BOOL("ok", REQUIRED), F_END};

/* ---- exec.approval.request ---- */

/* A call that waits for the end of an approval. */
struct approval_call {
    struct call *call;
    struct approval *approval;
};

static void approval_on_end(void *arg, int result, enum approval_decision decision,
                            const char *resolved_by)
{
    struct approval_call *waiting = arg;

    (void)result;
    (void)decision;
    (void)resolved_by;
    approval_write_outcome(waiting->approval, call_reply(waiting->call));
    call_send(waiting->call);
    mem_free(waiting);
}

static int approval_reply_accepted(struct call *call, const struct approval *approval, bool routed)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kstr(w, "status", "accepted");
    jw_kstr(w, "id", approval_id(approval));
    jw_kstr(w, "deliveryRoute", routed ? "approval-client" : "none");
    approval_write_times(approval, w);
    jw_object_end(w);
    return call_send_first(call);
}

/* v4: nobody who could answer is there, and the caller does not want to wait for one. */
static int approval_reply_no_route(struct call *call, const struct approval_ask_params *p)
{
    struct json_writer *w = call_reply(call);
    int64_t now = loop_wall(call_gateway(call)->loop);
    char id[UUID_TEXT];

    crypto_uuid(id);
    jw_object(w);
    jw_kstr(w, "id", p->id ? p->id : id);
    jw_knull(w, "decision");
    jw_kint(w, "createdAtMs", now);
    jw_kint(w, "expiresAtMs", now + p->timeout_ms);
    jw_kstr(w, "terminalReason", NO_ROUTE);
    jw_object_end(w);
    return call_send(call);
}

/* NULL: the request can be asked. */
static const char *approval_refusal(const struct approval_ask_params *p)
{
    bool node = p->host && strcmp(p->host, "node") == 0;

    if (node && !p->node_id)
        return "nodeId is required for host=node";
    if (node && !p->plan)
        return "systemRunPlan is required for host=node";
    if (node && json_count(p->argv) == 0)
        return "commandArgv is required for host=node";
    if (!p->command)
        return "command is required";
    if (p->id && strncmp(p->id, RESERVED, strlen(RESERVED)) == 0)
        return "approval ids starting with " RESERVED " are reserved";
    return NULL;
}

static struct approval *approval_begin(struct gateway *gw, const struct approval_ask_params *p,
                                       struct approval_call *waiting, struct fault *fault)
{
    CLEAN(mem_free) const char **argv = mem_array(json_count(p->argv) + 1, sizeof(*argv));
    size_t count = 0;

    json_each (item, p->argv)
        argv[count++] = json_string(item, "");
    return approval_ask(gw,
                        &(struct approval_request){
                            .id = p->id,
                            .command = p->command,
                            .argv = count ? argv : NULL,
                            .cwd = p->cwd,
                            .host = p->host,
                            .security = p->security,
                            .ask = p->ask,
                            .agent_id = p->agent_id,
                            .session_key = p->session_key,
                            .run_id = p->run_id,
                            .tool_call_id = p->tool_call_id,
                            .resolved_path = p->resolved_path,
                            .warning = p->warning,
                            .node_id = p->node_id,
                            .session_id = p->session_id,
                            .no_always = json_count(p->unavailable) > 0,
                            .timeout_ms = p->timeout_ms,
                        },
                        approval_on_end, waiting, fault);
}

static int approval_request_run(struct call *call, const void *params)
{
    const struct approval_ask_params *p = params;
    struct gateway *gw = call_gateway(call);
    const struct conn *conn = call_conn(call);
    const char *refusal = approval_refusal(p);
    bool routed = approval_has_reviewer(gw, conn ? conn->id.v : 0);
    struct approval_call *waiting;
    struct fault fault = {0};

    if (refusal)
        return call_fail(call, WIRE_INVALID_REQUEST, "%s", refusal);
    if (call_version(call) >= 4 && p->require_route && !routed)
        return approval_reply_no_route(call, p);
    waiting = NEW(struct approval_call);
    waiting->call = call;
    waiting->approval = approval_begin(gw, p, waiting, &fault);
    if (!waiting->approval) {
        mem_free(waiting);
        return fault.code == -ERR_FULL ? call_fail_fault(call, &fault)
                                       : call_fail(call, WIRE_INVALID_REQUEST, "%s", fault.text);
    }
    return p->two_phase ? approval_reply_accepted(call, waiting->approval, routed) : 0;
}

/* ---- the others ---- */

static int approval_fail_unknown(struct call *call)
{
    if (call_version(call) < 4)
        return call_fail(call, WIRE_INVALID_REQUEST, "unknown approval id");
    return call_fail_with(
        call, &(struct call_error){
                  .code = WIRE_INVALID_REQUEST,
                  .message = "unknown or expired approval id",
                  .details = "{\"reason\":\"APPROVAL_NOT_FOUND\",\"remediation\":\"Ask again: a "
                             "pending approval ends with its deadline or a restart.\"}",
                  .retry_after_ms = -1,
              });
}

static int approval_fail_find(struct call *call, int result)
{
    if (result == -ERR_CONFLICT)
        return call_fail(call, WIRE_INVALID_REQUEST, PREFIX_NEEDED);
    return approval_fail_unknown(call);
}

static int approval_wait_run(struct call *call, const void *params)
{
    const struct approval_id_params *p = params;
    struct approval *approval;
    struct approval_call *waiting;

    if (approval_find(call_gateway(call), p->id, &approval) < 0 ||
        strcmp(approval_id(approval), p->id) != 0)
        return call_fail(call, WIRE_INVALID_REQUEST, "approval expired or not found");
    if (!approval_pending(approval)) {
        approval_write_outcome(approval, call_reply(call));
        return call_send(call);
    }
    waiting = NEW(struct approval_call);
    *waiting = (struct approval_call){call, approval};
    if (approval_wait(approval, approval_on_end, waiting) < 0) {
        mem_free(waiting);
        return call_fail(call, WIRE_UNAVAILABLE,
                         "%d calls wait for this approval already: answer it first",
                         APPROVAL_WAITERS_MAX);
    }
    return 0;
}

static int approval_get_run(struct call *call, const void *params)
{
    const struct approval_id_params *p = params;
    struct approval *approval;
    int r = approval_find(call_gateway(call), p->id, &approval);

    if (r == 0 && !approval_pending(approval))
        r = -ERR_NOT_FOUND;
    if (r < 0)
        return approval_fail_find(call, r);
    approval_write_detail(approval, call_reply(call));
    return call_send(call);
}

static int approval_list_run(struct call *call, const void *params)
{
    (void)params;
    approvals_write(call_gateway(call), call_reply(call));
    return call_send(call);
}

/* Who answered, as its client calls itself. */
static const char *approval_resolver(const struct call *call)
{
    const struct conn *conn = call_conn(call);

    if (!conn)
        return NULL;
    return conn->client.display_name ? conn->client.display_name : conn->client.id;
}

static int approval_fail_decide(struct call *call, int result)
{
    static const struct call_error already = {
        .code = WIRE_INVALID_REQUEST,
        .message = "approval already resolved",
        .details = "{\"reason\":\"APPROVAL_ALREADY_RESOLVED\"}",
        .retry_after_ms = -1,
    };
    static const struct call_error no_always = {
        .code = WIRE_INVALID_REQUEST,
        .message = "allow-always is unavailable because the effective policy requires approval "
                   "every time",
        .details = "{\"reason\":\"APPROVAL_ALLOW_ALWAYS_UNAVAILABLE\"}",
        .retry_after_ms = -1,
    };

    if (result == -ERR_CONFLICT)
        return call_fail_with(call, &already);
    if (result == -ERR_DENIED)
        return call_fail_with(call, &no_always);
    return approval_fail_unknown(call);
}

static int approval_resolve_run(struct call *call, const void *params)
{
    const struct approval_resolve_params *p = params;
    enum approval_decision decision;
    struct approval *approval;
    struct json_writer *w;
    int r;

    if (!approval_decision_parse(p->decision, &decision))
        return call_fail(call, WIRE_INVALID_REQUEST, "invalid decision");
    r = approval_find(call_gateway(call), p->id, &approval);
    if (r < 0)
        return approval_fail_find(call, r);
    r = approval_decide(approval, decision, approval_resolver(call));
    if (r < 0)
        return approval_fail_decide(call, r);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_object_end(w);
    return call_send(call);
}

/* clang-format off */
#define APPROVAL_ROWS {.kind = FIELD_ARRAY}

const struct method methods_approvals[] = {
    M("exec.approval.request",      OPERATOR, APPROVALS, APPROVALS, approval_ask_params, ask_reply, approval_request_run),
    M("exec.approval.waitDecision", OPERATOR, APPROVALS, APPROVALS, approval_id_params, ask_reply, approval_wait_run),
    M("exec.approval.resolve",      OPERATOR, APPROVALS, APPROVALS, approval_resolve_params, ok_reply, approval_resolve_run),
    M("exec.approval.get",          OPERATOR, APPROVALS, APPROVALS, approval_id_params, detail_reply, approval_get_run),
    M_SHAPE("exec.approval.list",   OPERATOR, APPROVALS, APPROVALS, no_params, APPROVAL_ROWS, approval_list_run),
    {0},
};
/* clang-format on */
