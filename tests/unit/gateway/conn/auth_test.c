/* Authentication by mode, and what the shared secret may hand out from where. */
#include "gateway/conn/auth.h"

#include "tests/unit/gateway/conn/kit.h"

static enum refusal_kind try(enum auth_mode mode, const char *configured, int version,
                             const struct connect_auth *auth)
{
    struct auth_policy policy = {.mode = mode, .token = configured, .password = configured};
    struct ingress in = {.transport = WS_TCP};
    const char *method;

    return auth_shared(&policy, auth, version, &in, NULL, &method);
}

T(token_and_password)
{
    static const struct {
        enum auth_mode mode;
        const char *configured;
        int version;
        struct connect_auth auth;
        enum refusal_kind kind;
    } cases[] = {
        {AUTH_TOKEN, "X", 3, {.token = "X"}, REFUSAL_NONE},
        {AUTH_TOKEN, "X", 4, {.token = "X"}, REFUSAL_NONE},
        {AUTH_TOKEN, "X", 4, {.password = "X"}, REFUSAL_NONE},
        {AUTH_TOKEN, "X", 3, {.password = "X"}, REFUSAL_TOKEN_MISSING},
        {AUTH_TOKEN, "X", 4, {.token = "Y", .password = "X"}, REFUSAL_TOKEN_MISMATCH},
        {AUTH_TOKEN, "X", 4, {.token = "", .password = "X"}, REFUSAL_NONE},
        {AUTH_TOKEN, "X", 4, {.token = "Y"}, REFUSAL_TOKEN_MISMATCH},
        {AUTH_TOKEN, "X", 4, {.token = "XX"}, REFUSAL_TOKEN_MISMATCH},
        {AUTH_TOKEN, "X", 4, {.token = ""}, REFUSAL_TOKEN_MISSING},
        {AUTH_TOKEN, "X", 4, {.device_token = "X"}, REFUSAL_TOKEN_MISSING},
        {AUTH_TOKEN, "", 4, {.token = ""}, REFUSAL_TOKEN_NO_CONFIG},
        {AUTH_TOKEN, NULL, 4, {.token = "X"}, REFUSAL_TOKEN_NO_CONFIG},
        {AUTH_PASSWORD, "X", 3, {.password = "X"}, REFUSAL_NONE},
        {AUTH_PASSWORD, "X", 4, {.token = "X"}, REFUSAL_NONE},
        {AUTH_PASSWORD, "X", 3, {.token = "X"}, REFUSAL_PASSWORD_MISSING},
        {AUTH_PASSWORD, "X", 4, {.password = "x"}, REFUSAL_PASSWORD_MISMATCH},
        {AUTH_PASSWORD, NULL, 4, {.password = ""}, REFUSAL_PASSWORD_NO_CONFIG},
        {AUTH_NONE, NULL, 4, {0}, REFUSAL_NONE},
        {AUTH_TRUSTED_PROXY, "X", 4, {.token = "X"}, REFUSAL_PROXY_IDENTITY},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum refusal_kind kind =
            try(cases[i].mode, cases[i].configured, cases[i].version, &cases[i].auth);
        if (kind != cases[i].kind)
            t_fail(__FILE__, __LINE__, "case %zu: %d", i, (int)kind);
    }
}

T(the_proxy_names_the_user)
{
    CLEAN(json_free) struct json *users = kit_json("['ada@example.org']");
    struct auth_policy policy = {.mode = AUTH_TRUSTED_PROXY, .proxy_users = users};
    struct ingress in = {.transport = WS_TCP, .proxied = true, .trusted_proxy = true};
    struct connect_auth auth = {0};
    const char *method;

    t_eq(auth_shared(&policy, &auth, 4, &in, "ada@example.org", &method), REFUSAL_NONE);
    t_str(method, "trusted-proxy");
    t_eq(auth_shared(&policy, &auth, 4, &in, "eve@example.org", &method), REFUSAL_PROXY_USER);
    t_eq(auth_shared(&policy, &auth, 4, &in, NULL, &method), REFUSAL_PROXY_IDENTITY);
    in.trusted_proxy = false; /* the header is there, but who sends it is nobody's proxy */
    t_eq(auth_shared(&policy, &auth, 4, &in, "ada@example.org", &method), REFUSAL_PROXY_IDENTITY);
    t_eq(auth_secret_scopes(&policy, &in), SCOPE_NONE);
}

T(the_secret_carries_scopes_only_on_this_host)
{
    CLEAN(json_free) struct json *listed = kit_json("['operator.read']");
    struct auth_policy policy = {.mode = AUTH_TOKEN};
    struct ingress loopback = {.transport = WS_TCP, .loopback = true};
    struct ingress proxied = {.transport = WS_TCP, .proxied = true};
    struct ingress remote = {.transport = WS_TCP};
    struct ingress ours = {.transport = WS_UNIX, .own_uid = true};
    struct ingress theirs = {.transport = WS_UNIX};

    t_eq(auth_secret_scopes(&policy, &loopback), SCOPE_ALL);
    t_eq(auth_secret_scopes(&policy, &ours), SCOPE_ALL);
    t_eq(auth_secret_scopes(&policy, &remote), SCOPE_NONE);
    t_eq(auth_secret_scopes(&policy, &proxied), SCOPE_NONE);
    t_eq(auth_secret_scopes(&policy, &theirs), SCOPE_NONE);
    policy.mode = AUTH_TRUSTED_PROXY; /* a name carries none, the owner's own socket does */
    proxied.trusted_proxy = true;
    t_eq(auth_secret_scopes(&policy, &proxied), SCOPE_NONE);
    t_eq(auth_secret_scopes(&policy, &remote), SCOPE_NONE);
    t_eq(auth_secret_scopes(&policy, &ours), SCOPE_ALL);
    policy.secret_scopes = listed;
    t_eq(auth_secret_scopes(&policy, &proxied), SCOPE_NONE);
    policy.mode = AUTH_TOKEN;
    t_eq(auth_secret_scopes(&policy, &remote), SCOPE_READ);
    t_eq(auth_secret_scopes(&policy, &loopback), SCOPE_READ);
}
