/* Routes of plain HTTP: what a row of routes.def is, and a request on its way through it.
 *
 * To add a route: a row in routes.def and `void route_<name>(struct web_call *call)` in a file of its own.
 * Before it runs, in this order: Origin (403), path (404), method (405), authentication and scope (401, 429,
 * 403), the body's size (413); then the body is read. README.md. Loop thread only. */
#pragma once

#include "base/io/op.h"
#include "base/io/ws.h"
#include "base/json.h"
#include "gateway/conn/ingress.h"
#include "gateway/conn/scope.h"
#include "gateway/tailnet/identify.h"

struct gateway;
struct web_call;

enum web_methods { WEB_GET = 1 /* and HEAD */, WEB_POST = 2, WEB_PUT = 4, WEB_DELETE = 8 };

enum route_flags {
    ROUTE_PREFIX = 1,   /* the path and everything below it; "/" is everything */
    ROUTE_AUTH = 2,     /* Authorization: Bearer, checked by the authorizer of `connect` */
    ROUTE_DEVICE = 4,   /* with AUTH: a paired device's operator token will do as well */
    ROUTE_MAY_AUTH = 8, /* nobody is refused; auth_method tells who showed a right Bearer */
    ROUTE_PAGE = 32,    /* the path stands below gateway.controlUi.basePath (pages.h) */
    ROUTE_API = 16,     /* errors that come before the handler are {"error":{message,type}} */
};

struct route {
    const char *path;
    unsigned methods; /* enum web_methods */
    unsigned flags;
    scope_set scope;                     /* with AUTH: what the credential must carry */
    size_t body_max;                     /* bytes; 0: no body is taken */
    bool (*enabled)(struct gateway *gw); /* false: the row is not there */
    void (*run)(struct web_call *call);
};

/* When a row counts. */
bool route_always(struct gateway *gw);
bool route_chat_on(struct gateway *gw);      /* gateway.http.endpoints.chatCompletions.enabled */
bool route_responses_on(struct gateway *gw); /* gateway.http.endpoints.responses.enabled */
bool route_models_on(struct gateway *gw);    /* either */

#define WEB_CALL_MAGIC 0x68747470u

/* One request. It lives until its handler ends it: exactly one of web_reply… (below) or
 * web_end, during run or later. When the client leaves, gone() is called (if the handler has set
 * it); the handler still ends the call, there or later, and what it says goes nowhere. */
struct web_call {
    uint32_t magic;
    struct gateway *gw;
    const struct route *route;
    const struct ws_request *request; /* method, path, query; headers by ws_header */
    const char *rest;                 /* PREFIX: the path behind the row's, "" or "/…" */
    struct ingress ingress;           /* who asks, from where */
    const char *auth_method;          /* static; NULL: nobody proved anything */
    char device_id[65];               /* "": not by a device's token */
    scope_set scopes;                 /* what the credential carries */

    /* the handler's own */
    void *state;
    void (*gone)(
        struct web_call *call); /* the client left: stop what was started. Never from inside
                                                an web_… function */
    void (*drained)(struct web_call *call); /* a full stream has room again */
    void (*release)(struct web_call *call); /* the call ends, however it does: frees the state */

    /* http.c's */
    struct http_exchange *exchange;
    struct op op; /* the local test, or the tailnet's */
    struct identify
        *tailnet; /* before the handler runs: does tailscaled bring it; NULL: not asked */
    struct identified found;
    struct timer delay;
    bool ask_local; /* before the handler runs */
    bool held;      /* its refusal is being delayed */
    bool running;   /* the handler has it */
    bool is_gone;
    struct web_call *next, **link;
};

const char *web_body(const struct web_call *call, size_t *ret_length);
const char *web_header(const struct web_call *call, const char *name); /* NULL: absent */
/* The first header of the family that is there: "agent-id" finds x-openclaw-agent-id, x-moltbot-agent-id,
 * x-clawdbot-agent-id (protocol.md 0). NULL: none, or empty. */
const char *web_own_header(const struct web_call *call, const char *name);
/* The body as JSON, caller owns. NULL: it is none; the call has been ended with 400. */
struct json *web_json_body(struct web_call *call) MUSTCHECK;
bool web_is_gone(const struct web_call *call);
/* The answer begins within so many ms (0: the handler bounds it); without: a minute. */
void web_patience(struct web_call *call, int64_t ms);

/* ---- ends ---- */

/* headers: "name: value\r\n…" besides nosniff, no-referrer and (unless one names cache-control) no-store; NULL:
 * none. body is referenced. */
void web_reply(struct web_call *call, int status, const char *content_type, const char *headers,
               struct bytes *body);
void web_text(struct web_call *call, int status, const char *text); /* a newline is added */
/* What the buffer holds; a bad one is a 500. The buffer is the caller's. */
void web_json(struct web_call *call, int status, const struct buf *json);
/* {"error":{"message","type"}}, or plain text on a route that is no API. */
void web_error(struct web_call *call, int status, const char *type, const char *format, ...)
    PRINTF(4, 5);

/* ---- or in parts ---- */

/* Ends with web_end. As http_begin, http_write of base/io/ws.h. */
void web_begin(struct web_call *call, int status, const char *content_type, const char *headers);
int web_write(struct web_call *call, const void *data, size_t length);
void web_end(struct web_call *call);
/* Instead of web_end: the client sees that something is missing. */
void web_cut(struct web_call *call);

/* ---- the rows' handlers ---- */

#define ROUTE(name, methods, path, flags, scope, body_max, enabled)                                \
    void route_##name(struct web_call *call);
#define ROUTE_ALSO(name, methods, path, flags, scope, body_max, enabled)
#include "gateway/http/routes.def"
#undef ROUTE
