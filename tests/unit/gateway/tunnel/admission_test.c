/* Who comes through a tunnel, at the door: never local, asked about by name, counted by itself; and what tunnel.trust
 * changes of that. */
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/pairing/pairing.h"
#include "tests/unit/gateway/conn/visitor.h"
#include "tests/unit/gateway/tunnel/kit.h"

#define CLI                                                                                        \
    "'minProtocol':4,'maxProtocol':4,"                                                             \
    "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'},"
#define NODE                                                                                       \
    "{'minProtocol':4,'maxProtocol':4,'role':'node',"                                              \
    "'client':{'id':'node-host','version':'1','platform':'linux','mode':'node'}}"
#define TOKEN   "'auth':{'token':'" RIG_TOKEN "'},"
#define WRONG   "'auth':{'token':'wrong'},"
#define READ    "'scopes':['operator.read']"
#define ALL     "'scopes':['operator.admin','operator.read','operator.write']"
#define SECRET  "{" CLI TOKEN READ "}"
#define NOTHING "{" CLI READ "}"
#define REFUSED "{'ok':false,'error':{'details':{'code':'AUTH_TOKEN_MISSING'}}}"
#define ASKED   "{'ok':false,'error':{'details':{'code':'PAIRING_REQUIRED'}}}"

static const struct who alice = {IDENTITY_SSH,          .uid = 0,        .user = "root",
                                 .vouched = true,       .name = "alice", .key = KEY_A,
                                 .address = "192.0.2.7"};
static const struct who bob = {IDENTITY_SSH,  .uid = 0,     .user = "root",        .vouched = true,
                               .name = "bob", .key = KEY_B, .address = "192.0.2.8"};

/* One connect as somebody; the answer is the caller's. */
static char *come(struct rig *rig, const struct who *who, const char *params,
                  const struct kit_device *device)
{
    CLEAN(peer_identity_unref) struct peer_identity *identity = who_new(who);
    struct visitor *v = visitor_through(rig, identity);
    char *answer = mem_string(visitor_hello(v, params, device));

    visitor_free(v);
    return answer;
}

static void expect(struct rig *rig, const struct who *who, const char *params,
                   const struct kit_device *device, const char *answer)
{
    CLEAN(mem_free) char *said = come(rig, who, params, device);

    t_json(said, answer);
}

static void configure(struct rig *rig, const char *text)
{
    CLEAN(mem_free) char *path = mem_string(config_path(rig->gw->config));
    FILE *file = fopen(path, "w");
    struct fault fault = {0};

    t_ok(file && fputs(text, file) >= 0 && fclose(file) == 0);
    if (config_reload(rig->gw->config, NULL, &fault) < 0)
        t_fail(__FILE__, __LINE__, "%s", fault.text);
}

static char *trust(const char *scopes)
{
    return mem_format("{gateway: {auth: {token: '" RIG_TOKEN "'}},"
                      "tunnel: {trust: {names: {alice: {scopes: [%s]}}}}}",
                      scopes);
}

T(a_tunnel_of_our_own_user_is_not_local)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing");

    expect(rig, &alice, NOTHING, &d, REFUSED); /* the kernel's word stands in for nothing */
    expect(rig, &alice, SECRET, &d, ASKED);
    const char *event = peer_event(operator, "device.pair.requested");
    t_json(event, "{'payload':{'remoteIp':'ssh root as alice, key " KEY_A ", from 192.0.2.7',"
                  "'silent':false}}");
    t_ok(!strstr(event, "\"identity\"")); /* the event's schema is closed */
    t_json(peer_call(operator, "device.pair.list", "{}"),
           "{'payload':{'pending':[{'identity':{'kind':'ssh','user':'root','name':'alice','key':"
           "'" KEY_A "','address':'192.0.2.7','vouched':true}}]}}");
    rig_free(rig);
}

T(the_shared_secret_alone_carries_nothing_through_a_tunnel)
{
    struct rig *rig = rig_new(NULL);

    expect(rig, &alice, "{" CLI TOKEN ALL "}", NULL,
           "{'ok':true,'payload':{'auth':{'role':'operator','scopes':[]}}}");
    rig_free(rig);
}

T(no_authentication_serves_nobody_through_a_tunnel)
{
    struct rig *rig = rig_new("{gateway: {auth: {mode: 'none'}},"
                              "tunnel: {trust: {names: {alice: {scopes: ['operator.read']}}}}}");
    struct kit_device d = kit_device(1);

    expect(rig, &alice, NOTHING, &d,
           "{'ok':false,'error':{'details':{'code':'AUTH_UNAUTHORIZED'}}}");
    rig_free(rig);
}

