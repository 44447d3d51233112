/* What a client says in `connect`, decoded by field tables, and which protocol version it gets. Pure.
 * protocol.md 2.2 to 2.4. */
#pragma once

#include "base/field.h"
#include "gateway/conn/scope.h"

struct connect_client {
    int id;   /* index into connect_client_ids */
    int mode; /* index into connect_client_modes */
    const char *display_name, *version, *platform, *device_family, *model_identifier, *instance_id,
        *build_id, *time_zone;
};
struct connect_device {
    const char *id, *public_key, *signature, *nonce;
    int64_t signed_at;
};
struct connect_auth {
    const char *token, *password, *device_token, *bootstrap_token;
};
/* Everything is borrowed from the tree it was decoded from; NULL when absent. */
struct connect_params {
    int64_t min_protocol, max_protocol;
    struct connect_client client;
    struct connect_device device; /* id NULL: none */
    struct connect_auth auth;
    const char *role, *path_env, *locale, *user_agent;
    const struct json *scopes, *caps, *commands, *permissions;
};

/* The kind of client behind an id: which rules and hints it gets. */
enum connect_kind {
    CLIENT_CLI,
    CLIENT_CONTROL_UI, /* browser pages that carry a device identity */
    CLIENT_WEBCHAT,
    CLIENT_UI, /* terminal interface */
    CLIENT_APP,
    CLIENT_NODE,
    CLIENT_PROBE,
    CLIENT_OTHER,
};

extern const char *const connect_client_modes[];

/* 0, or -ERR_INVALID with the validator's sentence (the message is "invalid connect params: " and it).
 * Unknown keys are ignored. */
int connect_params_decode(const struct json *params, struct connect_params *ret,
                          struct fault *reterr_fault);
const char *connect_client_id(const struct connect_params *params);
const char *connect_client_mode(const struct connect_params *params);
enum connect_kind connect_client_kind(const struct connect_params *params);
/* 4 when the range includes it, else 3, else 0. */
int connect_version(const struct connect_params *params);
/* Role asked for; ROLE_NONE: not one we serve. */
enum role connect_role(const struct connect_params *params);
/* Scopes asked for: names as sent, or the version's default when left out. protocol.md section 0, 6. */
scope_set connect_scopes(const struct connect_params *params, int version);
