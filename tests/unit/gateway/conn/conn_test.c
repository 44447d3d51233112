/* A connection's life beside the handshake: frames held back, malformed ones, ceilings, pings. */
#include "gateway/conn/conn.h"

#include "tests/unit/gateway/conn/visitor.h"

#define CLI     "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'}"
#define V4      "'minProtocol':4,'maxProtocol':4,"
#define TOKEN   "'auth':{'token':'" RIG_TOKEN "'}"
#define CONNECT "{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}"

static struct visitor *inside(struct rig *rig)
{
    struct visitor *v = visitor_new(rig, "pair");

    t_json(visitor_hello(v, CONNECT, NULL), "{'ok':true}");
    return v;
}

static const char *answer_to(struct visitor *v, const char *id)
{
    CLEAN(mem_free) char *mark = mem_format("\"id\":%s", id);
    const char *text;

    do
        text = visitor_next(v);
    while (text[0] && !strstr(text, mark));
    return text;
}

T(malformed_frames_are_answered_and_text_that_is_no_json_is_not)
{
    static const struct {
        const char *text, *id, *answer;
    } rows[] = {
        {"[1]", "\"invalid\"", "{'ok':false,'error':{'code':'INVALID_REQUEST'}}"},
        {"{'type':'req','id':'3'}", "\"3\"",
         "{'error':{'message':'invalid request frame: must have required property \"method\"'}}"},
        {"{'type':'event','event':'x'}", "\"invalid\"", "{'error':{'code':'INVALID_REQUEST'}}"},
        {"{'type':'res','id':'q','ok':true}", "\"q\"", "{'error':{'code':'INVALID_REQUEST'}}"},
        {"{'type':'req','id':'y','method':'x','method':'y'}", "\"y\"",
         "{'error':{'code':'INVALID_REQUEST'}}"},
        {"{'type':'req','id':'2','method':'connect','params':{}}", "\"2\"",
         "{'error':{'message':'connect is only valid as the first request'}}"},
    };
    struct rig *rig = rig_new(NULL);
    struct visitor *v = inside(rig);

    visitor_say(v, "nope{");
    visitor_say(v, "{'type':'req','id':'z','method':'x'"); /* cut: no JSON */
    for (size_t i = 0; i < COUNT(rows); i++) {
        visitor_say(v, rows[i].text);
        const char *text = answer_to(v, rows[i].id);
        if (!strstr(rows[i].answer, "\""))
            t_json(text, rows[i].answer);
        t_has(text, "\"ok\":false");
    }
    for (size_t i = 0; i < v->count; i++)
        t_ok(!strstr(v->said[i], "\"z\""));
    t_ok(v->ws != NULL);
    visitor_free(v);
    rig_free(rig);
}

T(the_eleventh_call_of_a_wrong_role_closes)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(3);
    struct visitor *v = visitor_new(rig, "pair");
    const char *node =
        "{" V4 "'client':{'id':'node-host','version':'1','platform':'linux','mode':'node'},"
        "'role':'node'," TOKEN "}";

    t_json(visitor_hello(v, node, &d), "{'ok':true}");
    for (int i = 0; i < 10; i++)
        visitor_say(v, "{'type':'req','id':'n','method':'status'}");
    for (int i = 0; i < 10; i++)
        t_json(answer_to(v, "\"n\""), "{'error':{'message':'unauthorized role: node'}}");
    t_ok(v->ws != NULL);
    visitor_say(v, "{'type':'req','id':'n','method':'status'}");
    t_json(answer_to(v, "\"n\""), "{'error':{'message':'unauthorized role: node'}}");
    visitor_wait_close(v);
    t_eq(v->close_code, 1008);
    t_str(v->close_reason, "repeated unauthorized calls");
    visitor_free(v);
    rig_free(rig);
}

