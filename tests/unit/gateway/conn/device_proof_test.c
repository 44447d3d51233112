/* The device's proof: vectors of protocol.md 12.1, payloads, clock, nonce, keys in every spelling. */
#include "gateway/conn/device_proof.h"

#include "tests/unit/gateway/conn/kit.h"

#define AT 1700000000000
#define PARAMS                                                                                     \
    "{'minProtocol':3,'maxProtocol':4,'client':{'id':'cli','version':'1','platform':'Linux',"      \
    "'mode':'cli'},'role':'operator','scopes':['operator.read','operator.write'],"                 \
    "'auth':{'token':'X'}}"
#define V2 "FSZerw_0RJZhyNZJMLwoPsEOQuGeYGU3h6yRvAApy9vKdTjMeJFzhKeGjvdh3Iu4w6YMNCTSDsEaW1iwsJesBg"
#define V3 "YUSGZtY2YAH7URnX21o7-f7Sa-7BVcdsHC_Ad-fOjuEqL4L7hEqjA8F_yCTR_OTaexTt1vm_0Ak0Gqh5dYJ7CA"

struct proof {
    struct json *tree;
    struct connect_params params;
};

static struct proof proof_new(int payload_version, const char *nonce, int64_t at)
{
    struct kit_device d = kit_device(1);
    CLEAN(mem_free) char *text = kit_sign(&d, PARAMS, payload_version, nonce, at);
    struct proof p = {.tree = kit_json(text)};

    t_eq(connect_params_decode(p.tree, &p.params, NULL), 0);
    return p;
}

static enum device_proof prove(const struct proof *p, int version, const char *nonce,
                               bool free_nonce, int64_t now)
{
    struct device_key key;
    return device_prove(&p->params, version, nonce, free_nonce, now, &key);
}

T(vectors)
{
    struct kit_device d = kit_device(1);
    struct proof v2 = proof_new(2, "n", AT), v3 = proof_new(3, "n", AT);

    t_str(d.public_key, "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w");
    t_str(d.id, "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e");
    t_str(v2.params.device.signature, V2);
    t_str(v3.params.device.signature, V3);
    json_free(v2.tree);
    json_free(v3.tree);
}

T(payloads_as_text)
{
    struct proof p = proof_new(3, "n", AT);
    CLEAN(buf_done) struct buf b;
    static const char *const expected[] = {
        "v1|34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e|cli|cli|operator|"
        "operator.read,operator.write|1700000000000|X",
        "v2|34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e|cli|cli|operator|"
        "operator.read,operator.write|1700000000000|X|n",
        "v3|34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e|cli|cli|operator|"
        "operator.read,operator.write|1700000000000|X|n|linux|",
    };

    buf_init(&b, 4096);
    for (int v = 1; v <= 3; v++) {
        buf_clear(&b);
        device_payload(&p.params, v, &b);
        t_str(b.data, expected[v - 1]);
    }
    json_free(p.tree);
}

