/* The HTTP client door (libcurl multi on our loop). Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

#define HTTP_CALLS_MAX 256 /* transfers of one client; one more ends with -ERR_BUSY */
#define HTTP_ERROR_BODY_MAX                                                                        \
    65536 /* kept of a status >= 400 when on_data is given; the rest is dropped */
#define HTTP_HEAD_MAX      262144 /* bytes of response head */
#define HTTP_REDIRECTS_MAX 3

struct http_client;

/* Costs nothing until the first http_start: libcurl and its TLS are initialised there. */
struct http_client *http_client_new(struct loop *loop) MUSTCHECK;
/* Ends what runs with -ERR_CANCELLED (done is called on a later turn). Not from inside on_data.
 * NULL ok. */
struct http_client *http_client_free(struct http_client *client);
DEFINE_CLEAN(struct http_client *, http_client_free)

/* One transfer, embedded by its owner together with its op; zeroed is idle. */
struct http_call {
    struct op op;
    int status;             /* 0 until the head is there */
    int64_t retry_after_ms; /* from retry-after-ms or Retry-After; -1: not told; at most a day */
    char content_type[128]; /* as sent, cut; "" when absent */
    struct buf body;        /* filled when on_data is NULL; the owner's: buf_done(&call->body) */
    /* Where a 3xx points, absolute, when spec.tell_redirect asked for it; else NULL. The owner's: mem_free. */
    char *redirect;
    /* Body as it comes, at most body_max bytes over the whole transfer; NULL: collected into body.
     * A negative return ends the transfer with it (fill call->op.fault first). Not called for a
     * status >= 400 (body collects, at most HTTP_ERROR_BODY_MAX). The op may be cancelled or dropped
     * and its owner freed inside; another transfer may be started inside. */
    int (*on_data)(struct http_call *call, const char *data, size_t length);
    /* Each header line of the answer as it came, its end cut off; NULL: not wanted. It only looks: the op
     * stays as it is. */
    void (*on_header)(struct http_call *call, const char *line, size_t length);
    void *impl; /* the door's; NULL when idle */
};

struct http_spec {
    const char *method;         /* "GET", "POST" */
    const char *url;            /* http or https only, also after redirects */
    const char *const *headers; /* "name: value", NULL-terminated; never logged; NULL: none */
    const char *body;           /* copied; NULL: none */
    size_t body_length;
    int64_t connect_ms; /* name, TCP and TLS together; 0: 10 s */
    int64_t idle_ms;    /* no byte for so long ends it; 0: 60 s */
    size_t body_max;    /* over it: -ERR_TOO_LARGE; 0: 1 MiB */
    /* Redirects, at most HTTP_REDIRECTS_MAX. To another scheme, host or port: never from https to
     * http, never with a body, and without any of the caller's headers. */
    bool follow;
    bool tell_redirect; /* not followed but told: call->redirect */
    /* A numeric address: the connection goes there, whatever the URL's name resolves to, never through a
     * proxy, never over a kept connection, and is not kept. NULL: as the name resolves. */
    const char *pin;
};

/* What a URL says, read by the same parser that transfers use, so that what was checked is what is
 * connected to ("http://0x7f.1/" has the host "127.0.0.1"). */
struct http_url {
    char scheme[8]; /* "http" or "https" */
    char host[256]; /* lower case; an IPv6 address without its brackets */
    int port;
    bool has_user; /* a user name or password stands in it */
};
/* -ERR_INVALID for anything but http and https, control characters, a zone in an address. Any thread. */
int http_url_parse(const char *url, struct http_url *ret);

/* TLS trusts this machine's CA file, or the one that the environment's SSL_CERT_FILE names.
 * op must be op_init'ed (its deadline bounds the whole transfer). Everything in spec is copied. Result
 * 0 for any HTTP status; negative for transport errors, with a fault for a person that names scheme,
 * host and port only (a path or query may hold a secret). */
void http_start(struct http_client *client, struct http_call *call, const struct http_spec *spec);
