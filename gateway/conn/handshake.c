/* A connect from its first frame to its end. First who it is, where the socket alone does not tell; what can be said
 * at once is said by the steps (handshake_steps.c); then come the questions that take time: is the peer local (asked
 * only when a decision hangs on it), is it on disk. In time order: handshake_start -> identify -> judge (steps) ->
 * locate -> settle -> commit -> admit, or handshake_refuse (handshake_refuse.c) at any point. Owns struct conn_handshake.
 * protocol.md section 2, design.md section 5. */
#include "gateway/conn/internal.h"

#define LOG_SUBSYSTEM "conn"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMIT_DEADLINE_MS 10000

static void identify(struct conn *conn);
static void judge(struct conn *conn);
static void locate(struct conn *conn);
static void settle(struct conn *conn);
static void admit(struct conn *conn);

/* ---- life ---- */

struct conn_handshake *handshake_new(struct conn *conn, const struct ws_request *request,
                                     const struct ingress *ingress)
{
    struct conn_handshake *h = NEW(struct conn_handshake);

    h->conn = conn;
    crypto_uuid(h->nonce);
    h->ingress = *ingress;
    h->held_tail = &h->held;
    h->proxy_user = conns_proxy_user(conn->gw, request, ingress);
    if (!conn->identity)
        h->tailnet = identify_new(conn->gw, ws_peer(conn->ws), request);
    op_init(&h->op, conn->gw->loop, NULL, 0);
    return h;
}

void handshake_forget(struct conn_handshake *h)
{
    while (h->held) {
        struct held_frame *held = h->held;
        h->held = held->next;
        mem_free(held);
    }
    h->held_tail = &h->held;
    h->held_count = 0;
    h->held_bytes = 0;
    h->params = (struct connect_params){0};
    h->asker = (struct pairing_asker){0};
    h->tree = json_free(h->tree);
}

struct conn_handshake *handshake_free(struct conn_handshake *h)
{
    if (!h)
        return NULL;
    timer_stop(h->op.loop, &h->deadline);
    timer_stop(h->op.loop, &h->delay);
    op_drop(&h->op);
    identify_free(h->tailnet);
    peer_identity_unref(h->found.identity);
    handshake_forget(h);
    buf_done(&h->answer);
    mem_free(h->proxy_user);
    mem_free(h->from);
    mem_free(h->request_id);
    return mem_wipe_free(h, sizeof(*h));
}

/* ---- in ---- */

/* protocol.md 1.3: no JSON at all is closed without a word, JSON that is no request with a reason. */
static bool read_request(struct conn *conn, const char *text, size_t length, struct frame *frame)
{
    if (frame_parse(text, length, frame, NULL) == 0 && frame->kind == FRAME_REQUEST)
        return true;
    if (json_scan(text, length, NULL) < 0)
        conn_close(conn, 1000, "");
    else
        conn_close(conn, 1008, "invalid request frame");
    return false;
}

void handshake_start(struct conn *conn, const char *text, size_t length)
{
    struct conn_handshake *h = conn->handshake;
    struct frame frame = {0};

    if (!read_request(conn, text, length, &frame))
        return;
    conn_enter(conn, CONN_CHECKING);
    h->request_id = mem_slice(frame.id.at, frame.id.length);
    if (!frame_is(&frame, "connect")) {
        handshake_refuse(conn, REFUSAL_FIRST_NOT_CONNECT);
        return;
    }
    if (conn->gw->stopping) {
        snprintf(h->reason, sizeof(h->reason), "gateway restart in progress");
        handshake_refuse(conn, REFUSAL_UNAVAILABLE);
        return;
    }
    if (frame.body.at)
        h->tree = json_parse(frame.body.at, frame.body.length, NULL);
    identify(conn);
}

/* ---- who is it: asked where trust may hang on a name that the socket does not tell ---- */

static struct local_question question_of(struct conn *conn)
{
    struct conn_handshake *h = conn->handshake;
    const struct ws_peer *peer = ws_peer(conn->ws);

    return (struct local_question){
        .transport = peer->transport,
        .remote = peer->remote,
        .local = peer->local,
        .fd = peer->fd,
        .uid = (uint32_t)geteuid(),
        .peer_uid = peer->uid,
        .browser = h->ingress.browser,
        .answer = &h->who,
    };
}

