/* What an attacker would try at the door, each once: a race with a rotation, memory held by peers that
 * were refused, others' queues, sockets that die in the middle of a handshake. security.md. */
#include "gateway/conn/conn.h"
#include "gateway/conn/internal.h"
#include "gateway/pairing/pairing.h"
#include "tests/unit/gateway/conn/visitor.h"

#define CLIENT(platform)                                                                           \
    "'client':{'id':'cli','version':'1','platform':'" platform "','mode':'cli'}"
#define CLI    CLIENT("linux")
#define V4     "'minProtocol':4,'maxProtocol':4,"
#define TOKEN  "'auth':{'token':'" RIG_TOKEN "'}"
#define REMOTE "203.0.113.5"

static char *pair_up(struct rig *rig, const struct kit_device *d, const char *scopes)
{
    struct visitor *v = visitor_new(rig, "pair");
    CLEAN(mem_free) char *params = mem_format("{" V4 CLI ",'scopes':[%s]," TOKEN "}", scopes);
    char *token = visitor_pick(visitor_hello(v, params, d), "payload.auth.deviceToken");

    t_ok(token != NULL);
    visitor_free(v);
    return token;
}

/* GHSA-4jpw-hj22-2xmc's neighbour: the old token is being checked while somebody rotates it. */
T(a_token_rotated_during_the_handshake_opens_nothing)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *token = pair_up(rig, &d, "'operator.read'");
    struct visitor *v = visitor_new(rig, "pair");
    /* another platform: a local metadata upgrade, which waits for the store */
    CLEAN(mem_free)
    char *params = mem_format(
        "{" V4 CLIENT("plan9") ",'scopes':['operator.read'],'auth':{'deviceToken':'%s'}}", token);
    const struct device_token *row;
    char fresh[TOKEN_TEXT];

    visitor_connect(v, params, &d);
    struct conn *conn = conn_find(rig->gw, conn_newest(rig->gw));
    while (conn->state == CONN_OPENED)
        loop_turn(rig->gw->loop, false);
    t_eq(conn->state, CONN_CHECKING);
    struct store_batch *batch = store_batch(rig->gw->store);
    t_eq(pairing_rotate(rig->gw, batch, d.id, ROLE_OPERATOR, NULL, SCOPE_ADMIN, fresh, &row), 0);
    store_commit(batch, NULL);
    t_json(visitor_next(v), "{'ok':false}");
    visitor_wait_close(v);
    visitor_free(v);
    rig_free(rig);
}

/* OC#115959: a tunnel's peer is remote, though its last step is inside this process. */
T(a_tunnelled_peer_is_never_local)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct visitor *v = visitor_new(rig, "tunnel");

    t_json(visitor_hello(v, "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", &d),
           "{'ok':false,'error':{'code':'NOT_PAIRED'}}");
    visitor_free(v);
    v = visitor_new(rig, "tunnel");
    t_json(visitor_hello(v, "{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}", NULL),
           "{'ok':true,'payload':{'auth':{'scopes':[]}}}");
    visitor_free(v);
    v = visitor_new(rig, "tunnel");
    t_json(visitor_hello(v, "{'minProtocol':3,'maxProtocol':3," CLI "," TOKEN "}", NULL),
           "{'ok':false,'error':{'code':'NOT_PAIRED'}}");
    visitor_free(v);
    rig_free(rig);
}

