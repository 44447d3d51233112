/* device.*: what an operator may do to devices, and that it takes effect on live sockets at once. */
#include "gateway/conn/conn.h"
#include "gateway/pairing/pairing.h"
#include "tests/unit/gateway/conn/visitor.h"

#define CLI   "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'}"
#define V4    "'minProtocol':4,'maxProtocol':4,"
#define TOKEN "'auth':{'token':'" RIG_TOKEN "'}"

struct scene {
    struct rig *rig;
    struct kit_device device;
    struct visitor *live; /* the device, connected */
    char *token;
};

static struct scene scene_new(const char *scopes)
{
    struct scene s = {.rig = rig_new(NULL), .device = kit_device(1)};
    CLEAN(mem_free) char *params = mem_format("{" V4 CLI ",'scopes':[%s]," TOKEN "}", scopes);

    s.live = visitor_new(s.rig, "pair");
    s.token = visitor_pick(visitor_hello(s.live, params, &s.device), "payload.auth.deviceToken");
    t_ok(s.token != NULL);
    return s;
}

static void scene_done(struct scene *s)
{
    visitor_free(s->live);
    mem_free(s->token);
    rig_free(s->rig);
}

/* Calls with %s filled by the device's id. */
static const char *call(struct scene *s, struct peer *operator, const char * method,
                        const char *params)
{
    const char *hole = strstr(params, "%s");
    CLEAN(mem_free)
    char *filled =
        hole ? mem_format("%.*s%s%s", (int)(hole - params), params, s->device.id, hole + 2)
             : mem_string(params);

    return peer_call(operator, method, filled);
}

static const char *come_back(struct scene *s, char **ret_text)
{
    struct visitor *v = visitor_new(s->rig, "203.0.113.5");
    CLEAN(mem_free) char *params = mem_format("{" V4 CLI ",'auth':{'deviceToken':'%s'}}", s->token);

    *ret_text = mem_string(visitor_hello(v, params, &s->device));
    visitor_free(v);
    return *ret_text;
}

static void expect_shut_out(struct scene *s, const char *reason)
{
    CLEAN(mem_free) char *text = NULL;

    visitor_wait_close(s->live);
    t_eq(s->live->close_code, 4001);
    t_str(s->live->close_reason, reason);
    t_json(come_back(s, &text), "{'error':{'details':{'code':'AUTH_DEVICE_TOKEN_MISMATCH'}}}");
}

T(list_shows_devices_and_never_a_token)
{
    struct scene s = scene_new("'operator.read'");
    struct peer *operator= peer_connect(s.rig, 4, "operator.pairing");
    const char *list = call(&s, operator, "device.pair.list", "{}");

    t_json(list,
           "{'ok':true,'payload':{'pending':[],'paired':[{'roles':['operator'],'connected':true,"
           "'scopes':['operator.read'],'approvedVia':'silent','platform':'linux',"
           "'tokens':[{'role':'operator','scopes':['operator.read'],'createdAtMs':'*'}]}]}}");
    t_ok(!strstr(list, s.token));
    t_ok(!strstr(list, "hash"));
    scene_done(&s);
}

T(rotate_kills_the_token_and_the_socket)
{
    struct scene s = scene_new("'operator.read'");
    struct peer *operator= peer_connect(s.rig, 4, "operator.admin");
    const char *answer =
        call(&s, operator, "device.token.rotate", "{'deviceId':'%s','role':'operator'}");

    t_json(answer, "{'ok':true,'payload':{'role':'operator','scopes':['operator.read'],"
                   "'rotatedAtMs':'*','tokenDelivery':'withheld-cross-device'}}");
    t_ok(!strstr(answer, "\"token\":"));
    expect_shut_out(&s, "gateway auth changed");
    scene_done(&s);
}

T(rotate_gives_the_token_to_the_device_itself)
{
    struct scene s = scene_new("'operator.pairing'");
    CLEAN(mem_free)
    char *text = mem_format("{'type':'req','id':'r','method':'device.token.rotate','params':"
                            "{'deviceId':'%s','role':'operator'}}",
                            s.device.id);

    visitor_say(s.live, text);
    const char *answer;
    do
        answer = visitor_next(s.live);
    while (answer[0] && !strstr(answer, "\"id\":\"r\""));
    CLEAN(mem_free) char *fresh = visitor_pick(answer, "payload.token");
    t_ok(fresh && strcmp(fresh, s.token) != 0);
    expect_shut_out(&s, "gateway auth changed");
    mem_free(s.token);
    s.token = TAKE(fresh);
    CLEAN(mem_free) char *back = NULL;
    t_json(come_back(&s, &back), "{'ok':true}");
    scene_done(&s);
}

T(a_v3_operator_is_shown_the_token)
{
    struct scene s = scene_new("'operator.read'");
    struct peer *operator= peer_connect(s.rig, 3, "operator.admin");

    t_json(call(&s, operator, "device.token.rotate", "{'deviceId':'%s','role':'operator'}"),
           "{'ok':true,'payload':{'token':'*','scopes':['operator.read']}}");
    scene_done(&s);
}

T(revoke_and_remove)
{
    struct scene s = scene_new("'operator.read'");
    struct peer *operator= peer_connect(s.rig, 4, "operator.admin");

    t_json(call(&s, operator, "device.token.revoke", "{'deviceId':'%s','role':'operator'}"),
           "{'ok':true,'payload':{'role':'operator','revokedAtMs':'*'}}");
    expect_shut_out(&s, "client invalidated: device token revoked");
    scene_done(&s);

    s = scene_new("'operator.read'");
    operator= peer_connect(s.rig, 4, "operator.admin");
    t_json(call(&s, operator, "device.pair.remove", "{'deviceId':'%s'}"), "{'ok':true}");
    expect_shut_out(&s, "client invalidated: device removed");
    t_ok(!device_find(s.rig->gw, s.device.id));
    scene_done(&s);
}

