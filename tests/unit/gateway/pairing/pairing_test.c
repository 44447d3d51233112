/* Pairing on the wire: silent for local peers, by an operator for the rest; tokens, upgrades, expiry,
 * and that nobody gives more than they hold. */
#include "gateway/pairing/pairing.h"

#include "gateway/conn/conn.h"
#include "tests/unit/gateway/conn/visitor.h"

#define CLI "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'}"
#define NODE                                                                                       \
    "'client':{'id':'node-host','version':'1','platform':'linux','mode':'node'},'role':'node'"
#define V3     "'minProtocol':3,'maxProtocol':3,"
#define V4     "'minProtocol':4,'maxProtocol':4,"
#define TOKEN  "'auth':{'token':'" RIG_TOKEN "'}"
#define READ   "'scopes':['operator.read'],"
#define REMOTE "203.0.113.5"

/* Connects with the device, returns what was said; *ret_token (may be NULL) is the caller's. */
static char *connect_as(struct rig *rig, const char *from, const char *params,
                        const struct kit_device *device, char **ret_token)
{
    struct visitor *v = visitor_new(rig, from);
    char *answer = mem_string(visitor_hello(v, params, device));

    if (ret_token)
        *ret_token = visitor_pick(answer, "payload.auth.deviceToken");
    visitor_free(v);
    return answer;
}

static void expect(struct rig *rig, const char *from, const char *params,
                   const struct kit_device *device, const char *answer)
{
    CLEAN(mem_free) char *said = connect_as(rig, from, params, device, NULL);
    t_json(said, answer);
}

static char *with_token(const char *token, const char *scopes)
{
    return mem_format("{" V4 CLI ",'scopes':[%s],'auth':{'deviceToken':'%s'}}", scopes, token);
}

T(a_local_device_pairs_silently_and_comes_back_by_its_token)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing");
    CLEAN(mem_free) char *token = NULL;
    CLEAN(mem_free)
    char *hello = connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &token);

    t_json(hello, "{'ok':true,'payload':{'auth':{'role':'operator',"
                  "'scopes':['operator.read'],'deviceToken':'*','issuedAtMs':'*'}}}");
    t_json(peer_event(operator, "device.pair.resolved"), "{'payload':{'decision':'approved'}}");
    t_eq(strlen(token), 43);

    CLEAN(mem_free) char *back = with_token(token, "'operator.read'");
    CLEAN(mem_free) char *same = NULL;
    CLEAN(mem_free) char *again = connect_as(rig, REMOTE, back, &d, &same);
    t_json(again, "{'ok':true}");
    t_str(same, token); /* what the client has just used is not rotated away */

    CLEAN(mem_free) char *implied = mem_format("{" V3 CLI "," READ "'auth':{'token':'%s'}}", token);
    expect(rig, REMOTE, implied, &d,
           "{'ok':true,'payload':{'protocol':3,'auth':{'role':'operator'}}}");
    rig_free(rig);
}

T(a_fresh_token_leaves_the_old_one_a_while)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *first = NULL, *second = NULL;

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &first));
    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &second));
    t_ok(strcmp(first, second) != 0);
    CLEAN(mem_free) char *old = with_token(first, ""), *new = with_token(second, "");
    expect(rig, REMOTE, old, &d, "{'ok':true}");
    expect(rig, REMOTE, new, &d, "{'ok':true}");
    rig_advance(rig, PAIRING_OLD_TOKEN_MS);
    expect(rig, REMOTE, old, &d, "{'error':{'details':{'code':'AUTH_DEVICE_TOKEN_MISMATCH'}}}");
    expect(rig, REMOTE, new, &d, "{'ok':true}");
    rig_free(rig);
}

