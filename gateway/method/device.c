/* device.*: the operator's side of pairing. Each handler lets pairing decide and change memory, commits,
 * and answers when it is on disk; sockets of a device whose credentials went are closed then.
 * protocol.md 2.11, 4.1, 4.3. */
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/pairing/pairing.h"

#include <stdio.h>
#include <string.h>

#define COMMIT_DEADLINE_MS 10000

struct device_pair_request {
    const char *request_id;
};
static const struct field device_pair_request_fields[] = {
    F_STR_K(device_pair_request, "requestId", request_id, REQUIRED | FIELD_NONEMPTY, 128), F_END};

struct device_pair_device {
    const char *device_id;
};
static const struct field device_pair_device_fields[] = {
    F_STR_K(device_pair_device, "deviceId", device_id, REQUIRED | FIELD_NONEMPTY, 128), F_END};

/* v4 says label; displayName is what its Control UI sends. */
struct device_pair_rename {
    const char *device_id, *label, *display_name;
};
static const struct field device_pair_rename_fields[] = {
    F_STR_K(device_pair_rename, "deviceId", device_id, REQUIRED | FIELD_NONEMPTY, 128),
    F_STR(device_pair_rename, label, FIELD_NONEMPTY, PAIRING_LABEL_MAX),
    F_STR_K(device_pair_rename, "displayName", display_name, FIELD_NONEMPTY, PAIRING_LABEL_MAX),
    F_END};

struct device_token_change {
    const char *device_id, *role;
    const struct json *scopes;
};
static const struct field device_token_change_fields[] = {
    F_STR_K(device_token_change, "deviceId", device_id, REQUIRED | FIELD_NONEMPTY, 128),
    F_STR(device_token_change, role, REQUIRED | FIELD_NONEMPTY, 64),
    F_STRS(device_token_change, scopes, OPTIONAL, 64), F_END};

static const struct field token_rows[] = {R_STR("role", REQUIRED),
                                          R_STRS("scopes", REQUIRED),
                                          R_INT("createdAtMs", REQUIRED),
                                          R_INT("rotatedAtMs", OPTIONAL),
                                          R_INT("revokedAtMs", OPTIONAL),
                                          R_INT("lastUsedAtMs", OPTIONAL),
                                          F_END};
static const struct field device_rows[] = {R_STR("deviceId", REQUIRED),
                                           R_STR("publicKey", REQUIRED),
                                           R_STRS("roles", REQUIRED),
                                           R_STRS("scopes", REQUIRED),
                                           R_BOOL("connected", OPTIONAL),
                                           R_OBJECTS("tokens", REQUIRED, token_rows),
                                           F_END};
static const struct field pending_rows[] = {R_STR("requestId", REQUIRED),
                                            R_STR("deviceId", REQUIRED),
                                            R_STR("publicKey", REQUIRED),
                                            R_STR("role", REQUIRED),
                                            R_STRS("scopes", REQUIRED),
                                            R_INT("ts", REQUIRED),
                                            F_END};
static const struct field list_reply[] = {R_OBJECTS("pending", REQUIRED, pending_rows),
                                          R_OBJECTS("paired", REQUIRED, device_rows), F_END};
static const struct field approve_reply[] = {R_STR("requestId", REQUIRED),
                                             R_OBJECT("device", REQUIRED, device_rows), F_END};
static const struct field reject_reply[] = {R_STR("requestId", REQUIRED),
                                            R_STR("deviceId", REQUIRED), F_END};
static const struct field device_reply[] = {R_STR("deviceId", REQUIRED), F_END};
static const struct field rename_reply[] = {R_STR("deviceId", REQUIRED), R_STR("label", REQUIRED),
                                            R_STR("displayName", REQUIRED), F_END};
static const struct field rotate_reply[] = {R_STR("deviceId", REQUIRED),
                                            R_STR("role", REQUIRED),
                                            R_STR("token", OPTIONAL),
                                            R_STR("tokenDelivery", OPTIONAL),
                                            R_STRS("scopes", REQUIRED),
                                            R_INT("rotatedAtMs", REQUIRED),
                                            F_END};
static const struct field revoke_reply[] = {R_STR("deviceId", REQUIRED), R_STR("role", REQUIRED),
                                            R_INT("revokedAtMs", REQUIRED), F_END};

/* ---- a change on its way to disk ---- */

