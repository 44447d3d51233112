/* The table of approvals: what was asked, who waits, how it ended. One list in the order of asking; an entry
 * stays a while after its end, so that a repeated answer hears the same.
 *
 * Path: approval_ask -> exec.approval.requested -> approval_decide, approval_expire or approval_withdraw ->
 * approval_end (fn, waiters) -> approval_forget. */
#include "gateway/pairing/approval.h"

#define LOG_SUBSYSTEM "approval"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define APPROVAL_MAGIC 0x61707076u
/* Every text of a request may need escaping in full. */
#define RECORD_MAX     ((size_t)32 * APPROVAL_COMMAND_MAX)

enum approval_state { APPROVAL_PENDING, APPROVAL_DECIDED, APPROVAL_EXPIRED, APPROVAL_WITHDRAWN };

struct approval_waiter {
    approval_fn *fn;
    void *arg;
};

struct approval {
    uint32_t magic;
    struct gateway *gw;
    struct approval *next;
    enum approval_state state;
    enum approval_decision decision;
    char id[APPROVAL_ID_MAX + 1];
    struct json *request;           /* as clients see it */
    int64_t created_at, expires_at; /* wall */
    struct timer timer;             /* pending: the deadline; ended: when it is forgotten */
    approval_fn *fn;                /* NULL: withdrawn or told */
    void *arg;
    struct approval_waiter waiters[APPROVAL_WAITERS_MAX];
    size_t waiter_count;
    bool no_always;
    bool telling; /* it has ended and its callbacks run: it stays until they have */
};

struct approvals {
    struct gateway *gw;
    struct approval *first, **tail; /* oldest first */
    size_t pending, ended;          /* ended: without those that are telling */
};

static void approval_on_deadline(void *arg);
static void approval_on_forget(void *arg);

/* ---- table ---- */

struct approvals *approvals_new(struct gateway *gw)
{
    struct approvals *approvals = NEW(struct approvals);

    approvals->gw = gw;
    approvals->tail = &approvals->first;
    return approvals;
}

static void approval_forget(struct approval *approval)
{
    struct approvals *approvals = approval->gw->approvals;
    struct approval **slot = &approvals->first;

    while (*slot != approval)
        slot = &(*slot)->next;
    *slot = approval->next;
    if (approvals->tail == &approval->next)
        approvals->tail = slot;
    approvals->ended--;
    timer_stop(approval->gw->loop, &approval->timer);
    json_free(approval->request);
    approval->magic = 0;
    mem_free(approval);
}

static void approval_on_forget(void *arg)
{
    struct approval *approval = arg;

    CHECK(approval, APPROVAL_MAGIC);
    approval_forget(approval);
}

static struct approval *approvals_oldest(struct approvals *approvals, bool pending)
{
    for (struct approval *a = approvals->first; a; a = a->next) {
        if ((a->state == APPROVAL_PENDING) == pending && !a->telling)
            return a;
    }
    return NULL;
}

static struct approval *approval_exact(struct gateway *gw, const char *id)
{
    for (struct approval *a = gw->approvals->first; a; a = a->next) {
        if (strcmp(a->id, id) == 0)
            return a;
    }
    return NULL;
}

static int approval_by_prefix(struct gateway *gw, const char *prefix, bool pending,
                              struct approval **ret)
{
    struct approval *found = NULL;

    for (struct approval *a = gw->approvals->first; a; a = a->next) {
        if ((a->state == APPROVAL_PENDING) != pending ||
            strncasecmp(a->id, prefix, strlen(prefix)) != 0)
            continue;
        if (found)
            return -ERR_CONFLICT;
        found = a;
    }
    *ret = found;
    return found ? 0 : -ERR_NOT_FOUND;
}

int approval_find(struct gateway *gw, const char *id, struct approval **ret)
{
    int r;

    if (!*id)
        return -ERR_NOT_FOUND;
    if ((*ret = approval_exact(gw, id)))
        return 0;
    r = approval_by_prefix(gw, id, /* pending= */ true, ret);
    return r == -ERR_NOT_FOUND ? approval_by_prefix(gw, id, /* pending= */ false, ret) : r;
}