/* While the store commits the pairing the connection is being checked. */
T(frames_wait_while_the_handshake_is_checked)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(3);
    struct visitor *v = visitor_new(rig, "pair");

    visitor_connect(v, CONNECT, &d);
    for (int i = 0; i < 15; i++) {
        CLEAN(mem_free)
        char *text = mem_format("{'type':'req','id':'h%d','method':'last-heartbeat'}", i);
        visitor_say(v, text);
    }
    t_json(visitor_next(v), "{'id':'1','ok':true}");
    for (int i = 0; i < 15; i++) {
        CLEAN(mem_free) char *id = mem_format("\"h%d\"", i);
        t_json(answer_to(v, id), "{'ok':true}");
    }
    visitor_free(v);
    rig_free(rig);
}

T(sixteen_waiting_frames_are_too_many)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v = visitor_new(rig, "127.0.0.1");

    visitor_connect(v, "{" V4 CLI ",'auth':{'token':'bad'}}",
                    NULL); /* waits 250 ms for its answer */
    for (int i = 0; i < 16; i++)
        visitor_say(v, "{'type':'req','id':'h','method':'health'}");
    visitor_wait_close(v);
    t_eq(v->close_code, 1008);
    t_str(v->close_reason, "too many pending handshake frames");
    visitor_free(v);

    v = visitor_new(rig, "127.0.0.1");
    visitor_connect(v, "{" V4 CLI ",'auth':{'token':'bad'}}", NULL);
    CLEAN(mem_free) char *big = mem_new(CONN_PREAUTH_MAX);
    memset(big, 'x', CONN_PREAUTH_MAX - 1);
    ws_send(v->ws, big, CONN_PREAUTH_MAX - 1, NULL);
    ws_send(v->ws, big, CONN_PREAUTH_MAX - 1, NULL);
    visitor_wait_close(v);
    t_eq(v->close_code, 1008);
    visitor_free(v);
    rig_free(rig);
}

T(messages_are_small_before_hello)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v = visitor_new(rig, "pair");
    CLEAN(mem_free) char *big = mem_new(CONN_PREAUTH_MAX + 1);

    memset(big, ' ', CONN_PREAUTH_MAX + 1);
    ws_send(v->ws, big, CONN_PREAUTH_MAX + 1, NULL);
    visitor_wait_close(v);
    t_eq(v->close_code, 1009);
    visitor_free(v);

    v = inside(rig);
    ws_send(v->ws, big, CONN_PREAUTH_MAX + 1, NULL); /* blanks: no JSON, ignored */
    visitor_say(v, "{'type':'req','id':'a','method':'last-heartbeat'}");
    t_json(answer_to(v, "\"a\""), "{'ok':true}");
    visitor_free(v);
    rig_free(rig);
}

/* ---- ceilings ---- */

struct crowd {
    struct ws *ws[CONN_HALF_OPEN_MAX + 1];
};

static struct ws *stand_at_the_door(struct rig *rig, const char *from)
{
    static const struct ws_events deaf = {0};
    struct sockaddr_storage remote = visitor_address(from), local = visitor_address("192.0.2.1");
    struct ingress_facts facts = {.transport = WS_TCP, .remote = &remote, .local = &local};
    const struct ws_events *events;
    struct ws *ours, *theirs;
    void *arg;

    ws_pair(rig->gw->loop, CONN_OUTPUT_MAX, &ours, &theirs);
    ws_set_events(theirs, &deaf, NULL);
    conns_open_as(rig->gw, ours, &facts, NULL, &events, &arg);
    ws_set_events(ours, events, arg);
    return theirs;
}

static conn_id conn_oldest_at_the_door(struct gateway *gw)
{
    conn_each (c, gw)
        if (c->state == CONN_OPENED)
            return c->id;
    return (conn_id){0};
}