T(guesses_of_one_do_not_lock_out_another)
{
    struct rig *rig =
        rig_new("{gateway: {auth: {token: '" RIG_TOKEN "', rateLimit: {maxAttempts: 3}}}}");
    struct kit_device d = kit_device(1);

    for (int i = 0; i < 3; i++)
        expect(rig, &alice, "{" CLI WRONG READ "}", NULL,
               "{'ok':false,'error':{'details':{'code':'AUTH_TOKEN_MISMATCH'}}}");
    expect(rig, &alice, SECRET, &d,
           "{'ok':false,'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    expect(rig, &bob, SECRET, &d, ASKED);
    rig_free(rig);
}

T(a_paired_device_passes_a_lockout)
{
    struct rig *rig =
        rig_new("{gateway: {auth: {token: '" RIG_TOKEN "', rateLimit: {maxAttempts: 1}}}}");
    struct kit_device d = kit_device(1);
    struct visitor *v = visitor_new(rig, "pair");
    CLEAN(mem_free) char *hello = mem_string(visitor_hello(v, SECRET, &d));
    CLEAN(mem_free) char *token = visitor_pick(hello, "payload.auth.deviceToken");
    CLEAN(mem_free)
    char *params = mem_format("{" CLI "'auth':{'deviceToken':'%s'}," READ "}", token);

    visitor_free(v);
    expect(rig, &alice, "{" CLI WRONG READ "}", NULL, "{'ok':false}");
    expect(rig, &alice, SECRET, NULL,
           "{'ok':false,'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    expect(rig, &alice, params, &d, "{'ok':true}");
    rig_free(rig);
}

/* ---- trust ---- */

T(trust_stands_in_for_the_secret_and_pairs_as_far_as_it_goes)
{
    CLEAN(mem_free) char *config = trust("'operator.read'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1), e = kit_device(2);

    expect(rig, &alice, "{" CLI ALL "}", &d,
           "{'ok':true,'payload':{'auth':{'role':'operator','scopes':['operator.read'],"
           "'deviceToken':'*'}}}");
    t_str(device_find(rig->gw, d.id)->approved_via, "trust");
    t_eq(device_find(rig->gw, d.id)->scopes, SCOPE_READ);
    expect(rig, &bob, NOTHING, &e, REFUSED);
    expect(rig, &bob, NOTHING, &d, REFUSED); /* her device is worth nothing with him */
    expect(rig, &bob, SECRET, &d, ASKED);
    expect(rig, &alice, NODE, &e, REFUSED); /* an operator's mapping makes no node */
    expect(rig, &alice, "{" CLI READ "}", NULL,
           "{'ok':false}"); /* nor is there trust without a device */
    rig_free(rig);
}

T(trust_does_not_forgive_a_wrong_secret)
{
    CLEAN(mem_free) char *config = trust("'operator.read'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1);

    expect(rig, &alice, "{" CLI WRONG READ "}", &d,
           "{'ok':false,'error':{'details':{'code':'AUTH_TOKEN_MISMATCH'}}}");
    rig_free(rig);
}

T(a_narrower_mapping_narrows_and_a_wider_one_widens)
{
    CLEAN(mem_free) char *wide = trust("'operator.read','operator.write'");
    CLEAN(mem_free) char *narrow = trust("'operator.read'");
    struct rig *rig = rig_new(wide);
    struct kit_device d = kit_device(1);
    CLEAN(peer_identity_unref) struct peer_identity *identity = who_new(&alice);
    struct visitor *v = visitor_through(rig, identity);
    CLEAN(mem_free) char *hello = mem_string(visitor_hello(v, "{" CLI ALL "}", &d));
    CLEAN(mem_free) char *token = visitor_pick(hello, "payload.auth.deviceToken");
    CLEAN(mem_free)
    char *by_token = mem_format("{" CLI "'auth':{'deviceToken':'%s'}," ALL "}", token);

    t_json(hello, "{'ok':true,'payload':{'auth':{'scopes':['operator.read','operator.write']}}}");
    configure(rig, narrow); /* the open connection holds more than that */
    visitor_wait_close(v);
    t_eq(v->close_code, 1012);
    visitor_free(v);
    expect(rig, &alice, by_token, &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.read']}}}");
    configure(rig, wide);
    expect(rig, &alice, by_token, &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.read','operator.write']}}}");
    rig_free(rig);
}

T(without_the_mapping_its_devices_ask)
{
    CLEAN(mem_free) char *config = trust("'operator.read'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *hello = come(rig, &alice, NOTHING, &d);
    CLEAN(mem_free) char *token = visitor_pick(hello, "payload.auth.deviceToken");
    CLEAN(mem_free)
    char *by_token = mem_format("{" CLI "'auth':{'deviceToken':'%s'}," READ "}", token);

    t_json(hello, "{'ok':true}");
    configure(rig, "{gateway: {auth: {token: '" RIG_TOKEN "'}}}");
    expect(rig, &alice, by_token, &d, ASKED);
    expect(rig, &alice, NOTHING, &d, REFUSED);
    struct visitor *v =
        visitor_new(rig, "203.0.113.5"); /* nor is its token good without a tunnel */
    t_json(visitor_hello(v, by_token, &d), ASKED);
    visitor_free(v);
    rig_free(rig);
}

/* What trust gave ends with it, also when a person then approves something smaller. */
T(a_person_approves_what_is_asked_and_not_what_trust_once_gave)
{
    CLEAN(mem_free) char *config = trust("'operator.read','operator.write'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.admin operator.pairing");

    expect(rig, &alice, "{" CLI ALL "}", &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.read','operator.write']}}}");
    configure(rig, "{gateway: {auth: {token: '" RIG_TOKEN "'}}}");
    expect(rig, &alice, SECRET, &d, ASKED);
    CLEAN(mem_free) char *list = mem_string(peer_call(operator, "device.pair.list", "{}"));
    const char *id = strstr(list, "\"requestId\":\"") + strlen("\"requestId\":\"");
    CLEAN(mem_free) char *approve = mem_format("{'requestId':'%.36s'}", id);
    t_json(peer_call(operator, "device.pair.approve", approve), "{'ok':true}");
    t_eq(device_find(rig->gw, d.id)->scopes, SCOPE_READ);
    expect(rig, &alice, "{" CLI TOKEN ALL "}", &d, ASKED);
    rig_free(rig);
}

T(what_a_person_decided_trust_does_not_change)
{
    CLEAN(mem_free) char *config = trust("'operator.read','operator.write'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1), e = kit_device(2);
    struct visitor *v = visitor_new(rig, "pair");
    struct peer *operator= peer_connect(rig, 4, "operator.admin operator.pairing");

    t_json(visitor_hello(v, SECRET, &d), "{'ok':true}"); /* paired by other means, with read */
    visitor_free(v);
    expect(rig, &alice, NOTHING, &d, REFUSED);
    expect(rig, &alice, "{" CLI TOKEN "'scopes':['operator.write']}", &d, ASKED);

    expect(rig, &alice, NOTHING, &e, "{'ok':true}");
    t_json(peer_call(operator, "device.token.revoke", "{'deviceId':'*'}"), "{'ok':false}");
    CLEAN(mem_free)
    char *revoke = mem_format("{'deviceId':'%s','role':'operator'}", e.id);
    t_json(peer_call(operator, "device.token.revoke", revoke), "{'ok':true}");
    expect(rig, &alice, NOTHING, &e, REFUSED); /* taken back is taken back */
    rig_free(rig);
}

T(an_admin_device_stays_admin_by_its_own_token_only)
{
    CLEAN(mem_free) char *config = trust("'operator.read'");
    struct rig *rig = rig_new(config);
    struct kit_device d = kit_device(1);
    struct visitor *v = visitor_new(rig, "pair");
    CLEAN(mem_free) char *hello = mem_string(visitor_hello(v, "{" CLI TOKEN ALL "}", &d));
    CLEAN(mem_free) char *token = visitor_pick(hello, "payload.auth.deviceToken");
    CLEAN(mem_free)
    char *by_token = mem_format("{" CLI "'auth':{'deviceToken':'%s'}," ALL "}", token);

    visitor_free(v);
    expect(rig, &alice, "{" CLI ALL "}", &d, REFUSED);
    expect(rig, &alice, by_token, &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.admin','operator.read',"
           "'operator.write']}}}");
    rig_free(rig);
}

T(a_trusted_node_pairs)
{
    struct rig *rig = rig_new("{tunnel: {trust: {keys: {'" KEY_A "': {role: 'node'}}}}}");
    struct kit_device d = kit_device(1);

    expect(rig, &alice, NODE, &d, "{'ok':true,'payload':{'auth':{'role':'node','scopes':[]}}}");
    expect(rig, &alice, NOTHING, &d, REFUSED);
    expect(rig, &bob, NODE, &d, REFUSED);
    rig_free(rig);
}
