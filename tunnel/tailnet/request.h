/* One HTTP/1.1 request over a stream socket of its own, on our loop: to a unix socket or over a connected descriptor.
 * lws's client cannot give a socket away after an upgrade, which dial needs, so this one road serves all (README.md).
 * Loop thread only. */
#pragma once

#include "base/io/op.h"
#include "tunnel/tailnet/answer.h"

#define REQUEST_BODY_MAX (8u << 20)

struct request;

struct request_spec {
    const char *unix_path; /* or, when NULL: */
    int fd;                /* connected or connecting, non-blocking; taken in every case */
    const char *method, *path, *host;
    const char *headers; /* "name: value\r\n…"; NULL: none */
    const char *body;    /* copied; NULL: none */
    size_t body_length;
    size_t
        body_max; /* collected body; 0: REQUEST_BODY_MAX. A longer one ends with -ERR_TOO_LARGE */
    int64_t limit_ms; /* -ERR_TIMEOUT after it; 0: only the op's own deadline */
    bool upgrade;     /* 101 is what is wanted: the descriptor goes to request_take_fd */

    void *arg;
    /* The body of a 200 as it comes, instead of collecting it; NULL: collected. A negative return ends the
     * request with it. The op may be dropped or cancelled inside. */
    int (*data)(void *arg, const char *data, size_t length);
    /* The request is over, by an answer (result 0) or without one (negative, the op's fault is filled): the op's
     * result is returned. NULL: result as it is. Not called after a cancel or drop. */
    int (*end)(void *arg, struct request *request, int result);
    void (*release)(void *arg); /* last call, always once; NULL: nothing to free */
};

/* op must be op_init'ed. The request belongs to itself and is gone after release(). */
void request_start(struct op *op, const struct request_spec *spec);

/* For end(). */
struct op *request_op(const struct request *request);
const struct answer_head *request_head(const struct request *request);
const struct buf *request_body(const struct request *request);
/* After 101: the descriptor, the caller's. Nothing that follows the head was read from it. Else -1. */
int request_take_fd(struct request *request);
/* errno of a connect that failed; 0. */
int request_connect_error(const struct request *request);