/* PR OC#57647: what looks like a device token neither skips the limiter nor goes uncounted. */
T(a_device_token_in_the_request_does_not_skip_the_limiter)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1), stranger = kit_device(9);
    const char *both = "{" V4 CLI ",'auth':{'token':'" RIG_TOKEN "','deviceToken':'x'}}";
    mem_free(pair_up(rig, &d, "'operator.read'"));

    for (int i = 0; i < 10; i++) {
        struct visitor *v = visitor_new(rig, REMOTE);
        t_json(visitor_hello(v, "{" V4 CLI ",'auth':{'deviceToken':'guess'}}", &d),
               "{'error':{'details':{'code':'AUTH_DEVICE_TOKEN_MISMATCH'}}}");
        visitor_free(v);
    }
    /* locked out: the right secret beside a made-up device token, of a known and an unknown device */
    struct visitor *v = visitor_new(rig, REMOTE);
    t_json(visitor_hello(v, both, &d), "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    visitor_free(v);
    v = visitor_new(rig, REMOTE);
    t_json(visitor_hello(v, both, &stranger), "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    visitor_free(v);
    v = visitor_new(rig, REMOTE);
    t_json(visitor_hello(v, both, NULL), "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    visitor_free(v);
    /* somebody else is not */
    v = visitor_new(rig, "203.0.113.77");
    t_json(visitor_hello(v, "{" V4 CLI "," TOKEN "}", NULL), "{'ok':true}");
    visitor_free(v);
    rig_free(rig);
}

/* CVE-2026-28472: a token's presence proves nothing about the device beside it. */
T(a_right_token_does_not_excuse_a_wrong_device_proof)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1), thief = kit_device(2);

    for (int form = 0; form < 3; form++) {
        struct visitor *v = visitor_new(rig, "pair");
        CLEAN(mem_free)
        char *text =
            kit_sign(&d, "{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}", 3, v->nonce, v->ts);
        CLEAN(json_free) struct json *params = kit_json(text);
        struct json *device = json_edit(params, "device");
        if (form == 0)
            json_put(device, "signature", json_new_string("AAAA"));
        else if (form == 1)
            json_put(device, "publicKey", json_new_string(thief.public_key));
        else
            json_put(device, "id", json_new_string(thief.id));
        CLEAN(mem_free) char *printed = json_print(params, false);
        visitor_connect(v, printed, NULL);
        t_json(visitor_next(v), "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
        visitor_wait_close(v);
        t_eq(v->close_code, 1008);
        visitor_free(v);
    }
    t_eq(pairing_request_count(rig->gw), 0);
    t_ok(!device_find(rig->gw, d.id) && !device_find(rig->gw, thief.id));
    rig_free(rig);
}

/* GHSA-rqpp-rjj8-7wv8: what a client says it may do is a wish. */
T(scopes_a_client_declares_are_only_a_wish)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *token = pair_up(rig, &d, "'operator.read'");
    CLEAN(mem_free)
    char *wider =
        mem_format("{" V4 CLI ",'scopes':['operator.admin'],'auth':{'deviceToken':'%s'}}", token);
    CLEAN(mem_free)
    char *v3 = mem_format("{'minProtocol':3,'maxProtocol':3," CLI ",'auth':{'token':'%s'}}", token);
    struct visitor *v = visitor_new(rig, REMOTE);

    t_json(visitor_hello(v, "{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}", NULL),
           "{'ok':true,'payload':{'auth':{'scopes':[]}}}");
    visitor_free(v);
    v = visitor_new(rig, REMOTE);
    t_json(visitor_hello(v, wider, &d), "{'error':{'details':{'code':'AUTH_SCOPE_MISMATCH'}}}");
    visitor_free(v);
    v = visitor_new(rig, REMOTE); /* v3: left out means admin */
    t_json(visitor_hello(v, v3, &d), "{'ok':false}");
    visitor_free(v);
    rig_free(rig);
}

/* ---- memory ---- */

/* 64 KiB of `[0,0,…` become megabytes of tree: gone before the wait for the peer's close begins. */
T(a_refused_peer_that_lingers_holds_nothing_of_what_it_said)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v = visitor_new(rig, REMOTE);
    struct conn *conn = conn_find(rig->gw, conn_newest(rig->gw));

    ws_pause(v->ws, true); /* never answers the close */
    visitor_connect(v, "{" V4 CLI ",'auth':{'token':'bad'},'junk':[0,0,0]}", NULL);
    while (conn->state != CONN_CLOSING)
        loop_turn(rig->gw->loop, false);
    t_ok(conn->handshake && !conn->handshake->tree && !conn->handshake->held);
    rig_advance(rig, 5000);
    visitor_free(v);

    v = visitor_new(rig, "127.0.0.1"); /* late, with frames held back */
    conn = conn_find(rig->gw, conn_newest(rig->gw));
    visitor_connect(v, "{" V4 CLI ",'auth':{'token':'bad'},'junk':[0,0,0]}", NULL);
    for (int i = 0; i < 16; i++)
        visitor_say(v, "{'type':'req','id':'h','method':'health'}");
    while (conn->state != CONN_CLOSING)
        loop_turn(rig->gw->loop, false);
    t_ok(conn->handshake && !conn->handshake->tree && !conn->handshake->held);
    visitor_wait_close(v);
    visitor_free(v);
    rig_free(rig);
}

static struct conn *reader(struct rig *rig, struct visitor **ret)
{
    *ret = visitor_new(rig, "pair");
    t_json(visitor_hello(*ret, "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", NULL),
           "{'ok':true}");
    return conn_find(rig->gw, conn_newest(rig->gw));
}

