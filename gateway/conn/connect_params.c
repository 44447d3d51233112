/* What a client says in `connect`: the field tables, the client ids of every era, and the version pick.
 * Path: connect_params_decode -> connect_version -> connect_role -> connect_scopes. Pure; owns nothing. */
#include "gateway/conn/connect_params.h"

#include <string.h>

/* protocol.md 2.3 and the aliases of section 0. Two columns from one list: the names the field table
 * accepts, and what kind of client each is. */
#define CLIENT_IDS(ROW)                                                                            \
    ROW("cli", CLIENT_CLI)                                                                         \
    ROW("openclaw-control-ui", CLIENT_CONTROL_UI)                                                  \
    ROW("moltbot-control-ui", CLIENT_CONTROL_UI)                                                   \
    ROW("clawdbot-control-ui", CLIENT_CONTROL_UI)                                                  \
    ROW("openclaw-browser-copilot", CLIENT_CONTROL_UI)                                             \
    ROW("webchat-ui", CLIENT_WEBCHAT)                                                              \
    ROW("webchat", CLIENT_WEBCHAT)                                                                 \
    ROW("openclaw-tui", CLIENT_UI)                                                                 \
    ROW("gateway-client", CLIENT_OTHER)                                                            \
    ROW("openclaw-macos", CLIENT_APP)                                                              \
    ROW("openclaw-linux", CLIENT_APP)                                                              \
    ROW("openclaw-ios", CLIENT_APP)                                                                \
    ROW("openclaw-watchos", CLIENT_APP)                                                            \
    ROW("openclaw-android", CLIENT_APP)                                                            \
    ROW("moltbot-macos", CLIENT_APP)                                                               \
    ROW("moltbot-ios", CLIENT_APP)                                                                 \
    ROW("moltbot-android", CLIENT_APP)                                                             \
    ROW("clawdbot-macos", CLIENT_APP)                                                              \
    ROW("clawdbot-ios", CLIENT_APP)                                                                \
    ROW("clawdbot-android", CLIENT_APP)                                                            \
    ROW("node-host", CLIENT_NODE)                                                                  \
    ROW("openclaw-worker", CLIENT_OTHER)                                                           \
    ROW("openclaw-probe", CLIENT_PROBE)                                                            \
    ROW("moltbot-probe", CLIENT_PROBE)                                                             \
    ROW("clawdbot-probe", CLIENT_PROBE)                                                            \
    ROW("test", CLIENT_OTHER)                                                                      \
    ROW("fingerprint", CLIENT_OTHER)

#define ROW_NAME(name, kind) name,
#define ROW_KIND(name, kind) kind,
static const char *const client_ids[] = {CLIENT_IDS(ROW_NAME) NULL};
static const enum connect_kind client_kinds[] = {CLIENT_IDS(ROW_KIND)};

const char *const connect_client_modes[] = {"webchat", "cli",  "ui",     "backend", "node",
                                            "probe",   "test", "worker", NULL};

/* Long texts are cut off here so that nothing a client says of itself grows without bound. */
#define NAME_MAX_CHARS 256
#define TEXT_MAX_CHARS 4096
#define LIST_MAX       512

