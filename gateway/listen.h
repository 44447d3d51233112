/* The gateway's doors: gateway.sock, loopback (127.0.0.1 and ::1), and a wider address when asked. */
#pragma once

#include "gateway/gateway.h"

/* Binds all; gw->servers and gw->port are filled. Failure: a fault that names the address and its holder;
 * what was opened is closed by listen_close. A missing ::1 is a warning. */
int listen_open(struct gateway *gw, struct fault *reterr_fault);
/* "http://127.0.0.1:18789": where a browser reaches us. Pages need a secure context for their keys, which
 * plain HTTP has on loopback only; with TLS it is the widest address we are bound to. Caller owns. */
char *listen_url(struct gateway *gw) MUSTCHECK;
void listen_stop(struct gateway *gw);  /* no new connections */
void listen_close(struct gateway *gw); /* everything gone */