bool approval_pending(const struct approval *approval)
{
    return approval->state == APPROVAL_PENDING;
}

const char *approval_id(const struct approval *approval)
{
    return approval->id;
}

bool approval_has_reviewer(struct gateway *gw, uint64_t except_conn)
{
    conn_each (conn, gw) {
        if (conn->state == CONN_OPEN && conn->role == ROLE_OPERATOR && conn->id.v != except_conn &&
            scope_allows(conn->scopes, SCOPE_APPROVALS, conn->version))
            return true;
    }
    return false;
}

/* ---- as JSON ---- */

static const char *const decision_names[] = {
    [APPROVAL_DENY] = "deny",
    [APPROVAL_ALLOW_ONCE] = "allow-once",
    [APPROVAL_ALLOW_ALWAYS] = "allow-always",
};

const char *approval_decision_name(enum approval_decision decision)
{
    return decision_names[decision];
}

bool approval_decision_parse(const char *name, enum approval_decision *ret)
{
    for (size_t i = 0; i < COUNT(decision_names); i++) {
        if (strcmp(decision_names[i], name) == 0) {
            *ret = (enum approval_decision)i;
            return true;
        }
    }
    return false;
}

void approval_write_times(const struct approval *approval, struct json_writer *w)
{
    jw_kint(w, "createdAtMs", approval->created_at);
    jw_kint(w, "expiresAtMs", approval->expires_at);
}

/* The event, and a row of the list; v4's clients look at approvalKind. */
static void approval_write(const struct approval *approval, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "approvalKind", "exec");
    jw_kstr(w, "id", approval->id);
    jw_ktree(w, "request", approval->request);
    approval_write_times(approval, w);
    jw_object_end(w);
}

void approvals_write(struct gateway *gw, struct json_writer *w)
{
    jw_array(w);
    for (const struct approval *a = gw->approvals->first; a; a = a->next) {
        if (a->state == APPROVAL_PENDING)
            approval_write(a, w);
    }
    jw_array_end(w);
}

void approval_write_outcome(const struct approval *approval, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "id", approval->id);
    if (approval->state == APPROVAL_DECIDED)
        jw_kstr(w, "decision", approval_decision_name(approval->decision));
    else
        jw_knull(w, "decision"); /* protocol.md 4.1: null tells that nobody decided */
    approval_write_times(approval, w);
    jw_object_end(w);
}

void approval_write_detail(const struct approval *approval, struct json_writer *w)
{
    static const char *const members[] = {"host", "nodeId", "agentId"};

    jw_object(w);
    jw_kstr(w, "id", approval->id);
    jw_ktree(w, "commandText", json_get(approval->request, "command"));
    jw_knull(w, "commandPreview"); /* the shapes of v4's clients hold these members always */
    jw_ktree(w, "allowedDecisions", json_get(approval->request, "allowedDecisions"));
    for (size_t i = 0; i < COUNT(members); i++)
        jw_ktree(w, members[i], json_get(approval->request, members[i]));
    jw_kint(w, "expiresAtMs", approval->expires_at);
    jw_object_end(w);
}

/* ---- events ---- */

static void approval_emit(struct gateway *gw, enum event_id id, struct buf *text)
{
    CLEAN(bytes_unref) struct bytes *payload = bytes_from_buf(text);

    if (payload)
        event_emit(gw, &(struct event){.id = id, .payload = payload});
    buf_done(text);
}

static void approval_emit_requested(const struct approval *approval)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, RECORD_MAX);
    jw_init(&w, &b);
    approval_write(approval, &w);
    approval_emit(approval->gw, EVENT_exec_approval_requested, &b);
}

/* reason: why it ended without a decision of a person; NULL: it did not. */
static void approval_emit_resolved(const struct approval *approval, const char *resolved_by,
                                   const char *reason)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, RECORD_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "id", approval->id);
    jw_kstr(&w, "decision", approval_decision_name(approval->decision));
    jw_kstr(&w, "resolvedBy", resolved_by);
    jw_kstr(&w, "reason", reason);
    jw_kint(&w, "ts", loop_wall(approval->gw->loop));
    jw_ktree(&w, "request", approval->request);
    jw_object_end(&w);
    approval_emit(approval->gw, EVENT_exec_approval_resolved, &b);
}

