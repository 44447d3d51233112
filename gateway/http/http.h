/* Plain HTTP on the gateway port: a table of routes. */
#pragma once

#include "base/io/ws.h"

/* For ws_listen; arg is the gateway. */
void http_route(void *gw, struct http_exchange *x);