static void on_named(struct op *op, int result)
{
    struct conn_handshake *h = CONTAINER(op, struct conn_handshake, op);
    struct conn *conn = h->conn;

    (void)result; /* without a name it goes by its number */
    if (h->who.uid == conn->identity->uid)
        conn->identity->user = mem_string(h->who.user);
    judge(conn);
}

/* Whom the tailnet names is from elsewhere and counts by itself; so does who comes by tailscaled's proxy. */
static void take_found(struct conn *conn, struct conn_handshake *h)
{
    struct identified *found = &h->found;
    struct ingress *in = &h->ingress;
    struct address client;

    if (found->verdict >= IDENTIFY_NO_PROXY)
        log_warn("%s: no tailnet identity: %s", conn->uuid, found->why);
    if (found->address[0] && address_parse(found->address, strlen(found->address), &client)) {
        mem_free(conn->remote_ip);
        conn->remote_ip = mem_string(found->address);
        memcpy(in->address, found->address, sizeof(in->address));
        address_rate_key(&client, in->rate_key);
        in->exempt = false;
    }
    if (found->carried) /* also when tailscaled does not tell whose bytes it brings */
        in->exempt = in->direct = in->loopback = false;
    if (!found->identity)
        return;
    conn->identity = TAKE(found->identity);
    peer_identity_rate_key(conn->identity, in->rate_key);
    in->exempt = in->direct = in->loopback = false;
}

static void on_identified(struct op *op, int result)
{
    struct conn_handshake *h = CONTAINER(op, struct conn_handshake, op);

    if (result == 0)
        take_found(h->conn, h);
    judge(h->conn);
}

static void identify(struct conn *conn)
{
    struct conn_handshake *h = conn->handshake;

    if (h->tailnet) {
        op_init(&h->op, conn->gw->loop, on_identified, 0);
        identify_run(h->tailnet, &h->op, &h->found);
        return;
    }
    if (!conn->identity || conn->identity->kind != IDENTITY_UNIX || conn->identity->user) {
        judge(conn);
        return;
    }
    struct local_question question = question_of(conn);
    question.only_who = true;
    op_init(&h->op, conn->gw->loop, on_named, 0);
    local_ask(conns_local_gate(conn->gw), &h->op, &question);
}

static void judge(struct conn *conn)
{
    enum refusal_kind kind = handshake_steps(conn, conn->handshake);

    if (kind == REFUSAL_NONE)
        locate(conn);
    else
        handshake_refuse(conn, kind);
}

/* ---- where is the peer: asked only when a decision hangs on it ---- */

static void fill_asker(struct conn_handshake *h)
{
    const struct connect_client *client = &h->params.client;

    h->asker = (struct pairing_asker){
        .device_id = h->key.id,
        .public_key = h->key.text,
        .display_name = client->display_name,
        .platform = client->platform,
        .device_family = client->device_family,
        .client_id = connect_client_id(&h->params),
        .client_mode = connect_client_mode(&h->params),
        .identity = h->conn->identity,
        .role = h->role,
        .scopes = h->asked,
        .version = h->version,
    };
}

/* On this host and yet not local: somebody's traffic comes through a process here. Whose, the kernel knows. */
static void name_forwarder(struct conn *conn, const struct local_answer *who)
{
    if (conn->local || conn->identity || who->uid == UINT32_MAX)
        return;
    conn->identity = peer_identity_new(IDENTITY_FORWARD);
    conn->identity->uid = who->uid;
    conn->identity->user = mem_string(who->user);
}

static void on_located(struct op *op, int result)
{
    struct conn_handshake *h = CONTAINER(op, struct conn_handshake, op);
    struct conn *conn = h->conn;

    conn->local = result == 0;
    if (result < 0)
        log_debug("%s: not local: %s", conn->uuid, op->fault.text);
    name_forwarder(conn, &h->who);
    settle(conn);
}

/* Could the peer be local at all? What the socket and the headers rule out needs no scan. */
static bool may_be_local(const struct conn_handshake *h)
{
    const struct ingress *in = &h->ingress;

    if (in->proxied)
        return false;
    if (in->transport == WS_UNIX)
        return in->own_uid;
    if (in->transport == WS_TCP)
        return in->direct;
    return false;
}

