/* What can be said of a connect at once: a table of steps in the order of protocol.md 2.4, each of which
 * knows why it would refuse. The first refusal ends it. */
#include "gateway/conn/internal.h"
#include "gateway/conn/limit.h"
#include "gateway/http/control_ui.h"
#include "gateway/http/pages.h"
#include "gateway/pairing/signin.h"
#include "gateway/tailnet/tailscale.h"

#include <stdio.h>
#include <string.h>

static bool is_set(const char *text)
{
    return text && text[0];
}

static enum refusal_kind step_params(struct conn *conn, struct conn_handshake *h)
{
    struct fault fault = {0};

    (void)conn;
    if (connect_params_decode(h->tree, &h->params, &fault) == 0)
        return REFUSAL_NONE;
    snprintf(h->reason, sizeof(h->reason), "%s", fault.text);
    return REFUSAL_BAD_PARAMS;
}

static enum refusal_kind step_version(struct conn *conn, struct conn_handshake *h)
{
    (void)conn;
    h->version = connect_version(&h->params);
    return h->version ? REFUSAL_NONE : REFUSAL_PROTOCOL;
}

static enum refusal_kind step_role(struct conn *conn, struct conn_handshake *h)
{
    (void)conn;
    h->role = connect_role(&h->params);
    h->asked = connect_scopes(&h->params, h->version);
    return h->role == ROLE_NONE ? REFUSAL_ROLE : REFUSAL_NONE;
}

/* Who may leave the device out: an operator with a secret to show, and a page never. A v3 client hears
 * every event without a scope, so from elsewhere it must be a device. protocol.md 2.10. */
static enum refusal_kind step_presence(struct conn *conn, struct conn_handshake *h)
{
    enum connect_kind kind = connect_client_kind(&h->params);
    const struct connect_auth *auth = &h->params.auth;
    struct auth_policy policy;

    h->has_device = h->params.device.id != NULL;
    if (h->has_device)
        return REFUSAL_NONE;
    if (h->role == ROLE_NODE)
        return REFUSAL_NO_DEVICE;
    if (h->version < 4 && kind == CLIENT_CONTROL_UI)
        return REFUSAL_UI_NO_DEVICE_V3;
    if (h->version >= 4 && (kind == CLIENT_CONTROL_UI || kind == CLIENT_UI))
        return REFUSAL_UI_NO_DEVICE;
    if (h->version < 4 && !ingress_is_here(&h->ingress))
        return REFUSAL_NO_DEVICE;

    auth_policy_read(conn->gw->config, &policy);
    if (policy.mode == AUTH_NONE || policy.mode == AUTH_TRUSTED_PROXY || is_set(auth->token))
        return REFUSAL_NONE;
    return h->version >= 4 && is_set(auth->password) ? REFUSAL_NONE : REFUSAL_NO_DEVICE;
}

static enum refusal_kind step_proof(struct conn *conn, struct conn_handshake *h)
{
    static const enum refusal_kind refusals[] = {
        [DEVICE_PROVED] = REFUSAL_NONE,
        [DEVICE_KEY_INVALID] = REFUSAL_DEVICE_KEY,
        [DEVICE_ID_MISMATCH] = REFUSAL_DEVICE_ID,
        [DEVICE_SIGNATURE_STALE] = REFUSAL_DEVICE_STALE,
        [DEVICE_NONCE_MISSING] = REFUSAL_DEVICE_NO_NONCE,
        [DEVICE_NONCE_MISMATCH] = REFUSAL_DEVICE_NONCE,
        [DEVICE_SIGNATURE_WRONG] = REFUSAL_DEVICE_SIGNATURE,
    };
    const struct ingress *in = &h->ingress;
    bool nonce_free = h->version < 4 && (in->transport == WS_TCP ? in->direct : in->own_uid);

    if (!h->has_device)
        return REFUSAL_NONE;
    return refusals[device_prove(&h->params, h->version, h->nonce, nonce_free,
                                 loop_wall(conn->gw->loop), &h->key)];
}

/* A page of ours that stayed open while its folder was renewed: it is told to reload before it is let in.
 * The page names its build with more behind it than the script does. */
static enum refusal_kind step_build(struct conn *conn, struct conn_handshake *h)
{
    const char *served = control_ui_build(conn->gw), *shown = h->params.client.build_id;
    size_t length = shown ? strlen(shown) : 0;

