/* Plain HTTP on the gateway port: requests find their route (route.h). */
#pragma once

#include "base/io/ws.h"
#include "base/own.h"

struct gateway;

#define WEB_BODY_MAX     65536       /* of a request nobody vouches for */
#define WEB_BODY_API_MAX (20u << 20) /* of an authenticated API call */
#define WEB_CALLS_MAX    1024        /* open at once; one more is 503 */
#define WEB_HELD_MAX     64 /* wrong guesses that wait for their answer; one more: the oldest goes */

/* Calls that are open: made at start; freed when their listeners are, before what handlers use. */
struct web_calls;
struct web_calls *web_calls_new(struct gateway *gw) MUSTCHECK;
struct web_calls *web_calls_free(struct web_calls *calls);

/* For ws_listen; arg is the gateway. */
bool http_head(void *gw, struct http_exchange *x, size_t *body_max);
void http_route(void *gw, struct http_exchange *x);
