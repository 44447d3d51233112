/* Is the credential right? Modes token, password, none, trusted-proxy; what the shared secret may hand
 * out. Pure: the policy is given. protocol.md 2.7, design.md section 5 "Scopes". */
#pragma once

#include "gateway/conn/connect_params.h"
#include "gateway/conn/ingress.h"
#include "gateway/conn/refusal.h"

struct config;

enum auth_mode { AUTH_TOKEN, AUTH_PASSWORD, AUTH_NONE, AUTH_TRUSTED_PROXY };

/* Borrowed from the configuration: read it again for each connect. */
struct auth_policy {
    enum auth_mode mode;
    const char *token, *password;     /* NULL or "": not configured */
    const struct json *secret_scopes; /* gateway.auth.secretScopes; NULL: the default */
    const struct json *proxy_users;   /* gateway.auth.trustedProxy.allowUsers; NULL: everybody */
};
void auth_policy_read(const struct config *config, struct auth_policy *ret);
const char *auth_mode_name(enum auth_mode mode);

/* The shared credential (or the proxy's word): REFUSAL_NONE and the method's name, or why not.
 * proxy_user is what the trusted proxy says, NULL when it said nothing. */
enum refusal_kind auth_shared(const struct auth_policy *policy, const struct connect_auth *auth,
                              int version, const struct ingress *ingress, const char *proxy_user,
                              const char **ret_method);
/* What holding the shared secret lets one ask for, from where this peer sits. */
scope_set auth_secret_scopes(const struct auth_policy *policy, const struct ingress *ingress);
/* True when a failure was a guess: something was presented and it was wrong. */
bool auth_was_guess(enum refusal_kind kind);
