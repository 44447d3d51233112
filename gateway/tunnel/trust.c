/* tunnel.trust: what the configuration gives an identity. One table of lists and what each looks at; all that match add up. A
 * list looks only at what the peer cannot choose: the kernel's user, a vouched bridge's key and name, tailscaled's
 * whois. Whatever stands there, operator.admin is never given. Pure; owns nothing. */
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/tunnel/peer_identity.h"

#include <string.h>
#include <strings.h>

/* ---- what each list looks at ---- */

static bool same(const char *told, const char *key)
{
    return told && strcmp(told, key) == 0;
}

/* Who forwards a port is named in requests to pair but never trusted: the kernel tells whose process carries the
 * traffic, not whose traffic it is. A bridge was started on purpose, and gateway.sock is the user's own door. */
static bool is_user(const struct peer_identity *identity, const char *key)
{
    return (identity->kind == IDENTITY_SSH || identity->kind == IDENTITY_UNIX) &&
           same(identity->user, key);
}

static bool is_key(const struct peer_identity *identity, const char *key)
{
    return identity->kind == IDENTITY_SSH && identity->vouched && same(identity->key, key);
}

static bool is_name(const struct peer_identity *identity, const char *key)
{
    return identity->kind == IDENTITY_SSH && identity->vouched && same(identity->name, key);
}

/* All tagged nodes have one login; it is nobody's. */
static bool is_login(const struct peer_identity *identity, const char *key)
{
    return identity->kind == IDENTITY_TAILNET && identity->login && !identity->tags &&
           strcasecmp(identity->login, key) == 0;
}

static bool is_tag(const struct peer_identity *identity, const char *key)
{
    if (identity->kind != IDENTITY_TAILNET)
        return false;
    for (char **tag = identity->tags; tag && *tag; tag++)
        if (strcmp(*tag, key) == 0)
            return true;
    return false;
}

static const struct {
    const char *path;
    bool (*is)(const struct peer_identity *identity, const char *key);
} lists[] = {
    {"tunnel.trust.unix", is_user},  {"tunnel.trust.keys", is_key},
    {"tunnel.trust.names", is_name}, {"tunnel.trust.logins", is_login},
    {"tunnel.trust.tags", is_tag},
};

/* ---- what a row gives ---- */

/* {role, scopes}; role: operator (also when absent), node or both. A grant of the tailnet is not checked by anybody before:
 * another word gives nothing. */
static void add(const struct json *row, const char *by, struct trust_grant *grant)
{
    const struct json *given = json_get(row, "role");
    const char *role = given ? json_string(given, "") : "operator";
    bool both = strcmp(role, "both") == 0, node = both || strcmp(role, "node") == 0;
    bool as_operator = both || strcmp(role, "operator") == 0;

    if (json_kind(row) != JSON_OBJECT || (!node && !as_operator))
        return;
    grant->trusted = true;
    grant->by = by;
    grant->node |= node;
    grant->as_operator |= as_operator;
    if (as_operator)
        grant->scopes |= scope_parse(json_get(row, "scopes")) & ~(scope_set)SCOPE_ADMIN;
}

static void add_grants(const struct gateway *gw, const struct peer_identity *identity,
                       struct trust_grant *grant)
{
    const char *name = config_str(gw->config, KNOB_trust_capability);

    if (identity->kind != IDENTITY_TAILNET || !name || !name[0])
        return;
    json_each (value, json_get(identity->capabilities, name))
        add(value, "tunnel.trust.capability", grant);
}

void trust_judge(const struct gateway *gw, const struct peer_identity *identity,
                 struct trust_grant *ret)
{
    *ret = (struct trust_grant){0};
    if (!identity)
        return;
    for (size_t i = 0; i < COUNT(lists); i++)
        json_each (row, config_node(gw->config, lists[i].path))
            if (lists[i].is(identity, json_key(row)))
                add(row, lists[i].path, ret);
    add_grants(gw, identity, ret);
}

unsigned trust_roles(const struct trust_grant *grant)
{
    return (grant->as_operator ? (unsigned)ROLE_OPERATOR : 0u) |
           (grant->node ? (unsigned)ROLE_NODE : 0u);
}
