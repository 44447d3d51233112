/* The HTTP client door (libcurl multi on our loop). Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

struct http_client;

struct http_client *http_client_new(struct loop *loop) MUSTCHECK;
struct http_client *http_client_free(struct http_client *client); /* cancels what runs; NULL ok */

/* One transfer, embedded by its owner together with its op. */
struct http_call {
    struct op op;
    int status;               /* 0 until the head is there */
    int64_t retry_after_ms;   /* from retry-after-ms or Retry-After; -1: not told */
    char content_type[128];
    struct buf body;          /* filled when on_data is NULL */
    /* Body as it comes, at most body_max bytes over the whole transfer; NULL: collected into body.
     * A negative return ends the transfer with it. Not called for a status >= 400 (body collects). */
    int (*on_data)(struct http_call *call, const char *data, size_t length);
    void *impl;               /* the door's; NULL when idle */
};

struct http_spec {
    const char *method;         /* "GET", "POST" */
    const char *url;            /* http or https only, also after redirects */
    const char *const *headers; /* "name: value", NULL-terminated; never logged */
    const char *body;           /* copied; NULL: none */
    size_t body_length;
    int64_t connect_ms;         /* 0: 10 s */
    int64_t idle_ms;            /* no byte for so long ends it; 0: 60 s */
    size_t body_max;            /* over it: -ERR_TOO_LARGE */
    bool follow;                /* redirects, at most 3, never to another host with credentials */
};

/* op must be op_init'ed (its deadline bounds the whole transfer). Result 0 for any HTTP status; negative
 * for transport errors, with a fault for a person (no URL query, no header in it). */
void http_start(struct http_client *client, struct http_call *call, const struct http_spec *spec);
