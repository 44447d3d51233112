/* What the files of gateway/http share: the parts of a request's way before its handler. */
#pragma once

#include "gateway/http/http.h"
#include "gateway/http/route.h"

/* authorize.c */
enum authorized {
    AUTHORIZED,     /* go on */
    AUTHORIZED_ASK, /* if the peer is local: ask before the handler runs */
    AUTHORIZED_NOT, /* refused: answered, or held for a while and then answered */
};
enum authorized authorize(struct web_call *call);
/* It came from elsewhere after all: what does its credential carry from there? False: refused and answered. */
bool authorize_elsewhere(struct web_call *call);
/* 401. */
void authorize_refuse(struct web_call *call);

/* probe.c */
struct probe;
struct probe *probe_free(struct probe *probe);

/* http.c */
struct probe **web_probe(struct gateway *gw); /* where it is kept; NULL until the first */
size_t *web_since_trim(struct gateway *gw);   /* api_sessions.c's count */
/* Answer with 401 in so many ms; the oldest that waits makes room. */
void web_call_hold(struct web_call *call, int64_t ms);
void web_call_free(struct web_call *call);
