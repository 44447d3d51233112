/* What a device may hand whoever uses it: its record, and where tunnel.trust approved it, of that no more than trust gives this
 * very peer now. So a mapping that is narrowed narrows at once, and one that is gone leaves nothing. Pure; owns
 * nothing. design.md section 5. */
#include "gateway/pairing/internal.h"
#include "gateway/tunnel/peer_identity.h"

#include <string.h>

bool device_by_trust(const struct device *device)
{
    return device->approved_via && strcmp(device->approved_via, PAIRING_VIA_TRUST) == 0;
}

void device_carries(const struct gateway *gw, const struct device *device,
                    const struct peer_identity *identity, struct device_carry *ret)
{
    struct trust_grant grant;

    *ret = (struct device_carry){.roles = device->roles, .scopes = device->scopes};
    if (!device_by_trust(device))
        return;
    trust_judge(gw, identity, &grant);
    ret->roles &= trust_roles(&grant);
    ret->scopes = scope_effective(device->scopes, 4) & scope_effective(grant.scopes, 4);
}

bool pairing_trusts(const struct gateway *gw, const struct pairing_asker *asker,
                    scope_set *ret_scopes)
{
    const struct device *device = device_find(gw, asker->device_id);
    const struct device_token *token = device ? device_token_of(device, asker->role) : NULL;
    struct trust_grant grant;

    /* What a person approved, or took back, is a person's to change. */
    if (device && (!device_by_trust(device) || (token && token->revoked_at)))
        return false;
    trust_judge(gw, asker->identity, &grant);
    if (!grant.trusted || !(trust_roles(&grant) & (unsigned)asker->role))
        return false;
    *ret_scopes = grant.scopes;
    return true;
}
