/* May this request pass? The Bearer is held to the authorizer of `connect` with the same limits: what is
 * right there is right here, what was guessed there counts here. Scopes: what the credential carries
 * from where the peer sits (design.md section 5); nothing a header claims adds to them. protocol.md 8.2. */
#include "base/mem.h"
#include "gateway/conn/auth.h"
#include "gateway/conn/conns.h"
#include "gateway/conn/limit.h"
#include "gateway/gateway.h"
#include "gateway/http/internal.h"
#include "gateway/pairing/pairing.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BEARER_MAX 4096

/* What follows "Bearer "; NULL: there is none. */
static const char *bearer_of(const struct web_call *call)
{
    const char *header = web_header(call, "authorization");

    if (!header || strncasecmp(header, "bearer ", 7) != 0)
        return NULL;
    header += 7;
    header += strspn(header, " ");
    return *header && strlen(header) <= BEARER_MAX ? header : NULL;
}

/* The token of a device that tunnel.trust approved is worth what trust gives whoever shows it. */
static void cut_to_trust(struct web_call *call, const struct device *device)
{
    const struct ws_peer *peer = call->request->peer;
    const struct peer_identity *who = peer->transport == WS_TUNNEL ? peer->owner : NULL;
    struct device_carry carry;

    device_carries(call->gw, device, who, &carry);
    call->scopes &= carry.roles & ROLE_OPERATOR ? scope_effective(carry.scopes, 4) : SCOPE_NONE;
}

static bool by_device_token(struct web_call *call, const char *bearer)
{
    const struct device *device;

    if (!(call->route->flags & ROUTE_DEVICE) || !bearer)
        return false;
    device = pairing_find_by_token(call->gw, ROLE_OPERATOR, bearer, &call->scopes);
    if (!device)
        return false;
    cut_to_trust(call, device);
    snprintf(call->device_id, sizeof(call->device_id), "%s", device->id);
    call->auth_method = "device-token";
    return true;
}

/* ---- refusals, in the API's shape ---- */

void authorize_refuse(struct web_call *call)
{
    static const char json[] =
        "{\"error\":{\"message\":\"Unauthorized\",\"type\":\"unauthorized\"}}";
    CLEAN(bytes_unref) struct bytes *body = bytes_new(json, sizeof(json) - 1);

    web_reply(call, 401, "application/json; charset=utf-8", "www-authenticate: Bearer\r\n", body);
}

static void refuse_limited(struct web_call *call, int64_t wait_ms)
{
    static const char json[] =
        "{\"error\":{\"message\":\"Too many failed authentication attempts. Please try again "
        "later.\",\"type\":\"rate_limited\"}}";
    CLEAN(bytes_unref) struct bytes *body = bytes_new(json, sizeof(json) - 1);
    CLEAN(mem_free)
    char *headers = mem_format("retry-after: %lld\r\n", (long long)((wait_ms + 999) / 1000));

    web_reply(call, 429, "application/json; charset=utf-8", headers, body);
}

/* The first scope that is missing, as clients of the API know it, and what a person can do about it. */
static void refuse_scope(struct web_call *call)
{
    scope_set missing = call->route->scope & ~scope_effective(call->scopes, 4);
    const char *name = scope_name(missing & -missing);
    struct json_writer w;
    struct buf b;

    buf_init(&b, 4096);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kbool(&w, "ok", false);
    jw_kobject(&w, "error");
    jw_kstr(&w, "type", "forbidden");
    jw_key(&w, "message");
    CLEAN(mem_free) char *message = mem_format("missing scope: %s", name);
    jw_str(&w, message);
    jw_kobject(&w, "details");
    jw_kstr(&w, "code", "MISSING_SCOPE");
    jw_kstr(&w, "missingScope", name);
    jw_key(&w, "requiredScopes");
    scope_write(call->route->scope, &w);
    if (!call->device_id[0] && !ingress_is_here(&call->ingress))
        jw_kstr(&w, "hint",
                "from another host the shared secret carries only what gateway.auth.secretScopes "
                "lists");
    jw_object_end(&w);
    jw_object_end(&w);
    jw_object_end(&w);
    web_json(call, 403, &b);
    buf_done(&b);
}