/* ---- asking ---- */

/* protocol.md 5.2: absent members are null in this record, and clients read it so. */
static void put_text(struct json *object, const char *name, const char *text)
{
    CLEAN(mem_free) char *shown = text && *text ? approval_display(text) : NULL;

    json_put(object, name, shown ? json_new_string(shown) : json_new_null());
}

static struct json *approval_build_argv(const char *const *argv)
{
    struct json *array = json_new_array();

    for (; *argv; argv++) {
        CLEAN(mem_free) char *shown = approval_display(*argv);
        json_append(array, json_new_string(shown));
    }
    return array;
}

static struct json *approval_build_allowed(bool no_always)
{
    struct json *array = json_new_array();

    json_append(array, json_new_string("allow-once"));
    if (!no_always)
        json_append(array, json_new_string("allow-always"));
    json_append(array, json_new_string("deny"));
    return array;
}

static struct json *approval_build(const struct approval_request *request, bool no_always)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"command", request->command},
        {"cwd", request->cwd},
        {"host", request->host},
        {"security", request->security},
        {"ask", request->ask},
        {"agentId", request->agent_id},
        {"resolvedPath", request->resolved_path},
        {"sessionKey", request->session_key},
        {"warningText", request->warning},
        {"nodeId", request->node_id},
        {"sessionId", request->session_id},
        {"runId", request->run_id},
        {"toolCallId", request->tool_call_id},
    };
    struct json *record = json_new_object();

    for (size_t i = 0; i < COUNT(texts); i++)
        put_text(record, texts[i].name, texts[i].text);
    if (request->argv)
        json_put(record, "commandArgv", approval_build_argv(request->argv));
    json_put(record, "allowedDecisions", approval_build_allowed(no_always));
    return record;
}

static int approval_check(struct gateway *gw, const struct approval_request *request,
                          struct fault *fault)
{
    size_t length = strlen(request->command);

    for (size_t i = 0; request->argv && request->argv[i]; i++)
        length += strlen(request->argv[i]);
    if (length > APPROVAL_COMMAND_MAX)
        return fault_set(fault, -ERR_TOO_LARGE,
                         "the command is too long to be shown for approval: at most %d bytes",
                         APPROVAL_COMMAND_MAX);
    if (request->id && strlen(request->id) > APPROVAL_ID_MAX)
        return fault_set(fault, -ERR_TOO_LARGE, "an approval id has at most %d bytes",
                         APPROVAL_ID_MAX);
    if (request->id && approval_exact(gw, request->id))
        return fault_set(fault, -ERR_EXISTS, "approval id already pending");
    if (gw->approvals->pending == APPROVALS_MAX)
        return fault_set(fault, -ERR_FULL,
                         "%d approvals are pending already: answer some (culvert approvals list)",
                         APPROVALS_MAX);
    return 0;
}

struct approval *approval_ask(struct gateway *gw, const struct approval_request *request,
                              approval_fn *fn, void *arg, struct fault *reterr_fault)
{
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : APPROVAL_TIMEOUT_MS;
    struct approvals *approvals = gw->approvals;
    struct approval *approval;

    if (approval_check(gw, request, reterr_fault) < 0)
        return NULL;
    if (timeout_ms > APPROVAL_TIMEOUT_MAX_MS)
        timeout_ms = APPROVAL_TIMEOUT_MAX_MS;
    approval = NEW(struct approval);
    approval->magic = APPROVAL_MAGIC;
    approval->gw = gw;
    approval->fn = fn;
    approval->arg = arg;
    approval->no_always =
        request->no_always || (request->ask && strcmp(request->ask, "always") == 0);
    approval->request = approval_build(request, approval->no_always);
    approval->created_at = loop_wall(gw->loop);
    approval->expires_at = approval->created_at + timeout_ms;
    if (request->id)
        snprintf(approval->id, sizeof(approval->id), "%s", request->id);
    else
        crypto_uuid(approval->id);
    *approvals->tail = approval;
    approvals->tail = &approval->next;
    approvals->pending++;
    timer_start(gw->loop, &approval->timer, timeout_ms, 0, approval_on_deadline, approval);
    log_info("asked: %s%s%s", approval->id, request->agent_id ? " for agent " : "",
             request->agent_id ? request->agent_id : "");
    approval_emit_requested(approval);
    return approval;
}

