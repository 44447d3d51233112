/* Authentication by shared secret: one row per mode. Device tokens are pairing's. Pure; owns nothing.
 * protocol.md 2.7. */
#include "gateway/conn/auth.h"

#include "base/crypto.h"
#include "gateway/config/config.h"

#include <string.h>

static const char *const mode_names[] = {
    [AUTH_TOKEN] = "token",
    [AUTH_PASSWORD] = "password",
    [AUTH_NONE] = "none",
    [AUTH_TRUSTED_PROXY] = "trusted-proxy",
};

const char *auth_mode_name(enum auth_mode mode)
{
    return mode_names[mode];
}

static bool is_set(const char *text)
{
    return text && text[0];
}

/* Without a mode: password where one is configured, else token. */
static enum auth_mode mode_of(const char *name, const char *password)
{
    for (size_t i = 0; name && i < COUNT(mode_names); i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (enum auth_mode)i;
    return is_set(password) ? AUTH_PASSWORD : AUTH_TOKEN;
}

void auth_policy_read(const struct config *config, struct auth_policy *ret)
{
    *ret = (struct auth_policy){
        .token = config_str(config, KNOB_auth_token),
        .password = config_str(config, KNOB_auth_password),
        .secret_scopes = config_node(config, "gateway.auth.secretScopes"),
        .proxy_users = config_node(config, "gateway.auth.trustedProxy.allowUsers"),
    };
    ret->mode = mode_of(config_str(config, KNOB_auth_mode), ret->password);
}

static enum refusal_kind check_token(const struct auth_policy *policy,
                                     const struct connect_auth *auth, int version)
{
    const char *given = is_set(auth->token) ? auth->token : version >= 4 ? auth->password : NULL;

    if (!is_set(policy->token))
        return REFUSAL_TOKEN_NO_CONFIG;
    if (!is_set(given))
        return REFUSAL_TOKEN_MISSING;
    return crypto_equal(given, policy->token) ? REFUSAL_NONE : REFUSAL_TOKEN_MISMATCH;
}

static enum refusal_kind check_password(const struct auth_policy *policy,
                                        const struct connect_auth *auth, int version)
{
    const char *given = is_set(auth->password) ? auth->password : version >= 4 ? auth->token : NULL;

    if (!is_set(policy->password))
        return REFUSAL_PASSWORD_NO_CONFIG;
    if (!is_set(given))
        return REFUSAL_PASSWORD_MISSING;
    return crypto_equal(given, policy->password) ? REFUSAL_NONE : REFUSAL_PASSWORD_MISMATCH;
}

static enum refusal_kind check_proxy(const struct auth_policy *policy,
                                     const struct ingress *ingress, const char *user)
{
    if (!ingress->trusted_proxy || !is_set(user))
        return REFUSAL_PROXY_IDENTITY;
    if (!policy->proxy_users || json_count(policy->proxy_users) == 0)
        return REFUSAL_NONE;
    json_each (item, policy->proxy_users)
        if (strcmp(json_string(item, ""), user) == 0)
            return REFUSAL_NONE;
    return REFUSAL_PROXY_USER;
}

enum refusal_kind auth_shared(const struct auth_policy *policy, const struct connect_auth *auth,
                              int version, const struct ingress *ingress, const char *proxy_user,
                              const char **ret_method)
{
    *ret_method = mode_names[policy->mode];
    switch (policy->mode) {
    case AUTH_TOKEN: return check_token(policy, auth, version);
    case AUTH_PASSWORD: return check_password(policy, auth, version);
    case AUTH_TRUSTED_PROXY: return check_proxy(policy, ingress, proxy_user);
    case AUTH_NONE: return REFUSAL_NONE; /* the caller asks whether the peer is local */
    }
    return REFUSAL_UNAUTHORIZED;
}

scope_set auth_secret_scopes(const struct auth_policy *policy, const struct ingress *ingress)
{
    if (policy->mode == AUTH_TRUSTED_PROXY && ingress->proxied)
        return SCOPE_NONE; /* who somebody is does not say what they may do */
    if (policy->secret_scopes)
        return scope_parse(policy->secret_scopes);
    return ingress_is_here(ingress) ? SCOPE_ALL : SCOPE_NONE;
}

bool auth_was_guess(enum refusal_kind kind)
{
    return kind == REFUSAL_TOKEN_MISMATCH || kind == REFUSAL_PASSWORD_MISMATCH ||
           kind == REFUSAL_DEVICE_TOKEN || kind == REFUSAL_BOOTSTRAP_TOKEN;
}
