/* Device tokens: 32 random bytes, shown once, kept as their SHA-256. One per device and role.
 * A connect mints (the old one stays good for a while), an operator rotates or revokes (the old one dies
 * at once). protocol.md 2.11, design.md section 5. */
#include "base/mem.h"
#include "gateway/pairing/internal.h"

#include <stdio.h>
#include <string.h>

struct device_token *device_token_slot(struct device *device, enum role role)
{
    return &device->tokens[role == ROLE_NODE];
}

const struct device_token *device_token_of(const struct device *device, enum role role)
{
    const struct device_token *token = &device->tokens[role == ROLE_NODE];

    return token->created_at ? token : NULL;
}

void device_token_put(struct store_batch *batch, const struct device *device,
                      const struct device_token *token)
{
    CLEAN(mem_free) char *scopes = scope_text(token->scopes);

    store_token_put(batch, &(struct store_token){
                               .device_id = device->id,
                               .role = token->role == ROLE_NODE ? "node" : "operator",
                               .hash = token->hash,
                               .scopes = scopes,
                               .created_at = token->created_at,
                               .rotated_at = token->rotated_at,
                               .revoked_at = token->revoked_at,
                               .last_used_at = token->last_used_at,
                           });
}

/* A new value in place of what was there. */
static void token_renew(struct device_token *token, enum role role, scope_set scopes, int64_t now,
                        char out[TOKEN_TEXT])
{
    crypto_token(out);
    crypto_sha256_hex(out, strlen(out), token->hash);
    token->role = role;
    token->scopes = scopes;
    if (token->created_at)
        token->rotated_at = now;
    else
        token->created_at = now;
    token->revoked_at = 0;
    token->last_used_at = 0;
}

int pairing_mint(struct gateway *gw, struct store_batch *batch, const char *device_id,
                 enum role role, char out[TOKEN_TEXT])
{
    struct device *device = device_get(gw->pairing, device_id);

    if (!device || !(device->roles & (unsigned)role))
        return -ERR_NOT_FOUND;

    struct device_token *token = device_token_slot(device, role);
    if (token->created_at && !token->revoked_at) {
        memcpy(token->old_hash, token->hash, sizeof(token->old_hash));
        token->old_until = loop_now(gw->loop) + PAIRING_OLD_TOKEN_MS;
    }
    token_renew(token, role, role == ROLE_NODE ? SCOPE_NONE : device->scopes, loop_wall(gw->loop),
                out);
    device_token_put(batch, device, token);
    return 0;
}

static bool token_has_hash(const struct device_token *token, const char *hash, int64_t now)
{
    if (crypto_equal(hash, token->hash))
        return true;
    return token->old_hash[0] && now < token->old_until && crypto_equal(hash, token->old_hash);
}

static bool token_matches(const struct device_token *token, const char *text, int64_t now)
{
    char hash[SHA256_HEX];

    crypto_sha256_hex(text, strlen(text), hash);
    return token_has_hash(token, hash, now);
}

enum token_verdict pairing_verify(struct gateway *gw, const char *device_id, enum role role,
                                  const char *token_text, scope_set scopes)
{
    struct device *device = device_get(gw->pairing, device_id);
    struct device_token *token = device ? device_token_slot(device, role) : NULL;

    if (!token || !token->created_at || token->revoked_at || !(device->roles & (unsigned)role))
        return TOKEN_WRONG;
    if (!token_matches(token, token_text, loop_now(gw->loop)))
        return TOKEN_WRONG;
    if (!scope_may_give(token->scopes, scopes) || !scope_may_give(device->scopes, scopes))
        return TOKEN_SCOPES;
    token->last_used_at = loop_wall(gw->loop);
    device_touch(gw->pairing, device);
    return TOKEN_GOOD;
}

const struct device *pairing_find_by_token(struct gateway *gw, enum role role,
                                           const char *token_text, scope_set *ret_scopes)
{
    struct pairing *pairing = gw->pairing;
    const struct device *found = NULL;
    char hash[SHA256_HEX];

    crypto_sha256_hex(token_text, strlen(token_text), hash);
    for (size_t i = 0; i < pairing->device_count; i++) {
        struct device *device = pairing->devices[i];
        const struct device_token *token = device_token_slot(device, role);
        if (token->created_at && !token->revoked_at && (device->roles & (unsigned)role) &&
            token_has_hash(token, hash, loop_now(gw->loop))) {
            found = device;
            *ret_scopes = token->scopes & scope_effective(device->scopes, 4);
        }
    }
    return found;
}

/* The device and its token, if the giver may touch them. */
static int token_for_operator(struct gateway *gw, const char *device_id, enum role role,
                              scope_set giver, struct device **ret_device,
                              struct device_token **ret_token)
{
    struct device *device = device_get(gw->pairing, device_id);

    if (!device || !(device->roles & (unsigned)role))
        return -ERR_NOT_FOUND;
    if (!scope_may_give(giver, device->scopes))
        return -ERR_DENIED;
    *ret_device = device;
    *ret_token = device_token_slot(device, role);
    return 0;
}

int pairing_rotate(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   enum role role, const scope_set *scopes, scope_set giver, char out[TOKEN_TEXT],
                   const struct device_token **ret)
{
    struct device *device;
    struct device_token *token;
    int result = token_for_operator(gw, device_id, role, giver, &device, &token);

    if (result < 0)
        return result;

    scope_set given = scopes ? *scopes : token->created_at ? token->scopes : device->scopes;
    if (role == ROLE_NODE)
        given = SCOPE_NONE;
    if (!scope_may_give(device->scopes, given) || !scope_may_give(giver, given))
        return -ERR_DENIED;
    token->old_hash[0] = '\0';
    token_renew(token, role, given, loop_wall(gw->loop), out);
    device_token_put(batch, device, token);
    *ret = token;
    return 0;
}

int pairing_revoke(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   enum role role, scope_set giver, const struct device_token **ret)
{
    struct device *device;
    struct device_token *token;
    int result = token_for_operator(gw, device_id, role, giver, &device, &token);

    if (result < 0)
        return result;
    if (!token->created_at)
        return -ERR_NOT_FOUND;
    token->old_hash[0] = '\0';
    token->revoked_at = loop_wall(gw->loop);
    device_token_put(batch, device, token);
    *ret = token;
    return 0;
}