/* ---- the end ---- */

/* The state first, then the callbacks: they may ask, wait and decide again. Only then is it one of the ended,
 * which may be forgotten. */
static void approval_end(struct approval *approval, enum approval_state state,
                         enum approval_decision decision, int result, const char *resolved_by)
{
    struct approvals *approvals = approval->gw->approvals;
    approval_fn *fn = TAKE(approval->fn);
    size_t waiters = approval->waiter_count;

    approval->state = state;
    approval->decision = decision;
    approval->telling = true;
    approvals->pending--;
    timer_stop(approval->gw->loop, &approval->timer);
    log_info("%s: %s%s%s",
             state == APPROVAL_DECIDED ? approval_decision_name(decision)
             : result == -ERR_TIMEOUT  ? "timed out"
                                       : "withdrawn",
             approval->id, resolved_by ? " by " : "", resolved_by ? resolved_by : "");
    if (fn)
        fn(approval->arg, result, decision, resolved_by);
    for (size_t i = 0; i < waiters; i++)
        approval->waiters[i].fn(approval->waiters[i].arg, result, decision, resolved_by);
    approval->waiter_count = 0;
    approval->telling = false;
    approvals->ended++;
    timer_start(approval->gw->loop, &approval->timer, APPROVAL_ENDED_MS, 0, approval_on_forget,
                approval);
    if (approvals->ended > APPROVALS_ENDED_MAX)
        approval_forget(approvals_oldest(approvals, /* pending= */ false));
}

static void approval_on_deadline(void *arg)
{
    struct approval *approval = arg;

    CHECK(approval, APPROVAL_MAGIC);
    approval_end(approval, APPROVAL_EXPIRED, APPROVAL_DENY, -ERR_TIMEOUT, NULL);
}

int approval_decide(struct approval *approval, enum approval_decision decision,
                    const char *resolved_by)
{
    if (approval->state == APPROVAL_DECIDED)
        return approval->decision == decision ? 0 : -ERR_CONFLICT;
    if (approval->state != APPROVAL_PENDING)
        return -ERR_NOT_FOUND;
    if (decision == APPROVAL_ALLOW_ALWAYS && approval->no_always)
        return -ERR_DENIED;
    approval->decision = decision;
    approval_emit_resolved(approval, resolved_by, NULL);
    approval_end(approval, APPROVAL_DECIDED, decision, 0, resolved_by);
    return 0;
}

int approval_wait(struct approval *approval, approval_fn *fn, void *arg)
{
    if (approval->waiter_count == APPROVAL_WAITERS_MAX)
        return -ERR_FULL;
    approval->waiters[approval->waiter_count++] = (struct approval_waiter){fn, arg};
    return 0;
}

void approval_withdraw(struct approval *approval)
{
    if (!approval || approval->state != APPROVAL_PENDING)
        return;
    approval->fn = NULL;
    approval_emit_resolved(approval, NULL, "withdrawn");
    approval_end(approval, APPROVAL_WITHDRAWN, APPROVAL_DENY, -ERR_CANCELLED, NULL);
}

struct approvals *approvals_free(struct approvals *approvals)
{
    struct approval *pending;

    if (!approvals)
        return NULL;
    while ((pending = approvals_oldest(approvals, /* pending= */ true)))
        approval_end(pending, APPROVAL_WITHDRAWN, APPROVAL_DENY, -ERR_INTERRUPTED, NULL);
    while (approvals->first)
        approval_forget(approvals->first);
    return mem_free(approvals);
}
