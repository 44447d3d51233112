/* The one way out to addresses that somebody else named: tools' fetches, webhooks. A name is resolved in the
 * pool, every address it has is checked, and the connection goes to an address that was checked (pinned), so
 * a name that changes its mind in between changes nothing. Redirects are taken by hand, each hop checked like
 * the first. design.md section 5. Loop thread only. */
#pragma once

#include "base/io/http.h"

#include <sys/socket.h>

struct gateway;
struct egress;

#define EGRESS_CALLS_MAX     64   /* at once; one more ends with -ERR_BUSY */
#define EGRESS_URL_MAX       8192 /* bytes */
#define EGRESS_ADDRESSES_MAX 16   /* of one name; the rest is not looked at */
#define EGRESS_TRIES         3    /* addresses of one name that are tried */

struct egress *egress_new(struct gateway *gw) MUSTCHECK;
struct egress *egress_free(struct egress *egress); /* ends what runs with -ERR_CANCELLED. NULL ok */

/* One request, embedded by its owner; zeroed is idle. */
struct egress_call {
    struct op op;
    int status;             /* of the last answer */
    char content_type[128]; /* "" when absent */
    struct buf body;        /* the owner's: egress_call_done */
    char *url;              /* where the body came from, after redirects */
    bool truncated;         /* body_max was reached: the body is its beginning */
    void *impl;             /* ours; NULL when idle */
};

struct egress_spec {
    const char *method, *url;
    const char *const *headers; /* as http_spec; not sent on to another origin */
    const char *body;           /* copied; NULL: none. A request with a body is never redirected */
    size_t body_length;
    size_t body_max; /* of the answer; 0: 1 MiB */
    int redirects;   /* at most; 0: none, a 3xx is the answer */
    /* Arrays of host names as the operator wrote them; NULL: none. allowed: reached although their addresses are
     * private or loopback. blocked: never, "*.x" is every name below x. */
    const struct json *allowed, *blocked;
};

/* op must be op_init'ed with a deadline: it bounds all hops together. All is copied. Result 0 for any
 * status; -ERR_DENIED: an address, port or scheme that is refused; -ERR_INVALID: no URL; else as http_start.
 * Faults name host and port only. */
void egress_start(struct gateway *gw, struct egress_call *call, const struct egress_spec *spec);
void egress_call_done(struct egress_call *call); /* frees what it holds; not while it runs */

/* Fills at most room addresses of the host, port in each. Count, or negative with a fault. Pool thread. */
typedef int egress_resolve_fn(const char *host, int port, struct sockaddr_storage *out, size_t room,
                              struct fault *fault);
/* Tests: names that mean what the test wants. */
void egress_set_resolver(struct egress *egress, egress_resolve_fn *fn);