/* clang-format off */
static const struct field client_fields[] = {
    F_ENUM(connect_client, id, REQUIRED, client_ids, 0),
    F_STR_K(connect_client, "displayName", display_name, FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR(connect_client, version, REQUIRED | FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR(connect_client, platform, REQUIRED | FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR_K(connect_client, "deviceFamily", device_family, FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR_K(connect_client, "modelIdentifier", model_identifier, FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_ENUM(connect_client, mode, REQUIRED, connect_client_modes, 0),
    F_STR_K(connect_client, "instanceId", instance_id, FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR_K(connect_client, "buildId", build_id, FIELD_NONEMPTY, 96),
    F_STR_K(connect_client, "timeZone", time_zone, FIELD_NONEMPTY, 64),
    F_END,
};
/* v3 takes an SPKI PEM as the key, so it may be long; the nonce is optional in v3. */
static const struct field device_fields[] = {
    F_STR(connect_device, id, REQUIRED | FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STR_K(connect_device, "publicKey", public_key, REQUIRED | FIELD_NONEMPTY, 1024),
    F_STR(connect_device, signature, REQUIRED | FIELD_NONEMPTY, 1024),
    F_INT_K(connect_device, "signedAt", signed_at, REQUIRED, 0, 9007199254740991.0, 0),
    F_STR(connect_device, nonce, OPTIONAL, NAME_MAX_CHARS),
    F_END,
};
static const struct field auth_fields[] = {
    F_STR(connect_auth, token, OPTIONAL, TEXT_MAX_CHARS),
    F_STR(connect_auth, password, OPTIONAL, TEXT_MAX_CHARS),
    F_STR_K(connect_auth, "deviceToken", device_token, OPTIONAL, TEXT_MAX_CHARS),
    F_STR_K(connect_auth, "bootstrapToken", bootstrap_token, OPTIONAL, TEXT_MAX_CHARS),
    F_END,
};
static const struct field permission_value[] = {R_BOOL("*", OPTIONAL)};
static const struct field connect_fields[] = {
    F_INT_K(connect_params, "minProtocol", min_protocol, REQUIRED, 1, 1e9, 0),
    F_INT_K(connect_params, "maxProtocol", max_protocol, REQUIRED, 1, 1e9, 0),
    F_OBJECT(connect_params, client, REQUIRED, client_fields),
    F_STRS(connect_params, caps, OPTIONAL, LIST_MAX),
    F_STRS(connect_params, commands, OPTIONAL, LIST_MAX),
    {.key = "permissions", .kind = FIELD_MAP, .at = offsetof(struct connect_params, permissions), .set_at = FIELD_NO_SET, .sub = permission_value},
    F_STR_K(connect_params, "pathEnv", path_env, OPTIONAL, 32768),
    F_STR(connect_params, role, FIELD_NONEMPTY, NAME_MAX_CHARS),
    F_STRS(connect_params, scopes, OPTIONAL, LIST_MAX),
    F_OBJECT(connect_params, device, OPTIONAL, device_fields),
    F_OBJECT(connect_params, auth, OPTIONAL, auth_fields),
    F_STR(connect_params, locale, OPTIONAL, NAME_MAX_CHARS),
    F_STR_K(connect_params, "userAgent", user_agent, OPTIONAL, TEXT_MAX_CHARS),
    F_END,
};
/* clang-format on */

int connect_params_decode(const struct json *params, struct connect_params *ret,
                          struct fault *reterr_fault)
{
    if (json_kind(params) != JSON_OBJECT)
        return fault_set(reterr_fault, -ERR_INVALID, "must be object");
    return field_decode(connect_fields, params, ret, sizeof(*ret), reterr_fault);
}

const char *connect_client_id(const struct connect_params *params)
{
    return client_ids[params->client.id];
}

const char *connect_client_mode(const struct connect_params *params)
{
    return connect_client_modes[params->client.mode];
}

enum connect_kind connect_client_kind(const struct connect_params *params)
{
    return client_kinds[params->client.id];
}

int connect_version(const struct connect_params *params)
{
    for (int version = 4; version >= 3; version--)
        if (params->min_protocol <= version && version <= params->max_protocol)
            return version;
    return 0;
}

enum role connect_role(const struct connect_params *params)
{
    if (!params->role || strcmp(params->role, "operator") == 0)
        return ROLE_OPERATOR;
    return strcmp(params->role, "node") == 0 ? ROLE_NODE : ROLE_NONE;
}

/* A node holds no operator scope, whatever it asks for. */
scope_set connect_scopes(const struct connect_params *params, int version)
{
    if (connect_role(params) != ROLE_OPERATOR)
        return SCOPE_NONE;
    if (!params->scopes)
        return version < 4 ? SCOPE_ADMIN : SCOPE_NONE;
    return scope_parse(params->scopes);
}