T(a_remote_device_waits_for_an_operator)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing operator.read");
    struct peer *watcher = peer_connect(rig, 4, "operator.pairing");
    const char *params = "{" V4 CLI "," READ TOKEN "}";
    CLEAN(mem_free) char *refused = connect_as(rig, REMOTE, params, &d, NULL);

    t_json(refused,
           "{'ok':false,'error':{'code':'NOT_PAIRED',"
           "'message':'pairing required: device is not approved yet','details':{"
           "'code':'PAIRING_REQUIRED','reason':'not-paired','requestId':'*','remediationHint':'*',"
           "'requestedRole':'operator','requestedScopes':['operator.read']}}}");
    CLEAN(mem_free) char *id = visitor_pick(refused, "error.details.requestId");
    t_json(peer_event(operator, "device.pair.requested"),
           "{'payload':{'requestId':'*','deviceId':'*','publicKey':'*','role':'operator',"
           "'scopes':['operator.read'],'remoteIp':'" REMOTE "','isRepair':false,'ts':'*'}}");

    CLEAN(mem_free) char *twice = connect_as(rig, REMOTE, params, &d, NULL);
    CLEAN(mem_free) char *same = visitor_pick(twice, "error.details.requestId");
    t_str(same, id); /* one request per device */
    t_eq(pairing_request_count(rig->gw), 1);

    CLEAN(mem_free) char *approve = mem_format("{'requestId':'%s'}", id);
    t_json(peer_call(operator, "device.pair.approve", approve),
           "{'ok':true,'payload':{'requestId':'*','device':{'roles':['operator'],"
           "'scopes':['operator.read'],'approvedVia':'operator'}}}");
    t_json(peer_event(watcher, "device.pair.resolved"), "{'payload':{'decision':'approved'}}");
    expect(rig, REMOTE, params, &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.read'],'deviceToken':'*'}}}");
    rig_free(rig);
}

T(the_v3_refusal_names_only_the_request)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct visitor *v = visitor_new(rig, REMOTE);
    const char *answer = visitor_hello(v, "{" V3 CLI "," READ TOKEN "}", &d);

    t_json(answer, "{'error':{'code':'NOT_PAIRED','message':'pairing required',"
                   "'details':{'requestId':'*'}}}");
    CLEAN(mem_free) char *code = visitor_pick(answer, "error.details.code");
    t_ok(!code);
    visitor_wait_close(v);
    t_eq(v->close_code, 1008);
    t_str(v->close_reason, "pairing required");
    visitor_free(v);
    rig_free(rig);
}

T(upgrades)
{
    static const struct {
        const char *params, *reason, *message;
    } rows[] = {
        {"{" V4 CLI ",'scopes':['operator.admin']," TOKEN "}", "scope-upgrade",
         "pairing required: device is asking for more scopes than currently approved"},
        {"{" V4 NODE "," TOKEN "}", "role-upgrade",
         "pairing required: device is asking for a higher role than currently approved"},
        {"{" V4 "'client':{'id':'cli','version':'1','platform':'darwin','mode':'cli'}," READ TOKEN
         "}",
         "metadata-upgrade", "pairing required: device identity changed and must be re-approved"},
    };
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, NULL));
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free)
        char *expected = mem_format(
            "{'error':{'code':'NOT_PAIRED','message':'%s','details':{'code':'PAIRING_REQUIRED',"
            "'reason':'%s','requestId':'*','approvedRoles':['operator'],"
            "'approvedScopes':['operator.read']}}}",
            rows[i].message, rows[i].reason);
        expect(rig, REMOTE, rows[i].params, &d, expected);
    }
    t_eq(pairing_request_count(rig->gw), 1); /* the newest superseded the others */
    for (size_t i = 0; i < COUNT(rows); i++)
        expect(rig, "pair", rows[i].params, &d, "{'ok':true}");
    t_eq(pairing_request_count(rig->gw), 0);
    t_eq(device_find(rig->gw, d.id)->roles, ROLE_OPERATOR | ROLE_NODE);
    rig_free(rig);
}

T(silence_can_be_switched_off)
{
    struct rig *rig = rig_new("{gateway:{nodes:{pairing:{autoApproveLocal:false}}}}");
    struct kit_device d = kit_device(1);

    expect(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, "{'error':{'code':'NOT_PAIRED'}}");
    rig_free(rig);
}

/* The secret gives what it carries; what goes beyond is left out, not refused. */
T(silent_approval_gives_no_more_than_the_secret_carries)
{
    struct rig *rig = rig_new("{gateway:{auth:{secretScopes:['operator.read']}}}");
    struct kit_device d = kit_device(1);

    expect(rig, "pair", "{" V4 CLI ",'scopes':['operator.admin','operator.read']," TOKEN "}", &d,
           "{'ok':true,'payload':{'auth':{'scopes':['operator.read']}}}");
    t_eq(device_find(rig->gw, d.id)->scopes, SCOPE_READ);
    rig_free(rig);
}

