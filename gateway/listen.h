/* The gateway's doors: gateway.sock, loopback (127.0.0.1 and ::1), and a wider address when asked. */
#pragma once

#include "gateway/gateway.h"

/* Binds all; gw->servers and gw->port are filled. Failure: a fault that names the address and its holder;
 * what was opened is closed by listen_close. A missing ::1 is a warning. */
int listen_open(struct gateway *gw, struct fault *reterr_fault);
void listen_stop(struct gateway *gw);  /* no new connections */
void listen_close(struct gateway *gw); /* everything gone */