static void locate(struct conn *conn)
{
    struct conn_handshake *h = conn->handshake;
    bool matters = h->unless_local || (h->auth_method && strcmp(h->auth_method, "none") == 0);

    fill_asker(h);
    h->need = h->has_device ? pairing_need_of(conn->gw, &h->asker) : PAIRING_NONE;
    bool asks = h->need != PAIRING_NONE && !h->by_code;
    conn->local = h->ingress.transport == WS_PAIR && h->ingress.own_uid;

    struct local_question question = question_of(conn);
    question.only_who = !may_be_local(h);
    matters |= asks;
    if (question.only_who)
        matters = asks && !conn->identity && question.transport != WS_PAIR &&
                  ingress_is_here(&h->ingress);
    if (!matters) {
        settle(conn);
        return;
    }
    op_init(&h->op, conn->gw->loop, on_located, 0);
    local_ask(conns_local_gate(conn->gw), &h->op, &question);
}

/* ---- what it gets: pairing, token, scopes ---- */

static void on_asked(struct op *op, int result)
{
    struct conn_handshake *h = CONTAINER(op, struct conn_handshake, op);

    if (result < 0)
        snprintf(h->reason, sizeof(h->reason), "the request to pair could not be stored: %s",
                 err_text(result));
    handshake_refuse(h->conn, result < 0 ? REFUSAL_UNAVAILABLE : REFUSAL_PAIRING);
}

static void ask_operator(struct conn *conn, struct store_batch *batch)
{
    struct conn_handshake *h = conn->handshake;
    bool is_new = false;
    const struct pairing_request *request = pairing_ask(conn->gw, batch, &h->asker, &is_new);

    if (request)
        snprintf(h->pairing_id, sizeof(h->pairing_id), "%s", request->id);
    if (!request || !is_new) {
        store_batch_free(batch);
        handshake_refuse(conn, REFUSAL_PAIRING);
        return;
    }
    op_init(&h->op, conn->gw->loop, on_asked, COMMIT_DEADLINE_MS);
    store_commit(batch, &h->op);
}

static void on_settled(struct op *op, int result)
{
    struct conn_handshake *h = CONTAINER(op, struct conn_handshake, op);

    if (result == 0) {
        admit(h->conn);
        return;
    }
    snprintf(h->reason, sizeof(h->reason), "the device could not be stored: %s", err_text(result));
    handshake_refuse(h->conn, REFUSAL_UNAVAILABLE);
}

/* Who showed its device token keeps it; who came by the shared secret gets a fresh one, because only
 * hashes are kept. Acknowledged when it is on disk. */
static void give_token(struct conn *conn, struct store_batch *batch)
{
    struct conn_handshake *h = conn->handshake;

    if (h->by_device_token && h->need == PAIRING_NONE) {
        store_batch_free(batch);
        pairing_seen(conn->gw, NULL, &h->asker);
        admit(conn);
        return;
    }
    pairing_seen(conn->gw, batch, &h->asker);
    if (!h->by_device_token) {
        int result = pairing_mint(conn->gw, batch, h->key.id, h->role, h->device_token);
        h->issued_at = loop_wall(conn->gw->loop);
        require(result == 0);
    }
    op_init(&h->op, conn->gw->loop, on_settled, COMMIT_DEADLINE_MS);
    store_commit(batch, &h->op);
}

/* Where it comes from, for whoever is asked about it. */
static void fill_from(struct conn *conn, struct conn_handshake *h)
{
    h->from = conn->identity ? peer_identity_text(conn->identity) : mem_string(conn->remote_ip);
    h->asker.remote_ip = h->from;
    h->asker.identity = conn->identity;
}

/* How it is approved without asking anybody; NULL: somebody is asked. */
static const char *without_asking(struct conn *conn, struct conn_handshake *h)
{
    if (h->by_code)
        return "code";
    if (conn->local)
        return config_bool(conn->gw->config, KNOB_pairing_auto_local) ? "silent" : NULL;
    return h->trusted && pairing_trusts(conn->gw, &h->asker, &h->giver) ? PAIRING_VIA_TRUST : NULL;
}