    if (!served || !length || !h->ingress.own_page || !pages_has_folder(conn->gw) ||
        connect_client_kind(&h->params) != CLIENT_CONTROL_UI)
        return REFUSAL_NONE;
    bool same = strncmp(served, shown, length) == 0 && strchr("-", served[length]);
    return same ? REFUSAL_NONE : REFUSAL_UI_BUILD;
}

/* Who is trusted by its identity asks for no more than that gives. */
static enum refusal_kind step_trust(struct conn *conn, struct conn_handshake *h)
{
    struct pairing_asker asker = {
        .device_id = h->key.id, .role = h->role, .identity = conn->identity};
    scope_set given;

    h->trusted = h->has_device && conn->identity && pairing_trusts(conn->gw, &asker, &given);
    if (h->trusted)
        h->asked &= scope_effective(given, 4);
    return REFUSAL_NONE;
}

/* What v4 names deviceToken, or whatever a client put in the token field. */
const char *handshake_shown_token(const struct conn_handshake *h)
{
    const char *named = h->params.auth.device_token;

    return is_set(named) ? named : h->params.auth.token;
}

/* The device's own token. */
static enum refusal_kind try_device_token(struct conn *conn, struct conn_handshake *h)
{
    const char *token = handshake_shown_token(h);
    enum token_verdict verdict = TOKEN_WRONG;

    if (h->has_device && is_set(token))
        verdict = pairing_verify(conn->gw, h->key.id, h->role, token, h->asked);
    if (verdict == TOKEN_SCOPES)
        return h->version < 4 ? REFUSAL_TOKEN_MISMATCH : REFUSAL_DEVICE_SCOPES;
    if (verdict == TOKEN_WRONG)
        return REFUSAL_DEVICE_TOKEN;

    const struct device *device = device_find(conn->gw, h->key.id);
    const struct device_token *record = device_token_of(device, h->role);
    h->by_device_token = true;
    h->auth_method = "device-token";
    h->giver = record->scopes;
    h->issued_at = record->rotated_at ? record->rotated_at : record->created_at;
    return REFUSAL_NONE;
}

/* A sign-in code: the browser that opened a link. What its maker held is what it may ask for. */
static bool try_code(struct conn *conn, struct conn_handshake *h)
{
    const char *code = h->params.auth.bootstrap_token;

    if (!h->has_device || h->role != ROLE_OPERATOR || !is_set(code) ||
        !signin_use(conn->gw, code, h->key.id, &h->giver))
        return false;
    h->by_code = true;
    h->auth_method = "bootstrap-token";
    return true;
}

/* Which of two failures the client hears about. */
static enum refusal_kind pick_refusal(const struct conn_handshake *h, enum refusal_kind shared,
                                      enum refusal_kind device)
{
    const struct connect_auth *auth = &h->params.auth;

    if (device == REFUSAL_DEVICE_SCOPES)
        return device;
    if (h->has_device && is_set(auth->device_token))
        return REFUSAL_DEVICE_TOKEN;
    if (is_set(auth->bootstrap_token) && !is_set(auth->token) && !is_set(auth->password))
        return REFUSAL_BOOTSTRAP_TOKEN;
    return shared;
}

/* Nothing was presented, but the kernel says who it is: gateway.sock and our own uid (design.md section 5
 * (a)). Held to the one-road test before anything comes of it. */
static bool by_kernel(struct conn_handshake *h, enum refusal_kind shared)
{
    bool nothing_said = shared == REFUSAL_TOKEN_MISSING || shared == REFUSAL_PASSWORD_MISSING ||
                        shared == REFUSAL_PROXY_IDENTITY;
    const struct ingress *in = &h->ingress;

    if (!nothing_said || !h->has_device || in->transport != WS_UNIX || !in->own_uid)
        return false;
    h->unless_local = shared;
    h->auth_method = "unix";
    return true;
}

static bool said_nothing(enum refusal_kind shared)
{
    return shared == REFUSAL_TOKEN_MISSING || shared == REFUSAL_PASSWORD_MISSING;
}

/* A user whom tailscaled's proxy named and tailscaled itself confirmed needs no secret; the device still pairs. Never a
 * node. protocol.md 2.7 "Tailscale". */
