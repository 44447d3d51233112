/* Between dial.c and discover.c: a connection to one known node. */
#pragma once

#include "tunnel/tailnet.h"

/* As tailnet_dial; node and status are needed during the call only. -ERR_TIMEOUT after limit_ms. */
void dial_node(struct tailnet *tailnet, struct op *op, const struct tailnet_status *status,
               const struct tailnet_node *node, int port, int64_t limit_ms, int *ret_fd);
/* Through tailscaled alone, by whatever it makes of host. */
void dial_daemon(struct tailnet *tailnet, struct op *op, const char *host, int port,
                 int64_t limit_ms, int *ret_fd);