/* The token signed is the first of token, deviceToken, bootstrapToken; a password never. */
T(which_token_is_signed)
{
    static const struct {
        struct connect_auth auth;
        const char *signed_token;
    } cases[] = {
        {{.token = "a", .device_token = "b", .bootstrap_token = "c"}, "a"},
        {{.device_token = "b", .bootstrap_token = "c"}, "b"},
        {{.bootstrap_token = "c"}, "c"},
        {{.password = "p"}, ""},
        {{.token = "", .device_token = "b"}, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct connect_params params = {.auth = cases[i].auth};
        CLEAN(buf_done) struct buf b;

        params.device.id = "d";
        buf_init(&b, 4096);
        device_payload(&params, 1, &b);
        CLEAN(mem_free)
        char *expected = mem_format("v1|d|cli|webchat|operator||0|%s", cases[i].signed_token);
        t_str(b.data, expected);
    }
}

T(v4_takes_v3_and_v2_but_never_v1)
{
    struct proof v1 = proof_new(1, NULL, AT), v1n = proof_new(1, "n", AT),
                 v2 = proof_new(2, "n", AT), v3 = proof_new(3, "n", AT);

    t_eq(prove(&v3, 4, "n", false, AT), DEVICE_PROVED);
    t_eq(prove(&v2, 4, "n", false, AT), DEVICE_PROVED);
    t_eq(prove(&v1, 4, "n", false, AT), DEVICE_NONCE_MISSING);
    t_eq(prove(&v1n, 4, "n", false, AT), DEVICE_SIGNATURE_WRONG);
    json_free(v1.tree);
    json_free(v1n.tree);
    json_free(v2.tree);
    json_free(v3.tree);
}

T(v3_without_a_nonce_only_close_by)
{
    struct proof v1 = proof_new(1, NULL, AT), v2 = proof_new(2, "n", AT);

    t_eq(prove(&v1, 3, "n", true, AT), DEVICE_PROVED);
    t_eq(prove(&v1, 3, "n", false, AT), DEVICE_NONCE_MISSING);
    t_eq(prove(&v2, 3, "n", false, AT), DEVICE_PROVED);
    json_free(v1.tree);
    json_free(v2.tree);
}

T(nonce_is_this_connections)
{
    struct proof p = proof_new(3, "n", AT), blank = proof_new(3, " ", AT);

    t_eq(prove(&p, 4, "other", false, AT), DEVICE_NONCE_MISMATCH);
    t_eq(prove(&blank, 4, "n", false, AT), DEVICE_NONCE_MISSING);
    t_eq(prove(&blank, 3, "n", true, AT), DEVICE_NONCE_MISSING);
    json_free(p.tree);
    json_free(blank.tree);
}

T(clock_skew)
{
    struct proof p = proof_new(3, "n", AT);

    t_eq(prove(&p, 4, "n", false, AT + DEVICE_SKEW_V4_MS), DEVICE_PROVED);
    t_eq(prove(&p, 4, "n", false, AT + DEVICE_SKEW_V4_MS + 1), DEVICE_SIGNATURE_STALE);
    t_eq(prove(&p, 4, "n", false, AT - DEVICE_SKEW_V4_MS - 1), DEVICE_SIGNATURE_STALE);
    t_eq(prove(&p, 3, "n", false, AT + DEVICE_SKEW_V3_MS), DEVICE_PROVED);
    t_eq(prove(&p, 3, "n", false, AT + DEVICE_SKEW_V3_MS + 1), DEVICE_SIGNATURE_STALE);
    p.params.device.signed_at = INT64_MAX;
    t_eq(prove(&p, 4, "n", false, 0), DEVICE_SIGNATURE_STALE);
    json_free(p.tree);
}

/* Anything under the signature that differs breaks it. */
T(every_member_is_signed)
{
    struct proof p = proof_new(3, "n", AT);
    struct connect_params good = p.params;

    good.client.platform = "linux";
    p.params = good;
    t_eq(prove(&p, 4, "n", false, AT), DEVICE_PROVED); /* folded */
#define BREAKS(member, value)                                                                      \
    do {                                                                                           \
        p.params = good;                                                                           \
        p.params.member = (value);                                                                 \
        t_eq(prove(&p, 4, "n", false, AT), DEVICE_SIGNATURE_WRONG);                                \
    } while (0)
    BREAKS(client.platform, "darwin");
    BREAKS(client.device_family, "Mac");
    BREAKS(client.mode, 3);
    BREAKS(client.id, 1);
    BREAKS(role, "node");
    BREAKS(scopes, NULL);
    BREAKS(auth.token, "Y");
    BREAKS(device.signed_at, AT + 1);
    BREAKS(device.signature, "AAAA");
#undef BREAKS
    json_free(p.tree);
}

T(keys_in_every_spelling)
{
    struct kit_device d = kit_device(1);
    static const char *const good[] = {
        "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
        "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n"
        "-----END PUBLIC KEY-----\n",
    };
    static const char *const bad[] = {
        "",
        "!!",
        "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1",
        "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wAAAA",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
        ("-----BEGIN PUBLIC "
         "KEY-----\nAAowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n"
         "-----END PUBLIC KEY-----"),
    };
    struct device_key key;

    for (size_t i = 0; i < COUNT(good); i++) {
        t_eq(device_key_decode(good[i], &key), 0);
        t_str(key.id, d.id);
        t_str(key.text, d.public_key);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        t_eq(device_key_decode(bad[i], &key), -ERR_INVALID);
}

T(id_must_be_the_hash_of_the_key)
{
    struct proof p = proof_new(3, "n", AT);

    p.params.device.id = "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97f";
    t_eq(prove(&p, 4, "n", false, AT), DEVICE_ID_MISMATCH);
    p.params.device.public_key = "!!";
    t_eq(prove(&p, 4, "n", false, AT), DEVICE_KEY_INVALID);
    json_free(p.tree);
}
