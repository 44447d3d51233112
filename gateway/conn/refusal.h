/* A refused connect as the client reads it: code, message, details and close, per version. Pure.
 * protocol.md 2.5. */
#pragma once

#include "gateway/conn/connect_params.h"

enum refusal_kind {
    REFUSAL_NONE,
#define REFUSAL(id, code, message, details, reason, next) REFUSAL_##id,
#include "gateway/conn/refusals.def"
#undef REFUSAL
    REFUSAL_COUNT
};

enum pairing_need {
    PAIRING_NONE, /* paired, and nothing more is asked for */
    PAIRING_NEW,
    PAIRING_ROLE,
    PAIRING_SCOPES,
    PAIRING_METADATA,
};

struct refusal_context {
    int version;                         /* 0: before the version was known: both shapes at once */
    const struct connect_params *params; /* NULL when they could not be read */
    bool local_host;                     /* the client is on this host: hints differ */
    const char *text;                    /* BAD_PARAMS, UNAVAILABLE: what fills %s */
    bool can_retry_with_device_token;    /* auth failures: the device has a token that would do */
    const char *served_build;            /* UI_BUILD: what the page would be after a reload */
    /* PAIRING only */
    enum pairing_need need;
    const char *request_id; /* NULL: the table of requests is full */
    unsigned approved_roles;
    scope_set approved_scopes, asked_scopes;
};

/* The error object into w, and what the close says. reason holds WS_CLOSE_REASON_MAX + 1 bytes or more. */
void refusal_write(enum refusal_kind kind, const struct refusal_context *context,
                   struct json_writer *w);
void refusal_close(enum refusal_kind kind, const struct refusal_context *context,
                   uint16_t *ret_code, char *reason, size_t size);
/* True for failures of authentication, which the limiter counts. */
bool refusal_is_auth(enum refusal_kind kind);
const char *pairing_need_name(enum pairing_need need);