static void settle(struct conn *conn)
{
    struct conn_handshake *h = conn->handshake;
    struct device_carry carry;

    fill_from(conn, h);
    if (!conn->local && h->unless_local) {
        handshake_refuse(conn, h->unless_local);
        return;
    }
    if (!conn->local && strcmp(h->auth_method, "none") == 0) {
        handshake_refuse(conn, REFUSAL_NOT_LOCAL);
        return;
    }
    if (!h->has_device) {
        admit(conn);
        return;
    }

    /* A code pairs a device or lets it back in; it gives nobody what its maker does not hold. */
    const struct device *known = device_find(conn->gw, h->key.id);
    if (h->by_code && known && !scope_may_give(h->giver, known->scopes)) {
        handshake_refuse(conn, REFUSAL_BOOTSTRAP_TOKEN);
        return;
    }

    struct store_batch *batch = store_batch(conn->gw->store);
    const char *via = without_asking(conn, h);
    /* While the process scan ran another connection of the device may have settled it. */
    h->need = pairing_need_of(conn->gw, &h->asker);
    if (h->need != PAIRING_NONE && !via) {
        ask_operator(conn, batch);
        return;
    }
    if (h->need != PAIRING_NONE &&
        pairing_approve_at_once(conn->gw, batch, &h->asker, h->giver, via) < 0) {
        store_batch_free(batch);
        snprintf(h->reason, sizeof(h->reason),
                 "no room for another device: remove one (culvert devices remove)");
        handshake_refuse(conn, REFUSAL_UNAVAILABLE);
        return;
    }
    if (h->need != PAIRING_NONE && strcmp(via, PAIRING_VIA_TRUST) == 0)
        log_info("%s paired by tunnel.trust: %s", conn->uuid, h->from);
    /* What the credential could not give is not asked for any more. */
    device_carries(conn->gw, device_find(conn->gw, h->key.id), conn->identity, &carry);
    h->asked &= scope_effective(carry.scopes, 4);
    h->asker.scopes = h->asked;
    give_token(conn, batch);
}

/* ---- out ---- */

static uint32_t caps_of(const struct json *caps)
{
    static const struct {
        const char *name;
        enum conn_cap cap;
    } known[] = {{"tool-events", CAP_TOOL_EVENTS},
                 {"session-scoped-events", CAP_SESSION_SCOPED},
                 {"approvals", CAP_APPROVALS},
                 {"exec-approvals", CAP_APPROVALS}};
    uint32_t set = 0;

    json_each (item, caps)
        for (size_t i = 0; i < COUNT(known); i++)
            if (strcmp(json_string(item, ""), known[i].name) == 0)
                set |= known[i].cap;
    return set;
}

/* Asked for ∩ what the credential carries: the device's approved record, or the shared secret's list. */
static scope_set granted(struct conn *conn, const struct conn_handshake *h)
{
    const struct device *device = h->has_device ? device_find(conn->gw, h->key.id) : NULL;
    struct device_carry carry = {.scopes = h->has_device ? SCOPE_NONE : h->giver};

    if (device)
        device_carries(conn->gw, device, conn->identity, &carry);
    return h->role == ROLE_OPERATOR ? h->asked & scope_effective(carry.scopes, 4) : SCOPE_NONE;
}

/* Removed, revoked, rotated or narrowed while the scan or the commit ran: no socket may slip through. */
static bool still_welcome(struct conn *conn, const struct conn_handshake *h)
{
    const struct device *device = device_find(conn->gw, h->key.id);
    const struct device_token *token = device ? device_token_of(device, h->role) : NULL;

    if (!token || token->revoked_at || pairing_need_of(conn->gw, &h->asker) != PAIRING_NONE)
        return false;
    return !h->by_device_token || pairing_verify(conn->gw, h->key.id, h->role,
                                                 handshake_shown_token(h), h->asked) == TOKEN_GOOD;
}

static void admit(struct conn *conn)
{
    struct conn_handshake *h = conn->handshake;
    const struct connect_client *client = &h->params.client;

    if (h->has_device && !still_welcome(conn, h)) {
        snprintf(h->reason, sizeof(h->reason), "the device was changed meanwhile, try again");
        handshake_refuse(conn, REFUSAL_UNAVAILABLE);
        return;
    }
    conn->version = h->version;
    conn->role = h->role;
    conn->caps = caps_of(h->params.caps);
    conn->scopes = granted(conn, h);
    conn->auth_method = h->auth_method;
    conn->device_id = h->has_device ? mem_string(h->key.id) : NULL;
    conn->client = (struct conn_client){
        .id = mem_string(connect_client_id(&h->params)),
        .mode = mem_string(connect_client_mode(&h->params)),
        .display_name = mem_string(client->display_name),
        .version = mem_string(client->version),
        .platform = mem_string(client->platform),
        .device_family = mem_string(client->device_family),
        .model_identifier = mem_string(client->model_identifier),
        .instance_id = mem_string(client->instance_id),
        .time_zone = mem_string(client->time_zone),
        .user_agent = mem_string(h->params.user_agent),
        .locale = mem_string(h->params.locale),
    };
    timer_stop(conn->gw->loop, &h->deadline);
    conn_opened(conn);
}