T(rename_sticks)
{
    struct scene s = scene_new("'operator.read'");
    struct peer *operator= peer_connect(s.rig, 4, "operator.admin");

    t_json(call(&s, operator, "device.pair.rename", "{'deviceId':'%s','label':'Kitchen'}"),
           "{'ok':true,'payload':{'label':'Kitchen'}}");
    t_str(device_find(s.rig->gw, s.device.id)->display_name, "Kitchen");
    t_json(call(&s, operator, "device.pair.rename", "{'deviceId':'%s'}"),
           "{'error':{'code':'INVALID_REQUEST'}}");
    scene_done(&s);
}

/* GHSA-4jpw-hj22-2xmc, GHSA-hf68-49fm-59cq, GHSA-hc5h-pmr3-3497: pairing alone neither mints more nor
 * touches those who hold more. */
T(nobody_gives_or_touches_more_than_they_hold)
{
    static const struct {
        const char *method, *params;
    } rows[] = {
        {"device.token.rotate", "{'deviceId':'%s','role':'operator'}"},
        {"device.token.rotate", "{'deviceId':'%s','role':'operator','scopes':['operator.admin']}"},
        {"device.token.revoke", "{'deviceId':'%s','role':'operator'}"},
        {"device.pair.remove", "{'deviceId':'%s'}"},
        {"device.pair.rename", "{'deviceId':'%s','label':'x'}"},
    };
    struct scene s = scene_new("'operator.admin'");
    struct peer *operator= peer_connect(s.rig, 4, "operator.pairing operator.write");

    for (size_t i = 0; i < COUNT(rows); i++)
        t_json(call(&s, operator, rows[i].method, rows[i].params),
               "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
    t_ok(s.live->ws != NULL);

    /* nor beyond what the device is approved for, however much the caller holds */
    struct kit_device reader = kit_device(2);
    struct visitor *v = visitor_new(s.rig, "pair");
    visitor_hello(v, "{" V4 CLI ",'scopes':['operator.read']," TOKEN "}", &reader);
    struct peer *admin = peer_connect(s.rig, 4, "operator.admin");
    CLEAN(mem_free)
    char *more =
        mem_format("{'deviceId':'%s','role':'operator','scopes':['operator.admin']}", reader.id);
    t_json(peer_call(admin, "device.token.rotate", more),
           "{'error':{'message':'device token rotation denied'}}");
    visitor_free(v);
    scene_done(&s);
}

T(approving_needs_what_is_asked_for)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing operator.read");
    struct peer *admin = peer_connect(rig, 4, "operator.admin");
    struct visitor *v = visitor_new(rig, "203.0.113.5");
    CLEAN(mem_free)
    char *id =
        visitor_pick(visitor_hello(v, "{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}", &d),
                     "error.details.requestId");
    CLEAN(mem_free) char *params = mem_format("{'requestId':'%s'}", id);

    visitor_free(v);
    t_json(peer_call(operator, "device.pair.approve", params),
           "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
    t_ok(!device_find(rig->gw, d.id));
    t_json(peer_call(admin, "device.pair.approve", params), "{'ok':true}");
    t_json(peer_call(admin, "device.pair.approve", params),
           "{'error':{'code':'INVALID_REQUEST','message':'unknown requestId'}}");
    rig_free(rig);
}

T(reject)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing");
    struct visitor *v = visitor_new(rig, "203.0.113.5");
    CLEAN(mem_free)
    char *id =
        visitor_pick(visitor_hello(v, "{" V4 CLI "," TOKEN "}", &d), "error.details.requestId");
    CLEAN(mem_free) char *params = mem_format("{'requestId':'%s'}", id);

    visitor_free(v);
    t_json(peer_call(operator, "device.pair.reject", params),
           "{'ok':true,'payload':{'deviceId':'*'}}");
    t_eq(pairing_request_count(rig->gw), 0);
    t_json(peer_call(operator, "device.pair.reject", params),
           "{'error':{'message':'unknown requestId'}}");
    rig_free(rig);
}

T(unknown_devices)
{
    static const struct {
        int version;
        const char *method, *params, *message;
    } rows[] = {
        {4, "device.pair.remove", "{'deviceId':'nope'}", "unknown deviceId"},
        {4, "device.pair.rename", "{'deviceId':'nope','label':'x'}", "unknown deviceId"},
        {4, "device.token.rotate", "{'deviceId':'nope','role':'operator'}",
         "device token rotation denied"},
        {4, "device.token.revoke", "{'deviceId':'nope','role':'boss'}",
         "device token revocation denied"},
        {3, "device.token.rotate", "{'deviceId':'nope','role':'operator'}",
         "unknown deviceId/role"},
        {3, "device.token.revoke", "{'deviceId':'nope','role':'operator'}",
         "unknown deviceId/role"},
    };
    struct rig *rig = rig_new(NULL);
    struct peer *peers[] = {peer_connect(rig, 3, "operator.admin"),
                            peer_connect(rig, 4, "operator.admin")};

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free)
        char *message = visitor_pick(
            peer_call(peers[rows[i].version - 3], rows[i].method, rows[i].params), "error.message");
        t_str(message, rows[i].message);
    }
    rig_free(rig);
}
