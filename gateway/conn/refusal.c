/* Refusals: rows of refusals.def printed for the version that asked. Message and hint first, then the
 * details each family has, then the close. Pure; owns nothing. protocol.md 2.5 and 2.11. */
#include "gateway/conn/refusal.h"

#include "base/mem.h"
#include "gateway/method/call.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX       1024
#define REFUSAL_BUILD_MAX 96 /* what client.buildId may be long; protocol.md 2.2 */

static const struct refusal_row {
    enum wire_error code;
    const char *message, *details, *reason, *next_step;
} refusal_rows[REFUSAL_COUNT] = {
#define REFUSAL(id, code, message, details, reason, next)                                          \
    [REFUSAL_##id] = {WIRE_##code, message, details, reason, next},
#include "gateway/conn/refusals.def"
#undef REFUSAL
};

static const struct {
    const char *name, *sentence, *remedy;
} need_rows[] = {
    [PAIRING_NONE] = {"", "", ""},
    [PAIRING_NEW] = {"not-paired", "device is not approved yet",
                     "Approve the device on the gateway: culvert devices approve."},
    [PAIRING_ROLE] = {"role-upgrade", "device is asking for a higher role than currently approved",
                      "Check the role the device asks for, then: culvert devices approve."},
    [PAIRING_SCOPES] = {"scope-upgrade", "device is asking for more scopes than currently approved",
                        "Check the scopes the device asks for, then: culvert devices approve."},
    [PAIRING_METADATA] = {"metadata-upgrade", "device identity changed and must be re-approved",
                          "Check the device's new platform, then: culvert devices approve."},
};

const char *pairing_need_name(enum pairing_need need)
{
    return need_rows[need].name;
}

bool refusal_is_auth(enum refusal_kind kind)
{
    return kind >= REFUSAL_TOKEN_MISSING && kind <= REFUSAL_UNAUTHORIZED;
}

/* ---- hints ---- */

enum hint_for { HINT_CLI_LOCAL, HINT_CLI, HINT_UI, HINT_OTHER, HINTS };

/* protocol.md 2.5: what each kind of client is told to do about a credential. */
static const struct {
    const char *v3_token, *token, *password;
} hints[HINTS] = {
    [HINT_CLI_LOCAL] = {"set gateway.remote.token to match gateway.auth.token",
                        "use this gateway's gateway.auth.token or pair the device",
                        "use this gateway's gateway.auth.password"},
    [HINT_CLI] = {"set gateway.remote.token to match gateway.auth.token",
                  "set gateway.remote.token to match gateway.auth.token",
                  "set gateway.remote.password to match gateway.auth.password"},
    [HINT_UI] = {"open a tokenized dashboard URL or paste token in Control UI settings",
                 "open the dashboard URL and paste the token in Control UI settings",
                 "enter the password in Control UI settings"},
    [HINT_OTHER] = {"provide gateway auth token", "provide gateway auth token",
                    "provide gateway auth password"},
};

static enum hint_for hint_for(const struct refusal_context *context)
{
    if (!context->params)
        return HINT_OTHER;
    switch (connect_client_kind(context->params)) {
    case CLIENT_CLI: return context->local_host ? HINT_CLI_LOCAL : HINT_CLI;
    case CLIENT_CONTROL_UI:
    case CLIENT_WEBCHAT:
    case CLIENT_UI: return HINT_UI;
    case CLIENT_APP:
    case CLIENT_NODE:
    case CLIENT_PROBE:
    case CLIENT_OTHER: return HINT_OTHER;
    }
    return HINT_OTHER;
}

static const char *filling(enum refusal_kind kind, const struct refusal_context *context)
{
    enum hint_for who = hint_for(context);

    if (kind == REFUSAL_PAIRING)
        return need_rows[context->need].sentence;
    if (kind == REFUSAL_TOKEN_MISSING || kind == REFUSAL_TOKEN_MISMATCH)
        return context->version < 4 ? hints[who].v3_token : hints[who].token;
    if (kind == REFUSAL_PASSWORD_MISSING || kind == REFUSAL_PASSWORD_MISMATCH)
        return context->version < 4 && who == HINT_CLI_LOCAL ? hints[HINT_CLI].password
                                                             : hints[who].password;
    return context->text ? context->text : "";
}

/* The row's message with its one %s filled. v3 knows no sentence after "pairing required". */
static void message_of(enum refusal_kind kind, const struct refusal_context *context, char *out,
                       size_t size)
{
    const char *pattern = refusal_rows[kind].message;
    const char *hole = strstr(pattern, "%s");
    struct buf b;

    if (kind == REFUSAL_PAIRING && context->version == 3) {
        pattern = "pairing required";
        hole = NULL;
    }
    buf_init(&b, size - 1);
    buf_add(&b, pattern, hole ? (size_t)(hole - pattern) : strlen(pattern));
    if (hole) {
        buf_add_str(&b, filling(kind, context));
        buf_add_str(&b, hole + 2);
    }
    snprintf(out, size, "%s", b.bad || !b.data ? "refused" : b.data);
    buf_done(&b);
}

/* ---- details ---- */

static void write_roles(unsigned roles, struct json_writer *w)
{
    jw_array(w);
    if (roles & ROLE_OPERATOR)
        jw_str(w, "operator");
    if (roles & ROLE_NODE)
        jw_str(w, "node");
    jw_array_end(w);
}

static void details_protocol(const struct refusal_context *context, struct json_writer *w)
{
    bool v3_only = context->params && context->params->max_protocol < 3;

    if (v3_only) {
        jw_kint(w, "expectedProtocol", 3);
        return;
    }
    jw_kstr(w, "code", "PROTOCOL_MISMATCH");
    if (context->params) {
        jw_kint(w, "clientMinProtocol", context->params->min_protocol);
        jw_kint(w, "clientMaxProtocol", context->params->max_protocol);
    }
    jw_kint(w, "expectedProtocol", 4);
    jw_kint(w, "minimumProbeProtocol", 3);
}

static void details_pairing(const struct refusal_context *context, struct json_writer *w)
{
    if (context->version < 4) {
        jw_kstr(w, "requestId", context->request_id);
        return;
    }
    jw_kstr(w, "code", "PAIRING_REQUIRED");
    jw_kstr(w, "reason", need_rows[context->need].name);
    jw_kstr(w, "requestId", context->request_id);
    jw_kstr(w, "remediationHint", need_rows[context->need].remedy);
    jw_kstr(w, "deviceId", context->params->device.id);
    jw_kstr(w, "requestedRole", context->params->role ? context->params->role : "operator");
    if (context->asked_scopes) {
        jw_key(w, "requestedScopes");
        scope_write(context->asked_scopes, w);
    }
    if (context->approved_roles) {
        jw_key(w, "approvedRoles");
        write_roles(context->approved_roles, w);
        jw_key(w, "approvedScopes");
        scope_write(context->approved_scopes, w);
    }
}

/* The reload is done once per build, so a page that stays the same does not go round for ever. */
static void details_build(const struct refusal_context *context, struct json_writer *w)
{
    CLEAN(mem_free)
    char *build = mem_format("%.*s", REFUSAL_BUILD_MAX,
                             context->served_build ? context->served_build : "unknown");

    jw_kstr(w, "code", "PROTOCOL_MISMATCH");
    jw_kstr(w, "gatewayBuildId", build);
    jw_kbool(w, "reloadRequired", true);
}

static void details_auth(enum refusal_kind kind, const struct refusal_context *context,
                         struct json_writer *w)
{
    const struct refusal_row *row = &refusal_rows[kind];
    bool retry = kind == REFUSAL_TOKEN_MISMATCH && context->can_retry_with_device_token;

    jw_kstr(w, "code", row->details);
    jw_kstr(w, "authReason", row->reason);
    jw_kbool(w, "canRetryWithDeviceToken", retry);
    jw_kstr(w, "recommendedNextStep", retry ? "retry_with_device_token" : row->next_step);
}

static void write_details(enum refusal_kind kind, const struct refusal_context *context,
                          struct json_writer *w)
{
    const struct refusal_row *row = &refusal_rows[kind];
    bool has_v3 = kind == REFUSAL_PROTOCOL || kind == REFUSAL_PAIRING;

    if (!row->details || (context->version == 3 && !has_v3))
        return;
    jw_kobject(w, "details");
    if (kind == REFUSAL_PROTOCOL)
        details_protocol(context, w);
    else if (kind == REFUSAL_PAIRING)
        details_pairing(context, w);
    else if (kind == REFUSAL_UI_BUILD)
        details_build(context, w);
    else if (refusal_is_auth(kind))
        details_auth(kind, context, w);
    else {
        jw_kstr(w, "code", row->details);
        jw_kstr(w, "reason", row->reason);
    }
    jw_object_end(w);
}

void refusal_write(enum refusal_kind kind, const struct refusal_context *context,
                   struct json_writer *w)
{
    char message[MESSAGE_MAX];

    message_of(kind, context, message, sizeof(message));
    jw_object(w);
    jw_kstr(w, "code", wire_error_name(refusal_rows[kind].code));
    jw_kstr(w, "message", message);
    if (kind == REFUSAL_UNAVAILABLE) {
        jw_kbool(w, "retryable", true);
        jw_kint(w, "retryAfterMs", 1000);
    }
    if (kind == REFUSAL_UI_BUILD)
        jw_kbool(w, "retryable", false);
    write_details(kind, context, w);
    jw_object_end(w);
}

void refusal_close(enum refusal_kind kind, const struct refusal_context *context,
                   uint16_t *ret_code, char *reason, size_t size)
{
    char message[MESSAGE_MAX];

    message_of(kind, context, message, sizeof(message));
    *ret_code = kind == REFUSAL_PROTOCOL ? 1002 : kind == REFUSAL_UNAVAILABLE ? 1013 : 1008;
    if (kind == REFUSAL_PAIRING && context->version >= 4 && context->request_id)
        snprintf(reason, size, "%s (requestId: %s)", message, context->request_id);
    else
        snprintf(reason, size, "%s", message);
}
