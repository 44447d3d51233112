/* An HTTP/1.1 answer, read strictly as it comes in: head, then a body by length, in chunks or until the close. Pure:
 * bytes in, calls out. What tailscaled and gateways send; anything else is refused. Any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

#define ANSWER_HEAD_MAX    16384 /* bytes of one head, and of one body's trailers */
#define ANSWER_INTERIM_MAX 8     /* 1xx answers before the real one */

/* The members are "" when the header is absent; a value that does not fit refuses the answer. */
struct answer_head {
    int status;
    int64_t length; /* -1: not told */
    bool chunked;
    char type[128], etag[128], version[128], upgrade[32], dial_self[16], dial_address[128];
};

/* A part of the body. A negative return ends the reading with it. */
typedef int answer_body_fn(void *arg, const char *data, size_t length);

struct answer {
    struct answer_head head;
    answer_body_fn *body;
    void *arg;
    struct buf line;
    size_t head_bytes;
    uint64_t left; /* of the body or of this chunk */
    int interim;
    int step; /* answer.c */
    bool has_head;
};

void answer_init(struct answer *answer, answer_body_fn *body, void *arg);
void answer_done(struct answer *answer);
/* How many bytes belonged to it: fewer than length only when it is over. Negative and a fault when it is no such
 * answer, or what body() returned. */
ssize_t answer_feed(struct answer *answer, const char *data, size_t length,
                    struct fault *reterr_fault);
/* The other side has closed: 0 when that ends the answer, else -ERR_CLOSED. */
int answer_finish(struct answer *answer, struct fault *reterr_fault);
bool answer_over(const struct answer *answer);
/* 101: what follows its head is no HTTP any more. */
bool answer_upgraded(const struct answer *answer);
