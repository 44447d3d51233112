/* The table of connections: who may come in (the upgrade's verdict, ceilings), places and ids, and the
 * ceilings of the whole process. Path: conns_upgrade -> conns_open -> conn.c's states -> conns_remove.
 * Owns struct conns; struct conn is conn.c's. design.md sections 4 and 5. */
#include "gateway/conn/conns.h"

#define LOG_SUBSYSTEM "conn"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/internal.h"
#include "gateway/listen.h"
#include "gateway/tailnet/tailscale.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS        1024
#define INPUT_WATCH_MS 1000

struct conns {
    struct gateway *gw;
    struct conn *first, *last;
    struct conn *buckets[BUCKETS];
    uint64_t last_id;
    size_t count, half_open, open;
    struct local_gate *gate;
    struct timer input_watch; /* while somebody is open */
    char machine[HOST_NAME_MAX + 1];
};

struct conns *conns_new(struct gateway *gw)
{
    struct conns *conns = NEW(struct conns);

    conns->gw = gw;
    conns->gate = local_gate_new(gw->loop);
    if (gethostname(conns->machine, sizeof(conns->machine) - 1) < 0)
        conns->machine[0] = '\0';
    return conns;
}

/* Connections that no listener closed (pairs) end here, without a further word. */
struct conns *conns_free(struct conns *conns)
{
    static const struct ws_events deaf = {0};

    if (!conns)
        return NULL;
    while (conns->first) {
        struct ws *ws = conns->first->ws;
        conn_free(conns->first);
        ws_set_events(ws, &deaf, NULL);
        ws_abort(ws);
    }
    timer_stop(conns->gw->loop, &conns->input_watch);
    local_gate_free(conns->gate);
    return mem_free(conns);
}

struct local_gate *conns_local_gate(struct gateway *gw)
{
    return gw->conns->gate;
}

/* ---- places ----
 * The store's last commits still tell events and answer calls after the connections are gone
 * (gateway_free): then there is nobody. */

static struct conn **bucket_of(struct conns *conns, conn_id id)
{
    return &conns->buckets[id.v % BUCKETS];
}

struct conn *conn_find(struct gateway *gw, conn_id id)
{
    if (!gw->conns)
        return NULL;
    for (struct conn *c = *bucket_of(gw->conns, id); c; c = c->same_bucket)
        if (c->id.v == id.v)
            return c;
    return NULL;
}

size_t conn_count(const struct gateway *gw)
{
    return gw->conns->count;
}

bool conn_any_v3(const struct gateway *gw)
{
    for (struct conn *conn = gw->conns ? gw->conns->first : NULL; conn; conn = conn_next(conn))
        if (conn->state == CONN_OPEN && conn->version == 3)
            return true;
    return false;
}

conn_id conn_newest(const struct gateway *gw)
{
    return (conn_id){gw->conns ? gw->conns->last_id : 0};
}

struct conn *conn_first(struct gateway *gw)
{
    return gw->conns ? gw->conns->first : NULL;
}

struct conn *conn_next(struct conn *c)
{
    return c->next;
}

static void conns_add(struct conns *conns, struct conn *conn)
{
    struct conn **bucket;

    conn->id.v = ++conns->last_id;
    bucket = bucket_of(conns, conn->id);
    conn->same_bucket = *bucket;
    *bucket = conn;
    conn->previous = conns->last;
    if (conns->last)
        conns->last->next = conn;
    else
        conns->first = conn;
    conns->last = conn;
    conns->count++;
    conns->half_open++;
}

void conns_remove(struct conn *conn)
{
    struct conns *conns = conn->gw->conns;
    struct conn **at = bucket_of(conns, conn->id);

    while (*at != conn)
        at = &(*at)->same_bucket;
    *at = conn->same_bucket;
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        conns->first = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    else
        conns->last = conn->previous;
    conns->count--;
}

static bool is_half_open(enum conn_state state)
{
    return state == CONN_OPENED || state == CONN_CHECKING;
}

static void watch_input(void *arg);

void conns_state_changed(struct conn *conn, enum conn_state next)
{
    struct conns *conns = conn->gw->conns;

    conns->half_open -= is_half_open(conn->state);
    conns->half_open += is_half_open(next);
    conns->open -= conn->state == CONN_OPEN;
    conns->open += next == CONN_OPEN;
    if (conns->open && !timer_running(&conns->input_watch))
        timer_start(conns->gw->loop, &conns->input_watch, INPUT_WATCH_MS, 0, watch_input, conns);
}

void conns_beat_start(struct conn *conn, int64_t every_ms, loop_fn *fn)
{
    timer_start(conn->gw->loop, &conn->beat, every_ms, every_ms, fn, conn);
}

void conns_beat_stop(struct conn *conn)
{
    timer_stop(conn->gw->loop, &conn->beat);
}