static bool by_tailscale(struct conn *conn, struct conn_handshake *h, enum refusal_kind shared)
{
    if (!said_nothing(shared) || !h->has_device || h->role != ROLE_OPERATOR || !h->found.served ||
        !conn->identity || conn->identity->tags || !tailscale_allows_users(conn->gw))
        return false;
    h->auth_method = "tailscale";
    h->giver = SCOPE_NONE;
    return true;
}

/* Nothing was shown but headers that would have done, had they been true. */
static enum refusal_kind pick_tailscale(struct conn *conn, const struct conn_handshake *h,
                                        enum refusal_kind shared)
{
    static const enum refusal_kind refusals[] = {
        [IDENTIFY_NONE] = REFUSAL_NONE,
        [IDENTIFY_MISSING] = REFUSAL_TAILSCALE_MISSING,
        [IDENTIFY_NO_PROXY] = REFUSAL_TAILSCALE_PROXY,
        [IDENTIFY_WHOIS_FAILED] = REFUSAL_TAILSCALE_WHOIS,
        [IDENTIFY_MISMATCH] = REFUSAL_TAILSCALE_MISMATCH,
    };
    enum refusal_kind kind =
        h->ingress.proxied && said_nothing(shared) && tailscale_allows_users(conn->gw)
            ? refusals[h->found.verdict]
            : REFUSAL_NONE;

    return kind == REFUSAL_NONE ? shared : kind;
}

/* Nothing was presented, but its identity stands in for the secret; or its token is good and older than what
 * trust gives by now. */
static bool by_trust(struct conn_handshake *h, enum refusal_kind device)
{
    const struct connect_auth *auth = &h->params.auth;
    bool said = is_set(auth->token) || is_set(auth->password) || is_set(auth->device_token) ||
                is_set(auth->bootstrap_token);

    if (!h->trusted || (said && device != REFUSAL_DEVICE_SCOPES))
        return false;
    h->auth_method = "trust";
    h->giver = SCOPE_NONE; /* what trust gives is asked for again when it is given */
    return true;
}

/* A locked-out address may not guess the shared secret; a proved device with its token still passes. */
static enum refusal_kind step_auth(struct conn *conn, struct conn_handshake *h)
{
    struct gateway *gw = conn->gw;
    const char *key = h->ingress.rate_key;
    enum refusal_kind shared = REFUSAL_RATE_LIMITED, device;
    struct auth_policy policy;

    auth_policy_read(gw->config, &policy);
    /* Without a secret there is nothing to guess, and no way around "local only" by a device token. */
    bool locked = policy.mode != AUTH_NONE && limit_auth_wait(gw, key, h->ingress.exempt) > 0;
    if (!locked && policy.mode != AUTH_NONE && try_code(conn, h))
        return REFUSAL_NONE;
    if (!locked)
        shared = auth_shared(&policy, &h->params.auth, h->version, &h->ingress, h->proxy_user,
                             &h->auth_method);
    if (shared == REFUSAL_NONE) {
        h->giver = auth_secret_scopes(&policy, &h->ingress);
        if (policy.mode == AUTH_TOKEN || policy.mode == AUTH_PASSWORD)
            limit_auth_passed(gw, key);
        return REFUSAL_NONE;
    }
    device = try_device_token(conn, h);
    if (device != REFUSAL_NONE && !is_set(h->params.auth.device_token) && by_kernel(h, shared)) {
        h->giver = auth_secret_scopes(&policy, &h->ingress);
        return REFUSAL_NONE;
    }
    if (device != REFUSAL_NONE && policy.mode != AUTH_NONE && by_trust(h, device))
        return REFUSAL_NONE;
    if (device != REFUSAL_NONE && by_tailscale(conn, h, shared))
        return REFUSAL_NONE;
    shared = pick_tailscale(conn, h, shared);
    if (device == REFUSAL_NONE || locked)
        return device == REFUSAL_NONE ? REFUSAL_NONE : REFUSAL_RATE_LIMITED;
    return pick_refusal(h, shared, device);
}

typedef enum refusal_kind handshake_step(struct conn *conn, struct conn_handshake *h);
static handshake_step *const steps[] = {step_params, step_version, step_role,  step_presence,
                                        step_proof,  step_build,   step_trust, step_auth};

enum refusal_kind handshake_steps(struct conn *conn, struct conn_handshake *h)
{
    enum refusal_kind kind = REFUSAL_NONE;

    for (size_t i = 0; i < COUNT(steps) && kind == REFUSAL_NONE; i++)
        kind = steps[i](conn, h);
    return kind;
}