T(unfinished_handshakes_have_a_ceiling_and_an_address_its_share)
{
    struct rig *rig = rig_new(NULL);
    struct crowd *crowd = NEW(struct crowd);
    size_t count = 0;

    for (int i = 0; i < CONN_HALF_OPEN_ADDRESS_MAX; i++)
        crowd->ws[count++] = stand_at_the_door(rig, "203.0.113.5");
    struct visitor *v = NULL;
    crowd->ws[count] = stand_at_the_door(rig, "203.0.113.5");
    struct conn *last = conn_find(rig->gw, conn_newest(rig->gw));
    t_eq(last->state, CONN_CLOSING); /* one address does not shut out the others */
    v = visitor_new(rig, "203.0.113.6");
    t_json(visitor_hello(v, "{" V4 CLI "," TOKEN "}", NULL), "{'ok':true}");
    visitor_free(v);

    for (int i = 0; count < CONN_HALF_OPEN_MAX; i++) {
        CLEAN(mem_free) char *from = mem_format("198.51.%d.%d", i / 200, i % 200 + 1);
        struct ws *ws = stand_at_the_door(rig, from);
        if (conn_find(rig->gw, conn_newest(rig->gw))->state == CONN_OPENED)
            crowd->ws[count++] = ws;
    }
    /* Full: the oldest that says nothing makes room for who comes, and who speaks gets in. */
    conn_id oldest = conn_oldest_at_the_door(rig->gw);
    stand_at_the_door(rig, "192.0.2.77");
    t_eq(conn_find(rig->gw, conn_newest(rig->gw))->state, CONN_OPENED);
    t_ok(conn_oldest_at_the_door(rig->gw).v > oldest.v);
    v = visitor_new(rig, "192.0.2.78");
    t_json(visitor_hello(v, "{" V4 CLI "," TOKEN "}", NULL), "{'ok':true}");
    visitor_free(v);
    rig_advance(rig, CONN_HANDSHAKE_MS + 5000); /* all of them are late */
    t_eq(conn_count(rig->gw), 0);
    mem_free(crowd);
    rig_free(rig);
}

T(a_reader_that_does_not_read_is_closed)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v = visitor_new(rig, "pair");

    t_json(visitor_hello(
               v, "{'minProtocol':3,'maxProtocol':3," CLI ",'scopes':['operator.admin']," TOKEN "}",
               NULL),
           "{'ok':true}");
    struct conn *conn = conn_find(rig->gw, conn_newest(rig->gw));
    CLEAN(mem_free) char *chunk = mem_new(100000);
    memset(chunk, ' ', 100000);
    ws_pause(v->ws, true);
    for (int i = 0; i < 15; i++)
        conn_send(conn, chunk, 100000, NULL);
    t_eq(conn->state, CONN_OPEN);
    conn_send(conn, chunk, 100000, NULL);
    t_eq(conn->state, CONN_CLOSING);
    rig_advance(rig, 5000); /* nobody waits longer for a peer that does not read */
    visitor_wait_close(v);
    visitor_free(v);
    rig_free(rig);
}

/* ---- liveness ---- */

T(whoever_answers_no_ping_is_gone)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *alive = inside(rig), *dead = inside(rig);

    ws_pause(dead->ws, true);
    for (int i = 0; i < 4; i++)
        rig_advance(rig, 25000);
    t_ok(alive->ws != NULL);
    visitor_wait_close(dead);
    t_eq(conn_count(rig->gw), 1);
    visitor_free(dead);
    visitor_free(alive);
    rig_free(rig);
}

T(a_shutdown_turns_newcomers_away)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *v = visitor_new(rig, "pair");

    rig->gw->stopping = true;
    visitor_connect(v, CONNECT, NULL);
    t_json(visitor_next(v), "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true,"
                            "'retryAfterMs':1000}}");
    visitor_wait_close(v);
    t_eq(v->close_code, 1013);
    rig->gw->stopping = false;
    visitor_free(v);
    rig_free(rig);
}

T(ids_rise_and_are_found)
{
    struct rig *rig = rig_new(NULL);
    struct visitor *a = inside(rig), *b = inside(rig);
    struct conn *first = conn_first(rig->gw), *second = conn_next(first);

    t_ok(first->id.v < second->id.v);
    t_eq(conn_newest(rig->gw).v, second->id.v);
    t_ok(conn_find(rig->gw, first->id) == first);
    conn_id gone = first->id;
    visitor_free(a);
    t_ok(!conn_find(rig->gw, gone));
    t_ok(conn_first(rig->gw) == second);
    visitor_free(b);
    rig_free(rig);
}