/* ---- ceilings of the whole process: the slowest goes first ---- */

/* Also one that is closing: its queue stays until the peer has taken it. Who holds nothing is let be. */
static void drop_biggest(struct conns *conns, size_t (*size)(const struct ws *ws), const char *what)
{
    struct conn *biggest = NULL;

    for (struct conn *c = conns->first; c; c = c->next)
        if (size(c->ws) > (biggest ? size(biggest->ws) : 0))
            biggest = c;
    if (!biggest)
        return;
    log_warn("%s: dropped, %zu bytes of %s while the process is at its ceiling", biggest->uuid,
             size(biggest->ws), what);
    ws_abort(biggest->ws);
    if (biggest->state != CONN_CLOSING)
        conn_enter(biggest, CONN_CLOSING);
}

void conns_relieve(struct gateway *gw)
{
    while (ws_output_total() > CONN_OUTPUT_TOTAL_MAX) {
        size_t before = ws_output_total();
        drop_biggest(gw->conns, ws_queued, "output");
        if (ws_output_total() >= before)
            return; /* what is left belongs to others (the tunnel's clients) */
    }
}

static void watch_input(void *arg)
{
    struct conns *conns = arg;

    while (ws_input_total() > CONN_INPUT_TOTAL_MAX) {
        size_t before = ws_input_total();
        drop_biggest(conns, ws_received, "half-received messages");
        if (ws_input_total() >= before)
            break;
    }
    if (conns->open)
        timer_start(conns->gw->loop, &conns->input_watch, INPUT_WATCH_MS, 0, watch_input, conns);
}

size_t conn_close_device(struct gateway *gw, const char *device_id, const char *role,
                         const char *reason)
{
    size_t closed = 0;

    conn_each (c, gw) {
        if (c->state != CONN_OPEN || !c->device_id || strcmp(c->device_id, device_id) != 0)
            continue;
        if (role && (c->role == ROLE_NODE) != (strcmp(role, "node") == 0))
            continue;
        conn_close(c, 4001, reason);
        closed++;
    }
    return closed;
}

/* ---- coming in ---- */

/* By the socket alone: who came through tunnel.sock, or another user of this host. A tailnet's whois comes later. The
 * caller's reference; NULL: none. */
static struct peer_identity *read_identity(const struct ws_peer *peer)
{
    if (peer->transport == WS_TUNNEL && peer->owner)
        return peer_identity_ref(peer->owner);
    if (peer->transport != WS_UNIX || peer->uid == (uint32_t)geteuid() || peer->door == DOOR_PROXY)
        return NULL;

    struct peer_identity *identity = peer_identity_new(IDENTITY_UNIX);
    identity->uid = peer->uid;
    return identity;
}

static void read_facts(struct gateway *gw, const struct ws_request *request,
                       const struct peer_identity *identity, struct ingress_facts *ret)
{
    const struct ws_peer *peer = request->peer;

    *ret = (struct ingress_facts){
        .transport = peer->transport,
        .remote = &peer->remote,
        .local = &peer->local,
        /* A pair that came this way is this process's own (gateway_attach). */
        .own_uid = peer->transport == WS_PAIR ||
                   (peer->transport == WS_UNIX && peer->uid == (uint32_t)geteuid()),
        .identity = identity,
        .tls = peer->tls,
        .machine = gw->conns->machine,
        .tailnet_name = tailscale_name(gw),
        .proxy_door = peer->door == DOOR_PROXY,
        .trusted_proxies = config_node(gw->config, "gateway.trustedProxies"),
        .allowed_origins = config_node(gw->config, "gateway.controlUi.allowedOrigins"),
    };
    if (peer->transport == WS_PAIR)
        return; /* no request came, so there are no headers */
    ret->host = ws_header(request, "host");
    ret->origin = ws_header(request, "origin");
    ret->forwarded_for = ws_header(request, "x-forwarded-for");
    ret->forwarded_host = ws_header(request, "x-forwarded-host");
    ret->forwarded_proto = ws_header(request, "x-forwarded-proto");
    for (size_t i = 0; ingress_forwarding_headers[i]; i++)
        ret->forwarded |= ws_header(request, ingress_forwarding_headers[i]) != NULL;
}

char *conns_proxy_user(struct gateway *gw, const struct ws_request *request,
                       const struct ingress *ingress)
{
    const char *header = config_str(gw->config, KNOB_auth_user_header);
    const struct json *needed =
        config_node(gw->config, "gateway.auth.trustedProxy.requiredHeaders");

    if (!request || request->peer->transport == WS_PAIR || !ingress->trusted_proxy || !header)
        return NULL;
    json_each (item, needed)
        if (!ws_header(request, json_string(item, "")))
            return NULL;
    return mem_string(ws_header(request, header));
}

