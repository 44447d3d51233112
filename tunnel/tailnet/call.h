/* Between the files of tailnet/: one call of the LocalAPI, what runs, and the readers of its JSON. */
#pragma once

#include "tunnel/tailnet.h"
#include "tunnel/tailnet/request.h"

/* Something under way for a tailnet, so that tailnet_free can drop it. Embedded by its worker. */
struct running {
    struct running *next, **link;
    struct op *op;
};
void running_add(struct tailnet *tailnet, struct running *running, struct op *op);
void running_remove(struct running *running); /* idle is fine */

/* What the answer's bytes are for. The call (and ret with it) lives until the op ends. */
struct call;
typedef int call_read_fn(struct call *call, const struct json *json, struct fault *fault);

struct call_spec {
    const char *method, *path; /* path below /localapi/v0/ */
    const char *what;          /* for people: "its status"; "" or a literal */
    const char *headers, *body;
    size_t body_length;
    int64_t limit_ms;   /* 0: TAILNET_CALL_MS; a stream has none */
    bool writes;        /* what it asks for needs the operator's right */
    call_read_fn *read; /* the JSON of a 2xx; NULL: the body does not matter */
    void *ret;
    char *ret_etag; /* 128 bytes; NULL: not wanted */
    /* The stream of a 200 instead; see request.h. */
    int (*data)(void *arg, const char *data, size_t length);
    void *arg;
    void (*release)(void *arg); /* arg is no longer needed; NULL ok */
    bool upgrade;
    int *ret_fd; /* upgrade */
    /* upgrade: tailscaled has no way there; the address it told, for a connection of our own */
    char *ret_dial_self;
    size_t ret_dial_self_size;
};
struct call {
    struct running running;
    struct tailnet *tailnet;
    struct call_spec spec;
};
/* op must be op_init'ed. The spec's strings are needed during the call only, but for what. */
void call_start(struct tailnet *tailnet, struct op *op, const struct call_spec *spec);

/* ---- read.c: pure; -ERR_CORRUPT and a fault on what is no such answer, *ret is then empty ---- */
int read_status(const struct json *json, struct tailnet_status *ret, struct fault *reterr_fault);
int read_who(const struct json *json, struct tailnet_who *ret, struct fault *reterr_fault);

/* The message in the body of an error, made fit for one line of a terminal. */
void read_error(const char *body, size_t length, char *out, size_t size);
/* Bytes a peer chose, made fit for a terminal: control characters become '?'. */
char *read_plain(const char *text) MUSTCHECK;