struct change {
    struct op op;
    struct call *call;
    struct gateway *gw;
    struct store_batch *batch;
    char *reply;                /* JSON, ready; wiped: it may hold a token */
    char device_id[SHA256_HEX]; /* "" : no socket is closed */
    const char *role;           /* NULL: all of them; static text */
    const char *reason;
};

static struct change *change_new(struct call *call)
{
    struct change *change = NEW(struct change);

    change->call = call;
    change->gw = call_gateway(call);
    change->batch = store_batch(change->gw->store);
    return change;
}

static void change_free(struct change *change)
{
    if (change->batch)
        store_batch_free(change->batch);
    if (change->reply)
        mem_wipe_free(change->reply, strlen(change->reply));
    mem_free(change);
}

static void on_changed(struct op *op, int result)
{
    struct change *change = CONTAINER(op, struct change, op);
    struct fault fault = op->fault;

    if (result < 0) {
        if (!fault.code)
            fault_set(&fault, result, "the change could not be stored: %s", err_text(result));
        call_fail_fault(change->call, &fault);
    } else {
        call_reply_text(change->call, change->reply, strlen(change->reply));
    }
    /* Memory has changed in either case: nobody stays in on credentials that are gone. */
    if (change->device_id[0])
        conn_close_device(change->gw, change->device_id, change->role, change->reason);
    change_free(change);
}

static int change_commit(struct change *change, struct buf *reply)
{
    change->reply = buf_take(reply);
    if (!change->reply)
        change->reply = mem_string("{}");
    op_init(&change->op, change->gw->loop, on_changed, COMMIT_DEADLINE_MS);
    store_commit(TAKE(change->batch), &change->op);
    return 0;
}

/* What pairing says no with. denied: the version's own words. */
static int change_refuse(struct change *change, int result, const char *unknown, const char *denied)
{
    struct call *call = change->call;

    change_free(change);
    if (result == -ERR_NOT_FOUND)
        return call_fail(call, WIRE_INVALID_REQUEST, "%s", unknown);
    if (result == -ERR_DENIED)
        return call_fail(call, WIRE_INVALID_REQUEST, "%s", denied);
    return call_fail(call, WIRE_UNAVAILABLE,
                     "no room for another device: remove one (culvert devices remove)");
}

static void closes(struct change *change, const char *device_id, enum role role, const char *reason)
{
    snprintf(change->device_id, sizeof(change->device_id), "%s", device_id);
    change->role = role == ROLE_NONE ? NULL : role == ROLE_NODE ? "node" : "operator";
    change->reason = reason;
}

#define REPLY_BEGIN(w_, b_)                                                                        \
    struct buf b_;                                                                                 \
    struct json_writer w_;                                                                         \
    buf_init(&(b_), 65536);                                                                        \
    jw_init(&(w_), &(b_));                                                                         \
    jw_object(&(w_))

/* ---- device.pair.* ---- */

static int device_pair_list_run(struct call *call, const void *params)
{
    (void)params;
    pairing_write_list(call_gateway(call), call_reply(call));
    return call_send(call);
}

static int device_pair_approve_run(struct call *call, const void *params)
{
    const struct device_pair_request *p = params;
    struct change *change = change_new(call);
    const struct device *device;
    int r = pairing_approve(change->gw, change->batch, p->request_id, call_scopes(call), &device);

    if (r < 0)
        return change_refuse(change, r, "unknown requestId",
                             "you may not approve more than you hold: the request or its device "
                             "carries scopes you do not have");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "requestId", p->request_id);
    jw_key(&w, "device");
    pairing_write_device(device, &w);
    jw_object_end(&w);
    return change_commit(change, &b);
}

static int device_pair_reject_run(struct call *call, const void *params)
{
    const struct device_pair_request *p = params;
    struct change *change = change_new(call);
    char device_id[SHA256_HEX];
    int r = pairing_reject(change->gw, change->batch, p->request_id, device_id);

    if (r < 0)
        return change_refuse(change, r, "unknown requestId", "");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "requestId", p->request_id);
    jw_kstr(&w, "deviceId", device_id);
    jw_object_end(&w);
    return change_commit(change, &b);
}

static int device_pair_remove_run(struct call *call, const void *params)
{
    const struct device_pair_device *p = params;
    struct change *change = change_new(call);
    int r = pairing_remove(change->gw, change->batch, p->device_id, call_scopes(call));

    if (r < 0)
        return change_refuse(change, r, "unknown deviceId", "device pairing removal denied");
    closes(change, p->device_id, ROLE_NONE, "client invalidated: device removed");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "deviceId", p->device_id);
    jw_object_end(&w);
    return change_commit(change, &b);
}

