/* Devices as device.pair.list shows them; never a token. protocol.md 2.11. */
#include "gateway/pairing/internal.h"

static void write_roles(unsigned roles, struct json_writer *w)
{
    jw_karray(w, "roles");
    if (roles & ROLE_OPERATOR)
        jw_str(w, "operator");
    if (roles & ROLE_NODE)
        jw_str(w, "node");
    jw_array_end(w);
}

/* Only times that have happened. */
static void write_time(struct json_writer *w, const char *key, int64_t at)
{
    if (at)
        jw_kint(w, key, at);
}

static void write_token(const struct device_token *token, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "role", token->role == ROLE_NODE ? "node" : "operator");
    jw_key(w, "scopes");
    scope_write(token->scopes, w);
    jw_kint(w, "createdAtMs", token->created_at);
    write_time(w, "rotatedAtMs", token->rotated_at);
    write_time(w, "revokedAtMs", token->revoked_at);
    write_time(w, "lastUsedAtMs", token->last_used_at);
    jw_object_end(w);
}

void pairing_write_device(const struct device *device, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "deviceId", device->id);
    jw_kstr(w, "publicKey", device->public_key);
    jw_kstr(w, "displayName", device->display_name);
    jw_kstr(w, "platform", device->platform);
    jw_kstr(w, "deviceFamily", device->device_family);
    jw_kstr(w, "clientId", device->client_id);
    jw_kstr(w, "clientMode", device->client_mode);
    jw_kstr(w, "role", device->roles & ROLE_OPERATOR ? "operator" : "node");
    write_roles(device->roles, w);
    jw_key(w, "scopes");
    scope_write(device->scopes, w);
    jw_kstr(w, "remoteIp", device->remote_ip);
    jw_kstr(w, "approvedVia", device->approved_via);
    jw_kint(w, "createdAtMs", device->created_at);
    jw_kint(w, "approvedAtMs", device->approved_at);
    write_time(w, "lastSeenAtMs", device->last_seen_at);
    jw_kstr(w, "lastSeenReason", device->last_seen_reason);
    jw_kbool(w, "connected", device->connections > 0);
    jw_karray(w, "tokens"); /* node before operator: sorted by role */
    for (size_t i = COUNT(device->tokens); i-- > 0;)
        if (device->tokens[i].created_at)
            write_token(&device->tokens[i], w);
    jw_array_end(w);
    jw_object_end(w);
}

void pairing_write_list(struct gateway *gw, struct json_writer *w)
{
    const struct pairing *pairing = gw->pairing;

    jw_object(w);
    jw_karray(w, "pending");
    for (size_t i = 0; i < pairing->request_count; i++)
        pairing_write_request(pairing->requests[i], w);
    jw_array_end(w);
    jw_karray(w, "paired");
    for (size_t i = 0; i < pairing->device_count; i++)
        pairing_write_device(pairing->devices[i], w);
    jw_array_end(w);
    jw_object_end(w);
}
