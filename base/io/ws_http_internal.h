/* What the files of plain HTTP share.
 *
 *   ws_http_head.c  request heads, of upgrades too
 *   ws_http.c       a request: its body, who owns it when
 *   ws_http_reply.c its answer: whole, or in parts */
#pragma once

#include "base/io/ws_internal.h"

struct http_exchange {
    struct ws_half *half; /* NULL: the connection is gone */
    struct ws_head head;
    struct buf body;
    size_t body_length; /* announced */
    bool owned;         /* it ends when its owner ends it */
    bool reading;       /* the body comes in */
    bool unread;        /* a body may still come that nobody wants */
    bool head_only, old_client /* HTTP/1.0 */, close_after;
    bool chunked;     /* each part of the reply carries its length */
    bool ended;       /* nothing more is added to the reply */
    bool full;        /* http_write said so, drained() is due */
    bool moving;      /* output is on its way to the client */
    bool deaf;        /* lws is told not to read */
    size_t looked_at; /* what was queued at the last look, and 1; 0: nothing */
    bool cut;         /* the connection is about to go */
    int status;       /* 0: no reply yet */
    int64_t patience_ms;
    struct buf out; /* the reply's head and parts */
    size_t out_sent;
    struct bytes *reply; /* a whole body, by reference, behind `out` */
    size_t reply_sent;
    const struct http_events *events;
    void *arg;
};

/* ws_http_reply.c */
const char *ws_http_status_text(int status);
void ws_http_reply_text(struct http_exchange *x, int status);
void ws_http_out_done(struct http_exchange *x);

/* ws_http.c */
void ws_http_exchange_free(struct http_exchange *x);
void ws_http_listen(struct http_exchange *x); /* something is to be written */
void ws_http_await(struct http_exchange *x);  /* the owner's answer, for as long as it may take */