/* ---- the decision ---- */

static void refuse_guess(struct web_call *call, enum refusal_kind kind)
{
    const struct ingress *in = &call->ingress;
    int64_t delay = 0;

    if (auth_was_guess(kind))
        delay = limit_auth_failed(call->gw, in->rate_key, in->exempt);
    if (delay > 0)
        web_call_hold(call, delay);
    else
        authorize_refuse(call);
}

static enum refusal_kind check(struct web_call *call, const struct auth_policy *policy,
                               const char *bearer)
{
    struct connect_auth auth = {.token = bearer, .password = bearer};
    CLEAN(mem_free) char *user = conns_proxy_user(call->gw, call->request, &call->ingress);
    enum refusal_kind kind =
        auth_shared(policy, &auth, 4, &call->ingress, user, &call->auth_method);

    if (kind == REFUSAL_NONE) {
        call->scopes = auth_secret_scopes(policy, &call->ingress);
        if (policy->mode == AUTH_TOKEN || policy->mode == AUTH_PASSWORD)
            limit_auth_passed(call->gw, call->ingress.rate_key);
        return kind;
    }
    if (by_device_token(call, bearer))
        return REFUSAL_NONE;
    call->auth_method = NULL;
    return kind;
}

/* Whoever is on this host knows more without a word; a wrong guess from elsewhere counts as one. */
static void may_authorize(struct web_call *call, const struct auth_policy *policy,
                          const char *bearer, bool locked)
{
    const struct ingress *in = &call->ingress;

    if (!bearer || locked || policy->mode == AUTH_NONE || ingress_is_here(in))
        return;
    if (auth_was_guess(check(call, policy, bearer)))
        limit_auth_failed(call->gw, in->rate_key, in->exempt);
}

/* As far as the socket and the headers tell; the process at the other end is asked about later. */
static bool may_be_local(const struct ingress *in)
{
    return !in->proxied && (in->transport == WS_TCP ? in->direct : in->own_uid);
}

bool authorize_elsewhere(struct web_call *call)
{
    struct ingress *in = &call->ingress;
    struct auth_policy policy;

    in->exempt = in->direct = in->loopback = false;
    auth_policy_read(call->gw->config, &policy);
    call->scopes = auth_secret_scopes(&policy, in);
    if (scope_allows(call->scopes, call->route->scope, 4))
        return true;
    refuse_scope(call);
    return false;
}

enum authorized authorize(struct web_call *call)
{
    const struct route *route = call->route;
    const char *bearer = bearer_of(call);
    struct auth_policy policy;

    if (!(route->flags & (ROUTE_AUTH | ROUTE_MAY_AUTH)))
        return AUTHORIZED;
    auth_policy_read(call->gw->config, &policy);
    int64_t wait = policy.mode == AUTH_NONE
                       ? 0
                       : limit_auth_wait(call->gw, call->ingress.rate_key, call->ingress.exempt);
    if (!(route->flags & ROUTE_AUTH)) {
        may_authorize(call, &policy, bearer, wait > 0);
        return AUTHORIZED;
    }
    if (wait > 0) {
        refuse_limited(call, wait);
        return AUTHORIZED_NOT;
    }
    enum refusal_kind kind = check(call, &policy, bearer);
    if (kind == REFUSAL_NONE && policy.mode == AUTH_NONE && !may_be_local(&call->ingress))
        kind = REFUSAL_NOT_LOCAL;
    if (kind != REFUSAL_NONE) {
        refuse_guess(call, kind);
        return AUTHORIZED_NOT;
    }
    if (!scope_allows(call->scopes, route->scope, 4)) {
        refuse_scope(call);
        return AUTHORIZED_NOT;
    }
    /* tailscaled may bring a peer's bytes to loopback, where the shared secret is worth more. */
    if (policy.mode != AUTH_NONE && call->ingress.loopback && !call->device_id[0])
        call->tailnet = identify_new(call->gw, call->request->peer, call->request);
    return policy.mode == AUTH_NONE ? AUTHORIZED_ASK : AUTHORIZED;
}