T(a_device_token_opens_only_its_scopes_role_and_device)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1), other = kit_device(2);
    CLEAN(mem_free) char *token = NULL;

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &token));
    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &other, NULL));
    CLEAN(mem_free)
    char *admin = with_token(token, "'operator.admin'"),
         *read = with_token(token, "'operator.read'");
    CLEAN(mem_free) char *node = mem_format("{" V4 NODE ",'auth':{'deviceToken':'%s'}}", token);
    CLEAN(mem_free)
    char *old = mem_format("{" V3 CLI ",'scopes':['operator.admin'],'auth':{'token':'%s'}}", token);
    expect(
        rig, "pair", admin, &d,
        "{'error':{'message':'unauthorized: device token scope mismatch (re-pair or approve scope "
        "upgrade)','details':{'code':'AUTH_SCOPE_MISMATCH','authReason':'scope_mismatch'}}}");
    expect(rig, REMOTE, node, &d, "{'error':{'details':{'code':'AUTH_DEVICE_TOKEN_MISMATCH'}}}");
    expect(rig, REMOTE, read, &other,
           "{'error':{'details':{'code':'AUTH_DEVICE_TOKEN_MISMATCH'}}}");
    struct visitor *v = visitor_new(rig, REMOTE);
    CLEAN(mem_free) char *message = visitor_pick(visitor_hello(v, old, &d), "error.message");
    t_has(message, "gateway token mismatch");
    visitor_free(v);
    rig_free(rig);
}

T(a_wrong_secret_may_be_retried_with_the_stored_token)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, NULL));
    expect(rig, REMOTE, "{" V4 CLI "," READ "'auth':{'token':'bad'}}", &d,
           "{'error':{'details':{'code':'AUTH_TOKEN_MISMATCH','canRetryWithDeviceToken':true,"
           "'recommendedNextStep':'retry_with_device_token'}}}");
    rig_free(rig);
}

/* PR OC#57647: a proved device with its token passes a locked address; a wrong token there does not help
 * to guess the secret. */
T(a_proved_device_passes_a_lockout)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *token = NULL;

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &token));
    for (int i = 0; i < 10; i++)
        mem_free(connect_as(rig, REMOTE, "{" V4 CLI ",'auth':{'token':'bad','deviceToken':'bad'}}",
                            &d, NULL));
    CLEAN(mem_free) char *good = with_token(token, "'operator.read'");
    expect(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &d,
           "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    expect(rig, REMOTE, good, &d, "{'ok':true}");
    expect(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &d,
           "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    rig_free(rig);
}

T(requests_expire)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *operator= peer_connect(rig, 4, "operator.pairing");

    mem_free(connect_as(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &d, NULL));
    rig_advance(rig, PAIRING_TTL_MS - 1000);
    mem_free(connect_as(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &d, NULL)); /* still wanted */
    rig_advance(rig, 2000);
    t_eq(pairing_request_count(rig->gw), 1);
    rig_advance(rig, PAIRING_TTL_MS);
    t_eq(pairing_request_count(rig->gw), 0);
    t_json(peer_event(operator, "device.pair.resolved"), "{'payload':{'decision':'expired'}}");
    rig_free(rig);
}

T(the_table_of_requests_has_a_ceiling)
{
    struct rig *rig = rig_new(NULL);

    for (int i = 0; i < PAIRING_PENDING_MAX; i++) {
        uint8_t seed[ED25519_SEED_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        struct kit_device d = kit_device(1);
        ed25519_from_seed(seed, &d.key);
        crypto_sha256_hex(d.key.public_key, sizeof(d.key.public_key), d.id);
        crypto_base64url(d.key.public_key, sizeof(d.key.public_key), d.public_key);
        mem_free(connect_as(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &d, NULL));
    }
    t_eq(pairing_request_count(rig->gw), PAIRING_PENDING_MAX);
    struct kit_device one_more = kit_device(200);
    CLEAN(mem_free)
    char *answer = connect_as(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &one_more, NULL);
    CLEAN(mem_free) char *id = visitor_pick(answer, "error.details.requestId");
    t_json(answer, "{'error':{'code':'NOT_PAIRED'}}");
    t_ok(!id);
    rig_free(rig);
}

T(devices_tokens_and_requests_survive_a_start)
{
    CLEAN(mem_free) char *dir = mem_format("%s/again", t_tmpdir());
    struct kit_device d = kit_device(1), waiting = kit_device(2);
    CLEAN(mem_free) char *token = NULL;
    struct rig *rig = rig_new_at(dir, NULL);

    mem_free(connect_as(rig, "pair", "{" V4 CLI "," READ TOKEN "}", &d, &token));
    mem_free(connect_as(rig, REMOTE, "{" V4 CLI "," READ TOKEN "}", &waiting, NULL));
    rig_free(rig);

    rig = rig_new_at(dir, NULL);
    CLEAN(mem_free) char *good = with_token(token, "'operator.read'");
    expect(rig, REMOTE, good, &d, "{'ok':true}");
    t_eq(pairing_request_count(rig->gw), 1);
    rig_free(rig);
}
