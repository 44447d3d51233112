/* Between ws_client.c and ws_client_tls.c: a connect under way. */
#pragma once

#include "base/io/ws_internal.h"

#include <netinet/in.h>
#include <uv.h>

struct resolve {
    uv_getaddrinfo_t request;
    struct ws_connect *connect; /* NULL: nobody waits any more */
};

struct ws_connect {
    struct ws *ws;
    struct op *op; /* NULL: ended or dropped */
    char *host, *unix_path, *path, *origin, *pin;
    int port;
    bool tls, starting, pin_matched;
    struct resolve *resolve;
    struct addrinfo *addresses, *next;
    struct timer deadline;
    struct defer later;
    char address[INET6_ADDRSTRLEN]; /* being tried */
    char tls_reason[320], why[FAULT_TEXT_MAX];
    uv_handle_t *watcher; /* what lws added to the loop for this try */
    int probe_fd;
    struct watch *probe;
    struct timer probe_deadline;
};
