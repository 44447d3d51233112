/* The road of a request: found, allowed, decoded, limited, answered once. */
#include "gateway/method/method.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "tests/rig/rig.h"

T(an_unknown_method_says_so_whatever_the_scopes)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "");

    t_json(peer_call(peer, "no.such", NULL),
           "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'unknown method: no.such'}}");
    rig_free(rig);
}

T(a_missing_scope_is_told_in_each_versions_words)
{
    struct rig *rig = rig_new(NULL);
    struct peer *four = peer_connect(rig, 4, "operator.pairing");
    struct peer *three = peer_connect(rig, 3, "operator.pairing");

    t_json(peer_call(four, "status", NULL),
           "{'ok':false,'error':{'code':'FORBIDDEN','message':'missing scope: "
           "operator.read','details':{'code':"
           "'MISSING_SCOPE','missingScope':'operator.read','requiredScopes':['operator.read']}}}");
    const char *text = peer_call(three, "status", NULL);
    t_json(
        text,
        "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'missing scope: operator.read'}}");
    t_ok(!strstr(text, "details"));
    rig_free(rig);
}

T(write_implies_read_and_admin_everything)
{
    struct rig *rig = rig_new(NULL);

    t_has(peer_call(peer_connect(rig, 4, "operator.write"), "status", NULL), "\"ok\":true");
    t_has(peer_call(peer_connect(rig, 3, "operator.write"), "status", NULL), "\"ok\":true");
    t_has(peer_call(peer_connect(rig, 4, "operator.admin"), "device.pair.list", NULL),
          "\"ok\":true");
    rig_free(rig);
}

T(bad_params_name_the_member)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.admin");

    t_has(peer_call(peer, "logs.tail", "{'limit':'many'}"),
          "invalid logs.tail params: at /limit: must be integer");
    t_has(peer_call(peer, "health", "[]"), "invalid health params: must be object");
    t_has(peer_call(peer, "health", "null"), "\"ok\":true");
    t_has(peer_call(peer, "health", "{'zzz':1}"), "\"ok\":true");
    rig_free(rig);
}

T(equal_ids_are_answered_each)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");

    peer_send(peer, "{'type':'req','id':'same','method':'last-heartbeat'}");
    peer_send(peer, "{'type':'req','id':'same','method':'health'}");
    t_has(peer_response(peer, "same"), "\"payload\":null");
    t_has(peer_response(peer, "same"), "defaultAgentId");
    rig_free(rig);
}

T(an_id_is_echoed_to_the_letter)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");
    CLEAN(mem_free) char *id = mem_array(2001, 1);

    memset(id, 'i', 2000);
    peer_send(peer, "{'type':'req','id':'\\u0041b\\n\\\\','method':'last-heartbeat'}");
    t_has(peer_response(peer, "Ab\n\\"), "\"id\":\"\\u0041b\\n\\\\\"");
    peer_send(peer, "{'type':'req','id':'%s','method':'last-heartbeat'}", id);
    t_has(peer_response(peer, id), "\"ok\":true");
    rig_free(rig);
}

T(control_plane_writes_are_limited_and_come_back)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.admin");

    for (int i = 0; i < 30; i++)
        t_ok(!strstr(peer_call(peer, "config.patch", "{'raw':'{}'}"), "30 per 60s"));
    const char *text = peer_call(peer, "config.patch", "{'raw':'{}'}");
    t_json(text, "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true,'details':{'method':'"
                 "config.patch',"
                 "'limit':'30 per 60s'}}}");
    t_has(text, "retryAfterMs");
    rig_advance(rig, 61000);
    t_ok(!strstr(peer_call(peer, "config.patch", "{'raw':'{}'}"), "30 per 60s"));
    rig_free(rig);
}

T(every_advertised_method_is_a_row_with_a_schema)
{
    struct rig *rig = rig_new(NULL);
    struct buf b;
    struct json_writer w;

    buf_init(&b, 16 << 20);
    jw_init(&w, &b);
    methods_write_schema(rig->gw->methods, &w);
    t_ok(!b.bad);
    CLEAN(json_free) struct json *schema = json_parse(b.data, b.length, NULL);
    t_eq(json_count(json_get(schema, "methods")), method_count(rig->gw->methods));
    for (size_t i = 0; i < method_count(rig->gw->methods); i++) {
        const struct method *row = method_at(rig->gw->methods, i);
        t_ok(row->run && row->params && row->role);
        t_ok(method_find(rig->gw->methods, row->name, strlen(row->name)) == row);
        t_ok(i == 0 || strcmp(method_at(rig->gw->methods, i - 1)->name, row->name) < 0);
    }
    buf_done(&b);
    rig_free(rig);
}