/* The ceiling of the whole process takes the biggest queue, also one that is closing. */
T(a_full_process_drops_who_holds_the_most_and_nobody_else)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *innocent, *greedy[6];
    struct conn *small = reader(rig, &innocent), *hog;
    CLEAN(mem_free) char *chunk = mem_new(10u << 20);
    struct bytes *big, *two;

    memset(chunk, ' ', 10u << 20);
    big = bytes_new(chunk, 10u << 20);
    two = bytes_new(chunk, 2u << 20);
    for (size_t i = 0; i < COUNT(greedy); i++) {
        hog = reader(rig, &greedy[i]);
        ws_pause(greedy[i]->ws, true);
        for (int n = 0; n < 5; n++)
            conn_send(hog, "", 0, i < 5 ? big : n < 2 ? two : NULL);
        conn_close(hog, 1008, "slow consumer"); /* what it holds stays for two seconds */
    }
    t_ok(ws_output_total() <= CONN_OUTPUT_TOTAL_MAX);
    t_ok(ws_output_total() + two->length * 2 > CONN_OUTPUT_TOTAL_MAX);
    conn_send(small, "", 0, two);
    conn_send(small, "", 0, two);
    t_eq(small->state, CONN_OPEN);
    t_ok(ws_output_total() <= CONN_OUTPUT_TOTAL_MAX);
    rig_advance(rig, 5000);
    for (size_t i = 0; i < COUNT(greedy); i++)
        visitor_free(greedy[i]);
    visitor_free(innocent);
    bytes_unref(big);
    bytes_unref(two);
    rig_free(rig);
}

/* Calls that stay open keep what they were called with: a thousand of 25 MiB would be too much. */
T(open_calls_hold_only_so_much)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v;
    struct conn *conn = reader(rig, &v), *other;
    struct visitor *w;
    struct buf text;
    size_t open = 0;

    conn->scopes = SCOPE_ADMIN;
    buf_init(&text, 24u << 20);
    for (int i = 0; i < 8; i++) {
        buf_clear(&text);
        buf_addf(&text,
                 "{\"type\":\"req\",\"id\":\"w%d\",\"method\":\"agent.wait\",\"params\":{"
                 "\"runId\":\"none\",\"timeoutMs\":60000,\"junk\":\"",
                 i);
        size_t room = 8u << 20;
        memset(buf_reserve(&text, room), 'x', room);
        text.length += room;
        buf_add_str(&text, "\"}}");
        t_eq(ws_send(v->ws, text.data, text.length, NULL), 0);
        rig_advance(rig, 1);
    }
    const char *said;
    do
        said = visitor_next(v);
    while (said[0] && !strstr(said, "\"res\""));
    open = conn->open_calls;
    t_json(said, "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true}}");
    t_ok(open >= 2 && open < 8);
    t_eq(conn->state, CONN_OPEN);
    other = reader(rig, &w); /* somebody else is served, a large message included */
    other->scopes = SCOPE_ADMIN;
    ws_send(w->ws, text.data, text.length, NULL);
    rig_advance(rig, 1000);
    t_eq(other->open_calls, 1);
    visitor_free(w);
    visitor_free(v);
    buf_done(&text);
    rig_advance(rig, 61000);
    rig_free(rig);
}

/* ---- sockets that die in the middle: every operation ends once, nothing is left (rig_free looks) ---- */

T(a_socket_may_die_at_every_turn_of_a_handshake)
{
    static const struct {
        const char *from, *params;
        int device;
    } rows[] = {
        {"pair", "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", 1}, /* commit: paired */
        {REMOTE, "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", 2}, /* commit: asked */
        {"127.0.0.1", "{" V4 CLI ",'auth':{'token':'bad'}}", 0},          /* the delay */
        {"pair", "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", 0}, /* no wait at all */
        {"pair", "{" V4 CLI ",'role':'node','auth':{'token':'" RIG_TOKEN "'}}", 3}, /* a node */
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (int turns = 0; turns < 12; turns++) {
            struct rig *rig = rig_new(NULL);
            struct kit_device d = kit_device((uint8_t)rows[i].device);
            struct visitor *v = visitor_new(rig, rows[i].from);

            visitor_connect(v, rows[i].params, rows[i].device ? &d : NULL);
            visitor_say(v, "{'type':'req','id':'2','method':'health'}");
            for (int n = 0; n < turns; n++)
                loop_turn(rig->gw->loop, false);
            if (v->ws)
                ws_abort(v->ws);
            rig_advance(rig, 20000);
            t_eq(conn_count(rig->gw), 0);
            visitor_free(v);
            rig_free(rig);
        }
}