int conns_judge(struct gateway *gw, const struct ws_request *request, struct ingress *ret,
                const char **ret_why)
{
    CLEAN(peer_identity_unref) struct peer_identity *identity = read_identity(request->peer);
    struct ingress_facts facts;

    read_facts(gw, request, identity, &facts);
    int status = ingress_judge(&facts, ret, ret_why);
    if (status)
        log_warn("%s refused: origin \"%.200s\" at host \"%.200s\": %s", request->path,
                 facts.origin ? facts.origin : "", facts.host ? facts.host : "", *ret_why);
    return status;
}

int conns_upgrade(void *arg, const struct ws_request *request)
{
    struct gateway *gw = arg;
    struct ingress ingress;
    const char *why = NULL;

    return gw->conns->count >= CONN_MAX ? 503 : conns_judge(gw, request, &ingress, &why);
}

/* One remote address has only its share of the unfinished handshakes. */
static bool address_is_full(struct conns *conns, const struct ingress *ingress)
{
    size_t same = 0,
           share = ingress->signed_in ? CONN_HALF_OPEN_TUNNEL_MAX : CONN_HALF_OPEN_ADDRESS_MAX;

    if (ingress->exempt || conns->half_open < share)
        return false;
    for (const struct conn *c = conns->first; c; c = c->next)
        same += is_half_open(c->state) && c->handshake &&
                strcmp(c->handshake->ingress.rate_key, ingress->rate_key) == 0;
    return same >= share;
}

/* Who has said nothing for longest makes room, then who waits out the penalty of a wrong guess: neither
 * keeps a client out that speaks. */
bool conns_make_room(void *arg)
{
    const struct gateway *gw = arg;
    struct conn *silent = NULL, *guesser = NULL;

    for (struct conn *c = gw->conns->first; c && !silent; c = c->next) {
        if (c->state == CONN_OPENED)
            silent = c;
        else if (c->state == CONN_CHECKING && !guesser && timer_running(&c->handshake->delay))
            guesser = c;
    }
    struct conn *victim = silent ? silent : guesser;
    if (!victim)
        return false;
    log_debug("%s: dropped before hello, others came", victim->uuid);
    ws_abort(victim->ws);
    conn_enter(victim, CONN_CLOSING);
    return true;
}

static bool is_full(struct gateway *gw, const struct ingress *ingress)
{
    struct conns *conns = gw->conns;

    if (conns->count >= CONN_MAX || address_is_full(conns, ingress))
        return true;
    return conns->half_open >= CONN_HALF_OPEN_MAX && !conns_make_room(gw);
}

static struct conn *conn_new(struct gateway *gw, struct ws *ws, const struct ingress *ingress,
                             struct peer_identity *identity)
{
    struct conn *conn = NEW(struct conn);

    conn->magic = CONN_MAGIC;
    conn->gw = gw;
    conn->ws = ws;
    conn->opened_at = loop_wall(gw->loop);
    conn->identity = identity ? peer_identity_ref(identity) : NULL;
    conn->remote_ip = ingress->address[0] ? mem_string(ingress->address) : NULL;
    crypto_uuid(conn->uuid);
    return conn;
}

static void open_conn(struct gateway *gw, struct ws *ws, const struct ws_request *request,
                      const struct ingress_facts *facts, struct peer_identity *identity,
                      const struct ws_events **ret_events, void **ret_arg)
{
    struct conns *conns = gw->conns;
    struct ingress ingress = {0};
    const char *why = NULL;
    int refused = ingress_judge(facts, &ingress, &why);
    bool full = !refused && is_full(gw, &ingress);
    struct conn *conn = conn_new(gw, ws, &ingress, identity);

    conn->handshake = handshake_new(conn, request, &ingress);
    conns_add(conns, conn);
    *ret_events = &conn_ws_events;
    *ret_arg = conn;
    if (refused)
        conn_close(conn, 1008, "origin not allowed");
    else if (full)
        conn_close(conn, 1013, "too many handshakes at once, try again");
    else
        conn_enter(conn, CONN_OPENED);
}

void conns_open(void *arg, struct ws *ws, const struct ws_request *request,
                const struct ws_events **ret_events, void **ret_arg)
{
    CLEAN(peer_identity_unref) struct peer_identity *identity = read_identity(request->peer);
    struct ingress_facts facts;

    read_facts(arg, request, identity, &facts);
    open_conn(arg, ws, request, &facts, identity, ret_events, ret_arg);
}

void conns_open_as(struct gateway *gw, struct ws *ws, const struct ingress_facts *facts,
                   struct peer_identity *identity, const struct ws_events **ret_events,
                   void **ret_arg)
{
    open_conn(gw, ws, NULL, facts, identity, ret_events, ret_arg);
}