static int device_pair_rename_run(struct call *call, const void *params)
{
    const struct device_pair_rename *p = params;
    const char *label = p->label ? p->label : p->display_name;

    if (!label)
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "invalid device.pair.rename params: must have required property 'label'");

    struct change *change = change_new(call);
    int r = pairing_rename(change->gw, change->batch, p->device_id, label, call_scopes(call));
    if (r < 0)
        return change_refuse(change, r, "unknown deviceId", "device rename denied");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "deviceId", p->device_id);
    jw_kstr(&w, "label", label);
    jw_kstr(&w, "displayName", label);
    jw_object_end(&w);
    return change_commit(change, &b);
}

/* ---- device.token.* ---- */

static enum role role_of(const char *name)
{
    return strcmp(name, "operator") == 0 ? ROLE_OPERATOR
           : strcmp(name, "node") == 0   ? ROLE_NODE
                                         : ROLE_NONE;
}

/* v4: the token goes to the device itself or to nobody. A v3 operator's client prints it for the person
 * who carries it over, and could have been given no more than that person holds. */
static bool may_see_token(struct call *call, const char *device_id)
{
    const struct conn *conn = call_conn(call);

    if (call_version(call) < 4)
        return true;
    return conn && conn->device_id && strcmp(conn->device_id, device_id) == 0;
}

static int device_token_rotate_run(struct call *call, const void *params)
{
    const struct device_token_change *p = params;
    struct change *change = change_new(call);
    scope_set asked = scope_parse(p->scopes);
    const struct device_token *token;
    char text[TOKEN_TEXT];
    int r = pairing_rotate(change->gw, change->batch, p->device_id, role_of(p->role),
                           p->scopes ? &asked : NULL, call_scopes(call), text, &token);

    if (r < 0)
        return change_refuse(change, r,
                             call_version(call) < 4 ? "unknown deviceId/role"
                                                    : "device token rotation denied",
                             "device token rotation denied");
    closes(change, p->device_id, role_of(p->role), "gateway auth changed");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "deviceId", p->device_id);
    jw_kstr(&w, "role", p->role);
    if (may_see_token(call, p->device_id))
        jw_kstr(&w, "token", text);
    else
        jw_kstr(&w, "tokenDelivery", "withheld-cross-device");
    jw_key(&w, "scopes");
    scope_write(token->scopes, &w);
    jw_kint(&w, "rotatedAtMs", token->rotated_at ? token->rotated_at : token->created_at);
    jw_object_end(&w);
    crypto_wipe(text, sizeof(text));
    return change_commit(change, &b);
}

static int device_token_revoke_run(struct call *call, const void *params)
{
    const struct device_token_change *p = params;
    struct change *change = change_new(call);
    const struct device_token *token;
    int r = pairing_revoke(change->gw, change->batch, p->device_id, role_of(p->role),
                           call_scopes(call), &token);

    if (r < 0)
        return change_refuse(change, r,
                             call_version(call) < 4 ? "unknown deviceId/role"
                                                    : "device token revocation denied",
                             "device token revocation denied");
    closes(change, p->device_id, role_of(p->role), "client invalidated: device token revoked");
    REPLY_BEGIN(w, b);
    jw_kstr(&w, "deviceId", p->device_id);
    jw_kstr(&w, "role", p->role);
    jw_kint(&w, "revokedAtMs", token->revoked_at);
    jw_object_end(&w);
    return change_commit(change, &b);
}

/* clang-format off */
const struct method methods_device[] = {
    M("device.pair.list",    OPERATOR, PAIRING, PAIRING, no_params, list_reply, device_pair_list_run),
    M("device.pair.approve", OPERATOR, PAIRING, PAIRING, device_pair_request, approve_reply, device_pair_approve_run),
    M("device.pair.reject",  OPERATOR, PAIRING, PAIRING, device_pair_request, reject_reply, device_pair_reject_run),
    M("device.pair.remove",  OPERATOR, PAIRING, PAIRING, device_pair_device, device_reply, device_pair_remove_run),
    M("device.pair.rename",  OPERATOR, PAIRING, PAIRING, device_pair_rename, rename_reply, device_pair_rename_run),
    M("device.token.rotate", OPERATOR, PAIRING, PAIRING, device_token_change, rotate_reply, device_token_rotate_run),
    M("device.token.revoke", OPERATOR, PAIRING, PAIRING, device_token_change, revoke_reply, device_token_revoke_run),
    {0},
};
/* clang-format on */
